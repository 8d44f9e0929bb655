package connect_test

import (
	"slices"
	"time"

	"github.com/seed944197df/connect"
)

// pass lets time go by, at most up to where a process is in a hurry.
func (m *model) pass(d time.Duration) {
	m.say(-1, "time passes")
	for end := time.Now().Add(d); time.Until(end) > 0 && m.broken == ""; {
		left := time.Until(end)
		if m.busy() {
			left = min(left, max(m.lease/6, 100*time.Millisecond))
		}
		if deadline, ok := m.deadline(); ok {
			if left = min(left, time.Until(deadline)); left <= 0 {
				m.rescue(deadline)
				return
			}
		}
		pass(left)
		if m.wait(); m.urgent() {
			return
		}
	}
}

// deadline is when somebody must see to what was sent and not answered, where
// the platform repeats its answers for a while only.
func (m *model) deadline() (first time.Time, ok bool) {
	if m.declared != connect.RotationGrace || m.restored {
		return first, false
	}
	for _, a := range m.accounts {
		g := m.grant(a)
		if g.SentAt == nil || g.Status == connect.GrantDead {
			continue
		}
		if at := g.SentAt.Add(modelGrace / 2); at.After(m.rescued) && (!ok || at.Before(first)) {
			first, ok = at, true
		}
	}
	return first, ok
}

// rescue has a process that is well run in time, as the promise for a platform
// of the grace class demands.
func (m *model) rescue(deadline time.Time) {
	m.say(-1, "a process that is well runs")
	m.rescued = deadline
	if !slices.ContainsFunc(m.lives, func(l *modelLife) bool { return !l.dead && !l.frozen }) {
		m.revive()
	}
	for until := deadline.Add(modelGrace*4/10 - time.Second); time.Now().Before(until) && m.broken == ""; {
		for _, l := range m.lives {
			if !l.dead && !l.frozen && !l.at("round") {
				l.round()
			}
		}
		m.drain()
		if !slices.ContainsFunc(m.accounts, func(a *modelAccount) bool { return m.grant(a).SentAt != nil }) {
			return
		}
		pass(time.Second)
	}
}

// revive wakes one process, or starts one.
func (m *model) revive() {
	for _, l := range m.lives {
		if l.frozen {
			l.wake()
			return
		}
	}
	m.start(0)
}

// next is when the store has something for Run, or an access token ends.
func (m *model) next() (first time.Time, due, ok bool) {
	now := time.Now()
	consider := func(at time.Time, runs bool) {
		due = due || runs && !at.After(now)
		if at.After(now) && (!ok || at.Before(first)) {
			first, ok = at, true
		}
	}
	for _, a := range m.accounts {
		g := m.grant(a)
		switch {
		case g.Status == connect.GrantDead:
		case g.Status == connect.GrantClaimed || g.Status == connect.GrantSent:
			consider(g.LeaseUntil, true)
		case g.DueAt != nil:
			consider(*g.DueAt, true)
		}
		if g.AccessExpiry != nil && g.Status != connect.GrantDead {
			consider(*g.AccessExpiry, false)
		}
	}
	return first, due, ok
}

// resolve lets the system come to rest: every process is well, and time goes
// on until each account works or its end is told.
func (m *model) resolve() {
	for worker, l := range m.lives {
		if l.dead {
			m.start(worker)
		} else if l.frozen {
			l.wake()
		}
	}
	m.say(-1, "from now on all is well")
	for range 100 {
		m.drain()
		for _, l := range m.lives {
			l.round()
			m.drain()
		}
		if m.broken != "" || m.rests() && m.quiet() {
			return
		}
		if at, _, ok := m.next(); ok {
			pass(min(time.Until(at), time.Hour))
		}
	}
	m.violatef("the system does not come to rest")
}

// quiet reports whether nobody is at something that no caller waits for any
// more. Nobody sleeps for longer than that between two calls.
func (m *model) quiet() bool {
	pass(5 * time.Second)
	m.wait()
	return len(m.calls) == 0
}

// rests reports whether no grant has anything open, and every end that the
// platform knows of has been met with.
func (m *model) rests() bool {
	for _, a := range m.accounts {
		g := m.grant(a)
		if g.Status == connect.GrantDead {
			continue
		}
		pair := m.storedPair(a)
		if g.Status != connect.GrantActive || g.RefusedAt != nil || pair != nil && !pair.newest() && !m.misled(a, pair) {
			return false
		}
	}
	return true
}

// misled reports whether an active account holds what no process could have
// been left with; see judgeActive.
func (m *model) misled(a *modelAccount, pair *modelPair) bool {
	return !m.restored && (pair.family != a.chain || pair.family.ended == "" || pair.family.ended == "revoked" && !pair.family.late)
}
