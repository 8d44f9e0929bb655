package storetest

import (
	"errors"
	"fmt"
	"slices"
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
		{"ClaimOverdueFlows returns open flows that are over, unchanged", overdueReturned},
		{"ClaimOverdueFlows returns at most n, the longest overdue first", overdueBounded},
		{"ClaimOverdueFlows returns no flow twice within the lease", overdueRace},
		{"ClaimOverdueFlows returns a flow again after the lease", overdueAgain},
		{"HastenFlows makes open flows overdue, of a tenant or of one user", hastened},
		{"HastenFlows returns how many are open, overdue before or not", hastenCounts},
		{"who read a flow before it was hastened cannot move it", hastenMoves},
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
		if err := s.CreateFlow(ctx, twin, connect.FlowCaps{}); !errors.Is(err, connect.ErrConflict) {
			s.Errorf("%s: a second flow with the same meets %v, want %v", name, err, connect.ErrConflict)
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

func overdueReturned(s *state) {
	want := map[string]connect.Flow{}
	n := 0
	for _, status := range []connect.FlowStatus{connect.FlowStarted, connect.FlowParked, connect.FlowPending, connect.FlowClaimed} {
		f := newFlow(n)
		f.Status = status
		s.create(f)
		want[f.ID] = s.flow(n)
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
	s.equal("flows before their time", s.overdue(100), []connect.Flow(nil))

	s.advance(2 * time.Second)
	got := map[string]connect.Flow{}
	for _, f := range s.overdue(100) {
		got[f.ID] = f
		s.equal("returned and stored flow", f, must[connect.Flow](s)(s.ReadFlow(s.Context(), connect.FlowKey{ID: f.ID})))
	}
	s.equal("overdue flows", got, want)
}

// overdueLease is for how long overdue claims.
const overdueLease = time.Minute

func (s *state) overdue(n int) []connect.Flow {
	s.Helper()
	return must[[]connect.Flow](s)(s.ClaimOverdueFlows(s.Context(), n, overdueLease))
}

func overdueBounded(s *state) {
	for i := range 5 {
		f := newFlow(i)
		f.ExpiresAt = epoch.Add(time.Hour - time.Duration(i)*time.Minute)
		s.create(f)
	}
	s.advance(2 * time.Hour)
	for _, want := range [][]int{{4, 3}, {2, 1}, {0}, nil} {
		var ids, wanted []string
		for _, f := range s.overdue(2) {
			ids = append(ids, f.ID)
		}
		for _, n := range want {
			wanted = append(wanted, newFlow(n).ID)
		}
		s.equal("the longest overdue", ids, wanted)
	}
}

func overdueAgain(s *state) {
	s.create(newFlow(1))
	s.create(newFlow(2))
	s.advance(2 * time.Hour)
	if got := len(s.overdue(100)); got != 2 {
		s.Errorf("%d flows, want 2", got)
	}
	ended := s.flow(1)
	ended.Status = connect.FlowExpired
	must[connect.Flow](s)(s.CommitFlow(s.Context(), connect.Commit{From: connect.FlowStarted, Flow: ended}))
	s.advance(overdueLease - time.Second)
	s.equal("within the lease", s.overdue(100), []connect.Flow(nil))
	s.advance(2 * time.Second)
	s.equal("after the lease, what was not ended", s.overdue(100), []connect.Flow{s.flow(2)})
}

func overdueRace(s *state) {
	const flows = 20
	for i := range flows {
		f := newFlow(i)
		f.ID = fmt.Sprintf("flow-%02d", i)
		s.create(f)
	}
	s.advance(2 * time.Hour)
	seen := map[string]int{}
	for _, r := range race(func(int) raced[[]connect.Flow] {
		got, err := s.ClaimOverdueFlows(s.Context(), 3, overdueLease)
		return raced[[]connect.Flow]{got, err}
	}) {
		s.ok(r.err)
		for _, f := range r.value {
			seen[f.ID]++
		}
	}
	if len(seen) != flows {
		s.Errorf("%d flows returned, want %d", len(seen), flows)
	}
	for id, n := range seen {
		if n != 1 {
			s.Errorf("%s was returned %d times", id, n)
		}
	}
}

// hasten hastens flows, of which n must be open.
func (s *state) hasten(tenant, user string, n int) {
	s.Helper()
	s.equal("open flows", must[int](s)(s.HastenFlows(s.Context(), tenant, user)), n)
}

func hastened(s *state) {
	for i, change := range []func(f *connect.Flow){
		func(*connect.Flow) {},
		func(f *connect.Flow) { f.Status = connect.FlowPending },
		func(f *connect.Flow) { f.Status = connect.FlowConnected },
		func(f *connect.Flow) { f.User = "user-2" },
		func(f *connect.Flow) { f.User = "" },
		func(f *connect.Flow) { f.Tenant = "tenant-2" },
	} {
		s.create(like(i, change))
	}
	overdue := func() []string {
		var ids []string
		for _, f := range s.overdue(100) {
			ids = append(ids, f.ID)
			s.equal("hastened and stored flow", f, must[connect.Flow](s)(s.ReadFlow(s.Context(), connect.FlowKey{ID: f.ID})))
		}
		slices.Sort(ids)
		return ids
	}
	others := []func(){s.unchanged("tenant-2"), s.unchanged(tenant)}
	s.hasten("tenant-3", "", 0)
	s.hasten(tenant, "user-3", 0)
	others[1]()
	s.hasten(tenant, "user-1", 2)
	s.equal("flows of one user", overdue(), []string{"flow-0", "flow-1"})
	s.hasten(tenant, "", 4)
	s.equal("the other flows of the tenant", overdue(), []string{"flow-3", "flow-4"})
	others[0]()
}

func hastenCounts(s *state) {
	s.create(newFlow(1))
	s.create(like(2, func(f *connect.Flow) { f.ExpiresAt = epoch.Add(time.Minute) }))
	s.advance(2 * time.Minute)
	before := s.flow(2)
	s.hasten(tenant, "user-1", 2)
	s.hasten(tenant, "", 2)
	s.equal("a flow that was overdue before", s.flow(2), before)
}

// hastenMoves: a move, which replaces the flow, must not give it its time back.
func hastenMoves(s *state) {
	s.create(newFlow(1))
	read := s.flow(1)
	s.hasten(tenant, "", 1)
	read.Status = connect.FlowClaimed
	_, err := s.MoveFlow(s.Context(), connect.FlowStarted, read)
	s.wantError(err, connect.ErrConflict)
	s.equal("overdue flows", s.overdue(1), []connect.Flow{s.flow(1)})
}
