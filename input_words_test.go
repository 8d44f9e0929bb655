package connect_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/seed944197df/connect"
)

// TestRefusalsSayWhatIsWrong: a body that cannot be read, a value of another
// type and an unknown name are told apart. The names that there are get listed,
// the one that was sent does not.
func TestRefusalsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	const unread = "The body must be one well-formed JSON object that names each field once."
	const mistyped = "The value is of another JSON type than this field has."
	const notText = "Every field but metadata must be a string."
	const unknown = "names something that does not exist here; the "
	for _, tt := range []struct{ name, method, target, body, field, says string }{
		{"half a body", "POST", "/start/x", `{"mode":`, "", unread},
		{"a name twice", "POST", "/start/x", `{"mode":"popup","mode":"popup"}`, "", unread},
		{"a list", "POST", "/start/x", `["canary"]`, "", unread},
		{"a number in place of a text", "POST", "/start/x", `{"mode":7}`, "mode", mistyped},
		{"a text in place of a list", "POST", "/start/x", `{"scopes":"canary"}`, "scopes", mistyped},
		{"a number in a list", "POST", "/pending/x/finalize", `{"selected_ids":[1]}`, "selected_ids", mistyped},
		{"a number in an object", "POST", "/start/x", `{"input":{"canary":1}}`, "input", mistyped},
		{"an unknown field", "POST", "/start/x", `{"canary":"canary"}`, "", unknown + "fields are: user, method, input, kind,"},
		{"an unknown field of complete", "POST", "/complete", `{"canary":1}`, "", unknown + "fields are: ticket, platform, client, query."},
		{"an unknown field of credentials", "POST", "/credentials/bluesky", `{"identifier":"ada.sandbox.test","app_password":"sand-box2-test-pass","canary":"canary"}`, "", unknown + "fields are: method, user, kind, account_id, metadata, identifier, app_password, pds."},
		{"a number as a field of ours", "POST", "/credentials/bluesky", `{"kind":7}`, "kind", "Must be a string."},
		{"a number as a field of the method", "POST", "/credentials/bluesky", `{"app_password":7}`, "app_password", "Must be a string."},
		{"a number as an unknown field", "POST", "/credentials/bluesky", `{"canary":7}`, "", notText},
		{"a number at an unknown platform", "POST", "/credentials/nowhere", `{"canary":7}`, "", notText},
		{"an unknown parameter", "GET", "/accounts?canary=canary", "", "", unknown + "parameters are: platform, kind, status, platform_account_id, limit, cursor."},
		{"an unknown parameter of a selection", "GET", "/pending/x?canary=1", "", "", unknown + "parameters are: q, parent, limit, cursor."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := w.browser(&alice)
			kind := ""
			if tt.body != "" {
				kind = "application/json"
			}
			restore := b.from("same-origin")
			got := b.do(tt.method, "/connect"+tt.target, kind, tt.body)
			restore()
			var p struct{ Code, Field, Detail string }
			got.decode(t, http.StatusBadRequest, &p)
			if p.Code != "invalid_request" || p.Field != tt.field || !strings.Contains(p.Detail, tt.says) || strings.Contains(got.body, "canary") {
				t.Errorf("want field %q and %q: %s", tt.field, tt.says, got.body)
			}
		})
	}
	t.Run("a post of a session that does not say where it comes from", func(t *testing.T) {
		t.Parallel()
		got := b.json(http.MethodPost, "/connect/start/x", object{})
		if got.problem(t, http.StatusForbidden) != "forbidden" || !strings.Contains(got.body, "send Origin, or use an API key") {
			t.Errorf("%s", got.body)
		}
	})
}

// TestNotFoundNamesTheKind: what is absent and what is another's read alike.
func TestNotFoundNamesTheKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ours := w.browser(&alice)
	account := ours.connected("x", nil, nil)[0]
	flow, _ := ours.begin("x", nil)
	session := ours.session("dana")
	const absent = "019a0000-0000-7000-8000-000000000000"
	ask := func(p connect.Principal, id, method, target string, body any) string {
		t.Helper()
		return problemText(t, w.browser(&p).call(method, "/connect"+strings.Replace(target, "{}", id, 1), body))
	}
	for _, tt := range []struct {
		name, id, method, target string
		body                     object
		as                       connect.Principal
		want                     string
	}{
		{"account", account, "GET", "/accounts/{}", nil, bob, "There is no such account in this tenant."},
		{"account to disconnect", account, "DELETE", "/accounts/{}", nil, bob, "There is no such account in this tenant."},
		{"flow", flow, "GET", "/flows/{}", nil, bob, "There is no such flow in this tenant."},
		{"flow of another user", flow, "GET", "/flows/{}", nil, mallory, "There is no such flow in this tenant."},
		{"selection", session, "GET", "/pending/{}", nil, bob, "There is no such selection in this tenant."},
		{"selection of another user", session, "GET", "/pending/{}", nil, mallory, "There is no such selection in this tenant."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for what, id := range map[string]string{"foreign": tt.id, "absent": absent, "malformed": "x"} {
				if got := ask(tt.as, id, tt.method, tt.target, nil); got != tt.want {
					t.Errorf("%s: %q, want %q", what, got, tt.want)
				}
			}
		})
	}
	if got := problemText(t, ours.call(http.MethodPost, "/connect/complete", object{"ticket": "AAAA"})); got != "There is no such flow or ticket in this tenant." {
		t.Errorf("ticket: %q", got)
	}
	_, err := w.engine.Client(t.Context(), "", account)
	if e, ok := errors.AsType[*connect.Error](err); !ok || e.Code != connect.CodeNotFound || e.Message != "There is no such account, since the tenant is empty." {
		t.Errorf("a client of no tenant: %v", err)
	}
}

// problemText is the sentence of a 404.
func problemText(t *testing.T, r reply) string {
	t.Helper()
	var p struct{ Detail string }
	r.decode(t, http.StatusNotFound, &p)
	return p.Detail
}

// TestClientSaysWhatItDoesNotReach, and repeats the host at most.
func TestClientSaysWhatItDoesNotReach(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.browser(&alice).connected("x", nil, nil)[0]
	for target, want := range map[string]string{
		"http://api.x.com/2/users/canary":               "Only https is reached, so that the token is not sent in the clear.",
		"https://elsewhere.test/canary?canary#canary":   `The host "elsewhere.test" is not one of the platform's, so that no token is sent there.`,
		"http://canary:canary@elsewhere.test:81/canary": `The host "elsewhere.test" is not one of the platform's, so that no token is sent there.`,
		"https://api.x.com:8443/canary":                 "An address with a user, a port or another Host header is not reached.",
	} {
		client, err := w.engine.Client(t.Context(), "acme", id)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Get(target)
		e, ok := errors.AsType[*connect.Error](err)
		if !ok || e.Code != connect.CodeForbidden || e.Message != want || strings.Contains(e.Error(), "canary") {
			t.Errorf("%s: %v, want %q", target, err, want)
		}
	}
}

// TestRefusedLoginsSayWhy: what anybody can look up is said, at its field; that
// a password is wrong stays general.
func TestRefusedLoginsSayWhy(t *testing.T) {
	t.Parallel()
	const general = "Bluesky refused what was typed. Check it and try again."
	for name, tt := range map[string]struct{ identifier, password, field, says, page string }{
		"no app password":   {"ada.sandbox.test", "correct horse battery staple", "app_password", "This is not an app password, so nothing was sent. One has 19 characters, like abcd-efgh-ijkl-mnop.", "This is not an app password, so nothing was sent."},
		"no identifier":     {"ada", "sand-box2-test-pass", "identifier", "This is neither a handle nor an e-mail address nor a DID.", "This is neither a handle"},
		"a wrong password":  {"ada.sandbox.test", "wwww-rrrr-oooo-nnnn", "", general, "Bluesky did not accept these details."},
		"an unknown handle": {"nobody.sandbox.test", "sand-box2-test-pass", "identifier", "There is no such handle.", "There is no such handle."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.browser(&alice)
			got := b.call(http.MethodPost, "/connect/credentials/bluesky", object{"identifier": tt.identifier, "app_password": tt.password})
			var p struct{ Code, Field, Detail string }
			got.decode(t, http.StatusUnprocessableEntity, &p)
			if p.Code != "credentials_refused" || p.Field != tt.field || p.Detail != tt.says {
				t.Errorf("want field %q and %q: %s", tt.field, tt.says, got.body)
			}
			const target = "/connect/ui/credentials/bluesky"
			form := b.post(target, url.Values{"csrf_token": {b.get(target).formToken(t)}, "identifier": {tt.identifier}, "app_password": {tt.password}})
			at := `id="mistake-` + tt.field + `"`
			if form.status != http.StatusUnprocessableEntity || !strings.Contains(form.body, tt.page) || strings.Contains(form.body, at) != (tt.field != "") {
				t.Errorf("the form does not say %q at %s: %d\n%s", tt.page, at, form.status, form.body)
			}
		})
	}
}

// TestRefusedLoginsTellNoMore: a field that the method does not have is left
// out, and an account that may not sign in is not what was typed.
func TestRefusedLoginsTellNoMore(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		refusal connect.ProviderError
		field   string
		says    string
	}{
		"a field of another method": {connect.ProviderError{Class: connect.ClassRefused, Field: "b", Message: "Not so."}, "", "Not so."},
		"a field":                   {connect.ProviderError{Class: connect.ClassRefused, Field: "a"}, "a", "Fake refused what was typed. Check it and try again."},
		"an account":                {connect.ProviderError{Class: connect.ClassReconnect}, "", "Fake does not let this account sign in."},
		"an account, in own words":  {connect.ProviderError{Class: connect.ClassReconnect, Message: "It is gone."}, "", "It is gone."},
		"not a refusal":             {connect.ProviderError{Class: connect.ClassRetry, Field: "a", Message: "Not so."}, "", "Fake could not be reached or did not answer as expected. Try again in a moment."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, newClock().Now, func(c *connect.Config) {
				f, _ := c.Providers[0].(*fake)
				f.platform.Methods[1].Fields = []connect.Field{{Name: "a"}}
			})
			b.fake.answer("login", refusing(&tt.refusal))
			_, err := b.engine.ConnectCredentials(t.Context(), acmeKey, connect.CredentialsRequest{Platform: "fake"})
			e, ok := errors.AsType[*connect.Error](err)
			if !ok || e.Field != tt.field || e.Message != tt.says {
				t.Errorf("field %q and %q: %v", tt.field, tt.says, err)
			}
		})
	}
}

// TestResultOfNothing: an address that tells of no flow is no failure.
func TestResultOfNothing(t *testing.T) {
	t.Parallel()
	b := newWorld(t).browser(&alice)
	for query, want := range map[string]string{
		"": "There is nothing to show here.", "?status=made_up": "There is nothing to show here.", "?error=expired": "There is nothing to show here.",
		"?status=error&error=expired": "This took too long", "?status=error": "answered with an error",
	} {
		got := b.get("/connect/ui/result" + query)
		if got.status != http.StatusOK || !strings.Contains(got.body, want) {
			t.Errorf("%q: %d, want %q:\n%s", query, got.status, want, got.body)
		}
	}
}
