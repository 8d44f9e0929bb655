package connect

import (
	"context"
	"errors"
	"time"
)

// Accounts returns the tenant's accounts that match, newest first, and the
// cursor of the next page, empty on the last. page.Limit defaults to 25 and is
// at most 100. Tombstones are listed only where filter.Status asks for them. A
// limit, cursor, platform or status that cannot be is [CodeInvalidRequest].
func (c *Connector) Accounts(ctx context.Context, p Principal, filter AccountFilter, page Page) ([]Account, string, error) {
	if err := c.authorize(ctx, p, Action{Name: ActionRead, Platform: filter.Platform}); err != nil {
		return nil, "", err
	}
	limit, err := pageLimit("accounts", page.Limit)
	if err != nil {
		return nil, "", err
	}
	if err := c.checkFilter(&filter); err != nil {
		return nil, "", err
	}
	accounts, next, err := c.cfg.Store.ListAccounts(ctx, p.Tenant, filter, Page{Limit: limit, Cursor: page.Cursor})
	if errors.Is(err, ErrNotFound) {
		return nil, "", invalid("accounts", "cursor", "Is not a cursor of this list.")
	}
	for i := range accounts {
		c.newestExpiry(ctx, &accounts[i])
	}
	return accounts, next, storeError("accounts", err)
}

// newestExpiry takes the expiry of a token that is refreshed from the grant,
// which alone knows it. Where the grant cannot be read it stays as it was.
func (c *Connector) newestExpiry(ctx context.Context, account *Account) {
	if account.OwnToken || account.Status == AccountDisconnected {
		return
	}
	if grant, err := c.cfg.Store.ReadGrant(ctx, GrantKey{Tenant: account.Tenant, ID: account.GrantID}); err == nil {
		account.TokenExpiry = grant.AccessExpiry
	}
}

// checkFilter refuses a filter that no account could ever match.
func (c *Connector) checkFilter(filter *AccountFilter) error {
	switch filter.Status {
	case "", AccountActive, AccountLimited, AccountTokenExpired, AccountReauthRequired, AccountTargetLost, AccountSuspended, AccountDisconnected:
	default:
		return invalid("accounts", "status", "Is not a status of accounts.")
	}
	if filter.Platform == "" {
		return nil
	}
	a, err := c.adapter("accounts", filter.Platform)
	if err != nil {
		return invalid("accounts", "platform", "Is not a platform on offer here.")
	}
	filter.Platform = a.Name
	return nil
}

// Account returns an account of the tenant, a tombstone included, or
// [CodeNotFound].
func (c *Connector) Account(ctx context.Context, p Principal, id string) (*Account, error) {
	if err := c.authorize(ctx, p, Action{Name: ActionRead, AccountID: id}); err != nil {
		return nil, err
	}
	account, err := c.readAccount(ctx, "account", p.Tenant, id)
	if err != nil {
		return nil, err
	}
	c.newestExpiry(ctx, &account)
	return &account, nil
}

// readAccount finds an account of the tenant by an id that may come from
// anywhere.
func (c *Connector) readAccount(ctx context.Context, op, tenant, id string) (Account, error) {
	const what = "account in this tenant"
	if tenant == "" {
		return Account{}, notFound(op, "account, since the tenant is empty")
	}
	if _, err := parseID(id); err != nil {
		return Account{}, notFound(op, what)
	}
	account, err := c.cfg.Store.ReadAccount(ctx, AccountKey{Tenant: tenant, ID: id})
	return account, readError(op, what, err)
}

// permitted reads an account for who may do this with it.
func (c *Connector) permitted(ctx context.Context, op string, p Principal, name ActionName, id string) (Account, error) {
	if err := checkPrincipal(op, p); err != nil {
		return Account{}, err
	}
	account, err := c.readAccount(ctx, op, p.Tenant, id)
	if err != nil {
		return Account{}, err
	}
	return account, c.authorize(ctx, p, Action{Name: name, Platform: account.Platform, AccountID: id})
}

// FlowView is how a flow stands, for polling and for support.
type FlowView struct {
	FlowID   string
	Platform string
	Stage    FlowStatus
	Outcome  *Outcome // nil while the flow is started or claimed
	Timeline []FlowStep
}

// Flow returns how a flow stands. Flows of other users and tenants are
// [CodeNotFound]; API keys see those of their whole tenant.
func (c *Connector) Flow(ctx context.Context, p Principal, id string) (*FlowView, error) {
	if err := checkPrincipal("flow", p); err != nil {
		return nil, err
	}
	const what = "flow in this tenant"
	if _, err := parseID(id); err != nil {
		return nil, notFound("flow", what)
	}
	at, err := c.findFlow(ctx, "flow", what, FlowKey{Tenant: p.Tenant, ID: id})
	if err != nil {
		return nil, err
	}
	if !maySee(p, at.flow) {
		return nil, notFound("flow", what)
	}
	if at.flow.Status.Open() && c.overdue(at.flow) {
		at.flow.Status = FlowExpired
	}
	view := &FlowView{FlowID: at.flow.ID, Platform: at.flow.Platform, Stage: at.flow.Status, Timeline: at.flow.Timeline}
	switch at.flow.Status {
	case FlowStarted, FlowClaimed, FlowParked: // a ticket is for the return URL alone
	default:
		view.Outcome, err = c.outcome(ctx, at)
	}
	return view, err
}

// Revocation is what a disconnect did at the platform.
type Revocation string

// The revocations.
const (
	RevocationRevoked     Revocation = "revoked"     // the platform ended the grant
	RevocationKeptShared  Revocation = "kept_shared" // other accounts live on it
	RevocationUnsupported Revocation = "unsupported" // the platform has none
	RevocationPending     Revocation = "pending"     // it will be tried again
	RevocationFailed      Revocation = "failed"      // it cannot be done
)

// Disconnected is what [Connector.Disconnect] did.
type Disconnected struct {
	AccountID  string
	Revocation Revocation
}

// revokeTimeout bounds what a person waits for; the rest is left to Run.
const revokeTimeout = 20 * time.Second

// Disconnect ends an account: what is secret of it is wiped and the row stays
// as a tombstone, so that a later connect gets its id back. The last account
// of a grant takes the grant along, and the last account of whom the platform
// would cut off, over all tenants, has it revoked there. It waits at most 20
// seconds for the platform; what could not be done is left to Run and answered
// as [RevocationPending]. Disconnecting a tombstone changes nothing and answers
// again. Another tenant's account is [CodeNotFound].
func (c *Connector) Disconnect(ctx context.Context, p Principal, id string) (*Disconnected, error) {
	const op = "disconnect"
	account, err := c.permitted(ctx, op, p, ActionDisconnect, id)
	if err != nil {
		return nil, err
	}
	event := c.event(EventAccountDisconnected, p.Tenant, account.Platform, id, map[string]string{"by": p.User})
	released, err := c.cfg.Store.ReleaseAccount(ctx, p.Tenant, id, []Event{event})
	if err != nil {
		return nil, storeError(op, err)
	}
	result := &Disconnected{AccountID: id, Revocation: RevocationKeptShared}
	if released.Grant.Status != GrantRevoking && released.Grant.Status != GrantDead {
		return result, nil
	}
	result.Revocation = RevocationPending
	done := c.detach(revokeTimeout, func(ctx context.Context) { result.Revocation = c.revokeGrant(ctx, released.Grant) })
	select {
	case <-done:
		return result, nil
	case <-ctx.Done():
		return &Disconnected{AccountID: id, Revocation: RevocationPending}, nil
	}
}
