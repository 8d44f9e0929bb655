package connect_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/facebook"
	"github.com/seed944197df/connect/providers/x"
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

// TestThreat64_NoSecretLeavesUnderAnyFault: after runs of a platform with each
// of the sandbox's faults at each step, none of the secrets is in any place.
func TestThreat64_NoSecretLeavesUnderAnyFault(t *testing.T) {
	t.Parallel()
	for _, platform := range []string{"x", "facebook", "bluesky"} {
		t.Run(platform, func(t *testing.T) {
			t.Parallel()
			l := newLeaks(t)
			l.life(platform, "good")
			var index struct{ Faults []string }
			l.world.browser(nil).do(http.MethodGet, l.boxHost+"/", "", "").decode(t, http.StatusOK, &index)
			possible := map[string]bool{}
			for _, fault := range index.Faults {
				for _, at := range []string{"consent", "token", "refresh", "profile", "api", "inspect", "revoke"} {
					if l.box.SetFault(sandbox.Fault{Platform: platform, Fault: fault, At: at, Times: 2}) != nil {
						continue // it does not exist there
					}
					possible[fault] = true
					l.life(platform, fault+"-"+at)
					l.fault(sandbox.Fault{Platform: platform, Fault: "none"})
				}
			}
			if diff := cmp.Diff(possible, l.met); diff != "" {
				t.Errorf("faults that hit (-want +got):\n%s", diff)
			}
			l.forEveryPlace()
			l.settle()
			l.wantNoSecret()
		})
	}
}

// forEveryPlace makes the requests that fill the places which a platform's own
// runs may leave empty, and plants what the search must find.
func (l *leaks) forEveryPlace() {
	l.t.Helper()
	b := l.browser(&alice)
	picker := b.connect("facebook", nil, as("dana")).location()
	form := url.Values{"csrf_token": {b.get(picker).formToken(l.t)}, "selected_ids": {"page:110000000000001", "page:9"}}
	b.post(picker+"/finalize", form)
	back := l.browser(nil).arrive(b.consent(b.start("x", nil), nil)).outcome(l.t)
	program := l.browser(nil)
	program.header.Set("Authorization", "Bearer key-acme")
	program.json(http.MethodPost, "/connect/complete", object{"ticket": back.Get("ticket")})
	l.browser(&mallory).arrive(b.consent(b.start("x", nil), nil)) // burns the flow
	b.get("/connect/callback/x?code=c&state=s")
	b.get("/connect/accounts/nowhere")
	l.proveSearch()
}

// TestThreat76_OnlyDigestsAreStored: who reads the database can use none of
// the handles.
func TestThreat76_OnlyDigestsAreStored(t *testing.T) {
	t.Parallel()
	l := newLeaks(t)
	b := l.browser(&alice)
	session := b.session("dana")
	ticket := l.browser(nil).arrive(b.consent(b.start("x", nil), nil)).outcome(t).Get("ticket")
	cfg := l.config
	cfg.Binding = connect.BindBrowser
	linking, err := connect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	started, err := linking.Start(t.Context(), acmeKey, connect.StartRequest{Platform: "x", User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	link := started.URL[strings.LastIndex(started.URL, "/")+1:]

	stored := l.database()
	for name, handle := range map[string]string{"session": session, "ticket": ticket, "link": link} {
		if raw, err := base64.RawURLEncoding.DecodeString(handle); err != nil || len(raw) != 32 {
			t.Errorf("%s %q does not have 256 bits", name, handle)
		} else if strings.Contains(stored, string(raw)) {
			t.Errorf("the bytes of the %s are stored", name)
		}
		if found := newNeedles(t, []string{handle}).in(stored); len(found) != 0 {
			t.Errorf("the %s is stored: %v", name, found)
		}
		if digest := sha256.Sum256([]byte(handle)); !strings.Contains(stored, string(digest[:])) {
			t.Errorf("the digest of the %s is not stored, so this test looks in the wrong place", name)
		}
	}
	if session == ticket || ticket == link {
		t.Error("handles repeat")
	}
}

// TestThreat73_NoPlatformTokenInAddresses: no redirect of a whole run holds
// anything that the platform issued, but the code where it belongs.
func TestThreat73_NoPlatformTokenInAddresses(t *testing.T) {
	t.Parallel()
	l := newLeaks(t)
	b := l.browser(&alice)
	for _, mode := range []string{"hosted", "headless", "popup"} {
		b.connect("x", url.Values{"mode": {mode}}, nil).outcome(t)
		b.connect("facebook", url.Values{"mode": {mode}, "select": {"all"}}, as("dana")).outcome(t)
		b.connect("facebook", url.Values{"mode": {mode}}, as("analyst")).outcome(t)
		b.connect("x", url.Values{"mode": {mode}}, url.Values{"decision": {"deny"}}).outcome(t)
	}
	picker := b.connect("facebook", nil, as("portfolio")).location()
	form := url.Values{"csrf_token": {b.get(picker).formToken(t)}, "selected_ids": {"page:110000000000006"}}
	b.post(picker+"/finalize", form).outcome(t)
	target := "/connect/ui/credentials/bluesky?return_url=" + url.QueryEscape(l.host.URL+appHost)
	b.post(target, url.Values{"csrf_token": {b.get(target).formToken(t)}, "identifier": {"ada.sandbox.test"}, "app_password": {"sand-box2-test-pass"}}).outcome(t)
	l.browser(nil).arrive(b.consent(b.start("facebook", nil), nil)).outcome(t)

	urls := l.everywhere()["urls"]
	if n := strings.Count(urls, "\n"); n < 3*13 {
		t.Errorf("only %d addresses", n)
	}
	if found := newNeedles(t, l.box.Secrets()).in(urls); len(found) != 0 {
		t.Errorf("platform tokens in addresses: %v", found)
	}
}

// TestThreat74_StateSaysNothing: a state tells its reader neither whose it is
// nor which platform it is for, and no two are alike.
func TestThreat74_StateSaysNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shape := regexp.MustCompile(`^[A-Za-z0-9_-]+\.\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`)
	var headers []string
	seen := map[string]bool{}
	for _, tenant := range []string{"owner123", "acme", "instagram"} {
		b := w.browser(&connect.Principal{Tenant: tenant, User: "user456", Ambient: true})
		for _, platform := range []string{"x", "facebook", "x"} {
			flowID, target := b.begin(platform, nil)
			state := mustParse(t, target).Query().Get("state")
			if !shape.MatchString(state) || seen[state] {
				t.Errorf("state %q", state)
			}
			seen[state] = true
			parts := strings.Split(state, ".")
			plain := []string{state}
			for _, part := range parts {
				raw, err := base64.RawURLEncoding.DecodeString(part)
				if err != nil {
					t.Errorf("%v in %q", err, part)
				}
				plain = append(plain, string(raw))
			}
			for _, said := range []string{tenant, "user456", "facebook", flowID, strings.ReplaceAll(flowID, "-", ""), "shared", w.host.URL} {
				if strings.Contains(strings.ToLower(strings.Join(plain, " ")), said) {
					t.Errorf("the state says %q", said)
				}
			}
			header, _ := base64.RawURLEncoding.DecodeString(parts[0])
			headers = append(headers, string(header))
		}
	}
	if headers = slices.Compact(headers); len(headers) != 1 || strings.Contains(headers[0], `"x"`) {
		t.Errorf("headers %v, want one for all", headers)
	}
}

// TestThreat65_TypesPrintNoSecret: whatever a host prints of ours, in whatever
// way, holds no secret.
func TestThreat65_TypesPrintNoSecret(t *testing.T) {
	t.Parallel()
	const secret = "canary-of-a-secret-type"
	hidden := tokencrypt.NewSecret(secret)
	self := connect.Candidate{Access: hidden}
	tokens := connect.Tokens{Subject: "s", Access: hidden, Refresh: hidden, Private: hidden, Self: &self}
	client := connect.Client{ID: "id", Secret: hidden}
	values := map[string]connect.Secret{"app_password": hidden}
	cfg := plainConfig(t)
	key, err := tokencrypt.GenerateKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Keys, err = tokencrypt.NewKeyring(key); err != nil {
		t.Fatal(err)
	}
	xProvider := x.New(x.Options{ClientID: "id", ClientSecret: hidden})
	facebookProvider := facebook.New(facebook.Options{AppID: "id", AppSecret: hidden})
	cfg.Providers = []connect.Provider{xProvider, facebookProvider}
	engine, err := connect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, keyText, _ := strings.Cut(key.Text(), ":")
	search := newNeedles(t, []string{secret, keyText})
	for name, v := range map[string]any{
		"Secret": hidden, "Tokens": tokens, "Candidate": self, "Client": client, "Config": cfg, "Connector": engine,
		"Env":                connect.Env{Client: client},
		"AuthRequest":        connect.AuthRequest{State: "s", Verifier: hidden},
		"AuthResponse":       connect.AuthResponse{Query: url.Values{"code": {secret}}, Verifier: hidden, Private: hidden},
		"Authorization":      connect.Authorization{Private: hidden},
		"LoginRequest":       connect.LoginRequest{Values: values},
		"CredentialsRequest": connect.CredentialsRequest{Values: values},
		"Platform":           xProvider.Platform(),
		"x.Options":          x.Options{ClientSecret: hidden},
		"facebook.Options":   facebook.Options{AppSecret: hidden},
		"x.Provider":         *xProvider,
		"facebook.Provider":  *facebookProvider,
		"Key":                key,
		"Keyring":            *cfg.Keys,
	} {
		for how, text := range printed(v) {
			if found := search.in(text); len(found) != 0 {
				t.Errorf("%s with %s shows its secret: %v", name, how, found)
			}
		}
	}
	if found := search.in(printed(secret)["%v"]); found["raw"] == 0 {
		t.Error("the search does not find what is shown")
	}
}

// printed is v in every way that a host might print it.
func printed(v any) map[string]string {
	all := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		all[verb] = fmt.Sprintf(verb, v)
		all[verb+" of a pointer"] = fmt.Sprintf(verb, &v)
		all[verb+" in a slice"] = fmt.Sprintf(verb, []any{v})
	}
	raw, _ := json.Marshal(v) // what cannot be marshalled shows nothing
	all["json"] = string(raw)
	var out strings.Builder
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("printed", "value", v, slog.Group("group", "value", v))
	}
	all["slog"] = out.String()
	all["error"] = fmt.Errorf("failed: %v: %+v", v, v).Error()
	func() {
		defer func() { all["panic"] = fmt.Sprint(recover()) }()
		panic(v)
	}()
	return all
}

// canaryHost counts what reaches it and keeps the Authorization headers.
type canaryHost struct {
	mu       sync.Mutex // guards what follows
	hosts    []string
	tokens   []string
	redirect string
	box      http.Handler
}

// ServeHTTP stands in front of the sandbox, where every outbound call arrives.
func (c *canaryHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	c.mu.Lock()
	c.hosts = append(c.hosts, host)
	c.tokens = append(c.tokens, r.Header.Get("Authorization"))
	redirect := c.redirect
	c.mu.Unlock()
	if redirect != "" {
		w.Header().Set("Location", redirect)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	c.box.ServeHTTP(w, r)
}

func (c *canaryHost) reset(redirect string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hosts, c.tokens, c.redirect = nil, nil, redirect
}

// strangers are addresses that look like X's, or are reached by way of it.
func strangers(canaryURL string) map[string]string {
	return map[string]string{
		"another host":            "https://evil.example.com/2/users/me",
		"a canary":                canaryURL,
		"a canary over http":      strings.Replace(canaryURL, "https:", "http:", 1),
		"another platform":        "https://graph.facebook.com/v26.0/me",
		"http":                    "http://api.x.com/2/users/me",
		"another port":            "https://api.x.com:8443/2/users/me",
		"port 80":                 "https://api.x.com:80/2/users/me",
		"user":                    "https://user@api.x.com/2/users/me",
		"user and password":       "https://user:pass@api.x.com/2/users/me",
		"the platform as user":    "https://api.x.com@evil.example.com/2/users/me",
		"the platform in front":   "https://api.x.com.evil.example.com/2/users/me",
		"the platform's end":      "https://evilapi.x.com/2/users/me",
		"a host above":            "https://x.com/2/users/me",
		"a host below":            "https://a.api.x.com/2/users/me",
		"a dot at its end":        "https://api.x.com./2/users/me",
		"letters that look alike": "https://\u0430pi.x.com/2/users/me",
		"a full stop of another":  "https://api\u3002x.com/2/users/me",
		"the platform as path":    "https://evil.example.com/api.x.com",
		"an address":              "https://127.0.0.1/2/users/me",
		"an address of IPv6":      "https://[::1]/2/users/me",
		"no host":                 "https:///2/users/me",
		"another scheme":          "ftp://api.x.com/2/users/me",
	}
}

// TestThreat66_ClientStaysWithThePlatform: no address that a caller could be
// talked into makes Client send the token elsewhere.
func TestThreat66_ClientStaysWithThePlatform(t *testing.T) {
	t.Parallel()
	canary := &canaryHost{}
	front := httptest.NewServer(canary)
	t.Cleanup(front.Close)
	w := newWorld(t, func(c *connect.Config) { c.UnsafeRewriteHost = front.URL })
	canary.box = w.box
	listener := &canaryHost{box: http.NotFoundHandler()}
	elsewhere := httptest.NewTLSServer(listener)
	t.Cleanup(elsewhere.Close)
	w.boxHost = front.URL
	id := w.browser(&alice).connected("x", nil, nil)[0]
	client, err := w.engine.Client(t.Context(), "acme", id)
	if err != nil {
		t.Fatal(err)
	}

	canary.reset("")
	for name, target := range strangers(elsewhere.URL) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.wantStaysHome(t, name, client, req)
	}
	for name, change := range map[string]func(*http.Request){
		"a Host header":     func(r *http.Request) { r.Host = "evil.example.com" },
		"an uppercase host": func(r *http.Request) { r.URL.Host = "API.X.COM:443@evil.example.com" },
		"an opaque address": func(r *http.Request) { r.URL.Opaque = "//evil.example.com/2/users/me" },
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.x.com/2/users/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(req)
		w.wantStaysHome(t, name, client, req)
	}
	if len(canary.hosts)+len(listener.hosts) != 0 {
		t.Errorf("requests left: %v, %v", canary.hosts, listener.hosts)
	}

	// Upper case is the same host, or refused: never another.
	_, _ = w.call("acme", id, "https://API.X.COM/2/users/me")
	for _, host := range canary.hosts {
		if strings.ToLower(host) != "api.x.com" {
			t.Errorf("upper case led to %s", host)
		}
	}

	// What is allowed arrives with the token, so that the canary can sing.
	canary.reset("")
	if status, err := w.call("acme", id, "https://api.x.com/2/users/me"); status != http.StatusOK || err != nil {
		t.Errorf("the platform itself: %d, %v", status, err)
	}
	if len(canary.tokens) != 1 || !strings.HasPrefix(canary.tokens[0], "Bearer ") {
		t.Errorf("the canary saw %d requests", len(canary.tokens))
	}

	// A redirect is the caller's to see, and is not followed.
	canary.reset(elsewhere.URL)
	if status, err := w.call("acme", id, "https://api.x.com/2/users/me"); status != http.StatusTemporaryRedirect || err != nil {
		t.Errorf("redirect: %d, %v", status, err)
	}
	if len(canary.hosts) != 1 || len(listener.hosts) != 0 {
		t.Errorf("the redirect was followed: %v, %v", canary.hosts, listener.hosts)
	}
}

// wantStaysHome fails where the request is sent.
func (w *world) wantStaysHome(t *testing.T, name string, client *http.Client, req *http.Request) {
	t.Helper()
	resp, err := client.Do(req)
	if err == nil {
		_ = resp.Body.Close()
		t.Errorf("%s: sent, status %d", name, resp.StatusCode)
		return
	}
	if connect.CodeOf(err) != connect.CodeForbidden && !strings.Contains(err.Error(), "no Host in request URL") {
		t.Errorf("%s: %v, want forbidden", name, err)
	}
	if req.Header.Get("Authorization") != "" {
		t.Errorf("%s: the caller's request has the token", name)
	}
}

// TestThreat66_RealNetwork is the same without a sandbox: a listener that
// stands for every host sees connections to the platform only.
func TestThreat66_RealNetwork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.browser(&alice).connected("x", nil, nil)[0]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	came := make(chan struct{}, 100)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			came <- struct{}{}
			_ = conn.Close()
		}
	}()
	cfg := w.config
	cfg.UnsafeRewriteHost = ""
	cfg.UnsafeDial = map[string]string{}
	for _, host := range []string{"api.x.com:443", "api.x.com:80", "api.x.com:8443", "evil.example.com:443", "x.com:443", "graph.facebook.com:443", "api.x.com.evil.example.com:443"} {
		cfg.UnsafeDial[host] = listener.Addr().String()
	}
	engine, err := connect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	client, err := engine.Client(t.Context(), "acme", id)
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range strangers("https://" + listener.Addr().String()) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.wantStaysHome(t, name, client, req)
	}
	if n := len(came); n != 0 {
		t.Errorf("%d connections", n)
	}
	resp, err := client.Get("https://api.x.com/2/users/me")
	if err == nil {
		_ = resp.Body.Close()
		t.Error("the listener spoke TLS")
	}
	<-came
}
