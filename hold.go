package connect

import (
	"context"
	"slices"
	"sync"
	"time"
)

// hold is a claimed grant that this process sees to. It reckons in the store's
// time, so that a process whose clock is wrong decides nothing early.
type hold struct {
	ClaimedGrant

	a       *adapter
	gate    *gate // of the server that its tokens are for, once they are open
	attempt string
	claims  *claims
	claimed time.Time // by our clock
	clock   func() time.Time

	seen     int64 // the generation that a caller wants newer tokens than; 0: none does
	rejected bool  // the platform has refused its access token
	marked   bool  // MarkSent has counted this presentation
	trying   bool  // its gate is shut, and it is the one that tries
}

func (g Grant) key() GrantKey { return GrantKey{Tenant: g.Tenant, ID: g.ID} }

// now is the store's time.
func (h *hold) now() time.Time { return h.Now.Add(h.clock().Sub(h.claimed)) }

// spent reports whether its refresh token may have been presented before, with
// no answer that we know.
func (h *hold) spent() bool { return h.Presented > 0 }

// mark says that MarkSent has counted a presentation, and unmark that nothing
// was presented after all.
func (h *hold) mark() {
	h.marked = true
	h.Presented++
	if h.SentAt == nil {
		h.SentAt = at(h.now())
	}
}

func (h *hold) unmark() { h.Presented-- }

func (h *hold) release() { h.claims.release(h.key()) }

// settlement ends the claim with the grant as it was, but for its status.
func (h *hold) settlement(status GrantStatus) Settlement {
	return Settlement{
		Tenant: h.Tenant, ID: h.ID, Attempt: h.attempt, Generation: h.Generation,
		Status: status, Reason: h.Reason, DueAt: h.DueAt,
		Presented: h.Presented, Failures: h.Failures, RefusedAt: h.RefusedAt,
	}
}

// back ends the claim with the grant as it was before.
func (h *hold) back() Settlement {
	switch {
	case h.Prior == GrantRevoking:
		return h.settlement(GrantRevoking)
	case h.spent():
		return h.settlement(GrantUncertain)
	default:
		return h.settlement(GrantActive)
	}
}

// claims keeps what one attempt has claimed from running out while it is seen
// to.
type claims struct {
	store   Store
	clock   func() time.Time
	attempt string
	lease   time.Duration
	idle    context.CancelFunc // ends the renewing

	mu      sync.Mutex // guards what follows
	open    map[GrantKey]bool
	renewed time.Time // when the lease was last known to begin
	lost    bool      // it was over before it was renewed
}

// newClaims begins to renew what attempt holds since began.
func (c *Connector) newClaims(attempt string, lease time.Duration, began time.Time, keys []GrantKey) *claims {
	k := &claims{store: c.cfg.Store, clock: c.cfg.Now, attempt: attempt, lease: lease, open: map[GrantKey]bool{}, renewed: began}
	for _, key := range keys {
		k.open[key] = true
	}
	ctx, idle := context.WithCancel(c.background)
	k.idle = idle
	go func() {
		for wait := lease/3 - c.cfg.Now().Sub(began); sleep(ctx, wait); wait = lease / 3 { // the claim itself took a while
			k.renew(ctx)
		}
	}()
	return k
}

// renew takes a new lease on what is open. A lease that was over may have
// become another's, which no renewal brings back.
func (k *claims) renew(ctx context.Context) {
	began := k.clock()
	if !k.hold(began) {
		return
	}
	k.mu.Lock()
	keys := make([]GrantKey, 0, len(k.open))
	for key := range k.open {
		keys = append(keys, key)
	}
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, k.lease)
	defer cancel()
	if len(keys) == 0 || k.store.RenewClaims(ctx, k.attempt, keys, k.lease) != nil {
		return // the next one may succeed
	}
	k.mu.Lock()
	k.renewed = began
	k.mu.Unlock()
}

// hold reports whether what is open is certainly still held: no time has gone
// in which another process could have claimed it. The monotonic clock stands
// still while a machine is suspended, and the wall clock may be set back, so
// the longer of the two counts.
func (k *claims) hold(now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lost = k.lost || max(now.Sub(k.renewed), now.Round(0).Sub(k.renewed.Round(0))) >= k.lease
	return !k.lost
}

// release ends the renewing of one; with the last, of all.
func (k *claims) release(key GrantKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.open, key)
	if len(k.open) == 0 {
		k.idle()
	}
}

// claimGrant claims one grant. It returns [ErrConflict] where another has it,
// or nothing can be done with it any more.
func (c *Connector) claimGrant(ctx context.Context, a *adapter, key GrantKey) (*hold, error) {
	began, attempt := c.cfg.Now(), newID(c.cfg.Now())
	claimed, err := c.cfg.Store.ClaimGrant(ctx, key, attempt, a.leaseOf())
	if err != nil {
		return nil, err
	}
	return c.newHolds(a, attempt, began, []ClaimedGrant{claimed})[0], nil
}

// newHolds begins to hold what attempt has claimed. Each must be released.
func (c *Connector) newHolds(a *adapter, attempt string, began time.Time, claimed []ClaimedGrant) []*hold {
	if len(claimed) == 0 {
		return nil
	}
	keys := make([]GrantKey, len(claimed))
	for i, g := range claimed {
		keys[i] = g.key()
	}
	kept := c.newClaims(attempt, a.leaseOf(), began, keys)
	now := c.cfg.Now()
	holds := make([]*hold, len(claimed))
	for i, g := range claimed {
		holds[i] = &hold{ClaimedGrant: g, a: a, gate: a.gates.main, attempt: attempt, claims: kept, claimed: now, clock: c.cfg.Now}
	}
	return holds
}

// markSent records that the holds, all of one attempt, are about to be sent.
// Those that are not marked afterwards must not be.
func (c *Connector) markSent(ctx context.Context, holds []*hold) error {
	if len(holds) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, holds[0].a.leaseOf())
	defer cancel()
	keys := make([]GrantKey, len(holds))
	for i, h := range holds {
		keys[i] = h.key()
	}
	held, err := c.cfg.Store.MarkSent(ctx, holds[0].attempt, keys)
	for _, h := range holds {
		if slices.Contains(held, h.key()) {
			h.mark()
		}
	}
	return err
}
