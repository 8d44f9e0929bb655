package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/seed944197df/connect"
)

// claimDue is one statement, so that the lock before it is held for no round
// trip. Each part reads an index from its beginning or from where the turn is,
// and stops after n rows, so that none costs more as the table grows, but for
// what is due of tenants that are left alone.
//
//	due    more than n of what is due: what may have been sent, the longest due
//	share  how many of them are claimed as they stand: all, or half of n
//	turn   walks from tenant to tenant, one step in the index for each, however
//	       many grants it has; around once, and past a thousand with nothing due
//	turned what it found and nobody else has locked
//	picked the share, what is left of n again as it stands, and the turn
//
// The walk takes no locks, so a row that it finds may have changed; wake_at is
// looked at again with the lock.
const claimDue = `WITH RECURSIVE ` + clock + `,
lost AS (
	SELECT tenant, id, wake_at FROM connect.grants
	WHERE platform = @platform AND lost AND wake_at <= (SELECT now FROM clock) AND tenant <> ALL (@except::text[])
	ORDER BY wake_at LIMIT @n::bigint + 1 FOR UPDATE SKIP LOCKED
),
others AS (
	SELECT tenant, id, wake_at FROM connect.grants
	WHERE platform = @platform AND NOT lost AND wake_at <= (SELECT now FROM clock) AND tenant <> ALL (@except::text[])
	ORDER BY wake_at LIMIT @n::bigint + 1 FOR UPDATE SKIP LOCKED
),
due AS (
	SELECT tenant, id, row_number() OVER (ORDER BY part, wake_at) AS place
	FROM (SELECT 1 AS part, tenant, id, wake_at FROM lost UNION ALL SELECT 2, tenant, id, wake_at FROM others) AS found
),
share AS (
	SELECT CASE WHEN count(*) > @n THEN (@n + 1) / 2 ELSE @n END AS n FROM due
),
turn (tenant, id, round, taken, passed) AS (
	SELECT @after::text COLLATE "C", NULL::text COLLATE "C", 0, 0, 0
	UNION ALL
	SELECT step.tenant, found.id, step.round,
		turn.taken + (found.id IS NOT NULL)::int, turn.passed + (found.id IS NULL)::int
	FROM turn CROSS JOIN LATERAL (
		SELECT coalesce((
			SELECT g.tenant FROM connect.grants g
			WHERE g.platform = @platform AND g.wake_at IS NOT NULL AND g.tenant > turn.tenant
			ORDER BY g.tenant LIMIT 1
		), (
			SELECT g.tenant FROM connect.grants g
			WHERE g.platform = @platform AND g.wake_at IS NOT NULL AND turn.round = 0
			ORDER BY g.tenant LIMIT 1
		)) AS tenant
		OFFSET 0 -- is asked once, not wherever it is named
	) AS next CROSS JOIN LATERAL (
		SELECT next.tenant, turn.round + (next.tenant <= turn.tenant)::int AS round
	) AS step LEFT JOIN LATERAL (
		SELECT g.id FROM connect.grants g
		WHERE g.platform = @platform AND g.tenant = step.tenant AND g.wake_at <= (SELECT now FROM clock)
		AND step.tenant <> ALL (@except::text[])
		AND NOT EXISTS (
			SELECT FROM due d WHERE d.tenant = g.tenant AND d.id = g.id AND d.place <= (SELECT n FROM share)
		)
		ORDER BY g.wake_at LIMIT 1
	) AS found ON true
	WHERE turn.taken < @n - (SELECT n FROM share) AND turn.passed < 1000
	AND (step.round = 0 OR step.tenant <= @after)
),
turned AS (
	SELECT g.tenant, g.id, t.taken AS place FROM turn t JOIN connect.grants g ON g.tenant = t.tenant AND g.id = t.id
	WHERE g.wake_at <= (SELECT now FROM clock) FOR UPDATE OF g SKIP LOCKED
),
picked AS (
	SELECT 1 AS part, place, tenant, id FROM due WHERE place <= (SELECT n FROM share)
	UNION ALL
	(SELECT 2, place, tenant, id FROM due d
	WHERE place > (SELECT n FROM share) AND NOT EXISTS (SELECT FROM turned t WHERE t.tenant = d.tenant AND t.id = d.id)
	ORDER BY place LIMIT @n - (SELECT n FROM share) - (SELECT count(*) FROM turned))
	UNION ALL
	SELECT 3, place, tenant, id FROM turned
),
claimed AS (
	UPDATE connect.grants g SET ` + claim + `
	FROM picked p WHERE g.tenant = p.tenant AND g.id = p.id
	RETURNING g.*, p.part, p.place
)
SELECT ` + grantColumns + `, (SELECT now FROM clock), coalesce((
	SELECT tenant FROM turn WHERE id IS NOT NULL OR passed >= 1000 ORDER BY taken + passed DESC LIMIT 1
), @after) FROM claimed ORDER BY part, place`

// planOnce makes the server keep its plan. It would rather make one each time,
// to know n, though that takes it longer than most claims do; and where there
// are many rows, it would compile the plan, which takes it longer still.
const planOnce = "SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('jit', 'off', true)"

// dueRow is a claimed grant, and the tenant after which the turn goes on.
type dueRow struct {
	connect.ClaimedGrant
	after string
}

// ClaimDueGrants implements [connect.GrantStore].
func (s *Store) ClaimDueGrants(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
	var rows []dueRow
	err := s.once(ctx, func(b *pgx.Batch) {
		s.turn(b, grantsTurn, claim.Platform)
		b.Queue(planOnce)
		b.Queue(claimDue, s.with(values{
			"platform": claim.Platform, "n": max(claim.N, 0), "after": claim.After, "except": append([]string{}, claim.Except...), "attempt": claim.Attempt, "lease": claim.Lease,
		})).Query(into(&rows, scanDue))
	})
	if err != nil {
		return connect.DueGrants{}, err
	}
	got := connect.DueGrants{After: claim.After}
	for _, row := range rows {
		got.Grants = append(got.Grants, row.ClaimedGrant)
		got.After = row.after
	}
	return got, nil
}

func scanDue(row scanner) (dueRow, error) {
	var d dueRow
	r, err := scanGrantAnd(row, &d.Now, &d.after)
	d.Grant, d.Prior, d.Now = r.Grant, r.Prior, d.Now.UTC()
	return d, err
}
