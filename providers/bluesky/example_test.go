package bluesky_test

import (
	"fmt"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/bluesky"
)

func ExampleNew() {
	cfg := connect.Config{
		BaseURL:   "https://app.example.com/connect",
		Providers: []connect.Provider{bluesky.New(nil)},
		// Store, Keys, Authenticate, …
	}
	for _, field := range cfg.Providers[0].Platform().Methods[0].Fields {
		fmt.Println(field.Name, field.Required)
	}
	// Output:
	// identifier true
	// app_password true
	// pds false
}
