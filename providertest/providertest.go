// Package providertest is the suite that every provider must pass. One line of
// a provider's own test runs it:
//
//	providertest.Run(t, providertest.Config{
//		Provider: example.New(example.Options{ClientID: "id", ClientSecret: secret}),
//		Platform: fakePlatform,
//		Consent:  allow,
//	})
//
// The platform is any [http.RoundTripper]: a fake, a recorded server, or a
// handler that plays many hosts ([FromHandler]), as the sandbox of this module
// does. The suite stands between the provider and the platform, so that it
// sees each request and can spoil each answer.
//
// It proves the sentences that [connect.Provider] and its capabilities say with
// "must". What only one platform does (which error means what) is for the
// provider's own tests.
package providertest

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/seed944197df/connect"
)

// Config says what to test. Provider and Platform are required, and Consent or
// Login for each kind of method that the provider has.
type Config struct {
	// Provider is what is tested. For OAuth its client must have an id and,
	// where the platform has confidential clients, a secret.
	Provider connect.Provider

	// Platform answers every request of the provider as the platform does. It
	// must be safe for concurrent use and must honour the request's context.
	// Nobody else should use it meanwhile: what the suite revokes may be all
	// that the person gave.
	Platform http.RoundTripper

	// Consent plays the person: it opens the authorization URL, allows
	// everything and returns the query of the redirect. It is called several
	// times, never concurrently, and each time must give another code.
	Consent func(tb testing.TB, authorizationURL string) url.Values
	// Input holds values for the fields of the OAuth method.
	Input map[string]string
	// Login holds values, by field, that the platform accepts of a person.
	Login map[string]connect.Secret

	// RedirectURL is one that Platform knows. Defaults to
	// "https://app.example.com/connect/callback/" and the platform's name.
	RedirectURL string
	// Hosts are those that the provider may call beside its Platform.Hosts:
	// a token endpoint elsewhere, a server that Login or Input names.
	Hosts []string
	// NoPKCE says that the platform does not know PKCE. Defaults to false:
	// the authorization URL must hold an S256 challenge.
	NoPKCE bool
	// Now is the clock that Platform goes by. Defaults to time.Now.
	Now func() time.Time
}

// Run runs the suite in subtests of t. It returns when they have ended.
func Run(t *testing.T, cfg Config) {
	t.Helper()
	run(goTest{t}, cfg)
}

// tester is what the suite needs of [testing.T]. Its own tests put a recorder
// in that place.
type tester interface {
	testing.TB
	Parallel()
	Run(name string, check func(t tester))
}

// goTest is the tester that go test gives.
type goTest struct{ *testing.T }

// Run implements tester.
func (t goTest) Run(name string, check func(t tester)) {
	t.Helper()
	t.T.Run(name, func(t *testing.T) { check(goTest{t}) })
}

func run(t tester, cfg Config) {
	t.Helper()
	if cfg.Provider == nil || cfg.Platform == nil {
		t.Fatal("providertest: Config.Provider and Config.Platform are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	platform := cfg.Provider.Platform()
	cfg.RedirectURL = cmp.Or(cfg.RedirectURL, "https://app.example.com/connect/callback/"+platform.Name)
	t.Run("description", func(t tester) { testDescription(t, cfg.Provider) })
	for _, method := range platform.Methods {
		s := &suite{Config: cfg, platform: platform, method: method}
		switch method.Type {
		case connect.MethodOAuth:
			s.oauth, _ = cfg.Provider.(connect.OAuth)
		case connect.MethodCredentials:
			s.login, _ = cfg.Provider.(connect.Credentials)
		}
		if s.oauth != nil || s.login != nil { // otherwise the test of the description fails
			t.Run(method.ID, s.run)
		}
	}
}

// suite tests one method. Of oauth and login, one is nil.
type suite struct {
	Config

	platform connect.Platform
	method   connect.Method
	oauth    connect.OAuth
	login    connect.Credentials
}

func (s *suite) run(t tester) {
	switch {
	case s.oauth != nil && s.Consent == nil:
		t.Fatal("providertest: Config.Consent is required for an OAuth method")
	case s.login != nil && s.Login == nil:
		t.Fatal("providertest: Config.Login is required for a credentials method")
	case s.login != nil:
		t.Run("malformed", s.malformed)
	default:
		t.Run("begin", s.begin)
		if p, ok := s.Provider.(connect.Refuser); ok {
			t.Run("refused", func(t tester) { s.refused(t, p) })
		}
	}
	// A group, which ends before anything is revoked: that may reach all that
	// the person gave.
	t.Run("grant", func(t tester) {
		t.Run("connect", s.connect)
		t.Run("connect fails", s.connectFails)
		t.Run("deadline", s.deadline)
		t.Run("concurrent use", s.concurrent)
		if p, ok := s.Provider.(connect.Lister); ok {
			t.Run("list", func(t tester) { s.list(t, p) })
		}
		if p, ok := s.Provider.(connect.Identifier); ok {
			t.Run("identify", func(t tester) { s.identify(t, p) })
		}
		if p, ok := s.Provider.(connect.Refresher); ok {
			t.Run("refresh", func(t tester) { s.refresh(t, p) })
		}
		if p, ok := s.Provider.(connect.Signer); ok {
			t.Run("sign", func(t tester) { s.sign(t, p) })
		}
		if p, ok := s.Provider.(connect.Classifier); ok {
			t.Run("classify", func(t tester) { s.classify(t, p) })
		}
	})
	if p, ok := s.Provider.(connect.Revoker); ok {
		t.Run("revoke", func(t tester) { s.revoke(t, p) })
	}
}

// env lends what the engine lends, with the line in the place of the network.
func (s *suite) env(l *line) connect.Env {
	refuse := func(*http.Request, []*http.Request) error { return errRedirect }
	lookup := *l
	lookup.anyHost = true
	return connect.Env{
		Client:      s.platform.Client,
		RedirectURL: s.RedirectURL,
		HTTP:        &http.Client{Transport: l, CheckRedirect: refuse},
		Lookup:      &http.Client{Transport: &lookup},
		Resolver:    &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errNotSent }},
		NotSent:     func(err error) bool { return errors.Is(err, errNotSent) },
		Now:         s.Now,
	}
}

// An attempt is a connect that has come as far as the person: what remains is
// Exchange or Login.
type attempt struct {
	finish  func(context.Context, connect.Env) (*connect.Tokens, error)
	once    string   // what may be sent once only: the code; empty for Login
	key     []string // what the decisive request carries: the code, or one of what was typed
	secrets []string // what must be in no error
}

func (s *suite) attempt(t tester) attempt {
	t.Helper()
	var a attempt
	if s.oauth != nil {
		a = s.consent(t)
	} else {
		a = s.typed()
	}
	a.secrets = append(a.secrets, s.platform.Client.Secret.Reveal(), canary)
	return a
}

// typed fills the form in.
func (s *suite) typed() attempt {
	a := attempt{finish: func(ctx context.Context, env connect.Env) (*connect.Tokens, error) {
		return s.login.Login(ctx, env, connect.LoginRequest{Method: s.method.ID, Values: maps.Clone(s.Login)})
	}}
	for _, field := range s.method.Fields {
		if field.Secret {
			a.secrets = append(a.secrets, s.Login[field.Name].Reveal())
		}
	}
	a.key = slices.Clone(a.secrets)
	if len(a.key) == 0 { // which the test of the description notices
		for _, value := range s.Login {
			a.key = append(a.key, value.Reveal())
		}
	}
	return a
}

// consent begins and lets the person allow.
func (s *suite) consent(t tester) attempt {
	t.Helper()
	req := s.authRequest()
	auth, err := s.oauth.Begin(t.Context(), s.env(s.line(t, nil)), req)
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	query := s.Consent(t, auth.URL)
	code := query.Get("code")
	if code == "" || query.Get("state") != req.State {
		t.Fatal("Config.Consent returned no code or another state")
	}
	return attempt{
		once:    code,
		key:     []string{code},
		secrets: []string{code, req.Verifier.Reveal()},
		finish: func(ctx context.Context, env connect.Env) (*connect.Tokens, error) {
			return s.oauth.Exchange(ctx, env, connect.AuthResponse{
				Method: s.method.ID, Query: query, Verifier: req.Verifier, Scopes: req.Scopes, Private: auth.Private,
			})
		},
	}
}

// authRequest returns one with the longest state that the engine sends.
func (s *suite) authRequest() connect.AuthRequest {
	return connect.AuthRequest{
		Method:   s.method.ID,
		State:    random(191)[:255],
		Verifier: connect.NewSecret(random(32)),
		Scopes:   slices.Clone(s.method.DefaultScopes),
		Input:    maps.Clone(s.Input),
	}
}

// random returns n random bytes as base64url.
func random(n int) string {
	data := make([]byte, n)
	_, _ = rand.Read(data) // never fails
	return base64.RawURLEncoding.EncodeToString(data)
}

// tokens connects and returns the result.
func (s *suite) tokens(t tester) *connect.Tokens {
	t.Helper()
	tokens, err := s.attempt(t).finish(t.Context(), s.env(s.line(t, nil)))
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	return tokens
}

// secretsOf returns what of tokens must be in no error.
func (s *suite) secretsOf(tokens *connect.Tokens) []string {
	return []string{tokens.Access.Reveal(), tokens.Refresh.Reveal(), tokens.Private.Reveal(), s.platform.Client.Secret.Reveal(), canary}
}
