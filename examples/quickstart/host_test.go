package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

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
