package connect_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/peers"
)

// TestRealPDS connects to Bluesky's reference PDS, which was not written for
// this project, with the https rule and the address guard on.
func TestRealPDS(t *testing.T) {
	t.Parallel()
	pds := peers.StartPDS(t)
	w := newWorld(t, func(cfg *connect.Config) {
		cfg.UnsafeRewriteHost = ""
		cfg.UnsafeDial, cfg.RootCAs = pds.Dial, pds.RootCAs
		cfg.Resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("no DNS in this test")
		}}
	})
	program := w.program("acme")

	form := map[string]string{"identifier": pds.Handle, "app_password": "aaaa-bbbb-cccc-dddd"}
	if got := program.json(http.MethodPost, "/connect/credentials/bluesky", form).problem(t, http.StatusUnprocessableEntity); got != "credentials_refused" {
		t.Errorf("a wrong app password is %q", got)
	}

	form["app_password"] = pds.AppPassword
	var out struct {
		Status   string
		Accounts []struct {
			ID                string
			PlatformAccountID string `json:"platform_account_id"`
		}
	}
	program.json(http.MethodPost, "/connect/credentials/bluesky", form).decode(t, http.StatusCreated, &out)
	if out.Status != "connected" || len(out.Accounts) != 1 || out.Accounts[0].PlatformAccountID != pds.DID {
		t.Fatalf("outcome %+v, want %s connected", out, pds.DID)
	}
	account := out.Accounts[0].ID
	if got := sessionOf(t, w, account); got != pds.DID {
		t.Errorf("the session is of %q, want %q", got, pds.DID)
	}

	before := grantOf(t, w, account)
	w.clock.advance(3 * time.Hour) // the access token lives two
	if got := sessionOf(t, w, account); got != pds.DID {
		t.Errorf("after a refresh the session is of %q, want %q", got, pds.DID)
	}
	if after := grantOf(t, w, account); after.Generation != before.Generation+1 || after.Status != connect.GrantActive {
		t.Errorf("generation %d, status %s, want %d, active", after.Generation, after.Status, before.Generation+1)
	}

	var gone struct{ Status, Revocation string }
	program.json(http.MethodDelete, "/connect/accounts/"+account, nil).decode(t, http.StatusOK, &gone)
	if gone.Revocation != "revoked" {
		t.Errorf("disconnect says %+v, want revoked", gone)
	}
	if _, err := w.engine.Client(t.Context(), "acme", account); connect.CodeOf(err) != connect.CodeDisconnected {
		t.Errorf("a client of a disconnected account: %v", err)
	}
}

// sessionOf asks the PDS, as the account, whose session it is.
func sessionOf(t *testing.T, w *world, accountID string) string {
	t.Helper()
	account, err := w.engine.Account(t.Context(), acmeKey, accountID)
	if err != nil {
		t.Fatal(err)
	}
	client, err := w.engine.Client(t.Context(), "acme", accountID)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get(account.APIBaseURL + "/xrpc/com.atproto.server.getSession")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var session struct{ DID string }
	if err := json.NewDecoder(resp.Body).Decode(&session); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, error %v", resp.StatusCode, err)
	}
	return session.DID
}

// grantOf reads the grant of an account from the store.
func grantOf(t *testing.T, w *world, accountID string) connect.Grant {
	t.Helper()
	account, err := w.engine.Account(t.Context(), acmeKey, accountID)
	if err != nil {
		t.Fatal(err)
	}
	grant, err := w.config.Store.ReadGrant(t.Context(), connect.GrantKey{Tenant: "acme", ID: account.GrantID})
	if err != nil {
		t.Fatal(err)
	}
	return grant
}
