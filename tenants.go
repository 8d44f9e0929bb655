package connect

import "context"

// DisconnectByUser ends everything that a user has connected, for hosts whose
// customer has lost a person, and makes worthless what that user has begun:
// open flows, links, tickets and sessions. What those held at the platform is
// given back by [Connector.Run].
//
// Only an API key may: a principal that is not ambient and has no user. It
// returns the accounts that it has disconnected, as [Connector.Disconnect]
// does, and waits at most 20 seconds for the platforms. Where it fails, what it
// returns beside the error is done; calling it again does the rest.
//
// Security: who removes a person must call it after that person can no longer
// sign in. A flow of theirs that is under way meanwhile does not end well, but
// one that they begin afterwards is a new one.
func (c *Connector) DisconnectByUser(ctx context.Context, p Principal, user string) ([]Disconnected, error) {
	const op = "disconnect"
	if err := c.allowsKey(ctx, op, p, ActionDisconnect); err != nil {
		return nil, err
	}
	if user == "" || len(user) > 255 { // absent would match everybody
		return nil, invalid(op, "user", "Name the user, with at most 255 bytes.")
	}
	if _, err := c.cfg.Store.HastenFlows(ctx, p.Tenant, user); err != nil {
		return nil, storeError(op, err)
	}
	released, err := c.releaseAll(ctx, p, AccountFilter{ConnectedBy: user})
	var grants []Grant
	for _, r := range released {
		grants = append(grants, r.Grant)
	}
	ended := c.revokeAll(ctx, grants)
	var done []Disconnected
	for _, r := range released {
		revocation, gone := ended[r.Account.GrantID]
		if !gone {
			revocation = RevocationKeptShared
		}
		done = append(done, Disconnected{AccountID: r.Account.ID, Revocation: revocation})
	}
	return done, storeError(op, err)
}

// allowsKey makes sure that p is an API key, and one that may do this.
//
// Security: what ends everything at once must not be in reach of a browser, or
// of one person's own token.
func (c *Connector) allowsKey(ctx context.Context, op string, p Principal, name ActionName) error {
	if err := checkPrincipal(op, p); err != nil {
		return err
	}
	if p.Ambient || p.User != "" {
		return &Error{Code: CodeForbidden, Op: op, Message: "Only an API key of the tenant may do this."}
	}
	return c.authorize(ctx, p, Action{Name: name})
}

// releaseAll makes tombstones of all live accounts that match.
func (c *Connector) releaseAll(ctx context.Context, p Principal, filter AccountFilter) ([]Released, error) {
	var all []Released
	for {
		accounts, _, err := c.cfg.Store.ListAccounts(ctx, p.Tenant, filter, Page{Limit: maxLimit})
		if err != nil || len(accounts) == 0 {
			return all, err
		}
		for _, account := range accounts { // released, it is not listed again
			event := c.event(EventAccountDisconnected, p.Tenant, account.Platform, account.ID, map[string]string{"by": p.User})
			released, err := c.cfg.Store.ReleaseAccount(ctx, p.Tenant, account.ID, []Event{event})
			if err != nil {
				return all, err
			}
			all = append(all, released)
		}
	}
}

// revokeAll revokes those of the grants that no account is left on, as far as
// the time goes, and returns what became of them, by id.
func (c *Connector) revokeAll(ctx context.Context, grants []Grant) map[string]Revocation {
	pending, became, todo := map[string]Revocation{}, map[string]Revocation{}, map[string]Grant{}
	for _, g := range grants { // as often as accounts were on it; the last to leave knows
		if g.Status == GrantRevoking || g.Status == GrantDead {
			pending[g.ID], became[g.ID], todo[g.ID] = RevocationPending, RevocationPending, g
		}
	}
	done := c.detach(revokeTimeout, func(ctx context.Context) {
		for id, g := range todo {
			if ctx.Err() == nil {
				became[id] = c.revokeGrant(ctx, g)
			}
		}
	})
	select {
	case <-done:
		return became
	case <-ctx.Done():
		return pending
	}
}

// Deleted is how far the deletion of a tenant has come.
type Deleted struct {
	Done     bool // nothing of the tenant is left but the mark that it was deleted
	Accounts int  // disconnected by this call
	Flows    int  // that are still to be ended, by Run
	Revoking int  // grants that are still to be revoked, by Run or the next call
}

// DeleteTenant deletes p's tenant for good. From the first call on nothing can
// be connected for it any more, and whatever creates something for it is
// [CodeNotFound]; then its accounts are disconnected, its grants revoked at the
// platforms, and last all its rows erased, events included.
//
// What a platform must be told may take longer than a request: where Done is
// not set, call it again later, as often as it takes, while [Connector.Run]
// goes on with the rest. A call that failed is repeated likewise. Only an API
// key may: a principal that is not ambient and has no user.
//
// Other tenants' accounts of the same people live on: where a platform would
// end them too, nothing is revoked there.
func (c *Connector) DeleteTenant(ctx context.Context, p Principal) (*Deleted, error) {
	const op = "delete"
	if err := c.allowsKey(ctx, op, p, ActionDeleteTenant); err != nil {
		return nil, err
	}
	if err := c.cfg.Store.EndTenant(ctx, p.Tenant); err != nil { // first: what is under way fails from here on
		return nil, storeError(op, err)
	}
	var done Deleted
	var err error
	if done.Flows, err = c.cfg.Store.HastenFlows(ctx, p.Tenant, ""); err != nil {
		return nil, storeError(op, err)
	}
	released, err := c.releaseAll(ctx, p, AccountFilter{})
	if err != nil {
		return nil, storeError(op, err)
	}
	done.Accounts = len(released)
	grants, err := c.leftBehind(ctx, p.Tenant)
	if err != nil {
		return nil, storeError(op, err)
	}
	for _, revocation := range c.revokeAll(ctx, grants) {
		if revocation == RevocationPending {
			done.Revoking++
		}
	}
	done.Done, err = c.cfg.Store.EraseTenant(ctx, p.Tenant)
	return &done, storeError(op, err)
}

// leftBehind are the grants of a tenant's tombstones, those of earlier calls
// included.
func (c *Connector) leftBehind(ctx context.Context, tenant string) ([]Grant, error) {
	var grants []Grant
	seen := map[string]bool{}
	page := Page{Limit: maxLimit}
	for {
		accounts, next, err := c.cfg.Store.ListAccounts(ctx, tenant, AccountFilter{Status: AccountDisconnected}, page)
		if err != nil {
			return nil, err
		}
		for _, account := range accounts {
			if seen[account.GrantID] {
				continue
			}
			seen[account.GrantID] = true
			grant, err := c.cfg.Store.ReadGrant(ctx, GrantKey{Tenant: tenant, ID: account.GrantID})
			if err != nil {
				return nil, err
			}
			grants = append(grants, grant)
		}
		if page.Cursor = next; next == "" {
			return grants, nil
		}
	}
}

// tenantEnded is what is said where a tenant was deleted.
func tenantEnded(op string) *Error {
	return &Error{Code: CodeNotFound, Op: op, Message: "This tenant was deleted."}
}
