package pgtest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/seed944197df/connect/internal/testreq"
)

// bouncerPort is in the name of the socket; nothing listens on the network.
const bouncerPort = 6432

// bouncer is a running PgBouncer.
type bouncer struct {
	dir     string
	command *exec.Cmd
	ended   chan struct{} // closed when it has
}

// Every database of the server, as its superuser, with few connections each,
// which are closed soon after the tests are done with them.
const settings = `[databases]
* = host=%s user=postgres

[pgbouncer]
pool_mode = transaction
auth_type = any
unix_socket_dir = %s
unix_socket_mode = 0777
listen_port = %d
default_pool_size = 8
max_client_conn = 1000
server_idle_timeout = 1
log_connections = 0
log_disconnections = 0
`

func startBouncer(tb testing.TB, serverDir string) *bouncer {
	tb.Helper()
	program := testreq.Command(tb, "pgbouncer")
	dir, err := os.MkdirTemp("", "pb") //nolint:usetesting // outlives the test, and is short: the path of a socket has at most 107 bytes
	if err != nil {
		tb.Fatal(err)
	}
	b := &bouncer{dir: dir, ended: make(chan struct{})}
	if err := b.start(program, serverDir); err != nil {
		tb.Fatal(errors.Join(err, os.RemoveAll(dir)))
	}
	return b
}

func (b *bouncer) start(program, serverDir string) error {
	config := filepath.Join(b.dir, "ini")
	text := fmt.Sprintf(settings, serverDir, b.dir, bouncerPort)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil { //nolint:gosec // another user reads it; it holds no secret
		return err
	}
	if err := os.Chmod(b.dir, 0o777); err != nil { //nolint:gosec // another user makes the socket there
		return err
	}
	args := []string{config}
	if os.Geteuid() == 0 { // it refuses to run as root
		args = []string{"-u", "postgres", config}
	}
	b.command = exec.Command(program, args...) //nolint:gosec,noctx // the path of PgBouncer; stop ends it
	b.command.SysProcAttr = endWithUs()
	if err := b.command.Start(); err != nil {
		return err
	}
	go func() {
		_ = b.command.Wait() // how it ended does not matter
		close(b.ended)
	}()
	return b.awaitReady()
}

func (b *bouncer) awaitReady() error {
	socket := filepath.Join(b.dir, fmt.Sprintf(".s.PGSQL.%d", bouncerPort))
	deadline := time.After(10 * time.Second)
	for {
		conn, err := net.Dial("unix", socket) //nolint:noctx // it answers at once
		if err == nil {
			return conn.Close()
		}
		select {
		case <-deadline:
			return fmt.Errorf("pgtest: PgBouncer does not answer: %w", errors.Join(err, b.stop()))
		case <-b.ended:
			return fmt.Errorf("pgtest: PgBouncer has ended: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (b *bouncer) stop() error {
	err := b.command.Process.Signal(syscall.SIGQUIT) // at once
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-b.ended
	return errors.Join(err, os.RemoveAll(b.dir))
}
