package bluesky_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/outbound"
	"github.com/seed944197df/connect/providers/bluesky"
)

// TestThreat21_HandleMovesToAnotherAccount: who an account is does not depend
// on its handle.
func TestThreat21_HandleMovesToAnotherAccount(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	before := login(t, w)

	w.hosts[handle] = wellKnown(otherDID)
	w.hosts["plc.directory"] = documents{
		did:      document(did, "former.test", "https://"+pdsHost),
		otherDID: document(otherDID, handle, "https://other.test"),
	}
	w.hosts["other.test"] = newPDS(t, otherDID)
	after := login(t, w)

	if before.Subject != did || before.Self.PlatformID != did {
		t.Errorf("before: subject %q, candidate %q, want %q", before.Subject, before.Self.PlatformID, did)
	}
	if after.Subject != otherDID || after.Self.PlatformID != otherDID {
		t.Errorf("after: subject %q, candidate %q, want %q", after.Subject, after.Self.PlatformID, otherDID)
	}
	if before.Self.Username != after.Self.Username {
		t.Errorf("usernames %q and %q, want the same", before.Self.Username, after.Self.Username)
	}
}

// TestThreat88_PrivateHosts runs on the real outbound client, whose guard must
// see every host that what a person typed leads to.
func TestThreat88_PrivateHosts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		typed []string
		pds   string // in the document
	}{
		{"a handle", []string{"identifier", "private.test"}, ""},
		{"a did:web", []string{"identifier", "did:web:private.test"}, ""},
		{"a PDS in a document", nil, "https://private.test"},
		{"a PDS of an e-mail address", []string{"identifier", email, "pds", "private.test"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t)
			setDocument(w, handle, tc.pds)
			_, err := bluesky.New(nil).Login(t.Context(), guarded(t, w), typed(tc.typed...))
			wantClass(t, err, connect.ClassRetry, "")
			if !errors.Is(err, outbound.ErrBlockedAddress) {
				t.Errorf("the error is %v, want %v", err, outbound.ErrBlockedAddress)
			}
		})
	}
}

// guarded returns an Env on the real outbound client. It reaches the handle and
// the directory of w, and its DNS says 127.0.0.1 for everything else.
func guarded(t *testing.T, w *world) connect.Env {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.hosts[r.Host].ServeHTTP(rw, r)
	}))
	cert := certificate(t, handle, "plc.directory")
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)

	address := server.Listener.Addr().String()
	return realEnv(t, outbound.Options{
		Resolver:   w.dns.resolver(),
		RootCAs:    roots,
		UnsafeDial: map[string]string{handle + ":443": address, "plc.directory:443": address},
	})
}

// realEnv is an Env as the engine lends it.
func realEnv(t *testing.T, o outbound.Options) connect.Env {
	t.Helper()
	client, err := outbound.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return connect.Env{
		HTTP:     client.HTTP(),
		Lookup:   client.WithLimits(outbound.Limits{Redirects: 3, Body: 64 << 10}),
		Resolver: o.Resolver,
		NotSent:  outbound.NotSent,
		Now:      time.Now,
	}
}

// TestThreat99_LongInput: length is checked before anything is parsed.
func TestThreat99_LongInput(t *testing.T) {
	t.Parallel()
	for _, field := range []string{"identifier", "app_password"} {
		for name, text := range map[string]string{
			"a handle":     strings.Repeat("a.", 1<<19),
			"a DID":        "did:plc:" + strings.Repeat("a", 1<<20),
			"at signs":     strings.Repeat("@", 1<<20),
			"white space":  strings.Repeat(" ", 1<<20),
			"bidi marks":   strings.Repeat("\u202e", 1<<18),
			"an app's own": strings.Repeat(password+"-", 1<<15),
		} {
			t.Run(field+", "+name, func(t *testing.T) {
				t.Parallel()
				w, _ := newWorld(t)
				env, req, p := w.env(), typed(field, text), bluesky.New(nil)
				fastest := time.Hour
				for range 20 { // a busy machine may stop us now and then
					start := time.Now()
					_, err := p.Login(t.Context(), env, req)
					fastest = min(fastest, time.Since(start))
					var e *connect.ProviderError
					if !errors.As(err, &e) || e.Class != connect.ClassRefused {
						t.Fatalf("the error is %v", err)
					}
				}
				if fastest >= time.Millisecond || len(w.seen()) > 0 {
					t.Errorf("%v and %d requests, want less than 1 ms and none", fastest, len(w.seen()))
				}
			})
		}
	}
}

// TestThreat111_MainPassword: what is not an app password never leaves, not
// even by a lookup of the handle beside it.
func TestThreat111_MainPassword(t *testing.T) {
	t.Parallel()
	for _, main := range []string{
		"", "hunter2", "correct horse battery staple", "abcdefghijklmn27", "ABCD-EFGH-IJKL-MN27",
		"abcd-efgh-ijkl-mn2", "abcd-efgh-ijkl-mn277", "abcd-efgh-ijkl-mn28", "abcd_efgh_ijkl_mn27",
		password + "\n" + password, password + "x", "x" + password, "abcd-efgh-ijkl-mn2\u00e9",
	} {
		for _, identifier := range []string{handle, did, email} {
			w, pds := newWorld(t)
			w.hosts["bsky.social"] = pds
			_, err := bluesky.New(nil).Login(t.Context(), w.env(), typed("identifier", identifier, "app_password", main))
			wantClass(t, err, connect.ClassRefused, "not_an_app_password")
			if n := len(w.seen()); n > 0 {
				t.Errorf("%d requests for a main password", n)
			}
		}
	}
}

// TestThreat111_NothingTypedIsRepeated: no error holds the app password or
// what was typed beside it, whatever goes wrong.
func TestThreat111_NothingTypedIsRepeated(t *testing.T) {
	t.Parallel()
	const canary = "kanarienvogel"
	for _, tc := range []struct {
		name  string
		typed []string
		set   func(*world, *fakePDS)
	}{
		{"shape", []string{"app_password", canary}, nil},
		{"password as identifier", []string{"identifier", canary}, nil},
		{"password that looks like a handle", []string{"identifier", canary + ".test"}, nil},
		{"the same while its server is broken", []string{"identifier", canary + ".test"}, func(w *world, _ *fakePDS) {
			w.hosts[canary+".test"] = answer(500, "")
		}},
		{"the same while its answer breaks off", []string{"identifier", canary + ".test"}, func(w *world, _ *fakePDS) {
			w.hosts[canary+".test"] = breaking{}
		}},
		{"the same while its answer is no DID", []string{"identifier", canary + ".test"}, func(w *world, _ *fakePDS) {
			w.hosts[canary+".test"] = wellKnown("did:" + canary)
		}},
		{"the same of another account", []string{"identifier", canary + ".test"}, func(w *world, _ *fakePDS) {
			w.hosts[canary+".test"] = wellKnown(did)
		}},
		{"password that looks like a DID", []string{"identifier", "did:web:" + canary + ".test"}, nil},
		{"e-mail", []string{"identifier", canary + "@mail.test", "pds", pdsHost}, nil},
		{"password as PDS", []string{"identifier", email, "pds", canary}, nil},
		{"password that looks like a PDS", []string{"identifier", email, "pds", canary + ".test"}, nil},
		{"an error that is the password", nil, func(_ *world, pds *fakePDS) { pds.override = answer(401, "x"+password) }},
		{"wrong password", []string{"identifier", "bob@mail.test", "pds", pdsHost}, nil},
		{"lost answer", nil, func(_ *world, pds *fakePDS) { pds.lose = true }},
		{"an answer that breaks off", nil, func(_ *world, pds *fakePDS) { pds.override = breaking{}.ServeHTTP }},
		{"a session that is none", nil, func(_ *world, pds *fakePDS) {
			pds.edit = func(s map[string]any) { s["accessJwt"], s["refreshJwt"] = "", password }
		}},
		{"a status that is the password", nil, func(_ *world, pds *fakePDS) {
			pds.edit = func(s map[string]any) { s["active"], s["status"] = false, password }
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w, pds := newWorld(t)
			if tc.set != nil {
				tc.set(w, pds)
			}
			_, err := bluesky.New(nil).Login(t.Context(), w.env(), typed(tc.typed...))
			if err == nil {
				t.Fatal("no error")
			}
			for inner := err; inner != nil; inner = errors.Unwrap(inner) {
				printed := fmt.Sprintf("%v %+v %#v", inner, inner, inner)
				if strings.Contains(printed, canary) || strings.Contains(printed, password) {
					t.Errorf("the error repeats what was typed: %s", printed)
				}
			}
		})
	}
}

// breaking announces more than it sends.
type breaking struct{}

func (breaking) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"did":"did:`)
}
