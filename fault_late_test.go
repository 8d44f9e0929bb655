package connect_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed944197df/connect"
)

// Tokens that come after the last account has left are revoked like those that
// were there, however often that fails at first.
func TestFault23_WhatCameLateIsRevoked(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		first fakeAnswer // of the disconnect's own revocation
		over  bool       // so that the grant is dead when the tokens come
	}{
		"still to be revoked": {refusing(errDown), false},
		"revoked already":     {succeeds, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, time.Now)
				account := b.connect()
				pass(fakeLife)
				asked, release := make(chan struct{}), make(chan struct{})
				b.fake.answer("refresh", held(asked, release, b.fake.tokens("late")))
				told := make(chan error)
				go func() {
					_, err := b.token(b.engine, account)
					told <- err
				}()
				<-asked
				b.fake.answer("revoke", tt.first)
				if _, err := b.engine.Disconnect(t.Context(), acmeKey, account.ID); err != nil {
					t.Fatal(err)
				}
				for _, answer := range []fakeAnswer{refusing(errDown), fails(connect.ClassRetry), succeeds} {
					b.fake.answer("revoke", answer)
				}
				close(release)
				if err := <-told; err == nil {
					t.Error("the account works")
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				_ = b.engine.Run(ctx)
				want := []string{"access-first", "access-late", "access-late", "access-late"}
				if _, revoked, _ := b.fake.asked(); !slices.Equal(revoked, want) {
					t.Errorf("revoked %q, want %q", revoked, want)
				}
				if got := b.grant(account); got.Status != connect.GrantDead || got.Sealed != nil {
					t.Errorf("the grant is %s with %d bytes", got.Status, len(got.Sealed))
				}
			})
		})
	}
}

// unread is a store with a flow that it cannot read.
type unread struct{ connect.Store }

func (s unread) ClaimOverdueFlows(ctx context.Context, n int, lease time.Duration) ([]connect.Flow, error) {
	flows, err := s.Store.ClaimOverdueFlows(ctx, n, lease)
	return flows, errors.Join(err, errors.New("a flow cannot be read"))
}

func TestFault26_OtherFlowsEnd(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now, func(c *connect.Config) { c.Store = unread{c.Store} })
	started, err := b.engine.Start(t.Context(), alice, connect.StartRequest{Platform: "fake"})
	if err != nil {
		t.Fatal(err)
	}
	clock.advance(24 * time.Hour)
	b.round()
	flow, err := b.config.Store.ReadFlow(t.Context(), connect.FlowKey{ID: started.FlowID})
	if err != nil || flow.Status != connect.FlowExpired {
		t.Errorf("the flow is %s, %v: want expired", flow.Status, err)
	}
}
