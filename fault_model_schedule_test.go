package connect_test

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/seed944197df/connect"
)

// action is what a schedule can choose beside letting a call happen.
type action int

const (
	actServe action = iota
	actFault        // a call does not go as it should
	actLie          // the platform refuses what is good
	actCrash
	actFreeze
	actWake
	actRestart
	actRound
	actUse
	actReconnect
	actDisconnect
	actWithdraw
	actRestore
	actPass
)

// choice is one thing that could happen next.
type choice struct {
	act    action
	weight int
	call   *modelCall
	fate   fate
	life   *modelLife
	on     *modelAccount
	pass   time.Duration
}

// faultsOf is what can go wrong with a call, by its name. Renewals are left
// alone: a process that cannot renew for as long as its lease has stood still.
var faultsOf = map[string][]fate{
	"ReadGrant": {fateFails}, "ListAccounts": {fateFails}, "ReadAccount": {fateFails},
	"ClaimGrant": {fateFails, fateUntold}, "ClaimDueGrants": {fateFails, fateUntold}, "MarkSent": {fateFails, fateUntold},
	"SettleGrant": {fateFails, fateUntold}, "CommitFlow": {fateFails, fateUntold}, "ReleaseAccount": {fateFails, fateUntold},
	"request": {fateUnsent, fateVanishes, fateFails}, "answer": {fateUntold, fateUntold}, "revoke": {fateFails, fateUntold},
}

// choices is everything that could happen next.
func (m *model) choices() []choice {
	var all []choice
	for _, call := range m.calls {
		if !call.life.frozen {
			all = append(all, m.callChoices(call)...)
		}
	}
	at, due, ok := m.next()
	for _, l := range m.lives {
		all = append(all, m.lifeChoices(l, due)...)
	}
	for _, a := range m.accounts {
		if m.budget[actWithdraw] > 0 && a.chain.ended == "" {
			all = append(all, choice{act: actWithdraw, weight: 1, on: a})
		}
	}
	if m.budget[actRestore] > 0 && m.written() > m.settled {
		all = append(all, choice{act: actRestore, weight: 1})
	}
	if m.urgent() {
		return all
	}
	wait := time.Hour
	if ok {
		wait = time.Until(at)
	}
	all = append(all, choice{act: actPass, weight: 3, pass: wait})
	if len(m.calls) > 0 || m.busy() {
		all = append(all, choice{act: actPass, weight: 1, pass: 3 * time.Second}, choice{act: actPass, weight: 1, pass: 20 * time.Second})
	}
	return all
}

func (m *model) callChoices(call *modelCall) []choice {
	all := []choice{{act: actServe, weight: 8, call: call}}
	if call.name == "RenewClaims" {
		all[0].weight = 30
	}
	if m.budget[actFault] > 0 {
		for _, f := range faultsOf[call.name] {
			all = append(all, choice{act: actFault, weight: 1, call: call, fate: f})
		}
	}
	if call.name == "request" && m.class == connect.RotationStable && m.budget[actLie] > 0 {
		all = append(all, choice{act: actLie, weight: 1, call: call, fate: fateRefused})
	}
	return all
}

func (m *model) lifeChoices(l *modelLife, due bool) []choice {
	switch {
	case l.dead:
		return []choice{{act: actRestart, weight: 3, life: l}}
	case l.frozen:
		return []choice{{act: actWake, weight: 2, life: l}}
	}
	var all []choice
	may := func(act action, weight int, on *modelAccount) {
		all = append(all, choice{act: act, weight: weight, life: l, on: on})
	}
	if slices.ContainsFunc(m.calls, func(c *modelCall) bool { return c.life == l }) {
		if m.budget[actCrash] > 0 {
			may(actCrash, 2, nil)
		}
		if m.budget[actFreeze] > 0 {
			may(actFreeze, 2, nil)
		}
	}
	if due && !l.at("round") {
		may(actRound, 6, nil)
	}
	for _, a := range m.accounts {
		if due && !l.at("use") {
			may(actUse, 2, a)
		}
		if m.budget[actReconnect] > 0 && !l.at("connect") {
			may(actReconnect, 1, a)
		}
		if m.budget[actDisconnect] > 0 && !l.at("disconnect") {
			may(actDisconnect, 1, a)
		}
	}
	return all
}

// do takes one step.
func (m *model) do(c choice, rng func(int) int) {
	if c.act != actServe {
		m.budget[c.act]--
	}
	switch c.act {
	case actServe, actFault, actLie:
		m.serve(c.call, c.fate)
		return
	case actCrash:
		m.say(c.life.worker, "dies")
		c.life.crash()
	case actFreeze:
		m.say(c.life.worker, "stands still")
		c.life.freeze()
	case actWake:
		m.say(c.life.worker, "goes on")
		c.life.wake()
	case actRestart:
		m.say(c.life.worker, "starts again")
		m.start(c.life.worker)
	case actRound:
		m.say(c.life.worker, "does a round")
		c.life.round()
	case actUse:
		m.say(c.life.worker, "uses account "+c.on.subject)
		c.life.use(c.on)
	case actReconnect:
		m.say(c.life.worker, "connects again: account "+c.on.subject)
		c.life.connect(c.on.subject)
	case actDisconnect:
		m.say(c.life.worker, "disconnects account "+c.on.subject)
		c.life.disconnect(c.on)
	case actWithdraw:
		m.say(-1, "the person withdraws the consent of account "+c.on.subject)
		c.on.chain.ended = "withdrawn"
	case actRestore:
		m.say(-1, "the store is put back")
		m.restore(1 + rng(12))
	case actPass:
		m.pass(c.pass)
	}
	m.wait()
	m.watch()
}

// allGates are the calls that wait for the schedule in a seeded system. The
// steps of a flow before its commit concern nothing that the model looks at.
var allGates = map[string]bool{
	"ReadGrant": true, "ListAccounts": true, "CommitFlow": true, "ReleaseAccount": true, "ClaimGrant": true,
	"ClaimDueGrants": true, "RenewClaims": true, "MarkSent": true, "SettleGrant": true, "ClaimSubject": true,
}

// seededSetup is what a seed makes of a system.
func seededSetup(rng *rand.Rand, class connect.RotationClass) setup {
	some := func(n int) int { return max(rng.IntN(2*n+1)-n, 0) } // none, in half of all systems
	s := setup{
		class: class, declared: class, reach: connect.ReachToken, gates: allGates,
		skews: make([]time.Duration, 2+rng.IntN(2)), subjects: []string{"1"}, steps: 20 + rng.IntN(60),
		budget: map[action]int{
			actCrash: some(3), actFreeze: some(2), actFault: some(4),
			actReconnect: some(1), actDisconnect: some(1), actLie: some(1), actWithdraw: max(rng.IntN(10)-8, 0),
		},
	}
	if rng.IntN(3) == 0 {
		s.reach = connect.ReachSubject
	}
	if rng.IntN(3) == 0 { // up to ten minutes early or late
		for i := range s.skews {
			s.skews[i] = time.Duration(rng.IntN(1200)-600) * time.Second
		}
	}
	if rng.IntN(4) == 0 {
		s.subjects = append(s.subjects, "2")
	}
	return s
}

// runSeeded runs the system of a seed, in a bubble.
func (m *model) runSeeded(rng *rand.Rand) {
	for range m.steps {
		if m.wait(); m.broken != "" {
			return
		}
		all := m.choices()
		total := 0
		for _, c := range all {
			total += c.weight
		}
		left := rng.IntN(total)
		for _, c := range all {
			if left -= c.weight; left < 0 {
				m.do(c, rng.IntN)
				break
			}
		}
	}
	m.resolve()
	m.verdict()
}
