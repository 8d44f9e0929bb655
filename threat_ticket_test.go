package connect_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
	"github.com/seed944197df/connect/providers/facebook"
	"github.com/seed944197df/connect/sandbox"
)

// codeExchanges counts the requests that reached a platform's token endpoint.
func (w *world) codeExchanges(platform string) int {
	if platform == "facebook" {
		return w.box.Requests("graph.facebook.com", "/"+facebookVersion()+"/oauth/access_token")
	}
	return w.exchanges()
}

// facebookRevocations counts the requests that end what dana, the sandbox's
// first person, gave to the app.
func (w *world) facebookRevocations() int {
	return w.box.Requests("graph.facebook.com", "/"+facebookVersion()+"/102233445566778/permissions")
}

func facebookVersion() string { return facebook.New(facebook.Options{}).Platform().Version.Name }

// round does one round of Run.
func (w *world) round() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	connect.Round(ctx, w.engine)
}

// What a platform gives for a code whose browser came back without a session.
var parkings = map[string]struct {
	platform  string
	exchanges int // before Complete
	status    connect.OutcomeStatus
}{
	"deferred":   {"facebook", 0, connect.OutcomePending},
	"quarantine": {"x", 1, connect.OutcomeConnected},
}

func TestThreat4_NoSessionParksUntilComplete(t *testing.T) {
	t.Parallel()
	for name, tt := range parkings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			started := w.begin(alice, connect.StartRequest{Platform: tt.platform, ReturnURL: w.host.URL + appHost + "?own=1"})
			system := w.browser(nil) // not the browser that began
			address := system.consent(started.URL, nil)
			first := system.arrive(address)
			back := first.outcome(t)
			if back.Get("status") != "continue" || back.Get("ticket") == "" || back.Get("flow_id") != started.FlowID || back.Get("own") != "1" {
				t.Fatalf("outcome %v, want a ticket", back)
			}
			for range 3 {
				if again := system.arrive(address); again.location() != first.location() {
					t.Errorf("a reload goes to %q, want %q", again.location(), first.location())
				}
			}
			if got := w.codeExchanges(tt.platform); got != tt.exchanges {
				t.Errorf("%d token requests before Complete, want %d", got, tt.exchanges)
			}
			w.wantNothingConnected()
			if got := w.flowRow(started.FlowID).Status; got != connect.FlowParked {
				t.Errorf("status %q, want parked", got)
			}

			out, err := w.engine.Complete(t.Context(), alice, connect.CompleteRequest{Ticket: back.Get("ticket")})
			if err != nil || out.Status != tt.status {
				t.Fatalf("Complete: %+v, %v, want %q", out, err, tt.status)
			}
			exchanges := w.codeExchanges(tt.platform)
			again, err := w.engine.Complete(t.Context(), alice, connect.CompleteRequest{Ticket: back.Get("ticket")})
			if diff := cmp.Diff(out, again); diff != "" || err != nil {
				t.Errorf("Complete again: error %v, outcome (-first +second):\n%s", err, diff)
			}
			if got := w.codeExchanges(tt.platform); got != exchanges {
				t.Errorf("%d token requests after Complete again, want %d", got, exchanges)
			}
		})
	}
}

func TestThreat4_NobodyCompletes(t *testing.T) {
	t.Parallel()
	for name, tt := range parkings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ticket := w.parked(tt.platform)
			w.clock.advance(119 * time.Second)
			w.round() // the host has two minutes
			w.clock.advance(time.Second)
			out, err := w.engine.Complete(t.Context(), alice, connect.CompleteRequest{Ticket: ticket})
			if err != nil || out.Error != connect.CodeExpired {
				t.Errorf("Complete after two minutes: %+v, %v, want expired", out, err)
			}
			w.round()
			out, err = w.engine.Complete(t.Context(), alice, connect.CompleteRequest{Ticket: ticket})
			if err != nil || out.Error != connect.CodeExpired {
				t.Errorf("Complete after the sweep: %+v, %v, want expired", out, err)
			}
			w.settle()
			if got := w.codeExchanges(tt.platform); got != tt.exchanges {
				t.Errorf("%d token requests, want %d", got, tt.exchanges)
			}
			if got := w.revocations() > 0; got != (tt.exchanges > 0) {
				t.Errorf("revoked: %v, want it where the code was exchanged", got)
			}
			w.wantNothingConnected()
		})
	}
}

func TestThreat4_QuarantineFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address := w.consented()
	if err := w.box.SetFault(sandbox.Fault{Platform: "x", Fault: "500", At: "token"}); err != nil {
		t.Fatal(err)
	}
	b := w.browser(nil)
	first := b.arrive(address)
	if got := first.outcome(t); got.Get("error") != "platform_error" || got.Has("ticket") {
		t.Fatalf("outcome %v, want platform_error", got)
	}
	if again := b.arrive(address); again.location() != first.location() {
		t.Errorf("a reload goes to %q, want %q", again.location(), first.location())
	}
	w.wantExchanges(1)
}

// A browser without a session learns nothing of a flow that another finished.
func TestThreat4_NoSessionLearnsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address := w.consented()
	if got := w.browser(&alice).arrive(address).outcome(t); got.Get("status") != "connected" {
		t.Fatalf("outcome %v, want connected", got)
	}
	if got := w.browser(nil).arrive(address).outcome(t); got.Get("error") != "used" || got.Has("account_ids") {
		t.Errorf("outcome %v, want used", got)
	}
}

func TestThreat4_RoundLeavesAWaitingFlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ticket := w.parked("x")
	w.clock.advance(119 * time.Second)
	w.round()
	out, err := w.engine.Complete(t.Context(), alice, connect.CompleteRequest{Ticket: ticket})
	if err != nil || out.Status != connect.OutcomeConnected {
		t.Errorf("Complete within two minutes: %+v, %v, want connected", out, err)
	}
	w.settle()
	if got := w.revocations(); got != 0 {
		t.Errorf("%d revocations of a flow that was completed, want none", got)
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

func TestThreat5_TicketOfAnotherUserBurns(t *testing.T) {
	t.Parallel()
	for name, tt := range parkings {
		for who, thief := range map[string]connect.Principal{"session": mallory, "key": {Tenant: "acme", User: "mallory"}} {
			t.Run(name+"/"+who, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				ticket := w.parked(tt.platform)
				_, err := w.engine.Complete(t.Context(), thief, connect.CompleteRequest{Ticket: ticket})
				wantCode(t, err, connect.CodeBindingMismatch)
				out, err := w.engine.Complete(t.Context(), alice, connect.CompleteRequest{Ticket: ticket})
				if err != nil || out.Error != connect.CodeBindingMismatch {
					t.Errorf("the ticket afterwards: %+v, %v, want it burned", out, err)
				}
				w.wantBurned(out.FlowID)
				w.settle()
				if got := w.codeExchanges(tt.platform); got != tt.exchanges {
					t.Errorf("%d token requests, want %d", got, tt.exchanges)
				}
				if got := w.revocations() > 0; got != (tt.exchanges > 0) {
					t.Errorf("revoked: %v, want it where the code was exchanged", got)
				}
				w.wantNothingConnected()
			})
		}
	}
}

func TestThreat5_TicketOverHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := map[string]string{"ticket": w.parked("x")}
	if got := w.browser(&mallory).call(http.MethodPost, "/connect/complete", body).problem(t, http.StatusForbidden); got != "binding_mismatch" {
		t.Errorf("code %q, want binding_mismatch", got)
	}
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

// overtaken lets somebody else finish a flow just before it is failed.
type overtaken struct {
	connect.Store
	once  sync.Once
	first func()
}

func (s *overtaken) CommitFlow(ctx context.Context, commit connect.Commit) (connect.Flow, error) {
	if commit.Flow.Status == connect.FlowFailed && s.first != nil {
		s.once.Do(s.first)
	}
	return s.Store.CommitFlow(ctx, commit)
}

// Who loses the race for a flow must not revoke what the winner connected.
func TestThreat5_LoserTouchesNoToken(t *testing.T) {
	t.Parallel()
	store := &overtaken{}
	w := newWorld(t, func(c *connect.Config) { store.Store, c.Store = c.Store, store })
	authorize := w.browser(&alice).start("x", nil)
	system := w.browser(nil)
	ticket := system.arrive(system.consent(authorize, nil)).outcome(t).Get("ticket")
	var id string
	store.first = func() {
		out, err := w.engine.Complete(t.Context(), alice, connect.CompleteRequest{Ticket: ticket})
		if err != nil || len(out.Accounts) != 1 {
			t.Errorf("alice: %+v, %v", out, err)
			return
		}
		id = out.Accounts[0].ID
	}
	_, err := w.engine.Complete(t.Context(), mallory, connect.CompleteRequest{Ticket: ticket})
	wantCode(t, err, connect.CodeBindingMismatch)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.engine.Close(ctx); err != nil { // whatever was begun has ended
		t.Fatal(err)
	}
	if got := w.box.Requests("api.x.com", "/2/oauth2/revoke"); got != 0 {
		t.Errorf("%d revocations", got)
	}
	if status, err := w.call("acme", id, xMe); status != http.StatusOK || err != nil {
		t.Errorf("alice's account: status %d, %v", status, err)
	}
}

func TestTicketOfAnotherTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ticket := w.parked("x")
	for name, stranger := range map[string]*browser{"session": w.browser(&bob), "key": w.program("globex")} {
		got := stranger.call(http.MethodPost, "/connect/complete", map[string]string{"ticket": ticket})
		unknown := stranger.call(http.MethodPost, "/connect/complete", map[string]string{"ticket": strings.Repeat("A", len(ticket))})
		if code := got.problem(t, http.StatusNotFound); code != "not_found" || got.body != unknown.body {
			t.Errorf("%s: %s, want the answer to an unknown ticket: %s", name, got.body, unknown.body)
		}
	}
	if got := w.browser(nil).call(http.MethodPost, "/connect/complete", map[string]string{"ticket": ticket}).problem(t, http.StatusUnauthorized); got != "unauthenticated" {
		t.Errorf("nobody: code %q, want unauthenticated", got)
	}
	out, err := w.engine.Complete(t.Context(), alice, connect.CompleteRequest{Ticket: ticket})
	if err != nil || out.Status != connect.OutcomeConnected {
		t.Errorf("the owner afterwards: %+v, %v, want connected", out, err)
	}
}

func TestTicketIsCompletedOnce(t *testing.T) {
	t.Parallel()
	const calls = 20
	w := newWorld(t)
	ticket := w.parked("facebook")
	var sessions [calls]string
	var running sync.WaitGroup
	for i := range calls {
		running.Go(func() {
			out, err := w.engine.Complete(t.Context(), alice, connect.CompleteRequest{Ticket: ticket})
			if err != nil || out.Status != connect.OutcomePending {
				t.Errorf("Complete: %+v, %v, want pending", out, err)
				return
			}
			sessions[i] = out.Session
		})
	}
	running.Wait()
	for _, session := range sessions {
		if session != sessions[0] {
			t.Errorf("session %q, want %q in each answer", session, sessions[0])
		}
	}
	// One exchange is two requests there: the code, then the long-lived token.
	if got := w.codeExchanges("facebook"); got != 2 {
		t.Errorf("%d token requests, want 2", got)
	}
}

func TestCompleteQuery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, query, _ := strings.Cut(w.consented(), "?")
	req := connect.CompleteRequest{Platform: "x", Query: query}

	for name, wrong := range map[string]struct {
		who  connect.Principal
		req  connect.CompleteRequest
		want connect.Code
	}{
		"another tenant":    {bob, req, connect.CodeNotFound},
		"nobody":            {connect.Principal{}, req, connect.CodeUnauthenticated},
		"another platform":  {alice, connect.CompleteRequest{Platform: "facebook", Query: query}, connect.CodeInvalidRequest},
		"another client":    {alice, connect.CompleteRequest{Platform: "x", Client: "own", Query: query}, connect.CodeInvalidRequest},
		"unknown platform":  {alice, connect.CompleteRequest{Platform: "nosuch", Query: query}, connect.CodeUnknownPlatform},
		"no query":          {alice, connect.CompleteRequest{Platform: "x"}, connect.CodeInvalidRequest},
		"repeated":          {alice, connect.CompleteRequest{Platform: "x", Query: query + "&" + query}, connect.CodeInvalidRequest},
		"ticket and query":  {alice, connect.CompleteRequest{Platform: "x", Query: query, Ticket: "t"}, connect.CodeInvalidRequest},
		"ticket too long":   {alice, connect.CompleteRequest{Ticket: strings.Repeat("A", 65)}, connect.CodeInvalidRequest},
		"a ticket of ours?": {alice, connect.CompleteRequest{Ticket: strings.Repeat("A", 43)}, connect.CodeNotFound},
	} {
		if _, err := w.engine.Complete(t.Context(), wrong.who, wrong.req); connect.CodeOf(err) != wrong.want {
			t.Errorf("%s: error %v, want %q", name, err, wrong.want)
		}
	}
	w.wantExchanges(0)

	out, err := w.engine.Complete(t.Context(), alice, req)
	if err != nil || out.Status != connect.OutcomeConnected {
		t.Fatalf("Complete: %+v, %v, want connected", out, err)
	}
	again, err := w.engine.Complete(t.Context(), alice, req)
	if diff := cmp.Diff(out, again); diff != "" || err != nil {
		t.Errorf("Complete again: error %v, outcome (-first +second):\n%s", err, diff)
	}
	w.wantExchanges(1)
}

func TestCompleteQueryOfAnotherUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, query, _ := strings.Cut(w.consented(), "?")
	_, err := w.engine.Complete(t.Context(), mallory, connect.CompleteRequest{Platform: "x", Query: query})
	wantCode(t, err, connect.CodeBindingMismatch)
	out, err := w.engine.Complete(t.Context(), alice, connect.CompleteRequest{Platform: "x", Query: query})
	if err != nil || out.Status != connect.OutcomeError {
		t.Errorf("alice afterwards: %+v, %v, want an error", out, err)
	}
	w.wantBurned(out.FlowID)
	w.wantExchanges(0)
}

func TestKeyThatNamesNoUserEndsByTicket(t *testing.T) {
	t.Parallel()
	for _, binding := range []connect.Binding{connect.BindSession, connect.BindTicket} {
		t.Run(string(binding), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withBinding(binding))
			backend := w.program("acme")
			started := w.begin(acmeKey, connect.StartRequest{Platform: "x"})
			if got := w.flowRow(started.FlowID).Binding; got != connect.BindTicket {
				t.Errorf("binding %q, want ticket", got)
			}
			b := w.browser(&alice) // a person of the tenant: no stranger, and no proof
			back := b.arrive(b.consent(started.URL, nil)).outcome(t)
			if back.Get("status") != "continue" {
				t.Fatalf("outcome %v, want continue", back)
			}
			var out struct{ Status string }
			backend.json(http.MethodPost, "/connect/complete", map[string]string{"ticket": back.Get("ticket")}).decode(t, http.StatusOK, &out)
			if out.Status != "connected" {
				t.Errorf("outcome %+v, want connected", out)
			}
			if got := w.accounts(acmeKey); len(got) != 1 || got[0].ConnectedBy != "" {
				t.Errorf("accounts %+v, want one that no user connected", got)
			}
		})
	}
}

func TestAmbientPrincipalIsItself(t *testing.T) {
	t.Parallel()
	created := &createdStore{Store: memstore.New(nil)}
	w := newWorld(t, func(c *connect.Config) { c.Store = created })
	b := w.browser(&alice)
	if got := b.call(http.MethodPost, "/connect/start/x", map[string]string{"user": "mallory"}).problem(t, http.StatusForbidden); got != "forbidden" {
		t.Errorf("start: code %q, want forbidden", got)
	}
	b.get("/connect/start/x?user=mallory").wantStatus(t, http.StatusForbidden)
	credentials := map[string]string{"user": "mallory", "identifier": blueskyName, "app_password": blueskyPassword}
	if got := b.call(http.MethodPost, "/connect/credentials/bluesky", credentials).problem(t, http.StatusForbidden); got != "forbidden" {
		t.Errorf("credentials: code %q, want forbidden", got)
	}
	if got := created.count.Load(); got != 0 {
		t.Errorf("%d flows were created, want none", got)
	}
	b.call(http.MethodPost, "/connect/start/x", map[string]string{"user": "alice"}).wantStatus(t, http.StatusCreated)
}

// createdStore counts the flows that are created.
type createdStore struct {
	connect.Store

	count atomic.Int64
}

func (s *createdStore) CreateFlow(ctx context.Context, flow connect.Flow, caps connect.FlowCaps) error {
	s.count.Add(1)
	return s.Store.CreateFlow(ctx, flow, caps)
}
