package googlebusiness_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/selection"
)

const (
	accountsHost  = "mybusinessaccountmanagement.googleapis.com"
	locationsHost = "mybusinessbusinessinformation.googleapis.com"
)

var now = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

// fake answers by path and page token, and notes what was asked.
type fake struct {
	t       *testing.T
	answers map[string]string // by "/v1/accounts" or "/v1/accounts TOKEN": body, or "403 body"
	asked   []string
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	query := r.URL.Query()
	key := strings.TrimSpace(r.URL.Path + " " + query.Get("pageToken"))
	f.asked = append(f.asked, key)
	isList := strings.HasSuffix(r.URL.Path, "/locations")
	want := map[bool]url.Values{
		false: {"pageSize": {"20"}},
		true:  {"pageSize": {"100"}, "orderBy": {"title"}, "readMask": {"name,title,storeCode,storefrontAddress,metadata"}},
	}[isList]
	if query.Has("pageToken") {
		want["pageToken"] = query["pageToken"]
	}
	if diff := cmp.Diff(want, query); diff != "" || r.URL.Host != map[bool]string{false: accountsHost, true: locationsHost}[isList] {
		f.t.Errorf("%s was asked: %s", r.URL, diff)
	}
	answer, ok := f.answers[key]
	if !ok {
		return nil, errors.New("unexpected request")
	}
	status := http.StatusOK
	for text, value := range map[string]int{"400 ": 400, "403 ": 403, "404 ": 404, "429 ": 429, "503 ": 503} {
		if rest, ok := strings.CutPrefix(answer, text); ok {
			status, answer = value, rest
		}
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer)), Request: r}, nil
}

func (f *fake) list(t *testing.T, req connect.ListRequest) (connect.CandidatePage, error) {
	t.Helper()
	p := newProvider()
	env := connect.Env{Client: p.Platform().Client, HTTP: &http.Client{Transport: f}, Now: func() time.Time { return now }}
	return p.List(t.Context(), env, &connect.Tokens{Access: connect.NewSecret("canary-access")}, req)
}

// walk lists everything.
func (f *fake) walk(t *testing.T, parent string) ([]connect.Candidate, error) {
	t.Helper()
	var all []connect.Candidate
	req := connect.ListRequest{Parent: parent}
	for {
		page, err := f.list(t, req)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Candidates...)
		if req.Cursor = page.Next; req.Cursor == "" {
			return all, nil
		}
	}
}

const (
	gone      = `404 {"error":{"code":404,"status":"NOT_FOUND"}}`
	forbidden = `403 {"error":{"code":403,"status":"PERMISSION_DENIED"}}`
	badToken  = `400 {"error":{"code":400,"status":"INVALID_ARGUMENT"}}`
)

func TestCandidates(t *testing.T) {
	t.Parallel()
	f := &fake{t: t, answers: map[string]string{
		"/v1/accounts": `{"accounts":[{"name":"accounts/1001","accountName":"Ada Example"}]}`,
		"/v1/accounts/1001/locations": `{"locations":[
			{"name":"locations/9001","title":"Bakery","storeCode":"B-01","storefrontAddress":{"locality":"Berlin","addressLines":["Hauptstr. 1","rear"]},"metadata":{"hasVoiceOfMerchant":true}},
			{"name":"locations/9002","title":"Catering","metadata":{"hasVoiceOfMerchant":true}},
			{"name":"locations/9003","title":"Kiosk","metadata":{"placeId":"x"}},
			{"name":"locations/../9004","title":"Elsewhere"}]}`,
	}}
	got, err := f.walk(t, "")
	one := func(id, name, code, reason string) connect.Candidate {
		return connect.Candidate{
			Candidate: selection.Candidate{Kind: "location", PlatformID: id, Name: name, Username: code, Parent: "account:1001", ParentName: "Ada Example", Reason: reason},
			Target:    map[string]string{"account": "accounts/1001", "location": "locations/" + id},
		}
	}
	want := []connect.Candidate{
		one("9001", "Bakery, Hauptstr. 1, Berlin", "B-01", ""),
		one("9002", "Catering", "", ""),
		one("9003", "Kiosk", "", "This location is not verified, or is not yours to manage. Verify it at business.google.com, then connect again."),
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b connect.Secret) bool { return a.Reveal() == b.Reveal() })); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// In which order both levels are walked, and what does not stop the walk.
func TestWalk(t *testing.T) {
	t.Parallel()
	place := func(id string) string {
		return `{"locations":[{"name":"locations/` + id + `","title":"T","metadata":{"hasVoiceOfMerchant":true}}]}`
	}
	more := func(body, token string) string {
		return strings.TrimSuffix(body, "}") + `,"nextPageToken":"` + token + `"}`
	}
	for name, tt := range map[string]struct {
		parent  string
		answers map[string]string
		asked   []string
		found   []string
	}{
		"nobody": {"", map[string]string{"/v1/accounts": `{}`}, []string{"/v1/accounts"}, nil},
		"pages of both levels": {"", map[string]string{
			"/v1/accounts":             `{"accounts":[{"name":"accounts/1"},{"name":"accounts/2"}],"nextPageToken":"A"}`,
			"/v1/accounts A":           `{"accounts":[{"name":"accounts/3"}]}`,
			"/v1/accounts/1/locations": more(place("11"), "L"), "/v1/accounts/1/locations L": place("12"),
			"/v1/accounts/2/locations": place("21"), "/v1/accounts/3/locations": place("31"),
		}, []string{
			"/v1/accounts", "/v1/accounts/1/locations", "/v1/accounts/1/locations L", "/v1/accounts", "/v1/accounts/2/locations", "/v1/accounts A", "/v1/accounts/3/locations",
		}, []string{"11", "12", "21", "31"}},
		"accounts that may not be read": {"", map[string]string{
			"/v1/accounts":             `{"accounts":[{"name":"accounts/1"},{"name":"accounts/x"},{"name":"accounts/2"},{"name":"accounts/3"}]}`,
			"/v1/accounts/1/locations": forbidden, "/v1/accounts/2/locations": gone, "/v1/accounts/3/locations": place("31"),
		}, []string{"/v1/accounts", "/v1/accounts/1/locations", "/v1/accounts", "/v1/accounts/2/locations", "/v1/accounts", "/v1/accounts/3/locations"}, []string{"31"}},
		"an empty page of accounts": {"", map[string]string{
			"/v1/accounts": `{"nextPageToken":"A"}`, "/v1/accounts A": `{"accounts":[{"name":"accounts/3"}]}`, "/v1/accounts/3/locations": place("31"),
		}, []string{"/v1/accounts", "/v1/accounts A", "/v1/accounts/3/locations"}, []string{"31"}},
		"one account only": {
			"account:2",
			map[string]string{"/v1/accounts/2/locations": more(place("21"), "L"), "/v1/accounts/2/locations L": place("22")},
			[]string{"/v1/accounts/2/locations", "/v1/accounts/2/locations L"},
			[]string{"21", "22"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{t: t, answers: tt.answers}
			got, err := f.walk(t, tt.parent)
			var found []string
			for _, c := range got {
				found = append(found, c.PlatformID)
			}
			if diff := cmp.Diff([][]string{tt.asked, tt.found}, [][]string{f.asked, found}); diff != "" || err != nil {
				t.Errorf("%v, asked and found (-want +got):\n%s", err, diff)
			}
		})
	}
}

// Google forgets its cursors: the list is begun again.
func TestForgottenCursor(t *testing.T) {
	t.Parallel()
	f := &fake{t: t, answers: map[string]string{
		"/v1/accounts":               `{"accounts":[{"name":"accounts/1"}],"nextPageToken":"A"}`,
		"/v1/accounts A":             badToken,
		"/v1/accounts/1/locations":   `{"nextPageToken":"L"}`,
		"/v1/accounts/1/locations L": badToken,
	}}
	want := []string{"/v1/accounts", "/v1/accounts/1/locations", "/v1/accounts/1/locations L", "/v1/accounts/1/locations"}
	req := connect.ListRequest{}
	for range want {
		page, err := f.list(t, req)
		if err != nil || page.Next == "" {
			t.Fatalf("%+v, %v", page, err)
		}
		req.Cursor = page.Next
	}
	f.answers["/v1/accounts/1/locations L"] = `{}`
	for range 2 {
		page, err := f.list(t, req)
		if err != nil {
			t.Fatal(err)
		}
		req.Cursor = page.Next
	}
	want = append(want, "/v1/accounts/1/locations L", "/v1/accounts A")
	if diff := cmp.Diff(want, f.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// What ends a walk is told, and one that grows without end is cut.
func TestWalkEnds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer string
		class  connect.ErrorClass
	}{
		"the token is over": {`400 {"error":{"code":401,"errors":[{"reason":"authError"}]}}`, connect.ClassExpired},
		"a quota of 0":      {`429 {"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"metadata":{"quota_limit_value":"0"}}]}}`, connect.ClassConfig},
		"down":              {`503 {"error":{"code":503,"status":"UNAVAILABLE"}}`, connect.ClassRetry},
	} {
		f := &fake{t: t, answers: map[string]string{"/v1/accounts": `{"accounts":[{"name":"accounts/1"}]}`, "/v1/accounts/1/locations": tt.answer}}
		_, err := f.walk(t, "")
		if e, ok := errors.AsType[*connect.ProviderError](err); !ok || e.Class != tt.class {
			t.Errorf("%s: %v", name, err)
		}
	}
	endless := &fake{t: t, answers: map[string]string{
		"/v1/accounts": `{"accounts":[{"name":"accounts/1"}]}`, "/v1/accounts/1/locations": `{"nextPageToken":"L"}`, "/v1/accounts/1/locations L": `{"nextPageToken":"L"}`,
	}}
	if _, err := endless.walk(t, ""); err != nil || len(endless.asked) != 500 {
		t.Errorf("%d requests, %v", len(endless.asked), err)
	}
	long := &fake{t: t, answers: map[string]string{"/v1/accounts/1/locations": `{"nextPageToken":"` + strings.Repeat("L", 2000) + `"}`}}
	if _, err := long.walk(t, "account:1"); err == nil {
		t.Error("a cursor of 2000 bytes is kept")
	}
}
