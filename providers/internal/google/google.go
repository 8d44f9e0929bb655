// Package google is what the platforms of Google share: one client, one
// consent screen, one token endpoint, and one revocation that ends everything
// that a person gave to the client.
//
// Source: developers.google.com/identity, "Using OAuth 2.0 for Web Server
// Applications" and "Using OAuth 2.0 to Access Google APIs", read in November
// 2026.
package google

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/strictjson"
	"github.com/seed944197df/connect/providers/internal/platformcall"
	"github.com/seed944197df/connect/providers/internal/settings"
)

const (
	authorizationURL = "https://accounts.google.com/o/oauth2/v2/auth"
	origin           = "https://oauth2.googleapis.com"
	issuer           = "https://accounts.google.com"

	// ScopeOpenID is the scope with which Google says whose a token is. Nobody is
	// asked about it alone.
	ScopeOpenID = "openid"
	// ScopePrefix begins the names of all other scopes.
	ScopePrefix = "https://www.googleapis.com/auth/"
)

// Login is Google's OAuth for one client. Providers embed it.
type Login struct {
	platform string // for errors
	client   connect.Client
	scopes   []string
	required []string
}

// NewLogin returns the OAuth of a platform. Without scopes, defaults are
// requested. Of the required scopes, the first is added where there is none.
func NewLogin(platform string, client connect.Client, scopes, defaults, required []string) Login {
	l := Login{platform: platform, client: client, scopes: fullNames(scopes)}
	if len(l.scopes) == 0 {
		l.scopes = slices.Clone(defaults)
	}
	needed := required[0]
	if i := slices.IndexFunc(l.scopes, func(s string) bool { return slices.Contains(required, s) }); i >= 0 {
		needed = l.scopes[i]
	}
	l.required = []string{ScopeOpenID, needed}
	for _, scope := range l.required {
		if !slices.Contains(l.scopes, scope) {
			l.scopes = append(l.scopes, scope)
		}
	}
	return l
}

// Check implements [connect.Checker].
func (l Login) Check() error {
	switch {
	case l.client.Secret.IsZero():
		return errors.New(l.platform + ": Options.ClientSecret is empty; the client must be of the type Web application, whose secret the Google Cloud console shows once")
	case !settings.Scopes(l.scopes):
		return errors.New(l.platform + ": Options.Scopes holds something that is no scope; give each scope a string of its own, or none for the default")
	}
	return nil
}

// Describe fills in what is the same for all of Google.
func (l Login) Describe(p connect.Platform) connect.Platform {
	p.Family = "google"
	p.Client = l.client
	p.Methods = []connect.Method{{
		ID:             "oauth",
		Type:           connect.MethodOAuth,
		DefaultScopes:  slices.Clone(l.scopes),
		RequiredScopes: slices.Clone(l.required),
	}}
	p.Rotation = connect.Rotation{Class: connect.RotationStable, Source: "developers.google.com/identity, Using OAuth 2.0 for Web Server Applications: the refresh token stays"}
	p.Revokes = connect.ReachSubject
	p.Reconsent = connect.ReconsentCoexists
	return p
}

// Used are the scopes that an account is used with: those that only say who a
// person is are none of them.
func (l Login) Used() []string {
	return slices.DeleteFunc(slices.Clone(l.scopes), func(s string) bool {
		return s == ScopeOpenID || strings.HasPrefix(s, ScopePrefix+"userinfo.")
	})
}

// Begin implements [connect.OAuth].
//
// Google gives a refresh token with the first consent of a person to a client
// only, whichever tenant that was in, unless the consent screen is asked for.
// Whose refresh token is at hand is known after the consent, so the screen is
// asked for each time; a reconnect, to tick what was left out, needs it anyhow.
// The account chooser comes first, because the choice among the channels of a
// person is part of it.
//
// include_granted_scopes is left out: a grant of YouTube would be one of Google
// Business Profile, too.
func (l Login) Begin(_ context.Context, env connect.Env, req connect.AuthRequest) (connect.Authorization, error) {
	config := oauth2.Config{
		ClientID:    env.Client.ID,
		RedirectURL: env.RedirectURL,
		Scopes:      req.Scopes,
		Endpoint:    oauth2.Endpoint{AuthURL: authorizationURL, AuthStyle: oauth2.AuthStyleInParams},
	}
	options := []oauth2.AuthCodeOption{
		oauth2.AccessTypeOffline,
		oauth2.SetAuthURLParam("prompt", "select_account consent"),
		oauth2.S256ChallengeOption(req.Verifier.Reveal()),
	}
	if req.LoginHint != "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", req.LoginHint))
	}
	return connect.Authorization{URL: config.AuthCodeURL(req.State, options...)}, nil
}

// Exchange implements [connect.OAuth]. Tokens that last an hour are no
// connection: without a refresh token nobody is connected.
//
// What is left over by an error is not revoked, because Google ends everything
// that the person gave to the client.
func (l Login) Exchange(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
	code := resp.Query.Get("code")
	if !platformcall.ValidToken(code) {
		return nil, &connect.ProviderError{Class: connect.ClassRetry, Code: "no_code"}
	}
	if iss := resp.Query.Get("iss"); iss != "" && iss != issuer { // RFC 9207; Google does not promise to send it
		return nil, &connect.ProviderError{Class: connect.ClassRetry, Code: "wrong_issuer"}
	}
	tokens, err := l.tokens(ctx, env, url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code},
		"redirect_uri":  {env.RedirectURL},
		"code_verifier": {resp.Verifier.Reveal()},
	})
	if err != nil {
		return nil, err
	}
	if tokens.Refresh.IsZero() {
		return nil, &connect.ProviderError{Class: connect.ClassReconnect, Code: "no_refresh_token"}
	}
	said, err := l.Identify(ctx, env, tokens)
	if err != nil {
		return nil, err
	}
	tokens.Subject = said.Subject
	if tokens.Scopes == nil {
		tokens.Scopes = said.Scopes
	}
	return tokens, nil
}

// Refresh implements [connect.Refresher]. The refresh token stays as it is.
func (l Login) Refresh(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
	if tokens.Refresh.IsZero() {
		return nil, &connect.ProviderError{Class: connect.ClassReconnect, Code: "no_refresh_token"}
	}
	return l.tokens(ctx, env, url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {tokens.Refresh.Reveal()},
	})
}

// tokens posts to the token endpoint, which wants the client in the body.
func (l Login) tokens(ctx context.Context, env connect.Env, form url.Values) (*connect.Tokens, error) {
	form.Set("client_id", env.Client.ID)
	form.Set("client_secret", env.Client.Secret.Reveal())
	answer, err := platformcall.Post(ctx, env, platformcall.Request{URL: origin + "/token", Form: form, OneTime: true, Classify: classifyToken})
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
		tokens.Scopes = fullNames(strings.Fields(*answer.Scope))
	}
	return tokens, nil
}

// Identify implements [connect.Identifier]. One call says whose the token is,
// what it may, and that it was given to this client and no other.
//
// Google documents the question with the token in the query; its own libraries
// post it in the header, and so does this. Source:
// github.com/googleapis/google-auth-library-nodejs, OAuth2Client.getTokenInfo.
func (l Login) Identify(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, origin+"/tokeninfo", http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+tokens.Access.Reveal())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var info struct {
		Audience string        `json:"aud"`
		Subject  strictjson.ID `json:"sub"`
		Scope    string        `json:"scope"`
	}
	if err := platformcall.Call(env, r, classifyInfo, &info); err != nil {
		return nil, err
	}
	switch {
	case info.Audience == "" || !info.Subject.Digits():
		return nil, &connect.ProviderError{Class: connect.ClassRetry, Status: http.StatusOK, Code: "no_subject"}
	case info.Audience != env.Client.ID:
		return nil, &connect.ProviderError{Class: connect.ClassRefused, Status: http.StatusOK, Code: "other_client"}
	}
	return &connect.Tokens{Subject: string(info.Subject), Scopes: fullNames(strings.Fields(info.Scope))}, nil
}

// Revoke implements [connect.Revoker]. One living token is enough to end
// everything that the person gave to the client. A refresh token may be dead
// while the access token is not: of more than a hundred, Google drops the
// oldest.
func (l Login) Revoke(ctx context.Context, env connect.Env, tokens *connect.Tokens) error {
	for _, token := range []connect.Secret{tokens.Refresh, tokens.Access} {
		if token.IsZero() {
			continue
		}
		err := platformcall.Revoke(ctx, env, platformcall.Request{
			URL: origin + "/revoke", Form: url.Values{"token": {token.Reveal()}}, Classify: classifyInfo,
		})
		if e, ok := errors.AsType[*connect.ProviderError](err); !ok || e.Class != connect.ClassExpired {
			return err
		}
	}
	return nil
}

// Get asks an API. Its error says what Google means by its answer.
func Get(ctx context.Context, env connect.Env, tokens *connect.Tokens, location string, query url.Values, v any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, location+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+tokens.Access.Reveal())
	err = platformcall.Call(env, r, func(f platformcall.Failure) connect.ProviderError { return classifyCall(f, env.Now()) }, v)
	if e, ok := errors.AsType[*connect.ProviderError](err); ok && e.Code == codeNoQuota {
		e.Class = connect.ClassConfig // although it is 429
	}
	return err
}

// fullNames spells scopes as Google's answers do: it takes short names, and
// never answers with them.
func fullNames(scopes []string) []string {
	full := slices.Clone(scopes)
	for i, scope := range full {
		if scope == "email" || scope == "profile" {
			full[i] = ScopePrefix + "userinfo." + scope
		}
	}
	return full
}
