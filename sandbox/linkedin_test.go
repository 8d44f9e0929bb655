package sandbox_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const liScopes = "openid profile w_member_social rw_organization_admin w_organization_social"

// liAuthorize is an authorization URL with changes.
func liAuthorize(changes ...string) string {
	base := url.Values{"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {callback}, "scope": {liScopes}, "state": {"some-state"}}
	return "www.linkedin.com/oauth/v2/authorization?" + query(base.Encode(), changes...).Encode()
}

// liCode consents as a person and returns the code.
func (w *world) liCode(persona string, changes ...string) string {
	w.t.Helper()
	form := url.Values{"decision": {"allow"}, "persona": {persona}}
	return callbackQuery(w.t, w.do(request{method: "POST", url: liAuthorize(changes...), form: form})).Get("code")
}

// liForm posts a form to the authorization server, with the client.
func (w *world) liForm(path, base string, changes ...string) answer {
	w.t.Helper()
	form := query(base+"&client_id="+clientID+"&client_secret="+secret, changes...)
	return w.do(request{method: "POST", url: "www.linkedin.com/oauth/v2/" + path, form: form})
}

func (w *world) liToken(code string, changes ...string) answer {
	w.t.Helper()
	return w.liForm("accessToken", "grant_type=authorization_code&code="+code+"&redirect_uri="+url.QueryEscape(callback), changes...)
}

func (w *world) liRefresh(refresh string) answer {
	w.t.Helper()
	return w.liForm("accessToken", "grant_type=refresh_token&refresh_token="+refresh)
}

// liConnect returns what a person's consent brings.
func (w *world) liConnect(persona string, changes ...string) answer {
	w.t.Helper()
	return w.liToken(w.liCode(persona, changes...))
}

// liCall calls the API, with the version where it wants one.
func (w *world) liCall(path, access string, header ...string) answer {
	w.t.Helper()
	r := request{method: "GET", url: "api.linkedin.com/" + path, header: map[string]string{"Authorization": "Bearer " + access}}
	if strings.HasPrefix(path, "rest/") {
		r.header["LinkedIn-Version"], r.header["X-Restli-Protocol-Version"] = "202607", "2.0.0"
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, "=")
		r.header[name] = value
	}
	return w.do(r)
}

func TestLinkedInFlow(t *testing.T) {
	t.Parallel()
	w := setup(t)
	page := w.do(request{method: "GET", url: liAuthorize()})
	if page.status != http.StatusOK || !strings.Contains(page.body, `value="lena" checked`) || strings.Contains(page.body, "checkbox") {
		t.Fatalf("consent page, status %d:\n%s", page.status, page.body)
	}
	tokens := w.liConnect("lena").object(t)
	access, _ := tokens["access_token"].(string)
	refresh, _ := tokens["refresh_token"].(string)
	delete(tokens, "access_token")
	delete(tokens, "refresh_token")
	want := object{
		"token_type": "Bearer", "expires_in": 5184000.0, "refresh_token_expires_in": 31536000.0,
		"scope": "openid,profile,rw_organization_admin,w_member_social,w_organization_social",
	}
	if diff := cmp.Diff(want, tokens); diff != "" || access == "" || refresh == "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
	wantMe := object{
		"sub": "aB3dEfGhIj", "name": "Lena Example", "given_name": "Lena", "family_name": "Example", "locale": object{"country": "US", "language": "en"},
		"picture": "https://media.licdn.com/dms/image/v2/lena/profile-displayphoto-shrink_100_100/0?e=1768000000&v=beta&t=x",
	}
	if diff := cmp.Diff(wantMe, w.liCall("v2/userinfo", access).object(t)); diff != "" {
		t.Errorf("userinfo (-want +got):\n%s", diff)
	}
}

// The refresh token stays, and so does its end, which cuts the last access
// token short.
func TestLinkedInRefreshEndsWithTheYear(t *testing.T) {
	t.Parallel()
	w := setup(t)
	refresh := w.liConnect("lena").text(t, "refresh_token")
	access := w.liRefresh(refresh).text(t, "access_token")
	w.wait(59 * 24 * time.Hour)
	later := w.liRefresh(refresh).object(t)
	if later["refresh_token"] != refresh || later["expires_in"] != 5184000.0 || later["refresh_token_expires_in"] != 306.0*86400 {
		t.Errorf("after 59 days: %v", later)
	}
	w.wait(301 * 24 * time.Hour)
	if got := w.liCall("v2/userinfo", access); got.text(t, "code") != "EXPIRED_ACCESS_TOKEN" {
		t.Errorf("the first access token: %d %s", got.status, got.body)
	}
	last := w.liRefresh(refresh).object(t)
	if last["expires_in"] != 5.0*86400 || last["refresh_token_expires_in"] != 5.0*86400 {
		t.Errorf("after 360 days: %v", last)
	}
	w.wait(5 * 24 * time.Hour)
	if got := w.liRefresh(refresh); got.status != http.StatusBadRequest || got.text(t, "error") != "invalid_request" {
		t.Errorf("after the year: %d %s", got.status, got.body)
	}
}

func TestLinkedInDenied(t *testing.T) {
	t.Parallel()
	w := setup(t)
	consent := func(decision string, changes ...string) url.Values {
		got := callbackQuery(t, w.do(request{method: "POST", url: liAuthorize(changes...), form: url.Values{"decision": {decision}}}))
		if got.Get("state") != "some-state" || got.Has("code") {
			t.Errorf("callback %v", got)
		}
		return got
	}
	if got := consent("deny").Get("error"); got != "user_cancelled_authorize" {
		t.Errorf("cancelled: %s", got)
	}
	w.fault("linkedin", "cancel_login", "")
	if got := consent("allow").Get("error"); got != "user_cancelled_login" {
		t.Errorf("left the login: %s", got)
	}
	got := consent("allow", "scope=openid r_liteprofile")
	if got.Get("error") != "unauthorized_scope_error" || !strings.Contains(got.Get("error_description"), "&quot;r_liteprofile&quot;") {
		t.Errorf("no product: %v", got)
	}
	w.fault("linkedin", "unauthorized_scope", "")
	if got := consent("allow").Get("error"); got != "unauthorized_scope_error" {
		t.Errorf("no product, by a fault: %s", got)
	}
}

func TestLinkedInAuthorizeRefuses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for name, change := range map[string]string{
		"unknown client":        "client_id=other",
		"unregistered redirect": "redirect_uri=https://app.example.com/",
		"a challenge":           "code_challenge=" + challenge,
		"repeated parameter":    "+state=again",
		"no state":              "state",
		"no scope":              "scope",
		"another response type": "response_type=token",
	} {
		for _, method := range []string{"GET", "POST"} {
			got := w.do(request{method: method, url: liAuthorize(change), form: url.Values{"decision": {"allow"}}})
			if got.status != http.StatusBadRequest || got.header.Get("Location") != "" {
				t.Errorf("%s, %s: status %d, Location %q", name, method, got.status, got.header.Get("Location"))
			}
		}
	}
	if got := w.do(request{method: "PUT", url: liAuthorize()}); got.status != http.StatusMethodNotAllowed {
		t.Errorf("PUT: status %d", got.status)
	}
}

func TestLinkedInTokenRefuses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for name, test := range map[string]struct {
		change string
		status int
		code   string
	}{
		"no grant type":      {"grant_type", 400, "invalid_request"},
		"another grant type": {"grant_type=password", 400, "unsupported_grant_type"},
		"no code":            {"code", 400, "invalid_request"},
		"unknown code":       {"code=other", 401, "invalid_request"},
		"another redirect":   {"redirect_uri=https://app.example.com/", 400, "invalid_redirect_uri"},
		"wrong secret":       {"client_secret=other", 401, "invalid_client"},
		"no secret":          {"client_secret", 400, "invalid_request"},
		"unknown client":     {"client_id=other", 401, "invalid_client"},
		"a verifier":         {"code_verifier=" + verifier, 400, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := w.liToken(w.liCode("lena"), test.change)
			if got.status != test.status || got.text(t, "error") != test.code {
				t.Errorf("%d %s, want %d %s", got.status, got.body, test.status, test.code)
			}
		})
	}
	code := w.liCode("lena")
	w.liToken(code)
	if got := w.liToken(code); got.status != http.StatusUnauthorized {
		t.Errorf("a code for the second time: %d %s", got.status, got.body)
	}
	late := w.liCode("lena")
	w.wait(30 * time.Minute)
	if got := w.liToken(late); got.text(t, "error") != "invalid_redirect_uri" {
		t.Errorf("a code after 30 minutes: %d %s", got.status, got.body)
	}
	basic := request{method: "POST", url: "www.linkedin.com/oauth/v2/accessToken", form: query("grant_type=refresh_token&refresh_token=a"), header: xBasic(clientID, secret)}
	if got := w.do(basic); got.status != http.StatusBadRequest {
		t.Errorf("the secret in the header: %d", got.status)
	}
}

func TestLinkedInIntrospectAndRevoke(t *testing.T) {
	t.Parallel()
	w := setup(t)
	tokens := w.liConnect("lena")
	access, refresh := tokens.text(t, "access_token"), tokens.text(t, "refresh_token")
	status := func() string { return w.liForm("introspectToken", "token="+access).text(t, "status") }
	if got := w.liForm("introspectToken", "token="+access).object(t); got["active"] != true || got["client_id"] != clientID || got["scope"] == "" {
		t.Errorf("introspection %v", got)
	}
	w.fault("linkedin", "expired_token", "inspect")
	if got := []string{status(), status()}; got[0] != "expired" || got[1] != "active" {
		t.Errorf("status %v", got)
	}
	if got := w.liForm("introspectToken", "token=other"); got.status != http.StatusBadRequest {
		t.Errorf("an unknown token: %d", got.status)
	}
	if got := w.liForm("introspectToken", "token="+access, "client_id=second", "client_secret=other-secret"); got.status != http.StatusBadRequest {
		t.Errorf("another client's token: %d", got.status)
	}
	if got := w.liForm("revoke", "token="+refresh); got.status != http.StatusOK || got.body != "" {
		t.Errorf("revoke: %d %q", got.status, got.body)
	}
	if got := w.liCall("v2/userinfo", access); got.text(t, "code") != "REVOKED_ACCESS_TOKEN" || status() != "revoked" {
		t.Errorf("after it: %d %s, %s", got.status, got.body, status())
	}
	if got := w.liForm("revoke", "token=other"); got.status != http.StatusBadRequest {
		t.Errorf("an unknown token: %d", got.status)
	}
}

// Another set of scopes ends what the member had given; the same one does not.
func TestLinkedInReconsent(t *testing.T) {
	t.Parallel()
	w := setup(t)
	first := w.liConnect("lena").text(t, "access_token")
	other := w.liConnect("solo").text(t, "access_token")
	w.liConnect("lena", "scope=w_organization_social w_member_social openid profile rw_organization_admin")
	if got := w.liCall("v2/userinfo", first); got.status != http.StatusOK {
		t.Errorf("after the same scopes: %d", got.status)
	}
	w.liConnect("lena", "scope=openid profile")
	if got := w.liCall("v2/userinfo", first); got.text(t, "code") != "REVOKED_ACCESS_TOKEN" {
		t.Errorf("after other scopes: %d %s", got.status, got.body)
	}
	if got := w.liCall("v2/userinfo", other); got.status != http.StatusOK {
		t.Errorf("another member: %d", got.status)
	}
}

// What the API wants of each call.
func TestLinkedInCallRefuses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	access := w.liConnect("lena").text(t, "access_token")
	narrow := w.liConnect("solo", "scope=r_basicprofile").text(t, "access_token")
	const acls = "rest/organizationAcls?q=roleAssignee"
	for name, test := range map[string]struct {
		path, access, header string
		status               int
		code                 string
	}{
		"no version":            {acls, access, "LinkedIn-Version=", 400, "VERSION_MISSING"},
		"a version that ended":  {acls, access, "LinkedIn-Version=202511", 426, "NONEXISTENT_VERSION"},
		"a version of no time":  {acls, access, "LinkedIn-Version=202699", 426, "NONEXISTENT_VERSION"},
		"no protocol version":   {acls, access, "X-Restli-Protocol-Version=", 400, "ILLEGAL_ARGUMENT"},
		"no token":              {"v2/userinfo", "", "", 401, ""},
		"an unknown token":      {"v2/userinfo", "other", "", 401, "INVALID_ACCESS_TOKEN"},
		"no OpenID":             {"v2/userinfo", narrow, "", 403, "ACCESS_DENIED"},
		"no basic profile":      {"v2/me", access, "", 403, "ACCESS_DENIED"},
		"a parameter":           {"v2/userinfo?a=b", access, "", 400, "ILLEGAL_ARGUMENT"},
		"roles without a scope": {acls, narrow, "", 403, "ACCESS_DENIED"},
		"another finder":        {"rest/organizationAcls?q=organization", access, "", 400, "ILLEGAL_ARGUMENT"},
		"a negative start":      {acls + "&start=-1", access, "", 400, "ILLEGAL_ARGUMENT"},
		"an encoded list":       {"rest/organizationsLookup?ids=List%2811223344%29", access, "", 400, "ILLEGAL_ARGUMENT"},
		"a list of words":       {"rest/organizationsLookup?ids=List(a)", access, "", 400, "ILLEGAL_ARGUMENT"},
		"a post by GET":         {"rest/posts", access, "", 405, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var headers []string
			if test.header != "" {
				headers = append(headers, test.header)
			}
			got := w.liCall(test.path, test.access, headers...)
			if got.status != test.status || test.code != "" && got.text(t, "code") != test.code {
				t.Errorf("%d %s, want %d %s", got.status, got.body, test.status, test.code)
			}
		})
	}
	if got := w.liCall("v2/me", narrow).text(t, "vanityName"); got != "sol-solo" {
		t.Errorf("the older call names %q", got)
	}
}

func TestLinkedInOrganizations(t *testing.T) {
	t.Parallel()
	w := setup(t)
	manager := w.liConnect("manager").text(t, "access_token")
	var sizes []int
	organizations := map[any]bool{}
	for path := "rest/organizationAcls?q=roleAssignee&state=APPROVED&start=0&count=20"; path != ""; {
		got := w.liCall(path, manager).object(t)
		elements, _ := got["elements"].([]any)
		sizes = append(sizes, len(elements))
		for _, e := range elements {
			element, _ := e.(object)
			organizations[element["organization"]] = true
		}
		path = ""
		paging, _ := got["paging"].(object)
		for _, l := range paging["links"].([]any) {
			link, _ := l.(object)
			path = strings.TrimPrefix(link["href"].(string), "/") + "&state=APPROVED"
		}
	}
	if diff := cmp.Diff([]int{20, 20, 5}, sizes); diff != "" || len(organizations) != 40 {
		t.Errorf("%d organizations on pages (-want +got):\n%s", len(organizations), diff)
	}

	hidden := w.liConnect("hidden").text(t, "access_token")
	got := w.liCall("rest/organizationsLookup?ids=List(11223344,77889900)", hidden).object(t)
	want := object{
		"results":  object{"11223344": object{"id": 11223344.0, "localizedName": "Harbour Bakery", "vanityName": "harbour-bakery", "primaryOrganizationType": "NONE"}},
		"statuses": object{"11223344": 200.0, "77889900": 404.0},
		"errors":   object{"77889900": object{"status": 404.0, "code": "RESOURCE_NOT_FOUND", "message": "Could not find entity"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	asked := w.liCall("rest/organizationAcls?q=roleAssignee&state=REQUESTED", w.liConnect("lena").text(t, "access_token"))
	if elements, _ := asked.object(t)["elements"].([]any); len(elements) != 1 {
		t.Errorf("asked for: %s", asked.body)
	}
}

func TestLinkedInPost(t *testing.T) {
	t.Parallel()
	w := setup(t)
	all := w.liConnect("lena").text(t, "access_token")
	const person, page, mill = "urn:li:person:aB3dEfGhIj", "urn:li:organization:11223344", "urn:li:organization:55667788"
	post := func(access, author, body string) answer {
		header := map[string]string{"Authorization": "Bearer " + access, "LinkedIn-Version": "202607", "X-Restli-Protocol-Version": "2.0.0"}
		return w.do(request{method: "POST", url: "api.linkedin.com/rest/posts", header: header, json: strings.ReplaceAll(body, "AUTHOR", author)})
	}
	const whole = `{"author":"AUTHOR","commentary":"a","visibility":"PUBLIC","distribution":{"feedDistribution":"MAIN_FEED"},"lifecycleState":"PUBLISHED"}`
	for name, test := range map[string]struct {
		author, body string
		status       int
	}{
		"as the member":      {person, whole, 201},
		"as a Page":          {page, whole, 201},
		"as another member":  {"urn:li:person:other", whole, 403},
		"without the role":   {mill, whole, 403},
		"as another's Page":  {"urn:li:organization:1", whole, 403},
		"as nobody":          {"", whole, 403},
		"without a text":     {page, strings.Replace(whole, `"commentary":"a",`, "", 1), 400},
		"with another field": {page, strings.Replace(whole, `{`, `{"a":1,`, 1), 400},
		"no JSON":            {page, `author`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := post(all, test.author, test.body)
			if got.status != test.status || (got.header.Get("X-Restli-Id") != "") != (got.status == 201) {
				t.Errorf("%d %s, want %d", got.status, got.body, test.status)
			}
		})
	}
	narrow := w.liConnect("hidden", "scope=openid profile").text(t, "access_token")
	if got := post(narrow, page, whole); got.status != http.StatusBadRequest || !strings.Contains(got.body, "Organization permissions must be used") {
		t.Errorf("without the scope of Pages: %d %s", got.status, got.body)
	}
	if got := post(narrow, "urn:li:person:qQ1wW2eE3r", whole); got.status != http.StatusForbidden {
		t.Errorf("without the member's scope: %d", got.status)
	}
}

func TestLinkedInFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		at     string
		status int
		want   string
	}{
		"429":            {"profile", 429, `DAY limit`},
		"500":            {"profile", 502, `<html`},
		"html":           {"profile", 200, `<html`},
		"expired_token":  {"profile", 401, `"code":"EXPIRED_ACCESS_TOKEN"`},
		"revoked_token":  {"profile", 401, `"serviceErrorCode":65601`},
		"access_denied":  {"profile", 403, `"code":"ACCESS_DENIED"`},
		"wrong_subject":  {"profile", 200, `-f_Ut43FoQ`},
		"version_sunset": {"api", 426, `"code":"NONEXISTENT_VERSION"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			access, path := w.liConnect("lena").text(t, "access_token"), "v2/userinfo"
			if test.at == "api" {
				path = "rest/organizationAcls?q=roleAssignee"
			}
			w.fault("linkedin", name, test.at)
			if got := w.liCall(path, access); got.status != test.status || !strings.Contains(got.body, test.want) {
				t.Errorf("%d %s", got.status, got.body)
			}
			if got := w.liCall(path, access); got.status != http.StatusOK || strings.Contains(got.body, test.want) {
				t.Errorf("the fault stays on: %d %s", got.status, got.body)
			}
		})
	}
	w := setup(t)
	w.fault("linkedin", "no_refresh_token", "")
	if got := w.liConnect("lena").object(t); got["refresh_token"] != nil || got["refresh_token_expires_in"] != nil || got["access_token"] == nil {
		t.Errorf("not approved: %v", got)
	}
	refresh := w.liConnect("lena").text(t, "refresh_token")
	w.fault("linkedin", "invalid_grant", "")
	if got := w.liRefresh(refresh); !strings.Contains(got.text(t, "error_description"), "invalid, expired or revoked") {
		t.Errorf("a dead grant: %s", got.body)
	}
	if got := w.liRefresh(refresh); got.status != http.StatusOK {
		t.Errorf("after it: %d", got.status)
	}
}
