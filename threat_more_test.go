package connect_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
)

// These tests were found missing by taking guards away one at a time.

// Who starts a flow for another user consents with their own account, and has
// the other one's session collect it.
func TestThreat1_NobodyStartsForAnother(t *testing.T) {
	t.Parallel()
	created := &createdStore{Store: memstore.New(nil)}
	w := newWorld(t, func(c *connect.Config) { c.Store = created })
	for name, p := range map[string]connect.Principal{"session": mallory, "bearer token": {Tenant: "acme", User: "mallory"}} {
		_, err := w.engine.Start(t.Context(), p, connect.StartRequest{Platform: "x", User: "alice"})
		if e := errorOf(t, err); e.Code != connect.CodeForbidden || e.Field != "user" {
			t.Errorf("%s: %v, want forbidden", name, err)
		}
	}
	if got := created.count.Load(); got != 0 {
		t.Errorf("%d flows were created, want none", got)
	}
}

// A forwarded link shows its page to nobody who is certainly another.
func TestThreat3_LinkOfAnotherUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBinding(connect.BindBrowser))
	started := w.begin(mallory, connect.StartRequest{Platform: "x"})
	for _, person := range []connect.Principal{alice, bob} {
		got := w.browser(&person).get(started.URL)
		if got.status != http.StatusForbidden || got.header.Get("Set-Cookie") != "" {
			t.Errorf("to %s: status %d, cookie %q", person.User, got.status, got.header.Get("Set-Cookie"))
		}
	}
}

// A flow that named no user is nobody's session's to end, but the tenant's own
// key's.
func TestThreat4_FlowOfNobodyEndsByTicket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	back := b.arrive(b.consent(w.begin(acmeKey, connect.StartRequest{Platform: "x"}).URL, nil)).outcome(t)
	if back.Get("status") != "continue" {
		t.Errorf("a person of the tenant gets %v, want continue", back)
	}
	w.wantNothingConnected()
	_, err := w.engine.Complete(t.Context(), alice, connect.CompleteRequest{Ticket: back.Get("ticket")})
	wantCode(t, err, connect.CodeBindingMismatch)
	w.wantNothingConnected()
}

// Who comes with the ticket of a flow that has ended well changes nothing.
func TestThreat5_TooLateToBurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	req := connect.CompleteRequest{Ticket: w.parked("x")}
	first, err := w.engine.Complete(t.Context(), alice, req)
	if err != nil || first.Status != connect.OutcomeConnected {
		t.Fatalf("outcome %+v, %v, want connected", first, err)
	}
	told := w.events("acme")
	_, err = w.engine.Complete(t.Context(), mallory, req)
	wantCode(t, err, connect.CodeBindingMismatch)
	again, err := w.engine.Complete(t.Context(), alice, req)
	if err != nil || again.Status != connect.OutcomeConnected || again.Accounts[0].ID != first.Accounts[0].ID {
		t.Errorf("alice again: %+v, %v, want connected", again, err)
	}
	if now := w.events("acme"); len(now) != len(told) {
		t.Errorf("events %v, were %v", now, told)
	}
}

// Namesakes do not act with each other's tokens either.
func TestThreat18_NamesakesHaveTheirOwnTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *connect.Config) { c.Providers = append(c.Providers, namesakes{}) })
	ids := map[string]string{} // by platform id
	for _, person := range []string{"1", "2"} {
		started := w.begin(alice, connect.StartRequest{Platform: "namesakes"})
		ids[person] = w.browser(&alice).arrive("/connect/callback/namesakes?code=" + person + "&state=" + started.State).outcome(t).Get("account_id")
	}
	for person, id := range ids {
		source, err := w.engine.TokenSource(t.Context(), "acme", id)
		if err != nil {
			t.Fatal(err)
		}
		if token, err := source.Token(); err != nil || token.AccessToken != "token-"+person {
			t.Errorf("person %s has another one's token, %v", person, err)
		}
	}
}

// Who reconnects an account as somebody else changes nothing of it.
func TestThreat20_ReconnectedByAnotherPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	id := b.connected("x", nil, as("bakery"))[0]
	before := w.account(alice, id)
	got := b.connect("x", url.Values{"account_id": {id}}, as("clara")).outcome(t)
	if got.Get("error") != "identity_mismatch" {
		t.Errorf("outcome %v, want identity_mismatch", got)
	}
	if diff := cmp.Diff([]connect.Account{before}, w.accounts(alice)); diff != "" {
		t.Errorf("accounts (-before +after):\n%s", diff)
	}
}

// What the tenant's key may not do is no reason to end a person's flow.
func TestThreat23_DenialOfAnotherEndsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *connect.Config) {
		c.Authorize = func(_ context.Context, p connect.Principal, a connect.Action) error {
			if p.User == "" && a.Name != connect.ActionRead {
				return errBroken
			}
			return nil
		}
	})
	session, choice := w.browser(&alice).session("dana"), connect.FinalizeRequest{SelectedIDs: []string{firstPage}}
	_, err := w.engine.Finalize(t.Context(), acmeKey, session, choice)
	wantCode(t, err, connect.CodeForbidden)
	if done, err := w.engine.Finalize(t.Context(), alice, session, choice); err != nil || len(done.Accounts) != 1 {
		t.Errorf("alice afterwards: %+v, %v, want one account", done, err)
	}
}

// A browser that only looks ahead starts nothing, wherever it comes from.
func TestThreat27_PrefetchStartsNothing(t *testing.T) {
	t.Parallel()
	created := &createdStore{Store: memstore.New(nil)}
	w := newWorld(t, func(c *connect.Config) { c.Store = created })
	for name, b := range map[string]*browser{"person": w.browser(&alice), "program": w.program("acme")} {
		b.header.Set("Sec-Purpose", "prefetch;prerender")
		if got := b.get("/connect/start/x"); got.status != http.StatusOK || got.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: status %d, cookie %q", name, got.status, got.header.Get("Set-Cookie"))
		}
	}
	if got := created.count.Load(); got != 0 {
		t.Errorf("%d flows were created, want none", got)
	}
}

// The handles of one flow are another for each purpose: what stood in a return
// URL as a ticket does not open the selection that follows.
func TestThreat49_HandlesOfOneFlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ticket := w.parked("facebook")
	out, err := w.engine.Complete(t.Context(), alice, connect.CompleteRequest{Ticket: ticket})
	if err != nil || out.Session == "" {
		t.Fatalf("outcome %+v, %v, want a selection", out, err)
	}
	_, err = w.engine.Pending(t.Context(), alice, ticket, connect.PendingRequest{})
	wantCode(t, err, connect.CodeNotFound)
	_, err = w.engine.Complete(t.Context(), alice, connect.CompleteRequest{Ticket: out.Session})
	wantCode(t, err, connect.CodeNotFound)
	if _, err = w.engine.Pending(t.Context(), alice, out.Session, connect.PendingRequest{}); err != nil {
		t.Errorf("the session itself: %v", err)
	}
}

// A start that another site may have caused waits for the person.
func TestThreat83_StartFromElsewhere(t *testing.T) {
	t.Parallel()
	created := &createdStore{Store: memstore.New(nil)}
	w := newWorld(t, func(c *connect.Config) { c.Store = created })
	for name, header := range map[string]http.Header{
		"cross-site": {"Sec-Fetch-Site": {"cross-site"}}, "same-site": {"Sec-Fetch-Site": {"same-site"}}, "typed": {"Sec-Fetch-Site": {"none"}},
		"no metadata": {}, "our origin, no metadata": {"Origin": {w.host.URL}}, "a frame of ours": {"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Dest": {"iframe"}},
	} {
		b := w.browser(&alice)
		b.header = header
		if got := b.do(http.MethodGet, "/connect/start/x", "", ""); got.status != http.StatusOK || got.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: status %d to %q, want a page", name, got.status, got.location())
		}
	}
	if got := created.count.Load(); got != 0 {
		t.Errorf("%d flows were created, want none", got)
	}
	w.browser(&alice).get("/connect/start/x").wantStatus(t, http.StatusSeeOther)
}

// Where a flow's cookie alone opens its picker, no principal is asked where the
// post comes from, and the form is.
func TestThreat83_PickerByCookieAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBinding(connect.BindBrowser))
	b, authorize, _ := w.linked("facebook")
	picker := b.arrive(b.consent(authorize, nil)).location()
	form := formOf(t, b.get(picker), url.Values{"selected_ids": {firstPage}})
	for name, header := range foreign(w) {
		b.header = header
		if got := b.do(http.MethodPost, picker+"/finalize", "application/x-www-form-urlencoded", form.Encode()); got.status != http.StatusForbidden {
			t.Errorf("%s: status %d", name, got.status)
		}
	}
	w.wantNothingConnected()
	b.header = http.Header{}
	if got := b.post(picker+"/finalize", form).outcome(t); got.Get("status") != "connected" {
		t.Errorf("our own page: %v", got)
	}
}

// A host that mounts single handlers has nothing in front of them that would
// set a header.
func TestThreat85_HandlersMountedAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	back := b.consent(b.start("x", nil), nil)
	mux := http.NewServeMux()
	mux.Handle("/connect/accounts", w.engine.AccountsHandler())
	mux.Handle("/connect/accounts/{id}", w.engine.AccountHandler())
	mux.Handle("/connect/callback/{platform}", w.engine.CallbackHandler())
	mux.Handle("/connect/ui/", w.engine.PagesHandler())
	for target, status := range map[string]int{
		"/connect/accounts":        http.StatusOK,
		"/connect/accounts/none":   http.StatusNotFound,
		back:                       http.StatusSeeOther,
		"/connect/callback/x":      http.StatusBadRequest,
		"/connect/ui/":             http.StatusOK,
		"/connect/ui/pending/none": http.StatusNotFound,
	} {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, arrival(alice, target))
		if got := rec.Header().Values("Cache-Control"); rec.Code != status || strings.Join(got, ", ") != "no-store" {
			t.Errorf("%s: status %d, Cache-Control %q", target, rec.Code, got)
		}
	}
}

// A store is not asked for what no state of ours, or only an old one, names.
func TestThreat108_BadStatesAskNoStore(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t), newWorld(t)
	ours, foreign := w.begin(alice, connect.StartRequest{Platform: "x"}).State, other.begin(alice, connect.StartRequest{Platform: "x"}).State
	cfg := w.config
	cfg.Store = untouched{}
	engine, err := connect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, touched := asked(engine, arrival(alice, "/connect/callback/x?code=a&state="+ours)); !touched {
		t.Error("the store is asked, and that is not noticed")
	}
	w.clock.advance(15*time.Minute + time.Hour + time.Second)
	for name, state := range map[string]string{"garbage": "garbage", "of another ring": foreign, "cut": ours[:len(ours)-1], "old": ours} {
		got, touched := asked(engine, arrival(alice, "/connect/callback/x?code=a&state="+state))
		if touched || got.status != http.StatusBadRequest && got.status != http.StatusGone {
			t.Errorf("%s: store asked: %v, status %d", name, touched, got.status)
		}
	}
}

func TestThreat108_OpenFlowsAreBounded(t *testing.T) {
	t.Parallel()
	for name, bound := range map[string]func(*connect.Config){
		"of a user":   func(c *connect.Config) { c.MaxOpenFlowsPerUser = 2 },
		"of a tenant": func(c *connect.Config) { c.MaxOpenFlowsPerTenant = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, bound)
			for range 2 {
				w.begin(alice, connect.StartRequest{Platform: "x"})
			}
			_, err := w.engine.Start(t.Context(), alice, connect.StartRequest{Platform: "x"})
			wantCode(t, err, connect.CodeRateLimited)
			w.begin(bob, connect.StartRequest{Platform: "x"})
		})
	}
}

// readStore counts how often a flow is read.
type readStore struct {
	connect.Store

	reads atomic.Int64
}

func (s *readStore) ReadFlow(ctx context.Context, key connect.FlowKey) (connect.Flow, error) {
	s.reads.Add(1)
	return s.Store.ReadFlow(ctx, key)
}

// A browser may name as many flows as its cookies have room for.
func TestThreat108_CookiesBoundReads(t *testing.T) {
	t.Parallel()
	store := &readStore{Store: memstore.New(nil)}
	w := newWorld(t, withBinding(connect.BindBrowser), func(c *connect.Config) { c.Store = store })
	var names []string
	for i := range 50 {
		names = append(names, fmt.Sprintf("__Host-cx-00000000-0000-7000-8000-0000000000%02d=old", i))
	}
	b := w.browser(nil)
	b.header.Set("Cookie", strings.Join(names, "; "))
	b.get("/connect/ui/pending/none").wantStatus(t, http.StatusUnauthorized)
	if n := store.reads.Load(); n != 10 {
		t.Errorf("%d reads, want ten", n)
	}
}
