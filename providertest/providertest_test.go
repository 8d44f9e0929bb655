package providertest

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/bluesky"
	"github.com/seed944197df/connect/providers/facebook"
	"github.com/seed944197df/connect/providers/x"
	"github.com/seed944197df/connect/sandbox"
)

const (
	id     = "901234567890123"
	secret = "canary-secret-of-the-client"
)

func newX() *x.Provider {
	return x.New(x.Options{ClientID: id, ClientSecret: connect.NewSecret(secret)})
}

func newFacebook() *facebook.Provider {
	return facebook.New(facebook.Options{AppID: id, AppSecret: connect.NewSecret(secret)})
}

// config returns one in which provider, of the platform, is played against the
// sandbox.
func config(t *testing.T, provider connect.Provider) Config {
	t.Helper()
	platform := strings.ToLower(provider.Platform().Name)
	if platform == "bluesky" {
		return credentials(t, provider)
	}
	redirectURL := "https://app.example.com/connect/callback/" + platform
	handler, err := sandbox.New(sandbox.Options{Clients: map[string]sandbox.Client{
		platform: {ID: id, Secret: secret, RedirectURIs: []string{redirectURL}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	persona := map[string]string{"x": "bakery", "facebook": "dana"}[platform]
	transport := FromHandler(handler)
	return Config{
		Provider:    provider,
		Platform:    transport,
		Consent:     PostConsent(transport, url.Values{"decision": {"allow"}, "persona": {persona}}),
		RedirectURL: redirectURL,
	}
}

// credentials returns one for Bluesky, whose people type an app password that
// the sandbox shows on its first page.
func credentials(t *testing.T, provider connect.Provider) Config {
	t.Helper()
	handler, err := sandbox.New(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header.Set("Accept", "application/json")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	var page struct {
		Bluesky struct {
			AppPassword string `json:"app_password"`
		} `json:"bluesky"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || page.Bluesky.AppPassword == "" {
		t.Fatalf("the sandbox shows no app password: %v", err)
	}
	return Config{
		Provider: provider,
		Platform: FromHandler(handler),
		Hosts:    []string{"pds.sandbox.test"},
		Login: map[string]connect.Secret{
			"identifier":   connect.NewSecret("ada.sandbox.test"),
			"app_password": connect.NewSecret(page.Bluesky.AppPassword),
		},
	}
}

func sound() []connect.Provider {
	return []connect.Provider{newX(), newFacebook(), bluesky.New(nil)}
}

func TestSuiteAcceptsProviders(t *testing.T) {
	t.Parallel()
	for _, provider := range sound() {
		t.Run(provider.Platform().Name, func(t *testing.T) {
			t.Parallel()
			Run(t, config(t, provider))
		})
	}
}

// Each flaw makes the suite say exactly what is wrong, and nothing else.
func TestFlawIsFoundAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, flaw := range flaws() {
		t.Run(flaw.broken, func(t *testing.T) {
			t.Parallel()
			found := record(t, flaw.config(t)).findings
			got := slices.Sorted(maps.Keys(found))
			slices.Sort(flaw.findings)
			if diff := cmp.Diff(flaw.findings, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s\nin full: %q", diff, found)
			}
		})
	}
}

// A check that no flaw fails may as well not be there.
func TestEveryCheckHasAFlaw(t *testing.T) {
	t.Parallel()
	failed := map[string]bool{}
	for _, flaw := range flaws() {
		for _, finding := range flaw.findings {
			check, _, _ := strings.Cut(finding, ": ")
			failed[withoutMethod(check)] = true
		}
	}
	for _, provider := range sound() {
		for check, last := range record(t, config(t, provider)).checks {
			if last && !failed[withoutMethod(check)] {
				t.Errorf("no flaw fails the check %q", check)
			}
		}
	}
}

func TestEverySentenceHasAFlaw(t *testing.T) {
	t.Parallel()
	said := map[string]bool{}
	for _, flaw := range flaws() {
		for _, finding := range flaw.findings {
			_, sentence, _ := strings.Cut(finding, ": ")
			said[sentence] = true
		}
	}
	for _, sentence := range sentences(t) {
		if !said[sentence] {
			t.Errorf("no flaw makes the suite say %q", sentence)
		}
	}
}

// sentences returns what the suite can say: the first argument of each Error,
// Errorf, Fatal and Fatalf in its source.
func sentences(t *testing.T) []string {
	t.Helper()
	var list []string
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"Error", "Errorf", "Fatal", "Fatalf"}, method.Sel.Name) || len(call.Args) == 0 {
				return true
			}
			literal, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s says something that is not written there", name)
				return true
			}
			sentence, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, sentence)
			return true
		})
	}
	return list
}

func TestFromHandlerPassesTheRequest(t *testing.T) {
	t.Parallel()
	transport := FromHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cut.example/" {
			panic(http.ErrAbortHandler)
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
	}))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example/a/b?c=d", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if want := "POST /api.example/a/b?c=d body"; err != nil || string(got) != want {
		t.Errorf("the handler sees %q, %v, want %q", got, err, want)
	}
	r, err = http.NewRequestWithContext(t.Context(), http.MethodGet, "https://cut.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := transport.RoundTrip(r); err == nil {
		t.Error("a cut connection is no error")
	}
}
