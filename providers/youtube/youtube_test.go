package youtube_test

import (
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/selection"
)

var now = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

// fake answers every request with one answer.
type fake struct {
	status int
	body   string
	got    []*http.Request
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	f.got = append(f.got, r)
	return &http.Response{StatusCode: f.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(f.body)), Request: r}, nil
}

func list(t *testing.T, f *fake, cursor string) (connect.CandidatePage, error) {
	t.Helper()
	p := newProvider()
	env := connect.Env{Client: p.Platform().Client, HTTP: &http.Client{Transport: f}, Now: func() time.Time { return now }}
	return p.List(t.Context(), env, &connect.Tokens{Access: connect.NewSecret("canary-access")}, connect.ListRequest{Cursor: cursor})
}

func TestList(t *testing.T) {
	t.Parallel()
	f := &fake{status: 200, body: `{"items":[
		{"id":"UCexample00000000000000A","snippet":{"title":"Ada","customUrl":"@ada","thumbnails":{"default":{"url":"https://yt3.example/a"}}}},
		{"id":"UCexample00000000000000B","snippet":{"title":"Ada's second","thumbnails":{"default":{"url":"http://yt3.example/b"}}}},
		{"id":"../channels"}],"nextPageToken":"two"}`}
	page, err := list(t, f, "one")
	want := []connect.Candidate{
		{Candidate: selection.Candidate{Kind: "channel", PlatformID: "UCexample00000000000000A", Name: "Ada", Username: "ada", AvatarURL: "https://yt3.example/a"}},
		{Candidate: selection.Candidate{Kind: "channel", PlatformID: "UCexample00000000000000B", Name: "Ada's second"}},
	}
	if diff := cmp.Diff(want, page.Candidates, cmp.Comparer(func(a, b connect.Secret) bool { return a.Reveal() == b.Reveal() })); diff != "" || err != nil || page.Next != "two" {
		t.Errorf("%v, next %q (-want +got):\n%s", err, page.Next, diff)
	}
	r := f.got[0]
	if got := r.URL.String(); got != "https://www.googleapis.com/youtube/v3/channels?maxResults=50&mine=true&pageToken=one&part=snippet" || r.Header.Get("Authorization") != "Bearer canary-access" {
		t.Errorf("%s was asked", got)
	}
}

func TestListOfNothing(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]*fake{
		"no items":        {status: 200, body: `{"kind":"youtube#channelListResponse","pageInfo":{"totalResults":0,"resultsPerPage":5}}`},
		"never signed up": {status: 401, body: `{"error":{"code":401,"message":"Unauthorized","errors":[{"domain":"youtube.header","reason":"youtubeSignupRequired"}]}}`},
	} {
		if page, err := list(t, f, ""); err != nil || len(page.Candidates) != 0 || page.Next != "" {
			t.Errorf("%s: %+v, %v", name, page, err)
		}
	}
}

// FuzzList: whatever YouTube lists, a candidate is a channel with its id.
func FuzzList(f *testing.F) {
	f.Add(200, `{"items":[{"id":"UCexample00000000000000A","snippet":{"title":"Ada","customUrl":"@ada","thumbnails":{"default":{"url":"https://yt3.example/a"}}}}],"nextPageToken":"n"}`)
	f.Add(200, `{"items":[{"id":"UC../x"},{"id":7}]}`)
	f.Add(401, `{"error":{"errors":[{"reason":"youtubeSignupRequired"}]}}`)
	f.Add(403, `{"error":{"errors":[{"reason":"quotaExceeded"}]}}`)
	id := regexp.MustCompile(`^UC[A-Za-z0-9_-]{22}$`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		page, err := list(t, &fake{status: status, body: body}, "")
		if err != nil {
			if _, ok := errors.AsType[*connect.ProviderError](err); !ok || strings.Contains(err.Error(), "canary") {
				t.Errorf("the error is %v", err)
			}
			return
		}
		for _, c := range page.Candidates {
			if c.Kind != "channel" || !id.MatchString(c.PlatformID) || c.AvatarURL != "" && !strings.HasPrefix(c.AvatarURL, "https://") {
				t.Errorf("candidate %+v", c.Candidate)
			}
		}
		if len(page.Next) > 1024 {
			t.Errorf("a cursor of %d bytes", len(page.Next))
		}
	})
}
