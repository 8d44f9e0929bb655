package googlebusiness_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/googlebusiness"
	"github.com/seed944197df/connect/providertest"
	"github.com/seed944197df/connect/sandbox"
)

const (
	secret      = "canary-client-secret"
	redirectURL = "https://app.example.com/connect/callback/googlebusiness"
)

func newProvider(scopes ...string) *googlebusiness.Provider {
	return googlebusiness.New(googlebusiness.Options{ClientID: "client-1", ClientSecret: connect.NewSecret(secret), Scopes: scopes})
}

func newSandbox(t *testing.T) http.RoundTripper {
	t.Helper()
	platform, err := sandbox.New(sandbox.Options{Clients: map[string]sandbox.Client{
		"google": {ID: "client-1", Secret: secret, RedirectURIs: []string{redirectURL}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return providertest.FromHandler(platform)
}

func TestSuite(t *testing.T) {
	t.Parallel()
	for _, persona := range []string{"mara", "single", "chain", "agency"} {
		t.Run(persona, func(t *testing.T) {
			t.Parallel()
			transport := newSandbox(t)
			providertest.Run(t, providertest.Config{
				Provider: newProvider(),
				Platform: transport,
				Consent:  providertest.PostConsent(transport, url.Values{"decision": {"allow"}, "persona": {persona}}),
				Hosts:    []string{"accounts.google.com", "oauth2.googleapis.com"},
			})
		})
	}
}
