package connect_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sandbox"
	"github.com/seed944197df/connect/tokencrypt"
)

// refusedLogin posts credentials that must be refused and checks that nothing
// is connected.
func (w *world) refusedLogin(t *testing.T, body object, status int, code string) {
	t.Helper()
	got := w.browser(&alice).call(http.MethodPost, "/connect/credentials/bluesky", body)
	if p := got.problem(t, status); p != code {
		t.Errorf("code %s, want %s", p, code)
	}
	for _, typed := range body {
		if strings.Contains(got.body, typed.(string)) || strings.Contains(w.logs.String(), typed.(string)) {
			t.Errorf("what was typed is repeated: %s\n%s", got.body, w.logs)
		}
	}
	if n := len(w.accounts(alice)); n != 0 {
		t.Errorf("%d accounts", n)
	}
	for _, told := range w.events("acme") {
		if told != "flow.failed" {
			t.Errorf("event %s", told)
		}
	}
}

func TestBadInputCredentials(t *testing.T) {
	t.Parallel()
	logins := func(w *world) int {
		return w.box.Requests("pds.sandbox.test", "/xrpc/com.atproto.server.createSession")
	}
	for name, password := range map[string]string{
		"main password": "correct horse battery staple", "almost an app password": "sand-box2-test-pas1", "too long": strings.Repeat("a", 100), "in capitals": "SAND-BOX2-TEST-PASS",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.refusedLogin(t, object{"identifier": "ada.sandbox.test", "app_password": password}, http.StatusUnprocessableEntity, "credentials_refused")
			if n := logins(w); n != 0 {
				t.Errorf("the password was sent %d times", n)
			}
		})
	}
	t.Run("wrong app password", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.refusedLogin(t, object{"identifier": "ada.sandbox.test", "app_password": "wwww-rrrr-oooo-nnnn"}, http.StatusUnprocessableEntity, "credentials_refused")
		if n := logins(w); n != 1 {
			t.Errorf("the password was sent %d times, want once", n)
		}
	})
	t.Run("unknown handle", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		got := w.browser(&alice).call(http.MethodPost, "/connect/credentials/bluesky", object{"identifier": "nobody.sandbox.test", "app_password": "sand-box2-test-pass"})
		if got.status != http.StatusUnprocessableEntity && got.status != http.StatusBadGateway {
			t.Errorf("status %d: %s", got.status, got.body)
		}
	})
	t.Run("server that fails", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.fault(sandbox.Fault{Platform: "bluesky", Fault: "500", At: "token"})
		w.refusedLogin(t, credentials(), http.StatusBadGateway, "platform_error")
	})
	t.Run("server that cannot be reached", func(t *testing.T) {
		t.Parallel()
		closed, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = closed.Close()
		w := newWorld(t, func(c *connect.Config) { c.UnsafeRewriteHost = "http://" + closed.Addr().String() })
		w.refusedLogin(t, object{"identifier": "ada@sandbox.test", "app_password": "sand-box2-test-pass", "pds": "pds.sandbox.test"}, http.StatusBadGateway, "platform_error")
	})
}

// limited is a refusal that says when to come back.
func (r reply) limited(t *testing.T) {
	t.Helper()
	var p struct {
		Code       string
		RetryAfter int `json:"retry_after"`
	}
	r.decode(t, http.StatusTooManyRequests, &p)
	if p.Code != "rate_limited" || p.RetryAfter < 1 || r.header.Get("Retry-After") == "" {
		t.Errorf("header %v, body %s", r.header, r.body)
	}
}

func TestBadInputEleventhTry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	wrong := object{"identifier": "ada.sandbox.test", "app_password": "wwww-rrrr-oooo-nnnn"}
	for range 10 {
		b.call(http.MethodPost, "/connect/credentials/bluesky", wrong).wantStatus(t, http.StatusUnprocessableEntity)
	}
	sent := w.box.Requests("pds.sandbox.test", "/xrpc/com.atproto.server.createSession")
	b.call(http.MethodPost, "/connect/credentials/bluesky", credentials()).limited(t)
	if n := w.box.Requests("pds.sandbox.test", "/xrpc/com.atproto.server.createSession"); n != sent || sent != 10 {
		t.Errorf("%d tries were sent, then %d", sent, n)
	}
	w.browser(&bob).call(http.MethodPost, "/connect/credentials/bluesky", credentials()).wantStatus(t, http.StatusCreated)
	w.clock.advance(61 * time.Second)
	b.call(http.MethodPost, "/connect/credentials/bluesky", credentials()).wantStatus(t, http.StatusCreated)
}

func TestBadInputOpenFlows(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*connect.Config){
		"of a user":   func(c *connect.Config) { c.MaxOpenFlowsPerUser = 2 },
		"of a tenant": func(c *connect.Config) { c.MaxOpenFlowsPerTenant = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var book ledger
			w := newWorld(t, change, keepLedger(&book))
			b := w.browser(&alice)
			b.begin("x", nil)
			b.begin("facebook", nil)
			before := book.count()
			b.call(http.MethodPost, "/connect/start/x", nil).limited(t)
			if got := b.get("/connect/start/x"); got.status != http.StatusTooManyRequests || got.location() != "" {
				t.Errorf("navigation: status %d", got.status)
			}
			if wrote := book.since(before); len(wrote) != 0 {
				t.Errorf("something was stored: %v", wrote)
			}
			want := http.StatusCreated
			if name == "of a tenant" {
				want = http.StatusTooManyRequests
			}
			w.browser(&mallory).call(http.MethodPost, "/connect/start/x", nil).wantStatus(t, want)
			w.browser(&bob).call(http.MethodPost, "/connect/start/x", nil).wantStatus(t, http.StatusCreated)
		})
	}
}

// TestBadInputWrongKeys: with the wrong key ring nothing works, nothing is
// lost, and it works again with the right one.
func TestBadInputWrongKeys(t *testing.T) {
	t.Parallel()
	var book ledger
	w := newWorld(t, keepLedger(&book))
	b := w.browser(&alice)
	profile := b.connected("x", nil, nil)[0]
	page := b.connected("facebook", nil, as("single"))[0]
	flowID, target := b.begin("x", nil)
	session := b.session("dana")
	before, account := book.count(), w.account(alice, profile)

	for name, ring := range map[string]*tokencrypt.Keyring{"another key": newKeyring(t, "k2"), "another key of the same id": newKeyring(t, "k1")} {
		cfg := w.config
		cfg.Keys = ring
		other, err := connect.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		want := tokencrypt.ErrKeyUnavailable
		if name == "another key of the same id" {
			want = tokencrypt.ErrIntegrity
		}
		for id, target := range map[string]string{profile: "https://api.x.com/2/users/me", page: "https://graph.facebook.com/v26.0/me"} {
			client, err := other.Client(t.Context(), "acme", id)
			if err == nil {
				_, err = client.Get(target)
			}
			if !errors.Is(err, want) || connect.CodeOf(err) != connect.CodeUnavailable {
				t.Errorf("%s: error %v, want %v", name, err, want)
			}
		}
		if _, err := other.Pending(t.Context(), alice, session, connect.PendingRequest{}); !errors.Is(err, want) {
			t.Errorf("%s: pending: %v", name, err)
		}
		if _, err := other.Flow(t.Context(), alice, flowID); !errors.Is(err, want) {
			t.Errorf("%s: flow: %v", name, err)
		}
	}
	if wrote := book.since(before); len(wrote) != 0 {
		t.Errorf("something was stored: %v", wrote)
	}
	if diff := cmp.Diff(account, w.account(alice, profile)); diff != "" {
		t.Errorf("the account changed (-before +after):\n%s", diff)
	}
	for id, target := range map[string]string{profile: "https://api.x.com/2/users/me", page: "https://graph.facebook.com/v26.0/me"} {
		if status, err := w.call("acme", id, target); status != http.StatusOK || err != nil {
			t.Errorf("with the right key: %d, %v", status, err)
		}
	}
	if got := b.arrive(b.consent(target, nil)).outcome(t); got.Get("status") != "connected" {
		t.Errorf("with the right key: %v", got)
	}
	b.get("/connect/pending/"+session).wantStatus(t, http.StatusOK)
}
