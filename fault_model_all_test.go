package connect_test

import (
	"slices"
	"testing"
	"time"

	"github.com/seed944197df/connect"
)

// enumeration walks through all schedules of a system, depth first: each run
// repeats the choices of the one before but for the last that has another way.
type enumeration struct {
	path, ways []int
	at         int
	odd        bool // a run did not repeat what it should have
}

func (e *enumeration) pick(n int) int {
	if e.at == len(e.path) {
		e.path, e.ways = append(e.path, 0), append(e.ways, n)
	}
	e.odd = e.odd || e.ways[e.at] != n
	e.at++
	return e.path[e.at-1]
}

// next prepares the next run, and reports whether there is one.
func (e *enumeration) next() bool {
	for last := len(e.path) - 1; last >= 0; last-- {
		if e.path[last]++; e.path[last] < e.ways[last] {
			e.at = 0
			return true
		}
		e.path, e.ways = e.path[:last], e.ways[:last]
	}
	return false
}

// runEnumerated runs one schedule of a system whose processes see to what is
// due, some times, and which do what else is asked of the second one meanwhile.
// The schedule decides which call comes next, and after each whether its
// process dies of it. A death later, while others go on, would be no other
// schedule: nobody can tell the difference.
func (m *model) runEnumerated(e *enumeration, periods int, meanwhile func(*modelLife)) {
	for period := range periods {
		m.toNext()
		for worker, l := range m.lives {
			if l.dead {
				l = m.start(worker)
			}
			l.round()
			if period == 0 && worker == 1 && meanwhile != nil {
				meanwhile(l)
			}
		}
		var last *modelLife
		for m.broken == "" {
			if m.wait(); len(m.calls) == 0 {
				if !m.busy() {
					break
				}
				pass(time.Second)
				continue
			}
			last = m.oneOf(e, last)
		}
	}
	m.resolve()
	m.verdict()
}

// toNext lets time go by up to where something is due.
func (m *model) toNext() {
	for range 3 {
		at, due, ok := m.next()
		if due || !ok {
			return
		}
		m.pass(time.Until(at))
	}
}

// oneOf lets one of the calls happen that wait, or the process die that had the
// last one. It returns whose turn it was.
func (m *model) oneOf(e *enumeration, last *modelLife) *modelLife {
	n := len(m.calls)
	mayDie := last != nil && m.budget[actCrash] > 0 && slices.ContainsFunc(m.calls, func(c *modelCall) bool { return c.life == last })
	if mayDie {
		n++
	}
	i := e.pick(n)
	if i < len(m.calls) {
		call := m.calls[i]
		m.serve(call, fateFine)
		return call.life
	}
	m.budget[actCrash]--
	m.say(last.worker, "dies")
	last.crash()
	return nil
}

// writeGates are the calls that wait for the schedule where all schedules are
// tried: what only reads sees what the call before it has left.
var writeGates = map[string]bool{
	"CommitFlow": true, "ReleaseAccount": true, "ClaimGrant": true, "ClaimDueGrants": true,
	"RenewClaims": true, "MarkSent": true, "SettleGrant": true, "ClaimSubject": true,
}

func TestFault50_Exhaustive(t *testing.T) {
	t.Parallel()
	template := modelTemplate(t)
	tests := map[string]struct {
		crashes, periods int
		meanwhile        func(*modelLife)
	}{
		"two crashes":              {2, 2, nil},
		"a use and a crash":        {1, 2, func(l *modelLife) { l.use(l.m.accounts[0]) }},
		"a reconnect and a crash":  {1, 1, func(l *modelLife) { l.connect(l.m.accounts[0].subject) }},
		"a disconnect and a crash": {1, 1, func(l *modelLife) { l.disconnect(l.m.accounts[0]) }},
	}
	for name, tt := range tests {
		for _, class := range modelClasses {
			t.Run(string(class)+"/"+name, func(t *testing.T) {
				t.Parallel()
				e := &enumeration{}
				schedules, lost := 0, 0
				for more := true; more; more = e.next() {
					m, problem := bubble(t, func() *model {
						m := newModel(template, setup{
							class: class, declared: class, reach: connect.ReachToken, skews: make([]time.Duration, 2),
							subjects: []string{"1"}, gates: writeGates, budget: map[action]int{actCrash: tt.crashes},
						})
						m.runEnumerated(e, tt.periods, tt.meanwhile)
						return m
					})
					if problem != "" || e.odd {
						t.Fatalf("schedule %v: %s (not repeatable: %t)\n%v", e.path, problem, e.odd, m)
					}
					schedules, lost = schedules+1, lost+m.lost
				}
				t.Logf("all of %d schedules, %d accounts lost and told", schedules, lost)
			})
		}
	}
}
