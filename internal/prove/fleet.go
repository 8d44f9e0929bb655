package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is one that this program has started of itself.
type process struct {
	id      int
	command *exec.Cmd
	ended   chan struct{} // closed when it has
	err     error         // how; to be read after ended
}

// start starts a process. What it prints to its standard error goes to the
// run's log. It ends when this process does, since its standard input does.
func (st stage) start(role string, id int) (*process, *bufio.Reader, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	log, err := os.OpenFile(st.log(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	command := exec.CommandContext(context.Background(), program, role, st.file(), strconv.Itoa(id)) //nolint:gosec // this very program; its end is not a context's
	command.Stderr = log
	_, err1 := command.StdinPipe() // closed by Wait
	out, err2 := command.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, err
	}
	if err := command.Start(); err != nil {
		return nil, nil, err
	}
	p := &process{id: id, command: command, ended: make(chan struct{})}
	return p, bufio.NewReader(out), nil
}

// watch notices the end of the process.
func (p *process) watch() {
	go func() {
		p.err = p.command.Wait()
		close(p.ended)
	}()
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// end asks the process to end, and makes it where it has not within the limit.
func (p *process) end(limit time.Duration) error {
	if p.hasEnded() {
		return fmt.Errorf("process %d has ended by itself: %w", p.id, errors.Join(p.err, errEarly))
	}
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return p.err
	case <-time.After(limit):
		_ = p.command.Process.Kill() // it may just have ended
		<-p.ended
		return fmt.Errorf("process %d did not end within %v", p.id, limit)
	}
}

var errEarly = errors.New("nobody asked it to")

// startPlatform returns the platform's process and its origin.
func (st stage) startPlatform() (*process, string, error) {
	p, out, err := st.start(rolePlatform, 0)
	if err != nil {
		return nil, "", err
	}
	origin, err := out.ReadString('\n')
	p.watch()
	if err != nil {
		return nil, "", fmt.Errorf("the platform does not start: %w", err)
	}
	return p, strings.TrimSpace(origin), nil
}

// kill is the death of a worker.
type kill struct {
	At     time.Time // before it
	Worker int
}

// fleet is the workers that are alive, and those that were killed.
type fleet struct {
	stage   stage
	chance  *rand.Rand
	workers []*process
	next    int
	kills   []kill
	broken  []error // processes that have ended otherwise
}

// startFleet starts n workers.
func startFleet(st stage, n int) (*fleet, error) {
	f := &fleet{stage: st, chance: rand.New(rand.NewPCG(st.Seed, 0))} //nolint:gosec // a run is repeated by its seed
	for range n {
		f.workers = append(f.workers, nil)
		if err := f.restart(len(f.workers) - 1); err != nil {
			return f, err
		}
	}
	return f, nil
}

func (f *fleet) restart(slot int) error {
	f.next++
	p, _, err := f.stage.start(roleWorker, f.next)
	if err != nil {
		return err
	}
	p.watch()
	f.workers[slot] = p
	return nil
}

// storm kills a worker from time to time and starts another one in its place,
// until the time is over. From one kill to the next is a fifth of every to
// nine times that, so that kills meet processes of every age.
func (f *fleet) storm(ctx context.Context, lasts, every time.Duration) error {
	begin := time.Now()
	for due := every / 2; due < lasts; due += every {
		next := due + time.Duration(float64(every)*(0.8*f.chance.Float64()-0.4))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(begin.Add(next))):
		}
		if err := f.killOne(); err != nil {
			return err
		}
		if time.Since(begin) > lasts {
			return nil // the machine is too slow for so many
		}
	}
	return nil
}

func (f *fleet) killOne() error {
	slot := f.chance.IntN(len(f.workers))
	victim := f.workers[slot]
	if victim.hasEnded() {
		f.broken = append(f.broken, fmt.Errorf("worker %d has ended by itself: %w", victim.id, errors.Join(victim.err, errEarly)))
		return f.restart(slot)
	}
	at := time.Now()
	_ = victim.command.Process.Kill() // it may just have ended
	<-victim.ended
	f.kills = append(f.kills, kill{at, victim.id})
	return f.restart(slot)
}

// stop ends all workers at once, as an orchestrator does.
func (f *fleet) stop() {
	ended := make(chan error)
	alive := 0
	for _, p := range f.workers {
		if p != nil {
			alive++
			go func() { ended <- p.end(stopLimit) }()
		}
	}
	for range alive {
		if err := <-ended; err != nil {
			f.broken = append(f.broken, err)
		}
	}
	f.workers = nil
}
