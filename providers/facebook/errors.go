package facebook

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/internal/platformcall"
)

// blockedWait is how long to leave an account alone that Facebook has blocked
// for a breach of its policies. Facebook names no time.
const blockedWait = 24 * time.Hour

// classify reads a Graph API error by code and subcode. The HTTP status is
// mostly 400 and says little. What is not in the table is left empty.
// Source: developers.facebook.com, "Handle Errors", and field reports.
func classify(f platformcall.Failure) connect.ProviderError {
	e := connect.ProviderError{RetryAfter: regainAccess(f.Header)}
	code, subcode := split(f.Code)
	switch {
	case f.Says("must be granted before impersonating a user's page"):
		e.Class = connect.ClassReconnect // the Page was taken out of the grant
	case code == 190:
		e.Class = classify190(f)
	case code == 102:
		e.Class = connect.ClassReconnect
	case code == 3, code == 10, 200 <= code && code <= 299:
		e.Class = connect.ClassScopeMissing
	case code == 100 && subcode == "33":
		e.Class = connect.ClassTargetLost
	case code == 100, code == 101, code == 2635, code == 1 && f.Says("client secret"):
		e.Class = connect.ClassConfig
	case code == 368:
		e.Class, e.RetryAfter = connect.ClassRetry, blockedWait
	case code == 1, code == 2, limited(code):
		e.Class = connect.ClassRetry
	}
	return e
}

// classify190 reads the error of an access token. Under the same code Facebook
// complains of an app secret that is wrong, which is no person's doing.
func classify190(f platformcall.Failure) connect.ErrorClass {
	if f.Code == "190" && (f.Says("cannot parse") || f.Says("client secret")) {
		return connect.ClassConfig
	}
	return connect.ClassReconnect
}

// limited reports whether a code asks the app to call less, or not at all for a
// while.
func limited(code int) bool {
	switch code {
	case 4, 17, 32, 341, 368, 613:
		return true
	default:
		return 80000 <= code && code <= 80014
	}
}

// split reads a code such as "190/460"; what is no number is 0.
func split(text string) (code int, subcode string) {
	text, subcode, _ = strings.Cut(text, "/")
	code, err := strconv.Atoi(text)
	if err != nil {
		return 0, ""
	}
	return code, subcode
}

// Refused implements [connect.Refuser]. The dialog answers in two families.
//
// With error, access_denied or the reason user_denied is a refusal: the
// person's, or Facebook's own where the app is in development mode or lacks
// Advanced Access, which look alike. Other errors may pass.
//
// With error_code and error_message alone it tells of the app: its settings,
// its mode, its permissions. Trying again does not help, so that is the host's
// to mend, unless the number says that the person refused or that Facebook is
// down or busy. The numbers are those of the Graph API.
//
// Source: developers.facebook.com, "Manually Build a Login Flow"; field reports
// for the second family.
func (p *Provider) Refused(query url.Values) (connect.ErrorClass, string, bool) {
	name, number := query.Get("error"), query.Get("error_code")
	switch {
	case name == "access_denied", query.Has("error") && query.Get("error_reason") == "user_denied":
		return connect.ClassDenied, name, true
	case query.Has("error"):
		return connect.ClassRetry, name, true
	case query.Has("error_code"):
		return classifyDialog(number), number, true
	}
	return "", "", false
}

// classifyDialog reads the number of a refusal that names no error.
func classifyDialog(number string) connect.ErrorClass {
	code, err := strconv.Atoi(number)
	switch {
	case err != nil, code == 1, code == 2, limited(code):
		return connect.ClassRetry
	case code == 200: // "Permissions error", which comes with access_denied too
		return connect.ClassDenied
	default:
		return connect.ClassConfig
	}
}

// classifyCode reads an error of the code exchange. An invalid parameter there
// is the code, which came through a browser: it accuses neither the app nor a
// grant, and the person starts again.
func classifyCode(f platformcall.Failure) connect.ProviderError {
	if code, _ := split(f.Code); code == 100 {
		return connect.ProviderError{Class: connect.ClassReconnect}
	}
	return classify(f)
}

// classifyApp reads an error of a call that is made with the app's own token:
// a token that is not accepted there is the app's id and secret.
func classifyApp(f platformcall.Failure) connect.ProviderError {
	e := classify(f)
	if e.Class == connect.ClassReconnect {
		e.Class = connect.ClassConfig
	}
	return e
}

// Classify implements [connect.Classifier]. An invalid parameter (100) or a
// duplicate post (506) is the caller's and says nothing about the grant.
func (p *Provider) Classify(status int, header http.Header, body []byte) (connect.ErrorClass, bool) {
	f, failed := platformcall.ReadFailure(status, header, body)
	if !failed {
		return "", false
	}
	if f.Passing() {
		return connect.ClassRetry, true
	}
	if code, subcode := split(f.Code); code == 100 && subcode != "33" {
		return "", false
	}
	class := classify(f).Class
	return class, class != ""
}

// regainAccess returns the longest wait that the header of business use case
// limits names, in minutes. Facebook sends no Retry-After.
func regainAccess(header http.Header) time.Duration {
	var usage map[string][]struct {
		Minutes int `json:"estimated_time_to_regain_access"`
	}
	if json.Unmarshal([]byte(header.Get("X-Business-Use-Case-Usage")), &usage) != nil {
		return 0
	}
	var longest int
	for _, limits := range usage {
		for _, limit := range limits {
			longest = max(longest, limit.Minutes)
		}
	}
	return time.Duration(min(longest, 24*60)) * time.Minute
}
