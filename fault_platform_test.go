package connect_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/x"
)

var (
	errDown       = &connect.ProviderError{Class: connect.ClassRetry, Status: http.StatusServiceUnavailable}
	errRefused    = &connect.ProviderError{Class: connect.ClassReconnect, Status: http.StatusBadRequest, Code: "invalid_grant"}
	errAnswerLost = &connect.ProviderError{Class: connect.ClassUncertain}
	errUnsent     = &connect.ProviderError{Class: connect.ClassRetry}
)

// always is a fault that does not pass by itself.
func always(err error) func(presentation) error {
	return func(presentation) error { return err }
}

// once is a fault that meets each of the subjects, or all where none is named,
// one time.
func once(err error, subjects ...string) func(presentation) error {
	var mu sync.Mutex
	left := map[string]bool{}
	for _, subject := range subjects {
		left[subject] = true
	}
	return func(p presentation) error {
		mu.Lock()
		defer mu.Unlock()
		if !left[p.subject] {
			return nil
		}
		delete(left, p.subject)
		return err
	}
}

// withRotation makes the crowd rotate otherwise.
func withRotation(class connect.RotationClass, grace time.Duration) func(*crowd) {
	return func(c *crowd) { c.platform.Rotation = connect.Rotation{Class: class, Grace: grace} }
}

// Where rotation is strict, an answer that is lost costs the grant and a request
// that is lost does not. Either is known beforehand, and nothing is presented
// again while the access token works.
func TestFault10_LossesAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Now, 2, 300)
		f.crowd.lost = once(errAnswerLost, "acme0", "acme1", "acme2", "acme3", "acme4")
		f.crowd.fault = once(errAnswerLost, "acme5", "acme6", "acme7")
		over := time.Now().Add(fakeLife)
		pass(fakeLife * 69 / 100)
		f.run(fakeLife * 30 / 100)
		want := map[string]int{"active active 2": len(f.accounts) - 8, "uncertain active 1": 8}
		if diff := cmp.Diff(want, f.tally()); diff != "" {
			t.Errorf("accounts by state (-want +got):\n%s", diff)
		}
		f.wantOnce()
		f.run(time.Minute)
		want = map[string]int{"active active 2": len(f.accounts) - 5, "dead reauth_required 1": 5}
		if diff := cmp.Diff(want, f.tally()); diff != "" {
			t.Errorf("accounts by state (-want +got):\n%s", diff)
		}
		last := f.crowd.presentations()[300:]
		if len(last) != 8 || f.crowd.again() != 8 || f.crowd.alarms != 5 {
			t.Errorf("%d tokens were presented again, %d of them in vain: want 8 and 5", f.crowd.again(), f.crowd.alarms)
		}
		for _, p := range last {
			if p.at.Before(over) {
				t.Errorf("a token was presented again %v before the access token ended", over.Sub(p.at))
			}
		}
	})
}

// What provably did not leave is tried again at once, as if nothing had been.
func TestFault10_NothingWasSent(t *testing.T) {
	t.Parallel()
	clock := newClock()
	f := newFleet(t, clock.Now, 1, 1)
	f.crowd.fault = once(errUnsent, "acme0")
	clock.advance(fakeLife * 9 / 10)
	f.round()
	got := f.grant(f.accounts[0])
	if got.Status != connect.GrantActive || got.Presented != 0 || got.SentAt != nil {
		t.Errorf("the grant is %s, presented %d times: want it as it was", got.Status, got.Presented)
	}
	clock.advance(5 * time.Second)
	f.round()
	f.wantAll("active active 2")
}

// A platform that hangs holds up nobody else's accounts, and gets no more than
// sixteen requests of a process at once.
func TestFault11_OthersAreOnTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calm := &crowd{life: fakeLife, serials: map[string]int{}}
		f := newFleet(t, time.Now, 1, 0, answersIn(2*time.Minute))
		calm.fake = newFake(t, time.Now)
		calm.platform.Name = "calm"
		f.config.Providers = append(f.config.Providers, calm)
		f.engine = f.another(nil)
		f.engines = []*connect.Connector{f.engine}
		f.accounts = f.seed("acme", 300)
		others, err := connect.Seed(t.Context(), f.engine, "calm", "acme", f.crowd.all("acme", 300))
		if err != nil {
			t.Fatal(err)
		}
		due := map[string]time.Time{}
		for _, account := range others {
			due[account.PlatformID] = *f.grant(account).DueAt
		}
		pass(fakeLife * 69 / 100)
		f.run(fakeLife * 20 / 100)
		if got := len(calm.presentations()); got != len(others) {
			t.Errorf("%d refreshes at the other platform, want %d", got, len(others))
		}
		for _, p := range calm.presentations() {
			if late := p.at.Sub(due[p.subject]); late > 7*time.Second {
				t.Errorf("%s was refreshed %v after it was due", p.subject, late)
			}
		}
		if f.crowd.most > 16 || f.crowd.most < 8 || len(f.crowd.presentations()) > 16+16+25 {
			t.Errorf("the platform that hangs had %d requests, %d at once", len(f.crowd.presentations()), f.crowd.most)
		}
		if got := f.tally(); got["active active 1"]+got["uncertain active 1"] != len(f.accounts) {
			t.Errorf("accounts by state %v, want none to have ended", got)
		}
	})
}

// A platform that is down is asked by one request in a while, ends nobody's
// account, and gets everything done when it is up again.
func TestFault13_AnOutageEndsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Now, 2, 2000, answersIn(50*time.Millisecond))
		f.crowd.fault = always(errDown)
		pass(fakeLife * 9 / 10)
		f.run(30 * time.Minute) // well beyond the end of the access tokens
		f.wantAll("active active 1")
		asked := len(f.crowd.presentations())
		if most := 2 * (32 + 60); asked < 60 || asked > most {
			t.Errorf("%d requests, want one per process in 30 s, at most %d", asked, most)
		}
		f.crowd.fault = nil
		f.run(time.Minute)
		if got := f.tally()["active active 2"]; got < len(f.accounts)-32 { // what had failed waits a while
			t.Errorf("%d of %d are refreshed a minute later", got, len(f.accounts))
		}
	})
}

// What a platform asks for is honoured for all of its accounts, up to an hour.
// It costs none of them its status, and afterwards all are refreshed.
func TestFault12_RetryAfter(t *testing.T) {
	t.Parallel()
	began := newClock().Now()
	date := func(d time.Duration) string { return began.Add(d).Format(http.TimeFormat) }
	tests := map[string]struct {
		header string
		pause  time.Duration
	}{
		"seconds":     {"300", 5 * time.Minute},
		"date":        {date(fakeLife + 5*time.Minute), 5 * time.Minute},
		"little":      {"1", 30 * time.Second},
		"absurd":      {"99999999999", time.Hour},
		"no number":   {"soon", 30 * time.Second},
		"negative":    {"-300", 30 * time.Second},
		"in the past": {date(-time.Hour), 30 * time.Second},
		"none":        {"", 30 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := &clock{now: began}
			var asked atomic.Int64
			var open atomic.Bool
			f := newFleet(t, clock.Now, 1, 0)
			f.engine = f.another(limited(t, &asked, &open, tt.header))
			seed := func(life time.Duration, subjects string, n int) {
				t.Helper()
				f.crowd.life = life
				granted := f.crowd.all(subjects, n)
				for _, tokens := range granted {
					tokens.Scopes = x.New(x.Options{}).Platform().Methods[0].DefaultScopes
				}
				accounts, err := connect.Seed(t.Context(), f.engine, "x", "acme", granted)
				if err != nil {
					t.Fatal(err)
				}
				f.accounts = append(f.accounts, accounts...)
			}
			seed(fakeLife, "first", 1)
			clock.advance(fakeLife)
			f.round()
			seed(10*time.Second, "others", 20) // they are due in ten seconds
			var pause time.Duration
			for asked.Load() == 1 && pause < 2*time.Hour {
				clock.advance(5 * time.Second)
				pause += 5 * time.Second
				f.round()
				f.round()
			}
			if off := pause - tt.pause; off < 0 || off > 5*time.Second || asked.Load() != 2 {
				t.Errorf("%d requests after %v, want one more after %v", asked.Load()-1, pause, tt.pause)
			}
			f.wantAll("active active 1")
			open.Store(true)
			const again = 5 * time.Minute // those that were refused wait for some minutes of their own
			for wait := time.Duration(0); f.tally()["active active 2"] < len(f.accounts) && wait < tt.pause+again; wait += 5 * time.Second {
				clock.advance(5 * time.Second)
				f.round()
			}
			f.wantAll("active active 2")
			for _, kind := range f.events() {
				if kind != connect.EventAccountConnected {
					t.Errorf("event %s, want none but that they were connected", kind)
				}
			}
		})
	}
}

// limited makes X a server that wants to be left alone until it is open, and
// counts how often it is asked.
func limited(t *testing.T, asked *atomic.Int64, open *atomic.Bool, retryAfter string) func(*connect.Config) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if open.Load() {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"token_type":"bearer","expires_in":7200,"access_token":"next","refresh_token":"next"}`)
			return
		}
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	t.Cleanup(server.Close)
	return func(c *connect.Config) {
		c.Providers = []connect.Provider{x.New(x.Options{ClientID: "x-client", ClientSecret: connect.NewSecret(xSecret)})}
		c.UnsafeRewriteHost = server.URL
	}
}

// Where the refresh token stays the same, a single refusal may be the
// platform's mistake: it counts when it is repeated ten minutes later. Where it
// does not, it counts at once, and the token is not presented again.
func TestFault15_ASingleRefusal(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		class connect.RotationClass
		ended int
	}{
		"stable": {connect.RotationStable, 0},
		"strict": {connect.RotationStrict, 5},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, time.Now, 2, 500, withRotation(tt.class, 0))
				f.crowd.fault = once(errRefused, "acme0", "acme1", "acme2", "acme3", "acme4")
				pass(fakeLife)
				f.run(15 * time.Minute)
				got := f.tally()
				if got["active active 2"] != len(f.accounts)-tt.ended || got["dead reauth_required 1"] != tt.ended {
					t.Errorf("accounts by state %v, want %d to have ended", got, tt.ended)
				}
				last := map[string]time.Time{}
				for _, p := range f.crowd.presentations() {
					if at, ok := last[p.subject]; ok && p.at.Sub(at) < 10*time.Minute {
						t.Errorf("%s was asked again after %v", p.subject, p.at.Sub(at))
					}
					last[p.subject] = p.at
				}
				if again := f.crowd.again(); again != 5-tt.ended {
					t.Errorf("%d tokens were presented again, want %d", again, 5-tt.ended)
				}
			})
		})
	}
}

// A refresh that leaves an account with less is not silent, and one that gives
// it back neither.
func TestFault19_FewerScopes(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now, func(c *connect.Config) {
		f, _ := c.Providers[0].(*fake)
		f.platform.Kinds[0].Scopes = []string{"read", "write"}
	})
	granted := func(name string, scopes ...string) fakeAnswer {
		return func(ctx context.Context) (*connect.Tokens, error) {
			tokens, err := b.fake.tokens(name)(ctx)
			tokens.Scopes = scopes
			return tokens, err
		}
	}
	b.fake.answer("login", granted("first", "read", "write"))
	out, err := b.engine.ConnectCredentials(t.Context(), acmeKey, connect.CredentialsRequest{Platform: "fake"})
	if err != nil {
		t.Fatal(err)
	}
	account := out.Accounts[0]
	for _, step := range []struct {
		answer fakeAnswer
		want   connect.AccountStatus
		events int // in all, with the connection
	}{
		{granted("second", "read"), connect.AccountLimited, 2},
		{granted("third", "read"), connect.AccountLimited, 2},
		{granted("fourth"), connect.AccountLimited, 2}, // says nothing of them
		{granted("fifth", "write", "read"), connect.AccountActive, 3},
	} {
		clock.advance(fakeLife)
		b.fake.answer("refresh", step.answer)
		b.round()
		if got := b.status(account); got != step.want || len(b.events()) != step.events {
			t.Errorf("the account is %s after events %v, want %s", got, b.events(), step.want)
		}
	}
	if got := b.events(); got[1] != connect.EventAccountScopesChanged || got[2] != connect.EventAccountScopesChanged {
		t.Errorf("events %v, want the scopes to have changed twice", got)
	}
}

// A round with nothing to send leaves the one try that a shut gate grants to
// whoever has.
func TestFault12_AnIdleRoundTriesNothing(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	account := b.connect()
	clock.advance(fakeLife)
	b.fake.answer("refresh", refusing(&connect.ProviderError{Class: connect.ClassRetry, Status: http.StatusTooManyRequests}))
	if _, err := b.token(b.engine, account); err == nil {
		t.Fatal("the platform has answered 429")
	}
	clock.advance(31 * time.Second) // the gate grants a try, and the grant is not due yet
	b.round()
	b.fake.answer("refresh", b.fake.tokens("second"))
	b.wantToken(account, "access-second")
}

// The same scopes in another order are the same.
func TestFault19_ScopesInAnotherOrder(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	b.connectAs(func(tokens *connect.Tokens) { tokens.Scopes = []string{"read", "write"} })
	clock.advance(fakeLife)
	b.fake.answer("refresh", func(ctx context.Context) (*connect.Tokens, error) {
		tokens, err := b.fake.tokens("second")(ctx)
		tokens.Scopes = []string{"write", "read"}
		return tokens, err
	})
	b.round()
	if got := b.events(); len(got) != 1 {
		t.Errorf("events %v, want the connection only", got)
	}
}
