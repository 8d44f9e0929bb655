package google_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/internal/google"
)

// What the token endpoint says to a refresh, and what it means.
func TestTokenErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		body   string
		class  connect.ErrorClass
		code   string
	}{
		"revoked or expired":        {400, `{"error":"invalid_grant","error_description":"Token has been expired or revoked."}`, connect.ClassReconnect, "invalid_grant"},
		"account deleted":           {400, `{"error":"invalid_grant","error_description":"Account has been deleted"}`, connect.ClassReconnect, "invalid_grant"},
		"session control":           {400, `{"error":"invalid_grant","error_subtype":"invalid_rapt"}`, connect.ClassReconnect, "invalid_grant/invalid_rapt"},
		"administrator":             {400, `{"error":"admin_policy_enforced"}`, connect.ClassReconnect, "admin_policy_enforced"},
		"administrator, access":     {403, `{"error":"access_denied"}`, connect.ClassReconnect, "access_denied"},
		"other organization":        {403, `{"error":"org_internal"}`, connect.ClassReconnect, "org_internal"},
		"unknown client":            {401, `{"error":"invalid_client","error_description":"The OAuth client was not found."}`, connect.ClassConfig, "invalid_client"},
		"deleted client":            {401, `{"error":"deleted_client"}`, connect.ClassConfig, "deleted_client"},
		"token of another client":   {401, `{"error":"unauthorized_client"}`, connect.ClassConfig, "unauthorized_client"},
		"anything else at 401":      {401, `{"error":"other"}`, connect.ClassConfig, "other"},
		"redirect URI":              {400, `{"error":"redirect_uri_mismatch"}`, connect.ClassConfig, "redirect_uri_mismatch"},
		"invalid request":           {400, `{"error":"invalid_request"}`, connect.ClassConfig, "invalid_request"},
		"grant type":                {400, `{"error":"unsupported_grant_type"}`, connect.ClassConfig, "unsupported_grant_type"},
		"scope":                     {400, `{"error":"invalid_scope"}`, connect.ClassConfig, "invalid_scope"},
		"rate limit":                {403, `{"error":"rate_limit_exceeded"}`, connect.ClassRetry, "rate_limit_exceeded"},
		"rate limit, 429":           {429, `{"error":"rate_limit_exceeded"}`, connect.ClassRetry, "rate_limit_exceeded"},
		"internal failure":          {500, `{"error":"internal_failure"}`, connect.ClassRetry, "internal_failure"},
		"a dead grant's name, 503":  {503, `{"error":"invalid_grant"}`, connect.ClassRetry, "invalid_grant"},
		"HTML":                      {400, `<html>`, connect.ClassRetry, ""},
		"HTML, 502":                 {502, `<html>`, connect.ClassUncertain, ""},
		"what it was sent, as code": {400, `{"error":"canary1x2y3"}`, connect.ClassRetry, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.answers[tokenPath] = answer{status: tt.status, body: tt.body}
			_, err := newLogin().Refresh(t.Context(), newEnv(f), held())
			wantFailure(t, err, tt.class, tt.code)
		})
	}
}

// apiErrors are Google's answers to a call, what they mean to a call of our
// own, and what Classify says of one of the host's; "": nothing.
var apiErrors = map[string]struct {
	status    int
	body      string
	own, host connect.ErrorClass
	code      string
}{
	"token over":            {401, problem(`"status":"UNAUTHENTICATED","errors":[{"reason":"authError"}]`), connect.ClassExpired, connect.ClassExpired, "authError"},
	"token over, newer":     {401, problem(`"status":"UNAUTHENTICATED","details":[{"reason":"ACCESS_TOKEN_EXPIRED"}]`), connect.ClassExpired, connect.ClassExpired, "ACCESS_TOKEN_EXPIRED"},
	"401 alone":             {401, `{}`, connect.ClassExpired, connect.ClassExpired, ""},
	"no channel":            {401, problem(`"errors":[{"reason":"youtubeSignupRequired"}]`), connect.ClassTargetLost, "", "youtubeSignupRequired"},
	"scope":                 {403, problem(`"status":"PERMISSION_DENIED","errors":[{"reason":"insufficientPermissions"}]`), connect.ClassScopeMissing, connect.ClassScopeMissing, "insufficientPermissions"},
	"scope, newer":          {403, problem(`"status":"PERMISSION_DENIED","details":[{"reason":"ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]`), connect.ClassScopeMissing, connect.ClassScopeMissing, "ACCESS_TOKEN_SCOPE_INSUFFICIENT"},
	"API disabled":          {403, problem(`"status":"PERMISSION_DENIED","details":[{"reason":"SERVICE_DISABLED"}]`), connect.ClassConfig, connect.ClassConfig, "SERVICE_DISABLED"},
	"API disabled, older":   {403, problem(`"errors":[{"reason":"accessNotConfigured"}]`), connect.ClassConfig, connect.ClassConfig, "accessNotConfigured"},
	"daily quota":           {403, problem(`"errors":[{"reason":"quotaExceeded"}]`), connect.ClassRetry, connect.ClassRetry, "quotaExceeded"},
	"daily limit":           {403, problem(`"errors":[{"reason":"dailyLimitExceeded"}]`), connect.ClassRetry, connect.ClassRetry, "dailyLimitExceeded"},
	"rate limit":            {403, problem(`"errors":[{"reason":"rateLimitExceeded"}]`), connect.ClassRetry, connect.ClassRetry, "rateLimitExceeded"},
	"rate limit of a user":  {403, problem(`"errors":[{"reason":"userRateLimitExceeded"}]`), connect.ClassRetry, connect.ClassRetry, "userRateLimitExceeded"},
	"rate limit, newer":     {429, problem(`"status":"RESOURCE_EXHAUSTED","details":[{"reason":"RATE_LIMIT_EXCEEDED","metadata":{"quota_limit_value":"300"}}]`), connect.ClassRetry, connect.ClassRetry, "RATE_LIMIT_EXCEEDED"},
	"a quota of 0":          {429, problem(`"status":"RESOURCE_EXHAUSTED","details":[{"reason":"RATE_LIMIT_EXCEEDED","metadata":{"quota_limit_value":"0"}}]`), connect.ClassConfig, connect.ClassConfig, "no_quota"},
	"delegation":            {403, problem(`"errors":[{"reason":"accountDelegationForbidden"}]`), connect.ClassRetry, "", "403"},
	"account closed":        {403, problem(`"errors":[{"reason":"authenticatedUserAccountClosed"}]`), connect.ClassReconnect, connect.ClassReconnect, "authenticatedUserAccountClosed"},
	"account suspended":     {403, problem(`"errors":[{"reason":"authenticatedUserAccountSuspended"}]`), connect.ClassSuspended, connect.ClassSuspended, ""}, // its name is longer than those that are kept
	"no right to one thing": {403, problem(`"status":"PERMISSION_DENIED"`), connect.ClassTargetLost, "", "PERMISSION_DENIED"},
	"one thing is gone":     {404, problem(`"status":"NOT_FOUND"`), connect.ClassTargetLost, "", "NOT_FOUND"},
	"page token":            {400, problem(`"status":"INVALID_ARGUMENT","errors":[{"reason":"invalidPageToken"}]`), connect.ClassRetry, "", "INVALID_ARGUMENT"},
	"unavailable":           {503, problem(`"status":"UNAVAILABLE"`), connect.ClassRetry, connect.ClassRetry, "UNAVAILABLE"},
	"closed, at 503":        {503, problem(`"errors":[{"reason":"authenticatedUserAccountClosed"}]`), connect.ClassRetry, connect.ClassRetry, "authenticatedUserAccountClosed"},
	"other types":           {400, problem(`"status":7,"errors":{},"details":"x"`), connect.ClassRetry, "", "403"},
	"HTML":                  {403, `<html>`, connect.ClassRetry, "", ""},
}

func problem(members string) string {
	return `{"error":{"code":403,"message":"canary prose",` + members + `}}`
}

func TestAPIErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range apiErrors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.answers[apiPath] = answer{status: tt.status, body: tt.body}
			var v struct{}
			err := google.Get(t.Context(), newEnv(f), held(), "https://"+apiPath, url.Values{"a": {"b c"}}, &v)
			wantFailure(t, err, tt.own, tt.code)
			class, known := newLogin().Classify(tt.status, http.Header{}, []byte(tt.body))
			if class != tt.host || known != (tt.host != "") {
				t.Errorf("of a call of the host's: %q, %t, want %q", class, known, tt.host)
			}
		})
	}
}

// A daily quota comes back at midnight in California.
func TestDailyQuotaWaits(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.answers[apiPath] = answer{status: 403, body: problem(`"errors":[{"reason":"quotaExceeded"}]`)}
	var v struct{}
	err := google.Get(t.Context(), newEnv(f), held(), "https://"+apiPath, nil, &v)
	if e, ok := errors.AsType[*connect.ProviderError](err); !ok || e.RetryAfter != 20*time.Hour { // from 04:00 there
		t.Errorf("%v, want a wait of 20 hours", err)
	}
}
