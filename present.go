package connect

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/seed944197df/connect/internal/outbound"
)

// present sends a refresh that MarkSent has recorded, and settles what came of
// it.
func (c *Connector) present(ctx context.Context, h *hold, old *Tokens) error {
	if !h.claims.hold(c.cfg.Now()) { // the process stood still: another one may have the grant
		h.unmark()
		return errors.Join(storeError("refresh", ErrConflict), c.giveBack(ctx, h, h.back()))
	}
	fresh, err := c.callRefresh(ctx, h, old)
	if h.gate.note(err) {
		c.cfg.Logger.Warn("a platform is left alone for a while", "platform", h.Platform, "error", outbound.Redact(err))
	}
	if err != nil {
		st, told := c.refused(h, old, err)
		if _, err := c.settle(ctx, h, st); !errors.Is(err, ErrStale) {
			return errors.Join(told, err)
		}
		return c.overtaken(ctx, h, told)
	}
	st, err := c.refreshed(ctx, h, old, fresh)
	if err != nil {
		return err
	}
	switch settled, err := c.settle(ctx, h, st); {
	case errors.Is(err, ErrStale):
		return c.late(ctx, h, merge(old, fresh))
	case err == nil && settled.Status != GrantActive: // another subject's, or disconnected meanwhile
		return unusable("refresh", h.Platform, AccountReauthRequired)
	default:
		return err
	}
}

// callRefresh asks the platform for new tokens. A provider that panics may have
// asked before.
func (c *Connector) callRefresh(ctx context.Context, h *hold, old *Tokens) (fresh *Tokens, err error) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			c.survived(r)
			fresh, err = nil, &ProviderError{Class: ClassUncertain, Code: "panic"}
		}
	}()
	if fresh, err = h.a.refresher.Refresh(ctx, h.a.env, old); err == nil {
		fresh.tame()
	}
	return fresh, err
}

// refreshed lays out the settlement with new tokens. Tokens of another subject
// are kept, so that they can be given back, but nobody acts with them.
func (c *Connector) refreshed(ctx context.Context, h *hold, old, fresh *Tokens) (Settlement, error) {
	merged := merge(old, fresh)
	st := h.settlement(GrantActive)
	st.Reason, st.Failures, st.RefusedAt = "", 0, nil
	st.DueAt = h.a.refreshPoint(merged, h.now())
	if fresh.Subject != "" && fresh.Subject != old.Subject {
		st = c.end(h, AccountReauthRequired, CodeIdentityMismatch)
	}
	next := h.Grant
	next.Generation++
	if err := c.sealGrant(&next, merged); err != nil {
		return Settlement{}, storeError("refresh", err)
	}
	st.Tokens = &SealedTokens{Sealed: next.Sealed, Scopes: next.Scopes, AccessExpiry: next.AccessExpiry, RefreshExpiry: next.RefreshExpiry}
	changed := !sameSet(old.Scopes, merged.Scopes)
	if st.Status == GrantActive && (changed || h.owes()) && !c.rescope(ctx, h, merged.Scopes) {
		st.Reason = h.debt() // for the next refresh
	}
	return st, nil
}

// sameSet reports whether a and b hold the same scopes, in whatever order.
func sameSet(a, b []string) bool { return len(without(a, b))+len(without(b, a)) == 0 }

// merge keeps the old value of whatever an answer leaves out (RFC 6749 § 6: a
// server need not issue a new refresh token).
func merge(old, fresh *Tokens) *Tokens {
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
	return &merged
}

// refused decides what a failed refresh means for the grant, and what a caller
// is told. Only the platform's own word ends a grant.
func (c *Connector) refused(h *hold, old *Tokens, err error) (Settlement, error) {
	platform, told := asProviderError(err), c.platformFailed("refresh", h.a, err)
	switch platform.Class {
	case ClassReconnect:
		return c.terminal(h, old)
	case ClassUncertain:
		st := h.settlement(GrantUncertain)
		st.Failures++
		st.DueAt = cmp.Or(h.keepsUntil(old), h.later())
		return st, told
	case ClassSuspended:
		return c.suspend(h), unusable("refresh", h.Platform, AccountSuspended)
	default: // nothing is wrong with the grant, and its token was not spent
		return h.tryLater(platform), told
	}
}

// tryLater ends the claim of a refresh that the platform has not carried out.
func (h *hold) tryLater(platform *ProviderError) Settlement {
	h.unmark()
	st := h.back()
	st.Failures++
	switch {
	case platform.Class == ClassConfig:
		st.DueAt = at(h.now().Add(gateConfig))
	case platform.RetryAfter > 0:
		st.DueAt = at(h.now().Add(min(platform.RetryAfter, longestWait)))
	case platform.Status == 0: // it did not leave this process: another may fare better
		st.DueAt = at(h.now().Add(nextReplica))
	default:
		st.DueAt = h.later()
	}
	return st
}

// suspend stops the accounts of a grant until the platform refreshes it again.
func (c *Connector) suspend(h *hold) Settlement {
	h.unmark()
	st := h.back()
	st.Reason, st.DueAt = CodeSuspended, at(h.now().Add(longestWait))
	st.AccountStatus = AccountSuspended
	st.Events = []Event{c.event(EventAccountUpdated, h.Tenant, h.Platform, "", statusData(AccountSuspended))}
	return st
}

// later is when a refresh that failed is tried again: soon, where a lost answer
// can be had for a while only.
func (h *hold) later() *time.Time {
	if h.spent() && h.a.inGrace(h.SentAt, h.now()) {
		return at(h.now().Add(time.Second << min(h.Failures, 5)))
	}
	return backoff(h.Failures, h.now())
}

// terminal is the platform's word that the grant is over. Where the refresh
// token stays the same, one refusal may be the platform's own mistake, and
// nothing is lost by asking again later.
func (c *Connector) terminal(h *hold, old *Tokens) (Settlement, error) {
	status := AccountReauthRequired
	if over(old.RefreshExpiry, h.now()) {
		status = AccountTokenExpired
	}
	confirmed := h.rejected || h.RefusedAt != nil && !h.now().Before(h.RefusedAt.Add(secondRefusal))
	if h.a.Rotation.Class != RotationStable || confirmed || status == AccountTokenExpired {
		return c.end(h, status, h.endedBy(status)), unusable("refresh", h.Platform, status)
	}
	st := h.settlement(GrantActive)
	st.RefusedAt = at(h.now())
	if h.RefusedAt != nil {
		st.RefusedAt = h.RefusedAt
	}
	st.DueAt = at(st.RefusedAt.Add(secondRefusal))
	return st, refusedOnce(h)
}

// settle stores what came of a claim and returns the grant, or [ErrStale] where
// it has gone on without it. New tokens exist nowhere else, so that a store
// which does not answer is asked again for a while.
func (c *Connector) settle(ctx context.Context, h *hold, st Settlement) (Grant, error) {
	budget := settleBudget
	if st.Tokens == nil {
		budget = h.a.leaseOf() // afterwards the lease says it all
	}
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		settled, err := c.cfg.Store.SettleGrant(ctx, st)
		switch {
		case err == nil:
			return settled, nil
		case errors.Is(err, ErrStale), errors.Is(err, ErrNotFound): // its tenant may have been erased
			return Grant{}, ErrStale
		case !sleep(ctx, wait):
			c.cfg.Logger.Error("a refresh could not be recorded", "platform", h.Platform, "grant", h.ID, "error", err)
			return Grant{}, storeError("refresh", err)
		}
	}
}

// conclude ends a claim for which nothing is to be sent.
func (c *Connector) conclude(ctx context.Context, h *hold, todo plan) error {
	if todo.left {
		return todo.err
	}
	return errors.Join(todo.err, c.giveBack(ctx, h, todo.settlement))
}

// giveBack ends a claim that nothing came of. Where the grant has gone on, it
// has no need of that.
func (c *Connector) giveBack(ctx context.Context, h *hold, st Settlement) error {
	if _, err := c.settle(ctx, h, st); !errors.Is(err, ErrStale) {
		return err
	}
	return nil
}

// overtaken is what a refresh has come to that failed after the grant had gone
// on: newer tokens make good what the platform said of the old ones.
func (c *Connector) overtaken(ctx context.Context, h *hold, told error) error {
	now, err := c.cfg.Store.ReadGrant(ctx, h.key())
	if err == nil && now.Generation > h.Generation {
		return nil
	}
	return told
}

// late deals with tokens that the store did not take. Nothing keeps them but
// this process, so that what fails is repeated for half a minute. A grant that
// is still to be revoked has taken them, and is revoked with them.
func (c *Connector) late(ctx context.Context, h *hold, fresh *Tokens) error {
	for wait := time.Second; ; wait *= 2 {
		done, asked, err := c.endLate(ctx, h, fresh)
		if done {
			return err
		}
		wait = max(wait, asked)
		if wait > lateWait || !sleep(ctx, wait) {
			c.cfg.Logger.Error("tokens that came late could not be revoked", "platform", h.Platform, "grant", h.ID, "error", err)
			return err
		}
	}
}

// endLate reports whether nothing is left to do, or how long the platform wants
// to be left alone. A newer consent, or a repetition of this refresh, has made
// the tokens worthless; where no account is left they must not stay alive at
// the platform.
func (c *Connector) endLate(ctx context.Context, h *hold, fresh *Tokens) (done bool, wait time.Duration, err error) {
	now, err := c.cfg.Store.ReadGrant(ctx, h.key())
	switch {
	case errors.Is(err, ErrNotFound): // erased, with its accounts
	case err != nil:
		return false, 0, storeError("refresh", err)
	case now.Generation != h.Generation:
		c.rescope(ctx, h, now.Scopes) // what the accounts were told was of these tokens
		return true, 0, nil
	}
	live, _, err := c.cfg.Store.ListAccounts(ctx, h.Tenant, AccountFilter{GrantID: h.ID}, Page{Limit: 1})
	if err != nil {
		return false, 0, storeError("refresh", err)
	}
	revocation := RevocationKeptShared
	if len(live) == 0 {
		revocation, wait = c.revoke(ctx, h.a, fresh, newID(c.cfg.Now()))
	}
	return revocation != RevocationPending, wait, unusable("refresh", h.Platform, AccountReauthRequired)
}

// asProviderError is what the platform said; an error of anything else says
// nothing about the grant.
func asProviderError(err error) *ProviderError {
	if platform, ok := errors.AsType[*ProviderError](err); ok {
		return platform
	}
	if err == nil {
		return &ProviderError{}
	}
	return &ProviderError{Class: ClassRetry, Err: err}
}

// isOfAll reports whether the answer is about the platform or the client. Under
// any other status a wait is that of one account, such as one that is blocked.
func (e *ProviderError) isOfAll() bool {
	return e.Status == http.StatusTooManyRequests || e.Status >= http.StatusInternalServerError
}

// isDown reports whether the platform has not answered, or not for itself.
func (e *ProviderError) isDown() bool {
	return e.Class == ClassUncertain || e.Class == ClassRetry && (e.Status == 0 || e.Status >= http.StatusInternalServerError)
}
