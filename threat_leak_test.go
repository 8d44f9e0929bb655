package connect_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/bluesky"
	"github.com/seed944197df/connect/providers/facebook"
	"github.com/seed944197df/connect/providers/x"
)

// leaksFile names the file for what was in play, in a process whose output is
// searched.
const leaksFile = "CONNECT_TEST_LEAKS"

// afterwards is the line in the output after which the search is proved.
const afterwards = "--- everything must be found from here on ---"

// TestThreat102_NoSecretLeavesUnderAnyFailure: whatever fails, no secret is in
// any answer, log, error, event or row, but where the contract has it. It runs
// in a process of its own, of which all output is searched as well.
func TestThreat102_NoSecretLeavesUnderAnyFailure(t *testing.T) {
	if file := os.Getenv(leaksFile); file != "" {
		everythingFails(t, file)
		return
	}
	t.Parallel()
	file := filepath.Join(t.TempDir(), "in-play")
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.parallel=4")
	command.Env = append(os.Environ(), leaksFile+"="+file)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, &stdout, stderr.Bytes()[max(0, stderr.Len()-4000):])
	}
	kinds := played(t, file)
	search := needlesOfKinds(t, kinds)
	for name, output := range map[string]string{"stdout": stdout.String(), "stderr": stderr.String()} {
		before, after, _ := strings.Cut(output, afterwards)
		for _, s := range search.in(before) {
			t.Errorf("%s is in %s, as %s", s.kind, name, s.spelling)
		}
		if diff := cmp.Diff(sortedKinds(kinds), foundKinds(search.in(after))); diff != "" {
			t.Errorf("kinds that are found in %s (-want +got):\n%s", name, diff)
		}
	}
	if n := strings.Count(stderr.String(), "level=DEBUG"); n < 100 {
		t.Errorf("only %d lines of debug level", n)
	}
}

// everythingFails runs all scenes, searches what they leave behind, and writes
// down what was in play.
func everythingFails(t *testing.T, file string) {
	t.Helper()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})))
	all := &total{kinds: map[string]string{}, places: map[string]bool{}}
	t.Run("scenes", func(t *testing.T) {
		for _, platform := range []string{"x", "facebook", "bluesky"} {
			for name, scene := range scenes {
				t.Run(platform+" "+name, func(t *testing.T) {
					t.Parallel()
					all.add(scene(t, platform))
				})
			}
		}
	})
	if all.runs < 200 {
		t.Errorf("only %d runs", all.runs)
	}
	if diff := cmp.Diff(thePlaces, slices.Sorted(maps.Keys(all.places))); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantInPlay(), sortedKinds(all.kinds)); diff != "" {
		t.Errorf("secrets in play (-want +got):\n%s", diff)
	}
	if t.Failed() {
		return
	}
	printBoth(t, afterwards)
	newLeaks(t, "proof", inFile(t)).prove(all.kinds)
	printBoth(t, plantings(all.kinds))
	slog.Debug("planted")
	log.Print("planted") //nolint:forbidigo // the search must meet this output too
	writePlayed(t, file, all.kinds)
}

// total is what the scenes had in play.
type total struct {
	mu     sync.Mutex // guards what follows
	kinds  map[string]string
	places map[string]bool
	runs   int
}

// add takes a scene that is over, and searches it.
func (a *total) add(l *leaks) {
	l.t.Helper()
	l.settle()
	l.wantNoSecret()
	if n := strings.Count(l.logs.String(), "provider or store panicked"); n != l.panicked || strings.Contains(l.everywhere()["logs"], "panic serving") {
		l.t.Errorf("%d panics are logged, want %d, and none of a handler", n, l.panicked)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for secret, kind := range l.secrets() {
		if a.kinds[secret] == "" || !strings.HasSuffix(kind, lost) { // what one world lacks may be in play in another
			a.kinds[secret] = kind
		}
	}
	for place := range l.everywhere() {
		a.places[place] = true
	}
	a.runs += l.runs
}

// thePlaces are those that are searched, beside the output and the database.
var thePlaces = []string{"Location", "Set-Cookie", "answers", "errors", "events", "headers", "logs", "other bodies", "pages", "problems", "rows"}

// scenes are everything that goes wrong, at each platform.
var scenes = map[string]func(t *testing.T, platform string) *leaks{
	"faults":  faultsScene,
	"repeats": repeatsScene,
	"outages": outagesScene,
	"attacks": attacksScene,
	"links":   linksScene,
	"panics":  panicsScene,
}

// neverMet are the faults that the sandbox has at steps which X and Bluesky do
// not have.
var neverMet = map[string][]string{"x": {"api", "inspect"}, "bluesky": {"inspect"}}

func faultsScene(t *testing.T, platform string) *leaks {
	t.Helper()
	l := newLeaks(t, platform)
	for _, missed := range l.faults() {
		if _, step, _ := strings.Cut(missed, " at "); !slices.Contains(neverMet[platform], step) {
			t.Errorf("nobody met %s", missed)
		}
	}
	return l
}

func repeatsScene(t *testing.T, platform string) *leaks {
	t.Helper()
	l := newLeaks(t, platform)
	if missed := l.repeats(); len(missed) != 0 {
		t.Errorf("nobody met %q", missed)
	}
	l.names()
	return l
}

// neverCalled are the methods of the store that the engine does not need, at
// all or for the platform.
var neverCalled = map[string][]string{
	"x":        {"AckEvents", "ClaimEvents", "ClaimSubject", "ListEvents", "PutClient", "ReadClient", "ReleaseSubject", "RenewClaims"},
	"facebook": {"AckEvents", "ClaimEvents", "ListEvents", "MarkSent", "PutClient", "ReadClient", "RenewClaims"},
	"bluesky":  {"AckEvents", "ClaimEvents", "ClaimSubject", "ListEvents", "MoveFlow", "PutClient", "ReadClient", "ReleaseSubject", "RenewClaims"},
}

func outagesScene(t *testing.T, platform string) *leaks {
	t.Helper()
	l := newLeaks(t, platform)
	if diff := cmp.Diff(neverCalled[platform], l.outages()); diff != "" {
		t.Errorf("methods that nobody called (-want +got):\n%s", diff)
	}
	return l
}

func attacksScene(t *testing.T, platform string) *leaks {
	t.Helper()
	l := newLeaks(t, platform)
	l.deadlines()
	for _, attack := range attacks {
		attack(l.tenant())
	}
	return l
}

// linksScene has browsers that are bound by a cookie.
func linksScene(t *testing.T, platform string) *leaks {
	t.Helper()
	l := newLeaks(t, platform, withBinding(connect.BindBrowser))
	l.tenant().life(nothing, whole)
	for _, attack := range attacks {
		attack(l.tenant())
	}
	return l
}

// panicsScene has providers that panic with what they were given.
func panicsScene(t *testing.T, platform string) *leaks {
	t.Helper()
	var l *leaks
	l = newLeaks(t, platform, func(c *connect.Config) {
		for i, p := range c.Providers {
			switch p := p.(type) {
			case *x.Provider:
				c.Providers[i] = panickingX{p, &l}
			case *facebook.Provider:
				c.Providers[i] = panickingFacebook{p, &l}
			case *bluesky.Provider:
				c.Providers[i] = panickingBluesky{p, &l}
			}
		}
	})
	for brief := range 2 {
		n := l.tenant()
		n.brief = 1 + brief
		n.life(nothing, whole)
	}
	if l.panicked < 2 {
		t.Errorf("%d panics, want one for each way", l.panicked)
	}
	return l
}

type (
	panickingX struct {
		*x.Provider

		l **leaks
	}
	panickingFacebook struct {
		*facebook.Provider

		l **leaks
	}
	panickingBluesky struct {
		*bluesky.Provider

		l **leaks
	}
)

func (p panickingX) Exchange(_ context.Context, _ connect.Env, r connect.AuthResponse) (*connect.Tokens, error) {
	return (*p.l).panics(r.Query.Get("code"))
}

func (p panickingFacebook) Exchange(_ context.Context, _ connect.Env, r connect.AuthResponse) (*connect.Tokens, error) {
	return (*p.l).panics(r.Query.Get("code"))
}

func (p panickingBluesky) Login(_ context.Context, _ connect.Env, r connect.LoginRequest) (*connect.Tokens, error) {
	return (*p.l).panics(r.Values["app_password"].Reveal())
}

func (l *leaks) panics(secret string) (*connect.Tokens, error) {
	token := newToken()
	l.saw("token in a panic", token)
	l.mu.Lock()
	l.panicked++
	l.mu.Unlock()
	panic(token + " and " + secret)
}

// prove files a secret of each kind, and one in every spelling, in every place
// by the way that leads there, and makes sure that the search finds them.
func (l *leaks) prove(kinds map[string]string) {
	l.t.Helper()
	const planted = "Planted+canary/0123456789=mustbefound"
	written := spellings(planted)
	text := plantings(kinds) + " " + strings.Join(slices.Collect(maps.Values(written)), " ")
	l.config.Logger.Debug("planted " + text)
	l.err(errors.New(text))
	for _, kind := range []string{"text/html; charset=utf-8", "application/problem+json", "application/json", "text/plain"} {
		l.keep(&http.Response{Header: http.Header{"Content-Type": {kind}, "Location": {text}, "Set-Cookie": {text}, "X-Other": {text}}}, text)
	}
	flow := connect.Flow{ID: "01900000-0000-7000-8000-000000000000", Tenant: "planted", Platform: "x", User: text, Status: connect.FlowStarted, Version: 1}
	if err := l.config.Store.CreateFlow(l.t.Context(), flow, connect.FlowCaps{}); err != nil {
		l.t.Fatal(err)
	}
	commit := connect.Commit{From: flow.Status, Flow: flow, Events: []connect.Event{{ID: "planted", Tenant: "planted", Platform: "x", Data: []byte(text)}}}
	commit.Flow.Status = connect.FlowFailed
	if _, err := l.config.Store.CommitFlow(l.t.Context(), commit); err != nil {
		l.t.Fatal(err)
	}
	l.keepEvents("planted")

	places := l.everywhere()
	if diff := cmp.Diff(slices.Sorted(slices.Values(append([]string{"database"}, thePlaces...))), slices.Sorted(maps.Keys(places))); diff != "" {
		l.t.Errorf("places (-want +got):\n%s", diff)
	}
	search, spelled := needlesOfKinds(l.t, kinds), newNeedles(l.t, []string{planted})
	for place, text := range places {
		if diff := cmp.Diff(sortedKinds(kinds), foundKinds(search.in(text))); diff != "" {
			l.t.Errorf("kinds that are found in the %s (-want +got):\n%s", place, diff)
		}
		found := map[string]bool{}
		for _, s := range spelled.in(text) {
			found[s.spelling] = true
		}
		for name := range written {
			if !found[name] {
				l.t.Errorf("planted in the %s as %s, and not found", place, name)
			}
		}
	}
}

// plantings is a text with one secret of each kind.
func plantings(kinds map[string]string) string {
	one := map[string]string{}
	for secret, kind := range kinds {
		one[kind] = secret
	}
	return strings.Join(slices.Collect(maps.Values(one)), "\n")
}

// printBoth prints what the search of the output must meet.
func printBoth(t *testing.T, text string) {
	t.Helper()
	for _, output := range []io.Writer{os.Stdout, os.Stderr} {
		if _, err := fmt.Fprintln(output, text); err != nil {
			t.Fatal(err)
		}
	}
}

// writePlayed and played hand on what was in play.
func writePlayed(t *testing.T, file string, kinds map[string]string) {
	t.Helper()
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(gob.NewEncoder(out).Encode(kinds), out.Close()); err != nil {
		t.Fatal(err)
	}
}

func played(t *testing.T, file string) map[string]string {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	var kinds map[string]string
	if err := gob.NewDecoder(in).Decode(&kinds); err != nil {
		t.Fatal(err)
	}
	return kinds
}

func sortedKinds(kinds map[string]string) []string {
	return slices.Compact(slices.Sorted(maps.Values(kinds)))
}

func foundKinds(sightings []sighting) []string {
	found := map[string]bool{}
	for _, s := range sightings {
		found[s.kind] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// inPlay names the secrets that must have been seen at each platform, by what
// they are and, where they were on the wire, by what first held them. Beside
// them there is one for each echo.
var inPlay = map[string][]string{
	"every platform": {
		"key k1", "key k2", "key for a form token", "form token", "host's API key", "host's session cookie", lost,
		"unknown API key", "unknown session cookie", "unknown member", "unknown platform", "token in a panic", "token in a request",
		"forged code", "forged cookie", "forged session", "forged state", "forged ticket", "error of a callback", "prose of a callback",
	},
	"x": {
		"state", "ticket", "link", "flow cookie", "key for a state", "key for a ticket", "key for a link", "key for a flow cookie",
		"client secret to POST /2/oauth2/token authorization_code", "Basic to POST /2/oauth2/token authorization_code",
		"code", "code to POST /2/oauth2/token authorization_code", "code_verifier to POST /2/oauth2/token authorization_code",
		"access_token from POST /2/oauth2/token authorization_code", "refresh_token from POST /2/oauth2/token authorization_code",
		"access_token from POST /2/oauth2/token refresh_token", "refresh_token from POST /2/oauth2/token refresh_token",
		"forged form token", "token in a callback", "name", "username", "avatar", "scope",
	},
	"facebook": {
		"state", "ticket", "link", "flow cookie", "key for a state", "key for a ticket", "key for a link", "key for a flow cookie",
		"session", "key for a session",
		"client_secret to POST /oauth/access_token", "code", "code to POST /oauth/access_token", "code_verifier to POST /oauth/access_token",
		"access_token from POST /oauth/access_token", "access_token from POST /oauth/access_token fb_exchange_token",
		"access_token from GET /me/accounts", "access_token from GET /{id}", "access_token from GET /{id}/owned_pages", "access_token from GET /{id}/client_pages",
		"appsecret_proof to GET /me", "appsecret_proof to ours GET /{id}", "appsecret_proof to DELETE /{id}/permissions", "Bearer to DELETE /{id}/permissions",
		"forged form token", "token in a callback", "search", "name", "username", "avatar", "scope", "cursor",
	},
	"bluesky": {
		"password to POST /xrpc/com.atproto.server.createSession",
		"accessJwt from POST /xrpc/com.atproto.server.createSession", "refreshJwt from POST /xrpc/com.atproto.server.createSession",
		"accessJwt from POST /xrpc/com.atproto.server.refreshSession", "refreshJwt from POST /xrpc/com.atproto.server.refreshSession",
		"wrong app password", "main password", "password as identifier", "password as server", "password as field", "password in broken JSON", "email",
	},
}

func wantInPlay() []string {
	var want []string
	for _, platform := range []string{"x", "facebook", "bluesky"} {
		for _, kind := range slices.Concat(inPlay["every platform"], inPlay[platform]) {
			want = append(want, platform+": "+kind)
		}
		for kind := range echoes {
			want = append(want, platform+": echo in "+kind)
		}
	}
	slices.Sort(want)
	return want
}

// A gate that shuts says why, without the address that was asked.
func TestThreat103_AShutGateSaysNoAddress(t *testing.T) {
	t.Parallel()
	logs := &syncBuffer{}
	clock := newClock()
	b := newBench(t, clock.Now, func(c *connect.Config) { c.Logger = slog.New(slog.NewTextHandler(logs, nil)) })
	account := b.connect()
	clock.advance(fakeLife / 2)
	const address = "https://api.fake.test/refresh?token=canary"
	b.fake.answer("refresh", refusing(&connect.ProviderError{Class: connect.ClassConfig, Err: &url.Error{Op: "Post", URL: address, Err: io.ErrUnexpectedEOF}}))
	_, err := b.engine.Refresh(t.Context(), acmeKey, account.ID)
	wantCode(t, err, connect.CodePlatformError)
	if got := logs.String(); !strings.Contains(got, "left alone") || strings.Contains(got, "canary") {
		t.Errorf("the log is %s", got)
	}
}
