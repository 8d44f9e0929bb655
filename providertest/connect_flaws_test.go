package providertest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/bluesky"
)

// tooLong is more than a provider may keep of its own.
var tooLong = connect.NewSecret(strings.Repeat("a", 16<<10+1))

func beginFlaws() []flaw {
	return []flaw{
		{
			broken:   "begins with an error",
			provider: beginning(func(connect.AuthRequest, *connect.Authorization) error { return errors.New("flawed") }),
			findings: is("oauth/begin", "Begin: %v"),
		},
		{
			broken: "plain http",
			provider: beginning(func(_ connect.AuthRequest, auth *connect.Authorization) error {
				auth.URL = strings.Replace(auth.URL, "https:", "http:", 1)
				return nil
			}),
			findings: is("oauth/begin", "the authorization URL is not https, or not only an address and a query"),
		},
		{
			broken:   "verifier in the URL",
			provider: asking(func(req connect.AuthRequest, query url.Values) { query.Set("hint", req.Verifier.Reveal()) }),
			findings: is("oauth/begin", "the authorization URL holds the verifier or the client secret"),
		},
		{
			broken:   "client secret in the URL",
			provider: asking(func(_ connect.AuthRequest, query url.Values) { query.Set("client_secret", secret) }),
			findings: is("oauth/begin", "the authorization URL holds the verifier or the client secret"),
		},
		{
			broken: "much to keep while the person is away",
			provider: beginning(func(_ connect.AuthRequest, auth *connect.Authorization) error {
				auth.Private = tooLong
				return nil
			}),
			findings: is("oauth/begin", "Authorization.Private is over 16 KiB"),
		},
		{
			broken: "malformed query",
			provider: beginning(func(_ connect.AuthRequest, auth *connect.Authorization) error {
				auth.URL += "&a=%zz"
				return nil
			}),
			findings: is("oauth/begin", "the query of the authorization URL is malformed"),
		},
		{
			broken:   "plain challenge",
			provider: asking(func(_ connect.AuthRequest, query url.Values) { query.Set("code_challenge_method", "plain") }),
			findings: is("oauth/begin", "the authorization URL's %s is not the one that was asked for"),
		},
		{
			broken: "constant challenge",
			provider: asking(func(_ connect.AuthRequest, query url.Values) {
				query.Set("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
			}),
			findings: is("oauth/begin", "the authorization URL's %s is not the one that was asked for"),
		},
		{
			broken: "other redirect URL",
			provider: asking(func(_ connect.AuthRequest, query url.Values) {
				query.Set("redirect_uri", query.Get("redirect_uri")+"/")
			}),
			findings: is("oauth/begin", "the authorization URL's %s is not the one that was asked for"),
		},
		{
			broken:   "state cut short",
			provider: asking(func(_ connect.AuthRequest, query url.Values) { query.Set("state", query.Get("state")[:128]) }),
			findings: is("oauth/begin", "the authorization URL's %s is not the one that was asked for"),
		},
	}
}

func refusedFlaws() []flaw {
	sound := newFacebook().Refused
	return []flaw{
		{
			broken: "silence is a refusal",
			provider: refusing(func(query url.Values) (connect.ErrorClass, string, bool) {
				if !query.Has("code") && !query.Has("error") {
					return connect.ClassRetry, "", true
				}
				return sound(query)
			}),
			findings: is("oauth/refused", "a response of %d parameters without an error is refused as %q"),
		},
		{
			broken: "unknown error is no refusal",
			provider: refusing(func(query url.Values) (connect.ErrorClass, string, bool) {
				if query.Get("error") == canary {
					return "", "", false
				}
				return sound(query)
			}),
			findings: is("oauth/refused", "the error %s is no refusal"),
		},
		{
			broken: "no is an outage",
			provider: refusing(func(query url.Values) (connect.ErrorClass, string, bool) {
				return connect.ClassRetry, "", query.Has("error")
			}),
			findings: is("oauth/refused", "the error %s is of class %q"),
		},
		{
			broken: "every error is a no",
			provider: refusing(func(query url.Values) (connect.ErrorClass, string, bool) {
				return connect.ClassDenied, "", query.Has("error")
			}),
			findings: is("oauth/refused", "the error %s is of class %q"),
		},
		{
			broken: "refusal kills",
			provider: refusing(func(query url.Values) (connect.ErrorClass, string, bool) {
				if query.Get("error") == "invalid_scope" {
					return connect.ClassReconnect, "", true
				}
				return sound(query)
			}),
			findings: is("oauth/refused", "the error %s is of class %q, which a response cannot have"),
		},
		{
			broken: "code hides an error",
			provider: refusing(func(query url.Values) (connect.ErrorClass, string, bool) {
				if query.Has("code") {
					return "", "", false
				}
				return sound(query)
			}),
			findings: is("oauth/refused", "an error beside a code is overlooked"),
		},
	}
}

func connectFlaws() []flaw {
	const check = "oauth/grant/connect"
	var connects, working atomic.Int64
	p := newX()
	return []flaw{
		{
			broken: "first grant is lost",
			provider: exchanging(func(_ connect.Env, _ string, tokens *connect.Tokens, err error) (*connect.Tokens, error) {
				if connects.Add(1) == 1 {
					return nil, reclass(errors.New("lost"), connect.ClassRetry)
				}
				return tokens, err
			}),
			findings: is(check, "the person allowed everything: %v"),
		},
		{
			broken: "code sent twice",
			provider: exchanging(func(env connect.Env, code string, tokens *connect.Tokens, err error) (*connect.Tokens, error) {
				if err == nil {
					post(env, "https://api.x.com/2/oauth2/token", code)
				}
				return tokens, err
			}),
			findings: is(check, "the code was sent %d times through Env.HTTP, want once"),
		},
		{
			broken:   "no subject",
			provider: connected(func(tokens *connect.Tokens) { tokens.Subject = "" }),
			findings: is(check, "the tokens name no subject"),
		},
		{
			broken:   "nothing to work with",
			provider: connected(func(tokens *connect.Tokens) { tokens.Access = connect.Secret{} }),
			findings: is(check, "there is neither an access token nor anything else to work with"),
		},
		{
			broken:   "much to keep",
			provider: connected(func(tokens *connect.Tokens) { tokens.Private = tooLong }),
			findings: is(check, "Tokens.Private is over 16 KiB"),
		},
		{
			broken:   "no scope is granted",
			provider: connected(func(tokens *connect.Tokens) { tokens.Scopes = nil }),
			findings: is(check, "the person allowed everything, and scope %q was not granted"),
		},
		{
			broken:   "candidate without a name",
			provider: connected(func(tokens *connect.Tokens) { tokens.Self.Name = "" }),
			findings: is(check, "candidate %q must have a kind that Platform names, an id and a name"),
		},
		{
			broken:   "picture over http",
			provider: connected(func(tokens *connect.Tokens) { tokens.Self.AvatarURL = "http://pbs.twimg.com/1.jpg" }),
			findings: is(check, "the picture of %q is not https"),
		},
		{
			broken:   "token in the name",
			provider: connected(func(tokens *connect.Tokens) { tokens.Self.Name += tokens.Access.Reveal() }),
			findings: is(check, "candidate %q shows a secret"),
		},
		{
			broken:   "no candidate",
			provider: connected(func(tokens *connect.Tokens) { tokens.Self = nil }),
			findings: append(is(check, "the grant is no candidate itself, and the provider is no Lister"),
				is("oauth/grant/identify", "whose tokens are differs from what was connected by them")...),
		},
		{
			broken: "nobody without an error",
			provider: exchanging(func(_ connect.Env, _ string, tokens *connect.Tokens, err error) (*connect.Tokens, error) {
				if err != nil {
					return &connect.Tokens{}, nil //nolint:nilerr // the flaw
				}
				return tokens, nil
			}),
			findings: slices.Concat(
				everyFailure(check, "there is no error"),
				everyFailure(check, "there is no error, and nobody is connected"),
				everyLaterFailure(check, "there is no error, and nobody is connected"),
				is("oauth/grant/deadline", "there is no error"),
			),
		},
		{
			broken: "tokens beside an error",
			provider: exchanging(func(_ connect.Env, _ string, tokens *connect.Tokens, err error) (*connect.Tokens, error) {
				if err != nil {
					tokens = &connect.Tokens{}
				}
				return tokens, err
			}),
			findings: slices.Concat(
				everyFailure(check, "there is an error, and tokens"),
				everyLaterFailure(check, "there is an error, and tokens"),
			),
		},
		{
			broken: "code sent again where the answer was lost",
			provider: &flawedX{Provider: p, exchange: func(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
				watched, seen := spied(env)
				tokens, err := p.Exchange(ctx, watched, resp)
				if errors.Is(seen.err, errLost) {
					return p.Exchange(ctx, env, resp)
				}
				return tokens, err
			}},
			findings: is(check+" fails/lost", "the code was sent %d times, want at most once"),
		},
		{
			broken: "code in an error",
			provider: exchanging(func(_ connect.Env, code string, tokens *connect.Tokens, err error) (*connect.Tokens, error) {
				if err != nil {
					err = fmt.Errorf("exchange of %s: %w", code, err)
				}
				return tokens, err
			}),
			findings: slices.Concat(
				everyFailure(check, "the error of class %q holds a secret"),
				everyLaterFailure(check, "the error of class %q holds a secret"),
				is("oauth/grant/deadline", "the error of class %q holds a secret"),
			),
		},
		{
			broken: "unsent code is uncertain",
			provider: exchanging(func(_ connect.Env, _ string, tokens *connect.Tokens, err error) (*connect.Tokens, error) {
				return tokens, reclass(err, connect.ClassUncertain)
			}),
			findings: is(check+" fails/unreachable", "the error is of class %q, want %q: %v"),
		},
		{
			broken: "deaf to its context",
			provider: &flawedX{Provider: p, exchange: func(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
				defer cancel()
				return p.Exchange(ctx, env, resp)
			}},
			findings: is("oauth/grant/deadline", "the provider does not give up when its context ends"),
		},
		{
			broken: "one person at a time",
			provider: &flawedX{Provider: p, exchange: func(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
				defer working.Add(-1)
				others := working.Add(1) - 1
				<-time.After(time.Nanosecond) // until everybody is here
				if others > 0 {
					return nil, errors.New("flawed")
				}
				return p.Exchange(ctx, env, resp)
			}},
			findings: is("oauth/grant/concurrent use", "connecting at the same time as others: %v"),
		},
	}
}

// everyFailure says one sentence in each check that spoils the decisive request
// of a connect.
func everyFailure(check, sentence string) []string {
	check += " fails"
	return slices.Concat(is(check+"/unreachable", sentence), is(check+"/lost", sentence), each(rubbish(), check, sentence))
}

// everyLaterFailure says one sentence in each check that spoils a later
// request.
func everyLaterFailure(check, sentence string) []string {
	var findings []string
	for _, g := range rubbish() {
		findings = append(findings, is(check+" fails/"+g.name+", later", sentence)...)
	}
	return findings
}

// post sends a token to where it does not belong.
func post(env connect.Env, address, token string) {
	resp, err := env.HTTP.Post(address, "text/plain", strings.NewReader(token))
	if err == nil {
		_ = resp.Body.Close()
	}
}

func loginFlaws() []flaw {
	const check = "app_password/grant/connect"
	p := bluesky.New(nil)
	return []flaw{
		{
			broken: "sends whatever is typed",
			provider: loggingIn(func(req connect.LoginRequest, env connect.Env, tokens *connect.Tokens, err error) (*connect.Tokens, error) {
				if e, ok := errors.AsType[*connect.ProviderError](err); ok && e.Class == connect.ClassRefused {
					post(env, "https://pds.sandbox.test/", req.Values["app_password"].Reveal())
				}
				return tokens, err
			}),
			findings: []string{
				"app_password/malformed/nothing: %d requests were sent, want none",
				"app_password/malformed/too much: %d requests were sent, want none",
			},
		},
		{
			broken: "malformed is an outage",
			provider: loggingIn(func(_ connect.LoginRequest, _ connect.Env, tokens *connect.Tokens, err error) (*connect.Tokens, error) {
				return tokens, reclass(err, connect.ClassRetry)
			}),
			findings: []string{
				"app_password/malformed/nothing: the error is of class %q, want %q: %v",
				"app_password/malformed/too much: the error is of class %q, want %q: %v",
			},
		},
		{
			broken: "password in an error",
			provider: loggingIn(func(req connect.LoginRequest, _ connect.Env, tokens *connect.Tokens, err error) (*connect.Tokens, error) {
				if err != nil {
					err = fmt.Errorf("login with %s: %w", req.Values["app_password"].Reveal(), err)
				}
				return tokens, err
			}),
			findings: slices.Concat(
				everyFailure(check, "the error of class %q holds a secret"),
				everyLaterFailure(check, "the error of class %q holds a secret"),
				is("app_password/grant/deadline", "the error of class %q holds a secret"),
			),
		},
		{
			broken: "login deaf to its context",
			provider: &flawedLogin{Provider: p, login: func(ctx context.Context, env connect.Env, req connect.LoginRequest) (*connect.Tokens, error) {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
				defer cancel()
				return p.Login(ctx, env, req)
			}},
			findings: is("app_password/grant/deadline", "the provider does not give up when its context ends"),
		},
		{
			broken: "login without a candidate",
			provider: loggingIn(func(_ connect.LoginRequest, _ connect.Env, tokens *connect.Tokens, err error) (*connect.Tokens, error) {
				if err == nil {
					tokens.Self = nil
				}
				return tokens, err
			}),
			findings: append(is(check, "the grant is no candidate itself, and the provider is no Lister"),
				is("app_password/grant/identify", "whose tokens are differs from what was connected by them")...),
		},
	}
}

func transportFlaws() []flaw {
	calling := func(address string) *flawedX {
		return refreshing(func(env connect.Env, fresh *connect.Tokens, err error) (*connect.Tokens, error) {
			if r, failed := http.NewRequest(http.MethodGet, address, nil); failed == nil && err == nil {
				if resp, failed := env.HTTP.Do(r); failed == nil {
					_ = resp.Body.Close()
				}
			}
			return fresh, err
		})
	}
	return []flaw{
		{
			broken:   "call in plain sight",
			provider: calling("http://api.x.com/"),
			findings: is("oauth/grant/refresh/refreshed", "a request goes to %s by %s, want https"),
		},
		{
			broken:   "undeclared host",
			provider: calling("https://api.x.example/"),
			findings: is("oauth/grant/refresh/refreshed", "a request goes to %s, which neither Platform.Hosts nor Config.Hosts names"),
		},
	}
}
