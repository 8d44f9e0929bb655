package sandbox_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
	"github.com/seed944197df/connect/providers/x"
	"github.com/seed944197df/connect/sandbox"
	"github.com/seed944197df/connect/tokencrypt"
)

// A whole host, and a person who connects an X account. Errors are left out.
func Example() {
	ctx, mux := context.Background(), http.NewServeMux()
	host := httptest.NewServer(mux)
	defer host.Close()
	box, _ := sandbox.New(sandbox.Options{Clients: map[string]sandbox.Client{
		"x": {ID: "id", Secret: "secret", RedirectURIs: []string{host.URL + "/connect/callback/x"}},
	}})
	platforms := httptest.NewServer(box)
	defer platforms.Close()
	key, _ := tokencrypt.GenerateKey("k1")
	keys, _ := tokencrypt.NewKeyring(key)
	alice := connect.Principal{Tenant: "acme", User: "alice"}

	c, _ := connect.New(connect.Config{
		BaseURL:           host.URL + "/connect",
		Store:             memstore.New(nil),
		Keys:              keys,
		Providers:         []connect.Provider{x.New(x.Options{ClientID: "id", ClientSecret: connect.NewSecret("secret")})},
		Authenticate:      func(*http.Request) (connect.Principal, error) { return alice, nil },
		UnsafeRewriteHost: platforms.URL,
	})
	defer func() { _ = c.Close(ctx) }()
	mux.Handle("/connect/", c.Handler())

	started, _ := c.Start(ctx, alice, connect.StartRequest{Platform: "x"})
	page, _ := http.PostForm(started.URL, url.Values{"decision": {"allow"}}) // the consent page
	_ = page.Body.Close()

	accounts, _, _ := c.Accounts(ctx, alice, connect.AccountFilter{}, connect.Page{})
	client, _ := c.Client(ctx, "acme", accounts[0].ID)
	me, _ := client.Get(accounts[0].APIBaseURL + "/users/me")
	_ = me.Body.Close()
	fmt.Println(accounts[0].Name, me.Status)
	// Output: Example Bakery 200 OK
}
