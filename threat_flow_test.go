package connect_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
	"github.com/seed944197df/connect/providers/x"
	"github.com/seed944197df/connect/selection"
	"github.com/seed944197df/connect/tokencrypt"
)

// codeOf is the code in an address that a platform sent the browser back to.
func codeOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || u.Query().Get("code") == "" {
		t.Fatalf("no code in %q", address)
	}
	return u.Query().Get("code")
}

// withCode is the address with another code.
func withCode(address, code string) string {
	u, _ := url.Parse(address)
	query := u.Query()
	query.Set("code", code)
	u.RawQuery = query.Encode()
	return u.String()
}

func TestThreat11_CodeOfAnotherFlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	stolen := codeOf(t, w.browser(&bob).consent(w.browser(&bob).start("x", nil), nil))
	own := b.consent(b.start("x", nil), nil)
	got := b.arrive(withCode(own, stolen)).outcome(t)
	if got.Get("status") != "error" || got.Get("error") != "platform_error" {
		t.Errorf("outcome %v, want the exchange to fail", got)
	}
	w.wantExchanges(1) // X has seen the code and refused the verifier
	w.wantNothingConnected()
	if got := b.arrive(own).outcome(t); got.Get("error") != "used" {
		t.Errorf("the flow's own code afterwards: %v, want used", got)
	}
}

// watchedX is the provider of X; it shows what each flow begins with.
type watchedX struct {
	*x.Provider

	begun func(connect.AuthRequest)
}

func (p watchedX) Begin(ctx context.Context, env connect.Env, req connect.AuthRequest) (connect.Authorization, error) {
	p.begun(req)
	return p.Provider.Begin(ctx, env, req)
}

// forgetfulStore keeps no flows.
type forgetfulStore struct{ connect.Store }

func (forgetfulStore) CreateFlow(context.Context, connect.Flow, connect.FlowCaps) error { return nil }

func TestThreat12_Verifiers(t *testing.T) {
	t.Parallel()
	const flows = 10_000
	legal := regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`) // RFC 7636 § 4.1
	var begun connect.AuthRequest
	provider := watchedX{x.New(x.Options{ClientID: "x-client", ClientSecret: tokencrypt.NewSecret(xSecret)}), func(req connect.AuthRequest) { begun = req }}
	w := newWorld(t, func(c *connect.Config) {
		c.Providers = []connect.Provider{provider}
		c.Store = forgetfulStore{memstore.New(nil)}
	})
	seen := map[string]bool{}
	for range flows {
		authorize, err := url.Parse(w.begin(alice, connect.StartRequest{Platform: "x"}).URL)
		if err != nil {
			t.Fatal(err)
		}
		verifier := begun.Verifier.Reveal()
		challenge := sha256.Sum256([]byte(verifier))
		query := authorize.Query()
		switch {
		case !legal.MatchString(verifier):
			t.Fatalf("the verifier has %d characters or one that is not legal", len(verifier))
		case query.Get("code_challenge_method") != "S256", query.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(challenge[:]):
			t.Fatalf("challenge %q by %q, want the verifier's by S256", query.Get("code_challenge"), query.Get("code_challenge_method"))
		case query.Get("state") != begun.State:
			t.Fatal("the state is not the flow's")
		case strings.Contains(authorize.String(), verifier):
			t.Fatal("the verifier is in the URL")
		}
		seen[verifier], seen[begun.State] = true, true
	}
	if len(seen) != 2*flows {
		t.Errorf("%d different verifiers and states of %d flows", len(seen), flows)
	}
}

// gatherStore lets nobody go on before so many callbacks have read their flow,
// so that all of them saw it unused.
type gatherStore struct {
	connect.Store

	missing atomic.Int64
	all     chan struct{}
}

func gathering(calls int64) *gatherStore {
	s := &gatherStore{all: make(chan struct{})}
	s.missing.Store(calls)
	return s
}

func (s *gatherStore) ReadFlow(ctx context.Context, key connect.FlowKey) (connect.Flow, error) {
	flow, err := s.Store.ReadFlow(ctx, key)
	if key.Tenant != "" || err != nil {
		return flow, err // not the first look of a callback
	}
	if s.missing.Add(-1) == 0 {
		close(s.all)
	}
	select {
	case <-s.all:
		return flow, nil
	case <-ctx.Done():
		return connect.Flow{}, ctx.Err()
	}
}

// arriveAll sends a browser of the principal to each address, all at once.
func (w *world) arriveAll(p *connect.Principal, addresses []string) []reply {
	w.t.Helper()
	replies := make([]reply, len(addresses))
	var running sync.WaitGroup
	for i, address := range addresses {
		b := w.browser(p)
		running.Go(func() { replies[i] = b.arrive(address) })
	}
	running.Wait()
	return replies
}

const parallel = 50

func TestThreat13_ParallelCallbacks(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		visitor *connect.Principal
		status  string
	}{"with a session": {&alice, "connected"}, "parked": {nil, "continue"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := gathering(parallel)
			w := newWorld(t, func(c *connect.Config) { store.Store, c.Store = c.Store, store })
			address := w.consented()
			addresses := make([]string, parallel)
			for i := range addresses {
				addresses[i] = address
			}
			replies := w.arriveAll(tt.visitor, addresses)
			if got := replies[0].outcome(t); got.Get("status") != tt.status {
				t.Errorf("outcome %v, want %s", got, tt.status)
			}
			for _, r := range replies {
				if r.status != http.StatusSeeOther || r.location() != replies[0].location() {
					t.Errorf("status %d, location %q, want %q", r.status, r.location(), replies[0].location())
				}
			}
			w.settle()
			w.wantExchanges(1)
			if got := w.revocations(); got != 0 {
				t.Errorf("%d revocations, want none", got)
			}
		})
	}
}

func TestThreat13_ParallelCodes(t *testing.T) {
	t.Parallel()
	for name, visitor := range map[string]*connect.Principal{"with a session": &alice, "parked": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := gathering(parallel)
			w := newWorld(t, func(c *connect.Config) { store.Store, c.Store = c.Store, store })
			address := w.consented()
			addresses := []string{address}
			for len(addresses) < parallel {
				addresses = append(addresses, withCode(address, "guess"+strings.Repeat("x", len(addresses))))
			}
			used := 0
			for _, r := range w.arriveAll(visitor, addresses) {
				if r.outcome(t).Get("error") == "used" {
					used++
				}
			}
			if used != parallel-1 {
				t.Errorf("%d answers are used, want all but one of %d", used, parallel)
			}
			w.settle()
			w.wantExchanges(1)
		})
	}
}

func TestThreat14_StateIsUsedOnce(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		consent    url.Values
		late       time.Duration
		sweep      bool
		status     string
		err        string
		afterwards string // the error of another code with the same state
		exchanges  int
	}{
		"after success":           {status: "connected", afterwards: "used", exchanges: 1},
		"after error":             {consent: url.Values{"decision": {"deny"}}, status: "error", err: "access_denied", afterwards: "used"},
		"after expiry":            {late: 16 * time.Minute, status: "error", err: "expired", afterwards: "expired"},
		"after expiry and sweep":  {late: 16 * time.Minute, sweep: true, status: "error", err: "expired", afterwards: "expired"},
		"at the end of its time":  {late: 15 * time.Minute, status: "error", err: "expired", afterwards: "expired"},
		"just before it is over":  {late: 15*time.Minute - time.Second, consent: url.Values{"decision": {"deny"}}, status: "error", err: "access_denied", afterwards: "used"},
		"success long afterwards": {status: "connected", afterwards: "used", exchanges: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.browser(&alice)
			address := b.consent(b.start("x", nil), tt.consent)
			w.clock.advance(tt.late)
			if tt.sweep {
				w.round()
			}
			first := b.arrive(address)
			if got := first.outcome(t); got.Get("status") != tt.status || got.Get("error") != tt.err {
				t.Fatalf("outcome %v, want %s %s", got, tt.status, tt.err)
			}
			if strings.HasSuffix(name, "afterwards") {
				w.clock.advance(16 * time.Minute)
			}
			other := strings.Replace(address, "error=access_denied", "code=guess", 1)
			if strings.Contains(address, "code=") {
				other = withCode(address, "guess")
			}
			for range 2 {
				if again := b.arrive(address); again.location() != first.location() {
					t.Errorf("a reload goes to %q, want %q", again.location(), first.location())
				}
				if got := b.arrive(other).outcome(t); got.Get("status") != "error" || got.Get("error") != tt.afterwards {
					t.Errorf("another code: %v, want %s", got, tt.afterwards)
				}
			}
			w.wantExchanges(tt.exchanges)
		})
	}
}

// A browser without a session learns as much: the flow is over.
func TestThreat14_WithoutSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(nil)
	address := w.consented()
	w.clock.advance(16 * time.Minute)
	for _, when := range []string{"before the sweep", "after the sweep"} {
		if got := b.arrive(address).outcome(t); got.Get("error") != "expired" || got.Has("ticket") {
			t.Errorf("%s: %v, want expired", when, got)
		}
		w.round()
	}
	w.wantExchanges(0)

	address = w.consented()
	b.arrive(address)
	if got := b.arrive(withCode(address, "guess")).outcome(t); got.Get("error") != "used" || got.Has("ticket") {
		t.Errorf("another code: %v, want used", got)
	}
	w.wantExchanges(1)
}

// Missing means wrong: no state (rows 15 and 17), no cookie, an empty one.
func TestThreat15_MissingIsWrong(t *testing.T) {
	t.Parallel()
	for _, binding := range []connect.Binding{connect.BindSession, connect.BindBrowser, connect.BindTicket, connect.UnsafeBindNone} {
		t.Run(string(binding), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withBinding(binding))
			started := w.begin(alice, connect.StartRequest{Platform: "x"})
			before := w.flowRow(started.FlowID)
			for name, query := range map[string]string{
				"nothing":               "",
				"code only":             "?code=stolen",
				"empty state":           "?code=stolen&state=",
				"error without state":   "?error=access_denied",
				"state only":            "?state=" + started.State,
				"empty code":            "?code=&state=" + started.State,
				"garbage":               "?code=stolen&state=garbage",
				"state, one bit longer": "?code=stolen&state=" + started.State + "A",
			} {
				for who, b := range map[string]*browser{"nobody": w.browser(nil), "alice": w.browser(&alice), "empty cookie": w.emptyCookie(started.FlowID)} {
					if got := b.arrive("/connect/callback/x" + query); got.status != http.StatusBadRequest {
						t.Errorf("%s by %s: status %d, want 400: %s", name, who, got.status, got.body)
					}
				}
			}
			if diff := cmp.Diff(before, w.flowRow(started.FlowID)); diff != "" {
				t.Errorf("the flow changed (-before +after):\n%s", diff)
			}
			w.wantExchanges(0)
		})
	}
}

// emptyCookie is a browser whose cookies have the right names and no values.
func (w *world) emptyCookie(flowID string) *browser {
	w.t.Helper()
	b := w.browser(nil)
	b.header.Set("Cookie", "__Host-cx-"+flowID+"=; session=")
	return b
}

func TestThreat16_StateOfTheVisitorIsNotTaken(t *testing.T) {
	t.Parallel()
	created := &createdStore{Store: memstore.New(nil)}
	w := newWorld(t, func(c *connect.Config) { c.Store = created })
	b := w.browser(&alice)
	b.get("/connect/start/x?state=AAAA").wantStatus(t, http.StatusBadRequest)
	if got := b.call(http.MethodPost, "/connect/start/x", map[string]string{"state": "AAAA"}).problem(t, http.StatusBadRequest); got != "invalid_request" {
		t.Errorf("code %q, want invalid_request", got)
	}
	if got := created.count.Load(); got != 0 {
		t.Errorf("%d flows were created, want none", got)
	}
	var started struct{ URL, State string }
	b.call(http.MethodPost, "/connect/start/x?state=AAAA", map[string]string{}).decode(t, http.StatusCreated, &started)
	authorize, err := url.Parse(started.URL)
	if err != nil || started.State == "AAAA" || authorize.Query().Get("state") != started.State {
		t.Errorf("state %q, URL %q: want a state of ours in both", started.State, started.URL)
	}
}

// Whoever edits the authorization URL gets an answer without state, or without
// a challenge, and neither goes anywhere.
func TestThreat17_EditedAuthorizationURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	address := b.consent(b.start("x", nil), nil)
	code := codeOf(t, address)
	b.arrive("/connect/callback/x?code="+code).wantStatus(t, http.StatusBadRequest)
	w.wantExchanges(0)
	w.wantNothingConnected()
	if got := b.arrive(address).outcome(t); got.Get("status") != "connected" {
		t.Errorf("the whole address afterwards: %v, want connected", got)
	}
}

// namesakes is a platform where everybody has the same name, username and
// picture. The code says who consents.
type namesakes struct{ connect.Provider }

func (namesakes) Platform() connect.Platform {
	return connect.Platform{
		Name: "namesakes", DisplayName: "Namesakes", Client: connect.Client{ID: "client"},
		Methods: []connect.Method{{ID: "oauth", Type: connect.MethodOAuth}},
		Kinds:   []connect.Kind{{Name: "profile"}},
		Hosts:   []string{"api.namesakes.test"},
	}
}

func (namesakes) Begin(_ context.Context, _ connect.Env, req connect.AuthRequest) (connect.Authorization, error) {
	return connect.Authorization{URL: "https://namesakes.test/authorize?state=" + req.State}, nil
}

func (namesakes) Exchange(_ context.Context, _ connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
	id := resp.Query.Get("code")
	return &connect.Tokens{Subject: id, Access: tokencrypt.NewSecret("token-" + id), Self: &connect.Candidate{Candidate: selection.Candidate{
		Kind: "profile", PlatformID: id, Name: "Same Name", Username: "same@example.com",
	}}}, nil
}

func TestThreat18_NothingIsMergedByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *connect.Config) { c.Providers = append(c.Providers, namesakes{}) })
	ids := map[string]string{} // by platform id
	for _, who := range []struct {
		user       connect.Principal
		platformID string
	}{{alice, "1"}, {mallory, "2"}, {alice, "1"}, {mallory, "1"}} {
		started := w.begin(who.user, connect.StartRequest{Platform: "namesakes"})
		got := w.browser(&who.user).arrive("/connect/callback/namesakes?code=" + who.platformID + "&state=" + started.State).outcome(t)
		if got.Get("status") != "connected" {
			t.Fatalf("outcome %v, want connected", got)
		}
		if id, known := ids[who.platformID]; known && id != got.Get("account_id") {
			t.Errorf("person %s is account %s, then %s", who.platformID, id, got.Get("account_id"))
		}
		ids[who.platformID] = got.Get("account_id")
		account, err := w.engine.Account(t.Context(), acmeKey, got.Get("account_id"))
		if err != nil || account.ConnectedBy != who.user.User || account.PlatformID != who.platformID {
			t.Errorf("account %+v, %v: want person %s, connected by %s", account, err, who.platformID, who.user.User)
		}
	}
	if got := w.accounts(acmeKey); len(got) != 2 || ids["1"] == ids["2"] {
		t.Errorf("%d accounts %v, want one for each of two people", len(got), ids)
	}
	if got := w.accounts(connect.Principal{Tenant: "globex"}); len(got) != 0 {
		t.Errorf("another tenant has %d accounts, want none", len(got))
	}
}

// Namesakes do not act with each other's tokens either.
func TestThreat18_NamesakesHaveTheirOwnTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *connect.Config) { c.Providers = append(c.Providers, namesakes{}) })
	ids := map[string]string{} // by platform id
	for _, person := range []string{"1", "2"} {
		started := w.begin(alice, connect.StartRequest{Platform: "namesakes"})
		ids[person] = w.browser(&alice).arrive("/connect/callback/namesakes?code=" + person + "&state=" + started.State).outcome(t).Get("account_id")
	}
	for person, id := range ids {
		source, err := w.engine.TokenSource(t.Context(), "acme", id)
		if err != nil {
			t.Fatal(err)
		}
		if token, err := source.Token(); err != nil || token.AccessToken != "token-"+person {
			t.Errorf("person %s has another one's token, %v", person, err)
		}
	}
}

func TestReloadAfterFinalizeShowsTheAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	address := b.consent(b.start("facebook", nil), nil)
	picker := b.arrive(address).location()
	if !strings.HasPrefix(picker, w.config.BaseURL+"/ui/pending/") {
		t.Fatalf("the callback leads to %q, want the picker", picker)
	}
	page := b.get(picker)
	ids := checkboxes(page.body)
	if len(ids) != 3 {
		t.Fatalf("the picker offers %v, want three Pages", ids)
	}
	if again := b.arrive(address); again.location() != picker {
		t.Errorf("a reload before the choice goes to %q, want %q", again.location(), picker)
	}
	form := url.Values{"csrf_token": {page.formToken(t)}, "selected_ids": ids[:2]}
	done := b.post(picker+"/finalize", form)
	got := done.outcome(t)
	if got.Get("status") != "connected" || len(strings.Split(got.Get("account_ids"), ",")) != 2 || got.Has("account_id") {
		t.Fatalf("outcome %v, want two accounts", got)
	}
	for name, again := range map[string]reply{
		"the callback": b.arrive(address), "the picker": b.get(picker), "the form": b.post(picker+"/finalize", form),
	} {
		if again.location() != done.location() {
			t.Errorf("%s again goes to %q, want %q", name, again.location(), done.location())
		}
	}
	form["selected_ids"] = ids[1:]
	b.post(picker+"/finalize", form).wantStatus(t, http.StatusGone)
	if got := w.accounts(acmeKey); len(got) != 2 {
		t.Errorf("%d accounts, want two", len(got))
	}
}

var checkbox = regexp.MustCompile(`name="selected_ids" value="([^"]+)"`)

// checkboxes are the ids of a picker's candidates.
func checkboxes(page string) []string {
	var ids []string
	for _, found := range checkbox.FindAllStringSubmatch(page, -1) {
		ids = append(ids, found[1])
	}
	return ids
}
