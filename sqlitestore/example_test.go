package sqlitestore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sqlitestore"
)

func ExampleOpen() {
	folder, err := os.MkdirTemp("", "connect")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)

	store, err := sqlitestore.Open(context.Background(), filepath.Join(folder, "connect.db"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	_, err = store.ReadClient(context.Background(), "tenant-1", "mastodon", "mastodon.example")
	fmt.Println(errors.Is(err, connect.ErrNotFound))
	// Output: true
}
