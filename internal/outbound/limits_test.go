package outbound

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// drip writes a byte now and then until the client is gone, or for much longer than it should stay.
func drip(w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 150 {
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
			w.Write([]byte("x"))
			w.(http.Flusher).Flush()
		}
	}
}

// flood writes as long as the client reads, or longer than any limit.
func flood(w http.ResponseWriter, _ *http.Request) {
	block := bytes.Repeat([]byte("x"), 64<<10)
	for range 1 << 14 {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// endlessHeaders never gets to the empty line.
func endlessHeaders(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n")
	for i := range 1 << 20 {
		if _, err := fmt.Fprintf(conn, "X-%d: %s\r\n", i, strings.Repeat("x", 1000)); err != nil {
			return
		}
	}
}

func TestThreat94_SlowAndEndless(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		serve http.HandlerFunc
		want  error
	}{
		"no answer":    {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, context.DeadlineExceeded},
		"slow body":    {drip, context.DeadlineExceeded},
		"endless body": {flood, ErrBodyTooLarge},
		"announced 1 GB": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1073741824")
			flood(w, r)
		}, ErrBodyTooLarge},
		"headers of 128 KB": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 128<<10)) }, errBroken},
		"endless headers":   {endlessHeaders, errBroken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantEnd(t, tt.serve, tt.want)
		})
	}
}

func TestThreat94_Defaults(t *testing.T) {
	t.Parallel()
	client, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, base := range []*http.Transport{client.calls, client.carried} {
		if base.ResponseHeaderTimeout != 10*time.Second || base.TLSHandshakeTimeout != 5*time.Second ||
			base.MaxResponseHeaderBytes != 64<<10 || base.MaxConnsPerHost != 16 {
			t.Error("a default differs")
		}
	}
	if got, want := *client.HTTP().Transport.(*transport).limits, (Limits{Timeout: 20 * time.Second, Body: 1 << 20}); got != want {
		t.Errorf("limits = %+v, want %+v", got, want)
	}
}

// The deadline of a client that follows redirects is for all hops together, each of which keeps it here.
func TestThreat94_RedirectsShareDeadline(t *testing.T) {
	t.Parallel()
	o := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(200 * time.Millisecond):
			if len(r.URL.Path) < 4 {
				http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
			}
		}
	}))
	client := newTestClient(t, o, defaultTimeouts()).WithLimits(Limits{Redirects: 3, Timeout: 500 * time.Millisecond})
	_, err := fetch(t, client, "https://"+host+"/")
	wantError(t, err, context.DeadlineExceeded)
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		size  int
		limit int64
		read  int
		want  error
	}{
		"empty":        {0, 10, 0, nil},
		"below":        {9, 10, 9, nil},
		"exact":        {10, 10, 10, nil},
		"one more":     {11, 10, 10, ErrBodyTooLarge},
		"much more":    {1000, 10, 10, ErrBodyTooLarge},
		"default":      {1 << 20, 0, 1 << 20, nil},
		"default plus": {1<<20 + 1, 0, 1 << 20, ErrBodyTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Write(bytes.Repeat([]byte("x"), tt.size))
			}))
			client := newTestClient(t, o, defaultTimeouts()).WithLimits(Limits{Body: tt.limit})
			got, err := fetch(t, client, "https://"+host+"/")
			wantError(t, err, tt.want)
			if len(got) != tt.read {
				t.Errorf("read %d bytes, want %d", len(got), tt.read)
			}
		})
	}
}

func TestHostBodyUnlimited(t *testing.T) {
	t.Parallel()
	const size = 3 << 20
	o := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, size)) }))
	client := newTestClient(t, o, defaultTimeouts())
	got, err := fetch(t, &http.Client{Transport: client.Transport()}, "https://"+host+"/")
	if err != nil || len(got) != size {
		t.Fatalf("read %d bytes, %v", len(got), err)
	}
}

// bomb is 256 MiB of zeros, as members of 1 MiB that a decoder puts together (RFC 1952 § 2.2).
func bomb(t *testing.T) []byte {
	t.Helper()
	var member bytes.Buffer
	w := gzip.NewWriter(&member)
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(member.Bytes(), 256)
}

func TestThreat95_CompressionBomb(t *testing.T) {
	t.Parallel()
	packed := bomb(t)
	for _, coding := range []string{"gzip", "deflate", "br", "identity, gzip"} {
		t.Run(coding, func(t *testing.T) {
			t.Parallel()
			o := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", coding)
				w.Write(packed)
			}))
			got, err := fetch(t, newTestClient(t, o, defaultTimeouts()).HTTP(), "https://"+host+"/")
			wantError(t, err, errEncoded)
			if got != "" {
				t.Errorf("read %d bytes", len(got))
			}
		})
	}
	t.Run("not asked for", func(t *testing.T) {
		t.Parallel()
		o := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "identity")
			fmt.Fprint(w, r.Header.Values("Accept-Encoding"))
		}))
		got, err := fetch(t, newTestClient(t, o, defaultTimeouts()).HTTP(), "https://"+host+"/")
		if err != nil || got != "[identity]" {
			t.Errorf("answer = %q, %v", got, err)
		}
	})
}
