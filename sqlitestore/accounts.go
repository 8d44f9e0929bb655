package sqlitestore

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/storerow"
)

const accountColumns = `tenant, id, platform, kind, client_id, platform_id, version, grant_id, status,
	token_expiry, connected_at, updated_at, data`

// accountData is the data column of accounts.
type accountData struct {
	storerow.Account

	Sealed      []byte `json:"sealed"`
	Generation  int64  `json:"generation"`
	ConnectedBy string `json:"connected_by"`
	OwnToken    bool   `json:"own_token"`
}

// accountValues returns a as accountColumns.
func accountValues(a connect.Account) ([]any, error) {
	data, err := storerow.Encode(accountData{storerow.AccountOf(a), a.Sealed, a.Generation, a.ConnectedBy, a.OwnToken})
	return []any{
		a.Tenant, a.ID, a.Platform, a.Kind, a.ClientID, a.PlatformID, a.Version, a.GrantID, a.Status,
		nullable(a.TokenExpiry), a.ConnectedAt.UnixMicro(), a.UpdatedAt.UnixMicro(), data,
	}, err
}

// scanAccount is the reverse of accountValues.
func scanAccount(row scanner) (connect.Account, error) {
	var a connect.Account
	var expiry sql.Null[int64]
	var connected, updated int64
	var text string
	err := row.Scan(&a.Tenant, &a.ID, &a.Platform, &a.Kind, &a.ClientID, &a.PlatformID, &a.Version, &a.GrantID, &a.Status,
		&expiry, &connected, &updated, &text)
	if err != nil {
		return connect.Account{}, err
	}
	data, err := storerow.Decode[accountData](text)
	if err != nil {
		return connect.Account{}, err
	}
	data.Fill(&a)
	a.Sealed, a.Generation, a.ConnectedBy, a.OwnToken = data.Sealed, data.Generation, data.ConnectedBy, data.OwnToken
	a.TokenExpiry, a.ConnectedAt, a.UpdatedAt = optional(expiry), moment(connected), moment(updated)
	return a, nil
}

// ReadAccount implements [connect.AccountStore].
func (s *Store) ReadAccount(ctx context.Context, key connect.AccountKey) (connect.Account, error) {
	a, err := findAccount(ctx, s.reader, key)
	return a, failed(err)
}

// findAccount returns the account that key names, or [connect.ErrNotFound].
func findAccount(ctx context.Context, q querier, key connect.AccountKey) (connect.Account, error) {
	where, args := "id = ?", []any{key.Tenant, key.ID}
	if key.ID == "" {
		where = "platform = ? AND kind = ? AND client_id = ? AND platform_id = ?"
		args = []any{key.Tenant, key.Platform, key.Kind, key.ClientID, key.PlatformID}
	}
	query := "SELECT " + accountColumns + " FROM accounts WHERE tenant = ? AND " + where
	return one(q.QueryRowContext(ctx, query, args...), scanAccount)
}

func insertAccount(ctx context.Context, tx *sql.Tx, a connect.Account) error {
	values, err := accountValues(a)
	if err != nil {
		return err
	}
	return insert(ctx, tx, "accounts", accountColumns, values)
}

// putAccount overwrites the account with a's id.
func putAccount(ctx context.Context, tx *sql.Tx, a connect.Account) error {
	values, err := accountValues(a)
	if err != nil {
		return err
	}
	return replace(ctx, tx, "accounts", accountColumns, values, "tenant = ? AND id = ?", a.Tenant, a.ID)
}

// ListAccounts implements [connect.AccountStore]. The newest account is the one
// with the latest ConnectedAt; where two are equal, the one with the larger id.
func (s *Store) ListAccounts(ctx context.Context, tenant string, filter connect.AccountFilter, page connect.Page) ([]connect.Account, string, error) {
	after, ok := storerow.ParsePosition(page.Cursor)
	if !ok {
		return nil, "", connect.ErrNotFound
	}
	where, args := []string{"tenant = ?", "(connected_at, id) < (?, ?)"}, []any{tenant, after.Micros, after.ID}
	for _, f := range []struct{ column, value string }{
		{"platform", filter.Platform},
		{"kind", filter.Kind},
		{"platform_id", filter.PlatformID},
		{"grant_id", filter.GrantID},
		{"connected_by", filter.ConnectedBy},
		{"status", string(filter.Status)},
	} {
		if f.value != "" {
			where = append(where, f.column+" = ?")
			args = append(args, f.value)
		}
	}
	if filter.Status == "" {
		where = append(where, "status <> 'disconnected'")
	}
	limit := max(page.Limit, 0)
	query := "SELECT " + accountColumns + " FROM accounts WHERE " + strings.Join(where, " AND ") +
		" ORDER BY connected_at DESC, id DESC LIMIT ?"
	rows, err := all(ctx, s.reader, scanAccount, query, append(args, limit+1)...) // one more tells whether there is a next page
	if err != nil {
		return nil, "", failed(err)
	}
	accounts, next := storerow.PageOf(rows, limit)
	return accounts, next, nil
}

// WriteAccount implements [connect.AccountStore]. It returns
// [connect.ErrConflict] where another account has the new key.
func (s *Store) WriteAccount(ctx context.Context, account connect.Account, events []connect.Event) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		stored, err := findAccount(ctx, tx, connect.AccountKey{Tenant: account.Tenant, ID: account.ID})
		if err != nil {
			return err
		}
		if account.Version != stored.Version+1 {
			return connect.ErrStale
		}
		err = putAccount(ctx, tx, account)
		if taken(err) {
			return connect.ErrConflict
		}
		if err != nil {
			return err
		}
		return putEvents(ctx, tx, events)
	})
}

// ReleaseAccount implements [connect.AccountStore].
func (s *Store) ReleaseAccount(ctx context.Context, tenant, id string, events []connect.Event) (connect.Released, error) {
	var released connect.Released
	err := s.write(ctx, func(tx *sql.Tx) error {
		var err error
		released, err = s.release(ctx, tx, connect.AccountKey{Tenant: tenant, ID: id}, events)
		return err
	})
	if err != nil {
		return connect.Released{}, err
	}
	return released, nil
}

func (s *Store) release(ctx context.Context, tx *sql.Tx, key connect.AccountKey, events []connect.Event) (connect.Released, error) {
	account, err := findAccount(ctx, tx, key)
	if err != nil {
		return connect.Released{}, err
	}
	grant, err := grantOf(ctx, tx, account)
	if err != nil {
		return connect.Released{}, err
	}
	if account.Status == connect.AccountDisconnected {
		return connect.Released{Account: account, Grant: grant.Grant}, nil
	}
	now := s.clock()
	account.Status = connect.AccountDisconnected
	account.Sealed = nil
	account.Version++
	account.UpdatedAt = now
	if err := putAccount(ctx, tx, account); err != nil {
		return connect.Released{}, err
	}
	if err := putEvents(ctx, tx, events); err != nil {
		return connect.Released{}, err
	}
	grant, last, err := leaveGrant(ctx, tx, grant, now)
	return connect.Released{Account: account, Grant: grant.Grant, Last: last}, err
}

// leaveGrant marks the grant for revocation where no live account is left on
// it. A row without an id stands for no grant at all.
func leaveGrant(ctx context.Context, tx *sql.Tx, grant grantRow, now time.Time) (grantRow, bool, error) {
	if grant.ID == "" || len(grant.Sealed) == 0 {
		return grant, false, nil
	}
	shared, err := exists(ctx, tx, "SELECT 1 FROM accounts WHERE tenant = ? AND grant_id = ? AND status <> 'disconnected'", grant.Tenant, grant.ID)
	if err != nil || shared {
		return grant, false, err
	}
	grant.Status = connect.GrantRevoking
	grant.DueAt = &now
	grant.UpdatedAt = now
	grant.Free()
	return grant, true, putGrant(ctx, tx, grant)
}
