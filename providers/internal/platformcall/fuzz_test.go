package platformcall

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/strictjson"
)

var fuzzNow = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

type answering struct {
	status     int
	retryAfter string
	body       string
}

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	header := http.Header{"Retry-After": {a.retryAfter}}
	return &http.Response{StatusCode: a.status, Header: header, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

func (a answering) env() connect.Env {
	return connect.Env{HTTP: &http.Client{Transport: a}, Now: func() time.Time { return fuzzNow }}
}

func classifyGrant(f Failure) connect.ProviderError {
	if f.Code == "invalid_grant" {
		return connect.ProviderError{Class: connect.ClassReconnect}
	}
	return connect.ProviderError{}
}

// FuzzTokenAnswer: whatever a token endpoint answers is either tokens that can
// be used, as the body has them, or an error of a class, which repeats nothing.
func FuzzTokenAnswer(f *testing.F) {
	f.Add(200, "", `{"access_token":"a.b~c","refresh_token":"r|s","token_type":"Bearer","expires_in":7200,"refresh_expires_in":"86400","scope":"read write","open_id":"_0"}`, true, false)
	f.Add(201, "", `{"access_token":"a","expires_in":3.6e3,"refresh_token":null,"error":null}`, false, true)
	f.Add(200, "", `{"access_token":"a\u000d\nX: y","token_type":"bearer"}`, true, false)
	f.Add(200, "", `{"access_token":"a","refresh_token":"\u007f","token_type":"bearer"}`, true, false)
	f.Add(200, "", `{"access_token":"a","token_type":"bearer","expires_in":-1}`, true, false)
	f.Add(200, "", `{"access_token":"a","token_type":"bearer","refresh_token_expires_in":"315360001"}`, true, false)
	f.Add(200, "", `{"access_token":"a","token_type":"mac"}`, true, true)
	f.Add(200, "", `{"access_token":"a","Access_Token":"b","token_type":"bearer"}`, true, false)
	f.Add(400, "", `{"error":"invalid_grant","error_description":"prose"}`, true, false)
	f.Add(400, "", `{"error":{"code":190,"error_subcode":460,"message":"prose"}}`, true, false)
	f.Add(200, "", `{"access_token":"a","token_type":"bearer","error":"temporarily_unavailable"}`, true, false)
	f.Add(429, "120", `{"error":"invalid_grant"}`, false, false)
	f.Add(503, "Fri, 20 Nov 2026 12:00:30 GMT", `<html>prose`, true, false)
	f.Add(504, "1e999", ``, true, false)
	f.Add(307, "-1", ``, true, false)
	f.Fuzz(func(t *testing.T, status int, retryAfter, body string, once, optional bool) {
		a := answering{status, retryAfter, body}
		req := Request{URL: "https://api.example/token", Form: url.Values{"code": {"c"}}, OneTime: once, TypeOptional: optional, Classify: classifyGrant}
		tokens, err := Post(t.Context(), a.env(), req)
		if err == nil {
			a.wantTokens(t, tokens, optional)
		} else {
			a.wantFailure(t, err, once)
		}
		var v map[string]json.RawMessage
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := Call(a.env(), r, classifyGrant, &v); err != nil {
			a.wantFailure(t, err, false)
		} else if want := a.object(t); !cmp.Equal(want, v) {
			t.Errorf("%q is read as %q", body, v)
		}
	})
}

// object is the body of a success, as encoding/json reads it.
func (a answering) object(t *testing.T) map[string]json.RawMessage {
	t.Helper()
	var object map[string]json.RawMessage
	err := json.Unmarshal([]byte(a.body), &object)
	if raw, named := object["error"]; err != nil || a.status < 200 || a.status > 299 || named && string(raw) != "null" {
		t.Errorf("%d %q is a success: %v", a.status, a.body, err)
	}
	return object
}

// wantTokens compares an answer with the members of the body.
func (a answering) wantTokens(t *testing.T, tokens *Answer, optional bool) {
	t.Helper()
	object := a.object(t)
	text := func(name string) (s string) {
		if err := json.Unmarshal(object[name], &s); err != nil && len(object[name]) > 0 {
			t.Errorf("%q is a success: %v", a.body, err)
		}
		return s
	}
	access, refresh, scope, kind := text("access_token"), text("refresh_token"), text("scope"), text("token_type")
	if tokens.Access.Reveal() != access || tokens.Refresh.Reveal() != refresh || tokens.Scope != nil && *tokens.Scope != scope {
		t.Errorf("%q is read as other tokens or another scope", a.body)
	}
	unfit := func(r rune) bool { return r < ' ' || r > '~' }
	if access == "" || strings.ContainsFunc(access+refresh, unfit) || len(access) > 16<<10 || len(refresh) > 16<<10 {
		t.Errorf("%q holds no token that a header can carry", a.body)
	}
	if said := len(object["token_type"]) > 0 && string(object["token_type"]) != "null"; said != strings.EqualFold(kind, "bearer") || !said && !optional {
		t.Errorf("%q is no bearer token", a.body)
	}
	for _, at := range []*time.Time{tokens.AccessExpiry, tokens.RefreshExpiry} {
		if at != nil && (at.Before(fuzzNow) || at.After(fuzzNow.AddDate(10, 0, 1))) {
			t.Errorf("%q ends at %v", a.body, at)
		}
	}
	for _, ours := range []string{"access_token", "refresh_token", "token_type", "scope", "expires_in", "refresh_expires_in", "refresh_token_expires_in"} {
		delete(object, ours)
	}
	if diff := cmp.Diff(object, tokens.Fields); diff != "" {
		t.Errorf("%q: other fields:\n%s", a.body, diff)
	}
}

var (
	codeText  = regexp.MustCompile(`^[A-Za-z0-9_./-]{0,64}$`)
	tokenLike = regexp.MustCompile(`[A-Za-z][0-9]|[0-9][A-Za-z]`)
)

// wantFailure checks an error: its class fits the answer, and its words are
// ours.
func (a answering) wantFailure(t *testing.T, err error, once bool) {
	t.Helper()
	e, ok := errors.AsType[*connect.ProviderError](err)
	if !ok {
		t.Fatalf("the error is %v", err)
	}
	passing := a.status == 408 || a.status == 429 || a.status >= 500
	switch e.Class {
	case connect.ClassRetry:
	case connect.ClassUncertain:
		ok = once && (!passing || a.status == 504 || a.status >= 500 && e.Code == "")
	case connect.ClassReconnect:
		ok = !passing && e.Code == "invalid_grant"
	default:
		ok = false
	}
	if !ok || e.RetryAfter < 0 || e.RetryAfter > 24*time.Hour {
		t.Errorf("%d %q, %q is class %q, wait %v", a.status, a.body, a.retryAfter, e.Class, e.RetryAfter)
	}
	if seconds, err := strconv.ParseUint(a.retryAfter, 10, 16); err == nil && e.Code != "" && e.RetryAfter != min(time.Duration(seconds)*time.Second, 24*time.Hour) {
		t.Errorf("Retry-After %q is %v", a.retryAfter, e.RetryAfter)
	}
	if !codeText.MatchString(e.Code) || tokenLike.MatchString(e.Code) {
		t.Errorf("the code is %q", e.Code)
	}
	for _, cause := range causes(e.Err) {
		if !slices.Contains([]error{errToken, errLifetime, errTokenType, errBody, strictjson.Err}, cause) {
			t.Errorf("the cause is %v", cause)
		}
	}
}

// causes takes apart what errors.Join has joined.
func causes(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
