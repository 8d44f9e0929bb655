package sqlitestore_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sqlitestore"
)

// runSQL runs SQL on a file behind the store's back.
func runSQL(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// writeFile writes a file.
func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare func(t *testing.T, path string)
		want    string // the way out
	}{
		"a directory": {
			func(t *testing.T, path string) {
				t.Helper()
				if err := os.Mkdir(path, 0o700); err != nil {
					t.Fatal(err)
				}
			},
			"give the path of a file",
		},
		"a file that is no database": {
			func(t *testing.T, path string) { t.Helper(); writeFile(t, path, strings.Repeat("hello ", 1000)) },
			"give the path of a new file",
		},
		"another program's database": {
			func(t *testing.T, path string) { t.Helper(); runSQL(t, path, "CREATE TABLE a (b)") },
			"give the path of a new file",
		},
		"a damaged database": {
			func(t *testing.T, path string) {
				t.Helper()
				runSQL(t, path, "CREATE TABLE a (b)")
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				writeFile(t, path, string(content[:100])+strings.Repeat("#", len(content)-100))
			},
			"restore a backup",
		},
		"a folder that does not exist": {
			func(t *testing.T, path string) { t.Helper() },
			"its folder must exist",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "connect.db")
			if strings.Contains(name, "folder") {
				path = filepath.Join(path, "connect.db")
			}
			test.prepare(t, path)
			store, err := sqlitestore.Open(t.Context(), path, nil)
			if err == nil {
				store.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("the error is %q, want %q and the path in it", err, test.want)
			}
		})
	}
}

// A process that may not read the file says so.
func TestOpenRefusesUnreadable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "connect.db")
	writeFile(t, path, "")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() <= 0 {
		becomeNobody(t, path)
	}
	if _, err := sqlitestore.Open(t.Context(), path, nil); err == nil || !strings.Contains(err.Error(), "allowed to read") {
		t.Errorf("error is %v", err)
	}
}

func TestOpenOddPaths(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b.db", "a?b=c.db", "a#b.db", "a%20b.db", "a&_pragma=x.db", "\u00e9.db"} {
		path := filepath.Join(t.TempDir(), name)
		open(t, path, nil)
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%q is not at its path: %v", name, err)
		}
	}
}

// Security: the file holds sealed tokens, and whom a tenant's users know. It is
// nobody's business on a shared machine, whatever the umask says.
func TestFilesAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no file modes")
	}
	folder := t.TempDir()
	store := open(t, filepath.Join(folder, "connect.db"), nil)
	if err := store.PutClient(t.Context(), connect.ClientRecord{Name: "server", Version: 1}); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v", entry.Name(), info.Mode())
		}
		names = append(names, entry.Name())
	}
	if got := strings.Join(names, " "); got != "connect.db connect.db-shm connect.db-wal" {
		t.Errorf("the files are %s", got)
	}
}

// TestFault39_OpenAtOnce starts eight stores on one file that does not exist.
func TestFault39_OpenAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "connect.db")
	const stores = 8
	errs := make([]error, stores)
	var done sync.WaitGroup
	for i := range stores {
		done.Go(func() {
			store, err := sqlitestore.Open(t.Context(), path, nil)
			if err == nil {
				err = store.Close()
			}
			errs[i] = err
		})
	}
	done.Wait()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var twice int
	err = db.QueryRowContext(t.Context(), "SELECT count(*) - count(DISTINCT version_id) FROM schema_version").Scan(&twice)
	if err != nil || twice != 0 {
		t.Errorf("%d migrations were applied twice (%v)", twice, err)
	}
}
