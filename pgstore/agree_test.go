package pgstore_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/pgtest"
	"github.com/seed944197df/connect/memstore"
	"github.com/seed944197df/connect/pgstore"
)

// TestClaimsAgree plays random lives of a few grants on this store and on
// memstore, which shares the rules in Go, and compares every answer: what the
// rules are in SQL is what they are there.
func TestClaimsAgree(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	now := func() time.Time { return at }
	stores := []connect.Store{
		open(t, pgtest.Database(t), &pgstore.Options{Now: now}),
		memstore.New(&memstore.Options{Now: now}),
	}
	for _, s := range stores {
		for n := range 3 {
			if err := commit(t.Context(), s, n); err != nil {
				t.Fatal(err)
			}
		}
	}
	random := rand.New(rand.NewPCG(7, 7))
	for step := range 1500 {
		at = at.Add(time.Duration(random.IntN(5)/2) * time.Second)
		name, play := life(random, now())
		var answers []string
		for _, s := range stores {
			answers = append(answers, play(t.Context(), s))
		}
		if diff := gocmp.Diff(answers[1], answers[0]); diff != "" {
			t.Fatalf("step %d, %s (-memstore +pgstore):\n%s", step, name, diff)
		}
	}
}

// life draws one step, which answers with all that a store says.
func life(random *rand.Rand, now time.Time) (name string, play func(context.Context, connect.Store) string) {
	n := random.IntN(3)
	key := connect.GrantKey{Tenant: "tenant", ID: fmt.Sprintf("grant-%d", n)}
	attempt := []string{"a", "a", "a", "b", ""}[random.IntN(5)]
	const lease = 8 * time.Second
	switch random.IntN(8) {
	case 0:
		return "ClaimGrant", func(ctx context.Context, s connect.Store) string {
			return answer(s.ClaimGrant(ctx, key, attempt, lease))
		}
	case 1:
		return "ClaimDueGrants", func(ctx context.Context, s connect.Store) string {
			got, err := s.ClaimDueGrants(ctx, connect.DueClaim{Platform: "x", N: 3, Attempt: attempt, Lease: lease})
			slices.SortFunc(got.Grants, func(a, b connect.ClaimedGrant) int { return cmp.Compare(a.ID, b.ID) })
			return answer(got, err)
		}
	case 2, 4:
		return "MarkSent", func(ctx context.Context, s connect.Store) string {
			return answer(s.MarkSent(ctx, attempt, []connect.GrantKey{key}))
		}
	case 3:
		return "RenewClaims", func(ctx context.Context, s connect.Store) string {
			return answer(nil, s.RenewClaims(ctx, attempt, []connect.GrantKey{key}, lease))
		}
	default:
		return settleSomehow(random, now, key, attempt)
	}
}

func settleSomehow(random *rand.Rand, now time.Time, key connect.GrantKey, attempt string) (name string, play func(context.Context, connect.Store) string) {
	status := []connect.GrantStatus{connect.GrantActive, connect.GrantUncertain, connect.GrantUncertain, connect.GrantRevoking, connect.GrantDead}[random.IntN(5)]
	due := now.Add(time.Duration(random.IntN(4)) * time.Second)
	fresh, wipe, presented, failures := random.IntN(4) == 0, random.IntN(9) == 0, random.IntN(3), random.IntN(3)
	behind := int64(random.IntN(5) / 4)
	return fmt.Sprintf("SettleGrant %s, tokens %v", status, fresh), func(ctx context.Context, s connect.Store) string {
		stored, err := s.ReadGrant(ctx, key)
		if err != nil {
			return err.Error()
		}
		st := connect.Settlement{
			Tenant: key.Tenant, ID: key.ID, Attempt: attempt, Generation: stored.Generation - behind,
			Status: status, Reason: "r", DueAt: &due, Presented: presented, Failures: failures, Wipe: wipe,
		}
		if fresh {
			st.Tokens = &connect.SealedTokens{Sealed: []byte("new"), Scopes: []string{"s"}, AccessExpiry: &due}
		}
		if stored.Status == connect.GrantDead { // begin again, as a new connection does
			return again(ctx, s, stored)
		}
		return answer(s.SettleGrant(ctx, st))
	}
}

// again commits the successor of a grant that is over.
func again(ctx context.Context, s connect.Store, stored connect.Grant) string {
	c := newCommit(0)
	c.Flow.ID = fmt.Sprintf("%s-%d", stored.ID, stored.Generation)
	c.Flow.Status, c.From = connect.FlowConnected, connect.FlowStarted
	started := c.Flow
	started.Status = connect.FlowStarted
	stored.Generation++
	stored.Status = connect.GrantActive
	c.Grant, c.Accounts, c.Events = &stored, nil, nil
	if err := s.CreateFlow(ctx, started, connect.FlowCaps{}); err != nil {
		return err.Error()
	}
	return answer(s.CommitFlow(ctx, c))
}

// answer writes down what a store says.
func answer(got any, err error) string {
	for _, known := range []error{connect.ErrNotFound, connect.ErrConflict, connect.ErrStale} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	said, encodeErr := json.MarshalIndent(got, "", " ")
	return fmt.Sprint(string(said), err, encodeErr)
}
