package faults_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
)

// arrive is a browser's request, and what it is answered with.
func (r *rig) arrive(engine *connect.Connector, subject, path string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	engine.Handler().ServeHTTP(answer, arrival(r.t.Context(), subject, path))
	return answer
}

// wantConnected checks that a subject was connected by one exchange, with one
// account and one event.
func (r *rig) wantConnected(subject string) {
	r.t.Helper()
	accounts, _, err := r.engine.Accounts(r.t.Context(), who(""), connect.AccountFilter{PlatformID: subject}, connect.Page{})
	if err != nil || len(accounts) != 1 {
		r.t.Fatalf("%s has %d accounts, %v: want 1", subject, len(accounts), err)
	}
	if got := r.platform.family(subject); got.exchanges != 1 || got.dead {
		r.t.Errorf("%s: %d exchanges, dead %t: want 1, and a grant that lives", subject, got.exchanges, got.dead)
	}
	var events int
	for _, e := range r.events()[connect.EventAccountConnected] {
		if e.AccountID == accounts[0].ID {
			events++
		}
	}
	if events != 1 {
		r.t.Errorf("%s: %d events, want 1", subject, events)
	}
	r.wantWorks(accounts[0])
}

// A browser comes back while PostgreSQL is gone. Its page loads itself again,
// with the code that nobody has used.
func TestFault28_TheCodeWaitsForTheStore(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{rotation: strict})
	_, path := r.consent("alice")
	r.toStore.cut()
	for range 3 {
		answer := r.arrive(r.engine, "alice", path)
		_, again, _ := strings.Cut(answer.Header().Get("Refresh"), "url=")
		if want := r.config.BaseURL + strings.TrimPrefix(path, "/connect"); answer.Code != http.StatusServiceUnavailable || again != want {
			t.Errorf("status %d, and the page loads %q, want %q", answer.Code, again, want)
		}
		if answer.Header().Get("Retry-After") == "" {
			t.Error("a program is not told to come again")
		}
	}
	if got := r.platform.family("alice").exchanges; got != 0 {
		t.Errorf("%d exchanges without a flow, want none", got)
	}
	r.toStore.restore()
	until(t, "the page that loads itself is connected", func() bool {
		return r.arrive(r.engine, "alice", path).Code == http.StatusSeeOther
	})
	r.wantConnected("alice")
}

// PostgreSQL is gone when the platform has issued tokens, and comes back while
// they are kept.
func TestFault29_WhatWasIssuedIsStored(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{rotation: strict})
	for range waves {
		paths, _ := r.consents()
		gone := make(chan struct{})
		r.platform.whenCommitted(whenIssued(wave, func() {
			r.toStore.cut()
			time.AfterFunc(time.Second, r.toStore.restore)
			close(gone)
		}, gone))
		var arriving sync.WaitGroup
		for subject, path := range paths {
			arriving.Go(func() {
				if answer := r.arrive(r.engine, subject, path); answer.Code != http.StatusSeeOther {
					t.Errorf("%s: status %d, want %d", subject, answer.Code, http.StatusSeeOther)
				}
			})
		}
		arriving.Wait()
		for subject := range paths {
			r.wantConnected(subject)
		}
	}
}

// A browser comes back many times at once to two processes, and again later.
func TestFault31_ManyCallbacksAreOne(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{rotation: strict})
	second := r.config
	second.Store = r.open()
	engines := []*connect.Connector{r.engine, r.start(second)}
	_, path := r.consent("alice")
	const n = 50
	places := make([]string, n+1)
	var arriving sync.WaitGroup
	for i := range n {
		arriving.Go(func() { places[i] = r.arrive(engines[i%2], "alice", path).Header().Get("Location") })
	}
	arriving.Wait()
	r.clock.advance(10 * time.Minute)
	places[n] = r.arrive(r.engine, "alice", path).Header().Get("Location")
	want := make([]string, len(places))
	for i := range want {
		want[i] = places[0]
	}
	if diff := cmp.Diff(want, places); diff != "" || !strings.Contains(places[0], "connected") {
		t.Errorf("the browsers go to different places (-first +others):\n%s\nthe first to %s", diff, places[0])
	}
	r.wantConnected("alice")
}
