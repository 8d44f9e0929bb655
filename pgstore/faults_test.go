package pgstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/pgtest"
	"github.com/seed944197df/connect/pgstore"
)

// as returns the connection string for another user.
func as(dsn, role string) string { return strings.Replace(dsn, "user=postgres", "user="+role, 1) }

// ask returns the one value that a query gives.
func ask[T any](tb testing.TB, dsn, query string) T {
	tb.Helper()
	value, err := tryAsk[T](tb.Context(), dsn, query)
	if err != nil {
		tb.Fatal(err)
	}
	return value
}

// tryAsk is ask for a server that may be down.
func tryAsk[T any](ctx context.Context, dsn, query string) (T, error) {
	var value T
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return value, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, query).Scan(&value)
	return value, err
}

// until waits for a condition.
func until(tb testing.TB, what string, met func() bool) {
	tb.Helper()
	deadline := time.After(30 * time.Second)
	for !met() {
		select {
		case <-deadline:
			tb.Fatalf("it never happened that %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// newCommit is the end of a flow with a number, with one of everything.
func newCommit(n int) connect.Commit {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	id := func(kind string) string { return fmt.Sprintf("%s-%d", kind, n) }
	return connect.Commit{
		From: connect.FlowStarted,
		Flow: connect.Flow{
			ID: id("flow"), Tenant: "tenant", Platform: "x", Status: connect.FlowConnected, Version: 1, CreatedAt: at, ExpiresAt: at.Add(time.Hour),
		},
		Grant: &connect.Grant{
			ID: id("grant"), Tenant: "tenant", Platform: "x", ClientID: "client", Subject: id("subject"), SubjectKey: id("key"),
			Status: connect.GrantActive, Sealed: []byte("sealed"), Generation: 1, DueAt: &at, CreatedAt: at, UpdatedAt: at,
		},
		Accounts: []connect.Account{{
			ID: id("account"), Tenant: "tenant", Platform: "x", Kind: "profile", PlatformID: id("subject"), Version: 1,
			GrantID: id("grant"), Status: connect.AccountActive, ConnectedAt: at, UpdatedAt: at,
		}},
		Events: []connect.Event{{ID: id("event"), Tenant: "tenant", AccountID: id("account"), CreatedAt: at}},
	}
}

// create stores the flow of newCommit(n), as it begins.
func create(ctx context.Context, s connect.Store, n int) error {
	flow := newCommit(n).Flow
	flow.Status = connect.FlowStarted
	return s.CreateFlow(ctx, flow, connect.FlowCaps{})
}

// commit creates the flow of newCommit(n) and commits it.
func commit(ctx context.Context, s connect.Store, n int) error {
	if err := create(ctx, s, n); err != nil {
		return err
	}
	return only(s.CommitFlow(ctx, newCommit(n)))
}

// refresh claims grant n, and settles it with new tokens.
func refresh(ctx context.Context, s *pgstore.Store, n int, generation int64) error {
	key := connect.GrantKey{Tenant: "tenant", ID: fmt.Sprintf("grant-%d", n)}
	attempt := fmt.Sprintf("attempt-%d", generation)
	if _, err := s.ClaimGrant(ctx, key, attempt, time.Minute); err != nil {
		return err
	}
	if _, err := s.MarkSent(ctx, attempt, []connect.GrantKey{key}); err != nil {
		return err
	}
	return only(s.SettleGrant(ctx, connect.Settlement{
		Tenant: key.Tenant, ID: key.ID, Attempt: attempt, Generation: generation,
		Status: connect.GrantActive, Tokens: &connect.SealedTokens{Sealed: []byte(attempt)},
	}))
}

// lazy makes a role whose commits wait for nothing.
const lazy = "CREATE ROLE lazy SUPERUSER LOGIN; ALTER ROLE lazy SET synchronous_commit = off"

// TestFault36_EveryWriteIsDurable asks the server in each transaction that
// changes a row what its commit will wait for.
func TestFault36_EveryWriteIsDurable(t *testing.T) {
	t.Parallel()
	dsn := pgtest.OwnServer(t)
	exec(t, dsn, lazy)
	store := open(t, as(dsn, "lazy"), nil)
	exec(t, dsn, `
		CREATE TABLE waits (at text, setting text);
		CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
			'BEGIN INSERT INTO public.waits VALUES (TG_OP || '' '' || TG_TABLE_NAME, current_setting(''synchronous_commit'')); RETURN NULL; END';
		DO 'DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = ''connect'' LOOP
			EXECUTE format(''CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON connect.%I FOR EACH ROW EXECUTE FUNCTION public.note()'', t);
		END LOOP; END'`)
	ctx := t.Context()
	key := connect.GrantKey{Tenant: "tenant", ID: "grant-1"}
	dead := connect.Settlement{Tenant: "tenant", ID: "grant-1", Attempt: "2", Generation: 2, Status: connect.GrantDead, Wipe: true, AccountStatus: connect.AccountReauthRequired}
	failed := newCommit(3).Flow
	failed.Status = connect.FlowFailed
	for i, err := range []error{
		commit(ctx, store, 1),
		refresh(ctx, store, 1, 1),
		only(store.ClaimGrant(ctx, key, "2", time.Minute)),
		only(store.SettleGrant(ctx, dead)),
		commit(ctx, store, 2),
		only(store.ClaimDueGrants(ctx, connect.DueClaim{Platform: "x", N: 1, Attempt: "3"})),
		only(store.ReleaseAccount(ctx, "tenant", "account-2", nil)),
		create(ctx, store, 3),
		only(store.MoveFlow(ctx, connect.FlowStarted, failed)),
		store.PutClient(ctx, connect.ClientRecord{Version: 1}),
		store.ClaimSubject(ctx, "key", "1", time.Minute),
		store.ReleaseSubject(ctx, "key", "1"),
		only(store.ClaimEvents(ctx, 1, "1", time.Minute)),
		store.AckEvents(ctx, "1", []string{"event-1"}),
		store.EndTenant(ctx, "tenant"),
	} {
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	if n := ask[int](t, dsn, "SELECT count(DISTINCT at) FROM waits"); n < 12 {
		t.Errorf("%d kinds of writes were seen, want 12 at least", n)
	}
	if where := ask[*string](t, dsn, "SELECT string_agg(DISTINCT at, ', ') FROM waits WHERE setting <> 'on'"); where != nil {
		t.Errorf("writes that wait for nothing: %s", *where)
	}
}

// TestFault36_Warning: who runs the server is told.
func TestFault36_Warning(t *testing.T) {
	t.Parallel()
	dsn := pgtest.OwnServer(t)
	exec(t, dsn, lazy)
	for role, want := range map[string]bool{"postgres": false, "lazy": true} {
		var log bytes.Buffer
		open(t, as(dsn, role), &pgstore.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if got := strings.Contains(log.String(), "synchronous_commit is off"); got != want {
			t.Errorf("%s: warned is %v, want %v: %s", role, got, want, log.String())
		}
	}
}

// TestFault37_Serializable lets a role whose transactions are serializable by
// default work on a few rows from many sides.
func TestFault37_Serializable(t *testing.T) {
	t.Parallel()
	dsn := pgtest.OwnServer(t)
	exec(t, dsn, "CREATE ROLE strict SUPERUSER LOGIN; ALTER ROLE strict SET default_transaction_isolation = serializable")
	store := open(t, as(dsn, "strict"), nil)
	for n := range 4 {
		if err := commit(t.Context(), store, n); err != nil {
			t.Fatal(err)
		}
	}
	var done sync.WaitGroup
	for worker := range 8 {
		done.Go(func() {
			for round := range 15 {
				if err := contend(t.Context(), store, worker, round); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done.Wait()
}

// contend runs methods that meet the same rows, and returns what is no answer
// of the contract.
func contend(ctx context.Context, s *pgstore.Store, worker, round int) error {
	n := (worker + round) % 4
	key := connect.GrantKey{Tenant: "tenant", ID: fmt.Sprintf("grant-%d", n)}
	attempt := fmt.Sprintf("%d-%d", worker, round)
	account, err := s.ReadAccount(ctx, connect.AccountKey{Tenant: "tenant", ID: fmt.Sprintf("account-%d", n)})
	account.Version++
	event := connect.Event{ID: attempt, Tenant: "tenant", AccountID: account.ID}
	claimed, claimErr := s.ClaimGrant(ctx, key, attempt, time.Minute)
	status := []connect.AccountStatus{connect.AccountActive, connect.AccountReauthRequired}[round%2]
	var errs []error
	for _, err := range []error{
		err, claimErr,
		s.WriteAccount(ctx, account, []connect.Event{event}),
		commit(ctx, s, 100+worker*100+round),
		only(s.MarkSent(ctx, attempt, []connect.GrantKey{key})),
		only(s.SettleGrant(ctx, connect.Settlement{
			Tenant: "tenant", ID: key.ID, Attempt: attempt, Generation: claimed.Generation, Status: connect.GrantActive,
			AccountStatus: status, Events: []connect.Event{{ID: "settled-" + attempt, Tenant: "tenant"}},
		})),
		only(s.HastenFlows(ctx, "tenant", "")),
		only(s.ClaimOverdueFlows(ctx, 3, time.Millisecond)),
		only(s.ClaimDueGrants(ctx, connect.DueClaim{Platform: "x", N: 3, Attempt: attempt, Lease: time.Microsecond})),
		only(s.ClaimEvents(ctx, 3, attempt, time.Millisecond)),
	} {
		if err != nil && !isOfContract(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// TestFault37_Deadlock makes the server undo a method's transaction for the
// sake of another that it has met.
func TestFault37_Deadlock(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Database(t)
	ctx, store := t.Context(), open(t, dsn, nil)
	for n := range 2 {
		if err := create(ctx, store, n); err != nil {
			t.Fatal(err)
		}
	}
	other, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.WithoutCancel(ctx))
	run := func(script string) {
		if _, err := other.Exec(ctx, script); err != nil {
			t.Fatal(err)
		}
	}
	run("SET deadlock_timeout = '1min'; BEGIN; UPDATE connect.flows SET version = 2 WHERE id = 'flow-1'")
	hastened := make(chan error)
	go func() { hastened <- only(store.HastenFlows(ctx, "tenant", "")) }() // has flow-0, waits for flow-1
	until(t, "the method waits", func() bool { return waiting(t, dsn) == 1 })
	run("UPDATE connect.flows SET version = 2 WHERE id = 'flow-0'") // waits until the method gives way
	run("COMMIT")
	if err := <-hastened; err != nil {
		t.Errorf("error is %v, want that it was tried again", err)
	}
	until(t, "the server counts the deadlock", func() bool {
		if _, err := store.HastenFlows(ctx, "nobody", ""); err != nil { // a connection that does nothing tells only after ten seconds
			t.Fatal(err)
		}
		return ask[int](t, dsn, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") > 0
	})
}

// waiting counts the transactions of the database that wait for a lock.
func waiting(tb testing.TB, dsn string) int {
	tb.Helper()
	return ask[int](tb, dsn, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
}

// TestFault39_EightAtOnce: of processes that find an empty database one makes
// the tables, and the others wait for it.
func TestFault39_EightAtOnce(t *testing.T) {
	t.Parallel()
	for name, through := range map[string]func(testing.TB, string) string{
		"directly": func(_ testing.TB, dsn string) string { return dsn }, "through a pooler": pgtest.Bouncer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.Database(t)
			address := through(t, dsn)
			errs := make([]error, 8)
			var done sync.WaitGroup
			for i := range errs {
				done.Go(func() {
					store, err := pgstore.Open(t.Context(), address, nil)
					if err == nil {
						err = errors.Join(commit(t.Context(), store, i), store.Close())
					}
					errs[i] = err
				})
			}
			done.Wait()
			if err := errors.Join(errs...); err != nil {
				t.Error(err)
			}
			versions := ask[[]int](t, dsn, "SELECT array_agg(version_id::int ORDER BY id) FROM connect.schema_version")
			if diff := cmp.Diff([]int{0, 1}, versions); diff != "" {
				t.Errorf("applied versions (-want +got):\n%s", diff)
			}
		})
	}
}
