package connect_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
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

// A flow that asks Facebook for less would limit them before its own consent is
// even read, so that it does not begin.
func TestThreat22_NoFlowAsksForLess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := []string{"pages_show_list", "pages_read_engagement", "pages_manage_posts", "business_management"}
	tests := map[string]struct {
		scopes  []string
		missing string // empty: the flow begins
	}{
		"none named":       {nil, ""},
		"the defaults":     {all, ""},
		"more":             {append(slices.Clone(all), "read_insights"), ""},
		"less":             {all[:1], "pages_read_engagement, pages_manage_posts, business_management"},
		"others in return": {[]string{"pages_show_list", "pages_read_engagement", "business_management", "read_insights"}, "pages_manage_posts"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := w.engine.Start(t.Context(), alice, connect.StartRequest{Platform: "facebook", Scopes: tt.scopes})
			if tt.missing == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refused, _ := errors.AsType[*connect.Error](err)
			if refused == nil || refused.Code != connect.CodeInvalidRequest || refused.Field != "scopes" || !strings.Contains(refused.Message, "lose "+tt.missing+". ") {
				t.Errorf("error %v, want that %s are missing", err, tt.missing)
			}
		})
	}
}

// Who reconnects an account as somebody else changes nothing of it, and what he
// gave is given back.
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
	grant := w.grantOf(before)
	grant.ID, grant.Subject = "", "1790000000000000001"
	if _, err := w.config.Store.ReadGrant(t.Context(), grant.Key()); !errors.Is(err, connect.ErrNotFound) {
		t.Errorf("the other person's grant: %v, want none", err)
	}
	if status, err := w.call("acme", id, xMe); status != http.StatusOK || err != nil {
		t.Errorf("status %d, %v: want the account to work", status, err)
	}
	w.settle()
	if got := w.revocations(); got != 2 {
		t.Errorf("%d tokens were revoked, want both of the other person", got)
	}
}
