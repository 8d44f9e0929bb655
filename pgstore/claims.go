package pgstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed944197df/connect"
)

// ClaimGrant implements [connect.GrantStore].
func (s *Store) ClaimGrant(ctx context.Context, key connect.GrantKey, attempt string, lease time.Duration) (connect.ClaimedGrant, error) {
	var claimed []connect.ClaimedGrant
	where, name := grantCondition(key), grantName(key, values{"attempt": attempt, "lease": lease})
	err := s.once(ctx, func(b *pgx.Batch) {
		b.Queue("UPDATE connect.grants SET "+claim+" WHERE "+where+" AND "+isClaimable+
			" RETURNING "+grantColumns+", "+now, s.with(name)).Query(into(&claimed, scanClaimed))
	})
	if err == nil && len(claimed) == 0 {
		err = s.missingOr(ctx, connect.ErrConflict, "SELECT FROM connect.grants WHERE "+where, name)
	}
	if err != nil {
		return connect.ClaimedGrant{}, err
	}
	return claimed[0], nil
}

// scanClaimed reads grantColumns and the store's time.
func scanClaimed(row scanner) (connect.ClaimedGrant, error) {
	var at time.Time
	r, err := scanGrantAnd(row, &at)
	return connect.ClaimedGrant{Grant: r.Grant, Prior: r.Prior, Now: at.UTC()}, err
}

// missingOr returns err, or [connect.ErrNotFound] where err says that a row was
// not as it should be, and there is no row.
func (s *Store) missingOr(ctx context.Context, err error, query string, name values) error {
	if !errors.Is(err, connect.ErrStale) && !errors.Is(err, connect.ErrConflict) {
		return err
	}
	found, missing := read(ctx, s, scanBool, "SELECT EXISTS ("+query+")", name)
	switch {
	case missing != nil:
		return missing
	case !found:
		return connect.ErrNotFound
	default:
		return err
	}
}

// named finds the grants that keys name, by id or by the other fields, and
// the place of each key.
const named = `wanted AS (
	SELECT tenant, id, platform, client_id, subject, place
	FROM unnest(@tenants::text[], @ids::text[], @platforms::text[], @client_ids::text[], @subjects::text[])
		WITH ORDINALITY AS w (tenant, id, platform, client_id, subject, place)
), named AS (
	SELECT w.place, w.tenant, w.id FROM wanted w WHERE w.id <> ''
	UNION ALL
	SELECT w.place, g.tenant, g.id FROM wanted w JOIN connect.grants g
		ON g.tenant = w.tenant AND g.platform = w.platform AND g.client_id = w.client_id AND g.subject = w.subject
	WHERE w.id = ''
)`

// grantNames adds the values of named to v.
func grantNames(keys []connect.GrantKey, v values) values {
	columns := make([][]string, 5)
	for _, key := range keys {
		for i, field := range []string{key.Tenant, key.ID, key.Platform, key.ClientID, key.Subject} {
			columns[i] = append(columns[i], field)
		}
	}
	for i, name := range []string{"tenants", "ids", "platforms", "client_ids", "subjects"} {
		v[name] = columns[i]
	}
	return v
}

// RenewClaims implements [connect.GrantStore].
func (s *Store) RenewClaims(ctx context.Context, attempt string, grants []connect.GrantKey, lease time.Duration) error {
	return s.once(ctx, func(b *pgx.Batch) {
		b.Queue("WITH "+named+" UPDATE connect.grants g SET lease_until = "+now+` + @lease::interval
			FROM named n WHERE g.tenant = n.tenant AND g.id = n.id AND `+isHeldNow,
			s.with(grantNames(grants, values{"attempt": attempt, "lease": lease})))
	})
}

// MarkSent implements [connect.GrantStore]. A lease that has run out holds
// nothing: another process may claim the grant at any moment.
func (s *Store) MarkSent(ctx context.Context, attempt string, grants []connect.GrantKey) ([]connect.GrantKey, error) {
	var places []int64
	err := s.once(ctx, func(b *pgx.Batch) {
		b.Queue("WITH "+named+", marked AS (UPDATE connect.grants g SET "+present+`
			FROM named n WHERE g.tenant = n.tenant AND g.id = n.id AND `+isHeldNow+` RETURNING n.place)
			SELECT place FROM marked ORDER BY place`,
			s.with(grantNames(grants, values{"attempt": attempt}))).Query(into(&places, scanNumber))
	})
	var held []connect.GrantKey
	for _, place := range places {
		held = append(held, grants[place-1])
	}
	return held, err
}

func scanNumber(row scanner) (int64, error) {
	var n int64
	err := row.Scan(&n)
	return n, err
}
