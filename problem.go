package connect

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed944197df/connect/internal/strictjson"
)

// statuses are the HTTP statuses of the codes.
var statuses = map[Code]int{
	CodeInvalidRequest:     http.StatusBadRequest,
	CodeUnauthenticated:    http.StatusUnauthorized,
	CodeForbidden:          http.StatusForbidden,
	CodeBindingMismatch:    http.StatusForbidden,
	CodeNotFound:           http.StatusNotFound,
	CodeUnknownPlatform:    http.StatusNotFound,
	CodeMethodNotAllowed:   http.StatusMethodNotAllowed,
	CodeConflict:           http.StatusConflict,
	CodeTokenExpired:       http.StatusConflict,
	CodeReauthRequired:     http.StatusConflict,
	CodeTargetLost:         http.StatusConflict,
	CodeSuspended:          http.StatusConflict,
	CodeDisconnected:       http.StatusConflict,
	CodeExpired:            http.StatusGone,
	CodeUsed:               http.StatusGone,
	CodeReturnURLRefused:   http.StatusUnprocessableEntity,
	CodeCredentialsRefused: http.StatusUnprocessableEntity,
	CodeIdentityMismatch:   http.StatusUnprocessableEntity,
	CodeClientMismatch:     http.StatusUnprocessableEntity,
	CodeScopeMissing:       http.StatusUnprocessableEntity,
	CodeNothingToConnect:   http.StatusUnprocessableEntity,
	CodeNotOffered:         http.StatusUnprocessableEntity,
	CodeAccessDenied:       http.StatusUnprocessableEntity,
	CodeUnsupported:        http.StatusUnprocessableEntity,
	CodeRateLimited:        http.StatusTooManyRequests,
	CodePlatformError:      http.StatusBadGateway,
	CodeUnavailable:        http.StatusServiceUnavailable,
}

// problem is an error as RFC 9457 writes it.
type problem struct {
	Type       string `json:"type"`
	Title      string `json:"title"`
	Status     int    `json:"status"`
	Detail     string `json:"detail,omitempty"`
	Code       Code   `json:"code"`
	Platform   string `json:"platform,omitempty"`
	Field      string `json:"field,omitempty"`
	AccountID  string `json:"account_id,omitempty"`
	RetryAfter int    `json:"retry_after,omitempty"`
}

// asError returns the [*Error] in err's tree, or one that says only that
// something is wrong with us.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: CodeUnavailable, Op: "request", Message: "This is not available right now. Try again in a moment.", RetryAfter: 2 * time.Second, Err: err}
}

// httpStatus returns the status of an error, sets its headers and logs it.
func (c *Connector) httpStatus(w http.ResponseWriter, r *http.Request, e *Error) int {
	status := statuses[e.Code]
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(e.RetryAfter.Seconds()))))
	}
	level := slog.LevelDebug
	if status >= http.StatusInternalServerError && !isCanceled(e) {
		level = slog.LevelError
	}
	c.cfg.Logger.Log(r.Context(), level, "a request failed", "op", e.Op, "route", r.Pattern, "error", e)
	return status
}

// fails answers with a problem. Only our own fixed sentences leave.
func (c *Connector) fails(w http.ResponseWriter, r *http.Request, err error) {
	e := asError(err)
	status := c.httpStatus(w, r, e)
	w.Header().Set("Content-Type", "application/problem+json")
	writeJSON(w, status, problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: e.Message,
		Code: e.Code, Platform: e.Platform, Field: e.Field, AccountID: e.AccountID, RetryAfter: int(e.RetryAfter.Seconds()),
	})
}

// writeJSON answers with v. Every answer is for one reader at one time.
func writeJSON(w http.ResponseWriter, status int, v any) {
	header := w.Header()
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json")
	}
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v) //nolint:errchkjson // the client may be gone
}

const maxBody = 64 << 10

// readJSON reads a request body strictly. An absent body is an empty object.
//
// Security: a form cannot be sent as JSON, so that the type is one more thing
// that a foreign page cannot do without asking first (CORS).
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return invalid("request", "", "The body is longer than 64 KiB, or it broke off.")
	}
	if len(body) == 0 {
		return nil
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return invalid("request", "Content-Type", "The body must be sent as application/json.")
	}
	err = strictjson.Err
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		err = strictjson.DecodeKnown(body, v)
	}
	wrong, readable := errors.AsType[*strictjson.KeyError](err)
	switch {
	case err == nil:
		return nil
	case !readable:
		return invalid("request", "", "The body must be one well-formed JSON object that names each field once.")
	case wrong.Key != "":
		return invalid("request", wrong.Key, "The value is of another JSON type than this field has.")
	default:
		return invalid("request", "", unknownName("body", "fields", wrong.Known))
	}
}

// unknownName lists the names that there are.
//
// Security: it never repeats the one that was sent, which may be a password.
func unknownName(where, what string, known []string) string {
	if len(known) == 0 {
		return "The " + where + " names something that does not exist here: there are no " + what + "."
	}
	return "The " + where + " names something that does not exist here; the " + what + " are: " + strings.Join(known, ", ") + "."
}
