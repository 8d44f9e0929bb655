package connect_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/tokencrypt"
)

// Secrets at rest: what somebody who can write rows, and has no key, gains by
// it; and what is lost while the key is missing, which is nothing.

// forger is a store whose rows somebody else has rewritten.
type forger struct {
	connect.Store

	mu    sync.Mutex // guards forge
	forge func(row any)
}

// keepForger makes a world's store a forger.
func keepForger(f *forger) func(*connect.Config) {
	return func(c *connect.Config) { f.Store, c.Store = c.Store, f }
}

// rewrite changes each row, a pointer, before the engine sees it; nil ends
// that.
func (f *forger) rewrite(forge func(row any)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forge = forge
}

func (f *forger) changed(row any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.forge != nil {
		f.forge(row)
	}
}

func (f *forger) ReadFlow(ctx context.Context, key connect.FlowKey) (connect.Flow, error) {
	flow, err := f.Store.ReadFlow(ctx, key)
	f.changed(&flow)
	return flow, err
}

func (f *forger) ClaimOverdueFlows(ctx context.Context, n int, lease time.Duration) ([]connect.Flow, error) {
	flows, err := f.Store.ClaimOverdueFlows(ctx, n, lease)
	for i := range flows {
		f.changed(&flows[i])
	}
	return flows, err
}

func (f *forger) ReadAccount(ctx context.Context, key connect.AccountKey) (connect.Account, error) {
	account, err := f.Store.ReadAccount(ctx, key)
	f.changed(&account)
	return account, err
}

func (f *forger) ReadGrant(ctx context.Context, key connect.GrantKey) (connect.Grant, error) {
	grant, err := f.Store.ReadGrant(ctx, key)
	f.changed(&grant)
	return grant, err
}

func (f *forger) ClaimGrant(ctx context.Context, key connect.GrantKey, attempt string, lease time.Duration) (connect.ClaimedGrant, error) {
	claimed, err := f.Store.ClaimGrant(ctx, key, attempt, lease)
	f.changed(&claimed.Grant)
	return claimed, err
}

func (f *forger) ClaimDueGrants(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
	due, err := f.Store.ClaimDueGrants(ctx, claim)
	for i := range due.Grants {
		f.changed(&due.Grants[i].Grant)
	}
	return due, err
}

// place is where something sealed is stored.
type place struct {
	name      string
	table, id string                // in the file of SQLite
	field     string                // of its data column
	sealed    []byte                // what belongs there
	of        func(row any) *[]byte // nil for other rows
	read      func() error          // uses it and consumes nothing
	act       []func() error        // use it up where they succeed
}

// vault is a world whose store holds something sealed of every sort.
type vault struct {
	*world

	taps   tap
	places []place
	flows  []string // ids
	owned  []connect.Account
}

const pageCall = "https://graph.facebook.com/v26.0/me"

// newVault connects people of two tenants on three platforms and leaves flows
// at every step.
func newVault(t *testing.T, change ...func(*connect.Config)) *vault {
	t.Helper()
	v := &vault{}
	v.world = newWorld(t, append(change, v.taps.tapped(t))...)
	a, b := v.browser(&alice), v.browser(&bob)
	v.addAccounts(acmeKey.Tenant, a.connected("x", nil, nil), xMe)
	v.addAccounts(acmeKey.Tenant, a.connected("x", nil, as("clara")), xMe)
	v.addAccounts(acmeKey.Tenant, a.connected("facebook", url.Values{"select": {"all"}}, nil), pageCall)
	v.addAccounts(acmeKey.Tenant, []string{v.ada().ID}, adaSession)
	v.addAccounts(bob.Tenant, b.connected("x", nil, nil), xMe)
	v.addAccounts(bob.Tenant, b.connected("facebook", url.Values{"select": {"all"}}, nil), pageCall)
	for _, platform := range []string{"x", "facebook"} {
		id, target := a.begin(platform, nil)
		v.addStarted(alice, id, platform, a.consent(target, nil))
	}
	id, target := b.begin("x", nil)
	v.addStarted(bob, id, "x", b.consent(target, nil))
	v.addPending(a.connect("facebook", headless(), nil).outcome(t))
	for _, platform := range []string{"x", "facebook"} {
		id, target := a.begin(platform, nil)
		v.addParked(id, v.browser(nil).arrive(a.consent(target, nil)).outcome(t).Get("ticket"))
	}
	return v
}

// addAccounts adds accounts that have one grant.
func (v *vault) addAccounts(tenant string, ids []string, target string) {
	v.t.Helper()
	for i, id := range ids {
		account := v.account(connect.Principal{Tenant: tenant}, id)
		v.owned = append(v.owned, account)
		read := func() error {
			_, err := v.call(tenant, id, target)
			return err
		}
		token := func() error {
			_, err := v.engine.TokenSource(v.t.Context(), tenant, id)
			return err
		}
		if grant := v.grantOf(account); i == 0 {
			v.add(place{
				name: "grant of " + tenant + " on " + grant.Platform, table: "grants", id: grant.ID, field: "sealed", sealed: grant.Sealed,
				read: read, act: []func() error{token},
				of: func(row any) *[]byte {
					if g, ok := row.(*connect.Grant); ok && g.ID == grant.ID {
						return &g.Sealed
					}
					return nil
				},
			})
		}
		v.add(place{
			name: "account of " + tenant + " " + account.Name, table: "accounts", id: id, field: "sealed", sealed: account.Sealed,
			read: read, act: []func() error{token},
			of: func(row any) *[]byte {
				if a, ok := row.(*connect.Account); ok && a.ID == id {
					return &a.Sealed
				}
				return nil
			},
		})
	}
}

func (v *vault) add(p place) { v.places = append(v.places, p) }

// addFlow adds the sealed fields of a flow.
func (v *vault) addFlow(tenant, id string, act ...func() error) {
	v.t.Helper()
	flow := v.flowRow(id)
	v.flows = append(v.flows, id)
	read := func() error {
		_, err := v.engine.Flow(v.t.Context(), connect.Principal{Tenant: tenant}, id)
		return err
	}
	for _, field := range []string{"request", "progress"} {
		of := func(row any) *[]byte {
			f, ok := row.(*connect.Flow)
			switch {
			case !ok || f.ID != id:
				return nil
			case field == "request":
				return &f.Request
			default:
				return &f.Progress
			}
		}
		if sealed := *of(&flow); sealed != nil {
			v.add(place{
				name: fmt.Sprintf("%s of a flow of %s that is %s", field, tenant, flow.Status), table: "flows", id: id, field: field,
				sealed: sealed, of: of, read: read, act: act,
			})
		}
	}
}

func (v *vault) addStarted(p connect.Principal, id, platform, back string) {
	v.t.Helper()
	back, _, _ = strings.Cut(back, "#") // browsers keep it
	v.addFlow(p.Tenant, id, func() error {
		_, err := v.engine.Callback(arrival(p, back), platform, "")
		return err
	}, func() error {
		_, err := v.engine.Complete(v.t.Context(), p, connect.CompleteRequest{Platform: platform, Query: queryOf(v.t, back)})
		return err
	})
}

func (v *vault) addPending(outcome url.Values) {
	v.t.Helper()
	session := outcome.Get("session")
	view, err := v.engine.Pending(v.t.Context(), alice, session, connect.PendingRequest{})
	if err != nil {
		v.t.Fatal(err)
	}
	v.addFlow(alice.Tenant, outcome.Get("flow_id"), func() error {
		_, err := v.engine.Pending(v.t.Context(), alice, session, connect.PendingRequest{})
		return err
	}, func() error {
		_, err := v.engine.Finalize(v.t.Context(), alice, session, connect.FinalizeRequest{SelectedIDs: []string{view.Candidates[0].ID()}})
		return err
	})
}

func (v *vault) addParked(id, ticket string) {
	v.t.Helper()
	v.addFlow(alice.Tenant, id, func() error {
		_, err := v.engine.Complete(v.t.Context(), alice, connect.CompleteRequest{Ticket: ticket})
		return err
	})
}

// rows is everything that can be lost, as the given store has it.
func (v *vault) rows(store connect.Store) []any {
	v.t.Helper()
	var rows []any
	for _, owned := range v.owned {
		account, err := store.ReadAccount(v.t.Context(), connect.AccountKey{Tenant: owned.Tenant, ID: owned.ID})
		grant, grantErr := store.ReadGrant(v.t.Context(), connect.GrantKey{Tenant: owned.Tenant, ID: owned.GrantID})
		if err := errors.Join(err, grantErr); err != nil {
			v.t.Fatal(err)
		}
		rows = append(rows, account, grant)
	}
	for _, id := range v.flows {
		flow, err := store.ReadFlow(v.t.Context(), connect.FlowKey{ID: id})
		if err != nil {
			v.t.Fatal(err)
		}
		rows = append(rows, flow)
	}
	return rows
}

// wantRefused uses a place in every way. Each must fail for want of integrity.
func (v *vault) wantRefused(at place, what string) {
	v.t.Helper()
	for i, use := range append([]func() error{at.read}, at.act...) {
		if err := use(); !errors.Is(err, tokencrypt.ErrIntegrity) || connect.CodeOf(err) != connect.CodeUnavailable {
			v.t.Errorf("%s: use %d of the %s: error %v, want ErrIntegrity in its tree", what, i, at.name, err)
		}
	}
}

// wantWhole makes sure that every place can be read, so that a refusal means
// something.
func (v *vault) wantWhole() {
	v.t.Helper()
	for _, at := range v.places {
		if err := at.read(); err != nil {
			v.t.Errorf("the %s cannot be read: %v", at.name, err)
		}
	}
}

// wantUntouched runs what a forger gains nothing by: no platform is asked, and
// no row changes.
func (v *vault) wantUntouched(store connect.Store, use func()) {
	v.t.Helper()
	rows, sent := v.rows(store), len(v.taps.requests())
	use()
	if now := len(v.taps.requests()); now != sent {
		v.t.Errorf("%d requests were sent to platforms", now-sent)
	}
	if diff := cmp.Diff(rows, v.rows(store)); diff != "" {
		v.t.Errorf("rows have changed (-before +after):\n%s", diff)
	}
}

// Each sealed value in each other's place: other rows, tenants, platforms and
// fields.
func TestThreat55_SwappedSealedValues(t *testing.T) {
	t.Parallel()
	var f forger
	v := newVault(t, keepForger(&f))
	if len(v.places) < 20 {
		t.Fatalf("%d places", len(v.places))
	}
	v.wantWhole()
	v.wantUntouched(f.Store, func() {
		for _, at := range v.places {
			for _, from := range v.places {
				if bytes.Equal(at.sealed, from.sealed) {
					continue
				}
				f.rewrite(func(row any) {
					if field := at.of(row); field != nil {
						*field = slices.Clone(from.sealed)
					}
				})
				v.wantRefused(at, "with the "+from.name)
			}
		}
		f.rewrite(nil)
	})
	v.wantWhole()
	for _, at := range v.places {
		if at.table != "flows" {
			continue
		}
		if err := at.act[len(at.act)-1](); err != nil {
			t.Errorf("with its own again, the %s: %v", at.name, err)
		}
	}
}

// on changes the rows of one sort.
func on[Row any](change func(*Row)) func(row any) {
	return func(row any) {
		if r, ok := row.(*Row); ok {
			change(r)
		}
	}
}

// The columns that say what a value was sealed for, and so whose token it is
// and where it goes.
func TestThreat55_ChangedColumns(t *testing.T) {
	t.Parallel()
	other := map[string]string{"x": "facebook", "facebook": "bluesky", "bluesky": "x", "acme": "globex", "globex": "acme"}
	var f forger
	v := newVault(t, keepForger(&f))
	sibling := map[string]string{v.owned[0].ID: v.owned[1].GrantID, v.owned[1].ID: v.owned[0].GrantID} // bakery and clara
	changes := []struct {
		name, table string
		change      func(row any)
	}{
		{"platform", "grants", on(func(g *connect.Grant) { g.Platform = other[g.Platform] })},
		{"tenant", "grants", on(func(g *connect.Grant) { g.Tenant = other[g.Tenant] })},
		{"id", "grants", on(func(g *connect.Grant) { g.ID = v.flows[0] })},
		{"older generation", "grants", on(func(g *connect.Grant) { g.Generation-- })},
		{"newer generation", "grants", on(func(g *connect.Grant) { g.Generation++ })},
		{"client id", "grants", on(func(g *connect.Grant) { g.ClientID += "0" })},
		{"subject", "grants", on(func(g *connect.Grant) { g.Subject += "0" })},

		{"platform", "accounts", on(func(a *connect.Account) { a.Platform = other[a.Platform] })},
		{"tenant", "accounts", on(func(a *connect.Account) { a.Tenant = other[a.Tenant] })},
		{"id", "accounts", on(func(a *connect.Account) { a.ID = v.flows[0] })},
		{"older generation", "accounts", on(func(a *connect.Account) { a.Generation-- })},
		{"newer generation", "accounts", on(func(a *connect.Account) { a.Generation++ })},
		{"kind", "accounts", on(func(a *connect.Account) { a.Kind += "0" })},
		{"platform id", "accounts", on(func(a *connect.Account) { a.PlatformID += "0" })},

		{"platform", "flows", on(func(f *connect.Flow) { f.Platform = other[f.Platform] })},
		{"tenant", "flows", on(func(f *connect.Flow) { f.Tenant = other[f.Tenant] })},
		{"id", "flows", on(func(f *connect.Flow) { f.ID = v.owned[0].ID })},
		{"client", "flows", on(func(f *connect.Flow) { f.Client += "0" })},
		{"method", "flows", on(func(f *connect.Flow) { f.Method += "0" })},
		{"user", "flows", on(func(f *connect.Flow) { f.User = mallory.User })},
		{"binding", "flows", on(func(f *connect.Flow) { f.Binding = connect.UnsafeBindNone })},
	}
	v.wantUntouched(f.Store, func() {
		for _, tt := range changes {
			f.rewrite(tt.change)
			for _, at := range v.places {
				if at.table != tt.table {
					continue
				}
				if err := at.read(); !errors.Is(err, tokencrypt.ErrIntegrity) {
					t.Errorf("with another %s, the %s: %v", tt.name, at.name, err)
				}
			}
		}
		v.moved(&f, other, sibling)
	})
	f.rewrite(nil)
	v.wantWhole()
}

// moved gives whole accounts to another platform, and to each other's grants.
func (v *vault) moved(f *forger, other, sibling map[string]string) {
	v.t.Helper()
	f.rewrite(func(row any) {
		on(func(g *connect.Grant) { g.Platform = other[g.Platform] })(row)
		on(func(a *connect.Account) { a.Platform = other[a.Platform] })(row)
	})
	for _, account := range v.owned {
		for _, target := range []string{xMe, pageCall, adaSession} {
			if _, err := v.call(account.Tenant, account.ID, target); !errors.Is(err, tokencrypt.ErrIntegrity) {
				v.t.Errorf("as one of %s, the account on %s calls %s: %v", other[account.Platform], account.Platform, target, err)
			}
		}
	}
	f.rewrite(on(func(a *connect.Account) { a.GrantID = sibling[a.ID] }))
	for id := range sibling {
		if _, err := v.call("acme", id, xMe); !errors.Is(err, tokencrypt.ErrIntegrity) {
			v.t.Errorf("an account on another person's grant: %v", err)
		}
	}
}

func TestThreat2_RowsCannotUnbindAFlow(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*connect.Flow){
		"no binding":   func(f *connect.Flow) { f.Binding = connect.UnsafeBindNone },
		"another user": func(f *connect.Flow) { f.User = "bob" },
		"no user":      func(f *connect.Flow) { f.User = "" },
		"a client":     func(f *connect.Flow) { f.Client = "own" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var f forger
			w := newWorld(t, keepForger(&f))
			victim := w.browser(nil)
			back := victim.consent(w.browser(&mallory).start("x", nil), nil)
			f.rewrite(on(edit))
			if got := victim.arrive(back); got.status == http.StatusSeeOther {
				t.Errorf("the flow goes on to %s", got.location())
			}
			if got := w.exchanges() + len(w.accounts(acmeKey)); got != 0 {
				t.Errorf("%d exchanges and accounts", got)
			}
		})
	}
}
