package facebook_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/facebook"
)

func exchange(t *testing.T, f *fake) (*connect.Tokens, error) {
	t.Helper()
	p := newProvider()
	return p.Exchange(t.Context(), newEnv(p, f), connect.AuthResponse{
		Query: url.Values{"code": {code}}, Verifier: connect.NewSecret(verifier),
	})
}

func TestThreat12_AlwaysS256(t *testing.T) {
	t.Parallel()
	p := newProvider()
	req := connect.AuthRequest{
		State: "state-1", Verifier: connect.NewSecret(verifier), Scopes: p.Platform().Methods[0].DefaultScopes, Reconnect: true,
	}
	sum := sha256.Sum256([]byte(verifier))
	want := url.Values{
		"auth_type": {"rerequest"}, "client_id": {"901234567890123"}, "redirect_uri": {redirectURL}, "response_type": {"code"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}, "state": {"state-1"},
		"scope": {"pages_show_list,pages_read_engagement,pages_manage_posts,business_management"},
	}
	for _, again := range []bool{true, false} {
		req.Reconnect = again
		if !again {
			want.Del("auth_type")
		}
		auth, err := p.Begin(t.Context(), newEnv(p, nil), req)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(auth.URL)
		if err != nil {
			t.Fatal(err)
		}
		if u.Scheme+"://"+u.Host+u.Path != "https://www.facebook.com/v26.0/dialog/oauth" {
			t.Errorf("the dialog is at %s", u.Path)
		}
		if diff := cmp.Diff(want, u.Query()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestExchange(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	tokens, err := exchange(t, f)
	if err != nil {
		t.Fatal(err)
	}
	if tokens.Access.Reveal() != userToken || tokens.Subject != "102233445566778" || tokens.Self != nil || !tokens.Refresh.IsZero() {
		t.Error("tokens or subject are not those of the answers")
	}
	if !tokens.AccessExpiry.Equal(now.Add(5183944 * time.Second)) {
		t.Errorf("the token ends at %v", tokens.AccessExpiry)
	}
	if diff := cmp.Diff([]string{"pages_show_list"}, tokens.Scopes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"POST /oauth/access_token", "POST /oauth/access_token", "GET /me", "GET /me/permissions"}, f.paths()); diff != "" {
		t.Error(diff)
	}
	forms := []url.Values{
		{"client_id": {"901234567890123"}, "client_secret": {secret}, "redirect_uri": {redirectURL}, "code": {code}, "code_verifier": {verifier}},
		{"client_id": {"901234567890123"}, "client_secret": {secret}, "grant_type": {"fb_exchange_token"}, "fb_exchange_token": {"canary-short"}},
	}
	if diff := cmp.Diff(forms, []url.Values{f.got[0].Form, f.got[1].Form}); diff != "" {
		t.Error(diff)
	}
}

func TestLifetimeThatIsNotSaid(t *testing.T) {
	t.Parallel()
	soon := now.Add(time.Hour).UTC()
	never := time.Time{}
	for name, test := range map[string]struct {
		debug string
		want  *time.Time
	}{
		"known":   {`{"data":{"is_valid":true,"expires_at":1795179600}}`, &soon},
		"never":   {`{"data":{"is_valid":true,"expires_at":0}}`, &never},
		"unknown": {`{"data":{"is_valid":true}}`, nil},
		"refused": {"400 " + graphError(`"code":100`), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.answers["POST /oauth/access_token again"] = `{"access_token":"` + userToken + `","token_type":"bearer"}`
			f.answers["GET /debug_token"] = test.debug
			tokens, err := exchange(t, f)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, tokens.AccessExpiry); diff != "" {
				t.Error(diff)
			}
			debug := f.got[2]
			if debug.Header.Get("Authorization") != "Bearer 901234567890123|"+secret || debug.URL.Query().Get("input_token") != userToken {
				t.Error("the app does not ask about the user's token")
			}
		})
	}
}

func TestCodeThatIsNone(t *testing.T) {
	t.Parallel()
	p, f := newProvider(), newFake(t)
	for _, text := range []string{"", "a\rb"} {
		_, err := p.Exchange(t.Context(), newEnv(p, f), connect.AuthResponse{Query: url.Values{"code": {text}}})
		wantFailure(t, err, connect.ClassRetry, "no_code")
	}
	if len(f.got) != 0 {
		t.Error("a request was sent without a code")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*facebook.Options)
		want   string // in the error; empty: none
	}{
		"defaults":          {func(*facebook.Options) {}, ""},
		"all set":           {func(o *facebook.Options) { *o = ownOptions() }, ""},
		"no app id":         {func(o *facebook.Options) { o.AppID = "" }, "Options.AppID"},
		"app id of letters": {func(o *facebook.Options) { o.AppID = "canary" }, "Options.AppID"},
		"no app secret":     {func(o *facebook.Options) { o.AppSecret = connect.Secret{} }, "Options.AppSecret"},
		"version number":    {func(o *facebook.Options) { o.Version = "26.0" }, "Options.Version"},
		"version, major":    {func(o *facebook.Options) { o.Version = "v26" }, "Options.Version"},
		"version, a path":   {func(o *facebook.Options) { o.Version = "v26.0/me" }, "Options.Version"},
		"dialog by http":    {func(o *facebook.Options) { o.DialogURL = "http://www.facebook.com" }, "Options.DialogURL"},
		"dialog, path":      {func(o *facebook.Options) { o.DialogURL = "https://www.facebook.com/v26.0" }, "Options.DialogURL"},
		"Graph by name":     {func(o *facebook.Options) { o.GraphURL = "graph.facebook.com" }, "Options.GraphURL"},
		"Graph, user":       {func(o *facebook.Options) { o.GraphURL = "https://u:canary@graph.facebook.com" }, "Options.GraphURL"},
		"scopes in one":     {func(o *facebook.Options) { o.Scopes = []string{"pages_show_list,canary"} }, "Options.Scopes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := facebook.Options{AppID: "901234567890123", AppSecret: connect.NewSecret(secret)}
			test.change(&opts)
			err := facebook.New(opts).Check()
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary")):
				t.Errorf("error is %v, want one that names %s and quotes nothing", err, test.want)
			}
		})
	}
}

func ownOptions() facebook.Options {
	return facebook.Options{
		AppID: "1", AppSecret: connect.NewSecret(secret), Version: "v24.0", Scopes: []string{"pages_manage_posts"},
		DialogURL: "https://www.facebook.example/", GraphURL: "https://graph.facebook.example/",
	}
}

func TestExchangeErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		path, answer string
		class        connect.ErrorClass
		code         string
		requests     int
	}{
		"code expired":         {"POST /oauth/access_token", "400 " + graphError(`"code":100,"error_subcode":36007`), connect.ClassReconnect, "100/36007", 1},
		"redirect URI differs": {"POST /oauth/access_token", "400 " + graphError(`"code":100,"error_subcode":36008`), connect.ClassReconnect, "100/36008", 1},
		"code used":            {"POST /oauth/access_token", "400 " + graphError(`"code":100,"error_subcode":36009`), connect.ClassReconnect, "100/36009", 1},
		"wrong app":            {"POST /oauth/access_token", "400 " + graphError(`"code":101`), connect.ClassConfig, "101", 1},
		"wrong secret": {
			"POST /oauth/access_token", `400 {"error":{"message":"Error validating client secret.","type":"OAuthException","code":1}}`,
			connect.ClassConfig, "1", 1,
		},
		"error at 200":     {"POST /oauth/access_token", graphError(`"code":100`), connect.ClassReconnect, "100", 1},
		"code answer lost": {"POST /oauth/access_token", `{"access_token":`, connect.ClassUncertain, "", 1},
		"long answer lost": {"POST /oauth/access_token again", `{"access_token":`, connect.ClassRetry, "", 2},
		"wrong proof":      {"GET /me", "400 " + graphError(`"code":100`), connect.ClassConfig, "100", 3},
		"no id":            {"GET /me", `{}`, connect.ClassRetry, "no_id", 3},
		"id is a path":     {"GET /me", `{"id":"../me"}`, connect.ClassRetry, "no_id", 3},
		"token dead":       {"GET /me/permissions", "400 " + graphError(`"code":190,"error_subcode":458`), connect.ClassReconnect, "190/458", 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.answers[test.path] = test.answer
			_, err := exchange(t, f)
			wantFailure(t, err, test.class, test.code)
			if len(f.got) != test.requests {
				t.Errorf("%d requests were sent, want %d", len(f.got), test.requests)
			}
		})
	}
}

func TestIDsAboveTheIntegersOfJavaScript(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.answers["GET /me"] = `{"id":9007199254740993,"name":"Dana"}`
	tokens, err := exchange(t, f)
	if err != nil || tokens.Subject != "9007199254740993" {
		t.Errorf("subject is not the number that was sent: %v", err)
	}
}

func TestThreat103_TokenInQueryStaysOutOfErrors(t *testing.T) {
	t.Parallel()
	p := newProvider()
	env := newEnv(p, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	env.HTTP = &http.Client{Transport: waiting{}}
	// Nothing was found: the next call is debug_token with the user's token.
	cursor := base64.RawURLEncoding.EncodeToString([]byte(`{"s":"ticked"}`))
	_, err := p.List(ctx, env, granted(), connect.ListRequest{Cursor: cursor})
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "input_token") {
		t.Errorf("error is %v, want a cancellation without the URL", err)
	}
}

// waiting answers nothing until the caller gives up.
type waiting struct{}

func (waiting) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestSign(t *testing.T) {
	t.Parallel()
	p := newProvider()
	for address, want := range map[string]string{
		graph + "/1/feed":             "appsecret_proof=" + proof("canary-page"),
		graph + "/1/feed?a=1;b=2&c=%": "a=1;b=2&c=%&appsecret_proof=" + proof("canary-page"),
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, unreadable{t})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Sign(newEnv(p, nil), &connect.Tokens{Access: connect.NewSecret("canary-page")}, r); err != nil {
			t.Fatal(err)
		}
		if r.URL.RawQuery != want || r.Header.Get("Authorization") != "Bearer canary-page" {
			t.Errorf("query is %q, want %q", r.URL.RawQuery, want)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, graph, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Sign(newEnv(p, nil), &connect.Tokens{}, r); !errors.Is(err, connect.ErrNoToken) {
		t.Errorf("error is %v, want ErrNoToken", err)
	}
}

type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, errors.New("read")
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer string
		class  connect.ErrorClass // empty: success
		code   string
	}{
		"true":               {`true`, "", ""},
		"object":             {`{"success":true}`, "", ""},
		"object, no":         {`{"success":false}`, connect.ClassRetry, "not_revoked"},
		"false":              {`false`, connect.ClassRetry, "not_revoked"},
		"HTML":               {`<html>`, connect.ClassRetry, ""},
		"app taken away":     {"400 " + graphError(`"code":190,"error_subcode":458`), "", ""},
		"nobody":             {"400 " + graphError(`"code":100,"error_subcode":33`), "", ""},
		"the app is refused": {`400 {"error":{"message":"Invalid OAuth access token - Cannot parse access token","code":190}}`, connect.ClassConfig, "190"},
		"app token is over":  {"400 " + graphError(`"code":190,"error_subcode":463`), connect.ClassConfig, "190/463"},
		"error at 200":       {graphError(`"code":2`), connect.ClassRetry, "2"},
		"out of service":     {"500 <html>", connect.ClassRetry, ""},
		"proof is required":  {"400 " + graphError(`"code":100`), connect.ClassConfig, "100"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, f := newProvider(), newFake(t)
			f.answers["DELETE /102233445566778/permissions"] = test.answer
			err := p.Revoke(t.Context(), newEnv(p, f), granted())
			if test.class == "" && err != nil {
				t.Error(err)
			}
			if test.class != "" {
				wantFailure(t, err, test.class, test.code)
			}
			if got := f.got[0].Header.Get("Authorization"); got != "Bearer 901234567890123|"+secret {
				t.Error("the app's own token was not used: the person's may be over")
			}
		})
	}
	p, f := newProvider(), newFake(t)
	if err := p.Revoke(t.Context(), newEnv(p, f), &connect.Tokens{Subject: "me/x", Access: connect.NewSecret("a")}); err == nil || len(f.got) != 0 {
		t.Errorf("a subject that is no id was sent: %v", err)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	p := facebook.New(facebook.Options{
		AppID: "1", Version: "v24.0", WithoutBusinessManagement: true,
		DialogURL: "https://www.facebook.example/", GraphURL: "https://graph.facebook.example",
	}).Platform()
	if diff := cmp.Diff([]string{"pages_show_list", "pages_read_engagement", "pages_manage_posts"}, p.Methods[0].DefaultScopes); diff != "" {
		t.Error(diff)
	}
	want := connect.Version{Name: "v24.0", Sunset: time.Date(2028, time.February, 18, 0, 0, 0, 0, time.UTC)}
	if diff := cmp.Diff(want, p.Version); diff != "" {
		t.Error(diff)
	}
	if p.Hosts[0] != "graph.facebook.example" || p.APIBaseURL != "https://graph.facebook.example/v24.0" {
		t.Errorf("hosts %v, API %s", p.Hosts, p.APIBaseURL)
	}
	own := facebook.New(facebook.Options{AppID: "1", Scopes: []string{"pages_manage_posts"}}).Platform()
	if diff := cmp.Diff([]string{"pages_manage_posts", "pages_show_list"}, own.Methods[0].DefaultScopes); diff != "" {
		t.Error(diff)
	}
}
