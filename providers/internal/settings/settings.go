// Package settings holds what several providers check of their options, for
// [github.com/seed944197df/connect.Checker]. A provider says in its own words
// what is wrong: only it knows the way out.
package settings

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// hostName is a DNS name in lower case, as requests are compared with it.
var hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// Address reports whether text is an absolute https URL without user, query
// and fragment: an endpoint that a browser is sent to.
func Address(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && !strings.ContainsAny(text, "?#")
}

// Origin reports whether text is an https origin without a port: calls reach
// port 443 only, and nothing but a host name can be pinned.
func Origin(text string) bool {
	host, ok := strings.CutPrefix(text, "https://")
	return ok && hostName.MatchString(host)
}

// Scopes reports whether all scopes are scope tokens (RFC 6749 § 3.3) of at most
// 256 bytes, as the engine wants those of a flow. A comma is refused because it
// separates scopes at some platforms.
func Scopes(scopes []string) bool {
	return !slices.ContainsFunc(scopes, func(scope string) bool {
		return scope == "" || len(scope) > 256 || strings.ContainsFunc(scope, func(r rune) bool {
			return r <= ' ' || r > '~' || r == '"' || r == '\\' || r == ','
		})
	})
}
