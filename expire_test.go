package connect_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sandbox"
)

// A platform that does not answer keeps an abandoned flow from its end, so
// that the revocation is not forgotten with the process that tried it.
func TestRunRevokesAbandonedSelectionsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	flowID := w.browser(&alice).connect("facebook", headless(), nil).outcome(t).Get("flow_id")
	w.clock.advance(20 * time.Minute)
	w.fault(sandbox.Fault{Platform: "facebook", Fault: "500", At: "revoke"})
	w.round()
	if got := w.flowRow(flowID).Status; got != connect.FlowClaimed {
		t.Errorf("the flow is %s, want claimed, by who ends it, until its tokens are revoked", got)
	}
	w.clock.advance(5 * time.Minute)
	w.round()
	if got := w.flowRow(flowID).Status; got != connect.FlowExpired {
		t.Errorf("the flow is %s, want expired", got)
	}
}

// A flow whose seal cannot be opened does not count as open for ever.
func TestRunEndsWhatCannotBeOpened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	flowID := w.begin(alice, connect.StartRequest{Platform: "x"}).FlowID
	row := w.flowRow(flowID)
	row.Request = []byte("not sealed")
	if _, err := w.config.Store.MoveFlow(t.Context(), row.Status, row); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(time.Hour)
	w.round()
	if got := w.flowRow(flowID).Status; got != connect.FlowStarted {
		t.Errorf("the flow is %s, want started while a key may come back", got)
	}
	w.clock.advance(24 * time.Hour)
	w.round()
	if got := w.flowRow(flowID).Status; got != connect.FlowExpired {
		t.Errorf("the flow is %s, want expired", got)
	}
}

// Closing waits for what is under way, and work that begins meanwhile does not
// cut it short.
func TestCloseLetsWorkEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t, time.Now)
	entered, leave := make(chan struct{}), make(chan struct{})
	b.fake.answer("login", func(ctx context.Context) (*connect.Tokens, error) {
		close(entered)
		<-leave
		if ctx.Err() != nil {
			t.Error("the login was cut short")
		}
		return b.fake.tokens("first")(ctx)
	})
	b.fake.answer("login", b.fake.tokens("first"))
	login := func() error {
		_, err := b.engine.ConnectCredentials(context.WithoutCancel(t.Context()), acmeKey, connect.CredentialsRequest{Platform: "fake"})
		return err
	}
	first := make(chan error, 1)
	go func() { first <- login() }()
	<-entered
	closed := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { closed <- b.engine.Close(ctx) }()
	if err := login(); err != nil { // before or after Close has begun: it is done
		t.Errorf("a second login: %v", err)
	}
	close(leave)
	if err := <-first; err != nil {
		t.Errorf("the first login: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
}

// What the account says of its token is what the last refresh said.
func TestTokenExpiryFollowsTheRefresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.browser(&alice).connect("x", nil, nil).outcome(t).Get("account_id")
	w.clock.advance(3 * time.Hour)
	if status, err := w.call("acme", id, xMe); status != http.StatusOK || err != nil {
		t.Fatalf("status %d, %v", status, err)
	}
	want := w.clock.Now().Add(2 * time.Hour)
	for name, account := range map[string]connect.Account{"one": w.account(acmeKey, id), "listed": w.accounts(acmeKey)[0]} {
		if account.TokenExpiry == nil || !account.TokenExpiry.Equal(want) {
			t.Errorf("%s: the token ends at %v, want %v", name, account.TokenExpiry, want)
		}
	}
}
