package pages

import (
	"html"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// hostile is what a platform's text might be: each markup seed in each
// wrapping, and what is no markup at all.
func hostile() []string {
	seeds := []string{
		`<script>alert(1)</script>`, `<img src=x onerror=alert(1)>`, `<svg/onload=alert(1)>`, `</title><h1>x</h1>`, `</textarea><b>`,
		`" onfocus="alert(1)" x="`, `' onfocus='alert(1)`, "` onfocus=alert(1)", `"><input name=csrf_token value=x>`, `javascript:alert(1)`,
		`data:text/html,<b>x`, `{{.Token}}`, `{product}`, `&lt;b&gt;`, `<!--`, `]]>`, `<style>*{}</style>`, `<base href=//evil.example>`,
		`<meta http-equiv=refresh content=0>`, `<a href="javascript:alert(1)">x</a>`, `<form action=//evil.example>`, `%3Cscript%3E`, `\u003cb\u003e`,
	}
	wraps := []string{"%", "%%", "a % b", "\x00%", "%\x00", "\u202e%", "%\u2066", "\u200b%\u200b", "\xff%", "\n%\n", "\"%\"", "'%'", ">%<", "<%>", "\u202e%\u202c", "a\u0301%", "\U000e0041%", "=%=", "/%/", "(%)", "#%", "?q=%", "%&x=y"}
	var all []string
	for _, wrap := range wraps {
		for _, seed := range seeds {
			all = append(all, strings.ReplaceAll(wrap, "%", seed))
		}
	}
	return append(all, strings.Repeat("A", 1<<20), strings.Repeat("<b>", 1<<18), strings.Repeat("\u0301", 1<<16), strings.Repeat("\u202e", 1<<16), "\x00", " ")
}

// Hostile text changes no element, no attribute's name and no attribute's
// scheme: the page's shape is that of ordinary text.
func TestThreat79_MarkupInNames(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	want := map[string][]string{}
	for name, page := range pagesOf("z", "") {
		want[name] = shape(parsed(t, name, render(t, p, page).Body.String()))
	}
	texts := hostile()
	if len(texts) < 500 {
		t.Fatalf("only %d payloads", len(texts))
	}
	fullest := []string{"connect", "connect link", "picker, mixed", "credentials, wrong", "result, error", "working", "error"}
	for i, text := range texts {
		if clean(text) == "" {
			continue // rendered below
		}
		for name, page := range pagesOf(text, "") {
			if i%10 != 0 && !slices.Contains(fullest, name) {
				continue // each text on each type of page, a tenth of them on each variant
			}
			body := render(t, p, page).Body.String()
			if got := shape(parsed(t, name, body)); !slices.Equal(want[name], got) {
				t.Fatalf("%s with %.80q changes (-want +got):\n%s", name, text, cmp.Diff(want[name], got))
			}
			if !utf8.ValidString(body) || strings.ContainsRune(body, 0) {
				t.Fatalf("%s with %.80q holds bytes that are no text", name, text)
			}
		}
	}
}

func TestThreat79_NamesThatVanish(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	for _, text := range []string{"", "\x00", " ", "\u202e\u200b", "\u2800\u3164"} {
		for name, page := range pagesOf(text, "") {
			body := render(t, p, page).Body.String()
			parsed(t, name, body)
			if strings.HasPrefix(name, "result") && strings.Contains(body, "<bdi") && !strings.Contains(body, "(no name)") {
				t.Errorf("%s with %q does not say that there is no name", name, text)
			}
		}
	}
}

// shape is a page without its text: tags, attribute names, and the values that
// act: how a URL begins, ids and types.
func shape(found []element) []string {
	var lines []string
	for _, e := range found {
		line := []string{e.name}
		for _, name := range slices.Sorted(maps.Keys(e.attrs)) {
			line = append(line, name)
			switch name {
			case "href", "src", "action", "formaction":
				line = append(line, html.UnescapeString(e.attrs[name])[:1])
			case "id", "for", "type", "method", "formmethod", "role", "name":
				line = append(line, e.attrs[name])
			}
		}
		lines = append(lines, strings.Join(line, " "))
	}
	return lines
}

func TestThreat79_LargeIDs(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	huge := Picker{Kinds: []Kind{{Name: "page"}}, Candidates: []Candidate{{}}, Self: "/s", Action: "/a"}
	huge.Candidates[0].PlatformID = strings.Repeat("A", maxPage+1)
	w := recorder()
	if err := p.Render(w, 200, huge); err == nil || w.Body.Len() > 0 || len(w.Header()) > 0 {
		t.Errorf("error %v, %d bytes and headers %v written; want an error and nothing written", err, w.Body.Len(), w.Header())
	}
}

func TestThreat80_Avatars(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	refused := []string{
		"", "http://cdn.example.com/a.png", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:image/png;base64,AAAA", "//cdn.example.com/a.png", "/a.png", "a.png",
		"https:", "https:///a.png", "https:a.png", "https://user:pass@cdn.example.com/a.png", " https://cdn.example.com/a.png", "https://cdn.example.com/\x00", "blob:https://x", "file:///etc/passwd",
		"https://cdn.example.com/" + strings.Repeat("a", maxURL),
	}
	for _, url := range refused {
		for name, page := range pagesOf("Old Mill", url) {
			w := render(t, p, page)
			for _, e := range parsed(t, name, w.Body.String()) {
				if e.name == "img" {
					t.Errorf("%s: %.60q is shown as a picture", name, url)
				}
			}
			if strings.Contains(w.Header().Get("Content-Security-Policy"), "img-src") {
				t.Errorf("%s: %.60q: the policy allows pictures on a page without", name, url)
			}
		}
	}
	shown := 0
	for name, page := range ordinary() {
		w := render(t, p, page)
		for _, e := range parsed(t, name, w.Body.String()) {
			if e.name != "img" {
				continue
			}
			shown++
			if e.attrs["referrerpolicy"] != "no-referrer" || e.attrs["loading"] != "lazy" || e.attrs["src"] != "https://cdn.example.com/a.png" {
				t.Errorf("%s: picture %v", name, e.attrs)
			}
			if !strings.Contains(w.Header().Get("Content-Security-Policy"), "img-src 'self' https:;") {
				t.Errorf("%s: the policy forbids its own pictures", name)
			}
		}
	}
	if shown == 0 {
		t.Error("no page shows a picture")
	}
}

func TestThreat81_DirectionCharacters(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	const name = "Pay\u202elap\u202c \u2066x\u2069 \u200bend"
	picker := ordinary()["picker"].(Picker)
	picker.Candidates[0].Name = name
	picker.Candidates[0].PlatformID = "104857600123"
	body := render(t, p, picker).Body.String()
	if !strings.Contains(body, `<bdi class="name" dir="auto">Paylap x end</bdi>`) {
		t.Error("the name is not isolated, or not without direction characters")
	}
	if !strings.Contains(body, `<code class="id">104857600123</code>`) {
		t.Error("the stable id is not beside the name")
	}
	for page, data := range pagesOf(name, "") {
		for _, e := range parsed(t, page, render(t, p, data).Body.String()) {
			for _, r := range e.text {
				if r != '\n' && unicode.In(r, unicode.C) {
					t.Errorf("%s: a %s shows %U", page, e.name, r)
				}
			}
		}
	}
}

func TestThreat81_Clean(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"ordinary", "Old Mill", "Old Mill"},
		{"spaces are one line", "  a\t\n\u2028b\u00a0 c ", "a b c"},
		{"control", "a\x00\x1b[31mb\u0085c", "a[31mb c"},
		{"direction", "a\u202eb\u2067c\u200f\u061cd", "abcd"},
		{"invisible", "a\u200bb\u2060\ufeff\u00adc\U000e0041", "abc"},
		{"joiner between Latin letters", "Goo\u200dgle", "Google"},
		{"joiner in Persian", "\u0645\u06cc\u200c\u0631\u0648\u0645", "\u0645\u06cc\u200c\u0631\u0648\u0645"},
		{"joiner in emoji", "\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"},
		{"joiners in a row", "\u0645\u200c\u200c\u0631", "\u0645\u200c\u0631"},
		{"stacked marks", "a" + strings.Repeat("\u0301", 50) + "b", "a\u0301\u0301\u0301\u0301b"},
		{"blank letters", "\u3164\u2800\uffa0", ""},
		{"not UTF-8", "a\xffb", "a\ufffdb"},
		{"exactly 200", strings.Repeat("a", 200), strings.Repeat("a", 200)},
		{"201", strings.Repeat("a", 201), strings.Repeat("a", 200) + "\u2026"},
		{"a space at the end", strings.Repeat("a", 199) + " bc", strings.Repeat("a", 199) + "\u2026"},
		{"hidden beyond what is looked at", "a" + strings.Repeat("\u202e", maxBytes) + "b", "a\u2026"},
		{"nothing in what is looked at", strings.Repeat("\u202e", maxBytes), ""},
		{"wide characters count as one", strings.Repeat("\u65e5", 201), strings.Repeat("\u65e5", 200) + "\u2026"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, clean(tt.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
