package linkedin_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/linkedin"
	"github.com/seed944197df/connect/providertest"
	"github.com/seed944197df/connect/sandbox"
)

func newSandbox(t *testing.T) http.RoundTripper {
	t.Helper()
	platform, err := sandbox.New(sandbox.Options{Clients: map[string]sandbox.Client{
		"linkedin": {ID: "client-1", Secret: secret, RedirectURIs: []string{redirectURL}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return providertest.FromHandler(platform)
}

func allow(persona string) url.Values {
	return url.Values{"decision": {"allow"}, "persona": {persona}}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		persona string
		opts    linkedin.Options
	}{
		"profile and Pages":               {"lena", linkedin.Options{}},
		"profile alone":                   {"solo", linkedin.Options{}},
		"40 Pages":                        {"manager", linkedin.Options{}},
		"a Page without a name":           {"hidden", linkedin.Options{}},
		"an app without Pages":            {"lena", linkedin.Options{WithoutOrganizations: true}},
		"an app without OpenID":           {"lena", linkedin.Options{Scopes: []string{"r_basicprofile", "w_member_social", "rw_organization_admin", "w_organization_social"}}},
		"an app that may only read Pages": {"lena", linkedin.Options{Scopes: []string{"r_organization_admin", "w_organization_social"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			transport := newSandbox(t)
			test.opts.ClientID, test.opts.ClientSecret = "client-1", connect.NewSecret(secret)
			providertest.Run(t, providertest.Config{
				Provider: linkedin.New(test.opts),
				Platform: transport,
				Consent:  providertest.PostConsent(transport, allow(test.persona)),
				Hosts:    []string{"www.linkedin.com"},
				NoPKCE:   true,
			})
		})
	}
}

// What the people of the sandbox are offered, the better role of each Page.
func TestCandidatesOfTheSandbox(t *testing.T) {
	t.Parallel()
	const analyst = "You are analyst of this Page, which may not publish. Ask one of its super admins to make you a content admin."
	for persona, want := range map[string]map[string]string{ // the reasons by id and name
		"lena":   {"profile:aB3dEfGhIj Lena Example": "", "organization:11223344 Harbour Bakery": "", "organization:22334455 Harbour Catering": "", "organization:55667788 Old Mill": analyst},
		"solo":   {"profile:-f_Ut43FoQ Sol Solo": ""},
		"hidden": {"profile:qQ1wW2eE3r Hida Hidden": "", "organization:11223344 Harbour Bakery": "", "organization:77889900 Page 77889900": ""},
	} {
		t.Run(persona, func(t *testing.T) {
			t.Parallel()
			transport := newSandbox(t)
			got := map[string]string{}
			for _, c := range connectAndList(t, transport, persona) {
				got[c.ID()+" "+c.Name] = c.Reason
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// connectAndList does what the engine does.
func connectAndList(t *testing.T, transport http.RoundTripper, persona string) []connect.Candidate {
	t.Helper()
	p := newProvider()
	env := newEnv(p, nil)
	env.HTTP = &http.Client{Transport: transport}
	begin := connect.AuthRequest{State: "state-1", Scopes: p.Platform().Methods[0].DefaultScopes}
	auth, err := p.Begin(t.Context(), env, begin)
	if err != nil {
		t.Fatal(err)
	}
	query := providertest.PostConsent(transport, allow(persona))(t, auth.URL)
	tokens, err := p.Exchange(t.Context(), env, connect.AuthResponse{Query: query, Scopes: begin.Scopes})
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
