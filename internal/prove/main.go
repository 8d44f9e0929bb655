// Command prove kills processes of the engine in the middle of their
// refreshes and tells what that cost.
//
//	go run ./internal/prove -store postgres -class grace -for 60s -procs 4 -seed 1
//
// A platform in a process of its own, which nothing happens to, gives tokens
// to some thousand grants and writes down whatever it does. Worker processes
// share a store and refresh the grants; every third of a second one of them
// is killed and another one takes its place. Then the killing stops, what is
// under way may end, and a checker compares what the platform has issued with
// what the store holds: it reads the platform's record and the store, and
// believes no counter of the engine.
//
// The last line is the verdict. The exit code is 0 only where that is "holds".
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/seed944197df/connect"
)

// settings are the flags.
type settings struct {
	store, class string
	lasts        time.Duration
	procs        int
	seed         uint64
	grants       int
	life         time.Duration
	every        time.Duration
}

func main() {
	if len(os.Args) == 4 && (os.Args[1] == rolePlatform || os.Args[1] == roleWorker) {
		os.Exit(play(os.Args[1], os.Args[2], os.Args[3]))
	}
	s, err := parse(os.Args[1:], os.Stderr)
	if err != nil {
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	holds, err := prove(ctx, s, os.Stdout)
	stop()
	if err != nil {
		said := strings.ReplaceAll(err.Error(), "\n", "; ")
		fmt.Fprintln(os.Stdout, "verdict: DOES NOT HOLD:", said)
	}
	if !holds {
		os.Exit(1)
	}
}

var errUsage = errors.New("see -help")

func parse(args []string, help io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("prove", flag.ContinueOnError)
	flags.SetOutput(help)
	flags.StringVar(&s.store, "store", "postgres", "postgres, a server of its own, or sqlite")
	flags.StringVar(&s.class, "class", "grace", "what the platform does to a refresh token: grace, strict or stable")
	flags.DurationVar(&s.lasts, "for", time.Minute, "how long processes are killed; then the run ends within a minute")
	flags.IntVar(&s.procs, "procs", 4, "worker processes")
	flags.Uint64Var(&s.seed, "seed", 1, "of what is random: whom a kill hits, when, and how slow the platform is")
	flags.IntVar(&s.grants, "grants", 10_000, "grants to refresh")
	flags.DurationVar(&s.life, "life", time.Minute, "life of an access token, in whole seconds")
	flags.DurationVar(&s.every, "every", 350*time.Millisecond, "time between two kills, on average")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	for _, check := range []struct {
		wrong bool
		says  string
	}{
		{flags.NArg() > 0, "there are no arguments but flags"},
		{s.store != storePostgres && s.store != storeSQLite, "-store is postgres or sqlite"},
		{rotationOf(s.class).Class == "", "-class is grace, strict or stable"},
		{s.lasts < time.Second || s.procs < 1 || s.grants < 1, "-for, -procs and -grants must be at least 1"},
		{s.life < shortestLife || s.life%time.Second != 0, "-life is whole seconds, at least 15"},
		{s.every < 10*time.Millisecond, "-every must be at least 10ms"},
	} {
		if check.wrong {
			fmt.Fprintf(help, "prove: %s; %v\n", check.says, errUsage)
			return s, errUsage
		}
	}
	return s, nil
}

// grace is how long a platform of that class repeats a lost answer.
const grace = 20 * time.Second

// rotationOf is what a class of platform does; it has no class where there is
// none of that name.
func rotationOf(class string) connect.Rotation {
	rotation := connect.Rotation{Class: connect.RotationClass(class), Source: "package main of internal/prove"}
	switch rotation.Class {
	case connect.RotationGrace:
		rotation.Grace = grace
	case connect.RotationStable, connect.RotationStrict:
	default:
		rotation.Class = ""
	}
	return rotation
}
