package sandbox_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed944197df/connect/sandbox"
)

const (
	clientID  = "901234567890123"
	secret    = "sandbox-client-secret"
	callback  = "https://app.example.com/connect/callback/x"
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// world is a sandbox behind a server, with a clock.
type world struct {
	*sandbox.Sandbox
	t      *testing.T
	server *httptest.Server

	mu  sync.Mutex // guards now
	now time.Time
}

// object is a decoded JSON answer.
type object = map[string]any

func setup(t *testing.T) *world {
	t.Helper()
	return restart(t, "")
}

// restart is setup on a state file.
func restart(t *testing.T, file string) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	client := sandbox.Client{ID: clientID, Secret: secret, RedirectURIs: []string{callback}}
	second := sandbox.Client{ID: "second", Secret: "other-secret", RedirectURIs: []string{callback}}
	s, err := sandbox.New(sandbox.Options{
		Clients: map[string]sandbox.Client{
			"x": client, "x/second": second, "facebook": client, "facebook/second": second,
			"linkedin": client, "linkedin/second": second, "google": client, "google/second": second,
		},
		Now: w.clock, StateFile: file,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Sandbox = s
	w.server = httptest.NewServer(s)
	t.Cleanup(w.server.Close)
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) wait(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// request describes one call.
type request struct {
	method, url string // without "https://"
	form        url.Values
	json        string
	header      map[string]string
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

func (a answer) object(t *testing.T) object {
	t.Helper()
	var o object
	if err := json.Unmarshal([]byte(a.body), &o); err != nil || a.err != nil {
		t.Fatalf("status %d, %v: %q is no JSON object", a.status, a.err, a.body)
	}
	return o
}

// text returns a string of the answer by its path, such as "error.message".
func (a answer) text(t *testing.T, path string) string {
	t.Helper()
	var v any = a.object(t)
	for key := range strings.SplitSeq(path, ".") {
		o, _ := v.(object)
		v = o[key]
	}
	s, _ := v.(string)
	return s
}

// do sends a request without following redirects.
func (w *world) do(r request) answer {
	w.t.Helper()
	var body io.Reader
	if r.form != nil {
		body = strings.NewReader(r.form.Encode())
	} else if r.json != "" {
		body = strings.NewReader(r.json)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), r.method, w.server.URL+"/"+r.url, body)
	if err != nil {
		w.t.Fatal(err)
	}
	if r.form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else if r.json != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	resp, err := w.server.Client().Transport.RoundTrip(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b), err}
}

// query changes a parameter list: "name=value" sets, "name" removes, and
// "+name=value" adds.
func query(base string, changes ...string) url.Values {
	q, _ := url.ParseQuery(base)
	for _, change := range changes {
		name, value, set := strings.Cut(change, "=")
		switch {
		case strings.HasPrefix(name, "+"):
			q.Add(name[1:], value)
		case set:
			q.Set(name, value)
		default:
			q.Del(name)
		}
	}
	return q
}

// callbackQuery returns what the browser carries back to the redirect URI.
func callbackQuery(t *testing.T, a answer) url.Values {
	t.Helper()
	location := a.header.Get("Location")
	if a.status != http.StatusSeeOther || !strings.HasPrefix(location, callback+"?") {
		t.Fatalf("status %d, Location %q, want a redirect to the callback", a.status, location)
	}
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}
