package connect_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/bluesky"
	"github.com/seed944197df/connect/providers/facebook"
	"github.com/seed944197df/connect/providers/x"
	"github.com/seed944197df/connect/sqlitestore"
	"github.com/seed944197df/connect/tokencrypt"
)

// The README shows this example.
func Example() {
	ctx := context.Background()
	keys, err := tokencrypt.ParseKeyring(os.Getenv("CONNECT_KEYS")) // "k1:<32 bytes in base64>"
	if err != nil {
		fmt.Println("set CONNECT_KEYS to a key ring")
		return
	}
	store, err := sqlitestore.Open(ctx, "connect.db", nil)
	if err != nil {
		slog.Error("opening the store", "error", err)
		return
	}
	c, err := connect.New(connect.Config{
		BaseURL: "https://app.example.com/connect",
		Store:   store,
		Keys:    keys,
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
	})
	if err != nil {
		slog.Error("composing the engine", "error", err) // says which field and the way out
		return
	}
	http.Handle("/connect/", c.Handler()) // customers connect at /connect/ui/
	go c.Run(ctx)                         // refresh and expiry

	// Later, anywhere: call the platform as an account.
	client, err := c.Client(ctx, "workspace-1", "account-id")
	if err == nil {
		_, _ = client.Get("https://api.x.com/2/users/me")
	}
	// Output: set CONNECT_KEYS to a key ring
}

type hostUser struct{ Workspace, ID string }

func session(*http.Request) (hostUser, error) { return hostUser{}, http.ErrNoCookie }
