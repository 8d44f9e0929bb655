package connect_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed944197df/connect"
)

// frozen is a store whose process stands still after it has marked a grant as
// sent.
type frozen struct {
	connect.Store

	stands func()
}

func (s *frozen) MarkSent(ctx context.Context, attempt string, grants []connect.GrantKey) ([]connect.GrantKey, error) {
	held, err := s.Store.MarkSent(ctx, attempt, grants)
	s.stands()
	return held, err
}

// A process that stood still for longer than its lease may not be the only one
// any more, so that it sends nothing.
func TestFault5_WhoStoodStillSendsNothing(t *testing.T) {
	t.Parallel()
	clock := newClock()
	f := newFleet(t, clock.Now, 2, 1)
	f.engine = f.another(func(c *connect.Config) {
		c.Store = &frozen{c.Store, func() {
			clock.advance(90 * time.Second)
			f.roundOf(f.engines[1])
		}}
	})
	clock.advance(fakeLife * 9 / 10)
	f.round()
	f.wantOnce()
	if got := f.crowd.presentations(); len(got) != 0 {
		t.Errorf("%d refreshes while the access token works, and it may have been sent: want none", len(got))
	}
	clock.advance(fakeLife / 10)
	f.roundOf(f.engines[1])
	f.wantOnce()
	f.wantAll("active active 2")
}

// Callers may leave at any moment.
func TestFault6_ACallerLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Now, 1, 1, answersIn(100*time.Millisecond))
		key, left := connect.GrantKey{Tenant: "acme", ID: f.accounts[0].GrantID}, 0
		for i := range int64(1000) {
			pass(fakeLife)
			ctx, cancel := context.WithTimeout(t.Context(), rand.N(150*time.Millisecond))
			if _, err := f.engine.TokenSource(ctx, "acme", f.accounts[0].ID); err != nil {
				left++
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("the caller got %v, want its own end", err)
				}
			}
			cancel()
			pass(200 * time.Millisecond)
			if got, err := f.config.Store.ReadGrant(t.Context(), key); err != nil || got.Generation != i+2 || got.Status != connect.GrantActive {
				t.Fatalf("generation %d, %s, %v: want %d, active", got.Generation, got.Status, err, i+2)
			}
		}
		if left < 500 || left > 900 {
			t.Errorf("%d of 1000 callers left, want about two of three", left)
		}
		f.wantOnce()
	})
}

// Processes end and are replaced while they are busy. Where a goroutine were
// left, the bubble would not end.
func TestFault7_RestartsLoseNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Now, 1, 400, func(c *crowd) {
			c.life = time.Minute
			c.latency = func() time.Duration { return rand.N(4 * time.Second) }
		})
		var running sync.WaitGroup
		for range 60 {
			engine := f.another(nil)
			running.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				_ = engine.Run(ctx)
				closing, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				ended := time.Now()
				if err := engine.Close(closing); err != nil || time.Since(ended) > 30*time.Second {
					t.Errorf("Close took %v: %v", time.Since(ended), err)
				}
			})
			pass(5 * time.Second)
		}
		running.Wait()
		f.wantOnce()
		for _, account := range f.accounts {
			if got := f.grant(account); got.Status != connect.GrantActive || got.Presented != 0 || got.Generation < 4 {
				t.Fatalf("a grant is %s, presented %d times, in generation %d: want it active and refreshed", got.Status, got.Presented, got.Generation)
			}
		}
	})
}

// What was claimed and not sent when the context of Run ends is handed back,
// even where a request could be made at that moment.
func TestFault7_NothingIsSentAfterTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := newFleet(t, time.Now, 1, 64, func(c *crowd) {
			c.fault = func(presentation) error { <-release; return nil }
		})
		pass(fakeLife)
		ctx, cancel := context.WithCancel(t.Context())
		returned := make(chan error)
		go func() { returned <- f.engine.Run(ctx) }()
		synctest.Wait()
		cancel()
		close(release)
		if err := <-returned; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if got := len(f.crowd.presentations()); got != 16 {
			t.Errorf("%d refreshes, want the 16 that had begun", got)
		}
		if got := f.tally(); got["active active 2"] != 16 || got["active active 1"] != 48 {
			t.Errorf("accounts by state %v, want the others as they were", got)
		}
	})
}

// leaving is a store that answers nothing while it is gone.
type leaving struct {
	connect.Store

	gone atomic.Bool
}

var errGone = errors.New("the store is gone")

func (s *leaving) ClaimDueGrants(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
	if s.gone.Load() {
		return connect.DueGrants{}, errGone
	}
	return s.Store.ClaimDueGrants(ctx, claim)
}

func (s *leaving) RenewClaims(ctx context.Context, attempt string, grants []connect.GrantKey, lease time.Duration) error {
	if s.gone.Load() {
		return errGone
	}
	return s.Store.RenewClaims(ctx, attempt, grants, lease)
}

func (s *leaving) SettleGrant(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
	if s.gone.Load() {
		return connect.Grant{}, errGone
	}
	return s.Store.SettleGrant(ctx, st)
}

// The store is gone, for longer than new tokens are kept for it, when the
// platform has issued them. Each loss is logged; when the store is back the
// grants recover where the platform lets them, and else their users are told.
func TestFault8_TheStoreIsGoneForLonger(t *testing.T) {
	t.Parallel()
	tests := map[connect.RotationClass]struct {
		want string
		told int
	}{
		connect.RotationStable: {"active active 2", 0},
		connect.RotationStrict: {"dead reauth_required 1", 16},
	}
	for class, tt := range tests {
		t.Run(string(class), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var logs syncBuffer
				f := newFleet(t, time.Now, 1, 0, withRotation(class, 0))
				store := &leaving{Store: f.config.Store}
				f.config.Store, f.config.Logger = store, slog.New(slog.NewTextHandler(&logs, nil))
				f.engine = f.another(nil)
				f.engines, f.accounts = []*connect.Connector{f.engine}, f.seed("acme", 16)
				f.crowd.lost = func(presentation) error { store.gone.Store(true); return nil }
				pass(fakeLife * 9 / 10)
				f.run(6 * time.Minute)
				f.wantAll("sent active 1")
				if got := strings.Count(logs.String(), "a refresh could not be recorded"); got != len(f.accounts) {
					t.Errorf("%d losses are logged, want all %d", got, len(f.accounts))
				}
				f.crowd.lost = nil
				store.gone.Store(false)
				f.run(time.Minute)
				f.wantAll(tt.want)
				told := 0
				for _, kind := range f.events() {
					if kind == connect.EventAccountReauthRequired {
						told++
					}
				}
				if told != tt.told {
					t.Errorf("%d users are told to connect again, want %d", told, tt.told)
				}
			})
		})
	}
}

// The platform ends the old tokens with the new consent. A refresh that was
// under way is told so, which means nothing.
func TestFault14_ARefusalAfterANewConsent(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	account := b.connect()
	clock.advance(fakeLife)
	b.fake.answer("refresh", then(fails(connect.ClassReconnect), func() { b.connect() }))
	b.wantToken(account, "access-first") // of the second consent
	if got := b.grant(account); got.Generation != 2 || got.Status != connect.GrantActive {
		t.Errorf("generation %d, %s: want 2, active", got.Generation, got.Status)
	}
	if got := b.status(account); got != connect.AccountActive {
		t.Errorf("the account is %s, want active", got)
	}
	for _, kind := range b.events() {
		if kind == connect.EventAccountReauthRequired {
			t.Error("an event says that the user must connect again")
		}
	}
}

// skewed is an engine whose clock is wrong.
func (f *fleet) skewed(by func() time.Duration) *connect.Connector {
	f.t.Helper()
	return f.another(func(c *connect.Config) {
		right := c.Now
		c.Now = func() time.Time { return right().Add(by()) }
	})
}

// The clocks of three processes are ten minutes slow, right, and ten minutes
// fast; a fourth one's jumps back and forth.
func TestFault20_WrongClocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Now, 1, 300, answersIn(3*time.Second))
		began := time.Now()
		for _, by := range []func() time.Duration{
			func() time.Duration { return -10 * time.Minute },
			func() time.Duration { return 10 * time.Minute },
			func() time.Duration {
				return []time.Duration{-10 * time.Minute, 0, 10 * time.Minute}[int(time.Since(began).Minutes())/7%3]
			},
		} {
			f.engines = append(f.engines, f.skewed(by))
		}
		const lives = 4
		f.run(lives * fakeLife)
		f.wantOnce()
		for state, n := range f.tally() {
			t.Log(state, n)
		}
		if got := len(f.crowd.presentations()); got > 2*lives*len(f.accounts) {
			t.Errorf("%d refreshes of %d grants in %d lives", got, len(f.accounts), lives)
		}
		for _, account := range f.accounts {
			if grant := f.grant(account); grant.Status == connect.GrantDead || grant.Status == connect.GrantUncertain || f.status(account) != connect.AccountActive {
				t.Fatalf("a grant is %s and its account %s, want them active", grant.Status, f.status(account))
			}
		}
	})
}

// A process whose clock is fast takes a token for over that is not. Asked for
// it, it neither presents again what may have been spent, nor ends what cannot
// be refreshed.
func TestFault20_AFastClockEndsNothing(t *testing.T) {
	t.Parallel()
	clock := newClock()
	f := newFleet(t, clock.Now, 1, 1)
	unrefreshable := f.crowd.issue(clock.Now(), "acme1", 0)
	unrefreshable.Refresh = connect.Secret{}
	more, err := connect.Seed(t.Context(), f.engine, "fake", "acme", []*connect.Tokens{unrefreshable})
	if err != nil {
		t.Fatal(err)
	}
	f.accounts = append(f.accounts, more...)
	f.crowd.fault = once(errAnswerLost, "acme0")
	clock.advance(fakeLife * 11 / 12)
	f.round()
	fast := f.skewed(func() time.Duration { return 10 * time.Minute })
	for _, account := range f.accounts {
		_, err := fast.TokenSource(t.Context(), "acme", account.ID)
		if err != nil && connect.CodeOf(err) != connect.CodeUnavailable {
			t.Errorf("%s: %v", account.PlatformID, err)
		}
	}
	f.wantOnce()
	if got := f.tally(); got["uncertain active 1"] != 1 || got["active active 1"] != 1 {
		t.Errorf("accounts by state %v, want one to wait for its end and one as it was", got)
	}
}

// Two hundred requests of four processes learn at once that the token is over.
func TestFault21_OneRefreshForABurst(t *testing.T) {
	t.Parallel()
	const callers = 200
	var refused atomic.Int64
	all := make(chan struct{})
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer access-acme0-0" {
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
		if refused.Add(1) == callers {
			close(all)
		}
	}))
	t.Cleanup(api.Close)
	f := newFleet(t, time.Now, 1, 1, func(c *crowd) {
		c.fault = func(presentation) error { <-all; return nil } // they all have had their answer
	})
	f.config.UnsafeRewriteHost = api.URL
	var calling sync.WaitGroup
	for range 4 {
		engine := f.another(nil)
		client, err := engine.Client(t.Context(), "acme", f.accounts[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		for range callers / 4 {
			calling.Go(func() {
				resp, err := client.Get(fakeAPI)
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = resp.Body.Close() }()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("status %d, want 200", resp.StatusCode)
				}
			})
		}
	}
	calling.Wait()
	if got := len(f.crowd.presentations()); got != 1 || refused.Load() != callers {
		t.Errorf("%d refreshes for %d refused requests, want 1", got, refused.Load())
	}
	f.wantAll("active active 2")
}

// cutOff is a platform as a process sees it that cannot reach it.
type cutOff struct{ *crowd }

// Refresh implements [connect.Refresher].
func (c cutOff) Refresh(_ context.Context, _ connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
	defer c.arrive(presentation{"unsent " + tokens.Subject, "", c.now()})()
	return nil, errUnsent
}

// What one process cannot send, another one sends, and nothing counts as
// presented.
func TestFault47_OneProcessIsCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Now, 1, 200, answersIn(100*time.Millisecond))
		alone := f.another(func(c *connect.Config) { c.Providers = []connect.Provider{cutOff{f.crowd}} })
		pass(fakeLife)
		healthy := f.engines
		f.engines = []*connect.Connector{alone}
		f.run(20 * time.Second)
		for _, account := range f.accounts {
			if got := f.grant(account); got.Status != connect.GrantActive || got.SentAt != nil || got.Presented != 0 {
				t.Fatalf("a grant is %s, presented %d times: want it as it was", got.Status, got.Presented)
			}
		}
		f.engines = append(f.engines, healthy...)
		f.run(20 * time.Second) // a lease, and five seconds
		f.wantAll("active active 2")
	})
}

// The same with real connections: one process cannot reach the platform's
// address, another one can.
func TestFault47_ADialerFails(t *testing.T) {
	t.Parallel()
	for name, p := range rotating {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := p.connect(w)
			account := w.account(acmeKey, id)
			w.clock.advance(xLife)
			closed, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			_ = closed.Close()
			config := w.config
			config.UnsafeRewriteHost = "http://" + closed.Addr().String()
			alone, err := connect.New(config)
			if err != nil {
				t.Fatal(err)
			}
			connect.Round(t.Context(), alone)
			if err := alone.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if got := w.grantOf(account); got.Status != connect.GrantActive || got.Presented != 0 || got.Failures != 1 {
				t.Errorf("the grant is %s, presented %d times, after %d failures: want it active and tried once", got.Status, got.Presented, got.Failures)
			}
			w.clock.advance(5 * time.Second)
			w.round()
			if got := w.grantOf(account); got.Generation != 2 || p.refreshes(w) != 1 {
				t.Errorf("generation %d after %d refreshes, want 2 after 1", got.Generation, p.refreshes(w))
			}
		})
	}
}
