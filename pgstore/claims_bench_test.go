package pgstore_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/pgtest"
)

// BenchmarkClaimDueGrants measures claims of 100 grants among 1,000, and among
// as many as CONNECT_BENCH_GRANTS says (1000000), all due, by one claimer and
// by eight at once. What is claimed is due again at once, behind the others.
func BenchmarkClaimDueGrants(b *testing.B) {
	counts := []int{1_000}
	if more, err := strconv.Atoi(os.Getenv("CONNECT_BENCH_GRANTS")); err == nil {
		counts = append(counts, more)
	}
	for _, rows := range counts {
		dsn := pgtest.Database(b)
		store := open(b, dsn+" pool_max_conns=8", nil)
		fill(b, dsn, rows)
		for _, claimers := range []int{1, 8} {
			b.Run(fmt.Sprintf("rows=%d/claimers=%d", rows, claimers), func(b *testing.B) {
				benchmarkClaims(b, store, claimers)
			})
		}
	}
}

func benchmarkClaims(b *testing.B, store connect.GrantStore, claimers int) {
	b.Helper()
	var left, rows atomic.Int64
	left.Store(int64(b.N))
	var done sync.WaitGroup
	b.ResetTimer()
	for i := range claimers {
		done.Go(func() {
			claim := connect.DueClaim{Platform: "x", N: 100, Attempt: strconv.Itoa(i), Lease: time.Microsecond}
			for left.Add(-1) >= 0 {
				got, err := store.ClaimDueGrants(b.Context(), claim)
				if err != nil {
					b.Error(err)
					return
				}
				rows.Add(int64(len(got.Grants)))
				claim.After = got.After
			}
		})
	}
	done.Wait()
	b.ReportMetric(float64(rows.Load())/b.Elapsed().Seconds(), "rows/s")
}

// fill stores grants of many tenants as if they had been connected long ago, a
// tenth of them by one tenant, and to the first 10,000 what goes with them.
func fill(tb testing.TB, dsn string, rows int) {
	tb.Helper()
	script := fmt.Sprintf(`
		INSERT INTO connect.grants (tenant, id, platform, client, client_id, subject, method, subject_key, status, prior, reason,
			sealed, generation, scopes, due_at, attempt, presented, failures, created_at, updated_at)
		SELECT 'tenant-' || CASE WHEN i %% 10 = 0 THEN 0 ELSE i %% 997 END, 'grant-' || i, 'x', 'shared', 'client', 'subject-' || i,
			'oauth', 'key-' || i, 'active', '', '', decode(repeat('ab', 400), 'hex'), 1, '{read,write}',
			now() - interval '1 day' + (i * 7919::bigint %% %[1]d) * interval '1 ms', '', 0, 0, now(), now()
		FROM generate_series(1, %[1]d) i;
		CREATE TEMP TABLE sample AS SELECT tenant, id, platform, generation, due_at FROM connect.grants LIMIT 10000;
		INSERT INTO connect.accounts (tenant, id, platform, kind, client_id, platform_id, version, grant_id, status, own_token,
			sealed, generation, connected_by, connected_at, updated_at, data)
		SELECT tenant, 'account-' || id, platform, 'profile', '', id, 1, id, 'active', false, '', 1, 'user', now(), now(), '{"v":1,"row":{}}' FROM sample;
		INSERT INTO connect.events (tenant, id, account_id, sequence, created_at, data)
		SELECT tenant, 'event-' || id, 'account-' || id, 1, now(), '{"v":1,"row":{}}' FROM sample;
		INSERT INTO connect.flows (id, tenant, user_id, platform, method, status, version, link, session, ticket, created_at, expires_at, data)
		SELECT 'flow-' || id, tenant, 'user', 'x', 'oauth', CASE WHEN id LIKE '%%0' THEN 'started' ELSE 'connected' END, 1,
			('link' || id)::bytea, ('session' || id)::bytea, ('ticket' || id)::bytea, now(), due_at, '{"v":1,"row":{}}' FROM sample;
		INSERT INTO connect.clients (tenant, platform, name, version, created_at, updated_at, data)
		SELECT tenant, 'x', id, 1, now(), now(), '{"v":1,"row":{}}' FROM sample;
		ANALYZE`, rows)
	exec(tb, dsn, script)
}

// exec runs a script on a connection of its own.
func exec(tb testing.TB, dsn, script string) {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context())
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, script); err != nil {
		tb.Fatal(err)
	}
}
