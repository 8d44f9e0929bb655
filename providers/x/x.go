// Package x connects X (Twitter) profiles by OAuth 2.0 with PKCE.
//
// One consent is one profile. X ends an authorization code after 30 seconds
// and replaces the refresh token with every refresh; presenting the former one
// again is reported to end the grant. Source: docs.x.com, "OAuth 2.0
// Authorization Code Flow with PKCE".
package x

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/strictjson"
	"github.com/seed944197df/connect/providers/internal/platformcall"
	"github.com/seed944197df/connect/providers/internal/settings"
	"github.com/seed944197df/connect/selection"
)

// The scopes without which X does not say whose token it is, and the one
// without which it gives no refresh token.
const (
	scopeTweetRead = "tweet.read"
	scopeUsersRead = "users.read"
	scopeOffline   = "offline.access"
)

// Options are the settings of [New].
type Options struct {
	ClientID string // OAuth 2.0 client id of the app; not its API key
	// ClientSecret is the OAuth 2.0 client secret of a confidential client
	// ("Web App, Automated App or Bot"). Empty for a public client.
	ClientSecret connect.Secret

	// Scopes are requested when a flow names none; tweet.read and users.read
	// are added where they are absent. Defaults to what publishing needs:
	// tweet.read, tweet.write, users.read, media.write and offline.access.
	Scopes []string
	// AuthorizationURL is X's authorization endpoint. Defaults to
	// "https://x.com/i/oauth2/authorize".
	AuthorizationURL string
	// APIURL is the origin of X's API, token endpoint included. Defaults to
	// "https://api.x.com".
	APIURL string
}

// Provider connects X profiles. It is safe for concurrent use.
type Provider struct {
	client           connect.Client
	scopes           []string
	authorizationURL string
	apiURL           string // origin
}

// A capability whose signature is not the contract's would silently be none.
var (
	_ connect.Provider   = (*Provider)(nil)
	_ connect.Checker    = (*Provider)(nil)
	_ connect.OAuth      = (*Provider)(nil)
	_ connect.Refresher  = (*Provider)(nil)
	_ connect.Identifier = (*Provider)(nil)
	_ connect.Revoker    = (*Provider)(nil)
	_ connect.Classifier = (*Provider)(nil)
)

// New returns the provider for one app at X. What is wrong with opts is for
// [connect.New] to say: see [Provider.Check].
func New(opts Options) *Provider {
	p := &Provider{
		client:           connect.Client{ID: opts.ClientID, Secret: opts.ClientSecret},
		scopes:           slices.Clone(opts.Scopes),
		authorizationURL: opts.AuthorizationURL,
		apiURL:           strings.TrimSuffix(opts.APIURL, "/"),
	}
	if len(p.scopes) == 0 {
		p.scopes = []string{scopeTweetRead, "tweet.write", scopeUsersRead, "media.write", scopeOffline}
	}
	for _, required := range []string{scopeTweetRead, scopeUsersRead} {
		if !slices.Contains(p.scopes, required) {
			p.scopes = append(p.scopes, required)
		}
	}
	if p.authorizationURL == "" {
		p.authorizationURL = "https://x.com/i/oauth2/authorize"
	}
	if p.apiURL == "" {
		p.apiURL = "https://api.x.com"
	}
	return p
}

// Check implements [connect.Checker]. It does not look at the client id, which
// [connect.New] itself wants.
func (p *Provider) Check() error {
	switch {
	case !settings.Address(p.authorizationURL):
		return errors.New("x: Options.AuthorizationURL must be an https URL without user, query and fragment; leave it empty for that of X")
	case !settings.Origin(p.apiURL):
		return errors.New("x: Options.APIURL must be https:// and a host name in lower case, nothing else; leave it empty for that of X")
	case !settings.Scopes(p.scopes):
		return errors.New("x: Options.Scopes holds something that is no scope; give each scope a string of its own, or none for the default")
	}
	return nil
}

// Platform implements [connect.Provider].
func (p *Provider) Platform() connect.Platform {
	used := slices.DeleteFunc(slices.Clone(p.scopes), func(s string) bool { return s == scopeOffline })
	return connect.Platform{
		Name:        "x",
		DisplayName: "X",
		Aliases:     []string{"twitter"},
		Client:      p.client,
		Methods: []connect.Method{{
			ID:             "oauth",
			Type:           connect.MethodOAuth,
			DefaultScopes:  slices.Clone(p.scopes),
			RequiredScopes: []string{scopeTweetRead, scopeUsersRead},
		}},
		Kinds: []connect.Kind{{Name: "profile", Scopes: used}},
		Rotation: connect.Rotation{
			Class:  connect.RotationStrict,
			Source: "docs.x.com, OAuth 2.0 Authorization Code Flow; github.com/trypostit/trypost, issues 126 and 171",
		},
		Revokes:    connect.ReachToken,
		Reconsent:  connect.ReconsentCoexists,
		CodeTTL:    30 * time.Second,
		Hosts:      []string{strings.TrimPrefix(p.apiURL, "https://")},
		APIBaseURL: p.apiURL + "/2",
		Version:    connect.Version{Name: "2"},
	}
}

// Begin implements [connect.OAuth]. X requires PKCE and knows no parameter
// that chooses the person: who must switch accounts does so on x.com first.
func (p *Provider) Begin(_ context.Context, env connect.Env, req connect.AuthRequest) (connect.Authorization, error) {
	config := oauth2.Config{
		ClientID:    env.Client.ID,
		RedirectURL: env.RedirectURL,
		Scopes:      req.Scopes,
		Endpoint:    oauth2.Endpoint{AuthURL: p.authorizationURL, AuthStyle: oauth2.AuthStyleInHeader},
	}
	location := config.AuthCodeURL(req.State, oauth2.S256ChallengeOption(req.Verifier.Reveal()))
	// X asks for %20 between scopes. A plus that is meant is %2B by now.
	location = strings.ReplaceAll(location, "+", "%20")
	return connect.Authorization{URL: location}, nil
}

// Exchange implements [connect.OAuth]. Where X does not say whose the tokens
// are it gives them back, for nobody else will.
func (p *Provider) Exchange(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
	code := resp.Query.Get("code")
	if !platformcall.ValidToken(code) {
		return nil, &connect.ProviderError{Class: connect.ClassRetry, Code: "no_code"}
	}
	tokens, err := p.tokens(ctx, env, url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code},
		"redirect_uri":  {env.RedirectURL},
		"code_verifier": {resp.Verifier.Reveal()},
	})
	if err != nil {
		return nil, err
	}
	if tokens.Scopes == nil {
		tokens.Scopes = slices.Clone(resp.Scopes) // RFC 6749 § 5.1: identical to what was requested
	}
	tokens.Self, err = p.profile(ctx, env, tokens)
	if err != nil {
		_ = p.Revoke(ctx, env, tokens)
		return nil, err
	}
	tokens.Subject = tokens.Self.PlatformID
	return tokens, nil
}

// Refresh implements [connect.Refresher]. Tokens without a refresh token, of a
// consent without offline.access, are [connect.ClassReconnect] and nothing is
// sent.
func (p *Provider) Refresh(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
	if tokens.Refresh.IsZero() {
		return nil, &connect.ProviderError{Class: connect.ClassReconnect, Code: "no_refresh_token"}
	}
	return p.tokens(ctx, env, url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {tokens.Refresh.Reveal()},
	})
}

// Identify implements [connect.Identifier]. X does not tell which scopes a
// token has.
func (p *Provider) Identify(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
	self, err := p.profile(ctx, env, tokens)
	if err != nil {
		return nil, err
	}
	return &connect.Tokens{Subject: self.PlatformID, Self: self}, nil
}

// Revoke implements [connect.Revoker].
func (p *Provider) Revoke(ctx context.Context, env connect.Env, tokens *connect.Tokens) error {
	for _, token := range []struct {
		value connect.Secret
		hint  string
	}{{tokens.Refresh, "refresh_token"}, {tokens.Access, "access_token"}} {
		if token.value.IsZero() {
			continue
		}
		req := p.request(env, "/2/oauth2/revoke", url.Values{
			"token":           {token.value.Reveal()},
			"token_type_hint": {token.hint},
		})
		err := platformcall.Revoke(ctx, env, req)
		if err != nil && !alreadyDead(err) {
			return err
		}
	}
	return nil
}

// request returns a form for X. A confidential client sends its secret in the
// header only: X refuses it in the body.
func (p *Provider) request(env connect.Env, path string, form url.Values) platformcall.Request {
	form.Set("client_id", env.Client.ID)
	req := platformcall.Request{URL: p.apiURL + path, Form: form, Classify: waiting(env, classifyToken)}
	if !env.Client.Secret.IsZero() {
		req.Basic = &platformcall.Basic{ID: env.Client.ID, Secret: env.Client.Secret}
	}
	return req
}

// tokens posts a form that presents a one-time secret.
func (p *Provider) tokens(ctx context.Context, env connect.Env, form url.Values) (*connect.Tokens, error) {
	req := p.request(env, "/2/oauth2/token", form)
	req.OneTime = true
	answer, err := platformcall.Post(ctx, env, req)
	if err != nil {
		return nil, err
	}
	tokens := &connect.Tokens{
		Access:        answer.Access,
		Refresh:       answer.Refresh,
		AccessExpiry:  answer.AccessExpiry,
		RefreshExpiry: answer.RefreshExpiry,
	}
	if answer.Scope != nil {
		tokens.Scopes = strings.Fields(*answer.Scope)
	}
	return tokens, nil
}

// user is what X says of a person.
type user struct {
	Data struct {
		ID       strictjson.ID `json:"id"`
		Name     string        `json:"name"`
		Username string        `json:"username"`
		Picture  string        `json:"profile_image_url"`
	} `json:"data"`
}

// profile asks whose the tokens are. X bills this call, so it is made once per
// consent, and where the host asks for it.
func (p *Provider) profile(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Candidate, error) {
	location := p.apiURL + "/2/users/me?user.fields=profile_image_url,verified,verified_type,name,username"
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+tokens.Access.Reveal())
	var u user
	if err := platformcall.Call(env, r, waiting(env, classifyCall), &u); err != nil {
		return nil, err
	}
	if !u.Data.ID.Digits() {
		// X may answer 200 with errors beside, or instead of, the data.
		return nil, &connect.ProviderError{Class: connect.ClassRetry, Status: http.StatusOK, Code: "no_user"}
	}
	return &connect.Candidate{Candidate: selection.Candidate{
		Kind:       "profile",
		PlatformID: string(u.Data.ID),
		Name:       u.Data.Name,
		Username:   u.Data.Username,
		AvatarURL:  original(u.Data.Picture),
	}}, nil
}

// original returns the address of a picture in its full size: X names the
// small one, ".../abc_normal.jpg".
func original(picture string) string {
	if !strings.HasPrefix(picture, "https://") {
		return ""
	}
	folder, file := picture[:strings.LastIndex(picture, "/")+1], picture[strings.LastIndex(picture, "/")+1:]
	return folder + strings.Replace(file, "_normal.", ".", 1)
}
