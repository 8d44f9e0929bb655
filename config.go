package connect

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed944197df/connect/internal/outbound"
	"github.com/seed944197df/connect/internal/returnurl"
	"github.com/seed944197df/connect/pages"
	"github.com/seed944197df/connect/tokencrypt"
)

// Config composes a [Connector]. [New] copies it; changing it afterwards has
// no effect. BaseURL, Store, Keys, Providers and Authenticate are required.
type Config struct {
	// BaseURL is where the handlers are mounted, as the browser sees it:
	// "https://app.example.com/connect". Nothing is ever taken from a Host or
	// X-Forwarded header. It must be https, or http on a loopback host.
	BaseURL string

	// Store keeps everything; see packages sqlitestore, pgstore and memstore.
	Store Store

	// Keys seal whatever is secret; see package tokencrypt.
	Keys *tokencrypt.Keyring

	// Providers are the platforms on offer, in the order of the connect page.
	Providers []Provider

	// Authenticate says who makes a request: the host's own session, API key
	// or bearer token. It must return [ErrUnauthenticated] where there is none.
	// Any other error, and a principal that cannot be, such as one without a
	// tenant, is answered with 503; why, only Logger is told.
	// It must be safe for concurrent use.
	Authenticate func(*http.Request) (Principal, error)

	// Authorize may forbid a principal an action; its error is the cause of a
	// forbidden answer. It is asked again at every step of a flow. Nil allows
	// every action within the principal's tenant.
	Authorize func(context.Context, Principal, Action) error

	// ReturnOrigins are the origins that a browser may be sent back to after a
	// flow, compared exactly: "https://app.example.com". Empty allows none but
	// our own result page.
	ReturnOrigins []string

	// DefaultReturnURL is used by flows that name none. Defaults to our own
	// result page.
	DefaultReturnURL string

	// RedirectURLs are redirect URIs that the host has registered elsewhere, by
	// platform; its handler there passes the whole query to
	// [Connector.Complete]. They must be https, or http on a loopback host.
	// Defaults to BaseURL + "/callback/" + the platform's name.
	RedirectURLs map[string]string

	// Binding is how flows are bound to who began them. Defaults to
	// [BindSession].
	Binding Binding

	// State seals the state parameter. Defaults to a compact JWE under Keys.
	State StateEncoder

	// FlowTTL is how long a flow may take from its start to the callback, and
	// SessionTTL how long a selection stays open. Both default to 15 minutes
	// and may be 1 minute to 1 hour.
	FlowTTL, SessionTTL time.Duration

	// TicketTTL is how long the host has to call Complete. Defaults to
	// 2 minutes and may be 10 seconds to 10 minutes.
	TicketTTL time.Duration

	// MaxOpenFlowsPerUser and MaxOpenFlowsPerTenant bound unfinished flows.
	// They default to 100 and 1000.
	MaxOpenFlowsPerUser, MaxOpenFlowsPerTenant int

	// Theme, Templates and Text change the look and the words of our pages.
	// Their zero values are ours.
	Theme     pages.Theme
	Templates fs.FS
	Text      map[string]string

	// Logger gets what an operator should know, without secrets. Defaults to
	// none.
	Logger *slog.Logger

	// Now is the clock. Defaults to [time.Now].
	Now func() time.Time

	// Resolver and RootCAs are used by outbound calls. They default to
	// [net.DefaultResolver] and the system's roots.
	Resolver *net.Resolver
	RootCAs  *x509.CertPool

	// UnsafeRewriteHost sends every authorization URL and every outbound call
	// to this origin instead, with the platform's host as the first path
	// segment: a sandbox. Nothing else is reachable then. It must be https, or
	// http on a loopback host. For development.
	UnsafeRewriteHost string

	// UnsafeRewritePlatforms limits UnsafeRewriteHost to these platforms; the
	// others are the real ones. Empty means all.
	UnsafeRewritePlatforms []string

	// UnsafeDial dials "host:443" at another address, without the check that
	// the address is public; certificates are still verified for the host. For
	// tests against servers on loopback.
	UnsafeDial map[string]string
}

// Principal is who makes a request.
type Principal struct {
	// Tenant is the host's isolation boundary: a workspace, an organisation.
	// It is required: 1 to 255 bytes.
	Tenant string
	// User is the host's person. It may be empty only where an API key acts
	// for the whole tenant.
	User string
	// Ambient tells that the request was authenticated by something a browser
	// sends by itself, such as a cookie, so that the person may not have meant
	// it. Writes of ambient principals must come from our own origin.
	Ambient bool
}

// Action is what [Config.Authorize] is asked about.
type Action struct {
	Name      ActionName
	Platform  string
	AccountID string // where one account is concerned
}

// ActionName names an action.
type ActionName string

// The actions.
const (
	ActionStart      ActionName = "start"      // begin a flow, and go on with it
	ActionFinalize   ActionName = "finalize"   // connect what was chosen
	ActionRead       ActionName = "read"       // see accounts
	ActionRefresh    ActionName = "refresh"    // refresh an account's token now
	ActionDisconnect ActionName = "disconnect" // disconnect an account, or, where none is named, all of a user's

	ActionEdit         ActionName = "edit"          // change an account, or see what it could be pointed at
	ActionDeleteTenant ActionName = "delete_tenant" // delete everything that the tenant has
)

const (
	defaultFlowTTL     = 15 * time.Minute
	defaultTicketTTL   = 2 * time.Minute
	defaultUserFlows   = 100
	defaultTenantFlows = 1000
)

// withDefaults returns a copy of cfg with a value for everything that is
// optional. What is a slice, or another map, is read in New only.
func withDefaults(cfg Config) Config {
	cfg.RedirectURLs = maps.Clone(cfg.RedirectURLs)
	setDefault(&cfg.Binding, BindSession)
	setDefault(&cfg.FlowTTL, defaultFlowTTL)
	setDefault(&cfg.SessionTTL, defaultFlowTTL)
	setDefault(&cfg.TicketTTL, defaultTicketTTL)
	setDefault(&cfg.MaxOpenFlowsPerUser, defaultUserFlows)
	setDefault(&cfg.MaxOpenFlowsPerTenant, defaultTenantFlows)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Resolver == nil {
		cfg.Resolver = net.DefaultResolver
	}
	return cfg
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// noDNS answers no question, at once: a sandbox has names of its own.
func noDNS() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("connect: no DNS for a platform that is rewritten to a sandbox")
	}}
}

func (cfg *Config) sandboxed(platform string) bool {
	only := cfg.UnsafeRewritePlatforms
	return cfg.UnsafeRewriteHost != "" && (len(only) == 0 || slices.Contains(only, platform))
}

// fieldError names the field of [Config] that is wrong.
func fieldError(field, format string, args ...any) error {
	return fmt.Errorf("connect: Config.%s: %w", field, fmt.Errorf(format, args...))
}

// validate checks what can be wrong in itself. New checks the rest while it
// builds.
func (cfg *Config) validate() error {
	switch {
	case cfg.Store == nil:
		return fieldError("Store", "is nil; pass sqlitestore.Open(…), pgstore.Open(…) or memstore.New(nil)")
	case cfg.Keys == nil || cfg.Keys.PrimaryID() == "":
		return fieldError("Keys", "is nil or empty; load a key ring with tokencrypt.ParseKeyring")
	case cfg.Authenticate == nil:
		return fieldError("Authenticate", "is nil; return the principal of your own session or API key")
	case len(cfg.Providers) == 0:
		return fieldError("Providers", "is empty; pass at least one, such as x.New(…)")
	case cfg.MaxOpenFlowsPerUser < 0:
		return fieldError("MaxOpenFlowsPerUser", "is negative; leave it 0 for the default")
	case cfg.MaxOpenFlowsPerTenant < 0:
		return fieldError("MaxOpenFlowsPerTenant", "is negative; leave it 0 for the default")
	}
	switch cfg.Binding {
	case BindSession, BindBrowser, BindTicket, UnsafeBindNone:
	default:
		return fieldError("Binding", "is unknown; use connect.BindSession")
	}
	return cfg.validateTimes()
}

func (cfg *Config) validateTimes() error {
	for _, t := range []struct {
		field          string
		value, low, up time.Duration
	}{
		{"FlowTTL", cfg.FlowTTL, time.Minute, time.Hour},
		{"SessionTTL", cfg.SessionTTL, time.Minute, time.Hour},
		{"TicketTTL", cfg.TicketTTL, 10 * time.Second, 10 * time.Minute},
	} {
		if t.value < t.low || t.value > t.up {
			return fieldError(t.field, "is %v; it may be %v to %v", t.value, t.low, t.up)
		}
	}
	return nil
}

// plainPath keeps every address of ours free of escapes, and of what a browser
// or a proxy would shorten.
var plainPath = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$`)

// parseBase checks BaseURL and returns it without a trailing slash.
func parseBase(raw string) (*url.URL, error) {
	base, err := url.Parse(strings.TrimSuffix(raw, "/"))
	switch {
	case err != nil || base.Hostname() == "":
		return nil, fieldError("BaseURL", `must be an absolute URL such as "https://app.example.com/connect"`)
	case base.User != nil || base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
		return nil, fieldError("BaseURL", "must have no user, query or fragment")
	case base.Scheme == "http" && !loopback(base.Hostname()):
		return nil, fieldError("BaseURL", "is http on %q; use https (http is for loopback only)", base.Hostname())
	case base.Scheme != "https" && base.Scheme != "http":
		return nil, fieldError("BaseURL", "must be https")
	case base.Host != browserHost(base):
		return nil, fieldError("BaseURL", "must name its host as browsers do, in lower case and without the default port: %q", browserHost(base))
	case !plainPath.MatchString(base.Path) || base.RawPath != "":
		return nil, fieldError("BaseURL", "must have a plain path, such as /connect")
	}
	return base, nil
}

// browserHost is u's host as a browser writes it into an Origin header.
func browserHost(u *url.URL) string {
	defaultPort := map[string]string{"https": ":443", "http": ":80"}[u.Scheme]
	return strings.TrimSuffix(strings.ToLower(u.Host), defaultPort)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func (cfg *Config) parseReturns() (*returnurl.Allowlist, error) {
	list, err := returnurl.NewAllowlist(cfg.ReturnOrigins)
	if err != nil {
		return nil, fieldError("ReturnOrigins", "%w", err)
	}
	if cfg.DefaultReturnURL == "" {
		return list, nil
	}
	if err := list.Check(cfg.DefaultReturnURL); err != nil {
		return nil, fieldError("DefaultReturnURL", "%w; add its origin to ReturnOrigins", err)
	}
	return list, nil
}

// newOutbound returns the clients for the real platforms and for those that
// are rewritten; there is no sandbox where nothing is.
func (cfg *Config) newOutbound() (live, sandbox *outbound.Client, err error) {
	options := outbound.Options{Resolver: cfg.Resolver, RootCAs: cfg.RootCAs, UnsafeDial: cfg.UnsafeDial}
	if live, err = outbound.New(options); err != nil {
		return nil, nil, fieldError("UnsafeDial", "%w", err)
	}
	if cfg.UnsafeRewriteHost == "" {
		return live, live, nil
	}
	if u, err := url.Parse(cfg.UnsafeRewriteHost); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
		return nil, nil, fieldError("UnsafeRewriteHost", "is http on %q; use https (http is for loopback only)", u.Hostname())
	}
	if sandbox, err = outbound.New(outbound.Options{UnsafeRewriteHost: cfg.UnsafeRewriteHost}); err != nil {
		return nil, nil, fieldError("UnsafeRewriteHost", "%w", err)
	}
	return live, sandbox, nil
}

var (
	platformName = regexp.MustCompile(`^[a-z0-9]{1,32}$`)
	kindName     = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)
)

// checkRedirects refuses redirect URIs that no platform would send a code to.
func (cfg *Config) checkRedirects(platforms map[string]*adapter) error {
	for platform, raw := range cfg.RedirectURLs {
		field := fmt.Sprintf("RedirectURLs[%q]", platform)
		u, err := url.Parse(raw)
		switch {
		case platforms[platform] == nil || platforms[platform].Name != platform:
			return fieldError(field, "is no platform of Providers; use a provider's own name, not an alias")
		case err != nil || u.Hostname() == "" || u.User != nil || strings.Contains(raw, "#"):
			return fieldError(field, "must be an absolute URL without user and fragment")
		case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
			return fieldError(field, "must be https; http is for loopback only")
		}
	}
	return nil
}

// newAdapters asserts every capability once, and refuses a provider whose
// description promises what it cannot do.
func (cfg *Config) newAdapters() (map[string]*adapter, []*adapter, error) {
	byName := map[string]*adapter{}
	var order []*adapter
	for i, provider := range cfg.Providers {
		field := fmt.Sprintf("Providers[%d]", i)
		if provider == nil {
			return nil, nil, fieldError(field, "is nil; leave it out, or pass one such as x.New(…)")
		}
		a := newAdapter(provider)
		a.sandboxed = cfg.sandboxed(a.Name)
		if err := a.check(); err != nil {
			return nil, nil, fieldError(field, "%w", err)
		}
		for _, name := range append([]string{a.Name}, a.Aliases...) {
			if byName[name] != nil {
				return nil, nil, fieldError(field, "is a second provider for %q; pass one", name)
			}
			byName[name] = a
		}
		order = append(order, a)
	}
	return byName, order, cfg.checkRewritten(byName)
}

// checkRewritten makes sure that no misspelt name sends a test to the real
// platform.
func (cfg *Config) checkRewritten(known map[string]*adapter) error {
	if len(cfg.UnsafeRewritePlatforms) > 0 && cfg.UnsafeRewriteHost == "" {
		return fieldError("UnsafeRewritePlatforms", "has no effect without UnsafeRewriteHost; set both or neither")
	}
	for _, name := range cfg.UnsafeRewritePlatforms {
		if known[name] == nil {
			return fieldError("UnsafeRewritePlatforms", "names %q, which none of Providers is", name)
		}
	}
	return nil
}
