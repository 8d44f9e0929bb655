package connect

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	runEvery   = 5 * time.Second
	runBatch   = 16
	sweepLease = 2 * time.Minute // longer than a batch, which is seen to at once, may take
)

// Run does what no request waits for: it refreshes what is due, repeats
// revocations, and ends flows that nobody finished. It returns ctx's error
// when ctx ends, after what it had begun. Every process may run it; where none
// does, accounts are refreshed when they are used.
func (c *Connector) Run(ctx context.Context) error {
	for {
		more := c.sweep(ctx)
		wait := runEvery
		if more {
			wait = 0
		}
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// sweep does one round and reports whether there may be more at once.
func (c *Connector) sweep(ctx context.Context) bool {
	var attended sync.WaitGroup
	flows, err := c.cfg.Store.ClaimOverdueFlows(ctx, runBatch, sweepLease)
	if err != nil && !isCanceled(err) {
		c.cfg.Logger.Warn("finding old flows failed", "error", err)
	}
	for _, flow := range flows {
		attended.Go(func() {
			<-c.detach(refreshWait, func(ctx context.Context) { c.expire(ctx, flow) })
		})
	}
	attempt := newID(c.cfg.Now())
	claimed, err := c.cfg.Store.ClaimGrants(ctx, GrantClaim{N: runBatch, Attempt: attempt, Lease: sweepLease})
	if err != nil && !isCanceled(err) {
		c.cfg.Logger.Warn("claiming grants failed", "error", err)
	}
	for _, g := range claimed {
		attended.Go(func() {
			<-c.detach(refreshWait, func(ctx context.Context) { c.attend(ctx, g, attempt) })
		})
	}
	attended.Wait()
	return len(flows) == runBatch || len(claimed) == runBatch
}

// attend does what a due grant is due for.
func (c *Connector) attend(ctx context.Context, g ClaimedGrant, attempt string) {
	if g.Prior == GrantRevoking {
		c.revokeClaimed(ctx, g, attempt)
		return
	}
	if err := c.refreshClaimed(ctx, g, attempt, g.Generation); err != nil {
		c.cfg.Logger.Info("a refresh failed", "platform", g.Platform, "grant", g.ID, "error", err)
	}
}

// expireTries is how long a platform that does not answer, or a key that is
// missing, may keep an abandoned flow from its end.
const expireTries = 24 * time.Hour

// expire ends a flow that nobody finished, after what it held at the platform
// was given back. Where that cannot be now, the flow is found again later.
func (c *Connector) expire(ctx context.Context, flow Flow) {
	late := c.cfg.Now().After(flow.CreatedAt.Add(expireTries))
	at, err := c.openFlow("expire", flow)
	if err != nil {
		c.cfg.Logger.Error("an old flow does not open", "platform", flow.Platform, "flow", flow.ID, "error", err)
		if late {
			ended := flow
			ended.Status, ended.Outcome = FlowExpired, &FlowOutcome{Error: CodeExpired}
			c.endFlow(ctx, flow.Status, ended)
		}
		return
	}
	status := FlowExpired
	if flow.Status == FlowClaimed && at.tokens == nil {
		status = FlowOrphaned // a process died with it
	}
	if !c.gaveBack(ctx, at) && !late {
		return
	}
	from := at.flow.Status
	at.flow.Outcome = &FlowOutcome{Error: CodeExpired}
	at.forget()
	next, err := c.next(at, status, "expire", string(CodeExpired))
	if err != nil {
		c.cfg.Logger.Error("an old flow cannot be sealed", "platform", flow.Platform, "flow", flow.ID, "error", err)
		return
	}
	c.endFlow(ctx, from, next)
}

// gaveBack revokes what an abandoned flow holds at the platform and reports
// whether nothing is left. It takes the flow first, so that nobody can connect
// meanwhile what is being revoked.
func (c *Connector) gaveBack(ctx context.Context, at *attempt) bool {
	if at.tokens == nil {
		return true
	}
	if err := c.claim(ctx, at, "expire"); err != nil {
		return false // it has moved on after all, or is found again
	}
	return c.revoke(ctx, at.adapter, at.tokens, newID(c.cfg.Now())) != RevocationPending
}

func (c *Connector) endFlow(ctx context.Context, from FlowStatus, ended Flow) {
	event := c.event(EventFlowFailed, ended.Tenant, ended.Platform, "", map[string]string{"flow_id": ended.ID, "error": string(CodeExpired)})
	_, err := c.cfg.Store.CommitFlow(ctx, Commit{From: from, Flow: ended, Events: []Event{event}})
	if err != nil && !errors.Is(err, ErrConflict) { // a conflict: it has moved on after all
		c.cfg.Logger.Warn("an old flow could not be ended", "platform", ended.Platform, "flow", ended.ID, "error", err)
	}
}
