package linkedin_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/linkedin"
)

const (
	secret      = "canary-client-secret"
	code        = "canary-code"
	redirectURL = "https://app.example.com/connect/callback/linkedin"

	tokenBody = `{"access_token":"canary-access","expires_in":5184000,"refresh_token":"canary-refresh","refresh_token_expires_in":31536000,"scope":"openid,profile,rw_organization_admin,w_member_social","token_type":"Bearer","id_token":"canary.id.token"}`
	userBody  = `{"sub":"aB3dEfGhIj","name":"Dana Example","given_name":"Dana","family_name":"Example","picture":"https://media.licdn.com/dms/image/dana/0?e=1","locale":{"country":"US","language":"en"}}`
	aclBody   = `{"paging":{"start":0,"count":20,"links":[]},"elements":[{"roleAssignee":"urn:li:person:aB3dEfGhIj","state":"APPROVED","role":"ADMINISTRATOR","organization":"urn:li:organization:11223344"}]}`
	namesBody = `{"results":{"11223344":{"id":11223344,"localizedName":"Example Bakery","vanityName":"example-bakery"}},"statuses":{"11223344":200},"errors":{}}`

	tokenPath   = "www.linkedin.com/oauth/v2/accessToken"
	inspectPath = "www.linkedin.com/oauth/v2/introspectToken"
	revokePath  = "www.linkedin.com/oauth/v2/revoke"
	userPath    = "api.linkedin.com/v2/userinfo"
	mePath      = "api.linkedin.com/v2/me"
	aclPath     = "api.linkedin.com/rest/organizationAcls"
	namesPath   = "api.linkedin.com/rest/organizationsLookup"
)

var now = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

// answer is what the fake answers to one path.
type answer struct {
	status int
	body   string
}

// fake is a strict LinkedIn: it answers by path, wants the client's secret in
// each form and the token and the version with each call.
type fake struct {
	t       *testing.T
	answers map[string]answer
	got     []*http.Request // with Form parsed

	anyToken bool // the token of a call may be any
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
	}
	f.got = append(f.got, r)
	f.check(r)
	a, ok := f.answers[r.URL.Host+r.URL.Path]
	if !ok {
		return nil, errors.New("unexpected request")
	}
	return &http.Response{StatusCode: a.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

func (f *fake) check(r *http.Request) {
	f.t.Helper()
	if strings.Contains(r.URL.String(), "canary") {
		f.t.Errorf("%s has a secret in its address", r.URL.Path)
	}
	if r.URL.Host == "www.linkedin.com" {
		if r.Method != http.MethodPost || r.Form.Get("client_id") != "client-1" || r.Form.Get("client_secret") != secret {
			f.t.Errorf("%s does not name the client", r.URL.Path)
		}
		return
	}
	if !f.anyToken && !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer canary-") {
		f.t.Errorf("%s carries no token", r.URL.Path)
	}
	versioned := strings.HasPrefix(r.URL.Path, "/rest/")
	if got := r.Header.Get("Linkedin-Version") + " " + r.Header.Get("X-Restli-Protocol-Version"); versioned && got != linkedin.DefaultVersion+" 2.0.0" || !versioned && got != " " {
		f.t.Errorf("%s is called with the versions %q", r.URL.Path, got)
	}
}

// paths returns what was asked for, in order.
func (f *fake) paths() []string {
	var paths []string
	for _, r := range f.got {
		paths = append(paths, r.URL.Host+r.URL.Path)
	}
	return paths
}

func newFake(t *testing.T) *fake {
	t.Helper()
	return &fake{t: t, answers: map[string]answer{
		tokenPath:   {200, tokenBody},
		userPath:    {200, userBody},
		mePath:      {200, `{"id":"aB3dEfGhIj","localizedFirstName":"Dana","localizedLastName":"Example","vanityName":"dana-example"}`},
		aclPath:     {200, aclBody},
		namesPath:   {200, namesBody},
		inspectPath: {200, `{"active":true,"client_id":"client-1","status":"active","scope":"openid,profile,w_member_social","auth_type":"3L"}`},
		revokePath:  {200, ""},
	}}
}

func newProvider() *linkedin.Provider {
	return linkedin.New(linkedin.Options{ClientID: "client-1", ClientSecret: connect.NewSecret(secret)})
}

func newEnv(p *linkedin.Provider, f *fake) connect.Env {
	return connect.Env{
		Client:      p.Platform().Client,
		RedirectURL: redirectURL,
		HTTP:        &http.Client{Transport: f},
		Now:         func() time.Time { return now },
	}
}

func exchange(t *testing.T, p *linkedin.Provider, f *fake) (*connect.Tokens, error) {
	t.Helper()
	return p.Exchange(t.Context(), newEnv(p, f), connect.AuthResponse{
		Method: "oauth",
		Query:  url.Values{"code": {code}, "state": {"state"}},
		Scopes: []string{"openid", "profile"},
	})
}

// granted are tokens of the member with scopes.
func granted(scopes ...string) *connect.Tokens {
	return &connect.Tokens{Subject: "aB3dEfGhIj", Access: connect.NewSecret("canary-access"), Refresh: connect.NewSecret("canary-refresh"), Scopes: scopes}
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
	if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "Unable to") {
		t.Errorf("error holds a secret or prose: %v", err)
	}
}
