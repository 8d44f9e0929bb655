package pages

import (
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// errorCodes are the codes of the HTTP surface that may end a browser's flow.
var errorCodes = []string{
	"invalid_request", "unauthenticated", "forbidden", "not_found", "conflict", "expired", "used", "unknown_platform", "unsupported", "return_url_refused",
	"identity_mismatch", "client_mismatch", "scope_missing", "access_denied", "platform_error", "rate_limited", "unavailable", "credentials_refused", "binding_mismatch", "nothing_to_connect",
}

var statuses = []string{"active", "limited", "token_expired", "reauth_required", "target_lost", "suspended", "disconnected"}

// Every key is used by a template or stands for a code, and every text that a
// template names is there.
func TestCatalogueIsUsed(t *testing.T) {
	t.Parallel()
	used := map[string]bool{"page.language": true, "page.direction": true}
	groups := map[string][]string{
		"error": errorCodes, "next": errorCodes, "status": statuses, "advice": statuses[1:],
		"pick": {"none_chosen", "not_offered", "invalid_request", "platform_error", "rate_limited"}, "field": {"required", "invalid"}, "notice": {"disconnected"},
	}
	named := regexp.MustCompile(`\(?\btext "([a-z.]+)"`)
	coded := regexp.MustCompile(`\bcode "([a-z]+)"`)
	values := regexp.MustCompile(`"(name|platform|product|method|kind|label)"`)
	files, err := fs.Glob(embedded, "templates/*.html")
	if err != nil || len(files) < 9 {
		t.Fatalf("%d templates, %v", len(files), err)
	}
	for _, file := range files {
		source, err := fs.ReadFile(embedded, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(source), -1) {
			used[m[1]] = true
		}
		for _, m := range coded.FindAllStringSubmatch(string(source), -1) {
			for _, code := range append(groups[m[1]], "unknown") {
				used[m[1]+"."+code] = true
			}
		}
		for _, m := range values.FindAllStringSubmatch(string(source), -1) {
			used["unnamed."+m[1]] = true
		}
	}
	used["unnamed.product"] = true // every text may use it
	got := slices.Sorted(maps.Keys(Text()))
	want := slices.Sorted(maps.Keys(used))
	for _, key := range got {
		if !used[key] {
			t.Errorf("%q is used nowhere", key)
		}
	}
	for _, key := range want {
		if !slices.Contains(got, key) {
			t.Errorf("%q is missing", key)
		}
	}
}

// No page says "Something went wrong" where the code is known.
func TestCodesHaveTheirOwnWords(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	for _, code := range errorCodes {
		body := render(t, p, Error{Code: code}).Body.String()
		if strings.Contains(body, p.text["error.unknown"]) || strings.Contains(body, "{") {
			t.Errorf("%s: %s", code, body)
		}
	}
	for _, code := range []string{"", "made_up", "unknown.x", "<b>"} {
		body := render(t, p, Error{Code: code}).Body.String()
		if !strings.Contains(body, p.text["error.unknown"]) || strings.Contains(body, "made_up") {
			t.Errorf("%q: %s", code, body)
		}
	}
}

func TestTextIsReplaced(t *testing.T) {
	t.Parallel()
	text := map[string]string{"page.language": "he", "page.direction": "rtl", "hop.title": "\u05d4\u05de\u05e9\u05da: {platform} ({product})"}
	p := setup(t, Options{Text: text, Theme: Theme{ProductName: "Acme"}})
	text["hop.title"] = "changed later"
	body := render(t, p, Hop{Platform: "{product}"}).Body.String()
	if !strings.Contains(body, `<html lang="he" dir="rtl">`) || !strings.Contains(body, "<h1>\u05d4\u05de\u05e9\u05da: {product} (Acme)</h1>") {
		t.Errorf("page:\n%s", body)
	}
}

func TestTextIsACopy(t *testing.T) {
	t.Parallel()
	Text()["hop.title"] = "changed"
	if Text()["hop.title"] == "changed" {
		t.Error("the catalogue can be changed from outside")
	}
}

// A name that runs the other way does not turn the sentence around it.
func TestNamesInSentencesAreIsolated(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	got, err := p.say("hop.title", "platform", "\u05d3\u05e0\u05d4")
	if want := "Continue to \u2068\u05d3\u05e0\u05d4\u2069?"; got != want || err != nil {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if got, err := p.say("hop.title", "platform", "\u202e"); got != "Continue to the platform?" || err != nil {
		t.Errorf("a platform without a name: %q, %v", got, err)
	}
}
