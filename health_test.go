package connect_test

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sandbox"
	"github.com/seed944197df/connect/tokencrypt"
)

const day = 24 * time.Hour

// withPlatform changes the description of a bench's fake.
func withPlatform(change func(*connect.Platform)) func(*connect.Config) {
	return func(c *connect.Config) {
		if f, ok := c.Providers[0].(*fake); ok {
			change(&f.platform)
		}
	}
}

// connectAs connects one account of acme whose tokens are changed first.
func (b *bench) connectAs(change func(*connect.Tokens)) connect.Account {
	b.t.Helper()
	b.fake.answer("login", func(ctx context.Context) (*connect.Tokens, error) {
		tokens, err := b.fake.tokens("first")(ctx)
		if change != nil {
			change(tokens)
		}
		return tokens, err
	})
	out, err := b.engine.ConnectCredentials(b.t.Context(), acmeKey, connect.CredentialsRequest{Platform: "fake"})
	if err != nil || len(out.Accounts) != 1 {
		b.t.Fatalf("outcome %+v, %v: want one account", out, err)
	}
	return out.Accounts[0]
}

// health is how the engine says that the account is.
func (b *bench) health(account connect.Account, live bool) *connect.Health {
	b.t.Helper()
	h, err := b.engine.Health(b.t.Context(), acmeKey, account.ID, connect.HealthRequest{Live: live})
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

// wantHealth compares what matters of an answer: "STATE [valid|invalid]
// [reconnect] REASON/WHO…".
func wantHealth(t *testing.T, h *connect.Health, want ...string) {
	t.Helper()
	got := []string{string(h.State), "token " + strconv.FormatBool(h.TokenValid), "reconnect " + strconv.FormatBool(h.NeedsReconnect)}
	for _, r := range h.Reasons {
		got = append(got, r.Code+": "+r.Who)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("health (-want +got):\n%s", diff)
	}
}

// setStatus gives the account a status, as Client or Run does.
func (b *bench) setStatus(account connect.Account, status connect.AccountStatus) {
	b.t.Helper()
	account.Status = status
	account.Version++
	if err := b.config.Store.WriteAccount(b.t.Context(), account, nil); err != nil {
		b.t.Fatal(err)
	}
}

func ending(expiry **time.Time, now time.Time, in time.Duration) {
	end := now.Add(in)
	*expiry = &end
}

func TestHealthOfStatus(t *testing.T) {
	t.Parallel()
	for status, want := range map[connect.AccountStatus][]string{
		connect.AccountActive:         {"healthy", "token true", "reconnect false"},
		connect.AccountLimited:        {"warning", "token true", "reconnect false", "scope_missing: user"},
		connect.AccountTokenExpired:   {"error", "token false", "reconnect true", "token_expired: user"},
		connect.AccountReauthRequired: {"error", "token false", "reconnect true", "reauth_required: user"},
		connect.AccountTargetLost:     {"error", "token true", "reconnect false", "target_lost: user"},
		connect.AccountSuspended:      {"error", "token true", "reconnect false", "suspended: platform"},
		connect.AccountDisconnected:   {"error", "token false", "reconnect false", "disconnected: nobody"},
	} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, newClock().Now)
			account := b.connectAs(nil)
			b.setStatus(account, status)
			wantHealth(t, b.health(account, false), want...)
		})
	}
}

// What is stored of the tokens tells what Client will do, and when it ends.
func TestHealthOfTokens(t *testing.T) {
	t.Parallel()
	stable := withPlatform(func(p *connect.Platform) { p.Rotation.Class = connect.RotationStable })
	sunset := func(in time.Duration) func(*connect.Config) {
		return withPlatform(func(p *connect.Platform) { p.Version = connect.Version{Name: "1", Sunset: time.Now().Add(in)} })
	}
	none := func(*connect.Config) {}
	tests := map[string]struct {
		change  func(*connect.Config)
		tokens  func(*connect.Tokens, time.Time)
		after   time.Duration
		breakIn time.Duration // from the connect; 0: not known
		want    []string
	}{
		"token over, refreshable": {
			none, nil, 2 * fakeLife, 0,
			[]string{"healthy", "token true", "reconnect false"},
		},
		"token ends in a month": {
			none, func(t *connect.Tokens, now time.Time) {
				t.Refresh = connect.Secret{}
				ending(&t.AccessExpiry, now, 30*day)
			}, 0, 30 * day,
			[]string{"healthy", "token true", "reconnect false"},
		},
		"token ends in a week": {
			none, func(t *connect.Tokens, now time.Time) {
				t.Refresh = connect.Secret{}
				ending(&t.AccessExpiry, now, 30*day)
			}, 23 * day, 30 * day,
			[]string{"warning", "token true", "reconnect false", "token_ending: user"},
		},
		"token over, and nobody has noticed": {
			none, func(t *connect.Tokens, _ time.Time) { t.Refresh = connect.Secret{} }, fakeLife, 0,
			[]string{"error", "token false", "reconnect true", "token_expired: user"},
		},
		"token of no known end": {
			none, func(t *connect.Tokens, _ time.Time) { t.Refresh = connect.Secret{}; t.AccessExpiry = nil }, 300 * day, 0,
			[]string{"healthy", "token true", "reconnect false"},
		},
		"token without end": {
			none, func(t *connect.Tokens, _ time.Time) { t.Refresh = connect.Secret{}; t.AccessExpiry = new(time.Time) }, 300 * day, 0,
			[]string{"healthy", "token true", "reconnect false"},
		},
		"refresh token that stays ends soon": {
			stable, func(t *connect.Tokens, now time.Time) { ending(&t.RefreshExpiry, now, 5*day) }, 0, 5 * day,
			[]string{"warning", "token true", "reconnect false", "token_ending: user"},
		},
		"refresh token that is replaced ends soon": {
			none, func(t *connect.Tokens, now time.Time) { ending(&t.RefreshExpiry, now, 5*day) }, 0, 0,
			[]string{"healthy", "token true", "reconnect false"},
		},
		"refresh token over": {
			none, func(t *connect.Tokens, now time.Time) { ending(&t.RefreshExpiry, now, fakeLife/2) }, fakeLife / 2, fakeLife,
			[]string{"warning", "token true", "reconnect false", "token_ending: user"},
		},
		"own token ends soon": {
			none, func(t *connect.Tokens, now time.Time) {
				t.Self.Access = tokencrypt.NewSecret("own")
				ending(&t.Self.AccessExpiry, now, day)
			}, 0, day,
			[]string{"warning", "token true", "reconnect false", "token_ending: user"},
		},
		"own token over": {
			none, func(t *connect.Tokens, now time.Time) {
				t.Self.Access = tokencrypt.NewSecret("own")
				ending(&t.Self.AccessExpiry, now, day)
			}, day, 0,
			[]string{"error", "token false", "reconnect true", "token_expired: user"},
		},
		"API version ends soon": {
			sunset(3 * day), nil, 0, 3 * day,
			[]string{"warning", "token true", "reconnect false", "version_ending: host"},
		},
		"API version is over": {
			sunset(-day), nil, 0, -day,
			[]string{"warning", "token true", "reconnect false", "version_ending: host"},
		},
		"API version ends next year": {
			sunset(300 * day), nil, 0, 300 * day,
			[]string{"healthy", "token true", "reconnect false"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			began := clock.Now()
			b := newBench(t, clock.Now, tt.change)
			account := b.connectAs(func(tokens *connect.Tokens) {
				if tt.tokens != nil {
					tt.tokens(tokens, began)
				}
			})
			clock.advance(tt.after)
			h := b.health(account, false)
			wantHealth(t, h, tt.want...)
			wantBreak(t, h, began, tt.breakIn)
		})
	}
}

// wantBreak allows a minute, since a sunset is not of the injected clock.
func wantBreak(t *testing.T, h *connect.Health, began time.Time, in time.Duration) {
	t.Helper()
	if (h.NextBreakAt == nil) != (in == 0) {
		t.Fatalf("the next break is at %v, want it in %v", h.NextBreakAt, in)
	}
	if in != 0 && h.NextBreakAt.Sub(began.Add(in)).Abs() > time.Minute {
		t.Errorf("the next break is at %v, want it in %v", h.NextBreakAt, in)
	}
}

// A refresh that does not come through is told, and is nobody's to mend.
func TestHealthOfRefresh(t *testing.T) {
	t.Parallel()
	failing := func(context.Context) (*connect.Tokens, error) {
		return nil, &connect.ProviderError{Class: connect.ClassRetry, Status: http.StatusServiceUnavailable}
	}
	tests := map[string]struct {
		answer fakeAnswer
		after  time.Duration // once it has failed
		want   []string
	}{
		"failing":             {failing, 0, []string{"warning", "token true", "reconnect false", "refresh_failing: nobody"}},
		"failing, token over": {failing, fakeLife, []string{"error", "token false", "reconnect false", "refresh_failing: nobody"}},
		"lost":                {fails(connect.ClassUncertain), 0, []string{"warning", "token true", "reconnect false", "refresh_uncertain: nobody"}},
		"lost, token over":    {fails(connect.ClassUncertain), fakeLife, []string{"error", "token false", "reconnect false", "refresh_uncertain: nobody"}},
		"succeeds":            {nil, 0, []string{"healthy", "token true", "reconnect false"}},
		"refused":             {fails(connect.ClassReconnect), 0, []string{"error", "token false", "reconnect true", "reauth_required: user"}},
		"suspended":           {fails(connect.ClassSuspended), 0, []string{"error", "token true", "reconnect false", "suspended: platform"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b := newBench(t, clock.Now)
			account := b.connectAs(nil)
			if tt.answer == nil {
				tt.answer = b.fake.tokens("second")
			}
			b.fake.answer("refresh", tt.answer)
			clock.advance(fakeLife * 9 / 10)
			_, _ = b.engine.Refresh(t.Context(), acmeKey, account.ID)
			clock.advance(tt.after)
			wantHealth(t, b.health(account, false), tt.want...)
		})
	}
}

func TestHealthWithoutKeys(t *testing.T) {
	t.Parallel()
	b := newBench(t, newClock().Now)
	account := b.connectAs(nil)
	b.engine = b.another(func(c *connect.Config) { c.Keys = newKeyring(t, "k2") })
	wantHealth(t, b.health(account, true), "error", "token false", "reconnect false", "keys_missing: host")
}

// What the platform says when it is asked shapes the answer and nothing else.
func TestHealthLive(t *testing.T) {
	t.Parallel()
	fewer := func(context.Context) (*connect.Tokens, error) {
		return &connect.Tokens{Subject: "1", Scopes: []string{"read"}}, nil
	}
	another := func(context.Context) (*connect.Tokens, error) { return &connect.Tokens{Subject: "2"}, nil }
	static := func(t *connect.Tokens) { t.Refresh = connect.Secret{}; t.AccessExpiry = nil }
	tests := map[string]struct {
		tokens  func(*connect.Tokens)
		answer  fakeAnswer
		checked bool
		want    []string
	}{
		"accepted":                   {nil, nil, true, []string{"healthy", "token true", "reconnect false"}},
		"over":                       {nil, fails(connect.ClassExpired), true, []string{"warning", "token false", "reconnect false", "token_refused: nobody"}},
		"refused":                    {nil, fails(connect.ClassReconnect), true, []string{"warning", "token false", "reconnect false", "token_refused: nobody"}},
		"over, not refreshable":      {static, fails(connect.ClassExpired), true, []string{"error", "token false", "reconnect true", "token_refused: user"}},
		"another's":                  {nil, another, true, []string{"error", "token false", "reconnect true", "identity_mismatch: user"}},
		"fewer scopes":               {nil, fewer, true, []string{"warning", "token true", "reconnect false", "scope_missing: user"}},
		"no right to ask":            {nil, fails(connect.ClassScopeMissing), true, []string{"warning", "token true", "reconnect false", "scope_missing: user"}},
		"target lost":                {nil, fails(connect.ClassTargetLost), true, []string{"error", "token true", "reconnect false", "target_lost: user"}},
		"suspended":                  {nil, fails(connect.ClassSuspended), true, []string{"error", "token true", "reconnect false", "suspended: platform"}},
		"the app is refused":         {nil, fails(connect.ClassConfig), true, []string{"warning", "token true", "reconnect false", "client_refused: host"}},
		"no answer":                  {nil, fails(connect.ClassRetry), false, []string{"healthy", "token true", "reconnect false"}},
		"the provider breaks":        {nil, func(context.Context) (*connect.Tokens, error) { panic("broken") }, false, []string{"healthy", "token true", "reconnect false"}},
		"no answer, not refreshable": {static, fails(connect.ClassUncertain), false, []string{"healthy", "token true", "reconnect false"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b := newBench(t, clock.Now, withPlatform(func(p *connect.Platform) { p.Kinds[0].Scopes = []string{"read", "write"} }))
			account := b.connectAs(func(tokens *connect.Tokens) {
				tokens.Scopes = []string{"read", "write"}
				if tt.tokens != nil {
					tt.tokens(tokens)
				}
			})
			if tt.answer == nil {
				tt.answer = b.fake.tokens("first")
			}
			connected := clock.Now()
			clock.advance(time.Minute)
			before, events := b.grant(account), b.events()
			b.fake.answer("identify", tt.answer)
			h := b.health(account, true)
			wantHealth(t, h, tt.want...)
			if want := map[bool]time.Time{true: clock.Now(), false: connected}[tt.checked]; !h.CheckedAt.Equal(want) {
				t.Errorf("checked at %v, want %v", h.CheckedAt, want)
			}
			if diff := cmp.Diff(before, b.grant(account)); diff != "" || b.status(account) != connect.AccountActive || len(b.events()) != len(events) {
				t.Errorf("status %s, grant (-before +after):\n%s", b.status(account), diff)
			}
			b.wantPresented()
		})
	}
}

func TestHealthHandler(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.browser(&alice).connected("x", nil, nil)[0]
	w.clock.advance(time.Minute)
	var got map[string]any
	w.program("acme").get("/connect/accounts/"+id+"/health").decode(t, http.StatusOK, &got)
	account := w.account(acmeKey, id)
	want := map[string]any{
		"account_id": id, "platform": "x", "health": "healthy", "token_valid": true, "needs_reconnect": false,
		"token_expires_at": account.TokenExpiry.Format(time.RFC3339Nano), "next_break_at": nil,
		"granted_scopes": got["granted_scopes"], "missing_scopes": []any{}, "reasons": []any{}, "recommendations": []any{},
		"checked_at": account.UpdatedAt.Format(time.RFC3339Nano),
	}
	if diff := cmp.Diff(want, got); diff != "" || len(account.Scopes) == 0 {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	for query, field := range map[string]string{"?probe=": "probe", "?probe=dead": "probe", "?live=1": "", "?probe=live&probe=live": ""} {
		var problem struct{ Code, Field string }
		w.program("acme").get("/connect/accounts/"+id+"/health"+query).decode(t, http.StatusBadRequest, &problem)
		if problem.Code != "invalid_request" || problem.Field != field {
			t.Errorf("%s: %+v", query, problem)
		}
	}
}

// Each platform is asked with the token that the account works with.
func TestHealthLiveOfPlatforms(t *testing.T) {
	t.Parallel()
	connects := map[string]func(w *world) string{
		"x":        func(w *world) string { return w.browser(&alice).connected("x", nil, nil)[0] },
		"facebook": func(w *world) string { return w.browser(&alice).connected("facebook", nil, as("single"))[0] },
		"bluesky": func(w *world) string {
			var out struct{ Accounts []struct{ ID string } }
			w.browser(&alice).call(http.MethodPost, "/connect/credentials/bluesky", credentials()).decode(w.t, http.StatusCreated, &out)
			return out.Accounts[0].ID
		},
	}
	for name, connecting := range connects {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := connecting(w)
			w.clock.advance(time.Minute)
			var got struct {
				Health     string
				TokenValid bool      `json:"token_valid"`
				CheckedAt  time.Time `json:"checked_at"`
				Reasons    []any
			}
			w.program("acme").get("/connect/accounts/"+id+"/health?probe=live").decode(t, http.StatusOK, &got)
			if got.Health != "healthy" || !got.TokenValid || !got.CheckedAt.Equal(w.clock.Now()) || len(got.Reasons) != 0 {
				t.Errorf("answer %+v", got)
			}
			w.clock.advance(time.Minute)
			w.fault(sandbox.Fault{Platform: name, Fault: "wrong_subject", At: "profile"})
			w.program("acme").get("/connect/accounts/"+id+"/health?probe=live").decode(t, http.StatusOK, &got)
			if name != "facebook" && got.TokenValid { // the sandbox changes no Page's id
				t.Errorf("another's token is said to be valid: %+v", got)
			}
			w.wantStatus(id, connect.AccountActive)
		})
	}
}
