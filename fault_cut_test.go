package connect_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed944197df/connect"
)

// cut is a store as one process sees it that is cut off for a while.
type cut struct{ outage }

func (s *cut) ClaimGrant(ctx context.Context, key connect.GrantKey, attempt string, lease time.Duration) (connect.ClaimedGrant, error) {
	if err := s.err(); err != nil {
		return connect.ClaimedGrant{}, err
	}
	return s.Store.ClaimGrant(ctx, key, attempt, lease)
}

func (s *cut) RenewClaims(ctx context.Context, attempt string, keys []connect.GrantKey, lease time.Duration) error {
	if err := s.err(); err != nil {
		return err
	}
	return s.Store.RenewClaims(ctx, attempt, keys, lease)
}

// One process has new tokens and no store to write them to. Another one that
// has must not present what was spent for them: whoever asks there waits, or is
// told to.
func TestFault8_OneProcessIsCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &cut{}
		f := newFleet(t, time.Now, 1, 1, answersIn(2*time.Second))
		store.Store = f.config.Store
		a := f.another(func(c *connect.Config) { c.Store = store })
		account := f.accounts[0]
		pass(fakeLife)
		done := make(chan error, 1)
		go func() { _, err := f.token(a, account); done <- err }()
		pass(time.Second)
		store.begin(25 * time.Second)
		_, err := f.token(f.engine, account) // once the lease of the other one is over
		wantCode(t, err, connect.CodeUnavailable)
		if _, err := f.token(f.engine, account); err != nil {
			t.Error("who waits for the answer:", err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		f.wantOnce()
		f.wantAll("active active 2")
	})
}

// Where the process that may have the tokens is dead, another one presents
// again once the answer would have been stored.
func TestFault3_PresentedAgainInTheEnd(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	account := b.connect()
	key := connect.GrantKey{Tenant: account.Tenant, ID: account.GrantID}
	clock.advance(fakeLife)
	if _, err := b.config.Store.ClaimGrant(t.Context(), key, "dead", 15*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := b.config.Store.MarkSent(t.Context(), "dead", []connect.GrantKey{key}); err != nil {
		t.Fatal(err)
	}
	clock.advance(15 * time.Second)
	b.round()
	b.wantPresented()
	b.fake.answer("refresh", b.fake.tokens("second"))
	clock.advance(15 * time.Second)
	b.round()
	b.wantToken(account, "access-second")
}
