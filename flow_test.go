package connect_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
)

func TestFlowX(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, program := w.browser(&alice), w.program("acme")
	returnURL := w.host.URL + appHost + "?tab=1&tab=2&x=%2F"

	started := program.json(http.MethodPost, "/connect/start/x", object{"user": "alice", "return_url": returnURL, "metadata": object{"team": "north"}}).object(t, http.StatusCreated)
	flowID, _ := started["flow_id"].(string)
	authorize, _ := started["url"].(string)
	state, _ := started["state"].(string)
	want := object{"flow_id": "*", "url": "*", "state": "*", "expires_at": stamp(w.clock.Now().Add(15 * time.Minute)), "sdk": nil}
	if diff := cmp.Diff(want, mask(started, "flow_id", "url", "state")); diff != "" {
		t.Errorf("start (-want +got):\n%s", diff)
	}
	if got := mustParse(t, authorize).Query().Get("state"); got != state || len(state) > 255 {
		t.Errorf("state %q, in the URL %q", state, got)
	}
	open := program.get("/connect/flows/"+flowID).object(t, http.StatusOK)
	want = object{"flow_id": flowID, "platform": "x", "stage": "started", "outcome": nil, "timeline": []any{object{"at": stamp(w.clock.Now()), "step": "start", "result": "ok"}}}
	if diff := cmp.Diff(want, open); diff != "" {
		t.Errorf("open flow (-want +got):\n%s", diff)
	}

	back := b.arrive(b.consent(authorize, nil))
	accounts := w.accounts(alice)
	if len(accounts) != 1 {
		t.Fatalf("%d accounts, logs %s", len(accounts), w.logs)
	}
	id := accounts[0].ID
	if want := returnURL + "&status=connected&platform=x&account_ids=" + id + "&account_id=" + id + "&flow_id=" + flowID; back.location() != want {
		t.Errorf("back at %s\nwant    %s", back.location(), want)
	}
	account := w.accountX("active", granted(accounts[0])...)
	got := program.get("/connect/accounts/"+id).object(t, http.StatusOK)
	if diff := cmp.Diff(account, mask(got, "id", "grant_id")); diff != "" {
		t.Errorf("account (-want +got):\n%s", diff)
	}
	list := program.get("/connect/accounts?platform=x&kind=profile&status=active&platform_account_id=2244990011&limit=1").object(t, http.StatusOK)
	if diff := cmp.Diff(object{"accounts": []any{account}, "next_cursor": nil}, mask(list, "id", "grant_id")); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	done := program.get("/connect/flows/"+flowID).object(t, http.StatusOK)
	want = object{
		"flow_id": "*", "platform": "x", "stage": "connected",
		"outcome": object{"status": "connected", "flow_id": "*", "platform": "x", "accounts": []any{account}},
		"timeline": []any{
			object{"at": stamp(w.clock.Now()), "step": "start", "result": "ok"},
			object{"at": stamp(w.clock.Now()), "step": "callback", "result": "ok"},
			object{"at": stamp(w.clock.Now()), "step": "connect", "result": "ok"},
		},
	}
	if diff := cmp.Diff(want, mask(done, "id", "grant_id", "flow_id")); diff != "" {
		t.Errorf("flow (-want +got):\n%s", diff)
	}
	if status, err := w.call("acme", id, "https://api.x.com/2/users/me"); status != http.StatusOK || err != nil {
		t.Errorf("call: %d, %v", status, err)
	}
	w.disconnectAndBack(t, b, id)
}

// disconnectAndBack ends an X account, twice, and connects it again.
func (w *world) disconnectAndBack(t *testing.T, b *browser, id string) {
	t.Helper()
	want := object{"account_id": id, "status": "disconnected", "revocation": "revoked"}
	for range 2 {
		got := b.call(http.MethodDelete, "/connect/accounts/"+id, nil).object(t, http.StatusOK)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("disconnect (-want +got):\n%s", diff)
		}
	}
	tombstone := w.account(alice, id)
	if grant := w.grantOf(tombstone); tombstone.Status != connect.AccountDisconnected || tombstone.Sealed != nil || grant.Sealed != nil || grant.Status != connect.GrantDead {
		t.Errorf("tombstone %v, grant %v", tombstone, grant)
	}
	if list := w.accounts(alice); len(list) != 0 {
		t.Errorf("the tombstone is listed: %v", list)
	}
	if _, err := w.call("acme", id, "https://api.x.com/2/users/me"); connect.CodeOf(err) != connect.CodeDisconnected {
		t.Errorf("call: %v", err)
	}
	if again := b.connected("x", nil, nil); len(again) != 1 || again[0] != id {
		t.Errorf("connected again as %v, want %s", again, id)
	}
	if status, err := w.call("acme", id, "https://api.x.com/2/users/me"); status != http.StatusOK || err != nil {
		t.Errorf("call: %d, %v", status, err)
	}
	if account := w.account(alice, id); string(account.Metadata) != `{"team":"north"}` {
		t.Errorf("metadata %s did not survive", account.Metadata)
	}
	told := []string{"account.connected " + id, "account.disconnected " + id, "account.connected " + id}
	if diff := cmp.Diff(told, w.events("acme")); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestFlowDeny(t *testing.T) {
	t.Parallel()
	for _, platform := range []string{"x", "facebook"} {
		t.Run(platform, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.browser(&alice)
			flowID, target := b.begin(platform, nil)
			got := b.arrive(b.consent(target, url.Values{"decision": {"deny"}})).outcome(t)
			if diff := cmp.Diff(url.Values{"status": {"error"}, "platform": {platform}, "error": {"access_denied"}, "flow_id": {flowID}}, got); diff != "" {
				t.Errorf("return URL (-want +got):\n%s", diff)
			}
			flow := b.get("/connect/flows/"+flowID).object(t, http.StatusOK)
			want := object{"status": "error", "flow_id": flowID, "platform": platform, "error": "access_denied"}
			if diff := cmp.Diff(want, flow["outcome"]); diff != "" || flow["stage"] != "failed" {
				t.Errorf("stage %v, outcome (-want +got):\n%s", flow["stage"], diff)
			}
			events, _, err := w.config.Store.ListEvents(t.Context(), "acme", connect.Page{Limit: 10})
			if err != nil || len(events) != 1 {
				t.Fatalf("events %v, %v", events, err)
			}
			var data map[string]string
			if err := json.Unmarshal(events[0].Data, &data); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]string{"flow_id": flowID, "error": "access_denied"}, data); diff != "" || events[0].Type != connect.EventFlowFailed || events[0].Platform != platform {
				t.Errorf("event %v (-want +got):\n%s", events[0].Type, diff)
			}
			if n := w.exchanges(); n != 0 {
				t.Errorf("%d calls of the token endpoint", n)
			}
		})
	}
}

func TestFlowReconnect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	id := b.connected("x", nil, nil)[0]
	before := w.account(alice, id)
	grant := w.grantOf(before)

	got := b.connect("x", url.Values{"account_id": {id}}, as("clara")).outcome(t)
	if got.Get("status") != "error" || got.Get("error") != "identity_mismatch" {
		t.Fatalf("another person: %v", got)
	}
	if diff := cmp.Diff(before, w.account(alice, id)); diff != "" {
		t.Errorf("the account changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(grant, w.grantOf(before)); diff != "" {
		t.Errorf("the grant changed (-before +after):\n%s", diff)
	}
	if n := len(w.accounts(alice)); n != 1 {
		t.Errorf("%d accounts", n)
	}
	_, err := w.config.Store.ReadGrant(t.Context(), connect.GrantKey{Tenant: "acme", Platform: "x", ClientID: "x-client", Subject: "1790000000000000001"})
	if connect.CodeOf(err) == "" {
		t.Error("the other person's grant was stored")
	}

	w.clock.advance(time.Minute)
	if again := b.connected("x", url.Values{"account_id": {id}}, as("bakery")); len(again) != 1 || again[0] != id {
		t.Errorf("reconnected as %v, want %s", again, id)
	}
	after := w.account(alice, id)
	if now := w.grantOf(after); after.GrantID != before.GrantID || now.Generation != grant.Generation+1 || !after.ConnectedAt.After(before.ConnectedAt) {
		t.Errorf("grant %v, account %v", now, after)
	}
	if diff := cmp.Diff([]string{"account.connected " + id, "flow.failed", "account.updated " + id}, w.events("acme")); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	w.settle()
	if n := w.revocations(); n == 0 {
		t.Error("the other person's tokens were not given back")
	}
}

// TestFlowReconnectFacebook: the Page is found among those of the person, and
// a person who does not have it changes nothing.
func TestFlowReconnectFacebook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	id := b.connected("facebook", nil, as("single"))[0]
	got := b.connect("facebook", url.Values{"account_id": {id}}, as("dana")).outcome(t)
	if got.Get("error") != "identity_mismatch" {
		t.Errorf("another person: %v", got)
	}
	session := b.session("agency")
	done := b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", object{"selected_ids": []string{"page:110000000000164"}})
	last, _ := list(done.object(t, http.StatusOK)["accounts"])[0]["id"].(string)
	if again := b.connected("facebook", url.Values{"account_id": {last}}, as("agency")); len(again) != 1 || again[0] != last {
		t.Errorf("reconnected as %v, want %s", again, last)
	}
}

func TestFlowPlatforms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.browser(&alice).get("/connect/platforms").object(t, http.StatusOK)
	platforms := list(got["platforms"])
	if len(got) != 1 || len(platforms) != 3 {
		t.Fatalf("answer %v", got)
	}
	oauth := func(required []any, scopes ...any) []any {
		return []any{object{"id": "oauth", "type": "oauth", "fields": []any{}, "default_scopes": scopes, "required_scopes": required}}
	}
	want := []object{
		{
			"platform": "x", "display_name": "X", "api_version": "2", "api_version_sunset": nil,
			"methods": oauth([]any{"tweet.read", "users.read"}, "tweet.read", "tweet.write", "users.read", "media.write", "offline.access"),
			"kinds":   []any{object{"kind": "profile", "multiple": false}},
		},
		{
			"platform": "facebook", "display_name": "Facebook", "api_version": "v26.0", "api_version_sunset": nil,
			"methods": oauth([]any{"pages_show_list"}, "pages_show_list", "pages_read_engagement", "pages_manage_posts", "business_management"),
			"kinds":   []any{object{"kind": "page", "multiple": true}},
		},
		{
			"platform": "bluesky", "display_name": "Bluesky", "api_version": nil, "api_version_sunset": nil,
			"kinds": []any{object{"kind": "profile", "multiple": false}},
			"methods": []any{object{"id": "app_password", "type": "credentials", "default_scopes": []any{}, "required_scopes": []any{}, "fields": []any{
				object{"name": "identifier", "label": "*", "help": "*", "secret": false, "required": true},
				object{"name": "app_password", "label": "*", "help": "*", "secret": true, "required": true},
				object{"name": "pds", "label": "*", "help": "*", "secret": false, "required": false},
			}}},
		},
	}
	for i := range want {
		if diff := cmp.Diff(want[i], mask(platforms[i], "label", "help")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want[i]["platform"], diff)
		}
	}
}

// TestFlowTwitter: the former name is an alias, and nothing is stored under
// it.
func TestFlowTwitter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	flowID, target := b.begin("twitter", nil)
	if flow := w.flowRow(flowID); flow.Platform != "x" {
		t.Errorf("platform %s", flow.Platform)
	}
	if got := b.arrive(b.consent(target, nil)).outcome(t); got.Get("status") != "connected" || got.Get("platform") != "x" {
		t.Errorf("outcome %v", got)
	}
}

// TestFlowComplete: a host whose session does not reach the callback ends the
// flow itself, over JSON.
func TestFlowComplete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	program := w.program("acme")
	flowID, target := program.begin("facebook", object{"user": "alice", "mode": "headless"})
	nobody := w.browser(nil)
	back := nobody.arrive(nobody.consent(target, as("single"))).outcome(t)
	ticket := back.Get("ticket")
	if diff := cmp.Diff(url.Values{"status": {"continue"}, "platform": {"facebook"}, "ticket": {ticket}, "flow_id": {flowID}}, back); diff != "" || ticket == "" {
		t.Fatalf("return URL (-want +got):\n%s", diff)
	}
	if n := len(w.accounts(acmeKey)); n != 0 {
		t.Errorf("%d accounts before Complete", n)
	}
	first := program.json(http.MethodPost, "/connect/complete", object{"ticket": ticket})
	got := first.object(t, http.StatusOK)
	if accounts := list(got["accounts"]); got["status"] != "connected" || len(accounts) != 1 || accounts[0]["connected_by"] != "alice" {
		t.Errorf("outcome %v", got)
	}
	if again := program.json(http.MethodPost, "/connect/complete", object{"ticket": ticket}); again.body != first.body {
		t.Errorf("the same call again gives another answer:\n%s%s", first.body, again.body)
	}

	// The same where the host owns the redirect URI.
	_, target = program.begin("x", object{"user": "alice"})
	query := mustParse(t, nobody.consent(target, nil)).RawQuery
	got = program.json(http.MethodPost, "/connect/complete", object{"platform": "x", "query": query}).object(t, http.StatusOK)
	if got["status"] != "connected" {
		t.Errorf("outcome %v", got)
	}
}
