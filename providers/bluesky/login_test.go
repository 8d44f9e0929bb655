package bluesky_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/bluesky"
	"github.com/seed944197df/connect/selection"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	const lookUp, log = "GET plc.directory/" + did, "POST pds.test/xrpc/com.atproto.server.createSession"
	const web = "GET ada.example.com/.well-known/atproto-did"
	for _, tc := range []struct {
		name     string
		typed    []string
		set      func(*world, *fakePDS)
		requests []string
	}{
		{"a handle", nil, nil, []string{web, lookUp, log}},
		{"a handle as people type it", []string{"identifier", " @\u202aAda.EXAMPLE.com\u202c\u200b\n"}, nil, []string{web, lookUp, log}},
		{"an app password pasted with white space", []string{"app_password", " " + password + "\n"}, nil, []string{web, lookUp, log}},
		{"a handle and a PDS that is not needed", []string{"pds", "elsewhere.test"}, nil, []string{web, lookUp, log}},
		{"a handle in DNS", nil, func(w *world, _ *fakePDS) {
			w.dns.txt = map[string][]string{"_atproto." + handle: {"v=spf1 -all", "did=" + did, "did=malformed"}}
		}, []string{lookUp, log}},
		{"a handle whose DNS is about something else", nil, func(w *world, _ *fakePDS) {
			w.dns.txt = map[string][]string{"_atproto." + handle: {"v=spf1 -all", "did=malformed"}}
		}, []string{web, lookUp, log}},
		{"a handle while DNS is broken", nil, func(w *world, _ *fakePDS) { w.dns.broken = true }, []string{web, lookUp, log}},
		{"a DID", []string{"identifier", did}, nil, []string{lookUp, web, log}},
		{"an e-mail address at its PDS", []string{"identifier", email, "pds", pdsHost}, nil, []string{log, lookUp, web}},
		{"an e-mail address at its PDS, typed as a URL", []string{"identifier", email, "pds", "HTTPS://PDS.test/"}, nil, []string{log, lookUp, web}},
		{"an e-mail address at the entryway", []string{"identifier", email}, func(w *world, pds *fakePDS) {
			w.hosts["bsky.social"] = pds
		}, []string{"POST bsky.social/xrpc/com.atproto.server.createSession", lookUp, web}},
		{"a PDS that does not say whether the account is active", nil, func(_ *world, pds *fakePDS) {
			pds.edit = func(s map[string]any) { delete(s, "active") }
		}, []string{web, lookUp, log}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w, pds := newWorld(t)
			if tc.set != nil {
				tc.set(w, pds)
			}
			got := login(t, w, tc.typed...)
			accessExpiry, refreshExpiry := now.Add(2*time.Hour), now.Add(90*24*time.Hour)
			want := &connect.Tokens{
				Subject:       did,
				AccessExpiry:  &accessExpiry,
				RefreshExpiry: &refreshExpiry,
				Hosts:         []string{pdsHost},
				APIBaseURL:    "https://" + pdsHost,
				Self: &connect.Candidate{
					Candidate: selection.Candidate{Kind: "profile", PlatformID: did, Name: handle, Username: handle},
					Target:    map[string]string{"did": did, "handle": handle, "pds": "https://" + pdsHost},
				},
			}
			if diff := cmp.Diff(want, got, ignoreSecrets()); diff != "" {
				t.Errorf("tokens (-want +got):\n%s", diff)
			}
			if got.Access.Reveal() != jwt("access1", accessExpiry) || got.Refresh.Reveal() != jwt("refresh1", refreshExpiry) {
				t.Error("the tokens are not those of the answer")
			}
			if diff := cmp.Diff(tc.requests, w.seen()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// ignoreSecrets compares all but secrets, which a test reveals by itself.
func ignoreSecrets() cmp.Option {
	return cmp.Comparer(func(_, _ connect.Secret) bool { return true })
}

func TestLoginDIDWeb(t *testing.T) {
	t.Parallel()
	w, pds := newWorld(t)
	pds.did, pds.accepted = "did:web:ada.example.com", []string{"did:web:ada.example.com"}
	w.hosts[handle] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/.well-known/did.json" {
			_, _ = io.WriteString(rw, document("did:web:ada.example.com", handle, "https://"+pdsHost))
			return
		}
		wellKnown("did:web:ada.example.com").ServeHTTP(rw, r)
	})
	for _, identifier := range []string{handle, "did:web:ada.example.com"} {
		if tokens := login(t, w, "identifier", identifier); tokens.Subject != "did:web:ada.example.com" || tokens.Self.Username != handle {
			t.Errorf("%s: subject %q, username %q", identifier, tokens.Subject, tokens.Self.Username)
		}
	}
}

func TestLoginWithoutAHandle(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*world){
		"the handle belongs to another account": func(w *world) { w.hosts[handle] = wellKnown(otherDID) },
		"the handle does not resolve":           func(w *world) { delete(w.hosts, handle) },
		"the document names handle.invalid":     func(w *world) { setDocument(w, "handle.invalid", "https://pds.test") },
		"the document names a reserved name":    func(w *world) { setDocument(w, "ada.internal", "https://pds.test") },
		"the document names none":               func(w *world) { setDocument(w, "", "https://pds.test") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t)
			set(w)
			self := login(t, w, "identifier", did).Self
			want := &connect.Candidate{
				Candidate: selection.Candidate{Kind: "profile", PlatformID: did, Name: did},
				Target:    map[string]string{"did": did, "pds": "https://" + pdsHost},
			}
			if diff := cmp.Diff(want, self, ignoreSecrets()); diff != "" {
				t.Errorf("candidate (-want +got):\n%s", diff)
			}
		})
	}
}

func setDocument(w *world, handle, pds string) {
	w.hosts["plc.directory"] = documents{did: document(did, handle, pds)}
}

// TestLoginRefused has everything that goes wrong before the password is sent.
func TestLoginRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		typed    []string
		set      func(*world)
		class    connect.ErrorClass
		code     string
		requests int
	}{
		{"nothing", []string{"identifier", "", "app_password", ""}, nil, connect.ClassRefused, "not_an_app_password", 0},
		{"no identifier", []string{"identifier", ""}, nil, connect.ClassRefused, "bad_identifier", 0},
		{"a word", []string{"identifier", "ada"}, nil, connect.ClassRefused, "bad_identifier", 0},
		{"a reserved name", []string{"identifier", "ada.localhost"}, nil, connect.ClassRefused, "bad_identifier", 0},
		{"handle.invalid", []string{"identifier", "handle.invalid"}, nil, connect.ClassRefused, "bad_identifier", 0},
		{"an address", []string{"identifier", "127.0.0.1"}, nil, connect.ClassRefused, "bad_identifier", 0},
		{"a URL", []string{"identifier", "https://ada.example.com/"}, nil, connect.ClassRefused, "bad_identifier", 0},
		{"a malformed DID", []string{"identifier", "did:plc:"}, nil, connect.ClassRefused, "bad_identifier", 0},
		{"a DID of another method", []string{"identifier", "did:key:zQ3sh"}, nil, connect.ClassRefused, "did_unsupported", 0},
		{"a DID with a path", []string{"identifier", "did:plc:..%2fadaadaadaadaadaada"}, nil, connect.ClassRefused, "did_unsupported", 0},
		{"did:web with a port", []string{"identifier", "did:web:ada.example.com%3A8443"}, nil, connect.ClassRefused, "did_unsupported", 0},
		{"did:web of an address", []string{"identifier", "did:web:127.0.0.1"}, nil, connect.ClassRefused, "did_unsupported", 0},
		{"half an e-mail address", []string{"identifier", "ada@"}, nil, connect.ClassRefused, "bad_identifier", 0},
		{"two at signs", []string{"identifier", "ada@mail@pds.test"}, nil, connect.ClassRefused, "bad_identifier", 0},
		{"a long e-mail address", []string{"identifier", strings.Repeat("a", 250) + "@mail.test"}, nil, connect.ClassRefused, "bad_identifier", 0},
		{"a PDS over http", []string{"identifier", email, "pds", "http://pds.test"}, nil, connect.ClassRefused, "bad_pds", 0},
		{"a PDS with a port", []string{"identifier", email, "pds", "pds.test:8443"}, nil, connect.ClassRefused, "bad_pds", 0},
		{"a PDS with a path", []string{"identifier", email, "pds", "pds.test/xrpc"}, nil, connect.ClassRefused, "bad_pds", 0},
		{"a PDS with a user", []string{"identifier", email, "pds", "a@pds.test"}, nil, connect.ClassRefused, "bad_pds", 0},
		{"a PDS by address", []string{"identifier", email, "pds", "169.254.169.254"}, nil, connect.ClassRefused, "bad_pds", 0},
		{"a PDS of one label", []string{"identifier", email, "pds", "localhost"}, nil, connect.ClassRefused, "bad_pds", 0},
		{"a long PDS", []string{"identifier", email, "pds", strings.Repeat("a.", 200) + "test"}, nil, connect.ClassRefused, "bad_pds", 0},

		{"an unknown handle", []string{"identifier", "bob.example.com"}, nil, connect.ClassRefused, "handle_not_found", 1},
		{"a handle that its server does not know", nil, func(w *world) { w.hosts[handle] = http.NotFoundHandler() }, connect.ClassRefused, "handle_not_found", 1},
		{"a bsky.social handle that does not exist", []string{"identifier", "bob.bsky.social"}, func(w *world) {
			w.hosts["bob.bsky.social"] = http.NotFoundHandler()
		}, connect.ClassRefused, "handle_not_found", 1},
		{"a bsky.social handle while it is down", []string{"identifier", "bob.bsky.social"}, nil, connect.ClassRetry, "", 1},
		{"a handle while its server is down", nil, func(w *world) { w.hosts[handle] = answer(503, "") }, connect.ClassRetry, "", 1},
		{"a handle while the network is down", nil, func(w *world) {
			w.dns.broken = true
			delete(w.hosts, handle)
		}, connect.ClassRetry, "", 1},
		{"a handle that leads to a long text", nil, func(w *world) { w.hosts[handle] = wellKnown(strings.Repeat(did, 100)) }, connect.ClassRefused, "did_unsupported", 1},
		{"a handle that leads to a page", nil, func(w *world) { w.hosts[handle] = wellKnown("<html>") }, connect.ClassRetry, "", 1},
		{"two DIDs in DNS", nil, func(w *world) {
			w.dns.txt = map[string][]string{"_atproto." + handle: {"did=" + did, "did=" + otherDID}}
		}, connect.ClassRefused, "handle_ambiguous", 0},
		{"somebody else's DID", []string{"identifier", "mallory.test"}, func(w *world) {
			w.hosts["mallory.test"] = wellKnown(did)
		}, connect.ClassRefused, "handle_mismatch", 2},
		{"a handle that leads to an unsupported DID", nil, func(w *world) { w.hosts[handle] = wellKnown("did:key:zQ3sh") }, connect.ClassRefused, "did_unsupported", 1},
		{"a DID that does not exist", []string{"identifier", otherDID}, nil, connect.ClassRefused, "did_not_found", 1},
		{"a directory that is down", nil, func(w *world) { w.hosts["plc.directory"] = answer(500, "") }, connect.ClassRetry, "", 2},
		{"a document of another DID", nil, func(w *world) {
			w.hosts["plc.directory"] = documents{did: document(otherDID, handle, "https://pds.test")}
		}, connect.ClassRetry, "", 2},
		{"a document without a PDS", nil, func(w *world) {
			w.hosts["plc.directory"] = documents{did: `{"id":"` + did + `","alsoKnownAs":["at://ada.example.com"]}`}
		}, connect.ClassRefused, "pds_missing", 2},
		{"a document whose PDS is something else", nil, func(w *world) {
			w.hosts["plc.directory"] = documents{did: strings.ReplaceAll(document(did, handle, "https://pds.test"), "AtprotoPersonalDataServer", "AtprotoLabeler")}
		}, connect.ClassRefused, "pds_missing", 2},
		{"a PDS over http in the document", nil, func(w *world) { setDocument(w, handle, "http://pds.test") }, connect.ClassRefused, "pds_refused", 2},
		{"a PDS by address in the document", nil, func(w *world) { setDocument(w, handle, "https://10.0.0.1") }, connect.ClassRefused, "pds_refused", 2},
		{"a PDS with a user in the document", nil, func(w *world) { setDocument(w, handle, "https://pds.test@evil.test") }, connect.ClassRefused, "pds_refused", 2},
		{"a PDS with a query in the document", nil, func(w *world) { setDocument(w, handle, "https://pds.test?x=") }, connect.ClassRefused, "pds_refused", 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t)
			if tc.set != nil {
				tc.set(w)
			}
			_, err := bluesky.New(nil).Login(t.Context(), w.env(), typed(tc.typed...))
			e := wantClass(t, err, tc.class, tc.code)
			field := "identifier"
			switch tc.code {
			case "not_an_app_password":
				field = "app_password"
			case "bad_pds":
				field = "pds"
			case "":
				field = ""
			}
			if e.Field != field || (e.Message == "") != (field == "") || strings.Contains(e.Message, "refused") {
				t.Errorf("field %q, message %q, want %q and a sentence", e.Field, e.Message, field)
			}
			if n := len(w.seen()); n != tc.requests {
				t.Errorf("%d requests, want %d: %v", n, tc.requests, w.seen())
			}
			if slices.ContainsFunc(w.seen(), func(r string) bool { return strings.HasPrefix(r, "POST ") }) {
				t.Error("the password was sent")
			}
		})
	}
}

// TestLoginSessions has what a PDS may answer once it has the password.
func TestLoginSessions(t *testing.T) {
	t.Parallel()
	edit := func(field string, value any) func(*world, *fakePDS) {
		return func(_ *world, pds *fakePDS) { pds.edit = func(s map[string]any) { s[field] = value } }
	}
	inactive := func(status any) func(*world, *fakePDS) {
		return func(_ *world, pds *fakePDS) {
			pds.edit = func(s map[string]any) { s["active"], s["status"] = false, status }
		}
	}
	for _, tc := range []struct {
		name  string
		typed []string
		set   func(*world, *fakePDS)
		class connect.ErrorClass
		code  string
		live  int // sessions that are left at the PDS
	}{
		{"another account", nil, edit("did", otherDID), connect.ClassRefused, "did_mismatch", 0},
		{"no account", nil, edit("did", ""), connect.ClassRetry, "", 1},
		{"no refresh token", nil, edit("refreshJwt", ""), connect.ClassRetry, "", 1},
		{"no access token", nil, edit("accessJwt", nil), connect.ClassRetry, "", 1},
		{"a number as token", nil, edit("accessJwt", 7), connect.ClassRetry, "", 1},
		{"a token that would end a header", nil, edit("accessJwt", "a\r\nX: y"), connect.ClassRetry, "", 1},
		{"a token that is not ASCII", nil, edit("refreshJwt", "\u00e9"), connect.ClassRetry, "", 1},
		{"a long token", nil, edit("refreshJwt", strings.Repeat("a", 8<<10+1)), connect.ClassRetry, "", 1},
		{"inactive without a status", nil, inactive(nil), connect.ClassRefused, "account_inactive", 0},
		{"inactive with an unknown status", nil, inactive(password), connect.ClassRefused, "account_inactive", 0},
		{"taken down", nil, inactive("takendown"), connect.ClassRefused, "account_takendown", 0},
		{"suspended", nil, inactive("suspended"), connect.ClassRefused, "account_suspended", 0},
		{"deactivated", nil, inactive("deactivated"), connect.ClassRefused, "account_deactivated", 0},
		{"an answer that is lost", nil, func(_ *world, pds *fakePDS) { pds.lose = true }, connect.ClassRetry, "", 1},
		{"a PDS that is gone", nil, func(w *world, _ *fakePDS) { delete(w.hosts, pdsHost) }, connect.ClassRetry, "", 0},
		{"a page", nil, func(_ *world, pds *fakePDS) {
			pds.override = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>"+password) }
		}, connect.ClassRetry, "", 0},
		{"e-mail, a PDS that claims an account of another", []string{"identifier", email, "pds", "evil.test"}, func(w *world, pds *fakePDS) {
			w.hosts["evil.test"] = pds
		}, connect.ClassRefused, "pds_mismatch", 0},
		{"e-mail, an account that does not exist", []string{"identifier", email, "pds", pdsHost}, edit("did", otherDID), connect.ClassRefused, "did_not_found", 0},
		{"e-mail, a malformed DID", []string{"identifier", email, "pds", pdsHost}, edit("did", "did:plc:/../"), connect.ClassRefused, "bad_identifier", 0},
		{"e-mail, inactive", []string{"identifier", email, "pds", pdsHost}, inactive(nil), connect.ClassRefused, "account_inactive", 0},
		{"e-mail that the entryway does not know", []string{"identifier", "bob@mail.test"}, func(w *world, pds *fakePDS) {
			w.hosts["bsky.social"] = pds
		}, connect.ClassRefused, "AuthenticationRequired", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w, pds := newWorld(t)
			tc.set(w, pds)
			_, err := bluesky.New(nil).Login(t.Context(), w.env(), typed(tc.typed...))
			wantClass(t, err, tc.class, tc.code)
			if n := pds.live(); n != tc.live {
				t.Errorf("%d sessions are left at the PDS, want %d", n, tc.live)
			}
		})
	}
}

func TestLoginMovedPDS(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	if got := login(t, w).APIBaseURL; got != "https://"+pdsHost {
		t.Fatalf("the first PDS is %q", got)
	}
	setDocument(w, handle, "https://new.test")
	w.hosts["new.test"] = newPDS(t, did)
	delete(w.hosts, pdsHost)
	if got := login(t, w); got.APIBaseURL != "https://new.test" || !slices.Equal(got.Hosts, []string{"new.test"}) {
		t.Errorf("after the move the PDS is %q, %v", got.APIBaseURL, got.Hosts)
	}
}

func TestLoginExpiryIsAHint(t *testing.T) {
	t.Parallel()
	for name, token := range map[string]string{
		"opaque":         "opaque-token",
		"not base64":     "a.!!!.c",
		"not JSON":       "a.e30x.c",
		"without exp":    "a.e30.c",
		"over already":   jwt("a", now),
		"after all time": jwt("a", now.AddDate(9000, 0, 0)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, pds := newWorld(t)
			pds.edit = func(s map[string]any) { s["accessJwt"] = token }
			if got := login(t, w); got.AccessExpiry != nil || got.Access.Reveal() != token {
				t.Errorf("expiry %v, want none", got.AccessExpiry)
			}
		})
	}
}

// TestLoginWithoutAResolver: nil is net's default.
func TestLoginWithoutAResolver(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	env := w.env()
	env.Resolver = nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // DNS is not asked; the web is, which has no connections here
	if _, err := bluesky.New(nil).Login(ctx, env, typed()); err != nil {
		t.Error(err)
	}
}

func TestLoginByAnUnknownMethod(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	req := typed()
	req.Method = "oauth"
	_, err := bluesky.New(nil).Login(t.Context(), w.env(), req)
	wantClass(t, err, connect.ClassConfig, "")
	if n := len(w.seen()); n > 0 {
		t.Errorf("%d requests", n)
	}
}

func TestLoginOptions(t *testing.T) {
	t.Parallel()
	w, pds := newWorld(t)
	w.hosts["plc.test"], w.hosts["entry.test"] = w.hosts["plc.directory"], pds
	delete(w.hosts, "plc.directory")
	p := bluesky.New(&bluesky.Options{PLCURL: "https://PLC.test/", EntrywayHost: "https://entry.test/"})
	for _, identifier := range []string{handle, email} {
		if _, err := p.Login(t.Context(), w.env(), typed("identifier", identifier)); err != nil {
			t.Errorf("%s: %v", identifier, err)
		}
	}
}

func TestLoginKeepsTheCause(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	env := w.env()
	cause := fmt.Errorf("%w: %s", errLost, "stopped")
	env.HTTP.Transport = failing{cause}
	_, err := bluesky.New(nil).Login(t.Context(), env, typed())
	wantClass(t, err, connect.ClassRetry, "")
	if !errors.Is(err, errLost) || strings.Contains(err.Error(), "stopped") {
		t.Errorf("the error is %v, want the innermost cause alone", err)
	}
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }
