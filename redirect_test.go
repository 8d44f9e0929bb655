package connect_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/seed944197df/connect"
)

// ownRedirect is the host's own handler at a redirect URI that it registered
// itself: it passes the query on and says who it is as the host sees it.
func ownRedirect(w *world, platform string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		p, err := authenticate(r)
		if err != nil {
			p = acmeKey // the host's back end, which knows whose response this is
		}
		out, err := w.engine.Complete(r.Context(), p, connect.CompleteRequest{Platform: platform, Query: r.URL.RawQuery})
		if err != nil {
			http.Error(rw, string(connect.CodeOf(err)), http.StatusForbidden)
			return
		}
		http.Redirect(rw, r, out.ReturnURL, http.StatusSeeOther)
	}
}

// ownRedirects is a world whose host has redirect URIs of its own, which the
// platforms know and no others.
func ownRedirects(t *testing.T) (w *world, own map[string]string) {
	t.Helper()
	w = newWorld(t, func(c *connect.Config) {
		host := strings.TrimSuffix(c.BaseURL, "/connect")
		own = map[string]string{"x": host + "/oauth/back?from=x", "facebook": host + "/oauth/facebook/"}
		c.RedirectURLs = own
	})
	mux, ok := w.host.Config.Handler.(*http.ServeMux)
	if !ok {
		t.Fatal("the host's handler is no ServeMux")
	}
	mux.Handle("/oauth/back", ownRedirect(w, "x"))
	mux.Handle("/oauth/facebook/", ownRedirect(w, "facebook"))
	for platform, target := range own {
		if err := w.box.SetRedirectURIs(platform, target); err != nil {
			t.Fatal(err)
		}
	}
	return w, own
}

// The platform refuses a code whose exchange names another redirect URI than
// the authorization request did, so a connected account tells that both agree.
func TestRedirectURLs(t *testing.T) {
	t.Parallel()
	for name, who := range map[string]*connect.Principal{"ambient user": &alice, "API key": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, own := ownRedirects(t)
			for platform, want := range own {
				started := w.begin(alice, connect.StartRequest{Platform: platform, ReturnURL: w.host.URL + appHost, Select: "first"})
				if got := mustParse(t, started.URL).Query().Get("redirect_uri"); got != want {
					t.Errorf("%s: redirect_uri %q, want %q", platform, got, want)
				}
				b := w.browser(who)
				back := b.consent(started.URL, nil)
				if !strings.HasPrefix(back, want) {
					t.Fatalf("%s: the platform sends the browser to %s", platform, back)
				}
				if got := b.arrive(back).outcome(t); got.Get("status") != "connected" || got.Get("flow_id") != started.FlowID {
					t.Errorf("%s: outcome %v, logs %s", platform, got, w.logs)
				}
				if again := b.arrive(back).outcome(t); again.Get("status") != "connected" {
					t.Errorf("%s: the same response again: %v", platform, again)
				}
			}
			if got := w.accounts(acmeKey); len(got) != 2 || got[0].ConnectedBy != "alice" || got[1].ConnectedBy != "alice" {
				t.Errorf("accounts %+v, want two of alice", got)
			}
			w.wantExchanges(1)
		})
	}
}

// What the host's own handler passes on is checked as a callback is.
func TestRedirectURLsOfAnotherUser(t *testing.T) {
	t.Parallel()
	w, _ := ownRedirects(t)
	started := w.begin(alice, connect.StartRequest{Platform: "x", ReturnURL: w.host.URL + appHost})
	b := w.browser(&alice)
	back := b.consent(started.URL, nil)
	if got := w.browser(&bob).arrive(back); got.status != http.StatusForbidden || !strings.Contains(got.body, "not_found") {
		t.Errorf("another tenant: status %d: %s", got.status, got.body)
	}
	if flow := w.flowRow(started.FlowID); flow.Status != connect.FlowStarted {
		t.Errorf("another tenant made the flow %s", flow.Status)
	}
	if got := w.browser(&mallory).arrive(back); got.status != http.StatusForbidden || !strings.Contains(got.body, "binding_mismatch") {
		t.Errorf("another user: status %d: %s", got.status, got.body)
	}
	w.wantBurned(started.FlowID)
	if got := b.arrive(back).outcome(t); got.Get("status") != "error" {
		t.Errorf("alice afterwards: %v", got)
	}
	w.wantExchanges(0)
	w.wantNothingConnected()
}

// Our own route is there all the same, and believes nothing more.
func TestRedirectURLsAndOurRoute(t *testing.T) {
	t.Parallel()
	w, _ := ownRedirects(t)
	ours := func(back string) string { return "/connect/callback/x?" + queryOf(t, back) }
	b := w.browser(&alice)
	back := b.consent(w.begin(alice, connect.StartRequest{Platform: "x", ReturnURL: w.host.URL + appHost}).URL, nil)
	query, err := url.ParseQuery(queryOf(t, back))
	if err != nil {
		t.Fatal(err)
	}
	state, code := url.QueryEscape(query.Get("state")), url.QueryEscape(query.Get("code"))
	for name, wrong := range map[string]string{
		"no state":         "/connect/callback/x?code=" + code,
		"another state":    "/connect/callback/x?state=wrong&code=" + code,
		"no code":          "/connect/callback/x?state=" + state,
		"code and error":   "/connect/callback/x?error=access_denied&state=" + state + "&code=" + code,
		"a code twice":     "/connect/callback/x?state=" + state + "&code=" + code + "&code=" + code,
		"another platform": "/connect/callback/facebook?" + queryOf(t, back),
	} {
		if got := b.arrive(wrong); got.status != http.StatusBadRequest {
			t.Errorf("%s: status %d: %s", name, got.status, got.body)
		}
	}
	w.wantExchanges(0)
	started := w.begin(alice, connect.StartRequest{Platform: "x"})
	if got := w.browser(&mallory).arrive(ours(b.consent(started.URL, nil))); got.status != http.StatusForbidden {
		t.Errorf("another user at our route: status %d: %s", got.status, got.body)
	}
	w.wantBurned(started.FlowID)

	if got := b.arrive(ours(back)).outcome(t); got.Get("status") != "connected" {
		t.Errorf("alice at our route: %v", got)
	}
	started = w.begin(alice, connect.StartRequest{Platform: "x", ReturnURL: w.host.URL + appHost})
	if got := w.browser(nil).arrive(ours(b.consent(started.URL, nil))).outcome(t); got.Get("status") != "continue" {
		t.Errorf("nobody at our route: %v, want a ticket", got)
	}
}
