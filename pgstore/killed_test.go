package pgstore_test

import (
	"bufio"
	"fmt"
	"os"
	osexec "os/exec"
	"testing"
	"time"

	"github.com/seed944197df/connect/internal/pgtest"
	"github.com/seed944197df/connect/pgstore"
)

// killedDSN names the database for the processes that TestFault24_KilledClients
// kills.
const killedDSN = "PGSTORE_TEST_KILLED_DSN"

// TestFault24_KilledClients kills processes in the middle of what they do,
// through a pooler that keeps the connections to the server: no lock stays, and
// the store goes on for the others.
func TestFault24_KilledClients(t *testing.T) {
	t.Parallel()
	if dsn := os.Getenv(killedDSN); dsn != "" {
		neverEnds(t, dsn)
		return
	}
	dsn := pgtest.Database(t)
	through := pgtest.Bouncer(t, dsn)
	store := open(t, through, nil)
	for n := range 4 {
		if err := commit(t.Context(), store, n); err != nil {
			t.Fatal(err)
		}
	}
	for kill := range 10 {
		child := osexec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFault24_KilledClients$")
		child.Env = append(os.Environ(), fmt.Sprintf("%s=%s", killedDSN, through))
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		for range 3 + kill { // each in the middle of another round
			if _, err := lines.ReadString('\n'); err != nil {
				t.Fatal("a process that was to be killed has ended:", err)
			}
		}
		_ = child.Process.Kill()
		_ = child.Wait() // says that it was killed
		until(t, "no transaction of the process is left", func() bool {
			return ask[int](t, dsn, "SELECT count(*) FROM pg_stat_activity WHERE "+inDatabase+" AND state <> 'idle' AND pid <> pg_backend_pid()") == 0
		})
		if n := ask[int](t, dsn, "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE "+inDatabase+" AND locktype = 'advisory'"); n > 0 {
			t.Fatalf("after kill %d: %d locks are left on connections that do nothing", kill+1, n)
		}
		if err := contend(t.Context(), store, 1000+kill, 0); err != nil {
			t.Fatalf("after kill %d: %v", kill+1, err)
		}
	}
}

// inDatabase is the condition for the server's processes of this test.
const inDatabase = "datname = current_database()"

// neverEnds does everything again and again, and says so.
func neverEnds(t *testing.T, dsn string) {
	t.Helper()
	store, err := pgstore.Open(t.Context(), dsn, &pgstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-time.After(time.Minute) // whoever kills us has been killed
		os.Exit(1)
	}()
	for round := 0; ; round++ {
		if err := contend(t.Context(), store, os.Getpid(), round); err != nil {
			t.Fatal(err)
		}
		_, _ = os.Stdout.WriteString("a round\n") // whoever reads it kills us
	}
}
