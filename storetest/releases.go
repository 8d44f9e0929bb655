package storetest

import (
	"time"

	"github.com/seed944197df/connect"
)

func releaseTests() []test {
	return []test{
		{"ReleaseAccount makes a tombstone and wipes its secret", releaseTombstone},
		{"the grant lives while an account is on it", releaseNotLast},
		{"the last account out marks the grant for revocation", releaseLast},
		{"the grant is taken from whoever held it", releaseTakesClaim},
		{"a grant without tokens is left as it is", releaseWithoutTokens},
		{"releasing a tombstone changes nothing and returns it", releaseTwice},
		{"an account without a stored grant can be released", releaseWithoutGrant},
		{"an unknown account is ErrNotFound", releaseUnknown},
		{"of concurrent releases exactly one is the last", releaseRace},
	}
}

func (s *state) release(id string, events ...connect.Event) connect.Released {
	s.Helper()
	return must[connect.Released](s)(s.ReleaseAccount(s.Context(), tenant, id, events))
}

func releaseTombstone(s *state) {
	s.connected(2)
	event := newEvent(9, "account-1")
	got := s.release("account-1", event)
	want := newAccount(1)
	want.Status = connect.AccountDisconnected
	want.Sealed = nil
	want.Version = 2
	want.UpdatedAt = got.Account.UpdatedAt
	s.equal("released account", got.Account, want)
	s.equal("stored account", s.account(1), want)
	if s.account(1).Sealed != nil {
		s.Error("the secret is not wiped")
	}
	event.Sequence = 2
	s.equal("new events", s.events()[2:], []connect.Event{event})
}

func releaseNotLast(s *state) {
	s.connected(2)
	before := s.grant(1)
	got := s.release("account-1")
	if got.Last {
		s.Error("the first of two is said to be the last")
	}
	s.equal("returned grant", got.Grant, before)
	s.equal("stored grant", s.grant(1), before)
}

func releaseLast(s *state) {
	s.connected(2)
	s.release("account-1")
	got := s.release("account-2")
	if !got.Last {
		s.Error("the last is not said to be the last")
	}
	if got.Grant.Status != connect.GrantRevoking || string(got.Grant.Sealed) != "sealed tokens" {
		s.Errorf("the grant is %s with the tokens %q; it must be revoking, and keep them until then", got.Grant.Status, got.Grant.Sealed)
	}
	s.equal("stored grant", s.grant(1), got.Grant)
	due := s.claimDue(connect.DueClaim{N: 5, Attempt: "attempt-1", Lease: time.Minute}).Grants
	if len(due) != 1 || due[0].Prior != connect.GrantRevoking {
		s.Errorf("due are %v, want the revoking grant at once", due)
	}
}

func releaseTakesClaim(s *state) {
	s.connected(1)
	s.claim(1, "attempt-1")
	sent := must[[]connect.GrantKey](s)(s.MarkSent(s.Context(), "attempt-1", grantKeys(1)))
	s.equal("marked grants", sent, grantKeys(1))
	got := s.release("account-1")
	if got.Grant.Status != connect.GrantRevoking || got.Grant.Attempt != "" {
		s.Errorf("the grant is %s, held by %q", got.Grant.Status, got.Grant.Attempt)
	}
	_, err := s.SettleGrant(s.Context(), noTokens("attempt-1", 1))
	s.wantError(err, connect.ErrStale)
	sent = must[[]connect.GrantKey](s)(s.MarkSent(s.Context(), "attempt-1", grantKeys(1)))
	s.equal("grants that the former holder may send", sent, []connect.GrantKey(nil))
	s.equal("prior", s.claim(1, "attempt-2").Prior, connect.GrantRevoking)
}

func releaseWithoutTokens(s *state) {
	for i, status := range []connect.GrantStatus{connect.GrantDead, connect.GrantActive} {
		c := newCommit(i)
		c.Grant.Status, c.Grant.Sealed = status, nil
		s.commit(c)
		before := s.grant(i)
		got := s.release(c.Accounts[0].ID)
		if got.Last {
			s.Errorf("the grant is %s and without tokens, and said to be revoked", status)
		}
		s.equal("returned grant", got.Grant, before)
		s.equal("stored grant", s.grant(i), before)
	}
}

func releaseTwice(s *state) {
	s.connected(1)
	first := s.release("account-1")
	check := s.unchanged(tenant)
	s.advance(time.Hour)
	again := s.release("account-1", newEvent(9, "account-1"))
	s.equal("account", again.Account, first.Account)
	s.equal("grant", again.Grant, first.Grant)
	if again.Last {
		s.Error("a tombstone is said to be the last again")
	}
	check()
}

func releaseWithoutGrant(s *state) {
	s.connected(1)
	alone := newAccount(1)
	alone.Version, alone.GrantID = 2, ""
	s.ok(s.WriteAccount(s.Context(), alone, nil))
	got := s.release("account-1")
	s.equal("grant", got.Grant, connect.Grant{})
	if got.Last || got.Account.Status != connect.AccountDisconnected {
		s.Errorf("last %v, status %s", got.Last, got.Account.Status)
	}
}

func releaseUnknown(s *state) {
	s.connected(1)
	check := s.unchanged(tenant)
	_, err := s.ReleaseAccount(s.Context(), tenant, "account-9", []connect.Event{newEvent(9, "account-9")})
	s.wantError(err, connect.ErrNotFound)
	check()
}

func releaseRace(s *state) {
	s.connected(parallel)
	last := 0
	for _, r := range race(func(i int) raced[connect.Released] {
		got, err := s.ReleaseAccount(s.Context(), tenant, newAccount(i+1).ID, nil)
		return raced[connect.Released]{got, err}
	}) {
		s.ok(r.err)
		if r.value.Last {
			last++
		}
	}
	if last != 1 {
		s.Errorf("%d releases were the last, want 1", last)
	}
}
