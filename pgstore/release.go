package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/seed944197df/connect"
)

// ReleaseAccount implements [connect.AccountStore].
func (s *Store) ReleaseAccount(ctx context.Context, tenant, id string, events []connect.Event) (connect.Released, error) {
	var released connect.Released
	err := s.write(ctx, func(tx pgx.Tx) error {
		stored, err := s.lockAccount(ctx, tx, tenant, id)
		if err != nil {
			return err
		}
		released = stored
		if stored.Account.Status == connect.AccountDisconnected {
			return nil
		}
		released, err = s.release(ctx, tx, stored, events)
		return err
	})
	if err != nil {
		return connect.Released{}, err
	}
	return released, nil
}

// lockAccount locks an account and, before it, its grant, so that of two who
// leave a grant at once the second sees what the first has done.
func (s *Store) lockAccount(ctx context.Context, tx pgx.Tx, tenant, id string) (connect.Released, error) {
	var grants []grantRow
	var accounts []connect.Account
	key := values{"tenant": tenant, "id": id}
	b := &pgx.Batch{}
	b.Queue("SELECT "+grantColumns+` FROM connect.grants WHERE tenant = @tenant
		AND id = (SELECT grant_id FROM connect.accounts WHERE tenant = @tenant AND id = @id) FOR UPDATE`, s.with(key)).
		Query(into(&grants, scanGrant))
	b.Queue(accountByID+" FOR UPDATE", s.with(key)).Query(into(&accounts, scanAccount))
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return connect.Released{}, err
	}
	if len(accounts) == 0 {
		return connect.Released{}, connect.ErrNotFound
	}
	found := connect.Released{Account: accounts[0]}
	if len(grants) == 0 {
		return found, nil // a grant that is not stored is no grant at all
	}
	found.Grant = grants[0].Grant
	if found.Grant.ID != found.Account.GrantID {
		return connect.Released{}, errMoved
	}
	return found, nil
}

const disconnect = `UPDATE connect.accounts
	SET status = 'disconnected', sealed = NULL, version = version + 1, updated_at = ` + now + `
	WHERE tenant = @tenant AND id = @id RETURNING ` + accountColumns

// leaveGrant marks the grant for revocation where no live account is left on
// it, leaveGrants those of a tenant.
const (
	leave = `UPDATE connect.grants
		SET status = 'revoking', due_at = ` + now + `, updated_at = ` + now + `, ` + free + ` WHERE tenant = @tenant `
	isLeft = `octet_length(sealed) > 0 AND NOT EXISTS (
			SELECT FROM connect.accounts a WHERE a.tenant = @tenant AND a.grant_id = grants.id AND a.status <> 'disconnected'
		)`
	leaveGrant  = leave + "AND id = @id AND " + isLeft + " RETURNING " + grantColumns
	leaveGrants = leave + `AND id IN (
			SELECT id FROM connect.grants WHERE tenant = @tenant AND status <> 'revoking' AND prior <> 'revoking' AND ` + isLeft + `
			ORDER BY id FOR UPDATE
		)`
)

func (s *Store) release(ctx context.Context, tx pgx.Tx, stored connect.Released, events []connect.Event) (connect.Released, error) {
	var accounts []connect.Account
	var left []grantRow
	tenant := stored.Account.Tenant
	b := &pgx.Batch{}
	b.Queue(disconnect, s.with(values{"tenant": tenant, "id": stored.Account.ID})).Query(into(&accounts, scanAccount))
	b.Queue(leaveGrant, s.with(values{"tenant": tenant, "id": stored.Grant.ID})).Query(into(&left, scanGrant))
	if err := s.putEvents(b, events); err != nil {
		return connect.Released{}, err
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return connect.Released{}, err
	}
	released := connect.Released{Account: accounts[0], Grant: stored.Grant}
	if len(left) == 1 {
		released.Grant, released.Last = left[0].Grant, true
	}
	return released, nil
}
