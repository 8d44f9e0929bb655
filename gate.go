package connect

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"sync"
	"time"
)

const (
	gateSlots    = 16               // requests to one platform as one client, at once
	serverSlots  = 4                // of them to one server, where a platform has many
	gateFailures = 8                // in a row, until the platform counts as down
	gateProbe    = 30 * time.Second // between two questions whether it is up again
	gateConfig   = 5 * time.Minute  // after the platform has refused the client itself
	maxServers   = 1000             // that are remembered
)

// gates stand before a platform for one client: one, or one for each server
// where grants have servers of their own.
//
// Security: such a server is of a customer's choosing. What it does must not
// keep other customers' grants from theirs: it has slots of its own here, and
// its tenant's part of the [room] of a lane.
type gates struct {
	now  func() time.Time
	main *gate

	mu      sync.Mutex // guards servers
	servers map[string]*gate
}

func newGates(now func() time.Time) *gates {
	return &gates{now: now, main: newGate(now, gateSlots), servers: map[string]*gate{}}
}

// of returns the gate for tokens.
func (g *gates) of(t *Tokens) *gate {
	if t.APIBaseURL == "" {
		return g.main
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	own := g.servers[t.APIBaseURL]
	if own == nil {
		g.forget()
		own = newGate(g.now, serverSlots)
		g.servers[t.APIBaseURL] = own
	}
	return own
}

// forget makes room: it drops the gates that stand as new ones would, or any
// one where there is none.
func (g *gates) forget() {
	if len(g.servers) < maxServers {
		return
	}
	maps.DeleteFunc(g.servers, func(_ string, own *gate) bool { return own.isIdle() })
	for server := range g.servers {
		if len(g.servers) < maxServers {
			return
		}
		delete(g.servers, server)
	}
}

// gate bounds the refreshes and revocations of this process that are under way
// at once, and keeps them away while the platform does not want or answer them.
// While it is shut, one goes through from time to time, to see.
type gate struct {
	slots chan struct{}
	now   func() time.Time

	mu       sync.Mutex // guards what follows
	shut     bool
	until    time.Time // when, while it is shut, the next may try
	trying   bool      // one has been let through since it was shut
	failures int       // in a row
}

func newGate(now func() time.Time, slots int) *gate {
	return &gate{slots: make(chan struct{}, slots), now: now}
}

// pass reports whether a request may be made, else how long to wait. Who may,
// while the gate is shut, is the one that tries, and must make it.
func (g *gate) pass() (time.Duration, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if wait := g.rest(); wait > 0 {
		return wait, false
	}
	if g.shut {
		g.until, g.trying = g.now().Add(gateProbe), true
	}
	return 0, true
}

// errShut says that the platform is to be left alone.
var errShut = errors.New("the gate is shut")

// admit takes a slot for a request that may be made, else it returns errShut
// and how long to wait. It looks before it waits for the slot, so that nobody
// queues in vain, and again afterwards: what had the slot may have shut the
// gate.
func (g *gate) admit(ctx context.Context) (time.Duration, error) {
	if wait := g.wait(); wait > 0 {
		return wait, errShut
	}
	if err := g.enter(ctx); err != nil {
		return 0, err
	}
	if wait, ok := g.pass(); !ok {
		g.leave()
		return wait, errShut
	}
	return 0, nil
}

// wait is how long no request may be made; none is made by asking.
func (g *gate) wait() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.rest()
}

func (g *gate) rest() time.Duration {
	if !g.shut {
		return 0
	}
	return max(g.until.Sub(g.now()), 0)
}

// isShut reports whether the gate is shut, as it is while one tries too.
func (g *gate) isShut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut
}

// isIdle reports whether the gate knows nothing worth keeping.
func (g *gate) isIdle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.shut && g.failures == 0 && len(g.slots) == 0
}

// enter takes a slot; it fails where ctx has ended, though there may be one.
func (g *gate) enter(ctx context.Context) error {
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		g.leave()
		return err
	}
	return nil
}

func (g *gate) leave() { <-g.slots }

// note learns from what came of a request; err is nil where it succeeded. It
// reports whether this has shut the gate.
//
// Security: what the platform says of one account, however long that is to be
// left alone, must not keep other customers' accounts from it.
func (g *gate) note(err error) bool {
	platform := asProviderError(err)
	var wait time.Duration
	if platform.isOfAll() {
		wait = min(platform.RetryAfter, longestWait)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case platform.Class == ClassConfig:
		wait = gateConfig
	case platform.Status == http.StatusTooManyRequests:
		wait = max(wait, gateProbe)
	case wait > 0:
	case platform.isDown():
		if g.failures++; g.failures < gateFailures {
			return false
		}
		wait = gateProbe
	default: // it has answered; what was asked before the gate was shut does not open it
		g.shut, g.failures = g.shut && !g.trying, 0
		return false
	}
	was := g.shut
	g.shut, g.trying, g.until = true, false, g.now().Add(wait)
	return !was
}
