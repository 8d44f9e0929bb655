// Package pgcluster runs a PostgreSQL server of its own for as long as a test
// or a trial takes: on a unix socket in a folder that nobody else can reach,
// with the durability that a server has by default.
package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrMissing is in the error of [Start] where the machine has no PostgreSQL.
var ErrMissing = errors.New("pgcluster: no initdb in PATH or /usr/lib/postgresql/*/bin; install the PostgreSQL server")

const (
	superuser    = "postgres"
	connections  = 200
	startTimeout = 30 * time.Second
)

// Cluster is a running server with nothing in it.
type Cluster struct {
	bin    string // folder of the programs
	dir    string // folder of everything else, the socket included
	server *exec.Cmd
	ended  chan struct{} // closed when the server has
}

// Start makes a new cluster below dir, which defaults to the folder for
// temporary files and must be short, since the path of a socket has at most
// 107 bytes. Settings are such as "shared_buffers=1GB"; what they leave out is
// as the server has it by default. Start returns once the server takes
// connections. Stop must be called.
//
// Started by root, the server runs as the user postgres, who must be able to
// reach dir.
func Start(ctx context.Context, dir string, settings ...string) (*Cluster, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	own, err := os.MkdirTemp(dir, "pg")
	if err != nil {
		return nil, fmt.Errorf("pgcluster: %w", err)
	}
	c := &Cluster{bin: bin, dir: own}
	if err := errors.Join(chown(own), c.init(ctx)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(own))
	}
	if err := c.serve(ctx, settings); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// programs returns the folder of the server's programs: of the one in PATH,
// else of the newest.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		path, err = filepath.EvalSymlinks(path) // the other programs are beside the real one
		return filepath.Dir(path), err
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // a pattern of ours is never malformed
	if len(found) == 0 {
		return "", ErrMissing
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return major(a) - major(b) })), nil
}

// major is the version in /usr/lib/postgresql/VERSION/bin/initdb.
func major(path string) int {
	version, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // what is no number is the oldest
	return version
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *Cluster) log() string { return filepath.Join(c.dir, "log") }

// command is one of the server's programs, run as the server's user.
func (c *Cluster) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, filepath.Join(c.bin, program), args...) //nolint:gosec // a program of the server, with arguments of ours
	command.Dir = c.dir
	return command
}

// init makes the files of the cluster. That they are not synced is no loss: a
// machine that fails now has no use for them afterwards.
func (c *Cluster) init(ctx context.Context) error {
	initdb := c.command(ctx, "initdb", "--pgdata="+c.data(), "--username="+superuser, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	asServer(initdb)
	return run(initdb)
}

// run runs a program to its end; what it said is in the error.
func run(command *exec.Cmd) error {
	said, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("pgcluster: %s: %w: %s", filepath.Base(command.Path), err, strings.TrimSpace(string(said)))
	}
	return nil
}

// serve starts the server, which outlives ctx, and waits until it is ready.
func (c *Cluster) serve(ctx context.Context, settings []string) error {
	log, err := os.Create(c.log())
	if err != nil {
		return fmt.Errorf("pgcluster: %w", err)
	}
	defer log.Close()
	args := []string{"-D", c.data(), "-k", c.dir, "-h", "", "-N", strconv.Itoa(connections)}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	server := c.command(context.WithoutCancel(ctx), "postgres", args...)
	server.Stdout, server.Stderr = log, log
	asServer(server)
	if err := server.Start(); err != nil {
		return fmt.Errorf("pgcluster: %w", err)
	}
	c.server, c.ended = server, make(chan struct{})
	go func() {
		_ = server.Wait() // how it ended is in its log
		close(c.ended)
	}()
	return c.awaitReady(ctx)
}

func (c *Cluster) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for c.command(ctx, "pg_isready", "--quiet", "--host="+c.dir).Run() != nil {
		select {
		case <-ctx.Done():
			return fmt.Errorf("pgcluster: the server is not ready: %w", ctx.Err())
		case <-c.ended:
			said, _ := os.ReadFile(c.log()) // without it there is still the rest of the error
			return fmt.Errorf("pgcluster: the server has ended: %s", said)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// CreateDatabase makes an empty database.
func (c *Cluster) CreateDatabase(ctx context.Context, name string) error {
	return run(c.command(ctx, "createdb", "--host="+c.dir, "--username="+superuser, name))
}

// DSN returns what a client connects to a database with.
func (c *Cluster) DSN(database string) string {
	return fmt.Sprintf("host=%s user=%s dbname=%s sslmode=disable", c.dir, superuser, database)
}

// Stop ends the server at once and removes everything that it has kept.
func (c *Cluster) Stop() error {
	var err error
	if c.server != nil {
		err = stopNow(c.server.Process)
		<-c.ended
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}
