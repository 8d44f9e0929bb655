package connect_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/outbound"
)

// stranger is a provider of somebody else's, which makes a call of its own
// with what it is lent.
type stranger struct {
	*fake

	call func(context.Context, connect.Env) error
}

// Login implements [connect.Credentials].
func (s stranger) Login(ctx context.Context, env connect.Env, _ connect.LoginRequest) (*connect.Tokens, error) {
	return nil, s.call(ctx, env)
}

// lent runs call in a provider of an engine on the real network, in which server
// is example.com.
func lent(t *testing.T, server *httptest.Server, call func(context.Context, connect.Env) error) error {
	t.Helper()
	var got error
	b := newBench(t, time.Now, func(c *connect.Config) {
		f, _ := c.Providers[0].(*fake)
		c.Providers = []connect.Provider{stranger{f, func(ctx context.Context, env connect.Env) error {
			got = call(ctx, env)
			return &connect.ProviderError{Class: connect.ClassRetry, Err: got}
		}}}
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AddCert(server.Certificate())
		c.UnsafeDial = map[string]string{"example.com:443": server.Listener.Addr().String()}
	})
	out, err := b.engine.ConnectCredentials(t.Context(), acmeKey, connect.CredentialsRequest{Platform: "fake"})
	if err == nil {
		t.Fatalf("outcome %+v of a login that fails", out)
	}
	return got
}

// asking is a call of one request; lookup chooses the client without
// credentials.
func asking(lookup bool, method, target string, header http.Header) func(context.Context, connect.Env) error {
	return func(ctx context.Context, env connect.Env) error {
		client := env.HTTP
		if lookup {
			client = env.Lookup
		}
		var body io.Reader
		if method == http.MethodPost {
			body = strings.NewReader("refresh_token=secret")
		}
		r, err := http.NewRequestWithContext(ctx, method, target, body)
		if err != nil {
			return err
		}
		maps.Copy(r.Header, header)
		resp, err := client.Do(r)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
}

// misbehaving is a platform that sends whoever asks it elsewhere, and counts
// the connections that are made there.
func misbehaving(t *testing.T) (platform *httptest.Server, elsewhere string, came *atomic.Int64) {
	t.Helper()
	came = new(atomic.Int64)
	other := httptest.NewUnstartedServer(http.NotFoundHandler())
	other.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			came.Add(1)
		}
	}
	other.Start()
	t.Cleanup(other.Close)
	elsewhere = strings.TrimPrefix(other.URL, "http://")
	platform = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			w.Header().Set("Location", "https://"+elsewhere+"/")
			w.WriteHeader(http.StatusTemporaryRedirect)
		case "/long":
			_, _ = io.Copy(w, bytes.NewReader(make([]byte, 2<<20)))
		case "/packed":
			w.Header().Set("Content-Encoding", "gzip")
		}
	}))
	platform.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	platform.StartTLS()
	t.Cleanup(platform.Close)
	return platform, elsewhere, came
}

// Whoever writes a provider has no other network than ours: what a guard
// refuses is refused for it as well.
func TestThreat88_LentClientsAreGuarded(t *testing.T) {
	t.Parallel()
	platform, elsewhere, came := misbehaving(t)
	secret := http.Header{"Authorization": {"Bearer secret"}}
	for name, tt := range map[string]struct {
		lookup         bool
		method, target string
		header         http.Header
		want           error // nil: any
	}{
		"loopback":                    {target: "https://" + elsewhere + "/", want: outbound.ErrBlockedAddress},
		"loopback by lookup":          {lookup: true, target: "https://" + elsewhere + "/", want: outbound.ErrBlockedAddress},
		"a cloud's metadata":          {target: "https://169.254.169.254/latest/meta-data/", want: outbound.ErrBlockedAddress},
		"mapped":                      {lookup: true, target: "https://[::ffff:127.0.0.1]/", want: outbound.ErrBlockedAddress},
		"localhost":                   {lookup: true, target: "https://localhost/", want: outbound.ErrBlockedAddress},
		"http":                        {target: "http://" + elsewhere + "/", want: outbound.ErrInsecureScheme},
		"a redirect":                  {target: "https://example.com/away", want: outbound.ErrUnexpectedRedirect},
		"a redirect of a secret":      {method: http.MethodPost, target: "https://example.com/away", want: outbound.ErrUnexpectedRedirect},
		"a redirect by lookup":        {lookup: true, target: "https://example.com/away", want: outbound.ErrBlockedAddress},
		"a long answer":               {target: "https://example.com/long", want: outbound.ErrBodyTooLarge},
		"a long answer by lookup":     {lookup: true, target: "https://example.com/long", want: outbound.ErrBodyTooLarge},
		"a packed answer":             {target: "https://example.com/packed"},
		"a secret by lookup":          {lookup: true, target: "https://example.com/", header: secret},
		"a secret to post, by lookup": {lookup: true, method: http.MethodPost, target: "https://example.com/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			method := tt.method
			if method == "" {
				method = http.MethodGet
			}
			err := lent(t, platform, asking(tt.lookup, method, tt.target, tt.header))
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
	t.Run("an honest call", func(t *testing.T) {
		t.Parallel()
		for _, lookup := range []bool{false, true} {
			if err := lent(t, platform, asking(lookup, http.MethodGet, "https://example.com/", nil)); err != nil {
				t.Errorf("lookup %t: %v", lookup, err)
			}
		}
	})
	t.Cleanup(func() {
		if n := came.Load(); n != 0 {
			t.Errorf("%d connections were made where nobody may go", n)
		}
	})
}
