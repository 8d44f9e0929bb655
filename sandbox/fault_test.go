package sandbox_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect/sandbox"
)

// fault switches a fault on, for one request.
func (w *world) fault(platform, name, at string) {
	w.t.Helper()
	if err := w.SetFault(sandbox.Fault{Platform: platform, Fault: name, At: at}); err != nil {
		w.t.Fatal(err)
	}
}

func TestActFault(t *testing.T) {
	t.Parallel()
	w := setup(t)
	access := w.xConnect().text(t, "access_token")
	post := func(body string) answer {
		return w.do(request{method: "POST", url: "_act/fault", json: body})
	}
	if got := post(`{"platform":"x","fault":"429","times":2}`); got.status != http.StatusNoContent || got.body != "" {
		t.Fatalf("status %d: %q", got.status, got.body)
	}
	statuses := []int{w.xMe(access).status, w.xMe(access).status, w.xMe(access).status}
	if diff := cmp.Diff([]int{429, 429, 200}, statuses); diff != "" {
		t.Errorf("twice, then off (-want +got):\n%s", diff)
	}
	post(`{"platform":"x","fault":"500"}`)
	post(`{"platform":"x","fault":"none"}`)
	if got := w.xMe(access); got.status != http.StatusOK {
		t.Errorf("after none: status %d", got.status)
	}
}

func TestActFaultRefuses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for name, r := range map[string]request{
		"unknown platform":  {json: `{"platform":"myspace","fault":"429"}`},
		"unknown fault":     {json: `{"platform":"x","fault":"fire"}`},
		"of another":        {json: `{"platform":"x","fault":"false_200_error"}`},
		"step without it":   {json: `{"platform":"x","fault":"deny","at":"token"}`},
		"negative times":    {json: `{"platform":"x","fault":"deny","times":-1}`},
		"unknown field":     {json: `{"platform":"x","fault":"deny","forever":true}`},
		"no JSON":           {json: `deny`},
		"form, not JSON":    {form: url.Values{"platform": {"x"}, "fault": {"deny"}}},
		"JSON sent as text": {json: `{"platform":"x","fault":"deny"}`, header: map[string]string{"Content-Type": "text/plain"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r.method, r.url = "POST", "_act/fault"
			got := w.do(r)
			o := got.object(t)
			if got.status != http.StatusBadRequest || o["error"] == "" || o["platforms"] == nil || o["faults"] == nil {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
	if got := w.do(request{method: "GET", url: "_act/fault"}); got.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: status %d", got.status)
	}
}

func TestFaultAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, platform, fault string
		status                int
		contains              string
		header                string
	}{
		{"X rate limit", "x", "429", 429, `"title":"Too Many Requests"`, "X-Rate-Limit-Reset"},
		{"X bad gateway", "x", "500", 502, "<html", ""},
		{"X HTML", "x", "html", 200, "<html", ""},
		{"X expired token", "x", "expired_token", 401, `"title":"Unauthorized"`, ""},
		{"X wrong subject", "x", "wrong_subject", 200, "1790000000000000001", ""},
		{"Facebook rate limit", "facebook", "429", 400, `"code":4`, "X-App-Usage"},
		{"Facebook bad gateway", "facebook", "500", 502, "<html", ""},
		{"Facebook error with 200", "facebook", "false_200_error", 200, `"error":{`, ""},
		{"Facebook expired token", "facebook", "expired_token", 400, `"error_subcode":463`, ""},
		{"Facebook wrong subject", "facebook", "wrong_subject", 200, "102233445566779", ""},
		{"Bluesky rate limit", "bluesky", "429", 429, `"error":"RateLimitExceeded"`, "Retry-After"},
		{"Bluesky expired token", "bluesky", "expired_token", 400, `"error":"ExpiredToken"`, ""},
		{"Bluesky wrong subject", "bluesky", "wrong_subject", 200, "did:plc:erinsandboxaccount234abc", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			probe := w.probe(tt.platform)
			w.fault(tt.platform, tt.fault, "")
			got := probe()
			if got.status != tt.status || !strings.Contains(got.body, tt.contains) || tt.header != "" && got.header.Get(tt.header) == "" {
				t.Errorf("status %d, want %d, header %q: %s", got.status, tt.status, got.header.Get(tt.header), got.body)
			}
			if after := probe(); after.status != http.StatusOK || strings.Contains(after.body, tt.contains) {
				t.Errorf("the fault stays on: status %d: %s", after.status, after.body)
			}
		})
	}
}

// probe connects on a platform and returns a call that asks who it is.
func (w *world) probe(platform string) func() answer {
	w.t.Helper()
	switch platform {
	case "x":
		access := w.xConnect().text(w.t, "access_token")
		return func() answer { return w.xMe(access) }
	case "facebook":
		access := w.fbConnect("dana")
		return func() answer { return w.graph("me", access) }
	}
	access := w.login("ada.sandbox.test", "pds.sandbox.test").text(w.t, "accessJwt")
	return func() answer { return w.xrpc("pds.sandbox.test", "getSession", access) }
}

func TestFaultInvalidGrant(t *testing.T) {
	t.Parallel()
	w := setup(t)
	refresh := w.xConnect().text(t, "refresh_token")
	long := w.fbConnect("dana")
	jwt := w.login("ada.sandbox.test", "pds.sandbox.test").text(t, "refreshJwt")
	for _, platform := range []string{"x", "facebook", "bluesky"} {
		w.fault(platform, "invalid_grant", "")
	}
	if got := w.xRefresh(refresh); got.text(t, "error_description") != "Value passed for the token was invalid." {
		t.Errorf("X: status %d: %s", got.status, got.body)
	}
	if diff := cmp.Diff(graphError{400, 190, 460}, errorOf(t, w.fbExchange(long))); diff != "" {
		t.Errorf("Facebook (-want +got):\n%s", diff)
	}
	if got := w.xrpc("pds.sandbox.test", "refreshSession", jwt); got.text(t, "error") != "ExpiredToken" {
		t.Errorf("Bluesky: status %d: %s", got.status, got.body)
	}
	if got := w.xRefresh(refresh); got.status != http.StatusOK {
		t.Errorf("the token had not been used: status %d", got.status)
	}
}

func TestFaultDenyAndNarrowedScopes(t *testing.T) {
	t.Parallel()
	w := setup(t)
	form := url.Values{"decision": {"allow"}, "persona": {"bakery"}}
	w.fault("x", "deny", "")
	if got := callbackQuery(t, w.do(request{method: "POST", url: xAuthorize(), form: form})); got.Get("error") != "access_denied" {
		t.Errorf("callback %v", got)
	}
	w.fault("x", "narrowed_scopes", "")
	if got := w.xConnect().text(t, "scope"); got != "offline.access media.write users.read tweet.read" {
		t.Errorf("X scopes %q", got)
	}
	w.fault("facebook", "narrowed_scopes", "")
	short := w.fbShort("dana")
	if got := w.graph("me/permissions", short).body; !strings.Contains(got, `{"permission":"pages_manage_posts","status":"expired"}`) {
		t.Errorf("Facebook permissions %s", got)
	}
	if got := w.graph("me/permissions", w.fbShort("dana")).body; !strings.Contains(got, `{"permission":"pages_manage_posts","status":"granted"}`) {
		t.Errorf("after it %s", got)
	}
}

func TestFaultLostAnswer(t *testing.T) {
	t.Parallel()
	w := setup(t)
	refresh := w.xConnect().text(t, "refresh_token")
	w.fault("x", "lost_answer", "refresh")
	if got := w.xRefresh(refresh); got.err == nil {
		t.Fatalf("status %d, want a cut connection", got.status)
	}
	if got := w.xRefresh(refresh); got.status != http.StatusBadRequest {
		t.Errorf("the refresh had happened: status %d", got.status)
	}
}

func TestFaultBadJSON(t *testing.T) {
	t.Parallel()
	w := setup(t)
	probe := w.probe("x")
	w.fault("x", "bad_json", "")
	if got := probe(); got.status != http.StatusOK || json.Valid([]byte(got.body)) || !strings.HasPrefix(got.body, `{"data"`) {
		t.Errorf("status %d: %q", got.status, got.body)
	}
}

// TestFaultsThatWait runs without a network, so that the minute is no minute.
func TestFaultsThatWait(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]time.Duration{"hang": 0, "slow_body": 0, "hang, client leaves": 2 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, err := sandbox.New(sandbox.Options{})
				if err != nil {
					t.Fatal(err)
				}
				fault, _, _ := strings.Cut(name, ",")
				if err := s.SetFault(sandbox.Fault{Platform: "x", Fault: fault}); err != nil {
					t.Fatal(err)
				}
				ctx, want := t.Context(), time.Minute
				if leave > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, leave)
					defer cancel()
					want = leave
				}
				began := time.Now()
				rec := httptest.NewRecorder()
				s.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, "GET", "/api.x.com/2/users/me", http.NoBody))
				if got := time.Since(began); got != want {
					t.Errorf("it took %v, want %v", got, want)
				}
				if b, err := io.ReadAll(rec.Body); err != nil || fault == "slow_body" && !json.Valid(b) {
					t.Errorf("body %q, %v", b, err)
				}
			})
		})
	}
}

func TestFaultDebugToken(t *testing.T) {
	t.Parallel()
	w := setup(t)
	user := w.fbConnect("dana")
	w.fault("facebook", "expired_token", "inspect")
	got := w.graph("debug_token?input_token="+user, clientID+"|"+secret)
	if got.status != http.StatusOK || !strings.Contains(got.body, `"is_valid":false`) {
		t.Errorf("status %d: %s", got.status, got.body)
	}
}

func TestFaultAtOneStep(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.fault("x", "500", "refresh")
	w.fault("x", "429", "profile")
	tokens := w.xConnect()
	if got := w.xMe(tokens.text(t, "access_token")); got.status != http.StatusTooManyRequests {
		t.Errorf("profile: status %d, want 429", got.status)
	}
	if got := w.xRefresh(tokens.text(t, "refresh_token")); got.status != http.StatusBadGateway {
		t.Errorf("refresh: status %d, want 502", got.status)
	}
}
