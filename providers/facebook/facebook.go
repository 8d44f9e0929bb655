// Package facebook connects Facebook Pages by Facebook Login.
//
// A consent gives a short-lived user token, which is exchanged for one of
// about 60 days; only then are the Pages listed, because a Page token lasts as
// long as the user token it was taken with, and one from a long-lived user
// token has no end. The Page token is what an account works with; the user
// token stays with the grant, for listing again.
//
// There is no refresh: Facebook has no refresh token, and exchanging a
// long-lived token again promises no longer life (the person must run the
// dialog again). So this provider is no [connect.Refresher].
//
// Source: developers.facebook.com, "Manually Build a Login Flow", "Get
// Long-Lived Tokens", "Access Tokens for Pages", "Secure Graph API Calls".
package facebook

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/strictjson"
	"github.com/seed944197df/connect/providers/internal/settings"
)

const (
	scopeShowList = "pages_show_list"
	scopeBusiness = "business_management"
)

// DefaultVersion is the version of the Graph API that [New] uses.
const DefaultVersion = "v26.0"

// sunset returns the day on which a version of the Graph API ends; zero where
// none is announced. Source: developers.facebook.com, "Graph API Changelog",
// read in November 2026.
func sunset(version string) time.Time {
	switch version {
	case "v25.0":
		return date(2028, time.July, 29)
	case "v24.0":
		return date(2028, time.February, 18)
	case "v23.0":
		return date(2027, time.October, 8)
	case "v22.0":
		return date(2027, time.May, 20)
	case "v21.0":
		return date(2027, time.January, 21)
	case "v20.0":
		return date(2026, time.September, 24)
	default:
		return time.Time{}
	}
}

func date(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// Options are the settings of [New].
type Options struct {
	AppID     string         // the Meta app's id
	AppSecret connect.Secret // the Meta app's secret

	// Version is the version of the Graph API, for the dialog too. Defaults
	// to [DefaultVersion].
	Version string
	// Scopes are requested when a flow names none; pages_show_list is added
	// where it is absent. Defaults to what publishing needs: pages_show_list,
	// pages_read_engagement, pages_manage_posts and business_management.
	Scopes []string
	// WithoutBusinessManagement leaves business_management out of the default
	// scopes. The consent screen then asks for less, but Pages that belong to
	// a business portfolio are not found.
	WithoutBusinessManagement bool
	// DialogURL is the origin of the login dialog. Defaults to
	// "https://www.facebook.com".
	DialogURL string
	// GraphURL is the origin of the Graph API. Defaults to
	// "https://graph.facebook.com".
	GraphURL string
}

// Provider connects Facebook Pages. It is safe for concurrent use.
type Provider struct {
	client    connect.Client
	version   string
	scopes    []string
	dialogURL string // origin
	graphURL  string // origin
}

// A capability whose signature is not the contract's would silently be none.
var (
	_ connect.Provider   = (*Provider)(nil)
	_ connect.Checker    = (*Provider)(nil)
	_ connect.OAuth      = (*Provider)(nil)
	_ connect.Refuser    = (*Provider)(nil)
	_ connect.Lister     = (*Provider)(nil)
	_ connect.Identifier = (*Provider)(nil)
	_ connect.Revoker    = (*Provider)(nil)
	_ connect.Signer     = (*Provider)(nil)
	_ connect.Classifier = (*Provider)(nil)
)

// New returns the provider for one Meta app. What is wrong with opts is for
// [connect.New] to say: see [Provider.Check].
func New(opts Options) *Provider {
	p := &Provider{
		client:  connect.Client{ID: opts.AppID, Secret: opts.AppSecret},
		version: cmp.Or(opts.Version, DefaultVersion),
		scopes:  slices.Clone(opts.Scopes),
	}
	if len(p.scopes) == 0 {
		p.scopes = []string{scopeShowList, "pages_read_engagement", "pages_manage_posts"}
		if !opts.WithoutBusinessManagement {
			p.scopes = append(p.scopes, scopeBusiness)
		}
	}
	if !slices.Contains(p.scopes, scopeShowList) {
		p.scopes = append(p.scopes, scopeShowList)
	}
	p.dialogURL = strings.TrimSuffix(cmp.Or(opts.DialogURL, "https://www.facebook.com"), "/")
	p.graphURL = strings.TrimSuffix(cmp.Or(opts.GraphURL, "https://graph.facebook.com"), "/")
	return p
}

// api returns where the Graph API is, with the version.
func (p *Provider) api() string { return p.graphURL + "/" + p.version }

var versionName = regexp.MustCompile(`^v[1-9][0-9]{0,2}\.[0-9]{1,2}$`)

// Check implements [connect.Checker].
func (p *Provider) Check() error {
	switch {
	case !strictjson.ID(p.client.ID).Digits():
		return errors.New("facebook: Options.AppID must be the number of the Meta app; its dashboard shows it under App settings, Basic")
	case p.client.Secret.IsZero():
		return errors.New("facebook: Options.AppSecret is empty; the app's dashboard shows it under App settings, Basic")
	case !versionName.MatchString(p.version):
		return errors.New("facebook: Options.Version must look like " + DefaultVersion + "; leave it empty for that one")
	case !settings.Origin(p.dialogURL):
		return errors.New("facebook: Options.DialogURL must be https:// and a host name in lower case, nothing else; leave it empty for that of Facebook")
	case !settings.Origin(p.graphURL):
		return errors.New("facebook: Options.GraphURL must be https:// and a host name in lower case, nothing else; leave it empty for that of Facebook")
	case !settings.Scopes(p.scopes):
		return errors.New("facebook: Options.Scopes holds something that is no scope; give each scope a string of its own, or none for the default")
	}
	return nil
}

// Platform implements [connect.Provider].
func (p *Provider) Platform() connect.Platform {
	used := slices.DeleteFunc(slices.Clone(p.scopes), func(s string) bool { return s == scopeBusiness })
	return connect.Platform{
		Name:        "facebook",
		DisplayName: "Facebook",
		Client:      p.client,
		Methods: []connect.Method{{
			ID:             "oauth",
			Type:           connect.MethodOAuth,
			DefaultScopes:  slices.Clone(p.scopes),
			RequiredScopes: []string{scopeShowList},
		}},
		Kinds:      []connect.Kind{{Name: "page", Multiple: true, Scopes: used}},
		Rotation:   connect.Rotation{Class: connect.RotationStable, Source: "developers.facebook.com, Get Long-Lived Tokens: there is no refresh token"},
		Revokes:    connect.ReachSubject,
		Reconsent:  connect.ReconsentReplaces,
		Hosts:      []string{strings.TrimPrefix(p.graphURL, "https://")},
		APIBaseURL: p.api(),
		Version:    connect.Version{Name: p.version, Sunset: sunset(p.version)},
	}
}

// Begin implements [connect.OAuth]. The challenge is sent although Facebook
// documents PKCE for OpenID Connect only: its servers accept it, and the app's
// secret stays mandatory.
func (p *Provider) Begin(_ context.Context, env connect.Env, req connect.AuthRequest) (connect.Authorization, error) {
	config := oauth2.Config{
		ClientID:    env.Client.ID,
		RedirectURL: env.RedirectURL,
		Endpoint:    oauth2.Endpoint{AuthURL: p.dialogURL + "/" + p.version + "/dialog/oauth", AuthStyle: oauth2.AuthStyleInParams},
	}
	options := []oauth2.AuthCodeOption{
		oauth2.S256ChallengeOption(req.Verifier.Reveal()),
		oauth2.SetAuthURLParam("scope", strings.Join(req.Scopes, ",")),
	}
	if req.Reconnect {
		// Without it a permission that was declined once is never shown again.
		options = append(options, oauth2.SetAuthURLParam("auth_type", "rerequest"))
	}
	return connect.Authorization{URL: config.AuthCodeURL(req.State, options...)}, nil
}
