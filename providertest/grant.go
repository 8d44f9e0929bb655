package providertest

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/seed944197df/connect"
)

const (
	maxPages  = 1000 // of one list
	maxCursor = 1024 // bytes
)

// testCandidate tests what a provider offers.
func (s *suite) testCandidate(t tester, c connect.Candidate, tokens *connect.Tokens) {
	t.Helper()
	known := false
	for _, kind := range s.platform.Kinds {
		known = known || kind.Name == c.Kind
	}
	if !known || c.PlatformID == "" || c.Name == "" {
		t.Errorf("candidate %q must have a kind that Platform names, an id and a name", c.ID())
	}
	if c.AvatarURL != "" && !strings.HasPrefix(c.AvatarURL, "https://") {
		t.Errorf("the picture of %q is not https", c.ID())
	}
	public := fmt.Sprint(c.ID(), c.Name, c.Username, c.AvatarURL, c.Parent, c.Reason, c.Target)
	for _, secret := range append(s.secretsOf(tokens), c.Access.Reveal()) {
		if len(secret) >= 6 && strings.Contains(public, secret) {
			t.Errorf("candidate %q shows a secret", c.ID())
		}
	}
}

// list walks all pages, and then meets rubbish.
func (s *suite) list(t tester, p connect.Lister) {
	t.Helper()
	t.Parallel()
	tokens := s.tokens(t)
	if tokens.Self != nil {
		t.Skip("the grant is the one candidate")
	}
	env := s.env(s.line(t, nil))
	found := 0
	cursors := map[string]bool{}
	for cursor := ""; ; {
		page, err := p.List(t.Context(), env, tokens, connect.ListRequest{Cursor: cursor})
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		for _, c := range page.Candidates {
			s.testCandidate(t, c, tokens)
			found++
		}
		cursor = page.Next
		if cursor == "" {
			break
		}
		s.testCursor(t, cursor, tokens)
		if cursors[cursor] || len(cursors) > maxPages {
			t.Fatal("the list does not end")
		}
		cursors[cursor] = true
	}
	if found == 0 {
		t.Error("the person allowed everything, and there is no candidate")
	}
	for _, g := range rubbish() {
		if _, err := p.List(t.Context(), s.env(s.spoiled(t, g.answer)), tokens, connect.ListRequest{}); err != nil {
			t.Run(g.name, func(t tester) { wantError(t, err, s.secretsOf(tokens)) })
		}
	}
	for _, req := range []connect.ListRequest{{Cursor: "not a cursor of this provider"}, {Parent: "not an id of this platform"}} {
		if _, err := p.List(t.Context(), env, tokens, req); err != nil {
			wantError(t, err, s.secretsOf(tokens))
		}
	}
}

func (s *suite) testCursor(t tester, cursor string, tokens *connect.Tokens) {
	t.Helper()
	if len(cursor) > maxCursor {
		t.Errorf("a cursor has %d bytes, want at most %d", len(cursor), maxCursor)
	}
	for _, secret := range s.secretsOf(tokens) {
		if len(secret) >= 6 && strings.Contains(decoded(cursor), secret) {
			t.Error("a cursor holds a secret")
		}
	}
}

// decoded returns the cursor, and what it says if it is base64.
func decoded(cursor string) string {
	for _, encoding := range []*base64.Encoding{base64.RawURLEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.StdEncoding} {
		if data, err := encoding.DecodeString(cursor); err == nil {
			return cursor + string(data)
		}
	}
	return cursor
}

// refresh meets everything that can go wrong before it refreshes once.
func (s *suite) refresh(t tester, p connect.Refresher) {
	t.Helper()
	t.Parallel()
	tokens := s.tokens(t)
	if tokens.Refresh.IsZero() {
		t.Fatal("the person allowed everything, and there is no refresh token")
	}
	secrets := s.secretsOf(tokens)
	key := []string{tokens.Refresh.Reveal()}
	attempt := func(t tester, f fault, classes ...connect.ErrorClass) {
		t.Helper()
		l := s.spoiledAt(t, key, f)
		_, err := p.Refresh(t.Context(), s.env(l), tokens)
		wantError(t, err, secrets, classes...)
		if l.count(key...) > 1 {
			t.Errorf("the refresh token was sent %d times, want at most once", l.count(key...))
		}
	}
	t.Run("unreachable", func(t tester) { attempt(t, failing(errNotSent), connect.ClassRetry) })
	t.Run("lost", func(t tester) { attempt(t, failing(errLost), connect.ClassUncertain) })
	for _, g := range rubbish() {
		t.Run(g.name, func(t tester) { attempt(t, g.answer) })
	}
	t.Run("refreshed", func(t tester) {
		l := s.line(t, nil)
		fresh, err := p.Refresh(t.Context(), s.env(l), tokens)
		switch {
		case err != nil:
			t.Errorf("Refresh: %v", err)
		case l.count(key...) != 1:
			t.Errorf("the refresh token was sent %d times through Env.HTTP, want once", l.count(key...))
		case fresh.Access.IsZero() && fresh.Private.IsZero():
			t.Error("nothing is new")
		case fresh.Subject != "" && fresh.Subject != tokens.Subject:
			t.Error("the grant is somebody else's now")
		case s.platform.Rotation.Class == connect.RotationStrict && fresh.Refresh.IsZero():
			t.Error("the refresh token rotates, and there is no new one")
		}
	})
}

// revoke revokes what is known, what is revoked already, and what is unknown.
func (s *suite) revoke(t tester, p connect.Revoker) {
	t.Helper()
	tokens := s.tokens(t)
	secrets := s.secretsOf(tokens)
	for _, g := range outages() {
		t.Run(g.name, func(t tester) {
			wantError(t, p.Revoke(t.Context(), s.env(s.spoiled(t, g.answer)), tokens), secrets)
		})
	}
	t.Run("unreachable", func(t tester) {
		wantError(t, p.Revoke(t.Context(), s.env(s.spoiled(t, failing(errNotSent))), tokens), secrets, connect.ClassRetry)
	})
	for _, state := range []string{"living", "revoked"} {
		l := s.line(t, nil)
		if err := p.Revoke(t.Context(), s.env(l), tokens); err != nil {
			t.Errorf("revoking a %s grant: %v", state, err)
		}
		if len(l.log.list) == 0 {
			t.Errorf("revoking a %s grant asks nobody", state)
		}
	}
	unknown := *tokens
	unknown.Access, unknown.Refresh = unlike(tokens.Access), unlike(tokens.Refresh)
	if err := p.Revoke(t.Context(), s.env(s.line(t, nil)), &unknown); err != nil {
		t.Errorf("revoking an unknown token: %v", err)
	}
}

// unlike returns a token of the same shape that the platform never issued.
func unlike(token connect.Secret) connect.Secret {
	text := token.Reveal()
	if text == "" {
		return connect.Secret{}
	}
	last := "A"
	if strings.HasSuffix(text, last) {
		last = "B"
	}
	return connect.NewSecret(text[:len(text)-1] + last)
}

// sign tests that a request is authorized and otherwise left alone.
func (s *suite) sign(t tester, p connect.Signer) {
	t.Helper()
	t.Parallel()
	tokens := s.tokens(t)
	base := s.platform.APIBaseURL
	if tokens.APIBaseURL != "" {
		base = tokens.APIBaseURL
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/a%2Fb?c=1;d=%zz", unread{t})
	if err != nil {
		t.Fatalf("the base URL of the API: %v", err)
	}
	before := r.Clone(t.Context())
	if err := p.Sign(s.env(s.line(t, nil)), tokens, r); err != nil {
		t.Fatalf("Sign: %v", err)
	}
	if r.Method != before.Method || r.URL.Host != before.URL.Host || r.URL.EscapedPath() != before.URL.EscapedPath() {
		t.Error("signing changes method or address")
	}
	if !strings.HasPrefix(r.URL.RawQuery, before.URL.RawQuery) {
		t.Error("signing changes the query that was there")
	}
	one := sent{url: r.URL.String(), header: http.Header{}}
	if one.carries(tokens.Access.Reveal(), tokens.Refresh.Reveal(), s.platform.Client.Secret.Reveal()) {
		t.Error("signing puts a secret into the URL")
	}
	if r.URL.RawQuery == before.URL.RawQuery && len(r.Header) == len(before.Header) {
		t.Error("signing does nothing")
	}
}

// unread is a body that must not be read.
type unread struct{ tb testing.TB }

// Read implements [io.Reader].
func (u unread) Read([]byte) (int, error) {
	u.tb.Error("signing reads the body")
	return 0, io.ErrUnexpectedEOF
}

// classify meets rubbish as a caller of the API would.
func (s *suite) classify(t tester, p connect.Classifier) {
	t.Helper()
	t.Parallel()
	for _, g := range rubbish() {
		if class, ok := p.Classify(g.status, http.Header{}, g.head()); ok && class == connect.ClassReconnect {
			t.Errorf("%s kills a grant", g.name)
		}
	}
	if class, ok := p.Classify(http.StatusOK, nil, nil); ok && class == connect.ClassReconnect {
		t.Error("an empty answer without a header kills a grant")
	}
}
