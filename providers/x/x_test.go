package x_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/x"
	"github.com/seed944197df/connect/selection"
)

const (
	secret      = "canary-client-secret"
	code        = "canary-code"
	verifier    = "canary-verifier-canary-verifier-canary-veri"
	redirectURL = "https://app.example.com/connect/callback/x"

	tokenBody = `{"token_type":"bearer","expires_in":7200,"access_token":"canary-access","scope":"tweet.write users.read tweet.read offline.access media.write","refresh_token":"canary-refresh"}`
	userBody  = `{"data":{"id":"2244990011","name":"Example Bakery","username":"examplebakery","profile_image_url":"https://pbs.twimg.com/profile_images/1234/abc_normal.jpg","verified":false,"verified_type":"none"}}`
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

const (
	tokenPath  = "api.x.com/2/oauth2/token"
	userPath   = "api.x.com/2/users/me"
	revokePath = "api.x.com/2/oauth2/revoke"
)

func newFake() *fake {
	return &fake{answers: map[string]answer{
		tokenPath:  {status: 200, body: tokenBody},
		userPath:   {status: 200, body: userBody},
		revokePath: {status: 200, body: `{"revoked":true}`},
	}}
}

func newProvider() *x.Provider {
	return x.New(x.Options{ClientID: "client-1", ClientSecret: connect.NewSecret(secret)})
}

func newEnv(p *x.Provider, f *fake) connect.Env {
	return connect.Env{
		Client:      p.Platform().Client,
		RedirectURL: redirectURL,
		HTTP:        &http.Client{Transport: f},
		Now:         func() time.Time { return now },
	}
}

func exchange(t *testing.T, p *x.Provider, f *fake) (*connect.Tokens, error) {
	t.Helper()
	return p.Exchange(t.Context(), newEnv(p, f), connect.AuthResponse{
		Method:   "oauth",
		Query:    url.Values{"code": {code}, "state": {"state"}},
		Verifier: connect.NewSecret(verifier),
		Scopes:   []string{"tweet.read", "users.read"},
	})
}

func refresh(t *testing.T, p *x.Provider, f *fake) (*connect.Tokens, error) {
	t.Helper()
	return p.Refresh(t.Context(), newEnv(p, f), &connect.Tokens{Refresh: connect.NewSecret("canary-refresh")})
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
	if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "Value passed") {
		t.Errorf("error holds a secret or prose: %v", err)
	}
}

func TestThreat12_AlwaysS256(t *testing.T) {
	t.Parallel()
	p := newProvider()
	auth, err := p.Begin(t.Context(), newEnv(p, newFake()), connect.AuthRequest{
		State: "state-1", Verifier: connect.NewSecret(verifier), Scopes: p.Platform().Methods[0].DefaultScopes,
	})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(verifier))
	want := "https://x.com/i/oauth2/authorize?client_id=client-1&code_challenge=" + base64.RawURLEncoding.EncodeToString(sum[:]) +
		"&code_challenge_method=S256&redirect_uri=https%3A%2F%2Fapp.example.com%2Fconnect%2Fcallback%2Fx&response_type=code" +
		"&scope=tweet.read%20tweet.write%20users.read%20media.write%20offline.access&state=state-1"
	if diff := cmp.Diff(want, auth.URL); diff != "" {
		t.Error(diff)
	}
}

func TestExchange(t *testing.T) {
	t.Parallel()
	p, f := newProvider(), newFake()
	tokens, err := exchange(t, p, f)
	if err != nil {
		t.Fatal(err)
	}
	if tokens.Access.Reveal() != "canary-access" || tokens.Refresh.Reveal() != "canary-refresh" || tokens.Subject != "2244990011" {
		t.Error("tokens or subject are not those of the answers")
	}
	if !tokens.AccessExpiry.Equal(now.Add(2*time.Hour)) || tokens.RefreshExpiry != nil {
		t.Errorf("expiries are %v and %v", tokens.AccessExpiry, tokens.RefreshExpiry)
	}
	if diff := cmp.Diff([]string{"tweet.write", "users.read", "tweet.read", "offline.access", "media.write"}, tokens.Scopes); diff != "" {
		t.Error(diff)
	}
	want := selection.Candidate{
		Kind: "profile", PlatformID: "2244990011", Name: "Example Bakery", Username: "examplebakery",
		AvatarURL: "https://pbs.twimg.com/profile_images/1234/abc.jpg",
	}
	if diff := cmp.Diff(want, tokens.Self.Candidate); diff != "" {
		t.Error(diff)
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURL},
		"code_verifier": {verifier}, "client_id": {"client-1"},
	}
	if diff := cmp.Diff(form, f.got[0].Form); diff != "" {
		t.Error(diff)
	}
	if id, password, _ := f.got[0].BasicAuth(); id != "client-1" || password != secret {
		t.Error("the client is not authenticated by the header")
	}
	if got := f.got[1].Header.Get("Authorization"); got != "Bearer canary-access" {
		t.Error("the profile is not asked for with the access token")
	}
}

func TestPublicClientSendsNoHeader(t *testing.T) {
	t.Parallel()
	p, f := x.New(x.Options{ClientID: "native"}), newFake()
	if _, err := exchange(t, p, f); err != nil {
		t.Fatal(err)
	}
	if f.got[0].Header.Get("Authorization") != "" || f.got[0].Form.Get("client_id") != "native" {
		t.Error("a public client names itself in the body only")
	}
}

func TestScopeAbsentMeansRequested(t *testing.T) {
	t.Parallel()
	p, f := newProvider(), newFake()
	f.answers[tokenPath] = answer{status: 200, body: `{"token_type":"bearer","expires_in":7200,"access_token":"a"}`}
	tokens, err := exchange(t, p, f)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"tweet.read", "users.read"}, tokens.Scopes); diff != "" {
		t.Error(diff)
	}
	if !tokens.Refresh.IsZero() {
		t.Error("there is a refresh token")
	}
}

func TestThreat11_CodeOfAnotherFlow(t *testing.T) {
	t.Parallel()
	p, f := newProvider(), newFake()
	f.answers[tokenPath] = answer{status: 400, body: `{"error":"invalid_request","error_description":"Value passed for the code verifier did not match the code challenge."}`}
	tokens, err := exchange(t, p, f)
	wantFailure(t, err, connect.ClassReconnect, "invalid_request/code_verifier")
	if tokens != nil || len(f.got) != 1 {
		t.Errorf("%d requests were sent, want 1 and no tokens", len(f.got))
	}
	if f.got[0].Form.Get("code_verifier") != verifier {
		t.Error("X is not told the flow's own verifier, and so cannot know")
	}
}

func TestCodeThatNoHeaderCanCarryIsNotSent(t *testing.T) {
	t.Parallel()
	p, f := newProvider(), newFake()
	for _, query := range []url.Values{{}, {"code": {""}}, {"code": {"a\r\nb"}}} {
		if _, err := p.Exchange(t.Context(), newEnv(p, f), connect.AuthResponse{Query: query}); err == nil || len(f.got) != 0 {
			t.Errorf("error is %v after %d requests, want one after none", err, len(f.got))
		}
	}
}

// The rows of the token endpoint's table.
func TestTokenErrors(t *testing.T) {
	t.Parallel()
	oauthError := func(name, description string) string {
		return `{"error":"` + name + `","error_description":"` + description + `"}`
	}
	for name, test := range map[string]struct {
		status int
		body   string
		class  connect.ErrorClass
		code   string
	}{
		"code bad, expired or used": {
			400, oauthError("invalid_request", "Value passed for the authorization code was invalid."),
			connect.ClassReconnect, "invalid_request/code",
		},
		"verifier mismatch": {
			400, oauthError("invalid_request", "Value passed for the code verifier did not match the code challenge."),
			connect.ClassReconnect, "invalid_request/code_verifier",
		},
		"redirect mismatch": {
			400, oauthError("invalid_request", "Value passed for the redirect uri did not match the uri of the authorization code."),
			connect.ClassConfig, "invalid_request/redirect_uri",
		},
		"refresh token dead": {
			400, oauthError("invalid_request", "Value passed for the token was invalid."),
			connect.ClassReconnect, "invalid_request/token",
		},
		"invalid_grant":     {400, oauthError("invalid_grant", ""), connect.ClassReconnect, "invalid_grant"},
		"another parameter": {400, oauthError("invalid_request", "Missing required parameter [x]."), connect.ClassRetry, "invalid_request"},
		"wrong secret": {
			401, oauthError("unauthorized_client", "Missing valid authorization header"),
			connect.ClassConfig, "unauthorized_client",
		},
		"unknown client, 400":      {400, oauthError("invalid_client", ""), connect.ClassConfig, "invalid_client"},
		"unknown client, 401":      {401, oauthError("invalid_client", ""), connect.ClassConfig, "invalid_client"},
		"dead grant's name at 401": {401, oauthError("invalid_grant", ""), connect.ClassConfig, "invalid_grant"},
		"no body at 401":           {401, "", connect.ClassConfig, ""},
		"bad grant type":           {400, oauthError("unsupported_grant_type", ""), connect.ClassConfig, "unsupported_grant_type"},
		"rate limit":               {429, `{"title":"Too Many Requests","type":"about:blank","status":429}`, connect.ClassRetry, ""},
		"out of service":           {503, `{"error":"temporarily_unavailable"}`, connect.ClassRetry, "temporarily_unavailable"},
		"gateway out of service":   {503, "<html>", connect.ClassUncertain, ""},
		"gateway gave up":          {504, "<html>", connect.ClassUncertain, ""},
		"HTML":                     {400, "<html>", connect.ClassRetry, ""},
		"cut off":                  {200, tokenBody[:40], connect.ClassUncertain, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, f := newProvider(), newFake()
			f.answers[tokenPath] = answer{status: test.status, body: test.body}
			_, err := refresh(t, p, f)
			wantFailure(t, err, test.class, test.code)
			_, err = exchange(t, p, f)
			wantFailure(t, err, test.class, test.code)
			if len(f.got) != 2 {
				t.Errorf("%d requests were sent, want 2", len(f.got))
			}
		})
	}
}

// The rows of the API's table.
func TestClassify(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		class  connect.ErrorClass // empty: says nothing about the grant
	}{
		"bad or expired token": {401, `{"title":"Unauthorized","type":"about:blank","status":401,"detail":"Unauthorized"}`, connect.ClassExpired},
		"wrong token kind": {
			403, `{"title":"Unsupported Authentication","detail":"Authenticating with OAuth 2.0 Application-Only is forbidden for this endpoint.","type":"https://api.x.com/2/problems/unsupported-authentication","status":403}`,
			connect.ClassExpired,
		},
		"forbidden":                           {403, `{"title":"Forbidden","type":"about:blank","status":403,"detail":"You are not permitted to perform this action."}`, ""},
		"app not enrolled":                    {403, `{"title":"Client Forbidden","type":"https://api.x.com/2/problems/client-forbidden"}`, connect.ClassConfig},
		"credits, 402":                        {402, `{"title":"CreditsDepleted","type":"https://api.x.com/2/problems/credits"}`, connect.ClassConfig},
		"credits, 403":                        {403, `{"title":"CreditsDepleted"}`, connect.ClassConfig},
		"rate":                                {429, `{"title":"Too Many Requests","type":"about:blank","status":429,"detail":"Too Many Requests"}`, connect.ClassRetry},
		"monthly cap":                         {429, `{"title":"UsageCapExceeded","type":"https://api.x.com/2/problems/usage-capped"}`, connect.ClassRetry},
		"out of service":                      {503, `<html>`, connect.ClassRetry},
		"401 without JSON":                    {401, `<html>`, connect.ClassExpired},
		"400":                                 {400, `{"errors":[{"message":"bad"}],"title":"Invalid Request","type":"https://api.x.com/2/problems/invalid-request"}`, ""},
		"type is a number":                    {403, `{"type":7,"title":[]}`, ""},
		"success with errors beside the data": {200, `{"data":{"id":"1"},"errors":[{"title":"Not Found Error"}]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			class, ok := newProvider().Classify(test.status, nil, []byte(test.body))
			if class != test.class || ok != (test.class != "") {
				t.Errorf("Classify = %q, %t, want %q", class, ok, test.class)
			}
		})
	}
}

func TestProfileErrorsGiveTheTokensBack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer answer
		class  connect.ErrorClass
		code   string
		wait   time.Duration
	}{
		"missing scope":  {answer{status: 403, body: `{"title":"Forbidden","type":"about:blank","status":403}`}, connect.ClassScopeMissing, "", 0},
		"errors only":    {answer{status: 200, body: `{"errors":[{"title":"Not Found Error"}]}`}, connect.ClassRetry, "no_user", 0},
		"id is no id":    {answer{status: 200, body: `{"data":{"id":"../../x"}}`}, connect.ClassRetry, "no_user", 0},
		"HTML":           {answer{status: 200, body: `<html>`}, connect.ClassRetry, "", 0},
		"equal keys":     {answer{status: 200, body: `{"data":{"id":"1","id":"2"}}`}, connect.ClassRetry, "", 0},
		"rate limit":     {answer{429, `{}`, http.Header{"X-Rate-Limit-Reset": {"1795176300"}}}, connect.ClassRetry, "", 5 * time.Minute},
		"far rate limit": {answer{429, ``, http.Header{"X-Rate-Limit-Reset": {"1895176300"}}}, connect.ClassRetry, "", 15 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, f := newProvider(), newFake()
			f.answers[userPath] = test.answer
			_, err := exchange(t, p, f)
			wantFailure(t, err, test.class, test.code)
			var failure *connect.ProviderError
			if errors.As(err, &failure) && failure.RetryAfter != test.wait {
				t.Errorf("RetryAfter is %v, want %v", failure.RetryAfter, test.wait)
			}
			if len(f.got) != 4 || f.got[2].Form.Get("token") != "canary-refresh" || f.got[3].Form.Get("token") != "canary-access" {
				t.Error("the tokens that nobody will keep are not revoked")
			}
		})
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	p, f := newProvider(), newFake()
	tokens, err := refresh(t, p, f)
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"canary-refresh"}, "client_id": {"client-1"}}
	if diff := cmp.Diff(form, f.got[0].Form); diff != "" {
		t.Error(diff)
	}
	if tokens.Access.IsZero() || tokens.Subject != "" || tokens.Self != nil || len(f.got) != 1 {
		t.Error("a refresh is one request and returns what is new")
	}
	_, err = p.Refresh(t.Context(), newEnv(p, f), &connect.Tokens{Access: connect.NewSecret("a")})
	wantFailure(t, err, connect.ClassReconnect, "no_refresh_token")
	if len(f.got) != 1 {
		t.Error("a request was sent without a refresh token")
	}
}

func TestThreat109_RefreshTokenFirst(t *testing.T) {
	t.Parallel()
	p, f := newProvider(), newFake()
	tokens := &connect.Tokens{Access: connect.NewSecret("canary-access"), Refresh: connect.NewSecret("canary-refresh")}
	if err := p.Revoke(t.Context(), newEnv(p, f), tokens); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range f.got {
		got = append(got, r.Form.Get("token")+" "+r.Form.Get("token_type_hint")+" "+r.Form.Get("client_id"))
	}
	if diff := cmp.Diff([]string{"canary-refresh refresh_token client-1", "canary-access access_token client-1"}, got); diff != "" {
		t.Error(diff)
	}
	f.answers[revokePath] = answer{status: 400, body: `{"error":"invalid_request","error_description":"Value passed for the token was invalid."}`}
	if err := p.Revoke(t.Context(), newEnv(p, f), tokens); err != nil {
		t.Errorf("an unknown token is an error: %v", err)
	}
	f.answers[revokePath] = answer{status: 503}
	wantFailure(t, p.Revoke(t.Context(), newEnv(p, f), tokens), connect.ClassRetry, "")
}

func TestOptions(t *testing.T) {
	t.Parallel()
	own := []string{"tweet.read"}
	p := x.New(x.Options{ClientID: "c", Scopes: own, APIURL: "https://api.x.example/", AuthorizationURL: "https://x.example/authorize"})
	platform := p.Platform()
	if diff := cmp.Diff([]string{"tweet.read", "users.read"}, platform.Methods[0].DefaultScopes); diff != "" {
		t.Error(diff)
	}
	if len(own) != 1 || platform.Hosts[0] != "api.x.example" || platform.APIBaseURL != "https://api.x.example/2" {
		t.Errorf("hosts %v, API %s", platform.Hosts, platform.APIBaseURL)
	}
	auth, err := p.Begin(t.Context(), newEnv(p, newFake()), connect.AuthRequest{State: "s+/="})
	if err != nil || !strings.HasPrefix(auth.URL, "https://x.example/authorize?") || !strings.HasSuffix(auth.URL, "&state=s%2B%2F%3D") {
		t.Errorf("authorization URL %s, %v", auth.URL, err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		opts x.Options
		want string // in the error; empty: none
	}{
		"defaults":             {x.Options{}, ""},
		"all set":              {x.Options{Scopes: []string{"tweet.read"}, APIURL: "https://api.x.example/", AuthorizationURL: "https://x.example/authorize"}, ""},
		"consent by http":      {x.Options{AuthorizationURL: "http://x.com/i/oauth2/authorize"}, "Options.AuthorizationURL"},
		"consent, user":        {x.Options{AuthorizationURL: "https://u:canary@x.com/i/oauth2/authorize"}, "Options.AuthorizationURL"},
		"consent with a query": {x.Options{AuthorizationURL: "https://x.com/i/oauth2/authorize?a=canary"}, "Options.AuthorizationURL"},
		"consent, fragment":    {x.Options{AuthorizationURL: "https://x.com/i/oauth2/authorize#canary"}, "Options.AuthorizationURL"},
		"consent, path alone":  {x.Options{AuthorizationURL: "/i/oauth2/authorize"}, "Options.AuthorizationURL"},
		"API by http":          {x.Options{APIURL: "http://api.x.com"}, "Options.APIURL"},
		"API with a path":      {x.Options{APIURL: "https://api.x.com/2"}, "Options.APIURL"},
		"API by name":          {x.Options{APIURL: "api.x.com"}, "Options.APIURL"},
		"API with a port":      {x.Options{APIURL: "https://api.x.com:8443"}, "Options.APIURL"},
		"scopes in one":        {x.Options{Scopes: []string{"tweet.read canary"}}, "Options.Scopes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := x.New(test.opts).Check()
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary")):
				t.Errorf("error is %v, want one that names %s and quotes nothing", err, test.want)
			}
		})
	}
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	p, f := newProvider(), newFake()
	connected, err := exchange(t, p, f)
	if err != nil {
		t.Fatal(err)
	}
	f.got = nil
	said, err := p.Identify(t.Context(), newEnv(p, f), connected)
	sameSecrets := cmp.Comparer(func(a, b connect.Secret) bool { return a.Reveal() == b.Reveal() })
	if diff := cmp.Diff(&connect.Tokens{Subject: connected.Subject, Self: connected.Self}, said, sameSecrets); diff != "" || err != nil {
		t.Errorf("%v, said (-want +got):\n%s", err, diff)
	}
	f.answers[userPath] = answer{status: 401, body: `{"title":"Unauthorized","type":"about:blank","status":401}`}
	_, err = p.Identify(t.Context(), newEnv(p, f), connected)
	wantFailure(t, err, connect.ClassExpired, "")
	if len(f.got) != 2 { // the token of another system is not revoked
		t.Errorf("%d requests, want 2", len(f.got))
	}
}
