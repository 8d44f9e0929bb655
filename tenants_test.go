package connect_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sandbox"
)

var globexKey = connect.Principal{Tenant: "globex"}

// Who connected accounts before the customer's real people came, or has left
// since, is put out: their accounts, and what they have under way.
func TestThreat19_DisconnectEverythingOfOneUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	her, his := w.browser(&alice), w.browser(&mallory)
	kept := her.connected("facebook", url.Values{"select": {"first"}}, as("dana"))
	xs := his.connected("x", nil, as("clara"))
	pages := his.connected("facebook", url.Values{"select": {"all"}}, as("single"))
	elsewhere := w.browser(&connect.Principal{Tenant: "globex", User: "mallory", Ambient: true}).connected("x", nil, as("bakery"))
	session := his.session("agency")
	herSession := her.session("dana")
	back := his.consent(his.start("x", nil), as("clara"))
	ticket := w.browser(nil).arrive(his.consent(his.start("x", nil), as("clara"))).outcome(t).Get("ticket")

	done, err := w.engine.DisconnectByUser(t.Context(), acmeKey, "mallory")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]connect.Revocation{}
	for _, d := range done {
		got[d.AccountID] = d.Revocation
	}
	want := map[string]connect.Revocation{xs[0]: connect.RevocationRevoked, pages[0]: connect.RevocationRevoked}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("disconnected (-want +got):\n%s", diff)
	}
	for _, id := range append(xs, pages...) {
		if got := w.account(alice, id); got.Status != connect.AccountDisconnected || got.Sealed != nil || got.ConnectedBy != "mallory" {
			t.Errorf("%s is %s, by %q", got.Name, got.Status, got.ConnectedBy)
		}
	}
	w.wantStatus(kept[0], connect.AccountActive)
	if got := w.accounts(globexKey); len(got) != 1 || got[0].ID != elsewhere[0] {
		t.Errorf("his namesake of another tenant has %v", got)
	}

	// His handles are worth nothing from that moment on.
	if code := his.get("/connect/pending/"+session).problem(t, http.StatusGone); code != "expired" {
		t.Errorf("his session: %s", code)
	}
	if got := his.arrive(back).outcome(t); got.Get("error") != "expired" {
		t.Errorf("his callback: %v", got)
	}
	if out, err := w.engine.Complete(t.Context(), acmeKey, connect.CompleteRequest{Ticket: ticket}); err != nil || out.Error != connect.CodeExpired {
		t.Errorf("his ticket: %+v, %v", out, err)
	}
	her.get("/connect/pending/"+herSession).wantStatus(t, http.StatusOK)
	w.round()
	if got := w.facebookRevocationsOf("agency"); got != 1 {
		t.Errorf("what his session held was revoked %d times, want once", got)
	}

	again, err := w.engine.DisconnectByUser(t.Context(), acmeKey, "mallory")
	if err != nil || len(again) != 0 {
		t.Errorf("again: %v, %v: want nothing left to do", again, err)
	}
}

// facebookRevocationsOf counts the revocations of everything that one person
// of the sandbox gave.
func (w *world) facebookRevocationsOf(persona string) int {
	ids := map[string]string{"agency": "102233445566783"}
	return w.box.Requests("graph.facebook.com", "/v26.0/"+ids[persona]+"/permissions")
}

// A flow of theirs that is being exchanged at that moment connects nothing.
func TestThreat19_ExchangeUnderWay(t *testing.T) {
	t.Parallel()
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b := newBench(t, clock.Now, keptIn(store(t, clock.Now)))
			asked, release := make(chan struct{}), make(chan struct{})
			b.fake.answer("exchange", held(asked, release, b.fake.tokens("late")))
			b.fake.answer("revoke", succeeds)
			done := make(chan error, 1)
			go func() { // not b.callback, which may end the test
				_, _, err := b.callback()
				done <- err
			}()
			<-asked
			if _, err := b.engine.DisconnectByUser(t.Context(), acmeKey, "alice"); err != nil {
				t.Fatal(err)
			}
			close(release)
			if err := <-done; err == nil {
				t.Error("the callback succeeds")
			}
			b.wantNone("acme")
			b.settled()
			if _, revoked, _ := b.fake.asked(); !slices.Equal(revoked, []string{"access-late"}) {
				t.Errorf("revoked %q, want what came late", revoked)
			}
		})
	}
}

// wantNone fails where a tenant has a live account.
func (b *bench) wantNone(tenant string) {
	b.t.Helper()
	live, _, err := b.config.Store.ListAccounts(b.t.Context(), tenant, connect.AccountFilter{}, connect.Page{Limit: 100})
	if err != nil || len(live) != 0 {
		b.t.Errorf("%d live accounts, %v: want none", len(live), err)
	}
}

// settled waits for what outlasts its request.
func (b *bench) settled() { (&world{t: b.t, engine: b.engine, config: b.config}).settle() }

// What ends everything is no browser's, and nobody's own token's.
func TestThreat19_OnlyAPIKeysEndEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.browser(&alice).connected("x", nil, nil)[0]
	for _, p := range []connect.Principal{alice, mallory, {Tenant: "acme", User: "alice"}} {
		_, err := w.engine.DisconnectByUser(t.Context(), p, "alice")
		wantCode(t, err, connect.CodeForbidden)
		_, err = w.engine.DeleteTenant(t.Context(), p)
		wantCode(t, err, connect.CodeForbidden)
	}
	for _, p := range []connect.Principal{{}, {User: "alice"}} {
		_, err := w.engine.DisconnectByUser(t.Context(), p, "alice")
		wantCode(t, err, connect.CodeUnauthenticated)
		_, err = w.engine.DeleteTenant(t.Context(), p)
		wantCode(t, err, connect.CodeUnauthenticated)
	}
	for _, nobody := range []string{"", string(make([]byte, 300))} { // absent would be everybody
		_, err := w.engine.DisconnectByUser(t.Context(), acmeKey, nobody)
		wantCode(t, err, connect.CodeInvalidRequest)
	}
	if done, err := w.engine.DisconnectByUser(t.Context(), globexKey, "alice"); err != nil || len(done) != 0 {
		t.Errorf("another tenant's key: %v, %v", done, err)
	}
	w.wantStatus(id, connect.AccountActive)
}

// Between the callback and the choice the tenant is deleted: nothing is
// connected, and what the platform gave is given back.
func TestThreat77_DeletedBetweenCallbackAndFinalize(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	session := b.session("dana")
	choice := object{"selected_ids": []string{"page:110000000000001"}}
	if err := w.config.Store.EndTenant(t.Context(), "acme"); err != nil { // as far as a deletion comes before a crash
		t.Fatal(err)
	}
	got := b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", choice)
	if code := got.problem(t, http.StatusNotFound); code != "not_found" {
		t.Errorf("finalize: %s", code)
	}
	w.wantNothingConnected()
	done, err := w.engine.DeleteTenant(t.Context(), acmeKey)
	if diff := cmp.Diff(&connect.Deleted{Flows: 1}, done); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", choice).problem(t, http.StatusGone)
	w.round()
	if got := w.facebookRevocations(); got != 1 {
		t.Errorf("%d revocations, want 1", got)
	}
	done, err = w.engine.DeleteTenant(t.Context(), acmeKey)
	if diff := cmp.Diff(&connect.Deleted{Done: true}, done); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	w.wantNothingConnected()
	b.get("/connect/pending/"+session).problem(t, http.StatusNotFound)
}

// The same while the code is being exchanged, and what creates something
// afterwards.
func TestThreat77_DeletedDuringTheExchange(t *testing.T) {
	t.Parallel()
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b := newBench(t, clock.Now, keptIn(store(t, clock.Now)))
			asked, release := make(chan struct{}), make(chan struct{})
			b.fake.answer("login", held(asked, release, b.fake.tokens("late")))
			b.fake.answer("revoke", succeeds)
			done := make(chan error, 1)
			go func() {
				_, err := b.engine.ConnectCredentials(t.Context(), acmeKey, connect.CredentialsRequest{Platform: "fake"})
				done <- err
			}()
			<-asked
			if err := b.config.Store.EndTenant(t.Context(), "acme"); err != nil {
				t.Fatal(err)
			}
			close(release)
			wantCode(t, <-done, connect.CodeNotFound)
			b.wantNone("acme")
			_, err := b.engine.ConnectCredentials(t.Context(), acmeKey, connect.CredentialsRequest{Platform: "fake"})
			wantCode(t, err, connect.CodeNotFound)
			_, err = b.engine.Start(t.Context(), alice, connect.StartRequest{Platform: "fake"})
			if e := errorOf(t, err); e.Code != connect.CodeNotFound || e.Message != "This tenant was deleted." {
				t.Errorf("start: %v", err)
			}
			gone, err := b.engine.DeleteTenant(t.Context(), acmeKey)
			if err != nil || !gone.Done { // the flow has ended with the commit that failed
				t.Errorf("%+v, %v: want it done", gone, err)
			}
			b.settled()
			if _, revoked, _ := b.fake.asked(); !slices.Equal(revoked, []string{"access-late"}) {
				t.Errorf("revoked %q, want what came late", revoked)
			}
		})
	}
}

// A deletion goes on where it stopped: a platform that is down keeps the rows
// that are needed to revoke, and nothing else happens to the tenant meanwhile.
func TestDeleteTenantGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	b.connected("x", nil, as("clara"))
	b.connected("facebook", url.Values{"select": {"all"}}, as("dana"))
	shared := w.browser(&bob).connected("facebook", url.Values{"select": {"first"}}, as("dana"))
	w.fault(sandbox.Fault{Platform: "x", Fault: "500", At: "revoke"})

	done, err := w.engine.DeleteTenant(t.Context(), acmeKey)
	if diff := cmp.Diff(&connect.Deleted{Accounts: 4, Revoking: 1}, done); diff != "" || err != nil {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	if got := w.accounts(acmeKey); len(got) != 0 {
		t.Errorf("%d live accounts", len(got))
	}
	w.clock.advance(2 * time.Minute)
	done, err = w.engine.DeleteTenant(t.Context(), acmeKey)
	if diff := cmp.Diff(&connect.Deleted{Done: true}, done); diff != "" || err != nil {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	if got := w.revocations(); got != 3 { // one that failed, then each of the two tokens
		t.Errorf("%d revocations at X, want 3", got)
	}
	if got := w.facebookRevocations(); got != 0 {
		t.Errorf("%d revocations at Facebook, where another tenant's account lives", got)
	}
	w.callsPage(w.account(bob, shared[0]))
	done, err = w.engine.DeleteTenant(t.Context(), acmeKey)
	if diff := cmp.Diff(&connect.Deleted{Done: true}, done); diff != "" || err != nil {
		t.Errorf("again: %v (-want +got):\n%s", err, diff)
	}
	if got := w.events("acme"); len(got) != 0 {
		t.Errorf("events %q are left", got)
	}
}

// Several accounts on one grant are one revocation, and each is told how it went.
func TestDisconnectByUserRevokesEachGrantOnce(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]connect.Revocation{"": connect.RevocationRevoked, "500": connect.RevocationPending} {
		t.Run(string(want), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ids := w.browser(&alice).connected("facebook", url.Values{"select": {"all"}}, as("dana"))
			if fault != "" {
				w.fault(sandbox.Fault{Platform: "facebook", Fault: fault, At: "revoke", Times: 5})
			}
			done, err := w.engine.DisconnectByUser(t.Context(), acmeKey, alice.User)
			if err != nil || len(done) != len(ids) || len(ids) < 2 {
				t.Fatalf("%d of %d accounts, %v", len(done), len(ids), err)
			}
			for _, d := range done {
				if d.Revocation != want {
					t.Errorf("%s: %s, want %s", d.AccountID, d.Revocation, want)
				}
			}
			if got := w.facebookRevocations(); got != 1 {
				t.Errorf("the platform was asked %d times, want once", got)
			}
		})
	}
}
