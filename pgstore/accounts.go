package pgstore

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/storerow"
)

const accountColumns = "tenant, id, platform, kind, client_id, platform_id, version, grant_id, status, " +
	"token_expiry, own_token, sealed, generation, connected_by, connected_at, updated_at, data"

// accountValues returns a as accountColumns.
func accountValues(a connect.Account) (values, error) {
	data, err := storerow.Encode(storerow.AccountOf(a))
	return values{
		"tenant": a.Tenant, "id": a.ID, "platform": a.Platform, "kind": a.Kind, "client_id": a.ClientID,
		"platform_id": a.PlatformID, "version": a.Version, "grant_id": a.GrantID, "status": string(a.Status),
		"token_expiry": nullable(a.TokenExpiry), "own_token": a.OwnToken, "sealed": a.Sealed, "generation": a.Generation,
		"connected_by": a.ConnectedBy, "connected_at": micros(a.ConnectedAt), "updated_at": micros(a.UpdatedAt), "data": data,
	}, err
}

// scanAccount is the reverse of accountValues.
func scanAccount(row scanner) (connect.Account, error) {
	var a connect.Account
	var text string
	err := row.Scan(&a.Tenant, &a.ID, &a.Platform, &a.Kind, &a.ClientID,
		&a.PlatformID, &a.Version, &a.GrantID, &a.Status,
		&a.TokenExpiry, &a.OwnToken, &a.Sealed, &a.Generation,
		&a.ConnectedBy, &a.ConnectedAt, &a.UpdatedAt, &text)
	if err != nil {
		return connect.Account{}, err
	}
	data, err := storerow.Decode[storerow.Account](text)
	if err != nil {
		return connect.Account{}, err
	}
	data.Fill(&a)
	utc(a.TokenExpiry, &a.ConnectedAt, &a.UpdatedAt)
	return a, nil
}

const accountByID = "SELECT " + accountColumns + " FROM connect.accounts WHERE tenant = @tenant AND id = @id"

// ReadAccount implements [connect.AccountStore].
func (s *Store) ReadAccount(ctx context.Context, key connect.AccountKey) (connect.Account, error) {
	query := accountByID
	if key.ID == "" {
		query = "SELECT " + accountColumns + ` FROM connect.accounts WHERE tenant = @tenant
			AND platform = @platform AND kind = @kind AND client_id = @client_id AND platform_id = @platform_id`
	}
	return read(ctx, s, scanAccount, query, values{
		"tenant": key.Tenant, "id": key.ID,
		"platform": key.Platform, "kind": key.Kind, "client_id": key.ClientID, "platform_id": key.PlatformID,
	})
}

// ListAccounts implements [connect.AccountStore]. The newest account is the one
// with the latest ConnectedAt; where two are equal, the one with the larger id.
func (s *Store) ListAccounts(ctx context.Context, tenant string, filter connect.AccountFilter, page connect.Page) ([]connect.Account, string, error) {
	at, id, ok := parseCursor(page.Cursor)
	if !ok {
		return nil, "", connect.ErrNotFound
	}
	limit := max(page.Limit, 0)
	where := []string{"tenant = @tenant", "(connected_at, id) < (@before, @before_id)"}
	v := values{"tenant": tenant, "before": at, "before_id": id, "limit": limit + 1} // one more tells whether there is a next page
	for _, f := range []struct{ column, value string }{
		{"platform", filter.Platform},
		{"kind", filter.Kind},
		{"platform_id", filter.PlatformID},
		{"grant_id", filter.GrantID},
		{"connected_by", filter.ConnectedBy},
		{"status", string(filter.Status)},
	} {
		if f.value != "" {
			where = append(where, f.column+" = @"+f.column)
			v[f.column] = f.value
		}
	}
	if filter.Status == "" {
		where = append(where, "status <> 'disconnected'")
	}
	rows, err := list(ctx, s, scanAccount, "SELECT "+accountColumns+" FROM connect.accounts WHERE "+strings.Join(where, " AND ")+
		" ORDER BY connected_at DESC, id DESC LIMIT @limit", v)
	if err != nil {
		return nil, "", err
	}
	accounts, next := storerow.PageOf(rows, limit)
	return accounts, next, nil
}

// The times that a cursor can hold.
var (
	first = time.Time{}
	last  = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)
)

// parseCursor tells after which account a page begins; the empty cursor is
// before all rows. One that no column can be compared with is none of ours.
func parseCursor(cursor string) (at time.Time, id string, ok bool) {
	if cursor == "" {
		return last, "", true
	}
	p, ok := storerow.ParsePosition(cursor)
	at = time.UnixMicro(p.Micros).UTC()
	sortable := !at.Before(first) && !at.After(last) && utf8.ValidString(p.ID) && !strings.Contains(p.ID, "\x00")
	return at, p.ID, ok && sortable
}

// WriteAccount implements [connect.AccountStore]. It returns
// [connect.ErrConflict] where another account has the new key.
func (s *Store) WriteAccount(ctx context.Context, account connect.Account, events []connect.Event) error {
	row, err := accountValues(account)
	if err != nil {
		return failed(err)
	}
	err = s.write(ctx, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		b.Queue(update("connect.accounts", accountColumns)+
			" WHERE tenant = @tenant AND id = @id AND version = @version - 1", s.with(row)).Exec(oneRowOr(connect.ErrStale))
		if err := s.putEvents(b, events); err != nil {
			return err
		}
		return tx.SendBatch(ctx, b).Close()
	})
	if taken(err) {
		return connect.ErrConflict
	}
	return s.missingOr(ctx, err, accountByID, values{"tenant": account.Tenant, "id": account.ID})
}
