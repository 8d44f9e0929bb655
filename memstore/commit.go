package memstore

import (
	"context"
	"errors"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/grantclaim"
)

// CommitFlow implements [connect.FlowStore]. Everything is checked before
// anything is written.
func (s *Store) CommitFlow(ctx context.Context, commit connect.Commit) (connect.Flow, error) {
	if err := s.enter(ctx); err != nil {
		return connect.Flow{}, err
	}
	defer s.mu.Unlock()
	stored, err := s.movable(commit.From, commit.Flow)
	if err != nil {
		return stored, err
	}
	if err := s.checkCommit(commit); errors.Is(err, connect.ErrConflict) {
		return stored, err
	} else if err != nil {
		return connect.Flow{}, err
	}
	if commit.Grant != nil {
		s.putGrant(*commit.Grant)
	}
	for _, a := range commit.Accounts {
		s.keepAccount(a)
	}
	s.putEvents(commit.Events)
	return s.putFlow(commit.Flow), nil
}

// checkCommit returns the error that keeps commit from being written.
func (s *Store) checkCommit(commit connect.Commit) error {
	if s.ended[commit.Flow.Tenant] && (commit.Grant != nil || len(commit.Accounts) > 0) {
		return connect.ErrNotFound
	}
	if s.commitBusy(commit) {
		return connect.ErrBusy
	}
	if commit.Grant != nil && !s.grantFits(*commit.Grant) {
		return connect.ErrStale
	}
	keys, ids := map[connect.AccountKey]bool{}, map[rowKey]bool{}
	for _, a := range commit.Accounts {
		key, id := a.Key(), rowKey{a.Tenant, a.ID}
		if keys[key] || ids[id] || !s.accountFits(a) || !s.joinable(a, commit.Grant) {
			return connect.ErrStale
		}
		keys[key], ids[id] = true, true
	}
	return s.checkEvents(commit.Events)
}

// commitBusy reports whether the subject of a grant that commit touches is
// claimed: the grant that it brings, and those that its accounts join.
func (s *Store) commitBusy(commit connect.Commit) bool {
	if commit.Grant != nil && s.subjectClaimed(commit.Grant.SubjectKey) {
		return true
	}
	for _, a := range commit.Accounts {
		if g, ok := s.grants[rowKey{a.Tenant, a.GrantID}]; ok && s.subjectClaimed(g.SubjectKey) {
			return true
		}
	}
	return false
}

// grantFits reports whether g is the successor of the stored grant, or the
// first of its key.
func (s *Store) grantFits(g connect.Grant) bool {
	stored, ok := s.findGrant(g.Key())
	if !ok {
		_, taken := s.grants[rowKey{g.Tenant, g.ID}]
		return g.Generation == 1 && !taken
	}
	return g.ID == stored.ID && g.Generation == stored.Generation+1
}

// joinable reports whether the account's grant is the commit's own, or lives.
func (s *Store) joinable(a connect.Account, brought *connect.Grant) bool {
	if brought != nil && brought.Tenant == a.Tenant && brought.ID == a.GrantID {
		return true
	}
	g, ok := s.grants[rowKey{a.Tenant, a.GrantID}]
	return ok && !g.Over()
}

// accountFits reports whether a is the successor of the stored account, or the
// first of its key.
func (s *Store) accountFits(a connect.Account) bool {
	stored, ok := s.findAccount(a.Key())
	if !ok {
		_, taken := s.accounts[rowKey{a.Tenant, a.ID}]
		return a.Version == 1 && !taken
	}
	return a.ID == stored.ID && a.Version == stored.Version+1
}

// putGrant stores g, which nobody holds from now on.
func (s *Store) putGrant(g connect.Grant) {
	row := grantRow{grantclaim.Row{Grant: cloneGrant(g)}}
	row.Free()
	s.grants[rowKey{g.Tenant, g.ID}] = row
	s.grantIDs[g.Key()] = g.ID
}
