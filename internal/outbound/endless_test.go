package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed944197df/connect/internal/alloctest"
)

// wire answers with text and then with more of it until the client is gone, or
// beyond any limit. A pause makes it slow.
func wire(text, more string, pause time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, text); err != nil {
			return
		}
		times := 1 << 17
		if pause > 0 {
			times = 300
		}
		tick := time.NewTicker(max(pause, time.Nanosecond))
		defer tick.Stop()
		for range times {
			<-tick.C
			if _, err := io.WriteString(conn, more); err != nil {
				return
			}
		}
	}
}

// wantEnd checks how a call ends that a server answers so. Only where the
// deadline is what ends it is it short, and then the connection is made ahead:
// a busy machine may take its time for anything else.
func wantEnd(t *testing.T, answer http.HandlerFunc, want error) {
	t.Helper()
	var arrived atomic.Bool
	client := newTestClient(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			return
		}
		arrived.Store(true)
		answer(w, r)
	})), defaultTimeouts())
	if _, err := fetch(t, client.HTTP(), "https://"+host+"/first"); err != nil {
		t.Fatal(err)
	}
	var limits Limits
	if errors.Is(want, context.DeadlineExceeded) {
		limits.Timeout = 400 * time.Millisecond
	}
	got, err := fetch(t, client.WithLimits(limits), "https://"+host+"/")
	wantError(t, err, want)
	if len(got) > defaultBody {
		t.Errorf("read %d bytes", len(got))
	}
	if arrived.Load() && NotSent(err) {
		t.Error("NotSent = true for a request that arrived")
	}
}

// What HTTP lets a server send beside headers and body ends as well.
func TestThreat94_EveryPartOfAnAnswerEnds(t *testing.T) {
	t.Parallel()
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	x := strings.Repeat("x", 1000)
	for name, tt := range map[string]struct {
		serve http.HandlerFunc
		want  error
	}{
		"a status line without end":   {wire("HTTP/1.1 200 ", x, 0), errBroken},
		"one header without end":      {wire("HTTP/1.1 200 OK\r\nX: ", x, 0), errBroken},
		"a folded header without end": {wire("HTTP/1.1 200 OK\r\nX: x\r\n", " "+x+"\r\n", 0), errBroken},
		"early hints without end":     {wire("", "HTTP/1.1 103 Early Hints\r\nLink: <"+x+">\r\n\r\n", 0), errBroken},
		"small hints without end":     {wire("", "HTTP/1.1 100 Continue\r\n\r\n", 0), errBroken},
		"a trailer without end":       {wire(chunked+"0\r\n", "X: "+x+"\r\n", 0), errBroken},
		"an extension without end":    {wire(chunked+"1;", x, 0), errBroken},
		"extensions of every byte":    {wire(chunked, "1;x="+x+"\r\nx\r\n", 0), errBroken},
		"chunks without end":          {wire(chunked, "3e8\r\n"+x+"\r\n", 0), ErrBodyTooLarge},
		"a body until it is closed":   {wire("HTTP/1.0 200 OK\r\n\r\n", x, 0), ErrBodyTooLarge},
		"a chunk of 2^63":             {wire(chunked+"7fffffffffffffff\r\n", x, 0), ErrBodyTooLarge},
		"a slow status line":          {wire("HTTP/1.1 200 ", "x", 10*time.Millisecond), context.DeadlineExceeded},
		"slow headers":                {wire("HTTP/1.1 200 OK\r\n", "X: x\r\n", 10*time.Millisecond), context.DeadlineExceeded},
		"slow early hints":            {wire("", "HTTP/1.1 103 Early Hints\r\n\r\n", 10*time.Millisecond), context.DeadlineExceeded},
		"slow chunks":                 {wire(chunked, "1\r\nx\r\n", 10*time.Millisecond), context.DeadlineExceeded},
		"a slow trailer":              {wire(chunked+"0\r\n", "X: x\r\n", 10*time.Millisecond), context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantEnd(t, tt.serve, tt.want)
		})
	}
}

// A connection that is made and then silent ends too, before anything is sent.
func TestThreat94_SilentConnection(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // the kernel accepts, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	times := defaultTimeouts()
	times.tls = 200 * time.Millisecond
	o := Options{UnsafeDial: map[string]string{host + ":443": l.Addr().String()}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // the call's own deadline is not the one
	defer cancel()
	_, err = read(newTestClient(t, o, times).HTTP().Do(newRequest(t, http.MethodGet, "https://"+host+"/", nil).WithContext(ctx)))
	wantError(t, err, context.DeadlineExceeded)
	if ctx.Err() != nil {
		t.Error("the handshake has no deadline of its own")
	}
	if !NotSent(err) {
		t.Error("NotSent = false without a handshake")
	}
}

func TestThreat94_DialTimeout(t *testing.T) {
	t.Parallel()
	d, err := newDialer(Options{}, nil, defaultTimeouts().dial)
	if err != nil {
		t.Fatal(err)
	}
	if d.guarded.Timeout != 5*time.Second || d.plain.Timeout != 5*time.Second {
		t.Errorf("timeouts %v and %v, want 5s", d.guarded.Timeout, d.plain.Timeout)
	}
}

// The server runs in the same process, so its share is counted as well.
//
//nolint:paralleltest // it counts what the process allocates
func TestThreat94_LargeAnswersTakeLittle(t *testing.T) {
	packed := bomb(t)
	for name, tt := range map[string]struct {
		serve http.HandlerFunc
		want  error
	}{
		"1 GB": {flood, ErrBodyTooLarge},
		"1 GB, announced": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1073741824")
			flood(w, r)
		}, ErrBodyTooLarge},
		"endless headers": {endlessHeaders, errBroken},
		"a bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(packed)
		}, errEncoded},
		"a bomb that does not say so": {func(w http.ResponseWriter, _ *http.Request) { w.Write(packed) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			client := newTestClient(t, serve(t, tt.serve), defaultTimeouts()).HTTP()
			n := alloctest.Bytes(3, func() {
				resp, err := client.Do(newRequest(t, http.MethodGet, "https://"+host+"/", nil))
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				wantError(t, err, tt.want)
			})
			if n > 2<<20 {
				t.Errorf("it takes %d bytes, want at most 2 MiB", n)
			}
		})
	}
}

func TestTLSVersions(t *testing.T) {
	t.Parallel()
	for version, want := range map[uint16]error{tls.VersionTLS10: errBroken, tls.VersionTLS11: errBroken, tls.VersionTLS12: nil, tls.VersionTLS13: nil} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.TLS.Version) }))
			s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
			s.TLS = &tls.Config{MinVersion: version, MaxVersion: version}
			s.StartTLS()
			t.Cleanup(s.Close)
			o := serve(t, http.NotFoundHandler()) // the certificate is the same
			o.UnsafeDial[host+":443"] = s.Listener.Addr().String()
			_, err := fetch(t, newTestClient(t, o, defaultTimeouts()).HTTP(), "https://"+host+"/")
			wantError(t, err, want)
			if err != nil && !NotSent(err) {
				t.Error("NotSent = false after a failed handshake")
			}
		})
	}
}
