package providertest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed944197df/connect"
)

var (
	errRedirect = errors.New("providertest: redirects are refused")
	errNotSent  = errors.New("providertest: the platform cannot be reached")
	errLost     = errors.New("providertest: the connection broke")
)

// A fault answers in the platform's place.
type fault func(*http.Request) (*http.Response, error)

func failing(err error) fault {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// hang answers nothing until the caller gives up.
func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// A line is the transport that is lent to the provider. It passes requests to
// the platform, unless spoil answers them, and keeps what was sent.
type line struct {
	tb      testing.TB
	next    http.RoundTripper
	hosts   []string
	anyHost bool
	spoil   func(sent) fault // nil, or nil for a request: the platform answers
	log     *sentLog
}

type sentLog struct {
	mu   sync.Mutex // guards list
	list []sent
}

// sent is a request as the provider sent it.
type sent struct {
	header http.Header
	url    string
	body   string
}

// carries reports whether the request holds one of the values, as it is or as
// a form or a URL encodes it.
func (r sent) carries(values ...string) bool {
	var text strings.Builder
	text.WriteString(r.url + "\n" + r.body + "\n")
	_ = r.header.Write(&text) // never fails
	return slices.ContainsFunc(values, func(value string) bool {
		return value != "" && (strings.Contains(text.String(), value) || strings.Contains(text.String(), url.QueryEscape(value)))
	})
}

// line returns a transport for one attempt.
func (s *suite) line(tb testing.TB, spoil func(sent) fault) *line {
	tb.Helper()
	hosts := slices.Concat(s.platform.Hosts, s.Hosts)
	return &line{tb: tb, next: s.Platform, hosts: hosts, spoil: spoil, log: &sentLog{}}
}

// spoiled answers every request with f.
func (s *suite) spoiled(tb testing.TB, f fault) *line {
	tb.Helper()
	return s.line(tb, func(sent) fault { return f })
}

// spoiledAt answers the requests that carry one of the keys with f.
func (s *suite) spoiledAt(tb testing.TB, keys []string, f fault) *line {
	tb.Helper()
	return s.line(tb, func(r sent) fault {
		if r.carries(keys...) {
			return f
		}
		return nil
	})
}

// spoiledBeside answers the requests that carry none of the keys with f.
func (s *suite) spoiledBeside(tb testing.TB, keys []string, f fault) *line {
	tb.Helper()
	return s.line(tb, func(r sent) fault {
		if r.carries(keys...) {
			return nil
		}
		return f
	})
}

// RoundTrip implements [http.RoundTripper].
func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	one := sent{header: r.Header.Clone(), url: r.URL.String()}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		_ = r.Body.Close()
		one.body = string(body)
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	l.log.mu.Lock()
	l.log.list = append(l.log.list, one)
	l.log.mu.Unlock()
	if r.URL.Scheme != "https" {
		l.tb.Errorf("a request goes to %s by %s, want https", r.URL.Host, r.URL.Scheme)
	}
	if !l.anyHost && !slices.Contains(l.hosts, r.URL.Hostname()) {
		l.tb.Errorf("a request goes to %s, which neither Platform.Hosts nor Config.Hosts names", r.URL.Host)
	}
	if l.spoil != nil {
		if f := l.spoil(one); f != nil {
			return f(r)
		}
	}
	return l.next.RoundTrip(r)
}

// count returns how many requests carried one of the values.
func (l *line) count(values ...string) int {
	l.log.mu.Lock()
	defer l.log.mu.Unlock()
	n := 0
	for _, one := range l.log.list {
		if one.carries(values...) {
			n++
		}
	}
	return n
}

// FromHandler returns a transport that answers from h, without a network: the
// request https://HOST/PATH becomes /HOST/PATH. A handler that panics has cut
// the connection. It is safe for concurrent use.
func FromHandler(h http.Handler) http.RoundTripper { return handlerTransport{h} }

type handlerTransport struct{ http.Handler }

// RoundTrip implements [http.RoundTripper].
func (t handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	inner := r.Clone(r.Context())
	inner.URL.Path = "/" + r.URL.Host + r.URL.Path
	inner.URL.RawPath, inner.URL.Scheme, inner.URL.Host = "", "", ""
	inner.Host = "platform.invalid"
	inner.RequestURI = inner.URL.RequestURI()
	if inner.Body == nil {
		inner.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	done := make(chan error, 1) // buffered: the caller may be gone
	go func() {
		defer func() {
			if recover() != nil {
				done <- errLost
			}
		}()
		t.ServeHTTP(recorder, inner)
		done <- nil
	}()
	select {
	case err := <-done:
		if err != nil {
			return nil, err
		}
		resp := recorder.Result()
		resp.Request = r
		return resp, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// PostConsent returns a [Config.Consent] for consent pages that are plain
// forms, as those of this module's sandbox are: it posts form to the
// authorization URL through platform and returns the query of the redirect.
func PostConsent(platform http.RoundTripper, form url.Values) func(testing.TB, string) url.Values {
	return func(tb testing.TB, authorizationURL string) url.Values {
		tb.Helper()
		r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, authorizationURL, strings.NewReader(form.Encode()))
		if err != nil {
			tb.Fatalf("the authorization URL: %v", err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := platform.RoundTrip(r)
		if err != nil {
			tb.Fatalf("the consent page: %v", err)
		}
		defer resp.Body.Close()
		location, err := resp.Location()
		if err != nil {
			tb.Fatalf("the consent page answered %d and no redirect", resp.StatusCode)
		}
		return location.Query()
	}
}

// wantError checks that err is an error of one of the classes, or of any but
// "reconnect" where none is named, and that it holds no secret.
func wantError(tb testing.TB, err error, secrets []string, classes ...connect.ErrorClass) {
	tb.Helper()
	if err == nil {
		tb.Error("there is no error")
		return
	}
	wantNoSecret(tb, err, secrets)
	class := classOf(err)
	switch {
	case len(classes) > 0 && !slices.Contains(classes, class):
		tb.Errorf("the error is of class %q, want %q: %v", class, classes, err)
	case len(classes) == 0 && class == connect.ClassReconnect:
		tb.Errorf("this kills a grant: %v", err)
	}
}

// classOf returns the class of err as the engine reads it: an error of another
// type is "retry".
func classOf(err error) connect.ErrorClass {
	if e, ok := errors.AsType[*connect.ProviderError](err); ok {
		return e.Class
	}
	return connect.ClassRetry
}
