package sandbox_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	adaDID      = "did:plc:adasandboxaccount2345abc"
	appPassword = "sand-box2-test-pass"
)

// signIn calls createSession.
func (w *world) signIn(identifier, password, host string) answer {
	w.t.Helper()
	body, err := json.Marshal(map[string]string{"identifier": identifier, "password": password})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.do(request{method: "POST", url: host + "/xrpc/com.atproto.server.createSession", json: string(body)})
}

func (w *world) login(identifier, host string) answer {
	w.t.Helper()
	return w.signIn(identifier, appPassword, host)
}

// xrpc calls a method of com.atproto.server with a token and no body.
func (w *world) xrpc(host, method, token string) answer {
	w.t.Helper()
	verb := "POST"
	if method == "getSession" {
		verb = "GET"
	}
	return w.do(request{method: verb, url: host + "/xrpc/com.atproto.server." + method, header: map[string]string{"Authorization": "Bearer " + token}})
}

func TestBlueskyFlow(t *testing.T) {
	t.Parallel()
	w := setup(t)
	if got := w.do(request{method: "GET", url: "ada.sandbox.test/.well-known/atproto-did"}); got.body != adaDID || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") {
		t.Fatalf("handle: %q", got.body)
	}
	document := w.do(request{method: "GET", url: "plc.directory/" + adaDID}).object(t)
	if diff := cmp.Diff([]any{"at://ada.sandbox.test"}, document["alsoKnownAs"]); diff != "" {
		t.Errorf("alsoKnownAs (-want +got):\n%s", diff)
	}
	service := []any{object{"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": "https://pds.sandbox.test"}}
	if diff := cmp.Diff(service, document["service"]); diff != "" {
		t.Errorf("service (-want +got):\n%s", diff)
	}
	login := w.login("ada.sandbox.test", "pds.sandbox.test")
	session := login.object(t)
	access, refresh := login.text(t, "accessJwt"), login.text(t, "refreshJwt")
	delete(session, "accessJwt")
	delete(session, "refreshJwt")
	want := object{
		"handle": "ada.sandbox.test", "did": adaDID, "didDoc": document, "email": "ada@sandbox.test",
		"emailConfirmed": true, "emailAuthFactor": false, "active": true,
	}
	if diff := cmp.Diff(want, session); diff != "" || access == "" || refresh == "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
	if login.header.Get("Ratelimit-Policy") != "30;w=300" || login.header.Get("Ratelimit-Reset") == "" {
		t.Errorf("rate limit headers: %v", login.header)
	}
	if diff := cmp.Diff(want, w.xrpc("pds.sandbox.test", "getSession", access).object(t)); diff != "" {
		t.Errorf("getSession (-want +got):\n%s", diff)
	}
	next := w.xrpc("pds.sandbox.test", "refreshSession", refresh)
	if next.status != http.StatusOK || next.text(t, "refreshJwt") == refresh || next.text(t, "accessJwt") == access {
		t.Errorf("refreshSession: status %d, no new pair", next.status)
	}
}

func TestBlueskyCreateSession(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, tt := range []struct {
		name, identifier, password, host string
		status                           int
		field, want                      string
	}{
		{"by DID", adaDID, appPassword, "pds.sandbox.test", 200, "handle", "ada.sandbox.test"},
		{"by email at the PDS", "ada@sandbox.test", appPassword, "pds.sandbox.test", 200, "did", adaDID},
		{"by email at the entryway", "erin@sandbox.test", appPassword, "bsky.social", 200, "handle", "erin.sandbox.test"},
		{"not fronted by the entryway", "ada.sandbox.test", appPassword, "bsky.social", 401, "error", "AuthenticationRequired"},
		{"other PDS", "ada.sandbox.test", appPassword, "morel.sandbox.test", 401, "error", "AuthenticationRequired"},
		{"wrong password", "ada.sandbox.test", "aaaa-bbbb-cccc-dddd", "pds.sandbox.test", 401, "message", "Invalid identifier or password"},
		{"unknown account", "eve.sandbox.test", appPassword, "pds.sandbox.test", 401, "message", "Invalid identifier or password"},
		{"taken down", "tom.sandbox.test", appPassword, "pds.sandbox.test", 401, "error", "AccountTakedown"},
		{"taken down, wrong password", "tom.sandbox.test", "x", "pds.sandbox.test", 401, "error", "AuthenticationRequired"},
		{"mismatched handle", "mallory.sandbox.test", appPassword, "pds.sandbox.test", 200, "handle", "handle.invalid"},
		{"empty password", "ada.sandbox.test", "", "pds.sandbox.test", 400, "error", "InvalidRequest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := w.signIn(tt.identifier, tt.password, tt.host)
			if got.status != tt.status || got.text(t, tt.field) != tt.want {
				t.Errorf("status %d, want %d: %s", got.status, tt.status, got.body)
			}
		})
	}
}

func TestBlueskyDeactivated(t *testing.T) {
	t.Parallel()
	w := setup(t)
	got := w.login("dora.sandbox.test", "pds.sandbox.test").object(t)
	if _, ok := got["status"]; ok || got["active"] != false {
		t.Errorf("active %v, status %v; want false and none", got["active"], got["status"])
	}
}

func TestBlueskyRefuses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	login := w.login("ada.sandbox.test", "pds.sandbox.test")
	access, refresh := "Bearer "+login.text(t, "accessJwt"), "Bearer "+login.text(t, "refreshJwt")
	const server = "pds.sandbox.test/xrpc/com.atproto.server."
	input := `{"identifier":"ada.sandbox.test","password":"` + appPassword + `"}`
	for _, tt := range []struct {
		name   string
		r      request
		auth   string
		status int
		want   string
	}{
		{"text instead of JSON", request{method: "POST", url: server + "createSession", json: input, header: map[string]string{"Content-Type": "text/plain"}}, "", 400, "InvalidRequest"},
		{"no content type", request{method: "POST", url: server + "createSession", json: input, header: map[string]string{"Content-Type": ""}}, "", 400, "InvalidRequest"},
		{"unknown field", request{method: "POST", url: server + "createSession", json: `{"identifier":"a","password":"b","otp":"c"}`}, "", 400, "InvalidRequest"},
		{"two values", request{method: "POST", url: server + "createSession", json: input + "{}"}, "", 400, "InvalidRequest"},
		{"broken JSON", request{method: "POST", url: server + "createSession", json: `{"identifier":`}, "", 400, "InvalidRequest"},
		{"GET of a procedure", request{method: "GET", url: server + "createSession"}, "", 400, "InvalidRequest"},
		{"unknown method", request{method: "POST", url: server + "flySession"}, "", 501, "MethodNotImplemented"},
		{"refresh without token", request{method: "POST", url: server + "refreshSession"}, "", 401, "AuthMissing"},
		{"refresh with a body", request{method: "POST", url: server + "refreshSession", json: "{}"}, refresh, 400, "InvalidRequest"},
		{"refresh with the access token", request{method: "POST", url: server + "refreshSession"}, access, 400, "InvalidToken"},
		{"refresh at another host", request{method: "POST", url: "bsky.social/xrpc/com.atproto.server.refreshSession"}, refresh, 400, "InvalidToken"},
		{"call with the refresh token", request{method: "GET", url: server + "getSession"}, refresh, 400, "InvalidToken"},
		{"malformed token", request{method: "GET", url: server + "getSession"}, "Bearer abc", 400, "InvalidToken"},
		{"unknown token", request{method: "GET", url: server + "getSession"}, "Bearer a.b.c", 400, "InvalidToken"},
		{"delete with the access token", request{method: "POST", url: server + "deleteSession"}, access, 400, "InvalidToken"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.auth != "" {
				tt.r.header = map[string]string{"Authorization": tt.auth}
			}
			if got := w.do(tt.r); got.status != tt.status || got.text(t, "error") != tt.want {
				t.Errorf("status %d, want %d %s: %s", got.status, tt.status, tt.want, got.body)
			}
		})
	}
}

func TestBlueskyRefreshGrace(t *testing.T) {
	t.Parallel()
	w := setup(t)
	refresh := func(token string) answer { return w.xrpc("pds.sandbox.test", "refreshSession", token) }
	first := w.login("ada.sandbox.test", "pds.sandbox.test").text(t, "refreshJwt")
	second := refresh(first).text(t, "refreshJwt")
	w.wait(2*time.Hour - time.Second)
	if got := refresh(first); got.status != http.StatusOK || got.text(t, "refreshJwt") != second {
		t.Errorf("within the grace: status %d, want the same successor", got.status)
	}
	w.wait(time.Second)
	if got := refresh(first); got.status != http.StatusBadRequest || got.text(t, "error") != "ExpiredToken" {
		t.Errorf("after the grace: status %d: %s", got.status, got.body)
	}
	w.wait(90*24*time.Hour - 2*time.Hour - time.Second)
	if got := refresh(second); got.status != http.StatusOK {
		t.Errorf("just before 90 days: status %d: %s", got.status, got.body)
	}
}

func TestBlueskyAccessExpires(t *testing.T) {
	t.Parallel()
	w := setup(t)
	access := w.login("ada.sandbox.test", "pds.sandbox.test").text(t, "accessJwt")
	w.wait(120 * time.Minute)
	if got := w.xrpc("pds.sandbox.test", "getSession", access); got.status != http.StatusBadRequest || got.text(t, "error") != "ExpiredToken" {
		t.Errorf("status %d: %s, want 400 ExpiredToken", got.status, got.body)
	}
}

func TestBlueskyDeleteSession(t *testing.T) {
	t.Parallel()
	w := setup(t)
	login := w.login("ada.sandbox.test", "pds.sandbox.test")
	w.wait(91 * 24 * time.Hour)
	if got := w.xrpc("pds.sandbox.test", "deleteSession", login.text(t, "refreshJwt")); got.status != http.StatusOK || got.body != "" {
		t.Errorf("with an expired token: status %d: %q", got.status, got.body)
	}
	login = w.login("ada.sandbox.test", "pds.sandbox.test")
	w.xrpc("pds.sandbox.test", "deleteSession", login.text(t, "refreshJwt"))
	if got := w.xrpc("pds.sandbox.test", "refreshSession", login.text(t, "refreshJwt")); got.text(t, "message") != "Token has been revoked" {
		t.Errorf("refresh after it: status %d: %s", got.status, got.body)
	}
	if got := w.xrpc("pds.sandbox.test", "getSession", login.text(t, "accessJwt")); got.status != http.StatusOK {
		t.Errorf("the access token lives on: status %d", got.status)
	}
}

func TestBlueskyRepo(t *testing.T) {
	t.Parallel()
	w := setup(t)
	access := w.login("ada.sandbox.test", "pds.sandbox.test").text(t, "accessJwt")
	create := func(repo string) answer {
		body := `{"repo":"` + repo + `","collection":"app.bsky.feed.post","rkey":"one","record":{"$type":"app.bsky.feed.post","text":"hello"}}`
		return w.do(request{method: "POST", url: "pds.sandbox.test/xrpc/com.atproto.repo.createRecord", json: body, header: map[string]string{"Authorization": "Bearer " + access}})
	}
	if got := create(adaDID); got.text(t, "uri") != "at://"+adaDID+"/app.bsky.feed.post/one" {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	if got := create("did:plc:erinsandboxaccount234abc"); got.status != http.StatusForbidden {
		t.Errorf("another repo: status %d", got.status)
	}
	for url, want := range map[string]string{
		"pds.sandbox.test/xrpc/com.atproto.repo.getRecord?repo=ada.sandbox.test&collection=app.bsky.feed.post&rkey=one":      "hello",
		"pds.sandbox.test/xrpc/com.atproto.repo.getRecord?repo=ada.sandbox.test&collection=app.bsky.actor.profile&rkey=self": "Ada Example",
		"public.api.bsky.app/xrpc/app.bsky.actor.getProfile?actor=" + adaDID:                                                 "Ada Example",
		"pds.sandbox.test/xrpc/com.atproto.identity.resolveHandle?handle=ada.sandbox.test":                                   adaDID,
		"pds.sandbox.test/xrpc/com.atproto.server.describeServer":                                                            "did:web:pds.sandbox.test",
	} {
		if got := w.do(request{method: "GET", url: url}); got.status != http.StatusOK || !strings.Contains(got.body, want) {
			t.Errorf("GET %s: status %d: %s", url, got.status, got.body)
		}
	}
}

func TestBlueskyRepoRefuses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	dora := w.login("dora.sandbox.test", "pds.sandbox.test").text(t, "accessJwt")
	for _, tt := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"deactivated", `{"repo":"dora.sandbox.test","collection":"a.b.c","record":{"$type":"a.b.c"}}`, 401, "AccountDeactivated"},
		{"unknown field", `{"repo":"dora.sandbox.test","owner":"x"}`, 400, "InvalidRequest"},
		{"another repo", `{"repo":"ada.sandbox.test","collection":"a.b.c","record":{"$type":"a.b.c"}}`, 403, "Forbidden"},
	} {
		got := w.do(request{method: "POST", url: "pds.sandbox.test/xrpc/com.atproto.repo.createRecord", json: tt.body, header: map[string]string{"Authorization": "Bearer " + dora}})
		if got.status != tt.status || got.text(t, "error") != tt.want {
			t.Errorf("%s: status %d: %s", tt.name, got.status, got.body)
		}
	}
	for url, want := range map[string]string{
		"pds.sandbox.test/xrpc/com.atproto.repo.getRecord?repo=ada.sandbox.test&collection=a.b.c&rkey=x": "RecordNotFound",
		"pds.sandbox.test/xrpc/com.atproto.repo.getRecord?repo=eve.sandbox.test&collection=a.b.c&rkey=x": "InvalidRequest",
		"public.api.bsky.app/xrpc/app.bsky.actor.getProfile?actor=tom.sandbox.test":                      "InvalidRequest",
		"pds.sandbox.test/xrpc/com.atproto.identity.resolveHandle?handle=eve.sandbox.test":               "InvalidRequest",
		"pds.sandbox.test/xrpc/app.bsky.actor.getProfile?actor=ada.sandbox.test":                         "MethodNotImplemented",
	} {
		if got := w.do(request{method: "GET", url: url}); got.text(t, "error") != want {
			t.Errorf("GET %s: status %d: %s", url, got.status, got.body)
		}
	}
}

// TestBlueskyMismatchedHandle resolves Mallory's handle, as far as it goes:
// it leads to a DID whose document names another handle.
func TestBlueskyMismatchedHandle(t *testing.T) {
	t.Parallel()
	w := setup(t)
	did := w.do(request{method: "GET", url: "mallory.sandbox.test/.well-known/atproto-did"}).body
	document := w.do(request{method: "GET", url: "plc.directory/" + did}).object(t)
	if diff := cmp.Diff([]any{"at://ada.sandbox.test"}, document["alsoKnownAs"]); diff != "" || did == adaDID {
		t.Errorf("%s (-want +got):\n%s", did, diff)
	}
}

// TestBlueskyEntrywaySession is made at the entryway and used at the PDS that
// the DID document names.
func TestBlueskyEntrywaySession(t *testing.T) {
	t.Parallel()
	w := setup(t)
	login := w.login("erin@sandbox.test", "bsky.social")
	service, _ := login.object(t)["didDoc"].(object)["service"].([]any)
	if endpoint := service[0].(object)["serviceEndpoint"]; endpoint != "https://morel.sandbox.test" {
		t.Errorf("PDS %v", endpoint)
	}
	if got := w.xrpc("morel.sandbox.test", "refreshSession", login.text(t, "refreshJwt")); got.status != http.StatusOK {
		t.Errorf("refresh at the PDS: status %d: %s", got.status, got.body)
	}
}
