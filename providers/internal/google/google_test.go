package google_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/internal/google"
)

const (
	clientID    = "client-1"
	secret      = "canary-client-secret"
	code        = "canary-code"
	verifier    = "canary-verifier-canary-verifier-canary-veri"
	redirectURL = "https://app.example.com/connect/callback/youtube"

	listing = google.ScopePrefix + "youtube.readonly"

	tokenPath  = "oauth2.googleapis.com/token"
	infoPath   = "oauth2.googleapis.com/tokeninfo"
	revokePath = "oauth2.googleapis.com/revoke"
	apiPath    = "api.googleapis.com/v1/things"

	tokenBody = `{"access_token":"canary-access","expires_in":3599,"refresh_token":"canary-refresh","scope":"openid ` + listing + `","token_type":"Bearer","id_token":"canary-id"}`
	infoBody  = `{"aud":"client-1","sub":"100000000000000000001","scope":"openid ` + listing + `","exp":"1795348800","expires_in":"3599","access_type":"offline"}`
)

var now = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

// answer is what the fake answers to one path.
type answer struct {
	status int
	body   string
	header http.Header
}

// fake answers by path and keeps what it was sent.
type fake struct {
	answers map[string]answer
	got     []*http.Request // with Form parsed
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
	}
	f.got = append(f.got, r)
	a, ok := f.answers[r.URL.Host+r.URL.Path]
	if !ok {
		return nil, errors.New("unexpected request")
	}
	if a.header == nil {
		a.header = http.Header{}
	}
	return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

// asked returns where requests went, in order.
func (f *fake) asked() []string {
	var asked []string
	for _, r := range f.got {
		asked = append(asked, r.Method+" "+r.URL.Host+r.URL.Path)
	}
	return asked
}

func newFake() *fake {
	return &fake{answers: map[string]answer{
		tokenPath:  {status: 200, body: tokenBody},
		infoPath:   {status: 200, body: infoBody},
		revokePath: {status: 200, body: `{}`},
	}}
}

func newLogin(scopes ...string) google.Login {
	client := connect.Client{ID: clientID, Secret: connect.NewSecret(secret)}
	return google.NewLogin("youtube", client, scopes, []string{google.ScopeOpenID, listing}, []string{listing, google.ScopePrefix + "youtube"})
}

func newEnv(f *fake) connect.Env {
	return connect.Env{
		Client:      connect.Client{ID: clientID, Secret: connect.NewSecret(secret)},
		RedirectURL: redirectURL,
		HTTP:        &http.Client{Transport: f},
		Now:         func() time.Time { return now },
	}
}

func exchange(ctx context.Context, f *fake, query url.Values) (*connect.Tokens, error) {
	return newLogin().Exchange(ctx, newEnv(f), connect.AuthResponse{
		Method: "oauth", Query: query, Verifier: connect.NewSecret(verifier), Scopes: []string{google.ScopeOpenID, listing},
	})
}

func held() *connect.Tokens {
	return &connect.Tokens{Subject: "100000000000000000001", Access: connect.NewSecret("canary-access"), Refresh: connect.NewSecret("canary-refresh")}
}

// wantFailure checks class and code, and that the error holds no secret.
func wantFailure(t *testing.T, err error, class connect.ErrorClass, code string) {
	t.Helper()
	failure, ok := errors.AsType[*connect.ProviderError](err)
	if !ok {
		t.Fatalf("error is %v, want a *connect.ProviderError", err)
	}
	if failure.Class != class || failure.Code != code {
		t.Errorf("error is class %q, code %q, want %q, %q", failure.Class, failure.Code, class, code)
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("error holds a secret or prose: %v", err)
	}
}

func TestThreat12_AlwaysS256(t *testing.T) {
	t.Parallel()
	auth, err := newLogin().Begin(t.Context(), newEnv(newFake()), connect.AuthRequest{
		State: "state-1", Verifier: connect.NewSecret(verifier), Scopes: []string{google.ScopeOpenID, listing}, Reconnect: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(auth.URL)
	if err != nil || u.Host+u.Path != "accounts.google.com/o/oauth2/v2/auth" {
		t.Fatalf("%s, %v", auth.URL, err)
	}
	want := url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirectURL}, "scope": {"openid " + listing}, "state": {"state-1"},
		"access_type": {"offline"}, "prompt": {"select_account consent"},
		"code_challenge": u.Query()["code_challenge"], "code_challenge_method": {"S256"},
	}
	if diff := cmp.Diff(want, u.Query()); diff != "" || len(u.Query().Get("code_challenge")) != 43 {
		t.Error(diff)
	}
}

func TestExchange(t *testing.T) {
	t.Parallel()
	f := newFake()
	tokens, err := exchange(t.Context(), f, url.Values{"code": {code}, "iss": {"https://accounts.google.com"}})
	if err != nil {
		t.Fatal(err)
	}
	if tokens.Access.Reveal() != "canary-access" || tokens.Refresh.Reveal() != "canary-refresh" || tokens.Subject != "100000000000000000001" {
		t.Error("tokens or subject are not those of the answers")
	}
	if !tokens.AccessExpiry.Equal(now.Add(3599*time.Second)) || tokens.RefreshExpiry != nil {
		t.Errorf("expiries are %v and %v", tokens.AccessExpiry, tokens.RefreshExpiry)
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURL},
		"code_verifier": {verifier}, "client_id": {clientID}, "client_secret": {secret},
	}
	if diff := cmp.Diff(form, f.got[0].Form); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"POST " + tokenPath, "POST " + infoPath}, f.asked()); diff != "" {
		t.Error(diff)
	}
	if info := f.got[1]; info.URL.RawQuery != "" || info.Header.Get("Authorization") != "Bearer canary-access" {
		t.Error("the token belongs into the header, and nowhere else")
	}
}

// What comes of an exchange that brings nobody, and what is never sent then: a
// revocation, which would end what others live on.
func TestExchangeFails(t *testing.T) {
	t.Parallel()
	const body = `{"access_token":"canary-access","expires_in":3599,"token_type":"Bearer"`
	for name, tt := range map[string]struct {
		query        url.Values
		tokens, info string
		class        connect.ErrorClass
		code         string
	}{
		"no code":            {query: url.Values{}, class: connect.ClassRetry, code: "no_code"},
		"another issuer":     {query: url.Values{"code": {code}, "iss": {"https://evil.example"}}, class: connect.ClassRetry, code: "wrong_issuer"},
		"no refresh token":   {tokens: body + `}`, class: connect.ClassReconnect, code: "no_refresh_token"},
		"nobody":             {info: `{"aud":"client-1","scope":"openid"}`, class: connect.ClassRetry, code: "no_subject"},
		"a subject of words": {info: `{"aud":"client-1","sub":"../x","scope":"openid"}`, class: connect.ClassRetry, code: "no_subject"},
		"another client":     {info: `{"aud":"client-2","sub":"1","scope":"openid"}`, class: connect.ClassRefused, code: "other_client"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			if tt.query == nil {
				tt.query = url.Values{"code": {code}}
			}
			if tt.tokens != "" {
				f.answers[tokenPath] = answer{status: 200, body: tt.tokens}
			}
			if tt.info != "" {
				f.answers[infoPath] = answer{status: 200, body: tt.info}
			}
			tokens, err := exchange(t.Context(), f, tt.query)
			wantFailure(t, err, tt.class, tt.code)
			if tokens != nil {
				t.Error("there are tokens beside the error")
			}
			for _, r := range f.got {
				if r.URL.Path == "/revoke" {
					t.Error("a revocation was sent")
				}
			}
		})
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.answers[tokenPath] = answer{status: 200, body: `{"access_token":"canary-new","expires_in":3599,"scope":"email ` + listing + `","token_type":"Bearer","refresh_token_expires_in":3600}`}
	tokens, err := newLogin().Refresh(t.Context(), newEnv(f), held())
	if err != nil {
		t.Fatal(err)
	}
	if tokens.Access.Reveal() != "canary-new" || !tokens.Refresh.IsZero() || !tokens.RefreshExpiry.Equal(now.Add(time.Hour)) {
		t.Error("the tokens are not those of the answer")
	}
	if diff := cmp.Diff([]string{google.ScopePrefix + "userinfo.email", listing}, tokens.Scopes); diff != "" {
		t.Error(diff)
	}
	_, err = newLogin().Refresh(t.Context(), newEnv(newFake()), &connect.Tokens{Access: connect.NewSecret("canary-access")})
	wantFailure(t, err, connect.ClassReconnect, "no_refresh_token")
}

// One living token is enough, and a dead one is no error.
func TestRevoke(t *testing.T) {
	t.Parallel()
	const dead = `{"error":"invalid_token","error_description":"canary prose"}`
	for name, tt := range map[string]struct {
		answer answer
		sent   int
		class  connect.ErrorClass
	}{
		"living":  {answer{status: 200, body: `{}`}, 1, ""},
		"dead":    {answer{status: 400, body: dead}, 2, ""},
		"outage":  {answer{status: 503, body: dead}, 1, connect.ClassRetry},
		"garbage": {answer{status: 200, body: `<html>`}, 1, connect.ClassRetry},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.answers[revokePath] = tt.answer
			err := newLogin().Revoke(t.Context(), newEnv(f), held())
			if tt.class != "" {
				wantFailure(t, err, tt.class, map[bool]string{true: "invalid_token"}[tt.answer.body == dead])
			} else if err != nil {
				t.Error(err)
			}
			if len(f.got) != tt.sent || f.got[0].Form.Get("token") != "canary-refresh" || f.got[0].Form.Has("client_secret") {
				t.Errorf("%d requests, want %d, the refresh token first", len(f.got), tt.sent)
			}
		})
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	const prefix = google.ScopePrefix
	for name, tt := range map[string]struct {
		scopes, want, required, used []string
	}{
		"none":              {nil, []string{"openid", listing}, []string{"openid", listing}, []string{listing}},
		"what lists absent": {[]string{prefix + "youtube.upload"}, []string{prefix + "youtube.upload", "openid", listing}, []string{"openid", listing}, []string{prefix + "youtube.upload", listing}},
		"a wider one":       {[]string{prefix + "youtube", "email"}, []string{prefix + "youtube", prefix + "userinfo.email", "openid"}, []string{"openid", prefix + "youtube"}, []string{prefix + "youtube"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLogin(tt.scopes...)
			method := l.Describe(connect.Platform{}).Methods[0]
			if diff := cmp.Diff([][]string{tt.want, tt.required, tt.used}, [][]string{method.DefaultScopes, method.RequiredScopes, l.Used()}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	if err := newLogin().Check(); err != nil {
		t.Error(err)
	}
	for name, l := range map[string]google.Login{
		"no secret":   google.NewLogin("youtube", connect.Client{ID: clientID}, nil, []string{listing}, []string{listing}),
		"no scope":    newLogin("a b"),
		"with commas": newLogin("openid,email"),
	} {
		if err := l.Check(); err == nil || !strings.HasPrefix(err.Error(), "youtube: Options.") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
