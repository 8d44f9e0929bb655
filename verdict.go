package connect

import (
	"context"
	"errors"
	"net/http"
)

// lost records what the platform has said of this account alone.
func (t *accountTransport) lost(use *accountUse, resp *http.Response, status AccountStatus) error {
	_ = resp.Body.Close()
	t.c.becomes(use.account, status)
	return unusable("client", use.account.Platform, status)
}

// lacking records that the platform has missed a permission. The account goes
// on, and its next consent mends that.
func (t *accountTransport) lacking(use *accountUse) {
	if use.account.Status == AccountActive {
		t.c.becomes(use.account, AccountLimited)
	}
}

// blocked says that the platform has suspended the account. It is recorded only
// where a refresh can find out that this is over; otherwise only a new consent
// would end it, and each request asks the platform itself.
func (t *accountTransport) blocked(use *accountUse, resp *http.Response) error {
	_ = resp.Body.Close()
	if use.refreshes() {
		t.c.detach(commitTimeout, func(ctx context.Context) { t.c.suspendOne(ctx, use) })
	}
	return unusable("client", use.account.Platform, AccountSuspended)
}

// refreshes reports whether the token that is used is refreshed.
func (use *accountUse) refreshes() bool {
	return !use.ownToken && use.adapter.refresher != nil && !use.tokens.Refresh.IsZero()
}

// suspendOne suspends an account. Its grant notes that first, so that the next
// refresh ends what it began; where somebody has the grant, or had it, nothing
// is recorded, for the next answer may be another.
func (c *Connector) suspendOne(ctx context.Context, use *accountUse) {
	h, err := c.claimGrant(ctx, use.adapter, use.grant.key())
	if err != nil {
		if !errors.Is(err, ErrConflict) {
			c.cfg.Logger.Warn("a suspension could not be recorded", "platform", use.account.Platform, "account", use.account.ID, "error", err)
		}
		return
	}
	defer h.release()
	st := h.back()
	if h.Generation == use.grant.Generation {
		st = h.noteSuspended()
	}
	if _, err := c.settle(ctx, h, st); err == nil && st.Reason == CodeSuspended {
		c.become(ctx, use.account, AccountSuspended)
	}
}

// noteSuspended ends the claim of a grant that is refreshed sooner, to see
// whether a suspension is over.
func (h *hold) noteSuspended() Settlement {
	st := h.back()
	st.Reason = CodeSuspended
	if soon := h.now().Add(longestWait); st.DueAt == nil || soon.Before(*st.DueAt) {
		st.DueAt = at(soon)
	}
	return st
}

// becomes gives an account another status.
func (c *Connector) becomes(account Account, status AccountStatus) {
	c.detach(commitTimeout, func(ctx context.Context) { c.become(ctx, account, status) })
}

func (c *Connector) become(ctx context.Context, account Account, status AccountStatus) {
	kind := EventAccountUpdated
	if status == AccountReauthRequired {
		kind = EventAccountReauthRequired
	}
	account.Status = status
	err := c.writeStatus(ctx, account, kind)
	if err != nil && !errors.Is(err, ErrStale) { // stale: another has changed it, and may know better
		c.cfg.Logger.Warn("an account's status could not be recorded", "platform", account.Platform, "account", account.ID, "error", err)
	}
}
