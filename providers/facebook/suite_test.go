package facebook_test

import (
	"net/url"
	"testing"

	"github.com/seed944197df/connect/providertest"
	"github.com/seed944197df/connect/sandbox"
)

func TestSuite(t *testing.T) {
	t.Parallel()
	for _, persona := range []string{"dana", "analyst"} {
		t.Run(persona, func(t *testing.T) {
			t.Parallel()
			platform, err := sandbox.New(sandbox.Options{Clients: map[string]sandbox.Client{
				"facebook": {ID: "901234567890123", Secret: secret, RedirectURIs: []string{redirectURL}},
			}})
			if err != nil {
				t.Fatal(err)
			}
			transport := providertest.FromHandler(platform)
			providertest.Run(t, providertest.Config{
				Provider: newProvider(),
				Platform: transport,
				Consent:  providertest.PostConsent(transport, url.Values{"decision": {"allow"}, "persona": {persona}}),
			})
		})
	}
}
