package connect_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
	"github.com/seed944197df/connect/pages"
	"github.com/seed944197df/connect/providers/bluesky"
	"github.com/seed944197df/connect/providers/facebook"
	"github.com/seed944197df/connect/providers/x"
	"github.com/seed944197df/connect/tokencrypt"
)

// canary is what no error of New may repeat.
const canary = "canary-in-the-config"

// plainConfig is a configuration without mistakes, and without a sandbox.
func plainConfig(t *testing.T) connect.Config {
	t.Helper()
	return connect.Config{
		BaseURL:       "https://app.example.com/connect",
		Store:         memstore.New(nil),
		Keys:          newKeyring(t, "k1"),
		Providers:     []connect.Provider{newX()},
		Authenticate:  authenticate,
		ReturnOrigins: []string{"https://app.example.com"},
	}
}

func newX() connect.Provider {
	return x.New(x.Options{ClientID: "x-client", ClientSecret: tokencrypt.NewSecret(canary)})
}

// described is a provider that only describes itself.
type described struct{ platform connect.Platform }

func (d described) Platform() connect.Platform { return d.platform }

// describe returns a provider like X but for the change, and without any
// capability.
func describe(change func(*connect.Platform)) connect.Provider {
	p := connect.Platform{
		Name: "other", DisplayName: "Other", Client: connect.Client{ID: "id", Secret: tokencrypt.NewSecret(canary)},
		Methods: []connect.Method{{ID: "oauth", Type: connect.MethodOAuth}},
		Kinds:   []connect.Kind{{Name: "profile"}},
	}
	change(&p)
	return described{p}
}

// named is a provider under another name.
type named struct {
	connect.Provider

	name    string
	aliases []string
}

// Platform implements [connect.Provider].
func (n named) Platform() connect.Platform {
	p := n.Provider.Platform()
	p.Name, p.Aliases, p.Methods = n.name, n.aliases, []connect.Method{{ID: "form", Type: connect.MethodCredentials}}
	return p
}

// Login implements [connect.Credentials].
func (named) Login(context.Context, connect.Env, connect.LoginRequest) (*connect.Tokens, error) {
	return nil, connect.ErrNotFound
}

func redirect(platform, target string) func(*connect.Config) {
	return func(c *connect.Config) { c.RedirectURLs = map[string]string{platform: target} }
}

func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*connect.Config)
		field  string
		way    string // out of it
	}{
		{"no BaseURL", func(c *connect.Config) { c.BaseURL = "" }, "BaseURL", "https://app.example.com/connect"},
		{"relative BaseURL", func(c *connect.Config) { c.BaseURL = "/connect" }, "BaseURL", "absolute"},
		{"BaseURL that is no URL", func(c *connect.Config) { c.BaseURL = "https://[" + canary }, "BaseURL", "absolute"},
		{"BaseURL without a host name", func(c *connect.Config) { c.BaseURL = "https://:443/connect" }, "BaseURL", "absolute"},
		{"http BaseURL", func(c *connect.Config) { c.BaseURL = "http://app.example.com/connect" }, "BaseURL", "use https"},
		{"http BaseURL on a name that begins like loopback", func(c *connect.Config) { c.BaseURL = "http://localhost.example.com/" }, "BaseURL", "use https"},
		{"http BaseURL on a private address", func(c *connect.Config) { c.BaseURL = "http://192.168.0.1/" }, "BaseURL", "use https"},
		{"BaseURL of another scheme", func(c *connect.Config) { c.BaseURL = "ftp://app.example.com/" }, "BaseURL", "https"},
		{"BaseURL with a user", func(c *connect.Config) { c.BaseURL = "https://u:" + canary + "@app.example.com/" }, "BaseURL", "no user"},
		{"BaseURL with a query", func(c *connect.Config) { c.BaseURL = "https://app.example.com/?key=" + canary }, "BaseURL", "no user, query"},
		{"BaseURL with an empty query", func(c *connect.Config) { c.BaseURL = "https://app.example.com/connect?" }, "BaseURL", "query"},
		{"BaseURL with a fragment", func(c *connect.Config) { c.BaseURL = "https://app.example.com/#" + canary }, "BaseURL", "fragment"},
		{"BaseURL with an escaped path", func(c *connect.Config) { c.BaseURL = "https://app.example.com/a%2Fb" }, "BaseURL", "plain path"},
		{"BaseURL with a space", func(c *connect.Config) { c.BaseURL = "https://app.example.com/a b" }, "BaseURL", "plain path"},
		{"BaseURL with two slashes at its end", func(c *connect.Config) { c.BaseURL = "https://app.example.com/connect//" }, "BaseURL", "plain path"},
		{"BaseURL that climbs", func(c *connect.Config) { c.BaseURL = "https://app.example.com/a/../b" }, "BaseURL", "plain path"},
		{"BaseURL with a dot", func(c *connect.Config) { c.BaseURL = "https://app.example.com/a/./b" }, "BaseURL", "plain path"},
		{"BaseURL that no browser writes so", func(c *connect.Config) { c.BaseURL = "https://App.example.com/" }, "BaseURL", "lower case"},
		{"BaseURL with the default port", func(c *connect.Config) { c.BaseURL = "https://app.example.com:443/" }, "BaseURL", "default port"},

		{"no Store", func(c *connect.Config) { c.Store = nil }, "Store", "memstore.New"},
		{"no Keys", func(c *connect.Config) { c.Keys = nil }, "Keys", "tokencrypt.ParseKeyring"},
		{"empty Keys", func(c *connect.Config) { c.Keys = &tokencrypt.Keyring{} }, "Keys", "tokencrypt.ParseKeyring"},
		{"no Authenticate", func(c *connect.Config) { c.Authenticate = nil }, "Authenticate", "your own session"},
		{"no Providers", func(c *connect.Config) { c.Providers = nil }, "Providers", "x.New"},
		{"nil provider", func(c *connect.Config) { c.Providers = []connect.Provider{newX(), nil} }, "Providers[1]", "pass one"},
		{"provider twice", func(c *connect.Config) { c.Providers = []connect.Provider{newX(), newX()} }, "Providers[1]", "pass one"},
		{"provider whose name is another's alias", func(c *connect.Config) {
			c.Providers = []connect.Provider{newX(), named{newX(), "twitter", nil}}
		}, "Providers[1]", "pass one"},
		{"provider whose alias is another's name", func(c *connect.Config) {
			c.Providers = []connect.Provider{newX(), named{newX(), "other", []string{"x"}}}
		}, "Providers[1]", "pass one"},
		{"providers with one alias", func(c *connect.Config) {
			c.Providers = []connect.Provider{newX(), named{newX(), "other", []string{"twitter"}}}
		}, "Providers[1]", "pass one"},
		{"provider whose alias is its own name", func(c *connect.Config) {
			c.Providers = []connect.Provider{named{newX(), "other", []string{"other"}}}
		}, "Providers[0]", "pass one"},
		{"provider without a client id", func(c *connect.Config) {
			c.Providers = []connect.Provider{x.New(x.Options{ClientSecret: tokencrypt.NewSecret(canary)})}
		}, "Providers[0]", "pass the one of your app"},
		{"provider without a name", func(c *connect.Config) {
			c.Providers = []connect.Provider{describe(func(p *connect.Platform) { p.Name = "" })}
		}, "Providers[0]", "1 to 32 of a-z and 0-9"},
		{"provider whose name is no path element", func(c *connect.Config) {
			c.Providers = []connect.Provider{describe(func(p *connect.Platform) { p.Name = "a/b" })}
		}, "Providers[0]", "1 to 32 of a-z and 0-9"},
		{"provider without a display name", func(c *connect.Config) {
			c.Providers = []connect.Provider{describe(func(p *connect.Platform) { p.DisplayName = "" })}
		}, "Providers[0]", "display name"},
		{"provider without a method", func(c *connect.Config) {
			c.Providers = []connect.Provider{describe(func(p *connect.Platform) { p.Methods = nil })}
		}, "Providers[0]", "no method"},
		{"provider without a kind", func(c *connect.Config) {
			c.Providers = []connect.Provider{describe(func(p *connect.Platform) { p.Kinds = nil })}
		}, "Providers[0]", "no kind"},
		{"provider with a kind that is no name", func(c *connect.Config) {
			c.Providers = []connect.Provider{describe(func(p *connect.Platform) { p.Kinds[0].Name = "a:b" })}
		}, "Providers[0]", "a-z, 0-9 and _"},
		{"provider that promises OAuth", func(c *connect.Config) {
			c.Providers = []connect.Provider{describe(func(*connect.Platform) {})}
		}, "Providers[0]", "not implemented"},
		{"provider that promises credentials", func(c *connect.Config) {
			c.Providers = []connect.Provider{describe(func(p *connect.Platform) { p.Methods[0].Type = connect.MethodCredentials })}
		}, "Providers[0]", "not implemented"},
		{"provider with a method of another type", func(c *connect.Config) {
			c.Providers = []connect.Provider{describe(func(p *connect.Platform) { p.Methods[0].Type = "code" })}
		}, "Providers[0]", "unknown type"},

		{"facebook without a secret", func(c *connect.Config) {
			c.Providers = []connect.Provider{facebook.New(facebook.Options{AppID: "900000000000001"})}
		}, "Providers[0]", "Options.AppSecret is empty; the app's dashboard shows it"},
		{"facebook whose app id is none", func(c *connect.Config) {
			c.Providers = []connect.Provider{facebook.New(facebook.Options{AppID: canary, AppSecret: tokencrypt.NewSecret(canary)})}
		}, "Providers[0]", "Options.AppID must be the number"},
		{"bluesky with a bare host", func(c *connect.Config) {
			c.Providers = []connect.Provider{newX(), bluesky.New(&bluesky.Options{EntrywayHost: "bsky.social"})}
		}, "Providers[1]", "Options.EntrywayHost must be an https origin; leave it empty"},
		{"bluesky with a user in an address", func(c *connect.Config) {
			c.Providers = []connect.Provider{bluesky.New(&bluesky.Options{PLCURL: "https://u:" + canary + "@plc.directory"})}
		}, "Providers[0]", "Options.PLCURL must be an https origin; leave it empty"},
		{"x whose API is http", func(c *connect.Config) {
			c.Providers = []connect.Provider{x.New(x.Options{ClientID: "x-client", ClientSecret: tokencrypt.NewSecret(canary), APIURL: "http://api.x.com"})}
		}, "Providers[0]", "Options.APIURL must be https://"},

		{"redirect URI of an unknown platform", redirect("twiter", "https://app.example.com/back"), `RedirectURLs["twiter"]`, "use a provider's own name"},
		{"redirect URI of an alias", redirect("twitter", "https://app.example.com/back"), `RedirectURLs["twitter"]`, "not an alias"},
		{"redirect URI of no platform", redirect("", "https://app.example.com/back"), `RedirectURLs[""]`, "use a provider's own name"},
		{"http redirect URI", redirect("x", "http://app.example.com/back?key="+canary), `RedirectURLs["x"]`, "must be https; http is for loopback only"},
		{"http redirect URI on a name that begins like loopback", redirect("x", "http://127.0.0.1.example.com/back"), `RedirectURLs["x"]`, "must be https"},
		{"redirect URI of another scheme", redirect("x", "app://localhost/back"), `RedirectURLs["x"]`, "must be https"},
		{"redirect URI with a fragment", redirect("x", "https://app.example.com/back#"+canary), `RedirectURLs["x"]`, "without user and fragment"},
		{"redirect URI with an empty fragment", redirect("x", "https://app.example.com/back#"), `RedirectURLs["x"]`, "without user and fragment"},
		{"redirect URI with a user", redirect("x", "https://u:"+canary+"@app.example.com/back"), `RedirectURLs["x"]`, "without user and fragment"},
		{"relative redirect URI", redirect("x", "/back?key="+canary), `RedirectURLs["x"]`, "must be an absolute URL"},
		{"redirect URI without a host name", redirect("x", "https://:443/back"), `RedirectURLs["x"]`, "must be an absolute URL"},
		{"redirect URI that is no URL", redirect("x", "https://["+canary), `RedirectURLs["x"]`, "must be an absolute URL"},
		{"empty redirect URI", redirect("x", ""), `RedirectURLs["x"]`, "must be an absolute URL"},

		{"unknown Binding", func(c *connect.Config) { c.Binding = "cookie" }, "Binding", "connect.BindSession"},
		{"FlowTTL too short", func(c *connect.Config) { c.FlowTTL = time.Second }, "FlowTTL", "1m0s to 1h0m0s"},
		{"FlowTTL too long", func(c *connect.Config) { c.FlowTTL = 2 * time.Hour }, "FlowTTL", "1m0s to 1h0m0s"},
		{"negative SessionTTL", func(c *connect.Config) { c.SessionTTL = -time.Minute }, "SessionTTL", "1m0s to 1h0m0s"},
		{"TicketTTL too short", func(c *connect.Config) { c.TicketTTL = time.Second }, "TicketTTL", "10s to 10m0s"},
		{"TicketTTL too long", func(c *connect.Config) { c.TicketTTL = time.Hour }, "TicketTTL", "10s to 10m0s"},
		{"negative cap per user", func(c *connect.Config) { c.MaxOpenFlowsPerUser = -1 }, "MaxOpenFlowsPerUser", "leave it 0"},
		{"negative cap per tenant", func(c *connect.Config) { c.MaxOpenFlowsPerTenant = -1 }, "MaxOpenFlowsPerTenant", "leave it 0"},

		{"return origin with a path", func(c *connect.Config) { c.ReturnOrigins = []string{"https://app.example.com/done"} }, "ReturnOrigins", ""},
		{"return origin that is a pattern", func(c *connect.Config) { c.ReturnOrigins = []string{"https://*.example.com"} }, "ReturnOrigins", ""},
		{"return origin with a user", func(c *connect.Config) { c.ReturnOrigins = []string{"https://u:" + canary + "@example.com"} }, "ReturnOrigins", ""},
		{"empty return origin", func(c *connect.Config) { c.ReturnOrigins = []string{""} }, "ReturnOrigins", ""},
		{"default return URL elsewhere", func(c *connect.Config) { c.DefaultReturnURL = "https://other.example.com/?key=" + canary }, "DefaultReturnURL", "add its origin to ReturnOrigins"},
		{"default return URL that is none", func(c *connect.Config) { c.DefaultReturnURL = "/done?key=" + canary }, "DefaultReturnURL", "ReturnOrigins"},

		{"accent that is no colour", func(c *connect.Config) { c.Theme = pages.Theme{Accent: "blue"} }, "Theme", ""},
		{"template that does not parse", func(c *connect.Config) {
			c.Templates = fstest.MapFS{"connect.html": {Data: []byte("{{")}}
		}, "Templates", ""},
		{"text that no page has", func(c *connect.Config) { c.Text = map[string]string{"no.such.text": "x"} }, "Text", ""},

		{"sandbox that is no origin", func(c *connect.Config) { c.UnsafeRewriteHost = "http://127.0.0.1:1/path" }, "UnsafeRewriteHost", ""},
		{"sandbox with a user", func(c *connect.Config) { c.UnsafeRewriteHost = "http://u:" + canary + "@127.0.0.1:1" }, "UnsafeRewriteHost", ""},
		{"http sandbox on another machine", func(c *connect.Config) { c.UnsafeRewriteHost = "http://sandbox.example.com:8081" }, "UnsafeRewriteHost", "use https (http is for loopback only)"},
		{"http sandbox on a private address", func(c *connect.Config) { c.UnsafeRewriteHost = "http://192.168.0.1:8081" }, "UnsafeRewriteHost", "use https (http is for loopback only)"},
		{"sandbox for a platform that is not there", func(c *connect.Config) {
			c.UnsafeRewriteHost, c.UnsafeRewritePlatforms = "http://127.0.0.1:1", []string{"twiter"}
		}, "UnsafeRewritePlatforms", "Providers"},
		{"sandboxed platforms without a sandbox", func(c *connect.Config) { c.UnsafeRewritePlatforms = []string{"x"} }, "UnsafeRewritePlatforms", "UnsafeRewriteHost"},
		{"dial address that is none", func(c *connect.Config) { c.UnsafeDial = map[string]string{"pds.test:443": "nowhere"} }, "UnsafeDial", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := plainConfig(t)
			tt.change(&cfg)
			c, err := connect.New(cfg)
			if err == nil {
				_ = c.Close(t.Context())
				t.Fatal("accepted")
			}
			field := "Config." + tt.field
			if text := err.Error(); !strings.Contains(text, tt.field) || !strings.HasPrefix(text, "connect: Config.") || !strings.Contains(text, tt.way) {
				t.Errorf("error %q, want it to name %s and to say %q", text, field, tt.way)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error repeats what was given: %q", err)
			}
		})
	}
}

func TestConfigBaseURL(t *testing.T) {
	t.Parallel()
	for _, base := range []string{
		"https://app.example.com", "https://app.example.com/", "https://app.example.com/connect/", "https://app.example.com:8443/a/b",
		"http://localhost:8080/connect", "http://127.0.0.1/connect/", "http://127.9.9.9:1", "http://[::1]:8080/",
	} {
		t.Run(base, func(t *testing.T) {
			t.Parallel()
			cfg := plainConfig(t)
			cfg.BaseURL = base
			c, err := connect.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			started, err := c.Start(t.Context(), alice, connect.StartRequest{Platform: "x"})
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(started.URL)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.TrimSuffix(base, "/") + "/callback/x"; u.Query().Get("redirect_uri") != want {
				t.Errorf("redirect_uri %q, want %q", u.Query().Get("redirect_uri"), want)
			}
			path := strings.TrimSuffix(mustParse(t, base).Path, "/")
			r := httptest.NewRequest(http.MethodGet, path+"/platforms", nil)
			r.Header.Set("Authorization", "Bearer key-acme")
			answer := httptest.NewRecorder()
			c.Handler().ServeHTTP(answer, r)
			if answer.Code != http.StatusOK {
				t.Errorf("GET %s/platforms: status %d", path, answer.Code)
			}
		})
	}
}

func mustParse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestConfigAccepts: what is close to a mistake and is none.
func TestConfigAccepts(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*connect.Config){
		"redirect URI with a query":    redirect("x", "https://api.example.com/oauth?platform=x"),
		"http redirect URI, loopback":  redirect("x", "http://127.0.0.1:8080/back"),
		"http redirect URI, localhost": redirect("x", "http://localhost/back"),
		"http sandbox, IPv6 loopback":  func(c *connect.Config) { c.UnsafeRewriteHost = "http://[::1]:8081" },
		"https sandbox":                func(c *connect.Config) { c.UnsafeRewriteHost = "https://sandbox.example.com" },
		"provider with another alias": func(c *connect.Config) {
			c.Providers = append(c.Providers, named{newX(), "other", []string{"another"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := plainConfig(t)
			change(&cfg)
			if _, err := connect.New(cfg); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestConfigIsCopied: what a host does with its Config afterwards is its own.
func TestConfigIsCopied(t *testing.T) {
	t.Parallel()
	cfg := plainConfig(t)
	cfg.ReturnOrigins = []string{"https://app.example.com"}
	cfg.Providers = []connect.Provider{newX(), bluesky.New(nil)}
	cfg.UnsafeRewriteHost, cfg.UnsafeRewritePlatforms = "http://127.0.0.1:1", []string{"x"}
	cfg.Text = map[string]string{}
	cfg.UnsafeDial = map[string]string{}
	cfg.RedirectURLs = map[string]string{"x": "https://app.example.com/back"}
	c, err := connect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.BaseURL = "https://evil.example.com"
	cfg.ReturnOrigins[0] = "https://evil.example.com"
	cfg.Providers[0] = nil
	cfg.UnsafeRewritePlatforms[0] = "bluesky"
	cfg.UnsafeDial["plc.directory:443"] = "127.0.0.1:1"
	cfg.RedirectURLs["x"] = "https://evil.example.com/back"
	cfg.Authenticate = func(*http.Request) (connect.Principal, error) { return mallory, nil }

	started, err := c.Start(t.Context(), alice, connect.StartRequest{Platform: "x", ReturnURL: "https://app.example.com/done"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(started.URL, "http://127.0.0.1:1/x.com/") || strings.Contains(started.URL, "evil") {
		t.Errorf("URL %s", started.URL)
	}
	_, err = c.Start(t.Context(), alice, connect.StartRequest{Platform: "x", ReturnURL: "https://evil.example.com/done"})
	if connect.CodeOf(err) != connect.CodeReturnURLRefused {
		t.Errorf("another origin was let in afterwards: %v", err)
	}
	answer := httptest.NewRecorder()
	c.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/connect/platforms", nil))
	if answer.Code != http.StatusUnauthorized {
		t.Errorf("nobody: status %d", answer.Code)
	}
}

// TestConfigDefaults: each default as its field documents it.
func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)

	id, started := b.begin("x", nil)
	flow := w.flowRow(id)
	if got := flow.ExpiresAt.Sub(flow.CreatedAt); got != 15*time.Minute || flow.Binding != connect.BindSession {
		t.Errorf("a flow lives %v with binding %q", got, flow.Binding)
	}
	w.browser(nil).arrive(b.consent(started, nil)).outcome(t) // parked: nobody is signed in
	if got := w.flowRow(id).ExpiresAt.Sub(w.clock.Now()); got != 2*time.Minute {
		t.Errorf("a ticket lives %v", got)
	}
	pending := b.connect("facebook", headless(), nil).outcome(t)
	if got := w.flowRow(pending.Get("flow_id")).ExpiresAt.Sub(w.clock.Now()); got != 15*time.Minute {
		t.Errorf("a session lives %v", got)
	}

	ours := b.get("/connect/start/x")
	done := b.arrive(b.consent(ours.location(), nil))
	if !strings.HasPrefix(done.location(), w.config.BaseURL+"/ui/result?") {
		t.Errorf("without a return URL the browser goes to %s", done.location())
	}
	if page := b.get(done.location()); page.status != http.StatusOK || !strings.Contains(page.body, "Example Bakery") {
		t.Errorf("result page: status %d: %s", page.status, page.body)
	}
}

// TestConfigWithoutClockAndLogger: a zero Config field never panics later.
func TestConfigWithoutClockAndLogger(t *testing.T) {
	t.Parallel()
	c, err := connect.New(plainConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	started, err := c.Start(t.Context(), alice, connect.StartRequest{Platform: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if got := started.ExpiresAt.Sub(before); got < 14*time.Minute || got > 16*time.Minute {
		t.Errorf("the flow ends in %v", got)
	}
	r := httptest.NewRequest(http.MethodGet, "/connect/callback/x?code=c&state=s", nil)
	answer := httptest.NewRecorder()
	c.Handler().ServeHTTP(answer, r)
	if body, _ := io.ReadAll(answer.Body); answer.Code != http.StatusBadRequest {
		t.Errorf("status %d: %s", answer.Code, body)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
}
