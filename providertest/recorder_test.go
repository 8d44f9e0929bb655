package providertest

import (
	"fmt"
	"path"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// recorder takes the place of a Go test: it notes what the suite says of a
// provider, and fails nothing. Its checks run one after the other.
type recorder struct {
	testing.TB

	check string // which one runs, as a path
	notes *notes
}

// notes is what a run of the suite leaves behind.
type notes struct {
	mu       sync.Mutex          // guards what follows
	findings map[string][]string // what was said, by "check: sentence"
	checks   map[string]bool     // that ran; true where nothing ran below
}

// record runs the suite in a bubble of testing/synctest, where waiting takes no
// time.
func record(t *testing.T, cfg Config) *notes {
	t.Helper()
	n := &notes{findings: map[string][]string{}, checks: map[string]bool{}}
	synctest.Test(t, func(t *testing.T) {
		(&recorder{TB: t, notes: n}).Run("", func(t tester) { run(t, cfg) })
		<-time.After(time.Hour) // whoever was late has come back
	})
	return n
}

func (r *recorder) Parallel() {}

func (r *recorder) Helper() {}

func (r *recorder) Run(name string, check func(t tester)) {
	inner := &recorder{TB: r.TB, check: path.Join(r.check, name), notes: r.notes}
	r.notes.mu.Lock()
	r.notes.checks[r.check], r.notes.checks[inner.check] = false, true
	r.notes.mu.Unlock()
	var done sync.WaitGroup
	done.Go(func() { check(inner) })
	done.Wait()
}

// note notes what a check says; the sentence is what it always says, without
// the details.
func (r *recorder) note(sentence, text string) {
	r.notes.mu.Lock()
	defer r.notes.mu.Unlock()
	finding := r.check + ": " + sentence
	r.notes.findings[finding] = append(r.notes.findings[finding], text)
}

func (r *recorder) Error(args ...any) { r.note(fmt.Sprint(args...), "") }

func (r *recorder) Errorf(format string, args ...any) { r.note(format, fmt.Sprintf(format, args...)) }

func (r *recorder) Fatal(args ...any) {
	r.Error(args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Skip(...any) { runtime.Goexit() }

// withoutMethod returns a check without the method that it tests.
func withoutMethod(check string) string {
	if _, inner, found := strings.Cut(check, "/"); found {
		return inner
	}
	return check
}
