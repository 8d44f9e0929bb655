package storetest

import (
	"github.com/seed944197df/connect"
)

func moveTests() []test {
	return []test{
		{"MoveFlow replaces the flow and increments its version", moveReplaces},
		{"a handle that a move took away finds nothing", moveDropsHandles},
		{"MoveFlow from another status or version changes nothing", moveConflicts},
		{"MoveFlow of an unknown flow is ErrNotFound", moveUnknown},
		{"MoveFlow takes no handle of another flow", moveKeepsHandlesApart},
		{"of concurrent moves exactly one succeeds", moveRace},
		{"a flow that ended cannot be moved from before", moveAfterExpiry},
	}
}

func moveReplaces(s *state) {
	s.create(newFlow(1))
	next := newFlow(1)
	next.Status = connect.FlowPending
	next.User = "user-2"
	next.Linked = true
	next.KeyID = "key-2"
	next.Session, next.Ticket, next.Link = handle("session"), handle("ticket"), handle("link")
	next.Progress = []byte("sealed progress")
	next.Request = []byte("another request")
	next.Timeline = append(next.Timeline, connect.FlowStep{At: epoch, Step: "exchange", Result: "denied"})
	next.ExpiresAt = epoch.AddDate(0, 0, 1)
	got := must[connect.Flow](s)(s.MoveFlow(s.Context(), connect.FlowStarted, next))
	want := next
	want.Version = 2
	s.equal("returned flow", got, want)
	s.equal("stored flow", s.flow(1), want)
	found := must[connect.Flow](s)(s.ReadFlow(s.Context(), connect.FlowKey{Tenant: tenant, Session: handle("session")}))
	s.equal("flow by its new session", found, want)
}

func moveDropsHandles(s *state) {
	s.create(like(1, func(f *connect.Flow) { f.Link = handle("link") }))
	must[connect.Flow](s)(s.MoveFlow(s.Context(), connect.FlowStarted, newFlow(1)))
	_, err := s.ReadFlow(s.Context(), connect.FlowKey{Link: handle("link")})
	s.wantError(err, connect.ErrNotFound)
	s.create(like(2, func(f *connect.Flow) { f.Link = handle("link") }))
}

func moveConflicts(s *state) {
	ctx := s.Context()
	s.create(newFlow(1))
	stored := must[connect.Flow](s)(s.MoveFlow(ctx, connect.FlowStarted, like(1, func(f *connect.Flow) { f.Status = connect.FlowClaimed })))
	check := s.unchanged(tenant)
	for name, try := range map[string]struct {
		from    connect.FlowStatus
		version int64
	}{
		"the version before":     {connect.FlowClaimed, 1},
		"the version to come":    {connect.FlowClaimed, 3},
		"the status before":      {connect.FlowStarted, 2},
		"both as they were":      {connect.FlowStarted, 1},
		"a status to be":         {connect.FlowPending, 2},
		"neither status nor row": {"", 0},
	} {
		next := like(1, func(f *connect.Flow) { f.Status, f.Version = connect.FlowFailed, try.version })
		got, err := s.MoveFlow(ctx, try.from, next)
		s.wantError(err, connect.ErrConflict)
		s.equal(name+": returned flow", got, stored)
	}
	check()
}

func moveUnknown(s *state) {
	_, err := s.MoveFlow(s.Context(), connect.FlowStarted, newFlow(1))
	s.wantError(err, connect.ErrNotFound)
	_, err = s.ReadFlow(s.Context(), connect.FlowKey{ID: "flow-1"})
	s.wantError(err, connect.ErrNotFound)
}

func moveKeepsHandlesApart(s *state) {
	s.create(like(1, func(f *connect.Flow) { f.Session = handle("session") }))
	s.create(newFlow(2))
	check := s.unchanged(tenant)
	next := like(2, func(f *connect.Flow) { f.Session = handle("session") })
	_, err := s.MoveFlow(s.Context(), connect.FlowStarted, next)
	s.wantError(err, connect.ErrConflict)
	check()
}

func moveRace(s *state) {
	s.create(newFlow(1))
	won, lost := winner(s, race(func(i int) raced[connect.Flow] {
		next := like(1, func(f *connect.Flow) {
			f.Status = connect.FlowClaimed
			f.Progress = []byte{byte(i)}
		})
		got, err := s.MoveFlow(s.Context(), connect.FlowStarted, next)
		return raced[connect.Flow]{got, err}
	}), connect.ErrConflict)
	s.equal("stored flow", s.flow(1), won)
	for _, f := range lost {
		s.equal("what a loser got", f, won)
	}
}

func moveAfterExpiry(s *state) {
	s.create(newFlow(1))
	next := s.flow(1)
	next.Status = connect.FlowExpired
	ended := must[connect.Flow](s)(s.CommitFlow(s.Context(), connect.Commit{From: connect.FlowStarted, Flow: next}))
	got, err := s.MoveFlow(s.Context(), connect.FlowStarted, like(1, func(f *connect.Flow) { f.Status = connect.FlowClaimed }))
	s.wantError(err, connect.ErrConflict)
	s.equal("returned flow", got, ended)
}
