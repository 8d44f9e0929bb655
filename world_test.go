package connect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
	"github.com/seed944197df/connect/providers/bluesky"
	"github.com/seed944197df/connect/providers/facebook"
	"github.com/seed944197df/connect/providers/x"
	"github.com/seed944197df/connect/sandbox"
	"github.com/seed944197df/connect/tokencrypt"
)

// world is a host application over TLS with the engine mounted, and the
// sandbox in place of the platforms.
type world struct {
	t       *testing.T
	engine  *connect.Connector
	config  connect.Config // as the engine was made with
	box     *sandbox.Sandbox
	host    *httptest.Server
	clock   *clock
	logs    *syncBuffer
	boxHost string
}

// clock can be moved by hand; it is the clock of the engine, the store and the
// sandbox alike.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now().UTC().Truncate(time.Microsecond)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// syncBuffer is a log that many goroutines write.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

const (
	xSecret        = "canary-x-client-secret"
	facebookSecret = "canary-facebook-app-secret"
	linkedinSecret = "canary-linkedin-client-secret"
	googleSecret   = "canary-google-client-secret"
	appHost        = "/app" // where the host's own pages are
)

// newWorld starts everything; change may adjust the configuration.
func newWorld(t *testing.T, change ...func(*connect.Config)) *world {
	t.Helper()
	w := &world{t: t, clock: newClock(), logs: &syncBuffer{}}
	w.startSandbox()
	mux := http.NewServeMux()
	w.host = httptest.NewUnstartedServer(mux)
	w.host.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // connections that a test gave up
	w.host.StartTLS()
	t.Cleanup(w.host.Close)
	for _, platform := range []string{"x", "facebook", "linkedin"} {
		if err := w.box.SetRedirectURIs(platform, w.host.URL+"/connect/callback/"+platform); err != nil {
			t.Fatal(err)
		}
	}
	w.config = connect.Config{
		BaseURL: w.host.URL + "/connect",
		Store:   memstore.New(&memstore.Options{Now: w.clock.Now}),
		Keys:    newKeyring(t, "k1"),
		Providers: []connect.Provider{
			x.New(x.Options{ClientID: "x-client", ClientSecret: tokencrypt.NewSecret(xSecret)}),
			facebook.New(facebook.Options{AppID: "900000000000001", AppSecret: tokencrypt.NewSecret(facebookSecret)}),
			bluesky.New(nil),
		},
		Authenticate:      authenticate,
		ReturnOrigins:     []string{w.host.URL},
		UnsafeRewriteHost: w.boxHost,
		Now:               w.clock.Now,
		Logger:            slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&w.config)
	}
	var err error
	if w.engine, err = connect.New(w.config); err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := w.engine.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	mux.Handle("/connect/", w.engine.Handler())
	mux.HandleFunc(appHost, func(http.ResponseWriter, *http.Request) {})
	return w
}

func (w *world) startSandbox() {
	w.t.Helper()
	box, err := sandbox.New(sandbox.Options{Now: w.clock.Now, Clients: map[string]sandbox.Client{
		"x":        {ID: "x-client", Secret: xSecret},
		"facebook": {ID: "900000000000001", Secret: facebookSecret},
		"linkedin": {ID: "li-client", Secret: linkedinSecret},
		"google":   {ID: "google-client", Secret: googleSecret},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	server := httptest.NewServer(box)
	w.t.Cleanup(server.Close)
	w.box, w.boxHost = box, server.URL
}

func newKeyring(t *testing.T, id string) *tokencrypt.Keyring {
	t.Helper()
	key, err := tokencrypt.GenerateKey(id)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := tokencrypt.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// authenticate reads "Authorization: Bearer key-TENANT", an API key, and the
// cookie "session=TENANT/USER", an ambient session.
func authenticate(r *http.Request) (connect.Principal, error) {
	if key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer key-"); ok {
		return connect.Principal{Tenant: key}, nil
	}
	if cookie, err := r.Cookie("session"); err == nil {
		tenant, user, _ := strings.Cut(cookie.Value, "/")
		return connect.Principal{Tenant: tenant, User: user, Ambient: true}, nil
	}
	return connect.Principal{}, connect.ErrUnauthenticated
}

var (
	alice   = connect.Principal{Tenant: "acme", User: "alice", Ambient: true}
	mallory = connect.Principal{Tenant: "acme", User: "mallory", Ambient: true}
	bob     = connect.Principal{Tenant: "globex", User: "bob", Ambient: true}
	acmeKey = connect.Principal{Tenant: "acme"}
)

// browser is a person's browser: cookies, no script, redirects followed by
// hand.
type browser struct {
	w      *world
	client *http.Client
	header http.Header // sent with every request
}

// browser returns one that is signed in as p, or as nobody.
func (w *world) browser(p *connect.Principal) *browser {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	b := &browser{w: w, header: http.Header{}, client: &http.Client{
		Transport:     w.host.Client().Transport,
		Jar:           jar,
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	b.signIn(p)
	return b
}

func (b *browser) signIn(p *connect.Principal) {
	if p == nil {
		return
	}
	host, _ := url.Parse(b.w.host.URL)
	b.client.Jar.SetCookies(host, []*http.Cookie{{Name: "session", Value: p.Tenant + "/" + p.User, Path: "/"}})
}

// reply is a whole answer.
type reply struct {
	status int
	header http.Header
	body   string
}

// location is where a redirect leads.
func (r reply) location() string { return r.header.Get("Location") }

// outcome is the query of the return URL that a redirect leads to.
func (r reply) outcome(t *testing.T) url.Values {
	t.Helper()
	u, err := url.Parse(r.location())
	if err != nil || r.status != http.StatusSeeOther {
		t.Fatalf("status %d, location %q, want a redirect: %s", r.status, r.location(), r.body)
	}
	return u.Query()
}

// decode reads a JSON answer with the wanted status.
func (r reply) decode(t *testing.T, status int, v any) {
	t.Helper()
	if r.status != status {
		t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	if err := json.Unmarshal([]byte(r.body), v); err != nil {
		t.Fatalf("%v in %s", err, r.body)
	}
}

// problem is the code of a problem+json answer with the wanted status.
func (r reply) problem(t *testing.T, status int) string {
	t.Helper()
	var p struct{ Code, Field string }
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("status %d, content type %q, want a problem: %s", r.status, got, r.body)
	}
	r.decode(t, status, &p)
	return p.Code
}

func (b *browser) do(method, target, contentType, body string) reply {
	b.w.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = b.w.host.URL + target
	}
	req, err := http.NewRequestWithContext(b.w.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		b.w.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	maps.Copy(req.Header, b.header)
	resp, err := b.client.Do(req)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// get navigates as a link on one of our own pages does.
func (b *browser) get(target string) reply {
	b.w.t.Helper()
	defer b.from("same-origin")()
	return b.do(http.MethodGet, target, "", "")
}

// arrive navigates as a redirect from another site does.
func (b *browser) arrive(target string) reply {
	b.w.t.Helper()
	defer b.from("cross-site")()
	return b.do(http.MethodGet, target, "", "")
}

// post sends a form of our own pages.
func (b *browser) post(target string, form url.Values) reply {
	b.w.t.Helper()
	defer b.from("same-origin")()
	return b.do(http.MethodPost, target, "application/x-www-form-urlencoded", form.Encode())
}

// call sends JSON as a script of the host's own origin does.
func (b *browser) call(method, target string, body any) reply {
	b.w.t.Helper()
	defer b.from("same-origin")()
	return b.json(method, target, body)
}

func (b *browser) json(method, target string, body any) reply {
	b.w.t.Helper()
	if body == nil {
		return b.do(method, target, "", "")
	}
	raw, err := json.Marshal(body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return b.do(method, target, "application/json", string(raw))
}

// from says where a browser's request comes from, until restore is called. A
// test that set the header itself is left alone.
func (b *browser) from(site string) (restore func()) {
	const name = "Sec-Fetch-Site"
	if b.header.Get(name) != "" {
		return func() {}
	}
	b.header.Set(name, site)
	return func() { b.header.Del(name) }
}

// program is a program with the tenant's API key: no cookies, no browser
// headers.
func (w *world) program(tenant string) *browser {
	w.t.Helper()
	b := w.browser(nil)
	b.header.Set("Authorization", "Bearer key-"+tenant)
	return b
}

// start begins a flow by same-origin navigation and returns the authorization
// URL.
func (b *browser) start(platform string, query url.Values) string {
	b.w.t.Helper()
	if query == nil {
		query = url.Values{}
	}
	if !query.Has("return_url") {
		query.Set("return_url", b.w.host.URL+appHost)
	}
	r := b.get("/connect/start/" + platform + "?" + query.Encode())
	if r.status != http.StatusSeeOther {
		b.w.t.Fatalf("start: status %d: %s", r.status, r.body)
	}
	return r.location()
}

// consent is the person at the platform's consent page: it returns the
// address that the platform sends the browser back to.
func (b *browser) consent(authorizeURL string, form url.Values) string {
	b.w.t.Helper()
	if form == nil {
		form = url.Values{}
	}
	if !form.Has("decision") {
		form.Set("decision", "allow")
	}
	r := b.do(http.MethodPost, authorizeURL, "application/x-www-form-urlencoded", form.Encode())
	if r.location() == "" {
		b.w.t.Fatalf("consent: status %d: %s", r.status, r.body)
	}
	return r.location()
}

// connect runs a whole flow up to the answer of the callback.
func (b *browser) connect(platform string, query, consent url.Values) reply {
	b.w.t.Helper()
	return b.arrive(b.consent(b.start(platform, query), consent))
}

// accounts lists a tenant's accounts.
func (w *world) accounts(p connect.Principal) []connect.Account {
	w.t.Helper()
	accounts, _, err := w.engine.Accounts(w.t.Context(), p, connect.AccountFilter{}, connect.Page{Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	return accounts
}

// exchanges counts the requests that reached X's token endpoint.
func (w *world) exchanges() int { return w.box.Requests("api.x.com", "/2/oauth2/token") }
