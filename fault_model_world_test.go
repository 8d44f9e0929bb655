package connect_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed944197df/connect"
)

// model is one system of the schedule search: some processes with the real
// engine, one store, one platform. Each call of a process beyond itself, to the
// store or the platform, waits until the schedule lets it happen, fail, or lose
// its answer. Between two steps every goroutine stands still, so that a
// schedule is an order of such calls, and of what befalls processes and
// accounts meanwhile.
//
// What must hold, whatever the schedule:
//
//	(1) No refresh token is presented twice, unless an answer was lost or a
//	    process died or stood still past its lease; under strict rotation only
//	    after the access token's end.
//	(2) The store has recorded each presentation before it is made.
//	(3) Under stable and grace rotation nothing is lost.
//	(4) Under strict rotation only that is lost whose answer was; its account is
//	    reauth_required, by an event. No account is active with a token that
//	    the platform refuses.
//	(5) Presenting a token again never ends an access token that is still good.
//	(6) The newest consent is the stored one; after a disconnect nothing comes
//	    back, and what came late is revoked.
//	(7) The generation of a grant never decreases.
//	(8) No goroutine is left.
type model struct {
	setup

	template *connect.Connector
	witness  *connect.Connector // reads what is stored, and never refreshes
	platform *modelPlatform
	accounts []*modelAccount
	lives    []*modelLife // the newest of each worker

	writing sync.Mutex // guards writes
	store   connect.Store
	writes  []modelWrite
	settled int        // how many writes restore leaves alone
	replays *time.Time // the store's clock while restore repeats what was written

	mu      sync.Mutex   // guards arrived, that store is replaced, and what modelLife says
	arrived []*modelCall // since the last step
	calls   []*modelCall // that wait

	lease    time.Duration // that the engine asks for
	restored bool
	step     int
	schedule []modelStep
	broken   string // the first invariant that does not hold
	lost     int    // accounts
	rescued  time.Time
}

// setup is what a system is made of.
type setup struct {
	class    connect.RotationClass
	declared connect.RotationClass // what the engine is told that it is
	reach    connect.Reach
	skews    []time.Duration // of the workers' clocks
	subjects []string
	steps    int
	budget   map[action]int // how often each misfortune may befall the system
	gates    map[string]bool
	logs     bool // writes, for restore
	breaks   func(*model, connect.Store) connect.Store
	lazy     bool // the provider's revocations do nothing
}

// modelAccount is what the schedule knows of an account.
type modelAccount struct {
	subject    string
	id, grant  string
	chain      *modelFamily // the newest consent that is stored
	gone       bool         // it was disconnected since
	generation int64
	tokens     oauth2.TokenSource // of the witness
}

// modelStep is one step of a schedule, for people.
type modelStep struct {
	at   time.Time
	who  int
	what string
	fate fate
}

// newModel connects the accounts. It must be called in a bubble.
func newModel(template *connect.Connector, s setup) *model {
	m := &model{setup: s, template: template, lives: make([]*modelLife, len(s.skews))}
	m.platform = &modelPlatform{class: s.class, reach: s.reach, pairs: map[string]*modelPair{}}
	m.store = m.newStore()
	observer := &modelLife{m: m, worker: -1}
	m.witness = connect.Process(template, &modelStore{life: observer}, func() time.Time { return time.Unix(0, 0) }, &modelProvider{observer})
	for worker := range s.skews {
		m.start(worker)
	}
	for _, subject := range s.subjects {
		m.accounts = append(m.accounts, &modelAccount{subject: subject})
		m.lives[0].connect(subject)
		m.drain()
	}
	m.settled = m.written()
	return m
}

func (m *model) violatef(format string, args ...any) {
	if m.broken == "" {
		m.broken = fmt.Sprintf("step %d: ", m.step) + fmt.Sprintf(format, args...)
	}
}

func (m *model) account(subject string) *modelAccount {
	i := slices.IndexFunc(m.accounts, func(a *modelAccount) bool { return a.subject == subject })
	return m.accounts[i]
}

func (m *model) accountOn(grantID string) *modelAccount {
	i := slices.IndexFunc(m.accounts, func(a *modelAccount) bool { return a.grant == grantID })
	return m.accounts[i]
}

// wait lets every process go on to its next call. It sees to those that gave
// up: their request was on its way.
func (m *model) wait() {
	synctest.Wait()
	m.mu.Lock()
	var gone []*modelCall
	m.calls = slices.DeleteFunc(append(m.calls, m.arrived...), func(c *modelCall) bool {
		if c.gone && !c.life.dead {
			gone = append(gone, c)
		}
		return c.gone || c.life.dead
	})
	m.arrived = nil
	m.mu.Unlock()
	slices.SortStableFunc(m.calls, func(a, b *modelCall) int {
		return cmp.Or(a.life.worker-b.life.worker, strings.Compare(a.name, b.name))
	})
	for _, c := range gone {
		m.say(c.life.worker, c.name+": gives up")
		switch c.name {
		case "request":
			c.slept = true // whether it is late or not, it never arrives
			c.run(fateVanishes)
		case "answer":
			c.run(fateUntold)
		}
	}
}

// serve lets a call happen, or not.
func (m *model) serve(call *modelCall, f fate) {
	m.note(call.life.worker, call.name, f)
	m.calls = slices.DeleteFunc(m.calls, func(c *modelCall) bool { return c == call })
	call.run(f)
	close(call.done)
	m.wait()
	m.watch()
}

// say notes a step that is no call.
func (m *model) say(who int, what string) { m.note(who, what, fateFine) }

func (m *model) note(who int, what string, f fate) {
	m.step++
	m.schedule = append(m.schedule, modelStep{time.Now(), who, what, f})
}

// drain lets everything happen that processes which do not stand still want,
// until they are done.
func (m *model) drain() {
	for range 2000 {
		m.wait()
		i := slices.IndexFunc(m.calls, func(c *modelCall) bool { return !c.life.frozen })
		switch {
		case m.broken != "":
			return
		case i >= 0:
			m.serve(m.calls[i], fateFine)
		case !m.busy():
			return
		default:
			pass(time.Second)
		}
	}
	m.violatef("the processes do not come to rest")
}

// busy reports whether a process that does not stand still is at something.
func (m *model) busy() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.calls, func(c *modelCall) bool { return !c.life.frozen }) ||
		slices.ContainsFunc(m.lives, func(l *modelLife) bool { return !l.dead && !l.frozen && len(l.tasks) > 0 })
}

// urgent reports whether a process that does not stand still must be let go on
// before time passes: it holds a claim, or the store has taken its time.
func (m *model) urgent() bool {
	return slices.ContainsFunc(m.calls, func(c *modelCall) bool {
		switch c.name {
		case "RenewClaims", "MarkSent", "SettleGrant":
			return !c.life.frozen
		case "login", "request", "answer", "revoke": // they have deadlines of their own
			return false
		default:
			return !c.life.frozen && time.Since(c.since) >= 20*time.Second
		}
	})
}

// end leaves nothing behind of a system that is broken. Of one that is not,
// nothing may be left anyway.
func (m *model) end() {
	if m.broken == "" {
		return
	}
	for _, l := range m.lives {
		if !l.dead {
			l.crash()
		}
	}
}

// String is the schedule as steps that a person can follow.
func (m *model) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "platform %s, clocks %v, accounts %v\n", m.platform.class, m.skews, m.subjects)
	for i, s := range m.schedule {
		who := "      "
		if s.who >= 0 {
			who = fmt.Sprintf("  w%d  ", s.who)
		}
		fmt.Fprintf(&b, "%4d  +%-12v%s%s%s\n", i+1, s.at.Sub(m.schedule[0].at).Round(time.Millisecond), who, s.what, fates[s.fate])
	}
	return b.String()
}
