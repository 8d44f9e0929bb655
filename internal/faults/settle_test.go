package faults_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
)

// strict is the class where a token that is presented twice ends its grant.
var strict = connect.Rotation{Class: connect.RotationStrict}

// refreshAll refreshes all accounts at once.
func (r *rig) refreshAll(accounts []connect.Account) {
	r.t.Helper()
	r.clock.advance(aWhile)
	var asking sync.WaitGroup
	for _, account := range accounts {
		asking.Go(func() {
			if err := r.refresh(account); err != nil {
				r.t.Errorf("%s: %v", account.PlatformID, err)
			}
		})
	}
	asking.Wait()
}

// wantRefreshed checks that each account was refreshed once: by one
// presentation, whose tokens are what is stored.
func (r *rig) wantRefreshed(accounts []connect.Account) {
	r.t.Helper()
	for _, account := range accounts {
		subject := account.PlatformID
		if got := r.platform.family(subject); got.serial != 2 || got.alarms != 0 || got.presented[refreshToken(subject, 1)] != 1 {
			r.t.Errorf("%s: the platform is at %d, with %d alarms, after %v", subject, got.serial, got.alarms, got.presented)
		}
		if got := r.grant(account); got.Status != connect.GrantActive || got.Generation != 2 {
			r.t.Errorf("%s: the grant is %s, of generation %d", subject, got.Status, got.Generation)
		}
		r.wantWorks(account)
	}
}

// PostgreSQL is gone when the platform has rotated the tokens, and comes back.
func TestFault8_NewTokensWaitForTheStore(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]time.Duration{"for a second": time.Second, "for ten seconds": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, settings{rotation: strict})
			const n = 16 // as many as one process presents at once
			accounts := r.connectAll(n)
			gone := make(chan struct{})
			r.platform.whenCommitted(whenIssued(n, func() {
				r.toStore.cut()
				time.AfterFunc(outage, r.toStore.restore)
				close(gone)
			}, gone))
			began := time.Now()
			r.refreshAll(accounts)
			if took := time.Since(began); took < outage {
				t.Errorf("all was stored within %v, while the store was gone", took)
			}
			r.platform.whenCommitted(func() {})
			r.wantRefreshed(accounts)
			r.refreshAll(accounts) // the refresh tokens that were stored work, too
			for _, account := range accounts {
				if got := r.platform.family(account.PlatformID); got.serial != 3 || got.alarms != 0 {
					t.Errorf("%s: the platform is at %d, with %d alarms", account.PlatformID, got.serial, got.alarms)
				}
			}
		})
	}
}

// settling is a store whose settlements are listened to.
type settling struct {
	connect.Store

	heard func(error)
}

func (s settling) SettleGrant(ctx context.Context, settlement connect.Settlement) (connect.Grant, error) {
	grant, err := s.Store.SettleGrant(ctx, settlement)
	s.heard(err)
	return grant, err
}

// The connection dies while new tokens are committed. Whether they were is for
// the store to say, not for the error.
func TestFault9_ACommitOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		toxic  string
		stored bool
	}{
		"reset before it arrives": {`{"type": "reset_peer", "stream": "upstream"}`, false},
		"cut in the middle":       {`{"type": "limit_data", "stream": "upstream", "attributes": {"bytes": 300}}`, false},
		"reset before the answer": {`{"type": "reset_peer", "stream": "downstream"}`, true},
		"cut in the answer":       {`{"type": "limit_data", "stream": "downstream", "attributes": {"bytes": 20}}`, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r *rig
			answers := map[string]int{}
			listen := func(err error) {
				switch {
				case err == nil:
					answers["stored"]++
				case errors.Is(err, connect.ErrStale):
					answers["stored before"]++
				default:
					answers["broken"]++
					r.toStore.heal()
				}
			}
			r = newRig(t, settings{rotation: strict, watch: func(s connect.Store) connect.Store { return settling{s, listen} }})
			const n = 25
			accounts := r.connectAll(n)
			r.platform.whenCommitted(func() { r.toStore.poison(tt.toxic) })
			r.clock.advance(aWhile)
			for _, account := range accounts {
				if err := r.refresh(account); err != nil {
					t.Errorf("%s: %v", account.PlatformID, err)
				}
			}
			want := map[string]int{"broken": n, "stored": n}
			if tt.stored {
				want = map[string]int{"broken": n, "stored before": n}
			}
			if diff := cmp.Diff(want, answers); diff != "" {
				t.Errorf("what the store has answered (-want +got):\n%s", diff)
			}
			r.wantRefreshed(accounts)
		})
	}
}
