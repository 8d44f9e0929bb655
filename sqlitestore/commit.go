package sqlitestore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/grantclaim"
	"github.com/seed944197df/connect/internal/storerow"
)

// CommitFlow implements [connect.FlowStore].
func (s *Store) CommitFlow(ctx context.Context, commit connect.Commit) (connect.Flow, error) {
	var stored connect.Flow
	err := s.write(ctx, func(tx *sql.Tx) error {
		var err error
		if stored, err = movable(ctx, tx, commit.From, commit.Flow); err != nil {
			return err
		}
		if commit.Grant != nil || len(commit.Accounts) > 0 {
			if err := checkTenant(ctx, tx, commit.Flow.Tenant); err != nil {
				return err
			}
		}
		if err := s.checkSubjects(ctx, tx, commit); err != nil {
			return err
		}
		committed, err := putCommit(ctx, tx, commit)
		if err == nil {
			stored = committed
		}
		return err
	})
	return storerow.FlowOr(stored, err)
}

// checkSubjects returns [connect.ErrBusy] where the subject of a grant that
// commit touches is claimed: the grant that it brings, and those that its
// accounts join.
func (s *Store) checkSubjects(ctx context.Context, tx *sql.Tx, commit connect.Commit) error {
	now := s.clock().UnixMicro()
	const claimed = "SELECT 1 FROM subjects WHERE lease_until > ? AND subject_key = "
	if commit.Grant != nil {
		busy, err := exists(ctx, tx, claimed+"?", now, commit.Grant.SubjectKey)
		if err := busyOr(err, busy); err != nil {
			return err
		}
	}
	for _, a := range commit.Accounts {
		const ofGrant = "(SELECT subject_key FROM grants WHERE tenant = ? AND id = ?)"
		busy, err := exists(ctx, tx, claimed+ofGrant, now, a.Tenant, a.GrantID)
		if err := busyOr(err, busy); err != nil {
			return err
		}
	}
	return nil
}

// busyOr returns err, or [connect.ErrBusy] where busy is true.
func busyOr(err error, busy bool) error {
	if err == nil && busy {
		return connect.ErrBusy
	}
	return err
}

// putCommit writes the parts of commit, each after its check.
func putCommit(ctx context.Context, tx *sql.Tx, commit connect.Commit) (connect.Flow, error) {
	if commit.Grant != nil {
		if err := commitGrant(ctx, tx, *commit.Grant); err != nil {
			return connect.Flow{}, err
		}
	}
	for _, a := range commit.Accounts {
		if err := checkGrant(ctx, tx, a, commit.Grant); err != nil {
			return connect.Flow{}, err
		}
		if err := commitAccount(ctx, tx, a); err != nil {
			return connect.Flow{}, err
		}
	}
	if err := putEvents(ctx, tx, commit.Events); err != nil {
		return connect.Flow{}, err
	}
	return putFlow(ctx, tx, commit.Flow)
}

// commitGrant stores g, which nobody holds from now on, as the successor of the
// stored grant, or as the first of its key.
func commitGrant(ctx context.Context, tx *sql.Tx, g connect.Grant) error {
	stored, err := findGrant(ctx, tx, g.Key())
	row := grantRow{grantclaim.Row{Grant: g}}
	row.Free()
	switch {
	case errors.Is(err, connect.ErrNotFound):
		if g.Generation != 1 {
			return connect.ErrStale
		}
		return staleIfTaken(insertGrant(ctx, tx, row))
	case err != nil:
		return err
	case g.ID != stored.ID || g.Generation != stored.Generation+1:
		return connect.ErrStale
	default:
		return putGrant(ctx, tx, row)
	}
}

// checkGrant returns [connect.ErrStale] unless the account's grant is the
// commit's own, or lives.
func checkGrant(ctx context.Context, tx *sql.Tx, a connect.Account, brought *connect.Grant) error {
	if brought != nil && brought.Tenant == a.Tenant && brought.ID == a.GrantID {
		return nil
	}
	row, err := grantOf(ctx, tx, a)
	if err == nil && (row.ID == "" || row.Over()) {
		err = connect.ErrStale
	}
	return err
}

// commitAccount stores a as the successor of the stored account, or as the
// first of its key.
func commitAccount(ctx context.Context, tx *sql.Tx, a connect.Account) error {
	stored, err := findAccount(ctx, tx, a.Key())
	switch {
	case errors.Is(err, connect.ErrNotFound):
		if a.Version != 1 {
			return connect.ErrStale
		}
		return staleIfTaken(insertAccount(ctx, tx, a))
	case err != nil:
		return err
	case a.ID != stored.ID || a.Version != stored.Version+1:
		return connect.ErrStale
	default:
		return putAccount(ctx, tx, a)
	}
}

// staleIfTaken turns the error of an insert that met the id of another row.
func staleIfTaken(err error) error {
	if taken(err) {
		return connect.ErrStale
	}
	return err
}
