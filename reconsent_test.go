package connect_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
)

// On X consents coexist: one that covers less than the account needs is
// refused, and what was there goes on working.
func TestNarrowerConsentOnXKeepsTheEarlierOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	id := b.connect("x", nil, nil).outcome(t).Get("account_id")
	before := grantOf(t, w, id)

	got := b.connect("x", url.Values{"scopes": {"tweet.read users.read"}}, nil).outcome(t)
	if got.Get("error") != "scope_missing" {
		t.Errorf("outcome %v, want scope_missing", got)
	}
	if after := grantOf(t, w, id); after.Generation != before.Generation {
		t.Errorf("generation %d, want %d: the earlier consent was replaced", after.Generation, before.Generation)
	}
	if status, err := w.call("acme", id, xMe); status != http.StatusOK || err != nil {
		t.Errorf("status %d, %v", status, err)
	}
	if got := b.connect("x", nil, nil).outcome(t).Get("account_id"); got != id {
		t.Errorf("a full consent connects %q, want %q", got, id)
	}
}

// On Facebook a new consent changes what earlier ones have, for the Pages that
// are not chosen again as well.
func TestNarrowerConsentOnFacebookLimitsTheSiblings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	ids := b.connected("facebook", url.Values{"select": {"all"}}, nil)
	if len(ids) != 3 {
		t.Fatalf("%d Pages, want 3", len(ids))
	}
	b.connected("facebook", url.Values{"select": {"first"}}, url.Values{"scope": {"pages_show_list", "pages_read_engagement", "business_management"}})
	for _, id := range ids {
		account := w.account(acmeKey, id)
		if account.Status != connect.AccountLimited || len(account.Missing) != 1 || account.Missing[0] != "pages_manage_posts" {
			t.Errorf("%s is %s, missing %v", account.Name, account.Status, account.Missing)
		}
	}
}

// Who reconnects an account as somebody else changes nothing of it.
func TestThreat20_ReconnectedByAnotherPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	id := b.connected("x", nil, as("bakery"))[0]
	before := w.account(alice, id)
	got := b.connect("x", url.Values{"account_id": {id}}, as("clara")).outcome(t)
	if got.Get("error") != "identity_mismatch" {
		t.Errorf("outcome %v, want identity_mismatch", got)
	}
	if diff := cmp.Diff([]connect.Account{before}, w.accounts(alice)); diff != "" {
		t.Errorf("accounts (-before +after):\n%s", diff)
	}
}
