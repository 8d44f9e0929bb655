package platformcall

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/strictjson"
)

// Failure is a platform's answer that is no success.
type Failure struct {
	Status int
	Header http.Header
	// Code is the error's name or number. Of an error object it is the member
	// code, with "/" and error_subcode where there is one: "190/460".
	Code string
	// Text is the prose beside it. It is for telling errors apart and must not
	// be kept: it may repeat what was sent.
	Text string
	Body map[string]json.RawMessage // nil where the body is no JSON object
}

// Classify says what a failure means. What it leaves empty is filled in: Class
// with [connect.ClassRetry], Code with the failure's, RetryAfter with the
// header of that name, and Status always.
//
// Its class does not count where no platform means the grant: 408, 429, 5xx
// and bodies that are no JSON object are [connect.ClassRetry]. A body that is
// none under 401 is the exception, for some platforms say nothing more.
type Classify func(Failure) connect.ProviderError

// ReadFailure reads a platform's answer. It returns false where the answer is
// a success: 2xx without an error in the body.
func ReadFailure(status int, header http.Header, body []byte) (Failure, bool) {
	f := Failure{Status: status, Header: header}
	if strictjson.Decode(body, &f.Body) != nil {
		f.Body = nil
	}
	named := readError(&f)
	return f, named || status < 200 || status > 299
}

// readError reads the member error, which is a string (RFC 6749 § 5.2), a
// number or an object. It reports whether there is an error.
func readError(f *Failure) bool {
	raw, ok := f.Body["error"]
	if !ok || string(raw) == "null" {
		return false
	}
	f.Text = plain(f.Body["error_description"])
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		f.Code = plain(raw)
		return true
	}
	f.Code = plain(object["code"])
	f.Text = plain(object["message"])
	if sub := plain(object["error_subcode"]); sub != "" && sub != "0" {
		f.Code += "/" + sub
	}
	return true
}

// plain returns the value of a string or the digits of a number, and nothing
// for any other JSON value.
func plain(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		return n.String()
	}
	return ""
}

// Member returns a member of the answer's body: a string, the digits of a
// number, or nothing for any other JSON value.
func (f Failure) Member(name string) string { return plain(f.Body[name]) }

// Says reports whether the prose contains phrase, ignoring case.
func (f Failure) Says(phrase string) bool {
	return strings.Contains(strings.ToLower(f.Text), strings.ToLower(phrase))
}

// codeShape is what error codes look like.
//
// Security: a platform must not get what it was sent into our errors, and
// hardly a token has no letter beside a digit.
var codeShape = regexp.MustCompile(`^(?:[A-Za-z]{1,32}|[0-9]{1,10})(?:[_./-](?:[A-Za-z]{1,32}|[0-9]{1,10}))*$`)

// providerError returns the error for f.
func (f Failure) providerError(classify Classify, now time.Time) *connect.ProviderError {
	var e connect.ProviderError
	if classify != nil {
		e = classify(f)
	}
	e.Status = f.Status
	silent := f.Body == nil && f.Status != http.StatusUnauthorized
	if e.Class == "" || silent || f.Passing() {
		e.Class = connect.ClassRetry
	}
	if e.Code == "" {
		e.Code = f.Code
	}
	if len(e.Code) > 64 || !codeShape.MatchString(e.Code) {
		e.Code = ""
	}
	if e.RetryAfter == 0 {
		e.RetryAfter = retryAfter(f.Header.Get("Retry-After"), now)
	}
	return &e
}

// Passing reports whether the status alone says that the fault is the
// platform's and goes away: 408, 429 and 5xx.
func (f Failure) Passing() bool {
	return f.Status == http.StatusRequestTimeout || f.Status == http.StatusTooManyRequests || f.Status >= 500
}

// fromGateway reports whether nothing says that the platform itself has
// answered, so that it may have carried the request out: 5xx without the name
// of an error, and 504 in any case.
func (f Failure) fromGateway() bool {
	return f.Status == http.StatusGatewayTimeout || f.Status >= 500 && f.Code == ""
}

const maxRetryAfter = 24 * time.Hour

// retryAfter reads the header of that name (RFC 9110 § 10.2.3): seconds, which
// some platforms send as a float, or a date. A wait of more than a day is cut.
func retryAfter(value string, now time.Time) time.Duration {
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || !(seconds > 0) {
		return 0
	}
	return time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second))
}
