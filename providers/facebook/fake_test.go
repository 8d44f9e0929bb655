package facebook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/facebook"
)

const (
	secret      = "canary-app-secret"
	code        = "canary-code"
	verifier    = "canary-verifier-canary-verifier-canary-veri"
	userToken   = "canary-long"
	redirectURL = "https://app.example.com/connect/callback/facebook"
	graph       = "https://graph.facebook.com/v26.0"
)

var now = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

// fake is a strict Graph API: it knows the paths in answers, and wants the
// proof that belongs to the token of each call.
type fake struct {
	t       *testing.T
	answers map[string]string // by "METHOD /path" or "METHOD /path?after=CURSOR": body, or "400 body"
	got     []*http.Request
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
	}
	f.got = append(f.got, r)
	if r.Method != http.MethodPost {
		f.checkProof(r)
	}
	path, ok := strings.CutPrefix("https://"+r.URL.Host+r.URL.Path, graph)
	if !ok {
		f.t.Errorf("unexpected address %s%s", r.URL.Host, r.URL.Path)
	}
	key := r.Method + " " + path
	if r.Form.Has("fb_exchange_token") {
		key += " again"
	}
	if after := r.URL.Query().Get("after"); after != "" {
		key += "?after=" + after
	}
	answer, ok := f.answers[key]
	if !ok {
		return nil, errors.New("unexpected request")
	}
	status := http.StatusOK
	for text, value := range map[string]int{"400 ": 400, "403 ": 403, "429 ": 429, "500 ": 500} {
		if rest, ok := strings.CutPrefix(answer, text); ok {
			status, answer = value, rest
		}
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer)), Request: r}, nil
}

func (f *fake) checkProof(r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if want := proof(token); !ok || r.URL.Query().Get("appsecret_proof") != want {
		f.t.Errorf("%s %s carries no proof for its token", r.Method, r.URL.Path)
	}
}

func proof(token string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(token))
	return hex.EncodeToString(mac.Sum(nil))
}

// paths returns what was asked for, in order.
func (f *fake) paths() []string {
	var paths []string
	for _, r := range f.got {
		paths = append(paths, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/v26.0"))
	}
	return paths
}

func newFake(t *testing.T) *fake {
	t.Helper()
	return &fake{t: t, answers: map[string]string{
		"POST /oauth/access_token":       `{"access_token":"canary-short","token_type":"bearer","expires_in":5108}`,
		"POST /oauth/access_token again": `{"access_token":"` + userToken + `","token_type":"bearer","expires_in":5183944}`,
		"GET /me":                        `{"id":"102233445566778","name":"Dana Example"}`,
		"GET /me/permissions":            `{"data":[{"permission":"pages_show_list","status":"granted"},{"permission":"pages_manage_posts","status":"declined"},{"permission":"business_management","status":"expired"}]}`,
	}}
}

func newProvider() *facebook.Provider {
	return facebook.New(facebook.Options{AppID: "901234567890123", AppSecret: connect.NewSecret(secret)})
}

func newEnv(p *facebook.Provider, f *fake) connect.Env {
	return connect.Env{
		Client:      p.Platform().Client,
		RedirectURL: redirectURL,
		HTTP:        &http.Client{Transport: f},
		Now:         func() time.Time { return now },
	}
}

func granted(scopes ...string) *connect.Tokens {
	return &connect.Tokens{Subject: "102233445566778", Access: connect.NewSecret(userToken), Scopes: scopes}
}

func graphError(numbers string) string {
	return `{"error":{"message":"canary prose","type":"OAuthException",` + numbers + `,"fbtrace_id":"A1bC2dE3fG4"}}`
}

// wantFailure checks class and code, and that the error holds no secret.
func wantFailure(t *testing.T, err error, class connect.ErrorClass, code string) {
	t.Helper()
	var failure *connect.ProviderError
	if !errors.As(err, &failure) {
		t.Fatalf("error is %v, want a *connect.ProviderError", err)
	}
	if failure.Class != class || failure.Code != code {
		t.Errorf("error is class %q, code %q, want %q, %q", failure.Class, failure.Code, class, code)
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("error holds a secret or prose: %v", err)
	}
}
