package sandbox_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	scopePrefix  = "https://www.googleapis.com/auth/"
	googleScopes = "openid email " + scopePrefix + "youtube.upload " + scopePrefix + "youtube.readonly " + scopePrefix + "business.manage"
)

// googleAuthorize is an authorization URL with changes.
func googleAuthorize(changes ...string) string {
	base := url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {callback}, "scope": {googleScopes}, "state": {"some-state"},
		"access_type": {"offline"}, "prompt": {"select_account consent"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	return "accounts.google.com/o/oauth2/v2/auth?" + query(base.Encode(), changes...).Encode()
}

// googleConsent posts the consent page's form and returns the callback's query.
func (w *world) googleConsent(form url.Values, changes ...string) url.Values {
	w.t.Helper()
	if !form.Has("decision") {
		form.Set("decision", "allow")
	}
	return callbackQuery(w.t, w.do(request{method: "POST", url: googleAuthorize(changes...), form: form}))
}

func googleForm(code string, changes ...string) url.Values {
	base := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
		"client_id": {clientID}, "client_secret": {secret},
	}
	return query(base.Encode(), changes...)
}

func (w *world) googleToken(form url.Values) answer {
	w.t.Helper()
	return w.do(request{method: "POST", url: "oauth2.googleapis.com/token", form: form})
}

func (w *world) googleConnect(persona string, changes ...string) answer {
	w.t.Helper()
	return w.googleToken(googleForm(w.googleConsent(url.Values{"persona": {persona}}, changes...).Get("code")))
}

func (w *world) googleRefresh(refresh string) answer {
	w.t.Helper()
	return w.googleToken(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {clientID}, "client_secret": {secret}})
}

// google calls an API.
func (w *world) google(address, access string) answer {
	w.t.Helper()
	return w.do(request{method: "GET", url: address, header: map[string]string{"Authorization": "Bearer " + access}})
}

func (w *world) googleInfo(access string) answer {
	w.t.Helper()
	return w.do(request{method: "POST", url: "oauth2.googleapis.com/tokeninfo", header: map[string]string{"Authorization": "Bearer " + access}})
}

const (
	channelsURL  = "www.googleapis.com/youtube/v3/channels?part=snippet&mine=true"
	accountsURL  = "mybusinessaccountmanagement.googleapis.com/v1/accounts"
	locationsURL = "mybusinessbusinessinformation.googleapis.com/v1/"
)

func TestGoogleFlow(t *testing.T) {
	t.Parallel()
	w := setup(t)
	page := w.do(request{method: "GET", url: googleAuthorize()})
	if page.status != http.StatusOK || !strings.Contains(page.body, `value="mara" checked`) || strings.Count(page.body, "checkbox") != 3 {
		t.Fatalf("consent page, status %d:\n%s", page.status, page.body)
	}
	back := w.googleConsent(url.Values{"persona": {"mara"}})
	if back.Get("iss") != "https://accounts.google.com" || back.Get("state") != "some-state" {
		t.Errorf("callback %v", back)
	}
	first := w.googleToken(googleForm(back.Get("code")))
	tokens := first.object(t)
	for _, name := range []string{"access_token", "refresh_token", "id_token"} {
		if tokens[name] == nil {
			t.Errorf("there is no %s", name)
		}
		delete(tokens, name)
	}
	scopes := scopePrefix + "business.manage " + scopePrefix + "userinfo.email " + scopePrefix + "youtube.readonly " + scopePrefix + "youtube.upload openid"
	if diff := cmp.Diff(object{"expires_in": 3599.0, "token_type": "Bearer", "scope": scopes}, tokens); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
	access := first.text(t, "access_token")
	info := object{"azp": clientID, "aud": clientID, "sub": "100000000000000000001", "scope": scopes, "exp": "1795345199", "expires_in": "3599", "access_type": "offline"}
	if diff := cmp.Diff(info, w.googleInfo(access).object(t)); diff != "" {
		t.Errorf("tokeninfo (-want +got):\n%s", diff)
	}
	if got := w.googleToken(googleForm(back.Get("code"))); got.text(t, "error") != "invalid_grant" {
		t.Errorf("the code works twice: %s", got.body)
	}
	w.wait(time.Hour)
	if got := w.google(channelsURL, access); got.status != http.StatusUnauthorized || !strings.Contains(got.body, `"reason":"authError"`) {
		t.Errorf("an access token after an hour: %s", got.body)
	}
	next := w.googleRefresh(first.text(t, "refresh_token")).object(t)
	if next["access_token"] == nil || next["refresh_token"] != nil {
		t.Errorf("refreshed %v", next)
	}
}

// A refresh token comes with the first consent, and where the screen is asked
// for.
func TestGoogleRefreshToken(t *testing.T) {
	t.Parallel()
	w := setup(t)
	given := func(changes ...string) bool {
		return w.googleConnect("mara", changes...).object(t)["refresh_token"] != nil
	}
	got := []bool{given("prompt"), given("prompt"), given("prompt=select_account"), given("prompt=consent"), given("prompt=consent", "access_type=online")}
	if diff := cmp.Diff([]bool{true, false, false, true, false}, got); diff != "" {
		t.Errorf("refresh tokens (-want +got):\n%s", diff)
	}
}

// Of more than a hundred refresh tokens the oldest dies, and unused ones die
// after six months; use keeps one alive, but not that of a client in testing.
func TestGoogleRefreshTokenDies(t *testing.T) {
	t.Parallel()
	w := setup(t)
	oldest := w.googleConnect("mara").text(t, "refresh_token")
	for range 99 {
		w.wait(time.Second)
		w.googleConnect("mara")
	}
	if got := w.googleRefresh(oldest); got.status != http.StatusOK {
		t.Fatalf("one of a hundred: %s", got.body)
	}
	w.googleConnect("brand") // somebody else
	kept := w.googleConnect("mara").text(t, "refresh_token")
	if got := w.googleRefresh(oldest); got.text(t, "error_description") != "Token has been expired or revoked." {
		t.Errorf("the oldest of 101: %s", got.body)
	}
	w.fault("google", "testing_client", "")
	short := w.googleConnect("brand")
	if got := short.object(t)["refresh_token_expires_in"]; got != 604799.0 {
		t.Errorf("a client in testing: refresh_token_expires_in %v", got)
	}
	for range 4 {
		w.wait(150 * 24 * time.Hour)
		if got := w.googleRefresh(kept); got.status != http.StatusOK {
			t.Fatalf("one that is used: %s", got.body)
		}
	}
	if got := w.googleRefresh(short.text(t, "refresh_token")); got.status != http.StatusBadRequest {
		t.Errorf("one of a client in testing: status %d", got.status)
	}
	w.wait(183 * 24 * time.Hour)
	if got := w.googleRefresh(kept); got.status != http.StatusBadRequest {
		t.Errorf("one that is not used: status %d", got.status)
	}
}

func TestGoogleAuthorizeRefuses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for name, change := range map[string]string{
		"unknown client":        "client_id=other",
		"unregistered redirect": "redirect_uri=" + callback + "/",
		"unknown parameter":     "audience=x",
		"repeated parameter":    "+state=again",
		"no state":              "state",
		"no access type":        "access_type",
		"unknown access type":   "access_type=always",
		"unknown scope":         "scope=openid " + scopePrefix + "mail",
		"scopes with commas":    "scope=openid,email",
		"implicit flow":         "response_type=token",
		"unknown prompt":        "prompt=login",
		"plain challenge":       "code_challenge_method=plain",
		"no challenge":          "code_challenge",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := w.do(request{method: "POST", url: googleAuthorize(change), form: url.Values{"decision": {"allow"}}})
			if got.status != http.StatusBadRequest || got.header.Get("Location") != "" || !strings.Contains(got.body, "Access blocked") {
				t.Errorf("status %d, Location %q, want an error page", got.status, got.header.Get("Location"))
			}
		})
	}
}

// Boxes are ticked one by one; who one is, is no box.
func TestGoogleGranularConsent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		form url.Values
		asks string
		want string // scopes at the callback, or the error
	}{
		"all":         {url.Values{}, googleScopes, googleScopes},
		"some":        {url.Values{"scopes": {"chosen"}, "scope": {scopePrefix + "youtube.readonly"}}, googleScopes, "openid email " + scopePrefix + "youtube.readonly"},
		"none":        {url.Values{"scopes": {"chosen"}}, googleScopes, "access_denied"},
		"cancelled":   {url.Values{"decision": {"deny"}}, googleScopes, "access_denied"},
		"who one is":  {url.Values{}, "openid", "openid"},
		"no box here": {url.Values{}, "openid " + scopePrefix + "business.manage", "openid " + scopePrefix + "business.manage"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			back := w.googleConsent(tt.form, "scope="+tt.asks)
			if got := back.Get("scope") + back.Get("error"); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestGoogleTokenRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, change string
		late         time.Duration
		status       int
		want         string
	}{
		{"wrong code", "code=other", 0, 400, "invalid_grant"},
		{"late", "code_verifier=" + verifier, 10 * time.Minute, 400, "invalid_grant"},
		{"wrong verifier", "code_verifier=" + strings.Repeat("a", 43), 0, 400, "invalid_grant"},
		{"no verifier", "code_verifier", 0, 400, "invalid_request"},
		{"other redirect", "redirect_uri=https://app.example.com/", 0, 400, "redirect_uri_mismatch"},
		{"unknown client", "client_id=other", 0, 401, "invalid_client"},
		{"wrong secret", "client_secret=wrong", 0, 401, "invalid_client"},
		{"no secret", "client_secret", 0, 400, "invalid_request"},
		{"unknown parameter", "audience=x", 0, 400, "invalid_request"},
		{"repeated parameter", "+code=again", 0, 400, "invalid_request"},
		{"unknown grant type", "grant_type=password", 0, 400, "unsupported_grant_type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			code := w.googleConsent(url.Values{}).Get("code")
			w.wait(tt.late)
			got := w.googleToken(googleForm(code, tt.change))
			if got.status != tt.status || got.text(t, "error") != tt.want {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
	w := setup(t)
	refresh := w.googleConnect("mara").text(t, "refresh_token")
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {"second"}, "client_secret": {"other-secret"}}
	if got := w.googleToken(form); got.text(t, "error") != "unauthorized_client" {
		t.Errorf("a refresh token of another client: %s", got.body)
	}
}

// Revoking ends everything of the person and client, and nothing else.
func TestGoogleRevoke(t *testing.T) {
	t.Parallel()
	w := setup(t)
	first, second, other := w.googleConnect("mara"), w.googleConnect("mara"), w.googleConnect("brand")
	revoke := func() answer {
		return w.do(request{method: "POST", url: "oauth2.googleapis.com/revoke", form: url.Values{"token": {first.text(t, "access_token")}}})
	}
	if got := revoke(); got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	if got := revoke(); got.status != http.StatusBadRequest || got.text(t, "error") != "invalid_token" {
		t.Errorf("again: status %d: %s", got.status, got.body)
	}
	if got := w.googleRefresh(second.text(t, "refresh_token")); got.status != http.StatusBadRequest {
		t.Errorf("another refresh token of hers: status %d", got.status)
	}
	if got := w.googleInfo(second.text(t, "access_token")); got.text(t, "error") != "invalid_token" {
		t.Errorf("another access token of hers: %s", got.body)
	}
	if got := w.googleRefresh(other.text(t, "refresh_token")); got.status != http.StatusOK {
		t.Errorf("somebody else's: status %d", got.status)
	}
	if w.googleConnect("mara", "prompt").object(t)["refresh_token"] == nil {
		t.Error("the next consent is the first one again")
	}
}

func TestGoogleAPIRefuses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	access := w.googleConnect("mara").text(t, "access_token")
	narrow := w.googleConnect("mara", "scope=openid "+scopePrefix+"youtube.upload").text(t, "access_token")
	for _, tt := range []struct {
		name, url, access string
		status            int
		contains          string
	}{
		{"no token", channelsURL, "", 401, "authError"},
		{"uploads alone cannot list", channelsURL, narrow, 403, "insufficientPermissions"},
		{"no part", "www.googleapis.com/youtube/v3/channels?mine=true", access, 400, "INVALID_ARGUMENT"},
		{"not mine", "www.googleapis.com/youtube/v3/channels?part=snippet", access, 400, "INVALID_ARGUMENT"},
		{"unknown part", "www.googleapis.com/youtube/v3/channels?part=money&mine=true", access, 400, "INVALID_ARGUMENT"},
		{"too many results", channelsURL + "&maxResults=51", access, 400, "INVALID_ARGUMENT"},
		{"page token", channelsURL + "&pageToken=x", access, 400, "invalidPageToken"},
		{"business without scope", accountsURL, narrow, 403, "insufficientPermissions"},
		{"too many accounts", accountsURL + "?pageSize=21", access, 400, "INVALID_ARGUMENT"},
		{"page token of accounts", accountsURL + "?pageToken=x", access, 400, "INVALID_ARGUMENT"},
		{"no read mask", locationsURL + "accounts/1001/locations", access, 400, "INVALID_ARGUMENT"},
		{"unknown field", locationsURL + "accounts/1001/locations?readMask=money", access, 400, "INVALID_ARGUMENT"},
		{"too many locations", locationsURL + "accounts/1001/locations?readMask=name&pageSize=101", access, 400, "INVALID_ARGUMENT"},
		{"unknown order", locationsURL + "accounts/1001/locations?readMask=name&orderBy=money", access, 400, "INVALID_ARGUMENT"},
		{"somebody else's account", locationsURL + "accounts/3001/locations?readMask=name", access, 404, "NOT_FOUND"},
		{"somebody else's location", locationsURL + "locations/9100?readMask=name", access, 404, "NOT_FOUND"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := w.google(tt.url, tt.access); got.status != tt.status || !strings.Contains(got.body, tt.contains) {
				t.Errorf("status %d, want %d: %s", got.status, tt.status, got.body)
			}
		})
	}
}

func TestGoogleLists(t *testing.T) {
	t.Parallel()
	w := setup(t)
	nobody, mara := w.googleConnect("nobody").text(t, "access_token"), w.googleConnect("mara").text(t, "access_token")
	empty := object{"kind": "youtube#channelListResponse", "etag": "etag-of-the-list", "pageInfo": object{"totalResults": 0.0, "resultsPerPage": 5.0}}
	if diff := cmp.Diff(empty, w.google(channelsURL, nobody).object(t)); diff != "" {
		t.Errorf("no channel (-want +got):\n%s", diff)
	}
	if got := w.google(accountsURL, nobody).body; got != "{}" {
		t.Errorf("no account: %s", got)
	}
	places := object{"locations": []any{
		object{"name": "locations/9001", "storefrontAddress": object{"regionCode": "DE", "postalCode": "10115", "locality": "Berlin", "addressLines": []any{"Hauptstr. 1"}}},
		object{"name": "locations/9002"},
	}}
	if diff := cmp.Diff(places, w.google(locationsURL+"accounts/1001/locations?readMask=name,storefrontAddress", mara).object(t)); diff != "" {
		t.Errorf("locations (-want +got):\n%s", diff)
	}
	if got := w.google(locationsURL+"accounts/-/locations?readMask=name", mara).object(t)["locations"]; len(got.([]any)) != 5 {
		t.Errorf("all accounts at once: %v", got)
	}
	if got := w.google(locationsURL+"locations/9004?readMask=name,metadata", mara).body; strings.Contains(got, "hasVoiceOfMerchant") {
		t.Errorf("what is false is left out: %s", got)
	}
	agency := w.googleConnect("agency").text(t, "access_token")
	if got := w.google(locationsURL+"accounts/4003/locations?readMask=name", agency); got.status != http.StatusForbidden || got.text(t, "error.status") != "PERMISSION_DENIED" {
		t.Errorf("a closed account: %s", got.body)
	}
	var sizes []int
	for token := ""; ; {
		page := w.google(accountsURL+"?pageToken="+token, agency).object(t)
		list, _ := page["accounts"].([]any)
		sizes = append(sizes, len(list))
		next, more := page["nextPageToken"].(string)
		if !more {
			break
		}
		token = next
	}
	if diff := cmp.Diff([]int{20, 20, 3}, sizes); diff != "" {
		t.Errorf("pages of accounts (-want +got):\n%s", diff)
	}
}

func TestGooglePost(t *testing.T) {
	t.Parallel()
	w := setup(t)
	access := w.googleConnect("mara").text(t, "access_token")
	post := func(place, body string) answer {
		return w.do(request{method: "POST", url: "mybusiness.googleapis.com/v4/" + place + "/localPosts", json: body, header: map[string]string{"Authorization": "Bearer " + access}})
	}
	for _, tt := range []struct {
		place, body string
		status      int
	}{
		{"accounts/1001/locations/9001", `{"summary":"Fresh bread"}`, 200},
		{"accounts/1001/locations/9001", `{}`, 400},
		{"accounts/1001/locations/9003", `{"summary":"Fresh bread"}`, 404}, // it is in the other account
		{"accounts/2001/locations/9004", `{"summary":"Fresh bread"}`, 403}, // not verified
		{"accounts/3001/locations/9001", `{"summary":"Fresh bread"}`, 404},
	} {
		if got := post(tt.place, tt.body); got.status != tt.status {
			t.Errorf("%s %s: status %d, want %d: %s", tt.place, tt.body, got.status, tt.status, got.body)
		}
	}
}

// Each fault is Google's own answer, once.
func TestGoogleFaults(t *testing.T) {
	t.Parallel()
	for fault, tt := range map[string]struct {
		status   int
		contains string
	}{
		"429":                  {429, `"quota_limit_value":"300"`},
		"no_quota":             {429, `"quota_limit_value":"0"`},
		"expired_token":        {401, "authError"},
		"signup_required":      {401, "youtubeSignupRequired"},
		"scope_missing":        {403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT"},
		"api_disabled":         {403, "SERVICE_DISABLED"},
		"quota_exceeded":       {403, "quotaExceeded"},
		"rate_limit":           {403, "userRateLimitExceeded"},
		"delegation_forbidden": {403, "accountDelegationForbidden"},
		"channel_closed":       {403, "authenticatedUserAccountClosed"},
		"channel_suspended":    {403, "authenticatedUserAccountSuspended"},
		"no_permission":        {403, "PERMISSION_DENIED"},
		"not_found":            {404, "NOT_FOUND"},
		"bad_page_token":       {400, "invalidPageToken"},
		"500":                  {502, "<html"},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			access := w.googleConnect("mara").text(t, "access_token")
			w.fault("google", fault, "api")
			if got := w.google(channelsURL, access); got.status != tt.status || !strings.Contains(got.body, tt.contains) {
				t.Errorf("status %d: %s", got.status, got.body)
			}
			if got := w.google(channelsURL, access); got.status != http.StatusOK {
				t.Errorf("the fault stays on: status %d", got.status)
			}
		})
	}
	for fault, want := range map[string]string{
		"invalid_grant": "Token has been expired or revoked.", "account_deleted": "Account has been deleted",
		"session_control": "reauth related error (invalid_rapt)", "admin_policy": "The administrator of the organization does not allow this app.",
		"invalid_client": "The OAuth client was not found.",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			refresh := w.googleConnect("mara").text(t, "refresh_token")
			w.fault("google", fault, "refresh")
			if got := w.googleRefresh(refresh); got.text(t, "error_description") != want {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
	w := setup(t)
	w.fault("google", "no_refresh_token", "")
	if w.googleConnect("mara").object(t)["refresh_token"] != nil {
		t.Error("there is a refresh token")
	}
	access := w.googleConnect("mara").text(t, "access_token")
	w.fault("google", "wrong_subject", "")
	if got := w.googleInfo(access).text(t, "sub"); got != "100000000000000000002" {
		t.Errorf("wrong_subject: %q", got)
	}
}
