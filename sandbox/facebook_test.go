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
	fbScopes = "pages_show_list,pages_read_engagement,pages_manage_posts,business_management"
	fbNode   = "graph.facebook.com/v26.0/"
)

// fbDialog is a dialog URL with changes.
func fbDialog(changes ...string) string {
	base := url.Values{"client_id": {clientID}, "redirect_uri": {callback}, "state": {"some-state"}, "scope": {fbScopes}, "response_type": {"code"}}
	return "www.facebook.com/v26.0/dialog/oauth?" + query(base.Encode(), changes...).Encode()
}

func (w *world) fbCode(form url.Values, changes ...string) string {
	w.t.Helper()
	form.Set("decision", "allow")
	a := w.do(request{method: "POST", url: fbDialog(changes...), form: form})
	if !strings.HasSuffix(a.header.Get("Location"), "#_=_") {
		w.t.Fatalf("status %d, Location %q does not end in #_=_", a.status, a.header.Get("Location"))
	}
	return callbackQuery(w.t, a).Get("code")
}

func fbCodeForm(code string, changes ...string) url.Values {
	base := url.Values{"client_id": {clientID}, "client_secret": {secret}, "redirect_uri": {callback}, "code": {code}}
	return query(base.Encode(), changes...)
}

func (w *world) fbToken(form url.Values) answer {
	w.t.Helper()
	return w.do(request{method: "POST", url: fbNode + "oauth/access_token", form: form})
}

// fbShort consents as a persona and returns the first token.
func (w *world) fbShort(persona string) string {
	w.t.Helper()
	return w.fbToken(fbCodeForm(w.fbCode(url.Values{"persona": {persona}}))).text(w.t, "access_token")
}

func (w *world) fbExchange(token string) answer {
	w.t.Helper()
	return w.fbToken(url.Values{"grant_type": {"fb_exchange_token"}, "client_id": {clientID}, "client_secret": {secret}, "fb_exchange_token": {token}})
}

// fbConnect consents as a persona and returns the long-lived token.
func (w *world) fbConnect(persona string) string {
	w.t.Helper()
	return w.fbExchange(w.fbShort(persona)).text(w.t, "access_token")
}

func (w *world) graph(path, token string) answer {
	w.t.Helper()
	return w.do(request{method: "GET", url: fbNode + path, header: map[string]string{"Authorization": "Bearer " + token}})
}

// walk reads every page of a list and returns the entries and the sizes of
// the pages.
func (w *world) walk(path, token string) (entries []object, sizes []int) {
	w.t.Helper()
	for after := ""; ; {
		got := w.graph(path+"&after="+after, token)
		o := got.object(w.t)
		data, ok := o["data"].([]any)
		if !ok {
			w.t.Fatalf("status %d: %s", got.status, got.body)
		}
		for _, e := range data {
			entry, _ := e.(object)
			entries = append(entries, entry)
		}
		sizes = append(sizes, len(data))
		if got.text(w.t, "paging.next") == "" {
			return entries, sizes
		}
		after = got.text(w.t, "paging.cursors.after")
	}
}

// graphError is what an answer's error says.
type graphError struct{ Status, Code, Subcode int }

func errorOf(t *testing.T, a answer) graphError {
	t.Helper()
	e, _ := a.object(t)["error"].(object)
	code, _ := e["code"].(float64)
	subcode, _ := e["error_subcode"].(float64)
	if e["message"] == "" || e["type"] != "OAuthException" || e["fbtrace_id"] == "" {
		t.Errorf("error %v", e)
	}
	return graphError{a.status, int(code), int(subcode)}
}

func TestFacebookFlow(t *testing.T) {
	t.Parallel()
	w := setup(t)
	page := w.do(request{method: "GET", url: fbDialog()})
	if page.status != http.StatusOK || !strings.Contains(page.body, `value="dana" checked`) || strings.Count(page.body, "checkbox") != 4 {
		t.Fatalf("consent page, status %d:\n%s", page.status, page.body)
	}
	short := w.fbToken(fbCodeForm(w.fbCode(url.Values{"persona": {"dana"}}))).object(t)
	value, _ := short["access_token"].(string)
	if diff := cmp.Diff(object{"access_token": value, "token_type": "bearer", "expires_in": 5108.0}, short); diff != "" || value == "" {
		t.Errorf("short token (-want +got):\n%s", diff)
	}
	long := w.fbExchange(value).text(t, "access_token")
	if long == "" || long == value {
		t.Error("the exchange brought no new token")
	}
	me := w.graph("me?fields=id,name,picture.type(large)", long)
	if me.text(t, "id") != "102233445566778" || me.text(t, "picture.data.url") == "" {
		t.Errorf("me: %s", me.body)
	}
	pages, sizes := w.walk("me/accounts?fields=id,name,tasks,access_token,picture.type(large){url},instagram_business_account{id,username}&limit=100", long)
	if diff := cmp.Diff([]int{2, 0, 1}, sizes); diff != "" {
		t.Errorf("pages of the list (-want +got):\n%s", diff)
	}
	for _, p := range pages {
		token, _ := p["access_token"].(string)
		id, _ := p["id"].(string)
		if got := w.graph(id+"?fields=id,name", token); got.text(t, "name") != p["name"] {
			t.Errorf("Page %s with its token: status %d: %s", id, got.status, got.body)
		}
	}
}

func TestFacebookCallbacks(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, tt := range []struct {
		name, change string
		form, want   url.Values
	}{
		{
			"denied", "display=page",
			url.Values{"decision": {"deny"}},
			url.Values{"error": {"access_denied"}, "error_code": {"200"}, "error_description": {"Permissions error"}, "error_reason": {"user_denied"}, "state": {"some-state"}},
		},
		{
			"one box unticked", "return_scopes=true",
			url.Values{"decision": {"allow"}, "persona": {"single"}, "scopes": {"chosen"}, "scope": {"pages_show_list", "pages_read_engagement", "business_management"}},
			url.Values{"state": {"some-state"}, "granted_scopes": {"pages_show_list,pages_read_engagement,business_management"}, "denied_scopes": {"pages_manage_posts"}},
		},
		{
			"scopes without marker", "return_scopes=true",
			url.Values{"decision": {"allow"}, "persona": {"nobody"}, "scope": {"pages_show_list,pages_manage_posts"}},
			url.Values{"state": {"some-state"}, "granted_scopes": {"pages_show_list,pages_manage_posts"}, "denied_scopes": {"pages_read_engagement,business_management"}},
		},
		{
			"all unticked", "return_scopes=true",
			url.Values{"decision": {"allow"}, "persona": {"agency"}, "scopes": {"chosen"}},
			url.Values{"state": {"some-state"}, "granted_scopes": {""}, "denied_scopes": {fbScopes}},
		},
		{
			"nothing posted about scopes", "return_scopes=true",
			url.Values{"decision": {"allow"}, "persona": {"dana"}},
			url.Values{"state": {"some-state"}, "granted_scopes": {fbScopes}, "denied_scopes": {""}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := callbackQuery(t, w.do(request{method: "POST", url: fbDialog(tt.change), form: tt.form}))
			got.Del("code")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("callback (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFacebookDeclinedStaysHidden(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.fbCode(url.Values{"persona": {"dana"}, "scope": {"pages_show_list"}})
	ticked := url.Values{"persona": {"dana"}, "scopes": {"chosen"}, "scope": strings.Split(fbScopes, ",")} // as the form posts it
	status := func(changes ...string) string {
		token := w.fbToken(fbCodeForm(w.fbCode(ticked, changes...))).text(t, "access_token")
		for _, line := range w.graph("me/permissions", token).object(t)["data"].([]any) {
			if p := line.(object); p["permission"] == "pages_manage_posts" {
				return p["status"].(string)
			}
		}
		return ""
	}
	if got := status(); got != "declined" {
		t.Errorf("asked again without rerequest: %q, want declined", got)
	}
	if got := status("auth_type=rerequest"); got != "granted" {
		t.Errorf("asked again with rerequest: %q, want granted", got)
	}
}

func TestFacebookScopeNotAsked(t *testing.T) {
	t.Parallel()
	w := setup(t)
	form := url.Values{"decision": {"allow"}, "persona": {"dana"}, "scope": {"email"}}
	if got := w.do(request{method: "POST", url: fbDialog(), form: form}); got.status != http.StatusBadRequest || got.header.Get("Location") != "" {
		t.Errorf("status %d, Location %q, want an error page", got.status, got.header.Get("Location"))
	}
}

func TestFacebookDialogRefuses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for name, change := range map[string]string{
		"unknown client":        "client_id=other",
		"unregistered redirect": "redirect_uri=" + callback + "?refresh=1",
		"unknown parameter":     "prompt=consent",
		"repeated parameter":    "+scope=email",
		"no state":              "state",
		"long state":            "state=" + strings.Repeat("s", 256),
		"unknown scope":         "scope=publish_actions",
		"token response":        "response_type=token",
		"unknown auth_type":     "auth_type=force",
		"plain challenge":       "code_challenge=" + challenge,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := w.do(request{method: "POST", url: fbDialog(change), form: url.Values{"decision": {"allow"}}})
			if got.status != http.StatusBadRequest || got.header.Get("Location") != "" {
				t.Errorf("status %d, Location %q, want an error page", got.status, got.header.Get("Location"))
			}
		})
	}
	dead := strings.Replace(fbDialog(), "v26.0", "v20.0", 1)
	if got := w.do(request{method: "GET", url: dead}); got.status != http.StatusBadRequest {
		t.Errorf("retired version: status %d", got.status)
	}
}

func TestFacebookTokenRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, dialog, change string
		late                 time.Duration
		want                 graphError
	}{
		{"wrong code", "display=page", "code=other", 0, graphError{400, 100, 0}},
		{"late code", "display=page", "client_id=" + clientID, 600 * time.Second, graphError{400, 100, 36007}},
		{"other redirect", "display=page", "redirect_uri=https://app.example.com/", 0, graphError{400, 100, 36008}},
		{"wrong secret", "display=page", "client_secret=wrong", 0, graphError{400, 101, 0}},
		{"no secret", "display=page", "client_secret", 0, graphError{400, 101, 0}},
		{"unknown client", "display=page", "client_id=other", 0, graphError{400, 101, 0}},
		{"verifier without challenge", "display=page", "code_verifier=" + verifier, 0, graphError{400, 100, 0}},
		{"challenge without verifier", "pkce", "client_id=" + clientID, 0, graphError{400, 100, 0}},
		{"wrong verifier", "pkce", "code_verifier=" + strings.Repeat("a", 43), 0, graphError{400, 100, 0}},
		{"unknown parameter", "display=page", "scope=email", 0, graphError{400, 100, 0}},
		{"repeated parameter", "display=page", "+client_id=" + clientID, 0, graphError{400, 100, 0}},
		{"unknown grant type", "display=page", "grant_type=refresh_token", 0, graphError{400, 100, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			dialog := []string{tt.dialog}
			if tt.dialog == "pkce" {
				dialog = []string{"code_challenge=" + challenge, "code_challenge_method=S256"}
			}
			code := w.fbCode(url.Values{"persona": {"dana"}}, dialog...)
			w.wait(tt.late)
			if diff := cmp.Diff(tt.want, errorOf(t, w.fbToken(fbCodeForm(code, tt.change)))); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFacebookCode(t *testing.T) {
	t.Parallel()
	w := setup(t)
	code := w.fbCode(url.Values{"persona": {"dana"}}, "code_challenge="+challenge, "code_challenge_method=S256")
	form := fbCodeForm(code, "code_verifier="+verifier, "grant_type=authorization_code")
	if got := w.do(request{method: "GET", url: fbNode + "oauth/access_token?" + form.Encode()}); got.status != http.StatusOK {
		t.Fatalf("GET with PKCE: status %d: %s", got.status, got.body)
	}
	if diff := cmp.Diff(graphError{400, 100, 36009}, errorOf(t, w.fbToken(form))); diff != "" {
		t.Errorf("second use (-want +got):\n%s", diff)
	}
}

func TestFacebookTokensExpire(t *testing.T) {
	t.Parallel()
	w := setup(t)
	short := w.fbShort("single")
	long := w.fbExchange(short).text(t, "access_token")
	pageOf := func(user string) string {
		entries, _ := w.walk("me/accounts?fields=access_token", user)
		return entries[0]["access_token"].(string)
	}
	shortPage, longPage := pageOf(short), pageOf(long)
	if shortPage == longPage || pageOf(long) != longPage {
		t.Error("a Page token belongs to its user token, and is the same each time")
	}
	w.wait(2 * time.Hour)
	expired := graphError{400, 190, 463}
	for name, token := range map[string]string{"short user token": short, "its Page token": shortPage} {
		if diff := cmp.Diff(expired, errorOf(t, w.graph("me", token))); diff != "" {
			t.Errorf("%s after 2 h (-want +got):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff(expired, errorOf(t, w.fbExchange(short))); diff != "" {
		t.Errorf("exchange of an expired token (-want +got):\n%s", diff)
	}
	w.wait(60 * 24 * time.Hour)
	if diff := cmp.Diff(expired, errorOf(t, w.graph("me", long))); diff != "" {
		t.Errorf("long user token after 60 days (-want +got):\n%s", diff)
	}
	if got := w.graph("me", longPage); got.text(t, "name") != "Sam's Bikes" {
		t.Errorf("Page token of a long user token: status %d: %s", got.status, got.body)
	}
}

// TestFacebookAppsAreApart has a second app try what belongs to the first.
func TestFacebookAppsAreApart(t *testing.T) {
	t.Parallel()
	w := setup(t)
	code, short := w.fbCode(url.Values{"persona": {"dana"}}), w.fbShort("dana")
	second := []string{"client_id=second", "client_secret=other-secret"}
	if diff := cmp.Diff(graphError{400, 100, 0}, errorOf(t, w.fbToken(fbCodeForm(code, second...)))); diff != "" {
		t.Errorf("code (-want +got):\n%s", diff)
	}
	exchange := query("grant_type=fb_exchange_token&fb_exchange_token="+short, second...)
	if diff := cmp.Diff(graphError{400, 190, 0}, errorOf(t, w.fbToken(exchange))); diff != "" {
		t.Errorf("exchange (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(graphError{400, 100, 0}, errorOf(t, w.graph("debug_token?input_token="+short, "second|other-secret"))); diff != "" {
		t.Errorf("debug_token (-want +got):\n%s", diff)
	}
	app := w.fbToken(url.Values{"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {secret}})
	if got := app.text(t, "access_token"); got != clientID+"|"+secret {
		t.Errorf("client_credentials: status %d", app.status)
	}
}
