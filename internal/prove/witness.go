package main

import (
	"context"
	"sync"
	"time"

	"github.com/seed944197df/connect"
)

// witness is a store that writes down when it has recorded that a refresh
// token may be presented, before the engine learns that it has.
type witness struct {
	connect.Store

	notes  *journal
	worker int

	mu    sync.Mutex // guards known
	known map[string]connect.Grant
}

func newWitness(kept connect.Store, notes *journal, worker int) *witness {
	return &witness{Store: kept, notes: notes, worker: worker, known: map[string]connect.Grant{}}
}

// ClaimGrant implements [connect.GrantStore].
func (w *witness) ClaimGrant(ctx context.Context, key connect.GrantKey, attempt string, lease time.Duration) (connect.ClaimedGrant, error) {
	claimed, err := w.Store.ClaimGrant(ctx, key, attempt, lease)
	if err == nil {
		err = w.claimed(claimed)
	}
	return claimed, err
}

// ClaimDueGrants implements [connect.GrantStore].
func (w *witness) ClaimDueGrants(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
	due, err := w.Store.ClaimDueGrants(ctx, claim)
	if err == nil {
		err = w.claimed(due.Grants...)
	}
	return due, err
}

// claimed keeps which grant an id is, and notes what an earlier process has
// left unsure.
func (w *witness) claimed(grants ...connect.ClaimedGrant) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range grants {
		w.known[g.ID] = g.Grant
		if g.Prior != connect.GrantSent && g.Prior != connect.GrantUncertain {
			continue
		}
		if err := w.note(unsure, g.Grant); err != nil {
			return err
		}
	}
	return nil
}

// MarkSent implements [connect.GrantStore]. What cannot be noted counts as not
// recorded, so that it is not sent.
func (w *witness) MarkSent(ctx context.Context, attempt string, grants []connect.GrantKey) ([]connect.GrantKey, error) {
	held, err := w.Store.MarkSent(ctx, attempt, grants)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range held {
		if err := w.note(marked, w.known[key.ID]); err != nil {
			return nil, err
		}
	}
	return held, nil
}

func (w *witness) note(kind noteKind, g connect.Grant) error {
	return w.notes.write(note{At: time.Now(), Kind: kind, Grant: g.Subject, Worker: w.worker, Generation: g.Generation})
}
