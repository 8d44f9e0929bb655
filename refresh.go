package connect

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	refreshLease   = 2 * time.Minute // longer than a refresh and its commit may take
	refreshTimeout = 30 * time.Second
	refreshWait    = 45 * time.Second // how long a caller waits for the refresh of another
	refreshRetry   = time.Minute
	refreshFloor   = 10 * time.Second // no grant is due sooner, whatever a platform says
	expirySkew     = 30 * time.Second // a token this close to its end is refreshed first
)

// refreshPoint is when Run should refresh: at 70 to 85 % of the life that is
// left, spread so that accounts which were connected together part.
func (c *Connector) refreshPoint(a *adapter, t *Tokens) *time.Time {
	if a.refresher == nil || t.Refresh.IsZero() || t.AccessExpiry == nil || t.AccessExpiry.IsZero() {
		return nil
	}
	now := c.now()
	share := 0.70 + 0.15*rand.Float64() //nolint:gosec // spreads load; guards nothing
	life := time.Duration(float64(t.AccessExpiry.Sub(now)) * share)
	return c.in(max(life, refreshFloor))
}

// flights lets the callers of one process share one refresh per grant.
type flights struct {
	mu    sync.Mutex // guards calls
	calls map[string]*flight
}

type flight struct {
	done chan struct{}
	err  error
}

// join returns the flight of a grant, and whether the caller must fly it.
func (f *flights) join(grantID string) (*flight, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if call := f.calls[grantID]; call != nil {
		return call, false
	}
	if f.calls == nil {
		f.calls = map[string]*flight{}
	}
	call := &flight{done: make(chan struct{})}
	f.calls[grantID] = call
	return call, true
}

func (f *flights) land(grantID string, call *flight, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	call.err = err
	delete(f.calls, grantID)
	close(call.done)
}

// refresh makes the grant's tokens newer than generation, or says why that
// cannot be. It is detached from ctx: a caller that gives up must not leave a
// refresh token half spent.
func (c *Connector) refresh(ctx context.Context, g Grant) error {
	call, mine := c.refreshes.join(g.ID)
	if mine {
		c.detach(refreshWait, func(ctx context.Context) {
			err := error(&Error{Code: CodeUnavailable, Op: "refresh", Platform: g.Platform, Message: "The refresh broke off."}) // where it panics
			defer func() { c.refreshes.land(g.ID, call, err) }()
			err = c.refreshOnce(ctx, g)
		})
	}
	select {
	case <-call.done:
		return call.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refreshOnce claims the grant and refreshes it, or waits for whoever has it.
func (c *Connector) refreshOnce(ctx context.Context, g Grant) error {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		attempt := newID(c.cfg.Now())
		claimed, err := c.cfg.Store.ClaimGrants(ctx, GrantClaim{Tenant: g.Tenant, ID: g.ID, Attempt: attempt, Lease: refreshLease})
		if err != nil {
			return storeError("refresh", err)
		}
		if len(claimed) == 1 {
			return c.refreshClaimed(ctx, claimed[0], attempt, g.Generation)
		}
		now, err := c.cfg.Store.ReadGrant(ctx, GrantKey{Tenant: g.Tenant, ID: g.ID})
		switch {
		case err != nil:
			return storeError("refresh", err)
		case now.Generation > g.Generation:
			return nil
		case now.Status == GrantDead || now.Status == GrantRevoking:
			return &Error{Code: CodeReauthRequired, Op: "refresh", Platform: g.Platform, Message: "The grant is over. The user must connect again."}
		case !sleep(ctx, wait):
			return &Error{Code: CodeUnavailable, Op: "refresh", Platform: g.Platform, Message: "Another process is refreshing this and has not finished.", RetryAfter: refreshRetry}
		}
	}
}

// refreshClaimed refreshes a grant whose claim attempt holds, unless its
// generation has passed the one that the caller saw: the intent is written
// before the request leaves, and the answer is stored by generation.
func (c *Connector) refreshClaimed(ctx context.Context, g ClaimedGrant, attempt string, generation int64) error {
	back := c.giveBack(g, attempt)
	if g.Prior == GrantRevoking || g.Generation > generation {
		return c.settle(ctx, g, back) // it is over, or another refresh came first
	}
	a := c.platforms[g.Platform]
	tokens, err := c.openGrant(g.Grant)
	switch {
	case a == nil || err != nil:
		back.DueAt = c.in(refreshRetry)
		return errors.Join(storeError("refresh", err), c.settle(ctx, g, back))
	case a.refresher == nil || tokens.Refresh.IsZero():
		c.end(&back, g, AccountTokenExpired)
		return errors.Join(unusable("refresh", g.Platform, AccountTokenExpired), c.settle(ctx, g, back))
	case c.mustWait(a, g, tokens):
		back.DueAt = tokens.AccessExpiry
		waits := &Error{Code: CodeUnavailable, Op: "refresh", Platform: g.Platform, Message: "An earlier refresh may have been carried out; it is repeated when the access token ends."}
		return errors.Join(waits, c.settle(ctx, g, back))
	}
	held, err := c.cfg.Store.MarkSent(ctx, attempt, []GrantKey{{Tenant: g.Tenant, ID: g.ID}})
	if err != nil || len(held) == 0 {
		return storeError("refresh", errors.Join(err, ErrConflict))
	}
	return c.present(ctx, a, g, tokens, Settlement{Tenant: g.Tenant, ID: g.ID, Attempt: attempt, Generation: g.Generation, Status: GrantActive})
}

// giveBack ends a claim with the grant as it was before.
func (c *Connector) giveBack(g ClaimedGrant, attempt string) Settlement {
	status := g.Prior
	if status == GrantClaimed {
		status = GrantActive
	}
	if status == GrantSent {
		status = GrantUncertain
	}
	return Settlement{Tenant: g.Tenant, ID: g.ID, Attempt: attempt, Generation: g.Generation, Status: status, DueAt: g.DueAt}
}

// mustWait reports whether a refresh token that may have been spent already
// must rest: where a second presentation ends the grant, it is presented again
// only once the access token is over and nothing is left to lose.
func (c *Connector) mustWait(a *adapter, g ClaimedGrant, tokens *Tokens) bool {
	spent := g.Prior == GrantSent || g.Prior == GrantUncertain
	strict := a.Rotation.Class != RotationStable && a.Rotation.Class != RotationGrace
	known := tokens.AccessExpiry != nil && !tokens.AccessExpiry.IsZero()
	return spent && strict && known && !c.ended(tokens.AccessExpiry)
}

// present sends the refresh and settles what came of it.
func (c *Connector) present(ctx context.Context, a *adapter, g ClaimedGrant, old *Tokens, settlement Settlement) error {
	asking, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	fresh, err := a.refresher.Refresh(asking, a.env, old)
	if err == nil {
		fresh.tame()
		fresh, err = merge(old, fresh)
	}
	if err != nil {
		return errors.Join(c.refreshFailed(a, g, &settlement, err), c.settle(ctx, g, settlement))
	}
	next := g.Grant
	next.Generation++
	if err := c.sealGrant(&next, fresh); err != nil {
		return storeError("refresh", err)
	}
	settlement.DueAt = c.refreshPoint(a, fresh)
	settlement.Tokens = &SealedTokens{Sealed: next.Sealed, Scopes: next.Scopes, AccessExpiry: next.AccessExpiry, RefreshExpiry: next.RefreshExpiry}
	err = c.settle(ctx, g, settlement)
	if errors.Is(err, ErrStale) {
		return c.late(ctx, a, g, fresh)
	}
	return err
}

// late deals with tokens that came when the grant had gone on without them. A
// newer consent has made them worthless; where no account is left they must not
// stay alive at the platform. A grant that another process has taken over lives
// on, and to revoke them might end it.
func (c *Connector) late(ctx context.Context, a *adapter, g ClaimedGrant, fresh *Tokens) error {
	now, err := c.cfg.Store.ReadGrant(ctx, GrantKey{Tenant: g.Tenant, ID: g.ID})
	if err != nil {
		return storeError("refresh", err)
	}
	if now.Generation != g.Generation {
		return nil
	}
	live, _, err := c.cfg.Store.ListAccounts(ctx, g.Tenant, AccountFilter{GrantID: g.ID}, Page{Limit: 1})
	switch {
	case err != nil:
		return storeError("refresh", err)
	case len(live) > 0:
		return storeError("refresh", ErrStale)
	}
	c.revoke(ctx, a, fresh, newID(c.cfg.Now()))
	return nil
}

// merge keeps the old value of whatever an answer leaves out (RFC 6749 § 6: a
// server need not issue a new refresh token).
func merge(old, fresh *Tokens) (*Tokens, error) {
	if fresh.Subject != "" && fresh.Subject != old.Subject {
		return nil, &ProviderError{Class: ClassUncertain, Code: "subject_changed"}
	}
	merged := *old
	merged.Access, merged.AccessExpiry = fresh.Access, fresh.AccessExpiry
	if !fresh.Refresh.IsZero() {
		merged.Refresh, merged.RefreshExpiry = fresh.Refresh, fresh.RefreshExpiry
	}
	if !fresh.Private.IsZero() {
		merged.Private = fresh.Private
	}
	if fresh.Scopes != nil {
		merged.Scopes = fresh.Scopes
	}
	if fresh.Hosts != nil {
		merged.Hosts = fresh.Hosts
	}
	if fresh.APIBaseURL != "" {
		merged.APIBaseURL = fresh.APIBaseURL
	}
	return &merged, nil
}

// refreshFailed decides what a failed refresh means for the grant. Only the
// platform's own word ends it.
func (c *Connector) refreshFailed(a *adapter, g ClaimedGrant, settlement *Settlement, err error) error {
	settlement.DueAt = c.in(refreshRetry)
	switch classOf(err) {
	case ClassReconnect:
		c.end(settlement, g, AccountReauthRequired)
		return unusable("refresh", a.Name, AccountReauthRequired)
	case ClassUncertain:
		settlement.Status = GrantUncertain
		if a.Rotation.Class == RotationStable || a.Rotation.Class == RotationGrace {
			settlement.DueAt = c.in(refreshFloor)
		}
	default: // nothing is wrong with the grant
	}
	if platform, ok := errors.AsType[*ProviderError](err); ok && platform.RetryAfter > 0 {
		settlement.DueAt = c.in(min(platform.RetryAfter, time.Hour))
	}
	return c.platformFailed("refresh", a, err)
}

// end makes a settlement the end of the grant.
func (c *Connector) end(settlement *Settlement, g ClaimedGrant, status AccountStatus) {
	settlement.Status, settlement.Reason, settlement.DueAt = GrantDead, Code(status), nil
	settlement.AccountStatus = status
	kind := EventAccountReauthRequired
	if status == AccountTokenExpired {
		kind = EventAccountTokenExpired
	}
	settlement.Events = []Event{c.event(kind, g.Tenant, g.Platform, "", nil)}
}

// settle stores what came of a claim. New tokens exist nowhere else, so that a
// store which does not answer is asked again until ctx ends. It returns
// [ErrStale] only where new tokens were not stored because the grant went on.
func (c *Connector) settle(ctx context.Context, g ClaimedGrant, settlement Settlement) error {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		_, err := c.cfg.Store.SettleGrant(ctx, settlement)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ErrStale) && settlement.Tokens == nil, errors.Is(err, ErrNotFound):
			return nil
		case errors.Is(err, ErrStale):
			return ErrStale
		case !sleep(ctx, wait):
			c.cfg.Logger.Error("a refresh could not be recorded", "platform", g.Platform, "grant", g.ID, "error", err)
			return storeError("refresh", err)
		}
	}
}

func (c *Connector) in(d time.Duration) *time.Time {
	at := c.now().Add(d).Truncate(time.Microsecond)
	return &at
}

// ended reports whether a token with this expiry has ended. An unknown expiry
// has not: the platform will say so with a 401.
func (c *Connector) ended(expiry *time.Time) bool {
	return expiry != nil && !expiry.IsZero() && !c.cfg.Now().Before(*expiry)
}

// ending reports whether the token is over, or so close to it that it could
// end on its way.
func (c *Connector) ending(expiry *time.Time) bool {
	return expiry != nil && !expiry.IsZero() && !c.cfg.Now().Add(expirySkew).Before(*expiry)
}
