package providertest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/seed944197df/connect"
)

func listFlaws() []flaw {
	const check = "oauth/grant/list"
	p := newFacebook()
	once := func(next func(tokens *connect.Tokens) string) *flawedPages {
		return &flawedPages{Provider: p, list: func(ctx context.Context, env connect.Env, tokens *connect.Tokens, req connect.ListRequest) (connect.CandidatePage, error) {
			if req.Cursor == next(tokens) {
				return connect.CandidatePage{}, nil
			}
			page, err := p.List(ctx, env, tokens, req)
			if page.Next == "" && err == nil {
				page.Next = next(tokens)
			}
			return page, err
		}}
	}
	return []flaw{
		{
			broken: "no list",
			provider: &flawedPages{Provider: p, list: func(context.Context, connect.Env, *connect.Tokens, connect.ListRequest) (connect.CandidatePage, error) {
				return connect.CandidatePage{}, errors.New("flawed")
			}},
			findings: is(check, "List: %v"),
		},
		{
			broken: "endless list",
			provider: &flawedPages{Provider: p, list: func(ctx context.Context, env connect.Env, tokens *connect.Tokens, _ connect.ListRequest) (connect.CandidatePage, error) {
				page, err := p.List(ctx, env, tokens, connect.ListRequest{})
				page.Next = "again"
				return page, err
			}},
			findings: is(check, "the list does not end"),
		},
		{
			broken:   "empty list",
			provider: listing(func(_ *connect.Tokens, _ connect.ListRequest, page *connect.CandidatePage) { page.Candidates = nil }),
			findings: is(check, "the person allowed everything, and there is no candidate"),
		},
		{
			broken:   "long cursor",
			provider: once(func(*connect.Tokens) string { return strings.Repeat("a", maxCursor+1) }),
			findings: is(check, "a cursor has %d bytes, want at most %d"),
		},
		{
			broken:   "token in a cursor",
			provider: once(func(tokens *connect.Tokens) string { return tokens.Access.Reveal() }),
			findings: is(check, "a cursor holds a secret"),
		},
		{
			broken: "kind of its own",
			provider: listing(func(_ *connect.Tokens, _ connect.ListRequest, page *connect.CandidatePage) {
				for i := range page.Candidates {
					page.Candidates[i].Kind = "group"
				}
			}),
			findings: is(check, "candidate %q must have a kind that Platform names, an id and a name"),
		},
		{
			broken: "token in a candidate",
			provider: listing(func(_ *connect.Tokens, _ connect.ListRequest, page *connect.CandidatePage) {
				for i := range page.Candidates {
					page.Candidates[i].Target = map[string]string{"token": page.Candidates[i].Access.Reveal()}
				}
			}),
			findings: is(check, "candidate %q shows a secret"),
		},
		{
			broken: "unknown cursor kills",
			provider: &flawedPages{Provider: p, list: func(ctx context.Context, env connect.Env, tokens *connect.Tokens, req connect.ListRequest) (connect.CandidatePage, error) {
				page, err := p.List(ctx, env, tokens, req)
				if req.Cursor != "" {
					err = reclass(err, connect.ClassReconnect)
				}
				return page, err
			}},
			findings: is(check, "this kills a grant: %v"),
		},
		{
			broken: "list of rubbish kills",
			provider: &flawedPages{Provider: p, list: func(ctx context.Context, env connect.Env, tokens *connect.Tokens, req connect.ListRequest) (connect.CandidatePage, error) {
				env, seen := spied(env)
				page, err := p.List(ctx, env, tokens, req)
				if slices.ContainsFunc(rubbish(), seen.saw) {
					err = reclass(errors.New("flawed"), connect.ClassReconnect)
				}
				return page, err
			}},
			findings: each(rubbish(), check, "this kills a grant: %v"),
		},
	}
}

// each says one sentence in the check of each garbage.
func each(list []garbage, check, sentence string) []string {
	var findings []string
	for _, g := range list {
		findings = append(findings, is(check+"/"+g.name, sentence)...)
	}
	return findings
}

func refreshFlaws() []flaw {
	const check = "oauth/grant/refresh"
	p := newX()
	return []flaw{
		{
			broken:   "no refresh token",
			provider: connected(func(tokens *connect.Tokens) { tokens.Refresh = connect.Secret{} }),
			findings: is(check, "the person allowed everything, and there is no refresh token"),
		},
		{
			broken: "lost refresh is repeated",
			provider: refreshing(func(_ connect.Env, fresh *connect.Tokens, err error) (*connect.Tokens, error) {
				return fresh, reclass(err, connect.ClassRetry)
			}),
			findings: is(check+"/lost", "the error is of class %q, want %q: %v"),
		},
		{
			broken: "unsent refresh is uncertain",
			provider: refreshing(func(_ connect.Env, fresh *connect.Tokens, err error) (*connect.Tokens, error) {
				return fresh, reclass(err, connect.ClassUncertain)
			}),
			findings: is(check+"/unreachable", "the error is of class %q, want %q: %v"),
		},
		{
			broken: "refresh token sent again where the answer was lost",
			provider: &flawedX{Provider: p, refresh: func(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
				watched, seen := spied(env)
				fresh, err := p.Refresh(ctx, watched, tokens)
				if errors.Is(seen.err, errLost) {
					return p.Refresh(ctx, env, tokens)
				}
				return fresh, err
			}},
			findings: is(check+"/lost", "the refresh token was sent %d times, want at most once"),
		},
		{
			broken: "refresh token in an error",
			provider: &flawedX{Provider: p, refresh: func(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
				fresh, err := p.Refresh(ctx, env, tokens)
				if e, ok := errors.AsType[*connect.ProviderError](err); ok {
					leaking := *e
					leaking.Code = tokens.Refresh.Reveal()
					err = &leaking
				}
				return fresh, err
			}},
			findings: slices.Concat(
				is(check+"/unreachable", "the error of class %q holds a secret"),
				is(check+"/lost", "the error of class %q holds a secret"),
				each(rubbish(), check, "the error of class %q holds a secret"),
			),
		},
		{
			broken: "refresh that worked is an error",
			provider: refreshing(func(_ connect.Env, _ *connect.Tokens, err error) (*connect.Tokens, error) {
				return nil, reclass(errors.Join(err, errors.New("flawed")), classOf(err))
			}),
			findings: is(check+"/refreshed", "Refresh: %v"),
		},
		{
			broken: "refresh token sent to two",
			provider: &flawedX{Provider: p, refresh: func(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
				fresh, err := p.Refresh(ctx, env, tokens)
				if err == nil {
					post(env, "https://api.x.com/2/oauth2/introspect", tokens.Refresh.Reveal())
				}
				return fresh, err
			}},
			findings: is(check+"/refreshed", "the refresh token was sent %d times through Env.HTTP, want once"),
		},
		{
			broken:   "no new access token",
			provider: refreshed(func(fresh *connect.Tokens) { fresh.Access = connect.Secret{} }),
			findings: is(check+"/refreshed", "nothing is new"),
		},
		{
			broken:   "tokens of somebody else",
			provider: refreshed(func(fresh *connect.Tokens) { fresh.Subject = "1" }),
			findings: is(check+"/refreshed", "the grant is somebody else's now"),
		},
		{
			broken:   "rotated token dropped",
			provider: refreshed(func(fresh *connect.Tokens) { fresh.Refresh = connect.Secret{} }),
			findings: is(check+"/refreshed", "the refresh token rotates, and there is no new one"),
		},
	}
}

func revokeFlaws() []flaw {
	const check = "oauth/revoke"
	return []flaw{
		{
			broken:   "outage counts as revocation",
			provider: revoking(func(_ bool, _ bool, err error) (bool, error) { return true, nil }),
			findings: slices.Concat(is(check+"/unreachable", "there is no error"), each(outages(), check, "there is no error")),
		},
		{
			broken:   "revoked is revoked, whatever the platform says",
			provider: revoking(func(_, revoked bool, err error) (bool, error) { return !revoked, err }),
			findings: is(check, "revoking a %s grant asks nobody"),
		},
		{
			broken: "revoked token is an error",
			provider: revoking(func(_, revoked bool, err error) (bool, error) {
				if revoked {
					err = errors.New("flawed")
				}
				return true, err
			}),
			findings: is(check, "revoking a %s grant: %v"),
		},
		{
			broken: "unknown token is an error",
			provider: revoking(func(known, _ bool, err error) (bool, error) {
				if !known {
					err = errors.New("flawed")
				}
				return true, err
			}),
			findings: is(check, "revoking an unknown token: %v"),
		},
		{
			broken: "nobody can begin after a refresh",
			provider: afterRefresh(func(p *flawedX, refreshed func() error) {
				p.begin = func(ctx context.Context, env connect.Env, req connect.AuthRequest) (connect.Authorization, error) {
					auth, err := p.Provider.Begin(ctx, env, req)
					return auth, errors.Join(err, refreshed())
				}
			}),
			findings: is(check, "Begin: %v"),
		},
		{
			broken: "nobody can connect after a refresh",
			provider: afterRefresh(func(p *flawedX, refreshed func() error) {
				p.exchange = func(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
					tokens, err := p.Provider.Exchange(ctx, env, resp)
					return tokens, errors.Join(err, refreshed())
				}
			}),
			findings: is(check, "connecting: %v"),
		},
	}
}

// revoking changes the answer to a revocation, by whether the provider knows
// the token, and whether it revoked it before; and whether it asks at all.
func revoking(change func(known, revoked bool, err error) (asks bool, _ error)) *flawedX {
	p := newX()
	var known, revoked sync.Map
	return &flawedX{
		Provider: p,
		exchange: connected(func(tokens *connect.Tokens) { known.Store(tokens.Access.Reveal(), true) }).exchange,
		revoke: func(ctx context.Context, env connect.Env, tokens *connect.Tokens) error {
			_, isKnown := known.Load(tokens.Access.Reveal())
			_, isRevoked := revoked.Load(tokens.Access.Reveal())
			if asks, err := change(isKnown, isRevoked, nil); !asks {
				return err
			}
			err := p.Revoke(ctx, env, tokens)
			if err == nil {
				revoked.Store(tokens.Access.Reveal(), true)
			}
			_, err = change(isKnown, isRevoked, err)
			return err
		},
	}
}

// afterRefresh spoils a provider once it has refreshed.
func afterRefresh(spoil func(p *flawedX, refreshed func() error)) *flawedX {
	var done atomic.Bool
	p := refreshed(func(*connect.Tokens) { done.Store(true) })
	spoil(p, func() error {
		if done.Load() {
			return errors.New("flawed")
		}
		return nil
	})
	return p
}

func signFlaws() []flaw {
	const check = "oauth/grant/sign"
	p := newFacebook()
	return []flaw{
		{
			broken: "API nowhere",
			provider: &flawedPages{Provider: p, exchange: func(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
				tokens, err := p.Exchange(ctx, env, resp)
				if err == nil {
					tokens.APIBaseURL = ":"
				}
				return tokens, err
			}},
			findings: append(is(check, "the base URL of the API: %v"),
				is("oauth/grant/identify", "where the API of tokens is differs from where it was when they were connected")...),
		},
		{
			broken: "nothing can be signed",
			provider: &flawedPages{Provider: p, sign: func(connect.Env, *connect.Tokens, *http.Request) error {
				return errors.New("flawed")
			}},
			findings: is(check, "Sign: %v"),
		},
		{
			broken:   "other method",
			provider: signing(func(_ *connect.Tokens, r *http.Request) { r.Method = http.MethodGet }),
			findings: is(check, "signing changes method or address"),
		},
		{
			broken:   "query replaced",
			provider: signing(func(_ *connect.Tokens, r *http.Request) { r.URL.RawQuery = "d=1" }),
			findings: is(check, "signing changes the query that was there"),
		},
		{
			broken: "token in the URL",
			provider: signing(func(tokens *connect.Tokens, r *http.Request) {
				r.URL.RawQuery += "&access_token=" + tokens.Access.Reveal()
			}),
			findings: is(check, "signing puts a secret into the URL"),
		},
		{
			broken:   "signs nothing",
			provider: &flawedPages{Provider: p, sign: func(connect.Env, *connect.Tokens, *http.Request) error { return nil }},
			findings: is(check, "signing does nothing"),
		},
		{
			broken:   "body read",
			provider: signing(func(_ *connect.Tokens, r *http.Request) { _, _ = io.ReadAll(r.Body) }),
			findings: is(check, "signing reads the body"),
		},
	}
}

func classifyFlaws() []flaw {
	return []flaw{
		{
			broken: "silence kills",
			provider: &flawedX{Provider: newX(), classify: func(_ int, header http.Header, _ []byte) (connect.ErrorClass, bool) {
				return connect.ClassReconnect, header == nil
			}},
			findings: is("oauth/grant/classify", "an empty answer without a header kills a grant"),
		},
	}
}

// rubbishFlaws are one provider for each garbage: a grant is dead to it
// wherever it meets that one.
func rubbishFlaws() []flaw {
	var list []flaw
	for _, g := range rubbish() {
		findings := []string{
			"oauth/grant/connect fails/" + g.name + ": this kills a grant: %v",
			"oauth/grant/connect fails/" + g.name + ", later: this kills a grant: %v",
			"oauth/grant/refresh/" + g.name + ": this kills a grant: %v",
			"oauth/grant/classify: %s kills a grant",
		}
		if slices.ContainsFunc(outages(), func(o garbage) bool { return o.name == g.name }) {
			findings = append(findings, "oauth/revoke/"+g.name+": this kills a grant: %v")
		}
		list = append(list, flaw{broken: "killed by " + g.name, provider: killedBy(g), findings: findings})
	}
	return list
}

func killedBy(deadly garbage) *flawedX {
	p := newX()
	killed := func(seen *spy, err error) error {
		if seen.saw(deadly) {
			return reclass(err, connect.ClassReconnect)
		}
		return err
	}
	return &flawedX{
		Provider: p,
		exchange: func(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
			env, seen := spied(env)
			tokens, err := p.Exchange(ctx, env, resp)
			return tokens, killed(seen, err)
		},
		refresh: func(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
			env, seen := spied(env)
			fresh, err := p.Refresh(ctx, env, tokens)
			return fresh, killed(seen, err)
		},
		revoke: func(ctx context.Context, env connect.Env, tokens *connect.Tokens) error {
			env, seen := spied(env)
			err := p.Revoke(ctx, env, tokens)
			return killed(seen, err)
		},
		classify: func(status int, header http.Header, body []byte) (connect.ErrorClass, bool) {
			if status == deadly.status && bytes.Equal(body, deadly.head()) && header != nil {
				return connect.ClassReconnect, true
			}
			return p.Classify(status, header, body)
		},
	}
}
