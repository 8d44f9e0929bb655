package connect_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
	"github.com/seed944197df/connect/selection"
	"github.com/seed944197df/connect/tokencrypt"
)

const (
	quietToken = "canary-quiet-token"
	quietPages = 30
)

// quiet is a platform that needs no network: whoever consents or logs in is
// called as the code or the password says, and has 30 Pages.
type quiet struct{}

func (quiet) Platform() connect.Platform {
	return connect.Platform{
		Name: "quiet", DisplayName: "Quiet", Client: connect.Client{ID: "quiet-client"},
		Methods: []connect.Method{
			{ID: "oauth", Type: connect.MethodOAuth, DefaultScopes: []string{"read"}},
			{ID: "form", Type: connect.MethodCredentials, Fields: []connect.Field{{Name: "password", Label: "Password", Secret: true}}},
		},
		Kinds: []connect.Kind{{Name: "page", Multiple: true}, {Name: "profile"}},
		Hosts: []string{"api.quiet.test"},
	}
}

func (quiet) Begin(_ context.Context, env connect.Env, req connect.AuthRequest) (connect.Authorization, error) {
	query := url.Values{"state": {req.State}, "redirect_uri": {env.RedirectURL}, "scope": req.Scopes, "hint": {req.LoginHint}}
	return connect.Authorization{URL: "https://quiet.test/authorize?" + query.Encode()}, nil
}

func (quiet) Exchange(_ context.Context, _ connect.Env, resp connect.AuthResponse) (*connect.Tokens, error) {
	return &connect.Tokens{Subject: resp.Query.Get("code"), Access: connect.NewSecret(quietToken), Scopes: resp.Scopes}, nil
}

func (quiet) Login(_ context.Context, _ connect.Env, req connect.LoginRequest) (*connect.Tokens, error) {
	name := req.Values["password"].Reveal()
	if name == "" {
		return nil, &connect.ProviderError{Class: connect.ClassRefused}
	}
	self := connect.Candidate{Candidate: selection.Candidate{Kind: "profile", PlatformID: name, Name: name}}
	return &connect.Tokens{Subject: name, Access: connect.NewSecret(quietToken), Self: &self}, nil
}

func (quiet) List(_ context.Context, _ connect.Env, tokens *connect.Tokens, req connect.ListRequest) (connect.CandidatePage, error) {
	from, _ := strconv.Atoi(req.Cursor)
	var page connect.CandidatePage
	for i := from; i < min(from+20, quietPages); i++ {
		c := selection.Candidate{Kind: "page", PlatformID: strconv.Itoa(i), Name: fmt.Sprintf("Page %d of %s", i, tokens.Subject)}
		page.Candidates = append(page.Candidates, connect.Candidate{Candidate: c})
	}
	if from+20 < quietPages {
		page.Next = strconv.Itoa(from + 20)
	}
	return page, nil
}

// quietHost is a host of an engine on the quiet platform. Each visit is of a
// new tenant, so that one input does not see what another has left.
type quietHost struct {
	binding connect.Binding
	engine  *connect.Connector
	tenants int
}

func newQuietHost(f *testing.F, binding connect.Binding) *quietHost {
	f.Helper()
	h := &quietHost{binding: binding}
	h.renew(f)
	f.Cleanup(func() { _ = h.engine.Close(context.Background()) })
	return h
}

// renew replaces the engine and its store, which becomes slow as it grows.
func (h *quietHost) renew(tb testing.TB) {
	tb.Helper()
	if h.engine != nil {
		_ = h.engine.Close(tb.Context())
	}
	ring, err := tokencrypt.ParseKeyring(connect.FuzzRing)
	if err != nil {
		tb.Fatal(err)
	}
	engine, err := connect.New(connect.Config{
		BaseURL: "https://host.test/connect", Store: memstore.New(nil), Keys: ring, Providers: []connect.Provider{quiet{}},
		Authenticate: authenticateWhole, ReturnOrigins: []string{"https://app.test"}, Binding: h.binding,
	})
	if err != nil {
		tb.Fatal(err)
	}
	h.engine = engine
}

// authenticateWhole takes half a principal for none, as a host must.
func authenticateWhole(r *http.Request) (connect.Principal, error) {
	p, err := authenticate(r)
	if p.Tenant == "" || p.Ambient && p.User == "" || len(p.Tenant) > 255 || len(p.User) > 255 {
		return connect.Principal{}, connect.ErrUnauthenticated
	}
	return p, err
}

// quietVisit is a tenant. What has a handle is made when the handle is asked for.
type quietVisit struct {
	t       *testing.T
	host    *quietHost
	engine  *connect.Connector
	alice   connect.Principal
	key     connect.Principal
	secret  string // in every name that the tenant may see
	handles map[string]string
}

func (h *quietHost) visit(t *testing.T) *quietVisit {
	t.Helper()
	if h.tenants++; h.tenants%300 == 0 {
		h.renew(t)
	}
	tenant := fmt.Sprintf("tenant-%d", h.tenants)
	return &quietVisit{
		t: t, host: h, engine: h.engine, key: connect.Principal{Tenant: tenant}, secret: "canary-of-" + tenant,
		alice: connect.Principal{Tenant: tenant, User: "alice", Ambient: true}, handles: map[string]string{"tenant": tenant},
	}
}

// handle returns one of each kind, always the same; empty where the binding
// does not have the kind.
func (v *quietVisit) handle(kind string) string {
	v.t.Helper()
	if handle, made := v.handles[kind]; made {
		return handle
	}
	browser := v.host.binding == connect.BindBrowser
	switch {
	case kind == "account":
		password := map[string]connect.Secret{"password": connect.NewSecret(v.secret)}
		out, err := v.engine.ConnectCredentials(v.t.Context(), v.key, connect.CredentialsRequest{Platform: "quiet", Values: password})
		if err != nil {
			v.t.Fatal(err)
		}
		v.handles[kind] = out.Accounts[0].ID
	case kind == "popup":
		v.handles[kind] = v.start(v.alice, connect.ModePopup).FlowID
	case kind == "flow" || kind == "state":
		started := v.start(v.alice, connect.ModeHosted)
		v.handles["flow"], v.handles["state"] = started.FlowID, started.State
	case kind == "link" && browser:
		v.handles[kind] = strings.TrimPrefix(v.start(v.alice, connect.ModeHosted).URL, "https://host.test/connect/go/")
	case kind == "session" && !browser:
		v.handles[kind] = v.back(v.start(v.alice, connect.ModeHosted), "session="+v.key.Tenant+"/alice").Session
	case kind == "ticket" && !browser:
		v.handles[kind] = v.back(v.start(v.key, connect.ModeHeadless), "").Ticket
	}
	return v.handles[kind]
}

func (v *quietVisit) start(p connect.Principal, mode connect.Mode) *connect.Started {
	v.t.Helper()
	started, err := v.engine.Start(v.t.Context(), p, connect.StartRequest{Platform: "quiet", ReturnURL: "https://app.test/done", Mode: mode})
	if err != nil {
		v.t.Fatal(err)
	}
	return started
}

// back is a browser that comes back from the platform.
func (v *quietVisit) back(started *connect.Started, cookie string) *connect.Outcome {
	v.t.Helper()
	r := httptest.NewRequestWithContext(v.t.Context(), http.MethodGet, "/connect/callback/quiet?code="+v.secret+"&state="+started.State, nil)
	r.Header.Set("Cookie", cookie)
	out, err := v.engine.Callback(r, "quiet", "")
	if err != nil {
		v.t.Fatal(err)
	}
	return out
}

// fill writes the visit's handles where text has their kinds in braces.
func (v *quietVisit) fill(text string) string {
	for _, kind := range []string{"tenant", "account", "popup", "flow", "state", "link", "session", "ticket"} {
		if strings.Contains(text, "{"+kind+"}") {
			text = strings.ReplaceAll(text, "{"+kind+"}", v.handle(kind))
		}
	}
	return text
}

// serve sends a request as net/http reads it from a connection; nil where it
// does not get as far as a handler.
func (v *quietVisit) serve(head, body string) *httptest.ResponseRecorder {
	v.t.Helper()
	head, body = v.fill(head), v.fill(body)
	raw := strings.ReplaceAll(head, "\n", "\r\n") + fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil || !strings.HasPrefix(r.URL.Path, "/connect/") {
		return nil
	}
	w := httptest.NewRecorder()
	v.engine.Handler().ServeHTTP(w, r.WithContext(v.t.Context()))
	return w
}
