package connect

import (
	"context"
	"errors"
	"slices"
)

// accountsBehind is the reason of a grant some of whose accounts have not been
// told what a refresh has left it with.
const accountsBehind Code = "accounts_behind"

// owes reports whether the next refresh that succeeds must see to the accounts,
// even where it changes nothing of the grant.
func (g Grant) owes() bool { return g.Reason == CodeSuspended || g.Reason == accountsBehind }

// debt is the reason of a grant that owes its accounts something.
func (g Grant) debt() Code {
	if g.owes() {
		return g.Reason
	}
	return accountsBehind
}

// rescope gives the accounts of a grant the scopes that a refresh left it with,
// before the new tokens are stored, so that none is silently active with less.
// Accounts that were suspended work again. It reports whether all know: a store
// that fails must not hold up the tokens.
func (c *Connector) rescope(ctx context.Context, h *hold, scopes []string) bool {
	ctx, cancel := context.WithTimeout(ctx, h.a.leaseOf())
	defer cancel()
	accounts, err := c.accountsOn(ctx, h.Grant, refreshable...)
	for _, account := range accounts {
		err = errors.Join(err, c.rescopeAccount(ctx, h, account, scopes))
	}
	if err != nil {
		c.cfg.Logger.Warn("an account's scopes could not be recorded", "platform", h.Platform, "grant", h.ID, "error", err)
	}
	return err == nil
}

// refreshable are the statuses that a refresh decides about.
var refreshable = []AccountStatus{AccountActive, AccountLimited, AccountSuspended}

// rescopeTries bounds how often an account is read again that others change.
const rescopeTries = 5

func (c *Connector) rescopeAccount(ctx context.Context, h *hold, account Account, scopes []string) error {
	kind, _ := h.a.kind(account.Kind)
	for try := 1; ; try++ {
		next := withScopes(account, scopes, without(scopes, kind.Scopes))
		known := slices.Equal(account.Scopes, next.Scopes) && slices.Equal(account.Missing, next.Missing)
		if account.GrantID != h.ID || !slices.Contains(refreshable, account.Status) || known && account.Status == next.Status {
			return nil
		}
		event := EventAccountScopesChanged
		if known {
			event = EventAccountUpdated
		}
		err := c.writeStatus(ctx, next, event)
		if !errors.Is(err, ErrStale) || try == rescopeTries {
			return err
		}
		if account, err = c.cfg.Store.ReadAccount(ctx, AccountKey{Tenant: account.Tenant, ID: account.ID}); err != nil {
			return err
		}
	}
}

// writeStatus stores an account that was read, with another status or scopes.
func (c *Connector) writeStatus(ctx context.Context, next Account, kind EventType) error {
	next.Version++
	next.UpdatedAt = c.now()
	event := c.event(kind, next.Tenant, next.Platform, next.ID, statusData(next.Status))
	return c.cfg.Store.WriteAccount(ctx, next, []Event{event})
}
