package bluesky_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/bluesky"
)

// theirs are tokens that another system had, of a session at the server.
func theirs(server string) *connect.Tokens {
	return &connect.Tokens{Access: connect.NewSecret("canary-access"), Refresh: connect.NewSecret("canary-refresh"), APIBaseURL: server}
}

// sessionOf answers getSession, and only that, for a DID.
func sessionOf(t *testing.T, did, more string) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/xrpc/com.atproto.server.getSession" || r.Header.Get("Authorization") != "Bearer canary-access" {
			t.Errorf("unexpected %s %s", r.Method, r.URL)
		}
		_, _ = fmt.Fprintf(w, `{"did":%q,"handle":"ignored.test"%s}`, did, more)
	}
}

// sameSecrets compares what secrets hold.
var sameSecrets = cmp.Comparer(func(a, b connect.Secret) bool { return a.Reveal() == b.Reveal() })

func TestIdentify(t *testing.T) {
	t.Parallel()
	w, pds := newWorld(t)
	pds.override = sessionOf(t, did, `,"active":true`)
	said, err := bluesky.New(nil).Identify(t.Context(), w.env(), theirs("https://"+pdsHost))
	if err != nil {
		t.Fatal(err)
	}
	pds.override = nil
	want := login(t, w)
	want.Access, want.Refresh, want.AccessExpiry, want.RefreshExpiry = connect.Secret{}, connect.Secret{}, nil, nil
	if diff := cmp.Diff(want, said, sameSecrets); diff != "" {
		t.Errorf("what is said differs from what a login says (-login +said):\n%s", diff)
	}
}

// Whose a grant's own token is is one request.
func TestIdentifyOfAGrant(t *testing.T) {
	t.Parallel()
	w, pds := newWorld(t)
	pds.override = sessionOf(t, otherDID, "")
	tokens := theirs("https://" + pdsHost)
	tokens.Subject = did
	said, err := bluesky.New(nil).Identify(t.Context(), w.env(), tokens)
	if err != nil || said.Subject != otherDID {
		t.Errorf("said %+v, %v, want what the server says", said, err)
	}
	if diff := cmp.Diff([]string{"GET pds.test/xrpc/com.atproto.server.getSession"}, w.seen()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	pds.override = sessionOf(t, did, `,"active":false,"status":"takendown"`)
	_, err = bluesky.New(nil).Identify(t.Context(), w.env(), tokens)
	wantClass(t, err, connect.ClassSuspended, "account_takendown")
}

func TestIdentifyRefuses(t *testing.T) {
	t.Parallel()
	const evil = "https://evil.test"
	at := "https://" + pdsHost
	tests := map[string]struct {
		server string
		answer func(*testing.T) http.HandlerFunc
		class  connect.ErrorClass
		code   string
	}{
		"server that lies":   {evil, func(t *testing.T) http.HandlerFunc { t.Helper(); return sessionOf(t, did, "") }, connect.ClassRefused, "pds_mismatch"},
		"account of nobody":  {at, func(t *testing.T) http.HandlerFunc { t.Helper(); return sessionOf(t, otherDID, "") }, connect.ClassRefused, "did_not_found"},
		"no DID":             {at, func(t *testing.T) http.HandlerFunc { t.Helper(); return sessionOf(t, "", "") }, connect.ClassRetry, ""},
		"account is off":     {at, func(t *testing.T) http.HandlerFunc { t.Helper(); return sessionOf(t, did, `,"active":false`) }, connect.ClassRefused, "account_inactive"},
		"no server":          {"", nil, connect.ClassRefused, "bad_pds"},
		"server with a path": {at + "/xrpc", nil, connect.ClassRefused, "bad_pds"},
		"plain http":         {"http://" + pdsHost, nil, connect.ClassRefused, "bad_pds"},
		"token over":         {at, func(*testing.T) http.HandlerFunc { return answer(http.StatusBadRequest, "ExpiredToken") }, connect.ClassExpired, "ExpiredToken"},
		"taken down":         {at, func(*testing.T) http.HandlerFunc { return answer(http.StatusUnauthorized, "AccountTakedown") }, connect.ClassReconnect, "AccountTakedown"},
		"a page": {at, func(*testing.T) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }
		}, connect.ClassRetry, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, pds := newWorld(t)
			if tt.answer != nil {
				pds.override = tt.answer(t)
			}
			w.hosts["evil.test"] = pds
			_, err := bluesky.New(nil).Identify(t.Context(), w.env(), theirs(tt.server))
			wantClass(t, err, tt.class, tt.code)
			if tt.answer == nil && len(w.seen()) != 0 {
				t.Errorf("requests %q, want none", w.seen())
			}
		})
	}
}
