package pgstore_test

import (
	"errors"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/pgtest"
	"github.com/seed944197df/connect/pgstore"
)

// explained makes the server send the plan of each statement that it has run.
const explained = ` options='-c session_preload_libraries=auto_explain -c auto_explain.log_min_duration=0
	-c auto_explain.log_analyze=on -c auto_explain.log_timing=off -c auto_explain.log_level=notice'`

// plans collects what the server has sent.
type plans struct {
	mu   sync.Mutex // guards sent
	sent []string
}

func (p *plans) notice(_ *pgconn.PgConn, n *pgconn.Notice) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, n.Message)
}

// take returns the plans since it was last called.
func (p *plans) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	sent := p.sent
	p.sent = nil
	return sent
}

// tableRead is a step that reads every row of one of the tables that grow.
var tableRead = regexp.MustCompile(`Seq Scan on (flows|accounts|grants|clients|events)\b`)

// TestNoTableIsRead: no method looks at every row of a table.
func TestNoTableIsRead(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Database(t)
	open(t, dsn, nil)
	fill(t, dsn, 10_000)
	config, err := pgxpool.ParseConfig(dsn + explained)
	if err != nil {
		t.Fatal(err)
	}
	seen := &plans{}
	config.ConnConfig.OnNotice = seen.notice
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store, err := pgstore.New(t.Context(), pool, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range calls(t, store) {
		for range 8 { // a plan for any values is made after the fifth time
			seen.take()
			if err := c.call(); err != nil && !isOfContract(err) {
				t.Errorf("%s: %v", c.name, err)
			}
			sent := seen.take()
			if len(sent) == 0 {
				t.Fatalf("%s: the server sent no plan; the test proves nothing", c.name)
			}
			for _, plan := range sent {
				if tableRead.MatchString(plan) {
					t.Fatalf("%s reads a table:\n%s", c.name, plan)
				}
			}
		}
	}
}

// isOfContract reports whether the method has found rows, if not such as it
// could change.
func isOfContract(err error) bool {
	return errors.Is(err, connect.ErrNotFound) || errors.Is(err, connect.ErrConflict) || errors.Is(err, connect.ErrStale)
}

// call is one method with plain arguments.
type call struct {
	name string
	call func() error
}

// calls are all methods that meet a table that grows, on the rows of fill.
func calls(t *testing.T, s *pgstore.Store) []call {
	t.Helper()
	ctx := t.Context()
	const tenant = "tenant-0"
	flow := connect.Flow{ID: "flow-grant-10", Tenant: tenant, User: "user", Platform: "x", Method: "oauth", Version: 1, Link: []byte("linkgrant-10"), Session: []byte("s"), Ticket: []byte("t")}
	grant := connect.Grant{Tenant: tenant, ID: "grant-10", Platform: "x", ClientID: "client", Subject: "subject-10", SubjectKey: "key-10", Generation: 2}
	account := connect.Account{Tenant: tenant, ID: "account-grant-10", Platform: "x", Kind: "profile", PlatformID: "grant-10", GrantID: "grant-10", Version: 2}
	byID, page := connect.GrantKey{Tenant: tenant, ID: grant.ID}, connect.Page{Limit: 10}
	keys := []connect.GrantKey{byID, grant.Key()}
	st := connect.Settlement{Tenant: tenant, ID: grant.ID, Attempt: "1", Generation: 1, Status: connect.GrantActive}
	ending := st
	ending.Generation, ending.Tokens, ending.AccountStatus = 1, &connect.SealedTokens{}, connect.AccountReauthRequired
	list := func(filter connect.AccountFilter) func() error {
		return func() error { _, _, err := s.ListAccounts(ctx, tenant, filter, page); return err }
	}
	return []call{
		{"CreateFlow", func() error {
			return s.CreateFlow(ctx, flow, connect.FlowCaps{OpenPerUser: 1e6, OpenPerTenant: 1e6, Recent: 1e6, Window: time.Hour})
		}},
		{"ReadFlow", func() error { return only(s.ReadFlow(ctx, connect.FlowKey{Tenant: tenant, ID: flow.ID})) }},
		{"ReadFlow by link", func() error { return only(s.ReadFlow(ctx, connect.FlowKey{Link: flow.Link})) }},
		{"ReadFlow by session", func() error { return only(s.ReadFlow(ctx, connect.FlowKey{Tenant: tenant, Session: flow.Session})) }},
		{"ReadFlow by ticket", func() error { return only(s.ReadFlow(ctx, connect.FlowKey{Tenant: tenant, Ticket: flow.Ticket})) }},
		{"MoveFlow", func() error { return only(s.MoveFlow(ctx, connect.FlowStarted, flow)) }},
		{"ClaimOverdueFlows", func() error { return only(s.ClaimOverdueFlows(ctx, 10, time.Minute)) }},
		{"HastenFlows", func() error { return only(s.HastenFlows(ctx, "tenant-7", "")) }},
		{"HastenFlows of a user", func() error { return only(s.HastenFlows(ctx, "tenant-7", "user")) }},
		{"CommitFlow", func() error {
			return only(s.CommitFlow(ctx, connect.Commit{From: connect.FlowStarted, Flow: flow, Grant: &grant, Accounts: []connect.Account{account}}))
		}},
		{"ReadAccount", func() error { return only(s.ReadAccount(ctx, connect.AccountKey{Tenant: tenant, ID: account.ID})) }},
		{"ReadAccount by key", func() error { return only(s.ReadAccount(ctx, account.Key())) }},
		{"ListAccounts", list(connect.AccountFilter{})},
		{"ListAccounts of a user", list(connect.AccountFilter{ConnectedBy: "user"})},
		{"ListAccounts of a grant", list(connect.AccountFilter{GrantID: "grant-10"})},
		{"ListAccounts by platform id", list(connect.AccountFilter{Platform: "x", Kind: "profile", PlatformID: "grant-10"})},
		{"WriteAccount", func() error { return s.WriteAccount(ctx, account, nil) }},
		{"ReadGrant", func() error { return only(s.ReadGrant(ctx, byID)) }},
		{"ReadGrant by key", func() error { return only(s.ReadGrant(ctx, grant.Key())) }},
		{"ClaimGrant", func() error { return only(s.ClaimGrant(ctx, byID, "1", time.Minute)) }},
		{"ClaimDueGrants", func() error {
			return only(s.ClaimDueGrants(ctx, connect.DueClaim{Platform: "x", N: 10, Attempt: "2", Lease: time.Microsecond}))
		}},
		{"RenewClaims", func() error { return s.RenewClaims(ctx, "1", keys, time.Minute) }},
		{"MarkSent", func() error { return only(s.MarkSent(ctx, "1", keys)) }},
		{"SettleGrant", func() error { return only(s.SettleGrant(ctx, st)) }},
		{"SettleGrant with accounts", func() error { return only(s.SettleGrant(ctx, ending)) }},
		{"ReleaseAccount", func() error { return only(s.ReleaseAccount(ctx, tenant, account.ID, nil)) }},
		{"ClaimSubject", func() error { return s.ClaimSubject(ctx, "key-20", "1", time.Minute) }},
		{"ReadClient", func() error { return only(s.ReadClient(ctx, tenant, "x", "grant-10")) }},
		{"PutClient", func() error {
			return s.PutClient(ctx, connect.ClientRecord{Tenant: tenant, Platform: "x", Name: "grant-10", Version: 2})
		}},
		{"ListEvents", func() error { _, _, err := s.ListEvents(ctx, tenant, page); return err }},
		{"ClaimEvents", func() error { return only(s.ClaimEvents(ctx, 10, "1", time.Minute)) }},
		{"AckEvents", func() error { return s.AckEvents(ctx, "1", []string{"event-grant-1"}) }},
		{"EraseTenant", func() error { return errors.Join(s.EndTenant(ctx, "tenant-7"), only(s.EraseTenant(ctx, "tenant-7"))) }},
	}
}

// only is the error that comes beside a row.
func only(_ any, err error) error { return err }
