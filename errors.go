package connect

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Sentinels that cross the boundary between the engine and what a host or a
// plug-in supplies.
var (
	// ErrUnauthenticated is what [Config.Authenticate] must return for a
	// request that carries no valid session or key. Any other error means that
	// the question could not be answered, and the request fails with 503.
	ErrUnauthenticated = errors.New("connect: unauthenticated")

	// ErrNotFound is what a [Store] must return for a row that is absent, or
	// that belongs to another tenant: the two look the same.
	ErrNotFound = errors.New("connect: not found")

	// ErrConflict is what a [Store] must return when a row is not in the state
	// that the caller named: it lost a race.
	ErrConflict = errors.New("connect: conflict")

	// ErrStale is what a [Store] must return when a commit was built on a grant
	// or account that has changed since it was read. The caller reads again.
	ErrStale = errors.New("connect: stale")

	// ErrBusy is what a [Store] must return while a revocation of the same
	// subject is under way. The caller tries again later.
	ErrBusy = errors.New("connect: busy")

	// ErrTooMany is what a [Store] must return when a cap of [FlowCaps] is
	// reached.
	ErrTooMany = errors.New("connect: too many")

	// ErrNoToken is returned by [Connector.TokenSource] for an account that has
	// no bearer token of its own: one that a bot posts to, or one whose
	// requests are signed.
	ErrNoToken = errors.New("connect: the account has no bearer token")
)

// Code says what went wrong, for programs. The set is closed; the values are
// those of the HTTP surface and of the return URL.
type Code string

// The codes, in the order of their HTTP status.
const (
	CodeInvalidRequest     Code = "invalid_request"     // 400
	CodeUnauthenticated    Code = "unauthenticated"     // 401
	CodeForbidden          Code = "forbidden"           // 403
	CodeBindingMismatch    Code = "binding_mismatch"    // 403: another browser or user came back
	CodeNotFound           Code = "not_found"           // 404
	CodeUnknownPlatform    Code = "unknown_platform"    // 404
	CodeMethodNotAllowed   Code = "method_not_allowed"  // 405
	CodeConflict           Code = "conflict"            // 409
	CodeTokenExpired       Code = "token_expired"       // 409: Client, account status token_expired
	CodeReauthRequired     Code = "reauth_required"     // 409: Client, account status reauth_required
	CodeTargetLost         Code = "target_lost"         // 409: Client, account status target_lost
	CodeSuspended          Code = "suspended"           // 409: Client, account status suspended
	CodeDisconnected       Code = "disconnected"        // 409: Client, account status disconnected
	CodeExpired            Code = "expired"             // 410
	CodeUsed               Code = "used"                // 410
	CodeReturnURLRefused   Code = "return_url_refused"  // 422
	CodeCredentialsRefused Code = "credentials_refused" // 422
	CodeIdentityMismatch   Code = "identity_mismatch"   // 422
	CodeClientMismatch     Code = "client_mismatch"     // 422
	CodeScopeMissing       Code = "scope_missing"       // 422
	CodeNothingToConnect   Code = "nothing_to_connect"  // 422: consent was given, but there is nothing to choose
	CodeNotOffered         Code = "not_offered"         // 422: an id that the selection did not offer
	CodeAccessDenied       Code = "access_denied"       // 422: the person said no
	CodeUnsupported        Code = "unsupported"         // 422
	CodeRateLimited        Code = "rate_limited"        // 429
	CodePlatformError      Code = "platform_error"      // 502
	CodeUnavailable        Code = "unavailable"         // 503
)

// Error is the one error type of the engine. Its text holds no token, code,
// state, secret or platform text, so it may be logged; Message alone may be
// shown to a person.
type Error struct {
	Code       Code
	Op         string        // what was tried: "start", "callback", "finalize", …
	Message    string        // one sentence: what, where, the way out
	Platform   string        // empty when no platform is concerned
	Field      string        // the request field that is wrong
	AccountID  string        // the account that is concerned or in the way
	RetryAfter time.Duration // when trying again makes sense; zero: unknown
	Err        error         // the cause, for the host's log; may be nil
}

// Error implements error.
func (e *Error) Error() string {
	text := "connect: " + e.Op + ": " + string(e.Code)
	if e.Platform != "" {
		text += " (" + e.Platform + ")"
	}
	if e.Field != "" {
		text += ": " + e.Field
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of the [*Error] in err's tree. It returns
// [CodeUnavailable] for any other error and the empty code for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeUnavailable
}

// ErrorClass says what an answer of a platform means for the grant. A provider
// decides it by the answer's body; see [ProviderError].
type ErrorClass string

// The classes. A grant is only ever declared dead by ClassReconnect.
const (
	ClassReconnect    ErrorClass = "reconnect"     // the grant is dead: the user must consent again
	ClassExpired      ErrorClass = "expired"       // the access token is over: refresh, then repeat once
	ClassRetry        ErrorClass = "retry"         // later; nothing is wrong with the grant
	ClassConfig       ErrorClass = "config"        // the client is wrong: the host must act, no account is touched
	ClassTargetLost   ErrorClass = "target_lost"   // the grant lives, the Page or board is gone
	ClassScopeMissing ErrorClass = "scope_missing" // a permission is missing
	ClassDenied       ErrorClass = "denied"        // the person said no
	ClassRefused      ErrorClass = "refused"       // what the person typed was refused: a wrong app password
	ClassSuspended    ErrorClass = "suspended"     // the platform has blocked the account or the client: not the user's to mend
	ClassUncertain    ErrorClass = "uncertain"     // the request may have been carried out; the answer is lost
)

// ProviderError means that the platform said so, or that asking it failed.
// Providers return it; the engine acts on its Class.
//
// Code is the platform's own error code; the error's text shows it only where
// it is short printable ASCII. The platform's prose is never kept: it may
// repeat what was sent.
type ProviderError struct {
	Class      ErrorClass
	Status     int           // HTTP status; 0 where there was no answer
	Code       string        // "invalid_grant", "190/460", …
	RetryAfter time.Duration // how long to wait, for ClassRetry; 0: unknown
	Err        error         // the cause where there was no answer; already redacted

	// Field and Message may tell more of a login that was refused, for
	// ClassRefused and ClassReconnect: the [Field].Name that is wrong, and one
	// sentence for the person. The sentence must be fixed text of the provider's
	// own, which repeats neither what was typed nor what the platform wrote. Both
	// may be empty; elsewhere they have no effect.
	Field, Message string
}

// Error implements error.
func (e *ProviderError) Error() string {
	text := "platform: " + string(e.Class)
	if e.Status != 0 {
		text += fmt.Sprintf(", HTTP %d", e.Status)
	}
	if code := printable(e.Code); code != "" {
		text += ", " + code
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *ProviderError) Unwrap() error { return e.Err }

// codeShape is what error codes look like: words and numbers with something
// between them, as in "invalid_grant", "190/460" and "InvalidToken".
var codeShape = regexp.MustCompile(`^(?:[A-Za-z]{1,32}|[0-9]{1,10})(?:[_./-](?:[A-Za-z]{1,32}|[0-9]{1,10}))*$`)

// printable returns code where it looks like an error code, so that a hostile
// server can neither write into our logs nor, in most cases, put there what it
// was sent: hardly a token has no letter beside a digit.
func printable(code string) string {
	if len(code) > 64 || !codeShape.MatchString(code) {
		return ""
	}
	return code
}

// isCanceled reports whether a caller gave up.
func isCanceled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// classOf returns the class of the [*ProviderError] in err's tree; any other
// error is [ClassRetry], because a grant must never die of a network error.
func classOf(err error) ErrorClass {
	if e, ok := errors.AsType[*ProviderError](err); ok {
		return e.Class
	}
	return ClassRetry
}
