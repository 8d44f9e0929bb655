package connect_test

import (
	"context"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
)

// modelStore is the store as one process sees it: its calls wait for the
// schedule. What the model does not use is left out, and panics.
type modelStore struct {
	connect.Store

	life *modelLife
}

// modelWrite is a write that was done, for restore to repeat.
type modelWrite struct {
	at time.Time
	do func(connect.Store)
}

func (m *model) newStore() connect.Store {
	raw := memstore.New(&memstore.Options{Now: func() time.Time {
		if m.replays != nil {
			return *m.replays
		}
		return time.Now()
	}})
	if m.breaks != nil {
		return m.breaks(m, raw)
	}
	return raw
}

// restore puts the store back to how it was before the last n writes.
func (m *model) restore(n int) {
	m.writing.Lock()
	defer m.writing.Unlock()
	m.writes = m.writes[:max(len(m.writes)-n, m.settled)]
	earlier := m.newStore()
	for i := range m.writes {
		m.replays = &m.writes[i].at
		m.writes[i].do(earlier)
	}
	m.replays, m.restored = nil, true
	m.mu.Lock()
	defer m.mu.Unlock()
	m.store = earlier
}

// written is how many writes were done.
func (m *model) written() int {
	m.writing.Lock()
	defer m.writing.Unlock()
	return len(m.writes)
}

// current is the store as it is now.
func (m *model) current() connect.Store {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.store
}

// modelQuery is one call to a store.
type modelQuery[T any] func(connect.Store) (T, error)

// ask lets a process make a call to the store. after is told what came of it
// where it has happened.
func ask[T any](l *modelLife, name string, do modelQuery[T], after func(T, error)) (result T, err error) {
	run := func(_ *modelCall, f fate) {
		if f == fateFails {
			err = errModelStore
			return
		}
		result, err = do(l.m.current())
		if after != nil {
			after(result, err)
		}
		if f == fateUntold {
			err = errModelStore
		}
	}
	if l.passes(name) {
		run(nil, fateFine)
	} else if died := l.reach(name, nil, run); died != nil {
		return result, died
	}
	return result, err
}

// passes reports whether a call need not wait.
func (l *modelLife) passes(name string) bool {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	return l.worker < 0 || !l.dead && !l.frozen && !l.m.gates[name]
}

// change is ask for what writes.
func change[T any](l *modelLife, name string, do modelQuery[T], after func(T, error)) (T, error) {
	logged := func(s connect.Store) (T, error) {
		l.m.writing.Lock()
		defer l.m.writing.Unlock()
		result, err := do(s)
		if err == nil && l.m.logs {
			l.m.writes = append(l.m.writes, modelWrite{time.Now(), func(s connect.Store) { _, _ = do(s) }})
		}
		return result, err
	}
	return ask(l, name, logged, after)
}

// none makes a query of a call that returns an error alone.
func none(do func(connect.Store) error) modelQuery[struct{}] {
	return func(s connect.Store) (struct{}, error) { return struct{}{}, do(s) }
}

// live is ctx where the store is asked now, and one that never ends where
// restore repeats it. It is for writes, which take their turn.
func (m *model) live(ctx context.Context) context.Context {
	if m.replays != nil {
		return context.Background()
	}
	return ctx
}

func (s *modelStore) CreateFlow(ctx context.Context, flow connect.Flow, caps connect.FlowCaps) error {
	_, err := change(s.life, "CreateFlow", none(func(to connect.Store) error { return to.CreateFlow(s.life.m.live(ctx), flow, caps) }), nil)
	return err
}

func (s *modelStore) ReadFlow(ctx context.Context, key connect.FlowKey) (connect.Flow, error) {
	return ask(s.life, "ReadFlow", func(to connect.Store) (connect.Flow, error) { return to.ReadFlow(ctx, key) }, nil)
}

func (s *modelStore) MoveFlow(ctx context.Context, from connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
	return change(s.life, "MoveFlow", func(to connect.Store) (connect.Flow, error) { return to.MoveFlow(s.life.m.live(ctx), from, next) }, nil)
}

func (s *modelStore) CommitFlow(ctx context.Context, commit connect.Commit) (connect.Flow, error) {
	return change(s.life, "CommitFlow", func(to connect.Store) (connect.Flow, error) { return to.CommitFlow(s.life.m.live(ctx), commit) },
		func(_ connect.Flow, err error) { s.life.committed(commit, err) })
}

func (s *modelStore) ClaimOverdueFlows(ctx context.Context, n int, lease time.Duration) ([]connect.Flow, error) {
	return change(s.life, "ClaimOverdueFlows", func(to connect.Store) ([]connect.Flow, error) {
		return to.ClaimOverdueFlows(s.life.m.live(ctx), n, lease)
	}, nil)
}

func (s *modelStore) ReadAccount(ctx context.Context, key connect.AccountKey) (connect.Account, error) {
	return ask(s.life, "ReadAccount", func(to connect.Store) (connect.Account, error) { return to.ReadAccount(ctx, key) }, nil)
}

func (s *modelStore) ListAccounts(ctx context.Context, tenant string, filter connect.AccountFilter, page connect.Page) ([]connect.Account, string, error) {
	var next string
	accounts, err := ask(s.life, "ListAccounts", func(to connect.Store) (accounts []connect.Account, err error) {
		accounts, next, err = to.ListAccounts(ctx, tenant, filter, page)
		return accounts, err
	}, nil)
	return accounts, next, err
}

func (s *modelStore) WriteAccount(ctx context.Context, account connect.Account, events []connect.Event) error {
	_, err := change(s.life, "WriteAccount", none(func(to connect.Store) error { return to.WriteAccount(s.life.m.live(ctx), account, events) }), nil)
	return err
}

func (s *modelStore) ReleaseAccount(ctx context.Context, tenant, id string, events []connect.Event) (connect.Released, error) {
	return change(s.life, "ReleaseAccount", func(to connect.Store) (connect.Released, error) {
		return to.ReleaseAccount(s.life.m.live(ctx), tenant, id, events)
	}, s.life.released)
}

func (s *modelStore) ReadGrant(ctx context.Context, key connect.GrantKey) (connect.Grant, error) {
	return ask(s.life, "ReadGrant", func(to connect.Store) (connect.Grant, error) { return to.ReadGrant(ctx, key) }, nil)
}

func (s *modelStore) ClaimGrant(ctx context.Context, key connect.GrantKey, attempt string, lease time.Duration) (connect.ClaimedGrant, error) {
	return change(s.life, "ClaimGrant", func(to connect.Store) (connect.ClaimedGrant, error) {
		return to.ClaimGrant(s.life.m.live(ctx), key, attempt, lease)
	}, func(connect.ClaimedGrant, error) { s.life.m.lease = lease })
}

func (s *modelStore) ClaimDueGrants(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
	return change(s.life, "ClaimDueGrants", func(to connect.Store) (connect.DueGrants, error) {
		return to.ClaimDueGrants(s.life.m.live(ctx), claim)
	}, func(connect.DueGrants, error) { s.life.m.lease = claim.Lease })
}

func (s *modelStore) RenewClaims(ctx context.Context, attempt string, grants []connect.GrantKey, lease time.Duration) error {
	_, err := change(s.life, "RenewClaims", none(func(to connect.Store) error { return to.RenewClaims(s.life.m.live(ctx), attempt, grants, lease) }), nil)
	return err
}

func (s *modelStore) MarkSent(ctx context.Context, attempt string, grants []connect.GrantKey) ([]connect.GrantKey, error) {
	return change(s.life, "MarkSent", func(to connect.Store) ([]connect.GrantKey, error) {
		return to.MarkSent(s.life.m.live(ctx), attempt, grants)
	}, func(held []connect.GrantKey, _ error) { s.life.marked(attempt, held) })
}

func (s *modelStore) SettleGrant(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
	return change(s.life, "SettleGrant", func(to connect.Store) (connect.Grant, error) { return to.SettleGrant(s.life.m.live(ctx), st) },
		func(_ connect.Grant, err error) { s.life.settled(st, err) })
}

func (s *modelStore) ClaimSubject(ctx context.Context, subjectKey, attempt string, lease time.Duration) error {
	_, err := change(s.life, "ClaimSubject", none(func(to connect.Store) error { return to.ClaimSubject(s.life.m.live(ctx), subjectKey, attempt, lease) }), nil)
	return err
}

func (s *modelStore) ReleaseSubject(ctx context.Context, subjectKey, attempt string) error {
	_, err := change(s.life, "ReleaseSubject", none(func(to connect.Store) error { return to.ReleaseSubject(s.life.m.live(ctx), subjectKey, attempt) }), nil)
	return err
}
