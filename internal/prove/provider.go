package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/strictjson"
	"github.com/seed944197df/connect/selection"
)

// provider is the engine's side of the platform.
type provider struct {
	class  string
	worker int // who asks: the platform writes it down
}

var (
	_ connect.Credentials = provider{}
	_ connect.Refresher   = provider{}
)

// Platform implements [connect.Provider].
func (p provider) Platform() connect.Platform { return describe(p.class) }

// Login implements [connect.Credentials]: a name is enough.
func (p provider) Login(ctx context.Context, env connect.Env, req connect.LoginRequest) (*connect.Tokens, error) {
	name := req.Values["name"].Reveal()
	tokens, err := p.ask(ctx, env, url.Values{"grant_type": {"password"}, "username": {name}})
	if err != nil {
		return nil, err
	}
	tokens.Subject = name
	tokens.Self = &connect.Candidate{Candidate: selection.Candidate{Kind: "profile", PlatformID: name, Name: name}}
	return tokens, nil
}

// Refresh implements [connect.Refresher]. It also tells the platform which
// access token it has, so that the record shows which generation a process
// holds even where the refresh token stays the same.
func (p provider) Refresh(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
	return p.ask(ctx, env, url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {tokens.Refresh.Reveal()},
		"access_token":  {tokens.Access.Reveal()},
		"worker":        {strconv.Itoa(p.worker)},
	})
}

// ask presents what works once. Unless it certainly did not leave, a lost
// answer is [connect.ClassUncertain].
func (p provider) ask(ctx context.Context, env connect.Env, form url.Values) (*connect.Tokens, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+platformHost+tokenPath, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.GetBody = nil // or net/http might send it a second time
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sent := env.Now()
	resp, err := env.HTTP.Do(r)
	if err != nil {
		class := connect.ClassUncertain
		if env.NotSent(err) {
			class = connect.ClassRetry
		}
		return nil, &connect.ProviderError{Class: class, Err: err}
	}
	defer resp.Body.Close()
	var said answer
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		err = strictjson.Decode(body, &said)
	}
	switch {
	case err != nil:
		return nil, &connect.ProviderError{Class: connect.ClassUncertain, Status: resp.StatusCode, Err: err}
	case said.Error != "":
		return nil, &connect.ProviderError{Class: connect.ClassReconnect, Status: resp.StatusCode, Code: said.Error}
	case said.Access == "" || said.Refresh == "":
		return nil, &connect.ProviderError{Class: connect.ClassUncertain, Status: resp.StatusCode}
	}
	expiry := sent.Add(time.Duration(said.ExpiresIn) * time.Second)
	return &connect.Tokens{Access: connect.NewSecret(said.Access), Refresh: connect.NewSecret(said.Refresh), AccessExpiry: &expiry}, nil
}

// observer is the provider of the checker, which refreshes nothing. It is
// shown an account's tokens where a request is to be signed, and sends none.
type observer struct {
	provider

	seen func(*connect.Tokens)
}

var (
	_ connect.Signer = observer{}

	errSeen       = errors.New("the tokens were seen, and nothing is sent")
	errOnlyLooks  = errors.New("the checker refreshes nothing")
	observedSince = -24 * time.Hour // of the checker's clock, at which no token is over
)

// Sign implements [connect.Signer].
func (o observer) Sign(_ connect.Env, tokens *connect.Tokens, _ *http.Request) error {
	o.seen(tokens)
	return errSeen
}

// Refresh implements [connect.Refresher].
func (observer) Refresh(context.Context, connect.Env, *connect.Tokens) (*connect.Tokens, error) { //nolint:unparam // it implements an interface
	return nil, &connect.ProviderError{Class: connect.ClassRetry, Err: errOnlyLooks}
}
