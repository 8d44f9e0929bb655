package faults_test

import (
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// line is a network between two processes that can fail.
type line struct {
	t     *testing.T
	proxy *toxiproxy.Proxy
}

// newLine leads to a TCP address.
func newLine(t *testing.T, upstream string) *line {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	l := &line{t, toxiproxy.NewProxy(server, t.Name(), "127.0.0.1:0", upstream)}
	if err := l.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.proxy.Stop)
	return l
}

// address is where the line begins.
func (l *line) address() string { return l.proxy.Listen }

// cut ends all connections, and takes none until restore.
func (l *line) cut() { l.proxy.Stop() }

func (l *line) restore() {
	until(l.t, "the line has its port again", func() bool { return l.proxy.Start() == nil })
}

// poison makes the line fail in a way that toxiproxy describes; heal ends that.
func (l *line) poison(toxic string) {
	if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		l.t.Error(err)
	}
}

func (l *line) heal() { l.proxy.Toxics.ResetToxics(l.t.Context()) }

// hostOf is the address in an origin.
func hostOf(t *testing.T, origin string) string {
	t.Helper()
	u, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// bridge makes a unix socket reachable by TCP, which is all that toxiproxy
// speaks. It returns its address.
func bridge(t *testing.T, socket string) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go join(conn, socket)
		}
	}()
	return listener.Addr().String()
}

// join passes on what either end says, until one has ended.
func join(near net.Conn, socket string) {
	defer near.Close()
	far, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer far.Close()
	ended := make(chan struct{}, 2)
	pass := func(to io.Writer, from io.Reader) {
		_, _ = io.Copy(to, from) // that a line ends is its purpose here
		ended <- struct{}{}
	}
	go pass(far, near)
	go pass(near, far)
	<-ended
}

// until waits for a condition.
func until(tb testing.TB, what string, met func() bool) {
	tb.Helper()
	deadline := time.After(30 * time.Second)
	for !met() {
		select {
		case <-deadline:
			tb.Errorf("it never happened that %s", what)
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}
