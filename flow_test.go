package connect_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sandbox"
)

// The helpers of this file are shared by all tests of the package.

// ledger is a store that writes down each write that succeeded.
type ledger struct {
	connect.Store

	mu     sync.Mutex // guards writes
	writes []string
}

// keepLedger makes a world's store a ledger.
func keepLedger(l *ledger) func(*connect.Config) {
	return func(c *connect.Config) { l.Store, c.Store = c.Store, l }
}

func (l *ledger) wrote(name string, err error) {
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.writes = append(l.writes, name)
	}
}

// since returns what was written after the first n writes.
func (l *ledger) since(n int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.writes[n:]...)
}

func (l *ledger) CreateFlow(ctx context.Context, flow connect.Flow, caps connect.FlowCaps) error {
	err := l.Store.CreateFlow(ctx, flow, caps)
	l.wrote("CreateFlow", err)
	return err
}

func (l *ledger) MoveFlow(ctx context.Context, from connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
	flow, err := l.Store.MoveFlow(ctx, from, next)
	l.wrote("MoveFlow", err)
	return flow, err
}

func (l *ledger) CommitFlow(ctx context.Context, commit connect.Commit) (connect.Flow, error) {
	flow, err := l.Store.CommitFlow(ctx, commit)
	l.wrote("CommitFlow", err)
	return flow, err
}

func (l *ledger) WriteAccount(ctx context.Context, account connect.Account, events []connect.Event) error {
	err := l.Store.WriteAccount(ctx, account, events)
	l.wrote("WriteAccount", err)
	return err
}

func (l *ledger) ReleaseAccount(ctx context.Context, tenant, id string, events []connect.Event) (connect.Released, error) {
	released, err := l.Store.ReleaseAccount(ctx, tenant, id, events)
	l.wrote("ReleaseAccount", err)
	return released, err
}

func (l *ledger) ClaimGrants(ctx context.Context, claim connect.GrantClaim) ([]connect.ClaimedGrant, error) {
	claimed, err := l.Store.ClaimGrants(ctx, claim)
	if len(claimed) > 0 {
		l.wrote("ClaimGrants", err)
	}
	return claimed, err
}

func (l *ledger) SettleGrant(ctx context.Context, s connect.Settlement) (connect.Grant, error) {
	grant, err := l.Store.SettleGrant(ctx, s)
	l.wrote("SettleGrant", err)
	return grant, err
}

// grantOf reads the grant of an account.
func (w *world) grantOf(account connect.Account) connect.Grant {
	w.t.Helper()
	grant, err := w.config.Store.ReadGrant(w.t.Context(), connect.GrantKey{Tenant: account.Tenant, ID: account.GrantID})
	if err != nil {
		w.t.Fatal(err)
	}
	return grant
}

// account reads one account of a tenant.
func (w *world) account(p connect.Principal, id string) connect.Account {
	w.t.Helper()
	account, err := w.engine.Account(w.t.Context(), p, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return *account
}

// events is what happened in a tenant: type and account, oldest first.
func (w *world) events(tenant string) []string {
	w.t.Helper()
	events, _, err := w.config.Store.ListEvents(w.t.Context(), tenant, connect.Page{Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	var told []string
	for _, e := range events {
		told = append(told, strings.TrimSpace(fmt.Sprintf("%s %s", e.Type, e.AccountID)))
	}
	return told
}

// fault switches a fault of the sandbox on.
func (w *world) fault(f sandbox.Fault) {
	w.t.Helper()
	if err := w.box.SetFault(f); err != nil {
		w.t.Fatal(err)
	}
}

// call makes a request as an account, through Client.
func (w *world) call(tenant, accountID, target string) (status int, err error) {
	w.t.Helper()
	client, err := w.engine.Client(w.t.Context(), tenant, accountID)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, target, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// object is a JSON answer as it is on the wire.
type object = map[string]any

// object returns a JSON answer with the wanted status.
func (r reply) object(t *testing.T, status int) object {
	t.Helper()
	var o object
	r.decode(t, status, &o)
	return o
}

// begin starts a flow over JSON.
func (b *browser) begin(platform string, body object) (flowID, target string) {
	b.w.t.Helper()
	if body == nil {
		body = object{}
	}
	if body["return_url"] == nil {
		body["return_url"] = b.w.host.URL + appHost
	}
	var started struct {
		FlowID string `json:"flow_id"`
		URL    string `json:"url"`
	}
	b.call(http.MethodPost, "/connect/start/"+platform, body).decode(b.w.t, http.StatusCreated, &started)
	return started.FlowID, started.URL
}

// as is the consent of one of the sandbox's people.
func as(persona string) url.Values { return url.Values{"persona": {persona}} }

func headless() url.Values { return url.Values{"mode": {"headless"}} }

// session connects Facebook up to an open selection and returns its session.
func (b *browser) session(persona string) string {
	b.w.t.Helper()
	got := b.connect("facebook", headless(), as(persona)).outcome(b.w.t)
	if got.Get("status") != "pending" || got.Get("session") == "" {
		b.w.t.Fatalf("outcome %v, want a selection", got)
	}
	return got.Get("session")
}

// connected connects without a question and returns the accounts' ids.
func (b *browser) connected(platform string, query, consent url.Values) []string {
	b.w.t.Helper()
	got := b.connect(platform, query, consent).outcome(b.w.t)
	if got.Get("status") != "connected" {
		b.w.t.Fatalf("outcome %v, logs %s", got, b.w.logs)
	}
	return strings.Split(got.Get("account_ids"), ",")
}

// credentials are Ada's at Bluesky.
func credentials() object {
	return object{"identifier": "ada.sandbox.test", "app_password": "sand-box2-test-pass"}
}

// mask replaces what is different each time, wherever it is, by its sort.
func mask(v any, names ...string) any {
	switch v := v.(type) {
	case object:
		for name, value := range v {
			v[name] = mask(value, names...)
			if text, ok := value.(string); ok && text != "" && slices.Contains(names, name) {
				v[name] = "*"
			}
		}
	case []any:
		for i := range v {
			v[i] = mask(v[i], names...)
		}
	}
	return v
}

func stamp(at time.Time) string { return at.Format(time.RFC3339Nano) }

// accountX is the account of the sandbox's bakery as the HTTP surface has it.
func (w *world) accountX(status string, scopes ...any) object {
	return object{
		"id": "*", "platform": "x", "kind": "profile", "platform_account_id": "2244990011",
		"name": "Example Bakery", "username": "examplebakery", "avatar_url": "https://pbs.twimg.com/profile_images/1234/abc.jpg",
		"status": status, "granted_scopes": scopes, "grant_id": "*", "parent_account_id": nil, "client": "shared",
		"target": object{}, "api_base_url": "https://api.x.com/2", "token_expires_at": stamp(w.clock.Now().Add(2 * time.Hour)),
		"ad_account_ids": nil, "metadata": object{"team": "north"}, "label": "", "connected_by": "alice",
		"connected_at": stamp(w.clock.Now()), "updated_at": stamp(w.clock.Now()),
	}
}

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

func granted(account connect.Account) []any {
	scopes := []any{}
	for _, s := range account.Scopes {
		scopes = append(scopes, s)
	}
	return scopes
}

// candidate is a Page as an open selection shows it.
func candidate(id, name, username, avatar string) object {
	return object{
		"id": "page:" + id, "kind": "page", "name": name, "username": username, "avatar_url": avatar,
		"parent": nil, "connected": false, "account_id": nil, "selectable": true, "reason": nil,
	}
}

func TestFlowFacebookHeadless(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	flowID, target := b.begin("facebook", object{"mode": "headless"})
	back := b.arrive(b.consent(target, as("dana"))).outcome(t)
	session := back.Get("session")
	if diff := cmp.Diff(url.Values{"status": {"pending"}, "platform": {"facebook"}, "session": {session}, "flow_id": {flowID}}, back); diff != "" {
		t.Fatalf("return URL (-want +got):\n%s", diff)
	}

	want := object{
		"session": session, "flow_id": flowID, "platform": "facebook", "kind": "page", "expires_at": stamp(w.clock.Now().Add(15 * time.Minute)),
		"multiple": true, "complete": true, "next_cursor": nil,
		"candidates": []any{
			candidate("110000000000001", "Harbour Bakery", "harbourbakery", "https://scontent.sandbox.test/110000000000001.jpg"),
			candidate("110000000000002", "Harbour Bakery Catering", "harbourcatering", "https://scontent.sandbox.test/110000000000002.jpg"),
			candidate("110000000000003", "Harbour Coffee", "", ""),
		},
	}
	for range 2 { // looking consumes nothing
		if diff := cmp.Diff(want, b.get("/connect/pending/"+session).object(t, http.StatusOK)); diff != "" {
			t.Errorf("pending (-want +got):\n%s", diff)
		}
	}
	outcome := b.get("/connect/flows/"+flowID).object(t, http.StatusOK)["outcome"]
	waiting := object{"status": "pending", "flow_id": flowID, "platform": "facebook", "session": session, "expires_at": stamp(w.clock.Now().Add(15 * time.Minute))}
	if diff := cmp.Diff(waiting, outcome); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}

	choice := object{"selected_ids": []string{"page:110000000000003", "page:110000000000001"}}
	first := b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", choice)
	done := first.object(t, http.StatusOK)
	names := []any{}
	for _, account := range list(done["accounts"]) {
		names = append(names, account["name"], account["platform_account_id"], account["status"])
	}
	if diff := cmp.Diff([]any{"Harbour Coffee", "110000000000003", "active", "Harbour Bakery", "110000000000001", "active"}, names); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]any{}, done["failed"]); diff != "" || len(done) != 3 {
		t.Errorf("answer %v", done)
	}
	ids := list(done["accounts"])
	returnURL := fmt.Sprintf("%s%s?status=connected&platform=facebook&account_ids=%s%%2C%s&flow_id=%s", w.host.URL, appHost, ids[0]["id"], ids[1]["id"], flowID)
	if done["return_url"] != returnURL {
		t.Errorf("return_url %s\nwant       %s", done["return_url"], returnURL)
	}
	again := b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", object{"selected_ids": []string{"page:110000000000001", "page:110000000000003"}})
	if again.body != first.body {
		t.Errorf("the same choice again gives another answer:\n%s%s", first.body, again.body)
	}
	for _, account := range w.accounts(alice) {
		target := "https://graph.facebook.com/v26.0/" + account.PlatformID + "?fields=id,name"
		if status, err := w.call("acme", account.ID, target); status != http.StatusOK || err != nil {
			t.Errorf("call: %d, %v", status, err)
		}
	}
}

// list is a JSON array of objects.
func list(v any) []object {
	array, _ := v.([]any)
	var objects []object
	for _, one := range array {
		o, _ := one.(object)
		objects = append(objects, o)
	}
	return objects
}

func TestFlowFacebookHosted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	picker := b.connect("facebook", nil, as("dana")).location()
	if !strings.HasPrefix(picker, w.config.BaseURL+"/ui/pending/") {
		t.Fatalf("the picker is at %s", picker)
	}
	page := b.get(picker)
	for _, name := range []string{"Harbour Bakery", "Harbour Bakery Catering", "Harbour Coffee"} {
		if !strings.Contains(page.body, name) {
			t.Errorf("%s is not on offer: %s", name, page.body)
		}
	}
	form := url.Values{"csrf_token": {page.formToken(t)}}
	if nothing := b.post(picker+"/finalize", form); nothing.status != http.StatusUnprocessableEntity {
		t.Errorf("nothing chosen: status %d", nothing.status)
	}
	form["selected_ids"] = []string{"page:110000000000001", "page:110000000000002"}
	done := b.post(picker+"/finalize", form)
	if got := done.outcome(t); got.Get("status") != "connected" || len(strings.Split(got.Get("account_ids"), ",")) != 2 || got.Has("account_id") {
		t.Errorf("outcome %v", got)
	}
	if !strings.HasPrefix(done.location(), w.host.URL+appHost+"?") {
		t.Errorf("the post ends at %s", done.location())
	}
	for name, again := range map[string]reply{"double click": b.post(picker+"/finalize", form), "back button": b.get(picker)} {
		if again.location() != done.location() {
			t.Errorf("%s ends at %s", name, again.location())
		}
	}
}

func TestFlowPopupEndsOnResultPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	got := b.connect("x", url.Values{"mode": {"popup"}}, nil)
	if !strings.HasPrefix(got.location(), w.config.BaseURL+"/ui/result?status=connected&platform=x&") {
		t.Fatalf("the popup ends at %s", got.location())
	}
	if page := b.get(got.location()); !strings.Contains(page.body, "Example Bakery") {
		t.Errorf("result page: %s", page.body)
	}
	if page := w.browser(&bob).get(got.location()); strings.Contains(page.body, "Example Bakery") {
		t.Error("another tenant sees the account on the result page")
	}
}

// TestFlowFacebookDecides: what is connected without a question.
func TestFlowFacebookDecides(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, persona, rule string
		want                []string
	}{
		{"exactly one Page", "single", "", []string{"Sam's Bikes"}},
		{"the first", "dana", "first", []string{"Harbour Bakery"}},
		{"all", "dana", "all", []string{"Harbour Bakery", "Harbour Bakery Catering", "Harbour Coffee"}},
		{"all that can be", "analyst", "all", []string{"Harbour Bakery"}},
		{"all of a portfolio", "portfolio", "all", []string{"Holding News", "Client Shop"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var names []string
			for _, id := range w.browser(&alice).connected("facebook", url.Values{"select": {tt.rule}}, as(tt.persona)) {
				names = append(names, w.account(alice, id).Name)
			}
			if diff := cmp.Diff(tt.want, names); diff != "" {
				t.Errorf("accounts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFlowNothingToConnect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.browser(&alice).connect("facebook", nil, as("nobody")).outcome(t)
	if got.Get("status") != "error" || got.Get("error") != "nothing_to_connect" {
		t.Fatalf("outcome %v", got)
	}
	w.settle()
	if n := w.box.Requests("graph.facebook.com", "/v26.0/102233445566781/permissions"); n != 1 {
		t.Errorf("the grant was revoked %d times, want once", n)
	}
	if diff := cmp.Diff([]string{"flow.failed"}, w.events("acme")); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestFlowDisabledCandidate: what cannot be chosen is shown with the reason.
func TestFlowDisabledCandidate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	session := b.session("analyst")
	candidates := list(b.get("/connect/pending/"+session).object(t, http.StatusOK)["candidates"])
	if len(candidates) != 2 || candidates[1]["selectable"] != false || candidates[1]["reason"] == nil || candidates[0]["selectable"] != true {
		t.Fatalf("candidates %v", candidates)
	}
	refused := b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", object{"selected_ids": []string{"page:110000000000004"}})
	if code := refused.problem(t, http.StatusUnprocessableEntity); code != "not_offered" {
		t.Errorf("code %s", code)
	}
	done := b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", object{"selected_ids": []string{"page:110000000000001"}})
	if got := list(done.object(t, http.StatusOK)["accounts"]); len(got) != 1 {
		t.Errorf("accounts %v", got)
	}
	marked := b.session("analyst")
	again := list(b.get("/connect/pending/"+marked).object(t, http.StatusOK)["candidates"])
	if again[0]["connected"] != true || again[0]["account_id"] != w.accounts(alice)[0].ID || again[1]["connected"] != false {
		t.Errorf("connected marks: %v", again)
	}
}

func TestFlowAgencyIsPagedAndSearched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	session := b.session("agency")
	seen := map[any]bool{}
	query := "limit=20"
	for pages := 1; ; pages++ {
		got := b.get("/connect/pending/"+session+"?"+query).object(t, http.StatusOK)
		for _, c := range list(got["candidates"]) {
			if seen[c["id"]] {
				t.Errorf("%v comes twice", c["id"])
			}
			seen[c["id"]] = true
		}
		next, more := got["next_cursor"].(string)
		if !more {
			if pages != 4 || got["complete"] != true {
				t.Errorf("%d pages, complete %v", pages, got["complete"])
			}
			break
		}
		query = "limit=20&cursor=" + url.QueryEscape(next)
	}
	if len(seen) != 64 {
		t.Errorf("%d candidates, want 64", len(seen))
	}
	found := list(b.get("/connect/pending/"+session+"?q=client+6").object(t, http.StatusOK)["candidates"])
	if len(found) != 5 || found[0]["name"] != "Client 60" {
		t.Errorf("found %v", found)
	}
	done := b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", object{"selected_ids": []any{found[4]["id"]}})
	if got := list(done.object(t, http.StatusOK)["accounts"]); len(got) != 1 || got[0]["name"] != "Client 64" {
		t.Errorf("accounts %v", got)
	}
}

func TestFlowPortfolio(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	session := b.session("portfolio")
	var got []any
	for _, c := range list(b.get("/connect/pending/"+session).object(t, http.StatusOK)["candidates"]) {
		got = append(got, c["name"], c["selectable"])
	}
	if diff := cmp.Diff([]any{"Holding News", true, "Client Shop", true, "Client Cafe, not ticked", false}, got); diff != "" {
		t.Errorf("candidates (-want +got):\n%s", diff)
	}
}

func TestFlowNarrowedScopes(t *testing.T) {
	t.Parallel()
	for platform, missing := range map[string]string{"x": "tweet.write", "facebook": "pages_manage_posts"} {
		t.Run(platform, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.fault(sandbox.Fault{Platform: platform, Fault: "narrowed_scopes"})
			ids := w.browser(&alice).connected(platform, url.Values{"select": {"first"}}, nil)
			account := w.account(alice, ids[0])
			if account.Status != connect.AccountLimited || slices.Contains(account.Scopes, missing) {
				t.Errorf("status %s with %v", account.Status, account.Scopes)
			}
			if diff := cmp.Diff([]string{missing}, account.Missing); diff != "" {
				t.Errorf("missing (-want +got):\n%s", diff)
			}
			if _, err := w.engine.Client(t.Context(), "acme", account.ID); err != nil {
				t.Errorf("a limited account does not work: %v", err)
			}
			healed := w.browser(&alice).connected(platform, url.Values{"account_id": {account.ID}}, nil)
			if now := w.account(alice, healed[0]); now.ID != account.ID || now.Status != connect.AccountActive || len(now.Missing) != 0 {
				t.Errorf("after a full consent: %s, %v", now.Status, now.Missing)
			}
		})
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
