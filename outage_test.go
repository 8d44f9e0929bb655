package connect_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed944197df/connect"
)

// What was stored is not given back because the answer was lost, however long
// the store is away afterwards.
func TestFault29_WhatIsStoredIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &lastAnswerLost{}
		b := newBench(t, time.Now, withOutage(&store.outage), func(c *connect.Config) { c.Store = store })
		b.fake.answer("exchange", b.fake.tokens("first"))
		_, _, err := b.callback()
		wantCode(t, err, connect.CodeUnavailable)
		pass(5 * time.Minute)
		accounts, _, err := b.engine.Accounts(t.Context(), acmeKey, connect.AccountFilter{}, connect.Page{})
		if err != nil || len(accounts) != 1 || accounts[0].Status != connect.AccountActive {
			t.Errorf("accounts %v, %v: want an active one", accounts, err)
		}
		if _, revoked, _ := b.fake.asked(); len(revoked) > 0 {
			t.Errorf("its tokens are revoked: %q", revoked)
		}
	})
}

// lastAnswerLost is a store that is away once it has stored accounts.
type lastAnswerLost struct{ outage }

func (s *lastAnswerLost) CommitFlow(ctx context.Context, commit connect.Commit) (connect.Flow, error) {
	stored, err := s.outage.CommitFlow(ctx, commit)
	if err == nil && len(commit.Accounts) > 0 {
		s.begin(3 * time.Minute)
		return connect.Flow{}, errStore
	}
	return stored, err
}
