package linkedin

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/internal/platformcall"
)

// errVersion says what LinkedIn's own code does not.
var errVersion = errors.New("LinkedIn does not serve this LinkedIn-Version any more; set linkedin.Options.Version to a newer one")

// The codes under which this provider reports LinkedIn's invalid_request, which
// stands for several errors that only the prose tells apart.
const (
	codeDeadToken = "invalid_request/token"
	codeDeadCode  = "invalid_request/code"
)

// classifyToken reads an answer of the authorization server.
//
// A code that does not fit its request is under LinkedIn's one sentence for a
// wrong redirect URI, a wrong app and a code that is too old. The first two it
// has refused before the person came back, so it is the last.
func classifyToken(f platformcall.Failure) connect.ProviderError {
	request := f.Code == "invalid_request"
	switch {
	case f.Code == "invalid_grant":
		return connect.ProviderError{Class: connect.ClassReconnect}
	case request && f.Says("authorization grant or refresh token is invalid"):
		return connect.ProviderError{Class: connect.ClassReconnect, Code: codeDeadToken}
	case request && f.Says("authorization code not found"):
		return connect.ProviderError{Class: connect.ClassReconnect, Code: codeDeadCode}
	case f.Code == "invalid_redirect_uri" && f.Says("does not match authorization code"):
		return connect.ProviderError{Class: connect.ClassReconnect}
	case f.Code == "invalid_redirect_uri", f.Code == "invalid_client", f.Code == "unauthorized_client", f.Code == "unsupported_grant_type":
		return connect.ProviderError{Class: connect.ClassConfig}
	case f.Status == http.StatusUnauthorized: // introspection says of a wrong secret no more
		return connect.ProviderError{Class: connect.ClassConfig}
	}
	return connect.ProviderError{}
}

// classifyInspect reads an answer of the introspection and revocation
// endpoints, where a token that is unknown is 400, as is a wrong client id.
func classifyInspect(f platformcall.Failure) connect.ProviderError {
	e := classifyToken(f)
	if e.Class == "" && f.Status == http.StatusBadRequest {
		e.Class = connect.ClassRefused
	}
	return e
}

// alreadyDead reports whether err says that a token to be revoked is unknown.
func alreadyDead(err error) bool {
	e, ok := errors.AsType[*connect.ProviderError](err)
	return ok && (e.Class == connect.ClassRefused || e.Class == connect.ClassReconnect)
}

// classifyAPI reads an error of LinkedIn's API.
//
// A plain 403 says nothing about the grant: LinkedIn answers a missing product
// of the app, a missing scope and a role that the member lacks in the same
// words.
func classifyAPI(f platformcall.Failure) connect.ProviderError {
	e := connect.ProviderError{Code: f.Member("code")}
	number := f.Member("serviceErrorCode")
	switch {
	case f.Status == http.StatusUpgradeRequired, e.Code == "NONEXISTENT_VERSION", e.Code == "VERSION_MISSING":
		e.Class, e.Err = connect.ClassConfig, errVersion
	case says(f, "organization permissions must be used"):
		e.Class = connect.ClassScopeMissing
	case f.Status != http.StatusUnauthorized, number == "401": // the latter: no token was sent
	case e.Code == "REVOKED_ACCESS_TOKEN", number == "65601":
		e.Class = connect.ClassReconnect
	default:
		e.Class = connect.ClassExpired
	}
	return e
}

// says reports whether the prose of an error of the API contains phrase.
func says(f platformcall.Failure, phrase string) bool {
	return strings.Contains(strings.ToLower(f.Member("message")), phrase)
}

// ofOwn returns how to read an answer to a call of the provider's own: it asks
// for nothing beyond what was granted, so that 403 means a scope. The daily
// limits of an app and of a member end at midnight UTC, and LinkedIn sends no
// Retry-After.
func ofOwn(env connect.Env) platformcall.Classify {
	return func(f platformcall.Failure) connect.ProviderError {
		e := classifyAPI(f)
		switch {
		case e.Class == "" && f.Status == http.StatusForbidden:
			e.Class = connect.ClassScopeMissing
		case f.Status == http.StatusTooManyRequests && says(f, " day limit"):
			now := env.Now()
			e.RetryAfter = now.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now)
		}
		return e
	}
}

// Classify implements [connect.Classifier].
func (p *Provider) Classify(status int, header http.Header, body []byte) (connect.ErrorClass, bool) {
	f, failed := platformcall.ReadFailure(status, header, body)
	if !failed {
		return "", false
	}
	if f.Passing() {
		return connect.ClassRetry, true
	}
	class := classifyAPI(f).Class
	return class, class != ""
}
