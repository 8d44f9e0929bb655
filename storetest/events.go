package storetest

import (
	"strconv"
	"time"

	"github.com/seed944197df/connect"
)

func eventTests() []test {
	return []test{
		{"ListEvents returns the oldest first, in pages", eventPages},
		{"a malformed cursor is ErrNotFound", eventCursor},
		{"no data stays no data", eventNoData},
		{"a change whose event cannot be written does not happen", eventTaken},
		{"ClaimEvents claims at most n, the oldest of each account first", eventClaim},
		{"an event waits for the earlier ones of its account", eventOrder},
		{"events without an account wait for none", eventUnordered},
		{"a claim ends with its lease", eventLease},
		{"AckEvents takes only what the attempt holds", eventAck},
		{"of concurrent claims no event goes out twice", eventRace},
	}
}

// raise writes events, numbered on from first, of accounts by their number; 0
// stands for none.
func (s *state) raise(first int, accounts ...int) []connect.Event {
	s.Helper()
	c := emptyCommit(first)
	c.Grant = nil
	for i, n := range accounts {
		id := ""
		if n > 0 {
			id = newAccount(n).ID
		}
		c.Events = append(c.Events, newEvent(first+i, id))
	}
	s.commit(c)
	events := s.events()
	return events[len(events)-len(accounts):]
}

func (s *state) claimEvents(n int, attempt string) []connect.Event {
	s.Helper()
	return must[[]connect.Event](s)(s.ClaimEvents(s.Context(), n, attempt, time.Minute))
}

func (s *state) ack(attempt string, numbers ...int) {
	s.Helper()
	var ids []string
	for _, n := range numbers {
		ids = append(ids, newEvent(n, "").ID)
	}
	s.ok(s.AckEvents(s.Context(), attempt, ids))
}

func eventPages(s *state) {
	want := s.raise(0, 1, 2, 1, 0, 2)
	for i, sequence := range []int64{1, 1, 2, 0, 2} {
		if want[i].Sequence != sequence || want[i].ID != newEvent(i, "").ID {
			s.Errorf("event %d is %s with the sequence %d, want %d", i, want[i].ID, want[i].Sequence, sequence)
		}
	}
	var got []connect.Event
	page := connect.Page{Limit: 2}
	for range 4 {
		events, next, err := s.ListEvents(s.Context(), tenant, page)
		s.ok(err)
		got = append(got, events...)
		page.Cursor = next
	}
	s.equal("paged events", got, want)

	more := s.raise(7, 1) // whoever reads on gets what is new
	got, _, err := s.ListEvents(s.Context(), tenant, page)
	s.ok(err)
	s.equal("new events", got, more)
	s.ack("nobody", 7)
	s.equal("a list does not depend on delivery", s.events(), append(want, more...))
}

func eventCursor(s *state) {
	s.raise(0, 1)
	for _, cursor := range []string{"?", "-1", "' OR 1=1 --", "99999999999999999999", "1 "} {
		_, _, err := s.ListEvents(s.Context(), tenant, connect.Page{Limit: 1, Cursor: cursor})
		s.wantError(err, connect.ErrNotFound)
	}
}

func eventNoData(s *state) {
	c := newCommit(1)
	c.Events[0].Data = nil
	s.commit(c)
	c.Events[0].Sequence = 1
	s.equal("events", s.events(), c.Events)
}

func eventTaken(s *state) {
	s.connected(1)
	s.claim(1, "attempt-1")
	twins := []connect.Event{newEvent(9, "account-1"), newEvent(9, "account-1")}
	next := newAccount(1)
	next.Version = 2
	st := settlement("attempt-1", 1)
	st.AccountStatus, st.Events = connect.AccountReauthRequired, twins
	check := s.unchanged(tenant)
	_, released := s.ReleaseAccount(s.Context(), tenant, "account-1", twins)
	_, settled := s.SettleGrant(s.Context(), st)
	for name, err := range map[string]error{
		"WriteAccount": s.WriteAccount(s.Context(), next, twins), "ReleaseAccount": released, "SettleGrant": settled,
	} {
		if err == nil {
			s.Errorf("%s wrote two events with one id", name)
		}
	}
	check()
}

func eventClaim(s *state) {
	all := s.raise(0, 1, 1, 2, 1)
	s.equal("none", s.claimEvents(0, "attempt-0"), []connect.Event(nil))
	s.equal("first claim", s.claimEvents(2, "attempt-1"), all[:2])
	s.equal("second claim", s.claimEvents(9, "attempt-2"), all[2:3])
	s.ack("attempt-1", 0, 1)
	s.equal("third claim", s.claimEvents(9, "attempt-3"), all[3:])
}

func eventOrder(s *state) {
	all := s.raise(0, 1, 1, 1)
	s.equal("first claim", s.claimEvents(1, "attempt-1"), all[:1])
	s.equal("while the first is held", s.claimEvents(9, "attempt-2"), []connect.Event(nil))
	s.ack("attempt-1", 0)
	s.equal("second claim", s.claimEvents(1, "attempt-2"), all[1:2])
	s.equal("while the second is held", s.claimEvents(9, "attempt-3"), []connect.Event(nil))
	s.advance(time.Minute)
	s.equal("when its lease is over", s.claimEvents(9, "attempt-3"), all[1:])
}

func eventUnordered(s *state) {
	all := s.raise(0, 0, 0, 0)
	s.equal("first claim", s.claimEvents(1, "attempt-1"), all[:1])
	s.equal("second claim", s.claimEvents(9, "attempt-2"), all[1:])
}

func eventLease(s *state) {
	all := s.raise(0, 1)
	s.claimEvents(1, "attempt-1")
	s.advance(time.Minute - time.Second)
	s.equal("before the end", s.claimEvents(1, "attempt-2"), []connect.Event(nil))
	s.advance(time.Second)
	s.equal("at the end", s.claimEvents(1, "attempt-2"), all)
	s.ack("attempt-1", 0) // too late: attempt-2 has it
	s.advance(time.Minute)
	s.equal("delivered by nobody", s.claimEvents(1, "attempt-3"), all)
}

func eventAck(s *state) {
	all := s.raise(0, 1, 2)
	s.ack("attempt-1", 0) // not claimed yet
	s.ack("", 0, 1)
	s.claimEvents(1, "attempt-1")
	s.claimEvents(1, "attempt-2")
	s.ack("attempt-1", 1, 77) // another's, and nobody's
	s.ack("attempt-1", 0)
	s.ack("attempt-1", 0) // again
	s.advance(time.Minute)
	s.equal("undelivered events", s.claimEvents(9, "attempt-3"), all[1:])
	s.ok(s.AckEvents(s.Context(), "attempt-3", nil))
	s.ack("attempt-3", 1)
	s.advance(time.Minute)
	s.equal("nothing is left", s.claimEvents(9, "attempt-4"), []connect.Event(nil))
}

func eventRace(s *state) {
	var accounts []int
	for i := range 60 {
		accounts = append(accounts, i%6+1)
	}
	s.raise(0, accounts...)
	claims := race(func(i int) raced[[]connect.Event] {
		got, err := s.ClaimEvents(s.Context(), 4, strconv.Itoa(i), time.Minute)
		return raced[[]connect.Event]{got, err}
	})
	holder := map[string]int{} // of an account's events: one attempt only
	seen := map[string]bool{}
	for i, r := range claims {
		s.ok(r.err)
		for _, e := range r.value {
			if seen[e.ID] {
				s.Errorf("%s was claimed twice", e.ID)
			}
			seen[e.ID] = true
			if other, ok := holder[e.AccountID]; ok && other != i {
				s.Errorf("two attempts have events of %s", e.AccountID)
			}
			holder[e.AccountID] = i
		}
	}
	if len(seen) == 0 {
		s.Error("nobody got an event")
	}
}
