package returnurl

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// written is what an accepted URL looks like, whatever else it must keep.
var written = regexp.MustCompile(`^(?i:https?)://[0-9A-Za-z.-]+(:[1-9][0-9]{0,4})?([/?][!$%&'()*+,./:;=?@\[\]_~0-9A-Za-z-]*)?$`)

var rules = []error{errLength, errByte, errPercent, errScheme, errAuthority, errPort, errHost, errParsers, errOrigin}

func FuzzCheck(f *testing.F) {
	a, rows := table(f)
	for _, r := range rows {
		f.Add(r.URL)
	}
	f.Add("https://app.example.com/?" + strings.Join(names, "&") + ";%73tatus=1;a&&b")
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := a.Origin(raw)
		if err != nil {
			if got != "" || !slices.Contains(rules, err) {
				t.Errorf("Origin(%q) = %q, %v: want no origin, and a rule", raw, got, err)
			}
			return
		}
		if !written.MatchString(raw) || len(raw) > maxLength {
			t.Errorf("Origin(%q) = %q, of what is not written like a URL", raw, got)
		}
		if again, err := a.Origin(got); again != got || err != nil {
			t.Errorf("Origin(%q) = %q, whose own origin is %q, %v", raw, got, again, err)
		}
		sameOrigin(t, got, raw)
		sent := Append(raw, [][2]string{{"status", "connected"}, {"account_ids", "a,b c"}})
		sameOrigin(t, got, sent)
		ours, theirs := parameters(sent)
		_, before := parameters(raw)
		if want := []string{"status=connected", "account_ids=a%2Cb%20c"}; !slices.Equal(ours, want) || !slices.Equal(theirs, before) {
			t.Errorf("Append(%q) = %q", raw, sent)
		}
	})
}

var names = []string{"status", "platform", "account_ids", "account_id", "session", "ticket", "error", "flow_id"}

// parameters returns the parameters of raw: those with a reserved name, and the rest.
func parameters(raw string) (ours, theirs []string) {
	_, query, _ := strings.Cut(raw, "?")
	for _, pair := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if name, err := url.PathUnescape(name); err == nil && slices.Contains(names, name) {
			ours = append(ours, pair)
		} else {
			theirs = append(theirs, pair)
		}
	}
	return ours, theirs
}

// The allow-list is made up, too: a host may write any origin into it. A name that browsers refuse because what
// stands behind its xn-- is no Punycode is nobody's origin.
func FuzzThreat29_BrowserParserAgrees(f *testing.F) {
	see := newBrowser(f)
	_, rows := table(f)
	for _, r := range rows {
		f.Add("https://app.example.com", r.URL)
	}
	f.Add("https://xn--bcher-kva.example", "https://XN--Bcher-kva.example:443/?a")
	f.Add("https://xn--0.example:8443", "https://xn--0.example:8443/")
	f.Fuzz(func(t *testing.T, entry, raw string) {
		a, err := NewAllowlist([]string{entry})
		if err != nil {
			return
		}
		allowed := see(entry)
		if allowed == "refused" && strings.Contains(lower(entry), "xn--") {
			return
		}
		for _, raw := range []string{entry, raw, entry + raw, entry + "/" + raw} {
			if origin, err := a.Origin(raw); err == nil {
				seesOrigin(t, see, origin, raw)
				seesOrigin(t, see, allowed, Append(raw, connected))
			}
		}
	})
}
