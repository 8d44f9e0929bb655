package pgstore

import (
	"context"
	"maps"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/grantclaim"
)

const grantColumns = "tenant, id, platform, client, client_id, subject, method, subject_key, status, prior, reason, " +
	"sealed, generation, scopes, access_expiry, refresh_expiry, due_at, attempt, lease_until, sent_at, presented, " +
	"failures, refused_at, created_at, updated_at"

// grantRow is a grant with what its claims leave behind.
type grantRow struct{ grantclaim.Row }

// grantValues returns g, which nobody holds, as grantColumns.
func grantValues(g connect.Grant) values {
	return values{
		"tenant": g.Tenant, "id": g.ID, "platform": g.Platform, "client": g.Client, "client_id": g.ClientID,
		"subject": g.Subject, "method": g.Method, "subject_key": g.SubjectKey, "status": string(g.Status), "prior": "",
		"reason": string(g.Reason), "sealed": g.Sealed, "generation": g.Generation, "scopes": g.Scopes,
		"access_expiry": nullable(g.AccessExpiry), "refresh_expiry": nullable(g.RefreshExpiry), "due_at": nullable(g.DueAt),
		"attempt": "", "lease_until": nil, "sent_at": nullable(g.SentAt), "presented": g.Presented,
		"failures": g.Failures, "refused_at": nullable(g.RefusedAt),
		"created_at": micros(g.CreatedAt), "updated_at": micros(g.UpdatedAt),
	}
}

// scanGrant is the reverse of grantValues.
func scanGrant(row scanner) (grantRow, error) { return scanGrantAnd(row) }

// scanGrantAnd reads grantColumns, and what comes after them into more.
func scanGrantAnd(row scanner, more ...any) (grantRow, error) {
	var r grantRow
	var lease *time.Time
	err := row.Scan(append([]any{
		&r.Tenant, &r.ID, &r.Platform, &r.Client, &r.ClientID,
		&r.Subject, &r.Method, &r.SubjectKey, &r.Status, &r.Prior,
		&r.Reason, &r.Sealed, &r.Generation, &r.Scopes,
		&r.AccessExpiry, &r.RefreshExpiry, &r.DueAt,
		&r.Attempt, &lease, &r.SentAt, &r.Presented,
		&r.Failures, &r.RefusedAt,
		&r.CreatedAt, &r.UpdatedAt,
	}, more...)...)
	if err != nil {
		return grantRow{}, err
	}
	if lease != nil {
		r.LeaseUntil = lease.UTC()
	}
	utc(r.AccessExpiry, r.RefreshExpiry, r.DueAt, r.SentAt, r.RefusedAt, &r.CreatedAt, &r.UpdatedAt)
	return r, nil
}

// ReadGrant implements [connect.GrantStore].
func (s *Store) ReadGrant(ctx context.Context, key connect.GrantKey) (connect.Grant, error) {
	query := "SELECT " + grantColumns + " FROM connect.grants WHERE " + grantCondition(key)
	row, err := read(ctx, s, scanGrant, query, grantName(key, nil))
	return row.Grant, err
}

// grantCondition returns the condition that key is.
func grantCondition(key connect.GrantKey) string {
	if key.ID != "" {
		return "tenant = @tenant AND id = @id"
	}
	return "tenant = @tenant AND platform = @platform AND client_id = @client_id AND subject = @subject"
}

// grantName adds the values of grantCondition to v.
func grantName(key connect.GrantKey, v values) values {
	named := values{
		"tenant": key.Tenant, "id": key.ID, "platform": key.Platform, "client_id": key.ClientID, "subject": key.Subject,
	}
	maps.Copy(named, v)
	return named
}

// The rules of grantclaim in SQL, for the row that a statement updates. The
// first migration has the two that an index needs: when a grant wakes Run, and
// whether it is lost.
const (
	isClaimed  = "status IN ('claimed', 'sent')"
	isHeld     = "(" + isClaimed + " AND attempt = @attempt AND attempt <> '')"
	isHeldNow  = isHeld + " AND lease_until > " + now
	isRevoking = "(status = 'revoking' OR prior = 'revoking')"

	isClaimable = "(" + isClaimed + " AND lease_until <= " + now + " OR NOT " + isClaimed + " AND status <> 'dead')"
	isAccepted  = "generation = @generation AND (" + isHeld + " OR @fresh AND status <> 'dead')"

	// ifLate is where the tokens come from somebody who does not hold a grant
	// that is to be revoked, and are all that is kept.
	ifLate = "CASE WHEN " + isRevoking + " AND NOT " + isHeld + " THEN "

	claim = `prior = CASE
			WHEN ` + isClaimed + ` AND prior = 'revoking' THEN prior
			WHEN status = 'claimed' AND lost THEN prior
			ELSE status
		END,
		status = 'claimed', attempt = @attempt, lease_until = ` + now + ` + @lease::interval`

	present = `status = 'sent', presented = presented + 1, sent_at = coalesce(sent_at, ` + now + `)`

	// settle is for new tokens (@fresh) and for none.
	settle = `status = ` + ifLate + `'revoking' ELSE @status END,
		reason = ` + ifLate + `reason ELSE @reason END,
		due_at = ` + ifLate + `due_at ELSE @due_at END,
		failures = ` + ifLate + `failures ELSE @failures END,
		refused_at = ` + ifLate + `refused_at ELSE @refused_at END,
		generation = generation + CASE WHEN @fresh::boolean THEN 1 ELSE 0 END,
		sealed = CASE WHEN ` + ifLate + `false ELSE @wipe::boolean END THEN NULL WHEN @fresh THEN @sealed::bytea ELSE sealed END,
		scopes = CASE WHEN @fresh THEN @scopes::text[] ELSE scopes END,
		access_expiry = CASE WHEN @fresh THEN @access_expiry::timestamptz ELSE access_expiry END,
		refresh_expiry = CASE WHEN @fresh THEN @refresh_expiry::timestamptz ELSE refresh_expiry END,
		sent_at = ` + ifLate + `NULL WHEN @status = 'uncertain' AND @presented::bigint <> 0 THEN sent_at END,
		presented = ` + ifLate + `0 WHEN @status = 'uncertain' THEN @presented ELSE 0 END,
		` + free

	free = "attempt = '', lease_until = NULL, prior = ''"
)
