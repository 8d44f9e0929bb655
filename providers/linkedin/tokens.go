package linkedin

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/internal/platformcall"
	"github.com/seed944197df/connect/selection"
)

// Exchange implements [connect.OAuth]. Tokens that are left over by an error are
// not revoked: that may end what the member gave before.
func (p *Provider) Exchange(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
	code := resp.Query.Get("code")
	if !platformcall.ValidToken(code) {
		return nil, &connect.ProviderError{Class: connect.ClassRetry, Code: "no_code"}
	}
	tokens, err := p.tokens(ctx, env, url.Values{
		"grant_type":   {"authorization_code"},
		"code":         {code},
		"redirect_uri": {env.RedirectURL},
	})
	if err != nil {
		return nil, err
	}
	if tokens.Scopes == nil {
		tokens.Scopes = slices.Clone(resp.Scopes) // RFC 6749 § 5.1: identical to what was requested
	}
	self, err := p.profile(ctx, env, tokens)
	if err != nil {
		return nil, err
	}
	said := p.belongsTo(self)
	tokens.Subject, tokens.Self = said.Subject, said.Self
	return tokens, nil
}

// Refresh implements [connect.Refresher]. Most apps have no refresh token:
// nothing is sent then.
//
// The end of the refresh token is that of the consent. Whatever an answer says,
// it never moves further away, so that who is told of it weeks ahead is told
// the truth.
func (p *Provider) Refresh(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
	if tokens.Refresh.IsZero() {
		return nil, &connect.ProviderError{Class: connect.ClassReconnect, Code: "no_refresh_token"}
	}
	fresh, err := p.tokens(ctx, env, url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {tokens.Refresh.Reveal()},
	})
	if err != nil {
		return nil, err
	}
	if end := tokens.RefreshExpiry; end != nil && !end.IsZero() && (fresh.RefreshExpiry == nil || end.Before(*fresh.RefreshExpiry)) {
		fresh.RefreshExpiry = end
	}
	return fresh, nil
}

// Identify implements [connect.Identifier]. Of tokens that come from elsewhere,
// introspection says which scopes they have, and whether they are this app's:
// another app's would name the member by an id that is not ours.
func (p *Provider) Identify(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
	asked := *tokens
	var scopes []string // nil: nobody has asked
	if tokens.Subject == "" {
		var err error
		if scopes, err = p.inspect(ctx, env, tokens); err != nil {
			return nil, err
		}
		asked.Scopes = scopes
	}
	self, err := p.profile(ctx, env, &asked)
	if err != nil {
		return nil, err
	}
	said := p.belongsTo(self)
	said.Scopes = scopes
	return said, nil
}

// belongsTo says whose tokens are. Where the app is not for Pages, the member's
// profile is all that there is.
func (p *Provider) belongsTo(self *connect.Candidate) *connect.Tokens {
	said := &connect.Tokens{Subject: self.PlatformID}
	if !lists(p.scopes) {
		said.Self = self
	}
	return said
}

// Revoke implements [connect.Revoker]. The endpoint is not in LinkedIn's
// documentation; many integrations use it.
func (p *Provider) Revoke(ctx context.Context, env connect.Env, tokens *connect.Tokens) error {
	for _, token := range []connect.Secret{tokens.Refresh, tokens.Access} {
		if token.IsZero() {
			continue
		}
		req := p.request(env, "/oauth/v2/revoke", url.Values{"token": {token.Reveal()}})
		req.Classify = classifyInspect
		if err := platformcall.Revoke(ctx, env, req); err != nil && !alreadyDead(err) {
			return err
		}
	}
	return nil
}

// request returns a form for the authorization server, which wants the client's
// secret in the body.
func (p *Provider) request(env connect.Env, path string, form url.Values) platformcall.Request {
	form.Set("client_id", env.Client.ID)
	form.Set("client_secret", env.Client.Secret.Reveal())
	return platformcall.Request{URL: p.authURL + path, Form: form, Classify: classifyToken}
}

// tokens posts a code or a refresh token. LinkedIn does not promise that a
// refresh token stays the same, so a lost answer counts as one that may have
// brought another.
func (p *Provider) tokens(ctx context.Context, env connect.Env, form url.Values) (*connect.Tokens, error) {
	req := p.request(env, "/oauth/v2/accessToken", form)
	req.OneTime = true
	req.TypeOptional = true
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
		tokens.Scopes = splitScopes(*answer.Scope)
	}
	return tokens, nil
}

// splitScopes splits at commas, which LinkedIn sends, and at spaces, which it
// asks for.
func splitScopes(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// inspect asks for the scopes of a token, and that it lives and is of this app.
// Source: learn.microsoft.com, "Token Introspection".
func (p *Provider) inspect(ctx context.Context, env connect.Env, tokens *connect.Tokens) ([]string, error) {
	req := p.request(env, "/oauth/v2/introspectToken", url.Values{"token": {tokens.Access.Reveal()}})
	req.Classify = classifyInspect
	var seen struct {
		Active bool   `json:"active"`
		Client string `json:"client_id"`
		Scope  string `json:"scope"`
	}
	if err := platformcall.Ask(ctx, env, req, &seen); err != nil {
		return nil, err
	}
	switch {
	case !seen.Active:
		return nil, &connect.ProviderError{Class: connect.ClassRefused, Status: http.StatusOK, Code: "not_active"}
	case seen.Client != env.Client.ID:
		return nil, &connect.ProviderError{Class: connect.ClassRefused, Status: http.StatusOK, Code: "of_another_client"}
	}
	return splitScopes(seen.Scope), nil
}

// member is what LinkedIn says of a person: by OpenID Connect, or by the older
// call.
type member struct {
	Subject string `json:"sub"`
	Name    string `json:"name"`
	Picture string `json:"picture"`

	ID     string `json:"id"`
	First  string `json:"localizedFirstName"`
	Last   string `json:"localizedLastName"`
	Vanity string `json:"vanityName"`
}

// memberID is what the id of a person looks like, which becomes part of a URN.
var memberID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// profile asks whose the tokens are. The scopes decide which call says it.
func (p *Provider) profile(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Candidate, error) {
	path := "/v2/me"
	if slices.Contains(tokens.Scopes, scopeOpenID) {
		path = "/v2/userinfo"
	}
	var m member
	if err := p.call(ctx, env, tokens, path, &m); err != nil {
		return nil, err
	}
	id := cmp.Or(m.Subject, m.ID)
	if !memberID.MatchString(id) {
		return nil, &connect.ProviderError{Class: connect.ClassRetry, Status: http.StatusOK, Code: "no_id"}
	}
	c := &connect.Candidate{Target: map[string]string{"urn": "urn:li:person:" + id}, Candidate: selection.Candidate{
		Kind:       kindProfile,
		PlatformID: id,
		Name:       cmp.Or(m.Name, strings.TrimSpace(m.First+" "+m.Last), id),
		Username:   m.Vanity,
	}}
	if strings.HasPrefix(m.Picture, "https://") {
		c.AvatarURL = m.Picture
	}
	return c, nil
}

// call reads a path of the API, with its query, into v.
func (p *Provider) call(ctx context.Context, env connect.Env, tokens *connect.Tokens, path string, v any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.apiURL+path, nil)
	if err != nil {
		return err
	}
	if err := p.Sign(env, tokens, r); err != nil {
		return err
	}
	return platformcall.Call(env, r, ofOwn(env), v)
}
