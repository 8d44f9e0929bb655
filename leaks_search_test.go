package connect_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"
)

// The helpers of this file find secrets in texts, however they are written.

// spellings are the ways in which a secret could be written, by name.
func spellings(secret string) map[string]string {
	inJSON, _ := json.Marshal(secret)
	all := map[string]string{
		"raw":       secret,
		"lower":     strings.ToLower(secret),
		"upper":     strings.ToUpper(secret),
		"hex":       hex.EncodeToString([]byte(secret)),
		"HEX":       strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"URL query": url.QueryEscape(secret),
		"URL path":  url.PathEscape(secret),
		"HTML":      strings.ReplaceAll(html.EscapeString(secret), "+", "&#43;"),
		"JSON":      strings.Trim(string(inJSON), `"`),
		"Go":        strings.Trim(fmt.Sprintf("%q", secret), `"`),
		"bytes":     strings.Trim(fmt.Sprintf("%d", []byte(secret)), "[]"),
	}
	for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
		for before := range 3 { // bytes that may stand before it in what was encoded
			text := encoding.EncodeToString(append(make([]byte, before), secret...))
			all[fmt.Sprintf("%s+%d", name, before)] = text[(before*8+5)/6 : (before+len(secret))*8/6]
		}
	}
	return all
}

const (
	needleHead = 12 // no secret is shorter
	needlePart = 20 // of a secret that was cut, what gives it away
)

// parts are the beginning and the end of a long secret: a log may cut it. The
// beginning of a JWT or JWE is its header, which is no secret.
func parts(secret string) map[string]string {
	cut := map[string]string{}
	if len(secret) < 2*needlePart {
		return cut
	}
	cut["end"] = secret[len(secret)-needlePart:]
	if !strings.HasPrefix(secret, "eyJ") {
		cut["beginning"] = secret[:needlePart]
	}
	return cut
}

// needles finds many secrets in one walk over a text.
type needles map[[needleHead]byte][]needle

type needle struct{ text, spelling, kind string }

// newNeedles searches for secrets of no special kind.
func newNeedles(t *testing.T, secrets []string) needles {
	t.Helper()
	kinds := map[string]string{}
	for _, secret := range secrets {
		kinds[secret] = "secret"
	}
	return needlesOfKinds(t, kinds)
}

// needlesOfKinds searches for secrets whose kinds are given by value.
func needlesOfKinds(t *testing.T, kinds map[string]string) needles {
	t.Helper()
	n := needles{}
	for secret, kind := range kinds {
		if len(secret) < needleHead {
			t.Fatalf("a %s of %d characters would be found everywhere", kind, len(secret))
		}
		for _, written := range []map[string]string{spellings(secret), parts(secret)} {
			for name, text := range written {
				head := [needleHead]byte([]byte(text)[:needleHead])
				n[head] = append(n[head], needle{text, name, kind})
			}
		}
	}
	return n
}

// sighting is a secret in a text.
type sighting struct {
	kind, spelling string
	at             int
}

// in returns the secrets that text holds.
func (n needles) in(text string) []sighting {
	var all []sighting
	walk := []byte(text)
	for i := 0; i+needleHead <= len(text); i++ {
		for _, needle := range n[[needleHead]byte(walk[i:i+needleHead])] {
			if strings.HasPrefix(text[i:], needle.text) {
				all = append(all, sighting{needle.kind, needle.spelling, i})
			}
		}
	}
	return all
}
