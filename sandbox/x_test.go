package sandbox_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const xScopes = "tweet.read tweet.write users.read media.write offline.access"

// xAuthorize is an authorization URL with changes.
func xAuthorize(changes ...string) string {
	base := url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {callback}, "scope": {xScopes}, "state": {"some-state"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	return "x.com/i/oauth2/authorize?" + query(base.Encode(), changes...).Encode()
}

// xCode consents and returns the code.
func (w *world) xCode(changes ...string) string {
	w.t.Helper()
	form := url.Values{"decision": {"allow"}, "persona": {"bakery"}}
	q := callbackQuery(w.t, w.do(request{method: "POST", url: xAuthorize(changes...), form: form}))
	if q.Get("state") != "some-state" {
		w.t.Fatalf("state %q", q.Get("state"))
	}
	return q.Get("code")
}

func xBasic(id, password string) map[string]string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(id, password)
	return map[string]string{"Authorization": r.Header.Get("Authorization")}
}

func codeForm(code string, changes ...string) url.Values {
	base := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}, "client_id": {clientID}}
	return query(base.Encode(), changes...)
}

func (w *world) xToken(form url.Values) answer {
	w.t.Helper()
	return w.do(request{method: "POST", url: "api.x.com/2/oauth2/token", form: form, header: xBasic(clientID, secret)})
}

func (w *world) xConnect(changes ...string) answer {
	w.t.Helper()
	return w.xToken(codeForm(w.xCode(changes...)))
}

func (w *world) xRefresh(refresh string) answer {
	w.t.Helper()
	return w.xToken(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
}

func (w *world) xMe(access string) answer {
	w.t.Helper()
	return w.do(request{method: "GET", url: "api.x.com/2/users/me", header: map[string]string{"Authorization": "Bearer " + access}})
}

func TestXFlow(t *testing.T) {
	t.Parallel()
	w := setup(t)
	page := w.do(request{method: "GET", url: xAuthorize()})
	if page.status != http.StatusOK || !strings.Contains(page.body, `value="bakery" checked`) || strings.Contains(page.body, "checkbox") {
		t.Fatalf("consent page, status %d:\n%s", page.status, page.body)
	}
	tokens := w.xConnect().object(t)
	access, _ := tokens["access_token"].(string)
	refresh, _ := tokens["refresh_token"].(string)
	delete(tokens, "access_token")
	delete(tokens, "refresh_token")
	want := object{"token_type": "bearer", "expires_in": 7200.0, "scope": "offline.access media.write users.read tweet.write tweet.read"}
	if diff := cmp.Diff(want, tokens); diff != "" || access == "" || refresh == "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
	wantMe := object{"data": object{"id": "2244990011", "name": "Example Bakery", "username": "examplebakery"}}
	if diff := cmp.Diff(wantMe, w.xMe(access).object(t)); diff != "" {
		t.Errorf("me (-want +got):\n%s", diff)
	}
	next := w.xRefresh(refresh)
	if next.text(t, "access_token") == access || next.text(t, "refresh_token") == refresh || next.text(t, "refresh_token") == "" {
		t.Errorf("refresh, status %d, did not bring a new pair", next.status)
	}
	w.wait(2 * time.Hour)
	if got := w.xMe(access); got.status != http.StatusUnauthorized || got.text(t, "detail") != "Unauthorized" {
		t.Errorf("expired access token: status %d: %s", got.status, got.body)
	}
}

func TestXDenied(t *testing.T) {
	t.Parallel()
	w := setup(t)
	got := callbackQuery(t, w.do(request{method: "POST", url: xAuthorize(), form: url.Values{"decision": {"deny"}}}))
	if diff := cmp.Diff(url.Values{"error": {"access_denied"}, "state": {"some-state"}}, got); diff != "" {
		t.Errorf("callback (-want +got):\n%s", diff)
	}
}

func TestXAuthorizeRefuses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for name, change := range map[string]string{
		"unknown client":         "client_id=other",
		"no client":              "client_id",
		"unregistered redirect":  "redirect_uri=https://app.example.com/connect/callback/x/",
		"redirect, other case":   "redirect_uri=https://APP.example.com/connect/callback/x",
		"no redirect":            "redirect_uri",
		"unknown parameter":      "prompt=consent",
		"repeated parameter":     "+state=again",
		"no state":               "state",
		"long state":             "state=" + strings.Repeat("s", 501),
		"no scope":               "scope",
		"unknown scope":          "scope=tweet.read tweet.fly",
		"scopes with commas":     "scope=tweet.read,users.read",
		"implicit flow":          "response_type=token",
		"no challenge":           "code_challenge",
		"no challenge method":    "code_challenge_method",
		"plain challenge":        "code_challenge_method=plain",
		"challenge of bad shape": "code_challenge=abc",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, method := range []string{"GET", "POST"} {
				got := w.do(request{method: method, url: xAuthorize(change), form: url.Values{"decision": {"allow"}}})
				if got.status != http.StatusBadRequest || got.header.Get("Location") != "" || !strings.Contains(got.body, "Something went wrong") {
					t.Errorf("%s: status %d, Location %q, want an error page", method, got.status, got.header.Get("Location"))
				}
			}
		})
	}
	if got := w.do(request{method: "GET", url: xAuthorize("state=" + strings.Repeat("s", 500))}); got.status != http.StatusOK {
		t.Errorf("a state of 500 characters: status %d", got.status)
	}
}

func TestConsentRefuses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for name, form := range map[string]url.Values{
		"no decision":      {"persona": {"bakery"}},
		"two decisions":    {"decision": {"allow", "deny"}},
		"other decision":   {"decision": {"maybe"}},
		"unknown persona":  {"decision": {"allow"}, "persona": {"nobody"}},
		"unticked on X":    {"decision": {"allow"}, "persona": {"bakery"}, "scopes": {"chosen"}, "scope": {"tweet.read"}},
		"Facebook persona": {"decision": {"allow"}, "persona": {"dana"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := w.do(request{method: "POST", url: xAuthorize(), form: form}); got.status != http.StatusBadRequest || got.header.Get("Location") != "" {
				t.Errorf("status %d, Location %q, want an error page", got.status, got.header.Get("Location"))
			}
		})
	}
}

func TestXTokenRefuses(t *testing.T) {
	t.Parallel()
	badCode := object{"error": "invalid_request", "error_description": "Value passed for the authorization code was invalid."}
	noHeader := object{"error": "unauthorized_client", "error_description": "Missing valid authorization header"}
	basic := xBasic(clientID, secret)
	for _, tt := range []struct {
		name   string
		change string
		header map[string]string
		late   time.Duration
		status int
		want   object
	}{
		{"wrong code", "code=other", basic, 0, 400, badCode},
		{"code after 30 s", "grant_type=authorization_code", basic, 30 * time.Second, 400, badCode},
		{"code of another client", "client_id=second", xBasic("second", "other-secret"), 0, 400, badCode},
		{"wrong verifier", "code_verifier=" + strings.Repeat("a", 43), basic, 0, 400, object{"error": "invalid_request", "error_description": "Value passed for the code verifier did not match the code challenge."}},
		{"no verifier", "code_verifier", basic, 0, 400, object{"error": "invalid_request", "error_description": "Missing required parameter [code_verifier]."}},
		{"other redirect", "redirect_uri=https://app.example.com/", basic, 0, 400, object{"error": "invalid_request", "error_description": "Value passed for the redirect uri did not match the uri of the authorization code."}},
		{"no header", "grant_type=authorization_code", nil, 0, 401, noHeader},
		{"wrong secret", "grant_type=authorization_code", xBasic(clientID, "wrong"), 0, 401, noHeader},
		{"secret in the body", "client_secret=" + secret, nil, 0, 401, noHeader},
		{"secret in both", "client_secret=" + secret, basic, 0, 401, noHeader},
		{"unknown client", "client_id=other", xBasic("other", secret), 0, 401, object{"error": "invalid_client", "error_description": "Value passed for the client was invalid."}},
		{"two client ids", "client_id=other", basic, 0, 400, object{"error": "invalid_client", "error_description": "Value passed for the client id did not match the authorization header."}},
		{"unknown parameter", "audience=x", basic, 0, 400, object{"error": "invalid_request", "error_description": "A parameter is unknown or comes twice."}},
		{"repeated parameter", "+code_verifier=" + verifier, basic, 0, 400, object{"error": "invalid_request", "error_description": "A parameter is unknown or comes twice."}},
		{"unknown grant type", "grant_type=password", basic, 0, 400, object{"error": "unsupported_grant_type", "error_description": "Value passed for the grant type was invalid."}},
		{"no grant type", "grant_type", basic, 0, 400, object{"error": "invalid_request", "error_description": "Missing required parameter [grant_type]."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			code := w.xCode()
			w.wait(tt.late)
			got := w.do(request{method: "POST", url: "api.x.com/2/oauth2/token", form: codeForm(code, tt.change), header: tt.header})
			if diff := cmp.Diff(tt.want, got.object(t)); diff != "" || got.status != tt.status {
				t.Errorf("status %d, want %d (-want +got):\n%s", got.status, tt.status, diff)
			}
		})
	}
}

func TestXTokenTakesFormsOnly(t *testing.T) {
	t.Parallel()
	w := setup(t)
	basic := xBasic(clientID, secret)
	if got := w.do(request{method: "GET", url: "api.x.com/2/oauth2/token?" + codeForm(w.xCode()).Encode(), header: basic}); got.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: status %d", got.status)
	}
	if got := w.do(request{method: "POST", url: "api.x.com/2/oauth2/token", json: `{"grant_type":"authorization_code"}`, header: basic}); got.status != http.StatusBadRequest {
		t.Errorf("JSON: status %d", got.status)
	}
	if got := w.do(request{method: "POST", url: "api.x.com/2/oauth2/token?a=b", form: codeForm(w.xCode()), header: basic}); got.status != http.StatusBadRequest {
		t.Errorf("query: status %d", got.status)
	}
}

func TestXCodeWorksOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	code := w.xCode()
	if got := w.xToken(codeForm(code)); got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	if got := w.xToken(codeForm(code)); got.status != http.StatusBadRequest {
		t.Errorf("second use: status %d", got.status)
	}
}

func TestXRefreshReuseEndsFamily(t *testing.T) {
	t.Parallel()
	w := setup(t)
	first, other := w.xConnect(), w.xConnect()
	second := w.xRefresh(first.text(t, "refresh_token"))
	want := object{"error": "invalid_request", "error_description": "Value passed for the token was invalid."}
	if diff := cmp.Diff(want, w.xRefresh(first.text(t, "refresh_token")).object(t)); diff != "" {
		t.Errorf("reuse (-want +got):\n%s", diff)
	}
	if got := w.xRefresh(second.text(t, "refresh_token")); got.status != http.StatusBadRequest {
		t.Errorf("the successor still works: status %d", got.status)
	}
	if got := w.xMe(second.text(t, "access_token")); got.status != http.StatusUnauthorized {
		t.Errorf("the access token still works: status %d", got.status)
	}
	if got := w.xMe(other.text(t, "access_token")); got.status != http.StatusOK {
		t.Errorf("another family died too: status %d", got.status)
	}
}

func TestXNoRefreshTokenWithoutOfflineAccess(t *testing.T) {
	t.Parallel()
	w := setup(t)
	got := w.xConnect("scope=tweet.read users.read").object(t)
	if _, ok := got["refresh_token"]; ok {
		t.Error("there is a refresh_token")
	}
}

func TestXRevoke(t *testing.T) {
	t.Parallel()
	for kind, accessAfter := range map[string]int{"access_token": 401, "refresh_token": 401} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			tokens := w.xConnect()
			got := w.do(request{method: "POST", url: "api.x.com/2/oauth2/revoke", form: url.Values{"token": {tokens.text(t, kind)}}, header: xBasic(clientID, secret)})
			if diff := cmp.Diff(object{"revoked": true}, got.object(t)); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if got := w.xMe(tokens.text(t, "access_token")); got.status != accessAfter {
				t.Errorf("access token: status %d", got.status)
			}
			wantRefresh := map[string]int{"access_token": 200, "refresh_token": 400}[kind]
			if got := w.xRefresh(tokens.text(t, "refresh_token")); got.status != wantRefresh {
				t.Errorf("refresh token: status %d, want %d", got.status, wantRefresh)
			}
		})
	}
}

func TestXMe(t *testing.T) {
	t.Parallel()
	w := setup(t)
	access := w.xConnect().text(t, "access_token")
	narrow := w.xConnect("scope=users.read").text(t, "access_token")
	for _, tt := range []struct {
		name, query, header string
		status              int
		field, want         string
	}{
		{"picture", "user.fields=profile_image_url,verified", "Bearer " + access, 200, "data.profile_image_url", "https://pbs.twimg.com/profile_images/1234/abc_normal.jpg"},
		{"unknown field", "user.fields=shoe_size", "Bearer " + access, 400, "title", "Invalid Request"},
		{"unknown parameter", "fields=id", "Bearer " + access, 400, "title", "Invalid Request"},
		{"token in the query", "access_token=" + access, "", 401, "title", "Unauthorized"},
		{"other scheme", "", "Basic " + access, 401, "title", "Unauthorized"},
		{"scope missing", "", "Bearer " + narrow, 403, "detail", "You are not permitted to perform this action."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := w.do(request{method: "GET", url: "api.x.com/2/users/me?" + tt.query, header: map[string]string{"Authorization": tt.header}})
			if got.status != tt.status || got.text(t, tt.field) != tt.want {
				t.Errorf("status %d, want %d: %s", got.status, tt.status, got.body)
			}
		})
	}
}

func TestXOddName(t *testing.T) {
	t.Parallel()
	w := setup(t)
	form := url.Values{"decision": {"allow"}, "persona": {"oddname"}}
	code := callbackQuery(t, w.do(request{method: "POST", url: xAuthorize(), form: form})).Get("code")
	name := w.xMe(w.xToken(codeForm(code)).text(t, "access_token")).text(t, "data.name")
	if n := len([]rune(name)); n != 300 || !strings.HasPrefix(name, "<b onclick=") {
		t.Errorf("name of %d characters: %q", n, name)
	}
}

// TestXRefreshRace has many ask with one token: one wins, and since the others
// came second the family dies.
func TestXRefreshRace(t *testing.T) {
	t.Parallel()
	w := setup(t)
	refresh := w.xConnect().text(t, "refresh_token")
	statuses := make([]int, 20)
	var group sync.WaitGroup
	for i := range statuses {
		group.Go(func() { statuses[i] = w.xRefresh(refresh).status })
	}
	group.Wait()
	slices.Sort(statuses)
	if statuses[0] != http.StatusOK || statuses[1] != http.StatusBadRequest {
		t.Errorf("statuses %v, want 200 once", statuses)
	}
}

func TestXRevokeOfAnother(t *testing.T) {
	t.Parallel()
	w := setup(t)
	tokens := w.xConnect()
	for name, r := range map[string]request{
		"another client": {form: url.Values{"token": {tokens.text(t, "refresh_token")}}, header: xBasic("second", "other-secret")},
		"unknown token":  {form: url.Values{"token": {"other"}}, header: xBasic(clientID, secret)},
	} {
		r.method, r.url = "POST", "api.x.com/2/oauth2/revoke"
		if got := w.do(r); got.status != http.StatusOK {
			t.Errorf("%s: status %d", name, got.status)
		}
	}
	if got := w.xMe(tokens.text(t, "access_token")); got.status != http.StatusOK {
		t.Errorf("the token of another client was revoked: status %d", got.status)
	}
	if got := w.do(request{method: "POST", url: "api.x.com/2/oauth2/revoke", form: url.Values{"token": {tokens.text(t, "refresh_token")}}}); got.status != http.StatusUnauthorized {
		t.Errorf("revoke without a client: status %d", got.status)
	}
}

func TestXRefreshTokenOfAnotherClient(t *testing.T) {
	t.Parallel()
	w := setup(t)
	refresh := w.xConnect().text(t, "refresh_token")
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}
	got := w.do(request{method: "POST", url: "api.x.com/2/oauth2/token", form: form, header: xBasic("second", "other-secret")})
	if got.status != http.StatusBadRequest {
		t.Errorf("another client: status %d", got.status)
	}
	if got := w.xRefresh(refresh); got.status != http.StatusOK {
		t.Errorf("its own client afterwards: status %d", got.status)
	}
}

// TestXShortVerifier sends a verifier that fits the challenge and is shorter
// than RFC 7636 section 4.1 allows.
func TestXShortVerifier(t *testing.T) {
	t.Parallel()
	w := setup(t)
	sum := sha256.Sum256([]byte("short"))
	code := w.xCode("code_challenge=" + base64.RawURLEncoding.EncodeToString(sum[:]))
	if got := w.xToken(codeForm(code, "code_verifier=short")); got.status != http.StatusBadRequest {
		t.Errorf("status %d, want 400", got.status)
	}
}
