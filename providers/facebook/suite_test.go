package facebook_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providertest"
	"github.com/seed944197df/connect/sandbox"
)

func newSandbox(t *testing.T) http.RoundTripper {
	t.Helper()
	platform, err := sandbox.New(sandbox.Options{Clients: map[string]sandbox.Client{
		"facebook": {ID: "901234567890123", Secret: secret, RedirectURIs: []string{redirectURL}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return providertest.FromHandler(platform)
}

func allow(persona string, scopes ...string) url.Values {
	form := url.Values{"decision": {"allow"}, "persona": {persona}}
	if len(scopes) > 0 {
		form["scope"] = scopes
	}
	return form
}

func TestSuite(t *testing.T) {
	t.Parallel()
	for _, persona := range []string{"dana", "analyst", "portfolio", "agency"} {
		t.Run(persona, func(t *testing.T) {
			t.Parallel()
			transport := newSandbox(t)
			providertest.Run(t, providertest.Config{
				Provider: newProvider(),
				Platform: transport,
				Consent:  providertest.PostConsent(transport, allow(persona)),
			})
		})
	}
}

// What the people of the sandbox are offered, from dialog to Pages.
func TestPagesOfTheSandbox(t *testing.T) {
	t.Parallel()
	portfolio := map[string]string{
		"110000000000006": "", "110000000000007": "",
		"110000000000008": "This Page was not shared with the app. Connect again and tick it on Facebook.",
	}
	for name, test := range map[string]struct {
		form url.Values
		want map[string]string // the Pages' reasons by id
	}{
		"three Pages": {allow("dana"), map[string]string{"110000000000001": "", "110000000000002": "", "110000000000003": ""}},
		"no right on one": {allow("analyst"), map[string]string{
			"110000000000001": "",
			"110000000000004": "You may not publish on this Page. Ask an administrator for the right to create content.",
		}},
		"none":               {allow("nobody"), map[string]string{}},
		"business portfolio": {allow("portfolio"), portfolio},
		"ticked, without business_management": {
			allow("portfolio", "pages_show_list", "pages_read_engagement", "pages_manage_posts"), portfolio,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := map[string]string{}
			for _, c := range connectAndList(t, newSandbox(t), test.form) {
				got[c.PlatformID] = c.Reason
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// connectAndList does what the engine does.
func connectAndList(t *testing.T, transport http.RoundTripper, form url.Values) []connect.Candidate {
	t.Helper()
	p := newProvider()
	env := newEnv(p, nil)
	env.HTTP = &http.Client{Transport: transport}
	begin := connect.AuthRequest{State: "state-1", Verifier: connect.NewSecret(verifier + "0"), Scopes: p.Platform().Methods[0].DefaultScopes}
	auth, err := p.Begin(t.Context(), env, begin)
	if err != nil {
		t.Fatal(err)
	}
	query := providertest.PostConsent(transport, form)(t, auth.URL)
	tokens, err := p.Exchange(t.Context(), env, connect.AuthResponse{Query: query, Verifier: begin.Verifier, Scopes: begin.Scopes})
	if err != nil {
		t.Fatal(err)
	}
	var all []connect.Candidate
	for cursor := ""; ; {
		page, err := p.List(t.Context(), env, tokens, connect.ListRequest{Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Candidates...)
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}
