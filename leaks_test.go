package connect_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sandbox"
	"github.com/seed944197df/connect/sqlitestore"
	"github.com/seed944197df/connect/tokencrypt"
)

// handle is what one of ours looks like.
const handle = `([A-Za-z0-9_-]{43})`

// contract is the one list of where a secret may stand, because there it does
// its work. What the group of a pattern matches is taken out of the text and,
// where it has a kind, is a canary from then on; what is around it is searched.
var contract = []struct{ place, kind, pattern, why string }{
	{"Location", "state", `^http://[^/]+/(?:x\.com|www\.facebook\.com)/[^?]*\?(?:[^#]*&)?state=([^&#]+)`, "the platform sends it back (RFC 6749 § 4.1.1)"},
	{"Location", "session", `/connect/ui/pending/` + handle + `$`, "the address of our picker"},
	{"Location", "session", `^[^?]*` + appHost + `\?(?:[^#]*&)?session=` + handle, "a headless host asks for the selection by it"},
	{"Location", "ticket", `[?&]ticket=` + handle, "the host completes the flow with it"},
	{"Set-Cookie", "flow cookie", `^__Host-cx-[0-9a-f-]{36}=` + handle + `;`, "it binds the browser to the flow"},
	{"answers", "state", `"state":"([^"]+)"`, "what a start answers, for hosts that compare it"},
	{"answers", "state", `"url":"http://[^"]*[?&]state=([^"&]+)`, "what a start answers: where to send the browser"},
	{"answers", "link", `"url":"https://[^"]*/connect/go/` + handle + `"`, "what a start answers: the connect link"},
	{"answers", "session", `"session":"` + handle + `"`, "the outcome for who may choose"},
	{"pages", "form token", `name="csrf_token" value="` + handle + `"`, "its own form"},
	{"pages", "session", `action="[^"]*/connect/ui/pending/` + handle + `[/"]`, "the picker's forms"},
	{"pages", "link", `action="[^"]*/connect/go/` + handle + `"`, "the link's own form"},
	{"pages", "ticket", `&#34;ticket&#34;:&#34;` + handle, "a popup tells its opener what its address says"},
	{"pages", "code", `href="[^"]*/connect/callback/[^"]*[?;]code=([^"&]+)`, "a callback that could not be served is loaded again"},
	{"pages", "state", `href="[^"]*/connect/callback/[^"]*[?;]state=([^"&]+)`, "likewise"},
	{"headers", "code", `^Refresh: .*[?&]code=([^&]+)`, "likewise, by itself"},
	{"headers", "state", `^Refresh: .*[?&]state=([^&]+)`, "likewise"},
	{"pages", "", `name="(?:identifier|pds)"[^>]* value="([^"]+)"`, "what was typed into a field that is not secret is shown to who typed it"},
}

var contractPatterns = func() []*regexp.Regexp {
	var patterns []*regexp.Regexp
	for _, c := range contract {
		patterns = append(patterns, regexp.MustCompile(c.pattern))
	}
	return patterns
}()

// shown is where a secret may stand that a platform puts into what it calls an
// account: there it is shown like any name. Logs, errors, addresses and events
// never show a name.
var shown = map[string][]string{
	"name": {"answers", "pages", "rows", "database"}, "username": {"answers", "pages", "rows", "database"},
	"avatar": {"answers", "pages", "rows", "database"}, "scope": {"answers", "rows", "database"},
}

// derivedFor names the purpose of the key that a handle is derived with.
var derivedFor = map[string]string{
	"state": "state", "session": "session", "ticket": "ticket", "link": "link", "flow cookie": "cookie", "form token": "form",
}

var sandboxClients = map[string]sandbox.Client{
	"x":        {ID: "x-client", Secret: xSecret},
	"facebook": {ID: "900000000000001", Secret: facebookSecret},
}

// leaks is a world that keeps everything that leaves it, by place, and that
// knows every secret in play, by kind.
type leaks struct {
	*world

	platform string // what it is about
	front    *front // between the engine and the sandbox
	store    *watched
	dbFile   string // the database; empty: there is none
	ring     *tokencrypt.Keyring

	mu       sync.Mutex // guards what follows
	places   map[string]*strings.Builder
	canaries map[string]string // the kind of each secret
	waiting  map[string]string // the same, of those that nobody has sent yet
	people   map[string]connect.Principal
	runs     int
	hits     int // faults, echoes and failures that were met
	panicked int
}

func newLeaks(t *testing.T, platform string, change ...func(*connect.Config)) *leaks {
	t.Helper()
	l := &leaks{
		platform: platform, places: map[string]*strings.Builder{}, canaries: map[string]string{},
		waiting: map[string]string{}, people: map[string]connect.Principal{},
	}
	l.front = &front{l: l}
	logs := []slog.Handler{slog.NewJSONHandler(filed{l, "logs"}, &slog.HandlerOptions{Level: slog.LevelDebug}), causes{l}}
	if os.Getenv(leaksFile) != "" {
		logs = append(logs, slog.Default().Handler()) // all output is searched too
	}
	first := func(c *connect.Config) {
		l.front.start(t, c.Now)
		l.keys(t)
		c.Keys, c.UnsafeRewriteHost, c.Authenticate = l.ring, l.front.url, l.authenticate
		c.Logger = slog.New(slog.NewMultiHandler(append(logs, c.Logger.Handler())...))
	}
	last := func(c *connect.Config) {
		if store, ok := c.Store.(databaseFile); ok {
			l.dbFile = store.file
		}
		l.store = &watched{Store: c.Store, l: l}
		c.Store = l.store
	}
	l.world = newWorld(t, append(append([]func(*connect.Config){first}, change...), last)...)
	l.host.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(filed{l, "logs"}, nil), slog.LevelError)
	l.box, l.boxHost = l.front.box, l.front.url
	for name := range sandboxClients {
		if err := l.box.SetRedirectURIs(name, l.host.URL+"/connect/callback/"+name); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// inFile keeps everything in a file, which is searched too.
func inFile(t *testing.T) func(*connect.Config) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "connect.db")
	return func(c *connect.Config) {
		store, err := sqlitestore.Open(t.Context(), file, &sqlitestore.Options{Now: c.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		c.Store = databaseFile{store, file}
	}
}

// databaseFile is a store that says where its file is.
type databaseFile struct {
	connect.Store

	file string
}

// keys makes the ring: a key that is in use, and one that was.
func (l *leaks) keys(t *testing.T) {
	t.Helper()
	raw := map[string]string{}
	var keys []tokencrypt.Key
	for _, id := range []string{"k2", "k1"} {
		key, err := tokencrypt.GenerateKey(id)
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(key.Text(), ":")
		root, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		raw[id], keys = string(root), append(keys, key)
	}
	var err error
	if l.ring, err = tokencrypt.NewKeyring(keys[0], keys[1:]...); err != nil {
		t.Fatal(err)
	}
	for id, key := range raw {
		l.saw("key "+id, key)
	}
}

// saw makes a value a canary, of a kind that begins with the platform. The
// first kind of a value stays. Beside a handle there is the key that it is
// derived with.
func (l *leaks) saw(kind, value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if value == "" || l.canaries[value] != "" {
		return
	}
	l.canaries[value] = l.platform + ": " + kind
	if purpose := derivedFor[kind]; purpose != "" {
		if key, err := l.ring.Derive(purpose, l.ring.PrimaryID()); err == nil {
			l.canaries[string(key)] = l.platform + ": key for a " + kind
		}
	}
}

// made returns a new secret of a kind, which counts as in play once a request
// of ours has held it.
func (l *leaks) made(kind string) string {
	value := "made-7" + strings.ToLower(rand.Text()) // with a digit, which no error code has beside a letter
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting[value] = kind
	return value
}

// sent marks what a request holds as played.
func (l *leaks) sent(text string) {
	l.mu.Lock()
	waiting := maps.Clone(l.waiting)
	l.mu.Unlock()
	for value, kind := range waiting {
		if strings.Contains(text, value) {
			l.saw(kind, value)
			l.mu.Lock()
			delete(l.waiting, value)
			l.mu.Unlock()
		}
	}
}

// add files a text.
func (l *leaks) add(place, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.places[place] == nil {
		l.places[place] = &strings.Builder{}
	}
	l.places[place].WriteString(text + "\n")
}

// filed is a place to write to.
type filed struct {
	l     *leaks
	place string
}

func (f filed) Write(p []byte) (int, error) {
	f.l.add(f.place, string(p))
	return len(p), nil
}

// causes is a log that takes the errors of its records apart.
type causes struct{ l *leaks }

func (c causes) Enabled(context.Context, slog.Level) bool { return true }
func (c causes) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c causes) WithGroup(string) slog.Handler            { return c }

func (c causes) Handle(_ context.Context, record slog.Record) error {
	record.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok {
			c.l.err(err)
		}
		return true
	})
	return nil
}

// err keeps an error and all that it wraps, in every way to print them.
func (l *leaks) err(err error) {
	if err == nil {
		return
	}
	inJSON, _ := json.Marshal(err)
	l.add("errors", fmt.Sprintf("%v\n%+v\n%#v\n%q\n%s", err, err, err, err, inJSON))
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, inner := range several.Unwrap() {
			l.err(inner)
		}
		return
	}
	l.err(errors.Unwrap(err))
}

// authenticate knows the sessions and keys that the host has given out.
func (l *leaks) authenticate(r *http.Request) (connect.Principal, error) {
	kind, value := "host's API key", strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if cookie, err := r.Cookie("host"); err == nil && value == "" {
		kind, value = "host's session cookie", cookie.Value
	}
	l.mu.Lock()
	p, known := l.people[value]
	l.mu.Unlock()
	if !known {
		return connect.Principal{}, connect.ErrUnauthenticated
	}
	l.saw(kind, value)
	return p, nil
}

// browser returns one that is signed in as p, or as nobody; what it is
// answered is kept.
func (l *leaks) browser(p *connect.Principal) *browser {
	l.t.Helper()
	b := l.world.browser(nil)
	b.client.Transport = keeper{b.client.Transport, l}
	if p != nil {
		b.client.Jar.SetCookies(mustParse(l.t, l.host.URL), []*http.Cookie{{Name: "host", Value: l.person(*p), Path: "/"}})
	}
	return b
}

// program returns one with an API key of the tenant.
func (l *leaks) program(tenant string) *browser {
	l.t.Helper()
	b := l.browser(nil)
	b.header.Set("Authorization", "Bearer "+l.person(connect.Principal{Tenant: tenant}))
	return b
}

// person lets the host know somebody, by the value that is returned.
func (l *leaks) person(p connect.Principal) string {
	value := "host-" + rand.Text()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.people[value] = p
	return value
}

// keeper keeps the answers that pass through it.
type keeper struct {
	http.RoundTripper

	l *leaks
}

func (k keeper) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.GetBody != nil {
		reader, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		if body, err = io.ReadAll(reader); err != nil {
			return nil, err
		}
	}
	k.l.sent(fmt.Sprint(r.URL, r.Header, string(body)))
	resp, err := k.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err = io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if "https://"+r.URL.Host == k.l.host.URL {
		k.l.keep(resp, string(body))
	}
	return resp, err
}

// keep files an answer of ours, by the contract.
func (l *leaks) keep(resp *http.Response, body string) {
	l.file("headers", resp.Status)
	for name, values := range resp.Header {
		for _, value := range values {
			switch name {
			case "Location", "Set-Cookie":
				l.file(name, value)
			default:
				l.file("headers", name+": "+value)
			}
		}
	}
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	place := map[string]string{"text/html": "pages", "application/problem+json": "problems", "application/json": "answers"}[kind]
	if place == "" {
		place = "other bodies"
	}
	l.file(place, body)
}

// file adds a text without what may stand there.
func (l *leaks) file(place, text string) {
	for i, c := range contract {
		if c.place != place {
			continue
		}
		var rest strings.Builder
		end := 0
		for _, at := range contractPatterns[i].FindAllStringSubmatchIndex(text, -1) {
			if value, err := url.QueryUnescape(text[at[2]:at[3]]); err == nil && c.kind != "" {
				l.saw(c.kind, value)
			}
			rest.WriteString(text[end:at[2]] + "*")
			end = at[3]
		}
		text = rest.String() + text[end:]
	}
	l.add(place, text)
}

// everywhere returns the text of every place.
func (l *leaks) everywhere() map[string]string {
	l.t.Helper()
	database := l.database()
	l.mu.Lock()
	defer l.mu.Unlock()
	texts := map[string]string{}
	for name, text := range l.places {
		texts[name] = text.String()
	}
	texts["logs"] += l.logs.String()
	if database != "" {
		texts["database"] = database
	}
	return texts
}

// lost is the kind of what the sandbox has issued and nobody was sent.
const lost = "issued, and lost on its way"

// secrets are all that must not be found, with their kinds.
func (l *leaks) secrets() map[string]string {
	issued := l.box.Secrets()
	l.mu.Lock()
	defer l.mu.Unlock()
	all := maps.Clone(l.canaries)
	for _, value := range issued {
		if all[value] == "" {
			all[value] = l.platform + ": " + lost
		}
	}
	return all
}

// wantNoSecret searches every place for every secret.
func (l *leaks) wantNoSecret() {
	l.t.Helper()
	search := needlesOfKinds(l.t, l.secrets())
	for place, text := range l.everywhere() {
		told := map[string]bool{}
		for _, s := range search.in(text) {
			_, kind, _ := strings.Cut(s.kind, ": ")
			if !told[s.kind] && !slices.Contains(shown[kind], place) {
				told[s.kind] = true
				l.t.Errorf("%s is in the %s, as %s: …%q", s.kind, place, s.spelling, text[max(0, s.at-120):s.at])
			}
		}
	}
}
