package connect_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
)

// disturbed is a store in which something comes before each write of an account
// that the engine makes.
type disturbed struct {
	connect.Store

	before atomic.Pointer[func(context.Context, connect.Account) error]
}

func (s *disturbed) WriteAccount(ctx context.Context, account connect.Account, events []connect.Event) error {
	if before := s.before.Load(); before != nil {
		if err := (*before)(ctx, account); err != nil {
			return err
		}
	}
	return s.Store.WriteAccount(ctx, account, events)
}

// relabel is somebody else's write of the account that is about to be written.
func (s *disturbed) relabel(ctx context.Context, account connect.Account) error {
	stored, err := s.ReadAccount(ctx, connect.AccountKey{Tenant: account.Tenant, ID: account.ID})
	if err != nil {
		return err
	}
	stored.Label += "!"
	stored.Version++
	return s.Store.WriteAccount(ctx, stored, nil)
}

// needing is a bench whose accounts need two scopes, and its store.
func needing(t *testing.T, now func() time.Time) (*bench, *disturbed) {
	t.Helper()
	s := &disturbed{}
	b := newBench(t, now, withPlatform(func(p *connect.Platform) { p.Kinds[0].Scopes = []string{"read", "write"} }),
		func(c *connect.Config) { s.Store, c.Store = c.Store, s })
	return b, s
}

// granting answers with tokens of these scopes.
func granting(f *fake, name string, scopes ...string) fakeAnswer {
	return func(ctx context.Context) (*connect.Tokens, error) {
		tokens, err := f.tokens(name)(ctx)
		tokens.Scopes = scopes
		return tokens, err
	}
}

// Who edits an account while its scopes change neither loses the edit nor keeps
// the account from learning of them.
func TestFault19_FewerScopesDuringAnEdit(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b, store := needing(t, clock.Now)
	account := b.connectAs(func(t *connect.Tokens) { t.Scopes = []string{"read", "write"} })
	edits := 2
	edit := func(ctx context.Context, account connect.Account) error {
		if edits--; edits < 0 {
			return nil
		}
		return store.relabel(ctx, account)
	}
	store.before.Store(&edit)
	clock.advance(fakeLife)
	b.fake.answer("refresh", granting(b.fake, "second", "read"))
	b.round()
	stored, err := b.engine.Account(t.Context(), acmeKey, account.ID)
	if err != nil || stored.Status != connect.AccountLimited || stored.Label != "!!" {
		t.Errorf("the account is %+v, %v: want it limited, with both edits", stored, err)
	}
}

// What could not be written is written with the next refresh, though that one
// changes nothing, and whatever it was.
func TestFault19_ScopesThatWereNotRecorded(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		first []string
		next  []string
		want  connect.AccountStatus
	}{
		"fewer":           {[]string{"read", "write"}, []string{"read"}, connect.AccountLimited},
		"more":            {[]string{"read"}, []string{"read", "write"}, connect.AccountActive},
		"a keyless round": {[]string{"read", "write"}, []string{"read"}, connect.AccountLimited},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b, store := needing(t, clock.Now)
			account := b.connectAs(func(t *connect.Tokens) { t.Scopes = tt.first })
			before := b.status(account)
			fails := func(context.Context, connect.Account) error { return errors.New("the store is away") }
			store.before.Store(&fails)
			clock.advance(fakeLife)
			b.fake.answer("refresh", granting(b.fake, "second", tt.next...))
			b.round()
			if got := b.grant(account); b.status(account) != before || got.Generation != 2 {
				t.Errorf("the account is %s, the generation %d: want %s, and the tokens stored", b.status(account), got.Generation, before)
			}
			store.before.Store(nil)
			clock.advance(fakeLife)
			if name == "a keyless round" {
				b.roundOf(b.another(func(c *connect.Config) { c.Keys = newKeyring(t, "k2") }))
				clock.advance(fakeLife)
			}
			b.fake.answer("refresh", granting(b.fake, "third", tt.next...), granting(b.fake, "fourth", tt.next...))
			for range 2 {
				b.round()
				clock.advance(fakeLife)
			}
			if got := b.status(account); got != tt.want {
				t.Errorf("the account is %s, want %s", got, tt.want)
			}
			want := []connect.EventType{connect.EventAccountConnected, connect.EventAccountScopesChanged}
			if diff := cmp.Diff(want, b.events()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// A suspension stops what works, and only that comes back when it is over.
func TestSuspensionEnds(t *testing.T) {
	t.Parallel()
	for status, during := range map[connect.AccountStatus]connect.AccountStatus{
		connect.AccountActive:         connect.AccountSuspended,
		connect.AccountTargetLost:     connect.AccountTargetLost,
		connect.AccountReauthRequired: connect.AccountReauthRequired,
	} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b := newBench(t, clock.Now)
			account := b.connect()
			if status != connect.AccountActive {
				b.setStatus(account, status)
			}
			clock.advance(fakeLife)
			b.fake.answer("refresh", fails(connect.ClassSuspended))
			b.round()
			if got := b.status(account); got != during {
				t.Errorf("the account is %s, want %s", got, during)
			}
			clock.advance(2 * fakeLife)
			b.roundOf(b.another(func(c *connect.Config) { c.Keys = newKeyring(t, "k2") }))
			clock.advance(2 * fakeLife)
			b.fake.answer("refresh", b.fake.tokens("second"))
			b.round()
			if got := b.status(account); got != status {
				t.Errorf("afterwards the account is %s, want %s", got, status)
			}
		})
	}
}

// A store that fails as a suspension ends does not make it last for good.
func TestSuspensionEndsLater(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b, store := needing(t, clock.Now)
	account := b.connectAs(func(t *connect.Tokens) { t.Scopes = []string{"read", "write"} })
	away := func(context.Context, connect.Account) error { return errors.New("the store is away") }
	store.before.Store(&away)
	b.fake.answer("refresh", fails(connect.ClassSuspended), b.fake.tokens("second"), b.fake.tokens("third"))
	for _, want := range []connect.AccountStatus{connect.AccountSuspended, connect.AccountSuspended, connect.AccountActive} {
		clock.advance(2 * fakeLife)
		b.round()
		if got := b.status(account); got != want {
			t.Errorf("the account is %s, want %s", got, want)
		}
		if b.grant(account).Generation == 2 {
			store.before.Store(nil)
		}
	}
}

// A new consent of a suspended grant does not forget its other accounts.
func TestSuspensionOutlivesAConsent(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	account := b.connect()
	clock.advance(fakeLife)
	b.fake.answer("refresh", fails(connect.ClassSuspended))
	b.round()
	b.connect()
	if got := b.grant(account).Reason; got != connect.CodeSuspended {
		t.Errorf("the grant's reason is %q, want it still suspended", got)
	}
}

// A refresh that a newer consent overtakes leaves the accounts with what that
// consent has.
func TestFault19_ScopesOfAnOvertakenRefresh(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b, _ := needing(t, clock.Now)
	account := b.connectAs(func(t *connect.Tokens) { t.Scopes = []string{"read", "write"} })
	clock.advance(fakeLife)
	asked, release := make(chan struct{}), make(chan struct{})
	b.fake.answer("refresh", held(asked, release, granting(b.fake, "late", "read")))
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.round()
	}()
	<-asked
	b.connectAs(func(t *connect.Tokens) { t.Scopes = []string{"read", "write"} })
	close(release)
	<-done
	if got := b.status(account); got != connect.AccountActive {
		t.Errorf("the account is %s, want active", got)
	}
}
