package testreq_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/seed944197df/connect/internal/testreq"
)

// recorder is a testing.TB that writes down how a test ended.
type recorder struct {
	testing.TB
	ended, message string
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any) { r.finish("skipped", format, args) }

func (r *recorder) Fatalf(format string, args ...any) { r.finish("failed", format, args) }

// finish ends the goroutine, as the real Skipf and Fatalf do.
func (r *recorder) finish(how, format string, args []any) {
	r.ended, r.message = how, fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// outcome runs f as a test and returns how it ended.
func outcome(tb testing.TB, f func(testing.TB)) *recorder {
	tb.Helper()
	r := &recorder{TB: tb}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r
}

func TestMissing(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"unset", "", "skipped"},
		{"all", "all", "failed"},
		{"other value", "some", "skipped"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(testreq.Variable, tt.value)
			got := outcome(t, func(tb testing.TB) {
				tb.Helper()
				testreq.Missing(tb, "widget", "not installed")
			})
			if got.ended != tt.want {
				t.Errorf("test %s, want %s", got.ended, tt.want)
			}
			if !strings.Contains(got.message, "widget") || !strings.Contains(got.message, "not installed") {
				t.Errorf("message %q lacks the component or the reason", got.message)
			}
		})
	}
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	want := filepath.Join(dir, "widget")
	if err := os.WriteFile(want, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	t.Setenv(testreq.Variable, "")

	if got, path := command(t, "widget"); got.ended != "" || path != want {
		t.Errorf("a program on PATH: test %q, path %q, want %q", got.ended, path, want)
	}
	if got, _ := command(t, "gadget"); got.ended != "skipped" {
		t.Errorf("a program not on PATH: test %q, want skipped", got.ended)
	}
}

// command calls testreq.Command as a test would.
func command(tb testing.TB, name string) (how *recorder, path string) {
	tb.Helper()
	how = outcome(tb, func(tb testing.TB) {
		tb.Helper()
		path = testreq.Command(tb, name)
	})
	return how, path
}
