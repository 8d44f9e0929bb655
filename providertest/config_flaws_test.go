package providertest

import (
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/seed944197df/connect/providers/bluesky"
)

// configFlaws are those of who calls Run.
func configFlaws() []flaw {
	return []flaw{
		{
			broken: "no platform", provider: newX(),
			spoil:    func(cfg *Config) { cfg.Platform = nil },
			findings: is("", "providertest: Config.Provider and Config.Platform are required"),
		},
		{
			broken: "nobody to consent", provider: newX(),
			spoil:    func(cfg *Config) { cfg.Consent = nil },
			findings: is("oauth", "providertest: Config.Consent is required for an OAuth method"),
		},
		{
			broken: "nothing to type", provider: bluesky.New(nil),
			spoil:    func(cfg *Config) { cfg.Login = nil },
			findings: is("app_password", "providertest: Config.Login is required for a credentials method"),
		},
		{
			broken: "consent without a code", provider: newX(),
			spoil: consenting(func(Config) func(testing.TB, string) url.Values {
				return func(testing.TB, string) url.Values { return url.Values{} }
			}),
			findings: is("oauth/grant/connect", "Config.Consent returned no code or another state"),
		},
		{
			broken: "consent by a stranger", provider: newX(),
			spoil: consenting(func(cfg Config) func(testing.TB, string) url.Values {
				return PostConsent(cfg.Platform, url.Values{"decision": {"allow"}, "persona": {"nobody"}})
			}),
			findings: is("oauth/grant/connect", "the consent page answered %d and no redirect"),
		},
		{
			broken: "consent that cannot be reached", provider: newX(),
			spoil: consenting(func(Config) func(testing.TB, string) url.Values {
				return PostConsent(unreachable{}, nil)
			}),
			findings: is("oauth/grant/connect", "the consent page: %v"),
		},
		{
			broken: "consent to no URL", provider: newX(),
			spoil: consenting(func(cfg Config) func(testing.TB, string) url.Values {
				consent := PostConsent(cfg.Platform, nil)
				return func(tb testing.TB, _ string) url.Values {
					tb.Helper()
					return consent(tb, ":")
				}
			}),
			findings: is("oauth/grant/connect", "the authorization URL: %v"),
		},
	}
}

// consenting replaces the first consent only, so that the rest of the suite can
// go on.
func consenting(first func(cfg Config) func(tb testing.TB, authorizationURL string) url.Values) func(*Config) {
	return func(cfg *Config) {
		spoiled, sound := first(*cfg), cfg.Consent
		var asked atomic.Bool
		cfg.Consent = func(tb testing.TB, authorizationURL string) url.Values {
			tb.Helper()
			if asked.Swap(true) {
				return sound(tb, authorizationURL)
			}
			return spoiled(tb, authorizationURL)
		}
	}
}

// unreachable is a platform that nobody reaches.
type unreachable struct{}

// RoundTrip implements [http.RoundTripper].
func (unreachable) RoundTrip(*http.Request) (*http.Response, error) { return nil, errNotSent }
