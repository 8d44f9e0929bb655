package connect_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/bluesky"
	"github.com/seed944197df/connect/providers/facebook"
	"github.com/seed944197df/connect/selection"
	"github.com/seed944197df/connect/tokencrypt"
)

// elsewhere are tokens as another system had them, with lies about whose they
// are.
func elsewhere(now time.Time) connect.Tokens {
	expiry := now.Add(fakeLife)
	return connect.Tokens{
		Subject: "lie", Access: tokencrypt.NewSecret("access-old"), Refresh: tokencrypt.NewSecret("refresh-old"), AccessExpiry: &expiry,
		Scopes: []string{"read"}, Hosts: []string{"evil.test"}, APIBaseURL: "https://evil.test",
		Self: &connect.Candidate{Candidate: selection.Candidate{Kind: "profile", PlatformID: "lie", Name: "Lie"}},
	}
}

// says answers whose tokens are.
func says(said connect.Tokens) fakeAnswer {
	return func(context.Context) (*connect.Tokens, error) { return &said, nil }
}

// one says that they are the first person's.
func one() connect.Tokens {
	return connect.Tokens{Subject: "1", Self: &connect.Candidate{Candidate: selection.Candidate{Kind: "profile", PlatformID: "1", Name: "One"}}}
}

func (b *bench) imports(req connect.ImportRequest) (*connect.Outcome, error) {
	b.t.Helper()
	req.Platform = "fake"
	return b.engine.Import(b.t.Context(), acmeKey, req)
}

// Whose the tokens are, and where they go, is the platform's word.
func TestImport(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now, withPlatform(func(p *connect.Platform) { p.APIBaseURL = "https://api.fake.test/1" }))
	b.fake.answer("identify", says(one()))
	out, err := b.imports(connect.ImportRequest{Tokens: elsewhere(clock.Now()), User: "alice", Metadata: json.RawMessage(`{"row":7}`)})
	if err != nil || out.Status != connect.OutcomeConnected || len(out.Accounts) != 1 {
		t.Fatalf("outcome %+v, %v: want one account", out, err)
	}
	account := out.Accounts[0]
	got := connect.Account{PlatformID: account.PlatformID, Name: account.Name, Status: account.Status, Scopes: account.Scopes, APIBaseURL: account.APIBaseURL, ConnectedBy: account.ConnectedBy, Metadata: account.Metadata}
	want := connect.Account{PlatformID: "1", Name: "One", Status: connect.AccountActive, Scopes: []string{"read"}, APIBaseURL: "https://api.fake.test/1", ConnectedBy: "alice", Metadata: []byte(`{"row":7}`)}
	if diff := cmp.Diff(want, got); diff != "" || b.grant(account).Subject != "1" {
		t.Errorf("account (-want +got):\n%s", diff)
	}
	client, err := b.engine.Client(t.Context(), "acme", account.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Get("https://evil.test/")
	wantCode(t, err, connect.CodeForbidden)

	b.wantToken(account, "access-old")
	b.fake.answer("refresh", b.fake.tokens("new"))
	clock.advance(fakeLife)
	b.wantToken(account, "access-new")
	b.wantPresented("refresh-old")
}

// What the platform tells of scopes counts, else what the host says.
func TestImportScopes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		told, given []string
		code        connect.Code
		status      connect.AccountStatus
	}{
		"told":               {[]string{"base", "post"}, nil, "", connect.AccountActive},
		"told, against host": {[]string{"base"}, []string{"base", "post"}, "", connect.AccountLimited},
		"told: none":         {[]string{}, []string{"base", "post"}, connect.CodeScopeMissing, ""},
		"given":              {nil, []string{"base", "post"}, "", connect.AccountActive},
		"unknown":            {nil, nil, connect.CodeScopeMissing, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b := newBench(t, clock.Now, withPlatform(func(p *connect.Platform) {
				p.Methods[0].DefaultScopes, p.Methods[0].RequiredScopes = []string{"base", "post"}, []string{"base"}
				p.Kinds[0].Scopes = []string{"post"}
			}))
			said, tokens := one(), elsewhere(clock.Now())
			said.Scopes, tokens.Scopes = tt.told, tt.given
			b.fake.answer("identify", says(said))
			out, err := b.imports(connect.ImportRequest{Tokens: tokens})
			wantCode(t, err, tt.code)
			if err == nil && out.Accounts[0].Status != tt.status {
				t.Errorf("the account is %s, want %s", out.Accounts[0].Status, tt.status)
			}
		})
	}
}

// TestImportFails: what cannot be connected is left as it is, and the host's
// tokens are never revoked. The fake fails the test where it is asked to.
func TestImportFails(t *testing.T) {
	t.Parallel()
	two := one()
	two.Subject, two.Self = "2", &connect.Candidate{Candidate: selection.Candidate{Kind: "profile", PlatformID: "2", Name: "Two"}}
	tests := map[string]struct {
		answer fakeAnswer
		change func(*connect.ImportRequest)
		code   connect.Code
	}{
		"token over":        {fails(connect.ClassExpired), nil, connect.CodeCredentialsRefused},
		"token dead":        {fails(connect.ClassReconnect), nil, connect.CodeCredentialsRefused},
		"token refused":     {fails(connect.ClassRefused), nil, connect.CodeCredentialsRefused},
		"no answer":         {fails(connect.ClassRetry), nil, connect.CodePlatformError},
		"app refused":       {fails(connect.ClassConfig), nil, connect.CodePlatformError},
		"nobody":            {says(connect.Tokens{Self: one().Self}), nil, connect.CodePlatformError},
		"nothing to choose": {says(connect.Tokens{Subject: "1"}), nil, connect.CodePlatformError},
		"another person":    {says(two), nil, connect.CodeIdentityMismatch},
		"no access token":   {nil, func(r *connect.ImportRequest) { r.Tokens.Access = connect.Secret{} }, connect.CodeInvalidRequest},
		"long token":        {nil, func(r *connect.ImportRequest) { r.Tokens.Refresh = tokencrypt.NewSecret(string(make([]byte, 17<<10))) }, connect.CodeInvalidRequest},
		"no scope":          {nil, func(r *connect.ImportRequest) { r.Tokens.Scopes = []string{"a b"} }, connect.CodeInvalidRequest},
		"unknown method":    {nil, func(r *connect.ImportRequest) { r.Method = "none" }, connect.CodeUnsupported},
		"unknown kind":      {nil, func(r *connect.ImportRequest) { r.Kind = "none" }, connect.CodeInvalidRequest},
		"bad metadata":      {nil, func(r *connect.ImportRequest) { r.Metadata = json.RawMessage(`[]`) }, connect.CodeInvalidRequest},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b := newBench(t, clock.Now)
			account := b.connectAs(nil)
			b.setStatus(account, connect.AccountReauthRequired)
			before := b.grant(account)
			req := connect.ImportRequest{Tokens: elsewhere(clock.Now()), AccountID: account.ID}
			if tt.change != nil {
				tt.change(&req)
			}
			if tt.answer != nil {
				b.fake.answer("identify", tt.answer)
			}
			_, err := b.imports(req)
			wantCode(t, err, tt.code)
			if diff := cmp.Diff(before, b.grant(account)); diff != "" || b.status(account) != connect.AccountReauthRequired {
				t.Errorf("status %s, grant (-before +after):\n%s", b.status(account), diff)
			}
			b.close()
			if _, revoked, _ := b.fake.asked(); len(revoked) != 0 {
				t.Errorf("revoked: %q", revoked)
			}
		})
	}
}

// close waits for what outlasts its request.
func (b *bench) close() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	if err := b.engine.Close(ctx); err != nil {
		b.t.Fatal(err)
	}
}

// A script that runs twice must not put the tokens that were imported first in
// the place of those that they became since.
func TestImportTwice(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	tokens := elsewhere(clock.Now())
	b.fake.answer("identify", says(one()))
	out, err := b.imports(connect.ImportRequest{Tokens: tokens})
	if err != nil {
		t.Fatal(err)
	}
	account := out.Accounts[0]
	clock.advance(fakeLife)
	b.fake.answer("refresh", b.fake.tokens("new"))
	b.wantToken(account, "access-new")
	for _, id := range []string{"", account.ID} {
		b.fake.answer("identify", says(one()))
		_, err = b.imports(connect.ImportRequest{Tokens: tokens, AccountID: id})
		wantCode(t, err, connect.CodeConflict)
	}
	if got := b.events(); !slices.Equal(got[len(got)-2:], []connect.EventType{connect.EventFlowFailed, connect.EventFlowFailed}) {
		t.Errorf("events %v, want both flows to have ended", got)
	}
	b.wantToken(account, "access-new")
}

// A grant that is over may be brought back by tokens that live.
func TestImportRevives(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	account := b.connectAs(nil)
	clock.advance(fakeLife)
	b.fake.answer("refresh", fails(connect.ClassReconnect))
	_, err := b.token(b.engine, account)
	wantCode(t, err, connect.CodeReauthRequired)
	b.fake.answer("identify", says(one()))
	out, err := b.imports(connect.ImportRequest{Tokens: elsewhere(clock.Now()), AccountID: account.ID})
	if err != nil || len(out.Accounts) != 1 || out.Accounts[0].ID != account.ID {
		t.Fatalf("outcome %+v, %v: want the account", out, err)
	}
	b.wantToken(account, "access-old")
}

func TestImportIsForPrograms(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	_, err := b.engine.Import(t.Context(), alice, connect.ImportRequest{Platform: "fake", Tokens: elsewhere(clock.Now())})
	wantCode(t, err, connect.CodeForbidden)
	_, err = b.engine.Import(t.Context(), connect.Principal{}, connect.ImportRequest{Platform: "fake", Tokens: elsewhere(clock.Now())})
	wantCode(t, err, connect.CodeUnauthenticated)
}

// mute is a provider that cannot say whose a token is.
type mute struct {
	connect.Provider
	connect.OAuth
	connect.Credentials
}

func TestImportWithoutIdentifier(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now, func(c *connect.Config) {
		f, _ := c.Providers[0].(*fake)
		c.Providers[0] = mute{f, f, f}
	})
	_, err := b.imports(connect.ImportRequest{Tokens: elsewhere(clock.Now())})
	wantCode(t, err, connect.CodeUnsupported)
}

// takenFacebook and takenBluesky keep what they are given for another system,
// and connect nothing.
type takenFacebook struct {
	*facebook.Provider

	taken *connect.Tokens
}

var errTaken = &connect.ProviderError{Class: connect.ClassRetry, Code: "taken"}

func (p *takenFacebook) Exchange(ctx context.Context, env connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
	var err error
	if p.taken, err = p.Provider.Exchange(ctx, env, resp); err != nil {
		return nil, err
	}
	return nil, errTaken
}

type takenBluesky struct {
	*bluesky.Provider

	taken *connect.Tokens
}

func (p *takenBluesky) Login(ctx context.Context, env connect.Env, req connect.LoginRequest) (*connect.Tokens, error) {
	var err error
	if p.taken, err = p.Provider.Login(ctx, env, req); err != nil {
		return nil, err
	}
	return nil, errTaken
}

func withProvider(p connect.Provider) func(*connect.Config) {
	return func(c *connect.Config) { c.Providers = []connect.Provider{p} }
}

// On a platform where candidates are listed, an import asks as any flow does.
// Tokens of one that nobody finishes stay alive.
func TestImportOfPages(t *testing.T) {
	t.Parallel()
	p := &takenFacebook{Provider: facebook.New(facebook.Options{AppID: "900000000000001", AppSecret: tokencrypt.NewSecret(facebookSecret)})}
	w := newWorld(t, withProvider(p))
	w.browser(&bob).connect("facebook", nil, as("dana"))
	tokens := connect.Tokens{Access: p.taken.Access, AccessExpiry: p.taken.AccessExpiry}
	out, err := w.engine.Import(t.Context(), acmeKey, connect.ImportRequest{Platform: "facebook", Tokens: tokens})
	if err != nil || out.Status != connect.OutcomePending {
		t.Fatalf("outcome %+v, %v: want a selection", out, err)
	}
	w.clock.advance(time.Hour)
	w.round()
	if got := w.flowRow(out.FlowID).Status; got != connect.FlowExpired {
		t.Errorf("the flow is %s", got)
	}
	if got := w.facebookRevocations(); got != 0 {
		t.Errorf("%d revocations, want none", got)
	}
	out, err = w.engine.Import(t.Context(), acmeKey, connect.ImportRequest{Platform: "facebook", Tokens: tokens})
	if err != nil {
		t.Fatal(err)
	}
	done, err := w.engine.Finalize(t.Context(), acmeKey, out.Session, connect.FinalizeRequest{SelectedIDs: []string{firstPage}})
	if err != nil || len(done.Accounts) != 1 {
		t.Fatalf("%+v, %v: want one Page", done, err)
	}
	status, err := w.call("acme", done.Accounts[0].ID, done.Accounts[0].APIBaseURL+"/me?fields=id")
	if status != http.StatusOK || err != nil {
		t.Errorf("status %d, %v", status, err)
	}
}

// A Page's token is no person's, and connects nothing.
func TestImportOfAPageToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.browser(&alice).connected("facebook", nil, as("single"))[0]
	source, err := w.engine.TokenSource(t.Context(), "acme", id)
	if err != nil {
		t.Fatal(err)
	}
	token, err := source.Token()
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.engine.Import(t.Context(), connect.Principal{Tenant: "globex"}, connect.ImportRequest{Platform: "facebook", Tokens: connect.Tokens{Access: tokencrypt.NewSecret(token.AccessToken)}})
	wantCode(t, err, connect.CodeCredentialsRefused)
}

// On a platform of many servers the host names the server; whose the account
// is and which server it has is looked up.
func TestImportOfBluesky(t *testing.T) {
	t.Parallel()
	p := &takenBluesky{Provider: bluesky.New(nil)}
	w := newWorld(t, withProvider(p))
	w.browser(&bob).call(http.MethodPost, "/connect/credentials/bluesky", credentials())
	for server, code := range map[string]connect.Code{
		"": connect.CodeCredentialsRefused, "pds.sandbox.test": connect.CodeCredentialsRefused, "https://pds.sandbox.test": "",
	} {
		tokens := connect.Tokens{Access: p.taken.Access, Refresh: p.taken.Refresh, APIBaseURL: server}
		out, err := w.engine.Import(t.Context(), acmeKey, connect.ImportRequest{Platform: "bluesky", Tokens: tokens})
		wantCode(t, err, code)
		if err == nil && (out.Accounts[0].PlatformID != p.taken.Subject || out.Accounts[0].APIBaseURL != server) {
			t.Errorf("account %+v, want that of %s", out.Accounts[0], p.taken.Subject)
		}
	}
}
