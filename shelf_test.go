package connect_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
	"github.com/seed944197df/connect/selection"
	"github.com/seed944197df/connect/sqlitestore"
	"github.com/seed944197df/connect/tokencrypt"
)

// shelf is a fake whose grants have boards, each with a token of its own.
type shelf struct {
	*fake

	shelfMu sync.Mutex // guards what follows
	boards  []selection.Candidate
	asked   []string // the access tokens that it was listed with
	fails   []error  // of the next listings
}

// List implements [connect.Lister].
func (s *shelf) List(_ context.Context, _ connect.Env, tokens *connect.Tokens, _ connect.ListRequest) (connect.CandidatePage, error) {
	s.shelfMu.Lock()
	defer s.shelfMu.Unlock()
	access := tokens.Access.Reveal()
	s.asked = append(s.asked, access)
	if len(s.fails) > 0 {
		err := s.fails[0]
		s.fails = s.fails[1:]
		return connect.CandidatePage{}, err
	}
	var page connect.CandidatePage
	for _, b := range s.boards {
		page.Candidates = append(page.Candidates, connect.Candidate{
			Candidate: b, Target: map[string]string{"board": b.PlatformID}, Access: tokencrypt.NewSecret("own-" + b.PlatformID + "-" + access),
		})
	}
	return page, nil
}

// offers makes these boards the ones on offer.
func (s *shelf) offers(ids ...string) {
	s.shelfMu.Lock()
	defer s.shelfMu.Unlock()
	s.boards = nil
	for _, id := range ids {
		s.boards = append(s.boards, selection.Candidate{Kind: "board", PlatformID: id, Name: "Board " + id})
	}
}

// changes lets a test change a board.
func (s *shelf) changes(id string, change func(*selection.Candidate)) {
	s.shelfMu.Lock()
	defer s.shelfMu.Unlock()
	i := slices.IndexFunc(s.boards, func(b selection.Candidate) bool { return b.PlatformID == id })
	change(&s.boards[i])
}

// listedWith returns the tokens that it was listed with since the last time.
func (s *shelf) listedWith() []string {
	s.shelfMu.Lock()
	defer s.shelfMu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

func (s *shelf) fail(errs ...error) {
	s.shelfMu.Lock()
	defer s.shelfMu.Unlock()
	s.fails = append(s.fails, errs...)
}

// pair answers a login or a refresh with the tokens that are named so.
func (s *shelf) pair(name string) fakeAnswer {
	return func(ctx context.Context) (*connect.Tokens, error) {
		tokens, err := s.tokens(name)(ctx)
		tokens.Self = nil
		return tokens, err
	}
}

// shelfBench is a bench with a shelf of three boards.
type shelfBench struct {
	*bench

	shelf *shelf
	clock *clock
}

func newShelf(t *testing.T, change ...func(*connect.Config)) *shelfBench {
	t.Helper()
	b := &shelfBench{clock: newClock()}
	b.bench = newBench(t, b.clock.Now, append([]func(*connect.Config){func(c *connect.Config) {
		f, _ := c.Providers[0].(*fake)
		f.platform.Kinds = []connect.Kind{{Name: "board", Multiple: true}, {Name: "wall", Multiple: true}}
		b.shelf = &shelf{fake: f}
		c.Providers = []connect.Provider{b.shelf}
	}}, change...)...)
	b.shelf.offers("1", "2", "3")
	return b
}

// board connects the first board as alice, whose tokens are named first.
func (b *shelfBench) board() connect.Account {
	b.t.Helper()
	b.fake.answer("login", b.shelf.pair("first"))
	out, err := b.engine.ConnectCredentials(b.t.Context(), alice, connect.CredentialsRequest{Platform: "fake"})
	if err != nil || out.Session == "" {
		b.t.Fatalf("outcome %+v, %v: want a selection", out, err)
	}
	done, err := b.engine.Finalize(b.t.Context(), alice, out.Session, connect.FinalizeRequest{SelectedIDs: []string{"board:1"}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.shelf.listedWith()
	return done.Accounts[0]
}

// more opens a selection on the account's grant.
func (b *shelfBench) more(account connect.Account) *connect.Outcome {
	b.t.Helper()
	out, err := b.engine.AddMore(b.t.Context(), alice, account.ID)
	if err != nil || out.Status != connect.OutcomePending || out.Session == "" {
		b.t.Fatalf("outcome %+v, %v: want a selection", out, err)
	}
	return out
}

func (b *shelfBench) finalize(session string, ids ...string) (*connect.Finalized, error) {
	return b.engine.Finalize(b.t.Context(), alice, session, connect.FinalizeRequest{SelectedIDs: ids})
}

// own is the token that an account works with.
func (b *shelfBench) own(account connect.Account) string {
	b.t.Helper()
	token, err := b.token(b.engine, account)
	if err != nil {
		b.t.Fatal(err)
	}
	return token
}

// account is the account as it is stored.
func (b *shelfBench) account(id string) connect.Account {
	b.t.Helper()
	account, err := b.config.Store.ReadAccount(b.t.Context(), connect.AccountKey{Tenant: "acme", ID: id})
	if err != nil {
		b.t.Fatal(err)
	}
	return account
}

// stores are the stores that a race is run on.
var stores = map[string]func(*testing.T, func() time.Time) connect.Store{
	"memstore": func(_ *testing.T, now func() time.Time) connect.Store {
		return memstore.New(&memstore.Options{Now: now})
	},
	"sqlitestore": func(t *testing.T, now func() time.Time) connect.Store {
		t.Helper()
		store, err := sqlitestore.Open(t.Context(), t.TempDir()+"/connect.db", &sqlitestore.Options{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return store
	},
}

// keptIn makes a bench keep everything in a store.
func keptIn(store connect.Store) func(*connect.Config) {
	return func(c *connect.Config) { c.Store = store }
}

// beforeCommit is a store that lets something happen before a commit.
type beforeCommit struct {
	connect.Store

	mu   sync.Mutex // guards then
	then func()
}

// once lets then happen before the next commit.
func (s *beforeCommit) once(then func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.then = then
}

func (s *beforeCommit) CommitFlow(ctx context.Context, commit connect.Commit) (connect.Flow, error) {
	s.mu.Lock()
	then := s.then
	s.then = nil
	s.mu.Unlock()
	if then != nil {
		then()
	}
	return s.Store.CommitFlow(ctx, commit)
}
