package outbound

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		o    Options
		want string
	}{
		"rewrite without scheme": {Options{UnsafeRewriteHost: "127.0.0.1:8081"}, "UnsafeRewriteHost"},
		"rewrite with path":      {Options{UnsafeRewriteHost: "http://127.0.0.1:8081/"}, "UnsafeRewriteHost"},
		"rewrite with user":      {Options{UnsafeRewriteHost: "http://u@127.0.0.1:8081"}, "UnsafeRewriteHost"},
		"rewrite with query":     {Options{UnsafeRewriteHost: "http://127.0.0.1:8081?q"}, "UnsafeRewriteHost"},
		"rewrite to ftp":         {Options{UnsafeRewriteHost: "ftp://127.0.0.1"}, "UnsafeRewriteHost"},
		"rewrite to nothing":     {Options{UnsafeRewriteHost: "http://"}, "UnsafeRewriteHost"},
		"dial without port":      {Options{UnsafeDial: map[string]string{"pds.test": "127.0.0.1:1"}}, "UnsafeDial"},
		"dial to no port":        {Options{UnsafeDial: map[string]string{"pds.test:443": "127.0.0.1"}}, "UnsafeDial"},
		"both": {Options{
			UnsafeRewriteHost: "http://127.0.0.1:8081",
			UnsafeDial:        map[string]string{"pds.test:443": "127.0.0.1:1"},
		}, "both"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := New(tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one that names %s", err, tt.want)
			}
		})
	}
}

// sandbox starts a plain HTTP server and returns a client that is rewritten to it.
func sandbox(t *testing.T, h http.HandlerFunc) (*Client, string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return newTestClient(t, Options{UnsafeRewriteHost: s.URL}, defaultTimeouts()), s.URL
}

func TestRewrite(t *testing.T) {
	t.Parallel()
	client, origin := sandbox(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host, " ", r.RequestURI) })
	at := strings.TrimPrefix(origin, "http://") + " "
	for name, tt := range map[string]struct{ url, want string }{
		"path":           {"https://graph.facebook.com/v26.0/me", at + "/graph.facebook.com/v26.0/me"},
		"query":          {"https://api.x.com/2/users/me?a=1;b=2&c=%20", at + "/api.x.com/2/users/me?a=1;b=2&c=%20"},
		"no path":        {"https://api.x.com", at + "/api.x.com"},
		"escapes":        {"https://h.test/a%2Fb/c%20d", at + "/h.test/a%2Fb/c%20d"},
		"port":           {"https://h.test:8443/a", at + "/h.test:8443/a"},
		"any address":    {"https://127.0.0.1/a", at + "/127.0.0.1/a"},
		"sandbox itself": {origin + "/h.test/next", at + "/h.test/next"},
	} {
		for kind, hc := range map[string]*http.Client{"provider": client.HTTP(), "host": {Transport: client.Transport()}} {
			t.Run(name+" by "+kind, func(t *testing.T) {
				t.Parallel()
				resp, err := hc.Do(newRequest(t, http.MethodGet, tt.url, nil))
				if err != nil {
					t.Fatal(err)
				}
				if resp.Request.URL.String() != tt.url {
					t.Errorf("the answer's request is for %s", resp.Request.URL)
				}
				if got, err := read(resp, nil); err != nil || got != tt.want {
					t.Errorf("the sandbox saw %q, %v, want %q", got, err, tt.want)
				}
			})
		}
	}
}

func TestRewriteReachesNothingElse(t *testing.T) {
	t.Parallel()
	c := newCanary(t)
	client, _ := sandbox(t, redirectTo("http://127.0.0.1:"+c.port()+"/").ServeHTTP)

	_, err := fetch(t, client.HTTP(), "http://"+c.Addr().String()+"/")
	wantError(t, err, ErrInsecureScheme)
	_, err = fetch(t, client.WithLimits(Limits{Redirects: 3}), "https://h.test/")
	wantError(t, err, ErrInsecureScheme)
	_, err = client.calls.RoundTrip(newRequest(t, http.MethodGet, "http://"+c.Addr().String()+"/", nil))
	wantError(t, err, ErrBlockedAddress)
}

func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	o := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) }))
	client := newTestClient(t, o, defaultTimeouts())
	first, err := fetch(t, client.HTTP(), "https://"+host+"/")
	if err != nil {
		t.Fatal(err)
	}
	second, err := fetch(t, client.WithLimits(Limits{Body: 100}), "https://"+host+"/")
	if err != nil || second != first {
		t.Errorf("second call came from %s, %v, want the connection of %s", second, err, first)
	}
	client.CloseIdleConnections()
	third, err := fetch(t, client.HTTP(), "https://"+host+"/")
	if err != nil || third == first {
		t.Errorf("third call came from %s, %v, want a new connection", third, err)
	}
}
