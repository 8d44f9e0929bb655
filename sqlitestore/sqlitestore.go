// Package sqlitestore keeps everything in one SQLite file, in pure Go. It is
// the store for a host that has no database server; several processes of one
// machine may share the file.
//
// What a method has stored survives a crash of the process, of the machine and
// of its power supply: the file is in WAL mode, each commit waits for the disk
// (synchronous=FULL). The file must be on a local disk, because WAL mode does
// not work over a network. Beside it SQLite keeps two more, whose names end in
// -wal and -shm; a copy of the file alone is no backup while a process has it
// open (use VACUUM INTO).
package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/seed944197df/connect"
)

// Options holds what may be left out; nil means all defaults.
type Options struct {
	// Now is the store's clock. Defaults to [time.Now]. Processes that share a
	// file must share a clock.
	Now func() time.Time
}

// Store implements [connect.Store]. It is safe for concurrent use.
//
// A method that meets the lock of another process waits for it at most five
// seconds; one that meets another goroutine waits as long as its context
// allows.
type Store struct {
	now    func() time.Time
	writer *sql.DB // one connection: SQLite has one writer at a time
	reader *sql.DB
}

var _ connect.Store = (*Store)(nil)

// readers is the number of connections that read while one writes.
const readers = 4

// Open opens the file, brings its tables up to date and returns the store,
// which must be closed. A file that does not exist is created, for its owner
// alone (mode 0600); its folder must exist.
//
// It fails where path is a directory, or a file that is no SQLite database, or
// that belongs to another program.
func Open(ctx context.Context, path string, opts *Options) (*Store, error) {
	s, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("sqlitestore: open %q: %w", path, explain(err))
	}
	if opts != nil && opts.Now != nil {
		s.now = opts.Now
	}
	return s, nil
}

func open(ctx context.Context, path string) (*Store, error) {
	if err := createFile(path); err != nil {
		return nil, err
	}
	source, err := sourceName(path)
	if err != nil {
		return nil, err
	}
	files, err := migrations()
	if err != nil {
		return nil, err
	}
	writer, err := sql.Open("sqlite", source+"&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	writer.SetMaxOpenConns(1)
	if err := migrate(ctx, writer, files); err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	reader, err := sql.Open("sqlite", source+"&_pragma=query_only(1)")
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	reader.SetMaxOpenConns(readers)
	reader.SetMaxIdleConns(readers)
	return &Store{now: time.Now, writer: writer, reader: reader}, nil
}

// Close closes the file. The store must not be used afterwards.
func (s *Store) Close() error {
	return errors.Join(s.reader.Close(), s.writer.Close())
}

// clock returns the time as the file keeps it.
func (s *Store) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// write runs f in a transaction that holds the file's write lock from its
// beginning, so that what f reads stays true until it has written. It commits
// where f returns nil.
func (s *Store) write(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return failed(err)
	}
	if err := f(tx); err != nil {
		// The error of a rollback says nothing more: what was not committed
		// is not there.
		_ = tx.Rollback()
		return failed(err)
	}
	return failed(tx.Commit())
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
	return fmt.Errorf("sqlitestore: %w", err)
}

// taken reports whether err says that a key exists already.
func taken(err error) bool {
	code := codeOf(err)
	return code == sqlite3.SQLITE_CONSTRAINT_UNIQUE || code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
}

// codeOf returns the extended result code of SQLite, and 0 for other errors.
func codeOf(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code()
}
