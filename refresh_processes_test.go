package connect_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
)

// Two processes need the same refresh at once.
func TestRefreshOfTwoProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, time.Now)
		account := b.connect()
		other := b.another(nil)
		pass(fakeLife)
		asked, release := make(chan struct{}), make(chan struct{})
		b.fake.answer("refresh", held(asked, release, b.fake.tokens("second")))
		got := make(chan string, 2)
		for _, engine := range []*connect.Connector{b.engine, other} {
			go func() {
				token, err := b.token(engine, account)
				if err != nil {
					t.Error(err)
				}
				got <- token
			}()
		}
		<-asked
		pass(10 * time.Second) // the other one waits
		select {
		case token := <-got:
			t.Errorf("token %q before the refresh has ended", token)
		default:
		}
		close(release)
		if first, second := <-got, <-got; first != "access-second" || second != first {
			t.Errorf("tokens %q and %q, want the new one", first, second)
		}
		b.wantPresented("refresh-first")
		if got := b.grant(account).Generation; got != 2 {
			t.Errorf("generation %d, want 2", got)
		}
	})
}

// die leaves a claim behind as a process does that ends in the middle of a
// refresh.
func (b *bench) die(account connect.Account, sent bool) {
	b.t.Helper()
	key := connect.GrantKey{Tenant: account.Tenant, ID: account.GrantID}
	if _, err := b.config.Store.ClaimGrant(b.t.Context(), key, "dead", 2*time.Minute); err != nil {
		b.t.Fatal(err)
	}
	if !sent {
		return
	}
	if held, err := b.config.Store.MarkSent(b.t.Context(), "dead", []connect.GrantKey{key}); err != nil || len(held) != 1 {
		b.t.Fatalf("marked %d, %v", len(held), err)
	}
}

// A process that may have presented the token leaves the decision to the
// class of rotation: one that ends the grant waits for the access token's end.
func TestFault3_ADeadProcess(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		class connect.RotationClass
		sent  bool
		rests bool
	}{
		"strict":           {connect.RotationStrict, true, true},
		"not said":         {"", true, true}, // is strict
		"grace":            {connect.RotationGrace, true, false},
		"stable":           {connect.RotationStable, true, false},
		"strict, not sent": {connect.RotationStrict, false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b := newBench(t, clock.Now, func(c *connect.Config) {
				f, _ := c.Providers[0].(*fake)
				f.platform.Rotation = connect.Rotation{Class: tt.class, Grace: 10 * time.Minute}
			})
			account := b.connect()
			clock.advance(fakeLife * 9 / 10) // due, and not over
			b.die(account, tt.sent)

			b.round()
			b.wantToken(account, "access-first")
			b.wantPresented() // the lease holds

			clock.advance(3 * time.Minute)
			if !tt.rests {
				b.fake.answer("refresh", b.fake.tokens("second"))
				b.round()
				b.wantPresented("refresh-first")
				b.wantToken(account, "access-second")
				return
			}
			b.round()
			b.round()
			b.wantToken(account, "access-first")
			b.wantPresented()
			if got := b.grant(account); got.Status != connect.GrantUncertain || got.DueAt == nil || !got.DueAt.Equal(*got.AccessExpiry) {
				t.Errorf("the grant is %s, due %v: want it uncertain until its access token ends", got.Status, got.DueAt)
			}
			clock.advance(3 * time.Minute)
			b.fake.answer("refresh", b.fake.tokens("second"))
			b.round()
			b.round()
			b.wantPresented("refresh-first")
			b.wantToken(account, "access-second")
		})
	}
}

// dying is a store whose process dies when it has claimed.
type dying struct{ connect.Store }

func (s dying) ClaimDueGrants(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
	_, err := s.Store.ClaimDueGrants(ctx, claim)
	return connect.DueGrants{}, errors.Join(err, errors.New("the process is dead"))
}

// A process that dies between its claims and the mark of what it sends has sent
// nothing: when its leases are over another one takes over at once.
func TestFault4_AnotherTakesOver(t *testing.T) {
	t.Parallel()
	leases := map[connect.RotationClass]time.Duration{connect.RotationStrict: 15 * time.Second, connect.RotationGrace: 2 * time.Second}
	for name, store := range stores {
		for class, lease := range leases {
			t.Run(name+"/"+string(class), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					f := newFleet(t, time.Now, 1, 0, withRotation(class, 20*time.Second))
					f.config.Store = store(t, time.Now)
					f.engine = f.another(nil)
					f.accounts = f.seed("acme", 32)
					pass(fakeLife * 9 / 10)
					f.roundOf(f.another(func(c *connect.Config) { c.Store = dying{c.Store} }))
					died := time.Now()
					f.wantAll("claimed active 1")

					if _, err := f.engine.Refresh(t.Context(), acmeKey, f.accounts[0].ID); err != nil {
						t.Error(err)
					}
					if took := time.Since(died); took < lease || took > lease+time.Second {
						t.Errorf("who asks has a new token after %v, want it within a second of %v", took, lease)
					}
					pass(time.Until(died.Add(lease + time.Second)))
					f.round()
					f.wantAll("active active 2")
					f.wantOnce()
				})
			})
		}
	}
}

// While the dead process's lease lasts nobody presents the token, and who
// cannot do without is told to come back.
func TestRefreshWaitsForALease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, time.Now)
		account := b.connect()
		pass(fakeLife)
		b.die(account, true)
		_, err := b.token(b.engine, account)
		wantCode(t, err, connect.CodeUnavailable)
		b.wantPresented()
		pass(2 * time.Minute)
		b.fake.answer("refresh", b.fake.tokens("second"))
		b.wantToken(account, "access-second")
	})
}

// late refreshes the account, and runs meanwhile before the answer comes.
func (b *bench) late(account connect.Account, meanwhile func()) {
	b.t.Helper()
	asked, release := make(chan struct{}), make(chan struct{})
	b.fake.answer("refresh", held(asked, release, b.fake.tokens("late")))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = b.engine.TokenSource(b.t.Context(), account.Tenant, account.ID)
	}()
	<-asked
	meanwhile()
	close(release)
	<-done
}

// Tokens that come for a grant that was given up are not left alive.
func TestRefreshIsLateForADisconnect(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	account := b.connect()
	clock.advance(fakeLife)
	b.fake.answer("revoke", succeeds)
	b.fake.answer("revoke", succeeds) // each of the two tokens
	b.late(account, func() {
		if _, err := b.engine.Disconnect(t.Context(), acmeKey, account.ID); err != nil {
			t.Error(err)
		}
	})
	_, revoked, _ := b.fake.asked()
	if want := []string{"access-first", "access-late"}; !slices.Equal(revoked, want) {
		t.Errorf("revoked %q, want %q", revoked, want)
	}
	if got := b.grant(account); got.Status != connect.GrantDead || got.Sealed != nil {
		t.Errorf("the grant is %s with %d bytes, want it dead and wiped", got.Status, len(got.Sealed))
	}
}

// The newest consent wins, and is not revoked with what came late.
func TestRefreshIsLateForAReconnect(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	account := b.connect()
	clock.advance(fakeLife)
	b.late(account, func() { b.connect() })
	b.wantToken(account, "access-first") // of the second consent
	if got := b.grant(account); got.Generation != 2 || got.Status != connect.GrantActive {
		t.Errorf("generation %d, %s: want 2, active", got.Generation, got.Status)
	}
}

// What a process brings that was away for longer than its lease is kept, for
// nothing newer was stored: the other one finds the grant refreshed.
func TestFault5_ALateAnswerIsKept(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	account := b.connect()
	clock.advance(fakeLife)
	b.late(account, func() {
		clock.advance(3 * time.Minute)
		b.die(account, true)
	})
	if got := b.status(account); got != connect.AccountActive {
		t.Errorf("the account is %s, want active", got)
	}
	b.wantToken(account, "access-late")
	b.wantPresented("refresh-first")
	if got := b.grant(account); got.Generation != 2 || got.Status != connect.GrantActive || got.Attempt != "" {
		t.Errorf("generation %d, %s, held by %q: want 2, active, by nobody", got.Generation, got.Status, got.Attempt)
	}
	want := []connect.EventType{connect.EventAccountConnected}
	if diff := cmp.Diff(want, b.events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// suspending is a store whose machine is suspended after a refresh was marked
// as sent: the wall clock goes on, the monotonic one does not.
type suspending struct {
	connect.Store
	slept atomic.Int64 // seconds
}

func (s *suspending) now() time.Time {
	now := time.Now()
	*(*uint64)(unsafe.Pointer(&now)) += uint64(s.slept.Load()) << 30 // nothing else sets it alone
	return now
}

func (s *suspending) MarkSent(ctx context.Context, attempt string, grants []connect.GrantKey) ([]connect.GrantKey, error) {
	held, err := s.Store.MarkSent(ctx, attempt, grants)
	s.slept.Add(60)
	return held, err
}

// Another process may have claimed the grant while this one's machine slept.
func TestFault5_ASuspendedMachine(t *testing.T) {
	t.Parallel()
	store := &suspending{}
	b := newBench(t, store.now, func(c *connect.Config) { store.Store, c.Store = c.Store, store })
	account := b.connect()
	store.slept.Store(int64(fakeLife / time.Second))
	if _, err := b.token(b.engine, account); err == nil {
		t.Error("the account works with a token that is over")
	}
	b.wantPresented()
	if store.slept.Load() == int64(fakeLife/time.Second) {
		t.Error("no refresh was begun")
	}
}
