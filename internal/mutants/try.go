package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	testLimit  = 2 * time.Minute // of the tests; the slowest row takes seconds
	childLimit = 5 * time.Minute // of building and testing
	waitDelay  = time.Second
)

// verdict is what a mutant came to.
type verdict string

const (
	killed   verdict = "killed"   // a named test failed
	survived verdict = "survived" // the named tests passed: the guard is not proven
	notBuilt verdict = "does not compile"
	noTests  verdict = "has no tests"
	timedOut verdict = "timed out"
	unclear  verdict = "ended oddly"
)

var (
	buildFailed = regexp.MustCompile(`(?m)^FAIL\t.*\[(build|setup) failed\]$`)
	nothingRan  = regexp.MustCompile(`(?m)^ok .*\[no tests to run\]$|^testing: warning: no tests to run$|\[no test files\]$`)
	testTimeout = regexp.MustCompile(`(?m)^panic: test timed out after `)
	panicked    = regexp.MustCompile(`(?m)^(panic|fatal error): `)
	passed      = regexp.MustCompile(`(?m)^--- PASS: (\S+)`)
)

// judge reads the output of go test. A named test that fails kills a mutant,
// whatever else happened. So does a process that panics, in whichever
// goroutine, since nothing but named tests runs in it. What does not build, and
// what hangs before one of them has failed, says nothing about the tests.
func judge(row int, output string, err error) verdict {
	failed := regexp.MustCompile(`(?m)^--- FAIL: ` + prefix(row))
	switch {
	case err == nil && nothingRan.MatchString(output):
		return noTests
	case err == nil:
		return survived
	case buildFailed.MatchString(output):
		return notBuilt
	case failed.MatchString(output):
		return killed
	case testTimeout.MatchString(output), errors.Is(err, context.DeadlineExceeded):
		return timedOut
	case panicked.MatchString(output):
		return killed
	default:
		return unclear
	}
}

// result is what a mutant came to, and what go test said.
type result struct {
	mutant  mutant
	verdict verdict
	output  string
}

// String tells a result in a line, and what explains a bad one below it.
func (r result) String() string {
	text := fmt.Sprintf("%s: %s", r.verdict, r.mutant)
	switch r.verdict {
	case killed:
		return text
	case survived:
		return text + "\n\t- " + r.mutant.old + "\n\t+ " + r.mutant.new
	default:
		return text + "\n\t" + strings.ReplaceAll(strings.TrimSpace(r.output), "\n", "\n\t")
	}
}

// try runs the named tests with the patch.
func (l lab) try(ctx context.Context, i int, m mutant) result {
	output, err := l.test(ctx, i, m)
	return result{m, judge(m.row, output, err), output}
}

func (l lab) test(ctx context.Context, i int, m mutant) (string, error) {
	source, err := m.patched(l.root)
	if err != nil {
		return err.Error(), err
	}
	file, patched := filepath.Join(l.root, filepath.FromSlash(m.file)), filepath.Join(l.temp, strconv.Itoa(i)+path.Ext(m.file))
	if err := os.WriteFile(patched, source, 0o600); err != nil {
		return err.Error(), err
	}
	if program, ok := l.rebuild(ctx, i, l.binaries[m.inPackage()], file, patched); ok {
		return l.runTests(ctx, program, m.inPackage(), m.expression())
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {file: patched}})
	if err != nil {
		return err.Error(), err
	}
	name := filepath.Join(l.temp, strconv.Itoa(i)+".json")
	if err := os.WriteFile(name, overlay, 0o600); err != nil {
		return err.Error(), err
	}
	return l.goTest(ctx, m.inPackage(), m.expression(), "-failfast", "-overlay="+name)
}

// compilerFlags build as fast as can be what runs for a second.
const compilerFlags = "-gcflags=-N -l -dwarf=false"

// goTest runs tests of one package. Nothing that it starts outlasts it.
func (l lab) goTest(ctx context.Context, pkg, expression string, flags ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, childLimit)
	defer cancel()
	args := []string{
		"test", "-count=1", "-vet=off", "-timeout=" + testLimit.String(), "-run=" + expression, compilerFlags, "-ldflags=-s -w",
	}
	output, err := l.command(ctx, "go", append(append(args, flags...), pkg)...).CombinedOutput()
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return string(output), err
}

// baseline makes sure that the tests which must fail are there, and pass
// without a patch: once for each package, with all that it is needed for.
func (l lab) baseline(ctx context.Context, mutants []mutant) error {
	needed := map[string][]mutant{}
	for _, m := range mutants {
		needed[m.inPackage()] = append(needed[m.inPackage()], m)
	}
	var problems []error
	for _, pkg := range slices.Sorted(maps.Keys(needed)) {
		built, err := l.binaryOf(ctx, pkg)
		l.binaries[pkg] = built
		problems = append(problems, err, l.baselineOf(ctx, pkg, needed[pkg]))
	}
	return errors.Join(problems...)
}

func (l lab) baselineOf(ctx context.Context, pkg string, mutants []mutant) error {
	expressions := map[string]bool{}
	for _, m := range mutants {
		expressions[m.expression()] = true
	}
	output, err := l.goTest(ctx, pkg, strings.Join(slices.Sorted(maps.Keys(expressions)), "|"), "-v")
	if err != nil {
		return fmt.Errorf("without a patch, the tests of %s: %w\n%s", pkg, err, output)
	}
	var names []string
	for _, found := range passed.FindAllStringSubmatch(output, -1) {
		names = append(names, found[1])
	}
	for expression := range expressions {
		if !slices.ContainsFunc(names, regexp.MustCompile(expression).MatchString) {
			return fmt.Errorf("no test of %s that matches %s has passed", pkg, expression)
		}
	}
	return nil
}
