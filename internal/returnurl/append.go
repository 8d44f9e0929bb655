package returnurl

import (
	"net/url"
	"strings"
)

// reserved reports whether name is a parameter that only we may set.
func reserved(name string) bool {
	switch name {
	case "status", "platform", "account_ids", "account_id", "session", "ticket", "error", "flow_id":
		return true
	}
	return false
}

// Append returns raw, which [Allowlist.Check] has accepted, with params as further query parameters in their order.
// Parameters of raw that have a reserved name are removed first, so that nobody can claim an outcome for us; the
// reserved names are status, platform, account_ids, account_id, session, ticket, error and flow_id, whether or not
// they are percent-encoded. All other bytes of raw stay as they are.
func Append(raw string, params [][2]string) string {
	base, query, _ := strings.Cut(raw, "?")
	kept := withoutReserved(query)
	if len(params) == 0 && kept == query {
		return raw
	}

	var b strings.Builder
	b.WriteString(base)
	separator := "?"
	if kept != "" {
		b.WriteString("?" + kept)
		separator = "&"
	}
	if strings.HasSuffix(kept, "&") {
		separator = ""
	}
	for _, p := range params {
		b.WriteString(separator + escape(p[0]) + "=" + escape(p[1]))
		separator = "&"
	}
	return b.String()
}

// withoutReserved drops reserved parameters with the separator before them. A semicolon separates too: some hosts
// still read a=1;status=connected as two parameters.
func withoutReserved(query string) string {
	var b strings.Builder
	separator, first := "", true
	for query != "" || separator != "" {
		end := strings.IndexAny(query, "&;")
		if end < 0 {
			end = len(query)
		}
		pair, next := query[:end], ""
		query = query[end:]
		if query != "" {
			next, query = query[:1], query[1:]
		}
		if !isReservedPair(pair) {
			if !first {
				b.WriteString(separator)
			}
			b.WriteString(pair)
			first = false
		}
		separator = next
	}
	return b.String()
}

func isReservedPair(pair string) bool {
	name, _, _ := strings.Cut(pair, "=")
	decoded, err := url.QueryUnescape(name)
	return err == nil && reserved(decoded)
}

// escape writes a space as %20: a plus is a space in forms only.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}
