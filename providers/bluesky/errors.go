package bluesky

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/strictjson"
)

// maxRetryAfter bounds what a server may ask for. Bluesky's longest limit is
// for a day.
const maxRetryAfter = 24 * time.Hour

// Classify reads an answer of a PDS to an API call. A PDS says that a token is
// over with status 400, where other platforms say 401.
func (p *Provider) Classify(status int, _ http.Header, body []byte) (connect.ErrorClass, bool) {
	return class("", status, errorName(body))
}

// class returns what an answer means by the method that was called, "" for
// those of the API, which take the access token as getSession does, its status and the error that it names. It returns false
// where the answer says nothing about the session.
//
// Status and name count together: the API answers 400 AccountTakedown for the
// account of somebody else.
func class(method syntax.NSID, status int, name string) (connect.ErrorClass, bool) {
	switch {
	case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		return connect.ClassRetry, true
	case status == http.StatusForbidden && name == "AccountNotFound",
		status == http.StatusUnauthorized && name == "AccountTakedown":
		return connect.ClassReconnect, true
	case status == http.StatusUnauthorized && name == "AccountDeactivated":
		return connect.ClassRetry, true // its owner can activate it again
	case method == createSession:
		return connect.ClassRefused, refusesLogin(status, name)
	case isOver(status, name):
		if method == "" || method == getSession {
			return connect.ClassExpired, true
		}
		return connect.ClassReconnect, true
	}
	return "", false
}

// refusesLogin reports whether an answer of createSession is about what was
// typed: an XRPC error, whatever its name, and not a page of something in
// front of the PDS.
func refusesLogin(status int, name string) bool {
	return name != "" && (status == http.StatusUnauthorized || status == http.StatusBadRequest)
}

// isOver reports whether an answer says that the presented token is over. The
// reference PDS says so with 400, others with 401 as HTTP has it.
func isOver(status int, name string) bool {
	return (status == http.StatusBadRequest || status == http.StatusUnauthorized) &&
		(name == "ExpiredToken" || name == "InvalidToken")
}

// xrpcName is what the name of an error looks like. Security: a server must not
// get what it was sent, a password or a token, into our errors.
var xrpcName = regexp.MustCompile(`^[A-Za-z]{1,64}$`)

// errorName returns the error that an answer's body names, "" where it is not
// an XRPC error [https://atproto.com/specs/xrpc].
func errorName(body []byte) string {
	var e struct {
		Error string `json:"error"`
	}
	if strictjson.Decode(body, &e) != nil || !xrpcName.MatchString(e.Error) {
		return ""
	}
	return e.Error
}

// answered returns the error that an unsuccessful answer is.
func answered(method syntax.NSID, status int, header http.Header, body []byte, now time.Time) error {
	e := &connect.ProviderError{Status: status, Code: errorName(body)}
	var known bool
	if e.Class, known = class(method, status, e.Code); !known {
		e.Class = connect.ClassRetry
	}
	if method == refreshSession && status >= http.StatusInternalServerError && e.Code == "" {
		e.Class = connect.ClassUncertain // something before the PDS, which may have passed the request on
	}
	switch {
	case e.Class == connect.ClassRetry, e.Class == connect.ClassUncertain:
		e.RetryAfter = retryAfter(header, now)
	case e.Class == connect.ClassReconnect && method == createSession:
		e.Message = noSignIn
	}
	return e
}

// retryAfter returns how long the server wants to be left alone, zero where it
// does not say: Retry-After [RFC 9110 § 10.2.3], else RateLimit-Reset, which
// is a Unix time here.
func retryAfter(header http.Header, now time.Time) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return bounded(seconds)
	}
	if at, err := http.ParseTime(text); err == nil {
		return bounded(at.Unix() - now.Unix())
	}
	if at, err := strconv.ParseInt(header.Get("Ratelimit-Reset"), 10, 64); err == nil {
		return bounded(max(at, 0) - now.Unix())
	}
	return 0
}

func bounded(seconds int64) time.Duration {
	limit := int64(maxRetryAfter / time.Second)
	return time.Duration(min(max(seconds, 0), limit)) * time.Second
}

// refused returns the error for what a person typed, or for what it leads to.
// Neither code nor text may repeat it.
//
// Security: what [told] adds are facts that anybody can look up, of a handle, a
// DID or an account. That a password is wrong is no such fact and stays general.
func refused(code, text string) error {
	why := told[code]
	return &connect.ProviderError{
		Class: connect.ClassRefused, Code: code, Field: why.field, Message: why.message,
		Err: errors.New("bluesky: " + text),
	}
}

const noSignIn = "Bluesky does not let this account sign in."

// told is what a person is told of a refusal, by its code: which field, and why.
var told = map[string]struct{ field, message string }{
	"not_an_app_password": {fieldAppPassword, "This is not an app password, so nothing was sent. One has 19 characters, like abcd-efgh-ijkl-mnop."},
	"bad_identifier":      {fieldIdentifier, "This is neither a handle nor an e-mail address nor a DID."},
	"did_unsupported":     {fieldIdentifier, "This leads to a DID that is neither a did:plc nor a did:web of a host name."},
	"handle_not_found":    {fieldIdentifier, "There is no such handle."},
	"handle_ambiguous":    {fieldIdentifier, "The DNS of this handle names two accounts."},
	"handle_mismatch":     {fieldIdentifier, "The account that this handle leads to does not have it."},
	"did_not_found":       {fieldIdentifier, "There is no such account."},
	"pds_missing":         {fieldIdentifier, "This account has no server (PDS)."},
	"pds_refused":         {fieldIdentifier, "The server (PDS) of this account is not an https host name."},
	"bad_pds":             {fieldPDS, "This is not the host name of a server."},
	"pds_mismatch":        {fieldPDS, "The account is not at this server."},
	"account_inactive":    {"", noSignIn},
	"account_takendown":   {"", noSignIn},
	"account_suspended":   {"", noSignIn},
	"account_deactivated": {"", noSignIn},
}

// misconfigured returns the error for what the host set up.
func misconfigured(text string) error {
	return &connect.ProviderError{Class: connect.ClassConfig, Err: errors.New("bluesky: " + text)}
}

// failed returns the error for a call without an answer that changed nothing.
func failed(doing string, err error) error {
	return &connect.ProviderError{Class: connect.ClassRetry, Err: fmt.Errorf("bluesky: %s: %w", doing, cause(err))}
}

// uncertain returns the error for a refresh that may have been carried out.
func uncertain(err error) error {
	return &connect.ProviderError{Class: connect.ClassUncertain, Err: fmt.Errorf("bluesky: refreshing: %w", cause(err))}
}

// cause returns the innermost error of a call. Security: what wraps it, in
// indigo and in net/http, may name the host or the handle that a person typed.
func cause(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	for {
		inner := unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// unwrap returns the error that err wraps, the last where it wraps several.
func unwrap(err error) error {
	several, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return errors.Unwrap(err)
	}
	all := several.Unwrap()
	return all[len(all)-1]
}
