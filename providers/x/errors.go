package x

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/internal/platformcall"
)

const rateWindow = 15 * time.Minute

// The codes under which this provider reports X's invalid_request, which
// stands for several errors that only the prose tells apart.
const (
	codeDeadToken    = "invalid_request/token"
	codeDeadCode     = "invalid_request/code"
	codeWrongPKCE    = "invalid_request/code_verifier"
	codeWrongAddress = "invalid_request/redirect_uri"
)

// prose maps what X's descriptions begin with. A verifier that does not match
// is no fault of the host: it is what a stolen code looks like.
var prose = []struct {
	phrase string
	is     connect.ProviderError
}{
	{"value passed for the token was invalid", connect.ProviderError{Class: connect.ClassReconnect, Code: codeDeadToken}},
	{"value passed for the authorization code was invalid", connect.ProviderError{Class: connect.ClassReconnect, Code: codeDeadCode}},
	{"value passed for the code verifier did not match", connect.ProviderError{Class: connect.ClassReconnect, Code: codeWrongPKCE}},
	{"value passed for the redirect uri did not match", connect.ProviderError{Class: connect.ClassConfig, Code: codeWrongAddress}},
}

// resetAt returns how long X wants to be left alone (x-rate-limit-reset, in
// seconds since 1970), at most its window of 15 minutes.
func resetAt(f platformcall.Failure, now time.Time) time.Duration {
	seconds, err := strconv.ParseInt(f.Header.Get("X-Rate-Limit-Reset"), 10, 64)
	if err != nil || f.Status != http.StatusTooManyRequests {
		return 0
	}
	return min(max(time.Unix(seconds, 0).Sub(now), 0), rateWindow)
}

// waiting returns classify with the wait that a rate limit asks for.
func waiting(env connect.Env, classify platformcall.Classify) platformcall.Classify {
	return func(f platformcall.Failure) connect.ProviderError {
		e := classify(f)
		e.RetryAfter = resetAt(f, env.Now())
		return e
	}
}

// classifyToken reads an answer of the token or revocation endpoint. A wrong
// client secret is 401 there, so that status never means a person.
func classifyToken(f platformcall.Failure) connect.ProviderError {
	if f.Status == http.StatusUnauthorized {
		return connect.ProviderError{Class: connect.ClassConfig}
	}
	switch f.Code {
	case "invalid_grant":
		return connect.ProviderError{Class: connect.ClassReconnect}
	case "unauthorized_client", "invalid_client", "unsupported_grant_type":
		return connect.ProviderError{Class: connect.ClassConfig}
	case "invalid_request":
		for _, p := range prose {
			if f.Says(p.phrase) {
				return p.is
			}
		}
	}
	return connect.ProviderError{}
}

// alreadyDead reports whether err says that a token to be revoked is unknown.
func alreadyDead(err error) bool {
	e, ok := errors.AsType[*connect.ProviderError](err)
	return ok && e.Class == connect.ClassReconnect
}

// Classify implements [connect.Classifier]: it reads X's problem objects.
//
// A plain 403 says nothing about the grant: X answers a duplicate post and a
// missing scope in the same words.
func (p *Provider) Classify(status int, header http.Header, body []byte) (connect.ErrorClass, bool) {
	f, failed := platformcall.ReadFailure(status, header, body)
	if !failed {
		return "", false
	}
	if f.Passing() {
		return connect.ClassRetry, true
	}
	e := classifyProblem(f)
	return e.Class, e.Class != ""
}

func classifyProblem(f platformcall.Failure) connect.ProviderError {
	problem := f.Member("type")
	problem = problem[strings.LastIndex(problem, "/")+1:]
	switch {
	case f.Status == http.StatusUnauthorized, problem == "unsupported-authentication":
		return connect.ProviderError{Class: connect.ClassExpired, Code: problem}
	case f.Member("title") == "CreditsDepleted":
		return connect.ProviderError{Class: connect.ClassConfig, Code: "CreditsDepleted"}
	case problem == "client-forbidden":
		return connect.ProviderError{Class: connect.ClassConfig, Code: problem}
	}
	return connect.ProviderError{}
}

// classifyCall reads an answer to the provider's own call with a token that is
// seconds old: 403 can then only mean that a scope is missing.
func classifyCall(f platformcall.Failure) connect.ProviderError {
	e := classifyProblem(f)
	if e.Class == "" && f.Status == http.StatusForbidden {
		e.Class = connect.ClassScopeMissing
	}
	return e
}
