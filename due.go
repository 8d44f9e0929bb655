package connect

import (
	"math/rand/v2"
	"time"
)

const (
	refreshFloor  = 10 * time.Second // no grant is due sooner, whatever a platform says
	refreshRetry  = time.Minute      // after the first failure; doubled by each that follows
	longestWait   = time.Hour        // between two tries, and the longest Retry-After that is honoured
	secondRefusal = 10 * time.Minute // how far two refusals lie apart that end a stable grant
	nextReplica   = 5 * time.Second  // after a request that could not leave this process
)

// refreshPoint is when Run should see to new tokens: at 70 to 85 % of the
// access token's life, spread so that accounts which were connected together
// part, and at half the refresh token's where that is sooner. A grant that
// cannot be refreshed is due when it ends.
func (a *adapter) refreshPoint(t *Tokens, now time.Time) *time.Time {
	if !a.refreshable(t, now) {
		if t.AccessExpiry == nil || t.AccessExpiry.IsZero() {
			return nil
		}
		return at(*t.AccessExpiry)
	}
	var first *time.Time
	for _, life := range []struct {
		end   *time.Time
		share float64
	}{{t.AccessExpiry, between(0.70, 0.85)}, {t.RefreshExpiry, 0.50}} {
		if life.end == nil || life.end.IsZero() {
			continue
		}
		left := time.Duration(float64(life.end.Sub(now)) * life.share)
		if due := now.Add(max(left, refreshFloor)); first == nil || due.Before(*first) {
			first = at(due)
		}
	}
	return first
}

// backoff is when a grant is tried again that failed so often before.
func backoff(failures int, now time.Time) *time.Time {
	wait := min(refreshRetry<<min(failures, 10), longestWait)
	return at(now.Add(time.Duration(float64(wait) * between(0.75, 1.25))))
}

// between spreads load; it guards nothing.
func between(from, to float64) float64 {
	return from + (to-from)*rand.Float64() //nolint:gosec // see above
}

// at is t as every store can keep it.
func at(t time.Time) *time.Time {
	t = t.UTC().Truncate(time.Microsecond)
	return &t
}

// over reports whether a token with this expiry has ended. An unknown expiry
// has not: the platform will say so with a 401.
func over(expiry *time.Time, now time.Time) bool {
	return expiry != nil && !expiry.IsZero() && !now.Before(*expiry)
}

// leaseOf is how long a claim on a grant of the platform lasts unless it is
// renewed, and how long at most Run waits between two looks. Where a platform
// repeats a lost answer for a while, there must be time in it for several
// processes to die one after the other.
func (a *adapter) leaseOf() time.Duration {
	const lease = 15 * time.Second
	if a.Rotation.Class != RotationGrace {
		return lease
	}
	return max(min(lease, a.Rotation.Grace/10), time.Second)
}
