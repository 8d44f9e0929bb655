package providertest

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed944197df/connect"
)

// patience is how long a provider may take to give up.
const patience = 5 * time.Second

// begin tests the authorization request.
func (s *suite) begin(t tester) {
	t.Helper()
	req := s.authRequest()
	auth, err := s.oauth.Begin(t.Context(), s.env(s.line(t, nil)), req)
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	u, err := url.Parse(auth.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		t.Fatal("the authorization URL is not https, or not only an address and a query")
	}
	for _, secret := range []string{req.Verifier.Reveal(), s.platform.Client.Secret.Reveal()} {
		if secret != "" && strings.Contains(auth.URL, secret) {
			t.Error("the authorization URL holds the verifier or the client secret")
		}
	}
	if len(auth.Private.Reveal()) > 16<<10 {
		t.Error("Authorization.Private is over 16 KiB")
	}
	s.testAuthorizationQuery(t, u, req)
}

// testAuthorizationQuery tests the parameters, unless they were pushed to the
// server before (RFC 9126).
func (s *suite) testAuthorizationQuery(t tester, u *url.URL, req connect.AuthRequest) {
	t.Helper()
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		t.Fatal("the query of the authorization URL is malformed")
	}
	if query.Has("request_uri") {
		return
	}
	want := map[string]string{"state": req.State, "redirect_uri": s.RedirectURL}
	if !s.NoPKCE {
		want["code_challenge"] = oauth2.S256ChallengeFromVerifier(req.Verifier.Reveal())
		want["code_challenge_method"] = "S256"
	}
	for name, value := range want {
		if len(query[name]) != 1 || query.Get(name) != value {
			t.Errorf("the authorization URL's %s is not the one that was asked for", name)
		}
	}
}

// refused tests which authorization responses are refusals. They come through
// a browser, so none may cost a grant.
func (s *suite) refused(t tester, p connect.Refuser) {
	t.Helper()
	for _, query := range []url.Values{{}, {"state": {"s"}}, {"state": {"s"}, "code": {"c"}}} {
		if class, _, refused := p.Refused(query); refused {
			t.Errorf("a response of %d parameters without an error is refused as %q", len(query), class)
		}
	}
	for _, code := range []string{"access_denied", "server_error", "temporarily_unavailable", "invalid_scope", canary} {
		class, _, refused := p.Refused(url.Values{"state": {"s"}, "error": {code}})
		switch {
		case !refused:
			t.Errorf("the error %s is no refusal", code)
		case (code == "access_denied") != (class == connect.ClassDenied):
			t.Errorf("the error %s is of class %q", code, class)
		case class == "" || class == connect.ClassReconnect:
			t.Errorf("the error %s is of class %q, which a response cannot have", code, class)
		}
	}
	if _, _, refused := p.Refused(url.Values{"code": {"c"}, "error": {"access_denied"}}); !refused {
		t.Error("an error beside a code is overlooked")
	}
}

// malformed tests that what has no right shape stays here: a password that is
// sent to nobody cannot be lost.
func (s *suite) malformed(t tester) {
	t.Helper()
	const long = 1 << 20 // bytes
	for name, text := range map[string]string{"nothing": "", "too much": strings.Repeat("a", long)} {
		t.Run(name, func(t tester) {
			values := map[string]connect.Secret{}
			for _, field := range s.method.Fields {
				values[field.Name] = connect.NewSecret(text)
			}
			l := s.line(t, nil)
			_, err := s.login.Login(t.Context(), s.env(l), connect.LoginRequest{Method: s.method.ID, Values: values})
			wantError(t, err, nil, connect.ClassRefused)
			if n := len(l.log.list); n > 0 {
				t.Errorf("%d requests were sent, want none", n)
			}
		})
	}
}

// connect tests what a person gets who allows everything.
func (s *suite) connect(t tester) {
	t.Parallel()
	a := s.attempt(t)
	l := s.line(t, nil)
	tokens, err := a.finish(t.Context(), s.env(l))
	if err != nil {
		t.Fatalf("the person allowed everything: %v", err)
	}
	if a.once != "" && l.count(a.once) != 1 {
		t.Errorf("the code was sent %d times through Env.HTTP, want once", l.count(a.once))
	}
	switch {
	case tokens.Subject == "":
		t.Error("the tokens name no subject")
	case tokens.Access.IsZero() && tokens.Private.IsZero():
		t.Error("there is neither an access token nor anything else to work with")
	case len(tokens.Private.Reveal()) > 16<<10:
		t.Error("Tokens.Private is over 16 KiB")
	}
	for _, scope := range s.method.RequiredScopes {
		if !slices.Contains(tokens.Scopes, scope) {
			t.Errorf("the person allowed everything, and scope %q was not granted", scope)
		}
	}
	_, lists := s.Provider.(connect.Lister)
	switch {
	case tokens.Self != nil:
		s.testCandidate(t, *tokens.Self, tokens)
	case !lists:
		t.Error("the grant is no candidate itself, and the provider is no Lister")
	}
}

// connectFails spoils the decisive request, and then those after it.
func (s *suite) connectFails(t tester) {
	t.Parallel()
	for _, g := range rubbish() {
		t.Run(g.name, func(t tester) {
			a := s.attempt(t)
			err := s.fails(t, a, s.spoiledAt(t, a.key, g.answer))
			wantError(t, err, a.secrets)
		})
		t.Run(g.name+", later", func(t tester) {
			a := s.attempt(t)
			if err := s.fails(t, a, s.spoiledBeside(t, a.key, g.answer)); err != nil {
				wantError(t, err, a.secrets)
			}
		})
	}
	t.Run("unreachable", func(t tester) {
		a := s.attempt(t)
		wantError(t, s.fails(t, a, s.spoiledAt(t, a.key, failing(errNotSent))), a.secrets, connect.ClassRetry)
	})
	t.Run("lost", func(t tester) {
		a := s.attempt(t)
		wantError(t, s.fails(t, a, s.spoiledAt(t, a.key, failing(errLost))), a.secrets, connect.ClassRetry, connect.ClassUncertain)
	})
}

// fails finishes the attempt over a spoiled line.
func (s *suite) fails(t tester, a attempt, l *line) error {
	t.Helper()
	tokens, err := a.finish(t.Context(), s.env(l))
	switch {
	case err == nil && (tokens == nil || tokens.Subject == ""):
		t.Error("there is no error, and nobody is connected")
	case err != nil && tokens != nil:
		t.Error("there is an error, and tokens")
	}
	if a.once != "" && l.count(a.once) > 1 {
		t.Errorf("the code was sent %d times, want at most once", l.count(a.once))
	}
	return err
}

// deadline tests that the provider gives up when the caller does.
func (s *suite) deadline(t tester) {
	t.Parallel()
	a := s.attempt(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := a.finish(ctx, s.env(s.spoiled(t, hang)))
		done <- err
	}()
	select {
	case err := <-done:
		wantError(t, err, a.secrets)
	case <-time.After(patience):
		t.Fatal("the provider does not give up when its context ends")
	}
}

// concurrent connects several people at once; its worth is under -race.
func (s *suite) concurrent(t tester) {
	t.Parallel()
	var attempts []attempt
	for range 4 {
		attempts = append(attempts, s.attempt(t))
	}
	var group sync.WaitGroup
	for _, a := range attempts {
		group.Go(func() {
			env := s.env(s.line(t, nil))
			tokens, err := a.finish(t.Context(), env)
			if err != nil {
				t.Errorf("connecting at the same time as others: %v", err)
				return
			}
			_ = s.Provider.Platform()
			if p, ok := s.Provider.(connect.Lister); ok {
				_, _ = p.List(t.Context(), env, tokens, connect.ListRequest{})
			}
			if p, ok := s.Provider.(connect.Classifier); ok {
				_, _ = p.Classify(http.StatusUnauthorized, http.Header{}, []byte(`{}`))
			}
		})
	}
	group.Wait()
}
