package sqlitestore

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	sqlite3 "modernc.org/sqlite/lib"
)

// createFile creates an empty file where there is none.
//
// Security: SQLite would create it as the umask says, readable by others on
// most machines. And it must not appear at its path before we have closed it:
// where a process closes a file, POSIX takes away all locks that this process
// has on it, those of a store that opens the same path at this moment, too.
func createFile(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return errors.New("not a file; give the path of a file, new or made by this package")
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("%w; its folder must exist, and this process must be allowed to write there", err)
	}
	err = errors.Join(file.Close(), link(file.Name(), path))
	return errors.Join(err, os.Remove(file.Name()))
}

// link gives the file another name, unless another process was faster.
func link(name, path string) error {
	err := os.Link(name, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	return fmt.Errorf("%w; create an empty file of mode 0600 there, and start again", err)
}

// sourceName returns what the driver must be given to open path.
func sourceName(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	slashed := filepath.ToSlash(absolute)
	if !strings.HasPrefix(slashed, "/") { // a drive letter
		slashed = "/" + slashed
	}
	location := url.URL{Path: slashed}
	return "file://" + location.EscapedPath() + "?_pragma=busy_timeout(5000)" +
		"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=secure_delete(1)", nil
}

// explain adds the way out to errors of SQLite that a file causes.
func explain(err error) error {
	switch codeOf(err) & 0xff { // the primary code
	case sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w; give the path of a new file, or of one made by this package", err)
	case sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%w; restore a backup", err)
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return fmt.Errorf("%w; this process must be allowed to read and write the file and its folder", err)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w; make room on the disk", err)
	default:
		return err
	}
}
