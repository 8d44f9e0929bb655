package outbound

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// host is a name in the certificate of httptest's servers.
const host = "example.com"

// serve starts a TLS server and returns options that reach it as https://example.com.
func serve(t *testing.T, h http.Handler) Options {
	t.Helper()
	s := httptest.NewUnstartedServer(drained(h))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	// Close waits for connections that a test left open.
	t.Cleanup(s.CloseClientConnections)

	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return Options{RootCAs: roots, UnsafeDial: map[string]string{host + ":443": s.Listener.Addr().String()}}
}

// drained reads the request's body first: until then a server does not notice that its client is gone.
func drained(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(text))
		h.ServeHTTP(w, r)
	})
}

func newTestClient(t *testing.T, o Options, times timeouts) *Client {
	t.Helper()
	c, err := newClient(o, times)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// shortTimeouts are for servers that never answer.
func shortTimeouts() timeouts {
	times := defaultTimeouts()
	times.header, times.total = 200*time.Millisecond, 400*time.Millisecond
	return times
}

func newRequest(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// fetch sends a GET and reads the whole answer.
func fetch(t *testing.T, c *http.Client, url string) (string, error) {
	t.Helper()
	return read(c.Do(newRequest(t, http.MethodGet, url, nil)))
}

func read(resp *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(resp.Body)
	return string(text), errors.Join(err, resp.Body.Close())
}

func wantError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("error = %v, want %v", got, want)
	}
}

// canary is a listener on loopback that nobody may connect to.
type canary struct {
	net.Listener

	connections atomic.Int64
}

func newCanary(t *testing.T) *canary {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return watch(t, l)
}

// watch counts who connects to l, and fails the test where anybody does.
func watch(t *testing.T, l net.Listener) *canary {
	t.Helper()
	c := &canary{Listener: l}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.connections.Add(1)
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		if n := c.connections.Load(); n != 0 {
			t.Errorf("the canary saw %d connections", n)
		}
	})
	return c
}

func (c *canary) port() string {
	_, port, _ := net.SplitHostPort(c.Addr().String())
	return port
}

// dnsServer answers A queries, each with the next of answers, the last one for ever. Others get no records.
func dnsServer(t *testing.T, answers ...[4]byte) *net.Resolver {
	t.Helper()
	return dnsAnswering(t, func(v6 bool) []netip.Addr {
		if v6 {
			return nil
		}
		next := netip.AddrFrom4(answers[0])
		answers = answers[min(1, len(answers)-1):]
		return []netip.Addr{next}
	})
}

// dnsAnswering answers A and AAAA queries, whatever the name. The records it is given must be of the family it
// asks for; it asks one query at a time.
func dnsAnswering(t *testing.T, records func(v6 bool) []netip.Addr) *net.Resolver {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		serveDNS(conn, records)
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: dialTo(conn.LocalAddr().String())}
}

func serveDNS(conn net.PacketConn, records func(v6 bool) []netip.Addr) {
	const typeA, typeAAAA = 1, 28
	buf := make([]byte, 512)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		question := buf[12:n]
		question = question[:strings.IndexByte(string(question), 0)+5]
		kind := question[len(question)-3]

		answer := append([]byte{buf[0], buf[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question...)
		if kind == typeA || kind == typeAAAA {
			for _, record := range records(kind == typeAAAA) {
				address := record.AsSlice()
				answer[7]++
				answer = append(answer, 0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0, byte(len(address)))
				answer = append(answer, address...)
			}
		}
		if _, err := conn.WriteTo(answer, from); err != nil {
			return
		}
	}
}
