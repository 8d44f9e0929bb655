package sqlitestore

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	"github.com/seed944197df/connect"
)

// ClaimDueGrants implements [connect.GrantStore].
func (s *Store) ClaimDueGrants(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
	var got connect.DueGrants
	err := s.write(ctx, func(tx *sql.Tx) error {
		c := &claiming{DueClaim: claim, tx: tx, now: s.clock()}
		err := c.share(ctx)
		got = connect.DueGrants{Grants: c.grants, After: c.After}
		return err
	})
	if err != nil {
		return connect.DueGrants{}, err
	}
	return got, nil
}

// claiming is a claim under way. What it takes is no longer due.
type claiming struct {
	connect.DueClaim
	tx     *sql.Tx
	now    time.Time
	grants []connect.ClaimedGrant
}

// share takes all that is due, or, where that is more than N, half of N as it
// stands, half by the turn of the tenants, and what is left of that again as it
// stands.
func (c *claiming) share(ctx context.Context) error {
	n := max(c.N, 0)
	due, err := c.due(ctx, n+1)
	if err != nil {
		return err
	}
	if len(due) <= n {
		return c.take(ctx, due)
	}
	half := (n + 1) / 2
	if err := c.take(ctx, due[:half]); err != nil {
		return err
	}
	if err := c.takeTurn(ctx, n-half); err != nil {
		return err
	}
	due, err = c.due(ctx, n-len(c.grants))
	if err != nil {
		return err
	}
	return c.take(ctx, due)
}

func (c *claiming) take(ctx context.Context, rows []grantRow) error {
	for _, row := range rows {
		claimed, err := claimRow(ctx, c.tx, row, c.Attempt, c.now, c.Lease)
		if err != nil {
			return err
		}
		c.grants = append(c.grants, claimed)
	}
	return nil
}

// isLost is what Lost of grantclaim is in SQL. The index grants_lost holds for
// exactly this text.
const isLost = "(status IN ('sent', 'uncertain') OR status = 'claimed' AND prior IN ('sent', 'uncertain'))"

// The grants of a platform that are due, those of one tenant, and, of all, those
// that may have been sent and the others. Each reads an index from its
// beginning, so none costs more as the table grows, but for what is due of
// tenants that are left alone; dueOthers meets no more lost ones than dueLost
// has found.
const (
	grantsDue   = "SELECT " + grantColumns + " FROM grants WHERE platform = ? AND wake_at <= ?"
	notExcepted = " AND tenant NOT IN (SELECT value FROM json_each(?))"
	dueLost     = grantsDue + " AND " + isLost + notExcepted + " ORDER BY wake_at, tenant, id LIMIT ?"
	dueOthers   = grantsDue + " AND NOT " + isLost + notExcepted + " ORDER BY wake_at, tenant, id LIMIT ?"
	dueOfTenant = grantsDue + " AND tenant = ? ORDER BY wake_at, id LIMIT 1"
)

// due returns at most n grants: those that may have been sent, and then the
// longest due.
func (c *claiming) due(ctx context.Context, n int) ([]grantRow, error) {
	except, err := json.Marshal(append([]string{}, c.Except...))
	if err != nil {
		return nil, err
	}
	lost, err := all(ctx, c.tx, scanGrant, dueLost, c.Platform, c.now.UnixMicro(), string(except), n)
	if err != nil || len(lost) == n {
		return lost, err
	}
	others, err := all(ctx, c.tx, scanGrant, dueOthers, c.Platform, c.now.UnixMicro(), string(except), n-len(lost))
	return append(lost, others...), err
}

// takeTurn takes the grant that is due longest of each of the next n tenants
// that have one.
func (c *claiming) takeTurn(ctx context.Context, n int) error {
	tenants, err := c.turn(ctx, n)
	if err != nil {
		return err
	}
	for _, tenant := range tenants {
		rows, err := all(ctx, c.tx, scanGrant, dueOfTenant, c.Platform, c.now.UnixMicro(), tenant)
		if err != nil {
			return err
		}
		if err := c.take(ctx, rows); err != nil {
			return err
		}
	}
	return nil
}

// turn walks from tenant to tenant, around and around: one step in an index for
// each, however many grants it has.
const turn = `WITH RECURSIVE turn (tenant, steps) AS (
		SELECT :after, 0
		UNION ALL
		SELECT coalesce(
			(SELECT g.tenant FROM grants g WHERE g.platform = :platform AND g.wake_at IS NOT NULL AND g.tenant > turn.tenant ORDER BY g.tenant LIMIT 1),
			(SELECT g.tenant FROM grants g WHERE g.platform = :platform AND g.wake_at IS NOT NULL ORDER BY g.tenant LIMIT 1)
		), steps + 1
		FROM turn WHERE turn.tenant IS NOT NULL AND steps < :steps
	)
	SELECT tenant, EXISTS (SELECT 1 FROM grants g WHERE g.platform = :platform AND g.tenant = turn.tenant AND g.wake_at <= :now)
	FROM turn WHERE steps > 0 AND tenant IS NOT NULL`

// turnLength is how many tenants a turn passes at most.
const turnLength = 1000

// turn returns the next n tenants that have something due, and notes how far it
// came.
func (c *claiming) turn(ctx context.Context, n int) ([]string, error) {
	rows, err := c.tx.QueryContext(ctx, turn, sql.Named("platform", c.Platform), sql.Named("after", c.After),
		sql.Named("now", c.now.UnixMicro()), sql.Named("steps", turnLength))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var tenants []string
	met := map[string]bool{}
	for len(tenants) < n && rows.Next() {
		var tenant string
		var due bool
		if err := rows.Scan(&tenant, &due); err != nil {
			return nil, err
		}
		if met[tenant] {
			break // once around
		}
		met[tenant], c.After = true, tenant
		if due && !slices.Contains(c.Except, tenant) {
			tenants = append(tenants, tenant)
		}
	}
	return tenants, rows.Err()
}
