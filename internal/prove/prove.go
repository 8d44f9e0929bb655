package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// run is one run of the program.
type run struct {
	settings

	out   io.Writer
	began time.Time
	stage stage
	kept  store
}

// prove does a run and reports whether the engine has kept its promises. An
// error is a run that proves nothing.
func prove(ctx context.Context, s settings, out io.Writer) (bool, error) {
	r := &run{settings: s, out: out, began: time.Now()}
	dir, err := os.MkdirTemp("", "prove")
	if err != nil {
		return false, err
	}
	r.sayf("%s, %s: %d grants, %d processes, a kill every %v for %v, seed %d", s.store, s.class, s.grants, s.procs, s.every, s.lasts, s.seed)
	holds, err := r.in(ctx, dir)
	if holds {
		err = errors.Join(err, os.RemoveAll(dir))
	} else {
		fmt.Fprintln(os.Stderr, "prove: the records are in", dir)
	}
	return holds, err
}

// sayf writes a line of progress.
func (r *run) sayf(format string, args ...any) {
	fmt.Fprintf(r.out, "%5.1fs  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

// in does the run with its files in dir.
func (r *run) in(ctx context.Context, dir string) (holds bool, err error) {
	var endStore func() error
	if r.stage, endStore, err = newStage(ctx, r.settings, dir); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, endStore()) }()
	if err := r.stage.save(); err != nil {
		return false, err
	}
	platform, origin, err := r.stage.startPlatform()
	if err != nil {
		return false, err
	}
	r.stage.Platform = origin
	e, err := r.play(ctx)
	if err := errors.Join(err, platform.end(stopLimit)); err != nil {
		return false, err
	}
	return r.verdict(e)
}

// play connects the grants, kills, waits, ends and collects the evidence.
func (r *run) play(ctx context.Context) (e evidence, err error) {
	e = evidence{Class: r.class, Grants: r.grants}
	if err := r.stage.save(); err != nil {
		return e, err
	}
	if r.kept, err = r.stage.seeded(ctx, func(kept store) error { return r.connect(ctx, kept) }); err != nil {
		return e, fmt.Errorf("connecting: %w", err)
	}
	defer func() { err = errors.Join(err, r.kept.Close()) }()
	r.sayf("%d grants are connected", r.grants)
	f, err := startFleet(r.stage, r.procs)
	if err == nil {
		err = r.kill(ctx, f)
	}
	ctx, cancel := context.WithTimeout(ctx, endLimit)
	defer cancel()
	if err == nil {
		e.Unsettled, err = r.rest(ctx)
	}
	f.stop()
	e.Kills, e.Broken = f.kills, f.broken
	if err != nil {
		return e, errors.Join(err, errors.Join(f.broken...))
	}
	err = r.collect(ctx, &e)
	return e, err
}

func (r *run) connect(ctx context.Context, kept store) error {
	engine, err := r.stage.engine(kept, provider{class: r.class}, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	return errors.Join(connectAll(ctx, engine, r.grants), engine.Close(ctx))
}

// The time that a run may take beside that in which it kills.
const (
	connectLimit = 2 * time.Minute
	endLimit     = time.Minute      // after the last kill
	settleLimit  = 50 * time.Second // of that, to come to rest
)

// kill kills for as long as it should, once there is something to hit.
func (r *run) kill(ctx context.Context, f *fleet) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if err := r.awaitRefresh(ctx); err != nil {
		return err
	}
	r.sayf("the killing begins")
	go r.report(ctx)
	err := f.storm(ctx, r.lasts, r.every)
	r.sayf("%d kills", len(f.kills))
	return err
}

// rest waits until what the kills have left is settled, and returns how many
// grants were not.
func (r *run) rest(ctx context.Context) (int, error) {
	open, err := restless(ctx, r.kept, all(r.grants))
	if err != nil {
		return 0, err
	}
	left, err := settle(ctx, r.kept, open, settleLimit)
	r.sayf("%d refreshes were open, %d are settled", len(open), len(open)-left)
	return left, err
}

// awaitRefresh returns when a first grant was due, which the platform's record
// shows: before that a kill proves nothing.
func (r *run) awaitRefresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.life)
	defer cancel()
	for size := int64(-1); ; {
		info, err := os.Stat(r.stage.truth())
		switch {
		case err != nil:
			return err
		case size < 0:
			size = info.Size()
		case info.Size() > size:
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nothing is refreshed: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// report tells every ten seconds how far the platform is.
func (r *run) report(ctx context.Context) {
	for every := time.NewTicker(10 * time.Second); ; {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		truth, err := readJournal[event](r.stage.truth())
		if err != nil {
			r.sayf("%v", err)
			return
		}
		count := map[eventKind]int{}
		for _, line := range truth {
			count[line.Kind]++
		}
		r.sayf("%d refreshes, %d answers repeated, %d reuse alarms", count[issued]-r.grants, count[repeated], count[alarmed])
	}
}

// collect reads what the processes have left.
func (r *run) collect(ctx context.Context, e *evidence) error {
	var err1, err2, err3 error
	e.Held, err1 = observe(ctx, r.stage, r.kept)
	e.Truth, err2 = readJournal[event](r.stage.truth())
	e.Notes, err3 = readJournal[note](r.stage.notes())
	return errors.Join(err1, err2, err3)
}

// verdict prints the figures and the last line.
func (r *run) verdict(e evidence) (bool, error) {
	f := check(e)
	r.sayf("checked")
	if err := f.table(r.out); err != nil {
		return false, err
	}
	wrong := judge(r.settings, e, f)
	if len(wrong) > 0 {
		fmt.Fprintln(r.out, "verdict: DOES NOT HOLD:", strings.Join(wrong, "; "))
		return false, nil
	}
	fmt.Fprintln(r.out, "verdict: holds")
	return true, nil
}
