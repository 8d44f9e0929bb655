// Command measure prints what claims, refreshes and sweeps cost on this
// machine, on a PostgreSQL of its own, as medians of several rounds:
//
//	go run ./internal/measure [-rows 1000000] [-grants 10000] [-rounds 5]
//
// The figures of docs/operations.md come from it. It asserts nothing: what a
// figure means depends on the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/seed944197df/connect/internal/pgcluster"
)

// settings are the flags.
type settings struct {
	rows, grants, rounds, processes int
	sweep                           time.Duration
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == roleWorker {
		os.Exit(work(os.Args[2]))
	}
	s := settings{processes: 4}
	flag.IntVar(&s.rows, "rows", 1_000_000, "rows of the large table, at least 1000")
	flag.IntVar(&s.grants, "grants", 10_000, "grants that are refreshed in a round")
	flag.IntVar(&s.rounds, "rounds", 5, "rounds of each measurement")
	flag.DurationVar(&s.sweep, "sweep", time.Minute, "how long the large table is swept")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, s, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

// memory is what docs/operations.md advises for so many rows: the rows that a
// claim touches should be in it.
const memory = "shared_buffers=1GB"

func run(ctx context.Context, s settings, out io.Writer) (err error) {
	if s.rows < 1000 || s.grants < 1 || s.rounds < 1 {
		return errors.New("-rows must be at least 1000, -grants and -rounds at least 1")
	}
	cluster, err := pgcluster.Start(ctx, "", memory)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	return errors.Join(
		measureClaims(ctx, cluster, s, out),
		measureRefreshes(ctx, cluster, s, out),
	)
}

// median of figures that a measurement took in its rounds.
func median(figures []float64) float64 {
	slices.Sort(figures)
	return figures[len(figures)/2]
}

// tell prints a figure.
func tell(out io.Writer, what string, figure float64, unit string) {
	fmt.Fprintf(out, "%-70s %12.2f %s\n", what, figure, unit)
}
