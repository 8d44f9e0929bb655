package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed944197df/connect"
)

// Benchmark measures a store in two steps that matter: a whole flow (create,
// move, commit) and a whole refresh (claim, mark sent, settle). It calls open
// once for each, which must return an empty store.
func Benchmark(b *testing.B, open func(b *testing.B) connect.Store) {
	b.Helper()
	b.Run("flow", func(b *testing.B) { benchmarkFlow(b, open(b)) })
	b.Run("refresh", func(b *testing.B) { benchmarkRefresh(b, open(b)) })
}

func benchmarkFlow(b *testing.B, store connect.Store) {
	b.Helper()
	n := 0
	for b.Loop() {
		c := newCommit(n)
		n++
		if err := runFlow(b.Context(), store, c); err != nil {
			b.Fatal(err)
		}
	}
}

// runFlow creates the flow of c, claims it and commits c.
func runFlow(ctx context.Context, store connect.Store, c connect.Commit) error {
	flow := c.Flow
	flow.Status, flow.Outcome, flow.Progress = connect.FlowStarted, nil, nil
	if err := store.CreateFlow(ctx, flow, connect.FlowCaps{}); err != nil {
		return err
	}
	flow.Status = connect.FlowClaimed
	claimed, err := store.MoveFlow(ctx, connect.FlowStarted, flow)
	if err != nil {
		return err
	}
	c.From, c.Flow.Version = connect.FlowClaimed, claimed.Version
	_, err = store.CommitFlow(ctx, c)
	return err
}

func benchmarkRefresh(b *testing.B, store connect.Store) {
	b.Helper()
	if err := runFlow(b.Context(), store, newCommit(1)); err != nil {
		b.Fatal(err)
	}
	generation := int64(1)
	for b.Loop() {
		if err := runRefresh(b.Context(), store, generation); err != nil {
			b.Fatal(err)
		}
		generation++
	}
}

// runRefresh claims grant 1 and settles it with new tokens.
func runRefresh(ctx context.Context, store connect.Store, generation int64) error {
	attempt := fmt.Sprint("attempt-", generation)
	if _, err := store.ClaimGrant(ctx, grantKeys(1)[0], attempt, time.Minute); err != nil {
		return err
	}
	sent, err := store.MarkSent(ctx, attempt, grantKeys(1))
	if err != nil {
		return err
	}
	if len(sent) != 1 {
		return fmt.Errorf("%d grants were marked, want 1", len(sent))
	}
	_, err = store.SettleGrant(ctx, settlement(attempt, generation))
	return err
}
