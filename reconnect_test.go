package connect_test

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sandbox"
)

// raceRounds is how often a race is run: less often on a file, which is synced
// at each step.
func raceRounds(store string) int {
	if testing.Short() || store != "memstore" {
		return 20
	}
	return 200
}

// A reconnect that is finished while a refresh of the old chain is on its way
// wins: what comes late is neither stored, nor is anything revoked by it.
func TestFault22_ReconnectDuringRefresh(t *testing.T) {
	t.Parallel()
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b := newBench(t, clock.Now, keptIn(store(t, clock.Now)))
			account := b.connect()
			for i := range raceRounds(name) {
				clock.advance(fakeLife)
				b.late(account, func() {
					b.fake.answer("login", b.fake.tokens("first"))
					out, err := b.engine.ConnectCredentials(t.Context(), acmeKey, connect.CredentialsRequest{Platform: "fake", AccountID: account.ID})
					if err != nil || len(out.Accounts) != 1 || out.Accounts[0].ID != account.ID {
						t.Errorf("reconnect %d: %+v, %v", i, out, err)
					}
				})
				b.wantToken(account, "access-first") // of the new consent
				if got := b.grant(account); got.Status != connect.GrantActive || got.Generation != int64(2+i) || got.Attempt != "" {
					t.Fatalf("after %d: the grant is %s, generation %d, held by %q", i, got.Status, got.Generation, got.Attempt)
				}
			}
			if _, revoked, _ := b.fake.asked(); len(revoked) != 0 {
				t.Errorf("revoked %q, want nothing", revoked)
			}
		})
	}
}

// A disconnect while a refresh is on its way stays a disconnect: what comes
// late is revoked and not stored.
func TestFault23_DisconnectDuringRefresh(t *testing.T) {
	t.Parallel()
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b := newBench(t, clock.Now, keptIn(store(t, clock.Now)))
			for i := range raceRounds(name) {
				account := b.connect()
				clock.advance(fakeLife)
				b.fake.answer("revoke", slices.Repeat([]fakeAnswer{succeeds}, 2)...) // each of the two tokens
				b.late(account, func() {
					if _, err := b.engine.Disconnect(t.Context(), acmeKey, account.ID); err != nil {
						t.Error(err)
					}
				})
				grant := b.grant(account)
				if b.status(account) != connect.AccountDisconnected || grant.Status != connect.GrantDead || grant.Sealed != nil {
					t.Fatalf("after %d: the account is %s, the grant %s with %d bytes", i, b.status(account), grant.Status, len(grant.Sealed))
				}
			}
			_, revoked, _ := b.fake.asked()
			slices.Sort(revoked)
			want := slices.Concat(slices.Repeat([]string{"access-first"}, raceRounds(name)), slices.Repeat([]string{"access-late"}, raceRounds(name)))
			if diff := cmp.Diff(want, revoked); diff != "" {
				t.Errorf("revoked (-want +got):\n%s", diff)
			}
		})
	}
}

// Disconnecting ends a grant at the platform, now or later, and here in any
// case. What became of it can be seen each time one asks.
func TestThreat109_RevocationIsRetried(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault   string
		waits   time.Duration // until the platform is asked again
		first   int           // requests that it got before
		answers connect.Revocation
	}{
		"it works":             {"", 0, 2, connect.RevocationRevoked},
		"the platform is down": {"500", 2 * time.Minute, 1, connect.RevocationPending},
		"too many requests":    {"429", 15 * time.Minute, 1, connect.RevocationPending},
		"the answer is lost":   {"lost_answer", 2 * time.Minute, 1, connect.RevocationPending}, // it does not know the token then
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.browser(&alice)
			id := b.connected("x", nil, nil)[0]
			if tt.fault != "" {
				w.fault(sandbox.Fault{Platform: "x", Fault: tt.fault, At: "revoke"})
			}
			ask := func() any {
				return b.call(http.MethodDelete, "/connect/accounts/"+id, nil).object(t, http.StatusOK)["revocation"]
			}
			for range 3 { // asking again does not ask the platform again
				if got := ask(); got != string(tt.answers) {
					t.Errorf("revocation %v, want %s", got, tt.answers)
				}
			}
			account := w.account(alice, id)
			if account.Status != connect.AccountDisconnected || account.Sealed != nil {
				t.Errorf("the account is %s with %d bytes", account.Status, len(account.Sealed))
			}
			_, err := w.engine.Client(t.Context(), "acme", id)
			wantCode(t, err, connect.CodeDisconnected)
			if tt.waits > 0 {
				w.clock.advance(tt.waits / 2)
				w.round()
			}
			if got := w.revocations(); got != tt.first && tt.fault != "500" && tt.fault != "lost_answer" {
				t.Errorf("%d requests before the time has come, want %d", got, tt.first)
			}
			w.clock.advance(tt.waits)
			w.round()
			if got := ask(); got != string(connect.RevocationRevoked) {
				t.Errorf("afterwards: %v, want revoked", got)
			}
			if got := w.grantOf(account); got.Status != connect.GrantDead || got.Sealed != nil {
				t.Errorf("the grant is %s with %d bytes", got.Status, len(got.Sealed))
			}
		})
	}
}

// How long a platform wants to be left alone is its own word.
func TestThreat109_RetryAfter(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	account := b.connect()
	for _, wait := range []time.Duration{10 * time.Minute, 25 * time.Minute, 3 * time.Hour} {
		b.fake.answer("revoke", func(context.Context) (*connect.Tokens, error) {
			return nil, &connect.ProviderError{Class: connect.ClassRetry, Status: http.StatusServiceUnavailable, RetryAfter: wait}
		})
	}
	done, err := b.engine.Disconnect(t.Context(), acmeKey, account.ID)
	if err != nil || done.Revocation != connect.RevocationPending {
		t.Fatalf("%+v, %v: want it pending", done, err)
	}
	for i, wait := range []time.Duration{10 * time.Minute, 25 * time.Minute, time.Hour} { // no longer than that
		clock.advance(wait - time.Second)
		b.round()
		if _, revoked, _ := b.fake.asked(); len(revoked) != 1+i {
			t.Fatalf("asked %d times, %v after %d", len(revoked), wait, 1+i)
		}
		clock.advance(time.Second)
		if i == 2 {
			b.fake.answer("revoke", succeeds)
		}
		b.round()
	}
	if got := b.grant(account); got.Status != connect.GrantDead || got.Reason != connect.Code(connect.RevocationRevoked) {
		t.Errorf("the grant is %s, %s", got.Status, got.Reason)
	}
}

// The connect page says what is wrong with an account, and its button leads to
// the same account again.
func TestConnectPageReconnects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	x := b.connected("x", nil, nil)[0]
	ada := w.ada().ID
	w.clock.advance(blueskyLife)
	for platform, id := range map[string]string{"x": x, "bluesky": ada} {
		w.fault(sandbox.Fault{Platform: platform, Fault: "invalid_grant", At: "refresh"})
		_, err := w.engine.TokenSource(t.Context(), "acme", id)
		wantCode(t, err, connect.CodeReauthRequired)
	}
	back := w.host.URL + appHost + "?a=b"
	page := b.get("/connect/ui/?return_url=" + url.QueryEscape(back))
	hrefs := map[string]string{}
	for _, href := range reconnects.FindAllStringSubmatch(page.body, -1) {
		target := html.UnescapeString(href[1])
		hrefs[mustParse(t, target).Query().Get("account_id")] = target
	}
	query := url.Values{"return_url": {back}}
	want := map[string]string{
		x:   "/connect/start/x?account_id=" + x + "&" + query.Encode(),
		ada: "/connect/ui/credentials/bluesky?account_id=" + ada + "&" + query.Encode(),
	}
	if diff := cmp.Diff(want, hrefs); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	if got := strings.Count(page.body, `class="advice"`); got != 2 {
		t.Errorf("%d accounts have their sentence, want 2: %s", got, page.body)
	}

	if got := b.arrive(b.consent(b.get(hrefs[x]).location(), nil)).outcome(t); got.Get("account_id") != x || got.Get("a") != "b" {
		t.Errorf("outcome %v, want the same account", got)
	}
	form := url.Values{"csrf_token": {b.get(hrefs[ada]).formToken(t)}, "identifier": {adaIdentifier}, "app_password": {adaAppPassword}}
	if got := b.post(hrefs[ada], form).outcome(t); got.Get("account_id") != ada {
		t.Errorf("outcome %v, want the same account", got)
	}
	w.wantStatus(x, connect.AccountActive)
	w.wantStatus(ada, connect.AccountActive)
	if page := b.get("/connect/ui/"); len(reconnects.FindAllString(page.body, -1)) != 0 {
		t.Error("the page still wants a reconnect")
	}
}

var reconnects = regexp.MustCompile(`href="([^"]*account_id=[^"]*)"`)
