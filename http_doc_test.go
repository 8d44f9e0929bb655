package connect_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestHTTPDoc holds the routes of docs/http.md against those that are served.
func TestHTTPDoc(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("handlers.go")
	if err != nil {
		t.Fatal(err)
	}
	var served []string
	for _, m := range regexp.MustCompile(`(?m)^\t\t"(/[a-z]+[^"]*)": `).FindAllStringSubmatch(string(source), -1) {
		if m[1] != "/ui" { // which leads to /ui/
			served = append(served, m[1])
		}
	}
	methods := map[string][]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z]+) (/[^`]+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		methods[m[2]] = append(methods[m[2]], m[1])
	}
	var told []string
	for path := range methods {
		told = append(told, path)
	}
	slices.Sort(served)
	slices.Sort(told)
	if diff := cmp.Diff(served, told); diff != "" {
		t.Errorf("routes (-handlers.go +docs/http.md):\n%s", diff)
	}

	b := newBench(t, newClock().Now)
	for path, has := range methods {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			w := httptest.NewRecorder()
			target := "https://host.test/connect" + regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(path, "fake")
			b.engine.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, target, nil))
			refused := w.Code == http.StatusMethodNotAllowed || path == "/ui/" && w.Code == http.StatusNotFound
			if refused == slices.Contains(has, method) || strings.Contains(w.Body.String(), "no such route") {
				t.Errorf("%s %s is answered %d; the table has %v", method, path, w.Code, has)
			}
		}
	}
}
