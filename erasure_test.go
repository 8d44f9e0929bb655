package connect_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/selection"
)

// After a deletion no row of the tenant is left in the file, and the other
// tenant has all of its own. What SQLite keeps in pages that it has not used
// again is not looked at here: see docs/operations.md.
func TestFault43_ErasureLeavesNoRow(t *testing.T) {
	t.Parallel()
	const canary = "canary-of-acme"
	l := newLeaks(t, "x", inFile(t))
	tenants := map[string]int{}
	for _, name := range []string{canary, "globex"} {
		n := l.tenant()
		n.name = name
		n.alice, n.key = l.browser(&connect.Principal{Tenant: name, User: name + "-alice", Ambient: true}), l.program(name)
		n.bySession()
		n.started("")                                // an open flow
		n.arrive(n.nobody, n.consent(n.started(""))) // a parked one
		account := l.accounts(connect.Principal{Tenant: name})[0]
		label := name + "-label"
		if _, err := l.engine.Edit(t.Context(), connect.Principal{Tenant: name}, account.ID, connect.EditRequest{Label: &label, Metadata: []byte(`{"of":"` + name + `"}`)}); err != nil {
			t.Fatal(err)
		}
		if tenants[name] = strings.Count(l.cells(), name); tenants[name] < 10 {
			t.Fatalf("%s is found only %d times before", name, tenants[name])
		}
	}
	key := connect.Principal{Tenant: canary}
	for i := 0; ; i++ {
		done, err := l.engine.DeleteTenant(t.Context(), key)
		if err != nil || i > 3 {
			t.Fatalf("%+v, %v", done, err)
		}
		if done.Done {
			break
		}
		l.round()
	}
	cells := l.cells()
	if got := strings.Count(cells, canary); got != 1 {
		t.Errorf("the tenant is found %d times, want once: the mark that it was deleted", got)
	}
	if got := strings.Count(cells, "globex"); got < tenants["globex"] {
		t.Errorf("the other tenant is found %d times, before %d times", got, tenants["globex"])
	}
	if status, err := l.call("globex", l.accounts(globexKey)[0].ID, xMe); status != 200 || err != nil {
		t.Errorf("the other tenant's account: %d, %v", status, err)
	}
}

// cells is each cell of each table.
func (l *leaks) cells() string {
	l.t.Helper()
	db := l.open()
	defer func() { _ = db.Close() }()
	var all strings.Builder
	for _, table := range l.column(db, "SELECT name FROM sqlite_master WHERE type = 'table'") {
		for _, name := range l.column(db, "SELECT name FROM pragma_table_info('"+table+"')") {
			cells := l.column(db, fmt.Sprintf(`SELECT CAST(%q AS BLOB) FROM %q WHERE %q IS NOT NULL`, name, table, name))
			all.WriteString(strings.Join(cells, "\n"))
		}
	}
	return all.String()
}

// A deletion races with a refresh, a connect and a choice: the tombstone wins.
// Nothing is left of the tenant, and nothing of it is left alive at the
// platform.
func TestFault44_ErasureWinsEveryRace(t *testing.T) {
	t.Parallel()
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			var r *registry
			b := newBench(t, clock.Now, keptIn(store(t, clock.Now)), func(c *connect.Config) {
				f, _ := c.Providers[0].(*fake)
				f.platform.Kinds[0].Multiple = true
				f.platform.Methods = f.platform.Methods[1:]
				r = &registry{fake: f, alive: map[string]bool{}}
				c.Providers = []connect.Provider{r}
			})
			for i := range raceRounds(name) {
				b.raceErasure(fmt.Sprint("tenant-", i), i)
			}
			b.settled()
			left, refreshes := r.left()
			if len(left) != 0 || refreshes == 0 {
				t.Errorf("after %d refreshes these are alive at the platform: %q", refreshes, left)
			}
		})
	}
}

// What a refresh brings that was on its way while the tenant was erased is
// given back.
func TestFault44_RefreshIsLateForAnErasure(t *testing.T) {
	t.Parallel()
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b := newBench(t, clock.Now, keptIn(store(t, clock.Now)))
			account := b.connect()
			clock.advance(fakeLife)
			b.fake.answer("revoke", succeeds)
			b.fake.answer("revoke", succeeds) // each of the two tokens
			b.late(account, func() {
				if done, err := b.engine.DeleteTenant(t.Context(), acmeKey); err != nil || !done.Done {
					t.Errorf("%+v, %v: want it done", done, err)
				}
			})
			if _, revoked, _ := b.fake.asked(); !slices.Equal(revoked, []string{"access-first", "access-late"}) {
				t.Errorf("revoked %q", revoked)
			}
			b.wantErased("acme", account.GrantID)
		})
	}
}

// raceErasure lets a tenant refresh, connect and choose while it is deleted.
func (b *bench) raceErasure(tenant string, turn int) {
	b.t.Helper()
	ctx, key := b.t.Context(), connect.Principal{Tenant: tenant}
	login := func() (*connect.Outcome, error) {
		return b.engine.ConnectCredentials(ctx, key, connect.CredentialsRequest{Platform: "fake"})
	}
	choose := func(out *connect.Outcome) error {
		view, err := b.engine.Pending(ctx, key, out.Session, connect.PendingRequest{})
		if err == nil {
			_, err = b.engine.Finalize(ctx, key, out.Session, connect.FinalizeRequest{SelectedIDs: []string{view.Candidates[0].ID()}})
		}
		return err
	}
	first, err := login()
	if err == nil {
		err = choose(first)
	}
	open, openErr := login()
	accounts, _, listErr := b.engine.Accounts(ctx, key, connect.AccountFilter{}, connect.Page{})
	if err := errors.Join(err, openErr, listErr); err != nil || len(accounts) != 1 {
		b.t.Fatal(len(accounts), err)
	}
	account := accounts[0]
	racers := []func(){
		func() { _, _ = b.token(b.engine, account) }, // refreshes
		func() {
			if out, err := login(); err == nil {
				_ = choose(out)
			}
		},
		func() { _ = choose(open) },
		func() {
			if out, err := b.engine.AddMore(ctx, key, account.ID); err == nil {
				_ = choose(out)
			}
		},
		func() {
			_, _ = b.engine.Edit(ctx, key, account.ID, connect.EditRequest{SelectedID: "profile:" + strings.Replace(account.PlatformID, "a", "b", 1)})
		},
		func() { b.eraseTenant(key) },
	}
	var all sync.WaitGroup
	for i := range racers {
		all.Go(racers[(i+turn)%len(racers)])
	}
	all.Wait()
	b.eraseTenant(key)
	b.wantErased(tenant, account.GrantID)
}

// wantErased fails where the tenant has anything.
func (b *bench) wantErased(tenant, grantID string) {
	b.t.Helper()
	ctx := b.t.Context()
	b.wantNone(tenant)
	tombstones, _, err := b.config.Store.ListAccounts(ctx, tenant, connect.AccountFilter{Status: connect.AccountDisconnected}, connect.Page{Limit: 10})
	if err != nil || len(tombstones) != 0 {
		b.t.Errorf("%s has %d tombstones, %v", tenant, len(tombstones), err)
	}
	if _, err := b.config.Store.ReadGrant(ctx, connect.GrantKey{Tenant: tenant, ID: grantID}); !errors.Is(err, connect.ErrNotFound) {
		b.t.Errorf("%s has a grant: %v", tenant, err)
	}
	if events, _, err := b.config.Store.ListEvents(ctx, tenant, connect.Page{Limit: 10}); err != nil || len(events) != 0 {
		b.t.Errorf("%s has %d events, %v", tenant, len(events), err)
	}
}

// eraseTenant calls until the tenant is gone.
func (b *bench) eraseTenant(key connect.Principal) {
	for wait := time.Millisecond; ; wait *= 2 {
		done, err := b.engine.DeleteTenant(b.t.Context(), key)
		if err != nil || wait > 10*time.Second {
			b.t.Errorf("%+v, %v", done, err)
			return
		}
		if done.Done {
			return
		}
		b.round()
		time.Sleep(wait) //nolint:forbidigo // another goroutine has claimed what is left
	}
}

// registry is a platform that knows which tokens are alive. Each login is
// another person, who has two profiles, and whose access token is over at once.
type registry struct {
	*fake

	regMu   sync.Mutex // guards what follows
	serial  int
	people  int
	refresh int
	alive   map[string]bool // refresh tokens
}

func (r *registry) issue(subject string, life time.Duration) *connect.Tokens {
	r.serial++
	name := fmt.Sprint("token-", r.serial)
	r.alive[name] = true
	expiry := r.now().Add(life)
	return &connect.Tokens{Subject: subject, AccessExpiry: &expiry, Access: connect.NewSecret("access-" + name), Refresh: connect.NewSecret(name)}
}

// Login implements [connect.Credentials].
func (r *registry) Login(context.Context, connect.Env, connect.LoginRequest) (*connect.Tokens, error) {
	r.regMu.Lock()
	defer r.regMu.Unlock()
	r.people++
	return r.issue(strconv.Itoa(r.people), 0), nil
}

// Refresh implements [connect.Refresher].
func (r *registry) Refresh(_ context.Context, _ connect.Env, old *connect.Tokens) (*connect.Tokens, error) {
	r.regMu.Lock()
	defer r.regMu.Unlock()
	if !r.alive[old.Refresh.Reveal()] {
		return nil, &connect.ProviderError{Class: connect.ClassReconnect, Code: "invalid_grant"}
	}
	delete(r.alive, old.Refresh.Reveal())
	r.refresh++
	return r.issue(old.Subject, fakeLife), nil
}

// Revoke implements [connect.Revoker].
func (r *registry) Revoke(_ context.Context, _ connect.Env, tokens *connect.Tokens) error {
	r.regMu.Lock()
	defer r.regMu.Unlock()
	delete(r.alive, tokens.Refresh.Reveal())
	return nil
}

// List implements [connect.Lister].
func (r *registry) List(_ context.Context, _ connect.Env, tokens *connect.Tokens, _ connect.ListRequest) (connect.CandidatePage, error) {
	var page connect.CandidatePage
	for _, id := range []string{"a", "b"} {
		page.Candidates = append(page.Candidates, connect.Candidate{Candidate: selection.Candidate{Kind: "profile", PlatformID: id + tokens.Subject, Name: id}})
	}
	return page, nil
}

// left are the tokens that are still good, and how many refreshes there were.
func (r *registry) left() ([]string, int) {
	r.regMu.Lock()
	defer r.regMu.Unlock()
	return slices.Sorted(maps.Keys(r.alive)), r.refresh
}
