package connect

import (
	"context"
	"errors"
	"time"

	"github.com/seed944197df/connect/internal/outbound"
)

// revokeLease is longer than a revocation may take.
const revokeLease = time.Minute

// revokeGrant ends a grant that no account is left on. It is a job: where the
// platform does not answer, the grant stays as it is and Run tries again.
func (c *Connector) revokeGrant(ctx context.Context, g Grant) Revocation {
	a := c.platforms[g.Platform]
	switch {
	case g.Status == GrantDead:
		return g.revocation()
	case a == nil:
		return RevocationPending // a release without this provider must not forget it
	case g.Failures > 0 && g.DueAt != nil && c.cfg.Now().Before(*g.DueAt):
		return RevocationPending // the platform may have said until when
	}
	if tokens, err := c.openGrant(g); err == nil { // with none that open nothing is asked
		leave, ok := a.admitRevocation(ctx, tokens)
		if !ok {
			return RevocationPending
		}
		defer leave()
	}
	h, err := c.claimGrant(ctx, a, g.key())
	if err != nil {
		return RevocationPending
	}
	defer h.release()
	if h.Prior != GrantRevoking { // a new consent has revived it meanwhile
		_ = c.giveBack(ctx, h, h.back())
		return RevocationKeptShared
	}
	return c.revokeClaimed(ctx, h)
}

// admitRevocation takes a slot before the platform, to be left afterwards. It
// reports false while the platform is to be left alone. Where there is nothing
// to ask, there is nothing to wait for.
func (a *adapter) admitRevocation(ctx context.Context, tokens *Tokens) (leave func(), ok bool) {
	if !a.revokes() {
		return func() {}, true
	}
	own := a.gates.of(tokens)
	if _, err := own.admit(ctx); err != nil {
		return nil, false
	}
	return own.leave, true
}

func (a *adapter) revokes() bool {
	return a.revoker != nil && a.Revokes != ReachNothing && a.Revokes != ""
}

// revokeClaimed revokes a grant and settles it.
func (c *Connector) revokeClaimed(ctx context.Context, h *hold) Revocation {
	st := h.settlement(GrantDead)
	revocation, wait := c.revokeTokens(ctx, h)
	st.Reason, st.DueAt, st.Wipe = Code(revocation), nil, true
	if revocation == RevocationPending {
		st = h.settlement(GrantRevoking)
		st.DueAt = backoff(h.Failures, h.now())
		if wait > 0 {
			st.DueAt = at(h.now().Add(min(wait, longestWait)))
		}
		st.Failures++
	}
	if _, err := c.cfg.Store.SettleGrant(ctx, st); err != nil {
		c.cfg.Logger.Warn("a revocation could not be recorded", "platform", h.Platform, "grant", h.ID, "error", err)
		return RevocationPending
	}
	return revocation
}

// revocation is what became of a dead grant, for a repeated disconnect.
func (g Grant) revocation() Revocation {
	switch r := Revocation(g.Reason); r {
	case RevocationRevoked, RevocationKeptShared, RevocationUnsupported, RevocationFailed:
		return r
	default: // it died before it could be revoked: nothing is left to end
		return RevocationRevoked
	}
}

func (c *Connector) revokeTokens(ctx context.Context, h *hold) (Revocation, time.Duration) {
	if !h.a.minted(h.Grant) {
		c.cfg.Logger.Error("a grant is of another client than the configured one, and cannot be revoked", "platform", h.Platform, "grant", h.ID)
		return RevocationPending, 0
	}
	tokens, err := c.openGrant(h.Grant)
	if err != nil {
		c.cfg.Logger.Error("a grant does not open", "platform", h.Platform, "grant", h.ID, "error", err)
		return RevocationPending, 0
	}
	return c.revokeOf(ctx, h.a, h.SubjectKey, tokens, h.attempt)
}

// revoke is revokeOf for tokens that no row stands for.
func (c *Connector) revoke(ctx context.Context, a *adapter, tokens *Tokens, attempt string) (Revocation, time.Duration) {
	return c.revokeOf(ctx, a, a.subjectKey(tokens.Subject), tokens, attempt)
}

// revokeOf ends tokens at the platform, unless that would cut off accounts that
// live on. The caller has a slot before the platform. Beside [RevocationPending]
// it returns how long the platform wants to be left alone, 0 where it does not
// say.
//
// Security: some platforms end everything that the person ever gave to the
// client. The subject is counted and locked over all tenants first, so that
// one tenant's disconnect never ends another tenant's account.
func (c *Connector) revokeOf(ctx context.Context, a *adapter, subjectKey string, tokens *Tokens, attempt string) (Revocation, time.Duration) {
	if !a.revokes() {
		return RevocationUnsupported, 0
	}
	if a.Revokes == ReachSubject {
		err := c.cfg.Store.ClaimSubject(ctx, subjectKey, attempt, revokeLease)
		switch {
		case errors.Is(err, ErrConflict):
			return RevocationKeptShared, 0
		case err != nil:
			return RevocationPending, 0
		}
		defer func() { _ = c.cfg.Store.ReleaseSubject(ctx, subjectKey, attempt) }() // its lease ends anyhow
	}
	asking, cancel := context.WithTimeout(ctx, revokeLease/2) // and done before others may have the subject
	defer cancel()
	err := a.revoker.Revoke(asking, a.env, tokens)
	a.gates.of(tokens).note(err)
	switch {
	case err == nil:
		return RevocationRevoked, 0
	case classOf(err) == ClassReconnect: // it was over already
		return RevocationRevoked, 0
	case classOf(err) == ClassConfig, classOf(err) == ClassScopeMissing:
		c.cfg.Logger.Error("a grant cannot be revoked", "platform", a.Name, "error", outbound.Redact(err))
		return RevocationFailed, 0
	default:
		c.cfg.Logger.Warn("a revocation failed and will be tried again", "platform", a.Name, "error", outbound.Redact(err))
		return RevocationPending, asProviderError(err).RetryAfter
	}
}

// abandonLater revokes the tokens of a flow that will not be stored, in its own
// time. Imported ones are the host's: who had them before may go on with them.
func (c *Connector) abandonLater(at *attempt, tokens *Tokens) {
	if tokens == nil || at.request.Imported {
		return
	}
	c.detach(revokeTimeout, func(ctx context.Context) { c.abandon(ctx, at.adapter, tokens) })
}

// abandon takes a slot and does not ask whether the gate is shut: the platform
// has just issued these tokens, and nothing would revoke them later.
func (c *Connector) abandon(ctx context.Context, a *adapter, tokens *Tokens) {
	own := a.gates.of(tokens)
	if err := own.enter(ctx); err != nil {
		c.cfg.Logger.Warn("what a flow has left could not be revoked", "platform", a.Name, "error", err)
		return
	}
	defer own.leave()
	c.revoke(ctx, a, tokens, newID(c.cfg.Now()))
}
