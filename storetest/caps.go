package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/seed944197df/connect"
)

func capTests() []test {
	return []test{
		{"OpenPerUser counts the open flows of tenant and user", capPerUser},
		{"OpenPerTenant counts the open flows of the tenant", capPerTenant},
		{"Recent counts the flows within the window, open or not", capRecent},
		{"an age is measured with the store's clock, not the caller's", capClock},
		{"zero means no bound", capZero},
		{"the count and the write are one step", capRace},
	}
}

// refused checks that flow meets a cap and is not stored.
func (s *state) refused(flow connect.Flow, caps connect.FlowCaps) {
	s.Helper()
	s.wantError(s.CreateFlow(s.Context(), flow, caps), connect.ErrTooMany)
	_, err := s.ReadFlow(s.Context(), connect.FlowKey{ID: flow.ID})
	s.wantError(err, connect.ErrNotFound)
}

// like returns flow n with a change.
func like(n int, change func(f *connect.Flow)) connect.Flow {
	f := newFlow(n)
	change(&f)
	return f
}

func capPerUser(s *state) {
	ctx := s.Context()
	caps := connect.FlowCaps{OpenPerUser: 2}
	for i, status := range []connect.FlowStatus{connect.FlowConnected, connect.FlowFailed, connect.FlowStarted} {
		s.create(like(i, func(f *connect.Flow) { f.Status = status }))
	}
	s.create(like(3, func(f *connect.Flow) { f.User = "user-2" }))
	s.create(like(4, func(f *connect.Flow) { f.Tenant = "tenant-2" }))
	s.ok(s.CreateFlow(ctx, like(5, func(f *connect.Flow) { f.Platform = "x" }), caps))
	s.refused(newFlow(6), caps)

	open := s.flow(2)
	open.Status = connect.FlowFailed
	must[connect.Flow](s)(s.MoveFlow(ctx, connect.FlowStarted, open))
	s.ok(s.CreateFlow(ctx, newFlow(6), caps))
}

func capPerTenant(s *state) {
	caps := connect.FlowCaps{OpenPerTenant: 3}
	statuses := []connect.FlowStatus{connect.FlowClaimed, connect.FlowParked, connect.FlowPending, connect.FlowExpired, connect.FlowOrphaned}
	for i, status := range statuses {
		s.create(like(i, func(f *connect.Flow) { f.Status, f.User = status, strconv.Itoa(i) }))
	}
	s.refused(newFlow(6), caps)
	s.ok(s.CreateFlow(s.Context(), like(7, func(f *connect.Flow) { f.Tenant = "tenant-2" }), caps))
}

func capRecent(s *state) {
	ctx := s.Context()
	caps := connect.FlowCaps{Recent: 2, Window: time.Minute}
	s.create(like(0, func(f *connect.Flow) { f.Status = connect.FlowConnected }))
	s.create(like(1, func(f *connect.Flow) { f.CreatedAt = epoch.Add(30 * time.Second) }))
	s.advance(30 * time.Second)
	s.refused(newFlow(2), caps)
	for i, change := range []func(f *connect.Flow){
		func(f *connect.Flow) { f.Tenant = "tenant-2" },
		func(f *connect.Flow) { f.User = "user-2" },
		func(f *connect.Flow) { f.Platform = "x" },
		func(f *connect.Flow) { f.Method = "credentials" },
	} {
		s.ok(s.CreateFlow(ctx, like(3+i, change), caps))
	}
	s.advance(31 * time.Second) // the first is now out of the window
	s.ok(s.CreateFlow(ctx, like(2, func(f *connect.Flow) { f.CreatedAt = s.now() }), caps))
	s.refused(newFlow(8), caps)
}

func capClock(s *state) {
	caps := connect.FlowCaps{Recent: 1, Window: time.Minute}
	s.create(newFlow(0))
	s.advance(time.Minute - time.Second)
	s.refused(like(1, func(f *connect.Flow) { f.CreatedAt = epoch.Add(time.Hour) }), caps)
	s.advance(time.Minute)
	s.ok(s.CreateFlow(s.Context(), newFlow(1), caps))
}

func capZero(s *state) {
	for i := range 5 {
		s.ok(s.CreateFlow(s.Context(), newFlow(i), connect.FlowCaps{Window: time.Hour}))
	}
}

func capRace(s *state) {
	for name, caps := range map[string]connect.FlowCaps{
		"user":   {OpenPerUser: 5},
		"tenant": {OpenPerTenant: 5},
		"recent": {Recent: 5, Window: time.Hour},
	} {
		stored := 0
		for _, err := range race(func(i int) error {
			flow := like(i, func(f *connect.Flow) { f.ID, f.Tenant = fmt.Sprint(name, i), name })
			return s.CreateFlow(s.Context(), flow, caps)
		}) {
			if err == nil {
				stored++
			} else if !errors.Is(err, connect.ErrTooMany) {
				s.Errorf("%s: %v", name, err)
			}
		}
		if stored != 5 {
			s.Errorf("%s: %d flows were stored, want exactly 5", name, stored)
		}
	}
}
