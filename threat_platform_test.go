package connect_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/facebook"
	"github.com/seed944197df/connect/sandbox"
	"github.com/seed944197df/connect/selection"
	"github.com/seed944197df/connect/tokencrypt"
)

// tap stands between the engine and the sandbox and keeps what passes.
type tap struct {
	mu   sync.Mutex // guards seen
	seen []*http.Request
}

// tapped puts a tap into a configuration.
func (p *tap) tapped(t *testing.T) func(*connect.Config) {
	t.Helper()
	return func(cfg *connect.Config) {
		box, err := url.Parse(cfg.UnsafeRewriteHost)
		if err != nil {
			t.Fatal(err)
		}
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(box) }}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			p.seen = append(p.seen, r.Clone(context.WithoutCancel(r.Context())))
			p.mu.Unlock()
			proxy.ServeHTTP(w, r)
		}))
		t.Cleanup(server.Close)
		cfg.UnsafeRewriteHost = server.URL
	}
}

func (p *tap) requests() []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*http.Request(nil), p.seen...)
}

func (w *world) misbehave(f sandbox.Fault) {
	w.t.Helper()
	if err := w.box.SetFault(f); err != nil {
		w.t.Fatal(err)
	}
}

// The connection is warm and is closed when the request was read, which is
// where http.Transport repeats what it believes to be repeatable.
func TestThreat93_OneTokenRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	if got := b.connect("x", nil, nil).outcome(t); got.Get("status") != "connected" {
		t.Fatalf("warming up: %v", got)
	}
	before := w.exchanges()
	w.misbehave(sandbox.Fault{Platform: "x", Fault: "lost_answer", At: "token"})
	got := b.connect("x", nil, nil).outcome(t)
	if n := w.exchanges() - before; n != 1 {
		t.Errorf("the token endpoint saw %d requests, want 1", n)
	}
	if got.Get("status") != "error" || got.Get("error") != "platform_error" {
		t.Errorf("outcome %v", got)
	}
}

func TestThreat93_OneRefreshRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.browser(&alice).connect("x", nil, nil).outcome(t).Get("account_id")
	client, err := w.engine.Client(t.Context(), "acme", id)
	if err != nil {
		t.Fatal(err)
	}
	w.clock.advance(3 * time.Hour)
	before := w.exchanges()
	w.misbehave(sandbox.Fault{Platform: "x", Fault: "lost_answer", At: "refresh"})
	if resp, err := client.Get("https://api.x.com/2/users/me"); err == nil {
		_ = resp.Body.Close()
		t.Errorf("status %d, want an error", resp.StatusCode)
	}
	if n := w.exchanges() - before; n != 1 {
		t.Errorf("the token endpoint saw %d requests, want 1", n)
	}
}

// What makes http.Transport repeat a POST is never sent.
func TestThreat93_NothingInvitesARetry(t *testing.T) {
	t.Parallel()
	var p tap
	w := newWorld(t, p.tapped(t))
	b := w.browser(&alice)
	b.connect("x", nil, nil)
	b.connect("facebook", url.Values{"select": {"all"}}, nil)
	posts := 0
	for _, r := range p.requests() {
		if r.Method == http.MethodPost {
			posts++
		}
		if r.Header.Get("Idempotency-Key") != "" || r.Header.Get("X-Idempotency-Key") != "" {
			t.Errorf("%s %s has an idempotency key", r.Method, r.URL.Path)
		}
	}
	if posts < 3 {
		t.Errorf("only %d posts were seen", posts)
	}
}

// A token is in a header, never in an address, but where a platform reads it
// nowhere else: debug_token.
func TestThreat103_HeaderOnly(t *testing.T) {
	t.Parallel()
	var p tap
	w := newWorld(t, p.tapped(t))
	b := w.browser(&alice)
	b.connect("x", nil, nil)
	b.connect("facebook", url.Values{"select": {"all"}}, nil)
	login := b.call(http.MethodPost, "/connect/credentials/bluesky", map[string]string{"identifier": adaIdentifier, "app_password": adaAppPassword})
	login.decode(t, http.StatusCreated, &struct{}{})
	var tokens []string
	for _, account := range w.accounts(alice) {
		source, err := w.engine.TokenSource(t.Context(), "acme", account.ID)
		if err != nil {
			t.Fatal(err)
		}
		token, err := source.Token()
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token.AccessToken)
		client, err := w.engine.Client(t.Context(), "acme", account.ID)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Get(map[string]string{
			"x": "https://api.x.com/2/users/me", "facebook": "https://graph.facebook.com/v26.0/" + account.PlatformID,
			"bluesky": account.APIBaseURL + "/xrpc/com.atproto.server.getSession",
		}[account.Platform])
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if len(tokens) != 5 {
		t.Fatalf("%d tokens, want X's, three of Pages, Bluesky's", len(tokens))
	}
	signed := 0
	for _, r := range p.requests() {
		if strings.HasSuffix(r.URL.Path, "/debug_token") {
			continue
		}
		if r.Header.Get("Authorization") != "" {
			signed++
		}
		for _, secret := range append(tokens, xSecret, facebookSecret, adaAppPassword, "access_token=") {
			if strings.Contains(r.URL.String(), secret) || strings.Contains(r.URL.Query().Encode(), url.QueryEscape(secret)) || r.Header.Get("Referer") != "" {
				t.Errorf("%s %s: a secret or a referrer is sent", r.Method, r.URL.Path)
			}
		}
	}
	if signed < 8 {
		t.Errorf("only %d signed requests were seen", signed)
	}
}

const queryCanary = "canary-token-in-a-query"

// leaky is a provider whose platform wants its tokens in the query, and that
// hands on what http.Client says.
type leaky struct {
	*facebook.Provider

	wrap func(error) error
}

func (p leaky) call(ctx context.Context, env connect.Env) error {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://graph.facebook.com/v26.0/me?fields=id&access_token="+queryCanary, nil)
	if err != nil {
		return err
	}
	resp, err := env.HTTP.Do(r)
	if err != nil {
		return p.wrap(err)
	}
	return resp.Body.Close()
}

// Exchange implements [connect.OAuth].
func (p leaky) Exchange(ctx context.Context, env connect.Env, _ connect.AuthResponse) (*connect.Tokens, error) {
	err := p.call(ctx, env)
	if err == nil {
		err = &connect.ProviderError{Class: connect.ClassRetry, Code: "no_timeout"}
	}
	return nil, err
}

func TestThreat103_TimeoutTellsNoToken(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(error) error{
		"raw":     func(err error) error { return err },
		"wrapped": func(err error) error { return &connect.ProviderError{Class: connect.ClassRetry, Err: err} },
		"config":  func(err error) error { return &connect.ProviderError{Class: connect.ClassConfig, Err: err} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(cfg *connect.Config) {
				for i, provider := range cfg.Providers {
					if f, ok := provider.(*facebook.Provider); ok {
						cfg.Providers[i] = leaky{f, wrap}
					}
				}
			})
			w.misbehave(sandbox.Fault{Platform: "facebook", Fault: "hang", At: "profile"})
			b := w.browser(&alice)
			got := b.connect("facebook", nil, nil)
			if code := got.outcome(t).Get("error"); code != "platform_error" {
				t.Errorf("outcome %v", got.outcome(t))
			}
			page := b.get("/connect/ui/result?" + queryOf(t, got.location()))
			if !strings.Contains(w.logs.String(), "deadline") || !strings.Contains(w.logs.String(), "graph.facebook.com") {
				t.Errorf("the log does not say what happened: %s", w.logs)
			}
			if strings.Contains(w.logs.String()+got.location()+page.body, queryCanary) {
				t.Errorf("the token is told: %s", w.logs)
			}
		})
	}
}

// A page of 500 lines in place of JSON stays the platform's own.
func TestThreat104_NoBodyInErrors(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"500", "html"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			body := w.faultBody(fault)
			b := w.browser(&alice)
			id := b.connect("x", nil, nil).outcome(t).Get("account_id")
			var told []string
			for _, platform := range []string{"x", "facebook"} {
				for _, at := range []string{"token", "profile"} {
					w.misbehave(sandbox.Fault{Platform: platform, Fault: fault, At: at})
					got := b.connect(platform, nil, nil)
					if got.outcome(t).Get("error") != "platform_error" {
						t.Errorf("%s at %s: %v", platform, at, got.outcome(t))
					}
					told = append(told, got.location(), b.get(got.location()).body)
				}
			}
			w.misbehave(sandbox.Fault{Platform: "bluesky", Fault: fault, At: "token"})
			login := map[string]string{"identifier": adaIdentifier, "app_password": adaAppPassword}
			_, err := w.engine.ConnectCredentials(t.Context(), alice, connect.CredentialsRequest{Platform: "bluesky", Values: map[string]connect.Secret{
				"identifier": tokencrypt.NewSecret(adaIdentifier), "app_password": tokencrypt.NewSecret(adaAppPassword),
			}})
			if err == nil {
				t.Fatal("a page is taken for a session")
			}
			w.misbehave(sandbox.Fault{Platform: "bluesky", Fault: fault, At: "token"})
			told = append(told, err.Error(), b.call(http.MethodPost, "/connect/credentials/bluesky", login).body)
			w.clock.advance(3 * time.Hour)
			w.misbehave(sandbox.Fault{Platform: "x", Fault: fault, At: "refresh"})
			source, err := w.engine.TokenSource(t.Context(), "acme", id)
			if err == nil {
				t.Fatalf("a page is taken for a token: %v", source)
			}
			told = append(told, err.Error(), w.logs.String())
			for _, text := range told {
				for line := range strings.SplitSeq(body, "\n") {
					if line = strings.TrimSpace(line); len(line) > 12 && strings.Contains(text, line) {
						t.Errorf("%q is repeated in: %s", line, text)
					}
				}
			}
		})
	}
}

// faultBody is the page that the sandbox answers with under a fault.
func (w *world) faultBody(fault string) string {
	w.t.Helper()
	w.misbehave(sandbox.Fault{Platform: "x", Fault: fault, At: "profile"})
	got := w.browser(nil).do(http.MethodGet, w.boxHost+"/api.x.com/2/users/me", "", "")
	if !strings.Contains(got.body, "<html") || len(got.body) < 40 {
		w.t.Fatalf("the fault %s answers with %q", fault, got.body)
	}
	return got.body
}

// One person, one app, two tenants: Facebook ends everything at once, so that
// it is asked only when the last account has gone.
func TestThreat110_SharedPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := url.Values{"select": {string(selection.All)}}
	w.browser(&alice).connect("facebook", all, nil)
	w.browser(&bob).connect("facebook", all, nil)
	if len(w.accounts(alice)) != 3 || len(w.accounts(bob)) != 3 {
		t.Fatalf("%d and %d accounts", len(w.accounts(alice)), len(w.accounts(bob)))
	}
	revocations := func() int { return w.deletions() }
	for _, account := range w.accounts(alice) {
		if got := w.disconnect(alice, account.ID); got != connect.RevocationKeptShared {
			t.Errorf("in the first tenant: %q", got)
		}
	}
	if n := revocations(); n != 0 {
		t.Fatalf("%d revocations while another tenant has accounts", n)
	}
	theirs := w.accounts(bob)
	for i, account := range theirs {
		w.callsPage(account)
		want := connect.RevocationKeptShared
		if i == len(theirs)-1 {
			want = connect.RevocationRevoked
		}
		if got := w.disconnect(bob, account.ID); got != want {
			t.Errorf("account %d in the second tenant: %q, want %q", i, got, want)
		}
	}
	if n := revocations(); n != 1 {
		t.Errorf("%d revocations, want 1 by the last one out", n)
	}
}

// A flow that comes to nothing must not revoke what others live on either.
func TestThreat110_AbandonedFlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.browser(&bob).connect("facebook", url.Values{"select": {"all"}}, nil)
	b := w.browser(&alice)
	ticket := w.browser(nil).arrive(b.consent(b.start("facebook", nil), nil)).outcome(t).Get("ticket")
	w.browser(&mallory).call(http.MethodPost, "/connect/complete", map[string]string{"ticket": ticket})
	session := b.connect("facebook", url.Values{"mode": {"headless"}}, nil).outcome(t).Get("session")
	cfg := w.config
	cfg.Authorize = func(context.Context, connect.Principal, connect.Action) error { return errBroken }
	strict, err := connect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := strict.Finalize(t.Context(), alice, session, connect.FinalizeRequest{SelectedIDs: []string{firstPage}}); connect.CodeOf(err) != connect.CodeForbidden {
		t.Errorf("finalize: %v", err)
	}
	if err := strict.Close(t.Context()); err != nil { // waits for what it revokes
		t.Fatal(err)
	}
	if n := w.deletions(); n != 0 {
		t.Errorf("%d revocations while another tenant has accounts", n)
	}
	for _, account := range w.accounts(bob) {
		w.callsPage(account)
	}
}

// deletions counts the requests that revoke a person's consent: DELETE of the
// permissions, which are read under /me.
func (w *world) deletions() int {
	return w.box.Requests("graph.facebook.com", "/v26.0/102233445566778/permissions")
}

func (w *world) disconnect(p connect.Principal, id string) connect.Revocation {
	w.t.Helper()
	done, err := w.engine.Disconnect(w.t.Context(), p, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return done.Revocation
}

// callsPage calls the platform as a Page.
func (w *world) callsPage(account connect.Account) {
	w.t.Helper()
	client, err := w.engine.Client(w.t.Context(), account.Tenant, account.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := client.Get("https://graph.facebook.com/v26.0/" + account.PlatformID + "?fields=name")
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		w.t.Errorf("a call as %s: status %d", account.Name, resp.StatusCode)
	}
}
