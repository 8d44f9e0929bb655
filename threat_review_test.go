package connect_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/selection"
)

// An answer's Request is what the caller asked, not what was sent: it would
// turn every client into a token getter.
func TestThreat66_AnswerTellsNoToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.browser(&alice).connected("facebook", url.Values{"select": {"first"}}, nil)
	account := w.account(acmeKey, ids[0])
	client, err := w.engine.Client(t.Context(), "acme", account.ID)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get(account.APIBaseURL + "/" + account.PlatformID + "?fields=name")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Request.Header.Get("Authorization") != "" || strings.Contains(resp.Request.URL.String(), "proof") {
		t.Errorf("status %d, the answer's request is %s with %v", resp.StatusCode, resp.Request.URL.Path, resp.Request.Header)
	}
}

// A person moves to another server while the old one holds its answer. The
// repeat must not bring the new server's token to the old one.
func TestThreat66_RepeatStaysWithTheServer(t *testing.T) {
	t.Parallel()
	var b *bench
	login := func(name, host string) connect.Account {
		b.fake.answer("login", func(ctx context.Context) (*connect.Tokens, error) {
			tokens, err := b.fake.tokens(name)(ctx)
			tokens.Hosts, tokens.APIBaseURL = []string{host}, "https://"+host
			return tokens, err
		})
		out, err := b.engine.ConnectCredentials(t.Context(), acmeKey, connect.CredentialsRequest{Platform: "fake"})
		if err != nil {
			t.Fatal(err)
		}
		return out.Accounts[0]
	}
	var mu sync.Mutex
	var seen []string
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if seen = append(seen, r.Header.Get("Authorization")); len(seen) == 1 {
			login("new", "good.test")
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(platform.Close)
	b = newBench(t, time.Now, func(c *connect.Config) { c.UnsafeRewriteHost = platform.URL })
	account := login("old", "evil.test")
	client, err := b.engine.Client(t.Context(), "acme", account.ID)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get("https://evil.test/me")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if len(seen) != 1 || seen[0] != "Bearer access-old" {
		t.Errorf("the old server saw %d requests, want one with its own token", len(seen))
	}
}

// rewriter edits a flow's row as it is read: a database writer without keys.
type rewriter struct {
	connect.Store
	edit func(*connect.Flow)
}

func (r *rewriter) ReadFlow(ctx context.Context, key connect.FlowKey) (connect.Flow, error) {
	flow, err := r.Store.ReadFlow(ctx, key)
	if r.edit != nil && err == nil {
		r.edit(&flow)
	}
	return flow, err
}

func TestThreat2_RowsCannotUnbindAFlow(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*connect.Flow){
		"no binding":   func(f *connect.Flow) { f.Binding = connect.UnsafeBindNone },
		"another user": func(f *connect.Flow) { f.User = "bob" },
		"no user":      func(f *connect.Flow) { f.User = "" },
		"a client":     func(f *connect.Flow) { f.Client = "own" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &rewriter{}
			w := newWorld(t, func(c *connect.Config) { store.Store, c.Store = c.Store, store })
			victim := w.browser(nil)
			back := victim.consent(w.browser(&mallory).start("x", nil), nil)
			store.edit = edit
			if got := victim.arrive(back); got.status == http.StatusSeeOther {
				t.Errorf("the flow goes on to %s", got.location())
			}
			if got := w.exchanges() + len(w.accounts(acmeKey)); got != 0 {
				t.Errorf("%d exchanges and accounts", got)
			}
		})
	}
}

// A digest that was written into a row opens nothing.
func TestThreat68_PlantedDigest(t *testing.T) {
	t.Parallel()
	store := &rewriter{}
	w := newWorld(t, func(c *connect.Config) { store.Store, c.Store = c.Store, store })
	flowID := w.browser(&alice).connect("facebook", headless(), nil).outcome(t).Get("flow_id")
	row := w.flowRow(flowID)
	sum := sha256.Sum256([]byte("mine"))
	row.Session = sum[:]
	if _, err := w.config.Store.MoveFlow(t.Context(), row.Status, row); err != nil {
		t.Fatal(err)
	}
	_, err := w.engine.Pending(t.Context(), alice, "mine", connect.PendingRequest{})
	wantCode(t, err, connect.CodeNotFound)
}

// A colleague with a bearer token is a user, not an API key.
func TestThreat68_ColleagueWithBearerToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	back := w.browser(&alice).connect("facebook", headless(), nil).outcome(t)
	colleague := connect.Principal{Tenant: "acme", User: "mallory"}
	_, err := w.engine.Flow(t.Context(), colleague, back.Get("flow_id"))
	wantCode(t, err, connect.CodeNotFound)
	_, err = w.engine.Pending(t.Context(), colleague, back.Get("session"), connect.PendingRequest{})
	wantCode(t, err, connect.CodeNotFound)
	own := connect.Principal{Tenant: "acme", User: "alice"}
	if _, err := w.engine.Pending(t.Context(), own, back.Get("session"), connect.PendingRequest{}); err != nil {
		t.Errorf("alice with a bearer token: %v", err)
	}
}

// overtaken lets somebody else finish a flow just before it is failed.
type overtaken struct {
	connect.Store
	once  sync.Once
	first func()
}

func (s *overtaken) CommitFlow(ctx context.Context, commit connect.Commit) (connect.Flow, error) {
	if commit.Flow.Status == connect.FlowFailed && s.first != nil {
		s.once.Do(s.first)
	}
	return s.Store.CommitFlow(ctx, commit)
}

// Who loses the race for a flow must not revoke what the winner connected.
func TestThreat5_LoserTouchesNoToken(t *testing.T) {
	t.Parallel()
	store := &overtaken{}
	w := newWorld(t, func(c *connect.Config) { store.Store, c.Store = c.Store, store })
	authorize := w.browser(&alice).start("x", nil)
	system := w.browser(nil)
	ticket := system.arrive(system.consent(authorize, nil)).outcome(t).Get("ticket")
	var id string
	store.first = func() {
		out, err := w.engine.Complete(t.Context(), alice, connect.CompleteRequest{Ticket: ticket})
		if err != nil || len(out.Accounts) != 1 {
			t.Errorf("alice: %+v, %v", out, err)
			return
		}
		id = out.Accounts[0].ID
	}
	_, err := w.engine.Complete(t.Context(), mallory, connect.CompleteRequest{Ticket: ticket})
	wantCode(t, err, connect.CodeBindingMismatch)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.engine.Close(ctx); err != nil { // whatever was begun has ended
		t.Fatal(err)
	}
	if got := w.box.Requests("api.x.com", "/2/oauth2/revoke"); got != 0 {
		t.Errorf("%d revocations", got)
	}
	if status, err := w.call("acme", id, xMe); status != http.StatusOK || err != nil {
		t.Errorf("alice's account: status %d, %v", status, err)
	}
}

// endless offers more than a flow can keep.
type endless struct{ *fake }

func (endless) List(_ context.Context, _ connect.Env, _ *connect.Tokens, req connect.ListRequest) (connect.CandidatePage, error) {
	page := connect.CandidatePage{Next: req.Cursor + "n"}
	for i := range 100 {
		page.Candidates = append(page.Candidates, connect.Candidate{
			Candidate: selection.Candidate{Kind: "profile", PlatformID: fmt.Sprint(len(req.Cursor), "-", i), Name: strings.Repeat("n", 300), AvatarURL: "https://a.test/" + strings.Repeat("a", 700)},
			Access:    connect.NewSecret(strings.Repeat("T", 200)),
		})
	}
	page.Candidates = append(page.Candidates, connect.Candidate{Candidate: selection.Candidate{Kind: "profile", PlatformID: "giant", Name: strings.Repeat("n", 1<<20)}})
	return page, nil
}

func TestEndlessCandidatesAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, time.Now)
	b.config.Providers = []connect.Provider{endless{b.fake}}
	b.engine = b.another(nil)
	b.fake.answer("exchange", func(ctx context.Context) (*connect.Tokens, error) {
		tokens, err := b.fake.tokens("first")(ctx)
		tokens.Self = nil
		return tokens, err
	})
	_, out, err := b.callback()
	if err != nil || out.Status != connect.OutcomePending {
		t.Fatalf("outcome %+v, %v", out, err)
	}
	view, err := b.engine.Pending(t.Context(), alice, out.Session, connect.PendingRequest{Page: connect.Page{Limit: 100}})
	if err != nil || !view.Complete || len(view.Candidates) != 100 {
		t.Errorf("complete %v with %d candidates, %v", view.Complete, len(view.Candidates), err)
	}
	for _, candidate := range view.Candidates {
		if candidate.PlatformID == "giant" {
			t.Error("a candidate of a megabyte is kept")
		}
	}
}
