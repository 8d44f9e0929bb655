package bluesky_test

import (
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/bluesky"
)

const refreshPath = "/xrpc/com.atproto.server.refreshSession"

func TestRefresh(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	first := login(t, w)
	before := len(w.seen())
	second, err := bluesky.New(nil).Refresh(t.Context(), w.env(), first)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.seen()[before:]; !slices.Equal(got, []string{"POST " + pdsHost + refreshPath}) {
		t.Errorf("requests %v, want one", got)
	}
	if second.Refresh.Reveal() != jwt("refresh2", now.Add(90*24*time.Hour)) || second.Access.Reveal() != jwt("access2", now.Add(2*time.Hour)) {
		t.Error("the tokens are not those of the answer")
	}
	if second.Subject != did || second.APIBaseURL != first.APIBaseURL || !slices.Equal(second.Hosts, first.Hosts) {
		t.Errorf("subject %q at %q, %v", second.Subject, second.APIBaseURL, second.Hosts)
	}
	if second.AccessExpiry == nil || !second.AccessExpiry.Equal(now.Add(2*time.Hour)) {
		t.Errorf("the access token ends at %v", second.AccessExpiry)
	}
	if _, err := bluesky.New(nil).Refresh(t.Context(), w.env(), first); err != nil {
		t.Errorf("the older token within its grace time: %v", err)
	}
}

func TestRefreshFails(t *testing.T) {
	t.Parallel()
	page := func(status int) func(*world, *fakePDS) {
		return func(_ *world, pds *fakePDS) {
			pds.override = func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, "<html>maintenance</html>")
			}
		}
	}
	text := func(body string) func(*world, *fakePDS) {
		return func(_ *world, pds *fakePDS) {
			pds.override = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
		}
	}
	edit := func(field string, value any) func(*world, *fakePDS) {
		return func(_ *world, pds *fakePDS) { pds.edit = func(s map[string]any) { s[field] = value } }
	}
	for _, tc := range []struct {
		name  string
		set   func(*world, *fakePDS)
		class connect.ErrorClass
		code  string
	}{
		{"an answer that is lost", func(_ *world, pds *fakePDS) { pds.lose = true }, connect.ClassUncertain, ""},
		{"an empty answer", text(""), connect.ClassUncertain, ""},
		{"an answer that is cut off", text(`{"accessJwt":"a`), connect.ClassUncertain, ""},
		{"two refresh tokens", text(`{"did":"` + did + `","accessJwt":"a","refreshJwt":"b","RefreshJwt":"c"}`), connect.ClassUncertain, ""},
		{"more behind the answer", text(`{"did":"` + did + `","accessJwt":"a","refreshJwt":"b"}{}`), connect.ClassUncertain, ""},
		{"an answer that breaks off", func(_ *world, pds *fakePDS) { pds.override = breaking{}.ServeHTTP }, connect.ClassUncertain, ""},
		{"no refresh token", edit("refreshJwt", nil), connect.ClassUncertain, ""},
		{"an empty refresh token", edit("refreshJwt", ""), connect.ClassUncertain, ""},
		{"no access token", edit("accessJwt", nil), connect.ClassUncertain, ""},
		{"another account", edit("did", otherDID), connect.ClassUncertain, ""},
		{"a page instead of an answer", page(http.StatusOK), connect.ClassRetry, ""},
		{"a page that says 400", page(http.StatusBadRequest), connect.ClassRetry, ""},
		{"a page that says 401", page(http.StatusUnauthorized), connect.ClassRetry, ""},
		{"a page that says 502", page(http.StatusBadGateway), connect.ClassUncertain, ""},
		{"a PDS that cannot be reached", func(w *world, _ *fakePDS) { delete(w.hosts, pdsHost) }, connect.ClassRetry, ""},
		{"a session that was deleted", func(_ *world, pds *fakePDS) { clear(pds.refresh) }, connect.ClassReconnect, "ExpiredToken"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w, pds := newWorld(t)
			tokens := login(t, w)
			tc.set(w, pds)
			got, err := bluesky.New(nil).Refresh(t.Context(), w.env(), tokens)
			wantClass(t, err, tc.class, tc.code)
			if got != nil {
				t.Error("there are tokens beside the error")
			}
			sent := slices.DeleteFunc(w.seen(), func(r string) bool { return r != "POST "+pdsHost+refreshPath })
			if len(sent) != 1 {
				t.Errorf("the refresh token was presented %d times", len(sent))
			}
		})
	}
}

func TestRefreshInactiveAccountKeepsItsTokens(t *testing.T) {
	t.Parallel()
	w, pds := newWorld(t)
	tokens := login(t, w)
	pds.edit = func(s map[string]any) { s["active"] = false }
	if got, err := bluesky.New(nil).Refresh(t.Context(), w.env(), tokens); err != nil || got.Refresh.IsZero() {
		t.Errorf("%v, want the new tokens", err)
	}
}

func TestRefreshWithoutWhatItNeeds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		tokens connect.Tokens
		class  connect.ErrorClass
	}{
		{"no refresh token", connect.Tokens{Subject: did, APIBaseURL: "https://pds.test"}, connect.ClassReconnect},
		{"no PDS", connect.Tokens{Subject: did, Refresh: connect.NewSecret("r")}, connect.ClassConfig},
		{"a PDS over http", connect.Tokens{Subject: did, Refresh: connect.NewSecret("r"), APIBaseURL: "http://pds.test"}, connect.ClassConfig},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t)
			_, err := bluesky.New(nil).Refresh(t.Context(), w.env(), &tc.tokens)
			wantClass(t, err, tc.class, "")
			if n := len(w.seen()); n > 0 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestRefreshMovedPDS(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		moved http.HandlerFunc // nil: it knows the session
		class connect.ErrorClass
		code  string
	}{
		{"to a server that knows the session", nil, "", ""},
		{"to a server that does not", answer(400, "InvalidToken"), connect.ClassReconnect, "InvalidToken"},
		{"to a server that does not answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, connect.ClassUncertain, ""},
		{"to a server that is down", answer(503, "NotEnoughResources"), connect.ClassRetry, "NotEnoughResources"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w, pds := newWorld(t)
			tokens := login(t, w)
			pds.override = tc.moved
			w.hosts["new.test"] = pds
			delete(w.hosts, pdsHost)
			setDocument(w, handle, "https://new.test")
			got, err := bluesky.New(nil).Refresh(t.Context(), w.env(), tokens)
			if tc.class != "" {
				wantClass(t, err, tc.class, tc.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.APIBaseURL != "https://new.test" || !slices.Equal(got.Hosts, []string{"new.test"}) {
				t.Errorf("the PDS is %q, %v", got.APIBaseURL, got.Hosts)
			}
		})
	}
}

// TestRefreshAnswerDoesNotMove keeps the refresh token from a second server
// once the first may have it.
func TestRefreshAnswerDoesNotMove(t *testing.T) {
	t.Parallel()
	w, pds := newWorld(t)
	tokens := login(t, w)
	pds.lose = true
	w.hosts["new.test"] = newPDS(t, did)
	setDocument(w, handle, "https://new.test")
	_, err := bluesky.New(nil).Refresh(t.Context(), w.env(), tokens)
	wantClass(t, err, connect.ClassUncertain, "")
	if slices.Contains(w.seen(), "POST new.test"+refreshPath) {
		t.Error("the refresh token was presented twice")
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		set   func(*world, *fakePDS)
		class connect.ErrorClass // empty: success
		code  string
	}{
		{"a live session", func(*world, *fakePDS) {}, "", ""},
		{"a session that is over", func(_ *world, pds *fakePDS) { clear(pds.refresh) }, "", ""},
		{"an unknown token", func(_ *world, pds *fakePDS) { pds.override = answer(400, "InvalidToken") }, "", ""},
		{"an account that is gone", func(_ *world, pds *fakePDS) { pds.override = answer(403, "AccountNotFound") }, "", ""},
		{"a PDS that is down", func(_ *world, pds *fakePDS) { pds.override = answer(503, "NotEnoughResources") }, connect.ClassRetry, "NotEnoughResources"},
		{"too many requests", func(_ *world, pds *fakePDS) { pds.override = answer(429, "RateLimitExceeded") }, connect.ClassRetry, "RateLimitExceeded"},
		{"a refusal that is not known", func(_ *world, pds *fakePDS) { pds.override = answer(400, "InvalidRequest") }, connect.ClassRetry, "InvalidRequest"},
		{"a PDS that cannot be reached", func(w *world, _ *fakePDS) { delete(w.hosts, pdsHost) }, connect.ClassRetry, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w, pds := newWorld(t)
			tokens := login(t, w)
			tc.set(w, pds)
			err := bluesky.New(nil).Revoke(t.Context(), w.env(), tokens)
			if tc.class != "" {
				wantClass(t, err, tc.class, tc.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if pds.override == nil && pds.live() > 0 {
				t.Error("the session goes on")
			}
		})
	}
}

func TestRevokeWithoutWhatItNeeds(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	if err := bluesky.New(nil).Revoke(t.Context(), w.env(), &connect.Tokens{Subject: did}); err != nil {
		t.Errorf("without a refresh token: %v", err)
	}
	err := bluesky.New(nil).Revoke(t.Context(), w.env(), &connect.Tokens{Subject: did, Refresh: connect.NewSecret("r")})
	wantClass(t, err, connect.ClassConfig, "")
}
