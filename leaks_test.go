package connect_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sandbox"
	"github.com/seed944197df/connect/sqlitestore"
	"github.com/seed944197df/connect/tokencrypt"
)

// spellings are the ways in which a secret could be written, by name.
func spellings(secret string) map[string]string {
	inJSON, _ := json.Marshal(secret)
	all := map[string]string{
		"raw":       secret,
		"hex":       hex.EncodeToString([]byte(secret)),
		"HEX":       strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"URL query": url.QueryEscape(secret),
		"URL path":  url.PathEscape(secret),
		"HTML":      strings.ReplaceAll(html.EscapeString(secret), "+", "&#43;"),
		"JSON":      strings.Trim(string(inJSON), `"`),
		"Go":        strings.Trim(fmt.Sprintf("%q", secret), `"`),
		"bytes":     strings.Trim(fmt.Sprintf("%d", []byte(secret)), "[]"),
	}
	for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
		for before := range 3 { // bytes that may stand before it in what was encoded
			text := encoding.EncodeToString(append(make([]byte, before), secret...))
			all[fmt.Sprintf("%s+%d", name, before)] = text[(before*8+5)/6 : (before+len(secret))*8/6]
		}
	}
	return all
}

// needles finds many secrets in one walk over a text.
type needles map[[needleHead]byte][]needle

type needle struct{ text, spelling string }

const needleHead = 12 // no secret is shorter

func newNeedles(t *testing.T, secrets []string) needles {
	t.Helper()
	n := needles{}
	for _, secret := range secrets {
		if len(secret) < needleHead {
			t.Fatalf("a secret of %d characters would be found everywhere", len(secret))
		}
		for name, text := range spellings(secret) {
			head := [needleHead]byte([]byte(text)[:needleHead])
			n[head] = append(n[head], needle{text, name})
		}
	}
	return n
}

// in returns how the secrets are written that text holds.
func (n needles) in(text string) map[string]int {
	found := map[string]int{}
	walk := []byte(text)
	for i := 0; i+needleHead <= len(text); i++ {
		for _, needle := range n[[needleHead]byte(walk[i:i+needleHead])] {
			if strings.HasPrefix(text[i:], needle.text) {
				found[needle.spelling]++
			}
		}
	}
	return found
}

// leaks is a world that keeps everything that leaves it, by place: pages,
// problems, answers, urls, errors, logs and database. Its store is a file.
type leaks struct {
	*world

	file string
	key  tokencrypt.Key

	mu      sync.Mutex // guards what follows
	places  map[string]*strings.Builder
	handles []string        // states, sessions, tickets, links, cookies, verifiers, proofs
	met     map[string]bool // faults that hit
}

var sandboxClients = map[string]sandbox.Client{
	"x":        {ID: "x-client", Secret: xSecret},
	"facebook": {ID: "900000000000001", Secret: facebookSecret},
}

func newLeaks(t *testing.T) *leaks {
	t.Helper()
	l := &leaks{file: filepath.Join(t.TempDir(), "connect.db"), places: map[string]*strings.Builder{}, met: map[string]bool{}}
	var err error
	if l.key, err = tokencrypt.GenerateKey("k1"); err != nil {
		t.Fatal(err)
	}
	var box *sandbox.Sandbox
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.platform(box, w, r) }))
	t.Cleanup(front.Close)
	l.world = newWorld(t, func(c *connect.Config) {
		store, err := sqlitestore.Open(t.Context(), l.file, &sqlitestore.Options{Now: c.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		if box, err = sandbox.New(sandbox.Options{Now: c.Now, Clients: sandboxClients, Log: slog.New(faultWatch{l})}); err != nil {
			t.Fatal(err)
		}
		if c.Keys, err = tokencrypt.NewKeyring(l.key); err != nil {
			t.Fatal(err)
		}
		c.Store, c.UnsafeRewriteHost = store, front.URL
	})
	l.box, l.boxHost = box, front.URL
	for _, platform := range []string{"x", "facebook"} {
		if err := box.SetRedirectURIs(platform, l.host.URL+"/connect/callback/"+platform); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// cutKey is where a request to the sandbox has the function that ends it.
type cutKey struct{}

// platform serves the sandbox. It takes note of PKCE verifiers and of proofs,
// and an answer that would take a minute breaks off at once.
func (l *leaks) platform(box *sandbox.Sandbox, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, _ := url.ParseQuery(string(body))
	l.handle(form.Get("code_verifier"))
	l.handle(r.URL.Query().Get("appsecret_proof"))
	ctx, cut := context.WithCancel(r.Context())
	defer cut()
	box.ServeHTTP(w, r.WithContext(context.WithValue(ctx, cutKey{}, cut)))
	if ctx.Err() != nil {
		panic(http.ErrAbortHandler)
	}
}

// faultWatch is the sandbox's log: it sees which fault a request meets before
// the answer is written.
type faultWatch struct{ l *leaks }

func (f faultWatch) Enabled(context.Context, slog.Level) bool { return true }
func (f faultWatch) WithAttrs([]slog.Attr) slog.Handler       { return f }
func (f faultWatch) WithGroup(string) slog.Handler            { return f }

func (f faultWatch) Handle(ctx context.Context, record slog.Record) error {
	record.Attrs(func(a slog.Attr) bool {
		fault := a.Value.String()
		if a.Key != "fault" || fault == "" {
			return true
		}
		f.l.mu.Lock()
		f.l.met[fault] = true
		f.l.mu.Unlock()
		if cut, ok := ctx.Value(cutKey{}).(context.CancelFunc); ok && (fault == "hang" || fault == "slow_body") {
			cut()
		}
		return true
	})
	return nil
}

func (l *leaks) handle(value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if value != "" && !slices.Contains(l.handles, value) {
		l.handles = append(l.handles, value)
	}
}

func (l *leaks) add(place, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.places[place] == nil {
		l.places[place] = &strings.Builder{}
	}
	l.places[place].WriteString(text + "\n")
}

// err keeps an error in all its forms.
func (l *leaks) err(err error) {
	if err != nil {
		l.add("errors", fmt.Sprintf("%v\n%+v\n%#v\n%q", err, err, err, err))
	}
}

// browser returns one whose answers are kept.
func (l *leaks) browser(p *connect.Principal) *browser {
	l.t.Helper()
	b := l.world.browser(p)
	b.client.Transport = keeper{b.client.Transport, l}
	return b
}

// keeper keeps the answers that pass through it.
type keeper struct {
	http.RoundTripper

	l *leaks
}

func (k keeper) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := k.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	k.l.keep(r.URL, resp, string(body))
	return resp, err
}

// keep files an answer. What is there by contract is taken out, and kept as
// one more secret: a state in the address of the platform, code and state in
// that of the callback, session and ticket in our own return URL, and the
// session or link of a page in that page.
func (l *leaks) keep(from *url.URL, resp *http.Response, body string) {
	if location, err := resp.Location(); err == nil {
		l.add("urls", l.byContract(location))
	}
	for _, cookie := range resp.Cookies() {
		l.handle(cookie.Value)
	}
	ours := "https://"+from.Host == l.host.URL
	for name := range strings.SplitSeq("/connect/ui/pending/ /connect/pending/ /connect/go/", " ") {
		if rest, ok := strings.CutPrefix(from.Path, name); ok {
			handle, _, _ := strings.Cut(rest, "/")
			l.handle(handle)
			body = strings.ReplaceAll(body, handle, "")
		}
	}
	switch kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); {
	case !ours:
	case kind == "application/problem+json":
		l.add("problems", body)
	case kind == "text/html":
		l.add("pages", body)
	case kind == "application/json" && !strings.HasPrefix(from.Path, "/connect/start/"):
		l.add("answers", body)
	}
}

func (l *leaks) byContract(location *url.URL) string {
	query := location.Query()
	take := func(names ...string) {
		for _, name := range names {
			if name != "code" {
				l.handle(query.Get(name)) // the sandbox knows its codes
			}
			query.Del(name)
		}
	}
	clean := *location
	switch path := location.Path; {
	case "http://"+location.Host == l.boxHost:
		take("state")
	case strings.HasPrefix(path, "/connect/callback/"):
		take("code", "state")
	case path == appHost || path == "/connect/ui/result":
		take("session", "ticket")
	case strings.HasPrefix(path, "/connect/ui/pending/"):
		l.handle(strings.TrimPrefix(path, "/connect/ui/pending/"))
		clean.Path = "/connect/ui/pending/"
	}
	kept := query.Encode()
	clean.RawQuery = ""
	if kept != "" && len(query) == len(location.Query()) {
		kept = location.RawQuery // as it was, where nothing was taken
	}
	return clean.String() + "?" + kept
}

// database is everything in the store: the bytes of its files, and each cell
// of each table, because a long value need not lie in one piece.
func (l *leaks) database() string {
	l.t.Helper()
	var dump strings.Builder
	for _, suffix := range []string{"", "-wal"} {
		raw, err := os.ReadFile(l.file + suffix)
		if err != nil {
			l.t.Fatal(err)
		}
		dump.Write(raw)
	}
	db, err := sql.Open("sqlite", "file:"+l.file+"?mode=ro")
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, table := range l.column(db, "SELECT name FROM sqlite_master WHERE type = 'table'") {
		for _, name := range l.column(db, "SELECT name FROM pragma_table_info('"+table+"')") {
			cells := l.column(db, fmt.Sprintf(`SELECT CAST(%q AS BLOB) FROM %q WHERE %q IS NOT NULL`, name, table, name))
			dump.WriteString(strings.Join(cells, "\n"))
		}
	}
	return dump.String()
}

func (l *leaks) column(db *sql.DB, query string) []string {
	l.t.Helper()
	rows, err := db.QueryContext(l.t.Context(), query)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var cells []string
	for rows.Next() {
		var cell string
		if err := rows.Scan(&cell); err != nil {
			l.t.Fatal(err)
		}
		cells = append(cells, cell)
	}
	if err := rows.Err(); err != nil {
		l.t.Fatal(err)
	}
	return cells
}

// everywhere returns the text of every place.
func (l *leaks) everywhere() map[string]string {
	l.t.Helper()
	texts := map[string]string{"logs": l.logs.String(), "database": l.database()}
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, text := range l.places {
		texts[name] = text.String()
	}
	return texts
}

// secrets are all that must not be found.
func (l *leaks) secrets() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, key, _ := strings.Cut(l.key.Text(), ":")
	return append(append(l.box.Secrets(), key), l.handles...)
}

var thePlaces = []string{"answers", "database", "errors", "logs", "pages", "problems", "urls"}

// notInURLs are the spellings with a space or a "#", which no return URL has.
var notInURLs = []string{"HTML", "bytes"}

// proveSearch plants a value in each place, in each spelling, by the way that
// leads there, and makes sure that the search finds them all.
func (l *leaks) proveSearch() {
	l.t.Helper()
	const planted = "Planted+canary/0123456789=mustbefound"
	written := spellings(planted)
	var all []string
	program, b := l.browser(nil), l.browser(&alice)
	program.header.Set("Authorization", "Bearer key-acme")
	for _, name := range slices.Sorted(mapKeys(written)) {
		all = append(all, written[name])
		program.begin("x", object{"user": written[name]})
		if slices.Contains(notInURLs, name) {
			continue
		}
		if got := b.connect("x", url.Values{"return_url": {l.host.URL + appHost + "?" + written[name]}}, nil).outcome(l.t); got.Get("status") != "connected" {
			l.t.Fatalf("outcome %v", got)
		}
	}
	text := strings.Join(all, " ")
	l.config.Logger.Debug("planted " + text)
	l.err(fmt.Errorf("planted %s", text))
	for _, kind := range []string{"text/html; charset=utf-8", "application/problem+json", "application/json"} {
		l.keep(mustParse(l.t, l.host.URL+"/connect/accounts"), &http.Response{Header: http.Header{"Content-Type": {kind}}}, text)
	}

	texts := l.everywhere()
	if diff := cmp.Diff(thePlaces, slices.Sorted(mapKeys(texts))); diff != "" {
		l.t.Errorf("places (-want +got):\n%s", diff)
	}
	search := newNeedles(l.t, []string{planted})
	for _, place := range thePlaces {
		found := search.in(texts[place])
		for name := range written {
			if found[name] == 0 && (place != "urls" || !slices.Contains(notInURLs, name)) {
				l.t.Errorf("planted in the %s as %s, and not found", place, name)
			}
		}
	}
}

func mapKeys[K comparable, V any](m map[K]V) func(func(K) bool) {
	return func(yield func(K) bool) {
		for key := range m {
			if !yield(key) {
				return
			}
		}
	}
}

// wantNoSecret searches every place for every secret.
func (l *leaks) wantNoSecret() {
	l.t.Helper()
	secrets := l.secrets()
	if len(secrets) < 40 {
		l.t.Errorf("only %d secrets to look for", len(secrets))
	}
	search := newNeedles(l.t, secrets)
	for place, text := range l.everywhere() {
		for spelling, n := range search.in(text) {
			l.t.Errorf("%d secrets in the %s, written as %s", n, place, spelling)
		}
	}
}

// life runs an account of a tenant of its own from its start to its end, with
// whatever fault is on. How each step ends is no matter here.
func (l *leaks) life(platform, tenant string) {
	l.t.Helper()
	p := connect.Principal{Tenant: tenant, User: "alice", Ambient: true}
	b := l.browser(&p)
	switch platform {
	case "bluesky":
		b.call(http.MethodPost, "/connect/credentials/bluesky", credentials())
	default:
		back := b.consent(b.start(platform, url.Values{"select": {"all"}}), nil)
		b.get(b.arrive(back).location())
		b.arrive(back) // a reload
	}
	accounts := l.accounts(p)
	l.use(accounts)
	l.clock.advance(2*time.Hour + time.Minute) // access tokens of X and Bluesky are over
	l.use(accounts)
	l.clock.advance(3 * time.Minute)
	l.use(accounts)
	b.get("/connect/ui/")
	for _, account := range accounts {
		b.get("/connect/accounts/" + account.ID)
		b.call(http.MethodDelete, "/connect/accounts/"+account.ID, nil)
		_, err := l.engine.Client(l.t.Context(), tenant, account.ID)
		l.err(err)
	}
}

// use calls the platform as each account.
func (l *leaks) use(accounts []connect.Account) {
	l.t.Helper()
	for _, account := range accounts {
		target := "https://api.x.com/2/users/me"
		switch account.Platform {
		case "facebook":
			target = "https://graph.facebook.com/v26.0/" + account.PlatformID + "?fields=id,name"
		case "bluesky":
			target = "https://pds.sandbox.test/xrpc/com.atproto.server.getSession"
		}
		_, err := l.call(account.Tenant, account.ID, target)
		l.err(err)
		_, err = l.call(account.Tenant, account.ID, "https://evil.example.com/")
		l.err(err)
		source, err := l.engine.TokenSource(l.t.Context(), account.Tenant, account.ID)
		l.err(err)
		if err == nil {
			_, err = source.Token()
			l.err(err)
		}
	}
}
