package faults_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/pgtest"
	"github.com/seed944197df/connect/pgstore"
	"github.com/seed944197df/connect/tokencrypt"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child())
	}
	os.Exit(pgtest.Main(m))
}

// clock is that of the engine, the store and the platform; it goes on, and can
// be put forward.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// settings of a rig.
type settings struct {
	rotation connect.Rotation
	provider connect.Provider                  // nil: provider
	pool     string                            // more words of the connection string
	watch    func(connect.Store) connect.Store // nil: the store as it is
}

// rig is an engine on PostgreSQL, and a platform, each at the end of a line of
// its own.
type rig struct {
	t        *testing.T
	clock    *clock
	platform *platform
	toStore  *line
	toSite   *line
	direct   string // leads to the database past the line
	dsn      string
	keys     string
	config   connect.Config
	engine   *connect.Connector
}

func newRig(t *testing.T, s settings) *rig {
	t.Helper()
	key, err := tokencrypt.GenerateKey("faults")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, clock: &clock{}, direct: pgtest.Database(t), keys: key.Text()}
	folder, rest, _ := strings.Cut(strings.TrimPrefix(r.direct, "host="), " ")
	r.toStore = newLine(t, bridge(t, folder+"/.s.PGSQL.5432"))
	host, port, _ := strings.Cut(r.toStore.address(), ":")
	r.dsn = fmt.Sprintf("host=%s port=%s connect_timeout=5 default_query_exec_mode=exec %s %s", host, port, rest, s.pool)
	r.platform = newPlatform(t, r.clock.Now, s.rotation)
	r.toSite = newLine(t, hostOf(t, r.platform.server.URL))
	offered := s.provider
	if offered == nil {
		offered = provider{s.rotation}
	}
	if r.config, err = configOf(r.keys, "http://"+r.toSite.address(), offered); err != nil {
		t.Fatal(err)
	}
	r.config.Now = r.clock.Now
	r.config.Store = r.open()
	if s.watch != nil {
		r.config.Store = s.watch(r.config.Store)
	}
	r.engine = r.start(r.config)
	return r
}

// configOf composes an engine as a host does. Who somebody is, is in a header.
func configOf(keys, platform string, offered connect.Provider) (connect.Config, error) {
	ring, err := tokencrypt.ParseKeyring(keys)
	return connect.Config{
		BaseURL: "http://127.0.0.1/connect", Keys: ring, Providers: []connect.Provider{offered}, UnsafeRewriteHost: platform,
		Authenticate: func(r *http.Request) (connect.Principal, error) { return who(r.Header.Get(userHeader)), nil },
	}, err
}

const userHeader = "User"

// who is a person of the one tenant, named as at the platform.
func who(user string) connect.Principal { return connect.Principal{Tenant: "acme", User: user} }

// open connects to the store through the line.
func (r *rig) open() *pgstore.Store {
	r.t.Helper()
	store, err := pgstore.Open(r.t.Context(), r.dsn, &pgstore.Options{Now: r.clock.Now})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = store.Close() })
	return store
}

func (r *rig) start(config connect.Config) *connect.Connector {
	r.t.Helper()
	engine, err := connect.New(config)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := engine.Close(ctx); err != nil {
			r.t.Errorf("Close: %v", err)
		}
	})
	return engine
}

// consent begins a flow and returns it, and the path by which the browser comes
// back from the platform.
func (r *rig) consent(subject string) (flow, path string) {
	r.t.Helper()
	started, err := r.engine.Start(r.t.Context(), who(subject), connect.StartRequest{Platform: platformName})
	if err != nil {
		r.t.Fatal(err)
	}
	query := url.Values{"code": {"code." + subject}, "state": {started.State}}
	return started.FlowID, "/connect/callback/" + platformName + "?" + query.Encode()
}

// A process keeps at most sixteen connections to a platform, so that what must
// happen to fifty at once happens to ten, five times.
const (
	wave  = 10
	waves = 5
)

// consents begins a wave of flows. It returns how the browsers come back, by
// their subjects, and the flows.
func (r *rig) consents() (paths map[string]string, flows map[string]bool) {
	r.t.Helper()
	paths, flows = map[string]string{}, map[string]bool{}
	for range wave {
		subject := rand.Text()
		flow, path := r.consent(subject)
		paths[subject], flows[flow] = path, true
	}
	return paths, flows
}

// whenIssued returns what the platform is to do between its commits and its
// answers: event once there are n commits, and no answer until then is closed.
func whenIssued(n int, event func(), then <-chan struct{}) func() {
	var issued atomic.Int32
	return func() {
		if issued.Add(1) == int32(n) {
			event()
		}
		<-then
	}
}

// arrival is the request of a browser that comes back.
func arrival(ctx context.Context, subject, path string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	r.Header.Set(userHeader, subject)
	return r
}

// connect makes an account of a subject.
func (r *rig) connect(subject string) connect.Account {
	r.t.Helper()
	_, path := r.consent(subject)
	out, err := r.engine.Callback(arrival(r.t.Context(), subject, path), platformName, "")
	if err != nil || out.Status != connect.OutcomeConnected {
		r.t.Fatalf("%s is %+v, %v", subject, out, err)
	}
	return out.Accounts[0]
}

// connectAll makes n accounts of as many subjects.
func (r *rig) connectAll(n int) []connect.Account {
	r.t.Helper()
	accounts := make([]connect.Account, n)
	for i := range accounts {
		accounts[i] = r.connect(fmt.Sprintf("subject%d", i))
	}
	return accounts
}

// aWhile is how old tokens must be, and an earlier refresh, for the engine to
// refresh them when it is asked to.
const aWhile = 11 * time.Second

func (r *rig) refresh(account connect.Account) error {
	_, err := r.engine.Refresh(r.t.Context(), who(""), account.ID)
	return err
}

func (r *rig) grant(account connect.Account) connect.Grant {
	r.t.Helper()
	grant, err := r.config.Store.ReadGrant(r.t.Context(), connect.GrantKey{Tenant: account.Tenant, ID: account.GrantID})
	if err != nil {
		r.t.Fatal(err)
	}
	return grant
}

// wantWorks uses an account: its stored access token must be one that the
// platform takes.
func (r *rig) wantWorks(account connect.Account) {
	r.t.Helper()
	client, err := r.engine.Client(r.t.Context(), account.Tenant, account.ID)
	if err != nil {
		r.t.Errorf("%s: %v", account.PlatformID, err)
		return
	}
	ask, _ := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "https://"+platformHost+"/me", nil) // it is well-formed
	resp, err := client.Do(ask)
	if err != nil {
		r.t.Errorf("%s: %v", account.PlatformID, err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		r.t.Errorf("%s: the platform answers %d", account.PlatformID, resp.StatusCode)
	}
}

// events are those of the tenant, by their type.
func (r *rig) events() map[connect.EventType][]connect.Event {
	r.t.Helper()
	all := map[connect.EventType][]connect.Event{}
	for cursor := ""; ; {
		events, next, err := r.config.Store.ListEvents(r.t.Context(), "acme", connect.Page{Limit: 100, Cursor: cursor})
		if err != nil {
			r.t.Fatal(err)
		}
		if len(events) == 0 {
			return all
		}
		for _, e := range events {
			all[e.Type] = append(all[e.Type], e)
		}
		cursor = next
	}
}
