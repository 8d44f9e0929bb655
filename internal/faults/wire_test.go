package faults_test

import (
	"testing"
	"time"

	"github.com/seed944197df/connect"
)

// loseAnswer lets the platform rotate, and cuts the line before it has
// answered.
func (r *rig) loseAnswer() {
	r.platform.whenCommitted(func() {
		r.platform.whenCommitted(func() {})
		r.toSite.cut()
		r.toSite.restore()
	})
}

// loseRequest cuts the line in the middle of the next request. What has ended
// before has no line any more.
func (r *rig) loseRequest() {
	r.toSite.cut()
	r.toSite.restore()
	r.toSite.poison(`{"type": "limit_data", "stream": "upstream", "attributes": {"bytes": 40}}`)
}

// An answer is lost on the wire, or a request, and the class of rotation
// decides what may be presented again, and when. Where nobody can know what
// has happened, the access token that is left is used to its end.
func TestFault10_AnAnswerLostOnTheWire(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rotation connect.Rotation
		lose     func(*rig)
		waits    time.Duration
		serial   int // where the platform is in the end; 0: the grant is lost
	}{
		"stable":                  {connect.Rotation{Class: connect.RotationStable}, (*rig).loseAnswer, 10 * time.Minute, 1},
		"grace":                   {connect.Rotation{Class: connect.RotationGrace, Grace: time.Minute}, (*rig).loseAnswer, aWhile, 2},
		"strict":                  {strict, (*rig).loseAnswer, tokenLife, 0},
		"strict, a request lost":  {strict, (*rig).loseRequest, tokenLife, 2},
		"not said, an answer":     {connect.Rotation{}, (*rig).loseAnswer, tokenLife, 0},
		"grace, longer than that": {connect.Rotation{Class: connect.RotationGrace, Grace: time.Nanosecond}, (*rig).loseAnswer, tokenLife, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, settings{rotation: tt.rotation})
			account := r.connect("alice")
			r.clock.advance(aWhile)
			tt.lose(r)
			if err := r.refresh(account); connect.CodeOf(err) != connect.CodePlatformError && connect.CodeOf(err) != connect.CodeUnavailable {
				t.Errorf("the refresh is %v, want to be told that the answer is lost", err)
			}
			r.toSite.heal()
			if got := r.grant(account); got.Status != connect.GrantUncertain || got.Presented != 1 || got.SentAt == nil || got.Generation != 1 {
				t.Errorf("the grant is %s, presented %d times, of generation %d: want the loss recorded", got.Status, got.Presented, got.Generation)
			}
			r.wantWorks(account)
			if tt.waits == tokenLife {
				r.wantRest(account)
			}
			r.clock.advance(tt.waits)
			err := r.refresh(account)
			if tt.serial == 0 {
				r.wantLost(account, err)
				return
			}
			if err != nil {
				t.Error(err)
			}
			if got := r.platform.family("alice"); got.serial != tt.serial || got.alarms != 0 {
				t.Errorf("the platform is at %d, with %d alarms: want %d, and none", got.serial, got.alarms, tt.serial)
			}
			if got := r.grant(account); got.Status != connect.GrantActive || got.Generation != 2 {
				t.Errorf("the grant is %s, of generation %d: want it refreshed", got.Status, got.Generation)
			}
			r.wantWorks(account)
		})
	}
}

// wantRest checks that nothing is presented while the access token works.
func (r *rig) wantRest(account connect.Account) {
	r.t.Helper()
	before := r.platform.family(account.PlatformID).presented[refreshToken(account.PlatformID, 1)]
	r.clock.advance(tokenLife / 2)
	if err := r.refresh(account); err == nil {
		r.t.Error("an uncertain grant was refreshed before its access token had ended")
	}
	r.wantWorks(account)
	if got := r.platform.family(account.PlatformID).presented[refreshToken(account.PlatformID, 1)]; got != before {
		r.t.Errorf("the refresh token was presented %d times, want %d", got, before)
	}
}

// wantLost checks that a loss is declared, after one more presentation.
func (r *rig) wantLost(account connect.Account, err error) {
	r.t.Helper()
	if connect.CodeOf(err) != connect.CodeReauthRequired {
		r.t.Errorf("the refresh is %v, want reauth_required", err)
	}
	if got := r.platform.family(account.PlatformID); got.presented[refreshToken(account.PlatformID, 1)] != 2 {
		r.t.Errorf("the platform was shown %v", got.presented)
	}
	if got := r.grant(account); got.Status != connect.GrantDead {
		r.t.Errorf("the grant is %s, want dead", got.Status)
	}
	if got := r.events()[connect.EventAccountReauthRequired]; len(got) != 1 {
		r.t.Errorf("%d events tell of the loss, want 1", len(got))
	}
}

// Nothing has left where no connection could be made, and no token counts as
// presented.
func TestFault10_NothingWasWritten(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{rotation: strict})
	account := r.connect("alice")
	r.clock.advance(aWhile)
	r.toSite.cut()
	if err := r.refresh(account); err == nil {
		t.Error("a refresh succeeds without a network")
	}
	if got := r.grant(account); got.Status != connect.GrantActive || got.Presented != 0 || got.Generation != 1 {
		t.Errorf("the grant is %s, presented %d times, of generation %d: want it as it was", got.Status, got.Presented, got.Generation)
	}
	r.toSite.restore()
	r.clock.advance(aWhile)
	if err := r.refresh(account); err != nil {
		t.Errorf("the refresh right afterwards: %v", err)
	}
	r.wantRefreshed([]connect.Account{account})
}
