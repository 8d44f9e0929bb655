package pages

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect/internal/browsertest"
)

// screens are a small phone, a phone and a desk, by day and by night.
func screens() []browsertest.Screen {
	var all []browsertest.Screen
	for _, width := range []int64{320, 390, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			all = append(all, browsertest.Screen{Width: width, Scheme: scheme})
		}
	}
	return all
}

// site serves pages, the stylesheet and pictures as a host does.
func site(t *testing.T, o Options, pages func(origin string) []fixture) (origin string, names []string) {
	t.Helper()
	p := setup(t, o)
	mux := http.NewServeMux()
	server := httptest.NewTLSServer(mux) // pages show no picture that is not https
	t.Cleanup(server.Close)
	for _, f := range pages(server.URL) {
		names = append(names, f.name)
		mux.HandleFunc("/page/"+f.name, func(w http.ResponseWriter, _ *http.Request) {
			if err := p.Render(still{w}, http.StatusOK, f.page); err != nil {
				t.Errorf("%s: %v", f.name, err)
			}
		})
	}
	mux.Handle("/connect/ui/style.css", p.Style())
	mux.HandleFunc("/avatar/{name}", func(w http.ResponseWriter, r *http.Request) { scene(w, r.PathValue("name")) })
	mux.HandleFunc("/logo.svg", func(w http.ResponseWriter, _ *http.Request) { scene(w, "7.svg") })
	return server.URL, names
}

// still keeps a waiting page from moving on while it is looked at.
type still struct{ http.ResponseWriter }

// WriteHeader sends all headers but that one.
func (w still) WriteHeader(status int) {
	w.Header().Del("Refresh")
	w.ResponseWriter.WriteHeader(status)
}

// scene draws a landscape, every name its own.
func scene(w http.ResponseWriter, name string) {
	h := crc32.ChecksumIEEE([]byte(name)) % 360
	w.Header().Set("Content-Type", "image/svg+xml")
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 44 44"><rect width="44" height="44" fill="hsl(%d 60%% 78%%)"/>`+
		`<circle cx="31" cy="14" r="6" fill="hsl(%d 80%% 92%%)"/><path d="M0 44V30l12-9 10 8 9-6 13 10v11z" fill="hsl(%d 45%% 42%%)"/></svg>`, h, h, (h+40)%360)
}

func lantern() Options {
	return Options{Theme: Theme{ProductName: "Lantern", Font: "Arial, sans-serif", HomeURL: "/", SignInURL: "/login"}}
}

func themed() Options {
	return Options{Theme: Theme{ProductName: "Lantern", LogoURL: "/logo.svg", Accent: "#0f766e", Radius: "1.25rem", Font: `Georgia, "Liberation Serif", serif`}}
}

func mirrored() Options {
	return Options{Theme: Theme{Accent: "#ffe500", Radius: "0px"}, Text: map[string]string{"page.direction": "rtl"}}
}

// looked is what a person with a keyboard finds wrong with a page, whatever
// it is about: first as it is, then with every fold open, which stays so.
const looked = `(() => {
	const wrong = [];
	const look = () => {
		if (document.documentElement.scrollWidth > innerWidth) {
			wrong.push("the page is " + document.documentElement.scrollWidth + " px wide on a screen of " + innerWidth);
		}
		for (const e of document.querySelectorAll(".names, .about, .meta > *")) {
			if (e.scrollWidth > e.clientWidth && e.clientWidth > 0) {
				wrong.push(e.textContent.trim().slice(0, 40) + " is cut off");
			}
		}
		const able = [...document.querySelectorAll("a, button, summary, input:not([type=hidden])")];
		for (const e of able.filter((e) => !e.disabled && e.checkVisibility())) {
			const name = e.tagName + " " + (e.textContent.trim() || e.name).slice(0, 40);
			const size = e.getBoundingClientRect();
			if (size.width < 24 || size.height < 24) {
				wrong.push(name + " is " + size.width + " by " + size.height + " px");
			}
			e.focus();
			const row = e.closest(".choice");
			const ring = getComputedStyle(row || e);
			if (!e.matches(":focus-visible") || ring.outlineStyle === "none" || parseFloat(ring.outlineWidth) < 2) {
				wrong.push(name + " does not show that it has the focus");
			}
			const box = e.getBoundingClientRect();
			const over = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
			if (!over || !(e.contains(over) || over.contains(e) || (row && row.contains(over)))) {
				wrong.push(name + " has the focus and lies under " + (over && over.className));
			}
		}
		document.activeElement.blur();
		scrollTo(0, 0);
	};
	const folds = document.querySelectorAll("details");
	folds.forEach((e) => { e.open = false; });
	look();
	folds.forEach((e) => { e.open = true; });
	if (folds.length > 0) {
		look();
	}
	return wrong;
})()`

// Every page on every screen: axe-core finds no violation, nothing scrolls
// sideways or is cut off, every control is large enough and shows the focus
// (WCAG 2.2, 2.5.8, 2.4.7 and 2.4.11), and no page asks for what its own
// policy forbids.
func TestBrowser_PagesAreAccessible(t *testing.T) {
	t.Parallel()
	few := []string{"connect", "hop", "picker", "credentials-refused", "error"}
	tests := []struct {
		name  string
		world func(origin string) world
		looks map[string]Options
	}{
		{"ordinary", ordinaryWorld, map[string]Options{"": lantern(), "themed": themed(), "mirrored": mirrored()}},
		{"hostile", hostileWorld, map[string]Options{"": lantern()}},
	}
	axe := browsertest.Axe(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := browsertest.New(t)
			for look, options := range tt.looks {
				origin, names := site(t, options, func(origin string) []fixture { return tt.world(origin).fixtures() })
				for _, name := range names {
					if look == "" || slices.Contains(few, name) {
						p.Open(origin + "/page/" + name)
						inspect(t, p, axe, name+" "+look)
					}
				}
			}
			for _, line := range p.Complaints() {
				t.Error(line)
			}
		})
	}
}

// inspect looks at the open page on every screen. What axe-core finds by night
// and not by day is a matter of colours.
func inspect(t *testing.T, p *browsertest.Person, axe, name string) {
	t.Helper()
	for _, screen := range screens() {
		p.Look(screen)
		var only []string
		if screen.Scheme == "dark" {
			only = []string{"color-contrast", "link-in-text-block"}
		}
		for _, line := range append(browsertest.Evaluate[[]string](p, looked), p.Violations(axe, only...)...) {
			t.Errorf("%s, %d px, %s: %s", name, screen.Width, screen.Scheme, line)
		}
	}
}

// Cards stand row by row in the order of the host, however high they are.
func TestBrowser_CardsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	p := browsertest.New(t)
	origin, _ := site(t, lantern(), func(origin string) []fixture { return ordinaryWorld(origin).fixtures()[:1] })
	p.Open(origin + "/page/connect")
	for _, screen := range screens() {
		p.Look(screen)
		seen := browsertest.Evaluate[[]string](p, `[...document.querySelectorAll(".card")]
			.map((e) => [e.getBoundingClientRect(), e.querySelector("h3").textContent])
			.sort(([a], [b]) => a.y - b.y || a.x - b.x).map(([, name]) => name)`)
		var want []string
		for _, platform := range ordinaryWorld("").platforms() {
			want = append(want, platform.DisplayName)
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("on %d px (-want +got):\n%s", screen.Width, diff)
		}
	}
}

// shaped is a page without its text: tags, names of attributes, and the
// scheme of those that hold a URL.
const shaped = `((page) => [...page.querySelectorAll("*")].map((e) => e.tagName + [...e.attributes].map((a) => " " + a.name + (
	["href", "src", "action", "formaction"].includes(a.name) ? "=" + new URL(a.value, "https://here.test").protocol : "")).sort().join("")))`

// In a browser, names that a platform chose change no page's shape.
func TestThreat79_NamesChangeNoPage(t *testing.T) {
	t.Parallel()
	browser := browsertest.New(t)
	p := setup(t, lantern())
	ordinary, hostile := ordinaryWorld("https://cdn.example.com"), hostileWorld("https://cdn.example.com")
	ordinary.rows = hostile.rows
	hostiles := hostile.fixtures()
	for i, f := range ordinary.fixtures() {
		want := shapes(t, browser, render(t, p, f.page).Body.String())
		got := shapes(t, browser, render(t, p, hostiles[i].page).Body.String())
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-ordinary +hostile):\n%s", f.name, diff)
		}
	}
}

// Nor does a browser, which forgives what our own parser does not, find an
// element, an attribute or a scheme in any of 500 hostile texts.
func TestThreat79_MarkupInABrowser(t *testing.T) {
	t.Parallel()
	browser := browsertest.New(t)
	p := setup(t, Options{})
	fullest := []string{"connect", "connect link", "picker, mixed", "credentials, wrong", "result", "result, error", "working", "error"}
	pages := func(text, avatarURL string) (all []string) {
		for _, name := range fullest {
			all = append(all, render(t, p, pagesOf(text, avatarURL)[name]).Body.String())
		}
		return all
	}
	want := shapes(t, browser, pages("z", "")...)
	texts := slices.DeleteFunc(hostile(), func(text string) bool { return clean(text) == "" })
	for chunk := range slices.Chunk(texts, 20) {
		var all []string
		for _, text := range chunk {
			all = append(all, pages(text, text)...)
		}
		got := shapes(t, browser, all...)
		for i, text := range chunk {
			if diff := cmp.Diff(want, got[i*len(fullest):][:len(fullest)]); diff != "" {
				t.Fatalf("%.80q changes (-want +got):\n%s", text, diff)
			}
		}
	}
}

// shapes are pages as the browser parses them, without running anything.
func shapes(t *testing.T, browser *browsertest.Person, pages ...string) []string {
	t.Helper()
	list, err := json.Marshal(pages)
	if err != nil {
		t.Fatal(err)
	}
	return browsertest.Evaluate[[]string](browser, string(list)+`.map((page) => `+shaped+`(new DOMParser().parseFromString(page, "text/html")).join("\n"))`)
}

// TestPictures keeps the pictures of docs/ui in the folder that
// CONNECT_SCREENSHOTS names; where it names none, one page is tried.
func TestPictures(t *testing.T) {
	t.Parallel()
	p := browsertest.New(t)
	origin, names := site(t, lantern(), func(origin string) []fixture { return ordinaryWorld(origin).fixtures() })
	dir := os.Getenv("CONNECT_SCREENSHOTS")
	if dir == "" {
		dir, names = t.TempDir(), names[:1]
	}
	for _, name := range names {
		p.Open(origin + "/page/" + name)
		for file, screen := range pictures(name) {
			p.Look(screen)
			p.Picture(filepath.Join(dir, file))
		}
	}
}

// pictures are the files that show a page.
func pictures(page string) map[string]browsertest.Screen {
	files := map[string]browsertest.Screen{}
	for device, width := range map[string]int64{"phone": 390, "desktop": 1280} {
		for _, scheme := range []string{"light", "dark"} {
			files[fmt.Sprintf("%s-%s-%s.png", page, device, scheme)] = browsertest.Screen{Width: width, Scheme: scheme}
		}
	}
	return files
}

// docs/ui has a file for each page of the ordinary world on each screen, and its
// README shows it. Whether the page still looks so is not compared.
func TestEveryPageIsPictured(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../docs/ui/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range ordinaryWorld("").fixtures() {
		for file := range pictures(f.name) {
			if _, err := os.Stat("../docs/ui/" + file); err != nil || !strings.Contains(string(readme), `src="`+file+`"`) {
				t.Errorf("%s: %v; in the table: %v", file, err, strings.Contains(string(readme), file))
			}
		}
	}
}
