package sqlitestore

import (
	"context"
	"database/sql"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/grantclaim"
)

// ClaimGrant implements [connect.GrantStore].
func (s *Store) ClaimGrant(ctx context.Context, key connect.GrantKey, attempt string, lease time.Duration) (connect.ClaimedGrant, error) {
	var claimed connect.ClaimedGrant
	err := s.write(ctx, func(tx *sql.Tx) error {
		row, err := findGrant(ctx, tx, key)
		if err != nil {
			return err
		}
		now := s.clock()
		if !row.Claimable(now) {
			return connect.ErrConflict
		}
		claimed, err = claimRow(ctx, tx, row, attempt, now, lease)
		return err
	})
	if err != nil {
		return connect.ClaimedGrant{}, err
	}
	return claimed, nil
}

// claimRow gives the grant to attempt. That it may be claimed is known.
func claimRow(ctx context.Context, tx *sql.Tx, row grantRow, attempt string, now time.Time, lease time.Duration) (connect.ClaimedGrant, error) {
	// A lease that is over at once would have one answer name a grant twice.
	row.Claim(attempt, now.Add(max(lease.Truncate(time.Microsecond), time.Microsecond)))
	return connect.ClaimedGrant{Grant: row.Grant, Prior: row.Prior, Now: now}, putGrant(ctx, tx, row)
}

// RenewClaims implements [connect.GrantStore].
func (s *Store) RenewClaims(ctx context.Context, attempt string, grants []connect.GrantKey, lease time.Duration) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		now := s.clock()
		for _, key := range grants {
			if _, err := updateHeld(ctx, tx, key, attempt, now, "lease_until = ?", now.Add(lease).UnixMicro()); err != nil {
				return err
			}
		}
		return nil
	})
}

// MarkSent implements [connect.GrantStore]. A lease that has run out holds
// nothing: another process may claim the grant at any moment.
func (s *Store) MarkSent(ctx context.Context, attempt string, grants []connect.GrantKey) ([]connect.GrantKey, error) {
	var held []connect.GrantKey
	err := s.write(ctx, func(tx *sql.Tx) error {
		now := s.clock()
		for _, key := range grants {
			const sent = "status = 'sent', presented = presented + 1, sent_at = coalesce(sent_at, ?)"
			marked, err := updateHeld(ctx, tx, key, attempt, now, sent, now.UnixMicro())
			if err != nil {
				return err
			}
			if marked {
				held = append(held, key)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return held, nil
}

// updateHeld changes a grant, as set says with its value, where attempt holds
// it now, and reports whether it does.
func updateHeld(ctx context.Context, tx *sql.Tx, key connect.GrantKey, attempt string, now time.Time, set string, value int64) (bool, error) {
	where, args := grantCondition(key)
	query := "UPDATE grants SET " + set + " WHERE " + where + //nolint:gosec // both are constants
		" AND attempt = ? AND attempt <> '' AND status IN ('claimed', 'sent') AND lease_until > ?"
	args = append(append([]any{value}, args...), attempt, now.UnixMicro())
	result, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// SettleGrant implements [connect.GrantStore]. It returns
// [connect.ErrNotFound] where the tenant has no such grant.
func (s *Store) SettleGrant(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
	key := connect.GrantKey{Tenant: st.Tenant, ID: st.ID}
	var settled grantRow
	err := s.write(ctx, func(tx *sql.Tx) error {
		row, err := findGrant(ctx, tx, connect.GrantKey{Tenant: key.Tenant, ID: key.ID})
		if err != nil {
			return err
		}
		if !row.Accepts(st) {
			return connect.ErrStale
		}
		row.Settle(st)
		row.UpdatedAt = s.clock()
		if err := putGrant(ctx, tx, row); err != nil {
			return err
		}
		if err := s.settleAccounts(ctx, tx, st); err != nil {
			return err
		}
		settled, err = findGrant(ctx, tx, key)
		return err
	})
	if err != nil {
		return connect.Grant{}, err
	}
	return settled.Grant, nil
}

// settleAccounts gives the grant's live accounts the status of st, and writes
// the events of those whose status this changes.
func (s *Store) settleAccounts(ctx context.Context, tx *sql.Tx, st connect.Settlement) error {
	if st.AccountStatus == "" {
		return nil
	}
	const query = "SELECT " + accountColumns + ` FROM accounts
		WHERE tenant = ? AND grant_id = ? AND status <> 'disconnected' ORDER BY id`
	accounts, err := all(ctx, tx, scanAccount, query, st.Tenant, st.ID)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		if !grantclaim.Touches(st, a) {
			continue
		}
		a.Status = st.AccountStatus
		a.Version++
		a.UpdatedAt = s.clock()
		if err := putAccount(ctx, tx, a); err != nil {
			return err
		}
		if err := putEvents(ctx, tx, eventsFor(a, st.Events)); err != nil {
			return err
		}
	}
	return nil
}

// eventsFor returns copies of events for an account.
func eventsFor(a connect.Account, events []connect.Event) []connect.Event {
	var copies []connect.Event
	for _, e := range events {
		e.ID += "." + a.ID
		e.AccountID = a.ID
		copies = append(copies, e)
	}
	return copies
}
