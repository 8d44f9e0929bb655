package pgstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var embedded embed.FS

// versionTable is where goose counts.
const versionTable = "schema_version"

// migrations are those of this release.
func migrations() (fs.FS, error) { return fs.Sub(embedded, "migrations") }

// migrate brings the tables up to date with files. Processes that do so at the same time
// wait for each other: one applies, the others find it done. Where it is done,
// a role that may change no tables will do.
//
// A newer release may have been here: its migrations only add, so that this one
// goes on while that one is rolled out.
func (s *Store) migrate(ctx context.Context, files fs.FS) error {
	db := stdlib.OpenDBFromPool(s.pool)
	defer db.Close()
	lock := &migrationLock{store: s}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName(versionTable),
		goose.WithDisableGlobalRegistry(true),
		goose.WithSessionLocker(lock),
		goose.WithIsolateDDL(true), // which means: goose begins no transactions of its own
	)
	if err != nil {
		return err
	}
	done, err := s.version(ctx)
	if err != nil {
		return err
	}
	for _, source := range provider.ListSources() {
		if source.Version <= done {
			continue
		}
		lock.next = source.Version
		_, err := provider.ApplyVersion(ctx, source.Version, true)
		if err != nil && !errors.Is(err, goose.ErrAlreadyApplied) {
			return err
		}
	}
	return nil
}

// version returns that of the newest migration that was applied, 0 for none.
func (s *Store) version(ctx context.Context) (int64, error) {
	version, err := read(ctx, s, scanNumber, "SELECT coalesce(max(version_id), 0) FROM connect."+versionTable, nil)
	if codeOf(err) == undefinedTable {
		return 0, nil
	}
	return version, err
}

// migrationLock is one transaction around all that goose does for a migration,
// its own table included: PostgreSQL can undo changes of tables as well. The
// lock in it ends with the transaction, and so works through PgBouncer, as the
// lock of a session, which goose has ready, would not.
type migrationLock struct {
	store *Store
	next  int64 // version of the one to apply
}

// SessionLock begins, and makes the schema where there is none.
func (l *migrationLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		return err
	}
	err := l.prepare(ctx, conn)
	if err != nil {
		_, rollbackErr := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return errors.Join(err, rollbackErr)
	}
	return nil
}

func (l *migrationLock) prepare(ctx context.Context, conn *sql.Conn) error {
	const lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
	if _, err := conn.ExecContext(ctx, lock, l.store.lockName("migration", "")); err != nil {
		return err
	}
	var found bool
	if err := conn.QueryRowContext(ctx, "SELECT to_regnamespace($1) IS NOT NULL", l.store.schema).Scan(&found); err != nil {
		return err
	}
	if !found { // asked first, because IF NOT EXISTS wants the right to create even where it does not
		if _, err := conn.ExecContext(ctx, "CREATE SCHEMA "+l.store.schema); err != nil {
			return err
		}
	}
	_, err := conn.ExecContext(ctx, "SET LOCAL search_path = "+l.store.schema)
	return err
}

// SessionUnlock commits where the migration was applied, now or earlier, and
// undoes everything where not.
func (l *migrationLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	end := "COMMIT"
	var version int64
	err := conn.QueryRowContext(ctx, "SELECT max(version_id) FROM "+versionTable).Scan(&version)
	if err != nil || version < l.next {
		end = "ROLLBACK"
	}
	_, err = conn.ExecContext(ctx, end)
	return err
}
