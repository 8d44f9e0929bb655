package pgstore

import (
	"hash/fnv"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// Locks keep apart what rows alone do not: a count and the row that it allows,
// the end of a tenant and what would still come. They are of transactions, not
// of sessions, so a pooler between us and the server has nothing to leak.
//
// A transaction takes what it takes of this list in this order, and of several
// of one kind in the order of their ids, so that no two wait for each other:
//
//	tenant   shared by whoever adds to it; alone, who counts, ends or erases it
//	flow     its row
//	grants   their rows
//	subject  shared by commits; alone, who claims it
//	accounts their rows
//	events   of a tenant: whoever writes some
//
// Where two meet all the same, by a key that both insert, the server undoes
// one of them, and it is tried again.
//
// Besides, those who claim due grants, overdue flows or events go one by one,
// and take their turn before anything else: claimers that run side by side read
// each other's rows again and again, and together get less done than one of
// them. They skip the rows that others have locked, but for events, so that
// they wait for nothing while it is their turn.
const (
	tenantLock   = "tenant"
	subjectLock  = "subject"
	eventsLock   = "events"
	grantsTurn   = "due grants"
	overdueTurn  = "overdue flows"
	deliveryTurn = "deliveries"
)

const (
	lockAlone  = "SELECT pg_advisory_xact_lock(hashtextextended(@lock, 0))"
	lockShared = "SELECT pg_advisory_xact_lock_shared(hashtextextended(@lock, 0))"
)

// alone queues a lock that nobody else may have.
func (s *Store) alone(b *pgx.Batch, kind, name string) {
	b.Queue(lockAlone, s.with(values{"lock": s.lockName(kind, name)}))
}

// beside queues a lock that others may share.
func (s *Store) beside(b *pgx.Batch, kind, name string) {
	b.Queue(lockShared, s.with(values{"lock": s.lockName(kind, name)}))
}

// turns is how many tables there are to take turns at: turn0 and so on, with
// neither columns nor rows.
const turns = 16

// turn queues the lock of one of them. Unlike any other statement, LOCK TABLE
// waits without a snapshot. For as long as somebody has one, the server keeps
// the versions of rows that came to an end since, and the claimer whose turn it
// is would read past all that the last ones have claimed.
func (s *Store) turn(b *pgx.Batch, kind, name string) {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(kind + " " + name)) // never fails
	table := "connect.turn" + strconv.FormatUint(uint64(hash.Sum32()%turns), 10)
	b.Queue("LOCK TABLE "+table+" IN EXCLUSIVE MODE", s.with(nil))
}

// lockName tells the locks of this store from those of others in the database.
func (s *Store) lockName(kind, name string) string {
	return s.schema + " " + kind + " " + name
}
