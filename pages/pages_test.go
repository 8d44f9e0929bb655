package pages

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func recorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	file := func(name, text string) fstest.MapFS { return fstest.MapFS{name: {Data: []byte(text)}} }
	tests := []struct {
		name string
		o    Options
		want string
	}{
		{"base path with a slash at its end", Options{BasePath: "/connect/"}, "BasePath"},
		{"base path without a slash", Options{BasePath: "connect"}, "BasePath"},
		{"base path with markup", Options{BasePath: `/"><b>`}, "BasePath"},
		{"base path that is another host", Options{BasePath: "//evil.example"}, "BasePath"},
		{"colour by name", Options{Theme: Theme{Accent: "red"}}, "Theme.Accent"},
		{"colour with more behind it", Options{Theme: Theme{Accent: "#112233;}*{display:none"}}, "Theme.Accent"},
		{"radius that is an expression", Options{Theme: Theme{Radius: "calc(1px)"}}, "Theme.Radius"},
		{"radius too large", Options{Theme: Theme{Radius: "33px"}}, "Theme.Radius"},
		{"font with a rule", Options{Theme: Theme{Font: "Arial;}*{background:url(//evil)}"}}, "Theme.Font"},
		{"font with an open quote", Options{Theme: Theme{Font: `"Arial`}}, "Theme.Font"},
		{"font list with a gap", Options{Theme: Theme{Font: "Arial,,serif"}}, "Theme.Font"},
		{"font list too long", Options{Theme: Theme{Font: strings.Repeat("a", 301)}}, "Theme.Font"},
		{"logo over http", Options{Theme: Theme{LogoURL: "http://cdn.example.com/l.svg"}}, "Theme.LogoURL"},
		{"logo as script", Options{Theme: Theme{LogoURL: "javascript:alert(1)"}}, "Theme.LogoURL"},
		{"logo with a policy in it", Options{Theme: Theme{LogoURL: "https://cdn.example.com;script-src/l.svg"}}, "Theme.LogoURL"},
		{"logo of another host without a scheme", Options{Theme: Theme{LogoURL: "//cdn.example.com/l.svg"}}, "Theme.LogoURL"},
		{"home over http", Options{Theme: Theme{HomeURL: "http://app.example.com/"}}, "Theme.HomeURL"},
		{"home as script", Options{Theme: Theme{HomeURL: "javascript:alert(1)"}}, "Theme.HomeURL"},
		{"home of another host without a scheme", Options{Theme: Theme{HomeURL: "//app.example.com/"}}, "Theme.HomeURL"},
		{"home of slashes", Options{Theme: Theme{HomeURL: "//"}}, "Theme.HomeURL"},
		{"home that is no host", Options{Theme: Theme{HomeURL: "https://"}}, "Theme.HomeURL"},
		{"sign-in over http", Options{Theme: Theme{SignInURL: "http://app.example.com/login"}}, "Theme.SignInURL"},
		{"product name with a direction character", Options{Theme: Theme{ProductName: "a\u202eb"}}, "Theme.ProductName"},
		{"product name too long", Options{Theme: Theme{ProductName: strings.Repeat("a", 61)}}, "Theme.ProductName"},
		{"text of an unknown key", Options{Text: map[string]string{"hop.titel": "x"}}, `"hop.titel"`},
		{"text with an unknown placeholder", Options{Text: map[string]string{"hop.title": "To {site}"}}, "{site}"},
		{"empty text", Options{Text: map[string]string{"hop.title": " "}}, `"hop.title"`},
		{"language that is none", Options{Text: map[string]string{"page.language": `en"`}}, "page.language"},
		{"direction that is none", Options{Text: map[string]string{"page.direction": "up"}}, "page.direction"},
		{"template of an unknown name", Options{Templates: file("pikcer.html", "")}, "pikcer.html"},
		{"template that does not parse", Options{Templates: file("hop.html", "{{")}, "hop.html"},
		{"template with an unknown field", Options{Templates: file("hop.html", `{{define "title"}}x{{end}}{{define "main"}}{{.Nothing}}{{end}}`)}, "Nothing"},
		{"template with an unknown text", Options{Templates: file("hop.html", `{{define "title"}}x{{end}}{{define "main"}}{{text "none"}}{{end}}`)}, "none"},
		{"template that defines no main part", Options{Templates: file("hop.html", `{{define "title"}}x{{end}}`)}, "main"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := New(tt.o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that names %s", err, tt.want)
			}
		})
	}
}

func TestTemplatesAreReplaced(t *testing.T) {
	t.Parallel()
	host := fstest.MapFS{
		"hop.html":   {Data: []byte(`{{define "title"}}Mine{{end}}{{define "main"}}<h1>Mine</h1> {{.Platform}}{{end}}`)},
		"style.css":  {Data: []byte("body { color: teal }\n")},
		"readme.txt": {Data: []byte("not a template")},
	}
	p := setup(t, Options{Templates: host})
	if body := render(t, p, Hop{Platform: "<X>"}).Body.String(); !strings.Contains(body, "<h1>Mine</h1> &lt;X&gt;") {
		t.Errorf("the host's template is not used, or not escaped:\n%s", body)
	}
	if body := render(t, p, Working{Platform: "X", Refresh: "/"}).Body.String(); !strings.Contains(body, "Connecting X") {
		t.Error("a page that the host did not replace is not ours")
	}
	css := style(p, http.MethodGet, "/connect/ui/style.css").Body.String()
	if !strings.Contains(css, "--accent: #3b5bdb") || !strings.HasSuffix(css, "body { color: teal }\n") {
		t.Errorf("stylesheet:\n%s", css)
	}
}

func style(p *Pages, method, target string) *httptest.ResponseRecorder {
	w := recorder()
	p.Style().ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

func TestStyle(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{Theme: Theme{Accent: "#FFEE00", Radius: "0.5rem", Font: `"Fira Sans", serif`}})
	w := style(p, http.MethodGet, "/connect/ui/style.css")
	for _, want := range []string{"--accent: #ffee00;", "--on-accent: #000000;", "--radius: 0.5rem;", `--font: "Fira Sans", serif;`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("stylesheet lacks %s", want)
		}
	}
	if h := w.Header(); h.Get("Content-Type") != "text/css; charset=utf-8" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", h)
	}
	if w := style(p, http.MethodPost, "/connect/ui/style.css"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("a post is answered %d", w.Code)
	}
}

func TestStyleLink(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	for _, e := range parsed(t, "error", render(t, p, Error{}).Body.String()) {
		if e.name != "link" {
			continue
		}
		if got := e.attrs["href"]; got != "/connect/ui/style.css" {
			t.Errorf("the page links to %q", got)
		}
		if got := style(p, http.MethodGet, e.attrs["href"]).Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("the page's own link has Cache-Control %q", got)
		}
	}
}

func TestThemeContrast(t *testing.T) {
	t.Parallel()
	for _, colour := range []string{"#000000", "#ffffff", "#ff0000", "#00ff00", "#0000ff", "#ffff00", "#777777", "#3b5bdb", "#f4f5f7", "#1d2026"} {
		a := parseRGB(colour)
		light, dark := a.legibleOn(lightSurface, black), a.legibleOn(darkSurface, white)
		for what, ratio := range map[string]float64{"button": contrast(a, a.text()), "light link": contrast(light, lightSurface), "dark link": contrast(dark, darkSurface)} {
			if ratio < 4.5 {
				t.Errorf("%s: %s has contrast %.2f", colour, what, ratio)
			}
		}
	}
	if got := contrast(black, white); got < 20.99 || got > 21.01 {
		t.Errorf("black on white is %.2f to 1, want 21", got)
	}
}

// White is legible on every colour that stands in for a picture.
func TestPlaceholderContrast(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	found := regexp.MustCompile(`(?m)^(\.hue|\[data-platform).*$`).FindAllString(string(p.style), -1)
	if len(found) < 12 {
		t.Fatalf("only %d colours", len(found))
	}
	for _, line := range found {
		text := white
		if strings.Contains(line, "; color: #000000") {
			text = black
		}
		line, _, _ = strings.Cut(line, "; ")
		for _, colour := range regexp.MustCompile(`#[0-9a-f]{6}`).FindAllString(line, -1) {
			if ratio := contrast(parseRGB(colour), text); ratio < 4.5 {
				t.Errorf("%s: contrast %.2f", line, ratio)
			}
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	tests := []struct {
		name   string
		status int
		page   Page
	}{
		{"no page", 200, nil},
		{"a status that is none", 0, Error{}},
		{"a form target that extends the policy", 200, Picker{FormTargets: []string{"https://a.example; script-src *"}}},
		{"a form target with a path", 200, Hop{FormTargets: []string{"https://a.example/x"}}},
		{"every form target", 200, Credentials{FormTargets: []string{"*"}}},
		{"a refresh to a script", 200, Working{Refresh: "javascript:alert(1)"}},
		{"a refresh with a second header", 200, Working{Refresh: "/a\r\nSet-Cookie: b=c"}},
		{"a method that leads nowhere", 200, Connect{Platforms: []Platform{{Name: "x", Methods: []Method{{Type: "other"}}}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := recorder()
			err := p.Render(w, tt.status, tt.page)
			if err == nil || w.Body.Len() > 0 || len(w.Header()) > 0 {
				t.Errorf("error %v, body %q, headers %v; want an error and nothing written", err, w.Body, w.Header())
			}
		})
	}
}
