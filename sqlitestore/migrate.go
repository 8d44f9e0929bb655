package sqlitestore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var embedded embed.FS

// migrations returns the files to apply, in the order of their numbers.
func migrations() (fs.FS, error) { return fs.Sub(embedded, "migrations") }

// versionTable is where goose counts.
const versionTable = "schema_version"

// applicationID is what the first migration writes into the file's header.
const applicationID = 1668247150

// migrate brings the tables up to date. Processes that do so at the same time
// wait for each other: one applies, the others find it done.
//
// A newer release may have been here: its migrations only add, so that this one
// goes on with the file.
func migrate(ctx context.Context, db *sql.DB, files fs.FS) error {
	lock := &migrationLock{}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files,
		goose.WithTableName(versionTable),
		goose.WithDisableGlobalRegistry(true),
		goose.WithSessionLocker(lock),
		goose.WithIsolateDDL(true), // which means: goose begins no transactions of its own
	)
	if err != nil {
		return err
	}
	for _, source := range provider.ListSources() {
		lock.next = source.Version
		_, err := provider.ApplyVersion(ctx, source.Version, true)
		if err != nil && !errors.Is(err, goose.ErrAlreadyApplied) {
			return err
		}
	}
	return nil
}

// migrationLock is one transaction around all that goose does for a migration,
// its own table included: SQLite can undo changes of tables as well. It holds
// the file's write lock and ends with the process, and so is the lock that
// goose asks for.
type migrationLock struct {
	next int64 // version of the one to apply
}

// SessionLock begins. It refuses a file that is not ours to change.
func (l *migrationLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := check(ctx, conn); err != nil {
		_, rollbackErr := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return errors.Join(err, rollbackErr)
	}
	return nil
}

// check returns an error for another program's file.
func check(ctx context.Context, conn *sql.Conn) error {
	var tables int
	if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err
	}
	if tables == 0 {
		return nil
	}
	var id int64
	err := conn.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id)
	if err == nil && id != applicationID {
		err = errors.New("the database belongs to another program; give the path of a new file")
	}
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
