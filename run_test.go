package connect_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sandbox"
)

func TestRunEndsFlows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	started := w.begin(alice, connect.StartRequest{Platform: "x"}).FlowID
	claimed := w.begin(alice, connect.StartRequest{Platform: "x"}).FlowID
	next := w.flowRow(claimed)
	next.Status = connect.FlowClaimed // by a process that then ends
	if _, err := w.config.Store.MoveFlow(t.Context(), connect.FlowStarted, next); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(time.Minute)
	young := w.begin(alice, connect.StartRequest{Platform: "x"}).FlowID
	w.clock.advance(14 * time.Minute)
	w.round()
	w.round()
	for id, want := range map[string]connect.FlowStatus{started: connect.FlowExpired, claimed: connect.FlowOrphaned, young: connect.FlowStarted} {
		if got := w.flowRow(id); got.Status != want {
			t.Errorf("the flow is %s, want %s", got.Status, want)
		}
	}
	want := []connect.EventType{connect.EventFlowFailed, connect.EventFlowFailed}
	if diff := cmp.Diff(want, w.eventTypes("acme")); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, e := range outbox(t, w.config.Store) {
		if !strings.Contains(string(e.Data), `"error":"expired"`) {
			t.Errorf("event %s does not say expired", e.Data)
		}
	}
}

// Facebook revokes everything that a person gave to the app, so an abandoned
// selection is revoked only where nobody's account lives on it.
func TestRunRevokesAbandonedSelections(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		lives       *connect.Principal // who has a Page of the same person
		revocations int
	}{
		"nobody":         {nil, 1},
		"the tenant":     {&alice, 0},
		"another tenant": {&bob, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var lives []connect.Account
			if tt.lives != nil {
				w.browser(tt.lives).connected("facebook", url.Values{"select": {"all"}}, as("dana"))
				lives = w.accounts(*tt.lives)
			}
			w.browser(&alice).session("dana")
			w.clock.advance(15 * time.Minute)
			w.round()
			w.settle()
			if got := w.facebookRevocations(); got != tt.revocations {
				t.Errorf("%d revocations, want %d", got, tt.revocations)
			}
			if got := w.eventTypes("acme"); got[len(got)-1] != connect.EventFlowFailed {
				t.Errorf("events %v, want the flow to have failed", got)
			}
			for _, account := range lives {
				status, err := w.call(account.Tenant, account.ID, account.APIBaseURL+"/me?fields=id")
				if status != http.StatusOK || account.Status != connect.AccountActive {
					t.Errorf("%s: status %d, %v", account.Name, status, err)
				}
			}
		})
	}
}

// Run refreshes at 70 to 85 % of the life, not all at the same point.
func TestRunRefreshesWhatIsDue(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := newBench(t, clock.Now)
	account := b.connect()
	points := map[time.Duration]bool{}
	var want []string
	last := "first"
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		due := b.grant(account).DueAt
		if due == nil {
			t.Fatal("the grant is never due")
		}
		point := due.Sub(clock.Now())
		if point < fakeLife*70/100-time.Millisecond || point > fakeLife*85/100 {
			t.Errorf("due after %v of %v", point, fakeLife)
		}
		points[point] = true
		clock.advance(point - time.Second)
		b.round()
		b.wantPresented(want...)
		clock.advance(time.Second)
		b.fake.answer("refresh", b.fake.tokens(name))
		b.round()
		b.round()
		want = append(want, "refresh-"+last)
		b.wantPresented(want...)
		b.wantToken(account, "access-"+name)
		last = name
	}
	if len(points) < 2 {
		t.Error("all refreshes are due at the same point")
	}
}

func TestRunRepeatsRevocations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.browser(&alice).connected("x", nil, nil)[0]
	w.fault(sandbox.Fault{Platform: "x", Fault: "500", At: "revoke", Times: 2})
	disconnect := func(want connect.Revocation) {
		t.Helper()
		got, err := w.engine.Disconnect(t.Context(), acmeKey, id)
		if err != nil || got.Revocation != want {
			t.Errorf("disconnect says %+v, %v: want %s", got, err, want)
		}
	}
	disconnect(connect.RevocationPending)
	w.round() // not yet
	if got := w.revocations(); got != 1 {
		t.Errorf("%d revocations, want 1", got)
	}
	for round := range 2 {
		grant := w.grantOf(w.account(acmeKey, id))
		if grant.Status != connect.GrantRevoking || grant.Sealed == nil {
			t.Errorf("round %d: the grant is %s with %d bytes, want its tokens kept", round, grant.Status, len(grant.Sealed))
		}
		w.clock.advance(5 * time.Minute)
		w.round()
	}
	if grant := w.grantOf(w.account(acmeKey, id)); grant.Status != connect.GrantDead || grant.Sealed != nil {
		t.Errorf("the grant is %s with %d bytes, want it dead and wiped", grant.Status, len(grant.Sealed))
	}
	if got := w.revocations(); got != 4 { // two that failed, then both tokens
		t.Errorf("%d revocations, want 4", got)
	}
	disconnect(connect.RevocationRevoked)
	w.clock.advance(time.Hour)
	w.round()
	if got := w.revocations(); got != 4 {
		t.Errorf("%d revocations, want no more than 4", got)
	}
}

// Where a goroutine were left, the bubble would not end.
func TestFault7_RunEndsWhatItHasBegun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, time.Now)
		account := b.connect()
		asked, release := make(chan struct{}), make(chan struct{})
		b.fake.answer("refresh", held(asked, release, b.fake.tokens("second")))
		ctx, cancel := context.WithCancelCause(t.Context())
		returned := make(chan error, 1)
		go func() { returned <- b.engine.Run(ctx) }()
		<-asked
		cancel(errors.New("the host ends"))
		synctest.Wait()
		select {
		case err := <-returned:
			t.Fatalf("Run returned %v in the middle of a refresh", err)
		default:
		}
		close(release)
		if err := <-returned; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v, want %v", err, context.Canceled)
		}
		if got := b.grant(account).Generation; got != 2 {
			t.Errorf("generation %d, want 2: what had begun is stored", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, time.Now)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := b.engine.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run: %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

var errStore = errors.New("the connection to the store is lost")

// unsure is a store that does what it is asked, and reports every second
// write as failed.
type unsure struct {
	connect.Store

	mu     sync.Mutex
	writes map[string]int // that were done, by method
}

func withUnsure(c *connect.Config) {
	c.Store = &unsure{Store: c.Store, writes: map[string]int{}}
}

// lose is the error that a write is reported with.
func (s *unsure) lose(method string, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.writes[method]++
	}
	if err == nil && s.writes[method]%2 == 1 {
		return errStore
	}
	return err
}

func (s *unsure) MoveFlow(ctx context.Context, from connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
	flow, err := s.Store.MoveFlow(ctx, from, next)
	return flow, s.lose("MoveFlow", err)
}

func (s *unsure) CommitFlow(ctx context.Context, commit connect.Commit) (connect.Flow, error) {
	flow, err := s.Store.CommitFlow(ctx, commit)
	return flow, s.lose("CommitFlow", err)
}

func (s *unsure) SettleGrant(ctx context.Context, settlement connect.Settlement) (connect.Grant, error) {
	grant, err := s.Store.SettleGrant(ctx, settlement)
	return grant, s.lose("SettleGrant", err)
}

// A write that is reported as failed may have happened: everything happens
// once all the same.
func TestUnknownWrites(t *testing.T) {
	t.Parallel()
	t.Run("callback and refresh", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, time.Now, withUnsure)
			b.fake.answer("exchange", b.fake.tokens("first"))
			flowID, out, err := b.callback()
			if err != nil || out.Status != connect.OutcomeConnected {
				t.Fatalf("outcome %+v, %v: want connected", out, err)
			}
			account := out.Accounts[0]
			if flow, err := b.config.Store.ReadFlow(t.Context(), connect.FlowKey{ID: flowID}); err != nil || flow.Status != connect.FlowConnected {
				t.Errorf("the flow is %s, %v: want connected", flow.Status, err)
			}
			pass(fakeLife)
			b.fake.answer("refresh", b.fake.tokens("second"))
			b.wantToken(account, "access-second")
			if got := b.grant(account); got.Generation != 2 || got.Status != connect.GrantActive {
				t.Errorf("generation %d, %s: want 2, active", got.Generation, got.Status)
			}
			pass(fakeLife)
			b.fake.answer("refresh", fails(connect.ClassReconnect))
			_, err = b.token(b.engine, account)
			wantCode(t, err, connect.CodeReauthRequired)
			want := []connect.EventType{connect.EventAccountConnected, connect.EventAccountReauthRequired}
			if diff := cmp.Diff(want, b.events()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	})
	t.Run("refusal", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, time.Now, withUnsure)
			b.fake.answer("exchange", fails(connect.ClassDenied))
			flowID, out, err := b.callback()
			if err != nil || out.Error != connect.CodeAccessDenied {
				t.Fatalf("outcome %+v, %v: want access_denied", out, err)
			}
			if flow, err := b.config.Store.ReadFlow(t.Context(), connect.FlowKey{ID: flowID}); err != nil || flow.Status != connect.FlowFailed {
				t.Errorf("the flow is %s, %v: want failed", flow.Status, err)
			}
			if got := b.events(); !slices.Equal(got, []connect.EventType{connect.EventFlowFailed}) {
				t.Errorf("events %v, want one", got)
			}
		})
	})
	t.Run("selection", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, withUnsure)
		session := w.browser(&alice).session("dana")
		view, err := w.engine.Pending(t.Context(), alice, session, connect.PendingRequest{})
		if err != nil {
			t.Fatal(err)
		}
		ids := []string{view.Candidates[0].ID(), view.Candidates[1].ID()}
		for range 2 {
			got, err := w.engine.Finalize(t.Context(), alice, session, connect.FinalizeRequest{SelectedIDs: ids})
			if err != nil || len(got.Accounts) != 2 {
				t.Fatalf("finalized %+v, %v: want two accounts", got, err)
			}
		}
		accounts := w.accounts(acmeKey)
		if len(accounts) != 2 || w.grantOf(accounts[0]).Generation != 1 || accounts[0].GrantID != accounts[1].GrantID {
			t.Errorf("accounts %+v, want two on one grant", accounts)
		}
		if got := w.eventTypes("acme"); len(got) != 2 {
			t.Errorf("events %v, want one for each account", got)
		}
	})
}

// outage is a store that can be out of reach.
type outage struct {
	connect.Store

	mu    sync.Mutex
	until time.Time
}

// begin makes the store unreachable for a while.
func (s *outage) begin(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = time.Now().Add(d)
}

func (s *outage) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.until) {
		return errStore
	}
	return nil
}

func (s *outage) ReadFlow(ctx context.Context, key connect.FlowKey) (connect.Flow, error) {
	if err := s.err(); err != nil {
		return connect.Flow{}, err
	}
	return s.Store.ReadFlow(ctx, key)
}

func (s *outage) MoveFlow(ctx context.Context, from connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
	if err := s.err(); err != nil {
		return connect.Flow{}, err
	}
	return s.Store.MoveFlow(ctx, from, next)
}

func (s *outage) CommitFlow(ctx context.Context, commit connect.Commit) (connect.Flow, error) {
	if err := s.err(); err != nil {
		return connect.Flow{}, err
	}
	return s.Store.CommitFlow(ctx, commit)
}

func (s *outage) ReadAccount(ctx context.Context, key connect.AccountKey) (connect.Account, error) {
	if err := s.err(); err != nil {
		return connect.Account{}, err
	}
	return s.Store.ReadAccount(ctx, key)
}

func (s *outage) ReadGrant(ctx context.Context, key connect.GrantKey) (connect.Grant, error) {
	if err := s.err(); err != nil {
		return connect.Grant{}, err
	}
	return s.Store.ReadGrant(ctx, key)
}

func (s *outage) SettleGrant(ctx context.Context, settlement connect.Settlement) (connect.Grant, error) {
	if err := s.err(); err != nil {
		return connect.Grant{}, err
	}
	return s.Store.SettleGrant(ctx, settlement)
}

// withOutage makes a bench's store one that can fail.
func withOutage(s *outage) func(*connect.Config) {
	return func(c *connect.Config) { s.Store, c.Store = c.Store, s }
}

// then answers, and something happens before the answer arrives.
func then(answer fakeAnswer, event func()) fakeAnswer {
	return func(ctx context.Context) (*connect.Tokens, error) {
		event()
		return answer(ctx)
	}
}

// What the platform has given is stored when the store is back.
func TestStoreFailsForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &outage{}
		b := newBench(t, time.Now, withOutage(store))
		b.fake.answer("exchange", then(b.fake.tokens("first"), func() { store.begin(20 * time.Second) }))
		_, out, err := b.callback()
		if err != nil || out.Status != connect.OutcomeConnected {
			t.Fatalf("outcome %+v, %v: want connected", out, err)
		}
		if _, _, exchanged := b.fake.asked(); exchanged != 1 {
			t.Errorf("%d exchanges, want 1", exchanged)
		}
		account := out.Accounts[0]
		pass(fakeLife)
		b.fake.answer("refresh", then(b.fake.tokens("second"), func() { store.begin(10 * time.Second) }))
		b.wantToken(account, "access-second")
		b.wantPresented("refresh-first")
		if got := b.events(); !slices.Equal(got, []connect.EventType{connect.EventAccountConnected}) {
			t.Errorf("events %v, want one", got)
		}
	})
}

// What cannot be stored is given back.
func TestFault29_WhatCannotBeStoredIsGivenBack(t *testing.T) {
	t.Parallel()
	tests := map[string]*http.Cookie{
		"commit":     {Name: "session", Value: "acme/alice"},
		"quarantine": nil, // nobody is signed in, and the code ends soon
	}
	for name, cookie := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &outage{}
				b := newBench(t, time.Now, withOutage(store), func(c *connect.Config) {
					f, _ := c.Providers[0].(*fake)
					f.platform.CodeTTL = 30 * time.Second
				})
				b.fake.answer("exchange", then(b.fake.tokens("first"), func() { store.begin(10 * time.Minute) }))
				b.fake.answer("revoke", succeeds)
				started, err := b.engine.Start(t.Context(), alice, connect.StartRequest{Platform: "fake"})
				if err != nil {
					t.Fatal(err)
				}
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/connect/callback/fake?code=c&state="+started.State, nil)
				if cookie != nil {
					r.AddCookie(cookie)
				}
				_, err = b.engine.Callback(r, "fake", "")
				wantCode(t, err, connect.CodeUnavailable)
				pass(time.Hour)
				_, revoked, exchanged := b.fake.asked()
				if exchanged != 1 || !slices.Equal(revoked, []string{"access-first"}) {
					t.Errorf("%d exchanges, revoked %q: want 1, and its token", exchanged, revoked)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_ = b.engine.Run(ctx)
				flow, err := b.config.Store.ReadFlow(t.Context(), connect.FlowKey{ID: started.FlowID})
				if err != nil || flow.Status != connect.FlowOrphaned {
					t.Errorf("the flow is %s, %v: want orphaned", flow.Status, err)
				}
				if got := b.events(); !slices.Equal(got, []connect.EventType{connect.EventFlowFailed}) {
					t.Errorf("events %v, want one", got)
				}
			})
		})
	}
}
