package connect

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"sync"
	"time"
)

const (
	refreshTimeout = 30 * time.Second // how long a provider may take for one refresh
	refreshWait    = 45 * time.Second // how long a caller waits for the refresh of another
	answerWait     = 30 * time.Second // how long another process may take to bring an answer: two leases
	patience       = 2 * time.Second  // how long one waits whose access token still works
	settleBudget   = 5 * time.Minute  // how long new tokens are kept for a store that does not answer
	lateWait       = 16 * time.Second // the longest pause before tokens that came late are revoked again
	expirySkew     = 30 * time.Second // a token this close to its end is refreshed first
)

// flights lets the callers of one process share one refresh per grant. It keeps
// when the last one failed by the process's own clock, which no other clock is
// compared with.
type flights struct {
	mu     sync.Mutex // guards what follows
	calls  map[string]*flight
	failed map[string]time.Time // those of the last refreshFloor, and some older ones
	swept  time.Time            // when the older ones were last dropped
}

type flight struct {
	done chan struct{}
	err  error
}

// join returns the flight of a grant, and whether the caller must fly it.
func (f *flights) join(grantID string) (*flight, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if call := f.calls[grantID]; call != nil {
		return call, false
	}
	if f.calls == nil {
		f.calls = map[string]*flight{}
	}
	call := &flight{done: make(chan struct{})}
	f.calls[grantID] = call
	return call, true
}

func (f *flights) land(grantID string, call *flight, err error, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	call.err = err
	delete(f.calls, grantID)
	close(call.done)
	if now.Sub(f.swept).Abs() >= refreshFloor {
		maps.DeleteFunc(f.failed, func(_ string, at time.Time) bool { return now.Sub(at).Abs() >= refreshFloor })
		f.swept = now
	}
	if err == nil {
		return
	}
	if f.failed == nil {
		f.failed = map[string]time.Time{}
	}
	f.failed[grantID] = now
}

// wait is how long a grant is left alone after a refresh that failed. One that
// is in flight can be joined.
func (f *flights) wait(grantID string, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, failed := f.failed[grantID]
	if !failed || f.calls[grantID] != nil {
		return 0
	}
	return refreshFloor - now.Sub(at).Abs()
}

// refresh makes the grant's tokens newer than those of g, or says why that
// cannot be. rejected tells that the platform has refused the access token,
// too. It is detached from ctx: a caller that gives up must not leave a refresh
// token half spent.
func (c *Connector) refresh(ctx context.Context, g Grant, rejected bool) error {
	call, mine := c.refreshes.join(g.ID)
	if mine {
		c.detach(refreshWait+refreshTimeout+settleBudget, func(ctx context.Context) {
			err := error(&Error{Code: CodeUnavailable, Op: "refresh", Platform: g.Platform, Message: "The refresh broke off."}) // where it panics
			defer func() { c.refreshes.land(g.ID, call, err, c.cfg.Now()) }()
			err = c.refreshOnce(ctx, g, rejected)
		})
	}
	select {
	case <-call.done:
		return call.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refreshOnce claims the grant and refreshes it, unless somebody else has.
func (c *Connector) refreshOnce(ctx context.Context, g Grant, rejected bool) error {
	h, err := c.claimOlder(ctx, g)
	if err != nil || h == nil {
		return err
	}
	defer h.release()
	h.seen, h.rejected = g.Generation, rejected
	return c.refreshClaimed(ctx, h)
}

// claimOlder claims a grant whose tokens are still those of g, after whoever
// has it. Where they are newer by then there is nothing to do, and no hold.
func (c *Connector) claimOlder(ctx context.Context, g Grant) (*hold, error) {
	a, err := c.adapter("refresh", g.Platform)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, refreshWait)
	defer cancel()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		now, err := c.cfg.Store.ReadGrant(ctx, g.key())
		switch {
		case err != nil:
			return nil, storeError("refresh", err)
		case now.Generation > g.Generation:
			return nil, nil //nolint:nilnil // see above
		case now.Status == GrantDead || now.Status == GrantRevoking:
			return nil, unusable("refresh", g.Platform, AccountReauthRequired)
		}
		h, err := c.claimGrant(ctx, a, g.key())
		if err == nil || !errors.Is(err, ErrConflict) {
			return h, storeError("refresh", err)
		}
		if !sleep(ctx, wait) {
			return nil, &Error{Code: CodeUnavailable, Op: "refresh", Platform: g.Platform, Message: "Another process is refreshing this and has not finished.", RetryAfter: refreshRetry}
		}
	}
}

// refreshClaimed does for a caller what Run does for what is due.
func (c *Connector) refreshClaimed(ctx context.Context, h *hold) error {
	todo := c.planRefresh(h)
	if todo.present == nil {
		return c.conclude(ctx, h, todo)
	}
	entering, cancel := context.WithTimeout(ctx, refreshWait)
	defer cancel()
	wait, err := h.gate.admit(entering)
	if errors.Is(err, errShut) {
		err = &Error{Code: CodeUnavailable, Op: "refresh", Platform: h.Platform, Message: "The platform does not answer, or asked to be left alone for a while.", RetryAfter: wait}
	}
	if err != nil {
		return errors.Join(storeError("refresh", err), c.giveBack(ctx, h, h.back()))
	}
	defer h.gate.leave()
	if err := c.markSent(ctx, []*hold{h}); err != nil || !h.marked {
		return errors.Join(storeError("refresh", cmp.Or(err, ErrConflict)), c.giveBack(ctx, h, h.back()))
	}
	return c.present(ctx, h, todo.present)
}
