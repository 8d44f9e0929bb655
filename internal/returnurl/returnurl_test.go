package returnurl

import (
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"
)

// row is one line of testdata/urls.json.
type row struct {
	URL    string
	OK     bool
	Origin string // of an accepted one, as browsers write it
	Class  string // the kind of trick, or "good"
	Why    string
}

func table(tb testing.TB) (*Allowlist, []row) {
	tb.Helper()
	text, err := os.ReadFile("testdata/urls.json")
	if err != nil {
		tb.Fatal(err)
	}
	var file struct {
		Allowed []string
		URLs    []row
	}
	if err := json.Unmarshal(text, &file); err != nil {
		tb.Fatal(err)
	}
	return newAllowlist(tb, file.Allowed...), file.URLs
}

func newAllowlist(tb testing.TB, origins ...string) *Allowlist {
	tb.Helper()
	a, err := NewAllowlist(origins)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// checkRows checks the rows of a class, or all, and returns how many there are.
func checkRows(t *testing.T, class string) int {
	t.Helper()
	a, rows := table(t)
	n := 0
	for _, r := range rows {
		if class != "" && r.Class != class {
			continue
		}
		n++
		got, err := a.Origin(r.URL)
		if (err == nil) != r.OK || got != r.Origin {
			t.Errorf("%s (%s): Origin(%q) = %q, %v", r.Class, r.Why, r.URL, got, err)
		}
		if (a.Check(r.URL) == nil) != r.OK {
			t.Errorf("%s (%s): Check(%q) and Origin differ", r.Class, r.Why, r.URL)
		}
	}
	return n
}

func TestThreat28_OpenRedirect(t *testing.T) {
	t.Parallel()
	if n := checkRows(t, ""); n < 200 {
		t.Errorf("%d rows, want at least 200", n)
	}
	if checkRows(t, "good") < 40 {
		t.Error("too few good URLs to show that the rest is not refused for any reason")
	}
}

func TestThreat30_Unicode(t *testing.T) {
	t.Parallel()
	if n := checkRows(t, "unicode"); n < 20 {
		t.Errorf("%d rows", n)
	}
	a := newAllowlist(t, "https://app.example.com")
	for _, raw := range []string{"https://app.example.com/\xff", "https://app.example.com/\xc0\xaf", "https://app\xe3.example.com"} {
		if err := a.Check(raw); err == nil {
			t.Errorf("Check(%q) accepts what is not UTF-8", raw)
		}
	}
}

func TestThreat31_HeaderSplitting(t *testing.T) {
	t.Parallel()
	if n := checkRows(t, "control"); n < 20 {
		t.Errorf("%d rows", n)
	}
	a := newAllowlist(t, "https://app.example.com")
	for c := range 256 {
		raw := "https://app.example.com/" + string([]byte{byte(c)})
		if err := a.Check(raw); err == nil && (c <= 0x20 || c >= 0x7f) {
			t.Errorf("Check accepts the byte %#x", c)
		}
	}
	const encoded = "https://app.example.com/%0d%0a?x=%0D%0ASet-Cookie:y"
	if err := a.Check(encoded); err != nil {
		t.Error(err)
	}
	if got := Append(encoded, [][2]string{{"error", "a\r\nb"}}); got != encoded+"&error=a%0D%0Ab" {
		t.Errorf("Append = %q", got)
	}
}

func TestThreat40_Fragment(t *testing.T) {
	t.Parallel()
	if n := checkRows(t, "fragment"); n < 10 {
		t.Errorf("%d rows", n)
	}
	if got := Append("https://app.example.com/", [][2]string{{"error", "#x"}}); strings.Contains(got, "#") {
		t.Errorf("Append = %q", got)
	}
}

func TestErrorsDoNotQuote(t *testing.T) {
	t.Parallel()
	const secret = "canary"
	a := newAllowlist(t, "https://app.example.com")
	for _, raw := range []string{
		"https://canary.test/", "https://canary@h/", "https://h/?t=canary#", "canary://h/", "https://h:canary/",
		"https://canary_/", "https://h/%canary", "https://canary.1/", strings.Repeat(secret, 1000),
	} {
		if err := a.Check(raw); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("Check(%.40q) = %v", raw, err)
		}
		if _, err := NewAllowlist([]string{raw + "/x"}); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("NewAllowlist(%.40q) = %v", raw, err)
		}
	}
}

func TestThreat28_OnlyOriginsAreListed(t *testing.T) {
	t.Parallel()
	for raw, ok := range map[string]bool{
		"https://app.example.com":      true,
		"https://app.example.com:8443": true,
		"HTTPS://APP.example.com":      true,
		"https://localhost":            true,
		"http://localhost:3000":        true,
		"http://127.0.0.1":             true,
		"https://app.example.com/":     false,
		"https://app.example.com/path": false,
		"https://app.example.com?":     false,
		"https://app.example.com#":     false,
		"https://*.example.com":        false,
		"*":                            false,
		"":                             false,
		"null":                         false,
		"app.example.com":              false,
		"//app.example.com":            false,
		"https://":                     false,
		"https://u@app.example.com":    false,
		"https://app.example.com:":     false,
		"https://app.example.com:0":    false,
		"https://[::1]":                false,
		"http://[::1]:3000":            false,
		"http://app.example.com":       false,
		"http://127.0.0.2":             false,
		"http://127.1":                 false,
		"http://app.localhost":         false,
		"http://10.0.0.1":              false,
		"https://b\u00fccher.example":  false,
		"https://app .example.com":     false,
		"ftp://app.example.com":        false,
	} {
		_, err := NewAllowlist([]string{"https://first.example", raw})
		if (err == nil) != ok {
			t.Errorf("NewAllowlist(%q) = %v", raw, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "returnurl: origin 2: ") {
			t.Errorf("the error does not say which origin: %v", err)
		}
	}
}

func TestEmptyAllowsNothing(t *testing.T) {
	t.Parallel()
	var none *Allowlist
	for _, a := range []*Allowlist{none, {}, newAllowlist(t)} {
		if err := a.Check("https://app.example.com/"); err == nil {
			t.Error("an empty list accepts a URL")
		}
	}
}

// sameOrigin fails if package net/url sees another origin in raw than want.
func sameOrigin(t *testing.T, want, raw string) {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatalf("url.Parse(%q): %v", raw, err)
	}
	host := strings.ToLower(u.Host)
	host = strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[u.Scheme])
	if got := u.Scheme + "://" + host; got != want || u.User != nil {
		t.Errorf("Origin(%q) = %q, url.Parse sees %q", raw, want, got)
	}
}
