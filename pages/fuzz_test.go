package pages

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect/selection"
)

// joiners are the invisible characters that a name may keep.
const joiners = "\u200c\u200d"

// FuzzNames: whatever a platform says of an account, it becomes a short line of
// visible text, and a page that shows it keeps its shape.
func FuzzNames(f *testing.F) {
	p, err := New(Options{BasePath: "/connect"})
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range hostile()[:60] {
		f.Add(text, text, "https://cdn.example.com/"+text)
	}
	f.Add(strings.Repeat("a", 199)+" bc", "1048576", "https://cdn.example.com/a.png")
	f.Add("\u0645\u06cc\u200c\u0631", strings.Repeat("\u0301", 9), "https://user@cdn.example.com/")
	f.Add("\u202eabc", "\u2066x", "HTTPS://CDN.example.com/\u00e9?a=b#c")
	f.Fuzz(func(t *testing.T, name, id, picture string) {
		for _, text := range []string{name, id} {
			wantLine(t, text, clean(text))
			wantLine(t, text, strings.TrimPrefix(handle(text), "@"))
			if n := utf8.RuneCountInString(initials(text)); n < 1 || n > 2 {
				t.Errorf("%q has the initials %q", text, initials(text))
			}
		}
		if u, err := url.Parse(picture); avatar(picture) != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(picture) > maxURL) {
			t.Errorf("the picture %q is shown", picture)
		}
		body := render(t, p, pickerOf(name, id, picture)).Body.String()
		harmless := pickerOf(likeName(name), strings.Repeat("1", len(url.QueryEscape(id))), likePicture(picture))
		want := shape(parsed(t, "harmless", render(t, p, harmless).Body.String()))
		if got := shape(parsed(t, "picker", body)); !slices.Equal(want, got) {
			t.Errorf("%q, %q, %q change the page (-want +got):\n%s", name, id, picture, cmp.Diff(want, got))
		}
		if !utf8.ValidString(body) || strings.ContainsRune(body, 0) {
			t.Errorf("%q, %q, %q: the page holds bytes that are no text", name, id, picture)
		}
	})
}

// wantLine checks text that is shown.
func wantLine(t *testing.T, from, shown string) {
	t.Helper()
	hides := func(r rune) bool { return unicode.In(r, unicode.C) && !strings.ContainsRune(joiners, r) }
	if !utf8.ValidString(shown) || strings.ContainsFunc(shown, hides) || strings.TrimSpace(shown) != shown || strings.Contains(shown, "  ") {
		t.Errorf("%q is shown as %q", from, shown)
	}
	if n := utf8.RuneCountInString(strings.TrimSuffix(shown, "\u2026")); n > maxName {
		t.Errorf("%q is shown with %d characters", from, n)
	}
	if again := clean(shown); again != shown {
		t.Errorf("%q is shown as %q, and that as %q", from, shown, again)
	}
}

// pickerOf is a page that says all it can of one candidate.
func pickerOf(name, id, picture string) Picker {
	c := Candidate{Candidate: selection.Candidate{Kind: "page", PlatformID: id, Name: name, Username: name, AvatarURL: picture, ParentName: name}, Connected: true}
	blocked := c
	blocked.Reason = "no " + name
	p := pagePicker(true, c, blocked)
	p.Elsewhere, p.Query, p.Next = []Candidate{c}, "q"+name, "n"
	return p
}

// likeName is a name that shows something where name does.
func likeName(name string) string {
	if clean(name) == "" {
		return ""
	}
	return "z"
}

// likePicture is a picture that is shown where picture is, and spelled as far
// as shape tells.
func likePicture(picture string) string {
	if avatar(picture) == "" {
		return ""
	}
	return picture[:1] + "ttps://cdn.example.com/"
}

// FuzzChoice: what is chosen and searched for comes back as it was, through the
// page's own form, and a form from elsewhere names each id once.
func FuzzChoice(f *testing.F) {
	p, err := New(Options{BasePath: "/connect"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("mill", "1", "20", "selected_ids=b&selected_ids=a&selected_ids=b")
	f.Add(`"><b>&amp;'`, "<1>\u202e", "c&x=y", "q=a&q=b&cursor=c&show=all")
	f.Add("%", strings.Repeat("\u00e9", 700), "\u2028", "show=all&q=%zz")
	f.Fuzz(func(t *testing.T, query, id, next, raw string) {
		form, err := url.ParseQuery(raw)
		choice := ReadChoice(form)
		if n := len(slices.Compact(slices.Sorted(slices.Values(choice.IDs)))); n != len(choice.IDs) || err == nil && n == 0 && form.Has(FieldSelected) {
			t.Errorf("%q chooses %q", raw, choice.IDs)
		}
		for _, text := range []string{query, id, next} {
			if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\r") {
				return // browsers send no such text back
			}
		}
		if next == "" {
			return
		}
		picker := pagePicker(true, pageCandidate(id), pageCandidate(id+"2"))
		picker.Candidates[0].Chosen = true
		picker.Query, picker.Next = query, next
		_, _, sent := press(t, parsed(t, "picker", render(t, p, picker).Body.String()), "Next page")
		want := Choice{Query: query, Cursor: next, IDs: []string{"page:" + id}}
		if diff := cmp.Diff(want, ReadChoice(sent)); diff != "" {
			t.Errorf("%q, %q, %q:\n%s", query, id, next, diff)
		}
	})
}

var (
	refreshTo = regexp.MustCompile(`^2; url=[^"'; \x00-\x1f\x7f]*$`)
	directive = regexp.MustCompile(`^default-src 'none'; style-src 'self'; form-action 'self' https?://[A-Za-z0-9.:\[\]-]+; frame-ancestors 'none'; base-uri 'none'$`)
	ofPopup   = regexp.MustCompile(`^default-src 'none'; style-src 'self'; script-src 'sha256-[A-Za-z0-9+/=]+'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'$`)
)

// FuzzHeaders: an address that a page's headers name adds nothing to them.
func FuzzHeaders(f *testing.F) {
	p, err := New(Options{BasePath: "/connect"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("/connect/callback/x?code=a;b&state='\"c d", "https://app.example.com:8443")
	f.Add("javascript:alert(1)", "https://a.example; script-src *")
	f.Add("//evil.example/\u00e9#x", "http://[::1]:1")
	f.Add("/a\r\nSet-Cookie: b=c", "*")
	f.Fuzz(func(t *testing.T, refresh, target string) {
		w := recorder()
		err := p.Render(w, 200, Working{Platform: "X", Refresh: refresh})
		if header := w.Header().Get("Refresh"); (err == nil) != refreshTo.MatchString(header) || err != nil && len(w.Header()) > 0 {
			t.Errorf("a refresh to %q is %q, %v", refresh, header, err)
		}
		w = recorder()
		err = p.Render(w, 200, Hop{Platform: "X", Action: "/go", FormTargets: []string{target}})
		if policy := w.Header().Get("Content-Security-Policy"); (err == nil) != directive.MatchString(policy) || err != nil && len(w.Header()) > 0 {
			t.Errorf("the form target %q makes the policy %q, %v", target, policy, err)
		}
		accepted := err == nil
		w = recorder()
		err = p.Render(w, 200, Result{Platform: "X", Opener: &Opener{Origin: target, Message: map[string]string{"error": refresh}}})
		if policy := w.Header().Get("Content-Security-Policy"); (err == nil) != accepted || accepted && (!ofPopup.MatchString(policy) || strings.Count(w.Body.String(), "<script") != 1) {
			t.Errorf("the opener %q makes the policy %q, %v of\n%s", target, policy, err, w.Body)
		}
	})
}
