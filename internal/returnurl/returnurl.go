// Package returnurl decides where a browser may be sent back to, and says there how a flow ended.
//
// Security: an open redirector behind the callback hands tickets and sessions to whoever wrote the link
// ([RFC 9700 § 4.11]), and a URL that two parsers read differently is one. So a URL is taken only if it is
// written in the few ways that every parser reads alike; it is then used byte for byte as it came.
//
// [RFC 9700 § 4.11]: https://www.rfc-editor.org/rfc/rfc9700#section-4.11
package returnurl

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

const (
	maxLength = 2048 // of a URL, in bytes
	maxHost   = 253
	maxLabel  = 63
)

// The rules that a URL can break. None of them quotes it.
var (
	errLength    = errors.New("return URL must have 1 to 2048 bytes")
	errByte      = errors.New("return URL has a byte that is not allowed: only printable ASCII without \\ \" ` < > ^ { | } and #")
	errPercent   = errors.New("return URL has a % that two hexadecimal digits do not follow")
	errScheme    = errors.New("return URL must start with https:// or http://")
	errAuthority = errors.New("return URL has one of @ % [ ] before its path")
	errPort      = errors.New("return URL has a malformed port")
	errHost      = errors.New("return URL has a malformed host name")
	errParsers   = errors.New("return URL is read differently by another parser")
	errOrigin    = errors.New("return URL is not at an allowed origin")
)

// origin is the tuple of [RFC 6454 § 4], in lower case and with the port filled in.
//
// [RFC 6454 § 4]: https://www.rfc-editor.org/rfc/rfc6454#section-4
type origin struct {
	scheme, host string
	port         int
}

// String returns the origin as browsers write it, without a port that is the scheme's own.
func (o origin) String() string {
	if o.port == defaultPort(o.scheme) {
		return o.scheme + "://" + o.host
	}
	return o.scheme + "://" + o.host + ":" + strconv.Itoa(o.port)
}

func defaultPort(scheme string) int {
	if scheme == "http" {
		return 80
	}
	return 443
}

// Allowlist is the set of origins that a browser may be sent back to. A nil or empty one allows none.
// It never changes, and is safe for concurrent use.
type Allowlist struct {
	origins map[origin]bool
}

// NewAllowlist returns an allow-list of origins such as "https://app.example.com" or "http://localhost:3000".
// It refuses whatever is more or less than an origin: a path (even "/"), a wildcard, a user name; and http for
// hosts other than localhost and 127.0.0.1. The error counts from 1 which entry is wrong.
func NewAllowlist(origins []string) (*Allowlist, error) {
	a := &Allowlist{origins: make(map[origin]bool, len(origins))}
	for i, entry := range origins {
		o, err := parseEntry(entry)
		if err != nil {
			return nil, fmt.Errorf("returnurl: origin %d: %w", i+1, err)
		}
		a.origins[o] = true
	}
	return a, nil
}

func parseEntry(entry string) (origin, error) {
	o, err := parse(entry)
	if err != nil {
		return origin{}, err
	}
	_, authority, _ := strings.Cut(entry, "://")
	if strings.ContainsAny(authority, "/?") {
		return origin{}, errors.New("has a path or query: give scheme://host or scheme://host:port only")
	}
	if o.scheme == "http" && o.host != "localhost" && o.host != "127.0.0.1" {
		return origin{}, errors.New("is http, which is for localhost and 127.0.0.1 only: use https")
	}
	return o, nil
}

// Check returns nil if a browser may be redirected to raw. The error says which rule raw breaks and never holds it.
// The length limit is for raw as the host gave it: check before [Append], not after.
func (a *Allowlist) Check(raw string) error {
	_, err := a.Origin(raw)
	return err
}

// Origin returns the origin of raw as browsers write it, the target for postMessage. It fails as Check does.
func (a *Allowlist) Origin(raw string) (string, error) {
	o, err := parse(raw)
	if err != nil {
		return "", err
	}
	if a == nil || !a.origins[o] {
		return "", errOrigin
	}
	return o.String(), nil
}

// parse returns the origin of raw if raw keeps all rules.
func parse(raw string) (origin, error) {
	if err := checkBytes(raw); err != nil {
		return origin{}, err
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	scheme = lower(scheme)
	if !ok || (scheme != "https" && scheme != "http") {
		return origin{}, errScheme
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?"); end >= 0 {
		authority = rest[:end]
	}
	o, err := parseAuthority(scheme, authority)
	if err != nil {
		return origin{}, err
	}
	return o, secondOpinion(raw, o)
}

// checkBytes keeps out what parsers strip, fold or take for a delimiter.
func checkBytes(raw string) error {
	if raw == "" || len(raw) > maxLength {
		return errLength
	}
	for i := range len(raw) {
		switch c := raw[i]; {
		case c < 0x21 || c > 0x7e, strings.IndexByte("\\\"`<>^{|}#", c) >= 0:
			return errByte
		case c == '%' && (i+2 >= len(raw) || !isHex(raw[i+1]) || !isHex(raw[i+2])):
			return errPercent
		}
	}
	return nil
}

func parseAuthority(scheme, authority string) (origin, error) {
	if strings.ContainsAny(authority, "@%[]") {
		return origin{}, errAuthority
	}
	host, digits, hasPort := strings.Cut(authority, ":")
	o := origin{scheme: scheme, host: lower(host), port: defaultPort(scheme)}
	if hasPort {
		port, err := parsePort(digits)
		if err != nil {
			return origin{}, err
		}
		o.port = port
	}
	return o, checkHost(o.host)
}

// parsePort refuses what strconv would let through: signs, and leading zeros.
func parsePort(digits string) (int, error) {
	if digits == "" || digits[0] == '0' || !all(digits, isDigit) {
		return 0, errPort
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return 0, errPort
	}
	return int(port), nil
}

func checkHost(host string) error {
	if len(host) > maxHost {
		return errHost
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if !isLabel(label) {
			return errHost
		}
	}
	return checkNumeric(host, labels[len(labels)-1])
}

// checkNumeric keeps out hosts that browsers take for an IPv4 address in another form, as 127.1, 0x7f.0.0.1 or
// 2130706433: that is any whose last label is a number [WHATWG URL § 3.5].
//
// [WHATWG URL § 3.5]: https://url.spec.whatwg.org/#ends-in-a-number-checker
func checkNumeric(host, last string) error {
	hex, hasPrefix := strings.CutPrefix(last, "0x")
	isNumber := all(last, isDigit) || hasPrefix && all(hex, isHex)
	if !isNumber {
		return nil
	}
	if a, err := netip.ParseAddr(host); err != nil || !a.Is4() {
		return errHost
	}
	return nil
}

func isLabel(label string) bool {
	if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	return all(label, func(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'z' || c == '-' })
}

// secondOpinion refuses raw if package net/url reads another origin in it.
func secondOpinion(raw string, o origin) error {
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || u.Opaque != "" || u.Fragment != "" {
		return errParsers
	}
	port := u.Port()
	if port == "" {
		port = strconv.Itoa(defaultPort(u.Scheme))
	}
	if u.Scheme != o.scheme || lower(u.Hostname()) != o.host || port != strconv.Itoa(o.port) {
		return errParsers
	}
	return nil
}

// lower folds ASCII only. Security: strings.ToLower and EqualFold also fold other letters, such as the long s
// and the Kelvin sign, into ASCII ones.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func all(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
