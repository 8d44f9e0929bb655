package faults_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const idleTransactions = `SELECT count(*) FROM pg_stat_activity
	WHERE datname = current_database() AND pid <> pg_backend_pid()
	AND state LIKE 'idle in transaction%' AND clock_timestamp() - state_change > '100 ms'`

// sample counts how often a transaction was open that did nothing for longer
// than a tenth of a second, until ctx ends.
func (r *rig) sample(ctx context.Context) (samples, idle int) {
	conn, err := pgx.Connect(r.t.Context(), r.direct)
	if err != nil {
		r.t.Error(err)
		return 0, 0
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for ; ; samples++ {
		var n int
		if err := conn.QueryRow(r.t.Context(), idleTransactions).Scan(&n); err != nil {
			r.t.Error(err)
			return samples, idle
		}
		idle += n
		select {
		case <-ctx.Done():
			return samples + 1, idle
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Many callers refresh by few connections at a slow platform: no transaction
// waits for it.
func TestFault25_NoTransactionWaitsForAPlatform(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{rotation: strict, pool: "pool_max_conns=4"})
	accounts := r.connectAll(64)
	r.platform.whenCommitted(func() { <-time.After(time.Second) })
	ctx, done := context.WithCancel(t.Context())
	go func() {
		defer done()
		r.refreshAll(accounts)
	}()
	if samples, idle := r.sample(ctx); samples < 100 || idle != 0 {
		t.Errorf("%d idle transactions in %d samples, want none in 100 or more", idle, samples)
	}
	r.platform.whenCommitted(func() {})
	r.wantRefreshed(accounts)
}

// The samples show a transaction that does wait.
func TestFault25_AWaitingTransactionIsSeen(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	conn, err := pgx.Connect(t.Context(), r.direct)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, idle := r.sample(ctx); idle == 0 {
		t.Error("it is not seen")
	}
}
