package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
)

// What a caller may want to tell apart, with errors.Is.
var (
	// ErrBlockedAddress means that a connection would have left the public internet, or port 443.
	ErrBlockedAddress = errors.New("address is not allowed")
	// ErrInsecureScheme means that a URL was not https.
	ErrInsecureScheme = errors.New("scheme is not https")
	// ErrBodyTooLarge means that an answer is longer than the limit. Reading its body ends with this error.
	ErrBodyTooLarge = errors.New("answer is too large")
	// ErrUnexpectedRedirect means that the server answered with a redirect, or one too many.
	ErrUnexpectedRedirect = errors.New("unexpected redirect")
)

var (
	errRequest     = errors.New("request is not allowed")
	errCredentials = errors.New("credentials on a call that follows redirects")
	errUserinfo    = errors.New("user name or password in the URL")
	errEncoded     = errors.New("answer has a content coding that was not asked for")
	errUpgrade     = errors.New("answer switches protocols")
	errLookup      = errors.New("name lookup failed")
	errCertificate = errors.New("certificate is not trusted")
	errTLS         = errors.New("TLS handshake failed")
	errBroken      = errors.New("connection or answer is broken")
)

// callError is every error of this package's transports. It holds nothing that the request carried or the
// server sent: method, host, and a cause from a closed set.
type callError struct {
	method, host string
	cause        error
	notSent      bool
}

// Error returns the method, the host and the cause. The path is left out: some platforms want a token in it.
func (e *callError) Error() string {
	return fmt.Sprintf("outbound: %s %.255q: %v", e.method, e.host, e.cause)
}

// Unwrap returns the cause: an error of this package, of package context, io.ErrUnexpectedEOF or a syscall.Errno.
func (e *callError) Unwrap() error { return e.cause }

// Timeout reports whether a deadline passed, for callers that ask a [net.Error].
func (e *callError) Timeout() bool { return errors.Is(e.cause, context.DeadlineExceeded) }

// NotSent reports whether it is certain that no byte of the request left: the name was not found, no connection
// was made, the handshake failed, or the request was refused before. False means unknown.
func NotSent(err error) bool {
	e, ok := errors.AsType[*callError](err)
	return ok && e.notSent
}

// Redact returns err without the URL that [http.Client] put into it. Of a *url.Error in err's chain only the
// method, the host and the cause remain; text that was written before it is kept. The result matches what err
// matched with errors.Is, and does not lead back to err otherwise. An error without a *url.Error is returned as it is.
func Redact(err error) error {
	u, ok := errors.AsType[*url.Error](err)
	if !ok {
		return err
	}
	clean := fromURLError(u)
	prefix, ok := strings.CutSuffix(err.Error(), u.Error())
	// Whoever wrapped the error may have written the URL once more.
	if !ok || strings.Contains(prefix, "://") {
		prefix = ""
	}
	return &redacted{prefix: prefix, callError: clean, original: err}
}

// redacted is a callError with what was written before it.
type redacted struct {
	*callError

	prefix   string
	original error // for Is only
}

// Error returns the text without any URL.
func (e *redacted) Error() string { return e.prefix + e.callError.Error() }

// Unwrap returns the error without the URL.
func (e *redacted) Unwrap() error { return e.callError }

// Is reports whether the error that was redacted matches target.
func (e *redacted) Is(target error) bool { return errors.Is(e.original, target) }

func fromURLError(u *url.Error) *callError {
	if e, ok := errors.AsType[*callError](u.Err); ok {
		return e
	}
	clean := &callError{method: strings.ToUpper(u.Op), cause: ownCause(u.Err)}
	if clean.cause == nil {
		clean.cause = networkCause(u.Err)
	}
	if parsed, err := url.Parse(u.URL); err == nil {
		clean.host = parsed.Host
	}
	return clean
}

// ownCause returns the error of this package or of package context that err matches, or nil.
func ownCause(err error) error {
	for _, own := range []error{
		ErrBlockedAddress, ErrInsecureScheme, ErrBodyTooLarge, ErrUnexpectedRedirect,
		errRequest, errCredentials, errUserinfo, errEncoded, errUpgrade,
		context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, own) {
			return own
		}
	}
	return nil
}

// networkCause maps err to an error whose text is known. Security: net/http quotes malformed answers, and a DNS
// or certificate error quotes names that the other side chose.
func networkCause(err error) error {
	var (
		network     net.Error
		lookup      *net.DNSError
		certificate *tls.CertificateVerificationError
		alert       tls.AlertError
		record      tls.RecordHeaderError
		errno       syscall.Errno
	)
	switch {
	case errors.As(err, &network) && network.Timeout():
		return context.DeadlineExceeded
	case errors.As(err, &lookup):
		return errLookup
	case errors.As(err, &certificate):
		return errCertificate
	case errors.As(err, &alert), errors.As(err, &record):
		return errTLS
	case errors.As(err, &errno):
		return errno
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	}
	return errBroken
}
