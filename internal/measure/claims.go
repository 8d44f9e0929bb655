package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/pgcluster"
	"github.com/seed944197df/connect/pgstore"
)

const roundTime = 2 * time.Second // of what is counted per second

// measureClaims compares claims of 100 due grants among few and many, and of
// one claimer and eight.
func measureClaims(ctx context.Context, cluster *pgcluster.Cluster, s settings, out io.Writer) error {
	for _, rows := range []int{1000, s.rows} {
		if err := measureClaimsAmong(ctx, cluster, s, rows, out); err != nil {
			return err
		}
	}
	return measureSweep(ctx, cluster.DSN(claimsOf(s.rows)), s, out)
}

// claimsOf is the database with so many grants.
func claimsOf(rows int) string { return "claims" + strconv.Itoa(rows) }

func measureClaimsAmong(ctx context.Context, cluster *pgcluster.Cluster, s settings, rows int, out io.Writer) error {
	pool, err := database(ctx, cluster, claimsOf(rows), 8)
	if err != nil {
		return err
	}
	defer pool.Close()
	store, err := pgstore.New(ctx, pool, nil)
	if err != nil {
		return err
	}
	if _, err := pool.Exec(ctx, fmt.Sprintf(fill, rows), pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	counts := []int{1, 8}
	figures := make([][]float64, len(counts))
	for range s.rounds { // in turn, so that what changes meanwhile meets both
		for i, claimers := range counts {
			perSecond, err := throughput(ctx, claimers, claimer(store))
			if err != nil {
				return err
			}
			figures[i] = append(figures[i], perSecond)
		}
	}
	for i, claimers := range counts {
		tell(out, fmt.Sprintf("claims of 100 due grants of %d, %d claimers", rows, claimers), median(figures[i])/100, "a second")
	}
	return nil
}

// claimer claims 100 grants, which are due again at once, behind the others.
func claimer(store connect.GrantStore) func(context.Context, int) (int, error) {
	var mu sync.Mutex
	after := map[int]string{}
	return func(ctx context.Context, i int) (int, error) {
		mu.Lock()
		claim := connect.DueClaim{Platform: platformName, N: 100, Attempt: strconv.Itoa(i), Lease: time.Microsecond, After: after[i]}
		mu.Unlock()
		due, err := store.ClaimDueGrants(ctx, claim)
		mu.Lock()
		after[i] = due.After
		mu.Unlock()
		return len(due.Grants), err
	}
}

// fill stores grants of a thousand tenants, a tenth of them of one, all due.
const fill = `
	INSERT INTO connect.grants (tenant, id, platform, client, client_id, subject, method, subject_key, status, prior, reason,
		sealed, generation, scopes, due_at, attempt, presented, failures, created_at, updated_at)
	SELECT 'tenant-' || CASE WHEN i %% 10 = 0 THEN 0 ELSE i %% 997 END, 'grant-' || i, '` + platformName + `', 'shared', 'client', 'subject-' || i,
		'name', 'key-' || i, 'active', '', '', decode(repeat('ab', 400), 'hex'), 1, '{read,write}',
		now() - interval '1 day' + (i * 7919::bigint %% %[1]d) * interval '1 ms', '', 0, 0, now(), now()
	FROM generate_series(1, %[1]d) i;
	ANALYZE connect.grants`

func database(ctx context.Context, cluster *pgcluster.Cluster, name string, connections int) (*pgxpool.Pool, error) {
	if err := cluster.CreateDatabase(ctx, name); err != nil {
		return nil, err
	}
	return pgxpool.New(ctx, cluster.DSN(name)+" pool_max_conns="+strconv.Itoa(connections))
}

// throughput lets workers do something again and again for a while, and returns
// how much of it they did in a second.
func throughput(ctx context.Context, workers int, do func(ctx context.Context, worker int) (int, error)) (float64, error) {
	var done atomic.Int64
	var failed atomic.Pointer[error]
	var working sync.WaitGroup
	began := time.Now()
	for i := range workers {
		working.Go(func() {
			for time.Since(began) < roundTime && failed.Load() == nil {
				n, err := do(ctx, i)
				if err != nil {
					failed.Store(&err)
				}
				done.Add(int64(n))
			}
		})
	}
	working.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(done.Load()) / time.Since(began).Seconds(), nil
}
