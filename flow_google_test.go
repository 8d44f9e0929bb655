package connect_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/googlebusiness"
	"github.com/seed944197df/connect/providers/youtube"
	"github.com/seed944197df/connect/sandbox"
	"github.com/seed944197df/connect/tokencrypt"
)

const (
	googleLife = 3599 * time.Second
	channels   = "https://www.googleapis.com/youtube/v3/channels?part=snippet&mine=true"

	youtubeUpload   = "https://www.googleapis.com/auth/youtube.upload"
	youtubeReadOnly = "https://www.googleapis.com/auth/youtube.readonly"
	businessManage  = "https://www.googleapis.com/auth/business.manage"
)

// newGoogle is newWorld with both platforms of Google, on one client.
func newGoogle(t *testing.T) *world {
	t.Helper()
	secret := tokencrypt.NewSecret(googleSecret)
	w := newWorld(t, func(c *connect.Config) {
		c.Providers = append(c.Providers,
			youtube.New(youtube.Options{ClientID: "google-client", ClientSecret: secret}),
			googlebusiness.New(googlebusiness.Options{ClientID: "google-client", ClientSecret: secret}),
		)
	})
	t.Cleanup(func() {
		for _, issued := range w.box.Secrets() {
			if strings.Contains(w.logs.String(), issued) {
				t.Error("the log holds a code, a token or a secret")
			}
		}
	})
	callback := w.host.URL + "/connect/callback/"
	if err := w.box.SetRedirectURIs("google", callback+"youtube", callback+"googlebusiness"); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) googleRevocations() int { return w.box.Requests("oauth2.googleapis.com", "/revoke") }

// works makes a call as an account.
func (w *world) works(account connect.Account) {
	w.t.Helper()
	target := channels
	if account.Platform == "googlebusiness" {
		target = account.APIBaseURL + "/" + account.Target["location"] + "?readMask=name"
	}
	if status, err := w.call(account.Tenant, account.ID, target); status != http.StatusOK || err != nil {
		w.t.Errorf("a call as %s: status %d, %v", account.Name, status, err)
	}
}

// locations connects some of a person's locations.
func (b *browser) locations(persona string, ids ...string) []connect.Account {
	b.w.t.Helper()
	session := b.connect("googlebusiness", headless(), as(persona)).outcome(b.w.t).Get("session")
	return b.choose(session, ids...)
}

func (b *browser) choose(session string, ids ...string) []connect.Account {
	b.w.t.Helper()
	done := b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", object{"selected_ids": ids}).object(b.w.t, http.StatusOK)
	var accounts []connect.Account
	for _, one := range list(done["accounts"]) {
		id, _ := one["id"].(string)
		accounts = append(accounts, b.w.account(alice, id))
	}
	return accounts
}

// From the consent to the end of a channel.
func TestFlowYouTube(t *testing.T) {
	t.Parallel()
	w := newGoogle(t)
	b := w.browser(&alice)
	account := w.account(alice, b.connected("youtube", nil, as("mara"))[0])
	want := []string{"youtube", "channel", "UCmara00000000000000000a", "Mara bakes", "marabakes", "active"}
	got := []string{account.Platform, account.Kind, account.PlatformID, account.Name, account.Username, string(account.Status)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("account (-want +got):\n%s", diff)
	}
	grant := w.grantOf(account)
	if diff := cmp.Diff([]string{youtubeReadOnly, youtubeUpload, "openid"}, account.Scopes); diff != "" || grant.Subject != "100000000000000000001" {
		t.Errorf("subject %q, scopes (-want +got):\n%s", grant.Subject, diff)
	}
	w.works(account)
	w.clock.advance(googleLife)
	w.works(account)
	if n := w.box.Requests("oauth2.googleapis.com", "/token"); n != 2 {
		t.Errorf("%d requests for tokens, want the exchange and a refresh", n)
	}

	health, err := w.engine.Health(t.Context(), alice, account.ID, connect.HealthRequest{Live: true})
	if err != nil || health.State != connect.HealthHealthy || health.NextBreakAt != nil {
		t.Errorf("health %+v, %v", health, err)
	}
	offered, err := w.engine.Candidates(t.Context(), alice, account.ID, connect.PendingRequest{})
	if err != nil || len(offered.Candidates) != 1 || offered.Candidates[0].PlatformID != account.PlatformID {
		t.Errorf("it could be pointed at %+v, %v", offered, err)
	}
	again := b.connected("youtube", url.Values{"account_id": {account.ID}}, as("mara"))
	if again[0] != account.ID {
		t.Errorf("the reconnect made %s of %s", again[0], account.ID)
	}
	other := b.connect("youtube", url.Values{"account_id": {account.ID}}, as("brand")).outcome(t)
	if other.Get("error") != "identity_mismatch" {
		t.Errorf("another channel in its place: %v", other)
	}
	w.works(account)
	if got := w.disconnect(alice, account.ID); got != connect.RevocationRevoked {
		t.Errorf("revocation %q", got)
	}
	_, err = w.call("acme", account.ID, channels)
	wantCode(t, err, connect.CodeDisconnected)
}

// What Google is asked for: a refresh token, the chooser, S256.
func TestFlowGoogleAsks(t *testing.T) {
	t.Parallel()
	w := newGoogle(t)
	target, err := url.Parse(w.browser(&alice).start("youtube", url.Values{"login_hint": {"mara@example.com"}}))
	if err != nil {
		t.Fatal(err)
	}
	q := target.Query()
	got := []string{q.Get("access_type"), q.Get("prompt"), q.Get("login_hint"), q.Get("code_challenge_method"), q.Get("include_granted_scopes")}
	if diff := cmp.Diff([]string{"offline", "select_account consent", "mara@example.com", "S256", ""}, got); diff != "" {
		t.Error(diff)
	}
}

func TestFlowYouTubeWithoutAChannel(t *testing.T) {
	t.Parallel()
	for name, persona := range map[string]string{"no items": "nobody", "youtubeSignupRequired": "mara"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newGoogle(t)
			if persona == "mara" {
				w.fault(sandbox.Fault{Platform: "google", Fault: "signup_required"})
			}
			b := w.browser(&alice)
			back := b.connect("youtube", url.Values{"mode": {"popup"}}, as(persona))
			if got := back.outcome(t); got.Get("error") != "nothing_to_connect" {
				t.Fatalf("outcome %v", got)
			}
			if page := b.get(back.location()).body; !strings.Contains(page, "This Google account has no YouTube channel. Create one on youtube.com") {
				t.Errorf("the person reads %s", page)
			}
			w.settle()
			if n := w.googleRevocations(); n != 1 {
				t.Errorf("%d revocations, want what is left over to be given back", n)
			}
		})
	}
}

// Every person's boxes: what was left empty limits an account, or is told.
func TestFlowYouTubeGranularConsent(t *testing.T) {
	t.Parallel()
	tick := func(scopes ...string) url.Values {
		return url.Values{"persona": {"mara"}, "scopes": {"chosen"}, "scope": scopes}
	}
	for name, tt := range map[string]struct {
		ticked  []string
		want    string // error
		missing []string
	}{
		"everything":     {ticked: []string{youtubeUpload, youtubeReadOnly}},
		"only to look":   {ticked: []string{youtubeReadOnly}, missing: []string{youtubeUpload}},
		"only to upload": {ticked: []string{youtubeUpload}, want: "scope_missing"},
		"nothing":        {want: "access_denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newGoogle(t)
			b := w.browser(&alice)
			got := b.connect("youtube", nil, tick(tt.ticked...)).outcome(t)
			if got.Get("error") != tt.want {
				t.Fatalf("outcome %v, want the error %q", got, tt.want)
			}
			if tt.want != "" {
				return
			}
			account := w.account(alice, got.Get("account_id"))
			wantStatus := connect.AccountActive
			if tt.missing != nil {
				wantStatus = connect.AccountLimited
			}
			if diff := cmp.Diff(tt.missing, account.Missing); diff != "" || account.Status != wantStatus {
				t.Errorf("%s (-want +got):\n%s", account.Status, diff)
			}
			w.works(account)
			b.connected("youtube", url.Values{"account_id": {account.ID}}, as("mara"))
			if healed := w.account(alice, account.ID); healed.Status != connect.AccountActive {
				t.Errorf("after a full consent it is %s", healed.Status)
			}
		})
	}
}

// 150 locations in three accounts: five are chosen, one more comes later
// without a consent, and an account is pointed elsewhere.
func TestFlowBusinessChain(t *testing.T) {
	t.Parallel()
	w := newGoogle(t)
	b := w.browser(&alice)
	session := b.connect("googlebusiness", headless(), as("chain")).outcome(t).Get("session")
	all := b.everything("/connect/pending/" + session)
	perAccount := map[any]int{}
	for _, c := range all {
		perAccount[fmt.Sprint(c["parent"], " ", c["parent_name"])]++
	}
	if diff := cmp.Diff(map[any]int{"account:3001 Chain North": 120, "account:3002 Chain South": 20, "account:3003 Chain Airports": 10}, perAccount); diff != "" {
		t.Errorf("locations (-want +got):\n%s", diff)
	}
	if n := len(b.everything("/connect/pending/" + session + "?parent=account%3A3002")); n != 20 {
		t.Errorf("%d locations of one account, want 20", n)
	}
	found := b.everything("/connect/pending/" + session + "?q=cc-145")
	if len(found) != 1 || found[0]["name"] != "Chain Coffee, Street 145, Aachen" {
		t.Errorf("found %v", found)
	}

	chosen := []string{location(1), location(60), location(120), location(130), location(150)}
	accounts := b.choose(session, chosen...)
	if len(accounts) != 5 {
		t.Fatalf("%d accounts, want 5", len(accounts))
	}
	wantTarget := map[string]string{"account": "accounts/3002", "location": "locations/95000000000000000130"}
	if diff := cmp.Diff(wantTarget, accounts[3].Target); diff != "" {
		t.Errorf("target (-want +got):\n%s", diff)
	}
	w.posts(accounts[3])

	exchanged := w.box.Requests("oauth2.googleapis.com", "/token")
	more, err := w.engine.AddMore(t.Context(), alice, accounts[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	accounts = append(accounts, b.choose(more.Session, location(77))...)
	edited, err := w.engine.Edit(t.Context(), alice, accounts[0].ID, connect.EditRequest{SelectedID: location(2)})
	if err != nil || edited.ID != accounts[0].ID || edited.Target["location"] != "locations/95000000000000000002" {
		t.Errorf("pointed elsewhere: %+v, %v", edited, err)
	}
	if got := w.box.Requests("oauth2.googleapis.com", "/token"); got != exchanged {
		t.Errorf("%d requests for tokens", got-exchanged)
	}
	w.clock.advance(googleLife)
	w.works(accounts[1])
	health, err := w.engine.Health(t.Context(), alice, accounts[1].ID, connect.HealthRequest{Live: true})
	if err != nil || health.State != connect.HealthHealthy || health.CheckedAt != w.clock.Now() {
		t.Errorf("health %+v, %v", health, err)
	}
	if again := b.connected("googlebusiness", url.Values{"account_id": {accounts[1].ID}}, as("chain")); again[0] != accounts[1].ID {
		t.Errorf("the reconnect made %s of %s", again[0], accounts[1].ID)
	}
	for i, account := range w.accounts(alice) {
		w.works(account)
		if account.GrantID != accounts[0].GrantID {
			t.Errorf("%s is on a grant of its own", account.Name)
		}
		want := connect.RevocationKeptShared
		if i == 5 {
			want = connect.RevocationRevoked
		}
		if got := w.disconnect(alice, account.ID); got != want {
			t.Errorf("account %d: %q, want %q", i, got, want)
		}
	}
	if n := w.googleRevocations(); n != 1 {
		t.Errorf("%d revocations, want 1 by the last one out", n)
	}
}

func location(n int) string { return fmt.Sprintf("location:95000000000000000%03d", n) }

// everything reads all pages of a selection.
func (b *browser) everything(target string) []object {
	b.w.t.Helper()
	separator := "?"
	if strings.Contains(target, "?") {
		separator = "&"
	}
	var all []object
	for cursor := ""; ; {
		got := b.get(target+separator+"limit=100&cursor="+url.QueryEscape(cursor)).object(b.w.t, http.StatusOK)
		all = append(all, list(got["candidates"])...)
		next, more := got["next_cursor"].(string)
		if !more {
			return all
		}
		cursor = next
	}
}

// posts publishes with what a host is given: Client and the target.
func (w *world) posts(account connect.Account) {
	w.t.Helper()
	client, err := w.engine.Client(w.t.Context(), account.Tenant, account.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	target := "https://mybusiness.googleapis.com/v4/" + account.Target["account"] + "/" + account.Target["location"] + "/localPosts"
	resp, err := client.Post(target, "application/json", strings.NewReader(`{"summary":"Fresh bread at seven."}`))
	if err != nil {
		w.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		w.t.Errorf("status %d", resp.StatusCode)
	}
}

// What cannot be chosen says why; a location in two accounts comes once.
func TestFlowBusinessReasons(t *testing.T) {
	t.Parallel()
	w := newGoogle(t)
	b := w.browser(&alice)
	session := b.connect("googlebusiness", headless(), as("mara")).outcome(t).Get("session")
	var got []any
	for _, c := range b.everything("/connect/pending/" + session) {
		got = append(got, c["id"], c["parent"], c["selectable"])
	}
	want := []any{
		"location:9001", "account:1001", true, "location:9002", "account:1001", true,
		"location:9003", "account:2001", true, "location:9004", "account:2001", false,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("offered (-want +got):\n%s", diff)
	}
	refused := b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", object{"selected_ids": []string{"location:9004"}})
	if code := refused.problem(t, http.StatusUnprocessableEntity); code != "not_offered" {
		t.Errorf("code %s", code)
	}
	picker := b.get("/connect/ui/pending/" + session).body
	for _, text := range []string{"Bakeries North", "Am Hafen 7", "business.google.com"} {
		if !strings.Contains(picker, text) {
			t.Errorf("the picker does not show %q", text)
		}
	}
}

func TestFlowBusinessOutcomes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		persona, fault, want string
	}{
		"one location needs no question": {"single", "", "connected"},
		"more accounts than a page":      {"agency", "", "pending"},
		"nothing there":                  {"nobody", "", "nothing_to_connect"},
		"the box was left empty":         {"mara", "narrowed_scopes", "access_denied"},
		"the project was not let in":     {"mara", "no_quota", "platform_error"},
		"the API is not switched on":     {"mara", "api_disabled", "platform_error"},
		"no refresh token":               {"mara", "no_refresh_token", "platform_error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newGoogle(t)
			if tt.fault != "" {
				w.fault(sandbox.Fault{Platform: "google", Fault: tt.fault})
			}
			got := w.browser(&alice).connect("googlebusiness", headless(), as(tt.persona)).outcome(t)
			if got.Get("status") != tt.want && got.Get("error") != tt.want {
				t.Errorf("outcome %v", got)
			}
			if told := strings.Contains(w.logs.String(), "a client is refused by its platform"); told != (tt.fault == "no_quota" || tt.fault == "api_disabled") {
				t.Errorf("the operator is told: %t", told)
			}
		})
	}
	t.Run("an account that may not be read", func(t *testing.T) {
		t.Parallel()
		w := newGoogle(t)
		b := w.browser(&alice)
		session := b.connect("googlebusiness", headless(), as("agency")).outcome(t).Get("session")
		if n := len(b.everything("/connect/pending/" + session)); n != 42 {
			t.Errorf("%d locations, want those of the other 42 accounts", n)
		}
	})
}

// Google ends everything that a person gave to a client: one who left must not
// take the others along, in whatever tenant and on whichever platform.
func TestThreat110_SharedGooglePerson(t *testing.T) {
	t.Parallel()
	w := newGoogle(t)
	channel := w.account(alice, w.browser(&alice).connected("youtube", nil, as("mara"))[0])
	theirs := w.account(bob, w.browser(&bob).connected("youtube", nil, as("mara"))[0])
	place := w.browser(&alice).locations("mara", "location:9002")[0]

	if got := w.disconnect(alice, channel.ID); got != connect.RevocationKeptShared {
		t.Errorf("the first tenant's channel: %q", got)
	}
	w.works(theirs)
	w.works(place)
	if got := w.disconnect(bob, theirs.ID); got != connect.RevocationKeptShared {
		t.Errorf("the other tenant's channel: %q", got)
	}
	w.clock.advance(googleLife) // its refresh token still works
	w.works(place)
	if n := w.googleRevocations(); n != 0 {
		t.Fatalf("%d revocations while a location is connected", n)
	}
	if got := w.disconnect(alice, place.ID); got != connect.RevocationRevoked {
		t.Errorf("the last one out: %q", got)
	}
	if n := w.googleRevocations(); n != 1 {
		t.Errorf("%d revocations, want 1", n)
	}
}

// A consent that comes to nothing ends nobody else's.
func TestThreat110_AbandonedGoogleFlow(t *testing.T) {
	t.Parallel()
	w := newGoogle(t)
	account := w.account(bob, w.browser(&bob).connected("googlebusiness", url.Values{"select": {"first"}}, as("chain"))[0])
	got := w.browser(&alice).connect("youtube", nil, as("chain")).outcome(t) // who has no channel
	if got.Get("error") != "nothing_to_connect" {
		t.Fatalf("outcome %v", got)
	}
	w.settle()
	if n := w.googleRevocations(); n != 0 {
		t.Errorf("%d revocations", n)
	}
	var err error
	if w.engine, err = connect.New(w.config); err != nil { // another process
		t.Fatal(err)
	}
	w.works(account)
}
