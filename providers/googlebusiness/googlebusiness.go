// Package googlebusiness connects the locations of Google Business Profile.
//
// One consent reaches all that a person manages: business accounts, and in each
// of them locations. Many locations live on one grant.
//
// Source: developers.google.com/my-business, "accounts.list", "locations.list"
// and "Usage limits".
package googlebusiness

import (
	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/internal/google"
)

const (
	scopeManage = google.ScopePrefix + "business.manage"

	accountsHost  = "mybusinessaccountmanagement.googleapis.com"
	locationsHost = "mybusinessbusinessinformation.googleapis.com"
	postsHost     = "mybusiness.googleapis.com"

	nothing = "This Google account manages no location at Google Business Profile. Connect again with the account that does, or ask the owner of the location to add you as a manager."
)

// Options are the settings of [New].
type Options struct {
	ClientID     string         // of the OAuth client in the Google Cloud console, of the type Web application
	ClientSecret connect.Secret // of the same client

	// Scopes are requested when a flow names none; openid and business.manage
	// are added where they are absent. Defaults to these two, the second by its
	// full name.
	Scopes []string
}

// login gives the provider what is the same for all of Google.
type login = google.Login

// Provider connects locations. It is safe for concurrent use.
type Provider struct{ login }

// A capability whose signature is not the contract's would silently be none.
var (
	_ connect.Provider   = (*Provider)(nil)
	_ connect.Checker    = (*Provider)(nil)
	_ connect.OAuth      = (*Provider)(nil)
	_ connect.Lister     = (*Provider)(nil)
	_ connect.Refresher  = (*Provider)(nil)
	_ connect.Identifier = (*Provider)(nil)
	_ connect.Revoker    = (*Provider)(nil)
	_ connect.Classifier = (*Provider)(nil)
)

// New returns the provider for one OAuth client at Google. It should be the
// same client as that of other Google platforms: they share persons. What is
// wrong with opts is for [connect.New] to say.
func New(opts Options) *Provider {
	client := connect.Client{ID: opts.ClientID, Secret: opts.ClientSecret}
	defaults := []string{google.ScopeOpenID, scopeManage}
	return &Provider{google.NewLogin("googlebusiness", client, opts.Scopes, defaults, []string{scopeManage})}
}

// Platform implements [connect.Provider]. Posts, reviews and media are at an
// older API than locations, and figures at one of their own.
func (p *Provider) Platform() connect.Platform {
	return p.Describe(connect.Platform{
		Name:        "googlebusiness",
		DisplayName: "Google Business Profile",
		Kinds:       []connect.Kind{{Name: "location", Multiple: true, Scopes: p.Used()}},
		Hosts:       []string{locationsHost, accountsHost, postsHost, "businessprofileperformance.googleapis.com"},
		APIBaseURL:  "https://" + locationsHost + "/v1",
		Version:     connect.Version{Name: "v1"},
		Nothing:     nothing,
	})
}
