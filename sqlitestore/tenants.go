package sqlitestore

import (
	"context"
	"database/sql"

	"github.com/seed944197df/connect"
)

// EndTenant implements [connect.TenantStore].
func (s *Store) EndTenant(ctx context.Context, tenant string) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO ended_tenants (tenant) VALUES (?) ON CONFLICT DO NOTHING", tenant)
		if err != nil {
			return err
		}
		going, err := all(ctx, tx, scanGrant, "SELECT "+grantColumns+` FROM grants
			WHERE tenant = ?1 AND status <> 'revoking' AND prior <> 'revoking'
			AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.tenant = ?1 AND a.grant_id = grants.id AND a.status <> 'disconnected')`, tenant)
		for _, grant := range going {
			if _, _, left := leaveGrant(ctx, tx, grant, s.clock()); left != nil {
				return left
			}
		}
		return err
	})
}

// checkTenant returns [connect.ErrNotFound] for a tenant that was ended.
func checkTenant(ctx context.Context, tx *sql.Tx, tenant string) error {
	ended, err := hasEnded(ctx, tx, tenant)
	if err == nil && ended {
		err = connect.ErrNotFound
	}
	return err
}

func hasEnded(ctx context.Context, tx *sql.Tx, tenant string) (bool, error) {
	return exists(ctx, tx, "SELECT 1 FROM ended_tenants WHERE tenant = ?", tenant)
}

// EraseTenant implements [connect.TenantStore].
func (s *Store) EraseTenant(ctx context.Context, tenant string) (bool, error) {
	var erased bool
	err := s.write(ctx, func(tx *sql.Tx) error {
		var err error
		if erased, err = erasable(ctx, tx, tenant); err != nil || !erased {
			return err
		}
		for _, table := range []string{"flows", "accounts", "grants", "clients", "events"} {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE tenant = ?", tenant); err != nil { //nolint:gosec // table is one of these
				return err
			}
		}
		return nil
	})
	return erased && err == nil, err
}

// unfinished finds what has to end before a tenant is erased.
const unfinished = `SELECT 1 FROM flows WHERE tenant = :tenant AND ` + isOpen + `
	UNION ALL SELECT 1 FROM accounts WHERE tenant = :tenant AND status <> 'disconnected'
	UNION ALL SELECT 1 FROM grants WHERE tenant = :tenant AND (status = 'revoking' OR prior = 'revoking')`

// erasable reports whether the tenant was ended, and has nothing that has to
// end first.
func erasable(ctx context.Context, tx *sql.Tx, tenant string) (bool, error) {
	ended, err := hasEnded(ctx, tx, tenant)
	if err != nil || !ended {
		return false, err
	}
	busy, err := exists(ctx, tx, unfinished, sql.Named("tenant", tenant))
	return !busy, err
}
