package providertest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/bluesky"
	"github.com/seed944197df/connect/providers/facebook"
	"github.com/seed944197df/connect/providers/x"
)

// flawedX is X with a flaw: what is not nil replaces the method.
type flawedX struct {
	*x.Provider

	platform func(connect.Platform) connect.Platform
	begin    func(context.Context, connect.Env, connect.AuthRequest) (connect.Authorization, error)
	exchange func(context.Context, connect.Env, connect.AuthResponse) (*connect.Tokens, error)
	refresh  func(context.Context, connect.Env, *connect.Tokens) (*connect.Tokens, error)
	identify func(context.Context, connect.Env, *connect.Tokens) (*connect.Tokens, error)
	revoke   func(context.Context, connect.Env, *connect.Tokens) error
	classify func(int, http.Header, []byte) (connect.ErrorClass, bool)
}

func (f *flawedX) Platform() connect.Platform {
	if f.platform != nil {
		return f.platform(f.Provider.Platform())
	}
	return f.Provider.Platform()
}

func (f *flawedX) Begin(ctx context.Context, env connect.Env, req connect.AuthRequest) (connect.Authorization, error) {
	if f.begin != nil {
		return f.begin(ctx, env, req)
	}
	return f.Provider.Begin(ctx, env, req)
}

func (f *flawedX) Exchange(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
	if f.exchange != nil {
		return f.exchange(ctx, env, resp)
	}
	return f.Provider.Exchange(ctx, env, resp)
}

func (f *flawedX) Refresh(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
	if f.refresh != nil {
		return f.refresh(ctx, env, tokens)
	}
	return f.Provider.Refresh(ctx, env, tokens)
}

func (f *flawedX) Identify(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
	if f.identify != nil {
		return f.identify(ctx, env, tokens)
	}
	return f.Provider.Identify(ctx, env, tokens)
}

func (f *flawedX) Revoke(ctx context.Context, env connect.Env, tokens *connect.Tokens) error {
	if f.revoke != nil {
		return f.revoke(ctx, env, tokens)
	}
	return f.Provider.Revoke(ctx, env, tokens)
}

func (f *flawedX) Classify(status int, header http.Header, body []byte) (connect.ErrorClass, bool) {
	if f.classify != nil {
		return f.classify(status, header, body)
	}
	return f.Provider.Classify(status, header, body)
}

// flawedPages is Facebook with a flaw.
type flawedPages struct {
	*facebook.Provider

	exchange func(context.Context, connect.Env, connect.AuthResponse) (*connect.Tokens, error)
	list     func(context.Context, connect.Env, *connect.Tokens, connect.ListRequest) (connect.CandidatePage, error)
	sign     func(connect.Env, *connect.Tokens, *http.Request) error
	refused  func(url.Values) (connect.ErrorClass, string, bool)
	check    func() error
}

func (f *flawedPages) Check() error {
	if f.check != nil {
		return f.check()
	}
	return f.Provider.Check()
}

func (f *flawedPages) Refused(query url.Values) (connect.ErrorClass, string, bool) {
	if f.refused != nil {
		return f.refused(query)
	}
	return f.Provider.Refused(query)
}

func (f *flawedPages) Exchange(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
	if f.exchange != nil {
		return f.exchange(ctx, env, resp)
	}
	return f.Provider.Exchange(ctx, env, resp)
}

func (f *flawedPages) List(ctx context.Context, env connect.Env, tokens *connect.Tokens, req connect.ListRequest) (connect.CandidatePage, error) {
	if f.list != nil {
		return f.list(ctx, env, tokens, req)
	}
	return f.Provider.List(ctx, env, tokens, req)
}

func (f *flawedPages) Sign(env connect.Env, tokens *connect.Tokens, r *http.Request) error {
	if f.sign != nil {
		return f.sign(env, tokens, r)
	}
	return f.Provider.Sign(env, tokens, r)
}

// flawedLogin is Bluesky with a flaw.
type flawedLogin struct {
	*bluesky.Provider

	platform func(connect.Platform) connect.Platform
	login    func(context.Context, connect.Env, connect.LoginRequest) (*connect.Tokens, error)
}

func (f *flawedLogin) Platform() connect.Platform {
	if f.platform != nil {
		return f.platform(f.Provider.Platform())
	}
	return f.Provider.Platform()
}

func (f *flawedLogin) Login(ctx context.Context, env connect.Env, req connect.LoginRequest) (*connect.Tokens, error) {
	if f.login != nil {
		return f.login(ctx, env, req)
	}
	return f.Provider.Login(ctx, env, req)
}

// The functions below make a provider whose flaw shows in one place.

func described(change func(*connect.Platform)) *flawedX {
	return &flawedX{Provider: newX(), platform: func(p connect.Platform) connect.Platform {
		change(&p)
		return p
	}}
}

// beginning changes the first authorization request only, so that the rest of
// the suite can go on.
func beginning(change func(req connect.AuthRequest, auth *connect.Authorization) error) *flawedX {
	p := newX()
	var begun atomic.Bool
	return &flawedX{Provider: p, begin: func(ctx context.Context, env connect.Env, req connect.AuthRequest) (connect.Authorization, error) {
		auth, err := p.Begin(ctx, env, req)
		if err == nil && !begun.Swap(true) {
			err = change(req, &auth)
		}
		return auth, err
	}}
}

// asking changes the parameters of an authorization request.
func asking(change func(req connect.AuthRequest, query url.Values)) *flawedX {
	return beginning(func(req connect.AuthRequest, auth *connect.Authorization) error {
		u, err := url.Parse(auth.URL)
		if err != nil {
			return err
		}
		query := u.Query()
		change(req, query)
		u.RawQuery = query.Encode()
		auth.URL = u.String()
		return nil
	})
}

// exchanging changes the answer to an exchange.
func exchanging(change func(env connect.Env, code string, tokens *connect.Tokens, err error) (*connect.Tokens, error)) *flawedX {
	p := newX()
	return &flawedX{Provider: p, exchange: func(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
		tokens, err := p.Exchange(ctx, env, resp)
		return change(env, resp.Query.Get("code"), tokens, err)
	}}
}

// connected changes the tokens of a grant.
func connected(change func(tokens *connect.Tokens)) *flawedX {
	return exchanging(func(_ connect.Env, _ string, tokens *connect.Tokens, err error) (*connect.Tokens, error) {
		if err == nil {
			change(tokens)
		}
		return tokens, err
	})
}

// refreshing changes the answer to a refresh.
func refreshing(change func(env connect.Env, fresh *connect.Tokens, err error) (*connect.Tokens, error)) *flawedX {
	p := newX()
	return &flawedX{Provider: p, refresh: func(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
		fresh, err := p.Refresh(ctx, env, tokens)
		return change(env, fresh, err)
	}}
}

// refreshed changes the new tokens of a grant.
func refreshed(change func(fresh *connect.Tokens)) *flawedX {
	return refreshing(func(_ connect.Env, fresh *connect.Tokens, err error) (*connect.Tokens, error) {
		if err == nil {
			change(fresh)
		}
		return fresh, err
	})
}

// identifying changes the answer to whose tokens are.
func identifying(change func(env connect.Env, tokens, said *connect.Tokens, err error) (*connect.Tokens, error)) *flawedX {
	p := newX()
	return &flawedX{Provider: p, identify: func(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
		said, err := p.Identify(ctx, env, tokens)
		return change(env, tokens, said, err)
	}}
}

// identified changes what is said of tokens.
func identified(change func(tokens, said *connect.Tokens)) *flawedX {
	return identifying(func(_ connect.Env, tokens, said *connect.Tokens, err error) (*connect.Tokens, error) {
		if err == nil {
			change(tokens, said)
		}
		return said, err
	})
}

// loggingIn changes the answer to a login.
func loggingIn(change func(req connect.LoginRequest, env connect.Env, tokens *connect.Tokens, err error) (*connect.Tokens, error)) *flawedLogin {
	p := bluesky.New(nil)
	return &flawedLogin{Provider: p, login: func(ctx context.Context, env connect.Env, req connect.LoginRequest) (*connect.Tokens, error) {
		tokens, err := p.Login(ctx, env, req)
		return change(req, env, tokens, err)
	}}
}

func refusing(f func(url.Values) (connect.ErrorClass, string, bool)) *flawedPages {
	return &flawedPages{Provider: newFacebook(), refused: f}
}

// listing changes a page of candidates.
func listing(change func(tokens *connect.Tokens, req connect.ListRequest, page *connect.CandidatePage)) *flawedPages {
	p := newFacebook()
	return &flawedPages{Provider: p, list: func(ctx context.Context, env connect.Env, tokens *connect.Tokens, req connect.ListRequest) (connect.CandidatePage, error) {
		page, err := p.List(ctx, env, tokens, req)
		if err == nil {
			change(tokens, req, &page)
		}
		return page, err
	}}
}

// signing changes a request after it was signed.
func signing(change func(tokens *connect.Tokens, r *http.Request)) *flawedPages {
	p := newFacebook()
	return &flawedPages{Provider: p, sign: func(env connect.Env, tokens *connect.Tokens, r *http.Request) error {
		err := p.Sign(env, tokens, r)
		change(tokens, r)
		return err
	}}
}

// reclass returns err as one of the class, whatever it was.
func reclass(err error, class connect.ErrorClass) error {
	if err == nil {
		return nil
	}
	return &connect.ProviderError{Class: class, Err: errors.New("flawed")}
}

// spied returns env with a spy on its line.
func spied(env connect.Env) (connect.Env, *spy) {
	s := &spy{next: env.HTTP.Transport}
	env.HTTP = &http.Client{Transport: s, CheckRedirect: env.HTTP.CheckRedirect}
	return env, s
}

// spy sees what a provider is answered.
type spy struct {
	next    http.RoundTripper
	err     error
	answers []garbage // without names
}

// RoundTrip implements [http.RoundTripper].
func (s *spy) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.next.RoundTrip(r)
	if err != nil {
		s.err = err
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	s.answers = append(s.answers, garbage{status: resp.StatusCode, body: string(body)})
	return resp, err
}

// saw reports whether one of the answers was the garbage.
func (s *spy) saw(g garbage) bool {
	return slices.ContainsFunc(s.answers, func(a garbage) bool { return a.status == g.status && a.body == g.body })
}
