package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/pgstore"
)

// Through PgBouncer in transaction mode, the connection string says how
// statements are to be sent.
func ExampleOpen() {
	ctx := context.Background()
	dsn := "postgres://connect@pgbouncer.internal:6432/app?sslmode=verify-full&default_query_exec_mode=exec"
	store, err := pgstore.Open(ctx, dsn, &pgstore.Options{Logger: slog.Default()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	_, err = store.ReadClient(ctx, "tenant-1", "mastodon", "mastodon.example")
	fmt.Println(errors.Is(err, connect.ErrNotFound))
}
