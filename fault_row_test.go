package connect_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/tokencrypt"
)

// spoil puts other bytes in place of the sealed tokens of a grant.
func (f *fleet) spoil(account connect.Account, sealed []byte) {
	f.t.Helper()
	grant := f.grant(account)
	if _, err := f.config.Store.ClaimGrant(f.t.Context(), connect.GrantKey{Tenant: grant.Tenant, ID: grant.ID}, "spoil", time.Minute); err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.config.Store.SettleGrant(f.t.Context(), connect.Settlement{
		Tenant: grant.Tenant, ID: grant.ID, Attempt: "spoil", Generation: grant.Generation,
		Status: connect.GrantActive, DueAt: grant.DueAt,
		Tokens: &connect.SealedTokens{Sealed: sealed, AccessExpiry: grant.AccessExpiry},
	}); err != nil {
		f.t.Fatal(err)
	}
}

// settled counts how often grants were given back without new tokens, by id.
type settled struct {
	connect.Store

	mu    sync.Mutex
	times map[string]int
}

func (s *settled) SettleGrant(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
	if st.Tokens == nil {
		s.mu.Lock()
		s.times[st.ID]++
		s.mu.Unlock()
	}
	return s.Store.SettleGrant(ctx, st)
}

// Rows that do not open, and people at whom the provider panics, hold up nobody
// else. They are put off, by an hour in the end, and nobody is told to connect
// again: the user cannot help it.
func TestFault26_PoisonedRows(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		class  connect.RotationClass
		poison func(*fleet, connect.Account)
		tries  int // in six and a half hours: one an hour, and at first more where it may pass
	}{
		"does not open":     {"", func(f *fleet, a connect.Account) { f.spoil(a, append(f.grant(a).Sealed[:40], 1, 2, 3)) }, 7},
		"empty":             {"", func(f *fleet, a connect.Account) { f.spoil(a, nil) }, 7},
		"of an unknown key": {"", func(f *fleet, a connect.Account) { f.spoil(a, f.foreign(a)) }, 14},
		"panic, stable":     {connect.RotationStable, func(f *fleet, a connect.Account) { f.panics(a) }, 14},
		"panic, strict":     {connect.RotationStrict, func(f *fleet, a connect.Account) { f.panics(a) }, 14},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, time.Now, 1, 500, withRotation(tt.class, 0))
				store := &settled{Store: f.config.Store, times: map[string]int{}}
				f.engine = f.another(func(c *connect.Config) { c.Store = store })
				f.engines = []*connect.Connector{f.engine}
				poisoned := f.accounts[:5]
				for _, account := range poisoned {
					tt.poison(f, account)
				}
				pass(fakeLife * 69 / 100)
				f.run(fakeLife * 30 / 100)
				f.accounts = f.accounts[5:]
				f.wantAll("active active 2")
				f.run(6 * time.Hour)
				for _, account := range poisoned {
					grant := f.grant(account)
					if got := f.status(account); got != connect.AccountActive || grant.Status == connect.GrantDead {
						t.Errorf("the account is %s, its grant %s: want it to be put off", got, grant.Status)
					}
					if got := store.times[grant.ID]; got < 4 || got > tt.tries {
						t.Errorf("%d tries in six and a half hours, want 4 to %d", got, tt.tries)
					}
				}
			})
		})
	}
}

// foreign is what the account's grant holds, sealed by somebody else.
func (f *fleet) foreign(account connect.Account) []byte {
	f.t.Helper()
	grant := f.grant(account)
	binding := tokencrypt.Binding{Purpose: "grant", Tenant: grant.Tenant, Record: grant.ID, Field: "tokens", Generation: grant.Generation}
	sealed, err := newKeyring(f.t, "k2").Seal(binding, []byte("{}"))
	if err != nil {
		f.t.Fatal(err)
	}
	return sealed
}

// panics makes the provider panic at the account.
func (f *fleet) panics(account connect.Account) {
	before := f.crowd.fault
	f.crowd.fault = func(p presentation) error {
		if p.subject == account.PlatformID {
			panic("an odd person")
		}
		if before != nil {
			return before(p)
		}
		return nil
	}
}

// A release that does not know the platform leaves its rows alone.
func TestFault27_AnUnknownPlatform(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Now, 1, 10)
		other := newFake(t, time.Now)
		other.platform.Name = "other"
		downgraded := f.another(func(c *connect.Config) { c.Providers = []connect.Provider{other} })
		rows := func() (grants []connect.Grant, accounts []connect.Account) {
			for _, account := range f.accounts {
				stored, err := f.config.Store.ReadAccount(t.Context(), connect.AccountKey{Tenant: account.Tenant, ID: account.ID})
				if err != nil {
					t.Fatal(err)
				}
				grants, accounts = append(grants, f.grant(account)), append(accounts, stored)
			}
			return grants, accounts
		}
		grants, accounts := rows()
		pass(fakeLife)
		f.engines = []*connect.Connector{downgraded}
		f.run(2 * fakeLife)
		_, err := downgraded.Client(t.Context(), "acme", f.accounts[0].ID)
		if err == nil {
			_, err = downgraded.TokenSource(t.Context(), "acme", f.accounts[0].ID)
		}
		wantCode(t, err, connect.CodeUnknownPlatform)
		afterGrants, afterAccounts := rows()
		if diff := cmp.Diff(grants, afterGrants); diff != "" {
			t.Errorf("grants (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(accounts, afterAccounts); diff != "" {
			t.Errorf("accounts (-want +got):\n%s", diff)
		}
		f.engines = []*connect.Connector{f.engine}
		f.run(time.Minute)
		f.wantAll("active active 2")
	})
}

// Four processes get a new key one after the other, first to open with, then to
// seal with.
func TestFault45_ANewKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key := func(id string) tokencrypt.Key {
			key, err := tokencrypt.GenerateKey(id)
			if err != nil {
				t.Fatal(err)
			}
			return key
		}
		ring := func(keys ...tokencrypt.Key) *tokencrypt.Keyring {
			ring, err := tokencrypt.NewKeyring(keys[0], keys[1:]...)
			if err != nil {
				t.Fatal(err)
			}
			return ring
		}
		former, next := key("k1"), key("k2")
		var logs syncBuffer
		f := newFleet(t, time.Now, 1, 0)
		f.crowd.life = 2 * time.Minute
		with := func(keys *tokencrypt.Keyring) *connect.Connector {
			return f.another(func(c *connect.Config) {
				c.Keys, c.Logger = keys, slog.New(slog.NewTextHandler(&logs, nil))
			})
		}
		f.engines = nil
		for range 4 {
			f.engines = append(f.engines, with(ring(former)))
		}
		f.engine = f.engines[0]
		f.accounts = f.seed("acme", 100)
		for _, keys := range []*tokencrypt.Keyring{ring(former, next), ring(next, former)} {
			for i := range f.engines {
				f.run(time.Minute)
				f.engines[i] = with(keys)
				for _, account := range f.accounts[:10] {
					for _, engine := range f.engines {
						if _, err := f.token(engine, account); err != nil {
							t.Error(err)
						}
					}
				}
			}
		}
		f.run(time.Minute)
		if strings.Contains(logs.String(), "does not open") {
			t.Error("a grant did not open")
		}
		for _, account := range f.accounts {
			if got := f.grant(account); got.Status != connect.GrantActive || got.Failures != 0 || got.Generation < 4 {
				t.Fatalf("a grant is %s in generation %d after %d failures", got.Status, got.Generation, got.Failures)
			}
		}
		f.wantOnce()
	})
}
