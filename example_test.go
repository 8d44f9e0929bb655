package connect_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
	"github.com/seed944197df/connect/providers/bluesky"
	"github.com/seed944197df/connect/providers/facebook"
	"github.com/seed944197df/connect/providers/x"
	"github.com/seed944197df/connect/tokencrypt"
)

func Example() {
	key, _ := tokencrypt.GenerateKey("k1")
	keys, _ := tokencrypt.NewKeyring(key)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for name, value := range map[string]string{"X_ID": "x-client", "FB_ID": "900000000000001", "FB_SECRET": "secret"} {
		_ = os.Setenv(name, value)
	}
	fmt.Println(host(ctx, memstore.New(nil), keys, "no-such-account"))
	// Output: connect: account: not_found: There is no such account in this tenant.
}

// host is the host that the README shows.
func host(ctx context.Context, store connect.Store, keys *tokencrypt.Keyring, accountID string) error {
	c, err := connect.New(connect.Config{
		BaseURL: "https://app.example.com/connect",
		Store:   store, // from sqlitestore.Open(ctx, "connect.db", nil), or pgstore.Open for many hosts
		Keys:    keys,  // from tokencrypt.ParseKeyring(os.Getenv("CONNECT_KEYS"))
		Providers: []connect.Provider{
			x.New(x.Options{ClientID: os.Getenv("X_ID"), ClientSecret: connect.NewSecret(os.Getenv("X_SECRET"))}),
			facebook.New(facebook.Options{AppID: os.Getenv("FB_ID"), AppSecret: connect.NewSecret(os.Getenv("FB_SECRET"))}),
			bluesky.New(nil),
		},
		Authenticate: func(r *http.Request) (connect.Principal, error) {
			user, err := session(r) // your own session
			if err != nil {
				return connect.Principal{}, connect.ErrUnauthenticated
			}
			return connect.Principal{Tenant: user.Workspace, User: user.ID, Ambient: true}, nil
		},
		ReturnOrigins: []string{"https://app.example.com"},
		Logger:        slog.Default(), // why something failed is told here only
	})
	if err != nil {
		return err // says which field, and the way out
	}
	http.Handle("/connect/", c.Handler()) // customers connect at /connect/ui/
	go c.Run(ctx)                         // refresh and expiry

	// Later, anywhere: call the platform as an account. Its id came with the return
	// URL, as account_id; c.Accounts lists all that a tenant has.
	account, err := c.Account(ctx, connect.Principal{Tenant: "workspace-1"}, accountID)
	if err != nil {
		return err
	}
	client, err := c.Client(ctx, account.Tenant, account.ID)
	if err != nil {
		return err // says who must act
	}
	resp, err := client.Get(account.APIBaseURL + "/users/me")
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

type hostUser struct{ Workspace, ID string }

func session(*http.Request) (hostUser, error) { return hostUser{}, http.ErrNoCookie }

// TestREADME keeps the README's code the one that compiles above.
func TestREADME(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, found := strings.Cut(string(readme), "```go\n")
	shown, _, _ = strings.Cut(shown, "```")
	if !found || strings.Count(shown, "\n") < 20 {
		t.Fatal("the README shows no code")
	}
	indented := "\t" + strings.ReplaceAll(strings.TrimSuffix(shown, "\n"), "\n", "\n\t") + "\n"
	if !strings.Contains(string(example), strings.ReplaceAll(indented, "\n\t\n", "\n\n")) {
		t.Error("the README's code is not a part of example_test.go, line by line")
	}
}
