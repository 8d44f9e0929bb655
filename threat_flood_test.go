package connect_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
	"github.com/seed944197df/connect/selection"
)

// A store is not asked for what no state of ours, or only an old one, names.
func TestThreat108_BadStatesAskNoStore(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t), newWorld(t)
	ours, foreign := w.begin(alice, connect.StartRequest{Platform: "x"}).State, other.begin(alice, connect.StartRequest{Platform: "x"}).State
	cfg := w.config
	cfg.Store = untouched{}
	engine, err := connect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, touched := asked(engine, arrival(alice, "/connect/callback/x?code=a&state="+ours)); !touched {
		t.Error("the store is asked, and that is not noticed")
	}
	w.clock.advance(15*time.Minute + time.Hour + time.Second)
	for name, state := range map[string]string{"garbage": "garbage", "of another ring": foreign, "cut": ours[:len(ours)-1], "old": ours} {
		got, touched := asked(engine, arrival(alice, "/connect/callback/x?code=a&state="+state))
		if touched || got.status != http.StatusBadRequest && got.status != http.StatusGone {
			t.Errorf("%s: store asked: %v, status %d", name, touched, got.status)
		}
	}
}

func TestThreat108_OpenFlowsAreBounded(t *testing.T) {
	t.Parallel()
	for name, bound := range map[string]func(*connect.Config){
		"of a user":   func(c *connect.Config) { c.MaxOpenFlowsPerUser = 2 },
		"of a tenant": func(c *connect.Config) { c.MaxOpenFlowsPerTenant = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, bound)
			for range 2 {
				w.begin(alice, connect.StartRequest{Platform: "x"})
			}
			_, err := w.engine.Start(t.Context(), alice, connect.StartRequest{Platform: "x"})
			wantCode(t, err, connect.CodeRateLimited)
			w.begin(bob, connect.StartRequest{Platform: "x"})
		})
	}
}

// readStore counts how often a flow is read.
type readStore struct {
	connect.Store

	reads atomic.Int64
}

func (s *readStore) ReadFlow(ctx context.Context, key connect.FlowKey) (connect.Flow, error) {
	s.reads.Add(1)
	return s.Store.ReadFlow(ctx, key)
}

// A browser may name as many flows as its cookies have room for.
func TestThreat108_CookiesBoundReads(t *testing.T) {
	t.Parallel()
	store := &readStore{Store: memstore.New(nil)}
	w := newWorld(t, withBinding(connect.BindBrowser), func(c *connect.Config) { c.Store = store })
	var names []string
	for i := range 50 {
		names = append(names, fmt.Sprintf("__Host-cx-00000000-0000-7000-8000-0000000000%02d=old", i))
	}
	b := w.browser(nil)
	b.header.Set("Cookie", strings.Join(names, "; "))
	b.get("/connect/ui/pending/none").wantStatus(t, http.StatusUnauthorized)
	if n := store.reads.Load(); n != 10 {
		t.Errorf("%d reads, want ten", n)
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
