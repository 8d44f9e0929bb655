package connect_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed944197df/connect"
)

// answersIn is a platform's latency.
func answersIn(d time.Duration) func(*crowd) {
	return func(c *crowd) { c.latency = func() time.Duration { return d } }
}

// Four processes find the same grants due at once.
func TestFault1_EachIsPresentedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Now, 4, 4000, answersIn(50*time.Millisecond))
		pass(fakeLife)
		f.run(time.Minute)
		if got := len(f.crowd.presentations()); got != len(f.accounts) {
			t.Errorf("%d refreshes, want %d", got, len(f.accounts))
		}
		f.wantOnce()
		f.wantAll("active active 2")
	})
}

// Ten thousand accounts that were connected within a minute are not refreshed
// all at once, and none is without a token meanwhile. A process asks its store
// every five seconds what is due, so that nothing is told of less.
func TestFault16_AHerdIsSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Now, 4, 0, answersIn(200*time.Millisecond))
		for range 50 {
			f.accounts = append(f.accounts, f.seed("acme"+time.Now().Format("0405"), 200)...)
			pass(1200 * time.Millisecond)
		}
		pass(fakeLife * 6 / 10)
		f.round()
		if got := len(f.crowd.presentations()); got != 0 {
			t.Errorf("%d refreshes after 60 %% of the tokens' life", got)
		}
		f.run(fakeLife * 3 / 10)
		f.wantAll("active active 2")
		f.wantOnce()
		came := f.crowd.presentations()
		mean := len(came) * int(5*time.Second) / int(fakeLife*15/100) // in 5 s, where they are due over 15 % of the life
		if most := peak(came, 5*time.Second); most > 3*mean {
			t.Errorf("%d refreshes within 5 s, want at most %d", most, 3*mean)
		}
		for _, p := range came {
			if since := p.at.Sub(came[0].at); since > fakeLife/4 {
				t.Fatalf("a refresh came %v after the first, so that its token was over", since)
			}
		}
	})
}

// Nobody waits behind another tenant's backlog.
func TestFault48_ASmallTenantIsServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Now, 1, 10_000, answersIn(500*time.Millisecond))
		pass(time.Minute)
		f.accounts = f.seed("small", 10)
		pass(fakeLife)
		f.run(30 * time.Second)
		f.wantAll("active active 2")
		served := 0
		for _, p := range f.crowd.presentations() {
			if strings.HasPrefix(p.subject, "acme") {
				served++
			}
		}
		if served < 100 {
			t.Errorf("%d of the large tenant are served meanwhile, want it to go on", served)
		}
	})
}

// However long the tokens live, they are refreshed about once in that time.
func TestFault17_OncePerLife(t *testing.T) {
	t.Parallel()
	const lives = 20
	for _, life := range []time.Duration{time.Minute, 2 * time.Hour, 60 * 24 * time.Hour} {
		t.Run(life.String(), func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			f := newFleet(t, clock.Now, 1, 1, func(c *crowd) { c.life = life })
			for range lives * 100 {
				clock.advance(life / 100)
				f.round()
				if got := f.grant(f.accounts[0]); !got.AccessExpiry.After(clock.Now()) {
					t.Fatal("the token was over before it was refreshed")
				}
			}
			if got := len(f.crowd.presentations()); got < lives || got > lives*3/2 {
				t.Errorf("%d refreshes in %d lives, want %d to %d", got, lives, lives, lives*3/2)
			}
		})
	}
}

// seedAt connects n accounts of a tenant, each at a server of its own choice.
func (f *fleet) seedAt(tenant string, n int, server func(i int) string, change func(*connect.Tokens)) []connect.Account {
	f.t.Helper()
	all := f.crowd.all(tenant, n)
	for i, tokens := range all {
		tokens.APIBaseURL = server(i)
		change(tokens)
	}
	accounts, err := connect.Seed(f.t.Context(), f.engine, "fake", tenant, all)
	if err != nil {
		f.t.Fatal(err)
	}
	return accounts
}

func asIssued(*connect.Tokens) {}

// A thousand accounts at one server of a customer's own are refreshed as fast as
// it answers four at once, and none is claimed twice for that.
func TestFault48_ManyAtOneServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		f := newFleet(t, time.Now, 1, 0, answersIn(150*time.Millisecond))
		f.engine = f.another(keepLedger(l))
		f.engines = []*connect.Connector{f.engine}
		f.accounts = f.seedAt("acme", 1000, func(int) string { return "https://pds.test" }, asIssued)
		pass(fakeLife * 9 / 10)
		before := len(l.since(0))
		f.run(2 * time.Minute)
		f.wantAll("active active 2")
		f.wantOnce()
		if f.crowd.most > 4 {
			t.Errorf("%d requests at once, want at most 4", f.crowd.most)
		}
		if wrote := len(l.since(before)); wrote > 1200 {
			t.Errorf("%d claims and settlements for 1000 refreshes", wrote)
		}
	})
}

// A customer whose servers hang holds up nobody else, however many there are,
// and though what they may have been sent comes first.
func TestFault48_ServersThatHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Now, 1, 0, withRotation(connect.RotationGrace, 2*time.Hour))
		f.crowd.hangs = "evil"
		due := map[string]time.Time{}
		for i := range 50 {
			tenant := fmt.Sprintf("tenant%d-", i)
			for _, account := range f.seedAt(tenant, 10, func(n int) string { return fmt.Sprintf("https://pds%d.test", n) }, asIssued) {
				due[account.PlatformID] = *f.grant(account).DueAt
			}
		}
		pass(40 * time.Minute)
		for i := range 2 {
			tenant := fmt.Sprintf("evil%d-", i)
			f.seedAt(tenant, 300, func(n int) string { return fmt.Sprintf("https://%s%d.test", tenant, n) }, func(tokens *connect.Tokens) {
				tokens.AccessExpiry = new(time.Time)
				*tokens.AccessExpiry = time.Now().Add(10 * time.Second)
			})
		}
		f.run(15 * time.Minute)
		for _, p := range f.crowd.presentations() {
			if at, ok := due[p.subject]; ok && p.at.Sub(at) > 15*time.Second {
				t.Fatalf("%s was refreshed %v after it was due", p.subject, p.at.Sub(at))
			}
			if at := due[p.subject]; at.Before(time.Now()) {
				delete(due, p.subject)
			}
		}
		if len(due) != 0 {
			t.Errorf("%d accounts of others were not refreshed", len(due))
		}
	})
}
