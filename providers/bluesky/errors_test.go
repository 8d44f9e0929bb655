package bluesky_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/bluesky"
)

// TestErrors has every row of the platform's table of errors: what an answer
// means to a login, to a refresh and to a call of the API. An empty class of
// the API says that the answer is left to the caller.
func TestErrors(t *testing.T) {
	t.Parallel()
	const (
		refused   = connect.ClassRefused
		retry     = connect.ClassRetry
		reconnect = connect.ClassReconnect
		expired   = connect.ClassExpired
	)
	for _, tc := range []struct {
		status              int
		name                string
		login, refresh, api connect.ErrorClass
	}{
		{401, "AuthenticationRequired", refused, retry, ""},
		{401, "AuthFactorTokenRequired", refused, retry, ""},
		{401, "AccountTakedown", reconnect, reconnect, reconnect},
		{400, "AccountTakedown", refused, retry, ""}, // of somebody else, where the API says so
		{400, "ExpiredToken", refused, reconnect, expired},
		{401, "ExpiredToken", refused, reconnect, expired},
		{403, "ExpiredToken", retry, retry, ""},
		{400, "InvalidToken", refused, reconnect, expired},
		{401, "AuthMissing", refused, retry, ""},
		{401, "AccountDeactivated", retry, retry, retry},
		{403, "AccountNotFound", reconnect, reconnect, reconnect},
		{400, "AccountNotFound", refused, retry, ""},
		{400, "InvalidRequest", refused, retry, ""},
		{403, "Forbidden", retry, retry, ""},
		{404, "XRPCNotSupported", retry, retry, ""},
		{413, "PayloadTooLarge", retry, retry, ""},
		{429, "RateLimitExceeded", retry, retry, retry},
		{429, "ExpiredToken", retry, retry, retry},
		{500, "InternalServerError", retry, retry, retry},
		{501, "MethodNotImplemented", retry, retry, retry},
		{502, "UpstreamFailure", retry, retry, retry},
		{502, "ExpiredToken", retry, retry, retry},
		{503, "NotEnoughResources", retry, retry, retry},
		{504, "UpstreamTimeout", retry, retry, retry},
	} {
		t.Run(http.StatusText(tc.status)+" "+tc.name, func(t *testing.T) {
			t.Parallel()
			w, pds := newWorld(t)
			p := bluesky.New(nil)
			tokens := login(t, w)
			pds.override = answer(tc.status, tc.name)

			_, err := p.Login(t.Context(), w.env(), typed())
			if e := wantClass(t, err, tc.login, tc.name); e.Status != tc.status {
				t.Errorf("status %d, want %d", e.Status, tc.status)
			}
			_, err = p.Refresh(t.Context(), w.env(), tokens)
			wantClass(t, err, tc.refresh, tc.name)

			class, ok := p.Classify(tc.status, nil, []byte(`{"error":"`+tc.name+`","message":"m"}`))
			if class != tc.api || ok != (tc.api != "") {
				t.Errorf("Classify: %q, %v, want %q", class, ok, tc.api)
			}
		})
	}
}

func TestClassifyOtherBodies(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "<html>ExpiredToken</html>", `{"error":7}`, `{"error":"ExpiredToken"`, `["ExpiredToken"]`, `{"error":"ExpiredToken","Error":"ExpiredToken"}`} {
		for _, status := range []int{400, 401, 403} {
			if class, ok := bluesky.New(nil).Classify(status, nil, []byte(body)); ok {
				t.Errorf("%d %s: %s, want nothing", status, body, class)
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		header []string
		want   time.Duration
	}{
		{"nothing", nil, 0},
		{"seconds", []string{"Retry-After", "120"}, 2 * time.Minute},
		{"a date", []string{"Retry-After", "Sun, 22 Nov 2026 12:05:00 GMT"}, 5 * time.Minute},
		{"a reset", []string{"RateLimit-Reset", "1795349100"}, 5 * time.Minute},
		{"both", []string{"Retry-After", "60", "RateLimit-Reset", "1795349100"}, time.Minute},
		{"words", []string{"Retry-After", "soon", "RateLimit-Reset", "later"}, 0},
		{"the past", []string{"RateLimit-Reset", "1795000000"}, 0},
		{"less than nothing", []string{"Retry-After", "-9223372036854775808"}, 0},
		{"for ever", []string{"Retry-After", "9223372036854775807"}, 24 * time.Hour},
		{"until the end", []string{"RateLimit-Reset", "9223372036854775807"}, 24 * time.Hour},
		{"since the beginning", []string{"RateLimit-Reset", "-9223372036854775808"}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w, pds := newWorld(t)
			pds.override = answer(429, "RateLimitExceeded", tc.header...)
			_, err := bluesky.New(nil).Login(t.Context(), w.env(), typed())
			if e := wantClass(t, err, connect.ClassRetry, "RateLimitExceeded"); e.RetryAfter != tc.want {
				t.Errorf("retry after %v, want %v", e.RetryAfter, tc.want)
			}
		})
	}
}
