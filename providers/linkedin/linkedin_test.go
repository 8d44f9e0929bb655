package linkedin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/linkedin"
	"github.com/seed944197df/connect/selection"
)

var sameSecrets = cmp.Comparer(func(a, b connect.Secret) bool { return a.Reveal() == b.Reveal() })

func TestBegin(t *testing.T) {
	t.Parallel()
	p := newProvider()
	auth, err := p.Begin(t.Context(), newEnv(p, newFake(t)), connect.AuthRequest{
		State: "s+/=", Verifier: connect.NewSecret("canary-verifier"), Scopes: p.Platform().Methods[0].DefaultScopes,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "https://www.linkedin.com/oauth/v2/authorization?client_id=client-1&redirect_uri=https%3A%2F%2Fapp.example.com%2Fconnect%2Fcallback%2Flinkedin" +
		"&response_type=code&scope=openid%20profile%20w_member_social%20rw_organization_admin%20r_organization_social%20w_organization_social&state=s%2B%2F%3D"
	if diff := cmp.Diff(want, auth.URL); diff != "" {
		t.Error(diff)
	}
}

func TestExchange(t *testing.T) {
	t.Parallel()
	p, f := newProvider(), newFake(t)
	tokens, err := exchange(t, p, f)
	if err != nil {
		t.Fatal(err)
	}
	access, refresh := now.Add(60*24*time.Hour), now.Add(365*24*time.Hour)
	want := &connect.Tokens{
		Subject: "aB3dEfGhIj", Access: connect.NewSecret("canary-access"), Refresh: connect.NewSecret("canary-refresh"),
		AccessExpiry: &access, RefreshExpiry: &refresh, Scopes: []string{"openid", "profile", "rw_organization_admin", "w_member_social"},
	}
	if diff := cmp.Diff(want, tokens, sameSecrets); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURL}, "client_id": {"client-1"}, "client_secret": {secret},
	}
	if diff := cmp.Diff(form, f.got[0].Form); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
}

// What answers leave out: most apps get no refresh token, and older answers
// name no type and no scopes.
func TestExchangeLeftOut(t *testing.T) {
	t.Parallel()
	p, f := newProvider(), newFake(t)
	f.answers[tokenPath] = answer{200, `{"access_token":"canary-access","expires_in":5184000}`}
	tokens, err := exchange(t, p, f)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"openid", "profile"}, tokens.Scopes); diff != "" { // as requested
		t.Error(diff)
	}
	if !tokens.Refresh.IsZero() || tokens.RefreshExpiry != nil || tokens.AccessExpiry == nil {
		t.Errorf("refresh token until %v, access token until %v", tokens.RefreshExpiry, tokens.AccessExpiry)
	}
	_, err = p.Refresh(t.Context(), newEnv(p, f), tokens)
	wantFailure(t, err, connect.ClassReconnect, "no_refresh_token")
	if len(f.got) != 2 {
		t.Error("a request was sent without a refresh token")
	}
}

func TestCodeThatNoHeaderCanCarryIsNotSent(t *testing.T) {
	t.Parallel()
	p, f := newProvider(), newFake(t)
	for _, query := range []url.Values{{}, {"code": {""}}, {"code": {"a\r\nb"}}} {
		_, err := p.Exchange(t.Context(), newEnv(p, f), connect.AuthResponse{Query: query})
		wantFailure(t, err, connect.ClassRetry, "no_code")
	}
	if len(f.got) != 0 {
		t.Errorf("%d requests were sent", len(f.got))
	}
}

// The refresh token ends a year after the consent, whatever an answer says.
func TestRefreshKeepsTheEnd(t *testing.T) {
	t.Parallel()
	end, never := now.Add(100*24*time.Hour), time.Time{}
	year := now.Add(365 * 24 * time.Hour)
	for name, test := range map[string]struct {
		known *time.Time
		says  string
		want  *time.Time
	}{
		"as known":              {&end, `,"refresh_token_expires_in":8640000`, &end},
		"a year again":          {&end, `,"refresh_token_expires_in":31536000`, &end},
		"nothing":               {&end, ``, &end},
		"sooner":                {&year, `,"refresh_token_expires_in":8640000`, &end},
		"unknown before":        {nil, `,"refresh_token_expires_in":8640000`, &end},
		"unknown before, too":   {nil, ``, nil},
		"without an end so far": {&never, `,"refresh_token_expires_in":8640000`, &end},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, f := newProvider(), newFake(t)
			f.answers[tokenPath] = answer{200, `{"access_token":"canary-new","expires_in":5184000,"refresh_token":"canary-refresh"` + test.says + `}`}
			old := granted()
			old.RefreshExpiry = test.known
			fresh, err := p.Refresh(t.Context(), newEnv(p, f), old)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, fresh.RefreshExpiry); diff != "" {
				t.Errorf("end (-want +got):\n%s", diff)
			}
			form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"canary-refresh"}, "client_id": {"client-1"}, "client_secret": {secret}}
			if diff := cmp.Diff(form, f.got[0].Form); diff != "" || len(f.got) != 1 || fresh.Access.Reveal() != "canary-new" {
				t.Errorf("form (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		opts   linkedin.Options
		tokens *connect.Tokens
		scopes string // by introspection
		want   *connect.Tokens
		asked  []string
	}{
		"our own": {linkedin.Options{}, granted("openid", "profile"), "", &connect.Tokens{Subject: "aB3dEfGhIj"}, []string{userPath}},
		"from elsewhere": {
			linkedin.Options{},
			&connect.Tokens{Access: connect.NewSecret("canary-access")}, "openid,profile,w_member_social",
			&connect.Tokens{Subject: "aB3dEfGhIj", Scopes: []string{"openid", "profile", "w_member_social"}},
			[]string{inspectPath, userPath},
		},
		"from elsewhere, without OpenID": {
			linkedin.Options{WithoutOrganizations: true},
			&connect.Tokens{Access: connect.NewSecret("canary-access")}, "r_basicprofile",
			&connect.Tokens{Subject: "aB3dEfGhIj", Scopes: []string{"r_basicprofile"}, Self: &connect.Candidate{
				Target:    map[string]string{"urn": "urn:li:person:aB3dEfGhIj"},
				Candidate: selection.Candidate{Kind: "profile", PlatformID: "aB3dEfGhIj", Name: "Dana Example", Username: "dana-example"},
			}},
			[]string{inspectPath, mePath},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.opts.ClientID, test.opts.ClientSecret = "client-1", connect.NewSecret(secret)
			p, f := linkedin.New(test.opts), newFake(t)
			f.answers[inspectPath] = answer{200, `{"active":true,"client_id":"client-1","scope":"` + test.scopes + `"}`}
			said, err := p.Identify(t.Context(), newEnv(p, f), test.tokens)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, said, sameSecrets); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.asked, f.paths()); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

// Tokens from elsewhere that are not ours to keep.
func TestIdentifyRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer answer
		class  connect.ErrorClass
		code   string
	}{
		"expired":               {answer{200, `{"active":false,"client_id":"client-1","status":"expired"}`}, connect.ClassRefused, "not_active"},
		"of another client":     {answer{200, `{"active":true,"client_id":"client-2","scope":"openid"}`}, connect.ClassRefused, "of_another_client"},
		"unknown":               {answer{400, `{"error":"invalid_request"}`}, connect.ClassRefused, "invalid_request"},
		"wrong secret":          {answer{401, `{"error":"invalid_client"}`}, connect.ClassConfig, "invalid_client"},
		"wrong secret, no body": {answer{401, ``}, connect.ClassConfig, ""},
		"HTML":                  {answer{200, `<html>`}, connect.ClassRetry, ""},
		"out of service":        {answer{503, `<html>`}, connect.ClassRetry, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, f := newProvider(), newFake(t)
			f.answers[inspectPath] = test.answer
			_, err := p.Identify(t.Context(), newEnv(p, f), &connect.Tokens{Access: connect.NewSecret("canary-access")})
			wantFailure(t, err, test.class, test.code)
			if len(f.got) != 1 {
				t.Errorf("%q were asked", f.paths())
			}
		})
	}
}

func TestThreat109_RefreshTokenFirst(t *testing.T) {
	t.Parallel()
	p, f := newProvider(), newFake(t)
	for name, test := range map[string]struct {
		answer answer
		sent   int
		class  connect.ErrorClass // empty: success
	}{
		"revoked":        {answer{200, ""}, 2, ""},
		"unknown token":  {answer{400, `{"error":"invalid_request","error_description":"The token is invalid"}`}, 2, ""},
		"wrong secret":   {answer{401, `{"error":"invalid_client"}`}, 1, connect.ClassConfig},
		"out of service": {answer{503, ""}, 1, connect.ClassRetry},
		"HTML":           {answer{200, "<html>"}, 1, connect.ClassRetry},
	} {
		f.got, f.answers[revokePath] = nil, test.answer
		err := p.Revoke(t.Context(), newEnv(p, f), granted())
		if test.class == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if test.class != "" {
			wantFailure(t, err, test.class, map[string]string{"wrong secret": "invalid_client"}[name])
		}
		if len(f.got) != test.sent || f.got[0].Form.Get("token") != "canary-refresh" {
			t.Errorf("%s: %d requests, want %d, the refresh token first", name, len(f.got), test.sent)
		}
	}
}

// A request through Client says which version it means, where that matters.
func TestSign(t *testing.T) {
	t.Parallel()
	p := newProvider()
	for name, test := range map[string]struct {
		url  string
		own  http.Header
		want http.Header
	}{
		"versioned":           {"https://api.linkedin.com/rest/posts", http.Header{}, http.Header{"Linkedin-Version": {linkedin.DefaultVersion}, "X-Restli-Protocol-Version": {"2.0.0"}}},
		"the caller's choice": {"https://api.linkedin.com/rest/posts", http.Header{"Linkedin-Version": {"202601"}}, http.Header{"Linkedin-Version": {"202601"}, "X-Restli-Protocol-Version": {"2.0.0"}}},
		"without a version":   {"https://api.linkedin.com/v2/userinfo", http.Header{}, http.Header{}},
		"an upload":           {"https://www.linkedin.com/dms-uploads/a", http.Header{}, http.Header{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, test.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = test.own
			if err := p.Sign(connect.Env{}, granted(), r); err != nil {
				t.Fatal(err)
			}
			test.want["Authorization"] = []string{"Bearer canary-access"}
			if diff := cmp.Diff(test.want, r.Header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if err := p.Sign(connect.Env{}, &connect.Tokens{}, r); err != connect.ErrNoToken { //nolint:errorlint // it is returned as it is
				t.Errorf("without a token: %v", err)
			}
		})
	}
}

func TestPlatform(t *testing.T) {
	t.Parallel()
	pages := []string{"rw_organization_admin", "r_organization_social", "w_organization_social"}
	for name, test := range map[string]struct {
		opts     linkedin.Options
		required []string
		kinds    []connect.Kind
	}{
		"default": {linkedin.Options{}, []string{"openid", "profile"}, []connect.Kind{
			{Name: "profile", Scopes: []string{"openid", "profile", "w_member_social"}, ClientScoped: true}, {Name: "organization", Multiple: true, Scopes: pages},
		}},
		"without Pages": {linkedin.Options{WithoutOrganizations: true}, []string{"openid", "profile"}, []connect.Kind{
			{Name: "profile", Scopes: []string{"openid", "profile", "w_member_social"}, ClientScoped: true},
		}},
		"OpenID is added": {linkedin.Options{Scopes: []string{"email", "openid"}}, []string{"openid", "profile"}, []connect.Kind{
			{Name: "profile", Scopes: []string{"email", "openid", "profile"}, ClientScoped: true},
		}},
		"without OpenID": {linkedin.Options{Scopes: []string{"r_basicprofile", "r_organization_admin"}}, []string{"r_basicprofile"}, []connect.Kind{
			{Name: "profile", Scopes: []string{"r_basicprofile"}, ClientScoped: true}, {Name: "organization", Multiple: true, Scopes: []string{"r_organization_admin"}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := len(test.opts.Scopes)
			got := linkedin.New(test.opts).Platform()
			if diff := cmp.Diff(test.required, got.Methods[0].RequiredScopes); diff != "" {
				t.Errorf("required (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.kinds, got.Kinds); diff != "" || len(test.opts.Scopes) != own {
				t.Errorf("kinds (-want +got):\n%s", diff)
			}
		})
	}
}

// The ends that LinkedIn has announced are never before those that are told.
func TestVersionEnds(t *testing.T) {
	t.Parallel()
	for version, announced := range map[string]string{
		"202409": "2025-09-15", "202410": "2025-10-15", "202411": "2025-11-17", "202510": "2026-10-15", "202511": "2026-11-16",
		"202601": "2027-01-15", "202602": "2027-02-15", "202603": "2027-03-16", "202508.02": "2026-08-17",
	} {
		got := linkedin.New(linkedin.Options{Version: version}).Platform().Version
		told := got.Sunset.Format(time.DateOnly)
		if got.Name != version || told > announced || told[:7] != announced[:7] {
			t.Errorf("version %s ends on %s, announced was %s", got.Name, told, announced)
		}
	}
	if got := linkedin.New(linkedin.Options{Version: "x"}).Platform().Version.Sunset; !got.IsZero() {
		t.Errorf("what is no version ends on %v", got)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]connect.ErrorClass{
		"user_cancelled_login":     connect.ClassDenied,
		"user_cancelled_authorize": connect.ClassDenied,
		"access_denied":            connect.ClassDenied,
		"unauthorized_scope_error": connect.ClassConfig,
		"invalid_scope_error":      connect.ClassConfig,
		"redirect_uri_mismatch":    connect.ClassConfig,
		"server_error":             connect.ClassRetry,
		"":                         connect.ClassRetry,
	} {
		query := url.Values{"error": {code}, "error_description": {"Scope &quot;canary&quot; is not authorized for your application"}}
		if class, got, refused := newProvider().Refused(query); class != want || got != code || !refused {
			t.Errorf("%q is %q, %q, %t, want %q", code, class, got, refused, want)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		opts linkedin.Options
		want string // in the error; empty: none
	}{
		"defaults":         {linkedin.Options{}, ""},
		"all set":          {linkedin.Options{Version: "202601", Scopes: []string{"email"}, APIURL: "https://api.linkedin.example/", AuthURL: "https://www.linkedin.example/"}, ""},
		"version as a day": {linkedin.Options{Version: "20260101"}, "Options.Version"},
		"month 13":         {linkedin.Options{Version: "202613"}, "Options.Version"},
		"version in words": {linkedin.Options{Version: "canary"}, "Options.Version"},
		"consent by http":  {linkedin.Options{AuthURL: "http://www.linkedin.com"}, "Options.AuthURL"},
		"consent, path":    {linkedin.Options{AuthURL: "https://www.linkedin.com/oauth"}, "Options.AuthURL"},
		"API by http":      {linkedin.Options{APIURL: "http://api.linkedin.com"}, "Options.APIURL"},
		"API with a path":  {linkedin.Options{APIURL: "https://api.linkedin.com/rest"}, "Options.APIURL"},
		"scopes in one":    {linkedin.Options{Scopes: []string{"openid canary"}}, "Options.Scopes"},
		"Pages unlisted":   {linkedin.Options{Scopes: []string{"w_organization_social"}}, "rw_organization_admin"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.opts.ClientID, test.opts.ClientSecret = "client-1", connect.NewSecret(secret)
			err := linkedin.New(test.opts).Check()
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary")):
				t.Errorf("error is %v, want one that names %s and quotes nothing", err, test.want)
			}
		})
	}
	if err := linkedin.New(linkedin.Options{ClientID: "client-1"}).Check(); err == nil || !strings.Contains(err.Error(), "Options.ClientSecret") {
		t.Errorf("without a secret: %v", err)
	}
}
