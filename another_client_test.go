package connect_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
)

// otherClient is an engine on the bench's store that is configured with another
// client. Its platform is asked nothing, or the test fails.
func (b *bench) otherClient() *connect.Connector {
	b.t.Helper()
	other := newFake(b.t, b.config.Now)
	other.platform = b.fake.platform
	other.platform.Client.ID = "other-client"
	return b.another(func(c *connect.Config) { c.Providers = []connect.Provider{other} })
}

// A process with another client's id does nothing with the grants of the
// former, which the right process goes on with.
func TestAnotherClientRefreshesNothing(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	account, other := b.connect(), b.otherClient()
	clock.advance(fakeLife * 9 / 10)
	b.roundOf(other)
	if got := b.grant(account); got.Status != connect.GrantActive || got.Reason != connect.CodeClientMismatch || !got.DueAt.After(clock.Now()) {
		t.Errorf("the grant is %s (%s), due %v: want it active, and to wait", got.Status, got.Reason, got.DueAt)
	}
	h, err := other.Health(t.Context(), acmeKey, account.ID, connect.HealthRequest{})
	if err != nil {
		t.Fatal(err)
	}
	wantHealth(t, h, "warning", "token true", "reconnect false", "client_mismatch: host")
	clock.advance(fakeLife / 10)
	_, err = b.token(other, account)
	wantCode(t, err, connect.CodeClientMismatch)
	if h, err = other.Health(t.Context(), acmeKey, account.ID, connect.HealthRequest{}); err != nil {
		t.Fatal(err)
	}
	wantHealth(t, h, "error", "token false", "reconnect false", "client_mismatch: host")

	b.fake.answer("refresh", b.fake.tokens("second"))
	clock.advance(10 * time.Minute)
	b.round()
	b.wantToken(account, "access-second")
	if got := b.grant(account); got.Reason != "" || got.Failures != 0 {
		t.Errorf("the grant still has reason %q and %d failures", got.Reason, got.Failures)
	}
}

// Nor does it revoke anything: it would be the wrong client that asks, and the
// wrong people who are counted.
func TestThreat110_AnotherClient(t *testing.T) {
	t.Parallel()
	for _, reach := range []connect.Reach{connect.ReachToken, connect.ReachSubject} {
		clock := newClock()
		b := newBench(t, clock.Now, withPlatform(func(p *connect.Platform) { p.Revokes = reach }))
		account := b.connect()
		done, err := b.otherClient().Disconnect(t.Context(), acmeKey, account.ID)
		if err != nil || done.Revocation != connect.RevocationPending {
			t.Errorf("%s: %+v, %v: want it to be pending", reach, done, err)
		}
		b.fake.answer("revoke", succeeds)
		clock.advance(time.Hour)
		b.round()
		if got := b.grant(account); got.Reason != connect.Code(connect.RevocationRevoked) {
			t.Errorf("%s: the right client left the grant %s (%s)", reach, got.Status, got.Reason)
		}
	}
}

// A platform that hangs is asked no longer than the subject is claimed: after
// that somebody may connect an account of the same person.
func TestThreat110_TheSubjectIsHeldMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, time.Now, withPlatform(func(p *connect.Platform) { p.Revokes = connect.ReachSubject }))
		account := b.connect()
		var asked []time.Duration
		hang := func(ctx context.Context) (*connect.Tokens, error) {
			began := time.Now()
			<-ctx.Done()
			asked = append(asked, time.Since(began))
			return nil, &connect.ProviderError{Class: connect.ClassUncertain, Err: ctx.Err()}
		}
		b.fake.answer("revoke", hang) // while somebody waits
		b.fake.answer("revoke", hang) // for Run, which has more time
		if done, err := b.engine.Disconnect(t.Context(), acmeKey, account.ID); err != nil || done.Revocation != connect.RevocationPending {
			t.Errorf("%+v, %v: want it pending", done, err)
		}
		pass(10 * time.Minute)
		b.round()
		if diff := cmp.Diff([]time.Duration{20 * time.Second, 30 * time.Second}, asked); diff != "" {
			t.Errorf("the platform was asked for (-want +got):\n%s", diff)
		}
	})
}

// beforeClaim is a store that lets something happen before its next claim.
type beforeClaim struct {
	connect.Store

	then func()
}

// ClaimGrant implements [connect.GrantStore].
func (s *beforeClaim) ClaimGrant(ctx context.Context, key connect.GrantKey, attempt string, lease time.Duration) (connect.ClaimedGrant, error) {
	if then := s.then; then != nil {
		s.then = nil
		then()
	}
	return s.Store.ClaimGrant(ctx, key, attempt, lease)
}

// Who connects again while a disconnect is about to revoke keeps the new
// tokens: the grant is theirs again.
func TestThreat109_ConnectedAgainMeanwhile(t *testing.T) {
	t.Parallel()
	b := newBench(t, newClock().Now)
	account := b.connect()
	store := &beforeClaim{Store: b.config.Store, then: func() { b.connect() }}
	engine := b.another(func(c *connect.Config) { c.Store = store })
	done, err := engine.Disconnect(t.Context(), acmeKey, account.ID)
	if err != nil || done.Revocation != connect.RevocationKeptShared {
		t.Errorf("%+v, %v: want it kept", done, err)
	}
	if _, revoked, _ := b.fake.asked(); len(revoked) > 0 {
		t.Errorf("revoked %q, want nothing", revoked)
	}
	if got := b.grant(account).Status; got != connect.GrantActive {
		t.Errorf("the grant is %s, want active", got)
	}
}
