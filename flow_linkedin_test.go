package connect_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/linkedin"
	"github.com/seed944197df/connect/sandbox"
	"github.com/seed944197df/connect/tokencrypt"
)

// withLinkedIn offers LinkedIn beside the rest.
func withLinkedIn(c *connect.Config) {
	c.Providers = append(c.Providers, linkedin.New(linkedin.Options{ClientID: "li-client", ClientSecret: tokencrypt.NewSecret(linkedinSecret)}))
}

// linkedInSession connects as a person up to the selection.
func (b *browser) linkedInSession(persona string) string {
	b.w.t.Helper()
	got := b.connect("linkedin", headless(), as(persona)).outcome(b.w.t)
	if got.Get("status") != "pending" || got.Get("session") == "" {
		b.w.t.Fatalf("outcome %v, want a selection", got)
	}
	return got.Get("session")
}

// chosen finishes a selection and returns the accounts.
func (b *browser) chosen(session string, ids ...string) []connect.Account {
	b.w.t.Helper()
	done := b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", object{"selected_ids": ids}).object(b.w.t, http.StatusOK)
	var accounts []connect.Account
	for _, account := range list(done["accounts"]) {
		accounts = append(accounts, b.w.account(alice, fmt.Sprint(account["id"])))
	}
	if len(accounts) != len(ids) {
		b.w.t.Fatalf("%d accounts for %v", len(accounts), ids)
	}
	return accounts
}

// publish posts as an account, by its own URN, through Client.
func (w *world) publish(account connect.Account) (status int, err error) {
	w.t.Helper()
	client, err := w.engine.Client(w.t.Context(), account.Tenant, account.ID)
	if err != nil {
		return 0, err
	}
	post := `{"author":"` + account.Target["urn"] + `","commentary":"Bread at six.","visibility":"PUBLIC","distribution":{"feedDistribution":"MAIN_FEED"},"lifecycleState":"PUBLISHED"}`
	resp, err := client.Post("https://api.linkedin.com/rest/posts", "application/json", strings.NewReader(post))
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func (w *world) wantPublished(accounts ...connect.Account) {
	w.t.Helper()
	for _, account := range accounts {
		if status, err := w.publish(account); status != http.StatusCreated || err != nil {
			w.t.Errorf("%s posts: %d, %v", account.PlatformID, status, err)
		}
	}
}

func (w *world) linkedInTokens() int {
	return w.box.Requests("www.linkedin.com", "/oauth/v2/accessToken")
}

func (w *world) linkedInRevocations() int {
	return w.box.Requests("www.linkedin.com", "/oauth/v2/revoke")
}

// A member with 40 organizations on three pages of a list connects the own
// profile and two of them: three accounts that share one grant, one refresh and
// one end.
func TestFlowLinkedInSharesOneGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withLinkedIn)
	b := w.browser(&alice)
	session := b.linkedInSession("manager")
	kinds := map[any]int{}
	disabled := []any{}
	for query := "limit=100"; ; {
		got := b.get("/connect/pending/"+session+"?"+query).object(t, http.StatusOK)
		for _, c := range list(got["candidates"]) {
			kinds[c["kind"]]++
			if c["selectable"] == false {
				disabled = append(disabled, c["id"], c["reason"])
			}
		}
		next, more := got["next_cursor"].(string)
		if !more {
			break
		}
		query = "limit=100&cursor=" + url.QueryEscape(next)
	}
	if diff := cmp.Diff(map[any]int{"profile": 1, "organization": 40}, kinds); diff != "" {
		t.Errorf("candidates (-want +got):\n%s", diff)
	}
	reason := "You are analyst of this Page, which may not publish. Ask one of its super admins to make you a content admin."
	if diff := cmp.Diff([]any{"organization:300040", reason}, disabled); diff != "" {
		t.Errorf("disabled (-want +got):\n%s", diff)
	}
	if n := w.box.Requests("api.linkedin.com", "/rest/organizationAcls"); n != 3 {
		t.Errorf("the roles were listed on %d pages, want 3", n)
	}

	accounts := b.chosen(session, "profile:zY9xWvUtSr", "organization:300001", "organization:300039")
	w.wantPublished(accounts...)
	for _, account := range accounts[1:] {
		if account.GrantID != accounts[0].GrantID || account.Kind != "organization" {
			t.Errorf("%s is on grant %s", account.PlatformID, account.GrantID)
		}
	}
	w.clock.advance(day)
	if _, err := w.engine.Refresh(t.Context(), alice, accounts[2].ID); err != nil || w.linkedInTokens() != 2 {
		t.Errorf("%v; %d calls of the token endpoint, want the exchange and one refresh", err, w.linkedInTokens())
	}
	w.wantPublished(accounts...)

	for i, want := range []connect.Revocation{connect.RevocationKeptShared, connect.RevocationKeptShared, connect.RevocationRevoked} {
		if got := w.disconnect(alice, accounts[i].ID); got != want {
			t.Errorf("account %d: revocation %s, want %s", i, got, want)
		}
		if _, err := w.publish(accounts[i]); connect.CodeOf(err) != connect.CodeDisconnected {
			t.Errorf("a disconnected account posts: %v", err)
		}
		w.wantPublished(accounts[i+1:]...)
	}
	if n := w.linkedInRevocations(); n != 2 { // the refresh token and the access token
		t.Errorf("%d revocations, want 2", n)
	}
}

// The life of an account, from the start to a reconnect and the end.
func TestFlowLinkedInLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withLinkedIn)
	b := w.browser(&alice)
	consented := w.clock.Now()
	page := b.chosen(b.linkedInSession("lena"), "organization:11223344")[0]
	if diff := cmp.Diff(map[string]string{"urn": "urn:li:organization:11223344", "role": "ADMINISTRATOR"}, page.Target); diff != "" {
		t.Errorf("target (-want +got):\n%s", diff)
	}
	w.wantPublished(page)

	w.clock.advance(58 * day) // of 60
	if _, err := w.engine.Refresh(t.Context(), alice, page.ID); err != nil {
		t.Fatal(err)
	}
	w.wantPublished(page)
	ends := consented.Add(365 * day)
	if grant := w.grantOf(page); !grant.AccessExpiry.Equal(w.clock.Now().Add(60*day)) || !grant.RefreshExpiry.Equal(ends) {
		t.Errorf("the tokens end at %v and %v, the second want %v", grant.AccessExpiry, grant.RefreshExpiry, ends)
	}
	h, err := w.engine.Health(t.Context(), alice, page.ID, connect.HealthRequest{Live: true})
	if err != nil || !h.TokenValid || h.NeedsReconnect || h.NextBreakAt == nil || h.NextBreakAt.After(ends) {
		t.Errorf("health %+v, %v, want a break at %v at the latest", h, err, ends)
	}

	edited := b.call(http.MethodPatch, "/connect/accounts/"+page.ID, object{"selected_id": "organization:22334455"}).object(t, http.StatusOK)
	if edited["id"] != page.ID || edited["name"] != "Harbour Catering" {
		t.Errorf("another selection: %v", edited)
	}
	w.wantPublished(w.account(alice, page.ID))

	again := b.connected("linkedin", url.Values{"account_id": {page.ID}}, as("lena"))
	if len(again) != 1 || again[0] != page.ID {
		t.Errorf("reconnected as %v, want %s", again, page.ID)
	}
	if grant := w.grantOf(page); !grant.RefreshExpiry.Equal(w.clock.Now().Add(365 * day)) {
		t.Errorf("after a new consent the refresh token ends at %v", grant.RefreshExpiry)
	}
	other := b.connect("linkedin", url.Values{"account_id": {page.ID}}, as("solo")).outcome(t)
	if other.Get("error") != "identity_mismatch" {
		t.Errorf("another member reconnects: %v", other)
	}
	w.wantPublished(w.account(alice, page.ID))
	if got := w.disconnect(alice, page.ID); got != connect.RevocationRevoked {
		t.Errorf("revocation %s", got)
	}
	for _, secret := range w.box.Secrets() {
		if strings.Contains(w.logs.String(), secret) {
			t.Fatal("a secret is in the log")
		}
	}
}

// What LinkedIn says of an account when it is asked.
func TestFlowLinkedInHealth(t *testing.T) {
	t.Parallel()
	for fault, reason := range map[string]string{
		"":              "",
		"wrong_subject": "identity_mismatch",
		"expired_token": "token_refused",
		"revoked_token": "token_refused",
		"access_denied": "scope_missing",
		"429":           "",
		"html":          "",
	} {
		t.Run("fault "+fault, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withLinkedIn)
			b := w.browser(&alice)
			page := b.chosen(b.linkedInSession("lena"), "organization:11223344")[0]
			if fault != "" {
				w.fault(sandbox.Fault{Platform: "linkedin", Fault: fault, At: "profile"})
			}
			h, err := w.engine.Health(t.Context(), alice, page.ID, connect.HealthRequest{Live: true})
			if err != nil {
				t.Fatal(err)
			}
			var told []string
			for _, r := range h.Reasons {
				if r.Code != "version_ending" { // the clock is today's
					told = append(told, r.Code)
				}
			}
			if strings.Join(told, " ") != reason {
				t.Errorf("reasons %+v, want %q", h.Reasons, reason)
			}
			if now := w.account(alice, page.ID); now.Status != connect.AccountActive {
				t.Errorf("asking made the account %s", now.Status)
			}
		})
	}
}

// A Page never takes the place of the member's own account.
func TestFlowLinkedInPageBesideProfile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withLinkedIn)
	b := w.browser(&alice)
	profile := b.chosen(b.linkedInSession("lena"), "profile:aB3dEfGhIj")[0]
	page := b.chosen(b.linkedInSession("lena"), "organization:11223344")[0]
	now := w.account(alice, profile.ID)
	if page.ID == profile.ID || now.Kind != "profile" || now.PlatformID != "aB3dEfGhIj" || now.Name != "Lena Example" || now.Status != connect.AccountActive {
		t.Errorf("profile %+v\nPage %+v", now, page)
	}
	w.wantPublished(profile, page)
}

// An app that LinkedIn has not approved for refresh tokens: the account ends
// with its token, says so before, and a new consent mends it.
func TestFlowLinkedInWithoutRefreshToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withLinkedIn)
	w.fault(sandbox.Fault{Platform: "linkedin", Fault: "no_refresh_token"})
	b := w.browser(&alice)
	id := b.connected("linkedin", nil, as("solo"))[0]
	ends := w.clock.Now().Add(60 * day)
	breaks := ends
	if sunset := linkedin.New(linkedin.Options{}).Platform().Version.Sunset; sunset.Before(ends) {
		breaks = sunset // the clock is today's
	}
	w.clock.advance(54 * day)
	h, err := w.engine.Health(t.Context(), alice, id, connect.HealthRequest{})
	if err != nil || h.State != connect.HealthWarning || h.NextBreakAt == nil || !h.NextBreakAt.Equal(breaks) {
		t.Errorf("health %+v, %v, want a warning of %v", h, err, breaks)
	}
	w.wantPublished(w.account(alice, id))
	w.clock.advance(6 * day)
	if _, err := w.publish(w.account(alice, id)); connect.CodeOf(err) != connect.CodeTokenExpired {
		t.Errorf("after 60 days: %v", err)
	}
	if n := w.linkedInTokens(); n != 1 {
		t.Errorf("%d calls of the token endpoint, want 1", n)
	}
	if again := b.connected("linkedin", url.Values{"account_id": {id}}, as("solo")); again[0] != id {
		t.Errorf("reconnected as %v", again)
	}
	w.wantPublished(w.account(alice, id))
}

// What goes wrong between consent and selection, and what the person is told.
func TestFlowLinkedInFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault sandbox.Fault
		code  string
		log   string // for the operator
	}{
		"the member cancels":            {sandbox.Fault{Fault: "deny"}, "access_denied", ""},
		"the member leaves the login":   {sandbox.Fault{Fault: "cancel_login"}, "access_denied", ""},
		"a scope without its product":   {sandbox.Fault{Fault: "unauthorized_scope"}, "platform_error", "unauthorized_scope_error"},
		"the version is over":           {sandbox.Fault{Fault: "version_sunset"}, "platform_error", "set linkedin.Options.Version to a newer one"},
		"roles may not be listed":       {sandbox.Fault{Fault: "access_denied", At: "api"}, "scope_missing", "ACCESS_DENIED"},
		"the member cannot be named":    {sandbox.Fault{Fault: "access_denied", At: "profile"}, "scope_missing", "ACCESS_DENIED"},
		"too many calls":                {sandbox.Fault{Fault: "429", At: "api"}, "platform_error", "TOO_MANY_REQUESTS"},
		"LinkedIn is down":              {sandbox.Fault{Fault: "500", At: "token"}, "platform_error", ""},
		"the exchange's answer is lost": {sandbox.Fault{Fault: "lost_answer", At: "token"}, "platform_error", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withLinkedIn)
			test.fault.Platform = "linkedin"
			w.fault(test.fault)
			got := w.browser(&alice).connect("linkedin", nil, as("lena")).outcome(t)
			if got.Get("status") != "error" || got.Get("error") != test.code {
				t.Errorf("outcome %v, want %s", got, test.code)
			}
			if !strings.Contains(w.logs.String(), test.log) {
				t.Errorf("the log does not say %q:\n%s", test.log, w.logs)
			}
		})
	}
}

// What LinkedIn answers to a request through Client, and what becomes of the
// account.
func TestFlowLinkedInAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		faults  []sandbox.Fault
		want    int // status that the caller gets
		code    connect.Code
		account connect.AccountStatus
		tokens  int // calls of the token endpoint
	}{
		"the token has expired": {[]sandbox.Fault{{Fault: "expired_token", At: "api"}}, 201, "", connect.AccountActive, 2},
		"the member has taken it back": {
			[]sandbox.Fault{{Fault: "revoked_token", At: "api"}, {Fault: "invalid_grant"}}, 0, connect.CodeReauthRequired, connect.AccountReauthRequired, 2,
		},
		"the role is gone":    {[]sandbox.Fault{{Fault: "access_denied", At: "api"}}, 403, "", connect.AccountActive, 1},
		"the version is over": {[]sandbox.Fault{{Fault: "version_sunset"}}, 426, "", connect.AccountActive, 1},
		"too many calls":      {[]sandbox.Fault{{Fault: "429", At: "api"}}, 429, "", connect.AccountActive, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withLinkedIn)
			b := w.browser(&alice)
			page := b.chosen(b.linkedInSession("lena"), "organization:11223344")[0]
			for _, fault := range test.faults {
				fault.Platform = "linkedin"
				w.fault(fault)
			}
			status, err := w.publish(page)
			if status != test.want || connect.CodeOf(err) != test.code {
				t.Errorf("%d, %v, want %d, %q", status, err, test.want, test.code)
			}
			w.settle()
			if got := w.account(alice, page.ID).Status; got != test.account || w.linkedInTokens() != test.tokens {
				t.Errorf("the account is %s after %d calls of the token endpoint, want %s after %d", got, w.linkedInTokens(), test.account, test.tokens)
			}
		})
	}
}
