package connect_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

func (l *ledger) ClaimGrant(ctx context.Context, key connect.GrantKey, attempt string, lease time.Duration) (connect.ClaimedGrant, error) {
	claimed, err := l.Store.ClaimGrant(ctx, key, attempt, lease)
	l.wrote("ClaimGrant", err)
	return claimed, err
}

func (l *ledger) ClaimDueGrants(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
	due, err := l.Store.ClaimDueGrants(ctx, claim)
	if len(due.Grants) > 0 {
		l.wrote("ClaimDueGrants", err)
	}
	return due, err
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
		"ad_account_ids": nil, "metadata": object{"team": "north"}, "label": nil, "connected_by": "alice",
		"connected_at": stamp(w.clock.Now()), "updated_at": stamp(w.clock.Now()),
	}
}
