package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/pgstore"
	"github.com/seed944197df/connect/selection"
	"github.com/seed944197df/connect/tokencrypt"
)

const roleWorker = "worker"

// assignment is what a worker is told.
type assignment struct {
	DSN  string `json:"dsn"`
	Keys string `json:"keys"`
}

// counts is what a worker tells in the end.
type counts struct {
	Writes    int64 `json:"writes"` // transactions that wrote
	Refreshes int64 `json:"refreshes"`
	Settled   int64 `json:"settled"`
	PeakKiB   int64 `json:"peak_kib"`
}

// work is the worker: it says that it is ready, waits for a line, and lets Run
// work until it is asked to stop.
func work(text string) int {
	c, err := attend(text)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1
	}
	return 0
}

func attend(text string) (counts, error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var a assignment
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return counts{}, err
	}
	store, err := pgstore.Open(ctx, a.DSN, nil)
	if err != nil {
		return counts{}, err
	}
	counted := &counter{Store: store}
	engine, err := newEngine(counted, a.Keys)
	if err != nil {
		return counts{}, errors.Join(err, store.Close())
	}
	_, _ = os.Stdout.WriteString("ready\n") // who has started us notices where this fails
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return counts{}, errors.Join(err, store.Close())
	}
	_ = engine.Run(ctx) // it ends with ctx
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := errors.Join(engine.Close(ending), store.Close()); err != nil {
		return counts{}, err
	}
	peak, err := peakMemory()
	return counts{Writes: counted.writes.Load(), Refreshes: counted.refreshes.Load(), Settled: counted.settled.Load(), PeakKiB: peak}, err
}

// counter counts the transactions that write.
type counter struct {
	connect.Store

	writes, refreshes, settled atomic.Int64
}

func (c *counter) ClaimDueGrants(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
	due, err := c.Store.ClaimDueGrants(ctx, claim)
	if len(due.Grants) > 0 {
		c.writes.Add(1)
	}
	return due, err
}

func (c *counter) MarkSent(ctx context.Context, attempt string, grants []connect.GrantKey) ([]connect.GrantKey, error) {
	c.writes.Add(1)
	return c.Store.MarkSent(ctx, attempt, grants)
}

func (c *counter) RenewClaims(ctx context.Context, attempt string, grants []connect.GrantKey, lease time.Duration) error {
	c.writes.Add(1)
	return c.Store.RenewClaims(ctx, attempt, grants, lease)
}

func (c *counter) SettleGrant(ctx context.Context, st connect.Settlement) (connect.Grant, error) {
	c.writes.Add(1)
	c.settled.Add(1)
	if st.Tokens != nil {
		c.refreshes.Add(1)
	}
	return c.Store.SettleGrant(ctx, st)
}

// peakMemory is the most that this process ever had of the machine's memory.
func peakMemory() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			return strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))), 10, 64)
		}
	}
	return 0, errors.New("no VmHWM in /proc/self/status")
}

const platformName = "instant"

// platform answers at once, without a network.
type platform struct{}

var (
	_ connect.Credentials = platform{}
	_ connect.Refresher   = platform{}
)

// Platform implements [connect.Provider].
func (platform) Platform() connect.Platform {
	return connect.Platform{
		Name: platformName, DisplayName: "Instant", Hosts: []string{"api.instant.test"},
		Methods:  []connect.Method{{ID: "name", Type: connect.MethodCredentials, Fields: []connect.Field{{Name: "name", Label: "Name"}}}},
		Kinds:    []connect.Kind{{Name: "profile"}},
		Rotation: connect.Rotation{Class: connect.RotationStrict},
	}
}

// Login implements [connect.Credentials]: a name is enough.
func (platform) Login(_ context.Context, env connect.Env, req connect.LoginRequest) (*connect.Tokens, error) {
	name := req.Values["name"].Reveal()
	tokens := issued(env)
	tokens.Subject = name
	tokens.Self = &connect.Candidate{Candidate: selection.Candidate{Kind: "profile", PlatformID: name, Name: name}}
	return tokens, nil
}

// Refresh implements [connect.Refresher].
func (platform) Refresh(_ context.Context, env connect.Env, _ *connect.Tokens) (*connect.Tokens, error) {
	return issued(env), nil
}

func issued(env connect.Env) *connect.Tokens {
	expiry := env.Now().Add(2 * time.Hour)
	text := strconv.FormatInt(env.Now().UnixNano(), 36)
	return &connect.Tokens{Access: connect.NewSecret("access-" + text), Refresh: connect.NewSecret("refresh-" + text), AccessExpiry: &expiry}
}

func newKeys() (string, error) {
	key, err := tokencrypt.GenerateKey("measure")
	if err != nil {
		return "", err
	}
	return key.Text(), nil
}

func newEngine(store connect.Store, keyText string) (*connect.Connector, error) {
	keys, err := tokencrypt.ParseKeyring(keyText)
	if err != nil {
		return nil, err
	}
	return connect.New(connect.Config{
		BaseURL: "http://127.0.0.1/connect", Store: store, Keys: keys, Providers: []connect.Provider{platform{}},
		Authenticate: func(*http.Request) (connect.Principal, error) { return connect.Principal{}, connect.ErrUnauthenticated },
	})
}
