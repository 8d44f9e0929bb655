// Package testreq says what a test does when a program that it needs is not
// on the machine: it is skipped with the reason, and under
// CONNECT_TEST_REQUIRE=all it fails.
//
// So "go test ./..." passes on a machine that has Go and nothing else, and
// no missing component goes unnoticed where all of them must be there.
package testreq

import (
	"os"
	"os/exec"
	"testing"
)

// Variable is the name of the environment variable that turns skipped tests
// into failed ones. Its only meaningful value is "all".
const Variable = "CONNECT_TEST_REQUIRE"

// Missing ends the calling test because component is not there: it skips the
// test, or fails it where [Variable] is "all". The reason should say what was
// looked for and what would provide it.
//
// Like [testing.TB.FailNow], it must be called from the goroutine that runs
// the test.
func Missing(tb testing.TB, component, reason string) {
	tb.Helper()
	if os.Getenv(Variable) == "all" {
		tb.Fatalf("%s is required (%s=all): %s", component, Variable, reason)
	}
	tb.Skipf("%s is missing: %s", component, reason)
}

// Command returns the path of the program called name, or ends the test by
// [Missing] where PATH has no such program.
func Command(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(tb, name, err.Error())
	}
	return path
}
