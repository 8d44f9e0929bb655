// Command mutants proves that the tests of the threat table can fail: it takes
// away or breaks one guard at a time and runs the tests that are named for its
// row of the table. A guard that no test misses is a gap in the proof.
//
//	go run ./internal/mutants
//
// It runs at the module's root and changes no file: go test lays each patch
// over the source. It ends with 0 only where every mutant was killed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
)

// mutant is a one-line patch that takes away or breaks one guard.
type mutant struct {
	row   int    // of the threat table: the tests that must fail are TestThreat<row>_…
	file  string // from the module's root
	old   string // text that occurs exactly once in the file, within one line
	new   string // what replaces it
	why   string // what is lost, in a few words
	pkg   string // the package whose tests must notice, from the module's root; empty is the file's own
	tests string // a -run expression that begins with ^TestThreat<row>_; empty is that alone
}

// settings are the flags, and where the module is.
type settings struct {
	root        string
	row         int
	list, every bool
	parallel    int
}

func main() {
	s := settings{root: "."}
	flag.IntVar(&s.row, "row", 0, "only this row of the threat table")
	flag.BoolVar(&s.list, "list", false, "list the mutants and run none")
	flag.BoolVar(&s.every, "v", false, "tell of every mutant, not only of those that survive")
	flag.IntVar(&s.parallel, "p", runtime.NumCPU(), "how many run at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, s, os.Stdout)
	stop()
	if err == nil {
		return
	}
	if !errors.Is(err, errNotAll) { // the count is the last line
		fmt.Fprintln(os.Stderr, "mutants:", err)
	}
	os.Exit(1)
}

var errNotAll = errors.New("not every mutant was killed")

func run(ctx context.Context, s settings, out io.Writer) error {
	all := slices.Concat(rootMutants, packageMutants)
	if err := check(s.root, all, exempt); err != nil {
		return err
	}
	chosen := slices.DeleteFunc(all, func(m mutant) bool { return s.row != 0 && m.row != s.row })
	if len(chosen) == 0 {
		return fmt.Errorf("row %d has no mutant", s.row)
	}
	if s.list {
		for _, m := range chosen {
			fmt.Fprintln(out, m)
		}
		return nil
	}
	temp, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	l, err := newLab(s.root, temp, max(1, s.parallel))
	if err != nil {
		return err
	}
	if err := l.baseline(ctx, chosen); err != nil {
		return err
	}
	return tell(ctx, l.tryAll(ctx, chosen), s.every, out)
}

// tell writes a line for each result that matters, then the count.
func tell(ctx context.Context, results <-chan result, every bool, out io.Writer) error {
	count := map[verdict]int{}
	total := 0
	for r := range results {
		total++
		count[r.verdict]++
		if r.verdict != killed || every {
			fmt.Fprintln(out, r)
		}
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	wrong := total - count[killed] - count[survived]
	line := fmt.Sprintf("%d mutants, %d killed, %d survived", total, count[killed], count[survived])
	if wrong > 0 {
		line += fmt.Sprintf(", %d that say nothing", wrong)
	}
	fmt.Fprintln(out, line)
	if count[killed] < total {
		return errNotAll
	}
	return nil
}

// lab tries mutants.
type lab struct {
	root, temp string
	parallel   int
	binaries   map[string]*binary // of the packages whose tests are needed
}

func newLab(root, temp string, parallel int) (lab, error) {
	root, err := filepath.Abs(root)
	return lab{root: root, temp: temp, parallel: parallel, binaries: map[string]*binary{}}, err
}

// tryAll tries mutants side by side, in their order, until ctx ends.
func (l lab) tryAll(ctx context.Context, mutants []mutant) <-chan result {
	results, slots := make(chan result), make(chan struct{}, l.parallel)
	go func() {
		defer close(results)
		var trying sync.WaitGroup
		defer trying.Wait()
		for i, m := range mutants {
			slots <- struct{}{}
			if ctx.Err() != nil {
				return
			}
			trying.Go(func() {
				defer func() { <-slots }()
				if r := l.try(ctx, i, m); ctx.Err() == nil {
					results <- r
				}
			})
		}
	}()
	return results
}
