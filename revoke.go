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
	if g.Status == GrantDead {
		return g.revocation()
	}
	attempt := newID(c.cfg.Now())
	claimed, err := c.cfg.Store.ClaimGrants(ctx, GrantClaim{Tenant: g.Tenant, ID: g.ID, Attempt: attempt, Lease: revokeLease})
	if err != nil || len(claimed) == 0 {
		return RevocationPending
	}
	if claimed[0].Prior != GrantRevoking { // a new consent has revived it meanwhile
		_ = c.settle(ctx, claimed[0], c.giveBack(claimed[0], attempt))
		return RevocationKeptShared
	}
	return c.revokeClaimed(ctx, claimed[0], attempt)
}

// revokeClaimed revokes a grant whose claim attempt holds, and settles it.
func (c *Connector) revokeClaimed(ctx context.Context, g ClaimedGrant, attempt string) Revocation {
	settlement := Settlement{Tenant: g.Tenant, ID: g.ID, Attempt: attempt, Generation: g.Generation, Status: GrantDead, Wipe: true}
	revocation := c.revokeTokens(ctx, g.Grant, attempt)
	settlement.Reason = Code(revocation)
	if revocation == RevocationPending {
		later := c.now().Add(revokeRetry)
		settlement.Status, settlement.Reason, settlement.DueAt, settlement.Wipe = GrantRevoking, "", &later, false
	}
	if _, err := c.cfg.Store.SettleGrant(ctx, settlement); err != nil {
		c.cfg.Logger.Warn("a revocation could not be recorded", "platform", g.Platform, "grant", g.ID, "error", err)
		return RevocationPending
	}
	return revocation
}

// revokeRetry is how long a failed revocation waits.
const revokeRetry = 5 * time.Minute

// revocation is what became of a dead grant, for a repeated disconnect.
func (g Grant) revocation() Revocation {
	switch r := Revocation(g.Reason); r {
	case RevocationRevoked, RevocationKeptShared, RevocationUnsupported, RevocationFailed:
		return r
	default: // it died before it could be revoked: nothing is left to end
		return RevocationRevoked
	}
}

func (c *Connector) revokeTokens(ctx context.Context, g Grant, attempt string) Revocation {
	a := c.platforms[g.Platform]
	if a == nil {
		return RevocationPending // a release without this provider must not forget it
	}
	tokens, err := c.openGrant(g)
	if err != nil {
		c.cfg.Logger.Error("a grant does not open", "platform", g.Platform, "grant", g.ID, "error", err)
		return RevocationPending
	}
	return c.revoke(ctx, a, tokens, attempt)
}

// revoke ends tokens at the platform, unless that would cut off accounts that
// live on.
//
// Security: some platforms end everything that the person ever gave to the
// client. The subject is counted and locked over all tenants first, so that
// one tenant's disconnect never ends another tenant's account.
func (c *Connector) revoke(ctx context.Context, a *adapter, tokens *Tokens, attempt string) Revocation {
	if a.revoker == nil || a.Revokes == ReachNothing || a.Revokes == "" {
		return RevocationUnsupported
	}
	if a.Revokes == ReachSubject {
		key := a.subjectKey(tokens.Subject)
		err := c.cfg.Store.ClaimSubject(ctx, key, attempt, revokeLease)
		switch {
		case errors.Is(err, ErrConflict):
			return RevocationKeptShared
		case err != nil:
			return RevocationPending
		}
		defer func() { _ = c.cfg.Store.ReleaseSubject(ctx, key, attempt) }() // its lease ends anyhow
	}
	err := a.revoker.Revoke(ctx, a.env, tokens)
	switch {
	case err == nil:
		return RevocationRevoked
	case classOf(err) == ClassReconnect: // it was over already
		return RevocationRevoked
	case classOf(err) == ClassConfig, classOf(err) == ClassScopeMissing:
		c.cfg.Logger.Error("a grant cannot be revoked", "platform", a.Name, "error", outbound.Redact(err))
		return RevocationFailed
	default:
		c.cfg.Logger.Warn("a revocation failed and will be tried again", "platform", a.Name, "error", outbound.Redact(err))
		return RevocationPending
	}
}

// abandonLater revokes tokens that will not be stored, in its own time.
func (c *Connector) abandonLater(a *adapter, tokens *Tokens) {
	if tokens == nil {
		return
	}
	c.detach(revokeTimeout, func(ctx context.Context) { c.revoke(ctx, a, tokens, newID(c.cfg.Now())) })
}
