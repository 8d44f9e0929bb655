package pgstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// begin says READ COMMITTED because the host's default may be another: each
// statement must see what was committed before it began, so that the one after
// a lock sees what the lock has waited for.
const begin = "BEGIN ISOLATION LEVEL READ COMMITTED"

// durable makes the commit wait for the disk, for this transaction alone. It
// leaves a stronger setting, and those that give up a standby only, as they
// are.
const durable = `SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'`

// durably is durable as a condition, which always holds, of a statement that is
// a transaction of its own.
const durably = `CASE WHEN current_setting('synchronous_commit') = 'off'
	THEN set_config('synchronous_commit', 'on', true) = 'on' ELSE true END`

// impatient ends the transaction of a client that is gone or hangs while it
// holds locks.
const impatient = `SELECT set_config('idle_in_transaction_session_timeout', '10s', true)`

// longest bounds a method whose context has no deadline.
const longest = time.Minute

// write runs f in a transaction, and commits it where f returns nil. f may run
// several times, each time on what is stored then.
func (s *Store) write(ctx context.Context, f func(tx pgx.Tx) error) error {
	opts := pgx.TxOptions{BeginQuery: begin + "; " + durable + "; " + impatient}
	return retry(ctx, func(ctx context.Context) error {
		return pgx.BeginTxFunc(ctx, s.pool, opts, f)
	})
}

// once runs statements as one transaction in one message, so that locks are
// held no longer than the server works. It is for statements that need no
// decision of ours: an error of what reads their results undoes nothing.
func (s *Store) once(ctx context.Context, statements func(b *pgx.Batch)) error {
	return retry(ctx, func(ctx context.Context) error {
		batch := &pgx.Batch{}
		batch.Queue(begin)
		batch.Queue(durable)
		statements(batch)
		batch.Queue("COMMIT")
		return s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
			err := conn.SendBatch(ctx, batch).Close()
			if err != nil && !conn.Conn().IsClosed() && conn.Conn().PgConn().TxStatus() != 'I' {
				_, _ = conn.Exec(ctx, "ROLLBACK") // where this fails, the pool closes the connection
			}
			return err
		})
	})
}

// tries is how often a transaction is begun that the server could not let
// happen beside another.
const tries = 5

// retry runs f, and runs it again where the server has undone it for the sake
// of another transaction. A connection that breaks is an error like any other:
// what it was to commit may be stored or not.
func retry(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	for try := 1; ; try++ {
		err := f(ctx)
		if try == tries || !undone(err) {
			return failed(err)
		}
		select {
		case <-ctx.Done():
			return failed(err)
		case <-time.After(rand.N(time.Duration(try) * 20 * time.Millisecond)): //nolint:gosec // jitter is no secret
		}
	}
}

// The conditions of PostgreSQL that mean something here.
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	uniqueViolation      = "23505"
	badCharacter         = "22021" // no text: a zero byte, or not UTF-8
	undefinedTable       = "42P01"
)

// errMoved says that what was to be locked was no longer where it had been
// read.
var errMoved = errors.New("the row has moved")

// undone reports whether the server has undone a transaction that may well
// succeed when it is run again.
func undone(err error) bool {
	code := codeOf(err)
	return errors.Is(err, errMoved) || code == serializationFailure || code == deadlockDetected
}

// taken reports whether err says that a key exists already.
func taken(err error) bool { return codeOf(err) == uniqueViolation }

// codeOf returns the condition that the server has reported, and nothing for
// other errors.
func codeOf(err error) string {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return ""
	}
	return e.Code
}
