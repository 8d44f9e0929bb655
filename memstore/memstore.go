// Package memstore keeps everything in memory: for tests, for trying things
// out, and as the shortest reading of the contract of [connect.Store]. What it
// holds ends with the process.
package memstore

import (
	"context"
	"sync"
	"time"

	"github.com/seed944197df/connect"
)

// Options holds what may be left out; nil means all defaults.
type Options struct {
	// Now is the store's clock. Defaults to [time.Now].
	Now func() time.Time
}

// Store implements [connect.Store]. It is safe for concurrent use.
//
// It counts and sorts by looking at every row, so that the code stays plain:
// some ten thousand rows are fine, a production system is not what it is for.
type Store struct {
	now func() time.Time

	mu         sync.Mutex // guards everything below
	flows      map[string]connect.Flow
	flowHeld   map[string]time.Time // until when somebody is ending it
	handles    map[handle]string    // ids of flows
	accounts   map[rowKey]connect.Account
	accountIDs map[connect.AccountKey]string // by key, without id
	grants     map[rowKey]grantRow
	grantIDs   map[connect.GrantKey]string // by key, without id
	subjects   map[string]subjectClaim
	clients    map[clientKey]connect.ClientRecord
	ended      map[string]bool  // tenants
	events     []*eventRow      // in the order in which they were written
	eventIDs   map[string]bool  // of all events
	sequences  map[rowKey]int64 // of the newest event, by account
}

var _ connect.Store = (*Store)(nil)

// rowKey names a row whose id is unique within its tenant.
type rowKey struct{ tenant, id string }

// New returns an empty store.
func New(opts *Options) *Store {
	s := &Store{
		now:        time.Now,
		flows:      map[string]connect.Flow{},
		flowHeld:   map[string]time.Time{},
		handles:    map[handle]string{},
		accounts:   map[rowKey]connect.Account{},
		accountIDs: map[connect.AccountKey]string{},
		grants:     map[rowKey]grantRow{},
		grantIDs:   map[connect.GrantKey]string{},
		subjects:   map[string]subjectClaim{},
		clients:    map[clientKey]connect.ClientRecord{},
		ended:      map[string]bool{},
		eventIDs:   map[string]bool{},
		sequences:  map[rowKey]int64{},
	}
	if opts != nil && opts.Now != nil {
		s.now = opts.Now
	}
	return s
}

// enter takes the lock. It refuses a context that is over, as a database
// would, so that a caller's mistake does not wait for production to show.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	return nil
}

// passed reports whether t has come.
func passed(t, now time.Time) bool { return !t.After(now) }
