package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed944197df/connect/selection"
	"github.com/seed944197df/connect/tokencrypt"
)

// AddMore opens a selection on the grant of an account, to connect more of it
// without a new consent. The outcome is pending: the session is shown, finished
// and given up like any other, and belongs to p's user. It ends by itself after
// [Config.SessionTTL], and the grant stays as it was.
//
// [CodeUnsupported] means that the grant is exactly the account; a grant that
// is over is [CodeReauthRequired] or what else the account's status says.
func (c *Connector) AddMore(ctx context.Context, p Principal, accountID string) (*Outcome, error) {
	at, _, err := c.onGrant(ctx, "add", p, ActionStart, accountID)
	if err != nil {
		return nil, err
	}
	user, err := whoReturns(at.op, p, "")
	if err != nil {
		return nil, err
	}
	if err := c.listLent(ctx, at, moreList, func() bool { return len(at.progress.Candidates) > maxLimit }); err != nil {
		return nil, c.listFailed(at, err)
	}
	now := c.now()
	at.request.Mode, at.request.ReturnURL = ModeHosted, c.cfg.DefaultReturnURL
	at.flow = Flow{
		ID: newID(now), Tenant: p.Tenant, User: user,
		Platform: at.adapter.Name, Client: at.lent.grant.Client, Method: at.lent.grant.Method,
		Binding: c.bindingFor(user), Status: FlowPending, Version: 1, KeyID: c.cfg.Keys.PrimaryID(),
		Timeline:  []FlowStep{{At: now, Step: "start", Result: "ok"}},
		CreatedAt: now, ExpiresAt: now.Add(c.cfg.SessionTTL),
	}
	session, err := c.handle(purposeSession, at.flow)
	if err != nil {
		return nil, storeError(at.op, err)
	}
	at.flow.Session = digest(session)
	if at.flow.Progress, err = c.sealProgress(at.flow, at); err != nil {
		return nil, storeError(at.op, err)
	}
	if err := c.create(ctx, at, FlowCaps{}); err != nil {
		return nil, err
	}
	return c.outcome(ctx, at)
}

// loan is a stored grant with its tokens open.
//
// Security: the tokens stay the grant's. They are refreshed through it, and who
// is lent them neither seals them elsewhere nor gives them back to the
// platform.
type loan struct {
	grant  Grant
	tokens *Tokens
}

// source is what the attempt asks the platform with: tokens of its own, or
// those it is lent.
func (at *attempt) source() *Tokens {
	if at.lent == nil {
		return at.tokens
	}
	return cmp.Or(at.tokens, at.lent.tokens)
}

// onGrant finds an account that has siblings on its grant, for who may do this
// with it.
func (c *Connector) onGrant(ctx context.Context, op string, p Principal, name ActionName, accountID string) (*attempt, Account, error) {
	account, err := c.permitted(ctx, op, p, name, accountID)
	if err != nil {
		return nil, Account{}, err
	}
	at, err := c.borrow(ctx, op, account)
	return at, account, err
}

// borrow lays out an attempt on the grant of an account.
func (c *Connector) borrow(ctx context.Context, op string, account Account) (*attempt, error) {
	a, err := c.adapter(op, account.Platform)
	if err != nil {
		return nil, err
	}
	at := &attempt{
		op: op, adapter: a, flow: Flow{Tenant: account.Tenant, Platform: account.Platform},
		request: flowRequest{AccountID: account.ID, GrantID: account.GrantID},
	}
	if account.Status == AccountDisconnected || account.Status == AccountSuspended {
		return nil, unusable(op, account.Platform, account.Status)
	}
	if _, err := c.openAccount(account); err != nil { // sealed with the grant that it names
		return nil, storeError(op, err)
	}
	grant, err := c.liveGrant(ctx, at)
	if CodeOf(err) == CodeReauthRequired && account.Status == AccountTokenExpired {
		err = unusable(op, account.Platform, account.Status)
	}
	if err != nil {
		return nil, storeError(op, err)
	}
	tokens, err := c.openGrant(grant)
	if err != nil {
		return nil, storeError(op, err)
	}
	if a.lister == nil || tokens.Self != nil {
		return nil, &Error{Code: CodeUnsupported, Op: op, Platform: a.Name, AccountID: account.ID, Message: "There is nothing else to choose here: the consent was for this account."}
	}
	at.lent = &loan{grant, tokens}
	return at, nil
}

// liveGrant reads the grant that the attempt connects more of, and refuses one
// that is over.
func (c *Connector) liveGrant(ctx context.Context, at *attempt) (Grant, error) {
	grant, err := c.cfg.Store.ReadGrant(ctx, GrantKey{Tenant: at.flow.Tenant, ID: at.request.GrantID})
	switch {
	case err != nil:
		return Grant{}, err
	case grant.Platform != at.adapter.Name: // no binding can tell
		return Grant{}, fmt.Errorf("connect: an account and its grant are of two platforms: %w", tokencrypt.ErrIntegrity)
	case grant.Status == GrantDead, grant.Status == GrantRevoking:
		return Grant{}, unusable(at.op, at.adapter.Name, AccountReauthRequired)
	case !at.adapter.minted(grant):
		return Grant{}, ofAnotherClient(at.op, at.adapter)
	default:
		return grant, nil
	}
}

func ofAnotherClient(op string, a *adapter) *Error {
	return &Error{Code: CodeClientMismatch, Op: op, Platform: a.Name, Message: "The account was connected through another client. The host must configure that one, or the user connect again."}
}

// lend opens the tokens of the grant, refreshed first where they are over.
func (c *Connector) lend(ctx context.Context, at *attempt) error {
	for refreshed := false; ; refreshed = true {
		grant, err := c.liveGrant(ctx, at)
		if err != nil {
			return storeError(at.op, err)
		}
		tokens, err := c.openGrant(grant)
		if err != nil {
			return storeError(at.op, err)
		}
		if refreshed || !over(tokens.AccessExpiry, c.cfg.Now().Add(expirySkew)) {
			at.lent = &loan{grant, tokens}
			return nil
		}
		if err := c.refresh(ctx, grant, false); err != nil {
			return err
		}
	}
}

// listLent is list with the grant's own tokens, which it refreshes once where
// the platform says that they are over.
func (c *Connector) listLent(ctx context.Context, at *attempt, limit time.Duration, enough func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := c.lend(ctx, at); err != nil {
		return err
	}
	err := c.list(ctx, at, limit, enough)
	if class := classOf(err); err == nil || class != ClassExpired && class != ClassReconnect {
		return err
	}
	if err := c.refresh(ctx, at.lent.grant, true); err != nil {
		return err
	}
	if err := c.lend(ctx, at); err != nil {
		return err
	}
	return c.list(ctx, at, limit, enough)
}

// listFailed is what the caller is told.
func (c *Connector) listFailed(at *attempt, err error) error {
	if e, ours := errors.AsType[*Error](err); ours {
		return e
	}
	if at.lent != nil && classOf(err) == ClassReconnect {
		return unusable(at.op, at.adapter.Name, AccountReauthRequired)
	}
	return c.platformFailed(at.op, at.adapter, err)
}

// confirm returns the candidates behind a choice. A flow that holds no tokens
// keeps none of its candidates' either, and asks the platform for them again.
func (c *Connector) confirm(ctx context.Context, at *attempt, choice []selection.Candidate) ([]Candidate, error) {
	if at.request.GrantID == "" {
		return at.chosen(choice), nil
	}
	again := *at
	again.progress = flowProgress{}
	found := func() bool {
		n := 0
		for _, o := range again.chosen(choice) {
			if o.Selectable() {
				n++
			}
		}
		return n == len(choice)
	}
	if err := c.listLent(ctx, &again, moreList, found); err != nil {
		return nil, c.listFailed(&again, err)
	}
	switch {
	case found():
		at.lent = again.lent
		return again.chosen(choice), nil
	case !again.progress.Complete:
		return nil, c.platformFailed(at.op, at.adapter, &ProviderError{Class: ClassRetry, Code: "list_incomplete"})
	default:
		return nil, notOffered(at, "What was chosen is no longer on offer.")
	}
}

// sealProgress seals what is known since the callback. See confirm.
func (c *Connector) sealProgress(flow Flow, at *attempt) ([]byte, error) {
	progress := at.progress
	progress.V = recordVersion
	if at.request.GrantID != "" {
		progress.Candidates = slices.Clone(progress.Candidates)
		for i := range progress.Candidates {
			progress.Candidates[i].Access, progress.Candidates[i].AccessExpiry = "", nil
		}
	}
	return c.seal(flowBinding(flow, "progress"), progress)
}
