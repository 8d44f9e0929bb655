// Package sandbox is an [http.Handler] that behaves like the platforms: X,
// Facebook, LinkedIn, Google (YouTube and Business Profile) and Bluesky with its
// PLC directory. A host runs its whole connect flow against it, in a test or by
// clicking, without internet and without
// credentials.
//
// A URL of the real platform, https://{host}/{path}, is served here as
// {sandbox}/{host}/{path}; the root lists who can be played and what can go
// wrong. The sandbox is strict: what a platform refuses is refused with the
// platform's own answer. A [Fault] makes it misbehave on demand.
//
// The consent pages are plain forms. They take decision=allow or deny, persona,
// and on Facebook and Google the granted permissions as scope; a program that posts no
// scope grants everything.
//
// Security: the sandbox guards nothing. Its people need no password and its
// page shows the Bluesky app password, so it belongs on loopback or in a test.
package sandbox

import (
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxBody  = 1 << 20 // bytes read of one request
	maxPaths = 10_000  // different paths that Requests can count
)

// Options configure a [Sandbox]. The zero value is a sandbox that knows no
// OAuth client, keeps everything in memory and reads the system clock.
type Options struct {
	// Clients are the registered OAuth clients by platform: "x", "facebook",
	// "linkedin" or "google".
	// A further client of a platform has a key of its own: "x/second".
	Clients map[string]Client

	// Now is the clock that codes and tokens expire by. Defaults to time.Now.
	Now func() time.Time

	// StateFile keeps tokens, grants and faults across a restart, as JSON,
	// mode 0600. Two sandboxes must not share one. Empty keeps all in memory.
	StateFile string

	// Log receives one line per request, without query or body. Defaults to
	// none.
	Log *slog.Logger
}

// A Client is an OAuth client that is registered at a platform.
type Client struct {
	ID, Secret   string
	RedirectURIs []string // compared byte for byte
}

// A Sandbox serves the platforms. It is an [http.Handler], safe for concurrent
// use. Make one with [New].
type Sandbox struct {
	now       func() time.Time
	log       *slog.Logger
	file      string
	templates map[string]any
	pages     *template.Template

	mu      sync.Mutex // guards what follows
	clients map[string]Client
	counts  map[string]int
	state   state
	dirty   bool
}

// New returns a sandbox with the people and Pages it ships with. It fails if a
// client is of an unknown platform or lacks its id or secret, and if the state
// file cannot be read or written.
func New(o Options) (*Sandbox, error) {
	s := &Sandbox{now: o.Now, log: o.Log, file: o.StateFile, clients: map[string]Client{}, counts: map[string]int{}}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for key, c := range o.Clients {
		if !slices.Contains([]string{"x", "facebook", "linkedin", "google"}, platformOf(key)) {
			return nil, fmt.Errorf("sandbox: Options.Clients: no platform %q with OAuth clients; there are x, facebook, linkedin and google", key)
		}
		if c.ID == "" || c.Secret == "" {
			return nil, fmt.Errorf("sandbox: Options.Clients[%q]: set ID and Secret", key)
		}
		c.RedirectURIs = slices.Clone(c.RedirectURIs)
		s.clients[key] = c
	}
	var err error
	if s.templates, err = loadTemplates(); err != nil {
		return nil, err
	}
	if s.pages, err = parsePages(); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, nil
}

// Requests says how many requests reached a path of a host since New, for
// example ("api.x.com", "/2/oauth2/token"), those that met a fault included.
func (s *Sandbox) Requests(host, path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[host+path]
}

// SetRedirectURIs replaces the redirect URIs of a client by its key in
// [Options].Clients, for a test that learns its own port late. It fails if
// there is no such client.
func (s *Sandbox) SetRedirectURIs(platform string, uris ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.clients[platform]
	if !ok {
		return fmt.Errorf("sandbox: no client %q in Options.Clients", platform)
	}
	c.RedirectURIs = slices.Clone(uris)
	s.clients[platform] = c
	return nil
}

// A call is one request, read whole, with the time and the fault it meets.
type call struct {
	*http.Request
	host, path string
	node       []string // Facebook: the elements of the path after the version
	query      url.Values
	form       url.Values // of a body that is a form; else nil
	body       []byte
	now        time.Time
	fault      string // name of the fault that hits this request, or ""
}

// An endpoint is one thing that a platform answers.
type endpoint struct {
	platform string
	step     step
	answer   func(*call) reply
}

// ServeHTTP answers as the platform whose host is the first element of the
// path; the empty path is the index page.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := s.read(w, r)
	if err != nil {
		http.Error(w, "The request could not be read.", http.StatusBadRequest)
		return
	}
	e := s.route(c)
	rep := s.handle(c, e)
	s.log.InfoContext(r.Context(), "sandbox request", "method", r.Method, "host", c.host, "path", c.path, "status", rep.status, "fault", c.fault)
	s.deliver(w, c, rep)
}

// read takes the request apart and reads its body.
func (s *Sandbox) read(w http.ResponseWriter, r *http.Request) (*call, error) {
	host, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	c := &call{Request: r, host: strings.ToLower(host), path: "/" + path, now: s.now()}
	var err, bodyErr error
	c.query, err = url.ParseQuery(r.URL.RawQuery)
	if c.body, bodyErr = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); bodyErr != nil {
		return nil, bodyErr
	}
	if mediaType(r) == "application/x-www-form-urlencoded" {
		c.form, bodyErr = url.ParseQuery(string(c.body))
	}
	return c, errors.Join(err, bodyErr)
}

// route finds the endpoint that a request is for.
func (s *Sandbox) route(c *call) endpoint {
	switch c.host {
	case "", "_act":
		return s.ownEndpoint(c)
	case "x.com", "twitter.com", "api.x.com", "api.twitter.com":
		return s.xEndpoint(c)
	case "www.facebook.com", "graph.facebook.com":
		return s.facebookEndpoint(c)
	case "www.linkedin.com", "api.linkedin.com":
		return s.linkedinEndpoint(c)
	}
	if c.host == "accounts.google.com" || strings.HasSuffix(c.host, ".googleapis.com") {
		return s.googleEndpoint(c)
	}
	return s.blueskyEndpoint(c)
}

// handle does the work of one request, alone: requests wait for each other
// here, and never while an answer is being written.
func (s *Sandbox) handle(c *call, e endpoint) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := c.host + c.path; s.counts[key] > 0 || len(s.counts) < maxPaths {
		s.counts[key]++
	}
	if e.answer == nil {
		return page(http.StatusNotFound, "The sandbox has no such page.")
	}
	c.fault = s.takeFault(e)
	rep, done := s.faultReply(c, e)
	if !done {
		rep = e.answer(c)
	}
	if err := s.save(); err != nil {
		s.log.ErrorContext(c.Context(), "sandbox state not saved", "error", err)
		return page(http.StatusInternalServerError, "The sandbox could not save its state.")
	}
	return rep
}

// client finds the client of a platform that has the given id.
func (s *Sandbox) client(platform, id string) (Client, bool) {
	for key, c := range s.clients {
		if platformOf(key) == platform && c.ID == id {
			return c, true
		}
	}
	return Client{}, false
}

// platformOf returns the platform of a key of Options.Clients.
func platformOf(key string) string {
	platform, _, _ := strings.Cut(key, "/")
	return platform
}
