package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// The roles of the processes that the program starts of itself.
const (
	rolePlatform = "platform"
	roleWorker   = "worker"
)

// play is what a process of the run does. It returns the exit code.
func play(role, stagePath, id string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go endWithParent()
	st, err := loadStage(stagePath)
	worker, bad := strconv.Atoi(id)
	if err = errors.Join(err, bad); err == nil {
		switch role {
		case rolePlatform:
			err = runPlatform(ctx, st)
		case roleWorker:
			err = runWorker(ctx, st, worker)
		}
	}
	if err != nil && ctx.Err() == nil || errors.Is(err, context.DeadlineExceeded) {
		fmt.Fprintf(os.Stderr, "%s %s: %v\n", role, id, err)
		return 1
	}
	return 0
}

// endWithParent ends the process where its parent has: the parent holds the
// other end of its standard input, and writes nothing there.
func endWithParent() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}

// stopLimit is how long a process may take to end when it is asked to.
const stopLimit = 30 * time.Second

// runWorker is a host's process that does nothing but refresh, until ctx ends.
func runWorker(ctx context.Context, st stage, worker int) error {
	kept, err := st.openStore(ctx)
	if err != nil {
		return err
	}
	notes, err := openJournal(st.notes())
	if err != nil {
		return errors.Join(err, kept.Close())
	}
	engine, err := st.engine(newWitness(kept, notes, worker), provider{st.Class, worker}, nil)
	if err != nil {
		return errors.Join(err, kept.Close())
	}
	_ = engine.Run(ctx) // it ends with ctx
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	return errors.Join(engine.Close(ending), kept.Close())
}
