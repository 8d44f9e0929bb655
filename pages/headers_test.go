package pages

import (
	"net/http"
	"strings"
	"testing"
)

func eachHeader(t *testing.T, check func(t *testing.T, name string, h http.Header)) {
	t.Helper()
	p := setup(t, Options{})
	for name, page := range ordinary() {
		check(t, name, render(t, p, page).Header())
	}
}

func want(t *testing.T, page string, h http.Header, name, value string) {
	t.Helper()
	if got := h.Get(name); got != value {
		t.Errorf("%s: %s is %q, want %q", page, name, got, value)
	}
}

func TestThreat82_Framing(t *testing.T) {
	t.Parallel()
	eachHeader(t, func(t *testing.T, name string, h http.Header) {
		t.Helper()
		want(t, name, h, "X-Frame-Options", "DENY")
		if name != "result, popup" {
			want(t, name, h, "Cross-Origin-Opener-Policy", "same-origin")
		}
		if !strings.Contains(h.Get("Content-Security-Policy"), "; frame-ancestors 'none'; base-uri 'none'") {
			t.Errorf("%s: policy %q", name, h.Get("Content-Security-Policy"))
		}
	})
}

// What decides something is armed: its click waits half a second.
func TestThreat82_ButtonsAreArmed(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	for name, page := range ordinary() {
		for _, e := range parsed(t, name, render(t, p, page).Body.String()) {
			looks := e.attrs["formaction"] != "" // searching and paging decide nothing
			if e.name == "button" && !looks && !strings.Contains(e.attrs["class"], "armed") {
				t.Errorf("%s: a button that is not armed: %v", name, e.attrs)
			}
		}
	}
	css := string(p.style)
	if !strings.Contains(css, "animation: arm 500ms;") || !strings.Contains(css, "@keyframes arm {\n\tfrom,\n\tto {\n\t\tpointer-events: none;") {
		t.Error("the stylesheet does not arm buttons")
	}
}

func TestThreat84_NoReferrer(t *testing.T) {
	t.Parallel()
	eachHeader(t, func(t *testing.T, name string, h http.Header) {
		t.Helper()
		want(t, name, h, "Referrer-Policy", "no-referrer")
	})
}

func TestThreat85_NoStore(t *testing.T) {
	t.Parallel()
	eachHeader(t, func(t *testing.T, name string, h http.Header) {
		t.Helper()
		want(t, name, h, "Cache-Control", "no-store")
	})
}

func TestThreat87_PolicyAllowsNoScript(t *testing.T) {
	t.Parallel()
	eachHeader(t, func(t *testing.T, name string, h http.Header) {
		t.Helper()
		if name == "result, popup" {
			return // TestThreat86_TheOneScript
		}
		want(t, name, h, "X-Content-Type-Options", "nosniff")
		want(t, name, h, "Content-Type", "text/html; charset=utf-8")
		policy := h.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; style-src 'self'; ") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") {
			t.Errorf("%s: policy %q", name, policy)
		}
	})
	p := setup(t, Options{})
	for name, page := range ordinary() {
		if name == "result, popup" {
			continue
		}
		for _, e := range parsed(t, name, render(t, p, page).Body.String()) {
			for attr := range e.attrs {
				if attr == "style" || strings.HasPrefix(attr, "on") {
					t.Errorf("%s: %s has %s", name, e.name, attr)
				}
			}
			if e.name == "script" || e.name == "style" || e.name == "base" || e.name == "iframe" || e.name == "object" {
				t.Errorf("%s has a %s element", name, e.name)
			}
		}
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	const before, after = "default-src 'none'; style-src 'self'; ", "; frame-ancestors 'none'; base-uri 'none'"
	tests := []struct {
		name string
		logo string
		page Page
		want string
	}{
		{"bare", "", Error{}, "form-action 'self'"},
		{"form targets", "", Picker{FormTargets: []string{"https://app.example.com", "http://127.0.0.1:8080", "http://[::1]:80"}}, "form-action 'self' https://app.example.com http://127.0.0.1:8080 http://[::1]:80"},
		{"logo here", "/logo.svg", Error{}, "img-src 'self'; form-action 'self'"},
		{"logo elsewhere", "https://cdn.example.com:8443/l.svg", Error{}, "img-src https://cdn.example.com:8443; form-action 'self'"},
		{"avatars", "", ordinary()["result"], "img-src 'self' https:; form-action 'self'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := setup(t, Options{Theme: Theme{LogoURL: tt.logo}})
			got, err := p.policy(tt.page)
			if err != nil || got != before+tt.want+after {
				t.Errorf("policy %q, %v", got, err)
			}
		})
	}
}

func TestWorkingRefreshes(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	eachHeader(t, func(t *testing.T, name string, h http.Header) {
		t.Helper()
		if name != "working" {
			want(t, name, h, "Refresh", "")
		}
	})
	w := render(t, p, Working{Platform: "X", Refresh: "/connect/callback/x?state=s&code=c"})
	want(t, "working", w.Header(), "Refresh", "2; url=/connect/callback/x?state=s&code=c")
	pointer := render(t, p, &Working{Refresh: "/x"})
	want(t, "pointer to working", pointer.Header(), "Refresh", "2; url=/x")
	if !strings.Contains(w.Body.String(), `href="/connect/callback/x?state=s&amp;code=c"`) {
		t.Error("there is no link for who does not want to wait")
	}
}
