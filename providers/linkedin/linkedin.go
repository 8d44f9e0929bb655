// Package linkedin connects LinkedIn profiles and Pages of organizations.
//
// One consent of a member covers the member's own profile and every Page on
// which the member has a role: they are candidates of one grant, and all work
// with the member's token. Asking for another set of scopes ends the member's
// earlier tokens of the same app, so that all flows ask for the same.
//
// Access tokens live 60 days. Only apps that LinkedIn has approved for it get a
// refresh token, which ends 365 days after the consent however often it is
// used; without one the member connects again.
//
// Source: learn.microsoft.com/linkedin, "Authorization Code Flow", "Refresh
// Tokens with OAuth 2.0", "Organization Access Control by Role", "Organization
// Lookup", "LinkedIn Marketing API Versioning".
package linkedin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/internal/settings"
)

// DefaultVersion is the version of the API that [New] uses.
const DefaultVersion = "202607"

// The kinds of candidates.
const (
	kindProfile      = "profile"
	kindOrganization = "organization"
)

const (
	scopeOpenID       = "openid"
	scopeProfile      = "profile"
	scopeBasicProfile = "r_basicprofile"
	scopeReadAdmin    = "r_organization_admin"
	scopeAdmin        = "rw_organization_admin"
)

// Options are the settings of [New].
type Options struct {
	ClientID     string         // the app's client id
	ClientSecret connect.Secret // the app's primary client secret

	// Version is sent as LinkedIn-Version, as year and month. LinkedIn serves a
	// version for about a year and then answers 426. Defaults to
	// [DefaultVersion].
	Version string
	// WithoutOrganizations leaves the scopes of Pages out of the default ones,
	// for an app without the product Community Management API: LinkedIn refuses
	// a request as a whole that names a scope which no product of the app has.
	WithoutOrganizations bool
	// Scopes are requested when a flow names none; openid and profile are added
	// where r_basicprofile is absent. Defaults to what publishing needs: openid,
	// profile, w_member_social, rw_organization_admin, r_organization_social and
	// w_organization_social.
	Scopes []string
	// AuthURL is the origin of LinkedIn's authorization server. Defaults to
	// "https://www.linkedin.com".
	AuthURL string
	// APIURL is the origin of LinkedIn's API. Defaults to
	// "https://api.linkedin.com".
	APIURL string
}

// Provider connects LinkedIn profiles and Pages. It is safe for concurrent use.
type Provider struct {
	client  connect.Client
	version string
	scopes  []string
	authURL string // origin
	apiURL  string // origin
}

// A capability whose signature is not the contract's would silently be none.
var (
	_ connect.Provider   = (*Provider)(nil)
	_ connect.Checker    = (*Provider)(nil)
	_ connect.OAuth      = (*Provider)(nil)
	_ connect.Refuser    = (*Provider)(nil)
	_ connect.Lister     = (*Provider)(nil)
	_ connect.Refresher  = (*Provider)(nil)
	_ connect.Identifier = (*Provider)(nil)
	_ connect.Revoker    = (*Provider)(nil)
	_ connect.Signer     = (*Provider)(nil)
	_ connect.Classifier = (*Provider)(nil)
)

// New returns the provider for one LinkedIn app. What is wrong with opts is for
// [connect.New] to say: see [Provider.Check].
func New(opts Options) *Provider {
	p := &Provider{
		client:  connect.Client{ID: opts.ClientID, Secret: opts.ClientSecret},
		version: cmp.Or(opts.Version, DefaultVersion),
		scopes:  slices.Clone(opts.Scopes),
		authURL: strings.TrimSuffix(cmp.Or(opts.AuthURL, "https://www.linkedin.com"), "/"),
		apiURL:  strings.TrimSuffix(cmp.Or(opts.APIURL, "https://api.linkedin.com"), "/"),
	}
	if len(p.scopes) == 0 {
		p.scopes = []string{scopeOpenID, scopeProfile, "w_member_social"}
		if !opts.WithoutOrganizations {
			p.scopes = append(p.scopes, scopeAdmin, "r_organization_social", "w_organization_social")
		}
	}
	for _, scope := range whoIs(p.scopes) {
		if !slices.Contains(p.scopes, scope) {
			p.scopes = append(p.scopes, scope)
		}
	}
	return p
}

// whoIs returns the scopes by which LinkedIn says whose a token is: those of
// OpenID Connect, or the older one, which apps have that hold no sign-in
// product.
func whoIs(scopes []string) []string {
	if slices.Contains(scopes, scopeBasicProfile) && !slices.Contains(scopes, scopeOpenID) {
		return []string{scopeBasicProfile}
	}
	return []string{scopeOpenID, scopeProfile}
}

// ofOrganizations reports whether a scope is about Pages.
func ofOrganizations(scope string) bool { return strings.Contains(scope, "_organization_") }

// lists reports whether a token with these scopes may list the member's Pages.
func lists(scopes []string) bool {
	return slices.Contains(scopes, scopeAdmin) || slices.Contains(scopes, scopeReadAdmin)
}

var versionName = regexp.MustCompile(`^20[0-9]{2}(0[1-9]|1[0-2])(\.[0-9]{2})?$`)

// Check implements [connect.Checker]. It does not look at the client id, which
// [connect.New] itself wants.
func (p *Provider) Check() error {
	switch {
	case p.client.Secret.IsZero():
		return errors.New("linkedin: Options.ClientSecret is empty; the app's page at LinkedIn shows it under Auth")
	case !versionName.MatchString(p.version):
		return errors.New("linkedin: Options.Version must be a year and a month, as " + DefaultVersion + "; leave it empty for that one")
	case !settings.Origin(p.authURL):
		return errors.New("linkedin: Options.AuthURL must be https:// and a host name in lower case, nothing else; leave it empty for that of LinkedIn")
	case !settings.Origin(p.apiURL):
		return errors.New("linkedin: Options.APIURL must be https:// and a host name in lower case, nothing else; leave it empty for that of LinkedIn")
	case !settings.Scopes(p.scopes):
		return errors.New("linkedin: Options.Scopes holds something that is no scope; give each scope a string of its own, or none for the default")
	case slices.ContainsFunc(p.scopes, ofOrganizations) && !lists(p.scopes):
		return errors.New("linkedin: Options.Scopes has scopes of Pages and none to list them; add " + scopeAdmin + " or " + scopeReadAdmin)
	}
	return nil
}

// Platform implements [connect.Provider].
//
// How far a revocation reaches is documented nowhere. The most is assumed: with
// less, one tenant's disconnect could end another tenant's account of the same
// member.
//
// The API's uploads go to the host of the authorization server, with the token.
func (p *Provider) Platform() connect.Platform {
	personal := slices.DeleteFunc(slices.Clone(p.scopes), ofOrganizations)
	pages := slices.DeleteFunc(slices.Clone(p.scopes), func(s string) bool { return !ofOrganizations(s) })
	// LinkedIn gives each app another id for the same member.
	kinds := []connect.Kind{{Name: kindProfile, Scopes: personal, ClientScoped: true}}
	if len(pages) > 0 {
		kinds = append(kinds, connect.Kind{Name: kindOrganization, Multiple: true, Scopes: pages})
	}
	return connect.Platform{
		Name:        "linkedin",
		DisplayName: "LinkedIn",
		Client:      p.client,
		Methods: []connect.Method{{
			ID:             "oauth",
			Type:           connect.MethodOAuth,
			DefaultScopes:  slices.Clone(p.scopes),
			RequiredScopes: whoIs(p.scopes),
		}},
		Kinds: kinds,
		Rotation: connect.Rotation{
			Class:  connect.RotationStable,
			Source: "learn.microsoft.com, Refresh Tokens with OAuth 2.0; github.com/trypostit/trypost, pull request 299",
		},
		Revokes:    connect.ReachSubject,
		Reconsent:  connect.ReconsentReplaces,
		CodeTTL:    30 * time.Minute,
		Hosts:      []string{strings.TrimPrefix(p.apiURL, "https://"), strings.TrimPrefix(p.authURL, "https://")},
		APIBaseURL: p.apiURL + "/rest",
		Version:    connect.Version{Name: p.version, Sunset: sunset(p.version)},
	}
}

// sunset returns the first day on which LinkedIn may end a version: it promises
// a year, and the days that it has announced so far are the 15th or soon after.
// Source: learn.microsoft.com, "LinkedIn Marketing API Migrations".
func sunset(version string) time.Time {
	year, errYear := strconv.Atoi(version[:min(4, len(version))])
	month, errMonth := strconv.Atoi(version[min(4, len(version)):min(6, len(version))])
	if errYear != nil || errMonth != nil {
		return time.Time{}
	}
	return time.Date(year+1, time.Month(month), 15, 0, 0, 0, 0, time.UTC)
}

// Begin implements [connect.OAuth]. LinkedIn documents no PKCE for web apps, and
// no way to choose the member: that is who is signed in there.
func (p *Provider) Begin(_ context.Context, env connect.Env, req connect.AuthRequest) (connect.Authorization, error) {
	config := oauth2.Config{
		ClientID:    env.Client.ID,
		RedirectURL: env.RedirectURL,
		Scopes:      req.Scopes,
		Endpoint:    oauth2.Endpoint{AuthURL: p.authURL + "/oauth/v2/authorization", AuthStyle: oauth2.AuthStyleInParams},
	}
	// LinkedIn asks for %20 between scopes. A plus that is meant is %2B by now.
	return connect.Authorization{URL: strings.ReplaceAll(config.AuthCodeURL(req.State), "+", "%20")}, nil
}

// Sign implements [connect.Signer]. Where the versioned API is called, it says
// which version is meant, unless the caller has.
func (p *Provider) Sign(_ connect.Env, tokens *connect.Tokens, r *http.Request) error {
	if tokens.Access.IsZero() {
		return connect.ErrNoToken
	}
	r.Header.Set("Authorization", "Bearer "+tokens.Access.Reveal())
	if !strings.HasPrefix(r.URL.Path, "/rest/") {
		return nil
	}
	for name, value := range map[string]string{"Linkedin-Version": p.version, "X-Restli-Protocol-Version": "2.0.0"} {
		if r.Header.Get(name) == "" {
			r.Header.Set(name, value)
		}
	}
	return nil
}

// Refused implements [connect.Refuser]. A scope that no product of the app has
// refuses the whole request: that is the host's to mend.
func (p *Provider) Refused(query url.Values) (connect.ErrorClass, string, bool) {
	code := query.Get("error")
	switch code {
	case "access_denied", "user_cancelled_login", "user_cancelled_authorize":
		return connect.ClassDenied, code, true
	case "unauthorized_scope_error", "invalid_scope_error", "redirect_uri_mismatch":
		return connect.ClassConfig, code, true
	default:
		return connect.ClassRetry, code, query.Has("error")
	}
}
