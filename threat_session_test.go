package connect_test

import (
	"crypto/sha256"
	"net/http"
	"strings"
	"testing"

	"github.com/seed944197df/connect"
)

// TestThreat68_ForeignSession: a session opens to the user who began and to
// the tenant's API keys, and to nobody else.
func TestThreat68_ForeignSession(t *testing.T) {
	t.Parallel()
	var book ledger
	w := newWorld(t, keepLedger(&book))
	session := w.browser(&alice).session("dana")
	target, choice := "/connect/pending/"+session, object{"selected_ids": []string{"page:110000000000001"}}
	before := book.count()
	for name, b := range map[string]*browser{
		"key of another tenant":  w.program("globex"),
		"user of another tenant": w.browser(&bob),
		"user of the tenant":     w.browser(&mallory),
		"same user elsewhere":    w.browser(&connect.Principal{Tenant: "globex", User: "alice"}),
	} {
		if code := b.get(target).problem(t, http.StatusNotFound); code != "not_found" {
			t.Errorf("%s: pending: %s", name, code)
		}
		if code := b.call(http.MethodPost, target+"/finalize", choice).problem(t, http.StatusNotFound); code != "not_found" {
			t.Errorf("%s: finalize: %s", name, code)
		}
		if got := b.get("/connect/ui" + strings.TrimPrefix(target, "/connect")); got.status != http.StatusNotFound || strings.Contains(got.body, "Harbour") {
			t.Errorf("%s: picker: status %d", name, got.status)
		}
	}
	if code := w.browser(nil).get(target).problem(t, http.StatusUnauthorized); code != "unauthenticated" {
		t.Errorf("nobody: %s", code)
	}
	if wrote := book.since(before); len(wrote) != 0 {
		t.Errorf("something changed: %v", wrote)
	}
	w.program("acme").get(target).wantStatus(t, http.StatusOK)
	w.browser(&alice).call(http.MethodPost, target+"/finalize", choice).wantStatus(t, http.StatusOK)
}

// A digest that was written into a row opens nothing.
func TestThreat68_PlantedDigest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	flowID := w.browser(&alice).connect("facebook", headless(), nil).outcome(t).Get("flow_id")
	row := w.flowRow(flowID)
	sum := sha256.Sum256([]byte("mine"))
	row.Session = sum[:]
	if _, err := w.config.Store.MoveFlow(t.Context(), row.Status, row); err != nil {
		t.Fatal(err)
	}
	_, err := w.engine.Pending(t.Context(), alice, "mine", connect.PendingRequest{})
	wantCode(t, err, connect.CodeNotFound)
}

// A colleague with a bearer token is a user, not an API key.
func TestThreat68_ColleagueWithBearerToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	back := w.browser(&alice).connect("facebook", headless(), nil).outcome(t)
	colleague := connect.Principal{Tenant: "acme", User: "mallory"}
	_, err := w.engine.Flow(t.Context(), colleague, back.Get("flow_id"))
	wantCode(t, err, connect.CodeNotFound)
	_, err = w.engine.Pending(t.Context(), colleague, back.Get("session"), connect.PendingRequest{})
	wantCode(t, err, connect.CodeNotFound)
	own := connect.Principal{Tenant: "acme", User: "alice"}
	if _, err := w.engine.Pending(t.Context(), own, back.Get("session"), connect.PendingRequest{}); err != nil {
		t.Errorf("alice with a bearer token: %v", err)
	}
}

// A session on a grant is its user's and the tenant's programs', as others are.
func TestThreat68_SessionOnAGrant(t *testing.T) {
	t.Parallel()
	b := newShelf(t)
	out := b.more(b.board())
	for name, p := range map[string]connect.Principal{"colleague": mallory, "colleague's token": {Tenant: "acme", User: "mallory"}, "another tenant": bob, "its key": {Tenant: "globex"}} {
		_, err := b.engine.Pending(t.Context(), p, out.Session, connect.PendingRequest{})
		if connect.CodeOf(err) != connect.CodeNotFound {
			t.Errorf("%s: pending: %v", name, err)
		}
		_, err = b.engine.Finalize(t.Context(), p, out.Session, connect.FinalizeRequest{SelectedIDs: []string{"board:2"}})
		if connect.CodeOf(err) != connect.CodeNotFound {
			t.Errorf("%s: finalize: %v", name, err)
		}
	}
	if _, err := b.engine.Pending(t.Context(), acmeKey, out.Session, connect.PendingRequest{}); err != nil {
		t.Errorf("the tenant's key: %v", err)
	}
	if _, err := b.finalize(out.Session, "board:2"); err != nil {
		t.Errorf("its user: %v", err)
	}
}
