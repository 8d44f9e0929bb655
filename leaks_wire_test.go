package connect_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed944197df/connect/sandbox"
)

// front stands between everybody and the sandbox. It takes note of every
// secret that passes, and may answer in a platform's place.
type front struct {
	l   *leaks
	box *sandbox.Sandbox
	url string

	// guarded by l.mu
	calls []string // that the engine has made, each once
	echo  echo     // how the next answer to a call repeats what was sent
	words bool     // whether the next answers name accounts by secrets
	waits bool     // whether an answer that takes a minute does
}

// echo is an answer to one call.
type echo struct{ call, kind string }

func (f *front) start(t *testing.T, now func() time.Time) {
	t.Helper()
	var err error
	f.box, err = sandbox.New(sandbox.Options{Now: now, Clients: sandboxClients, Log: slog.New(faultWatch{f.l})})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
}

// known are the calls that the engine has made.
func (f *front) known() []string {
	f.l.mu.Lock()
	defer f.l.mu.Unlock()
	return slices.Clone(f.calls)
}

// cutKey is where a request to the sandbox has the function that ends it.
type cutKey struct{}

// ServeHTTP serves the sandbox. An answer that would take a minute breaks off
// at once.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	ctx, cut := context.WithCancel(r.Context())
	defer cut()
	r = r.WithContext(context.WithValue(ctx, cutKey{}, cut))
	if r.UserAgent() == "Go-http-client/1.1" { // a browser of ours, not the engine
		f.box.ServeHTTP(w, r)
		return
	}
	call := callOf(r, body)
	all := f.request(call, r, body)
	if raw := f.echoing(call, all); raw != "" {
		hijacked(w, raw)
		return
	}
	f.box.ServeHTTP(tee{w, f, call}, r)
	if ctx.Err() != nil {
		panic(http.ErrAbortHandler)
	}
}

// tee shows the front what is written, before it is.
type tee struct {
	http.ResponseWriter

	f    *front
	call string
}

func (t tee) Write(p []byte) (int, error) {
	_, err := t.ResponseWriter.Write(t.f.answer(t.call, p))
	return len(p), err
}

// Unwrap is for [http.ResponseController].
func (t tee) Unwrap() http.ResponseWriter { return t.ResponseWriter }

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
		f.l.hits++
		waits := f.l.front.waits
		f.l.mu.Unlock()
		cut, ok := ctx.Value(cutKey{}).(context.CancelFunc)
		if ok && !waits && (fault == "hang" || fault == "slow_body") {
			cut()
		}
		return true
	})
	return nil
}

var (
	version  = regexp.MustCompile(`^/v\d+\.\d+`)
	variable = regexp.MustCompile(`\d{6,}|did:[a-z]+:[a-z0-9]+`)
)

// callOf names what a request asks of a platform.
func callOf(r *http.Request, body []byte) string {
	form, _ := url.ParseQuery(string(body))
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	path = variable.ReplaceAllString(version.ReplaceAllString("/"+path, ""), "{id}")
	return strings.TrimSpace(r.Header.Get("X-Host") + " " + r.Method + " " + path + " " + form.Get("grant_type"))
}

// What is secret by its name, in requests and in answers.
var (
	secretFields  = strings.Fields("code code_verifier client_secret refresh_token token fb_exchange_token input_token access_token appsecret_proof password")
	secretMembers = strings.Fields("access_token refresh_token accessJwt refreshJwt")
)

// request takes note of a request's secrets, and returns them.
func (f *front) request(call string, r *http.Request, body []byte) []string {
	f.l.mu.Lock()
	if !slices.Contains(f.calls, call) {
		f.calls = append(f.calls, call)
	}
	f.l.mu.Unlock()
	var all []string
	saw := func(kind, value string) {
		if value != "" {
			f.l.saw(kind+" to "+call, value)
			all = append(all, value)
		}
	}
	form, _ := url.ParseQuery(string(body))
	var object map[string]any
	_ = json.Unmarshal(body, &object)
	for _, name := range secretFields {
		saw(name, form.Get(name))
		saw(name, r.URL.Query().Get(name))
		text, _ := object[name].(string)
		saw(name, text)
	}
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	saw(scheme, value)
	if raw, err := base64.StdEncoding.DecodeString(value); err == nil && scheme == "Basic" {
		_, secret, _ := strings.Cut(string(raw), ":")
		saw("client secret", secret)
	}
	return all
}

// answer takes note of an answer's secrets and returns what is sent.
func (f *front) answer(call string, body []byte) []byte {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return body
	}
	f.l.mu.Lock()
	words := f.words
	f.l.mu.Unlock()
	object, _ := v.(map[string]any)
	if words && object != nil {
		f.rename(object)
		body, _ = json.Marshal(object)
	}
	walk(v, func(object map[string]any, name string) {
		if text, ok := object[name].(string); ok && slices.Contains(secretMembers, name) {
			f.l.saw(name+" from "+call, text)
		}
	})
	return body
}

// walk visits each member of each object in v.
func walk(v any, visit func(object map[string]any, name string)) {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			visit(v, name)
			walk(inner, visit)
		}
	case []any:
		for _, inner := range v {
			walk(inner, visit)
		}
	}
}

// renamed are the members of an answer in which a careless platform could put
// a token, beside the one that nobody asked for.
var renamed = map[string]string{
	"name": "name", "username": "username", "profile_image_url": "avatar", "url": "avatar", "scope": "scope", "after": "cursor", "email": "email",
}

// rename puts a token into each of the platform's own words.
func (f *front) rename(object map[string]any) {
	walk(object, func(object map[string]any, name string) {
		text, ok := object[name].(string)
		kind := renamed[name]
		if !ok || kind == "" {
			return
		}
		token := newToken()
		f.l.saw(kind, token)
		switch kind {
		case "avatar":
			object[name] = text + "?t=" + token
		case "scope", "name":
			object[name] = text + " " + token
		case "cursor":
			object[name] = token
		default:
			object[name] = token + text
		}
	})
	token := newToken()
	f.l.saw("unknown member", token)
	object["debug"] = token
}

// newToken returns a token, short enough to pass for a code or a name.
func newToken() string { return "7o" + rand.Text()[:20] }

// json400 is an answer with a JSON body.
func json400(body string) string {
	return "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\r\n" + body
}

func ok(headers, body string) string { return "HTTP/1.1 200 OK\r\n" + headers + "\r\n\r\n" + body }

// echoes are the answers of a hostile or careless platform, by where they
// repeat a token: in place of TOKEN there is one, in place of ALL there is also
// everything secret that the request had.
var echoes = map[string]string{
	"status-line":       "HTTP/1.1 400 ALL\r\n\r\n",
	"header-name":       "HTTP/1.1 401 Unauthorized\r\nX-TOKEN: 1\r\n\r\n",
	"broken-header":     "HTTP/1.1 200 OK\r\nALL\r\n\r\n",
	"no-HTTP":           "ALL\r\n\r\n",
	"protocol":          "TOKEN/1.1 200 OK\r\n\r\n",
	"switch":            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: ALL\r\n\r\n",
	"Location":          "HTTP/1.1 302 Found\r\nLocation: https://evil.example.com/?t=ALL\r\n\r\n",
	"broken-Location":   "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://evil.example.com/%zzALL\r\n\r\n",
	"Content-Length":    ok("Content-Length: TOKEN", ""),
	"Content-Encoding":  ok("Content-Encoding: ALL", "{}"),
	"Content-Type":      ok("Content-Type: ALL", "{}"),
	"Transfer-Encoding": ok("Transfer-Encoding: TOKEN", ""),
	"chunk":             ok("Transfer-Encoding: chunked", "ALL\r\n"),
	"trailer":           ok("Transfer-Encoding: chunked\r\nTrailer: X-T", "2\r\n{}\r\n0\r\nALL\r\n\r\n"),

	"headers":           "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer error=\"ALL\"\r\nSet-Cookie: t=ALL\r\nRetry-After: ALL\r\nRatelimit-Reset: ALL\r\nX-Rate-Limit-Reset: ALL\r\nX-Business-Use-Case-Usage: ALL\r\n\r\n",
	"page":              ok("Content-Type: text/html", "<!doctype html><title>ALL</title><p>ALL"),
	"error page":        "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<!doctype html><title>ALL</title><p>ALL",
	"error":             json400(`{"error":"TOKEN"}`),
	"error and prose":   json400(`{"error":"invalid_request","error_description":"ALL","error_uri":"https://evil.example.com/ALL","message":"ALL","title":"ALL"}`),
	"error object":      json400(`{"error":{"message":"ALL","type":"ALL","code":1,"error_user_title":"ALL","error_user_msg":"ALL","fbtrace_id":"ALL"}}`),
	"error code":        json400(`{"error":{"message":"m","code":"TOKEN","error_subcode":"TOKEN"}}`),
	"error subcode":     json400(`{"error":{"message":"m","code":190,"error_subcode":"TOKEN"}}`),
	"problem":           "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/problem+json\r\n\r\n" + `{"type":"https://api.x.com/2/problems/TOKEN","title":"TOKEN","detail":"ALL","status":401}`,
	"names twice":       ok("Content-Type: application/json", `{"ALL":1,"ALL":2}`),
	"wrong types":       ok("Content-Type: application/json", `{"access_token":["ALL"],"accessJwt":{"t":"ALL"},"expires_in":"ALL","id":"ALL","did":"ALL","data":"ALL"}`),
	"token type":        ok("Content-Type: application/json", `{"access_token":"TOKEN","token_type":"ALL","expires_in":7200}`),
	"control character": ok("Content-Type: application/json", `{"access_token":"ALL\n","token_type":"bearer","accessJwt":"ALL\u0000","refreshJwt":"ALL"}`),
	"cut":               ok("Content-Type: application/json", `{"access_token":"ALL`),
	"array":             ok("Content-Type: application/json", `["ALL"]`),
}

// lines are the echoes that the transport reads, before any call's own code.
var lines = strings.Fields("status-line header-name broken-header no-HTTP protocol switch Location broken-Location Content-Length Content-Encoding Content-Type Transfer-Encoding chunk trailer")

// echoing returns the answer that stands in the way of a call, if one does.
func (f *front) echoing(call string, sent []string) string {
	f.l.mu.Lock()
	armed := f.echo
	if armed.call != call {
		f.l.mu.Unlock()
		return ""
	}
	f.echo = echo{}
	f.l.hits++
	f.l.mu.Unlock()
	token := newToken()
	f.l.saw("echo in "+armed.kind, token)
	all := strings.Join(append([]string{token}, sent...), ".")
	return strings.NewReplacer("TOKEN", token, "ALL", all).Replace(echoes[armed.kind])
}

// hijacked sends an answer that no server of Go's would.
func hijacked(w http.ResponseWriter, raw string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(conn, raw)
	_ = conn.Close()
}
