package connect_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
	"github.com/seed944197df/connect/selection"
	"github.com/seed944197df/connect/tokencrypt"
)

const fakeLife = time.Hour // of the access tokens of a fake

// fake is a platform that answers what a test has scripted, and fails the test
// where it is asked for more or for less. It makes no call, so that it also
// works where time is synthetic.
type fake struct {
	t        *testing.T
	now      func() time.Time
	platform connect.Platform

	mu        sync.Mutex // guards what follows
	script    map[string][]fakeAnswer
	presented []string // the refresh tokens that were presented
	revoked   []string // the access tokens that were revoked
	exchanged int
}

// fakeAnswer is one answer to one call.
type fakeAnswer func(context.Context) (*connect.Tokens, error)

// newFake returns a platform with strict rotation, an app to consent to, and a
// form without fields.
func newFake(t *testing.T, now func() time.Time) *fake {
	t.Helper()
	f := &fake{t: t, now: now, script: map[string][]fakeAnswer{}, platform: connect.Platform{
		Name: "fake", DisplayName: "Fake", Client: connect.Client{ID: "fake-client"},
		Methods: []connect.Method{
			{ID: "oauth", Type: connect.MethodOAuth},
			{ID: "form", Type: connect.MethodCredentials},
		},
		Kinds:    []connect.Kind{{Name: "profile"}},
		Rotation: connect.Rotation{Class: connect.RotationStrict},
		Revokes:  connect.ReachToken,
		Hosts:    []string{"api.fake.test"},
	}}
	t.Cleanup(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for step, left := range f.script {
			if len(left) > 0 {
				t.Errorf("the fake was not asked for %d answers of %s", len(left), step)
			}
		}
	})
	return f
}

// answer scripts the next answers of a step: login, exchange, identify, refresh,
// revoke.
func (f *fake) answer(step string, answers ...fakeAnswer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script[step] = append(f.script[step], answers...)
}

func (f *fake) next(ctx context.Context, step string) (*connect.Tokens, error) {
	f.mu.Lock()
	if len(f.script[step]) == 0 {
		f.mu.Unlock()
		f.t.Errorf("the fake was asked for a %s that the test does not expect", step)
		return nil, &connect.ProviderError{Class: connect.ClassConfig, Code: "unexpected"}
	}
	answer := f.script[step][0]
	f.script[step] = f.script[step][1:]
	f.mu.Unlock()
	return answer(ctx)
}

// fakeTokens answers with the pair that is named so.
func (f *fake) tokens(name string) fakeAnswer {
	return func(context.Context) (*connect.Tokens, error) {
		expiry := f.now().Add(fakeLife)
		return &connect.Tokens{
			Subject: "1", AccessExpiry: &expiry,
			Access: tokencrypt.NewSecret("access-" + name), Refresh: tokencrypt.NewSecret("refresh-" + name),
			Self: &connect.Candidate{Candidate: selection.Candidate{Kind: "profile", PlatformID: "1", Name: "One"}},
		}, nil
	}
}

// fails answers with an error of a class.
func fails(class connect.ErrorClass) fakeAnswer {
	return func(context.Context) (*connect.Tokens, error) { return nil, &connect.ProviderError{Class: class} }
}

// refusing answers with an error of the platform.
func refusing(err *connect.ProviderError) fakeAnswer {
	return func(context.Context) (*connect.Tokens, error) { return nil, err }
}

// succeeds answers a revocation.
func succeeds(context.Context) (*connect.Tokens, error) { return nil, nil } //nolint:nilnil // a revocation returns no tokens

// held answers as answer does once release is closed, and says when it was
// asked. The answer does not care for its context: it is on its way.
func held(asked chan<- struct{}, release <-chan struct{}, answer fakeAnswer) fakeAnswer {
	return func(ctx context.Context) (*connect.Tokens, error) {
		close(asked)
		<-release
		return answer(ctx)
	}
}

// pass lets synthetic time go by.
func pass(d time.Duration) { <-time.After(d) }

// Platform implements [connect.Provider].
func (f *fake) Platform() connect.Platform { return f.platform }

// Begin implements [connect.OAuth].
func (f *fake) Begin(_ context.Context, _ connect.Env, req connect.AuthRequest) (connect.Authorization, error) {
	return connect.Authorization{URL: "https://fake.test/authorize?state=" + req.State}, nil
}

// Exchange implements [connect.OAuth].
func (f *fake) Exchange(ctx context.Context, _ connect.Env, _ connect.AuthResponse) (*connect.Tokens, error) {
	f.mu.Lock()
	f.exchanged++
	f.mu.Unlock()
	return f.next(ctx, "exchange")
}

// Login implements [connect.Credentials].
func (f *fake) Login(ctx context.Context, _ connect.Env, _ connect.LoginRequest) (*connect.Tokens, error) {
	return f.next(ctx, "login")
}

// Refresh implements [connect.Refresher].
func (f *fake) Refresh(ctx context.Context, _ connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
	f.mu.Lock()
	f.presented = append(f.presented, tokens.Refresh.Reveal())
	f.mu.Unlock()
	return f.next(ctx, "refresh")
}

// Identify implements [connect.Identifier].
func (f *fake) Identify(ctx context.Context, _ connect.Env, _ *connect.Tokens) (*connect.Tokens, error) {
	return f.next(ctx, "identify")
}

// Revoke implements [connect.Revoker].
func (f *fake) Revoke(ctx context.Context, _ connect.Env, tokens *connect.Tokens) error {
	f.mu.Lock()
	f.revoked = append(f.revoked, tokens.Access.Reveal())
	f.mu.Unlock()
	_, err := f.next(ctx, "revoke")
	return err
}

// asked returns what was presented, what was revoked, and how many codes were
// exchanged.
func (f *fake) asked() (presented, revoked []string, exchanged int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.presented...), append([]string(nil), f.revoked...), f.exchanged
}

// bench is an engine with a fake and without a network.
type bench struct {
	t      *testing.T
	fake   *fake
	engine *connect.Connector
	config connect.Config
}

// newBench connects nothing yet. now is the clock of everything; change may
// adjust the configuration.
func newBench(t *testing.T, now func() time.Time, change ...func(*connect.Config)) *bench {
	t.Helper()
	b := &bench{t: t, fake: newFake(t, now)}
	b.config = connect.Config{
		BaseURL:       "https://host.test/connect",
		Store:         memstore.New(&memstore.Options{Now: now}),
		Keys:          newKeyring(t, "k1"),
		Providers:     []connect.Provider{b.fake},
		Authenticate:  authenticate,
		ReturnOrigins: []string{"https://host.test"},
		Now:           now,
	}
	for _, c := range change {
		c(&b.config)
	}
	b.engine = b.another(nil)
	return b
}

// another returns a further engine on the same store and keys, as another
// process has it, or with a changed configuration.
func (b *bench) another(change func(*connect.Config)) *connect.Connector {
	b.t.Helper()
	config := b.config
	if change != nil {
		change(&config)
	}
	engine, err := connect.New(config)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := engine.Close(ctx); err != nil {
			b.t.Errorf("Close: %v", err)
		}
	})
	return engine
}

// connect connects one account of acme, whose tokens are named first.
func (b *bench) connect() connect.Account {
	b.t.Helper()
	b.fake.answer("login", b.fake.tokens("first"))
	out, err := b.engine.ConnectCredentials(b.t.Context(), acmeKey, connect.CredentialsRequest{Platform: "fake"})
	if err != nil || len(out.Accounts) != 1 {
		b.t.Fatalf("outcome %+v, %v: want one account", out, err)
	}
	return out.Accounts[0]
}

// callback starts a flow and answers its authorization request.
func (b *bench) callback() (flowID string, out *connect.Outcome, err error) {
	b.t.Helper()
	started, err := b.engine.Start(b.t.Context(), alice, connect.StartRequest{Platform: "fake"})
	if err != nil {
		b.t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(b.t.Context(), http.MethodGet, "/connect/callback/fake?code=c&state="+started.State, nil)
	r.AddCookie(&http.Cookie{Name: "session", Value: "acme/alice"})
	out, err = b.engine.Callback(r, "fake", "")
	return started.FlowID, out, err
}

// grant is the account's grant as the store has it.
func (b *bench) grant(account connect.Account) connect.Grant {
	b.t.Helper()
	grant, err := b.config.Store.ReadGrant(b.t.Context(), connect.GrantKey{Tenant: account.Tenant, ID: account.GrantID})
	if err != nil {
		b.t.Fatal(err)
	}
	return grant
}

// status is the account's status as the store has it.
func (b *bench) status(account connect.Account) connect.AccountStatus {
	b.t.Helper()
	stored, err := b.config.Store.ReadAccount(b.t.Context(), connect.AccountKey{Tenant: account.Tenant, ID: account.ID})
	if err != nil {
		b.t.Fatal(err)
	}
	return stored.Status
}

// token is the token that the account works with, by the given engine.
func (b *bench) token(engine *connect.Connector, account connect.Account) (string, error) {
	b.t.Helper()
	source, err := engine.TokenSource(b.t.Context(), account.Tenant, account.ID)
	if err != nil {
		return "", err
	}
	token, err := source.Token()
	if err != nil {
		return "", err
	}
	return token.AccessToken, nil
}

// wantToken fails where the account works with another token, or not at all.
func (b *bench) wantToken(account connect.Account, want string) {
	b.t.Helper()
	if got, err := b.token(b.engine, account); got != want || err != nil {
		b.t.Errorf("the token is %q (%v), want %q", got, err, want)
	}
}

// wantPresented fails where other refresh tokens were presented.
func (b *bench) wantPresented(want ...string) {
	b.t.Helper()
	presented, _, _ := b.fake.asked()
	if len(presented) != len(want) {
		b.t.Fatalf("presented %q, want %q", presented, want)
	}
	for i := range want {
		if presented[i] != want[i] {
			b.t.Errorf("presented %q, want %q", presented, want)
		}
	}
}

// events are the types of acme's events.
func (b *bench) events() []connect.EventType {
	b.t.Helper()
	var types []connect.EventType
	for _, e := range outbox(b.t, b.config.Store) {
		types = append(types, e.Type)
	}
	return types
}

// outbox holds acme's events, as the store has them.
func outbox(t *testing.T, store connect.Store) []connect.Event {
	t.Helper()
	events, _, err := store.ListEvents(t.Context(), acmeKey.Tenant, connect.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// round does one round of Run.
func (b *bench) round() { b.roundOf(b.engine) }

func (b *bench) roundOf(engine *connect.Connector) {
	b.t.Helper()
	(&world{t: b.t, engine: engine, config: b.config}).round()
}
