package youtube_test

import (
	"net/url"
	"testing"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/youtube"
	"github.com/seed944197df/connect/providertest"
	"github.com/seed944197df/connect/sandbox"
)

const (
	secret      = "canary-client-secret"
	redirectURL = "https://app.example.com/connect/callback/youtube"
)

func newProvider(scopes ...string) *youtube.Provider {
	return youtube.New(youtube.Options{ClientID: "client-1", ClientSecret: connect.NewSecret(secret), Scopes: scopes})
}

func TestSuite(t *testing.T) {
	t.Parallel()
	platform, err := sandbox.New(sandbox.Options{Clients: map[string]sandbox.Client{
		"google": {ID: "client-1", Secret: secret, RedirectURIs: []string{redirectURL}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	transport := providertest.FromHandler(platform)
	providertest.Run(t, providertest.Config{
		Provider: newProvider(),
		Platform: transport,
		Consent:  providertest.PostConsent(transport, url.Values{"decision": {"allow"}, "persona": {"mara"}}),
		Hosts:    []string{"accounts.google.com", "oauth2.googleapis.com"},
	})
}
