package connect_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
)

// Nobody believes that an account works whose refreshes fail for days.
func TestFault13_FailuresAreTold(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  *connect.ProviderError
		wait time.Duration
	}{
		"client refused":       {&connect.ProviderError{Class: connect.ClassConfig, Status: http.StatusUnauthorized}, 5 * time.Minute},
		"503 with Retry-After": {&connect.ProviderError{Class: connect.ClassRetry, Status: http.StatusServiceUnavailable, RetryAfter: 30 * time.Minute}, 30 * time.Minute},
		"never left":           {&connect.ProviderError{Class: connect.ClassRetry}, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b := newBench(t, clock.Now)
			account := b.connect()
			for i := range 5 {
				clock.advance(fakeLife)
				b.fake.answer("refresh", refusing(tt.err))
				if _, err := b.token(b.engine, account); err == nil {
					t.Fatal("it works")
				}
				got := b.grant(account)
				if diff := cmp.Diff(clock.Now().Add(tt.wait), *got.DueAt); diff != "" || got.Failures != i+1 {
					t.Errorf("%d failures, due (-want +got):\n%s", got.Failures, diff)
				}
			}
			wantHealth(t, b.health(account, false), "error", "token false", "reconnect false", "refresh_failing: nobody")
		})
	}
}

// What waits behind a shut gate has not failed itself.
func TestFault12_WaitingIsTold(t *testing.T) {
	t.Parallel()
	clock := newClock()
	f := newFleet(t, clock.Now, 1, 2)
	f.crowd.fault = func(presentation) error { return &connect.ProviderError{Class: connect.ClassConfig, Status: 401} }
	clock.advance(fakeLife)
	if _, err := f.token(f.engine, f.accounts[0]); err == nil {
		t.Fatal("it works")
	}
	wantHealth(t, f.health(f.accounts[1], false), "error", "token false", "reconnect false", "refresh_failing: nobody")
}

// A refresh token that has ended is not presented: what is left is the access
// token, to its end.
func TestRefreshTokenThatHasEnded(t *testing.T) {
	t.Parallel()
	for _, class := range []connect.RotationClass{connect.RotationStable, connect.RotationStrict} {
		clock := newClock()
		b := newBench(t, clock.Now, withPlatform(func(p *connect.Platform) { p.Rotation.Class = class }))
		access, refresh := clock.Now().Add(60*day), clock.Now().Add(time.Hour)
		account := b.connectAs(func(tokens *connect.Tokens) { tokens.AccessExpiry, tokens.RefreshExpiry = &access, &refresh })
		clock.advance(time.Hour)
		b.round()
		b.wantToken(account, "access-first")
		if got := b.grant(account).DueAt; got == nil || !got.Equal(access) {
			t.Errorf("%s: due %v, want the end of the access token", class, got)
		}
		clock.advance(60 * day)
		b.round()
		if got := b.status(account); got != connect.AccountTokenExpired {
			t.Errorf("%s: the account is %s, want token_expired", class, got)
		}
		b.wantPresented()
	}
}
