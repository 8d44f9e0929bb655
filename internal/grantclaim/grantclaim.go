// Package grantclaim holds what the stores share of a grant's claim: the rules
// of [connect.GrantStore] that do not depend on how rows are kept.
package grantclaim

import (
	"time"

	"github.com/seed944197df/connect"
)

// Row is a grant with what its claims leave behind.
type Row struct {
	connect.Grant

	// Prior is the Prior of the claim under way. A claim whose process died
	// hands it to the next one: who claims after it must still learn that a
	// token may have been presented, or that the grant is to be revoked.
	Prior connect.GrantStatus
}

// Free takes the grant from whoever holds it.
func (r *Row) Free() {
	r.Attempt = ""
	r.LeaseUntil = time.Time{}
	r.Prior = ""
}

// Claimed reports whether somebody has, or had until the lease ran out, the
// grant.
func (r *Row) Claimed() bool {
	return r.Status == connect.GrantClaimed || r.Status == connect.GrantSent
}

// Lost reports whether nobody knows what became of a refresh token that may
// have been presented.
func (r *Row) Lost() bool {
	return r.Status == connect.GrantSent || r.Status == connect.GrantUncertain ||
		r.Status == connect.GrantClaimed && (r.Prior == connect.GrantSent || r.Prior == connect.GrantUncertain)
}

// HeldBy reports whether attempt was the last to claim the grant.
func (r *Row) HeldBy(attempt string) bool {
	return attempt != "" && r.Claimed() && r.Attempt == attempt
}

// Claimable reports whether the grant may be claimed.
func (r *Row) Claimable(now time.Time) bool {
	if r.Claimed() {
		return !r.LeaseUntil.After(now)
	}
	return r.Status != connect.GrantDead
}

// Revoking reports whether the grant is to be revoked, by somebody who has it
// or by whoever claims it next.
func (r *Row) Revoking() bool {
	return r.Status == connect.GrantRevoking || r.Prior == connect.GrantRevoking
}

// Over reports whether nobody may build on the grant any more.
func (r *Row) Over() bool { return r.Status == connect.GrantDead || r.Revoking() }

// Accepts reports whether the grant may be settled so.
func (r *Row) Accepts(st connect.Settlement) bool {
	return r.Generation == st.Generation && (r.HeldBy(st.Attempt) || st.Tokens != nil && r.Status != connect.GrantDead)
}

// Settle makes the grant what st says, and frees it. To a grant that is to be
// revoked, who does not hold it only brings what else there is to revoke.
func (r *Row) Settle(st connect.Settlement) {
	if r.Revoking() && !r.HeldBy(st.Attempt) {
		st.Status, st.Reason, st.DueAt, st.Wipe = connect.GrantRevoking, r.Reason, r.DueAt, false
		st.Failures, st.RefusedAt = r.Failures, r.RefusedAt
	}
	r.Status, r.Reason, r.DueAt = st.Status, st.Reason, st.DueAt
	r.Failures, r.RefusedAt = st.Failures, st.RefusedAt
	if t := st.Tokens; t != nil {
		r.Generation++
		r.Sealed, r.Scopes = t.Sealed, t.Scopes
		r.AccessExpiry, r.RefreshExpiry = t.AccessExpiry, t.RefreshExpiry
	}
	if st.Wipe {
		r.Sealed = nil
	}
	r.Presented = st.Presented
	if r.Status != connect.GrantUncertain || r.Presented == 0 {
		r.SentAt, r.Presented = nil, 0
	}
	r.Free()
}

// Claim gives the grant to attempt until a time of the store's clock. That it
// may be claimed is for the store to know.
func (r *Row) Claim(attempt string, until time.Time) {
	r.Prior = r.prior()
	r.Status = connect.GrantClaimed
	r.Attempt = attempt
	r.LeaseUntil = until
}

// Present records that the refresh token is about to be presented.
func (r *Row) Present(now time.Time) {
	r.Status = connect.GrantSent
	r.Presented++
	if r.SentAt == nil {
		r.SentAt = &now
	}
}

// prior returns what a new claim must be told about the grant's past.
func (r *Row) prior() connect.GrantStatus {
	switch {
	case r.Claimed() && r.Prior == connect.GrantRevoking:
		return r.Prior
	case r.Status == connect.GrantClaimed && r.Lost():
		return r.Prior
	default:
		return r.Status
	}
}

// Touches reports whether a settlement changes the status of an account of its
// grant.
func Touches(st connect.Settlement, a connect.Account) bool {
	switch st.AccountStatus {
	case "", a.Status:
		return false
	case connect.AccountTokenExpired:
		return !a.OwnToken
	case connect.AccountSuspended: // ends again, and then they would work that did not before
		return a.Status == connect.AccountActive || a.Status == connect.AccountLimited
	default:
		return true
	}
}
