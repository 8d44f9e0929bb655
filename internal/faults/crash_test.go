package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/pgstore"
)

// childEnv holds the task of a process that this binary starts of itself, to
// be killed.
const childEnv = "CONNECT_FAULTS_CHILD"

// task is what a child does.
type task struct {
	DSN, Keys, Platform string
	Paths               map[string]string // of browsers that come back, by their subjects
	Session             string            // a selection to finalize
	Choice              []string
}

// child does its task as a host's process does, and says why it could not. It
// has no way to say that it could: its parent waits for it in the middle.
func child() int {
	var todo task
	err := json.Unmarshal([]byte(os.Getenv(childEnv)), &todo)
	if err == nil {
		err = todo.do(context.Background())
	}
	fmt.Fprintln(os.Stderr, "the child was not killed:", err)
	return 1
}

func (todo task) do(ctx context.Context) error {
	store, err := pgstore.Open(ctx, todo.DSN, nil)
	if err != nil {
		return err
	}
	config, err := configOf(todo.Keys, todo.Platform, provider{strict})
	if err != nil {
		return err
	}
	if todo.Session != "" {
		config.Providers = []connect.Provider{pages{provider{strict}}}
	}
	config.Store = store
	engine, err := connect.New(config)
	if err != nil {
		return err
	}
	if todo.Session != "" {
		_, err := engine.Finalize(ctx, who(""), todo.Session, connect.FinalizeRequest{SelectedIDs: todo.Choice})
		return err
	}
	var arriving sync.WaitGroup
	for subject, path := range todo.Paths {
		arriving.Go(func() { _, _ = engine.Callback(arrival(ctx, subject, path), platformName, "") })
	}
	arriving.Wait()
	return nil
}

// killWhen starts a child and kills it as soon as met is closed.
func (r *rig) killWhen(todo task, met <-chan struct{}) {
	r.t.Helper()
	todo.DSN, todo.Keys, todo.Platform = r.dsn, r.keys, r.config.UnsafeRewriteHost
	text, err := json.Marshal(todo)
	if err != nil {
		r.t.Fatal(err)
	}
	command := exec.CommandContext(r.t.Context(), os.Args[0])
	command.Env = append(os.Environ(), childEnv+"="+string(text))
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		r.t.Fatal(err)
	}
	select {
	case <-met:
	case <-time.After(time.Minute):
		r.t.Error("the child does not come to where it is to be killed")
	}
	if err := command.Process.Kill(); err != nil {
		r.t.Error(err)
	}
	_ = command.Wait() // it was killed
}

// A process is killed when the platform has issued tokens to it. They exist
// nowhere else; what is left is to tell the host.
func TestFault30_AKilledExchangeIsToldOf(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{rotation: strict})
	flows := map[string]bool{}
	for range waves {
		paths, begun := r.consents()
		maps.Copy(flows, begun)
		issued, killed := make(chan struct{}), make(chan struct{})
		r.platform.whenCommitted(whenIssued(wave, func() { close(issued) }, killed))
		r.killWhen(task{Paths: paths}, issued)
		close(killed)
	}
	r.clock.advance(time.Hour)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = r.engine.Run(ctx) })
	until(t, "all flows have ended", func() bool { return len(r.events()[connect.EventFlowFailed]) >= len(flows) })
	stop()
	running.Wait()
	told := map[string]bool{}
	for _, e := range r.events()[connect.EventFlowFailed] {
		var data map[string]string
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Error(err)
		}
		told[data["flow_id"]] = true
	}
	if diff := cmp.Diff(flows, told); diff != "" {
		t.Errorf("the flows that an event tells of (-want +got):\n%s", diff)
	}
	for id := range flows {
		if flow, err := r.config.Store.ReadFlow(t.Context(), connect.FlowKey{ID: id}); err != nil || flow.Status != connect.FlowOrphaned {
			t.Errorf("the flow is %s, %v: want orphaned", flow.Status, err)
		}
	}
}
