package providertest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/selection"
)

func identifyFlaws() []flaw {
	const check = "oauth/grant/identify"
	p := newX()
	return []flaw{
		{
			broken:   "identity changes tokens",
			provider: identified(func(tokens, _ *connect.Tokens) { tokens.RefreshExpiry = new(time.Time) }),
			findings: is(check, "asking whose tokens are changes them"),
		},
		{
			broken: "identity presents the refresh token",
			provider: &flawedX{Provider: p, identify: func(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.x.com/2/users/me", nil)
				if err != nil {
					return nil, err
				}
				r.Header.Set("Authorization", "Bearer "+tokens.Refresh.Reveal())
				if resp, err := env.HTTP.Do(r); err == nil {
					_ = resp.Body.Close()
				}
				return p.Identify(ctx, env, tokens)
			}},
			findings: is(check, "the refresh token is sent to ask whose the access token is"),
		},
		{
			broken: "no identity",
			provider: &flawedX{Provider: p, identify: func(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
				if said, err := p.Identify(ctx, env, tokens); err != nil {
					return said, err
				}
				return nil, errors.New("flawed")
			}},
			findings: is(check, "Identify: %v"),
		},
		{
			broken:   "another's identity",
			provider: identified(func(_, said *connect.Tokens) { said.Subject = "1" }),
			findings: is(check, "the tokens are said to be another's than they were when they were connected"),
		},
		{
			broken: "another candidate",
			provider: identified(func(_, said *connect.Tokens) {
				said.Self = &connect.Candidate{Candidate: selection.Candidate{Kind: "profile", PlatformID: "1"}}
			}),
			findings: is(check, "whose tokens are differs from what was connected by them"),
		},
		{
			broken:   "API elsewhere",
			provider: identified(func(_, said *connect.Tokens) { said.APIBaseURL = "https://api.example/2" }),
			findings: is(check, "where the API of tokens is differs from where it was when they were connected"),
		},
		{
			broken: "identity of an unknown token",
			provider: identifying(func(env connect.Env, tokens, said *connect.Tokens, err error) (*connect.Tokens, error) {
				e, ok := errors.AsType[*connect.ProviderError](err)
				if ok && e.Status == http.StatusUnauthorized && tokens.Subject == "" && e.Code == "" {
					return &connect.Tokens{Subject: "1"}, nil
				}
				return said, err
			}),
			findings: is(check, "a token that nobody issued is somebody's"),
		},
		{
			broken: "identity of rubbish kills",
			provider: &flawedX{Provider: p, identify: func(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
				env, seen := spied(env)
				said, err := p.Identify(ctx, env, tokens)
				if slices.ContainsFunc(rubbish(), seen.saw) {
					err = reclass(err, connect.ClassReconnect)
				}
				return said, err
			}},
			findings: each(rubbish(), check, "this kills a grant: %v"),
		},
		{
			broken: "identity is uncertain",
			provider: &flawedX{Provider: p, identify: func(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
				env, seen := spied(env)
				said, err := p.Identify(ctx, env, tokens)
				if seen.err != nil {
					err = reclass(err, connect.ClassUncertain)
				}
				return said, err
			}},
			findings: append(is(check+"/unreachable", "the error is of class %q, want %q: %v"), is(check+"/lost", "the error is of class %q, want %q: %v")...),
		},
	}
}
