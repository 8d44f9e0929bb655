package connect_test

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/x"
	"github.com/seed944197df/connect/sandbox"
	"github.com/seed944197df/connect/tokencrypt"
)

func TestFault14_ARefusalEndsTheGrant(t *testing.T) {
	t.Parallel()
	for name, p := range rotating {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := p.connect(w)
			before := w.grantOf(w.account(acmeKey, id))
			w.clock.advance(xLife)
			w.fault(sandbox.Fault{Platform: name, Fault: "invalid_grant", At: "refresh"})
			for range 3 {
				_, err := w.call("acme", id, p.target)
				wantCode(t, err, connect.CodeReauthRequired)
			}
			if got := p.refreshes(w); got != 1 {
				t.Errorf("%d refreshes, want 1", got)
			}
			w.wantStatus(id, connect.AccountReauthRequired)
			after := w.grantOf(w.account(acmeKey, id))
			if after.Status != connect.GrantDead || !bytes.Equal(after.Sealed, before.Sealed) {
				t.Errorf("the grant is %s, its tokens %d bytes: want it dead and whole", after.Status, len(after.Sealed))
			}
			want := []string{"account.connected " + id, "account.reauth_required " + id}
			if diff := cmp.Diff(want, w.events("acme")); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// What passes ends no account, and the next use works.
func TestFault13_AFailurePasses(t *testing.T) {
	t.Parallel()
	for name, p := range rotating {
		for _, fault := range []string{"500", "429", "html"} {
			t.Run(name+"/"+fault, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				id := p.connect(w)
				w.clock.advance(xLife)
				w.fault(sandbox.Fault{Platform: name, Fault: fault, At: "refresh"})
				if _, err := w.call("acme", id, p.target); err == nil || connect.CodeOf(err) == connect.CodeReauthRequired {
					t.Errorf("error %v, want one that passes", err)
				}
				w.wantStatus(id, connect.AccountActive)
				if fault == "429" {
					w.clock.advance(15 * time.Minute) // as it has asked for
				}
				w.wantCall(id, p.target)
				if got := p.refreshes(w); got != 2 {
					t.Errorf("%d refreshes, want 2", got)
				}
				if got := w.events("acme"); len(got) != 1 {
					t.Errorf("events %q, want the connection only", got)
				}
			})
		}
	}
}

func TestFault11_AHangPasses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, time.Now)
		account := b.connect()
		pass(fakeLife)
		b.fake.answer("refresh", func(ctx context.Context) (*connect.Tokens, error) {
			<-ctx.Done()
			return nil, &connect.ProviderError{Class: connect.ClassUncertain, Err: ctx.Err()}
		})
		asked := time.Now()
		_, err := b.token(b.engine, account)
		wantCode(t, err, connect.CodePlatformError)
		if waited := time.Since(asked); waited > 45*time.Second {
			t.Errorf("the caller waited %v", waited)
		}
		if got := b.status(account); got != connect.AccountActive {
			t.Errorf("the account is %s, want active", got)
		}
		b.fake.answer("refresh", b.fake.tokens("second"))
		b.wantToken(account, "access-second")
		b.wantPresented("refresh-first", "refresh-first")
	})
}

// X ends the grant of a refresh token that is presented twice, so it is not
// presented again while the access token still works.
func TestFault10_ALostAnswerOfStrictRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := rotating["x"].connect(w)
	w.clock.advance(105 * time.Minute) // due
	w.fault(sandbox.Fault{Platform: "x", Fault: "lost_answer", At: "refresh"})
	w.round()
	if got := w.grantOf(w.account(acmeKey, id)).Status; got != connect.GrantUncertain {
		t.Errorf("the grant is %s, want uncertain", got)
	}
	w.clock.advance(10 * time.Minute)
	w.round()
	w.round()
	w.wantCall(id, xMe)
	w.fault(sandbox.Fault{Platform: "x", Fault: "expired_token", At: "profile"})
	if status, err := w.call("acme", id, xMe); status != http.StatusUnauthorized || err != nil {
		t.Errorf("status %d, %v: want X's own answer", status, err)
	}
	w.wantCall(id, xMe)
	w.wantExchanges(2) // the code, and the refresh whose answer is lost
	w.wantStatus(id, connect.AccountActive)

	w.clock.advance(5 * time.Minute) // the access token is over: nothing is left to lose
	_, err := w.call("acme", id, xMe)
	wantCode(t, err, connect.CodeReauthRequired) // X had rotated it
	w.wantExchanges(3)
	w.wantStatus(id, connect.AccountReauthRequired)
}

// Where the platform had not rotated it, nothing is lost.
func TestFault10_ALostRequestOfStrictRotation(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	account := b.connect()
	clock.advance(fakeLife * 9 / 10)
	b.fake.answer("refresh", fails(connect.ClassUncertain))
	b.round()
	b.wantToken(account, "access-first")
	b.round()
	b.wantPresented("refresh-first")
	clock.advance(fakeLife / 10)
	b.fake.answer("refresh", b.fake.tokens("second"))
	b.round()
	b.wantPresented("refresh-first", "refresh-first")
	b.wantToken(account, "access-second")
}

// Bluesky's server answers the old token again, with the same successor.
func TestFault10_ALostAnswerOfGraceRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := rotating["bluesky"]
	id := p.connect(w)
	w.clock.advance(105 * time.Minute)
	w.fault(sandbox.Fault{Platform: "bluesky", Fault: "lost_answer", At: "refresh"})
	w.round()
	if got := w.grantOf(w.account(acmeKey, id)).Status; got != connect.GrantUncertain {
		t.Errorf("the grant is %s, want uncertain", got)
	}
	w.clock.advance(10 * time.Second) // nothing is due sooner, so that no platform can drive us
	w.round()
	if got := p.refreshes(w); got != 2 {
		t.Errorf("%d refreshes, want 2", got)
	}
	if got := w.grantOf(w.account(acmeKey, id)); got.Status != connect.GrantActive || got.Generation != 2 {
		t.Errorf("the grant is %s, generation %d: want active, 2", got.Status, got.Generation)
	}
	w.clock.advance(blueskyLife)
	w.wantCall(id, adaSession)
}

// A wrong client secret is the host's matter.
func TestRefusedClientTouchesNoAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := rotating["x"].connect(w)
	wrong := w.config
	wrong.Providers = []connect.Provider{x.New(x.Options{ClientID: "x-client", ClientSecret: tokencrypt.NewSecret("outdated")})}
	engine, err := connect.New(wrong)
	if err != nil {
		t.Fatal(err)
	}
	w.clock.advance(xLife)
	if _, err := engine.TokenSource(t.Context(), "acme", id); err == nil || connect.CodeOf(err) == connect.CodeReauthRequired {
		t.Errorf("error %v, want one for the host", err)
	}
	if got := strings.Count(w.logs.String(), "a client is refused by its platform"); got != 1 {
		t.Errorf("the host is told %d times, want once", got)
	}
	w.wantStatus(id, connect.AccountActive)
	w.wantCall(id, xMe) // with the right secret
	if got := w.events("acme"); len(got) != 1 {
		t.Errorf("events %q, want the connection only", got)
	}
}

func TestNoRefreshToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.browser(&alice).connected("x", url.Values{"scopes": {"tweet.read users.read"}}, nil)[0]
	w.clock.advance(xLife - time.Minute)
	w.wantCall(id, xMe)
	w.clock.advance(time.Minute)
	for range 2 {
		_, err := w.call("acme", id, xMe)
		wantCode(t, err, connect.CodeTokenExpired)
	}
	w.wantExchanges(1)
	w.wantStatus(id, connect.AccountTokenExpired)
	want := []string{"account.connected " + id, "account.token_expired " + id}
	if diff := cmp.Diff(want, w.events("acme")); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// An answer without a refresh token keeps the old one (RFC 6749 § 6).
func TestFault18_TheRefreshTokenIsKept(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	account := b.connect()
	b.fake.answer("refresh", func(ctx context.Context) (*connect.Tokens, error) {
		tokens, err := b.fake.tokens("second")(ctx)
		tokens.Refresh = connect.Secret{}
		return tokens, err
	}, b.fake.tokens("third"))
	clock.advance(fakeLife)
	b.wantToken(account, "access-second")
	clock.advance(fakeLife)
	b.wantToken(account, "access-third")
	b.wantPresented("refresh-first", "refresh-first")
}

func TestFault19_AnotherSubject(t *testing.T) {
	t.Parallel()
	t.Run("fake", func(t *testing.T) {
		t.Parallel()
		clock := newClock()
		b := newBench(t, clock.Now)
		account := b.connect()
		b.fake.answer("refresh", func(ctx context.Context) (*connect.Tokens, error) {
			tokens, err := b.fake.tokens("other")(ctx)
			tokens.Subject = "2"
			return tokens, err
		})
		clock.advance(fakeLife)
		if token, err := b.token(b.engine, account); err == nil {
			t.Errorf("the account works with %q, of somebody else", token)
		}
		if got := b.status(account); got != connect.AccountReauthRequired {
			t.Errorf("the account is %s, want reauth_required", got)
		}
		// What was issued is kept, to be given back with the account.
		if got := b.grant(account); got.Status != connect.GrantDead || got.Reason != connect.CodeIdentityMismatch || got.Generation != 2 {
			t.Errorf("the grant is %s, %s, generation %d", got.Status, got.Reason, got.Generation)
		}
	})
	t.Run("bluesky", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		id := w.ada().ID
		w.clock.advance(blueskyLife)
		w.fault(sandbox.Fault{Platform: "bluesky", Fault: "wrong_subject", At: "refresh"})
		if _, err := w.call("acme", id, adaSession); err == nil {
			t.Error("no error")
		}
		if got := w.grantOf(w.account(acmeKey, id)).Generation; got != 1 {
			t.Errorf("generation %d, want 1", got)
		}
		w.wantCall(id, adaSession)
	})
}

// A page of whatever stands before X may come after X has rotated the token.
func TestFault13_AGatewaysPageOfStrictRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := rotating["x"].connect(w)
	w.clock.advance(105 * time.Minute) // due
	w.fault(sandbox.Fault{Platform: "x", Fault: "500", At: "refresh"})
	w.round()
	if got := w.grantOf(w.account(acmeKey, id)).Status; got != connect.GrantUncertain {
		t.Errorf("the grant is %s, want uncertain", got)
	}
	w.clock.advance(10 * time.Minute)
	w.round()
	w.wantCall(id, xMe)
	w.wantExchanges(2) // the code, and the refresh that the page answered
	w.clock.advance(5 * time.Minute)
	w.wantCall(id, xMe) // X had not
	w.wantExchanges(3)
}
