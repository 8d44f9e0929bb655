package memstore_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
)

func ExampleNew() {
	store := memstore.New(nil)
	_, err := store.ReadClient(context.Background(), "tenant-1", "mastodon", "mastodon.example")
	fmt.Println(errors.Is(err, connect.ErrNotFound))
	// Output: true
}
