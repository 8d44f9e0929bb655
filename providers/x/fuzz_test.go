package x_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
)

var userID = regexp.MustCompile(`^[0-9]{1,32}$`)

// classes are what X's answers may mean.
var classes = []connect.ErrorClass{
	connect.ClassReconnect, connect.ClassExpired, connect.ClassRetry, connect.ClassConfig, connect.ClassScopeMissing, connect.ClassUncertain,
}

// FuzzExchange: whatever X answers, a consent is tokens of one person with an
// id, or an error; and tokens that are of no use are given back.
func FuzzExchange(f *testing.F) {
	for _, body := range []string{
		tokenBody, `{"access_token":"a","token_type":"bearer","scope":""}`, `{"error":"invalid_request","error_description":"Value passed for the authorization code was invalid."}`,
		`{"error":"unauthorized_client"}`, `<html>`,
	} {
		f.Add(200, body, 200, userBody, "")
		f.Add(400, body, 403, body, "1795348800")
	}
	f.Add(200, tokenBody, 200, `{"data":{"id":7,"profile_image_url":"https://a_normal.b/_normal.c_normal.jpg"},"errors":[]}`, "")
	f.Add(200, tokenBody, 200, `{"data":{"id":"../7","profile_image_url":"http://a/"}}`, "")
	f.Add(200, tokenBody, 429, `{"title":"Unauthorized","type":"about:blank","status":401}`, "99999999999999999999")
	f.Add(200, tokenBody, 401, `{"type":"https://api.x.com/2/problems/client-forbidden","title":"CreditsDepleted"}`, "-1")
	f.Fuzz(func(t *testing.T, tokenStatus int, tokens string, userStatus int, user, reset string) {
		p, fake := newProvider(), newFake()
		fake.answers[tokenPath] = answer{status: tokenStatus, body: tokens}
		fake.answers[userPath] = answer{status: userStatus, body: user, header: http.Header{"X-Rate-Limit-Reset": {reset}}}
		got, err := exchange(t, p, fake)
		asked := wantAsked(t, fake)
		if err == nil {
			wantPerson(t, got)
			if want := []string{tokenPath, userPath}; !cmp.Equal(want, asked) {
				t.Errorf("%q was asked", asked)
			}
			return
		}
		e := wantClass(t, err)
		refused := slices.Index(asked, userPath) < 0
		if e.RetryAfter > 24*time.Hour || e.Class == connect.ClassUncertain && !refused {
			t.Errorf("%v, wait %v", err, e.RetryAfter)
		}
		if !refused && !slices.Contains(asked, revokePath) {
			t.Errorf("the tokens are not given back: %q", asked)
		}
	})
}

// wantAsked checks that no request carries a secret in its address, and returns
// where they went.
func wantAsked(t *testing.T, f *fake) []string {
	t.Helper()
	var asked []string
	for _, r := range f.got {
		if r.URL.Scheme != "https" || r.URL.Host != "api.x.com" || strings.Contains(r.URL.String(), "canary") {
			t.Errorf("%s was asked", r.URL)
		}
		asked = append(asked, r.URL.Host+r.URL.Path)
	}
	return asked
}

func wantPerson(t *testing.T, tokens *connect.Tokens) {
	t.Helper()
	self := tokens.Self
	if tokens.Access.IsZero() || self == nil || self.Kind != "profile" || !userID.MatchString(self.PlatformID) || tokens.Subject != self.PlatformID {
		t.Fatalf("tokens of %q, %+v", tokens.Subject, self)
	}
	if u, err := url.Parse(self.AvatarURL); self.AvatarURL != "" && err == nil && u.Scheme != "https" {
		t.Errorf("the picture is %q", self.AvatarURL)
	}
	if slices.ContainsFunc(tokens.Scopes, func(s string) bool { return strings.TrimSpace(s) != s || s == "" }) {
		t.Errorf("scopes are %q", tokens.Scopes)
	}
}

func wantClass(t *testing.T, err error) *connect.ProviderError {
	t.Helper()
	e, ok := errors.AsType[*connect.ProviderError](err)
	if !ok || !slices.Contains(classes, e.Class) {
		t.Fatalf("the error is %v", err)
	}
	for _, sent := range []string{secret, verifier, "canary-refresh"} {
		if strings.Contains(err.Error(), sent) {
			t.Errorf("the error holds a secret: %v", err)
		}
	}
	return e
}

// FuzzClassify: no answer of X's API ends a grant, and none that passes says
// anything of it.
func FuzzClassify(f *testing.F) {
	f.Add(401, `{"title":"Unauthorized","type":"about:blank","status":401}`)
	f.Add(403, `{"type":"https://api.x.com/2/problems/unsupported-authentication"}`)
	f.Add(402, `{"title":"CreditsDepleted"}`)
	f.Add(503, `<html>`)
	f.Add(200, `{"errors":[{}],"error":null}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		class, known := newProvider().Classify(status, http.Header{}, []byte(body))
		allowed := []connect.ErrorClass{connect.ClassExpired, connect.ClassRetry, connect.ClassConfig}
		if known != slices.Contains(allowed, class) || !known && class != "" {
			t.Errorf("%d %q is %q, %t", status, body, class, known)
		}
		if passing := status == 408 || status == 429 || status >= 500; passing != (class == connect.ClassRetry) {
			t.Errorf("%d %q is %q", status, body, class)
		}
		if status == 401 && class != connect.ClassExpired {
			t.Errorf("%d %q is %q", status, body, class)
		}
		var object map[string]json.RawMessage
		_ = json.Unmarshal([]byte(body), &object)
		if status == 200 && known && object["error"] == nil {
			t.Errorf("the success %q is %q", body, class)
		}
	})
}
