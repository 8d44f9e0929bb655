package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed944197df/connect/internal/pgcluster"
	"github.com/seed944197df/connect/internal/testreq"
)

// Where the platform repeats an answer for a while, processes that are killed
// lose nothing.
func TestFault2_NothingIsLostWhereAnAnswerIsRepeated(t *testing.T) {
	t.Parallel()
	wantHolds(t, "-store", "postgres", "-class", "grace", "-procs", "4")
}

// Where it does not, a process that is killed loses what it was at, and every
// loss was recorded beforehand.
func TestFault3_EveryLossWasRecorded(t *testing.T) {
	t.Parallel()
	wantHolds(t, "-store", "sqlite", "-class", "strict", "-procs", "1")
}

// wantHolds is a short run. It is of the program as it is built for use: a race
// detector would slow it down, and its processes are others.
func wantHolds(t *testing.T, args ...string) {
	t.Helper()
	if testing.Short() {
		testreq.Missing(t, "time", "it kills processes for ten seconds, and -short was given")
	}
	program := filepath.Join(t.TempDir(), "prove.exe")
	build := exec.CommandContext(t.Context(), testreq.Command(t, "go"), "build", "-race=false", "-o", program, ".")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	args = append(args, "-for", "10s", "-grants", "1000", "-life", "20s", "-every", "150ms")
	said, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	if strings.Contains(string(said), pgcluster.ErrMissing.Error()) {
		testreq.Missing(t, "PostgreSQL", pgcluster.ErrMissing.Error())
	}
	if err != nil || !strings.HasSuffix(string(said), "\nverdict: holds\n") {
		t.Errorf("%v:\n%s", err, said)
	}
}

func TestFlagsAreChecked(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{"-store file", "-class loose", "-for 0s", "-procs 0", "-grants 0", "-life 14s", "-life 15500ms", "-every 1ms", "postgres"} {
		var said strings.Builder
		if _, err := parse(strings.Fields(wrong), &said); err == nil || said.Len() == 0 {
			t.Errorf("%s is taken, and said is %q", wrong, said.String())
		}
	}
}
