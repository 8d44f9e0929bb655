package connect_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
	"github.com/seed944197df/connect/tokencrypt"
)

func withBinding(b connect.Binding) func(*connect.Config) {
	return func(c *connect.Config) { c.Binding = b }
}

// begin starts a flow through the Go API, as a backend does.
func (w *world) begin(p connect.Principal, req connect.StartRequest) *connect.Started {
	w.t.Helper()
	if req.ReturnURL == "" {
		req.ReturnURL = w.host.URL + appHost
	}
	started, err := w.engine.Start(w.t.Context(), p, req)
	if err != nil {
		w.t.Fatalf("Start: %v", err)
	}
	return started
}

// flowRow is a flow as the store has it.
func (w *world) flowRow(id string) connect.Flow {
	w.t.Helper()
	flow, err := w.config.Store.ReadFlow(w.t.Context(), connect.FlowKey{ID: id})
	if err != nil {
		w.t.Fatal(err)
	}
	return flow
}

// eventTypes are the events that a tenant would be told of.
func (w *world) eventTypes(tenant string) []connect.EventType {
	w.t.Helper()
	events, _, err := w.config.Store.ListEvents(w.t.Context(), tenant, connect.Page{Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	var types []connect.EventType
	for _, e := range events {
		types = append(types, e.Type)
	}
	return types
}

// wantNothingConnected fails where a tenant has an account.
func (w *world) wantNothingConnected() {
	w.t.Helper()
	for _, tenant := range []string{"acme", "globex"} {
		if got := w.accounts(connect.Principal{Tenant: tenant}); len(got) != 0 {
			w.t.Errorf("tenant %s has %d accounts, want none", tenant, len(got))
		}
	}
}

// wantExchanges fails where X's token endpoint was not asked so often.
func (w *world) wantExchanges(want int) {
	w.t.Helper()
	if got := w.exchanges(); got != want {
		w.t.Errorf("%d token requests, want %d", got, want)
	}
}

// settle waits for what outlasts its request, such as a revocation. The engine
// starts nothing new afterwards.
func (w *world) settle() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if err := w.engine.Close(ctx); err != nil {
		w.t.Fatal(err)
	}
}

// revocations counts the requests that reached X's revocation endpoint.
func (w *world) revocations() int { return w.box.Requests("api.x.com", "/2/oauth2/revoke") }

var formTokenValue = regexp.MustCompile(`name="csrf_token" value="([^"]+)"`)

// formToken is the token of the form on a page of ours.
func (r reply) formToken(t *testing.T) string {
	t.Helper()
	found := formTokenValue.FindStringSubmatch(r.body)
	if r.status != http.StatusOK || found == nil {
		t.Fatalf("status %d, want a page with a form: %s", r.status, r.body)
	}
	return found[1]
}

// follow opens a connect link and presses its button.
func (b *browser) follow(link string) reply {
	b.w.t.Helper()
	return b.post(link, url.Values{"csrf_token": {b.get(link).formToken(b.w.t)}})
}

// wantStatus fails where the answer has another status.
func (r reply) wantStatus(t *testing.T, want int) {
	t.Helper()
	if r.status != want {
		t.Errorf("status %d, want %d: %s", r.status, want, r.body)
	}
}

// wantCode fails where err is not one of ours with the code.
func wantCode(t *testing.T, err error, want connect.Code) {
	t.Helper()
	if got := connect.CodeOf(err); got != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestThreat1_AnotherBrowserChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBinding(connect.BindBrowser))
	owner := w.browser(nil)
	started := w.begin(acmeKey, connect.StartRequest{Platform: "x", User: "alice"})
	address := owner.consent(owner.follow(started.URL).location(), nil)

	otherFlow := w.browser(nil)
	otherFlow.follow(w.begin(acmeKey, connect.StartRequest{Platform: "x", User: "alice"}).URL)
	before := w.flowRow(started.FlowID)
	for name, stranger := range map[string]*browser{
		"no cookie": w.browser(nil), "cookie of another flow": otherFlow, "session of the right user": w.browser(&alice),
	} {
		if got := stranger.arrive(address); got.status != http.StatusForbidden {
			t.Errorf("%s: status %d, want 403: %s", name, got.status, got.body)
		}
	}
	_, err := w.engine.Callback(httptest.NewRequest(http.MethodGet, address, nil), "x", "")
	wantCode(t, err, connect.CodeBindingMismatch)
	if diff := cmp.Diff(before, w.flowRow(started.FlowID)); diff != "" {
		t.Errorf("the flow changed (-before +after):\n%s", diff)
	}
	w.wantExchanges(0)

	if got := owner.arrive(address).outcome(t); got.Get("status") != "connected" {
		t.Errorf("the owner's outcome is %v, want connected", got)
	}
}

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

func TestThreat2_AnotherSessionBurns(t *testing.T) {
	t.Parallel()
	for _, binding := range []connect.Binding{connect.BindSession, connect.BindBrowser, connect.BindTicket, connect.UnsafeBindNone} {
		for name, victim := range map[string]connect.Principal{
			"another tenant": bob, "another user": alice, "namesake of another tenant": {Tenant: "globex", User: "mallory", Ambient: true},
		} {
			t.Run(string(binding)+"/"+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, withBinding(binding))
				attacker, person := w.browser(&mallory), w.browser(&victim)
				started := w.begin(mallory, connect.StartRequest{Platform: "x"})
				authorize := started.URL
				if binding == connect.BindBrowser {
					authorize = attacker.follow(started.URL).location()
				}
				address := person.consent(authorize, nil)
				person.arrive(address).wantStatus(t, http.StatusForbidden)
				w.wantBurned(started.FlowID)
				w.wantExchanges(0)

				if got := attacker.arrive(address).outcome(t); got.Get("status") != "error" {
					t.Errorf("who began gets %v, want an error", got)
				}
				w.wantExchanges(0)
				w.wantNothingConnected()
			})
		}
	}
}

// wantBurned fails where the flow is not over because somebody else came back,
// or its tenant would not be told.
func (w *world) wantBurned(id string) {
	w.t.Helper()
	row := w.flowRow(id)
	if row.Status != connect.FlowFailed || row.Outcome.Error != connect.CodeBindingMismatch {
		w.t.Errorf("status %q, outcome %+v, want failed by %q", row.Status, row.Outcome, connect.CodeBindingMismatch)
	}
	if got, want := w.eventTypes(row.Tenant), []connect.EventType{connect.EventFlowFailed}; !slices.Equal(got, want) {
		w.t.Errorf("events %v, want %v", got, want)
	}
}

func TestThreat3_ForwardedLinkIsNoIdentity(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBinding(connect.BindBrowser))
	started := w.begin(mallory, connect.StartRequest{Platform: "x"})
	person := w.browser(nil)
	hop := person.follow(started.URL)
	if !strings.Contains(hop.header.Get("Set-Cookie"), started.FlowID) {
		t.Fatalf("the link sets the cookie %q, want one of the flow", hop.header.Get("Set-Cookie"))
	}
	person.signIn(&bob)
	person.arrive(person.consent(hop.location(), nil)).wantStatus(t, http.StatusForbidden)
	w.wantBurned(started.FlowID)
	w.wantExchanges(0)
	w.wantNothingConnected()
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

// ways are the exported methods of a Connector: how each that can take a flow
// to connected is tried by somebody, nil for those that cannot. A new method
// must be put here, and tried where it can.
//
// Each way lays out a flow of acme/alice afresh and then lets who finish it.
var ways = map[string]func(w *world, who connect.Principal){
	"Callback": func(w *world, who connect.Principal) {
		r := httptest.NewRequest(http.MethodGet, w.consented(), nil)
		r.AddCookie(&http.Cookie{Name: "session", Value: who.Tenant + "/" + who.User})
		_, _ = w.engine.Callback(r, "x", "")
	},
	"CallbackHandler": func(w *world, who connect.Principal) { w.browser(&who).arrive(w.consented()) },
	"Complete": func(w *world, who connect.Principal) {
		_, _ = w.engine.Complete(w.t.Context(), who, connect.CompleteRequest{Ticket: w.parked("x")})
		_, query, _ := strings.Cut(w.consented(), "?")
		_, _ = w.engine.Complete(w.t.Context(), who, connect.CompleteRequest{Platform: "x", Query: query})
	},
	"CompleteHandler": func(w *world, who connect.Principal) {
		w.browser(&who).call(http.MethodPost, "/connect/complete", map[string]string{"ticket": w.parked("x")})
	},
	"Finalize": func(w *world, who connect.Principal) {
		session, ids := w.pending()
		_, _ = w.engine.Finalize(w.t.Context(), who, session, connect.FinalizeRequest{SelectedIDs: ids})
	},
	"FinalizeHandler": func(w *world, who connect.Principal) {
		session, ids := w.pending()
		w.browser(&who).call(http.MethodPost, "/connect/pending/"+session+"/finalize", map[string]any{"selected_ids": ids})
	},
	"PagesHandler": func(w *world, who connect.Principal) {
		session, ids := w.pending()
		token := w.browser(&alice).get("/connect/ui/pending/" + session).formToken(w.t)
		w.browser(&who).post("/connect/ui/pending/"+session+"/finalize", url.Values{"csrf_token": {token}, "selected_ids": ids})
	},
	"ConnectCredentials": func(w *world, who connect.Principal) {
		_, _ = w.engine.ConnectCredentials(w.t.Context(), who, connect.CredentialsRequest{Platform: "bluesky", User: "alice", Values: map[string]connect.Secret{
			"identifier": tokencrypt.NewSecret(blueskyName), "app_password": tokencrypt.NewSecret(blueskyPassword),
		}})
	},
	"CredentialsHandler": func(w *world, who connect.Principal) {
		w.browser(&who).call(http.MethodPost, "/connect/credentials/bluesky", map[string]string{
			"user": "alice", "identifier": blueskyName, "app_password": blueskyPassword,
		})
	},
	"Handler": nil, // all of the handlers

	"Import": nil, // brings tokens that nobody consented to here, and takes programs only

	"Start": nil, "StartHandler": nil, "LinkHandler": nil, // begin
	"Flow": nil, "FlowHandler": nil, "Pending": nil, "PendingHandler": nil, "PlatformsHandler": nil, // read
	"Account": nil, "AccountHandler": nil, "Accounts": nil, "AccountsHandler": nil,
	"Client": nil, "TokenSource": nil, // need an account
	"AddMore": nil, "AddMoreHandler": nil, "Candidates": nil, "CandidatesHandler": nil, "Edit": nil, "EditHandler": nil,
	"Health": nil, "HealthHandler": nil, "Refresh": nil, "RefreshHandler": nil,
	"Disconnect": nil, "DisconnectHandler": nil, "Run": nil, "Close": nil, // end
	"DisconnectByUser": nil, "DeleteTenant": nil,
}

// The first Bluesky account of the sandbox.
const (
	blueskyName     = "ada.sandbox.test"
	blueskyPassword = "sand-box2-test-pass"
)

// consented is the address that the platform sends a browser back to, in a
// flow of acme/alice on X.
func (w *world) consented() string {
	w.t.Helper()
	return w.browser(nil).consent(w.begin(alice, connect.StartRequest{Platform: "x"}).URL, nil)
}

// parked is the ticket of a flow of acme/alice whose browser came back without
// a session.
func (w *world) parked(platform string) string {
	w.t.Helper()
	b := w.browser(nil)
	ticket := b.arrive(b.consent(w.begin(alice, connect.StartRequest{Platform: platform}).URL, nil)).outcome(w.t).Get("ticket")
	if ticket == "" {
		w.t.Fatal("no ticket")
	}
	return ticket
}

// pending is an open selection of acme/alice on Facebook, and two of the Pages
// that it offers.
func (w *world) pending() (session string, ids []string) {
	w.t.Helper()
	session = w.browser(&alice).connect("facebook", url.Values{"mode": {"headless"}}, nil).outcome(w.t).Get("session")
	view, err := w.engine.Pending(w.t.Context(), alice, session, connect.PendingRequest{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, candidate := range view.Candidates[:2] {
		ids = append(ids, candidate.ID())
	}
	return session, ids
}

func TestThreat6_EveryMethodIsReviewed(t *testing.T) {
	t.Parallel()
	methods := reflect.TypeFor[*connect.Connector]()
	for method := range methods.Methods() {
		if _, ok := ways[method.Name]; !ok {
			t.Errorf("%s is new: can it take a flow to connected? Put it into ways", method.Name)
		}
	}
	for name := range ways {
		if _, ok := methods.MethodByName(name); !ok {
			t.Errorf("there is no method %s", name)
		}
	}
}

func TestThreat6_OnlyTheBoundUserConnects(t *testing.T) {
	t.Parallel()
	intruders := []connect.Principal{
		mallory, bob,
		{},
		{Tenant: "acme", Ambient: true}, // nobody of the tenant
		{User: "alice", Ambient: true},  // a user without a tenant
		{Tenant: "acme", User: "Alice", Ambient: true},
	}
	for name, finish := range ways {
		if finish == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for _, intruder := range intruders {
				finish(w, intruder)
				w.wantNothingConnected()
			}
			finish(w, alice)
			if len(w.accounts(acmeKey)) == 0 {
				t.Error("alice cannot connect either, so that the test says nothing")
			}
		})
	}
}

// Whoever begins a flow and makes another person consent to it knows the
// flow's id, its state and its URL, and must not get the account with them.
func TestThreat6_TheInitiatorAloneGetsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	started := w.begin(mallory, connect.StartRequest{Platform: "x"})
	person := w.browser(nil)
	back := person.arrive(person.consent(started.URL, nil)).outcome(t)
	if back.Get("status") != "continue" {
		t.Fatalf("outcome %v, want continue", back)
	}
	attacker := w.browser(&mallory)
	view := attacker.call(http.MethodGet, "/connect/flows/"+started.FlowID, nil)
	view.wantStatus(t, http.StatusOK)
	if strings.Contains(view.body, back.Get("ticket")) {
		t.Error("the flow tells its ticket to who began it")
	}
	if flow, err := w.engine.Flow(t.Context(), mallory, started.FlowID); err != nil || flow.Outcome != nil {
		t.Errorf("flow %+v, %v, want no outcome before Complete", flow, err)
	}
	attacker.arrive("/connect/callback/x?state=" + url.QueryEscape(started.State) + "&code=guessed").outcome(t)
	for _, ticket := range []string{started.FlowID, started.State, "guessed"} {
		attacker.call(http.MethodPost, "/connect/complete", map[string]string{"ticket": ticket})
	}
	w.wantNothingConnected()
	if got := w.flowRow(started.FlowID).Status; got != connect.FlowParked {
		t.Errorf("status %q, want parked", got)
	}
}
