package pgstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/seed944197df/connect"
)

// settleGrant is all that most refreshes commit, and then a transaction of its
// own: of four statements it would be the only one that does anything.
const settleGrant = "UPDATE connect.grants SET " + settle + ", updated_at = " + now +
	" WHERE tenant = @tenant AND id = @id AND " + isAccepted + " AND " + durably + " RETURNING " + grantColumns

// settlementValues are those of settleGrant.
func settlementValues(st connect.Settlement) values {
	t := cmp.Or(st.Tokens, &connect.SealedTokens{})
	return values{
		"tenant": st.Tenant, "id": st.ID, "attempt": st.Attempt, "generation": st.Generation,
		"status": string(st.Status), "reason": string(st.Reason), "due_at": nullable(st.DueAt), "presented": st.Presented,
		"failures": st.Failures, "refused_at": nullable(st.RefusedAt), "fresh": st.Tokens != nil, "wipe": st.Wipe,
		"sealed": t.Sealed, "scopes": t.Scopes,
		"access_expiry": nullable(t.AccessExpiry), "refresh_expiry": nullable(t.RefreshExpiry),
	}
}

// SettleGrant implements [connect.GrantStore]. It returns
// [connect.ErrNotFound] where the tenant has no such grant.
func (s *Store) SettleGrant(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
	var settled []grantRow
	var err error
	if st.AccountStatus == "" {
		settled, err = list(ctx, s, scanGrant, settleGrant, settlementValues(st))
	} else {
		err = s.write(ctx, func(tx pgx.Tx) error {
			var err error
			settled, err = all(ctx, s, tx, scanGrant, settleGrant, settlementValues(st))
			if err != nil || len(settled) == 0 {
				return err
			}
			return s.settleAccounts(ctx, tx, st)
		})
	}
	if err == nil && len(settled) == 0 {
		err = s.missingOr(ctx, connect.ErrStale, "SELECT FROM connect.grants WHERE tenant = @tenant AND id = @id",
			values{"tenant": st.Tenant, "id": st.ID})
	}
	if err != nil {
		return connect.Grant{}, err
	}
	return settled[0].Grant, nil
}

// changeAccounts gives the grant's live accounts a status that they do not
// have. An account with a token of its own lives on where its grant's ends, and
// a suspension, which ends again, is not for those that did not work before.
const changeAccounts = `UPDATE connect.accounts SET status = @status, version = version + 1, updated_at = ` + now + `
	WHERE tenant = @tenant AND id IN (
		SELECT id FROM connect.accounts WHERE tenant = @tenant AND grant_id = @grant
		AND status NOT IN ('disconnected', @status) AND NOT (own_token AND @status = 'token_expired')
		AND (@status <> 'suspended' OR status IN ('active', 'limited'))
		ORDER BY id FOR UPDATE
	) RETURNING id`

// settleAccounts gives the grant's live accounts the status of st, and writes
// the events of those whose status this changes.
func (s *Store) settleAccounts(ctx context.Context, tx pgx.Tx, st connect.Settlement) error {
	ids, err := all(ctx, s, tx, scanText, changeAccounts,
		values{"tenant": st.Tenant, "grant": st.ID, "status": string(st.AccountStatus)})
	if err != nil {
		return err
	}
	slices.Sort(ids)
	b := &pgx.Batch{}
	if err := s.putEvents(b, eventsFor(ids, st.Events)); err != nil {
		return err
	}
	return tx.SendBatch(ctx, b).Close()
}

// eventsFor returns copies of events for each account.
func eventsFor(accounts []string, events []connect.Event) []connect.Event {
	var copies []connect.Event
	for _, id := range accounts {
		for _, e := range events {
			e.ID += "." + id
			e.AccountID = id
			copies = append(copies, e)
		}
	}
	return copies
}
