package linkedin_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed944197df/connect"
)

var (
	personID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	pageID   = regexp.MustCompile(`^[0-9]{1,32}$`)
)

// wantClass checks that an error has a class that LinkedIn's answers may have.
func wantClass(t *testing.T, err error, others ...connect.ErrorClass) *connect.ProviderError {
	t.Helper()
	classes := append(slices.Clone(others), connect.ClassReconnect, connect.ClassExpired, connect.ClassRetry, connect.ClassConfig, connect.ClassScopeMissing)
	e, ok := errors.AsType[*connect.ProviderError](err)
	if !ok || !slices.Contains(classes, e.Class) || e.RetryAfter < 0 || e.RetryAfter > 24*time.Hour {
		t.Fatalf("the error is %v", err)
	}
	if text := err.Error(); strings.Contains(text, secret) || strings.Contains(text, code) || strings.Contains(text, "canary-refresh") {
		t.Errorf("the error holds a secret: %v", err)
	}
	return e
}

// FuzzExchange: whatever LinkedIn answers, a consent is tokens of one member
// with an id, or an error.
func FuzzExchange(f *testing.F) {
	f.Add(200, tokenBody, 200, userBody)
	f.Add(200, `{"access_token":"canary-a","scope":"openid profile"}`, 200, `{"sub":"-f_Ut43FoQ","picture":"http://a/"}`)
	f.Add(200, `{"access_token":"canary-a","scope":"r_basicprofile"}`, 200, `{"id":"aB","localizedFirstName":"Dana","vanityName":"d"}`)
	f.Add(200, tokenBody, 200, `{"sub":"../x"}`)
	f.Add(200, tokenBody, 200, `{"sub":7}`)
	f.Add(200, tokenBody, 401, `{"status":401,"serviceErrorCode":65601,"code":"REVOKED_ACCESS_TOKEN"}`)
	f.Add(200, tokenBody, 429, `{"serviceErrorCode":"101","message":"DAY limit, a DAY limit"}`)
	f.Add(401, `{"error":"invalid_request","error_description":"Unable to retrieve access token: authorization code not found"}`, 200, ``)
	f.Add(400, `{"error":"invalid_redirect_uri","error_description":"does not match authorization code"}`, 200, ``)
	f.Add(503, `<html>`, 426, `{}`)
	f.Fuzz(func(t *testing.T, tokenStatus int, tokens string, userStatus int, user string) {
		p, fake := newProvider(), newFake(t)
		fake.anyToken = true
		fake.answers[tokenPath] = answer{tokenStatus, tokens}
		fake.answers[userPath], fake.answers[mePath] = answer{userStatus, user}, answer{userStatus, user}
		got, err := exchange(t, p, fake)
		if err != nil {
			e := wantClass(t, err, connect.ClassUncertain)
			if got != nil || e.Class == connect.ClassUncertain && len(fake.got) > 1 {
				t.Errorf("%v after %q, tokens %v", err, fake.paths(), got)
			}
			return
		}
		if got.Access.IsZero() || !personID.MatchString(got.Subject) || got.Self != nil || len(fake.got) != 2 {
			t.Errorf("tokens of %q by %q", got.Subject, fake.paths())
		}
		if slices.ContainsFunc(got.Scopes, func(s string) bool { return s == "" || strings.ContainsAny(s, " ,") }) {
			t.Errorf("scopes are %q", got.Scopes)
		}
	})
}

// FuzzRefresh: whatever LinkedIn answers, the end of the refresh token never
// moves further away.
func FuzzRefresh(f *testing.F) {
	f.Add(200, tokenBody)
	f.Add(200, `{"access_token":"a","refresh_token":"b","refresh_token_expires_in":1}`)
	f.Add(200, `{"access_token":"a","refresh_expires_in":"315360000"}`)
	f.Add(400, `{"error":"invalid_request","error_description":"The provided authorization grant or refresh token is invalid, expired or revoked"}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		p, fake := newProvider(), newFake(t)
		fake.answers[tokenPath] = answer{status, body}
		old, end := granted(), now.Add(30*24*time.Hour)
		old.RefreshExpiry = &end
		fresh, err := p.Refresh(t.Context(), newEnv(p, fake), old)
		if err != nil {
			wantClass(t, err, connect.ClassUncertain)
			return
		}
		if fresh.Access.IsZero() || fresh.RefreshExpiry == nil || fresh.RefreshExpiry.After(end) || len(fake.got) != 1 {
			t.Errorf("the refresh token ends at %v", fresh.RefreshExpiry)
		}
	})
}

// FuzzList: whatever LinkedIn lists, a candidate has an id that fits into a
// URN and a name, the walk goes forward, and only what we name is asked for.
func FuzzList(f *testing.F) {
	f.Add("", 200, userBody, aclBody, namesBody)
	f.Add("20", 200, ``, acl("", twenty()...), `{"results":{"100":null,"101":{}}}`)
	f.Add("3980", 200, userBody, acl(`,"paging":{"links":[{"rel":"next","href":"https://evil.example/"}]}`, twenty()...), `{}`)
	f.Add("", 403, userBody, `{"code":"ACCESS_DENIED"}`, ``)
	f.Add("", 200, `{"sub":"a","name":"<b>"}`, `{"elements":[{"organization":"urn:li:organization:1)&ids=List(2","role":"ADMINISTRATOR","state":"APPROVED"}]}`, ``)
	f.Add("x", 426, userBody, aclBody, namesBody)
	f.Fuzz(func(t *testing.T, cursor string, status int, user, roles, names string) {
		fake := newFake(t)
		fake.answers[userPath] = answer{200, user}
		fake.answers[aclPath] = answer{status, roles}
		fake.answers[namesPath] = answer{status, names}
		page, err := list(t, fake, cursor, "openid", "rw_organization_admin")
		for _, r := range fake.got {
			if query := r.URL.RawQuery; query != "" && !strings.HasPrefix(query, "q=roleAssignee&state=APPROVED&start=") && !namesNumbers(query) {
				t.Errorf("%s was asked", r.URL)
			}
		}
		if err != nil {
			if len(fake.got) > 0 {
				wantClass(t, err)
			}
			return
		}
		at, _ := strconv.Atoi(cursor)
		if next, nextErr := strconv.Atoi(page.Next); page.Next != "" && (nextErr != nil || next != at+20) {
			t.Errorf("after %q comes %q", cursor, page.Next)
		}
		for _, c := range page.Candidates {
			wantCandidate(t, c)
		}
	})
}

// namesNumbers reports whether a lookup names nothing but numbers.
func namesNumbers(query string) bool {
	ids, ok := strings.CutPrefix(query, "ids=List(")
	return ok && strings.Trim(strings.TrimSuffix(ids, ")"), "0123456789,") == ""
}

func wantCandidate(t *testing.T, c connect.Candidate) {
	t.Helper()
	shape, prefix := personID, "urn:li:person:"
	if c.Kind == "organization" {
		shape, prefix = pageID, "urn:li:organization:"
	}
	if !shape.MatchString(c.PlatformID) || c.Target["urn"] != prefix+c.PlatformID || c.Name == "" || !c.Access.IsZero() {
		t.Errorf("candidate %+v", c)
	}
	if c.AvatarURL != "" && !strings.HasPrefix(c.AvatarURL, "https://") {
		t.Errorf("the picture is %q", c.AvatarURL)
	}
	if role := c.Target["role"]; c.Kind == "organization" && c.Selectable() != slices.Contains([]string{"ADMINISTRATOR", "CONTENT_ADMINISTRATOR", "CONTENT_ADMIN"}, role) {
		t.Errorf("the role %q gives %q", role, c.Reason)
	}
}

// FuzzIdentify: whatever LinkedIn says of a token from elsewhere, it is a
// member's and of this app, or there is an error.
func FuzzIdentify(f *testing.F) {
	f.Add(200, `{"active":true,"client_id":"client-1","scope":"openid,profile"}`, userBody)
	f.Add(200, `{"active":true,"client_id":"client-2","scope":"openid,profile"}`, userBody)
	f.Add(200, `{"active":false}`, userBody)
	f.Add(200, `{"active":"true"}`, userBody)
	f.Add(400, `{"error":"invalid_request"}`, ``)
	f.Fuzz(func(t *testing.T, status int, seen, user string) {
		p, fake := newProvider(), newFake(t)
		fake.answers[inspectPath] = answer{status, seen}
		fake.answers[userPath], fake.answers[mePath] = answer{200, user}, answer{200, user}
		said, err := p.Identify(t.Context(), newEnv(p, fake), &connect.Tokens{Access: connect.NewSecret("canary-access")})
		if err != nil {
			wantClass(t, err, connect.ClassRefused)
			return
		}
		var answer struct {
			Active bool   `json:"active"`
			Client string `json:"client_id"`
		}
		if json.Unmarshal([]byte(seen), &answer) != nil || !answer.Active || answer.Client != "client-1" || !personID.MatchString(said.Subject) {
			t.Errorf("%q and %q are of %q", seen, user, said.Subject)
		}
	})
}

// FuzzClassify: what passes says so, and a grant ends only by LinkedIn's own
// word under 401.
func FuzzClassify(f *testing.F) {
	f.Add(401, `{"serviceErrorCode":65601}`)
	f.Add(401, `{"code":"EXPIRED_ACCESS_TOKEN"}`)
	f.Add(401, `{"serviceErrorCode":401}`)
	f.Add(403, `{"code":"REVOKED_ACCESS_TOKEN"}`)
	f.Add(400, `{"message":"Organization permissions must be used when using organization as author"}`)
	f.Add(426, ``)
	f.Add(200, `{"code":"NONEXISTENT_VERSION"}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		class, known := newProvider().Classify(status, http.Header{}, []byte(body))
		allowed := []connect.ErrorClass{connect.ClassReconnect, connect.ClassExpired, connect.ClassRetry, connect.ClassConfig, connect.ClassScopeMissing}
		if known != slices.Contains(allowed, class) || !known && class != "" {
			t.Errorf("%d %q is %q, %t", status, body, class, known)
		}
		if passing := status == 408 || status == 429 || status >= 500; passing != (class == connect.ClassRetry) {
			t.Errorf("%d %q is %q", status, body, class)
		}
		ends := class == connect.ClassReconnect || class == connect.ClassExpired
		if ends && status != 401 || class == connect.ClassReconnect && !strings.Contains(body, "REVOKED") && !strings.Contains(body, "65601") && !strings.Contains(body, `\u`) {
			t.Errorf("%d %q is %q", status, body, class)
		}
	})
}

// FuzzRefused: no query but one with an error is a refusal, and none costs a
// grant.
func FuzzRefused(f *testing.F) {
	f.Add("error=user_cancelled_login&state=s")
	f.Add("error=unauthorized_scope_error&error_description=Scope+%26quot%3Bx%26quot%3B&state=s")
	f.Add("code=c&state=s")
	f.Add("error=")
	f.Fuzz(func(t *testing.T, raw string) {
		query, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		class, got, refused := newProvider().Refused(query)
		if refused != query.Has("error") || refused && (got != query.Get("error") || !slices.Contains([]connect.ErrorClass{connect.ClassDenied, connect.ClassConfig, connect.ClassRetry}, class)) {
			t.Errorf("%q is %q, %q, %t", raw, class, got, refused)
		}
	})
}
