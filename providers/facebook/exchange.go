package facebook

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/strictjson"
	"github.com/seed944197df/connect/providers/internal/platformcall"
)

// Exchange implements [connect.OAuth]: code, short-lived token, long-lived
// token, whose it is, and what was really granted.
//
// A token that is left over by an error is not revoked, because Facebook ends
// everything that the person gave to the app.
func (p *Provider) Exchange(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
	code := resp.Query.Get("code")
	if !platformcall.ValidToken(code) {
		return nil, &connect.ProviderError{Class: connect.ClassRetry, Code: "no_code"}
	}
	short, err := p.exchange(ctx, env, classifyCode, url.Values{
		"redirect_uri":  {env.RedirectURL},
		"code":          {code},
		"code_verifier": {resp.Verifier.Reveal()},
	})
	if err != nil {
		return nil, err
	}
	long, err := p.exchange(ctx, env, classify, url.Values{
		"grant_type":        {"fb_exchange_token"},
		"fb_exchange_token": {short.Access.Reveal()},
	})
	if err != nil {
		return nil, err
	}
	tokens := &connect.Tokens{Access: long.Access, AccessExpiry: long.AccessExpiry}
	if tokens.AccessExpiry == nil {
		tokens.AccessExpiry = p.expiry(ctx, env, tokens)
	}
	if tokens.Subject, err = p.subject(ctx, env, tokens); err != nil {
		return nil, err
	}
	tokens.Scopes, err = p.granted(ctx, env, tokens)
	return tokens, err
}

// Identify implements [connect.Identifier]. A Page's own token stands for the
// Page and tells no permissions; of unknown tokens, only a person's are a grant.
// That they are this app's is proven by the app's secret (see Sign).
func (p *Provider) Identify(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
	subject, err := p.subject(ctx, env, tokens)
	if err != nil {
		return nil, err
	}
	if tokens.Subject != "" && tokens.Subject != subject {
		return &connect.Tokens{Subject: subject}, nil
	}
	scopes, err := p.granted(ctx, env, tokens)
	if err != nil {
		return nil, ofNobody(err)
	}
	return &connect.Tokens{Subject: subject, Scopes: scopes}, nil
}

// ofNobody returns err, refused where it says that what has no permissions is
// no person.
func ofNobody(err error) error {
	e, ok := errors.AsType[*connect.ProviderError](err)
	if !ok {
		return err
	}
	if code, _ := split(e.Code); code == 100 {
		return &connect.ProviderError{Class: connect.ClassRefused, Status: e.Status, Code: "no_person"}
	}
	return err
}

// exchange posts to the token endpoint. By POST neither the secret nor a token
// is in a URL. The code works once, the token that is made longer does not.
func (p *Provider) exchange(ctx context.Context, env connect.Env, c platformcall.Classify, form url.Values) (*platformcall.Answer, error) {
	form.Set("client_id", env.Client.ID)
	form.Set("client_secret", env.Client.Secret.Reveal())
	return platformcall.Post(ctx, env, platformcall.Request{
		URL:      p.api() + "/oauth/access_token",
		Form:     form,
		OneTime:  form.Has("code"),
		Classify: c,
	})
}

// subject returns the person's id, which Facebook scopes to the app.
func (p *Provider) subject(ctx context.Context, env connect.Env, tokens *connect.Tokens) (string, error) {
	var me struct {
		ID strictjson.ID `json:"id"`
	}
	if err := p.call(ctx, env, tokens, "/me", url.Values{"fields": {"id,name"}}, &me); err != nil {
		return "", err
	}
	if !me.ID.Digits() {
		return "", &connect.ProviderError{Class: connect.ClassRetry, Status: http.StatusOK, Code: "no_id"}
	}
	return string(me.ID), nil
}

// granted returns the permissions that the person really gave: single ones can
// be unticked, and unused ones end after 90 days.
func (p *Provider) granted(ctx context.Context, env connect.Env, tokens *connect.Tokens) ([]string, error) {
	var list struct {
		Data []struct {
			Permission string `json:"permission"`
			Status     string `json:"status"`
		} `json:"data"`
	}
	if err := p.call(ctx, env, tokens, "/me/permissions", nil, &list); err != nil {
		return nil, err
	}
	if list.Data == nil {
		return nil, &connect.ProviderError{Class: connect.ClassRetry, Status: http.StatusOK, Code: "no_permissions"}
	}
	scopes := []string{}
	for _, one := range list.Data {
		if one.Status == "granted" {
			scopes = append(scopes, one.Permission)
		}
	}
	return scopes, nil
}

// inspection is what debug_token says of a token.
type inspection struct {
	ExpiresAt *int64 `json:"expires_at"` // seconds since 1970; 0: never
	Granular  []struct {
		Scope   string          `json:"scope"`
		Targets []strictjson.ID `json:"target_ids"` // absent: all
	} `json:"granular_scopes"`
}

// inspect asks what a token is, as the app. The token itself can only be sent
// in the query.
func (p *Provider) inspect(ctx context.Context, env connect.Env, tokens *connect.Tokens) (inspection, error) {
	var answer struct {
		Data inspection `json:"data"`
	}
	query := url.Values{"input_token": {tokens.Access.Reveal()}}
	r, err := p.request(ctx, env, appTokens(env.Client), http.MethodGet, "/debug_token", query)
	if err != nil {
		return inspection{}, err
	}
	err = platformcall.Call(env, r, classifyApp, &answer)
	return answer.Data, err
}

// expiry returns when a token ends whose answer did not say so: absent is not
// never. Where Facebook does not say it either, it is unknown.
func (p *Provider) expiry(ctx context.Context, env connect.Env, tokens *connect.Tokens) *time.Time {
	found, err := p.inspect(ctx, env, tokens)
	if err != nil || found.ExpiresAt == nil || *found.ExpiresAt < 0 {
		return nil
	}
	if *found.ExpiresAt == 0 {
		return new(time.Time)
	}
	at := time.Unix(*found.ExpiresAt, 0).UTC()
	return &at
}
