package google_test

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/internal/google"
)

var subject = regexp.MustCompile(`^[0-9]{1,32}$`)

// wantClass checks that an error says what it means, and nothing that was sent.
func wantClass(t *testing.T, err error, classes ...connect.ErrorClass) *connect.ProviderError {
	t.Helper()
	e, ok := errors.AsType[*connect.ProviderError](err)
	if !ok || !slices.Contains(classes, e.Class) || e.RetryAfter < 0 || e.RetryAfter > 24*time.Hour {
		t.Fatalf("the error is %v", err)
	}
	for _, sent := range []string{secret, verifier, code, "canary-refresh"} {
		if strings.Contains(err.Error(), sent) {
			t.Errorf("the error holds a secret: %v", err)
		}
	}
	return e
}

// FuzzExchange: whatever Google answers, a consent is tokens of one person of
// this client with a refresh token, or an error; and nothing is ever revoked.
func FuzzExchange(f *testing.F) {
	for _, body := range []string{
		tokenBody, `{"access_token":"a","token_type":"bearer","refresh_token":"r","refresh_token_expires_in":604799}`,
		`{"access_token":"a","token_type":"bearer"}`, `{"error":"invalid_grant","error_subtype":"invalid_rapt"}`, `<html>`,
	} {
		f.Add(200, body, 200, infoBody)
		f.Add(400, body, 403, body)
	}
	f.Add(200, tokenBody, 200, `{"aud":"client-2","sub":"1"}`)
	f.Add(200, tokenBody, 200, `{"aud":"client-1","sub":"../1","scope":"email  profile"}`)
	f.Add(200, tokenBody, 400, `{"error":"invalid_token"}`)
	f.Fuzz(func(t *testing.T, tokenStatus int, tokens string, infoStatus int, info string) {
		fake := newFake()
		fake.answers[tokenPath] = answer{status: tokenStatus, body: tokens}
		fake.answers[infoPath] = answer{status: infoStatus, body: info}
		got, err := exchange(t.Context(), fake, url.Values{"code": {code}})
		for i, r := range fake.got {
			if want := []string{tokenPath, infoPath}; i >= len(want) || r.URL.Scheme != "https" || r.URL.Host+r.URL.Path != want[i] || r.URL.RawQuery != "" {
				t.Errorf("%s was asked", r.URL)
			}
		}
		if err != nil {
			wantClass(t, err, connect.ClassReconnect, connect.ClassExpired, connect.ClassRetry, connect.ClassConfig, connect.ClassRefused, connect.ClassUncertain)
			return
		}
		if got.Access.IsZero() || got.Refresh.IsZero() || !subject.MatchString(got.Subject) || got.Self != nil {
			t.Errorf("tokens of %q", got.Subject)
		}
		if slices.ContainsFunc(got.Scopes, func(s string) bool { return strings.TrimSpace(s) != s || s == "" || s == "email" || s == "profile" }) {
			t.Errorf("scopes are %q", got.Scopes)
		}
	})
}

// FuzzAPI: whatever an API answers, the error of a call of our own and what is
// said of one of the host's agree, and only Google's own word ends a grant.
func FuzzAPI(f *testing.F) {
	for _, tt := range apiErrors {
		f.Add(tt.status, tt.body)
	}
	f.Add(200, `{"error":null}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		class, known := newLogin().Classify(status, http.Header{}, []byte(body))
		allowed := []connect.ErrorClass{
			connect.ClassReconnect, connect.ClassExpired, connect.ClassRetry, connect.ClassConfig, connect.ClassScopeMissing, connect.ClassSuspended,
		}
		if known != slices.Contains(allowed, class) || !known && class != "" {
			t.Errorf("%d %q is %q, %t", status, body, class, known)
		}
		if class == connect.ClassReconnect && !strings.Contains(body, "authenticatedUserAccountClosed") && !strings.Contains(body, `\u`) {
			t.Errorf("%d %q ends a grant", status, body)
		}
		if passing := status == 408 || status == 429 || status >= 500; passing && class != connect.ClassRetry && class != connect.ClassConfig {
			t.Errorf("%d %q is %q", status, body, class)
		}
		fake := newFake()
		fake.answers[apiPath] = answer{status: status, body: body}
		var v struct{}
		err := google.Get(t.Context(), newEnv(fake), held(), "https://"+apiPath, nil, &v)
		if err == nil {
			return
		}
		e := wantClass(t, err, append(allowed, connect.ClassTargetLost)...)
		if known && strings.HasPrefix(body, "{") && e.Class != class && e.Class != connect.ClassRetry {
			t.Errorf("%d %q is %q for us, and %q for the host", status, body, e.Class, class)
		}
	})
}
