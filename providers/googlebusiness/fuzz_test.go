package googlebusiness

import (
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed944197df/connect"
)

// transport answers the requests in turn.
type transport struct {
	t       *testing.T
	status  int
	answers []string
	asked   int
}

var path = regexp.MustCompile(`^/v1/accounts(/[0-9]{1,32}/locations)?$`)

func (tr *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	host := map[bool]string{false: accountsHost, true: locationsHost}[strings.HasSuffix(r.URL.Path, "/locations")]
	if r.URL.Scheme != "https" || r.URL.Host != host || !path.MatchString(r.URL.Path) || strings.Contains(r.URL.String(), "canary") {
		tr.t.Errorf("%s was asked", r.URL)
	}
	body := tr.answers[tr.asked%len(tr.answers)]
	tr.asked++
	return &http.Response{StatusCode: tr.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// FuzzList: whatever Google lists, a candidate is a location with both ids, and
// the walk goes on by one call at a time.
func FuzzList(f *testing.F) {
	const accounts = `{"accounts":[{"name":"accounts/1001","accountName":"Ada"},{"name":"accounts/../x"}],"nextPageToken":"two"}`
	const places = `{"locations":[{"name":"locations/9001","title":"T","storeCode":"S","storefrontAddress":{"addressLines":["L"],"locality":"B"},"metadata":{"hasVoiceOfMerchant":true}},{"name":"locations/a"}],"nextPageToken":"n"}`
	f.Add(200, "", accounts, places, `{}`)
	f.Add(400, "", `{"error":{"status":"INVALID_ARGUMENT"}}`, places, accounts)
	f.Add(403, "account:7", `{"error":{"status":"PERMISSION_DENIED"}}`, `<html>`, `{"locations":{}}`)
	f.Add(200, "account:7", `{"locations":[{"name":"locations/9","title":7}]}`, places, "")
	f.Fuzz(func(t *testing.T, status int, parent, first, second, third string) {
		tr := &transport{t: t, status: status, answers: []string{first, second, third}}
		p := New(Options{ClientID: "id", ClientSecret: connect.NewSecret("canary-secret")})
		env := connect.Env{HTTP: &http.Client{Transport: tr}, Now: func() time.Time { return time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC) }}
		req := connect.ListRequest{Parent: parent}
		for calls := 1; calls <= 3; calls++ {
			page, err := p.List(t.Context(), env, &connect.Tokens{Access: connect.NewSecret("canary-access")}, req)
			if err != nil {
				_, named := errors.AsType[*connect.ProviderError](err)
				if !named && !errors.Is(err, errCursor) || strings.Contains(err.Error(), "canary") {
					t.Errorf("the error is %v", err)
				}
				return
			}
			wantLocations(t, page)
			if tr.asked != calls {
				t.Fatalf("%d requests after %d calls", tr.asked, calls)
			}
			if req.Cursor = page.Next; req.Cursor == "" {
				return
			}
		}
	})
}

func wantLocations(t *testing.T, page connect.CandidatePage) {
	t.Helper()
	name := regexp.MustCompile(`^(accounts|locations)/[0-9]{1,32}$`)
	for _, c := range page.Candidates {
		if c.Kind != "location" || !name.MatchString(c.Target["account"]) || !name.MatchString(c.Target["location"]) || c.Target["location"] != "locations/"+c.PlatformID || c.Parent != "account:"+strings.TrimPrefix(c.Target["account"], "accounts/") {
			t.Errorf("candidate %+v", c)
		}
	}
	if _, err := parseCursor(page.Next); err != nil {
		t.Errorf("the next cursor %q is not one", page.Next)
	}
}

// FuzzCursor: what is read is what was written.
func FuzzCursor(f *testing.F) {
	for _, c := range []cursor{{}, {Accounts: "a", Index: 3}, {Account: account{ID: "7", Name: "N"}, Locations: "l", Last: true, Calls: 9}} {
		text, err := c.next()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add("eyJuIjp7ImkiOiIuLi94In19")
	f.Fuzz(func(t *testing.T, text string) {
		at, err := parseCursor(text)
		if err != nil {
			return
		}
		again, err := at.next()
		if err != nil || again == "" {
			return // too long, or too many
		}
		if got, err := parseCursor(again); err != nil || got.Calls != at.Calls+1 || got.Account != at.Account {
			t.Errorf("%+v became %+v, %v", at, got, err)
		}
	})
}
