package connect

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime/debug"
	"sync"
	"time"

	"github.com/seed944197df/connect/internal/outbound"
	"github.com/seed944197df/connect/internal/returnurl"
	"github.com/seed944197df/connect/pages"
)

// Connector is the engine. Make one with [New] and share it: all its methods
// are safe for concurrent use. Any number of processes may have one on the
// same store and keys.
type Connector struct {
	cfg       Config
	base      *url.URL
	platforms map[string]*adapter
	order     []*adapter
	returns   *returnurl.Allowlist
	live      *outbound.Client // to the platforms
	sandbox   *outbound.Client // to what stands in for them
	pages     *pages.Pages
	refreshes flights

	// background is the life of what outlasts a request: an exchange whose
	// browser went away, a refresh whose caller gave up.
	background context.Context //nolint:containedctx // it is a life of its own, not a caller's
	stop       context.CancelFunc

	mu      sync.Mutex // guards closed, and that nothing is added to running after it
	closed  bool
	running sync.WaitGroup
}

// New returns a Connector. It refuses every mistake in cfg with an error that
// names the field and the way out; nothing is checked for the first time when
// a visitor arrives. New makes no call and starts no goroutine.
func New(cfg Config) (*Connector, error) {
	cfg = withDefaults(cfg)
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	base, err := parseBase(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	platforms, order, err := cfg.newAdapters()
	if err != nil {
		return nil, err
	}
	if err := cfg.checkRedirects(platforms); err != nil {
		return nil, err
	}
	returns, err := cfg.parseReturns()
	if err != nil {
		return nil, err
	}
	live, sandbox, err := cfg.newOutbound()
	if err != nil {
		return nil, err
	}
	set, err := pages.New(pages.Options{BasePath: base.Path, Theme: cfg.Theme, Templates: cfg.Templates, Text: cfg.Text})
	if err != nil {
		return nil, fieldError("Theme, Templates or Text", "%w", err)
	}
	if cfg.State == nil {
		cfg.State = jweState{cfg.Keys}
	}
	c := &Connector{cfg: cfg, base: base, platforms: platforms, order: order, returns: returns, live: live, sandbox: sandbox, pages: set}
	for _, a := range order {
		a.env, a.gates, a.probes = c.newEnv(a), newGates(cfg.Now), newProbes(a.ProbeEvery, cfg.Now)
	}
	c.background, c.stop = context.WithCancel(context.Background())
	return c, nil
}

// Close waits until what is under way has ended or ctx has, then stops the
// rest and closes idle connections. Stop serving, and end the context of Run,
// first: what needs the platform after Close fails. It returns ctx's error
// where something had to be stopped.
func (c *Connector) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	defer c.live.CloseIdleConnections()
	defer c.sandbox.CloseIdleConnections()
	defer c.stop()
	done := make(chan struct{})
	go func() {
		c.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		c.stop()
		<-done
		return ctx.Err()
	}
}

// detach runs work that must not end with the request that asked for it. The
// channel is closed when the work has ended. Once Close was called the work is
// waited for here, and ends with what Close allows.
func (c *Connector) detach(limit time.Duration, work func(context.Context)) <-chan struct{} {
	done := make(chan struct{})
	run := func() {
		defer close(done)
		defer c.survive()
		ctx, cancel := context.WithTimeout(c.background, limit)
		defer cancel()
		work(ctx)
	}
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.running.Go(run)
	}
	c.mu.Unlock()
	if closed {
		run()
	}
	return done
}

// survive keeps a panic in a provider or store from ending the host's process.
// What was panicked with is not logged: it may hold a secret.
func (c *Connector) survive() {
	if r := recover(); r != nil {
		c.survived(r)
	}
}

func (c *Connector) survived(r any) {
	c.cfg.Logger.Error("a provider or store panicked", "type", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
}

// finish runs an exchange detached and waits for its outcome as long as the
// request lasts.
func (c *Connector) finish(ctx context.Context, exchange func(context.Context) (*Outcome, error)) (*Outcome, error) {
	var out *Outcome
	err := error(&Error{Code: CodeUnavailable, Op: "finish", Message: "Something broke on the way. Start again from the app."}) // where the work panics
	select {
	case <-c.detach(exchangeTimeout+commitTimeout, func(ctx context.Context) { out, err = exchange(ctx) }):
		return out, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// now is the time as every store can keep it.
func (c *Connector) now() time.Time { return c.cfg.Now().UTC().Truncate(time.Microsecond) }

// url returns an address of ours.
func (c *Connector) url(path string) string { return c.base.String() + path }

// adapter returns the provider for a platform's name or alias.
func (c *Connector) adapter(op, platform string) (*adapter, error) {
	if a := c.platforms[platform]; a != nil {
		return a, nil
	}
	return nil, &Error{Code: CodeUnknownPlatform, Op: op, Field: "platform", Message: "This platform is not on offer here; GET /platforms lists those that are."}
}

// outbound returns the client for calls to a platform.
func (c *Connector) outbound(a *adapter) *outbound.Client {
	if a.sandboxed {
		return c.sandbox
	}
	return c.live
}

// newEnv makes what a provider is lent.
func (c *Connector) newEnv(a *adapter) Env {
	env := Env{
		Client:      a.Client,
		RedirectURL: c.redirectURL(a),
		HTTP:        c.outbound(a).HTTP(),
		Lookup:      c.outbound(a).WithLimits(outbound.Limits{Timeout: lookupTimeout, Body: lookupBody, Redirects: 3}),
		Resolver:    c.cfg.Resolver,
		NotSent:     outbound.NotSent,
		Now:         c.cfg.Now,
	}
	if a.sandboxed {
		env.Resolver = noDNS()
	}
	return env
}

const (
	lookupTimeout = 10 * time.Second
	lookupBody    = 64 << 10
)

// redirectURL is the redirect URI of the shared client: one per client, so
// that a response cannot be delivered to another one's (RFC 9700 § 4.4).
func (c *Connector) redirectURL(a *adapter) string {
	if own := c.cfg.RedirectURLs[a.Name]; own != "" {
		return own
	}
	return c.url("/callback/" + a.Name)
}

// authorize asks the host whether the principal may.
func (c *Connector) authorize(ctx context.Context, p Principal, a Action) error {
	if err := checkPrincipal(string(a.Name), p); err != nil {
		return err
	}
	if c.cfg.Authorize == nil {
		return nil
	}
	if err := c.cfg.Authorize(ctx, p, a); err != nil {
		return &Error{Code: CodeForbidden, Op: string(a.Name), Platform: a.Platform, Message: "You may not do this. Ask an administrator.", Err: err}
	}
	return nil
}

// checkPrincipal refuses what could match an absent value elsewhere.
func checkPrincipal(op string, p Principal) error {
	var message string
	switch {
	case p.Tenant == "":
		message = "The principal has no tenant."
	case p.Ambient && p.User == "":
		message = "The principal is ambient, a browser, and has no user."
	case len(p.Tenant) > 255 || len(p.User) > 255:
		message = "The principal's tenant or user is longer than 255 bytes."
	default:
		return nil
	}
	return &Error{Code: CodeUnauthenticated, Op: op, Message: message, Err: ErrUnauthenticated}
}

// notFound says what is not there, and nothing more: what is absent and what is
// another tenant's look the same.
func notFound(op, what string) *Error {
	return &Error{Code: CodeNotFound, Op: op, Message: "There is no such " + what + "."}
}

// readError is storeError for a row that was asked for by name.
func readError(op, what string, err error) error {
	if errors.Is(err, ErrNotFound) {
		return notFound(op, what)
	}
	return storeError(op, err)
}

// storeError turns an error of the store into one of ours.
func storeError(op string, err error) error {
	if _, ours := errors.AsType[*Error](err); ours || err == nil {
		return err
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return notFound(op, "record")
	case errors.Is(err, ErrTooMany):
		return &Error{Code: CodeRateLimited, Op: op, Message: "Too many attempts. Finish the open ones, or wait a minute.", RetryAfter: time.Minute}
	case errors.Is(err, ErrConflict), errors.Is(err, ErrStale), errors.Is(err, ErrBusy):
		return &Error{Code: CodeConflict, Op: op, Message: "Something else is changing this. Try again.", RetryAfter: time.Second, Err: err}
	default:
		return &Error{Code: CodeUnavailable, Op: op, Message: "This is not available right now. Try again in a moment.", RetryAfter: 2 * time.Second, Err: err}
	}
}
