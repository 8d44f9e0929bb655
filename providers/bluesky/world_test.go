package bluesky_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/bluesky"
)

const (
	did      = "did:plc:adaadaadaadaadaadaada234"
	otherDID = "did:plc:bobbobbobbobbobbobbob567"
	handle   = "ada.example.com"
	email    = "ada@mail.test"
	pdsHost  = "pds.test"
	password = "abcd-efgh-ijkl-mn27"
)

var (
	errNoHost = errors.New("no such host") // nothing was sent
	errLost   = errors.New("connection reset")
	now       = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

// world is a network of named hosts without any connection. It notes each
// request as "METHOD host/path".
type world struct {
	t     *testing.T
	hosts map[string]http.Handler
	dns   *fakeDNS

	mu       sync.Mutex
	requests []string // guarded by mu
}

// newWorld returns the world of one account, ada.example.com, at pds.test.
func newWorld(t *testing.T) (*world, *fakePDS) {
	t.Helper()
	pds := newPDS(t, did)
	w := &world{t: t, dns: &fakeDNS{}, hosts: map[string]http.Handler{
		pdsHost:         pds,
		handle:          wellKnown(did),
		"plc.directory": documents{did: document(did, handle, "https://"+pdsHost)},
	}}
	return w, pds
}

func (w *world) env() connect.Env {
	return connect.Env{
		HTTP:     &http.Client{Transport: road{w, false}, Timeout: 20 * time.Second},
		Lookup:   &http.Client{Transport: road{w, true}, Timeout: 20 * time.Second},
		Resolver: w.dns.resolver(),
		NotSent:  func(err error) bool { return errors.Is(err, errNoHost) },
		Now:      func() time.Time { return now },
	}
}

func (w *world) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.requests)
}

// road is a way into a world; that for lookups carries no credentials.
type road struct {
	w      *world
	lookup bool
}

func (r road) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" {
		return nil, fmt.Errorf("%w: %s", errNoHost, req.URL.Scheme)
	}
	if r.lookup && (req.Method != http.MethodGet || req.Header.Get("Authorization") != "") {
		r.w.t.Errorf("a lookup carries credentials: %s %s", req.Method, req.URL.Host)
	}
	r.w.mu.Lock()
	r.w.requests = append(r.w.requests, req.Method+" "+req.URL.Host+req.URL.Path)
	r.w.mu.Unlock()
	handler, ok := r.w.hosts[req.URL.Host]
	if !ok {
		return nil, fmt.Errorf("%w: %s", errNoHost, req.URL.Host)
	}
	return serve(handler, req)
}

// serve answers req. Where a handler aborts, its answer is lost; where it sends
// less than it announced, the body breaks off.
func serve(handler http.Handler, req *http.Request) (resp *http.Response, err error) {
	defer func() {
		if recover() != nil {
			resp, err = nil, errLost
		}
	}()
	if req.Body == nil {
		req.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, req)
	resp = rec.Result()
	if resp.ContentLength > int64(rec.Body.Len()) {
		resp.Body = io.NopCloser(io.MultiReader(resp.Body, iotest.ErrReader(io.ErrUnexpectedEOF)))
	}
	return resp, nil
}

// wellKnown serves a handle's DID.
func wellKnown(did string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/atproto-did", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, did+"\n")
	})
	return mux
}

// documents is a directory: documents by DID.
type documents map[string]string

func (d documents) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	doc, ok := d[strings.TrimPrefix(r.URL.Path, "/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = io.WriteString(w, doc)
}

func document(did, handle, pds string) string {
	return fmt.Sprintf(`{"@context":["https://www.w3.org/ns/did/v1"],"id":%q,"alsoKnownAs":["at://%s"],
		"service":[{"id":"#atproto_pds","type":"AtprotoPersonalDataServer","serviceEndpoint":%q}]}`, did, handle, pds)
}

// fakePDS is a strict PDS of one account.
type fakePDS struct {
	t        *testing.T
	did      string
	accepted []string // identifiers

	// What a test changes.
	override http.HandlerFunc     // answers instead, where it is set
	edit     func(map[string]any) // changes a session before it is sent
	lose     bool                 // carries a call out and loses the answer

	mu      sync.Mutex
	number  int             // of the last pair, guarded by mu
	refresh map[string]bool // live refresh tokens, guarded by mu
}

func newPDS(t *testing.T, did string) *fakePDS {
	t.Helper()
	return &fakePDS{t: t, did: did, accepted: []string{did, email}, refresh: map[string]bool{}}
}

func (p *fakePDS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.override != nil {
		p.override(w, r)
		return
	}
	if r.Method != http.MethodPost {
		xrpcError(w, http.StatusMethodNotAllowed, "InvalidRequest")
		return
	}
	switch r.URL.Path {
	case "/xrpc/com.atproto.server.createSession":
		p.create(w, r)
	case "/xrpc/com.atproto.server.refreshSession":
		p.rotate(w, r)
	case "/xrpc/com.atproto.server.deleteSession":
		p.end(w, r)
	default:
		xrpcError(w, http.StatusNotFound, "XRPCNotSupported")
	}
}

func (p *fakePDS) create(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.Header.Get("Authorization") != "" || r.Header.Get("Content-Type") != "application/json" || r.ContentLength != int64(len(body)) {
		p.t.Errorf("createSession has the wrong headers, or says that its length is %d", r.ContentLength)
	}
	var in map[string]string
	if err := json.Unmarshal(body, &in); err != nil || len(in) != 2 {
		p.t.Errorf("createSession's body has %d fields: %v", len(in), err)
	}
	if !slices.Contains(p.accepted, in["identifier"]) || in["password"] != password {
		xrpcError(w, http.StatusUnauthorized, "AuthenticationRequired")
		return
	}
	p.issue(w)
}

func (p *fakePDS) rotate(w http.ResponseWriter, r *http.Request) {
	if p.bearer(w, r) {
		p.issue(w)
	}
}

func (p *fakePDS) end(w http.ResponseWriter, r *http.Request) {
	if p.bearer(w, r) {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.refresh, r.Header.Get("Authorization"))
	}
}

// bearer reports whether r presents a live refresh token, and answers where it
// does not. Replaced tokens stay alive, as they do within the grace time.
func (p *fakePDS) bearer(w http.ResponseWriter, r *http.Request) bool {
	if body, _ := io.ReadAll(r.Body); len(body) > 0 || r.Header.Get("Content-Type") != "" {
		p.t.Errorf("%s has a body", r.URL.Path)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.refresh[r.Header.Get("Authorization")] {
		xrpcError(w, http.StatusBadRequest, "ExpiredToken")
		return false
	}
	return true
}

// issue answers with a new pair.
func (p *fakePDS) issue(w http.ResponseWriter) {
	p.mu.Lock()
	p.number++
	access := jwt(fmt.Sprint("access", p.number), now.Add(2*time.Hour))
	refresh := jwt(fmt.Sprint("refresh", p.number), now.Add(90*24*time.Hour))
	p.refresh["Bearer "+refresh] = true
	p.mu.Unlock()
	if p.lose {
		panic(http.ErrAbortHandler)
	}
	session := map[string]any{
		"accessJwt": access, "refreshJwt": refresh, "did": p.did, "handle": "ignored.test",
		"didDoc": map[string]any{}, "email": email, "emailConfirmed": true, "emailAuthFactor": false, "active": true,
	}
	if p.edit != nil {
		p.edit(session)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(session)
}

// live returns how many refresh tokens work.
func (p *fakePDS) live() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.refresh)
}

func jwt(name string, exp time.Time) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"typ":"at+jwt","alg":"HS256"}`)) + "." +
		encode(fmt.Appendf(nil, `{"jti":%q,"exp":%d}`, name, exp.Unix())) + ".c2ln"
}

func xrpcError(w http.ResponseWriter, status int, name string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":%q,"message":"prose that repeats %s"}`, name, password)
}

// answer returns a handler that always gives the same XRPC error.
func answer(status int, name string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		xrpcError(w, status, name)
	}
}

// fakeDNS answers for TXT records and, with 127.0.0.1, for addresses.
type fakeDNS struct {
	txt    map[string][]string // by name without the dot at the end
	broken bool
}

func (d *fakeDNS) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		if d.broken {
			return nil, errors.New("no network")
		}
		client, server := net.Pipe()
		go d.serve(server)
		return client, nil
	}}
}

// serve answers one query over TCP framing [RFC 1035 § 4.2.2].
func (d *fakeDNS) serve(conn net.Conn) {
	defer conn.Close()
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return
	}
	query := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, query); err != nil {
		return
	}
	reply := d.reply(query)
	_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
}

func (d *fakeDNS) reply(query []byte) []byte {
	name, end := question(query)
	kind := binary.BigEndian.Uint16(query[end-4:])
	var answers [][]byte
	switch kind {
	case 16:
		for _, text := range d.txt[name] {
			answers = append(answers, append([]byte{byte(len(text))}, text...))
		}
	case 1:
		answers = [][]byte{{127, 0, 0, 1}}
	}
	reply := slices.Concat(query[:2], []byte{0x81, 0x80, 0, 1, 0, byte(len(answers)), 0, 0, 0, 0}, query[12:end])
	if len(answers) == 0 && kind == 16 {
		reply[3] |= 3 // no such name
	}
	for _, data := range answers {
		reply = append(reply, 0xc0, 12, 0, byte(kind), 0, 1, 0, 0, 0, 60, 0, byte(len(data)))
		reply = append(reply, data...)
	}
	return reply
}

// question returns the name that is asked for and where the question ends.
func question(query []byte) (name string, end int) {
	var labels []string
	at := 12
	for query[at] != 0 {
		labels = append(labels, string(query[at+1:at+1+int(query[at])]))
		at += 1 + int(query[at])
	}
	return strings.ToLower(strings.Join(labels, ".")), at + 5
}

// typed returns a login request; pairs of field and value replace ada's.
func typed(pairs ...string) connect.LoginRequest {
	values := map[string]connect.Secret{
		"identifier":   connect.NewSecret(handle),
		"app_password": connect.NewSecret(password),
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		values[pairs[i]] = connect.NewSecret(pairs[i+1])
	}
	return connect.LoginRequest{Method: "app_password", Values: values}
}

func login(t *testing.T, w *world, pairs ...string) *connect.Tokens {
	t.Helper()
	tokens, err := bluesky.New(nil).Login(t.Context(), w.env(), typed(pairs...))
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// wantClass fails the test unless err is a provider's error of the class and
// code.
func wantClass(t *testing.T, err error, class connect.ErrorClass, code string) *connect.ProviderError {
	t.Helper()
	var e *connect.ProviderError
	if !errors.As(err, &e) {
		t.Fatalf("the error is %v, want a ProviderError of class %s", err, class)
	}
	if e.Class != class || e.Code != code {
		t.Fatalf("the error is %v with code %q, want class %s and code %q", err, e.Code, class, code)
	}
	return e
}
