// Package outbound is the HTTP client that the engine lends to providers: bounded in time and size,
// kept away from addresses that are not public, never repeating a request, and silent about what it carried.
//
// A person names the server of some platforms (a handle, a PDS, an instance), so every connection is judged
// by the address that it is really made to. Security: a check of the name, or of an earlier lookup, is undone
// by a resolver that answers differently the second time.
package outbound

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	defaultUserAgent = "connect (+https://github.com/seed944197df/connect)"
	defaultBody      = 1 << 20
	maxRedirects     = 3
	maxHeaderBytes   = 64 << 10
	maxConnsPerHost  = 16
	idleTimeout      = 30 * time.Second
)

// timeouts are the deadlines of a call. Only tests use others than defaultTimeouts.
type timeouts struct {
	dial, tls, header, total time.Duration
}

func defaultTimeouts() timeouts {
	return timeouts{dial: 5 * time.Second, tls: 5 * time.Second, header: 10 * time.Second, total: 20 * time.Second}
}

// Options configure a [Client]. The zero value is ready to use.
type Options struct {
	// Resolver looks names up for every connection. Defaults to net.DefaultResolver.
	Resolver *net.Resolver

	// RootCAs are the certificate authorities to trust. Nil means those of the system.
	RootCAs *x509.CertPool

	// UserAgent is sent with requests that have none. Defaults to "connect" and the project's address.
	UserAgent string

	// UnsafeRewriteHost is the origin of a sandbox, such as "http://127.0.0.1:8081". A request for
	// https://HOST/PATH then goes to {origin}/HOST/PATH, and nothing but this origin is reachable.
	// Defaults to "", no rewriting. It cannot be combined with UnsafeDial.
	UnsafeRewriteHost string

	// UnsafeDial sends connections for "host:port" to another address, which may be private, for tests
	// against local servers. The certificate is still verified for host. Defaults to nil.
	UnsafeDial map[string]string
}

// Client makes the calls of providers, and carries those of the host. It is safe for concurrent use.
type Client struct {
	options Options
	rewrite *url.URL
	times   timeouts

	// The two never share connections: a host that leaks response bodies uses up the connections to
	// a platform, and must not keep the engine from refreshing tokens there.
	calls, carried *http.Transport
}

// Limits bound one call of a client that [Client.WithLimits] returns.
type Limits struct {
	// Timeout is for the whole call: redirects and the body included. Defaults to 20 seconds.
	Timeout time.Duration
	// Body is how many bytes may be read of an answer. Defaults to 1 MiB.
	Body int64
	// Redirects is how many may be followed, at most 3. Defaults to 0: a redirect is an error.
	Redirects int
}

// New returns a client. It fails if an unsafe option is malformed or both are set.
func New(o Options) (*Client, error) {
	return newClient(o, defaultTimeouts())
}

func newClient(o Options, times timeouts) (*Client, error) {
	if o.UserAgent == "" {
		o.UserAgent = defaultUserAgent
	}
	rewrite, err := parseRewriteHost(o.UnsafeRewriteHost)
	if err != nil {
		return nil, err
	}
	if rewrite != nil && len(o.UnsafeDial) > 0 {
		return nil, errors.New("outbound: UnsafeRewriteHost and UnsafeDial are both set; use one")
	}
	d, err := newDialer(o, rewrite, times.dial)
	if err != nil {
		return nil, err
	}
	return &Client{
		options: o,
		rewrite: rewrite,
		times:   times,
		calls:   newTransport(o, d, times),
		carried: newTransport(o, d, times),
	}, nil
}

func newTransport(o Options, d *dialer, times timeouts) *http.Transport {
	// Security: HTTP/1.1 only. The HTTP/2 transport resends on its own after GOAWAY and refused
	// streams, without a way to turn that off.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		// Security: behind a proxy from the environment the dialer would judge the proxy's address.
		Proxy:                  nil,
		DialContext:            d.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
		TLSHandshakeTimeout:    times.tls,
		ResponseHeaderTimeout:  times.header,
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxConnsPerHost:        maxConnsPerHost,
		MaxIdleConnsPerHost:    maxConnsPerHost,
		MaxIdleConns:           8 * maxConnsPerHost,
		IdleConnTimeout:        idleTimeout,
		DisableCompression:     true,
		Protocols:              protocols,
	}
}

func parseRewriteHost(origin string) (*url.URL, error) {
	if origin == "" {
		return nil, nil //nolint:nilnil // no rewriting is not an error
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.String() != u.Scheme+"://"+u.Host {
		return nil, errors.New("outbound: UnsafeRewriteHost must be an origin such as http://127.0.0.1:8081")
	}
	return u, nil
}

// HTTP returns the client for a provider's calls to its platform: 20 seconds in all, at most 1 MiB of answer,
// no redirects (a 3xx is [ErrUnexpectedRedirect]), no compression, no cookies.
//
// Errors of the transport name the method and host only. Security: http.Client wraps them in a *url.Error
// that prints the whole URL, query included; pass whatever Do returned through [Redact] before it is kept.
func (c *Client) HTTP() *http.Client {
	return c.WithLimits(Limits{})
}

// WithLimits returns a client like [Client.HTTP] with other limits. One that follows redirects is for calls
// without credentials: it refuses methods other than GET and HEAD, and requests with a credential header.
// Every hop is checked like the first.
func (c *Client) WithLimits(l Limits) *http.Client {
	if l.Timeout <= 0 {
		l.Timeout = c.times.total
	}
	if l.Body <= 0 {
		l.Body = defaultBody
	}
	l.Redirects = min(max(l.Redirects, 0), maxRedirects)

	client := &http.Client{
		Transport:     c.transport(c.calls, &l),
		CheckRedirect: l.checkRedirect,
	}
	if l.Redirects > 0 {
		// The transport's own deadline starts anew with each hop.
		client.Timeout = l.Timeout
	}
	return client
}

// Transport returns the transport for clients that the host is given. It has no deadline and no limit on the
// body, and leaves redirects and content codings to the caller; all other rules hold.
func (c *Client) Transport() http.RoundTripper {
	return c.transport(c.carried, nil)
}

// CloseIdleConnections closes the connections that are not in use. The client may still be used.
func (c *Client) CloseIdleConnections() {
	c.calls.CloseIdleConnections()
	c.carried.CloseIdleConnections()
}

func (c *Client) transport(base *http.Transport, l *Limits) *transport {
	return &transport{base: base, limits: l, userAgent: c.options.UserAgent, rewrite: c.rewrite}
}

// checkRedirect counts. What the next hop may be is the transport's to say.
func (l Limits) checkRedirect(_ *http.Request, via []*http.Request) error {
	if len(via) > l.Redirects {
		return ErrUnexpectedRedirect
	}
	return nil
}
