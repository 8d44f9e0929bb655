package connect_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sandbox"
)

func granted(account connect.Account) []any {
	scopes := []any{}
	for _, s := range account.Scopes {
		scopes = append(scopes, s)
	}
	return scopes
}

// orNull is how JSON says that there is nothing.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// candidate is a Page as an open selection shows it.
func candidate(id, name, username, avatar string) object {
	return object{
		"id": "page:" + id, "kind": "page", "name": name, "username": orNull(username), "avatar_url": orNull(avatar),
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
