package connect_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed944197df/connect"
)

// errBusy is the word of a platform that wants to be left alone.
var errBusy = &connect.ProviderError{Class: connect.ClassRetry, Status: http.StatusTooManyRequests, RetryAfter: 10 * time.Minute}

const gateRoom = 16 // requests that may be under way when a gate is shut

// all calls do for each account at once.
func (f *fleet) all(do func(connect.Account)) {
	var doing sync.WaitGroup
	for _, account := range f.accounts {
		doing.Go(func() { do(account) })
	}
	doing.Wait()
}

// Callers that wait for their turn while the platform asks to be left alone do
// not ask it.
func TestFault12_WaitingCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Now, 1, 60, answersIn(time.Second))
		f.crowd.fault = always(errBusy)
		pass(fakeLife)
		f.all(func(account connect.Account) {
			if _, err := f.token(f.engine, account); err == nil {
				t.Error("an account works")
			}
		})
		if got := len(f.crowd.presentations()); got > gateRoom {
			t.Errorf("%d requests, want the %d that were under way", got, gateRoom)
		}
		f.crowd.fault = nil
		pass(time.Hour)
		f.all(func(account connect.Account) { _, _ = f.token(f.engine, account) })
		f.run(time.Minute)
		f.wantAll("active active 2")
	})
}

// revoking makes the crowd answer revocations, after a second each, with what
// answer says, and counts them.
type revoking struct {
	*crowd

	answer      func() error
	asked, open atomic.Int64
	most        atomic.Int64
}

// Revoke implements [connect.Revoker].
func (r *revoking) Revoke(context.Context, connect.Env, *connect.Tokens) error {
	r.asked.Add(1)
	if n := r.open.Add(1); n > r.most.Load() {
		r.most.Store(n)
	}
	defer r.open.Add(-1)
	pass(time.Second)
	return r.answer()
}

// newRevoking is a fleet whose crowd answers revocations so.
func newRevoking(t *testing.T, n int, answer func() error) (*fleet, *revoking) {
	t.Helper()
	f := newFleet(t, time.Now, 1, n)
	r := &revoking{crowd: f.crowd, answer: answer}
	f.config.Providers = []connect.Provider{r}
	f.engine = f.another(nil)
	f.engines = []*connect.Connector{f.engine}
	return f, r
}

// Disconnecting many at once asks a platform that wants to be left alone no
// more than refreshing does, and Run revokes afterwards.
func TestThreat109_ManyDisconnects(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calm atomic.Bool
		f, r := newRevoking(t, 60, func() error {
			if calm.Load() {
				return nil
			}
			return errBusy
		})
		f.all(func(account connect.Account) {
			done, err := f.engine.Disconnect(t.Context(), acmeKey, account.ID)
			if err != nil || done.Revocation != connect.RevocationPending {
				t.Errorf("%+v, %v: want it pending", done, err)
			}
		})
		if got := r.asked.Load(); got > gateRoom {
			t.Errorf("%d requests, want the %d that were under way", got, gateRoom)
		}
		asked := r.asked.Load()
		if done, err := f.engine.DeleteTenant(t.Context(), acmeKey); err != nil || done.Revoking != 60 || r.asked.Load() != asked {
			t.Errorf("%+v, %v after %d requests more: want all to wait", done, err, r.asked.Load()-asked)
		}
		calm.Store(true)
		f.run(15 * time.Minute)
		f.wantAll("dead disconnected 1")
		if got := r.most.Load(); got > gateRoom {
			t.Errorf("%d requests at once, want at most %d", got, gateRoom)
		}
	})
}

// Nobody is kept waiting for a platform that has nothing to be asked.
func TestThreat109_NothingToRevoke(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, r := newRevoking(t, 2, func() error { return nil })
		f.crowd.platform.Revokes = connect.ReachNothing
		f.engine = f.another(nil)
		f.crowd.fault = always(errBusy)
		pass(fakeLife)
		if _, err := f.token(f.engine, f.accounts[0]); err == nil {
			t.Error("an account works")
		}
		done, err := f.engine.Disconnect(t.Context(), acmeKey, f.accounts[1].ID)
		if err != nil || done.Revocation != connect.RevocationUnsupported || r.asked.Load() != 0 {
			t.Errorf("%+v, %v: want it unsupported", done, err)
		}
	})
}

// A wait that a platform imposes on one account, as Facebook does on one that it
// has blocked, is no other's.
func TestFault12_ABlockedAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Now, 1, 20)
		blocked := &connect.ProviderError{Class: connect.ClassRetry, Status: http.StatusBadRequest, Code: "368", RetryAfter: 24 * time.Hour}
		f.crowd.fault = once(blocked, "acme0")
		pass(fakeLife)
		_, err := f.token(f.engine, f.accounts[0])
		if platform, ok := errors.AsType[*connect.ProviderError](err); !ok || platform.Code != "368" {
			t.Errorf("error %v, want what the platform said", err)
		}
		f.run(time.Minute)
		if got := f.tally(); got["active active 2"] != 19 || got["active active 1"] != 1 {
			t.Errorf("accounts by state %v, want all but one refreshed", got)
		}
		f.run(time.Hour)
		if got := f.grant(f.accounts[0]).Generation; got != 2 {
			t.Errorf("generation %d an hour later, want 2", got)
		}
	})
}
