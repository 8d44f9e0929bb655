package connect_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sandbox"
)

// What a refresh hears, and what becomes of the account.
func TestFlowGoogleRefreshErrors(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]connect.AccountStatus{
		"invalid_grant":   connect.AccountReauthRequired,
		"account_deleted": connect.AccountReauthRequired,
		"session_control": connect.AccountReauthRequired,
		"admin_policy":    connect.AccountReauthRequired,
		"invalid_client":  connect.AccountActive, // the host's to mend
		"429":             connect.AccountActive,
		"500":             connect.AccountActive,
		"html":            connect.AccountActive,
		"lost_answer":     connect.AccountActive,
		"bad_json":        connect.AccountActive,
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			w := newGoogle(t)
			account := w.account(alice, w.browser(&alice).connected("youtube", nil, as("mara"))[0])
			w.clock.advance(googleLife)
			w.fault(sandbox.Fault{Platform: "google", Fault: fault, At: "refresh", Times: 2})
			for range 2 { // where the refresh token stays, the first refusal waits for a second
				if _, err := w.call("acme", account.ID, channels); err == nil {
					t.Error("the call works")
				}
				w.clock.advance(11 * time.Minute)
			}
			w.wantStatus(account.ID, want)
			if want == connect.AccountActive {
				w.works(account)
				return
			}
			health, err := w.engine.Health(t.Context(), alice, account.ID, connect.HealthRequest{})
			if err != nil || !health.NeedsReconnect || health.Reasons[0].Who != "user" {
				t.Errorf("health %+v, %v", health, err)
			}
			w.browser(&alice).connected("youtube", url.Values{"account_id": {account.ID}}, as("mara"))
			w.works(account)
		})
	}
}

// What a call hears, and what becomes of the account.
func TestFlowGoogleCallErrors(t *testing.T) {
	t.Parallel()
	for fault, tt := range map[string]struct {
		status int // that the caller sees; 0: an error
		want   connect.AccountStatus
	}{
		"expired_token":        {http.StatusOK, connect.AccountActive}, // refreshed, and asked again
		"scope_missing":        {http.StatusForbidden, connect.AccountLimited},
		"quota_exceeded":       {http.StatusForbidden, connect.AccountActive},
		"rate_limit":           {http.StatusForbidden, connect.AccountActive},
		"429":                  {http.StatusTooManyRequests, connect.AccountActive},
		"no_quota":             {http.StatusTooManyRequests, connect.AccountActive},
		"api_disabled":         {http.StatusForbidden, connect.AccountActive},
		"no_permission":        {http.StatusForbidden, connect.AccountActive},
		"not_found":            {http.StatusNotFound, connect.AccountActive},
		"delegation_forbidden": {http.StatusForbidden, connect.AccountActive},
		"channel_suspended":    {0, connect.AccountSuspended},
		"channel_closed":       {http.StatusOK, connect.AccountActive}, // a refresh is the question that ends a grant
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			w := newGoogle(t)
			account := w.account(alice, w.browser(&alice).connected("youtube", nil, as("mara"))[0])
			w.fault(sandbox.Fault{Platform: "google", Fault: fault, At: "api"})
			status, err := w.call("acme", account.ID, channels)
			if status != tt.status || (err == nil) != (tt.status != 0) {
				t.Errorf("status %d, %v", status, err)
			}
			w.settle()
			w.wantStatus(account.ID, tt.want)
		})
	}
}

// A client in testing has refresh tokens of seven days, which health tells.
func TestFlowGoogleTestingClient(t *testing.T) {
	t.Parallel()
	w := newGoogle(t)
	w.fault(sandbox.Fault{Platform: "google", Fault: "testing_client"})
	account := w.account(alice, w.browser(&alice).connected("youtube", nil, as("mara"))[0])
	ends := w.clock.Now().Add(604799 * time.Second)
	health, err := w.engine.Health(t.Context(), alice, account.ID, connect.HealthRequest{})
	if err != nil || health.NextBreakAt == nil || !health.NextBreakAt.Equal(ends) || health.State != connect.HealthWarning {
		t.Fatalf("health %+v, %v, want a warning of %v", health, err, ends)
	}
	if !slices.ContainsFunc(health.Reasons, func(r connect.HealthReason) bool { return r.Code == "token_ending" }) {
		t.Errorf("reasons %+v", health.Reasons)
	}
	w.clock.advance(6 * 24 * time.Hour)
	w.works(account)
	if got := w.grantOf(account).RefreshExpiry; got == nil || !got.Equal(ends) {
		t.Errorf("after a refresh it ends at %v, want %v", got, ends)
	}
	w.clock.advance(24 * time.Hour)
	_, err = w.call("acme", account.ID, channels)
	wantCode(t, err, connect.CodeTokenExpired)
}
