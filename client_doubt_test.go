package connect_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/seed944197df/connect"
)

// What Facebook says of a deleted post it says of a Page that is gone, too.
func TestClientDeletedPostLosesNoPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.browser(&alice).connected("facebook", url.Values{"select": {"first"}}, as("dana"))[0]
	for range 3 {
		status, err := w.call("acme", id, "https://graph.facebook.com/v26.0/110000000000001_999999?fields=id")
		if err != nil || status != http.StatusBadRequest {
			t.Errorf("status %d, %v: want the platform's own answer", status, err)
		}
	}
	w.settle()
	w.wantStatus(id, connect.AccountActive)
	if got := w.box.Requests("graph.facebook.com", "/v26.0/me"); got > 3 {
		t.Errorf("the platform was asked %d times whose the token is", got)
	}
	w.callsPage(w.account(acmeKey, id))
}

// One refusal through Client ends nothing that the platform does not confirm.
func TestFault15_ARefusalIsConfirmed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		own    bool
		answer fakeAnswer // to the engine's own question
		want   connect.AccountStatus
	}{
		"own token, still good":   {true, func(context.Context) (*connect.Tokens, error) { return &connect.Tokens{Subject: "1"}, nil }, connect.AccountActive},
		"own token, refused":      {true, fails(connect.ClassReconnect), connect.AccountReauthRequired},
		"own token, target lost":  {true, fails(connect.ClassTargetLost), connect.AccountTargetLost},
		"own token, no answer":    {true, fails(connect.ClassRetry), connect.AccountActive},
		"unrefreshable, good":     {false, func(context.Context) (*connect.Tokens, error) { return &connect.Tokens{Subject: "1"}, nil }, connect.AccountActive},
		"unrefreshable, refused":  {false, fails(connect.ClassExpired), connect.AccountReauthRequired},
		"unrefreshable, no reply": {false, fails(connect.ClassUncertain), connect.AccountActive},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, newClock().Now, withAPI(t, &apiServer{valid: "none is"}))
			account := b.connectAs(func(tokens *connect.Tokens) {
				tokens.Refresh = connect.Secret{}
				if tt.own {
					tokens.Self.Access = connect.NewSecret("own")
				}
			})
			b.fake.answer("identify", tt.answer)
			client, err := b.engine.Client(t.Context(), "acme", account.ID)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Get(fakeAPI)
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			if (err == nil) != (tt.want == connect.AccountActive) {
				t.Errorf("error %v", err)
			}
			if err := b.engine.Close(t.Context()); err != nil { // waits for what it writes
				t.Fatal(err)
			}
			if got := b.status(account); got != tt.want {
				t.Errorf("the account is %s, want %s", got, tt.want)
			}
		})
	}
}

// The person's token is over after 60 days, and the Pages' are not.
func TestThreat109_RevokedWithoutTheUserToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.browser(&alice).connected("facebook", url.Values{"select": {"first"}}, as("dana"))[0]
	account := w.account(acmeKey, id)
	source, err := w.engine.TokenSource(t.Context(), "acme", id)
	if err != nil {
		t.Fatal(err)
	}
	token, err := source.Token()
	if err != nil {
		t.Fatal(err)
	}
	w.clock.advance(61 * day)
	w.callsPage(account)
	if got := w.disconnect(acmeKey, id); got != connect.RevocationRevoked {
		t.Errorf("the revocation is %s", got)
	}
	b := w.browser(nil)
	b.header.Set("Authorization", "Bearer "+token.AccessToken)
	r := b.do(http.MethodGet, w.boxHost+"/graph.facebook.com/v26.0/"+account.PlatformID+"?fields=name", "", "")
	if !strings.Contains(r.body, `"code":190`) {
		t.Errorf("the Page's token still works: %d %s", r.status, r.body)
	}
}
