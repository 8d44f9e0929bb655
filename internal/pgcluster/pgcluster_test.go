package pgcluster_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/seed944197df/connect/internal/pgcluster"
	"github.com/seed944197df/connect/internal/testreq"
)

// TestCluster: a cluster takes a database by a name once, and leaves nothing
// behind.
func TestCluster(t *testing.T) {
	t.Parallel()
	cluster, err := pgcluster.Start(t.Context(), "")
	if errors.Is(err, pgcluster.ErrMissing) {
		testreq.Missing(t, "PostgreSQL", err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	folder, _, _ := strings.Cut(strings.TrimPrefix(cluster.DSN("one"), "host="), " ")
	if err := cluster.CreateDatabase(t.Context(), "one"); err != nil {
		t.Error(err)
	}
	if err := cluster.CreateDatabase(t.Context(), "one"); err == nil || !strings.Contains(err.Error(), "already exists") {
		t.Errorf("the second database of that name is %v", err)
	}
	if err := cluster.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v, want it gone", folder, err)
	}
	if err := cluster.CreateDatabase(context.Background(), "two"); err == nil {
		t.Error("a server that was stopped makes databases")
	}
}
