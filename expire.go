package connect

import (
	"context"
	"errors"
	"time"
)

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
// whether nothing is left; see abandonLater. It takes the flow before it asks,
// so that nobody can connect meanwhile what is being revoked.
func (c *Connector) gaveBack(ctx context.Context, at *attempt) bool {
	if at.tokens == nil || at.request.Imported {
		return true
	}
	leave, ok := at.adapter.admitRevocation(ctx, at.tokens)
	if !ok {
		return false
	}
	defer leave()
	if err := c.claim(ctx, at, "expire"); err != nil {
		return false // it has moved on after all, or is found again
	}
	revocation, _ := c.revoke(ctx, at.adapter, at.tokens, newID(c.cfg.Now()))
	return revocation != RevocationPending
}

func (c *Connector) endFlow(ctx context.Context, from FlowStatus, ended Flow) {
	event := c.event(EventFlowFailed, ended.Tenant, ended.Platform, "", map[string]string{"flow_id": ended.ID, "error": string(CodeExpired)})
	_, err := c.cfg.Store.CommitFlow(ctx, Commit{From: from, Flow: ended, Events: []Event{event}})
	if err != nil && !errors.Is(err, ErrConflict) { // a conflict: it has moved on after all
		c.cfg.Logger.Warn("an old flow could not be ended", "platform", ended.Platform, "flow", ended.ID, "error", err)
	}
}
