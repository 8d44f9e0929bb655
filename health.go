package connect

import (
	"context"
	"slices"
	"time"
)

// HealthState is how well an account works.
type HealthState string

// The states of an account's health.
const (
	HealthHealthy HealthState = "healthy" // it works
	HealthWarning HealthState = "warning" // it works, but not fully, or not for long
	HealthError   HealthState = "error"   // Client does not work
)

// HealthRequest says how to look.
type HealthRequest struct {
	Live bool // ask the platform, too
}

// Health is how an account is, why, and who must do what.
type Health struct {
	AccountID string
	Platform  string
	State     HealthState

	TokenValid     bool       // it is accepted, or will be renewed when it is used
	TokenExpiresAt *time.Time // as Account.TokenExpiry
	NeedsReconnect bool       // only a new consent makes it work again
	GrantedScopes  []string
	MissingScopes  []string // that its kind asks for

	Reasons         []HealthReason // empty where nothing is wrong
	Recommendations []string       // sentences for people, one for most reasons

	// NextBreakAt is the first known moment at which the account stops working
	// unless somebody acts: the end of a token that nothing renews, or of the
	// API version. Nil where none is known.
	NextBreakAt *time.Time
	// CheckedAt is when the newest of these facts was learned: from the platform
	// just now, or when what is stored was last changed.
	CheckedAt time.Time
}

// HealthReason is one thing that is wrong with an account. Code is one of
// token_expired, reauth_required, target_lost, suspended, disconnected,
// scope_missing, token_ending, version_ending, refresh_failing,
// refresh_uncertain, keys_missing, token_refused, identity_mismatch,
// client_mismatch and client_refused; more may come.
type HealthReason struct {
	Code   string
	Who    string // who must act: "user", "host", "platform" or "nobody"
	Detail string // one sentence for people
}

// soon is how long before a break an account is [HealthWarning].
const soon = 7 * 24 * time.Hour

// Health tells how an account of the tenant is, from what is stored. Another
// tenant's account is [CodeNotFound]; one that was disconnected is told as that.
//
// With req.Live the platform is asked as well whether it accepts the token. Each
// process asks a platform at most once in [Platform].ProbeEvery, ten times in a
// row, and once a minute for one account. Where that is used up, and where the
// platform does not answer, the answer is what is stored, which CheckedAt
// shows. What the platform says here changes this answer alone: the account
// keeps its status and its tokens until the platform says so to Client or Run.
func (c *Connector) Health(ctx context.Context, p Principal, accountID string, req HealthRequest) (*Health, error) {
	if err := c.authorize(ctx, p, Action{Name: ActionRead, AccountID: accountID}); err != nil {
		return nil, err
	}
	account, err := c.readAccount(ctx, "health", p.Tenant, accountID)
	if err != nil {
		return nil, err
	}
	e, err := c.examine(ctx, account)
	if err != nil {
		return nil, err
	}
	h := e.stored()
	if !req.Live || h.State == HealthError || over(e.expiry(), e.now) {
		return h, nil
	}
	if heard := c.probe(ctx, e); heard != nil {
		e.hear(h, heard)
	}
	return h, nil
}

// exam is what is known of an account.
type exam struct {
	account Account
	kind    Kind
	grant   Grant
	adapter *adapter
	tokens  *Tokens // nil where they do not open; Access is the account's own where it has one
	now     time.Time
}

// examine reads what is stored about an account.
func (c *Connector) examine(ctx context.Context, account Account) (*exam, error) {
	a, err := c.adapter("health", account.Platform)
	if err != nil {
		return nil, err
	}
	e := &exam{account: account, adapter: a, now: c.now()}
	e.kind, _ = a.kind(account.Kind)
	if account.Status == AccountDisconnected {
		return e, nil // its grant may be gone, too
	}
	if e.grant, err = c.cfg.Store.ReadGrant(ctx, GrantKey{Tenant: account.Tenant, ID: account.GrantID}); err != nil {
		return nil, storeError("health", err)
	}
	tokens, err := c.openGrant(e.grant)
	own, ownErr := c.openAccount(account)
	if err != nil || ownErr != nil {
		return e, nil //nolint:nilerr // that they do not open is what is wrong with it
	}
	if e.tokens = tokens; !own.IsZero() {
		e.tokens.Access, e.tokens.AccessExpiry = own, account.TokenExpiry
	}
	return e, nil
}

// expiry is the end of the token that Client uses.
func (e *exam) expiry() *time.Time {
	if e.account.OwnToken || e.account.Status == AccountDisconnected {
		return e.account.TokenExpiry
	}
	return e.grant.AccessExpiry
}

// renewable reports whether a refresh can renew the token.
func (e *exam) renewable() bool {
	return !e.account.OwnToken && e.tokens != nil && e.adapter.refreshable(e.tokens, e.now)
}

// stored is what can be told without the platform.
func (e *exam) stored() *Health {
	h := &Health{
		AccountID: e.account.ID, Platform: e.account.Platform, State: HealthHealthy,
		TokenValid: true, TokenExpiresAt: e.expiry(),
		GrantedScopes: e.account.Scopes, MissingScopes: e.account.Missing, CheckedAt: e.account.UpdatedAt,
	}
	if e.grant.UpdatedAt.After(h.CheckedAt) {
		h.CheckedAt = e.grant.UpdatedAt
	}
	if s, wrong := e.symptom(); wrong {
		h.add(s)
	}
	if h.State == HealthError {
		return h
	}
	switch {
	case e.tokens == nil:
		h.add(keysMissing)
	case !e.renewable() && over(e.expiry(), e.now):
		h.add(tokenExpired)
	default:
		e.refreshing(h)
	}
	e.forecast(h)
	return h
}

// symptom is what the account's status means. Where its grant is over, the grant
// may know why.
func (e *exam) symptom() (symptom, bool) {
	if why, known := ofReason[e.grant.Reason]; known && e.grant.Status == GrantDead && e.account.Status == AccountReauthRequired {
		return why, true
	}
	s, wrong := ofStatus[e.account.Status]
	return s, wrong
}

// refreshing tells of a refresh that does not come through.
func (e *exam) refreshing(h *Health) {
	switch {
	case !e.adapter.minted(e.grant):
		h.add(clientMismatch)
	case !e.renewable() || !e.failing():
		return
	case e.uncertain():
		h.add(refreshUncertain)
	default:
		h.add(refreshFailing)
	}
	if e.renewable() && over(e.grant.AccessExpiry, e.now) {
		h.State, h.TokenValid = HealthError, false
	}
}

// uncertain reports whether the answer to a refresh was lost.
func (e *exam) uncertain() bool {
	return e.grant.Presented > 0 && e.grant.Status == GrantUncertain
}

// failing reports whether a refresh does not come through. What waits behind a
// shut gate has not been tried itself, and is told of once its token is over.
func (e *exam) failing() bool {
	return e.grant.Failures > 0 || e.grant.RefusedAt != nil || e.uncertain() ||
		over(e.grant.AccessExpiry, e.now) && e.adapter.gates.of(e.tokens).isShut()
}

// forecast finds the first end that nothing is about to renew.
func (e *exam) forecast(h *Health) {
	if sunset := e.adapter.Version.Sunset; !sunset.IsZero() {
		h.breaks(sunset, e.now, versionEnding)
	}
	switch {
	case e.tokens == nil:
	case !e.renewable():
		h.breaksAt(e.expiry(), e.now, tokenEnding)
	case e.failing():
		h.breaksAt(e.grant.AccessExpiry, e.now, symptom{state: HealthWarning}) // told of already
		h.breaksAt(e.grant.RefreshExpiry, e.now, tokenEnding)
	case e.adapter.Rotation.Class == RotationStable: // any other comes anew with each refresh
		h.breaksAt(e.grant.RefreshExpiry, e.now, tokenEnding)
	}
}

func (h *Health) breaksAt(end *time.Time, now time.Time, why symptom) {
	if end != nil && !end.IsZero() && !over(end, now) {
		h.breaks(*end, now, why)
	}
}

// breaks notes an end. One that is near is a reason.
func (h *Health) breaks(end, now time.Time, why symptom) {
	if h.NextBreakAt == nil || end.Before(*h.NextBreakAt) {
		h.NextBreakAt = &end
	}
	if end.Sub(now) <= soon {
		h.add(why)
	}
}

// hear adds what the platform has said.
func (e *exam) hear(h *Health, heard *probe) {
	answer, known := e.verdict(heard)
	if !known {
		return
	}
	h.CheckedAt = heard.at
	if answer != nil {
		h.add(*answer)
	}
	if heard.scopes == nil || e.account.OwnToken {
		return
	}
	if missing := without(heard.scopes, e.kind.Scopes); len(missing) > 0 {
		h.GrantedScopes, h.MissingScopes = heard.scopes, missing
		h.add(scopeMissing)
	}
}

// verdict reads the answer to a probe: nil where all is well. It returns false
// where the platform has said nothing of the account.
func (e *exam) verdict(heard *probe) (*symptom, bool) {
	owner := e.grant.Subject
	if e.account.OwnToken {
		owner = e.account.PlatformID
	}
	switch class := classOf(heard.err); {
	case heard.err == nil && heard.subject == owner:
		return nil, true
	case heard.err == nil:
		return &identityMismatch, true
	case refusesToken(heard.err) && e.renewable():
		return &tokenRefused, true
	case refusesToken(heard.err):
		return &tokenRejected, true
	default:
		s, known := ofClass[class]
		return &s, known
	}
}

// add counts a symptom and tells of it, once.
func (h *Health) add(s symptom) {
	h.NeedsReconnect = h.NeedsReconnect || s.reconnect
	h.TokenValid = h.TokenValid && !s.noToken
	if s.state == HealthError || h.State == HealthHealthy {
		h.State = s.state
	}
	if s.code == "" || slices.ContainsFunc(h.Reasons, func(r HealthReason) bool { return r.Code == s.code }) {
		return
	}
	h.Reasons = append(h.Reasons, HealthReason{Code: s.code, Who: s.who, Detail: s.detail})
	if s.advice != "" {
		h.Recommendations = append(h.Recommendations, s.advice)
	}
}
