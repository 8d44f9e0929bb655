package storetest

import (
	"fmt"
	"time"

	"github.com/seed944197df/connect"
)

func flowTests() []test {
	return []test{
		{"CreateFlow stores a new flow", createStores},
		{"CreateFlow refuses an id or a handle that is taken", createRefusesTwins},
		{"ReadFlow finds by id, link, session and ticket", readFinds},
		{"ReadFlow returns ErrNotFound", readFindsNothing},
		{"what is nil stays nil", flowNilStaysNil},
		{"ExpireFlows ends what is over", expireEnds},
		{"ExpireFlows ends at most n", expireBounded},
		{"ExpireFlows returns no flow twice", expireRace},
	}
}

func createStores(s *state) {
	want := newFlow(1)
	want.Link, want.Session, want.Ticket = handle("link"), handle("session"), handle("ticket")
	want.Linked = true
	want.Progress = []byte("sealed progress")
	want.Outcome = &connect.FlowOutcome{
		AccountIDs: []string{"a", "b"}, Error: connect.CodeAccessDenied, Chosen: []string{"page:1"},
	}
	s.create(want)
	s.equal("flow", s.flow(1), want)
}

func createRefusesTwins(s *state) {
	ctx := s.Context()
	first := newFlow(1)
	first.Link, first.Session, first.Ticket = handle("link"), handle("session"), handle("ticket")
	s.create(first)
	for i, none := range [][]byte{nil, nil, {}, {}} { // many flows have no handles
		s.create(like(4+i, func(f *connect.Flow) { f.Link, f.Session, f.Ticket = none, none, none }))
	}
	check := s.unchanged(tenant)
	for name, change := range map[string]func(f *connect.Flow){
		"id":      func(f *connect.Flow) { f.ID = first.ID },
		"link":    func(f *connect.Flow) { f.Link = first.Link },
		"session": func(f *connect.Flow) { f.Session = first.Session },
		"ticket":  func(f *connect.Flow) { f.Ticket = first.Ticket },
	} {
		twin := newFlow(3)
		change(&twin)
		if err := s.CreateFlow(ctx, twin, connect.FlowCaps{}); err == nil {
			s.Errorf("%s: a second flow with the same was stored", name)
		}
	}
	check()
}

func readFinds(s *state) {
	want := newFlow(1)
	want.Link, want.Session, want.Ticket = handle("link"), handle("session"), handle("ticket")
	s.create(want)
	s.create(newFlow(2))
	for name, key := range map[string]connect.FlowKey{
		"id":            {ID: want.ID},
		"id and tenant": {ID: want.ID, Tenant: tenant},
		"link":          {Link: want.Link},
		"session":       {Tenant: tenant, Session: want.Session},
		"ticket":        {Tenant: tenant, Ticket: want.Ticket},
	} {
		got, err := s.ReadFlow(s.Context(), key)
		s.ok(err)
		s.equal(name, got, want)
	}
}

func readFindsNothing(s *state) {
	flow := newFlow(1)
	flow.Link, flow.Session, flow.Ticket = handle("link"), handle("session"), handle("ticket")
	s.create(flow)
	s.create(newFlow(2)) // without handles: an empty one must not find it
	for name, key := range map[string]connect.FlowKey{
		"no name":               {Tenant: tenant},
		"nothing":               {},
		"empty session":         {Tenant: tenant, Session: []byte{}},
		"unknown id":            {ID: "flow-9"},
		"unknown link":          {Link: handle("other")},
		"link as a session":     {Tenant: tenant, Session: flow.Link},
		"id of another tenant":  {ID: flow.ID, Tenant: "tenant-2"},
		"session, no tenant":    {Session: flow.Session},
		"session, other tenant": {Session: flow.Session, Tenant: "tenant-2"},
		"ticket, no tenant":     {Ticket: flow.Ticket},
		"ticket, other tenant":  {Ticket: flow.Ticket, Tenant: "tenant-2"},
		"two names":             {Tenant: tenant, Session: flow.Session, Ticket: flow.Ticket},
		"id and ticket":         {Tenant: tenant, ID: flow.ID, Ticket: flow.Ticket},
	} {
		if _, err := s.ReadFlow(s.Context(), key); err == nil {
			s.Errorf("%s: found a flow", name)
		} else {
			s.wantError(err, connect.ErrNotFound)
		}
	}
}

func flowNilStaysNil(s *state) {
	s.create(newFlow(1))
	got := s.flow(1)
	if got.Link != nil || got.Session != nil || got.Ticket != nil {
		s.Error("a flow without handles came back with one")
	}
	if got.Progress != nil {
		s.Error("Progress is not nil")
	}
	if got.Outcome != nil {
		s.Error("Outcome is not nil")
	}
}

func expireEnds(s *state) {
	ends := map[connect.FlowStatus]connect.FlowStatus{
		connect.FlowStarted: connect.FlowExpired,
		connect.FlowParked:  connect.FlowExpired,
		connect.FlowPending: connect.FlowExpired,
		connect.FlowClaimed: connect.FlowOrphaned,
	}
	n := 0
	want := map[string]connect.FlowStatus{}
	for from, to := range ends {
		f := newFlow(n)
		f.Status = from
		want[f.ID] = to
		s.create(f)
		n++
	}
	for _, final := range []connect.FlowStatus{connect.FlowConnected, connect.FlowFailed, connect.FlowExpired, connect.FlowOrphaned} {
		f := newFlow(n)
		f.Status = final
		s.create(f)
		n++
	}
	later := newFlow(n)
	later.ExpiresAt = epoch.Add(2 * time.Hour)
	s.create(later)

	s.advance(time.Hour - time.Second)
	early := must[[]connect.Flow](s)(s.ExpireFlows(s.Context(), 100))
	s.equal("flows before their time", early, []connect.Flow(nil))

	s.advance(2 * time.Second)
	got := map[string]connect.FlowStatus{}
	for _, f := range must[[]connect.Flow](s)(s.ExpireFlows(s.Context(), 100)) {
		got[f.ID] = f.Status
		stored := must[connect.Flow](s)(s.ReadFlow(s.Context(), connect.FlowKey{ID: f.ID}))
		s.equal("returned and stored flow", f, stored)
		if f.Version != 2 {
			s.Errorf("the version of an ended flow is %d, want 2", f.Version)
		}
	}
	s.equal("ended flows", got, want)
	again := must[[]connect.Flow](s)(s.ExpireFlows(s.Context(), 100))
	s.equal("flows ended twice", again, []connect.Flow(nil))
}

func expireBounded(s *state) {
	for i := range 5 {
		s.create(newFlow(i))
	}
	s.advance(2 * time.Hour)
	for _, want := range []int{2, 2, 1, 0} {
		if got := must[[]connect.Flow](s)(s.ExpireFlows(s.Context(), 2)); len(got) != want {
			s.Errorf("%d flows ended, want %d", len(got), want)
		}
	}
}

func expireRace(s *state) {
	const flows = 20
	for i := range flows {
		f := newFlow(i)
		f.ID = fmt.Sprintf("flow-%02d", i)
		s.create(f)
	}
	s.advance(2 * time.Hour)
	seen := map[string]int{}
	for _, r := range race(func(int) raced[[]connect.Flow] {
		got, err := s.ExpireFlows(s.Context(), 3)
		return raced[[]connect.Flow]{got, err}
	}) {
		s.ok(r.err)
		for _, f := range r.value {
			seen[f.ID]++
		}
	}
	if len(seen) != flows {
		s.Errorf("%d flows ended, want %d", len(seen), flows)
	}
	for id, n := range seen {
		if n != 1 {
			s.Errorf("%s was returned %d times", id, n)
		}
	}
}
