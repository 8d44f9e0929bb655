package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/pgcluster"
	"github.com/seed944197df/connect/pgstore"
	"github.com/seed944197df/connect/sqlitestore"
	"github.com/seed944197df/connect/tokencrypt"
)

// stage is what all processes of a run share. It travels as a file.
type stage struct {
	Dir      string        `json:"dir"` // of everything that a run writes
	Store    string        `json:"store"`
	Source   string        `json:"source"`   // of the store: a connection string, or a path
	Keys     string        `json:"keys"`     // the key ring; it seals tokens that work nowhere
	Platform string        `json:"platform"` // its origin
	Class    string        `json:"class"`
	Life     time.Duration `json:"life"`
	Seed     uint64        `json:"seed"`
	Grants   int           `json:"grants"`
}

func (st stage) file() string  { return filepath.Join(st.Dir, "stage.json") }
func (st stage) truth() string { return filepath.Join(st.Dir, "platform.jsonl") }
func (st stage) notes() string { return filepath.Join(st.Dir, "workers.jsonl") }
func (st stage) log() string   { return filepath.Join(st.Dir, "log") }

func (st stage) save() error {
	text, err := json.Marshal(st)
	if err != nil {
		return err
	}
	return os.WriteFile(st.file(), text, 0o600)
}

func loadStage(path string) (stage, error) {
	var st stage
	text, err := os.ReadFile(path) //nolint:gosec // the parent wrote it
	if err == nil {
		err = json.Unmarshal(text, &st)
	}
	return st, err
}

// The stores that a run may be on.
const (
	storePostgres = "postgres"
	storeSQLite   = "sqlite"
	database      = "prove"
)

// store is what both have beside the contract.
type store interface {
	connect.Store
	Close() error
}

func (st stage) openStore(ctx context.Context) (store, error) {
	if st.Store == storeSQLite {
		return sqlitestore.Open(ctx, st.Source, nil)
	}
	return pgstore.Open(ctx, st.Source, nil)
}

// newStage prepares a folder, a key ring and a store. What it returns last ends
// the store's server.
func newStage(ctx context.Context, s settings, dir string) (stage, func() error, error) {
	st := stage{Dir: dir, Store: s.store, Class: s.class, Life: s.life, Seed: s.seed, Grants: s.grants}
	key, err := tokencrypt.GenerateKey("prove")
	if err != nil {
		return st, nil, err
	}
	st.Keys = key.Text()
	if s.store == storeSQLite {
		st.Source = filepath.Join(dir, "prove.db")
		return st, func() error { return nil }, nil
	}
	cluster, err := pgcluster.Start(ctx, "")
	if err != nil {
		return st, nil, err
	}
	if err := cluster.CreateDatabase(ctx, database); err != nil {
		return st, nil, errors.Join(err, cluster.Stop())
	}
	st.Source = cluster.DSN(database)
	return st, cluster.Stop, nil
}

// memory is a file system without a disk, where there is one.
const memory = "/dev/shm"

// seeded calls fill with the store, and returns it as it is from then on. An
// SQLite file is filled in memory: it waits for its disk at each commit, which
// is nothing that a run needs before it begins.
func (st stage) seeded(ctx context.Context, fill func(store) error) (store, error) {
	first := st
	if st.Store == storeSQLite {
		dir, err := os.MkdirTemp(memory, "prove")
		if err == nil {
			defer func() { _ = os.RemoveAll(dir) }()
			first.Source = filepath.Join(dir, "prove.db")
		}
	}
	kept, err := first.openStore(ctx)
	if err != nil {
		return nil, err
	}
	if err := fill(kept); err != nil {
		return nil, errors.Join(err, kept.Close())
	}
	if first.Source == st.Source {
		return kept, nil
	}
	if err := kept.Close(); err != nil {
		return nil, err
	}
	if err := os.CopyFS(st.Dir, os.DirFS(filepath.Dir(first.Source))); err != nil {
		return nil, err
	}
	return st.openStore(ctx)
}

// engine composes an engine as a host does.
func (st stage) engine(kept connect.Store, platform connect.Provider, now func() time.Time) (*connect.Connector, error) {
	keys, err := tokencrypt.ParseKeyring(st.Keys)
	if err != nil {
		return nil, err
	}
	return connect.New(connect.Config{
		BaseURL:           "http://127.0.0.1/connect",
		Store:             kept,
		Keys:              keys,
		Providers:         []connect.Provider{platform},
		Authenticate:      func(*http.Request) (connect.Principal, error) { return connect.Principal{}, connect.ErrUnauthenticated },
		Logger:            slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Now:               now,
		UnsafeRewriteHost: st.Platform,
	})
}

// Grants are numbered; some share a tenant.
const tenants = 100

func grantName(i int) string { return fmt.Sprintf("g%05d", i) }

func tenantOf(i int) string { return fmt.Sprintf("t%02d", i%tenants) }

func grantKey(i int) connect.GrantKey {
	return connect.GrantKey{Tenant: tenantOf(i), Platform: platformName, Subject: grantName(i)}
}

func accountKey(i int) connect.AccountKey {
	return connect.AccountKey{Tenant: tenantOf(i), Platform: platformName, Kind: "profile", PlatformID: grantName(i)}
}
