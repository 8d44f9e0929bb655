package sandbox_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect/sandbox"
)

func TestIndexJSON(t *testing.T) {
	t.Parallel()
	w := setup(t)
	got := w.do(request{method: "GET", header: map[string]string{"Accept": "application/json"}}).object(t)
	people, _ := got["personas"].(object)
	for platform, first := range map[string]string{"x": "bakery", "facebook": "dana", "linkedin": "lena", "google": "mara", "bluesky": "ada.sandbox.test"} {
		list, _ := people[platform].([]any)
		if len(list) < 2 {
			t.Fatalf("%s has %d personas", platform, len(list))
		}
		p, _ := list[0].(object)
		if p["id"] != first || p["label"] == "" || len(p) != 2 {
			t.Errorf("first persona of %s is %v, want id %q and a label", platform, p, first)
		}
	}
	delete(got, "personas")
	want := object{
		"bluesky":  object{"identifier": "ada.sandbox.test", "app_password": "sand-box2-test-pass"},
		"mastodon": nil, "telegram": nil,
		"faults": []any{
			"deny", "narrowed_scopes", "429", "500", "html", "hang", "slow_body", "bad_json", "lost_answer",
			"invalid_grant", "expired_token", "false_200_error", "wrong_subject",
			"no_refresh_token", "cancel_login", "unauthorized_scope", "revoked_token", "access_denied", "version_sunset",
			"account_deleted", "session_control", "admin_policy", "invalid_client", "testing_client",
			"signup_required", "scope_missing", "api_disabled", "quota_exceeded", "no_quota", "rate_limit", "delegation_forbidden",
			"channel_closed", "channel_suspended", "no_permission", "not_found", "bad_page_token",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("index (-want +got):\n%s", diff)
	}
}

func TestIndexPage(t *testing.T) {
	t.Parallel()
	w := setup(t)
	got := w.do(request{method: "GET", header: map[string]string{"Accept": "text/html,*/*;q=0.8"}})
	if got.status != http.StatusOK || !strings.Contains(got.header.Get("Content-Type"), "text/html") || !strings.Contains(got.body, "sand-box2-test-pass") {
		t.Errorf("status %d, %s:\n%s", got.status, got.header.Get("Content-Type"), got.body)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte(`{"version":2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]sandbox.Options{
		"unknown platform":        {Clients: map[string]sandbox.Client{"myspace": {ID: "a", Secret: "b"}}},
		"no secret":               {Clients: map[string]sandbox.Client{"x": {ID: "a"}}},
		"state of other version":  {StateFile: broken},
		"state file in no folder": {StateFile: filepath.Join(t.TempDir(), "missing", "state")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if s, err := sandbox.New(o); err == nil || s != nil {
				t.Errorf("New = %v, %v, want an error", s, err)
			}
		})
	}
}

func TestSetRedirectURIs(t *testing.T) {
	t.Parallel()
	w := setup(t)
	if err := w.SetRedirectURIs("x", "http://127.0.0.1:1/other"); err != nil {
		t.Fatal(err)
	}
	if got := w.do(request{method: "GET", url: xAuthorize()}); got.status != http.StatusBadRequest {
		t.Errorf("the former redirect URI: status %d, want 400", got.status)
	}
	if got := w.do(request{method: "GET", url: xAuthorize("redirect_uri=http://127.0.0.1:1/other")}); got.status != http.StatusOK {
		t.Errorf("the new redirect URI: status %d, want 200", got.status)
	}
	if err := w.SetRedirectURIs("myspace"); err == nil {
		t.Error("an unknown client was accepted")
	}
}

func TestUnknownPlaces(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, path := range []string{"nowhere.example/", "x.com/other", "www.facebook.com/v26.0/other", "www.linkedin.com/other", "api.linkedin.com/rest/other", "plc.directory/did:plc:none", "who.sandbox.test/.well-known/atproto-did", "_act/telegram", "api.x.com/3/users/me"} {
		if got := w.do(request{method: "GET", url: path}); got.status != http.StatusNotFound {
			t.Errorf("GET %s: status %d, want 404", path, got.status)
		}
	}
}

func TestRestartKeepsTokens(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state")
	before := restart(t, file)
	tokens := before.xConnect()
	dana := before.fbConnect("dana")
	session := before.login("ada.sandbox.test", "pds.sandbox.test")
	if err := before.SetFault(sandbox.Fault{Platform: "x", Fault: "429", At: "profile"}); err != nil {
		t.Fatal(err)
	}
	before.server.Close()

	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("state file: %v, %v, want mode 0600", info, err)
	}
	left, err := filepath.Glob(file + ".*")
	if err != nil || len(left) > 0 {
		t.Errorf("files left beside the state file: %v, %v", left, err)
	}

	after := restart(t, file)
	if got := after.xMe(tokens.text(t, "access_token")); got.status != http.StatusTooManyRequests {
		t.Errorf("the fault did not survive: status %d", got.status)
	}
	if got := after.xRefresh(tokens.text(t, "refresh_token")); got.status != http.StatusOK {
		t.Errorf("X refresh: status %d: %s", got.status, got.body)
	}
	if got := after.graph("me/permissions", dana); got.status != http.StatusOK || !strings.Contains(got.body, "pages_show_list") {
		t.Errorf("Facebook grant: status %d: %s", got.status, got.body)
	}
	if got := after.xrpc("pds.sandbox.test", "refreshSession", session.text(t, "refreshJwt")); got.status != http.StatusOK {
		t.Errorf("Bluesky refresh: status %d: %s", got.status, got.body)
	}
	if !slices.Contains(after.Secrets(), tokens.text(t, "access_token")) {
		t.Error("Secrets forgot a token of before the restart")
	}
}

func TestRestartKeepsWhatDied(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state")
	before := restart(t, file)
	first := before.xConnect().text(t, "refresh_token")
	second := before.xRefresh(first).text(t, "refresh_token")
	before.xRefresh(first) // ends the family
	before.server.Close()
	if got := restart(t, file).xRefresh(second); got.status != http.StatusBadRequest {
		t.Errorf("a dead family came back: status %d", got.status)
	}
}

func TestSecretsAndRequests(t *testing.T) {
	t.Parallel()
	w := setup(t)
	tokens := w.xConnect()
	for _, want := range []string{tokens.text(t, "access_token"), tokens.text(t, "refresh_token"), secret, "sand-box2-test-pass"} {
		if !slices.Contains(w.Secrets(), want) {
			t.Error("Secrets lacks a secret that it issued or knows")
		}
	}
	if got := w.Requests("api.x.com", "/2/oauth2/token"); got != 1 {
		t.Errorf("Requests = %d, want 1", got)
	}
	if got := w.Requests("api.x.com", "/2/users/me"); got != 0 {
		t.Errorf("Requests = %d, want 0", got)
	}
}

// TestLogHoldsNoSecret looks for everything that was issued in what is logged.
func TestLogHoldsNoSecret(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	client := sandbox.Client{ID: clientID, Secret: secret, RedirectURIs: []string{callback}}
	s, err := sandbox.New(sandbox.Options{
		Clients: map[string]sandbox.Client{"x": client, "facebook": client},
		Log:     slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, Sandbox: s, server: httptest.NewServer(s)}
	w.xRefresh(w.xConnect().text(t, "refresh_token"))
	w.walk("me/accounts?fields=access_token", w.fbConnect("dana"))
	w.login("ada.sandbox.test", "pds.sandbox.test")
	w.server.Close() // waits for the last line
	if !strings.Contains(log.String(), "path=/2/oauth2/token") {
		t.Fatalf("log:\n%s", log.String())
	}
	for _, canary := range w.Secrets() {
		if strings.Contains(log.String(), canary) {
			t.Fatal("a secret is in the log")
		}
	}
}

func TestRedirectURIWithQuery(t *testing.T) {
	t.Parallel()
	w := setup(t)
	if err := w.SetRedirectURIs("x", callback+"?app=1"); err != nil {
		t.Fatal(err)
	}
	got := w.do(request{method: "POST", url: xAuthorize("redirect_uri=" + callback + "?app=1"), form: url.Values{"decision": {"deny"}}})
	if want := callback + "?app=1&error=access_denied&state=some-state"; got.header.Get("Location") != want {
		t.Errorf("Location %q, want %q", got.header.Get("Location"), want)
	}
}

// TestAnswerFiles compares the answer files with the names in the source: a
// name without file would answer null.
func TestAnswerFiles(t *testing.T) {
	t.Parallel()
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, name := range sources {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"((?:x|facebook|linkedin|google|bluesky)/\w+\.json)"`).FindAllSubmatch(b, -1) {
			used[string(m[1])] = true
		}
	}
	files, err := filepath.Glob("testdata/*/*.json")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, name := range files {
		there[strings.TrimPrefix(filepath.ToSlash(name), "testdata/")] = true
	}
	if diff := cmp.Diff(used, there); diff != "" {
		t.Errorf("answer files (-used +there):\n%s", diff)
	}
}
