package providertest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/bluesky"
	"github.com/seed944197df/connect/providers/facebook"
	"github.com/seed944197df/connect/providers/x"
)

// flawed is X with a flaw: what is not nil replaces the method.
type flawed struct {
	*x.Provider

	platform func(connect.Platform) connect.Platform
	begin    func(connect.AuthRequest, connect.Authorization) connect.Authorization
	exchange func(context.Context, connect.Env, connect.AuthResponse) (*connect.Tokens, error)
	refresh  func(context.Context, connect.Env, *connect.Tokens) (*connect.Tokens, error)
	revoke   func(context.Context, connect.Env, *connect.Tokens) error
	classify func(int) (connect.ErrorClass, bool)
}

func (f *flawed) Platform() connect.Platform {
	if f.platform != nil {
		return f.platform(f.Provider.Platform())
	}
	return f.Provider.Platform()
}

func (f *flawed) Begin(ctx context.Context, env connect.Env, req connect.AuthRequest) (connect.Authorization, error) {
	auth, err := f.Provider.Begin(ctx, env, req)
	if f.begin != nil {
		auth = f.begin(req, auth)
	}
	return auth, err
}

func (f *flawed) Exchange(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
	if f.exchange != nil {
		return f.exchange(ctx, env, resp)
	}
	return f.Provider.Exchange(ctx, env, resp)
}

func (f *flawed) Refresh(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
	if f.refresh != nil {
		return f.refresh(ctx, env, tokens)
	}
	return f.Provider.Refresh(ctx, env, tokens)
}

func (f *flawed) Revoke(ctx context.Context, env connect.Env, tokens *connect.Tokens) error {
	if f.revoke != nil {
		return f.revoke(ctx, env, tokens)
	}
	return f.Provider.Revoke(ctx, env, tokens)
}

func (f *flawed) Classify(status int, header http.Header, body []byte) (connect.ErrorClass, bool) {
	if f.classify != nil {
		return f.classify(status)
	}
	return f.Provider.Classify(status, header, body)
}

// flawedPages is Facebook with a flaw.
type flawedPages struct {
	*facebook.Provider

	list    func(*connect.Tokens, connect.CandidatePage) connect.CandidatePage
	sign    func(*connect.Tokens, *http.Request)
	refused func(url.Values) (connect.ErrorClass, string, bool)
	check   func() error
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

func (f *flawedPages) List(ctx context.Context, env connect.Env, tokens *connect.Tokens, req connect.ListRequest) (connect.CandidatePage, error) {
	if f.list != nil {
		req.Cursor = ""
	}
	page, err := f.Provider.List(ctx, env, tokens, req)
	if err == nil && f.list != nil {
		page = f.list(tokens, page)
	}
	return page, err
}

func (f *flawedPages) Sign(env connect.Env, tokens *connect.Tokens, r *http.Request) error {
	err := f.Provider.Sign(env, tokens, r)
	if f.sign != nil {
		f.sign(tokens, r)
	}
	return err
}

// flawedLogin is Bluesky with a flaw.
type flawedLogin struct {
	*bluesky.Provider

	login func(context.Context, connect.Env, connect.LoginRequest) (*connect.Tokens, error)
}

func (f *flawedLogin) Login(ctx context.Context, env connect.Env, req connect.LoginRequest) (*connect.Tokens, error) {
	return f.login(ctx, env, req)
}

func loggingIn(f func(context.Context, connect.Env, connect.LoginRequest) (*connect.Tokens, error)) connect.Provider {
	return &flawedLogin{Provider: bluesky.New(nil), login: f}
}

func refusing(f func(url.Values) (connect.ErrorClass, string, bool)) connect.Provider {
	return &flawedPages{Provider: newFacebook(), refused: f}
}

// reclass returns err as one of the class, whatever it was.
func reclass(err error, class connect.ErrorClass) error {
	if err == nil {
		return nil
	}
	return &connect.ProviderError{Class: class, Err: errors.New("flawed")}
}

// A flaw is a provider that breaks one sentence of the contract, and the part
// of the suite that must notice.
type flaw struct {
	platform string
	provider connect.Provider
	caught   string
}

func described(change func(*connect.Platform)) connect.Provider {
	return &flawed{Provider: newX(), platform: func(p connect.Platform) connect.Platform {
		change(&p)
		return p
	}}
}

func beginning(change func(verifier string, query url.Values)) connect.Provider {
	return &flawed{Provider: newX(), begin: func(req connect.AuthRequest, auth connect.Authorization) connect.Authorization {
		u, err := url.Parse(auth.URL)
		if err != nil {
			return auth
		}
		query := u.Query()
		change(req.Verifier.Reveal(), query)
		u.RawQuery = query.Encode()
		auth.URL = u.String()
		return auth
	}}
}

func exchanging(f func(context.Context, connect.Env, connect.AuthResponse) (*connect.Tokens, error)) connect.Provider {
	return &flawed{Provider: newX(), exchange: f}
}

func flaws() map[string]flaw {
	once := newX().Platform()
	var counter atomic.Int64
	return map[string]flaw{
		"host with a scheme":      {"x", described(func(p *connect.Platform) { p.Hosts = append(p.Hosts, "https://api.x.com") }), "description"},
		"required, not requested": {"x", described(func(p *connect.Platform) { p.Methods[0].RequiredScopes = []string{"like.read"} }), "description"},
		"name in capitals":        {"x", described(func(p *connect.Platform) { p.Name = "X" }), "description"},
		"no source of rotation":   {"x", described(func(p *connect.Platform) { p.Rotation.Source = "" }), "description"},
		"two methods of one id":   {"x", described(func(p *connect.Platform) { p.Methods = append(p.Methods, p.Methods[0]) }), "description"},
		"API elsewhere":           {"x", described(func(p *connect.Platform) { p.APIBaseURL = "https://api.x.example/2" }), "description"},
		"revokes nothing":         {"x", described(func(p *connect.Platform) { p.Revokes = connect.ReachNothing }), "description"},
		"changing description":    {"x", described(func(p *connect.Platform) { p.CodeTTL += time.Duration(counter.Add(1)) }), "description"},
		"shared description":      {"x", described(func(p *connect.Platform) { *p = once }), "description"},
		"alias of its own name":   {"x", described(func(p *connect.Platform) { p.Aliases = []string{p.Name} }), "description"},
		"settings refused":        {"facebook", &flawedPages{Provider: newFacebook(), check: func() error { return errors.New("flawed") }}, "description"},
		"undeclared host":         {"x", described(func(p *connect.Platform) { p.Hosts, p.APIBaseURL = []string{"api.x.example"}, "" }), "oauth/grant/connect"},

		"verifier in the URL": {"x", beginning(func(verifier string, query url.Values) { query.Set("scope", query.Get("scope")+" "+verifier) }), "oauth/begin"},
		"plain challenge":     {"x", beginning(func(_ string, query url.Values) { query.Set("code_challenge_method", "plain") }), "oauth/begin"},
		"constant challenge": {"x", beginning(func(_ string, query url.Values) {
			query.Set("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
		}), "oauth/begin"},
		"other redirect URL": {"x", beginning(func(_ string, query url.Values) { query.Set("redirect_uri", query.Get("redirect_uri")+"/") }), "oauth/begin"},
		"other state":        {"x", beginning(func(_ string, query url.Values) { query.Set("state", "short") }), "oauth/begin"},

		"code sent twice": {"x", exchanging(func(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
			tokens, err := newX().Exchange(ctx, env, resp)
			_, _ = newX().Exchange(ctx, env, resp)
			return tokens, err
		}), "oauth/grant/connect"},
		"code in an error": {"x", exchanging(func(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
			tokens, err := newX().Exchange(ctx, env, resp)
			if err != nil {
				err = fmt.Errorf("exchange of %s: %w", resp.Query.Get("code"), err)
			}
			return tokens, err
		}), "oauth/grant/connect_fails"},
		"every error kills": {"x", exchanging(func(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
			tokens, err := newX().Exchange(ctx, env, resp)
			return tokens, reclass(err, connect.ClassReconnect)
		}), "oauth/grant/connect_fails"},
		"nobody without an error": {"x", exchanging(func(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
			tokens, err := newX().Exchange(ctx, env, resp)
			if err != nil {
				return &connect.Tokens{}, nil //nolint:nilerr // the flaw
			}
			return tokens, nil
		}), "oauth/grant/connect_fails"},
		"deaf to its context": {"x", exchanging(func(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
			return newX().Exchange(context.WithoutCancel(ctx), env, resp)
		}), "oauth/grant/deadline"},
		"no subject": {"x", exchanging(func(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
			tokens, err := newX().Exchange(ctx, env, resp)
			if err == nil {
				tokens.Subject = ""
			}
			return tokens, err
		}), "oauth/grant/connect"},
		"lost refresh is repeated": {"x", &flawed{Provider: newX(), refresh: func(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
			fresh, err := newX().Refresh(ctx, env, tokens)
			return fresh, reclass(err, connect.ClassRetry)
		}}, "oauth/grant/refresh/lost"},
		"unsent refresh is uncertain": {"x", &flawed{Provider: newX(), refresh: func(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
			fresh, err := newX().Refresh(ctx, env, tokens)
			return fresh, reclass(err, connect.ClassUncertain)
		}}, "oauth/grant/refresh/unreachable"},
		"refresh kills": {"x", &flawed{Provider: newX(), refresh: func(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
			fresh, err := newX().Refresh(ctx, env, tokens)
			return fresh, reclass(err, connect.ClassReconnect)
		}}, "oauth/grant/refresh/HTML_at_503"},
		"refresh token sent twice": {"x", &flawed{Provider: newX(), refresh: func(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
			if fresh, err := newX().Refresh(ctx, env, tokens); err == nil {
				return fresh, nil
			}
			return newX().Refresh(ctx, env, tokens)
		}}, "oauth/grant/refresh/lost"},
		"rotated token dropped": {"x", &flawed{Provider: newX(), refresh: func(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
			fresh, err := newX().Refresh(ctx, env, tokens)
			if err == nil {
				fresh.Refresh = connect.Secret{}
			}
			return fresh, err
		}}, "oauth/grant/refresh/refreshed"},

		"revocation without asking": {"x", &flawed{Provider: newX(), revoke: func(context.Context, connect.Env, *connect.Tokens) error { return nil }}, "oauth/revoke"},
		"outage counts as revocation": {"x", &flawed{Provider: newX(), revoke: func(ctx context.Context, env connect.Env, tokens *connect.Tokens) error {
			_ = newX().Revoke(ctx, env, tokens)
			return nil
		}}, "oauth/revoke/HTML_at_503"},
		"every failure of the API kills": {"x", &flawed{Provider: newX(), classify: func(int) (connect.ErrorClass, bool) { return connect.ClassReconnect, true }}, "oauth/grant/classify"},

		"everything is a refusal": {"facebook", refusing(func(url.Values) (connect.ErrorClass, string, bool) {
			return connect.ClassDenied, "", true
		}), "oauth/refused"},
		"nothing is a refusal": {"facebook", refusing(func(url.Values) (connect.ErrorClass, string, bool) {
			return "", "", false
		}), "oauth/refused"},
		"no is an outage": {"facebook", refusing(func(query url.Values) (connect.ErrorClass, string, bool) {
			return connect.ClassRetry, "", query.Has("error")
		}), "oauth/refused"},
		"every error is a no": {"facebook", refusing(func(query url.Values) (connect.ErrorClass, string, bool) {
			return connect.ClassDenied, "", query.Has("error")
		}), "oauth/refused"},
		"error kills": {"facebook", refusing(func(query url.Values) (connect.ErrorClass, string, bool) {
			if query.Get("error") == "access_denied" {
				return connect.ClassDenied, "", true
			}
			return connect.ClassReconnect, "", query.Has("error")
		}), "oauth/refused"},
		"code hides an error": {"facebook", refusing(func(query url.Values) (connect.ErrorClass, string, bool) {
			if query.Has("code") {
				return "", "", false
			}
			return newFacebook().Refused(query)
		}), "oauth/refused"},

		"sends whatever is typed": {"bluesky", loggingIn(func(ctx context.Context, env connect.Env, req connect.LoginRequest) (*connect.Tokens, error) {
			if tokens, err := bluesky.New(nil).Login(ctx, env, req); err == nil {
				return tokens, nil
			}
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://pds.sandbox.test/", strings.NewReader(req.Values["app_password"].Reveal()))
			if err != nil {
				return nil, err
			}
			if resp, err := env.HTTP.Do(r); err == nil {
				_ = resp.Body.Close()
			}
			return nil, &connect.ProviderError{Class: connect.ClassRefused}
		}), "app_password/malformed"},
		"malformed is an outage": {"bluesky", loggingIn(func(ctx context.Context, env connect.Env, req connect.LoginRequest) (*connect.Tokens, error) {
			tokens, err := bluesky.New(nil).Login(ctx, env, req)
			return tokens, reclass(err, connect.ClassRetry)
		}), "app_password/malformed"},
		"password in an error": {"bluesky", loggingIn(func(ctx context.Context, env connect.Env, req connect.LoginRequest) (*connect.Tokens, error) {
			tokens, err := bluesky.New(nil).Login(ctx, env, req)
			if err != nil {
				err = fmt.Errorf("login with %s: %w", req.Values["app_password"].Reveal(), err)
			}
			return tokens, err
		}), "app_password/grant/connect_fails"},
		"every failed login kills": {"bluesky", loggingIn(func(ctx context.Context, env connect.Env, req connect.LoginRequest) (*connect.Tokens, error) {
			tokens, err := bluesky.New(nil).Login(ctx, env, req)
			return tokens, reclass(err, connect.ClassReconnect)
		}), "app_password/grant/connect_fails"},
		"login deaf to its context": {"bluesky", loggingIn(func(ctx context.Context, env connect.Env, req connect.LoginRequest) (*connect.Tokens, error) {
			return bluesky.New(nil).Login(context.WithoutCancel(ctx), env, req)
		}), "app_password/grant/deadline"},
		"login without a candidate": {"bluesky", loggingIn(func(ctx context.Context, env connect.Env, req connect.LoginRequest) (*connect.Tokens, error) {
			tokens, err := bluesky.New(nil).Login(ctx, env, req)
			if err == nil {
				tokens.Self = nil
			}
			return tokens, err
		}), "app_password/grant/connect"},

		"endless list": {"facebook", &flawedPages{Provider: newFacebook(), list: func(_ *connect.Tokens, page connect.CandidatePage) connect.CandidatePage {
			page.Next = "again"
			return page
		}}, "oauth/grant/list"},
		"token in a cursor": {"facebook", &flawedPages{Provider: newFacebook(), list: func(tokens *connect.Tokens, page connect.CandidatePage) connect.CandidatePage {
			page.Next = tokens.Access.Reveal()
			return page
		}}, "oauth/grant/list"},
		"token in a candidate": {"facebook", &flawedPages{Provider: newFacebook(), list: func(_ *connect.Tokens, page connect.CandidatePage) connect.CandidatePage {
			page.Next = ""
			for i := range page.Candidates {
				page.Candidates[i].Target = map[string]string{"token": page.Candidates[i].Access.Reveal()}
			}
			return page
		}}, "oauth/grant/list"},
		"kind of its own": {"facebook", &flawedPages{Provider: newFacebook(), list: func(_ *connect.Tokens, page connect.CandidatePage) connect.CandidatePage {
			page.Next = ""
			for i := range page.Candidates {
				page.Candidates[i].Kind = "group"
			}
			return page
		}}, "oauth/grant/list"},
		"token in the URL": {"facebook", &flawedPages{Provider: newFacebook(), sign: func(tokens *connect.Tokens, r *http.Request) {
			r.URL.RawQuery += "&access_token=" + tokens.Access.Reveal()
		}}, "oauth/grant/sign"},
		"body read": {"facebook", &flawedPages{Provider: newFacebook(), sign: func(_ *connect.Tokens, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
		}}, "oauth/grant/sign"},
	}
}
