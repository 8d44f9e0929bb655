package connect_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sandbox"
	"github.com/seed944197df/connect/tokencrypt"
)

const (
	xMe         = "https://api.x.com/2/users/me"
	adaSession  = "https://pds.sandbox.test/xrpc/com.atproto.server.getSession"
	fakeAPI     = "https://api.fake.test/v1/posts"
	xLife       = 2 * time.Hour // of X's access tokens
	blueskyLife = 2 * time.Hour
)

// rotating are the sandbox's platforms with refresh tokens.
var rotating = map[string]struct {
	connect   func(w *world) (accountID string)
	target    string // a call that needs a token
	refreshes func(w *world) int
}{
	"x": {
		func(w *world) string { return w.browser(&alice).connected("x", nil, nil)[0] }, xMe,
		func(w *world) int { return w.exchanges() - 1 },
	},
	"bluesky": {
		func(w *world) string { return w.ada().ID }, adaSession,
		func(w *world) int {
			return w.box.Requests("pds.sandbox.test", "/xrpc/com.atproto.server.refreshSession")
		},
	},
}

// ada is the account of Ada at Bluesky, connected by acme.
func (w *world) ada() connect.Account {
	w.t.Helper()
	values := map[string]connect.Secret{}
	for name, value := range credentials() {
		text, _ := value.(string)
		values[name] = tokencrypt.NewSecret(text)
	}
	out, err := w.engine.ConnectCredentials(w.t.Context(), alice, connect.CredentialsRequest{Platform: "bluesky", Values: values})
	if err != nil {
		w.t.Fatal(err)
	}
	return out.Accounts[0]
}

// wantCall fails where a call as the account is not answered with 200.
func (w *world) wantCall(accountID, target string) {
	w.t.Helper()
	if status, err := w.call("acme", accountID, target); err != nil || status != http.StatusOK {
		w.t.Errorf("status %d, %v: want 200", status, err)
	}
}

func (w *world) wantStatus(accountID string, want connect.AccountStatus) {
	w.t.Helper()
	if got := w.account(acmeKey, accountID).Status; got != want {
		w.t.Errorf("the account is %s, want %s", got, want)
	}
}

func TestClientRefreshesBeforeTheEnd(t *testing.T) {
	t.Parallel()
	for name, p := range rotating {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := p.connect(w)
			w.wantCall(id, p.target)
			if got := p.refreshes(w); got != 0 {
				t.Errorf("%d refreshes of a new token", got)
			}
			for round := 1; round <= 3; round++ {
				w.clock.advance(xLife - 10*time.Second) // not over, but it may be when the request arrives
				w.wantCall(id, p.target)
				w.wantCall(id, p.target)
				if got := p.refreshes(w); got != round {
					t.Errorf("%d refreshes, want %d", got, round)
				}
			}
			w.wantStatus(id, connect.AccountActive)
		})
	}
}

// X says 401 where a token is over, and Bluesky says 400 ExpiredToken.
func TestClientRefreshesWhenToldTo(t *testing.T) {
	t.Parallel()
	for name, p := range rotating {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := p.connect(w)
			w.fault(sandbox.Fault{Platform: name, Fault: "expired_token", At: "profile"})
			w.wantCall(id, p.target)
			if got := p.refreshes(w); got != 1 {
				t.Errorf("%d refreshes, want 1", got)
			}
			// A platform that never has enough gets one refresh per request.
			w.fault(sandbox.Fault{Platform: name, Fault: "expired_token", At: "profile", Times: 10})
			if status, err := w.call("acme", id, p.target); err != nil || status/100 != 4 {
				t.Errorf("status %d, %v: want the platform's own answer", status, err)
			}
			if got := p.refreshes(w); got != 2 {
				t.Errorf("%d refreshes, want 2", got)
			}
			w.wantStatus(id, connect.AccountActive)
		})
	}
}

// apiServer is a platform's API that knows one token.
type apiServer struct {
	mu    sync.Mutex
	valid string   // the Authorization that works
	got   []string // each request: Authorization and body

	refused atomic.Int64
	onOver  func(n int64) // called after the nth answer that the token is over
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.got = append(s.got, r.Header.Get("Authorization")+" "+string(body))
	over := r.Header.Get("Authorization") != s.valid
	s.mu.Unlock()
	if !over {
		return
	}
	w.WriteHeader(http.StatusUnauthorized)
	if n := s.refused.Add(1); s.onOver != nil {
		s.onOver(n)
	}
}

func (s *apiServer) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// withAPI puts api in place of the fake's API.
func withAPI(t *testing.T, api http.Handler) func(*connect.Config) {
	t.Helper()
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	return func(c *connect.Config) { c.UnsafeRewriteHost = server.URL }
}

func TestClientRepeatsWithTheBody(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body io.Reader
		want []string
	}{
		"none":      {nil, []string{"Bearer access-first ", "Bearer access-second "}},
		"again":     {bytes.NewReader([]byte("hello")), []string{"Bearer access-first hello", "Bearer access-second hello"}},
		"only once": {io.NopCloser(strings.NewReader("hello")), []string{"Bearer access-first hello"}}, // for the next one
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := &apiServer{valid: "Bearer access-second"}
			b := newBench(t, newClock().Now, withAPI(t, api))
			account := b.connect()
			status := http.StatusUnauthorized
			b.fake.answer("refresh", b.fake.tokens("second"))
			if len(tt.want) == 2 {
				status = http.StatusOK
			}
			client, err := b.engine.Client(t.Context(), "acme", account.ID)
			if err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fakeAPI, tt.body)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != status {
				t.Errorf("status %d, want %d", resp.StatusCode, status)
			}
			if diff := cmp.Diff(tt.want, api.requests()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// All get the same 401 before the refresh is answered.
func TestClientRefreshesOnceForAll(t *testing.T) {
	t.Parallel()
	const callers = 200
	asked, release := make(chan struct{}), make(chan struct{})
	api := &apiServer{valid: "Bearer access-second", onOver: func(n int64) {
		if n == callers {
			close(release)
		}
	}}
	b := newBench(t, newClock().Now, withAPI(t, api))
	account := b.connect()
	b.fake.answer("refresh", held(asked, release, b.fake.tokens("second")))
	client, err := b.engine.Client(t.Context(), "acme", account.ID)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			resp, err := client.Get(fakeAPI)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	}
	all.Wait()
	b.wantPresented("refresh-first")
	if got := len(api.requests()); got != 2*callers {
		t.Errorf("%d requests, want %d", got, 2*callers)
	}
}

// Each Page is called with its own token and with the proof of that token.
func TestClientOfPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.browser(&alice).connected("facebook", url.Values{"select": {"all"}}, as("dana"))
	seen := make(chan *http.Request, len(ids))
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		seen <- r.Clone(context.Background())
		w.box.ServeHTTP(rw, r)
	}))
	t.Cleanup(front.Close)
	config := w.config
	config.UnsafeRewriteHost = front.URL
	engine, err := connect.New(config)
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[string]bool{}
	for _, id := range ids {
		account := w.account(acmeKey, id)
		client, err := engine.Client(t.Context(), "acme", id)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Get(account.APIBaseURL + "/me?fields=id")
		if err != nil {
			t.Fatal(err)
		}
		var page struct{ ID string }
		err = json.NewDecoder(resp.Body).Decode(&page)
		_ = resp.Body.Close()
		if err != nil || page.ID != account.PlatformID {
			t.Errorf("the token is of %q (%v), want the Page %s", page.ID, err, account.PlatformID)
		}
		r := <-seen
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		mac := hmac.New(sha256.New, []byte(facebookSecret))
		mac.Write([]byte(token))
		if got := r.URL.Query()["appsecret_proof"]; len(got) != 1 || got[0] != hex.EncodeToString(mac.Sum(nil)) {
			t.Errorf("proof %q is not that of the token", got)
		}
		if strings.Contains(r.URL.RawQuery, token) {
			t.Error("the token is in the address")
		}
		tokens[token] = true
	}
	if len(ids) != 3 || len(tokens) != 3 {
		t.Errorf("%d accounts with %d tokens, want 3", len(ids), len(tokens))
	}
}

func TestClientFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	for _, location := range []string{"https://api.fake.test/elsewhere", "https://evil.test/"} {
		requests.Store(0)
		b := newBench(t, newClock().Now, withAPI(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			requests.Add(1)
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusTemporaryRedirect)
		})))
		client, err := b.engine.Client(t.Context(), "acme", b.connect().ID)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Get(fakeAPI)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusTemporaryRedirect || requests.Load() != 1 {
			t.Errorf("status %d after %d requests, want the redirect itself", resp.StatusCode, requests.Load())
		}
		// Nor does the transport take the token along for somebody who does.
		if _, err := (&http.Client{Transport: client.Transport}).Get("https://evil.test/"); connect.CodeOf(err) != connect.CodeForbidden {
			t.Errorf("a foreign host: %v, want forbidden", err)
		}
	}
}

func TestTokenSource(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	account := b.connect()
	source, err := b.engine.TokenSource(t.Context(), "acme", account.ID)
	if err != nil {
		t.Fatal(err)
	}
	b.fake.answer("refresh", b.fake.tokens("second"))
	for _, want := range []string{"access-first", "access-second"} {
		token, err := source.Token()
		if err != nil || token.AccessToken != want || !token.Expiry.Equal(clock.Now().Add(fakeLife)) || token.RefreshToken != "" {
			t.Errorf("token %+v, %v: want %s and nothing more", token, err, want)
		}
		clock.advance(fakeLife)
	}
}

func TestTokenSourceWithoutToken(t *testing.T) {
	t.Parallel()
	b := newBench(t, newClock().Now)
	b.fake.answer("login", func(ctx context.Context) (*connect.Tokens, error) {
		tokens, err := b.fake.tokens("none")(ctx)
		tokens.Access = connect.Secret{}
		return tokens, err
	})
	out, err := b.engine.ConnectCredentials(t.Context(), acmeKey, connect.CredentialsRequest{Platform: "fake"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.engine.TokenSource(t.Context(), "acme", out.Accounts[0].ID)
	if !errors.Is(err, connect.ErrNoToken) {
		t.Errorf("error %v, want ErrNoToken", err)
	}
	wantCode(t, err, connect.CodeUnsupported)
}

func TestClientOfNoAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := rotating["x"].connect(w)
	kept, err := w.engine.Client(t.Context(), "acme", id)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ tenant, id string }{{"globex", id}, {"", id}, {"acme", ""}, {"acme", "unknown"}} {
		_, err := w.engine.Client(t.Context(), tt.tenant, tt.id)
		wantCode(t, err, connect.CodeNotFound)
		_, err = w.engine.TokenSource(t.Context(), tt.tenant, tt.id)
		wantCode(t, err, connect.CodeNotFound)
	}
	if _, err := w.engine.Disconnect(t.Context(), acmeKey, id); err != nil {
		t.Fatal(err)
	}
	_, err = w.engine.Client(t.Context(), "acme", id)
	wantCode(t, err, connect.CodeDisconnected)
	before := w.box.Requests("api.x.com", "/2/users/me")
	if resp, err := kept.Get(xMe); connect.CodeOf(err) != connect.CodeDisconnected {
		t.Errorf("a kept client: %v, %v", resp, err)
	}
	if got := w.box.Requests("api.x.com", "/2/users/me"); got != before {
		t.Error("a request left for a disconnected account")
	}
}

// A key that is missing is the host's matter: nothing is lost.
func TestClientWithoutTheKey(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	account := b.connect()
	before := b.grant(account)
	keyless := b.another(func(c *connect.Config) { c.Keys = newKeyring(t, "k2") })
	for range 2 {
		client, err := keyless.Client(t.Context(), "acme", account.ID)
		if err == nil {
			_, err = client.Get(fakeAPI)
		}
		if !errors.Is(err, tokencrypt.ErrKeyUnavailable) {
			t.Errorf("error %v, want ErrKeyUnavailable in its tree", err)
		}
		wantCode(t, err, connect.CodeUnavailable)
		clock.advance(fakeLife) // now it is over, too
		b.roundOf(keyless)
	}
	after := b.grant(account)
	if after.Status != connect.GrantActive || after.Generation != before.Generation || !bytes.Equal(after.Sealed, before.Sealed) {
		t.Errorf("the grant has changed: %s, generation %d", after.Status, after.Generation)
	}
	if got := b.status(account); got != connect.AccountActive {
		t.Errorf("the account is %s, want active", got)
	}
	b.fake.answer("refresh", b.fake.tokens("second"))
	b.wantToken(account, "access-second")
}
