package connect_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed944197df/connect"
)

// denials is an Authorize whose answer changes.
type denials struct{ denied atomic.Bool }

func (d *denials) authorize(context.Context, connect.Principal, connect.Action) error {
	if d.denied.Load() {
		return errors.New("the role was taken away")
	}
	return nil
}

func TestThreat23_PermissionLostOnTheWay(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		revoked func(w *world) bool // nil: there is nothing to revoke
		begin   func(w *world) func() error
	}{
		"complete": {begin: func(w *world) func() error {
			return w.completing(connect.CompleteRequest{Ticket: w.parked("facebook")})
		}},
		"complete out of quarantine": {
			revoked: func(w *world) bool { return w.revocations() > 0 },
			begin: func(w *world) func() error {
				return w.completing(connect.CompleteRequest{Ticket: w.parked("x")})
			},
		},
		"complete by query": {begin: func(w *world) func() error {
			_, query, _ := strings.Cut(w.consented(), "?")
			return w.completing(connect.CompleteRequest{Platform: "x", Query: query})
		}},
		"finalize": {
			revoked: func(w *world) bool { return w.facebookRevocations() > 0 },
			begin: func(w *world) func() error {
				session, ids := w.pending()
				return func() error {
					_, err := w.engine.Finalize(w.t.Context(), alice, session, connect.FinalizeRequest{SelectedIDs: ids})
					return err
				}
			},
		},
		"callback": {begin: func(w *world) func() error {
			address := w.consented()
			return func() error {
				if got := w.browser(&alice).arrive(address); got.status != http.StatusForbidden {
					return nil
				}
				return &connect.Error{Code: connect.CodeForbidden}
			}
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := &denials{}
			w := newWorld(t, func(c *connect.Config) { c.Authorize = host.authorize })
			finish := tt.begin(w)
			exchanges := w.exchanges()
			host.denied.Store(true)
			wantCode(t, finish(), connect.CodeForbidden)
			host.denied.Store(false)
			if finish() == nil && len(w.accounts(acmeKey)) != 0 {
				t.Error("the flow goes on when the permission is back, want it ended")
			}
			w.settle()
			w.wantExchanges(exchanges)
			w.wantNothingConnected()
			if tt.revoked != nil && !tt.revoked(w) {
				t.Error("what the platform gave was not revoked")
			}
		})
	}
}

// completing calls Complete as alice.
func (w *world) completing(req connect.CompleteRequest) func() error {
	return func() error {
		_, err := w.engine.Complete(w.t.Context(), alice, req)
		return err
	}
}

func TestThreat23_PermissionLostOverHTTP(t *testing.T) {
	t.Parallel()
	host := &denials{}
	w := newWorld(t, func(c *connect.Config) { c.Authorize = host.authorize })
	session, ids := w.pending()
	b := w.browser(&alice)
	token := b.get("/connect/ui/pending/" + session).formToken(t)
	host.denied.Store(true)
	if got := b.call(http.MethodGet, "/connect/pending/"+session, nil).problem(t, http.StatusForbidden); got != "forbidden" {
		t.Errorf("pending: code %q, want forbidden", got)
	}
	b.post("/connect/ui/pending/"+session+"/finalize", url.Values{"csrf_token": {token}, "selected_ids": ids}).wantStatus(t, http.StatusForbidden)
	host.denied.Store(false)
	w.wantNothingConnected()
}

// What the tenant's key may not do is no reason to end a person's flow.
func TestThreat23_DenialOfAnotherEndsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *connect.Config) {
		c.Authorize = func(_ context.Context, p connect.Principal, a connect.Action) error {
			if p.User == "" && a.Name != connect.ActionRead {
				return errBroken
			}
			return nil
		}
	})
	session, choice := w.browser(&alice).session("dana"), connect.FinalizeRequest{SelectedIDs: []string{firstPage}}
	_, err := w.engine.Finalize(t.Context(), acmeKey, session, choice)
	wantCode(t, err, connect.CodeForbidden)
	if done, err := w.engine.Finalize(t.Context(), alice, session, choice); err != nil || len(done.Accounts) != 1 {
		t.Errorf("alice afterwards: %+v, %v, want one account", done, err)
	}
}
