package connect_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/selection"
)

// More of a grant is connected without another consent.
func TestAddMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	id := b.connected("facebook", url.Values{"select": {"first"}}, as("dana"))[0]
	before := w.grantOf(w.account(alice, id))
	exchanged := w.box.Requests("graph.facebook.com", "/v26.0/oauth/access_token")

	made := b.call(http.MethodPost, "/connect/accounts/"+id+"/sessions", nil).object(t, http.StatusCreated)
	session, _ := made["session"].(string)
	want := object{"status": "pending", "flow_id": "*", "platform": "facebook", "session": session, "expires_at": stamp(w.clock.Now().Add(15 * time.Minute))}
	if diff := cmp.Diff(want, mask(made, "flow_id")); diff != "" || session == "" {
		t.Fatalf("outcome (-want +got):\n%s", diff)
	}
	var offered []any
	for _, c := range list(b.get("/connect/pending/"+session).object(t, http.StatusOK)["candidates"]) {
		offered = append(offered, c["id"], c["account_id"])
	}
	if diff := cmp.Diff([]any{"page:110000000000001", id, "page:110000000000002", nil, "page:110000000000003", nil}, offered); diff != "" {
		t.Errorf("offered (-want +got):\n%s", diff)
	}
	choice := object{"selected_ids": []string{"page:110000000000002", "page:110000000000003"}}
	first := b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", choice)
	if got := list(first.object(t, http.StatusOK)["accounts"]); len(got) != 2 {
		t.Fatalf("accounts %v", got)
	}
	if again := b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", choice); again.body != first.body {
		t.Errorf("the same choice again gives %s", again.body)
	}
	accounts := w.accounts(alice)
	if len(accounts) != 3 {
		t.Fatalf("%d accounts, want 3", len(accounts))
	}
	for _, account := range accounts {
		w.callsPage(account)
		if account.GrantID != before.ID || account.ConnectedBy != "alice" {
			t.Errorf("%s is on %s, by %s", account.Name, account.GrantID, account.ConnectedBy)
		}
	}
	if diff := cmp.Diff(before, w.grantOf(accounts[0])); diff != "" {
		t.Errorf("the grant (-before +after):\n%s", diff)
	}
	if got := w.box.Requests("graph.facebook.com", "/v26.0/oauth/access_token"); got != exchanged {
		t.Errorf("%d requests for tokens", got-exchanged)
	}
}

func TestAddMoreInThePicker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	id := b.connected("facebook", url.Values{"select": {"first"}}, as("dana"))[0]
	out, err := w.engine.AddMore(t.Context(), alice, id)
	if err != nil {
		t.Fatal(err)
	}
	page := b.get(out.ReturnURL)
	form := url.Values{"csrf_token": {page.formToken(t)}, "selected_ids": {"page:110000000000003"}}
	got := b.post(out.ReturnURL+"/finalize", form)
	if got.outcome(t).Get("status") != "connected" || !strings.HasPrefix(got.location(), w.config.BaseURL+"/ui/result?") {
		t.Errorf("the post ends at %s", got.location())
	}
	if n := len(w.accounts(alice)); n != 2 {
		t.Errorf("%d accounts, want 2", n)
	}
}

// A session on a grant that exists holds no copy of any token, so that giving
// it up ends nothing.
func TestAddMoreHoldsNoToken(t *testing.T) {
	t.Parallel()
	b := newShelf(t)
	account := b.board()
	out := b.more(account)
	for range 2 {
		if _, err := b.engine.Pending(t.Context(), alice, out.Session, connect.PendingRequest{}); err != nil {
			t.Fatal(err)
		}
		flow, err := b.config.Store.ReadFlow(t.Context(), connect.FlowKey{Tenant: "acme", ID: out.FlowID})
		if err != nil {
			t.Fatal(err)
		}
		sealed := connect.Opened(b.engine, flow)
		if !strings.Contains(sealed, "Board 2") || strings.Contains(sealed, "access") || strings.Contains(sealed, "refresh") || strings.Contains(sealed, "own-") {
			t.Errorf("the flow holds %s", sealed)
		}
	}
	b.clock.advance(16 * time.Minute)
	b.round()
	flow, err := b.config.Store.ReadFlow(t.Context(), connect.FlowKey{Tenant: "acme", ID: out.FlowID})
	if err != nil || flow.Status != connect.FlowExpired {
		t.Errorf("the flow is %s, %v", flow.Status, err)
	}
	if _, revoked, _ := b.fake.asked(); len(revoked) != 0 {
		t.Errorf("revoked %q", revoked)
	}
	if got := b.own(account); got != "own-1-access-first" {
		t.Errorf("the account works with %q", got)
	}
}

// What the grant has by then is what is asked with and connected.
func TestAddMoreRefreshesTheGrant(t *testing.T) {
	t.Parallel()
	for name, ends := range map[string]func(*shelfBench){
		"by the clock":           func(b *shelfBench) { b.clock.advance(fakeLife) },
		"by the platform's word": func(b *shelfBench) { b.shelf.fail(&connect.ProviderError{Class: connect.ClassExpired}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newShelf(t)
			account := b.board()
			ends(b)
			b.fake.answer("refresh", b.shelf.pair("second"))
			out := b.more(account)
			if _, err := b.engine.Pending(t.Context(), alice, out.Session, connect.PendingRequest{}); err != nil {
				t.Fatal(err)
			}
			done, err := b.finalize(out.Session, "board:2")
			if err != nil {
				t.Fatal(err)
			}
			if got := b.own(done.Accounts[0]); got != "own-2-access-second" {
				t.Errorf("the account works with %q", got)
			}
			b.wantPresented("refresh-first")
		})
	}
}

func TestAddMoreIsRefused(t *testing.T) {
	t.Parallel()
	settle := func(b *shelfBench, account connect.Account, st connect.Settlement) {
		claimed, err := b.config.Store.ClaimGrant(b.t.Context(), connect.GrantKey{Tenant: "acme", ID: account.GrantID}, "a", time.Minute)
		if err != nil {
			b.t.Fatal(err)
		}
		st.Tenant, st.ID, st.Attempt, st.Generation = "acme", account.GrantID, "a", claimed.Generation
		if _, err := b.config.Store.SettleGrant(b.t.Context(), st); err != nil {
			b.t.Fatal(err)
		}
	}
	dies := func(status connect.AccountStatus) func(*shelfBench, connect.Account) {
		return func(b *shelfBench, account connect.Account) {
			settle(b, account, connect.Settlement{Status: connect.GrantDead, AccountStatus: status})
		}
	}
	tests := map[string]struct {
		before func(*shelfBench, connect.Account)
		want   connect.Code
	}{
		"the grant is dead":    {dies(connect.AccountReauthRequired), connect.CodeReauthRequired},
		"it could not refresh": {dies(connect.AccountTokenExpired), connect.CodeReauthRequired}, // the account has its own token
		"it was disconnected": {func(b *shelfBench, account connect.Account) {
			b.fake.answer("revoke", succeeds)
			if _, err := b.engine.Disconnect(b.t.Context(), alice, account.ID); err != nil {
				b.t.Error(err)
			}
		}, connect.CodeDisconnected},
		"it is suspended": {func(b *shelfBench, account connect.Account) {
			settle(b, account, connect.Settlement{Status: connect.GrantActive, AccountStatus: connect.AccountSuspended})
		}, connect.CodeSuspended},
		"its target is lost": {func(b *shelfBench, account connect.Account) {
			settle(b, account, connect.Settlement{Status: connect.GrantActive, AccountStatus: connect.AccountTargetLost})
		}, ""},
		"the grant is uncertain": {func(b *shelfBench, account connect.Account) {
			settle(b, account, connect.Settlement{Status: connect.GrantUncertain, Presented: 1})
		}, ""},
		"too many are open": {func(b *shelfBench, account connect.Account) { b.more(account) }, connect.CodeRateLimited},
		"the tenant was deleted": {func(b *shelfBench, _ connect.Account) {
			if err := b.config.Store.EndTenant(b.t.Context(), "acme"); err != nil {
				b.t.Error(err)
			}
		}, connect.CodeNotFound},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newShelf(t, func(c *connect.Config) { c.MaxOpenFlowsPerUser = 1 })
			account := b.board()
			tt.before(b, account)
			_, err := b.engine.AddMore(t.Context(), alice, account.ID)
			wantCode(t, err, tt.want)
		})
	}
	t.Run("there is nothing to choose", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		id := w.browser(&alice).connected("x", nil, nil)[0]
		_, err := w.engine.AddMore(t.Context(), alice, id)
		wantCode(t, err, connect.CodeUnsupported)
		_, err = w.engine.Candidates(t.Context(), alice, id, connect.PendingRequest{})
		wantCode(t, err, connect.CodeUnsupported)
	})
}

// What changes while a person chooses is seen before anything is connected.
func TestAddMoreFinalizesWhatIsLeft(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		meanwhile func(*shelfBench, connect.Account)
		want      connect.Code
		open      bool // the selection stays
	}{
		"the candidate is gone": {func(b *shelfBench, _ connect.Account) { b.shelf.offers("1", "3") }, connect.CodeNotOffered, true},
		"its right is gone": {func(b *shelfBench, _ connect.Account) {
			b.shelf.changes("2", func(c *selection.Candidate) { c.Reason = "no right" })
		}, connect.CodeNotOffered, true},
		"the platform is down": {func(b *shelfBench, _ connect.Account) {
			b.shelf.fail(&connect.ProviderError{Class: connect.ClassRetry, Status: 500})
		}, connect.CodePlatformError, true},
		"the platform says that the grant is over": {func(b *shelfBench, _ connect.Account) {
			b.shelf.fail(&connect.ProviderError{Class: connect.ClassReconnect})
			b.fake.answer("refresh", fails(connect.ClassReconnect))
		}, connect.CodeReauthRequired, true},
		"the last account left": {func(b *shelfBench, account connect.Account) {
			b.fake.answer("revoke", succeeds)
			if _, err := b.engine.Disconnect(b.t.Context(), alice, account.ID); err != nil {
				b.t.Error(err)
			}
		}, connect.CodeReauthRequired, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newShelf(t)
			account := b.board()
			out := b.more(account)
			if _, err := b.engine.Pending(t.Context(), alice, out.Session, connect.PendingRequest{}); err != nil {
				t.Fatal(err)
			}
			tt.meanwhile(b, account)
			_, err := b.finalize(out.Session, "board:2")
			wantCode(t, err, tt.want)
			accounts, _, err := b.config.Store.ListAccounts(t.Context(), "acme", connect.AccountFilter{PlatformID: "2"}, connect.Page{Limit: 10})
			if err != nil || len(accounts) != 0 {
				t.Errorf("%d accounts, %v: want none", len(accounts), err)
			}
		})
	}
}

// The last account leaves between the listing and the commit: the store's word
// counts, and what would have joined a dead grant is not connected.
func TestAddMoreCommitsToNoDeadGrant(t *testing.T) {
	t.Parallel()
	store := &beforeCommit{}
	b := newShelf(t, func(c *connect.Config) { store.Store, c.Store = c.Store, store })
	account := b.board()
	out := b.more(account)
	if _, err := b.engine.Pending(t.Context(), alice, out.Session, connect.PendingRequest{}); err != nil {
		t.Fatal(err)
	}
	b.fake.answer("revoke", succeeds)
	store.once(func() {
		if _, err := b.engine.Disconnect(t.Context(), alice, account.ID); err != nil {
			t.Error(err)
		}
	})
	_, err := b.finalize(out.Session, "board:2")
	wantCode(t, err, connect.CodeReauthRequired)
	if got := b.grant(account); got.Status != connect.GrantDead || got.Sealed != nil {
		t.Errorf("the grant is %s with %d bytes, want it dead and wiped", got.Status, len(got.Sealed))
	}
}
