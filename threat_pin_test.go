package connect_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed944197df/connect"
)

// canaryHost counts what reaches it and keeps the Authorization headers.
type canaryHost struct {
	mu       sync.Mutex // guards what follows
	hosts    []string
	tokens   []string
	redirect string
	box      http.Handler
}

// ServeHTTP stands in front of the sandbox, where every outbound call arrives.
func (c *canaryHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	c.mu.Lock()
	c.hosts = append(c.hosts, host)
	c.tokens = append(c.tokens, r.Header.Get("Authorization"))
	redirect := c.redirect
	c.mu.Unlock()
	if redirect != "" {
		w.Header().Set("Location", redirect)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	c.box.ServeHTTP(w, r)
}

func (c *canaryHost) reset(redirect string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hosts, c.tokens, c.redirect = nil, nil, redirect
}

// strangers are addresses that look like X's, or are reached by way of it.
func strangers(canaryURL string) map[string]string {
	return map[string]string{
		"another host":            "https://evil.example.com/2/users/me",
		"a canary":                canaryURL,
		"a canary over http":      strings.Replace(canaryURL, "https:", "http:", 1),
		"another platform":        "https://graph.facebook.com/v26.0/me",
		"http":                    "http://api.x.com/2/users/me",
		"another port":            "https://api.x.com:8443/2/users/me",
		"port 80":                 "https://api.x.com:80/2/users/me",
		"user":                    "https://user@api.x.com/2/users/me",
		"user and password":       "https://user:pass@api.x.com/2/users/me",
		"the platform as user":    "https://api.x.com@evil.example.com/2/users/me",
		"the platform in front":   "https://api.x.com.evil.example.com/2/users/me",
		"the platform's end":      "https://evilapi.x.com/2/users/me",
		"a host above":            "https://x.com/2/users/me",
		"a host below":            "https://a.api.x.com/2/users/me",
		"a dot at its end":        "https://api.x.com./2/users/me",
		"letters that look alike": "https://\u0430pi.x.com/2/users/me",
		"a full stop of another":  "https://api\u3002x.com/2/users/me",
		"the platform as path":    "https://evil.example.com/api.x.com",
		"an address":              "https://127.0.0.1/2/users/me",
		"an address of IPv6":      "https://[::1]/2/users/me",
		"no host":                 "https:///2/users/me",
		"another scheme":          "ftp://api.x.com/2/users/me",
	}
}

// TestThreat66_ClientStaysWithThePlatform: no address that a caller could be
// talked into makes Client send the token elsewhere.
func TestThreat66_ClientStaysWithThePlatform(t *testing.T) {
	t.Parallel()
	canary := &canaryHost{}
	front := httptest.NewServer(canary)
	t.Cleanup(front.Close)
	w := newWorld(t, func(c *connect.Config) { c.UnsafeRewriteHost = front.URL })
	canary.box = w.box
	listener := &canaryHost{box: http.NotFoundHandler()}
	elsewhere := httptest.NewTLSServer(listener)
	t.Cleanup(elsewhere.Close)
	w.boxHost = front.URL
	id := w.browser(&alice).connected("x", nil, nil)[0]
	client, err := w.engine.Client(t.Context(), "acme", id)
	if err != nil {
		t.Fatal(err)
	}

	canary.reset("")
	for name, target := range strangers(elsewhere.URL) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.wantStaysHome(t, name, client, req)
	}
	for name, change := range map[string]func(*http.Request){
		"a Host header":     func(r *http.Request) { r.Host = "evil.example.com" },
		"an uppercase host": func(r *http.Request) { r.URL.Host = "API.X.COM:443@evil.example.com" },
		"an opaque address": func(r *http.Request) { r.URL.Opaque = "//evil.example.com/2/users/me" },
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.x.com/2/users/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(req)
		w.wantStaysHome(t, name, client, req)
	}
	if len(canary.hosts)+len(listener.hosts) != 0 {
		t.Errorf("requests left: %v, %v", canary.hosts, listener.hosts)
	}

	// Upper case is the same host, or refused: never another.
	_, _ = w.call("acme", id, "https://API.X.COM/2/users/me")
	for _, host := range canary.hosts {
		if strings.ToLower(host) != "api.x.com" {
			t.Errorf("upper case led to %s", host)
		}
	}

	// What is allowed arrives with the token, so that the canary can sing.
	canary.reset("")
	if status, err := w.call("acme", id, "https://api.x.com/2/users/me"); status != http.StatusOK || err != nil {
		t.Errorf("the platform itself: %d, %v", status, err)
	}
	if len(canary.tokens) != 1 || !strings.HasPrefix(canary.tokens[0], "Bearer ") {
		t.Errorf("the canary saw %d requests", len(canary.tokens))
	}

	// A redirect is the caller's to see, and is not followed.
	canary.reset(elsewhere.URL)
	if status, err := w.call("acme", id, "https://api.x.com/2/users/me"); status != http.StatusTemporaryRedirect || err != nil {
		t.Errorf("redirect: %d, %v", status, err)
	}
	if len(canary.hosts) != 1 || len(listener.hosts) != 0 {
		t.Errorf("the redirect was followed: %v, %v", canary.hosts, listener.hosts)
	}
}

// wantStaysHome fails where the request is sent.
func (w *world) wantStaysHome(t *testing.T, name string, client *http.Client, req *http.Request) {
	t.Helper()
	resp, err := client.Do(req)
	if err == nil {
		_ = resp.Body.Close()
		t.Errorf("%s: sent, status %d", name, resp.StatusCode)
		return
	}
	if connect.CodeOf(err) != connect.CodeForbidden && !strings.Contains(err.Error(), "no Host in request URL") {
		t.Errorf("%s: %v, want forbidden", name, err)
	}
	if req.Header.Get("Authorization") != "" {
		t.Errorf("%s: the caller's request has the token", name)
	}
}

// TestThreat66_RealNetwork is the same without a sandbox: a listener that
// stands for every host sees connections to the platform only.
func TestThreat66_RealNetwork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.browser(&alice).connected("x", nil, nil)[0]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	came := make(chan struct{}, 100)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			came <- struct{}{}
			_ = conn.Close()
		}
	}()
	cfg := w.config
	cfg.UnsafeRewriteHost = ""
	cfg.UnsafeDial = map[string]string{}
	for _, host := range []string{"api.x.com:443", "api.x.com:80", "api.x.com:8443", "evil.example.com:443", "x.com:443", "graph.facebook.com:443", "api.x.com.evil.example.com:443"} {
		cfg.UnsafeDial[host] = listener.Addr().String()
	}
	engine, err := connect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	client, err := engine.Client(t.Context(), "acme", id)
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range strangers("https://" + listener.Addr().String()) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.wantStaysHome(t, name, client, req)
	}
	if n := len(came); n != 0 {
		t.Errorf("%d connections", n)
	}
	resp, err := client.Get("https://api.x.com/2/users/me")
	if err == nil {
		_ = resp.Body.Close()
		t.Error("the listener spoke TLS")
	}
	<-came
}

// An answer's Request is what the caller asked, not what was sent: it would
// turn every client into a token getter.
func TestThreat66_AnswerTellsNoToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.browser(&alice).connected("facebook", url.Values{"select": {"first"}}, nil)
	account := w.account(acmeKey, ids[0])
	client, err := w.engine.Client(t.Context(), "acme", account.ID)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get(account.APIBaseURL + "/" + account.PlatformID + "?fields=name")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Request.Header.Get("Authorization") != "" || strings.Contains(resp.Request.URL.String(), "proof") {
		t.Errorf("status %d, the answer's request is %s with %v", resp.StatusCode, resp.Request.URL.Path, resp.Request.Header)
	}
}

// A person moves to another server while the old one holds its answer. The
// repeat must not bring the new server's token to the old one.
func TestThreat66_RepeatStaysWithTheServer(t *testing.T) {
	t.Parallel()
	var b *bench
	login := func(name, host string) connect.Account {
		b.fake.answer("login", func(ctx context.Context) (*connect.Tokens, error) {
			tokens, err := b.fake.tokens(name)(ctx)
			tokens.Hosts, tokens.APIBaseURL = []string{host}, "https://"+host
			return tokens, err
		})
		out, err := b.engine.ConnectCredentials(t.Context(), acmeKey, connect.CredentialsRequest{Platform: "fake"})
		if err != nil {
			t.Fatal(err)
		}
		return out.Accounts[0]
	}
	var mu sync.Mutex
	var seen []string
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if seen = append(seen, r.Header.Get("Authorization")); len(seen) == 1 {
			login("new", "good.test")
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(platform.Close)
	b = newBench(t, time.Now, func(c *connect.Config) { c.UnsafeRewriteHost = platform.URL })
	account := login("old", "evil.test")
	client, err := b.engine.Client(t.Context(), "acme", account.ID)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get("https://evil.test/me")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if len(seen) != 1 || seen[0] != "Bearer access-old" {
		t.Errorf("the old server saw %d requests, want one with its own token", len(seen))
	}
}
