package connect_test

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/seed944197df/connect"
)

// Whoever asks again within a minute, or at the same time, gets the same
// answer; a new token is asked for anew.
func TestHealthKeepsAnswers(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	account := b.connectAs(nil)
	asked, release := make(chan struct{}), make(chan struct{})
	b.fake.answer("identify", held(asked, release, fails(connect.ClassExpired)))
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			if h := b.health(account, true); h.TokenValid {
				t.Error("a caller did not get the answer")
			}
		})
	}
	<-asked
	close(release)
	callers.Wait()
	clock.advance(59 * time.Second)
	b.health(account, true)

	b.fake.answer("refresh", b.fake.tokens("second"))
	if _, err := b.engine.Refresh(t.Context(), acmeKey, account.ID); err != nil {
		t.Fatal(err)
	}
	for range 2 { // asked for the new token, and again after a minute
		b.fake.answer("identify", b.fake.tokens("second"))
		for range 2 {
			wantHealth(t, b.health(account, true), "healthy", "token true", "reconnect false")
		}
		clock.advance(time.Minute)
	}
}

// A caller that gives up gets what is stored, and the answer is there for the
// next.
func TestHealthDoesNotHoldItsCaller(t *testing.T) {
	t.Parallel()
	b := newBench(t, newClock().Now)
	account := b.connectAs(nil)
	asked, release := make(chan struct{}), make(chan struct{})
	b.fake.answer("identify", held(asked, release, fails(connect.ClassExpired)))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	h, err := b.engine.Health(ctx, acmeKey, account.ID, connect.HealthRequest{Live: true})
	if err != nil || !h.TokenValid {
		t.Errorf("health %+v, %v: want what is stored", h, err)
	}
	close(release)
	if h := b.health(account, true); h.TokenValid {
		t.Error("the answer was lost")
	}
}

// The fake fails the test where it is asked at all.
func TestHealthAsksNobody(t *testing.T) {
	t.Parallel()
	tests := map[string]func(b *bench, clock *clock, account connect.Account){
		"not live": func(b *bench, _ *clock, account connect.Account) { b.health(account, false) },
		"does not work": func(b *bench, _ *clock, account connect.Account) {
			b.setStatus(account, connect.AccountReauthRequired)
			b.health(account, true)
		},
		"token over": func(b *bench, clock *clock, account connect.Account) {
			clock.advance(fakeLife)
			b.health(account, true)
		},
		"the gate is shut": func(b *bench, clock *clock, account connect.Account) {
			clock.advance(fakeLife / 2)
			b.fake.answer("refresh", fails(connect.ClassConfig))
			_, err := b.engine.Refresh(b.t.Context(), acmeKey, account.ID)
			wantCode(b.t, err, connect.CodePlatformError)
			b.health(account, true)
		},
	}
	for name, do := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b := newBench(t, clock.Now)
			do(b, clock, b.connectAs(nil))
		})
	}
}

// pollable is a fake that answers so many questions in 15 minutes.
type pollable struct {
	*fake

	mu      sync.Mutex // guards what follows
	asked   []time.Time
	refused int
}

const (
	pollRate   = 200
	pollWindow = 15 * time.Minute
)

// Identify implements [connect.Identifier].
func (p *pollable) Identify(_ context.Context, _ connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.asked = slices.DeleteFunc(p.asked, func(at time.Time) bool { return now.Sub(at) >= pollWindow })
	if p.asked = append(p.asked, now); len(p.asked) > pollRate {
		p.refused++
		return nil, &connect.ProviderError{Class: connect.ClassRetry, Status: http.StatusTooManyRequests}
	}
	return &connect.Tokens{Subject: tokens.Subject}, nil
}

// connectMany connects n accounts of acme, each of another person.
func (b *bench) connectMany(n int) []connect.Account {
	b.t.Helper()
	accounts := make([]connect.Account, n)
	for i := range accounts {
		id := strconv.Itoa(i)
		b.fake.answer("login", func(ctx context.Context) (*connect.Tokens, error) {
			tokens, err := b.fake.tokens(id)(ctx)
			tokens.Subject, tokens.Self.PlatformID, tokens.AccessExpiry = id, id, nil
			return tokens, err
		})
		out, err := b.engine.ConnectCredentials(b.t.Context(), acmeKey, connect.CredentialsRequest{Platform: "fake", User: "user-" + id})
		if err != nil {
			b.t.Fatal(err)
		}
		accounts[i] = out.Accounts[0]
	}
	return accounts
}

// TestFault46_ProbesStayWithinTheBudget: however many ask, for however long,
// the platform never has to say no, and no account is worse for it. All are
// asked for at once, then a tenth of them every 11 seconds for 18 minutes.
func TestFault46_ProbesStayWithinTheBudget(t *testing.T) {
	t.Parallel()
	const accounts, rounds, callers, part = 2000, 100, 50, 200
	clock := newClock()
	platform := &pollable{}
	b := newBench(t, clock.Now, func(c *connect.Config) {
		platform.fake, _ = c.Providers[0].(*fake)
		c.Providers[0] = platform
	})
	all := b.connectMany(accounts)
	clock.advance(time.Second)
	before := len(b.events())
	fresh := b.storm(all, clock.Now(), callers)
	for round := range rounds {
		clock.advance(11 * time.Second)
		from := round * part % accounts
		fresh += b.storm(all[from:from+part], clock.Now(), callers)
	}
	if platform.refused != 0 || fresh == 0 || len(platform.asked) < pollRate/3 {
		t.Errorf("%d answers 429, %d fresh answers, %d questions in the last 15 minutes", platform.refused, fresh, len(platform.asked))
	}
	for _, account := range all {
		if got := b.status(account); got != connect.AccountActive {
			t.Fatalf("an account is %s", got)
		}
	}
	if got := len(b.events()); got != before {
		t.Errorf("%d events, want %d as before", got, before)
	}
}

// storm asks live for all, by so many callers at once. It returns how many
// answers are of now.
func (b *bench) storm(all []connect.Account, now time.Time, callers int) int {
	b.t.Helper()
	var group sync.WaitGroup
	fresh := make([]int, callers)
	for i, part := range slices.Collect(slices.Chunk(all, len(all)/callers)) {
		group.Go(func() {
			for _, account := range part {
				if h := b.health(account, true); h.CheckedAt.Equal(now) {
					fresh[i]++
				}
			}
		})
	}
	group.Wait()
	total := 0
	for _, n := range fresh {
		total += n
	}
	return total
}

// A platform that asks to be left alone is, and refreshes go on.
func TestFault46_ProbesPause(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	all := b.connectMany(4)
	b.fake.answer("identify", func(context.Context) (*connect.Tokens, error) {
		return nil, &connect.ProviderError{Class: connect.ClassRetry, Status: http.StatusTooManyRequests, RetryAfter: 5 * time.Minute}
	})
	b.health(all[0], true)
	b.health(all[1], true)
	clock.advance(4 * time.Minute)
	b.health(all[2], true)
	b.fake.answer("refresh", b.fake.tokens("second"))
	if _, err := b.engine.Refresh(t.Context(), acmeKey, all[3].ID); connect.CodeOf(err) == connect.CodeUnavailable {
		t.Errorf("a probe keeps a refresh away: %v", err)
	}
	clock.advance(2 * time.Minute)
	b.fake.answer("identify", b.fake.tokens("2"))
	b.health(all[2], true)
}

// One server's wish to be left alone is not that of another.
func TestFault46_APauseIsOneServers(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	at := func(server, subject string) connect.Account {
		return b.connectAs(func(tokens *connect.Tokens) {
			tokens.APIBaseURL, tokens.Subject, tokens.Self.PlatformID = server, subject, subject
		})
	}
	busy, calm := at("https://busy.test", "2"), at("https://calm.test", "3")
	b.fake.answer("identify", refusing(&connect.ProviderError{Class: connect.ClassRetry, Status: http.StatusTooManyRequests, RetryAfter: time.Hour}))
	b.health(busy, true)
	clock.advance(2 * time.Minute)
	b.health(busy, true) // asks nobody
	b.fake.answer("identify", b.fake.tokens("first"))
	b.health(calm, true)
}
