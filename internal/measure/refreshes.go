package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/pgcluster"
	"github.com/seed944197df/connect/pgstore"
)

// measureRefreshes lets Run of several processes refresh grants that are all
// due, at a platform that answers at once, and compares that with commits. The
// two take turns, so that what changes meanwhile, above all the machine's disk,
// meets both.
func measureRefreshes(ctx context.Context, cluster *pgcluster.Cluster, s settings, out io.Writer) error {
	pool, err := database(ctx, cluster, "refreshes", 8)
	if err != nil {
		return err
	}
	defer pool.Close()
	keys, err := seed(ctx, pool, s.grants)
	if err != nil {
		return err
	}
	if _, err := pool.Exec(ctx, "CREATE TABLE rows (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, data text)"); err != nil {
		return err
	}
	a := assignment{DSN: cluster.DSN("refreshes") + " pool_max_conns=8", Keys: keys}
	var writes, done float64
	var commits, refreshes, shares []float64
	for range s.rounds {
		committed, err := throughput(ctx, 8, commit(pool))
		if err != nil {
			return err
		}
		took, counts, err := drain(ctx, pool, s, a)
		if err != nil {
			return err
		}
		for _, c := range counts {
			writes += float64(c.Writes)
			done += float64(c.Refreshes)
		}
		refreshed := float64(s.grants) / took.Seconds()
		commits, refreshes, shares = append(commits, committed), append(refreshes, refreshed), append(shares, refreshed/committed)
	}
	tell(out, "commits of one row, 8 connections", median(commits), "a second")
	tell(out, fmt.Sprintf("refreshes, %d processes, a platform that answers at once", s.processes), median(refreshes), "a second")
	tell(out, "  for each commit of its round", median(shares), "")
	tell(out, "  writing transactions for each refresh", writes/done, "")
	return nil
}

// commit is the floor: an insert of one row, committed.
func commit(pool *pgxpool.Pool) func(context.Context, int) (int, error) {
	return func(ctx context.Context, _ int) (int, error) {
		_, err := pool.Exec(ctx, "INSERT INTO rows (data) VALUES (repeat('x', 400))")
		return 1, err
	}
}

// seed connects accounts as a customer would, and returns the text of the keys
// that seal them.
func seed(ctx context.Context, pool *pgxpool.Pool, grants int) (string, error) {
	store, err := pgstore.New(ctx, pool, nil)
	if err != nil {
		return "", err
	}
	keys, err := newKeys()
	if err != nil {
		return "", err
	}
	engine, err := newEngine(store, keys)
	if err != nil {
		return "", err
	}
	numbers := make(chan int)
	var connecting sync.WaitGroup
	errs := make([]error, 8)
	for w := range errs {
		connecting.Go(func() {
			for i := range numbers {
				p := connect.Principal{Tenant: "tenant-" + strconv.Itoa(i%100), User: "user-" + strconv.Itoa(i)}
				req := connect.CredentialsRequest{Platform: platformName, Values: map[string]connect.Secret{"name": connect.NewSecret(strconv.Itoa(i))}}
				if _, err := engine.ConnectCredentials(ctx, p, req); err != nil {
					errs[w] = err
				}
			}
		})
	}
	for i := range grants {
		numbers <- i
	}
	close(numbers)
	connecting.Wait()
	return keys, errors.Join(errors.Join(errs...), engine.Close(ctx))
}

// makeDue makes every grant due, each at a time of its own, and returns now.
const makeDue = `WITH due AS (UPDATE connect.grants SET due_at = now() - random() * interval '1 minute')
	SELECT now()`

// drain makes every grant due, and returns how long processes take to refresh
// all of them, from when they are ready.
func drain(ctx context.Context, pool *pgxpool.Pool, s settings, a assignment) (time.Duration, []counts, error) {
	var crew []*process
	defer func() {
		for _, p := range crew {
			p.kill()
		}
	}()
	for range s.processes {
		p, err := start(ctx, a)
		if err != nil {
			return 0, nil, err
		}
		crew = append(crew, p)
	}
	var due time.Time
	if err := pool.QueryRow(ctx, makeDue).Scan(&due); err != nil {
		return 0, nil, err
	}
	began := time.Now()
	for _, p := range crew {
		if _, err := io.WriteString(p.in, "go\n"); err != nil {
			return 0, nil, err
		}
	}
	for left := true; left; {
		select {
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
		if err := pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM connect.grants WHERE due_at <= $1)", due).Scan(&left); err != nil {
			return 0, nil, err
		}
	}
	took := time.Since(began)
	var all []counts
	for _, p := range crew {
		c, err := p.end()
		if err != nil {
			return 0, nil, err
		}
		all = append(all, c)
	}
	return took, all, nil
}

// measureSweep lets one process go over a large table of due grants, and prints
// the most memory that it had. What it finds does not open, and is put off.
func measureSweep(ctx context.Context, dsn string, s settings, out io.Writer) error {
	keys, err := newKeys()
	if err != nil {
		return err
	}
	p, err := start(ctx, assignment{DSN: dsn + " pool_max_conns=8", Keys: keys})
	if err != nil {
		return err
	}
	defer p.kill()
	if _, err := io.WriteString(p.in, "go\n"); err != nil {
		return err
	}
	select {
	case <-time.After(s.sweep):
	case <-ctx.Done():
		return ctx.Err()
	}
	c, err := p.end()
	if err != nil {
		return err
	}
	tell(out, fmt.Sprintf("peak memory of a process that sweeps %d due grants", s.rows), float64(c.PeakKiB)/1024, "MiB")
	tell(out, "  grants that it saw to", float64(c.Settled)/s.sweep.Seconds(), "a second")
	return nil
}

// process is a worker of this program.
type process struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

// start starts a worker and waits until it is ready.
func start(ctx context.Context, a assignment) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	p := &process{command: exec.CommandContext(ctx, self, roleWorker, string(text))} //nolint:gosec // this program
	p.command.Stderr = os.Stderr
	if p.in, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	if line, err := p.out.ReadString('\n'); err != nil || strings.TrimSpace(line) != "ready" {
		p.kill()
		return nil, fmt.Errorf("a worker said %q: %w", line, err)
	}
	return p, nil
}

// end asks the worker to stop, and returns what it counted.
func (p *process) end() (counts, error) {
	var c counts
	err := p.command.Process.Signal(syscall.SIGTERM)
	line, readErr := p.out.ReadString('\n')
	if err = errors.Join(err, readErr); err == nil {
		err = json.Unmarshal([]byte(line), &c)
	}
	return c, errors.Join(err, p.command.Wait())
}

func (p *process) kill() {
	_ = p.command.Process.Kill() // it may have ended
	_ = p.command.Wait()
}
