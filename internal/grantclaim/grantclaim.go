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

// HeldBy reports whether attempt was the last to claim the grant.
func (r *Row) HeldBy(attempt string) bool {
	return attempt != "" && r.Claimed() && r.Attempt == attempt
}

// Claim gives the grant to attempt until a time of the store's clock. That it
// may be claimed is for the store to know.
func (r *Row) Claim(attempt string, until time.Time) {
	r.Prior = r.prior()
	r.Status = connect.GrantClaimed
	r.Attempt = attempt
	r.LeaseUntil = until
}

// prior returns what a new claim must be told about the grant's past.
func (r *Row) prior() connect.GrantStatus {
	switch {
	case r.Claimed() && r.Prior == connect.GrantRevoking:
		return r.Prior
	case r.Status == connect.GrantClaimed && (r.Prior == connect.GrantSent || r.Prior == connect.GrantUncertain):
		return r.Prior
	default:
		return r.Status
	}
}
