package platformcall_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/internal/platformcall"
)

const canary = "canary-5f1c"

var (
	now        = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)
	errNotSent = errors.New("dial refused")
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answering(status int, body string, header ...string) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
		for i := 0; i+1 < len(header); i += 2 {
			resp.Header.Set(header[i], header[i+1])
		}
		return resp, nil
	}
}

func env(transport http.RoundTripper) connect.Env {
	return connect.Env{
		HTTP:    &http.Client{Transport: transport},
		NotSent: func(err error) bool { return errors.Is(err, errNotSent) },
		Now:     func() time.Time { return now },
	}
}

func request() platformcall.Request {
	return platformcall.Request{
		URL:     "https://api.example/token?hint=" + canary,
		Form:    url.Values{"grant_type": {"refresh_token"}, "refresh_token": {canary}},
		Basic:   &platformcall.Basic{ID: "id:1", Secret: connect.NewSecret(canary)},
		OneTime: true,
		Classify: func(f platformcall.Failure) connect.ProviderError {
			if f.Code == "invalid_grant" || f.Status == http.StatusForbidden {
				return connect.ProviderError{Class: connect.ClassReconnect}
			}
			return connect.ProviderError{}
		},
	}
}

func post(t *testing.T, transport http.RoundTripper) (*platformcall.Answer, *connect.ProviderError) {
	t.Helper()
	answer, err := platformcall.Post(t.Context(), env(transport), request())
	return answer, asProviderError(t, err)
}

func asProviderError(t *testing.T, err error) *connect.ProviderError {
	t.Helper()
	if err == nil {
		return nil
	}
	var failure *connect.ProviderError
	if !errors.As(err, &failure) {
		t.Fatalf("the error is a %T, want *connect.ProviderError", err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", err, err, failure.Err, failure.Code); strings.Contains(text, canary) {
		t.Errorf("the error holds a secret: %s", text)
	}
	return failure
}

func TestPostSends(t *testing.T) {
	t.Parallel()
	_, failure := post(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		id, secret, _ := r.BasicAuth()
		got := []string{r.Method, r.Header.Get("Content-Type"), r.Header.Get("Accept"), id, secret, r.PostForm.Encode()}
		want := []string{
			"POST", "application/x-www-form-urlencoded", "application/json", "id%3A1", canary,
			"grant_type=refresh_token&refresh_token=" + canary,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		return answering(200, `{"access_token":"a","token_type":"bearer"}`)(r)
	}))
	if failure != nil {
		t.Error(failure)
	}
}

func TestPostReadsTokens(t *testing.T) {
	t.Parallel()
	answer, failure := post(t, answering(200, `{"access_token":"a.b~c","refresh_token":"r|s","token_type":"Bearer",
		"expires_in":7200,"refresh_expires_in":"86400","scope":"read write","open_id":"_000"}`))
	if failure != nil {
		t.Fatal(failure)
	}
	if answer.Access.Reveal() != "a.b~c" || answer.Refresh.Reveal() != "r|s" || *answer.Scope != "read write" {
		t.Errorf("tokens or scope are not those of the answer")
	}
	if !answer.AccessExpiry.Equal(now.Add(2*time.Hour)) || !answer.RefreshExpiry.Equal(now.Add(24*time.Hour)) {
		t.Errorf("expiries are %v and %v", answer.AccessExpiry, answer.RefreshExpiry)
	}
	if diff := cmp.Diff(map[string]json.RawMessage{"open_id": json.RawMessage(`"_000"`)}, answer.Fields); diff != "" {
		t.Error(diff)
	}
}

// What is accepted, and what counts as a lost answer.
func TestThreat96_JSONTricks(t *testing.T) {
	t.Parallel()
	ok := func(extra string) string { return `{"access_token":"a","token_type":"bearer"` + extra + `}` }
	accepted := map[string]string{
		"plain":                    ok(``),
		"white space around":       " \n" + ok(``) + "\n",
		"lifetime integer":         ok(`,"expires_in":3600`),
		"lifetime float":           ok(`,"expires_in":3600.5`),
		"lifetime exponent":        ok(`,"expires_in":3.6e3`),
		"lifetime string":          ok(`,"expires_in":"3600"`),
		"lifetime zero":            ok(`,"expires_in":0`),
		"lifetime null":            ok(`,"expires_in":null`),
		"lifetime ten years":       ok(`,"expires_in":315360000`),
		"refresh token null":       ok(`,"refresh_token":null`),
		"refresh token empty":      ok(`,"refresh_token":""`),
		"error null":               ok(`,"error":null`),
		"32 levels":                ok(`,"x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31)),
		"equal keys, two objects":  ok(`,"x":[{"id":1},{"id":2}]`),
		"a key as a value as well": ok(`,"x":"y","y":"x"`),
		"a big number elsewhere":   ok(`,"user_id":17841400000000000001`),
	}
	for name, body := range accepted {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, failure := post(t, answering(200, body)); failure != nil {
				t.Error(failure)
			}
		})
	}
	lost := map[string]string{
		"nothing":                ``,
		"null":                   `null`,
		"array":                  `[]`,
		"string":                 `"` + canary + `"`,
		"number":                 `1`,
		"cut off":                `{"access_token":"` + canary,
		"two values":             ok(``) + ok(``),
		"rubbish after":          ok(``) + canary,
		"byte order mark":        "\ufeff" + ok(``),
		"not UTF-8":              ok(",\"x\":\"\xff\""),
		"NaN":                    ok(`,"expires_in":NaN`),
		"comment":                ok(`/* */`),
		"trailing comma":         `{"access_token":"a","token_type":"bearer",}`,
		"single quotes":          `{'access_token':'a'}`,
		"equal keys":             ok(`,"access_token":"b"`),
		"equal keys, escaped":    ok(`,"\u0061ccess_token":"b"`),
		"equal keys, in case":    ok(`,"Access_Token":"b"`),
		"equal keys, folded":     ok(`,"acce\u017fs_token":"b"`),
		"equal keys, deep":       ok(`,"x":{"y":[{"z":1,"z":2}]}`),
		"33 levels":              ok(`,"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32)),
		"100000 levels":          strings.Repeat("[", 100000),
		"100000 objects":         strings.Repeat(`{"a":`, 100000),
		"no access token":        `{"token_type":"bearer"}`,
		"access token empty":     `{"access_token":"","token_type":"bearer"}`,
		"access token null":      `{"access_token":null,"token_type":"bearer"}`,
		"access token number":    `{"access_token":1,"token_type":"bearer"}`,
		"access token object":    `{"access_token":{"a":1},"token_type":"bearer"}`,
		"refresh token array":    ok(`,"refresh_token":["r"]`),
		"scope array":            ok(`,"scope":["a"]`),
		"token type number":      `{"access_token":"a","token_type":1}`,
		"token type absent":      `{"access_token":"a"}`,
		"token type mac":         `{"access_token":"a","token_type":"mac"}`,
		"lifetime negative":      ok(`,"expires_in":-1`),
		"lifetime over 10 years": ok(`,"expires_in":315360001`),
		"lifetime huge":          ok(`,"expires_in":1e999`),
		"lifetime 400 digits":    ok(`,"expires_in":1` + strings.Repeat("0", 400)),
		"lifetime Infinity":      ok(`,"expires_in":"Infinity"`),
		"lifetime NaN string":    ok(`,"expires_in":"NaN"`),
		"lifetime hexadecimal":   ok(`,"expires_in":"0x10"`),
		"lifetime empty string":  ok(`,"expires_in":""`),
		"lifetime words":         ok(`,"expires_in":"soon"`),
		"lifetime true":          ok(`,"expires_in":true`),
		"lifetime array":         ok(`,"expires_in":[1]`),
		"refresh lifetime":       ok(`,"refresh_token_expires_in":-5`),
	}
	for name, body := range lost {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, failure := post(t, answering(200, body))
			if failure == nil || failure.Class != connect.ClassUncertain {
				t.Errorf("error is %v, want class uncertain", failure)
			}
		})
	}
}

func TestThreat97_TokensThatNoHeaderCanCarry(t *testing.T) {
	t.Parallel()
	for name, token := range map[string]string{
		"a new header":  "a\r\nX: y",
		"NUL":           "a\x00",
		"delete":        "a\x7f",
		"not ASCII":     "a\u00e9",
		"tab":           "a\tb",
		"over 16 KiB":   strings.Repeat("a", 16<<10+1),
		"one megabyte":  strings.Repeat("a", 1<<20),
		"over the body": strings.Repeat("a", 2<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			quoted, err := json.Marshal(token)
			if err != nil {
				t.Fatal(err)
			}
			for _, body := range []string{
				fmt.Sprintf(`{"access_token":%s,"token_type":"bearer"}`, quoted),
				fmt.Sprintf(`{"access_token":"a","refresh_token":%s,"token_type":"bearer"}`, quoted),
			} {
				if _, failure := post(t, answering(200, body)); failure == nil || failure.Class != connect.ClassUncertain {
					t.Errorf("error is %v, want class uncertain", failure)
				}
			}
		})
	}
	if !platformcall.ValidToken(strings.Repeat("~", 16<<10)) || platformcall.ValidToken("") {
		t.Error("a token of 16 KiB is one, the empty one is not")
	}
}

func TestThreat98_ContentDecides(t *testing.T) {
	t.Parallel()
	html := "<html>" + canary + "</html>"
	tests := map[string]struct {
		answer roundTripper
		want   connect.ProviderError
	}{
		"200 with an error": {
			answering(200, `{"error":"invalid_grant","error_description":"`+canary+`"}`),
			connect.ProviderError{Class: connect.ClassReconnect, Status: 200, Code: "invalid_grant"},
		},
		"200 with an error and tokens": {
			answering(200, `{"error":"server_error","access_token":"a","token_type":"bearer"}`),
			connect.ProviderError{Class: connect.ClassRetry, Status: 200, Code: "server_error"},
		},
		"error as a number": {
			answering(200, `{"error":400}`),
			connect.ProviderError{Class: connect.ClassRetry, Status: 200, Code: "400"},
		},
		"error as an object": {
			answering(400, `{"error":{"code":190,"error_subcode":460,"message":"`+canary+`"}}`),
			connect.ProviderError{Class: connect.ClassRetry, Status: 400, Code: "190/460"},
		},
		"400 that the table knows": {
			answering(400, `{"error":"invalid_grant"}`),
			connect.ProviderError{Class: connect.ClassReconnect, Status: 400, Code: "invalid_grant"},
		},
		"400 that the table does not know": {
			answering(400, `{"error":"odd"}`),
			connect.ProviderError{Class: connect.ClassRetry, Status: 400, Code: "odd"},
		},
		"400 HTML":    {answering(400, html), connect.ProviderError{Class: connect.ClassRetry, Status: 400}},
		"403 HTML":    {answering(403, html), connect.ProviderError{Class: connect.ClassRetry, Status: 403}},
		"502 HTML":    {answering(502, html), connect.ProviderError{Class: connect.ClassUncertain, Status: 502}},
		"500 empty":   {answering(500, ""), connect.ProviderError{Class: connect.ClassUncertain, Status: 500}},
		"503 later":   {answering(503, html, "Retry-After", "90"), connect.ProviderError{Class: connect.ClassUncertain, Status: 503, RetryAfter: 90 * time.Second}},
		"503 named":   {answering(503, `{"error":"temporarily_unavailable"}`), connect.ProviderError{Class: connect.ClassRetry, Status: 503, Code: "temporarily_unavailable"}},
		"504 is lost": {answering(504, html), connect.ProviderError{Class: connect.ClassUncertain, Status: 504}},
		"307 is lost": {answering(307, ""), connect.ProviderError{Class: connect.ClassUncertain, Status: 307}},
		"200 XML":     {answering(200, "<?xml version='1.0'?><access_token>"+canary+"</access_token>"), connect.ProviderError{Class: connect.ClassUncertain, Status: 200}},
		"429 with a dead grant's name": {
			answering(429, `{"error":"invalid_grant"}`, "Retry-After", "Fri, 20 Nov 2026 12:01:00 GMT"),
			connect.ProviderError{Class: connect.ClassRetry, Status: 429, Code: "invalid_grant", RetryAfter: time.Minute},
		},
		"500 with a dead grant's name": {
			answering(500, `{"error":"invalid_grant"}`),
			connect.ProviderError{Class: connect.ClassRetry, Status: 500, Code: "invalid_grant"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, failure := post(t, test.answer)
			if failure == nil {
				t.Fatal("no error")
			}
			failure.Err = nil
			if diff := cmp.Diff(test.want, *failure); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRetryAfterIsBounded(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"":                              0,
		"soon":                          0,
		"-5":                            0,
		"NaN":                           0,
		"0.25":                          250 * time.Millisecond,
		"1e300":                         24 * time.Hour,
		"Fri, 20 Nov 2020 12:00:00 GMT": 0,
		"Fri, 20 Nov 2099 12:00:00 GMT": 24 * time.Hour,
	} {
		_, failure := post(t, answering(503, "", "Retry-After", value))
		if failure == nil || failure.RetryAfter != want {
			t.Errorf("Retry-After %q: error is %v, want to wait %v", value, failure, want)
		}
	}
}

func TestTransportErrors(t *testing.T) {
	t.Parallel()
	reset := errors.New("connection reset")
	for name, test := range map[string]struct {
		err     error
		oneTime bool
		want    connect.ErrorClass
	}{
		"not sent":             {errNotSent, true, connect.ClassRetry},
		"lost":                 {reset, true, connect.ClassUncertain},
		"lost, but repeatable": {reset, false, connect.ClassRetry},
		"out of time":          {context.DeadlineExceeded, true, connect.ClassUncertain},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := request()
			req.OneTime = test.oneTime
			failing := roundTripper(func(*http.Request) (*http.Response, error) { return nil, test.err })
			_, err := platformcall.Post(t.Context(), env(failing), req)
			if failure := asProviderError(t, err); failure == nil || failure.Class != test.want || !errors.Is(err, test.err) {
				t.Errorf("error is %v, want class %s around %v", err, test.want, test.err)
			}
		})
	}
}

// brokenBody fails after some bytes.
type brokenBody struct{ io.Reader }

func (brokenBody) Close() error { return nil }

func TestAnswerThatBreaksOffIsLost(t *testing.T) {
	t.Parallel()
	_, failure := post(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		body := io.MultiReader(strings.NewReader(`{"access_token":`), errorReader{})
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: brokenBody{body}, Request: r}, nil
	}))
	if failure == nil || failure.Class != connect.ClassUncertain || failure.Status != 200 {
		t.Errorf("error is %v, want class uncertain and status 200", failure)
	}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestThreat92_RedirectTakesNothingAlong(t *testing.T) {
	t.Parallel()
	var evil atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { evil.Add(1) }))
	defer elsewhere.Close()
	front := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer front.Close()
	req := request()
	req.URL = front.URL
	_, err := platformcall.Post(t.Context(), env(http.DefaultTransport), req) // this client would follow
	if failure := asProviderError(t, err); failure == nil || failure.Status != http.StatusTemporaryRedirect {
		t.Errorf("error is %v, want one of status 307", err)
	}
	if evil.Load() != 0 {
		t.Error("the redirect was followed")
	}
}

func TestThreat93_NoHiddenRetry(t *testing.T) {
	t.Parallel()
	var seen atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen.Add(1) == 1 {
			_, _ = io.WriteString(w, `{"access_token":"a","token_type":"bearer"}`)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler) // cuts the warm connection after reading
	}))
	defer server.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	req := request()
	req.URL = server.URL
	if _, err := platformcall.Post(t.Context(), env(transport), req); err != nil {
		t.Fatal(err)
	}
	_, err := platformcall.Post(t.Context(), env(transport), req)
	if failure := asProviderError(t, err); failure == nil || failure.Class != connect.ClassUncertain {
		t.Errorf("error is %v, want class uncertain", err)
	}
	if seen.Load() != 2 {
		t.Errorf("the server saw %d requests, want 2", seen.Load())
	}
}

func TestThreat103_NoURLInErrors(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	waiting := roundTripper(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://graph.example/debug?input_token="+canary, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = platformcall.Call(env(waiting), r, nil, &struct{}{})
	if failure := asProviderError(t, err); failure == nil || !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want it around context.Canceled", err)
	}
	req := request()
	req.URL = "https://" + canary + "\x7f"
	if _, err := platformcall.Post(t.Context(), env(waiting), req); err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("error is %v, want one without the URL", err)
	}
}

func TestThreat104_NoBodyInErrors(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"<html>" + canary,
		`{"error":"` + canary + `"}`,
		`{"error":{"message":"` + canary + `"}}`,
		`{"error":"","error_description":"` + canary + `"}`,
	} {
		for _, status := range []int{200, 400, 401, 500} {
			_, failure := post(t, answering(status, body)) // asProviderError looks for it
			if failure == nil || failure.Status != status {
				t.Errorf("error is %v, want one of status %d", failure, status)
			}
		}
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		ok     bool
	}{
		"empty":          {200, ``, true},
		"object":         {200, `{"revoked":true}`, true},
		"no content":     {204, ``, true},
		"HTML":           {200, `<html>`, false},
		"error at 200":   {200, `{"error":"invalid_client"}`, false},
		"error":          {400, `{"error":"invalid_request"}`, false},
		"out of service": {503, ``, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := platformcall.Revoke(t.Context(), env(answering(test.status, test.body)), request())
			if asProviderError(t, err); (err == nil) != test.ok {
				t.Errorf("error is %v, want success to be %t", err, test.ok)
			}
		})
	}
}

// Ask is a form like any other, and answered like a call.
func TestAsk(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		class  connect.ErrorClass // empty: success
	}{
		"an object":      {200, `{"active":true}`, ""},
		"nothing":        {200, ``, connect.ClassRetry},
		"HTML":           {200, `<html>`, connect.ClassRetry},
		"another type":   {200, `{"active":"true"}`, connect.ClassRetry},
		"twice":          {200, `{"active":true,"Active":false}`, connect.ClassRetry},
		"dead grant":     {400, `{"error":"invalid_grant"}`, connect.ClassReconnect},
		"out of service": {503, ``, connect.ClassRetry},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			transport := roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.Method != http.MethodPost || r.GetBody != nil || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
					t.Errorf("%s %s can be sent twice: %t", r.Method, r.URL.Path, r.GetBody != nil)
				}
				return answering(test.status, test.body)(r)
			})
			var seen struct {
				Active bool `json:"active"`
			}
			failure := asProviderError(t, platformcall.Ask(t.Context(), env(transport), request(), &seen))
			if test.class == "" && (failure != nil || !seen.Active) || test.class != "" && (failure == nil || failure.Class != test.class) {
				t.Errorf("active %t, error %v, want class %q", seen.Active, failure, test.class)
			}
		})
	}
	malformed := request()
	malformed.URL = "https://canary\x00/"
	if err := platformcall.Ask(t.Context(), env(answering(200, `{}`)), malformed, nil); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("error is %v", err)
	}
}
