package connect

import (
	"context"
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
	flows, err := c.cfg.Store.ExpireFlows(ctx, runBatch)
	if err != nil && !isCanceled(err) {
		c.cfg.Logger.Warn("ending old flows failed", "error", err)
	}
	for _, flow := range flows {
		c.expire(ctx, flow)
	}
	attempt := newID(c.cfg.Now())
	claimed, err := c.cfg.Store.ClaimGrants(ctx, GrantClaim{N: runBatch, Attempt: attempt, Lease: sweepLease})
	if err != nil && !isCanceled(err) {
		c.cfg.Logger.Warn("claiming grants failed", "error", err)
	}
	var attended sync.WaitGroup
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

// expire ends what an abandoned flow held at the platform. The store has ended
// the flow itself; what it still holds sealed is of no more use.
func (c *Connector) expire(ctx context.Context, flow Flow) {
	at, err := c.openFlow("expire", flow)
	if err != nil {
		c.cfg.Logger.Warn("an old flow does not open", "platform", flow.Platform, "flow", flow.ID, "error", err)
		return
	}
	c.abandonLater(at.adapter, at.tokens)
	at.forget()
	at.flow.Outcome = &FlowOutcome{Error: CodeExpired}
	next, err := c.next(at, flow.Status, "expire", string(CodeExpired))
	if err != nil {
		return
	}
	event := c.event(EventFlowFailed, flow.Tenant, flow.Platform, "", map[string]string{"flow_id": flow.ID, "error": string(CodeExpired)})
	if _, err := c.cfg.Store.CommitFlow(ctx, Commit{From: flow.Status, Flow: next, Events: []Event{event}}); err != nil {
		c.cfg.Logger.Warn("an old flow could not be emptied", "platform", flow.Platform, "flow", flow.ID, "error", err)
	}
}
