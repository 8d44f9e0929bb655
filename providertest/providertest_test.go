package providertest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/bluesky"
	"github.com/seed944197df/connect/providers/facebook"
	"github.com/seed944197df/connect/providers/x"
	"github.com/seed944197df/connect/providertest"
	"github.com/seed944197df/connect/sandbox"
)

const (
	id     = "901234567890123"
	secret = "canary-secret-of-the-client"
)

// config returns one in which provider, of the platform, is played against the
// sandbox.
func config(t *testing.T, platform string, provider connect.Provider) providertest.Config {
	t.Helper()
	if platform == "bluesky" {
		return credentials(t, provider)
	}
	handler, err := sandbox.New(sandbox.Options{Clients: map[string]sandbox.Client{
		platform: {ID: id, Secret: secret, RedirectURIs: []string{"https://app.example.com/connect/callback/" + platform}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	persona := map[string]string{"x": "bakery", "facebook": "dana"}[platform]
	transport := providertest.FromHandler(handler)
	return providertest.Config{
		Provider: provider,
		Platform: transport,
		Consent:  providertest.PostConsent(transport, url.Values{"decision": {"allow"}, "persona": {persona}}),
	}
}

// credentials returns one for Bluesky, whose people type an app password that
// the sandbox shows on its first page.
func credentials(t *testing.T, provider connect.Provider) providertest.Config {
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
	return providertest.Config{
		Provider: provider,
		Platform: providertest.FromHandler(handler),
		Hosts:    []string{"pds.sandbox.test"},
		Login: map[string]connect.Secret{
			"identifier":   connect.NewSecret("ada.sandbox.test"),
			"app_password": connect.NewSecret(page.Bluesky.AppPassword),
		},
	}
}

func newX() *x.Provider {
	return x.New(x.Options{ClientID: id, ClientSecret: connect.NewSecret(secret)})
}

func newFacebook() *facebook.Provider {
	return facebook.New(facebook.Options{AppID: id, AppSecret: connect.NewSecret(secret)})
}

const flawsVariable = "PROVIDERTEST_FLAWS"

// TestFlaws is run by TestSuiteNoticesFlaws in a process of its own, where it
// must fail.
func TestFlaws(t *testing.T) {
	t.Parallel()
	if os.Getenv(flawsVariable) == "" {
		t.Skip("TestSuiteNoticesFlaws runs this")
	}
	for name, flaw := range flaws() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			providertest.Run(t, config(t, flaw.platform, flaw.provider))
		})
	}
}

func TestSuiteNoticesFlaws(t *testing.T) {
	t.Parallel()
	byPart := map[string][]string{}
	for name, flaw := range flaws() {
		byPart[flaw.caught] = append(byPart[flaw.caught], strings.ReplaceAll(name, " ", "_"))
	}
	for part, names := range byPart {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			output := runFlaws(t, names, part)
			for _, name := range names {
				if !strings.Contains(output, "--- FAIL: TestFlaws/"+name+"/"+part+" ") {
					t.Errorf("the flaw %q is not noticed", name)
				}
			}
		})
	}
}

// runFlaws runs one part of the suite on flawed providers and returns what it
// printed.
func runFlaws(t *testing.T, names []string, part string) string {
	t.Helper()
	pattern := "^TestFlaws$/^(" + strings.Join(names, "|") + ")$/^" + strings.ReplaceAll(part, "/", "$/^") + "$"
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+pattern, "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), flawsVariable+"=1")
	output, err := cmd.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); !failed {
		t.Fatalf("the flawed providers end with %v, want a failure", err)
	}
	return string(output)
}

func TestSuiteAcceptsProviders(t *testing.T) {
	t.Parallel()
	for _, provider := range []connect.Provider{newX(), newFacebook(), bluesky.New(nil)} {
		platform := provider.Platform().Name
		t.Run(platform, func(t *testing.T) {
			t.Parallel()
			providertest.Run(t, config(t, platform, provider))
		})
	}
}

func TestFromHandlerPassesTheRequest(t *testing.T) {
	t.Parallel()
	transport := providertest.FromHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
