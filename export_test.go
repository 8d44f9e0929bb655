package connect

import (
	"context"
	"errors"
	"fmt"
)

// Round does what Run does in one round, and waits for it.
func Round(ctx context.Context, c *Connector) {
	c.endFlows(ctx)
	for _, a := range c.order {
		l := c.newLane(a)
		l.round(ctx)
		l.begun.Wait()
	}
}

// Seed connects an account of the tenant with each of the tokens, as flows
// would, but with one flow for all of them: a store that looks at every flow
// takes long to begin ten thousand.
func Seed(ctx context.Context, c *Connector, platform, tenant string, all []*Tokens) ([]Account, error) {
	now := c.now()
	flow := Flow{ID: newID(now), Tenant: tenant, Platform: platform, Client: sharedClient, Status: FlowClaimed, CreatedAt: now, ExpiresAt: now.Add(c.cfg.FlowTTL)}
	if err := c.cfg.Store.CreateFlow(ctx, flow, FlowCaps{}); err != nil {
		return nil, err
	}
	var accounts []Account
	for i, tokens := range all {
		commit, err := c.build(ctx, &attempt{flow: flow, adapter: c.platforms[platform], tokens: tokens}, []Candidate{*tokens.Self}, nil)
		if err != nil {
			return nil, err
		}
		if commit.Flow = flow; i == len(all)-1 {
			commit.Flow.Status = FlowConnected
		}
		if flow, err = c.cfg.Store.CommitFlow(ctx, commit); err != nil {
			return nil, err
		}
		accounts = append(accounts, commit.Accounts...)
	}
	return accounts, nil
}

// Opened is what is sealed in a flow.
func Opened(c *Connector, flow Flow) string {
	var request, progress map[string]any
	if err := errors.Join(c.open(flowBinding(flow, "request"), flow.Request, &request), c.open(flowBinding(flow, "progress"), flow.Progress, &progress)); err != nil {
		return err.Error()
	}
	return fmt.Sprint(request, progress)
}
