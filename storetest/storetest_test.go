package storetest

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
)

// recorder takes the place of *testing.T: it notes what a sentence says of a
// store, and fails nothing.
type recorder struct {
	testing.TB

	mu   sync.Mutex // guards said
	said []string
}

func (r *recorder) Helper() {}

func (r *recorder) Error(args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, fmt.Sprint(args...))
}

func (r *recorder) Errorf(format string, args ...any) { r.Error(fmt.Sprintf(format, args...)) }

func (r *recorder) Fatal(args ...any) {
	r.Error(args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) { r.Fatal(fmt.Sprintf(format, args...)) }

// failures runs the whole suite on stores with a flaw, and returns what each
// sentence that failed said. It must be called in a bubble of testing/synctest.
func failures(t *testing.T, breaks func(s *flawed)) map[string][]string {
	t.Helper()
	failed := map[string][]string{}
	for _, group := range groups() {
		for _, test := range group.tests {
			r := &recorder{TB: t}
			var done sync.WaitGroup
			done.Go(func() {
				c := &clock{time: epoch}
				s := newFlawed(c.now)
				breaks(s)
				test.run(&state{s, r, c})
			})
			done.Wait()
			if len(r.said) > 0 {
				failed[group.name+"/"+test.name] = r.said
			}
		}
	}
	return failed
}

// Each flaw makes the sentence that it breaks fail, and no other.
func TestFlawBreaksExactlyItsSentence(t *testing.T) {
	t.Parallel()
	for _, flaw := range flaws() {
		t.Run(flaw.sentence+"/"+flaw.broken, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				failed := failures(t, flaw.breaks)
				var got []string
				for sentence := range failed {
					got = append(got, sentence)
				}
				slices.Sort(got)
				if diff := cmp.Diff([]string{flaw.sentence}, got); diff != "" {
					t.Errorf("sentences that fail (-want +got):\n%s\nbecause: %v", diff, failed)
				}
			})
		})
	}
}

func TestEverySentenceHasAFlaw(t *testing.T) {
	t.Parallel()
	broken := map[string]bool{}
	for _, flaw := range flaws() {
		broken[flaw.sentence] = true
	}
	for _, group := range groups() {
		for _, test := range group.tests {
			if sentence := group.name + "/" + test.name; !broken[sentence] {
				t.Errorf("no flaw breaks the sentence %q", sentence)
			}
		}
	}
}

func TestStoreWithoutAFlawPasses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		if failed := failures(t, func(*flawed) {}); len(failed) > 0 {
			t.Errorf("sentences fail: %v", failed)
		}
	})
}

// Run runs what the tests above have proved, each sentence on a store of its
// own.
func TestRunRunsEverySentence(t *testing.T) {
	t.Parallel()
	sentences := 0
	for _, group := range groups() {
		sentences += len(group.tests)
	}
	var opened atomic.Int64
	t.Cleanup(func() {
		if n := int(opened.Load()); n != sentences {
			t.Errorf("%d stores were opened for %d sentences", n, sentences)
		}
	})
	Run(t, func(_ *testing.T, now func() time.Time) connect.Store {
		opened.Add(1)
		return newFlawed(now)
	})
}
