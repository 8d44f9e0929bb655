package sqlitestore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/grantclaim"
	"github.com/seed944197df/connect/internal/storerow"
)

const grantColumns = `tenant, id, platform, client_id, subject, subject_key, status, prior, generation,
	access_expiry, refresh_expiry, due_at, attempt, lease_until, sent_at, presented, failures, refused_at,
	created_at, updated_at, data`

// grantRow is a grant with what its claims leave behind.
type grantRow struct{ grantclaim.Row }

// grantData is the data column of grants.
type grantData struct {
	Client string       `json:"client"`
	Method string       `json:"method"`
	Reason connect.Code `json:"reason"`
	Sealed []byte       `json:"sealed"`
	Scopes []string     `json:"scopes"`
}

// values returns r as grantColumns.
func (r *grantRow) values() ([]any, error) {
	data, err := storerow.Encode(grantData{r.Client, r.Method, r.Reason, r.Sealed, r.Scopes})
	return []any{
		r.Tenant, r.ID, r.Platform, r.ClientID, r.Subject, r.SubjectKey, r.Status, r.Prior, r.Generation,
		nullable(r.AccessExpiry), nullable(r.RefreshExpiry), nullable(r.DueAt), r.Attempt, r.LeaseUntil.UnixMicro(),
		nullable(r.SentAt), r.Presented, r.Failures, nullable(r.RefusedAt),
		r.CreatedAt.UnixMicro(), r.UpdatedAt.UnixMicro(), data,
	}, err
}

// scanGrant is the reverse of values.
func scanGrant(row scanner) (grantRow, error) {
	var r grantRow
	var access, refresh, due, sent, refused sql.Null[int64]
	var lease, created, updated int64
	var text string
	err := row.Scan(&r.Tenant, &r.ID, &r.Platform, &r.ClientID, &r.Subject, &r.SubjectKey, &r.Status, &r.Prior, &r.Generation,
		&access, &refresh, &due, &r.Attempt, &lease, &sent, &r.Presented, &r.Failures, &refused,
		&created, &updated, &text)
	if err != nil {
		return grantRow{}, err
	}
	data, err := storerow.Decode[grantData](text)
	if err != nil {
		return grantRow{}, err
	}
	r.Client, r.Method, r.Reason = data.Client, data.Method, data.Reason
	r.Sealed, r.Scopes = data.Sealed, data.Scopes
	r.AccessExpiry, r.RefreshExpiry, r.DueAt = optional(access), optional(refresh), optional(due)
	r.SentAt, r.RefusedAt = optional(sent), optional(refused)
	r.LeaseUntil, r.CreatedAt, r.UpdatedAt = moment(lease), moment(created), moment(updated)
	return r, nil
}

// ReadGrant implements [connect.GrantStore].
func (s *Store) ReadGrant(ctx context.Context, key connect.GrantKey) (connect.Grant, error) {
	row, err := findGrant(ctx, s.reader, key)
	return row.Grant, failed(err)
}

// findGrant returns the grant that key names, or [connect.ErrNotFound].
func findGrant(ctx context.Context, q querier, key connect.GrantKey) (grantRow, error) {
	where, args := grantCondition(key)
	return one(q.QueryRowContext(ctx, "SELECT "+grantColumns+" FROM grants WHERE "+where, args...), scanGrant)
}

// grantCondition returns the condition that key is.
func grantCondition(key connect.GrantKey) (where string, args []any) {
	if key.ID != "" {
		return "tenant = ? AND id = ?", []any{key.Tenant, key.ID}
	}
	return "tenant = ? AND platform = ? AND client_id = ? AND subject = ?",
		[]any{key.Tenant, key.Platform, key.ClientID, key.Subject}
}

// grantOf returns the grant that a is on, and an empty row where none is
// stored.
func grantOf(ctx context.Context, tx *sql.Tx, a connect.Account) (grantRow, error) {
	if a.GrantID == "" {
		return grantRow{}, nil
	}
	row, err := findGrant(ctx, tx, connect.GrantKey{Tenant: a.Tenant, ID: a.GrantID})
	if errors.Is(err, connect.ErrNotFound) {
		return grantRow{}, nil
	}
	return row, err
}

func insertGrant(ctx context.Context, tx *sql.Tx, row grantRow) error {
	values, err := row.values()
	if err != nil {
		return err
	}
	return insert(ctx, tx, "grants", grantColumns, values)
}

// putGrant overwrites the grant with row's id.
func putGrant(ctx context.Context, tx *sql.Tx, row grantRow) error {
	values, err := row.values()
	if err != nil {
		return err
	}
	return replace(ctx, tx, "grants", grantColumns, values, "tenant = ? AND id = ?", row.Tenant, row.ID)
}
