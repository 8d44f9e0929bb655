package facebook

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/strictjson"
)

const (
	fuzzCode   = "canary-code"
	fuzzSecret = "canary-app-secret"
	fuzzToken  = "canary-user-token"
)

// graph answers every request with the next of its answers, the first again
// after the last, and checks how it was asked.
type graph struct {
	t       *testing.T
	status  int
	usage   string // X-Business-Use-Case-Usage
	answers []string
	asked   int
}

func (g *graph) RoundTrip(r *http.Request) (*http.Response, error) {
	query := r.URL.Query()
	for word := range strings.SplitSeq(strings.TrimPrefix(r.URL.Path, "/"+DefaultVersion+"/"), "/") {
		if !strictjson.ID(word).Digits() && !slices.Contains([]string{"me", "oauth", "access_token", "debug_token", "accounts", "permissions", "businesses", "owned_pages", "client_pages"}, word) {
			g.t.Errorf("%s was asked", r.URL.Path)
		}
	}
	if r.URL.Host != "graph.facebook.com" || !strings.HasPrefix(r.URL.Path, "/"+DefaultVersion+"/") || query.Has("access_token") || strings.Contains(r.URL.String(), fuzzSecret) {
		g.t.Errorf("%s was asked", r.URL)
	}
	if (query.Get("appsecret_proof") != "") != strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") || r.Method == http.MethodGet && query.Get("appsecret_proof") == "" {
		g.t.Errorf("%s was asked without a token or its proof", r.URL.Path)
	}
	body := g.answers[g.asked%len(g.answers)]
	g.asked++
	header := http.Header{"X-Business-Use-Case-Usage": {g.usage}}
	return &http.Response{StatusCode: g.status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (g *graph) provider() (*Provider, connect.Env) {
	p := New(Options{AppID: "901234567890123", AppSecret: connect.NewSecret(fuzzSecret)})
	return p, connect.Env{
		Client: p.client, RedirectURL: "https://app.example.com/callback", HTTP: &http.Client{Transport: g},
		Now: func() time.Time { return time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC) },
	}
}

// FuzzExchange: whatever Facebook answers, a consent is a token of one person
// with an id, or an error.
func FuzzExchange(f *testing.F) {
	const token, me, permissions = `{"access_token":"EAAG","token_type":"bearer","expires_in":5183944}`, `{"id":"102233445566778"}`, `{"data":[{"permission":"pages_show_list","status":"granted"}]}`
	f.Add(200, "", token, token, me, permissions, "")
	f.Add(200, "", token, `{"access_token":"EAAG","token_type":"bearer"}`, `{"data":{"expires_at":0}}`, me, permissions)
	f.Add(200, "", token, `{"access_token":"EAAG","token_type":"bearer"}`, `{"data":{"expires_at":9223372036854775807}}`, `{"id":102233445566778}`, `{"data":[{"permission":"a"},{"status":"granted"}]}`)
	f.Add(200, "", token, token, `{"id":"../me"}`, permissions, "")
	f.Add(400, `{"1":[{"estimated_time_to_regain_access":99999}]}`, `{"error":{"message":"prose of theirs","type":"OAuthException","code":190,"error_subcode":460}}`, token, me, permissions, "")
	f.Add(400, `{"1":[{"estimated_time_to_regain_access":-9}]}`, `{"error":{"code":100}}`, `{"error":{"code":368}}`, `{"error":{"code":80001}}`, "<html>", "")
	f.Fuzz(func(t *testing.T, status int, usage, first, second, third, fourth, fifth string) {
		g := &graph{t: t, status: status, usage: usage, answers: []string{first, second, third, fourth, fifth}}
		p, env := g.provider()
		tokens, err := p.Exchange(t.Context(), env, connect.AuthResponse{Query: url.Values{"code": {fuzzCode}}, Verifier: connect.NewSecret("canary-verifier")})
		if err != nil {
			wantClass(t, err)
			return
		}
		if tokens.Access.IsZero() || !strictjson.ID(tokens.Subject).Digits() || tokens.Scopes == nil || !tokens.Refresh.IsZero() || tokens.Self != nil {
			t.Errorf("tokens of %q for %q", tokens.Subject, tokens.Scopes)
		}
		if g.asked < 4 || g.asked > 5 || status < 200 || status > 299 {
			t.Errorf("%d answers of status %d are a consent", g.asked, status)
		}
	})
}

func wantClass(t *testing.T, err error) {
	t.Helper()
	classes := []connect.ErrorClass{
		connect.ClassReconnect, connect.ClassRetry, connect.ClassConfig, connect.ClassScopeMissing, connect.ClassTargetLost, connect.ClassUncertain,
	}
	e, ok := errors.AsType[*connect.ProviderError](err)
	if !ok || !slices.Contains(classes, e.Class) || e.RetryAfter < 0 || e.RetryAfter > 24*time.Hour {
		t.Fatalf("the error is %v", err)
	}
	if text := err.Error(); strings.Contains(text, fuzzCode) || strings.Contains(text, fuzzSecret) || strings.Contains(text, fuzzToken) {
		t.Errorf("the error holds a secret: %v", err)
	}
}

// FuzzPages: whatever Facebook lists, what can be chosen is a Page with an id,
// and with a token where nothing is wrong with it; and the walk goes on by one
// call at a time.
func FuzzPages(f *testing.F) {
	const pages = `{"data":[{"id":"110","name":"P","tasks":["CREATE_CONTENT"],"access_token":"EAAG","picture":{"data":{"url":"https://p.example/a.jpg"}}}],"paging":{"cursors":{"after":"two"},"next":"https://evil.example/"}}`
	f.Add(200, "", pages, `{"data":[{"id":17841400000000000001,"tasks":["PROFILE_PLUS_MANAGE"]},{"id":"../x"},{"id":"8","tasks":["MANAGE"],"access_token":"a\u000d\n"}]}`, `{"data":[{"id":"7"}]}`)
	f.Add(200, stageBusinesses, `{"data":[{"id":"7"}],"paging":{"cursors":{"after":"b"},"next":"x"}}`, pages, `{"data":{"granular_scopes":[{"scope":"pages_show_list","target_ids":["1",2,"x/y",4,5,6,7]}]}}`)
	f.Add(200, stageTicked, `{"data":{"granular_scopes":[{"scope":"pages_show_list","target_ids":["1",2,"x/y",4,5,6,7]}]}}`, `{"id":"1","access_token":"EAAG"}`, `{"error":{"code":100,"error_subcode":33}}`)
	f.Add(400, stageOwned, `{"error":{"code":200}}`, `{"error":{"code":4}}`, `{"error":{"code":190}}`)
	f.Fuzz(func(t *testing.T, status int, stage, first, second, third string) {
		g := &graph{t: t, status: status, answers: []string{first, second, third}}
		p, env := g.provider()
		tokens := &connect.Tokens{Access: connect.NewSecret(fuzzToken), Scopes: []string{scopeBusiness}}
		at := cursor{Stage: stage}
		if stage == stageOwned || stage == stageClients {
			at.Business.ID = "7"
		}
		text, err := at.next()
		if _, refused := parseCursor(text); err != nil || refused != nil {
			return
		}
		for range 12 {
			page, err := p.List(t.Context(), env, tokens, connect.ListRequest{Cursor: text})
			if err != nil {
				if !errors.Is(err, errCursor) {
					wantClass(t, err)
				}
				return
			}
			for _, c := range page.Candidates {
				wantPage(t, c)
			}
			if page.Next == "" {
				return
			}
			calls := at.Calls
			if at, err = parseCursor(page.Next); err != nil || at.Calls != calls+1 || len(page.Next) > maxCursor || strings.Contains(page.Next, fuzzToken) {
				t.Fatalf("the next cursor is %q, %+v, %v", page.Next, at, err)
			}
			text = page.Next
		}
	})
}

func wantPage(t *testing.T, c connect.Candidate) {
	t.Helper()
	token := c.Access.Reveal()
	unfit := func(r rune) bool { return r < ' ' || r > '~' }
	if c.Kind != "page" || !strictjson.ID(c.PlatformID).Digits() || strings.ContainsFunc(token, unfit) || len(token) > 16<<10 {
		t.Errorf("the candidate %q has a token of %d bytes", c.ID(), len(token))
	}
	if c.Selectable() && (token == "" || c.AccessExpiry == nil || !c.AccessExpiry.IsZero()) {
		t.Errorf("%q can be chosen, with a token of %d bytes that ends at %v", c.ID(), len(token), c.AccessExpiry)
	}
	if c.AvatarURL != "" && !strings.HasPrefix(c.AvatarURL, "https://") {
		t.Errorf("the picture is %q", c.AvatarURL)
	}
}

// FuzzCursor: a cursor that is accepted names a list that there is, and stands
// for itself.
func FuzzCursor(f *testing.F) {
	for _, c := range []cursor{{Stage: stageAccounts, After: "two", Calls: 7}, {Stage: stageOwned, Business: businessCursor{ID: "7", After: "b"}}, {Stage: stageTicked, Ticked: 5, Found: true}, {Stage: stageAccounts, Calls: maxCalls}} {
		text, err := c.next()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add("e30")
	f.Add("eyJzIjoib3duZWRfcGFnZXMiLCJiIjp7ImkiOiIuLi9tZSJ9fQ")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCursor(text)
		if err != nil {
			if !errors.Is(err, errCursor) || c != (cursor{}) {
				t.Errorf("%q is %+v, %v", text, c, err)
			}
			return
		}
		business := c.Stage == stageOwned || c.Stage == stageClients
		if !business && !slices.Contains([]string{stageAccounts, stageBusinesses, stageTicked}, c.Stage) || c.Business.ID.Digits() != business || c.Ticked < 0 || c.Calls < 0 {
			t.Errorf("%q is %+v", text, c)
		}
		again, err := c.next()
		if c.Calls >= maxCalls {
			if again != "" || err != nil {
				t.Errorf("after %d calls comes %q, %v", c.Calls, again, err)
			}
			return
		}
		if back, backErr := parseCursor(again); err == nil && (backErr != nil || back != c) {
			t.Errorf("%+v comes back as %+v, %v", c, back, backErr)
		}
	})
}

// FuzzClassify: the numbers decide, and neither a passing fault nor a duplicate
// post says anything of the grant.
func FuzzClassify(f *testing.F) {
	f.Add(400, 190, 460, "Error validating access token")
	f.Add(400, 190, 0, "Cannot parse access token")
	f.Add(400, 100, 33, "Object does not exist")
	f.Add(403, 200, 0, "A permission must be granted before impersonating a user's page")
	f.Add(503, 190, 0, "")
	f.Add(200, 506, 0, "Duplicate status message")
	f.Fuzz(func(t *testing.T, status, code, subcode int, message string) {
		body := `{"error":{"message":` + strconv.QuoteToASCII(message) + `,"code":` + strconv.Itoa(code) + `,"error_subcode":` + strconv.Itoa(subcode) + `}}`
		if strictjson.Decode([]byte(body), new(any)) != nil {
			return // Go quotes some bytes as JSON does not
		}
		class, known := new(Provider).Classify(status, http.Header{}, []byte(body))
		if known != (class != "") {
			t.Errorf("%d %s is %q, %t", status, body, class, known)
		}
		if passing := status == 408 || status == 429 || status >= 500; passing && class != connect.ClassRetry {
			t.Errorf("%d %s is %q", status, body, class)
		}
		switch class {
		case "", connect.ClassRetry, connect.ClassConfig, connect.ClassScopeMissing, connect.ClassTargetLost:
		case connect.ClassReconnect:
			if code != 190 && code != 102 && !strings.Contains(strings.ToLower(message), "must be granted") {
				t.Errorf("%s ends the grant", body)
			}
		default:
			t.Errorf("%d %s is %q", status, body, class)
		}
	})
}

// FuzzRefused: a response is a refusal exactly where it says so, and the
// person's only where it names the person.
func FuzzRefused(f *testing.F) {
	for _, seed := range []string{"error=access_denied", "error=&error_reason=user_denied", "error_code=200&error_message=x", "error_code=4", "error_code=x", "code=c", "error_reason=user_denied"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		query, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		class, code, refused := new(Provider).Refused(query)
		if refused != (query.Has("error") || query.Has("error_code")) || refused == (class == "") {
			t.Errorf("%q is %q, %q, %t", raw, class, code, refused)
		}
		if code != query.Get("error") && code != query.Get("error_code") {
			t.Errorf("%q has the code %q", raw, code)
		}
		person := query.Get("error") == "access_denied" || query.Has("error") && query.Get("error_reason") == "user_denied" || !query.Has("error") && query.Get("error_code") == "200"
		number, _ := strconv.Atoi(query.Get("error_code"))
		if (class == connect.ClassDenied) != person && number != 200 || !slices.Contains([]connect.ErrorClass{"", connect.ClassDenied, connect.ClassRetry, connect.ClassConfig}, class) {
			t.Errorf("%q is %q", raw, class)
		}
	})
}
