package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const moduleRoot = "../.."

func TestTableIsWhole(t *testing.T) {
	t.Parallel()
	if err := check(moduleRoot, slices.Concat(rootMutants, packageMutants), exempt); err != nil {
		t.Error(err)
	}
}

var errExit = errors.New("exit status 1")

func TestJudge(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		output string
		err    error
		want   verdict
	}{
		"a named test fails":       {"--- FAIL: TestThreat2_A (0.01s)\n    a_test.go:7: no\nFAIL\nFAIL\texample.com/a\t0.1s\nFAIL\n", errExit, killed},
		"a named test panics":      {"--- FAIL: TestThreat2_A (0.00s)\npanic: x [recovered, repanicked]\n\ngoroutine 1 [running]:\nFAIL\texample.com/a\t0.1s\n", errExit, killed},
		"its goroutine panics":     {"panic: x\n\ngoroutine 20 [running]:\nFAIL\texample.com/a\t0.1s\nFAIL\n", errExit, killed},
		"the runtime gives up":     {"fatal error: stack overflow\n\nFAIL\texample.com/a\t0.1s\nFAIL\n", errExit, killed},
		"all pass":                 {"ok  \texample.com/a\t0.1s\n", nil, survived},
		"a failure that is quoted": {"ok  \texample.com/a\t0.1s\n    --- FAIL: TestThreat2_A\n", nil, survived},
		"a test of another row":    {"--- FAIL: TestThreat20_A (0.01s)\nFAIL\nFAIL\texample.com/a\t0.1s\n", errExit, unclear},
		"a subtest of its name":    {"    --- FAIL: TestThreat2_A/b (0.01s)\nFAIL\texample.com/a\t0.1s\n", errExit, unclear},
		"it does not compile":      {"# example.com/a\na.go:3:1: undefined: b\nFAIL\texample.com/a [build failed]\nFAIL\n", errExit, notBuilt},
		"it does not parse":        {"# example.com/a\na.go:3:1: expected declaration\nFAIL\texample.com/a [setup failed]\nFAIL\n", errExit, notBuilt},
		"nothing is called so":     {"ok  \texample.com/a\t0.1s [no tests to run]\n", nil, noTests},
		"nothing, in a binary":     {"testing: warning: no tests to run\nPASS\n", nil, noTests},
		"there are no tests":       {"?   \texample.com/a\t[no test files]\n", nil, noTests},
		"the tests hang":           {"panic: test timed out after 2m0s\n\trunning tests:\n\t\tTestThreat2_A (2m0s)\nFAIL\texample.com/a\t120s\n", errExit, timedOut},
		"one fails and one hangs":  {"--- FAIL: TestThreat2_A (0.01s)\npanic: test timed out after 2m0s\nFAIL\texample.com/a\t120s\n", errExit, killed},
		"go itself hangs":          {"", context.DeadlineExceeded, timedOut},
		"go is not there":          {"", errors.New("executable file not found"), unclear},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := judge(2, tt.output, tt.err); got != tt.want {
				t.Errorf("the mutant %s, want %s", got, tt.want)
			}
		})
	}
}

// module writes a module with one guard and one test.
func module(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":     "module example.com/tiny\n\ngo 1.26.0\n",
		"a/guard.go": "package a\n\nfunc guard(s string) bool {\n\treturn s != \"\" // the guard\n}\n\nfunc other() {}\n",
		"a/guard_test.go": `package a

import "testing"

func TestThreat7_Guard(t *testing.T) {
	if guard("") {
		t.Error("it is open")
	}
}

func testThreat8_Guard() {}

// func TestThreat8_Guard() {}
`,
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

var good = mutant{row: 7, file: "a/guard.go", old: `s != ""`, new: `true`, why: "the guard"}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	root := module(t)
	if err := check(root, []mutant{good}, nil); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*mutant){
		"has no row":          func(m *mutant) { m.row = 0 },
		"no reason":           func(m *mutant) { m.why = "" },
		"nothing to replace":  func(m *mutant) { m.old = " " },
		"occurs 0 times":      func(m *mutant) { m.old = "absent" },
		"occurs 2 times":      func(m *mutant) { m.old = "func " },
		"more than one line":  func(m *mutant) { m.new = "true\n" },
		"changes nothing":     func(m *mutant) { m.new = m.old },
		"not those of its":    func(m *mutant) { m.tests = "^TestThreat70_" },
		"in a group":          func(m *mutant) { m.tests = "^TestThreat7_Guard$|^TestThreat8_" },
		"missing closing )":   func(m *mutant) { m.tests = "^TestThreat7_(" },
		"expected operand":    func(m *mutant) { m.new = ")" },
		"no such file":        func(m *mutant) { m.file = "a/absent.go" },
		"row 7 has tests and": func(m *mutant) { m.row = 8 },
	} {
		m := good
		change(&m)
		if err := check(root, []mutant{m}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	again := good
	again.why = "the same guard"
	if err := check(root, []mutant{good, again}, nil); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("error %v, want one with %q", err, "twice")
	}
}

func TestLab(t *testing.T) {
	t.Parallel()
	l, err := newLab(module(t), t.TempDir(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.baseline(t.Context(), []mutant{good}); err != nil {
		t.Fatal(err)
	}
	guard := filepath.Join(l.root, "a", "guard.go")
	if _, ok := l.rebuild(t.Context(), 0, l.binaries[good.inPackage()], guard, guard); !ok {
		t.Error("every mutant costs a whole go test")
	}
	absent := good
	absent.tests = "^TestThreat7_Absent$"
	if err := l.baseline(t.Context(), []mutant{absent}); err == nil {
		t.Error("a test that is not there is not missed")
	}
	harmless, broken := good, good
	harmless.new, broken.new = `len(s) > 0`, `t`
	got := map[string]verdict{}
	for r := range l.tryAll(t.Context(), []mutant{good, harmless, broken}) {
		got[r.mutant.new] = r.verdict
	}
	if diff := cmp.Diff(map[string]verdict{good.new: killed, harmless.new: survived, broken.new: notBuilt}, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for r := range l.tryAll(ctx, []mutant{good}) {
		t.Errorf("after the end: %s", r)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := run(t.Context(), settings{root: moduleRoot, row: 1, list: true}, &out); err != nil || !strings.HasPrefix(out.String(), "row 1, binding.go: ") {
		t.Errorf("error %v, output %s", err, out.String())
	}
	if err := run(t.Context(), settings{root: moduleRoot, row: 1000}, &out); err == nil {
		t.Error("a row that is not there is not missed")
	}
}

func TestUncovered(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		tested map[int]bool
		exempt map[int]string
		ok     bool
	}{
		"a mutant":                {map[int]bool{7: true}, nil, true},
		"a mutant, or a reason":   {map[int]bool{7: true, 8: true}, map[int]string{8: "a fact"}, true},
		"neither":                 {map[int]bool{7: true, 8: true}, nil, false},
		"no reason":               {map[int]bool{7: true, 8: true}, map[int]string{8: ""}, false},
		"a reason beside mutants": {map[int]bool{7: true}, map[int]string{7: "a fact"}, false},
		"a reason without tests":  {map[int]bool{7: true}, map[int]string{8: "a fact"}, false},
	}
	for name, tt := range tests {
		if err := uncovered(tt.tested, []mutant{good}, tt.exempt); (err == nil) != tt.ok {
			t.Errorf("%s: error %v, want none: %v", name, err, tt.ok)
		}
	}
}

func TestMutantNamesItsTests(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]mutant{
		"./a ^TestThreat7_":       good,
		"./. ^TestThreat7_":       {row: 7, file: "guard.go"},
		"./. ^TestThreat7_Guard$": {row: 7, file: "a/guard.go", pkg: ".", tests: "^TestThreat7_Guard$"},
		"./b/c ^TestThreat7_":     {row: 7, file: "a/guard.go", pkg: "b/c"},
	} {
		if got := m.inPackage() + " " + m.expression(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestTellCounts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		verdicts []verdict
		every    bool
		want     string
		ok       bool
	}{
		"all killed":       {[]verdict{killed, killed}, false, "2 mutants, 2 killed, 0 survived\n", true},
		"all, and told":    {[]verdict{killed}, true, "killed: row 7, a/guard.go: the guard\n1 mutants, 1 killed, 0 survived\n", true},
		"one survives":     {[]verdict{killed, survived}, false, "survived: row 7, a/guard.go: the guard\n\t- s != \"\"\n\t+ true\n2 mutants, 1 killed, 1 survived\n", false},
		"one says nothing": {[]verdict{timedOut}, false, "timed out: row 7, a/guard.go: the guard\n\toutput\n1 mutants, 0 killed, 0 survived, 1 that say nothing\n", false},
	}
	for name, tt := range tests {
		results := make(chan result, len(tt.verdicts))
		for _, v := range tt.verdicts {
			results <- result{good, v, "output\n"}
		}
		close(results)
		var out strings.Builder
		err := tell(t.Context(), results, tt.every, &out)
		if diff := cmp.Diff(tt.want, out.String()); diff != "" || (err == nil) != tt.ok {
			t.Errorf("%s: error %v, output (-want +got):\n%s", name, err, diff)
		}
	}
}
