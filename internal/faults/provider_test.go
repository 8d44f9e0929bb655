package faults_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/strictjson"
	"github.com/seed944197df/connect/selection"
)

// provider is the engine's side of the platform, where a grant is one account.
type provider struct{ rotation connect.Rotation }

var (
	_ connect.OAuth     = provider{}
	_ connect.Refresher = provider{}
	_ connect.Revoker   = provider{}
)

// Platform implements [connect.Provider].
func (p provider) Platform() connect.Platform {
	return connect.Platform{
		Name: platformName, DisplayName: "Wire",
		Client:   connect.Client{ID: "client"},
		Methods:  []connect.Method{{ID: "oauth", Type: connect.MethodOAuth}},
		Kinds:    []connect.Kind{{Name: "page", Multiple: true}},
		Rotation: p.rotation,
		Revokes:  connect.ReachToken,
		Hosts:    []string{platformHost},
	}
}

// Begin implements [connect.OAuth]. No browser goes there: the tests know what
// it would come back with.
func (provider) Begin(_ context.Context, _ connect.Env, req connect.AuthRequest) (connect.Authorization, error) {
	return connect.Authorization{URL: "https://" + platformHost + "/authorize?state=" + req.State}, nil
}

// Exchange implements [connect.OAuth].
func (p provider) Exchange(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
	return p.ask(ctx, env, url.Values{"grant_type": {"authorization_code"}, "code": {resp.Query.Get("code")}})
}

// Refresh implements [connect.Refresher].
func (p provider) Refresh(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
	return p.ask(ctx, env, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.Refresh.Reveal()}})
}

// Revoke implements [connect.Revoker].
func (provider) Revoke(ctx context.Context, env connect.Env, tokens *connect.Tokens) error {
	_, err := post(ctx, env, "/revoke", url.Values{"token": {tokens.Refresh.Reveal()}})
	return err
}

func (provider) ask(ctx context.Context, env connect.Env, form url.Values) (*connect.Tokens, error) {
	sent := env.Now()
	said, err := post(ctx, env, "/token", form)
	switch {
	case err != nil:
		return nil, err
	case said.Error != "":
		return nil, &connect.ProviderError{Class: connect.ClassReconnect, Status: http.StatusBadRequest, Code: said.Error}
	}
	expiry := sent.Add(time.Duration(said.ExpiresIn) * time.Second)
	return &connect.Tokens{
		Subject: said.Subject, Access: connect.NewSecret(said.Access), Refresh: connect.NewSecret(said.Refresh), AccessExpiry: &expiry,
		Self: &connect.Candidate{Candidate: selection.Candidate{Kind: "page", PlatformID: said.Subject, Name: said.Subject}},
	}, nil
}

// post sends what works once. Unless it certainly did not leave, a lost answer
// is [connect.ClassUncertain].
func post(ctx context.Context, env connect.Env, path string, form url.Values) (answer, error) {
	var said answer
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+platformHost+path, strings.NewReader(form.Encode()))
	if err != nil {
		return said, err
	}
	r.GetBody = nil // or net/http might send it a second time
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := env.HTTP.Do(r)
	if err != nil {
		class := connect.ClassUncertain
		if env.NotSent(err) {
			class = connect.ClassRetry
		}
		return said, &connect.ProviderError{Class: class, Err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && len(body) > 0 {
		err = strictjson.Decode(body, &said)
	}
	if err != nil {
		return said, &connect.ProviderError{Class: connect.ClassUncertain, Status: resp.StatusCode, Err: err}
	}
	return said, nil
}

// pages is a provider of whose grants somebody chooses pages.
type pages struct{ provider }

var _ connect.Lister = pages{}

const pagesOfAll = 5

// Exchange implements [connect.OAuth].
func (p pages) Exchange(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
	tokens, err := p.provider.Exchange(ctx, env, resp)
	if err == nil {
		tokens.Self = nil
	}
	return tokens, err
}

// List implements [connect.Lister].
func (pages) List(context.Context, connect.Env, *connect.Tokens, connect.ListRequest) (connect.CandidatePage, error) {
	var page connect.CandidatePage
	for i := range pagesOfAll {
		name := fmt.Sprintf("page%d", i+1)
		page.Candidates = append(page.Candidates, connect.Candidate{Candidate: selection.Candidate{Kind: "page", PlatformID: name, Name: name}})
	}
	return page, nil
}
