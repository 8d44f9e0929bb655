package connect_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/selection"
)

// crowd is a platform where many people have connected. It knows which refresh
// token of each is good, and ends the grant of one that comes again after it
// was rotated. It makes no call either.
type crowd struct {
	*fake

	life    time.Duration
	latency func() time.Duration     // how long an answer takes; nil: no time
	fault   func(presentation) error // instead of an answer, before anything has happened; nil: none
	hangs   string                   // whose requests never end: subjects that begin so; empty: nobody's
	lost    func(presentation) error // instead of an answer, after the token was rotated; nil: none

	crowdMu sync.Mutex // guards what follows
	serials map[string]int
	came    []presentation
	alarms  int // tokens that came again
	open    int // presentations that are not answered yet
	most    int // of them, at once
}

// presentation is a refresh that has reached the platform.
type presentation struct {
	subject string
	token   string
	at      time.Time
}

// issue returns the pair of a subject with a serial number, by the clock of
// whoever asks.
func (c *crowd) issue(now time.Time, subject string, serial int) *connect.Tokens {
	expiry := now.Add(c.life)
	name := subject + "-" + strconv.Itoa(serial)
	return &connect.Tokens{
		Subject: subject, AccessExpiry: &expiry,
		Access: connect.NewSecret("access-" + name), Refresh: connect.NewSecret("refresh-" + name),
		Self: &connect.Candidate{Candidate: selection.Candidate{Kind: "profile", PlatformID: subject, Name: subject}},
	}
}

// all returns the first pairs of n subjects, who are named after a tenant.
func (c *crowd) all(tenant string, n int) []*connect.Tokens {
	all := make([]*connect.Tokens, n)
	for i := range all {
		all[i] = c.issue(c.now(), tenant+strconv.Itoa(i), 0)
	}
	return all
}

// Refresh implements [connect.Refresher].
func (c *crowd) Refresh(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
	v := presentation{tokens.Subject, tokens.Refresh.Reveal(), c.now()}
	defer c.arrive(v)()
	if c.hangs != "" && strings.HasPrefix(v.subject, c.hangs) {
		<-ctx.Done()
		return nil, &connect.ProviderError{Class: connect.ClassUncertain, Err: ctx.Err()}
	}
	if c.latency != nil {
		select {
		case <-time.After(c.latency()):
		case <-ctx.Done():
			return nil, &connect.ProviderError{Class: connect.ClassUncertain, Err: ctx.Err()}
		}
	}
	if c.fault != nil {
		if err := c.fault(v); err != nil {
			return nil, err
		}
	}
	serial, err := c.rotate(v)
	if err == nil && c.lost != nil {
		err = c.lost(v)
	}
	if err != nil {
		return nil, err
	}
	return c.issue(env.Now(), v.subject, serial), nil
}

// arrive notes a presentation until leave is called.
func (c *crowd) arrive(v presentation) (leave func()) {
	c.crowdMu.Lock()
	defer c.crowdMu.Unlock()
	c.came = append(c.came, v)
	c.open++
	c.most = max(c.most, c.open)
	return func() {
		c.crowdMu.Lock()
		defer c.crowdMu.Unlock()
		c.open--
	}
}

// rotate answers with the serial number of the next pair.
func (c *crowd) rotate(v presentation) (int, error) {
	c.crowdMu.Lock()
	defer c.crowdMu.Unlock()
	serial := c.serials[v.subject]
	if v.token != "refresh-"+v.subject+"-"+strconv.Itoa(serial) {
		c.alarms++
		c.serials[v.subject] = -1 // none is good any more
		return 0, &connect.ProviderError{Class: connect.ClassReconnect, Status: 400, Code: "invalid_grant"}
	}
	if c.platform.Rotation.Class != connect.RotationStable {
		serial++
		c.serials[v.subject] = serial
	}
	return serial, nil
}

// presentations returns the refreshes that have come so far.
func (c *crowd) presentations() []presentation {
	c.crowdMu.Lock()
	defer c.crowdMu.Unlock()
	return append([]presentation(nil), c.came...)
}

// again counts the presentations of a token that had been presented before.
func (c *crowd) again() int {
	seen := map[string]bool{}
	n := 0
	for _, v := range c.presentations() {
		if seen[v.token] {
			n++
		}
		seen[v.token] = true
	}
	return n
}

// fleet is engines on one store, as many processes are, with accounts of acme
// at a crowd.
type fleet struct {
	*bench

	crowd    *crowd
	engines  []*connect.Connector
	accounts []connect.Account
}

// newFleet connects n accounts; change may adjust the platform.
func newFleet(t *testing.T, now func() time.Time, engines, n int, change ...func(*crowd)) *fleet {
	t.Helper()
	f := &fleet{crowd: &crowd{life: fakeLife, serials: map[string]int{}}}
	f.bench = newBench(t, now, func(c *connect.Config) {
		f.crowd.fake, _ = c.Providers[0].(*fake)
		for _, change := range change {
			change(f.crowd)
		}
		c.Providers = []connect.Provider{f.crowd}
	})
	f.engines = []*connect.Connector{f.engine}
	for range engines - 1 {
		f.engines = append(f.engines, f.another(nil))
	}
	f.accounts = f.seed("acme", n)
	return f
}

// seed connects n accounts of a tenant.
func (f *fleet) seed(tenant string, n int) []connect.Account {
	f.t.Helper()
	accounts, err := connect.Seed(f.t.Context(), f.engine, "fake", tenant, f.crowd.all(tenant, n))
	if err != nil {
		f.t.Fatal(err)
	}
	return accounts
}

// run lets all engines run for a while of synthetic time.
func (f *fleet) run(d time.Duration) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), d)
	defer cancel()
	var running sync.WaitGroup
	for _, engine := range f.engines {
		running.Go(func() { _ = engine.Run(ctx) })
	}
	running.Wait()
}

// tally counts the accounts by the status of their grant, their own, and the
// grant's generation: "active active 2".
func (f *fleet) tally() map[string]int {
	f.t.Helper()
	counts := map[string]int{}
	for _, account := range f.accounts {
		grant := f.grant(account)
		counts[fmt.Sprintf("%s %s %d", grant.Status, f.status(account), grant.Generation)]++
	}
	return counts
}

// wantAll fails where not every account is in the state that tally calls so.
func (f *fleet) wantAll(want string) {
	f.t.Helper()
	if got := f.tally(); got[want] != len(f.accounts) {
		f.t.Errorf("accounts by state %v, want all %d %s", got, len(f.accounts), want)
	}
}

// wantOnce fails where a token was presented twice, or a grant was ended.
func (f *fleet) wantOnce() {
	f.t.Helper()
	if again := f.crowd.again(); again != 0 || f.crowd.alarms != 0 {
		f.t.Errorf("%d tokens were presented again, %d of them after they were rotated: want none", again, f.crowd.alarms)
	}
}

// peak is the most presentations in any window of this length.
func peak(all []presentation, window time.Duration) int {
	counts, most := map[time.Duration]int{}, 0
	for _, p := range all {
		n := p.at.Sub(all[0].at) / window
		counts[n]++
		most = max(most, counts[n])
	}
	return most
}
