package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
	"github.com/seed944197df/connect/sandbox"
	"github.com/seed944197df/connect/tokencrypt"
)

var alice = connect.Principal{Tenant: "acme", User: "alice", Ambient: true}

// startHost starts the quickstart's host in memory, with the sandbox on another
// site, as real platforms are, with a session cookie of this SameSite, and
// perhaps with more to offer.
func startHost(t *testing.T, sameSite string, more ...connect.Provider) *host {
	t.Helper()
	app := httptest.NewUnstartedServer(nil)
	origin := "http://" + app.Listener.Addr().String()
	offer, err := offerings(origin)
	if err != nil {
		t.Fatal(err)
	}
	offer.providers = append(offer.providers, more...)
	platforms, err := sandbox.New(sandbox.Options{Clients: offer.sandboxClients})
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(origin, otherSite(t, platforms))
	if h.engine, err = newEngine(h, offer, memstore.New(nil), newKeys(t), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := h.engine.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	routes := h.routes()
	app.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		routes.ServeHTTP(cookies{w, sameSite}, r)
	})
	app.Start()
	t.Cleanup(app.Close)
	return h
}

// otherSite serves on localhost, which is not the site of 127.0.0.1.
func otherSite(t *testing.T, handler http.Handler) (origin string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
}

func newKeys(t *testing.T) *tokencrypt.Keyring {
	t.Helper()
	key, err := tokencrypt.GenerateKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := tokencrypt.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// cookies sets the host's with another SameSite.
type cookies struct {
	http.ResponseWriter

	sameSite string
}

func (c cookies) WriteHeader(status int) {
	set := c.Header()["Set-Cookie"]
	for i := range set {
		set[i] = strings.Replace(set[i], "SameSite=Lax", "SameSite="+c.sameSite, 1)
	}
	c.ResponseWriter.WriteHeader(status)
}

// names are those of alice's accounts.
func (h *host) names(t *testing.T) []string {
	t.Helper()
	accounts, _, err := h.engine.Accounts(t.Context(), alice, connect.AccountFilter{}, connect.Page{})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, a := range accounts {
		names = append(names, a.Name)
	}
	slices.Sort(names)
	return names
}

// TestHostPages: each page has a nonce of its own, and no script or style runs
// without it.
func TestHostPages(t *testing.T) {
	t.Parallel()
	h := startHost(t, "Lax")
	v := (&quickstart{t: t, app: h.origin, sandbox: h.sandbox}).visitor("")
	if status, header, _ := v.do(http.MethodGet, "/popup", "", nil); status != http.StatusSeeOther || header.Get("Location") != "/" {
		t.Errorf("without a session: %d, to %q", status, header.Get("Location"))
	}
	v.form("/sign-in", url.Values{"tenant": {"acme"}})
	nonces := map[string]bool{}
	for _, page := range []string{"/", "/popup", "/popup"} {
		_, header, body := v.do(http.MethodGet, page, "", nil)
		nonce := regexp.MustCompile(`nonce="[A-Z2-7]{26}"`).FindString(body)
		policy := header.Get("Content-Security-Policy")
		source := "'" + strings.ReplaceAll(strings.Replace(nonce, "=", "-", 1), `"`, "") + "'"
		if nonces[nonce] || strings.Count(policy, source) != 2 || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: %s, policy %q", page, nonce, policy)
		}
		nonces[nonce] = true
		if header.Get("Referrer-Policy") != "no-referrer" || strings.Contains(body, " onclick") || strings.Contains(body, " style=") {
			t.Errorf("%s: %v\n%s", page, header, body)
		}
	}
}

// TestHalfAClientIsSaid before any file is made.
func TestHalfAClientIsSaid(t *testing.T) {
	t.Setenv("CONNECT_X_CLIENT_ID", "half")
	dir := t.TempDir()
	s := settings{addr: "127.0.0.1:0", sandbox: "127.0.0.1:0", db: filepath.Join(dir, "q.db")}
	err := run(t.Context(), s, func(string) { t.Error("it says that it is ready") })
	if err == nil || !strings.Contains(err.Error(), "CONNECT_X_CLIENT_SECRET") {
		t.Errorf("error %v", err)
	}
	if files, err := os.ReadDir(dir); len(files) > 0 || err != nil {
		t.Errorf("files %v, %v", files, err)
	}
}

// TestLocalhost: a browser is sent to the name that the engine knows, where its
// session is; a program is served under either.
func TestLocalhost(t *testing.T) {
	t.Parallel()
	h := startHost(t, "Lax")
	named := strings.Replace(h.origin, "127.0.0.1", "localhost", 1)
	q := &quickstart{t: t, app: named, sandbox: h.sandbox}
	for _, target := range []string{"/", "/connect/ui/?mode=popup", "//evil.example/"} {
		status, header, _ := q.visitor("").do(http.MethodGet, named+target, "", nil)
		if status != http.StatusSeeOther || header.Get("Location") != h.origin+target {
			t.Errorf("%s: %d, to %q", target, status, header.Get("Location"))
		}
	}
	if status, _, _ := q.visitor("demo-acme").do(http.MethodGet, "/connect/accounts", "", nil); status != http.StatusOK {
		t.Errorf("a program: status %d", status)
	}
	other := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://evil.example/", nil)
	w := httptest.NewRecorder()
	if h.routes().ServeHTTP(w, other); w.Code != http.StatusMisdirectedRequest {
		t.Errorf("a foreign name: status %d", w.Code)
	}
}

// TestFinish: the host ends a flow that came back with a ticket by a button, as
// who is signed in.
func TestFinish(t *testing.T) {
	t.Parallel()
	h := startHost(t, "Lax")
	q := &quickstart{t: t, app: h.origin, sandbox: h.sandbox}
	back := q.visitor("demo-acme").finish("x", "", "headless", "allow")
	ticket := back.Query().Get("ticket")
	if back.Query().Get("status") != "continue" || ticket == "" {
		t.Fatalf("it came back to %s", back)
	}
	nobody, alice, bob := q.visitor(""), q.visitor(""), q.visitor("")
	alice.form("/sign-in", url.Values{"tenant": {"acme"}})
	bob.form("/sign-in", url.Values{"tenant": {"globex"}})
	finish := func(v *visitor) string {
		_, header, _ := v.form("/finish", url.Values{"ticket": {ticket}})
		u, err := url.Parse(header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		return u.Query().Get("status") + u.Query().Get("error")
	}
	_, _, page := nobody.do(http.MethodGet, back.String(), "", nil)
	if !strings.Contains(page, "Almost done.") || strings.Contains(page, ticket) {
		t.Errorf("signed out:\n%s", page)
	}
	_, _, page = alice.do(http.MethodGet, back.String(), "", nil)
	if !strings.Contains(page, `action="/finish"`) || !strings.Contains(page, ticket) || strings.Contains(page, "POST /") {
		t.Errorf("signed in:\n%s", page)
	}
	for _, tt := range []struct {
		name string
		who  *visitor
		want string
	}{{"nobody", nobody, "errorunauthenticated"}, {"another tenant", bob, "errornot_found"}, {"who is signed in", alice, "connected"}} {
		if got := finish(tt.who); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if diff := cmp.Diff([]string{"Example Bakery"}, h.names(t)); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
}

// TestNotices: how a flow ended is said in sentences, signed in or not, and
// nothing of an address is repeated.
func TestNotices(t *testing.T) {
	t.Parallel()
	h := startHost(t, "Lax")
	q := &quickstart{t: t, app: h.origin, sandbox: h.sandbox}
	signedIn := q.visitor("")
	signedIn.form("/sign-in", url.Values{"tenant": {"acme"}})
	for query, want := range map[string]string{
		"status=connected":                              "Connected.",
		"status=pending&session=AAAA":                   "Waiting for a choice.",
		"status=error&error=access_denied&platform=x":   "Nothing was connected. You did not give permission on X.",
		"status=error&error=unauthenticated":            "Nothing was connected. You are not signed in to Quickstart.",
		"status=error&error=canary&platform=canary":     "Nothing was connected. Something went wrong.",
		"status=error&error=platform_error&platform=<b": "Nothing was connected. The platform answered with an error.",
	} {
		for name, v := range map[string]*visitor{"signed in": signedIn, "signed out": q.visitor("")} {
			_, _, page := v.do(http.MethodGet, "/?"+query, "", nil)
			if !strings.Contains(page, `role="status">`+want+"<") || strings.Contains(page, "canary") {
				t.Errorf("%s, %s: want %q:\n%s", name, query, want, page)
			}
		}
	}
	if _, _, page := signedIn.do(http.MethodGet, "/?status=pending&session=AAAA", "", nil); !strings.Contains(page, `href="/connect/ui/pending/AAAA"`) {
		t.Errorf("a choice leads nowhere:\n%s", page)
	}
}
