// Package pgtest lends tests a PostgreSQL server, with or without a PgBouncer
// before it. Where one of the two is not installed, the test ends by
// [testreq.Missing].
package pgtest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed944197df/connect/internal/pgcluster"
	"github.com/seed944197df/connect/internal/testreq"
)

// server is the one of a test binary: to start one takes a second.
var server struct {
	once    sync.Once
	cluster *pgcluster.Cluster
	err     error

	mu      sync.Mutex // guards bouncer
	bouncer *bouncer

	databases atomic.Int64 // counts them
}

// Main runs the tests of a binary and stops what they have started:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	return code
}

func stop() error {
	var errs []error
	if b := server.bouncer; b != nil {
		errs = append(errs, b.stop())
	}
	if c := server.cluster; c != nil {
		errs = append(errs, c.Stop())
	}
	return errors.Join(errs...)
}

// cluster returns the server of this test binary, which runs from its first
// use until Main ends.
func cluster(tb testing.TB) *pgcluster.Cluster {
	tb.Helper()
	server.once.Do(func() {
		server.cluster, server.err = pgcluster.Start(tb.Context(), "")
	})
	need(tb, server.err)
	return server.cluster
}

// need ends the test where the server could not be started.
func need(tb testing.TB, err error) {
	tb.Helper()
	if errors.Is(err, pgcluster.ErrMissing) {
		testreq.Missing(tb, "PostgreSQL", err.Error())
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// Database makes an empty database and returns the connection string of its
// owner, a superuser.
func Database(tb testing.TB) string {
	tb.Helper()
	return database(tb, cluster(tb))
}

func database(tb testing.TB, c *pgcluster.Cluster) string {
	tb.Helper()
	name := fmt.Sprintf("test%d", server.databases.Add(1))
	if err := c.CreateDatabase(tb.Context(), name); err != nil {
		tb.Fatal(err)
	}
	return c.DSN(name)
}

// OwnServer starts a server for this test alone, which may do it harm, and
// returns the connection string of an empty database there.
func OwnServer(tb testing.TB) string {
	tb.Helper()
	c, err := pgcluster.Start(tb.Context(), "")
	need(tb, err)
	tb.Cleanup(func() {
		if err := c.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return database(tb, c)
}

// Bouncer returns the connection string that leads to the same database as dsn
// does, through PgBouncer in transaction mode. It begins with the way of
// sending statements that an old PgBouncer needs.
func Bouncer(tb testing.TB, dsn string) string {
	tb.Helper()
	folder, rest, _ := strings.Cut(strings.TrimPrefix(dsn, "host="), " ")
	server.mu.Lock()
	defer server.mu.Unlock()
	if server.bouncer == nil {
		server.bouncer = startBouncer(tb, folder)
	}
	return fmt.Sprintf("host=%s port=%d default_query_exec_mode=exec %s", server.bouncer.dir, bouncerPort, rest)
}
