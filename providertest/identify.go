package providertest

import (
	"reflect"

	"github.com/seed944197df/connect"
)

// identify asks whose tokens are that were just connected: as the engine asks
// of its own, and as it asks of tokens from elsewhere. Then it meets rubbish.
func (s *suite) identify(t tester, p connect.Identifier) {
	t.Helper()
	t.Parallel()
	tokens := s.tokens(t)
	if tokens.Subject == "" || tokens.Access.IsZero() {
		return // which the test of the connect notices
	}
	secrets := s.secretsOf(tokens)
	foreign := *tokens
	foreign.Subject, foreign.Self, foreign.Scopes, foreign.Hosts = "", nil, nil, nil
	s.identified(t, p, tokens, tokens)
	s.testIdentity(t, tokens, s.identified(t, p, &foreign, tokens))

	wrong := foreign
	wrong.Access = unlike(tokens.Access)
	_, err := p.Identify(t.Context(), s.env(s.line(t, nil)), &wrong)
	if err == nil {
		t.Error("a token that nobody issued is somebody's")
	} else {
		wantNoSecret(t, err, append(secrets, wrong.Access.Reveal()))
	}
	for _, g := range rubbish() {
		t.Run(g.name, func(t tester) {
			_, err := p.Identify(t.Context(), s.env(s.spoiled(t, g.answer)), &foreign)
			wantError(t, err, secrets)
		})
	}
	for name, lost := range map[string]error{"unreachable": errNotSent, "lost": errLost} {
		t.Run(name, func(t tester) {
			_, err := p.Identify(t.Context(), s.env(s.spoiled(t, failing(lost))), &foreign)
			wantError(t, err, secrets, connect.ClassRetry)
		})
	}
}

// identified asks once. It returns nil where nobody is named.
func (s *suite) identified(t tester, p connect.Identifier, asked, connected *connect.Tokens) *connect.Tokens {
	t.Helper()
	before := *asked
	l := s.line(t, nil)
	said, err := p.Identify(t.Context(), s.env(l), asked)
	if !reflect.DeepEqual(before, *asked) {
		t.Error("asking whose tokens are changes them")
	}
	if refresh := asked.Refresh.Reveal(); refresh != "" && l.count(refresh) > 0 {
		t.Error("the refresh token is sent to ask whose the access token is")
	}
	switch {
	case err != nil:
		t.Errorf("Identify: %v", err)
		return nil
	case said.Subject != connected.Subject:
		t.Error("the tokens are said to be another's than they were when they were connected")
		return nil
	}
	return said
}

// testIdentity compares what is said of tokens from elsewhere with what was
// known of them when they were connected.
func (s *suite) testIdentity(t tester, connected, said *connect.Tokens) {
	t.Helper()
	switch {
	case said == nil:
		return
	case (connected.Self == nil) != (said.Self == nil), said.Self != nil && said.Self.ID() != connected.Self.ID():
		t.Error("whose tokens are differs from what was connected by them")
	case said.APIBaseURL != connected.APIBaseURL || !reflect.DeepEqual(said.Hosts, connected.Hosts):
		t.Error("where the API of tokens is differs from where it was when they were connected")
	}
}
