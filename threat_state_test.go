package connect_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/x"
	"github.com/seed944197df/connect/selection"
)

// Whatever is wrong with a state, the page is the same.
func TestThreat44_SamePage(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t), newWorld(t)
	b := w.browser(&alice)
	back := b.consent(b.start("x", nil), nil)
	state := stateOf(t, back)
	foreign, err := other.engine.Start(t.Context(), alice, connect.StartRequest{Platform: "x"})
	if err != nil {
		t.Fatal(err)
	}
	states := []string{"garbage", foreign.State, state[:len(state)-1], state + "A", state + "\n", strings.ToUpper(state), strings.Repeat("A", 512)}
	for at := 0; at < len(state); at += 7 {
		flipped := []byte(state)
		flipped[at] ^= 1
		states = append(states, string(flipped))
	}
	base, _, _ := strings.Cut(back, "?")
	var first reply
	for i, wrong := range states {
		got := b.arrive(base + "?code=a&state=" + url.QueryEscape(wrong))
		if i == 0 {
			first = got
		}
		if got.status != http.StatusBadRequest || got.status != first.status || got.body != first.body {
			t.Errorf("state %q: status %d, page %s, want %s", wrong, got.status, got.body, first.body)
		}
	}
	if n := w.exchanges(); n != 0 || len(w.storedEvents()) != 0 {
		t.Errorf("%d exchanges, events %v", n, w.storedEvents())
	}
	if got := b.arrive(back).outcome(t); got.Get("status") != "connected" {
		t.Errorf("the honest answer gets %v", got)
	}
}

// verifierSpy tells the PKCE verifier of each flow.
type verifierSpy struct {
	*x.Provider

	mu   *sync.Mutex // guards seen
	seen *[]string
}

// Begin implements [connect.OAuth].
func (s verifierSpy) Begin(ctx context.Context, env connect.Env, req connect.AuthRequest) (connect.Authorization, error) {
	s.mu.Lock()
	*s.seen = append(*s.seen, req.Verifier.Reveal())
	s.mu.Unlock()
	return s.Provider.Begin(ctx, env, req)
}

// A row as it is stored tells no secret, and neither does the state, to who
// has no key.
func TestThreat48_RowIsSealed(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var verifiers []string
	w := newWorld(t, func(cfg *connect.Config) {
		for i, provider := range cfg.Providers {
			if p, ok := provider.(*x.Provider); ok {
				cfg.Providers[i] = verifierSpy{p, &mu, &verifiers}
			}
		}
	})
	started, err := w.engine.Start(t.Context(), alice, connect.StartRequest{
		Platform: "x", ReturnURL: w.host.URL + appHost + "/canary-return", LoginHint: "canary-hint", Select: selection.All,
		Metadata: json.RawMessage(`{"note":"canary-metadata"}`), Kind: "profile",
	})
	if err != nil {
		t.Fatal(err)
	}
	b := w.browser(&alice)
	back := b.consent(started.URL, nil)
	answer, _ := url.Parse(back)
	canaries := []string{"canary-return", "canary-hint", "canary-metadata", verifiers[0], started.State, answer.Query().Get("code"), xSecret}
	dump := func() string {
		flow, err := w.config.Store.ReadFlow(t.Context(), connect.FlowKey{ID: started.FlowID})
		if err != nil {
			t.Fatal(err)
		}
		return dumped(t, flow)
	}
	started1 := dump()
	if w.browser(nil).arrive(back).outcome(t).Get("status") != "continue" { // the answer waits in the row
		t.Fatal("the flow was not parked")
	}
	decoded := decodedParts(t, started.State)
	for _, canary := range canaries {
		if hit := dumped(t, connect.Flow{Progress: []byte("x" + canary)}); len(canary) < 8 || !strings.Contains(hit, canary) {
			t.Fatalf("the search would not find %q", canary)
		}
		for place, text := range map[string]string{"started row": started1, "parked row": dump(), "logs": w.logs.String()} {
			if strings.Contains(text, canary) {
				t.Errorf("the %s holds %q", place, canary)
			}
		}
		if canary != started.State && strings.Contains(decoded, canary) {
			t.Errorf("the state holds %q", canary)
		}
	}
	for _, told := range []string{"acme", "alice", started.FlowID, strings.ReplaceAll(started.FlowID, "-", "")} {
		if strings.Contains(started.State+decoded, told) {
			t.Errorf("the state tells %q", told)
		}
	}
}

// dumped is everything that a row holds, bytes as text.
func dumped(t *testing.T, flow connect.Flow) string {
	t.Helper()
	outcome, err := json.Marshal(flow)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s\n%s\n%s\n%s", outcome, flow.Request, flow.Progress, flow.Link)
}

// decodedParts is what a state says to who has no key.
func decodedParts(t *testing.T, state string) string {
	t.Helper()
	var text strings.Builder
	for part := range strings.SplitSeq(state, ".") {
		raw, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(raw)
	}
	return text.String()
}

// A handle for one purpose is none for another.
func TestThreat49_HandlesOfOnePurpose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	authorize := b.start("facebook", nil)
	back := b.consent(authorize, nil)
	ticket := w.browser(nil).arrive(back).outcome(t).Get("ticket")
	session := b.connect("facebook", url.Values{"mode": {"headless"}}, nil).outcome(t).Get("session")
	state := stateOf(t, back)
	base, _, _ := strings.Cut(back, "?")
	for name, got := range map[string]reply{
		"ticket as state":   b.arrive(base + "?code=a&state=" + ticket),
		"session as state":  b.arrive(base + "?code=a&state=" + session),
		"ticket as session": b.get("/connect/pending/" + ticket),
		"session as ticket": b.call(http.MethodPost, "/connect/complete", map[string]string{"ticket": session}),
		"session as link":   b.get("/connect/go/" + session),
		"ticket as link":    b.get("/connect/go/" + ticket),
		"state as ticket":   b.call(http.MethodPost, "/connect/complete", map[string]string{"ticket": state}),
		"state as session":  b.get("/connect/pending/" + state),
		"state as link":     b.get("/connect/go/" + state),
	} {
		if got.status != http.StatusNotFound && got.status != http.StatusBadRequest {
			t.Errorf("%s: status %d: %s", name, got.status, got.body)
		}
	}
	if n := len(w.accounts(alice)); n != 0 {
		t.Errorf("%d accounts", n)
	}
}

// The handles of one flow are another for each purpose: what stood in a return
// URL as a ticket does not open the selection that follows.
func TestThreat49_HandlesOfOneFlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ticket := w.parked("facebook")
	out, err := w.engine.Complete(t.Context(), alice, connect.CompleteRequest{Ticket: ticket})
	if err != nil || out.Session == "" {
		t.Fatalf("outcome %+v, %v, want a selection", out, err)
	}
	_, err = w.engine.Pending(t.Context(), alice, ticket, connect.PendingRequest{})
	wantCode(t, err, connect.CodeNotFound)
	_, err = w.engine.Complete(t.Context(), alice, connect.CompleteRequest{Ticket: out.Session})
	wantCode(t, err, connect.CodeNotFound)
	if _, err = w.engine.Pending(t.Context(), alice, out.Session, connect.PendingRequest{}); err != nil {
		t.Errorf("the session itself: %v", err)
	}
}

// keyLedger keeps the keys that flows are looked up by and stored with.
type keyLedger struct {
	connect.Store

	mu   sync.Mutex // guards seen
	seen [][]byte
}

func (l *keyLedger) keep(cfg *connect.Config) { l.Store, cfg.Store = cfg.Store, l }

func (l *keyLedger) keys() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen
}

func (l *keyLedger) note(handles ...[]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, handle := range handles {
		if handle != nil {
			l.seen = append(l.seen, handle)
		}
	}
}

func (l *keyLedger) ReadFlow(ctx context.Context, key connect.FlowKey) (connect.Flow, error) {
	l.note(key.Link, key.Session, key.Ticket)
	return l.Store.ReadFlow(ctx, key)
}

func (l *keyLedger) CreateFlow(ctx context.Context, flow connect.Flow, caps connect.FlowCaps) error {
	l.note(flow.Link, flow.Session, flow.Ticket)
	return l.Store.CreateFlow(ctx, flow, caps)
}

func (l *keyLedger) MoveFlow(ctx context.Context, from connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
	l.note(next.Link, next.Session, next.Ticket)
	return l.Store.MoveFlow(ctx, from, next)
}

// A store compares hashes only: the time that it takes tells nothing.
func TestThreat50_LookedUpByHash(t *testing.T) {
	t.Parallel()
	here, there := &keyLedger{}, &keyLedger{}
	w := newWorld(t, here.keep)
	b := w.browser(&alice)
	session := b.connect("facebook", url.Values{"mode": {"headless"}}, nil).outcome(t).Get("session")
	ticket := w.browser(nil).arrive(b.consent(b.start("facebook", nil), nil)).outcome(t).Get("ticket")
	b.get("/connect/pending/" + session)
	b.call(http.MethodPost, "/connect/complete", map[string]string{"ticket": ticket})
	linked := newWorld(t, there.keep, func(cfg *connect.Config) { cfg.Binding = connect.BindBrowser })
	started, err := linked.engine.Start(t.Context(), acmeKey, connect.StartRequest{Platform: "x", User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	linked.browser(nil).get(started.URL)
	link := started.URL[strings.LastIndex(started.URL, "/")+1:]
	seen := map[[32]byte]int{}
	for _, key := range append(here.keys(), there.keys()...) {
		if len(key) != sha256.Size {
			t.Fatalf("a store is asked for %q", key)
		}
		seen[[32]byte(key)]++
	}
	for name, handle := range map[string]string{"session": session, "ticket": ticket, "link": link} {
		if n := seen[sha256.Sum256([]byte(handle))]; n < 2 { // stored, and looked up
			t.Errorf("the hash of the %s was seen %d times", name, n)
		}
	}
}

// secretName is what names of values are called that must not be compared byte
// by byte with an early end.
var secretName = regexp.MustCompile(`(?i)(secret|verifier|ticket|mac|handle|cookie|challenge|password|access|refresh|nonce|answer)$`)

// Go's equality ends at the first byte that differs. Secrets are compared in
// constant time, or are of a type that has no equality.
func TestThreat50_NoPlainEquality(t *testing.T) {
	t.Parallel()
	if reflect.TypeFor[connect.Secret]().Comparable() {
		t.Error("== compiles on Secret")
	}
	for _, directory := range []string{".", "tokencrypt"} {
		for name, file := range sources(t, directory) {
			for _, found := range plainEqualities(file.ast) {
				t.Errorf("%s: %s compares a secret", name, file.set.Position(found))
			}
		}
	}
	// The check must be able to find something.
	set := token.NewFileSet()
	bad, err := parser.ParseFile(set, "bad.go", `package p
func f() bool { return a.ticket == b || c != d.Reveal() || bytes.Equal(x.Answer, y) || strings.EqualFold(verifier, z) || string(cookie) == s }
func g() bool { return ticket == "" || cookie != nil || len(handle) == 3 || a == b }`, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(plainEqualities(bad)); n != 5 {
		t.Errorf("%d of 5 comparisons are found", n)
	}
}

type source struct {
	set *token.FileSet
	ast *ast.File
}

// sources are the files of a package that are not tests.
func sources(t *testing.T, directory string) map[string]source {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]source{}
	for _, entry := range entries {
		name := directory + "/" + entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = source{set, file}
	}
	if len(files) < 3 {
		t.Fatalf("%d files in %s", len(files), directory)
	}
	return files
}

func plainEqualities(file *ast.File) []token.Pos {
	var found []token.Pos
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if (n.Op == token.EQL || n.Op == token.NEQ) && !empty(n.X) && !empty(n.Y) && (isSecret(n.X) || isSecret(n.Y)) {
				found = append(found, n.OpPos)
			}
		case *ast.CallExpr:
			if called, ok := n.Fun.(*ast.SelectorExpr); ok && len(n.Args) == 2 && (isSecret(n.Args[0]) || isSecret(n.Args[1])) {
				if on, ok := called.X.(*ast.Ident); ok && (on.Name == "bytes" && called.Sel.Name == "Equal" || on.Name == "strings" && called.Sel.Name == "EqualFold" || on.Name == "bytes" && called.Sel.Name == "Compare" || on.Name == "strings" && called.Sel.Name == "Compare") {
					found = append(found, called.Pos())
				}
			}
		}
		return true
	})
	return found
}

// empty reports whether a value is compared with nothing at all, which tells
// only whether it is there.
func empty(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Value == `""` || e.Value == "0"
	case *ast.Ident:
		return e.Name == "nil"
	default:
		return false
	}
}

func isSecret(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return secretName.MatchString(e.Name)
	case *ast.SelectorExpr:
		return secretName.MatchString(e.Sel.Name)
	case *ast.CallExpr:
		if called, ok := e.Fun.(*ast.SelectorExpr); ok {
			return called.Sel.Name == "Reveal"
		}
		return len(e.Args) == 1 && isSecret(e.Args[0]) && !isLen(e.Fun)
	default:
		return false
	}
}

func isLen(e ast.Expr) bool {
	called, ok := e.(*ast.Ident)
	return ok && called.Name == "len"
}

const withoutRandomness = "CONNECT_TEST_WITHOUT_RANDOMNESS"

// Without randomness nothing starts: the process ends rather than go on with
// values that can be guessed. It is this test again, in a process of its own.
func TestThreat51_NoRandomness(t *testing.T) {
	if os.Getenv(withoutRandomness) != "" {
		startWithoutRandomness(t)
		return
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, mode := range []string{"fails", "works"} {
		command := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestThreat51_NoRandomness$", "-test.v")
		command.Env = append(os.Environ(), withoutRandomness+"="+mode)
		output, err := command.CombinedOutput()
		started := strings.Contains(string(output), "a flow was started")
		if failed := new(exec.ExitError); mode == "fails" && (started || !errors.As(err, &failed) || !strings.Contains(string(output), "crypto/rand")) {
			t.Errorf("without randomness: error %v, started %v: %s", err, started, output)
		}
		if mode == "works" && (!started || err != nil) {
			t.Errorf("with randomness: error %v, started %v: %s", err, started, output)
		}
	}
}

func startWithoutRandomness(t *testing.T) {
	t.Helper()
	w := newWorld(t)
	if os.Getenv(withoutRandomness) == "fails" {
		rand.Reader = iotest.ErrReader(errBroken) // this process is for it
	}
	started, err := w.engine.Start(t.Context(), alice, connect.StartRequest{Platform: "x"})
	t.Logf("a flow was started: %v, %v", started, err)
}

// Handles are 256 bits, another for each flow. That they need the key can be
// seen from inside only; see the test of that name.
func TestThreat51_HandlesAreLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	values := map[string]string{}
	for range 3 {
		outcome := b.connect("facebook", url.Values{"mode": {"headless"}}, nil).outcome(t)
		values[outcome.Get("session")] = outcome.Get("flow_id")
		outcome = w.browser(nil).arrive(b.consent(b.start("facebook", nil), nil)).outcome(t)
		values[outcome.Get("ticket")] = outcome.Get("flow_id")
	}
	if len(values) != 6 {
		t.Errorf("%d different handles of 6 flows", len(values))
	}
	for handle, flow := range values {
		raw, err := base64.RawURLEncoding.DecodeString(handle)
		if err != nil || len(raw) != 32 {
			t.Errorf("a handle of %d bytes: %v", len(raw), err)
		}
		if sum := sha256.Sum256([]byte(flow)); string(sum[:]) == string(raw) {
			t.Error("a handle is a plain hash of its flow")
		}
	}
}
