package connect

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/seed944197df/connect/internal/outbound"
)

const (
	probeEvery   = 10 * time.Second // where Platform.ProbeEvery is not set
	probeBurst   = 10               // probes that may be made at once after a rest
	probeKept    = time.Minute      // how long an answer stands for the next question
	probeMost    = 1000             // answers that are kept
	probeTimeout = 10 * time.Second
	probePause   = time.Minute // after the platform has asked to be left alone, and named no time
)

// probes is the budget of questions that Health asks a platform, with the
// answers of the last minute. They are counted apart from what the gate counts:
// a question that nobody needs must never keep a refresh away. Like the gates,
// it is one for each server where grants have servers of their own.
type probes struct {
	every time.Duration
	now   func() time.Time

	mu   sync.Mutex           // guards what follows
	full map[string]time.Time // when the budget of a server is whole again
	kept map[probeKey]*probe
}

// probeKey names a token: a new one is asked for anew.
type probeKey struct {
	tenant, account    string
	ofAccount, ofGrant int64 // generations
	server             string
}

// probe is a question and its answer, which may be read when done is closed.
type probe struct {
	at   time.Time
	done chan struct{}

	subject string
	scopes  []string // nil where the platform does not tell them
	err     error
}

func newProbes(every time.Duration, now func() time.Time) *probes {
	if every <= 0 {
		every = probeEvery
	}
	return &probes{every: every, now: now, full: map[string]time.Time{}, kept: map[probeKey]*probe{}}
}

// take returns the probe of key, and whether the caller must make it; nil where
// none may be made now.
func (b *probes) take(key probeKey) (p *probe, mine bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	for k, old := range b.kept {
		if now.Sub(old.at).Abs() >= probeKept {
			delete(b.kept, k)
		}
	}
	maps.DeleteFunc(b.full, func(_ string, full time.Time) bool { return !full.After(now) })
	if kept := b.kept[key]; kept != nil {
		return kept, false
	}
	next := b.full[key.server].Add(b.every)
	if soonest := now.Add(b.every); next.Before(soonest) {
		next = soonest
	}
	if next.Sub(now) > probeBurst*b.every || len(b.kept) >= probeMost {
		return nil, false
	}
	p = &probe{at: now.UTC().Truncate(time.Microsecond), done: make(chan struct{}), err: errProbe}
	b.full[key.server], b.kept[key] = next, p
	return p, true
}

var errProbe = errors.New("connect: the probe broke off") // where the provider panics

// learn makes a pause where the server asks for one.
func (b *probes) learn(server string, err error) {
	platform := asProviderError(err)
	if platform.Status != http.StatusTooManyRequests && platform.RetryAfter == 0 {
		return
	}
	wait := min(max(platform.RetryAfter, probePause), longestWait)
	b.mu.Lock()
	defer b.mu.Unlock()
	if until := b.now().Add(wait + probeBurst*b.every); until.After(b.full[server]) {
		b.full[server] = until
	}
}

// probe asks the platform whose the account's token is. It returns nil where it
// may not be asked now, or where ctx ends first.
func (c *Connector) probe(ctx context.Context, e *exam) *probe {
	if e.adapter.identifier == nil || e.tokens == nil || e.adapter.gates.of(e.tokens).isShut() {
		return nil
	}
	server := e.tokens.APIBaseURL
	p, mine := e.adapter.probes.take(probeKey{e.account.Tenant, e.account.ID, e.account.Generation, e.grant.Generation, server})
	switch {
	case p == nil:
		return nil
	case mine:
		c.detach(probeTimeout, func(ctx context.Context) {
			defer close(p.done)
			p.make(ctx, e)
			e.adapter.probes.learn(server, p.err)
			if p.err != nil {
				c.cfg.Logger.Info("a probe failed", "platform", e.account.Platform, "account", e.account.ID, "error", outbound.Redact(p.err))
			}
		})
	}
	select {
	case <-p.done:
		return p
	case <-ctx.Done():
		return nil
	}
}

func (p *probe) make(ctx context.Context, e *exam) {
	said, err := e.adapter.identifier.Identify(ctx, e.adapter.env, e.tokens)
	if p.err = err; err == nil {
		p.subject, p.scopes = said.Subject, said.Scopes
	}
}
