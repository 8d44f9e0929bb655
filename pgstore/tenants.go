package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/seed944197df/connect"
)

// EndTenant implements [connect.TenantStore]. The lock waits for those who add
// to the tenant now; whoever comes later sees the mark.
func (s *Store) EndTenant(ctx context.Context, tenant string) error {
	return s.once(ctx, func(b *pgx.Batch) {
		s.alone(b, tenantLock, tenant)
		b.Queue("INSERT INTO connect.ended_tenants (tenant) VALUES (@tenant) ON CONFLICT DO NOTHING", s.with(values{"tenant": tenant}))
		b.Queue(leaveGrants, s.with(values{"tenant": tenant}))
	})
}

const hasEnded = "SELECT EXISTS (SELECT FROM connect.ended_tenants WHERE tenant = @tenant)"

// queueEnded queues the error [connect.ErrNotFound] for a tenant that was
// ended.
func (s *Store) queueEnded(b *pgx.Batch, tenant string) {
	b.Queue(hasEnded, s.with(values{"tenant": tenant})).QueryRow(noneOr(connect.ErrNotFound))
}

// isErasable asks whether the tenant was ended, and has nothing that has to end
// first.
const isErasable = `SELECT EXISTS (SELECT FROM connect.ended_tenants WHERE tenant = @tenant)
	AND NOT EXISTS (SELECT FROM connect.flows WHERE tenant = @tenant AND ` + isOpen + `)
	AND NOT EXISTS (SELECT FROM connect.accounts WHERE tenant = @tenant AND status <> 'disconnected')
	AND NOT EXISTS (SELECT FROM connect.grants WHERE tenant = @tenant AND (status = 'revoking' OR prior = 'revoking'))`

// EraseTenant implements [connect.TenantStore].
func (s *Store) EraseTenant(ctx context.Context, tenant string) (bool, error) {
	var erasable bool
	err := s.write(ctx, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		s.alone(b, tenantLock, tenant)
		b.Queue(isErasable, s.with(values{"tenant": tenant})).QueryRow(func(row pgx.Row) error { return row.Scan(&erasable) })
		if err := tx.SendBatch(ctx, b).Close(); err != nil || !erasable {
			return err
		}
		return s.erase(ctx, tx, tenant)
	})
	return erasable && err == nil, err
}

// erase deletes every row of the tenant, in the order of the locks.
func (s *Store) erase(ctx context.Context, tx pgx.Tx, tenant string) error {
	b := &pgx.Batch{}
	for _, table := range []string{"flows", "grants", "accounts", "clients"} {
		b.Queue("DELETE FROM connect."+table+" WHERE tenant = @tenant", s.with(values{"tenant": tenant}))
	}
	s.alone(b, eventsLock, tenant)
	b.Queue("DELETE FROM connect.events WHERE tenant = @tenant", s.with(values{"tenant": tenant}))
	return tx.SendBatch(ctx, b).Close()
}
