package connect

import (
	"errors"
	"time"

	"github.com/seed944197df/connect/tokencrypt"
)

// plan is what is to be done with a claimed grant: present its refresh token,
// revoke it, or end the claim at once.
type plan struct {
	present *Tokens
	revoke  bool

	settlement Settlement
	left       bool  // the claim is not settled: it runs out, and whoever is next looks again
	err        error // what a caller is told
}

// sends reports whether the platform is to be asked.
func (p plan) sends() bool { return p.present != nil || p.revoke }

// rest leaves a grant as it is until it is due again.
func rest(h *hold, due *time.Time, err error) plan {
	st := h.back()
	st.DueAt = due
	return plan{settlement: st, err: err}
}

// planRefresh decides what is to be done, from what is stored alone.
func (c *Connector) planRefresh(h *hold) plan {
	tokens, err := c.openGrant(h.Grant)
	if err == nil {
		h.gate = h.a.gates.of(tokens)
	}
	switch {
	case h.Prior == GrantRevoking:
		return plan{revoke: true, settlement: h.back(), err: unusable("refresh", h.Platform, AccountReauthRequired)}
	case h.seen != 0 && h.Generation > h.seen: // another refresh came first
		return rest(h, h.DueAt, nil)
	case !h.a.minted(h.Grant):
		return c.misplaced(h)
	case err != nil:
		return c.unopened(h, err)
	case !h.a.refreshable(tokens, h.now()):
		return c.unrefreshable(h, tokens)
	case h.spent():
		return presentAgain(h, tokens)
	case h.RefusedAt != nil && !h.rejected && h.now().Before(h.RefusedAt.Add(secondRefusal)):
		return rest(h, at(h.RefusedAt.Add(secondRefusal)), refusedOnce(h))
	default:
		return plan{present: tokens}
	}
}

// unrefreshable ends a grant with its access token, by the clock or by the
// platform's own word; before that there is nothing to do.
func (c *Connector) unrefreshable(h *hold, tokens *Tokens) plan {
	ended := over(tokens.AccessExpiry, h.now())
	status := AccountTokenExpired
	switch {
	case !ended && !h.rejected:
		return rest(h, h.a.refreshPoint(tokens, h.now()), nil)
	case !ended && tokens.AccessExpiry != nil:
		status = AccountReauthRequired // sooner than it should
	}
	return plan{settlement: c.end(h, status, Code(status)), err: unusable("refresh", h.Platform, status)}
}

// presentAgain plans for a refresh token that may have been presented before,
// and whose answer is lost. Where that of its repetition is lost, too, it is
// asked for again: an outage never ends a grant.
func presentAgain(h *hold, tokens *Tokens) plan {
	if h.awaitsAnswer() {
		return plan{left: true, err: &Error{Code: CodeUnavailable, Op: "refresh", Platform: h.Platform, Message: "Another process was refreshing this, and may still bring the answer.", RetryAfter: refreshRetry}}
	}
	if until := h.keepsUntil(tokens); until != nil {
		return rest(h, until, &Error{Code: CodeUnavailable, Op: "refresh", Platform: h.Platform, Message: "An earlier refresh may have been carried out; it is repeated when the access token ends."})
	}
	return plan{present: tokens}
}

// keepsUntil is when a refresh token that may have been presented before may be
// presented again; nil: at once. One that stays may be at any time; one that
// the platform answers alike for a while, within that; any other only when the
// access token is over: if it was spent, presenting it ends the grant, and then
// nothing is lost by that.
func (h *hold) keepsUntil(tokens *Tokens) *time.Time {
	expiry := tokens.AccessExpiry
	switch {
	case h.repeats():
		return nil
	case expiry == nil, expiry.IsZero(), over(expiry, h.now()):
		return nil
	default:
		return at(*expiry)
	}
}

// awaitsAnswer reports whether the process that presented the refresh token may
// still bring what it got for it: it has not said that the answer is lost, and
// may only be cut off from the store. What is left alone stays as it is, so
// that whoever claims it next learns the same.
func (h *hold) awaitsAnswer() bool {
	return h.Prior == GrantSent && h.SentAt != nil && h.now().Before(h.SentAt.Add(answerWait)) && !h.repeats()
}

// repeats reports whether the platform answers the refresh token again if it
// was spent.
func (h *hold) repeats() bool {
	return h.a.Rotation.Class == RotationStable || h.a.inGrace(h.SentAt, h.now())
}

// inGrace reports whether the platform still repeats the answer to a refresh
// token that was presented then, with time to ask it.
func (a *adapter) inGrace(sent *time.Time, now time.Time) bool {
	if a.Rotation.Class != RotationGrace || sent == nil {
		return false
	}
	return now.Before(sent.Add(a.Rotation.Grace - a.Rotation.Grace/10))
}

// misplaced puts off a grant of another client than the one configured here: a
// process with the right one may have its turn.
func (c *Connector) misplaced(h *hold) plan {
	parked := rest(h, backoff(h.Failures, h.now()), ofAnotherClient("refresh", h.a))
	parked.settlement.Reason = CodeClientMismatch
	parked.settlement.Failures++
	c.cfg.Logger.Error("a grant is of another client than the configured one", "platform", h.Platform, "grant", h.ID)
	return parked
}

// unopened puts off a grant whose tokens do not open. Its user cannot help it,
// and what it owes its accounts is still owed.
func (c *Connector) unopened(h *hold, err error) plan {
	parked := rest(h, at(h.now().Add(longestWait)), storeError("refresh", err))
	if !h.owes() {
		parked.settlement.Reason = CodeUnavailable
	}
	if errors.Is(err, tokencrypt.ErrKeyUnavailable) {
		parked.settlement.DueAt = backoff(h.Failures, h.now())
		parked.settlement.Failures++
	}
	c.cfg.Logger.Error("a grant does not open", "platform", h.Platform, "grant", h.ID, "error", err)
	return parked
}

// reasonUncertain ends a grant whose refresh token was presented, the answer
// lost, and that the platform then refused: it may have been spent.
const reasonUncertain Code = "uncertain_refresh"

// endedBy is why the platform's refusal has come.
func (h *hold) endedBy(status AccountStatus) Code {
	if h.Presented > 1 && h.a.Rotation.Class != RotationStable && status == AccountReauthRequired {
		return reasonUncertain
	}
	return Code(status)
}

// end makes a settlement the end of the grant.
func (c *Connector) end(h *hold, status AccountStatus, reason Code) Settlement {
	st := h.settlement(GrantDead)
	st.Reason, st.DueAt, st.AccountStatus = reason, nil, status
	kind := EventAccountReauthRequired
	if status == AccountTokenExpired {
		kind = EventAccountTokenExpired
	}
	data := statusData(status)
	data["reason"] = string(reason)
	st.Events = []Event{c.event(kind, h.Tenant, h.Platform, "", data)}
	return st
}

func refusedOnce(h *hold) error {
	return &Error{Code: CodeUnavailable, Op: "refresh", Platform: h.Platform, Message: "The platform has refused the refresh once; it is asked again before that counts.", RetryAfter: secondRefusal}
}
