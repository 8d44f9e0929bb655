package google

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/internal/platformcall"
)

// codeNoQuota is our code for a project that Google has not let in: its quota is
// 0, so that it is told to slow down at its very first call.
const codeNoQuota = "no_quota"

// classifyToken reads an answer of the token endpoint. That a refresh token is
// dead looks the same whatever killed it, but for the policies of a Google
// Workspace. A wrong client secret is 401 there, so that status never means a
// person.
func classifyToken(f platformcall.Failure) connect.ProviderError {
	switch f.Code {
	case "invalid_grant":
		e := connect.ProviderError{Class: connect.ClassReconnect, Code: f.Code}
		if subtype := text(f, "error_subtype"); subtype != "" {
			e.Code += "/" + subtype // invalid_rapt: the Workspace wants a new sign-in
		}
		return e
	case "admin_policy_enforced", "access_denied", "org_internal": // the Workspace's administrator
		return connect.ProviderError{Class: connect.ClassReconnect}
	case "invalid_client", "deleted_client", "disabled_client", "unauthorized_client",
		"redirect_uri_mismatch", "invalid_request", "unsupported_grant_type", "invalid_scope":
		return connect.ProviderError{Class: connect.ClassConfig}
	}
	if f.Status == http.StatusUnauthorized {
		return connect.ProviderError{Class: connect.ClassConfig}
	}
	return connect.ProviderError{}
}

// classifyInfo reads an answer to a question about a token, or to its
// revocation. What is not known, or not any more, is an invalid token.
func classifyInfo(f platformcall.Failure) connect.ProviderError {
	if f.Code == "invalid_token" || f.Code == "invalid_grant" || f.Status == http.StatusUnauthorized {
		return connect.ProviderError{Class: connect.ClassExpired}
	}
	return connect.ProviderError{}
}

// Classify implements [connect.Classifier]. What Google says of one thing, a
// post or a location that is gone or forbidden, is the caller's: it says the
// same whether the caller asked for the wrong one or lost the right to it.
func (l Login) Classify(status int, header http.Header, body []byte) (connect.ErrorClass, bool) {
	f, failed := platformcall.ReadFailure(status, header, body)
	if !failed {
		return "", false
	}
	e := classifyAPI(f)
	switch {
	case e.Code == codeNoQuota:
		return e.Class, true
	case f.Passing():
		return connect.ClassRetry, true
	case e.Class == connect.ClassTargetLost:
		return "", false
	}
	return e.Class, e.Class != ""
}

// classifyCall is classifyAPI for a call of our own, with how long to wait.
func classifyCall(f platformcall.Failure, now time.Time) connect.ProviderError {
	e := classifyAPI(f)
	if e.Code == "quotaExceeded" || e.Code == "dailyLimitExceeded" {
		e.RetryAfter = untilMidnight(now)
	}
	return e
}

// apiError is the error of an API. YouTube names the reason in errors, the
// newer APIs in details; the status says least.
type apiError struct {
	Status string `json:"status"`
	Errors []struct {
		Reason string `json:"reason"`
	} `json:"errors"`
	Details []struct {
		Reason   string            `json:"reason"`
		Metadata map[string]string `json:"metadata"`
	} `json:"details"`
}

// reasons lists what the error names, the most telling first.
func (e apiError) reasons() []string {
	var reasons []string
	for _, detail := range e.Details {
		if detail.Metadata["quota_limit_value"] == "0" {
			reasons = append(reasons, codeNoQuota)
		}
		reasons = append(reasons, detail.Reason)
	}
	for _, one := range e.Errors {
		reasons = append(reasons, one.Reason)
	}
	return append(reasons, e.Status)
}

// classifyAPI reads an answer of an API. What is not in the table is left
// empty, and any other 401 is about the token.
func classifyAPI(f platformcall.Failure) connect.ProviderError {
	var e apiError
	_ = json.Unmarshal(f.Body["error"], &e) // what does not fit stays empty
	for _, reason := range e.reasons() {
		if class := classOf(reason); class != "" {
			return connect.ProviderError{Class: class, Code: reason}
		}
	}
	if f.Status == http.StatusUnauthorized {
		return connect.ProviderError{Class: connect.ClassExpired}
	}
	return connect.ProviderError{Code: e.Status}
}

// classOf is the table. Source: developers.google.com/youtube/v3/docs/errors,
// developers.google.com/my-business, google.rpc.ErrorReason.
func classOf(reason string) connect.ErrorClass {
	switch reason {
	case "authError", "ACCESS_TOKEN_EXPIRED":
		return connect.ClassExpired
	case "authenticatedUserAccountClosed":
		return connect.ClassReconnect
	case "authenticatedUserAccountSuspended":
		return connect.ClassSuspended
	case "insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
		return connect.ClassScopeMissing
	case "accessNotConfigured", "SERVICE_DISABLED", codeNoQuota:
		return connect.ClassConfig
	case "quotaExceeded", "dailyLimitExceeded", "rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED":
		return connect.ClassRetry
	case "youtubeSignupRequired", "channelNotFound", "PERMISSION_DENIED", "NOT_FOUND":
		return connect.ClassTargetLost
	}
	return ""
}

// untilMidnight is how long a daily quota stays used up: until midnight in
// California, in its winter time, which is the later one.
func untilMidnight(now time.Time) time.Duration {
	const winter = 8 * time.Hour
	local := now.UTC().Add(-winter)
	return local.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(local)
}

// text returns a string member of the answer's body.
func text(f platformcall.Failure, name string) string {
	var s string
	_ = json.Unmarshal(f.Body[name], &s) // absent, or no string: empty
	return s
}
