package connect_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/selection"
)

// An account is pointed at another Page of its grant: same id, no consent.
func TestEditPointsElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	id := b.connected("facebook", url.Values{"select": {"first"}}, as("dana"))[0]
	before := w.account(alice, id)

	got := b.get("/connect/accounts/"+id+"/candidates").object(t, http.StatusOK)
	first := candidate("110000000000001", "Harbour Bakery", "harbourbakery", "https://scontent.sandbox.test/110000000000001.jpg")
	first["connected"], first["account_id"] = true, id
	want := object{
		"platform": "facebook", "kind": "page", "multiple": false, "complete": true, "next_cursor": nil,
		"candidates": []any{
			first,
			candidate("110000000000002", "Harbour Bakery Catering", "harbourcatering", "https://scontent.sandbox.test/110000000000002.jpg"),
			candidate("110000000000003", "Harbour Coffee", "", ""),
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("candidates (-want +got):\n%s", diff)
	}
	paged := b.get("/connect/accounts/"+id+"/candidates?q=harbour&limit=1&cursor=1").object(t, http.StatusOK)
	if page := list(paged["candidates"]); len(page) != 1 || page[0]["name"] != "Harbour Bakery Catering" || paged["next_cursor"] != "2" {
		t.Errorf("second page %v", paged)
	}

	w.clock.advance(1)
	edited := b.call(http.MethodPatch, "/connect/accounts/"+id, object{"selected_id": "page:110000000000003"}).object(t, http.StatusOK)
	if edited["id"] != id || edited["platform_account_id"] != "110000000000003" || edited["name"] != "Harbour Coffee" || edited["username"] != nil {
		t.Errorf("answer %v", edited)
	}
	after := w.account(alice, id)
	if after.Version != before.Version+1 || after.Generation != before.Generation+1 || after.GrantID != before.GrantID ||
		after.ConnectedAt != before.ConnectedAt || after.ConnectedBy != before.ConnectedBy {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	w.callsPage(after)
	if diff := cmp.Diff([]string{"account.connected " + id, "account.updated " + id}, w.events("acme")); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	// What it was before can be connected again, as another account.
	if again := b.connected("facebook", url.Values{"select": {"first"}}, as("dana"))[0]; again == id {
		t.Error("the first Page has the id of the account that was pointed elsewhere")
	}
}

func TestEditIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		before func(*shelfBench, connect.Account) (other string)
		id     string
		want   connect.Code
	}{
		"not offered":           {nil, "board:9", connect.CodeNotOffered},
		"another kind":          {nil, "wall:2", connect.CodeNotOffered},
		"without its kind":      {nil, "2", connect.CodeNotOffered},
		"longer than an id":     {nil, "board:" + strings.Repeat("2", 600), connect.CodeInvalidRequest},
		"cannot be chosen":      {func(b *shelfBench, _ connect.Account) string { return b.blocked() }, "board:2", connect.CodeNotOffered},
		"another account":       {func(b *shelfBench, a connect.Account) string { return b.sibling(a).ID }, "board:2", connect.CodeConflict},
		"a disconnected one":    {func(b *shelfBench, a connect.Account) string { return b.tombstone(a).ID }, "board:2", connect.CodeConflict},
		"the platform is down":  {func(b *shelfBench, _ connect.Account) string { return b.down(connect.ClassRetry) }, "board:2", connect.CodePlatformError},
		"the client is refused": {func(b *shelfBench, _ connect.Account) string { return b.down(connect.ClassConfig) }, "board:2", connect.CodePlatformError},
		"the grant is over": {func(b *shelfBench, _ connect.Account) string {
			b.fake.answer("refresh", fails(connect.ClassReconnect))
			return b.down(connect.ClassReconnect)
		}, "board:2", connect.CodeReauthRequired},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newShelf(t)
			account := b.board()
			other := ""
			if tt.before != nil {
				other = tt.before(b, account)
			}
			before := b.account(account.ID)
			_, err := b.engine.Edit(t.Context(), alice, account.ID, connect.EditRequest{SelectedID: tt.id})
			if e := errorOf(t, err); e.Code != tt.want || tt.want == connect.CodeConflict && e.AccountID != other || e.Message == "" {
				t.Errorf("%v, account %q: want %s, %q", err, e.AccountID, tt.want, other)
			}
			after := b.account(account.ID)
			if name == "the grant is over" {
				before.Status, before.Version, before.UpdatedAt = after.Status, after.Version, after.UpdatedAt
			}
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("the account (-before +after):\n%s", diff)
			}
		})
	}
}

func (b *shelfBench) blocked() string {
	b.shelf.changes("2", func(c *selection.Candidate) { c.Reason = "no right" })
	return ""
}

func (b *shelfBench) down(class connect.ErrorClass) string {
	b.shelf.fail(&connect.ProviderError{Class: class})
	return ""
}

// sibling connects the second board of the account's grant.
func (b *shelfBench) sibling(account connect.Account) connect.Account {
	b.t.Helper()
	done, err := b.finalize(b.more(account).Session, "board:2")
	if err != nil {
		b.t.Fatal(err)
	}
	return done.Accounts[0]
}

func (b *shelfBench) tombstone(account connect.Account) connect.Account {
	b.t.Helper()
	other := b.sibling(account)
	if _, err := b.engine.Disconnect(b.t.Context(), alice, other.ID); err != nil {
		b.t.Fatal(err)
	}
	return other
}

// An account whose Page was lost works again as another, or as what it was.
func TestEditRecoversALostTarget(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"1", "3"} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			b := newShelf(t)
			account := b.board()
			lost := b.account(account.ID)
			lost.Status = connect.AccountTargetLost
			lost.Version++
			if err := b.config.Store.WriteAccount(t.Context(), lost, nil); err != nil {
				t.Fatal(err)
			}
			edited, err := b.engine.Edit(t.Context(), alice, account.ID, connect.EditRequest{SelectedID: "board:" + id})
			if err != nil || edited.Status != connect.AccountActive || edited.PlatformID != id || edited.Target["board"] != id {
				t.Fatalf("account %+v, %v", edited, err)
			}
			if got, want := b.own(*edited), "own-"+id+"-access-first"; got != want {
				t.Errorf("the account works with %q, want %q", got, want)
			}
		})
	}
}

func TestEditLabelAndMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	id := b.connected("x", nil, nil)[0]
	steps := []struct {
		body            string
		label, metadata any
	}{
		{`{"label":"Our bakery ✓"}`, "Our bakery ✓", object{}},
		{`{"metadata":{"team":"north"}}`, "Our bakery ✓", object{"team": "north"}},
		{`{"label":null}`, nil, object{"team": "north"}},
		{`{"label":"` + strings.Repeat("a", 200) + `","metadata":{}}`, strings.Repeat("a", 200), object{}},
		{`{"label":""}`, nil, object{}},
	}
	for _, step := range steps {
		restore := b.from("same-origin")
		got := b.do(http.MethodPatch, "/connect/accounts/"+id, "application/json", step.body).object(t, http.StatusOK)
		restore()
		if diff := cmp.Diff([]any{step.label, step.metadata}, []any{got["label"], got["metadata"]}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.body, diff)
		}
	}
	stored := w.account(alice, id)
	if got := len(w.events("acme")); got != 1+len(steps) || stored.Version != int64(1+len(steps)) || stored.Generation != 1 {
		t.Errorf("%d events, version %d, generation %d", got, stored.Version, stored.Generation)
	}
	for name, tt := range map[string]struct {
		body  string
		field string
	}{
		"nothing":                 {`{}`, ""},
		"no body":                 {``, ""},
		"unknown":                 {`{"name":"x"}`, ""},
		"empty choice":            {`{"selected_id":""}`, "selected_id"},
		"a list of choices":       {`{"selected_id":["page:1"]}`, "selected_id"},
		"label too long":          {`{"label":"` + strings.Repeat("a", 201) + `"}`, "label"},
		"label of another type":   {`{"label":1}`, "label"},
		"control characters":      {`{"label":"a\u0007"}`, "label"},
		"a line break":            {`{"label":"a\nb"}`, "label"},
		"metadata is no object":   {`{"metadata":[]}`, "metadata"},
		"metadata is null":        {`{"metadata":null}`, "metadata"},
		"metadata of 3 KiB":       {`{"metadata":{"a":"` + strings.Repeat("a", 3<<10) + `"}}`, "metadata"},
		"good beside bad":         {`{"label":"x","metadata":[]}`, "metadata"},
		"a status":                {`{"status":"active"}`, ""},
		"ad accounts, that later": {`{"ad_account_ids":"all"}`, "ad_account_ids"},
	} {
		restore := b.from("same-origin")
		got := b.do(http.MethodPatch, "/connect/accounts/"+id, "application/json", tt.body)
		restore()
		status, code := http.StatusBadRequest, "invalid_request"
		if tt.field == "ad_account_ids" {
			status, code = http.StatusUnprocessableEntity, "unsupported"
		}
		var p struct{ Code, Field string }
		got.decode(t, status, &p)
		if p.Code != code || p.Field != tt.field {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	bad := "\xff"
	_, err := w.engine.Edit(t.Context(), alice, id, connect.EditRequest{Label: &bad})
	wantCode(t, err, connect.CodeInvalidRequest)
	if after := w.account(alice, id); after.Version != stored.Version {
		t.Error("a refused edit has changed the account")
	}
}

// Of many edits at once, each that succeeds is kept, and the others say so.
func TestEditsAtOnce(t *testing.T) {
	t.Parallel()
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newShelf(t, func(c *connect.Config) { c.Store = store(t, c.Now) })
			account := b.board()
			var all sync.WaitGroup
			results := make([]error, 20)
			for i := range results {
				label := fmt.Sprint("label ", i)
				all.Go(func() {
					req := connect.EditRequest{Label: &label}
					if i%2 == 0 {
						req = connect.EditRequest{SelectedID: fmt.Sprint("board:", 1+i%3), Metadata: json.RawMessage(`{}`)}
					}
					_, results[i] = b.engine.Edit(context.WithoutCancel(t.Context()), alice, account.ID, req)
				})
			}
			all.Wait()
			succeeded := int64(0)
			for _, err := range results {
				switch {
				case err == nil:
					succeeded++
				case connect.CodeOf(err) != connect.CodeConflict:
					t.Error(err)
				}
			}
			after := b.account(account.ID)
			if succeeded == 0 || after.Version != account.Version+succeeded {
				t.Errorf("%d succeeded, version %d after %d", succeeded, after.Version, account.Version)
			}
			if got, want := b.own(after), "own-"+after.PlatformID+"-access-first"; got != want {
				t.Errorf("the account works with %q, want %q", got, want)
			}
		})
	}
}

// The host decides who may edit, and sees which account is concerned.
func TestEditAsksTheHost(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []connect.Action
	b := newShelf(t, func(c *connect.Config) {
		c.Authorize = func(_ context.Context, _ connect.Principal, a connect.Action) error {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, a)
			if a.Name == connect.ActionEdit {
				return fmt.Errorf("not %s", a.Name)
			}
			return nil
		}
	})
	account := b.board()
	asked = nil
	label := "x"
	_, err := b.engine.Edit(t.Context(), alice, account.ID, connect.EditRequest{Label: &label})
	wantCode(t, err, connect.CodeForbidden)
	_, err = b.engine.Candidates(t.Context(), alice, account.ID, connect.PendingRequest{})
	wantCode(t, err, connect.CodeForbidden)
	if got := b.shelf.listedWith(); len(got) != 0 {
		t.Errorf("the platform was asked %d times", len(got))
	}
	b.more(account)
	want := []connect.Action{
		{Name: connect.ActionEdit, Platform: "fake", AccountID: account.ID},
		{Name: connect.ActionEdit, Platform: "fake", AccountID: account.ID},
		{Name: connect.ActionStart, Platform: "fake", AccountID: account.ID},
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}
