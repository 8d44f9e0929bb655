package connect

import (
	"context"
	"errors"
	"slices"
)

// CompleteRequest ends a flow from the host's side: with the ticket that the
// return URL got, or, where the host owns the redirect URI, with the platform
// and the whole query that it was called with.
type CompleteRequest struct {
	Ticket string

	Platform, Client string
	Query            string
}

// Complete ends a flow whose browser came back where no session of the host
// could be seen. p must be who began the flow, as the host has authenticated
// it now; that is what makes a stolen or forwarded ticket worthless. The same
// call again gives the same outcome.
//
// A ticket of another tenant is not found. A principal of the same tenant that
// is not the flow's user burns the flow ([CodeBindingMismatch]); an API key
// without a user stands for any. A flow whose start named no user is completed
// by API keys only, and whose it becomes is for the host to know.
//
// Flows that end by ticket should be [ModeHeadless]: where several candidates
// are left, the outcome is pending, and the host asks.
func (c *Connector) Complete(ctx context.Context, p Principal, req CompleteRequest) (*Outcome, error) {
	if err := checkPrincipal("complete", p); err != nil {
		return nil, err
	}
	byTicket, byQuery := req.Ticket != "", req.Platform != "" && req.Query != ""
	if byQuery && !byTicket {
		return c.completeQuery(ctx, p, req)
	}
	if !byTicket || req.Platform != "" || req.Query != "" || len(req.Ticket) > maxHandle {
		return nil, invalid("complete", "ticket", "Pass either the ticket, or the platform and the query.")
	}
	at, err := c.flowByHandle(ctx, "complete", purposeTicket, req.Ticket, FlowKey{Tenant: p.Tenant, Ticket: digest(req.Ticket)})
	if err != nil {
		return nil, err
	}
	if err := c.mayContinue(ctx, p, at); err != nil {
		return nil, err
	}
	return c.unpark(ctx, at)
}

// findFlow reads a flow by what its key is to people.
func (c *Connector) findFlow(ctx context.Context, op, what string, key FlowKey) (*attempt, error) {
	flow, err := c.cfg.Store.ReadFlow(ctx, key)
	if err != nil {
		return nil, readError(op, what, err)
	}
	return c.openFlow(op, flow)
}

// handleWords are what handles are to people, by their purpose.
var handleWords = map[string]string{purposeLink: "link", purposeSession: "selection in this tenant", purposeTicket: "flow or ticket in this tenant"}

// flowByHandle reads the flow that a handle names.
//
// Security: a digest in a row is only how the row is found. Whether the handle
// is really the flow's is computed, so that a digest which was written into
// the row opens nothing.
func (c *Connector) flowByHandle(ctx context.Context, op, purpose, handle string, key FlowKey) (*attempt, error) {
	at, err := c.findFlow(ctx, op, handleWords[purpose], key)
	if err == nil && !c.handleMatches(purpose, at.flow, handle) {
		return nil, notFound(op, handleWords[purpose])
	}
	return at, err
}

// mayContinue checks that p is who began, and that the host still lets it.
func (c *Connector) mayContinue(ctx context.Context, p Principal, at *attempt) error {
	if !mayReturn(p, at.flow) {
		return c.burn(ctx, at)
	}
	return c.stillAllowed(ctx, p, at, ActionStart)
}

// stillAllowed asks the host again. A permission that the flow's own user has
// lost on the way ends the flow, and what the platform gave is given back.
func (c *Connector) stillAllowed(ctx context.Context, p Principal, at *attempt, name ActionName) error {
	err := c.authorize(ctx, p, at.action(name))
	if err == nil || !at.flow.Status.Open() || p.User != at.flow.User {
		return err // what somebody else may not do is no reason to end it
	}
	if endErr := c.giveUp(ctx, at, CodeForbidden); endErr != nil {
		return endErr
	}
	return err
}

// giveUp fails the flow and then gives back what the platform gave. Who loses
// the race for the flow must not touch the winner's tokens.
func (c *Connector) giveUp(ctx context.Context, at *attempt, code Code) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	tokens := at.tokens
	_, err := c.fail(ctx, at, code)
	switch {
	case err == nil:
		c.abandonLater(at, tokens)
		return nil
	case errors.Is(err, ErrConflict):
		return nil
	default:
		return storeError(at.op, err)
	}
}

// giveUpLater gives up a flow of which a write failed. That may have happened
// all the same, and then accounts or a selection live on the tokens: nothing is
// given back before the row says so, or the store has been away for too long.
func (c *Connector) giveUpLater(at *attempt) {
	left, tokens := *at, at.tokens
	c.detach(settleBudget, func(ctx context.Context) {
		_, err := c.fail(ctx, &left, CodeUnavailable)
		holding := []FlowStatus{FlowConnected, FlowPending, FlowParked}
		if !errors.Is(err, ErrConflict) || !slices.Contains(holding, left.flow.Status) {
			c.abandonLater(&left, tokens)
		}
	})
}

// action is what the host is asked about this flow.
func (at *attempt) action(name ActionName) Action {
	return Action{Name: name, Platform: at.flow.Platform, AccountID: at.request.AccountID}
}

// unpark takes up a parked flow where its browser left it.
func (c *Connector) unpark(ctx context.Context, at *attempt) (*Outcome, error) {
	if at.flow.Status == FlowParked && c.overdue(at.flow) {
		return c.refusal(at, CodeExpired), nil
	}
	if at.flow.Status == FlowParked {
		query := at.progress.Query
		at.progress.Query = nil
		err := c.claim(ctx, at, "complete")
		if err == nil {
			return c.finish(ctx, func(ctx context.Context) (*Outcome, error) {
				return c.work(ctx, at, func(ctx context.Context) (*Tokens, error) { return c.exchange(ctx, at, query) })
			})
		}
		if !errors.Is(err, ErrConflict) {
			return nil, storeError("complete", err)
		}
	}
	at, err := c.settled(ctx, at)
	if err != nil {
		return nil, err
	}
	return c.outcome(ctx, at)
}

// completeQuery takes an authorization response that the host's own handler
// received, with the checks of a callback.
func (c *Connector) completeQuery(ctx context.Context, p Principal, req CompleteRequest) (*Outcome, error) {
	resp, err := c.parseResponse("complete", req.Platform, req.Client, req.Query)
	if err != nil {
		return nil, err
	}
	at, err := c.flowOf(ctx, resp)
	if err != nil {
		return nil, err
	}
	if at.flow.Tenant != p.Tenant {
		return nil, notFound("complete", handleWords[purposeTicket])
	}
	if err := c.mayContinue(ctx, p, at); err != nil {
		return nil, err
	}
	return c.arrive(ctx, at, resp)
}
