package connect

import "context"

// Refresh refreshes the account's token now and returns the account. Nobody
// needs to call it: [Connector.Client] refreshes what is used and
// [Connector.Run] what is due. A token that is less than 10 seconds old is left
// as it is, and a refresh that failed so recently is [CodeRateLimited], so that
// a loop does not reach the platform.
//
// An account whose token cannot be refreshed is [CodeUnsupported]; otherwise
// its errors are those of Client. It works on a suspended account, too: a
// refresh that succeeds ends the suspension.
func (c *Connector) Refresh(ctx context.Context, p Principal, accountID string) (*Account, error) {
	const op = "refresh"
	account, err := c.permitted(ctx, op, p, ActionRefresh, accountID)
	if err != nil {
		return nil, err
	}
	switch account.Status {
	case AccountActive, AccountLimited, AccountSuspended:
	default:
		return nil, unusable(op, account.Platform, account.Status)
	}
	if err := c.refreshNow(ctx, account); err != nil {
		return nil, err
	}
	account, err = c.readAccount(ctx, op, p.Tenant, accountID)
	if err != nil {
		return nil, err
	}
	c.newestExpiry(ctx, &account)
	return &account, nil
}

func (c *Connector) refreshNow(ctx context.Context, account Account) error {
	const op = "refresh"
	a, err := c.adapter(op, account.Platform)
	if err != nil {
		return err
	}
	grant, err := c.cfg.Store.ReadGrant(ctx, GrantKey{Tenant: account.Tenant, ID: account.GrantID})
	if err != nil {
		return storeError(op, err)
	}
	tokens, issued, err := c.openIssued(grant)
	if err != nil {
		return storeError(op, err)
	}
	if account.OwnToken || a.refresher == nil || tokens.Refresh.IsZero() {
		return &Error{Code: CodeUnsupported, Op: op, Platform: a.Name, AccountID: account.ID, Message: "The account's token cannot be refreshed. Where it ends, the user must connect again."}
	}
	now := c.cfg.Now()
	switch wait := c.refreshes.wait(grant.ID, now); {
	case now.Sub(issued).Abs() < refreshFloor:
		return nil
	case wait > 0:
		return &Error{Code: CodeRateLimited, Op: op, Platform: a.Name, AccountID: account.ID, Message: "A refresh was tried a moment ago. Wait ten seconds.", RetryAfter: wait}
	default:
		return c.refresh(ctx, grant, false)
	}
}
