// Package pgstore keeps everything in PostgreSQL, version 13 or later, through
// pgx: the store for a host of many processes.
//
// It needs nothing of a session, so it works through PgBouncer in transaction
// mode as well. A PgBouncer before 1.21, and any whose
// max_prepared_statements is 0, keeps no prepared statements in that mode; tell
// pgx so in the connection string:
//
//	host=… dbname=… default_query_exec_mode=exec
//
// No transaction outlives a method, so none is open while the engine waits for
// a platform. Most methods, and all that claim, send their whole transaction at
// once; the server does not wait for the client in the middle of it. It does
// where what was read decides what is written (write in transaction.go).
//
// What a method has stored survives a crash of the server: where the role or
// the database has synchronous_commit off, the transactions of this package
// turn it on for themselves. That fsync is on is for the server's owner to see
// to.
package pgstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed944197df/connect"
)

// Options holds what may be left out; nil means all defaults.
type Options struct {
	// Schema is where the tables are: small letters, digits and underscores, at
	// most 63. It is created where it does not exist. Defaults to "connect".
	Schema string

	// Logger is told of settings of the server that endanger what is stored.
	// Defaults to none.
	Logger *slog.Logger

	// Now is the store's clock. Defaults to the server's, which is what
	// processes on several machines need; another one is for tests.
	Now func() time.Time
}

// Store implements [connect.Store]. It is safe for concurrent use.
type Store struct {
	pool   *pgxpool.Pool
	own    bool   // whether Close closes the pool
	schema string // as SQL: quoted
	now    func() time.Time

	statements sync.Map // string to statement: those of this package, as the server takes them
}

var _ connect.Store = (*Store)(nil)

// Open connects to the database that the connection string (a URL, or words as
// in libpq) names, brings the tables up to date and returns the store, which
// must be closed.
func Open(ctx context.Context, dsn string, opts *Options) (*Store, error) {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("pgstore: %w", err)
	}
	s, err := New(ctx, pool, opts)
	if err != nil {
		pool.Close()
		return nil, err
	}
	s.own = true
	return s, nil
}

// New is [Open] for a pool of the host's own, which stays the host's to close.
func New(ctx context.Context, pool *pgxpool.Pool, opts *Options) (*Store, error) {
	if opts == nil {
		opts = &Options{}
	}
	name := opts.Schema
	if name == "" {
		name = defaultSchema
	}
	if !schemaName.MatchString(name) {
		return nil, fmt.Errorf("pgstore: Options.Schema is %q; use small letters, digits and underscores, at most 63", name)
	}
	s := &Store{pool: pool, schema: pgx.Identifier{name}.Sanitize(), now: opts.Now}
	files, err := migrations()
	if err != nil {
		return nil, err
	}
	if err := s.migrate(ctx, files); err != nil {
		return nil, fmt.Errorf("pgstore: the tables in schema %s: %w", name, err)
	}
	if err := s.warn(ctx, opts.Logger); err != nil {
		return nil, failed(err)
	}
	return s, nil
}

// defaultSchema is the schema that statements are written for.
const defaultSchema = "connect"

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// warn tells of settings with which a crash of the server could take back what
// a method has reported as stored.
func (s *Store) warn(ctx context.Context, logger *slog.Logger) error {
	if logger == nil {
		return nil
	}
	var commit, fsync string
	err := s.pool.QueryRow(ctx, "SELECT current_setting('synchronous_commit'), current_setting('fsync')").Scan(&commit, &fsync)
	if err != nil {
		return err
	}
	if commit == "off" {
		logger.WarnContext(ctx, "pgstore: synchronous_commit is off for this role or database; the store turns it on in its own transactions, the host's are not durable")
	}
	if fsync == "off" {
		logger.WarnContext(ctx, "pgstore: fsync is off; a crash of the server's machine can lose or damage everything that is stored")
	}
	return nil
}

// Close closes the connections that [Open] made, after those in use are done.
// The store must not be used afterwards.
func (s *Store) Close() error {
	if s.own {
		s.pool.Close()
	}
	return nil
}

// failed says whose error it is where it is not one of the contract's.
func failed(err error) error {
	for _, known := range []error{
		nil, connect.ErrNotFound, connect.ErrConflict, connect.ErrStale, connect.ErrBusy, connect.ErrTooMany,
	} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("pgstore: %w", err)
}
