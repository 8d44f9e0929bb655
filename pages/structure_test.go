package pages

import (
	"html"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func count(found []element, name string) int {
	n := 0
	for _, e := range found {
		if e.name == name {
			n++
		}
	}
	return n
}

// What a screen reader and a keyboard rest on holds on every page, with
// ordinary texts.
func TestStructure(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{Theme: Theme{ProductName: "Acme", LogoURL: "/logo.svg"}})
	for name, page := range ordinary() {
		body := render(t, p, page).Body.String()
		found := parsed(t, name, body)
		if !strings.HasPrefix(body, "<!DOCTYPE html>\n<html lang=\"en\" dir=\"ltr\">") {
			t.Errorf("%s: no document type, or no language", name)
		}
		for _, once := range []string{"title", "main", "h1", "header"} {
			if n := count(found, once); n != 1 {
				t.Errorf("%s has %d %s elements", name, n, once)
			}
		}
		if i := slices.IndexFunc(found, func(e element) bool { return e.name == "body" }); found[i+1].attrs["href"] != "#main" {
			t.Errorf("%s: the first link does not skip to the content", name)
		}
		checkIDs(t, name, found)
		checkFields(t, name, found)
		checkHeadings(t, name, found)
		checkNames(t, name, found)
	}
}

// checkIDs: each id once, and whatever refers to an id finds it.
func checkIDs(t *testing.T, page string, found []element) {
	t.Helper()
	ids := map[string]int{}
	for _, e := range found {
		if id, ok := e.attrs["id"]; ok {
			ids[id]++
		}
	}
	for id, n := range ids {
		if n > 1 || id == "" || strings.ContainsAny(id, " \n") {
			t.Errorf("%s: id %q is used %d times", page, id, n)
		}
	}
	for _, e := range found {
		refs := strings.Fields(e.attrs["for"] + " " + e.attrs["aria-describedby"] + " " + e.attrs["aria-labelledby"])
		if local, ok := strings.CutPrefix(e.attrs["href"], "#"); ok {
			refs = append(refs, local)
		}
		for _, ref := range refs {
			if ids[ref] == 0 {
				t.Errorf("%s: a %s refers to %q, which is not there", page, e.name, ref)
			}
		}
	}
}

// checkFields: each visible input has a label and says how it is completed;
// nothing takes the focus by itself but what has gone wrong.
func checkFields(t *testing.T, page string, found []element) {
	t.Helper()
	labels := map[string]bool{}
	for _, e := range found {
		if e.name == "label" {
			labels[e.attrs["for"]] = true
		}
	}
	for _, e := range found {
		if _, ok := e.attrs["autofocus"]; ok && e.attrs["role"] != "alert" {
			t.Errorf("%s: a %s takes the focus", page, e.name)
		}
		if e.name != "input" || e.attrs["type"] == "hidden" {
			continue
		}
		if !labels[e.attrs["id"]] {
			t.Errorf("%s: input %q has no label", page, e.attrs["name"])
		}
		if box := e.attrs["type"] == "checkbox" || e.attrs["type"] == "radio"; !box && e.attrs["autocomplete"] == "" {
			t.Errorf("%s: input %q has no autocomplete", page, e.attrs["name"])
		}
	}
}

// checkHeadings: no level is skipped.
func checkHeadings(t *testing.T, page string, found []element) {
	t.Helper()
	last := 0
	for _, e := range found {
		if len(e.name) != 2 || e.name[0] != 'h' || e.name[1] < '1' || e.name[1] > '6' {
			continue
		}
		level := int(e.name[1] - '0')
		if level > last+1 {
			t.Errorf("%s: h%d follows h%d", page, level, last)
		}
		last = level
	}
}

// checkNames: links and buttons on a page do not share a name unless they do
// the same, and every picture has a text or says that it needs none.
func checkNames(t *testing.T, page string, found []element) {
	t.Helper()
	for i, e := range found {
		switch e.name {
		case "a", "button", "summary":
			if strings.TrimSpace(e.text) == "" && found[i+1].name == "/"+e.name {
				t.Errorf("%s: a %s without a text", page, e.name)
			}
		case "img":
			if _, ok := e.attrs["alt"]; !ok {
				t.Errorf("%s: a picture without alt", page)
			}
		}
	}
}

func TestTitles(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{Theme: Theme{ProductName: "Acme"}})
	titles := map[string]string{
		"connect":            "Connect your accounts \u2013 Acme",
		"hop":                "Continue to Old Mill? \u2013 Acme",
		"picker":             "Choose the Old Mill to connect \u2013 Acme",
		"picker, mixed":      "Problem: Choose what to connect \u2013 Acme",
		"picker, single":     "Choose one Old Mill to connect \u2013 Acme",
		"credentials, wrong": "Problem: Connect Old Mill \u2013 Acme",
		"result":             "Old Mill is connected \u2013 Acme",
		"result, error":      "Not connected: Old Mill \u2013 Acme",
		"working":            "Connecting Old Mill \u2013 Acme",
		"error":              "That did not work \u2013 Acme",
	}
	all := ordinary()
	for name, want := range titles {
		for _, e := range parsed(t, name, render(t, p, all[name]).Body.String()) {
			if got := html.UnescapeString(e.text); e.name == "title" && got != want {
				t.Errorf("%s: title %q, want %q", name, got, want)
			}
		}
	}
}

// linksOf are the addresses of a page's links and their texts, but for those
// within the page.
func linksOf(t *testing.T, name, body string) map[string]string {
	t.Helper()
	links := map[string]string{}
	for _, m := range regexp.MustCompile(`(?s)<a [^>]*href="([^"#]+)"[^>]*>(.*?)</a>`).FindAllStringSubmatch(body, -1) {
		text := regexp.MustCompile(`<[^>]*aria-hidden[^>]*>[^<]*|<[^>]+>`).ReplaceAllString(m[2], "")
		links[m[1]] = strings.TrimSpace(html.UnescapeString(links[m[1]] + " " + text))
	}
	if len(parsed(t, name, body)) == 0 {
		t.Errorf("%s is empty", name)
	}
	return links
}

// Pages that end something lead home, where the host says where that is.
func TestHome(t *testing.T) {
	t.Parallel()
	home := Theme{ProductName: "Acme", HomeURL: "https://app.example.com/", SignInURL: "/login"}
	nameless := Theme{LogoURL: "/logo.svg", HomeURL: "/"}
	tests := []struct {
		name  string
		theme Theme
		page  Page
		want  map[string]string
	}{
		{"error", home, Error{Code: "expired"}, map[string]string{"https://app.example.com/": "Acme Go to Acme"}},
		{"signed out", home, Error{Code: "unauthenticated"}, map[string]string{"https://app.example.com/": "Acme Go to Acme", "/login": "Sign in"}},
		{"signed out, no sign-in page", Theme{HomeURL: "/app/"}, Error{Code: "unauthenticated"}, map[string]string{"/app/": "Go to this service"}},
		{"error with a way back", home, Error{Code: "expired", Back: "/b"}, map[string]string{"https://app.example.com/": "Acme Go to Acme", "/b": "Go back"}},
		{"result", home, Result{Platform: "X", Continue: "/c"}, map[string]string{"https://app.example.com/": "Acme Go to Acme", "/c": "Continue"}},
		{"failed", home, Result{Platform: "X", Code: "expired", Again: "/a"}, map[string]string{"https://app.example.com/": "Acme Go to Acme", "/a": "Try again"}},
		{"unfinished", home, Result{Platform: "X", Unfinished: true}, map[string]string{"https://app.example.com/": "Acme Go to Acme"}},
		{"nothing", home, Result{Nothing: true}, map[string]string{"https://app.example.com/": "Acme Go to Acme"}},
		{"popup", home, Result{Platform: "X", Opener: &Opener{Origin: "https://app.example.com"}}, map[string]string{"https://app.example.com/": "Acme"}},
		{"another page", home, Hop{Platform: "X", Action: "/go/1"}, map[string]string{"https://app.example.com/": "Acme"}},
		{"a logo alone", nameless, Hop{Platform: "X", Action: "/go/1"}, map[string]string{"/": ""}},
		{"no home", Theme{ProductName: "Acme"}, Error{Code: "unauthenticated"}, map[string]string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := render(t, setup(t, Options{Theme: tt.theme}), tt.page).Body.String()
			if diff := cmp.Diff(tt.want, linksOf(t, tt.name, body)); diff != "" {
				t.Errorf("links (-want +got):\n%s", diff)
			}
			if tt.theme == nameless && !strings.Contains(body, `alt="Home"`) {
				t.Error("the link has no name")
			}
		})
	}
}

// A refusal is told in the provider's words where it has some.
func TestReasonsReplaceOurWords(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	page := Credentials{Platform: "P", Problem: "credentials_refused", Reason: "P <lets> nobody in.", Fields: []Field{{Name: "a", Label: "A", Problem: "invalid", Reason: "There is no such & so."}, {Name: "b", Label: "B", Problem: "invalid"}}}
	body := render(t, p, page).Body.String()
	for text, want := range map[string]int{"P &lt;lets&gt; nobody in.": 1, "There is no such &amp; so.": 2, "Check: A": 0, "Check: B": 2, "did not accept": 0} {
		if n := strings.Count(strings.NewReplacer("\u2068", "", "\u2069", "").Replace(body), text); n != want {
			t.Errorf("%q is there %d times, want %d:\n%s", text, n, want, body)
		}
	}
}

func TestConnectLinks(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	page := Connect{
		Platforms: []Platform{
			{Name: "x", DisplayName: "X", Methods: []Method{{Type: OAuth}}},
			{Name: "instagram", DisplayName: "Instagram", Methods: []Method{{Type: OAuth, ID: "a b", Label: "Facebook"}, {Type: CredentialsForm, Label: "L"}, {Type: Code, Label: "C"}}},
		},
		Accounts: []Account{
			{ID: "a/1", Platform: "x", PlatformName: "X", Name: "Dana", Status: "reauth_required", Method: OAuth},
			{ID: "2", Platform: "x", PlatformName: "X", Name: "Fine", Method: OAuth},
			{ID: "3", Platform: "x", PlatformName: "X", Name: "Gone", Status: "disconnected", Method: OAuth},
		},
		Query: map[string][]string{"return_url": {"https://app.example.com/?a=b&c"}},
		Token: "once",
	}
	var got []string
	for _, e := range parsed(t, "connect", render(t, p, page).Body.String()) {
		if e.name == "form" && e.attrs["method"] != "post" {
			t.Error("a disconnect form does not post")
		}
		if target := e.attrs["href"] + e.attrs["action"]; strings.HasPrefix(target, "/connect/") && e.name != "link" {
			got = append(got, html.UnescapeString(target))
		}
	}
	query := "return_url=https%3A%2F%2Fapp.example.com%2F%3Fa%3Db%26c"
	want := []string{
		"/connect/start/x?account_id=a%2F1&" + query, "/connect/ui/accounts/a%2F1/disconnect", "/connect/ui/accounts/2/disconnect",
		"/connect/start/x?" + query, "/connect/start/instagram?method=a+b&" + query, "/connect/ui/credentials/instagram?" + query, "/connect/ui/codes/instagram?" + query,
	}
	if !slices.Equal(got, want) {
		t.Errorf("links\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What the user must mend comes first, and a card says how many there are.
func TestConnectGroups(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	page := Connect{Platforms: []Platform{{Name: "x", DisplayName: "X", Methods: []Method{{Type: OAuth}}}, {Name: "y", DisplayName: "Y", Methods: []Method{{Type: OAuth}}}}}
	for _, status := range append(slices.Clone(statuses), "", "made_up") {
		page.Accounts = append(page.Accounts, Account{ID: status, Platform: "x", PlatformName: "X", Name: "Is " + status, Status: status})
	}
	body := render(t, p, page).Body.String()
	attention, rest, _ := strings.Cut(body, `<h2 id="accounts">`)
	for _, status := range []string{"limited", "token_expired", "reauth_required", "target_lost"} {
		if !strings.Contains(attention, "Is "+status+"<") || strings.Contains(rest, "Is "+status+"<") {
			t.Errorf("%s is not among those that need attention", status)
		}
	}
	for _, text := range []string{`attention <span class="count">4</span>`, `accounts <span class="count">5</span>`, "Connected: 8"} {
		if strings.Count(body, text) != 1 {
			t.Errorf("the page does not say %s once", text)
		}
	}
	if body := render(t, p, Connect{Platforms: page.Platforms}).Body.String(); strings.Contains(body, `class="count"`) || strings.Contains(body, "Connected: ") || strings.Contains(body, `href="#platforms"`) {
		t.Error("the first visit shows an empty section, or a way past nothing")
	}
}

func TestCredentialsNeverEchoSecrets(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	body := render(t, p, ordinary()["credentials, wrong"]).Body.String()
	if strings.Contains(body, "planted-secret") {
		t.Error("the page repeats a secret")
	}
	inputs := map[string]map[string]string{}
	for _, e := range parsed(t, "credentials", body) {
		if e.name == "input" {
			inputs[e.attrs["name"]] = e.attrs
		}
	}
	if id := inputs["identifier"]; id["value"] != "Old Mill" || id["aria-invalid"] != "true" || id["aria-describedby"] != "help-identifier mistake-identifier" || id["autocomplete"] != "username" {
		t.Errorf("identifier %v", id)
	}
	if secret := inputs["app_password"]; secret["type"] != "password" || secret["autocomplete"] != "off" {
		t.Errorf("secret %v", secret)
	}
	if !strings.Contains(body, `role="alert"`) || !strings.Contains(body, `<a href="#field-identifier">Old Mill did not accept these details.</a>`) {
		t.Error("the summary does not lead to the field")
	}
}
