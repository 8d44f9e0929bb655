package outbound

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func redirectTo(location string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusFound)
	})
}

func TestThreat90_RedirectsChecked(t *testing.T) {
	t.Parallel()
	c := newCanary(t)
	for name, tt := range map[string]struct {
		location string
		want     error
	}{
		"metadata":   {"https://169.254.169.254/latest/", ErrBlockedAddress},
		"loopback":   {"https://127.0.0.1/", ErrBlockedAddress},
		"other port": {"https://127.0.0.1:" + c.port() + "/", ErrBlockedAddress},
		"http":       {"http://127.0.0.1:" + c.port() + "/", ErrInsecureScheme},
		"userinfo":   {"https://a:b@" + host + "/", errUserinfo},
		"endless":    {"/again", ErrUnexpectedRedirect},
		"malformed":  {"https://%zz/", ErrUnexpectedRedirect},
		"missing":    {"", ErrUnexpectedRedirect},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newTestClient(t, serve(t, redirectTo(tt.location)), defaultTimeouts())
			_, err := fetch(t, client.WithLimits(Limits{Redirects: 3}), "https://"+host+"/")
			wantError(t, err, tt.want)
			if NotSent(err) {
				t.Error("NotSent = true, though the first request was sent")
			}
		})
	}
}

// hops redirects n times and then answers with the Referer headers seen.
func hops(n int) http.Handler {
	var referers []string
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		referers = append(referers, r.Header.Values("Referer")...)
		if len(r.URL.Path) <= n {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
			return
		}
		fmt.Fprintf(w, "%d referers", len(referers))
	})
}

func TestThreat90_RedirectsCounted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		hops, allowed int
		want          error
	}{
		"none":           {0, 0, nil},
		"one of none":    {1, 0, ErrUnexpectedRedirect},
		"three of three": {3, 3, nil},
		"four of three":  {4, 3, ErrUnexpectedRedirect},
		"four of ten":    {4, 10, ErrUnexpectedRedirect},
		"negative":       {1, -1, ErrUnexpectedRedirect},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newTestClient(t, serve(t, hops(tt.hops)), defaultTimeouts())
			got, err := fetch(t, client.WithLimits(Limits{Redirects: tt.allowed}), "https://"+host+"/")
			wantError(t, err, tt.want)
			if err == nil && got != "0 referers" {
				t.Errorf("answer = %q", got)
			}
		})
	}
}

func TestThreat92_RedirectsOnlyWithoutCredentials(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	o := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	client := newTestClient(t, o, defaultTimeouts()).WithLimits(Limits{Redirects: 1})

	for _, name := range []string{"Authorization", "Proxy-Authorization", "Cookie", "DPoP"} {
		req := newRequest(t, http.MethodGet, "https://"+host+"/", nil)
		req.Header.Set(name, "secret")
		_, err := read(client.Do(req))
		wantError(t, err, errCredentials)
	}
	_, err := read(client.Do(newRequest(t, http.MethodPost, "https://"+host+"/", strings.NewReader("secret"))))
	wantError(t, err, errCredentials)
	if n := requests.Load(); n != 0 {
		t.Errorf("the server saw %d requests", n)
	}
}

func TestThreat92_RedirectedPostStaysHere(t *testing.T) {
	t.Parallel()
	for _, status := range []int{300, 301, 302, 303, 305, 307, 308} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			evil := newCanary(t)
			o := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "https://evil.test/token")
				w.WriteHeader(status)
			}))
			o.UnsafeDial["evil.test:443"] = evil.Addr().String()
			client := newTestClient(t, o, defaultTimeouts())

			req := newRequest(t, http.MethodPost, "https://"+host+"/token", strings.NewReader("refresh_token=secret"))
			_, err := read(client.HTTP().Do(req))
			wantError(t, err, ErrUnexpectedRedirect)
			if NotSent(err) {
				t.Error("NotSent = true for an answered request")
			}
		})
	}
}

func TestHostFollowsItsOwnRedirects(t *testing.T) {
	t.Parallel()
	client := newTestClient(t, serve(t, redirectTo("https://evil.test/")), defaultTimeouts())
	resp, err := client.Transport().RoundTrip(newRequest(t, http.MethodGet, "https://"+host+"/", nil))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusFound {
		t.Errorf("status = %d", resp.StatusCode)
	}
}

// closing answers /warm and cuts the connection of all others after it read the request.
type closing struct {
	warm, cut atomic.Value // addresses of the client's end
	requests  atomic.Int64
}

func (c *closing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/warm" {
		c.warm.Store(r.RemoteAddr)
		return
	}
	io.Copy(io.Discard, r.Body)
	c.cut.CompareAndSwap(nil, r.RemoteAddr)
	c.requests.Add(1)
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		conn.Close()
	}
}

// replayCases are requests that net/http sends again when a kept connection breaks, and others.
func replayCases() map[string]func(*http.Request) {
	withKey := func(name string) func(*http.Request) {
		return func(r *http.Request) { r.Method = http.MethodPost; r.Header.Set(name, "1") }
	}
	withBody := func(r *http.Request) {
		r.Method = http.MethodPost
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("token=secret")), nil }
		r.Body, _ = r.GetBody()
		r.ContentLength = 12
	}
	return map[string]func(*http.Request){
		"GET":                         func(*http.Request) {},
		"no method":                   func(r *http.Request) { r.Method = "" },
		"HEAD":                        func(r *http.Request) { r.Method = http.MethodHead },
		"OPTIONS":                     func(r *http.Request) { r.Method = http.MethodOptions },
		"GET with http.NoBody":        func(r *http.Request) { r.Body = http.NoBody },
		"POST without body":           func(r *http.Request) { r.Method = http.MethodPost },
		"POST":                        withBody,
		"Idempotency-Key":             withKey("Idempotency-Key"),
		"X-Idempotency-Key":           withKey("X-Idempotency-Key"),
		"Idempotency-Key with a body": func(r *http.Request) { withBody(r); withKey("Idempotency-Key")(r) },
		"GET with a body":             func(r *http.Request) { withBody(r); r.Method = http.MethodGet },
		"DELETE":                      func(r *http.Request) { r.Method = http.MethodDelete },
	}
}

// cutOff sends a request on a warm connection that the server cuts, and returns how many times the server saw it.
func cutOff(t *testing.T, rt http.RoundTripper, server *closing, change func(*http.Request)) int64 {
	t.Helper()
	if _, err := fetch(t, &http.Client{Transport: rt}, "https://"+host+"/warm"); err != nil {
		t.Fatal(err)
	}
	req := newRequest(t, http.MethodGet, "https://"+host+"/cut", nil)
	change(req)
	resp, err := rt.RoundTrip(req)
	if err == nil {
		resp.Body.Close()
		t.Fatal("no error from a connection that was cut")
	}
	if NotSent(err) {
		t.Error("NotSent = true for a request that arrived")
	}
	if server.warm.Load() != server.cut.Load() {
		t.Fatal("the connection was not reused: the test proves nothing")
	}
	return server.requests.Load()
}

func TestThreat93_SentAtMostOnce(t *testing.T) {
	t.Parallel()
	for name, change := range replayCases() {
		for _, kind := range []string{"provider", "host"} {
			t.Run(name+" by "+kind, func(t *testing.T) {
				t.Parallel()
				server := new(closing)
				client := newTestClient(t, serve(t, server), defaultTimeouts())
				rt := map[string]http.RoundTripper{"provider": client.HTTP().Transport, "host": client.Transport()}[kind]
				if n := cutOff(t, rt, server, change); n != 1 {
					t.Errorf("the server saw %d requests, want 1", n)
				}
			})
		}
	}
}

// Without this package's transport the same requests do arrive twice.
func TestThreat93_TestCanFail(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"GET", "no method", "HEAD", "OPTIONS", "Idempotency-Key", "X-Idempotency-Key", "GET with a body"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := new(closing)
			client := newTestClient(t, serve(t, server), defaultTimeouts())
			if n := cutOff(t, client.calls, server, replayCases()[name]); n < 2 {
				t.Errorf("the server saw %d requests, want a replay", n)
			}
		})
	}
}

func TestThreat93_NoHTTP2(t *testing.T) {
	t.Parallel()
	client := newTestClient(t, Options{}, defaultTimeouts())
	for _, base := range []*http.Transport{client.calls, client.carried} {
		if base.Protocols.HTTP2() || base.Protocols.UnencryptedHTTP2() || base.ForceAttemptHTTP2 {
			t.Error("HTTP/2 is on")
		}
	}
}

func TestRequestOnTheWire(t *testing.T) {
	t.Parallel()
	type seen struct {
		Method, Body     string
		Header           map[string][]string
		Length           int64
		TransferEncoding []string
	}
	ours := map[string][]string{"User-Agent": {defaultUserAgent}, "Accept-Encoding": {"identity"}}
	with := func(name, value string) map[string][]string {
		h := maps.Clone(ours)
		h[name] = []string{value}
		return h
	}

	for _, tt := range []struct {
		name, method, body, header, value string
		want                              seen
	}{
		{"GET", "GET", "", "", "", seen{"GET", "", ours, 0, nil}},
		{"HEAD", "HEAD", "", "", "", seen{"HEAD", "", ours, 0, nil}},
		{"OPTIONS", "OPTIONS", "", "", "", seen{"OPTIONS", "", ours, 0, nil}},
		{"DELETE", "DELETE", "", "", "", seen{"DELETE", "", ours, 0, nil}},
		{"POST without body", "POST", "", "", "", seen{"POST", "", with("Content-Length", "0"), 0, nil}},
		{"POST", "POST", "a=b", "", "", seen{"POST", "a=b", with("Content-Length", "3"), 3, nil}},
		{"no referer", "GET", "", "Referer", "https://secret.test/", seen{"GET", "", ours, 0, nil}},
		{"no compression", "GET", "", "Accept-Encoding", "gzip", seen{"GET", "", ours, 0, nil}},
		{"own user agent", "GET", "", "User-Agent", "host/1", seen{"GET", "", with("User-Agent", "host/1"), 0, nil}},
		{"key arrives", "GET", "", "Idempotency-Key", "7", seen{"GET", "", with("Idempotency-Key", "7"), 0, nil}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got seen
			client := newTestClient(t, serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				text, _ := io.ReadAll(r.Body)
				got = seen{r.Method, string(text), r.Header, r.ContentLength, r.TransferEncoding}
			})), defaultTimeouts())
			var body io.Reader
			if tt.body != "" {
				body = strings.NewReader(tt.body)
			}
			req := newRequest(t, tt.method, "https://"+host+"/", body)
			if tt.header != "" {
				req.Header.Set(tt.header, tt.value)
			}
			before := req.Header.Clone()
			if _, err := read(client.HTTP().Do(req)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(before, req.Header); diff != "" {
				t.Errorf("the caller's headers changed: %s", diff)
			}
		})
	}
}

func TestConnectionsPerHost(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 2*maxConnsPerHost)
	release := make(chan struct{})
	o := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/free" {
			return
		}
		arrived <- struct{}{}
		<-release
	}))
	client := newTestClient(t, o, defaultTimeouts())
	host16 := &http.Client{Transport: client.Transport()}
	done := make(chan error)
	for range maxConnsPerHost {
		req := newRequest(t, http.MethodGet, "https://"+host+"/", nil)
		go func() {
			_, err := read(host16.Do(req))
			done <- err
		}()
	}
	for range maxConnsPerHost {
		<-arrived
	}

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := read(host16.Do(newRequest(t, http.MethodGet, "https://"+host+"/free", nil).WithContext(ctx)))
	wantError(t, err, context.DeadlineExceeded)
	if !NotSent(err) {
		t.Error("NotSent = false for a request that found no connection")
	}
	if _, err := fetch(t, client.HTTP(), "https://"+host+"/free"); err != nil {
		t.Errorf("the host's connections keep the engine out: %v", err)
	}
	close(release)
	for range maxConnsPerHost {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestRequestsRefused(t *testing.T) {
	t.Parallel()
	client := newTestClient(t, Options{}, defaultTimeouts())
	for name, change := range map[string]func(*http.Request){
		"TRACE":   func(r *http.Request) { r.Method = http.MethodTrace },
		"CONNECT": func(r *http.Request) { r.Method = http.MethodConnect },
		"no URL":  func(r *http.Request) { r.URL = nil },
		"no host": func(r *http.Request) { r.URL.Host = "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := newRequest(t, http.MethodGet, "https://"+host+"/", nil)
			change(req)
			_, err := read(client.Transport().RoundTrip(req))
			wantError(t, err, errRequest)
		})
	}
}
