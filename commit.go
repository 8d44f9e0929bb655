package connect

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/seed944197df/connect/selection"
)

// work takes a claimed flow from its tokens to its outcome. It must run
// detached: a code is used once, and what it gave is stored or revoked.
func (c *Connector) work(ctx context.Context, at *attempt, get func(context.Context) (*Tokens, error)) (*Outcome, error) {
	asking, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	if at.tokens == nil {
		var err error
		if at.tokens, err = get(asking); err != nil {
			return c.failed(ctx, at, err)
		}
		at.tokens.tame()
	}
	chosen, err := c.decide(asking, at)
	switch {
	case err != nil:
		c.abandonLater(at, at.tokens)
		return c.failed(ctx, at, err)
	case chosen == nil:
		return c.ask(ctx, at)
	}
	out, err := c.commit(ctx, at, chosen, nil)
	switch {
	case err == nil:
		return out, nil
	case CodeOf(err) == CodeScopeMissing, CodeOf(err) == CodeConflict, errors.Is(err, errSealing):
		c.abandonLater(at, at.tokens)
		return c.failed(ctx, at, err)
	case errors.Is(err, ErrNotFound):
		c.abandonLater(at, at.tokens)
		return c.failed(ctx, at, tenantEnded(at.op))
	case c.committed(at):
		return c.outcome(ctx, at)
	default:
		c.giveUpLater(at)
		return nil, storeError(at.op, err)
	}
}

// committed reads back a commit whose last answer was lost, for tokens that
// are connected must not be given back.
func (c *Connector) committed(at *attempt) bool {
	ctx, cancel := context.WithTimeout(c.background, readBack)
	defer cancel()
	flow, err := c.cfg.Store.ReadFlow(ctx, FlowKey{Tenant: at.flow.Tenant, ID: at.flow.ID})
	if err != nil || flow.Status != FlowConnected {
		return false
	}
	at.flow = flow
	return true
}

// ask opens a selection.
func (c *Connector) ask(ctx context.Context, at *attempt) (*Outcome, error) {
	session, err := c.handle(purposeSession, at.flow)
	if err != nil {
		return nil, storeError(at.op, err)
	}
	at.flow.Session = digest(session)
	at.flow.ExpiresAt = c.now().Add(c.cfg.SessionTTL)
	err = c.persist(ctx, at, FlowPending, "list")
	if err == nil {
		return c.outcome(ctx, at)
	}
	if errors.Is(err, errSealing) {
		c.abandonLater(at, at.tokens)
		at.progress.Candidates = nil
		return c.failed(ctx, at, err)
	}
	c.giveUpLater(at)
	return nil, storeError(at.op, err)
}

// tame drops expiries that no clock has and no store can keep.
func (t *Tokens) tame() {
	t.AccessExpiry, t.RefreshExpiry = tamed(t.AccessExpiry), tamed(t.RefreshExpiry)
	if t.Self != nil {
		t.Self.AccessExpiry = tamed(t.Self.AccessExpiry)
	}
}

func tamed(expiry *time.Time) *time.Time {
	if expiry == nil || expiry.IsZero() || (expiry.Year() > 1970 && expiry.Year() < 2200) {
		return expiry
	}
	return nil
}

// commit stores the grant, the accounts, their events and the outcome in one
// step, and builds them again where something changed underneath. It returns
// [ErrConflict] where somebody else ended the flow.
func (c *Connector) commit(ctx context.Context, at *attempt, chosen []Candidate, choice []string) (*Outcome, error) {
	done := *at
	var err error
	done.flow, err = c.swap(ctx, func() (Flow, []byte, error) {
		try := *at
		commit, err := c.build(ctx, &try, chosen, choice)
		if err != nil {
			return Flow{}, nil, err
		}
		stored, err := c.cfg.Store.CommitFlow(ctx, commit)
		return stored, commit.Flow.Progress, err
	})
	if err != nil {
		return nil, err
	}
	done.forget()
	return c.outcome(ctx, &done)
}

// build reads what is stored under the same keys and lays out the commit.
func (c *Connector) build(ctx context.Context, at *attempt, chosen []Candidate, choice []string) (Commit, error) {
	commit := Commit{From: at.flow.Status}
	grant, err := c.joined(ctx, at, chosen, &commit)
	if err != nil {
		return Commit{}, err
	}
	outcome := &FlowOutcome{Chosen: choice}
	for _, candidate := range chosen {
		account, event, err := c.buildAccount(ctx, at, grant, candidate)
		if err != nil {
			return Commit{}, err
		}
		commit.Accounts = append(commit.Accounts, account)
		commit.Events = append(commit.Events, event)
		outcome.AccountIDs = append(outcome.AccountIDs, account.ID)
	}
	at.flow.Outcome = outcome
	at.forget()
	commit.Flow, err = c.next(at, FlowConnected, "connect", "ok")
	return commit, err
}

// joined is the grant that the accounts join: the one that the flow's consent
// brings, or the stored one that it connects more of.
func (c *Connector) joined(ctx context.Context, at *attempt, chosen []Candidate, commit *Commit) (Grant, error) {
	if at.request.GrantID != "" {
		return c.liveGrant(ctx, at)
	}
	grant, err := c.buildGrant(ctx, at)
	if err != nil {
		return Grant{}, err
	}
	commit.Grant = &grant
	return grant, c.reconsent(ctx, at, grant, chosen, commit)
}

// buildGrant is the grant as it will be. The newest consent wins.
func (c *Connector) buildGrant(ctx context.Context, at *attempt) (Grant, error) {
	now := c.now()
	client := at.adapter.Client
	key := GrantKey{Tenant: at.flow.Tenant, Platform: at.flow.Platform, ClientID: client.ID, Subject: at.tokens.Subject}
	grant, err := c.cfg.Store.ReadGrant(ctx, key)
	if errors.Is(err, ErrNotFound) {
		grant, err = Grant{ID: newID(now), CreatedAt: now}, nil
	}
	if err != nil {
		return Grant{}, err
	}
	if at.request.Imported && grant.lives() {
		return Grant{}, importedBefore(at)
	}
	grant.Tenant, grant.Platform, grant.ClientID, grant.Subject = key.Tenant, key.Platform, key.ClientID, key.Subject
	grant.Client, grant.Method = at.flow.Client, at.flow.Method
	grant.SubjectKey = at.adapter.subjectKey(at.tokens.Subject)
	grant.Status, grant.Attempt, grant.LeaseUntil = GrantActive, "", time.Time{}
	if !grant.owes() { // its other accounts may still be suspended
		grant.Reason = ""
	}
	grant.Generation++
	grant.UpdatedAt = now
	grant.DueAt = at.adapter.refreshPoint(at.tokens, now)
	grant.SentAt, grant.Presented, grant.Failures, grant.RefusedAt = nil, 0, 0, nil
	err = c.sealGrant(&grant, at.tokens)
	return grant, err
}

// reconsent settles what a new consent means for the accounts that live on the
// grant already. Where it replaces the earlier one, they have what it has.
// Where consents coexist, one that covers less than they need is refused, and
// the earlier one is kept.
func (c *Connector) reconsent(ctx context.Context, at *attempt, grant Grant, chosen []Candidate, commit *Commit) error {
	if grant.Generation == 1 {
		return nil
	}
	accounts, err := c.accountsOn(ctx, grant, AccountActive, AccountLimited)
	if err != nil {
		return err
	}
	for _, account := range accounts {
		kind, _ := at.adapter.kind(account.Kind)
		missing := without(grant.Scopes, kind.Scopes)
		again := slices.ContainsFunc(chosen, func(o Candidate) bool { return o.Kind == account.Kind && o.PlatformID == account.PlatformID })
		switch {
		case at.adapter.Reconsent != ReconsentReplaces && len(without(account.Missing, missing)) > 0:
			return &Error{Code: CodeScopeMissing, Op: at.op, Platform: at.flow.Platform, AccountID: account.ID, Message: "The new consent lacks permissions that a connected account has and needs. The earlier consent is kept."}
		case at.adapter.Reconsent == ReconsentReplaces && !again:
			account = withScopes(account, grant.Scopes, missing)
			account.Version++
			account.UpdatedAt = grant.UpdatedAt
			commit.Accounts = append(commit.Accounts, account)
			data := statusData(account.Status)
			data["reason"] = "reconsent"
			commit.Events = append(commit.Events, c.event(EventAccountUpdated, account.Tenant, account.Platform, account.ID, data))
		}
	}
	return nil
}

// accountsOn are the accounts of a grant that have one of the statuses.
func (c *Connector) accountsOn(ctx context.Context, grant Grant, statuses ...AccountStatus) ([]Account, error) {
	var found []Account
	page := Page{Limit: maxLimit}
	for {
		accounts, next, err := c.cfg.Store.ListAccounts(ctx, grant.Tenant, AccountFilter{GrantID: grant.ID}, page)
		if err != nil {
			return nil, err
		}
		for _, account := range accounts {
			if slices.Contains(statuses, account.Status) {
				found = append(found, account)
			}
		}
		if page.Cursor = next; next == "" {
			return found, nil
		}
	}
}

// withScopes is an account that works, with or without everything its kind
// asks for.
func withScopes(account Account, granted, missing []string) Account {
	account.Scopes, account.Missing, account.Status = granted, missing, AccountActive
	if len(missing) > 0 {
		account.Status = AccountLimited
	}
	return account
}

// buildAccount is the account as it will be: a new one, or the one that the
// tenant already has under this key, a tombstone included, with its id.
func (c *Connector) buildAccount(ctx context.Context, at *attempt, grant Grant, candidate Candidate) (Account, Event, error) {
	now := c.now()
	key := accountKey(at.flow.Tenant, at.adapter, candidate.Candidate)
	account, err := c.cfg.Store.ReadAccount(ctx, key)
	event := EventAccountUpdated
	switch {
	case errors.Is(err, ErrNotFound):
		err = nil
		account = Account{ID: newID(now), Tenant: key.Tenant, Platform: key.Platform, Kind: key.Kind, ClientID: key.ClientID, PlatformID: key.PlatformID}
		event = EventAccountConnected
	case err != nil:
		return Account{}, Event{}, err
	case account.Status != AccountActive && account.Status != AccountLimited:
		event = EventAccountConnected
	}
	account = filled(account, at, grant, candidate, now)
	account.Generation++
	if err == nil {
		err = c.sealAccount(&account, candidate.Access)
	}
	return account, c.event(event, account.Tenant, account.Platform, account.ID, map[string]string{"kind": account.Kind}), err
}

// accountKey is the identity of a candidate within a tenant.
func accountKey(tenant string, a *adapter, candidate selection.Candidate) AccountKey {
	key := AccountKey{Tenant: tenant, Platform: a.Name, Kind: candidate.Kind, PlatformID: candidate.PlatformID}
	if kind, _ := a.kind(candidate.Kind); kind.ClientScoped {
		key.ClientID = a.Client.ID
	}
	return key
}

// filled is account with what a consent decides. What the host wrote stays,
// unless the flow brought something new.
func filled(account Account, at *attempt, grant Grant, candidate Candidate, now time.Time) Account {
	kind, _ := at.adapter.kind(candidate.Kind)
	account.Version++
	account.GrantID, account.Client = grant.ID, grant.Client
	account.Name, account.Username, account.AvatarURL = candidate.Name, candidate.Username, candidate.AvatarURL
	account.Target = candidate.Target
	account = withScopes(account, grant.Scopes, without(grant.Scopes, kind.Scopes))
	account.APIBaseURL = at.adapter.APIBaseURL
	if own := at.source().APIBaseURL; own != "" {
		account.APIBaseURL = own
	}
	account.OwnToken, account.TokenExpiry = !candidate.Access.IsZero(), grant.AccessExpiry
	if account.OwnToken {
		account.TokenExpiry = candidate.AccessExpiry
	}
	if len(at.request.Metadata) > 0 {
		account.Metadata = at.request.Metadata
	}
	account.ConnectedBy, account.ConnectedAt, account.UpdatedAt = at.flow.User, now, now
	return account
}

// failed ends a claimed flow with what an error means, and returns that as the
// outcome.
func (c *Connector) failed(ctx context.Context, at *attempt, err error) (*Outcome, error) {
	e, ours := errors.AsType[*Error](err)
	if !ours {
		e = c.platformFailed(at.op, at.adapter, err)
	}
	at.problem = e
	c.cfg.Logger.Info("a flow failed", "platform", at.flow.Platform, "flow", at.flow.ID, "error", e)
	return c.fail(ctx, at, e.Code)
}

// fail ends an open flow.
func (c *Connector) fail(ctx context.Context, at *attempt, code Code) (*Outcome, error) {
	from := at.flow.Status
	at.flow.Outcome = &FlowOutcome{Error: code}
	at.forget()
	next, err := c.next(at, FlowFailed, "fail", string(code))
	if err != nil {
		return nil, err
	}
	event := c.event(EventFlowFailed, next.Tenant, next.Platform, "", map[string]string{"flow_id": next.ID, "error": string(code)})
	at.flow, err = c.swap(ctx, func() (Flow, []byte, error) {
		stored, err := c.cfg.Store.CommitFlow(ctx, Commit{From: from, Flow: next, Events: []Event{event}})
		return stored, next.Progress, err
	})
	if err != nil {
		return nil, err
	}
	return c.outcome(ctx, at)
}
