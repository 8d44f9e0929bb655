package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// quickstart is a running one.
type quickstart struct {
	t            *testing.T
	app, sandbox string // origins
	stop         func()
}

// startQuickstart runs the program on free ports with the database at db.
func startQuickstart(t *testing.T, db string) *quickstart {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := settings{addr: freeAddress(t), sandbox: freeAddress(t), db: db}
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- run(ctx, s, func(at string) { ready <- at }) }()
	q := &quickstart{t: t, app: "http://" + s.addr, sandbox: "http://" + s.sandbox}
	select {
	case at := <-ready:
		if at != q.app+"/" {
			t.Errorf("ready at %q, want %q", at, q.app+"/")
		}
	case err := <-ended:
		t.Fatalf("the quickstart ended: %v", err)
	}
	stopped := false
	q.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stopping: %v", err)
		}
	}
	t.Cleanup(q.stop)
	return q
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// visitor is a browser or, with a key, a program.
type visitor struct {
	q      *quickstart
	key    string
	client *http.Client
}

func (q *quickstart) visitor(key string) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		q.t.Fatal(err)
	}
	return &visitor{q: q, key: key, client: &http.Client{
		Jar: jar, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (v *visitor) do(method, target, contentType string, body io.Reader) (int, http.Header, string) {
	v.q.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = v.q.app + target
	}
	req, err := http.NewRequestWithContext(v.q.t.Context(), method, target, body)
	if err != nil {
		v.q.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if v.key != "" && strings.HasPrefix(target, v.q.app) {
		req.Header.Set("Authorization", "Bearer "+v.key)
	}
	resp, err := v.client.Do(req)
	if err != nil {
		v.q.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		v.q.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// api calls the JSON surface and decodes the answer.
func api[T any](v *visitor, status int, method, path string, body any) T {
	v.q.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		v.q.t.Fatal(err)
	}
	contentType := "application/json"
	if body == nil {
		raw, contentType = nil, ""
	}
	got, _, text := v.do(method, path, contentType, bytes.NewReader(raw))
	if got != status {
		v.q.t.Fatalf("%s %s: status %d, want %d: %s", method, path, got, status, text)
	}
	var answer T
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		v.q.t.Fatalf("%s %s: %v in %s", method, path, err, text)
	}
	return answer
}

func (v *visitor) form(target string, values url.Values) (int, http.Header, string) {
	v.q.t.Helper()
	return v.do(http.MethodPost, target, "application/x-www-form-urlencoded", strings.NewReader(values.Encode()))
}

// connect starts a flow and consents; it returns the outcome that the return
// URL gets.
func (v *visitor) connect(platform, user string) url.Values {
	v.q.t.Helper()
	return v.finish(platform, user, "headless", "allow").Query()
}

// finish takes a flow to where it ends, or asks.
func (v *visitor) finish(platform, user, mode, decision string) *url.URL {
	v.q.t.Helper()
	started := api[struct{ URL string }](v, http.StatusCreated, http.MethodPost, "/connect/start/"+platform,
		map[string]string{"user": user, "mode": mode})
	_, header, _ := v.form(started.URL, url.Values{"decision": {decision}})
	_, header, _ = v.do(http.MethodGet, header.Get("Location"), "", nil)
	u, err := url.Parse(header.Get("Location"))
	if err != nil {
		v.q.t.Fatal(err)
	}
	return u
}

type accountJSON struct {
	ID                string `json:"id"`
	Platform          string `json:"platform"`
	Name              string `json:"name"`
	PlatformAccountID string `json:"platform_account_id"`
}

type accountsJSON struct{ Accounts []accountJSON }

func (v *visitor) accounts() []accountJSON {
	v.q.t.Helper()
	return api[accountsJSON](v, http.StatusOK, http.MethodGet, "/connect/accounts", nil).Accounts
}

func names(accounts []accountJSON) []string {
	var names []string
	for _, a := range accounts {
		names = append(names, a.Platform+": "+a.Name)
	}
	slices.Sort(names)
	return names
}

// connectPages connects the first n Facebook Pages that are offered.
func (v *visitor) connectPages(user string, n int) []accountJSON {
	v.q.t.Helper()
	session := v.connect("facebook", user).Get("session")
	offered := api[struct {
		Candidates []struct{ ID string }
	}](v, http.StatusOK, http.MethodGet, "/connect/pending/"+session, nil)
	var ids []string
	for _, c := range offered.Candidates[:n] {
		ids = append(ids, c.ID)
	}
	return api[accountsJSON](v, http.StatusOK, http.MethodPost, "/connect/pending/"+session+"/finalize",
		map[string]any{"selected_ids": ids}).Accounts
}

// page is the host's own page, signed in as a tenant.
func (q *quickstart) page(tenant string) string {
	q.t.Helper()
	v := q.visitor("")
	v.form("/sign-in", url.Values{"tenant": {tenant}})
	status, _, text := v.do(http.MethodGet, "/", "", nil)
	if status != http.StatusOK {
		q.t.Fatalf("the host's page: status %d", status)
	}
	return text
}

func TestQuickstart(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "quickstart.db")
	q := startQuickstart(t, db)
	acme, globex := q.visitor("demo-acme"), q.visitor("demo-globex")

	if got := acme.connect("x", "alice").Get("status"); got != "connected" {
		t.Fatalf("X: status %q", got)
	}
	acmePages := acme.connectPages("alice", 2)
	connectBluesky(t, q, acme)
	globexPages := globex.connectPages("bob", 1)
	if acmePages[0].PlatformAccountID != globexPages[0].PlatformAccountID {
		t.Fatal("the two tenants did not connect the same Page")
	}

	everything := []string{"bluesky: ada.sandbox.test", "facebook: Harbour Bakery", "facebook: Harbour Bakery Catering", "x: Example Bakery"}
	if diff := cmp.Diff(everything, names(acme.accounts())); diff != "" {
		t.Errorf("acme's accounts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"facebook: Harbour Bakery"}, names(globex.accounts())); diff != "" {
		t.Errorf("globex's accounts (-want +got):\n%s", diff)
	}
	if status, _, _ := globex.do(http.MethodGet, "/connect/accounts/"+acmePages[0].ID, "", nil); status != http.StatusNotFound {
		t.Errorf("another tenant's account: status %d, want 404", status)
	}

	q.stop()
	q = startQuickstart(t, db) // a restart keeps them
	acme = q.visitor("demo-acme")
	wantOnPage(t, q.page("acme"), "X says: Example Bakery", "Facebook says: Harbour Bakery Catering", "Facebook says: Harbour Bakery<", "Bluesky says: session of @ada.sandbox.test")

	for _, account := range acme.accounts() {
		api[map[string]string](acme, http.StatusOK, http.MethodDelete, "/connect/accounts/"+account.ID, nil)
	}
	if left := acme.accounts(); len(left) != 0 {
		t.Errorf("acme still has %v", names(left))
	}
	wantOnPage(t, q.page("globex"), "Facebook says: Harbour Bakery") // the same Page goes on working
}

func connectBluesky(t *testing.T, q *quickstart, v *visitor) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, q.sandbox+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var index struct{ Bluesky map[string]string }
	if err := json.NewDecoder(resp.Body).Decode(&index); err != nil {
		t.Fatal(err)
	}
	out := api[struct{ Status string }](v, http.StatusCreated, http.MethodPost, "/connect/credentials/bluesky", index.Bluesky)
	if out.Status != "connected" {
		t.Fatalf("Bluesky: status %q", out.Status)
	}
}

func wantOnPage(t *testing.T, page string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q:\n%s", want, page)
		}
	}
}

func TestMistakesAreSaid(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	noKeys := write("orphan.db", "x")
	badKeys := filepath.Join(dir, "bad.db")
	write("bad.db.keys", "k1:canary-key-text")
	noDatabase := write("text.db", "this is no database, whatever its name says")
	write("text.db.keys", "k1:"+strings.Repeat("A", 42)+"E=")

	tests := []struct {
		name string
		set  settings
		want string
	}{
		{name: "busy port", set: settings{addr: taken.Addr().String()}, want: "in use"},
		{name: "not loopback", set: settings{addr: "0.0.0.0:0"}, want: "loopback"},
		{name: "no port", set: settings{addr: "127.0.0.1"}, want: "-addr"},
		{name: "sandbox not loopback", set: settings{sandbox: "example.com:80"}, want: "-sandbox"},
		{name: "key ring missing", set: settings{db: noKeys}, want: "key ring"},
		{name: "key ring malformed", set: settings{db: badKeys}, want: "bad.db.keys"},
		{name: "not a database", set: settings{db: noDatabase}, want: "text.db"},
		{name: "no folder", set: settings{db: filepath.Join(dir, "nowhere", "q.db")}, want: "its folder must exist"},
		{name: "return origin with a path", set: settings{returnOrigins: []string{"https://app.example.com/x"}}, want: "ReturnOrigins"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := settings{addr: "127.0.0.1:0", sandbox: "127.0.0.1:0", db: filepath.Join(t.TempDir(), "q.db")}
			if tt.set.addr != "" {
				s.addr = tt.set.addr
			}
			if tt.set.sandbox != "" {
				s.sandbox = tt.set.sandbox
			}
			if tt.set.db != "" {
				s.db = tt.set.db
			}
			s.returnOrigins = tt.set.returnOrigins
			err := run(t.Context(), s, func(string) { t.Error("it says that it is ready") })
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("error %v, want one that names %q and no secret", err, tt.want)
			}
		})
	}
}
