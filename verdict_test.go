package connect_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
	"github.com/seed944197df/connect/tokencrypt"
)

// judging is a fake that reads a class in the body of each answer.
type judging struct{ *fake }

// Classify implements [connect.Classifier].
func (judging) Classify(_ int, _ http.Header, body []byte) (connect.ErrorClass, bool) {
	return connect.ErrorClass(body), len(body) > 0
}

// What the platform's API says of an account becomes its status, where the
// status says who must act.
func TestClientHeedsTheAnswer(t *testing.T) {
	t.Parallel()
	own := func(t *connect.Tokens) { t.Self.Access = tokencrypt.NewSecret("own") }
	final := func(t *connect.Tokens) { t.Refresh = connect.Secret{} }
	tests := map[string]struct {
		class  connect.ErrorClass
		change func(*connect.Tokens)
		code   connect.Code // of the error; empty where the caller gets the answer
		status connect.AccountStatus
		event  connect.EventType
	}{
		"target lost":            {connect.ClassTargetLost, nil, connect.CodeTargetLost, connect.AccountTargetLost, connect.EventAccountUpdated},
		"own token refused":      {connect.ClassReconnect, own, connect.CodeReauthRequired, connect.AccountReauthRequired, connect.EventAccountReauthRequired},
		"suspended":              {connect.ClassSuspended, nil, connect.CodeSuspended, connect.AccountSuspended, connect.EventAccountUpdated},
		"suspended, own token":   {connect.ClassSuspended, own, connect.CodeSuspended, connect.AccountActive, ""},
		"suspended, no refresh":  {connect.ClassSuspended, final, connect.CodeSuspended, connect.AccountActive, ""},
		"a permission is missed": {connect.ClassScopeMissing, nil, "", connect.AccountLimited, connect.EventAccountUpdated},
		"the client is wrong":    {connect.ClassConfig, nil, "", connect.AccountActive, ""},
		"later":                  {connect.ClassRetry, nil, "", connect.AccountActive, ""},
		"nothing of the account": {"", nil, "", connect.AccountActive, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b := newBench(t, clock.Now, withAPI(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusForbidden)
				_, _ = w.Write([]byte(tt.class))
			})))
			account := b.connectAs(tt.change)
			if tt.code == connect.CodeTargetLost || tt.code == connect.CodeReauthRequired {
				b.fake.answer("identify", fails(tt.class)) // the engine's own question
			}
			engine := b.another(func(c *connect.Config) { c.Providers = []connect.Provider{judging{b.fake}} })
			ask := func() {
				client, err := engine.Client(t.Context(), "acme", account.ID)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := client.Get(fakeAPI)
				if err == nil {
					_ = resp.Body.Close()
				}
				wantCode(t, err, tt.code)
			}
			ask()
			if tt.code == "" {
				ask() // and is told of once
			}
			if err := engine.Close(t.Context()); err != nil { // waits for what it has begun
				t.Fatal(err)
			}
			want := []connect.EventType{connect.EventAccountConnected}
			if tt.event != "" {
				want = append(want, tt.event)
			}
			if diff := cmp.Diff(want, b.events()); diff != "" || b.status(account) != tt.status {
				t.Errorf("the account is %s, want %s; events (-want +got):\n%s", b.status(account), tt.status, diff)
			}
			if tt.status == connect.AccountSuspended {
				clock.advance(2 * fakeLife)
				b.fake.answer("refresh", b.fake.tokens("second"))
				b.round()
				if got := b.status(account); got != connect.AccountActive {
					t.Errorf("after a refresh the account is %s, want active", got)
				}
			}
		})
	}
}

// Why a grant has ended is in its reason, its event and its accounts' health.
func TestTheEndSaysWhy(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answers func(*fake) []fakeAnswer
		reason  connect.Code
		detail  string
	}{
		"refused": {
			func(*fake) []fakeAnswer { return []fakeAnswer{fails(connect.ClassReconnect)} },
			connect.CodeReauthRequired, "The platform has ended the consent.",
		},
		"refused after an answer was lost": {
			func(*fake) []fakeAnswer {
				return []fakeAnswer{fails(connect.ClassUncertain), fails(connect.ClassReconnect)}
			},
			"uncertain_refresh", "The answer to a refresh was lost, and the platform does not accept the token any more.",
		},
		"another's": {
			func(f *fake) []fakeAnswer {
				return []fakeAnswer{func(ctx context.Context) (*connect.Tokens, error) {
					tokens, err := f.tokens("other")(ctx)
					tokens.Subject = "2"
					return tokens, err
				}}
			},
			connect.CodeIdentityMismatch, "The platform says that the token is somebody else's.",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b := newBench(t, clock.Now)
			account := b.connect()
			answers := tt.answers(b.fake)
			b.fake.answer("refresh", answers...)
			for range answers {
				clock.advance(2 * fakeLife)
				b.round()
			}
			if got := b.grant(account); got.Status != connect.GrantDead || got.Reason != tt.reason {
				t.Errorf("the grant is %s, %s", got.Status, got.Reason)
			}
			events := outbox(t, b.config.Store)
			var data map[string]string
			if err := json.Unmarshal(events[len(events)-1].Data, &data); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(map[string]string{"status": "reauth_required", "reason": string(tt.reason)}, data); diff != "" {
				t.Errorf("data of the event (-want +got):\n%s", diff)
			}
			h := b.health(account, false)
			if len(h.Reasons) != 1 || h.Reasons[0].Detail != tt.detail || !h.NeedsReconnect || h.TokenValid {
				t.Errorf("health %+v, want %q", h, tt.detail)
			}
		})
	}
}

// The limit of refreshes holds though the store's clock is another.
func TestRefreshNowIsLimitedByOneClock(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now, func(c *connect.Config) {
		c.Store = memstore.New(&memstore.Options{Now: func() time.Time { return clock.Now().Add(time.Minute) }})
	})
	account := b.connectAs(nil)
	for range 2 {
		b.fake.answer("refresh", fails(connect.ClassRetry))
		clock.advance(time.Minute)
		_, err := b.engine.Refresh(t.Context(), acmeKey, account.ID)
		wantCode(t, err, connect.CodePlatformError)
		clock.advance(3 * time.Second)
		_, err = b.engine.Refresh(t.Context(), acmeKey, account.ID)
		if e := errorOf(t, err); e.Code != connect.CodeRateLimited || e.RetryAfter != 7*time.Second {
			t.Errorf("error %v, wait %v", e, e.RetryAfter)
		}
	}
	b.wantPresented("refresh-first", "refresh-first")
}
