package outbound

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
)

// credentialHeaders must not be on a call that follows redirects: http.Client drops some of them when the host
// changes, but not all.
var credentialHeaders = []string{"Authorization", "Proxy-Authorization", "Cookie", "DPoP"}

// transport applies the rules of this package around an [http.Transport].
type transport struct {
	base      *http.Transport
	limits    *Limits // nil: the host's call, neither deadline nor rules for the answer
	userAgent string
	rewrite   *url.URL // nil: none
}

// RoundTrip sends req at most once. It does not change req.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	call := &call{req: req}
	if err := t.checkRequest(req); err != nil {
		closeBody(req)
		return nil, call.fail(err)
	}
	ctx, cancel := t.withDeadline(req.Context())
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { call.connected.Store(true) },
	})
	resp, err := t.base.RoundTrip(t.outgoing(ctx, req))
	if err != nil {
		cancel()
		return nil, call.fail(err)
	}
	if err := t.checkResponse(resp); err != nil {
		resp.Body.Close()
		cancel()
		return nil, call.fail(err)
	}
	resp.Request = req
	resp.Body = &body{from: resp.Body, left: t.bodyLimit(), call: call, ctx: ctx, cancel: cancel}
	return resp, nil
}

// call is what is known of one request on its way.
type call struct {
	req       *http.Request
	connected atomic.Bool // from here on, bytes of the request may have been written
}

// fail returns err in words that hold nothing of the request or its answer.
func (c *call) fail(err error) error {
	e := &callError{method: c.req.Method, cause: ownCause(err)}
	if c.req.URL != nil {
		e.host = c.req.URL.Host
	}
	if e.method == "" {
		e.method = http.MethodGet
	}
	// A context may be cancelled with an error of its own, which is what net/http then returns.
	if e.cause == nil {
		e.cause = c.req.Context().Err()
	}
	if e.cause == nil {
		e.cause = networkCause(err)
	}
	// A redirected request may not have left, but the one before it did.
	e.notSent = !c.connected.Load() && c.req.Response == nil
	return e
}

// checkRequest refuses what is never sent.
func (t *transport) checkRequest(req *http.Request) error {
	switch {
	case req.URL == nil || req.URL.Host == "":
		return errRequest
	case req.Method == http.MethodTrace || req.Method == http.MethodConnect:
		return errRequest
	case req.URL.Scheme != "https" && !t.toSandbox(req.URL):
		return ErrInsecureScheme
	case req.URL.User != nil:
		return errUserinfo
	case t.limits != nil && t.limits.Redirects > 0 && !anonymous(req):
		return errCredentials
	}
	return nil
}

// anonymous reports whether a redirect of req can give nothing away but the URL.
func anonymous(req *http.Request) bool {
	if req.Method != "" && req.Method != http.MethodGet && req.Method != http.MethodHead {
		return false
	}
	for _, name := range credentialHeaders {
		if req.Header.Get(name) != "" {
			return false
		}
	}
	return req.Body == nil || req.Body == http.NoBody
}

// checkResponse refuses answers that a provider must not act on.
func (t *transport) checkResponse(resp *http.Response) error {
	switch {
	case resp.StatusCode < 200:
		return errUpgrade
	case t.limits == nil:
		return nil
	case isRedirect(resp.StatusCode) && !t.mayFollow(resp):
		return ErrUnexpectedRedirect
	case !plain(resp.Header.Values("Content-Encoding")):
		return errEncoded
	}
	return nil
}

// mayFollow reports whether http.Client will follow resp: it hands others on as answers, and its error for a
// malformed Location quotes it.
func (t *transport) mayFollow(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		_, err := resp.Location()
		return err == nil && t.limits.Redirects > 0
	}
	return false
}

func isRedirect(status int) bool {
	return status >= 300 && status <= 399 && status != http.StatusNotModified
}

func plain(codings []string) bool {
	for _, coding := range codings {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return false
		}
	}
	return true
}

func (t *transport) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if t.limits == nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, t.limits.Timeout)
}

// outgoing returns the request that is sent for req.
func (t *transport) outgoing(ctx context.Context, req *http.Request) *http.Request {
	out := req.Clone(ctx)
	if out.Header == nil {
		out.Header = make(http.Header)
	}
	out.Header.Del("Referer")
	if out.Header.Get("User-Agent") == "" {
		out.Header.Set("User-Agent", t.userAgent)
	}
	// Without this header a server may choose any coding [RFC 9110 § 12.5.3].
	if t.limits != nil || out.Header.Get("Accept-Encoding") == "" {
		out.Header.Set("Accept-Encoding", "identity")
	}
	forbidReplay(out)
	if t.rewrite != nil && !t.toSandbox(out.URL) {
		rewriteURL(out, t.rewrite)
	}
	return out
}

// forbidReplay makes net/http send out once. It would send a request again, on a new connection, if a reused one
// fails before the answer and the request's isReplayable method agrees: no body or GetBody, and a method such as GET
// or an idempotency key. Security: a token request that arrives twice kills a grant whose tokens rotate.
func forbidReplay(out *http.Request) {
	out.GetBody = nil
	hideIdempotencyKeys(out.Header)
	if out.Body != nil && out.Body != http.NoBody {
		return
	}
	switch out.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions:
		// A body, though an empty one. "identity" keeps net/http from announcing it as chunked.
		out.Body = emptyBody{}
		out.TransferEncoding = []string{"identity"}
	}
}

// hideIdempotencyKeys spells the headers so that the server understands them and net/http does not see them.
func hideIdempotencyKeys(h http.Header) {
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if values, ok := h[name]; ok {
			delete(h, name)
			h[strings.ToLower(name)] = values
		}
	}
}

// emptyBody is unlike http.NoBody to net/http.
type emptyBody struct{}

// Read returns io.EOF.
func (emptyBody) Read([]byte) (int, error) { return 0, io.EOF }

// Close does nothing.
func (emptyBody) Close() error { return nil }

// toSandbox reports whether u is at the origin that requests are rewritten to, as links in its answers may be.
func (t *transport) toSandbox(u *url.URL) bool {
	return t.rewrite != nil && u.Scheme == t.rewrite.Scheme && u.Host == t.rewrite.Host
}

// rewriteURL makes https://HOST/PATH into {origin}/HOST/PATH, with the path's escapes as they were.
func rewriteURL(out *http.Request, origin *url.URL) {
	prefix := "/" + out.URL.Host
	out.URL.RawPath = prefix + out.URL.EscapedPath()
	out.URL.Path = prefix + out.URL.Path
	out.URL.Scheme, out.URL.Host = origin.Scheme, origin.Host
	out.Host = ""
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}
