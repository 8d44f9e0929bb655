package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
)

// secret is planted wherever a request or an answer can hold one.
const secret = "canary-7f3a"

// raw answers with the bytes of text and cuts the connection.
func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, text)
	}
}

func leaky(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Token", secret)
		w.Header().Set("Location", "https://"+host+"/?token="+secret)
		h(w, r)
	}
}

// failures are servers that make a call fail, each in its own way.
func failures() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"timeout":          leaky(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
		"slow body":        leaky(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, secret); drip(w, r) }),
		"redirect":         leaky(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTemporaryRedirect) }),
		"cut":              raw(""),
		"malformed status": raw("HTTP/1.1 " + secret + "\r\n\r\n"),
		"malformed line":   raw(secret + "\r\n\r\n"),
		"malformed header": raw("HTTP/1.1 200 OK\r\n" + secret + "\r\n\r\n"),
		"malformed length": raw("HTTP/1.1 200 OK\r\nContent-Length: " + secret + "\r\n\r\n"),
		"malformed coding": raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: " + secret + "\r\n\r\n"),
		"malformed chunk":  raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + secret + "\r\n"),
		"short body":       raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + secret),
		"upgrade":          raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: " + secret + "\r\nConnection: upgrade\r\n\r\n"),
		"too large":        leaky(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, secret); flood(w, r) }),
		"encoded":          leaky(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", secret) }),
	}
}

func loadedRequest(t *testing.T, ctx context.Context, rawURL string) *http.Request { //nolint:revive // t first, as in testing
	t.Helper()
	req := newRequest(t, http.MethodPost, rawURL+"/bot"+secret+"/me?access_token="+secret, strings.NewReader("refresh_token="+secret))
	req.Header.Set("Authorization", "Bearer "+secret)
	return req.WithContext(ctx)
}

func wantSilent(t *testing.T, err error) {
	t.Helper()
	for _, text := range []string{err.Error(), fmt.Sprintf("%v %+v %s %q", err, err, err, err)} {
		if strings.Contains(text, secret) {
			t.Errorf("the error holds the secret: %s", text)
		}
	}
	if next := errors.Unwrap(err); next != nil {
		wantSilent(t, next)
	}
	if _, ok := errors.AsType[*url.Error](err); ok {
		t.Error("the error leads back to the *url.Error")
	}
}

func TestThreat102_ErrorsAreSilent(t *testing.T) {
	t.Parallel()
	for name, h := range failures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newTestClient(t, serve(t, h), shortTimeouts()).HTTP()
			_, err := read(client.Do(loadedRequest(t, t.Context(), "https://"+host)))
			if err == nil {
				t.Fatal("no error")
			}
			wantSilent(t, Redact(err))

			// Without http.Client nothing has to be redacted.
			_, err = read(client.Transport.RoundTrip(loadedRequest(t, t.Context(), "https://"+host)))
			if err == nil {
				t.Fatal("no error")
			}
			wantSilent(t, err)
		})
	}
}

func TestThreat102_UnsentErrorsAreSilent(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New(secret))
	nobody := newTestClient(t, Options{
		Resolver:   &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New(secret) }},
		UnsafeDial: map[string]string{"refused.test:443": "127.0.0.1:1"},
	}, defaultTimeouts()).HTTP()
	for name, tt := range map[string]struct {
		ctx  context.Context
		url  string
		want error
	}{
		"blocked":      {t.Context(), "https://127.0.0.1", ErrBlockedAddress},
		"insecure":     {t.Context(), "http://" + host, ErrInsecureScheme},
		"lookup":       {t.Context(), "https://pds.example", errLookup},
		"refused":      {t.Context(), "https://refused.test", syscall.ECONNREFUSED},
		"cancelled":    {cancelled, "https://refused.test", context.Canceled},
		"user name":    {t.Context(), "https://" + secret + "@" + host, errUserinfo},
		"and password": {t.Context(), "https://user:" + secret + "@" + host, errUserinfo},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := read(nobody.Do(loadedRequest(t, tt.ctx, tt.url)))
			wantError(t, err, tt.want)
			if !NotSent(err) || !NotSent(Redact(err)) {
				t.Error("NotSent = false")
			}
			wantSilent(t, Redact(err))
			wantError(t, Redact(err), tt.want)
		})
	}
}

func TestThreat103_QueryNotInTimeout(t *testing.T) {
	t.Parallel()
	h := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	client := newTestClient(t, serve(t, http.HandlerFunc(h)), shortTimeouts()).HTTP()
	_, err := fetch(t, client, "https://"+host+"/me?access_token="+secret)
	wantError(t, err, context.DeadlineExceeded)
	if !strings.Contains(err.Error(), secret) {
		t.Fatal("http.Client's own error does not hold the query: the test proves nothing")
	}

	err = Redact(fmt.Errorf("facebook: read pages: %w", err))
	wantSilent(t, err)
	wantError(t, err, context.DeadlineExceeded)
	if got, want := err.Error(), `facebook: read pages: outbound: GET "example.com": context deadline exceeded`; got != want {
		t.Errorf("error = %s, want %s", got, want)
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && !timeout.Timeout() {
		t.Error("Timeout() = false")
	}
}

func TestThreat104_ErrorPageIsNoError(t *testing.T) {
	t.Parallel()
	o := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		io.WriteString(w, "<html>"+secret+strings.Repeat("x", 100))
	}))
	client := newTestClient(t, o, defaultTimeouts())

	got, err := fetch(t, client.HTTP(), "https://"+host+"/")
	if err != nil || !strings.Contains(got, secret) {
		t.Fatalf("answer = %q, %v: an HTML page is the provider's to classify", got, err)
	}
	_, err = fetch(t, client.WithLimits(Limits{Body: 50}), "https://"+host+"/")
	wantError(t, err, ErrBodyTooLarge)
	wantSilent(t, err)
}

func TestRedact(t *testing.T) {
	t.Parallel()
	mine := errors.New("mine")
	withURL := &url.Error{Op: "Get", URL: "https://u:" + secret + "@h.test/?t=" + secret, Err: fmt.Errorf("%s: %w", secret, syscall.ECONNRESET)}
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"other error":    {mine, "mine"},
		"bare":           {withURL, `outbound: GET "h.test": connection reset by peer`},
		"wrapped":        {fmt.Errorf("x: %w", withURL), `x: outbound: GET "h.test": connection reset by peer`},
		"URL in prefix":  {fmt.Errorf("%s: %w", withURL.URL, withURL), `outbound: GET "h.test": connection reset by peer`},
		"text after":     {fmt.Errorf("%w: %s", withURL, secret), `outbound: GET "h.test": connection reset by peer`},
		"joined":         {errors.Join(mine, withURL), "mine\n" + `outbound: GET "h.test": connection reset by peer`},
		"malformed URL":  {&url.Error{Op: "parse", URL: "https://%zz" + secret, Err: url.EscapeError(secret)}, `outbound: PARSE "": connection or answer is broken`},
		"two URL errors": {fmt.Errorf("%w: %w", withURL, withURL), `outbound: GET "h.test": connection reset by peer`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := Redact(tt.err)
			if got.Error() != tt.want {
				t.Errorf("Redact = %s, want %s", got, tt.want)
			}
			if !errors.Is(got, errors.Unwrap(tt.err)) && errors.Unwrap(tt.err) != nil {
				t.Error("the result does not match what the error matched")
			}
			wantSilent(t, got)
			if NotSent(got) {
				t.Error("NotSent = true for an error of unknown origin")
			}
		})
	}
	if Redact(nil) != nil {
		t.Error("Redact(nil) != nil")
	}
}

func TestNotSentUnknown(t *testing.T) {
	t.Parallel()
	for _, err := range []error{nil, io.EOF, ErrBlockedAddress, &callError{cause: io.EOF}} {
		if NotSent(err) {
			t.Errorf("NotSent(%v) = true", err)
		}
	}
	if !NotSent(fmt.Errorf("x: %w", &callError{cause: io.EOF, notSent: true})) {
		t.Error("NotSent does not look into wrapped errors")
	}
}

func TestRequestBodyClosed(t *testing.T) {
	t.Parallel()
	client := newTestClient(t, Options{}, defaultTimeouts())
	for name, target := range map[string]string{"refused at once": "http://" + host, "refused by the guard": "https://127.0.0.1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed := make(closeSignal)
			req := newRequest(t, http.MethodPost, target, closed)
			if _, err := read(client.Transport().RoundTrip(req)); err == nil {
				t.Fatal("no error")
			}
			<-closed
		})
	}
}

// closeSignal is a request body that tells when it is closed.
type closeSignal chan struct{}

func (closeSignal) Read([]byte) (int, error) { return 0, io.EOF }
func (c closeSignal) Close() error           { close(c); return nil }
