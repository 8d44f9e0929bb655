package connect_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/tokencrypt"
)

func TestRefreshNow(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	account := b.connectAs(nil)
	clock.advance(time.Minute)
	b.fake.answer("refresh", b.fake.tokens("second"))
	expiry := clock.Now().Add(fakeLife)
	for range 3 { // the others find a token that is new
		got, err := b.engine.Refresh(t.Context(), acmeKey, account.ID)
		if err != nil || !got.TokenExpiry.Equal(expiry) {
			t.Fatalf("account %+v, %v: want it with the new expiry", got, err)
		}
		clock.advance(3 * time.Second)
	}
	b.wantPresented("refresh-first")
	clock.advance(time.Second)
	b.fake.answer("refresh", b.fake.tokens("third"))
	if _, err := b.engine.Refresh(t.Context(), acmeKey, account.ID); err != nil {
		t.Fatal(err)
	}
	b.wantPresented("refresh-first", "refresh-second")
}

// A loop does not reach the platform, whatever the platform answers.
func TestRefreshNowIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, class := range []connect.ErrorClass{connect.ClassRetry, connect.ClassUncertain, connect.ClassSuspended} {
		t.Run(string(class), func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b := newBench(t, clock.Now)
			account := b.connectAs(nil)
			clock.advance(time.Minute)
			b.fake.answer("refresh", fails(class))
			if _, err := b.engine.Refresh(t.Context(), acmeKey, account.ID); err == nil {
				t.Fatal("a refresh that failed is no error")
			}
			_, err := b.engine.Refresh(t.Context(), acmeKey, account.ID)
			if e := errorOf(t, err); e.Code != connect.CodeRateLimited || e.RetryAfter != 10*time.Second {
				t.Errorf("error %v, wait %v", e, e.RetryAfter)
			}
			b.wantPresented("refresh-first")
		})
	}
}

func TestRefreshNowOfStatus(t *testing.T) {
	t.Parallel()
	for status, code := range map[connect.AccountStatus]connect.Code{
		connect.AccountActive:         "",
		connect.AccountLimited:        "",
		connect.AccountSuspended:      "",
		connect.AccountTokenExpired:   connect.CodeTokenExpired,
		connect.AccountReauthRequired: connect.CodeReauthRequired,
		connect.AccountTargetLost:     connect.CodeTargetLost,
		connect.AccountDisconnected:   connect.CodeDisconnected,
	} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b := newBench(t, clock.Now)
			account := b.connectAs(nil)
			b.setStatus(account, status)
			clock.advance(time.Minute)
			if code == "" {
				b.fake.answer("refresh", b.fake.tokens("second"))
			}
			_, err := b.engine.Refresh(t.Context(), acmeKey, account.ID)
			wantCode(t, err, code)
		})
	}
}

func TestRefreshNowUnsupported(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*connect.Tokens){
		"own token":        func(t *connect.Tokens) { t.Self.Access = tokencrypt.NewSecret("own") },
		"no refresh token": func(t *connect.Tokens) { t.Refresh = connect.Secret{} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b := newBench(t, clock.Now)
			account := b.connectAs(change)
			clock.advance(time.Minute)
			_, err := b.engine.Refresh(t.Context(), acmeKey, account.ID)
			wantCode(t, err, connect.CodeUnsupported)
			b.wantPresented()
		})
	}
}

func TestRefreshHandler(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.browser(&alice).connected("x", nil, nil)[0]
	w.clock.advance(time.Minute)
	var got struct {
		ID             string
		TokenExpiresAt time.Time `json:"token_expires_at"`
	}
	w.browser(&alice).call(http.MethodPost, "/connect/accounts/"+id+"/refresh", nil).decode(t, http.StatusOK, &got)
	if want := w.clock.Now().Add(xLife); got.ID != id || !got.TokenExpiresAt.Equal(want) {
		t.Errorf("answer %+v, want the expiry %v", got, want)
	}
	if code := w.browser(&alice).arrive("/connect/accounts/"+id+"/refresh").problem(t, http.StatusMethodNotAllowed); code != "method_not_allowed" {
		t.Errorf("GET: %s", code)
	}
	facebook := w.browser(&alice).connected("facebook", nil, as("single"))[0]
	if code := w.program("acme").call(http.MethodPost, "/connect/accounts/"+facebook+"/refresh", nil).problem(t, http.StatusUnprocessableEntity); code != "unsupported" {
		t.Errorf("Facebook: %s", code)
	}
}

// The host is asked about a refresh by its own name.
func TestRefreshNowIsAuthorized(t *testing.T) {
	t.Parallel()
	clock := newClock()
	var asked []connect.Action
	b := newBench(t, clock.Now)
	account := b.connectAs(nil)
	b.engine = b.another(func(c *connect.Config) {
		c.Authorize = func(_ context.Context, _ connect.Principal, a connect.Action) error {
			asked = append(asked, a)
			return connect.ErrUnauthenticated
		}
	})
	_, err := b.engine.Refresh(t.Context(), acmeKey, account.ID)
	wantCode(t, err, connect.CodeForbidden)
	_, err = b.engine.Health(t.Context(), acmeKey, account.ID, connect.HealthRequest{Live: true})
	wantCode(t, err, connect.CodeForbidden)
	want := []connect.Action{{Name: connect.ActionRefresh, Platform: "fake", AccountID: account.ID}, {Name: connect.ActionRead, AccountID: account.ID}}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
}
