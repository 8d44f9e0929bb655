package connect_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed944197df/connect"
)

// The invariants of SECURITY.md section 2, by number as in [model].

// present is a refresh token at the platform's door.
func (l *modelLife) present(call *modelCall, access string, f fate) (*modelShown, *modelPair, error) {
	m, pair := l.m, l.m.platform.pairs[access]
	if l.marks[pair] == 0 {
		m.violatef("(2) %s is presented without being marked as sent", pair.refresh)
	}
	l.marks[pair]--
	if f == fateUnsent {
		return nil, nil, &connect.ProviderError{Class: connect.ClassRetry}
	}
	shown := &modelShown{at: time.Now(), life: l, attempt: l.attempts[pair], open: true, overdue: call.slept, excused: f == fateVanishes, harmless: f == fateFails}
	if !shown.harmless {
		m.checkPresented(pair, shown)
		pair.shown = append(pair.shown, shown)
	}
	l.open = append(l.open, shown)
	shown.pair = pair
	switch f {
	case fateFails:
		return shown, nil, &connect.ProviderError{Class: connect.ClassRetry, Status: 500}
	case fateVanishes:
		return shown, nil, &connect.ProviderError{Class: connect.ClassUncertain}
	case fateRefused:
		shown.excused = true
		return shown, nil, nil
	default:
		fresh := m.rotate(pair)
		shown.excused = fresh == nil && m.class == connect.RotationStable // one refusal may be a mistake
		return shown, fresh, nil
	}
}

// rotate lets the platform answer.
func (m *model) rotate(pair *modelPair) *modelPair {
	family, kept := pair.family, m.storedPair(m.account(pair.family.subject))
	alive := family.ended == ""
	good := kept != nil && kept.family == family && kept.accepted(time.Now()) && time.Now().Before(kept.told)
	fresh := m.platform.refresh(pair, time.Now())
	if !alive || family.ended != "reuse" {
		return fresh
	}
	family.late = slices.ContainsFunc(pair.shown, func(p *modelShown) bool { return p.overdue || p.slept || p.life.overslept() })
	if good && !family.late && !m.restored {
		m.violatef("(5) presenting %s again has ended %s while it was valid", pair.refresh, kept.access)
	}
	return fresh
}

// checkPresented is asked before the presentation counts.
func (m *model) checkPresented(pair *modelPair, shown *modelShown) {
	if len(pair.shown) == 0 || m.restored || shown.overdue {
		return
	}
	last := pair.shown[len(pair.shown)-1]
	switch {
	case last.overdue: // it overtook whoever had the grant by then
	case !last.excused && !last.life.overslept():
		m.violatef("(1) %s is presented twice, and nothing had gone wrong", pair.refresh)
	case m.platform.class == connect.RotationStrict && time.Now().Before(pair.told):
		m.violatef("(1) %s is presented again %v before its access token ends", pair.refresh, time.Until(pair.told))
	}
}

// marked notes what the store has recorded, not what it has answered.
func (l *modelLife) marked(attempt string, held []connect.GrantKey) {
	for _, key := range held {
		a := l.m.accountOn(key.ID)
		grant := l.m.grant(a)
		if grant.Status == connect.GrantSent && grant.Presented > 0 && grant.SentAt != nil {
			pair := l.m.storedPair(a)
			l.marks[pair]++
			l.attempts[pair] = attempt
		}
	}
}

// settled notes which presentation has come to an end: another attempt of the
// same process may end without one.
func (l *modelLife) settled(st connect.Settlement, err error) {
	if err != nil && !errors.Is(err, connect.ErrStale) {
		return
	}
	l.open = slices.DeleteFunc(l.open, func(p *modelShown) bool { return p.attempt == st.Attempt })
}

// committed notes whose consent is stored.
func (l *modelLife) committed(commit connect.Commit, err error) {
	if err != nil || commit.Grant == nil {
		return
	}
	a := l.m.account(commit.Grant.Subject)
	a.chain, a.gone = l.logins[a.subject].family, false
	a.chain.late = a.chain.ended == "revoked" // between the consent and its commit
	if a.id == "" {
		a.id, a.grant = commit.Accounts[0].ID, commit.Grant.ID
	}
}

func (l *modelLife) released(released connect.Released, err error) {
	if err == nil && released.Last {
		l.m.accountOn(released.Grant.ID).gone = true
	}
}

// watch checks what must hold after each step.
func (m *model) watch() {
	for _, a := range m.accounts {
		if now := m.grant(a).Generation; now < a.generation && !m.restored {
			m.violatef("(7) the generation goes from %d to %d", a.generation, now)
		} else {
			a.generation = now
		}
	}
}

func (m *model) grant(a *modelAccount) connect.Grant {
	grant, err := m.store.ReadGrant(context.Background(), connect.GrantKey{Tenant: acmeKey.Tenant, ID: a.grant})
	if err != nil && a.grant != "" {
		m.violatef("the grant of %s: %v", a.subject, err)
	}
	return grant
}

// storedPair is what the store holds for an account; nil where the account
// does not work.
func (m *model) storedPair(a *modelAccount) *modelPair {
	if a.tokens == nil {
		var err error
		if a.tokens, err = m.witness.TokenSource(context.Background(), acmeKey.Tenant, a.id); err != nil {
			return nil
		}
	}
	token, err := a.tokens.Token()
	if err != nil {
		return nil
	}
	return m.platform.pairs[token.AccessToken]
}

// verdict checks what must hold when everything has come to rest.
func (m *model) verdict() {
	for _, a := range m.accounts {
		grant := m.grant(a)
		account, err := m.store.ReadAccount(context.Background(), connect.AccountKey{Tenant: acmeKey.Tenant, ID: a.id})
		if err != nil {
			m.violatef("the account of %s: %v", a.subject, err)
			continue
		}
		switch {
		case m.restored:
			m.judgeRestored(a, grant, account)
		case a.gone:
			m.judgeGone(a, grant, account)
		case account.Status == connect.AccountActive:
			m.judgeActive(a, grant)
		default:
			m.judgeLost(a, grant, account)
		}
	}
}

// judgeGone checks a disconnected account.
func (m *model) judgeGone(a *modelAccount, grant connect.Grant, account connect.Account) {
	if account.Status != connect.AccountDisconnected || grant.Status != connect.GrantDead || grant.Sealed != nil {
		m.violatef("(6) the disconnected account is %s, its grant %s with %d bytes", account.Status, grant.Status, len(grant.Sealed))
	}
	for _, pair := range a.chain.pairs {
		if l := pair.delivered; pair.newest() && l != nil && !l.dead {
			m.violatef("(6) %s came late for the disconnect, and lives", pair.refresh)
		}
	}
}

// judgeActive checks an account that should work.
func (m *model) judgeActive(a *modelAccount, grant connect.Grant) {
	pair := m.storedPair(a)
	switch {
	case grant.Status != connect.GrantActive || pair == nil:
		m.violatef("(4) the account is active, its grant %s", grant.Status)
	case pair.family != a.chain:
		m.violatef("(6) the account works with %s of an earlier consent", pair.access)
	case !pair.newest():
		m.violatef("(3) the account is active with %s, which the platform has replaced or ended (%s)", pair.refresh, pair.family.ended)
	case !pair.accepted(time.Now()) && time.Now().Before(pair.ends):
		m.violatef("(4) the account is active with %s, which the platform does not accept", pair.access)
	}
}

// judgeLost checks an account that does not work any more.
func (m *model) judgeLost(a *modelAccount, grant connect.Grant, account connect.Account) {
	ended := a.chain.ended
	if account.Status != connect.AccountReauthRequired || grant.Status != connect.GrantDead || !m.told(a) {
		m.violatef("(4) the account is %s, its grant %s, its loss told: %t", account.Status, grant.Status, m.told(a))
	}
	switch {
	case ended == "withdrawn", a.chain.late:
	case m.platform.class != connect.RotationStrict:
		m.violatef("(3) the account is lost (%s)", fmt.Sprintf("the consent is %q", ended))
	case ended == "reuse":
		m.lost++
	default:
		m.violatef("(4) the account is lost, and no answer was (the consent is %q)", ended)
	}
}

// told reports whether the newest event of the account tells of its loss.
func (m *model) told(a *modelAccount) bool {
	events, _, err := m.store.ListEvents(context.Background(), acmeKey.Tenant, connect.Page{Limit: 100})
	events = slices.DeleteFunc(events, func(e connect.Event) bool { return e.AccountID != a.id })
	return err == nil && len(events) > 0 && events[len(events)-1].Type == connect.EventAccountReauthRequired
}

// judgeRestored checks an account whose store was put back: it works, or its
// loss is told.
func (m *model) judgeRestored(a *modelAccount, grant connect.Grant, account connect.Account) {
	switch account.Status {
	case connect.AccountActive:
		if pair := m.storedPair(a); pair == nil || !pair.newest() {
			m.violatef("(restore) the account is active, and the platform does not accept its token")
		}
	case connect.AccountDisconnected:
		if grant.Status != connect.GrantDead {
			m.violatef("(restore) the account is disconnected, its grant %s", grant.Status)
		}
	default:
		if !m.told(a) || len(grant.Sealed) == 0 {
			m.violatef("(restore) the account is %s; told: %t, %d bytes", account.Status, m.told(a), len(grant.Sealed))
		}
	}
}
