package connect_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFlowBluesky(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		body object
		did  string
	}{
		{"handle", credentials(), "did:plc:adasandboxaccount2345abc"},
		{"handle with an at and capitals", object{"identifier": "@Ada.Sandbox.test"}, "did:plc:adasandboxaccount2345abc"},
		{"DID", object{"identifier": "did:plc:adasandboxaccount2345abc"}, "did:plc:adasandboxaccount2345abc"},
		{"e-mail at a server", object{"identifier": "ada@sandbox.test", "pds": "pds.sandbox.test"}, "did:plc:adasandboxaccount2345abc"},
		{"e-mail at bsky.social", object{"identifier": "erin@sandbox.test"}, "did:plc:erinsandboxaccount234abc"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.browser(&alice)
			tt.body["app_password"] = "sand-box2-test-pass"
			tt.body["metadata"] = object{"team": "north"}
			got := b.call(http.MethodPost, "/connect/credentials/bluesky", tt.body).object(t, http.StatusCreated)
			account := list(got["accounts"])
			if got["status"] != "connected" || len(account) != 1 || account[0]["platform_account_id"] != tt.did || account[0]["kind"] != "profile" {
				t.Fatalf("outcome %v", got)
			}
			if diff := cmp.Diff(object{"team": "north"}, account[0]["metadata"]); diff != "" {
				t.Errorf("metadata (-want +got):\n%s", diff)
			}
			id, _ := account[0]["id"].(string)
			base, _ := account[0]["api_base_url"].(string)
			if status, err := w.call("acme", id, strings.TrimSuffix(base, "/")+"/com.atproto.server.getSession"); status != http.StatusOK || err != nil {
				status, err = w.call("acme", id, strings.TrimSuffix(base, "/")+"/xrpc/com.atproto.server.getSession")
				if status != http.StatusOK || err != nil {
					t.Errorf("call below %s: %d, %v", base, status, err)
				}
			}
			again := b.call(http.MethodPost, "/connect/credentials/bluesky", tt.body).object(t, http.StatusCreated)
			if list(again["accounts"])[0]["id"] != id {
				t.Errorf("connected again as %v", again)
			}
		})
	}
}

// TestFlowBlueskyPage: the same by the form.
func TestFlowBlueskyPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	target := "/connect/ui/credentials/bluesky?return_url=" + url.QueryEscape(w.host.URL+appHost)
	form := url.Values{"csrf_token": {b.get(target).formToken(t)}, "identifier": {"ada.sandbox.test"}, "app_password": {"wwww-rrrr-oooo-nnnn"}}
	wrong := b.post(target, form)
	if wrong.status != http.StatusUnprocessableEntity || strings.Contains(wrong.body, "wwww-rrrr-oooo-nnnn") || !strings.Contains(wrong.body, "ada.sandbox.test") {
		t.Errorf("wrong password: status %d: %s", wrong.status, wrong.body)
	}
	form.Set("app_password", "sand-box2-test-pass")
	if got := b.post(target, form).outcome(t); got.Get("status") != "connected" || got.Get("account_id") == "" {
		t.Errorf("outcome %v", got)
	}
}

// TestFlowKeptShared: a grant lives as long as anyone uses it.
func TestFlowKeptShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := url.Values{"select": {"all"}}
	a, b := w.browser(&alice), w.browser(&bob)
	ours, theirs := a.connected("facebook", all, as("dana")), b.connected("facebook", all, as("dana"))
	revoked := func() int { return w.box.Requests("graph.facebook.com", "/v26.0/102233445566778/permissions") }

	for i, id := range ours {
		got := a.call(http.MethodDelete, "/connect/accounts/"+id, nil).object(t, http.StatusOK)
		if got["revocation"] != "kept_shared" || revoked() != 0 {
			t.Errorf("account %d: %v, revoked %d times", i+1, got, revoked())
		}
	}
	if status, err := w.call("globex", theirs[0], "https://graph.facebook.com/v26.0/110000000000001?fields=id"); status != http.StatusOK || err != nil {
		t.Errorf("the other tenant's account: %d, %v", status, err)
	}
	for i, id := range theirs {
		want := "kept_shared"
		if i == len(theirs)-1 {
			want = "revoked"
		}
		if got := b.call(http.MethodDelete, "/connect/accounts/"+id, nil).object(t, http.StatusOK); got["revocation"] != want {
			t.Errorf("their account %d: %v, want %s", i+1, got, want)
		}
	}
	if got := w.events("globex"); len(got) != 2*len(theirs) {
		t.Errorf("events of the other tenant: %v", got)
	}
	if revoked() != 1 {
		t.Errorf("revoked %d times, want once", revoked())
	}
}
