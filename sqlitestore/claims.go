package sqlitestore

import (
	"context"
	"database/sql"
	"time"

	"github.com/seed944197df/connect"
)

// ClaimGrants implements [connect.GrantStore]. Of the grants that are due, the
// longest due come first; a tenant without an id narrows them to that tenant.
func (s *Store) ClaimGrants(ctx context.Context, claim connect.GrantClaim) ([]connect.ClaimedGrant, error) {
	var claimed []connect.ClaimedGrant
	err := s.write(ctx, func(tx *sql.Tx) error {
		now := s.clock()
		rows, err := askedFor(ctx, tx, claim, now.UnixMicro())
		if err != nil {
			return err
		}
		for _, row := range rows {
			row.Claim(claim.Attempt, now.Add(claim.Lease.Truncate(time.Microsecond)))
			if err := putGrant(ctx, tx, row); err != nil {
				return err
			}
			claimed = append(claimed, connect.ClaimedGrant{Grant: row.Grant, Prior: row.Prior})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// askedFor returns the grants that claim asks for and may have.
func askedFor(ctx context.Context, tx *sql.Tx, claim connect.GrantClaim, now int64) ([]grantRow, error) {
	const query = "SELECT " + grantColumns + " FROM grants WHERE "
	if claim.ID != "" {
		const claimable = `tenant = ? AND id = ? AND
			(status IN ('active', 'uncertain', 'revoking') OR status IN ('claimed', 'sent') AND lease_until <= ?)`
		return all(ctx, tx, scanGrant, query+claimable, claim.Tenant, claim.ID, now)
	}
	const due = "wake_at <= ? AND (? = '' OR tenant = ?) ORDER BY wake_at, id LIMIT ?"
	return all(ctx, tx, scanGrant, query+due, now, claim.Tenant, claim.Tenant, max(claim.N, 0))
}

// MarkSent implements [connect.GrantStore]. A lease that has run out holds
// nothing: another process may claim the grant at any moment.
func (s *Store) MarkSent(ctx context.Context, attempt string, grants []connect.GrantKey) ([]connect.GrantKey, error) {
	var held []connect.GrantKey
	err := s.write(ctx, func(tx *sql.Tx) error {
		now := s.clock().UnixMicro()
		for _, key := range grants {
			marked, err := markSent(ctx, tx, attempt, key, now)
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

// markSent reports whether attempt holds the grant, and marks it if so.
func markSent(ctx context.Context, tx *sql.Tx, attempt string, key connect.GrantKey, now int64) (bool, error) {
	where, args := grantCondition(key)
	query := "UPDATE grants SET status = 'sent' WHERE " + where + //nolint:gosec // where is one of two constants
		" AND attempt = ? AND attempt <> '' AND status IN ('claimed', 'sent') AND lease_until > ?"
	result, err := tx.ExecContext(ctx, query, append(args, attempt, now)...)
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
		late := row.Status == connect.GrantUncertain
		if row.Generation != st.Generation || !late && !row.HeldBy(st.Attempt) {
			return connect.ErrStale
		}
		row.settle(st)
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

// settle makes the grant what st says.
func (r *grantRow) settle(st connect.Settlement) {
	r.Status, r.Reason, r.DueAt = st.Status, st.Reason, st.DueAt
	if t := st.Tokens; t != nil {
		r.Generation++
		r.Sealed, r.Scopes = t.Sealed, t.Scopes
		r.AccessExpiry, r.RefreshExpiry = t.AccessExpiry, t.RefreshExpiry
	}
	if st.Wipe {
		r.Sealed = nil
	}
	r.Free()
}

// settleAccounts gives the grant's live accounts the status of st, and writes
// the events of those whose status this changes.
func (s *Store) settleAccounts(ctx context.Context, tx *sql.Tx, st connect.Settlement) error {
	if st.AccountStatus == "" {
		return nil
	}
	const query = "SELECT " + accountColumns + ` FROM accounts
		WHERE tenant = ? AND grant_id = ? AND status NOT IN ('disconnected', ?) ORDER BY id`
	accounts, err := all(ctx, tx, scanAccount, query, st.Tenant, st.ID, st.AccountStatus)
	if err != nil {
		return err
	}
	for _, a := range accounts {
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
