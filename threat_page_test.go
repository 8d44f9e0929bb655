package connect_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed944197df/connect"
)

const (
	adaIdentifier  = "ada.sandbox.test"
	adaAppPassword = "sand-box2-test-pass"
	firstPage      = "page:110000000000001"
)

// visit is one answer of the engine.
type visit struct {
	route string // as it is registered
	what  string
	reply reply
}

// tour is a walk through everything that the engine serves.
type tour struct {
	w      *world
	visits []visit
	paths  map[string]string // a path that exists, by route
}

func (v *tour) see(route, what string, got reply) reply {
	v.visits = append(v.visits, visit{pathOf(route), what, got})
	return got
}

// pathOf is a pattern without its method.
func pathOf(pattern string) string { return strings.TrimLeft(pattern, "ABCDEFGHIJKLMNOPQRSTUVWXYZ ") }

var csrfToken = regexp.MustCompile(`name="csrf_token" value="([^"]+)"`)

// tokenOf is the token of the page's form.
func tokenOf(t *testing.T, page reply) string {
	t.Helper()
	found := csrfToken.FindStringSubmatch(page.body)
	if found == nil {
		t.Fatalf("status %d, no form token: %s", page.status, page.body)
	}
	return found[1]
}

func formOf(t *testing.T, page reply, fields url.Values) url.Values {
	t.Helper()
	form := maps.Clone(fields)
	if form == nil {
		form = url.Values{}
	}
	form.Set("csrf_token", tokenOf(t, page))
	return form
}

// oneTour is what the tests of pages look at: the walk is made once.
var oneTour struct {
	once sync.Once
	tour tour
}

func theTour(t *testing.T) *tour {
	t.Helper()
	oneTour.once.Do(func() { oneTour.tour = *newTour(t) })
	if len(oneTour.tour.visits) == 0 {
		t.Fatal("the walk was not finished")
	}
	return &oneTour.tour
}

// newTour visits every route with success, then every route in every other way.
func newTour(t *testing.T) *tour {
	t.Helper()
	v := &tour{w: newWorld(t), paths: map[string]string{}}
	v.flows(t)
	v.selections(t)
	v.credentials(t)
	v.links(t)
	v.see("/ui/", "result", v.w.browser(&alice).get("/connect/ui/result?status=error&error=expired&platform=x"))
	v.see("GET /ui/result", "result", v.w.browser(&alice).get("/connect/ui/result?status=connected&platform=x"))
	v.see("GET /ui/style.css", "style", v.w.browser(nil).get("/connect/ui/style.css"))
	v.see("GET /platforms", "list", v.w.browser(&alice).get("/connect/platforms"))
	v.paths["GET /ui/result"], v.paths["GET /ui/style.css"], v.paths["GET /platforms"] = "/ui/result?a=1&a=2", "/ui/style.css", "/platforms"
	v.paths["/ui/"], v.paths["/"] = "/ui/none", "/none"
	v.failures()
	return v
}

func (v *tour) flows(t *testing.T) {
	t.Helper()
	b := v.w.browser(&alice)
	var started struct {
		FlowID string `json:"flow_id"`
		URL    string `json:"url"`
	}
	v.see("/start/{platform}", "post", b.call(http.MethodPost, "/connect/start/x", map[string]string{})).decode(t, http.StatusCreated, &started)
	v.see("/start/{platform}", "get", b.get("/connect/start/x"))
	v.see("/start/{platform}", "hop page", b.arrive("/connect/start/x"))
	v.see("GET /flows/{id}", "read", b.get("/connect/flows/"+started.FlowID))
	back := b.consent(started.URL, nil)
	id := v.see("/callback/{platform}", "connected", b.arrive(back)).outcome(t).Get("account_id")
	v.see("/callback/{platform}", "reload", b.arrive(back))
	v.see("/callback/{platform}/{client}", "reload", b.arrive(strings.Replace(back, "/callback/x?", "/callback/x/shared?", 1)))
	v.see("GET /accounts", "list", b.get("/connect/accounts"))
	v.see("GET /accounts/{id}", "read", b.get("/connect/accounts/"+id))
	v.see("GET /accounts/{id}/health", "stored", b.get("/connect/accounts/"+id+"/health"))
	v.see("GET /accounts/{id}/health", "live", b.get("/connect/accounts/"+id+"/health?probe=live"))
	v.see("POST /accounts/{id}/refresh", "refresh", b.call(http.MethodPost, "/connect/accounts/"+id+"/refresh", nil))
	v.see("DELETE /accounts/{id}", "disconnect", b.call(http.MethodDelete, "/connect/accounts/"+id, nil))
	ticket := v.see("/callback/{platform}", "parked", v.w.browser(nil).arrive(b.consent(b.start("x", nil), nil))).outcome(t).Get("ticket")
	v.see("POST /complete", "ticket", b.call(http.MethodPost, "/connect/complete", map[string]string{"ticket": ticket}))
	v.see("/callback/{platform}", "denied", b.arrive(b.consent(b.start("x", nil), url.Values{"decision": {"deny"}})))
	v.paths["/start/{platform}"], v.paths["GET /flows/{id}"], v.paths["/callback/{platform}"] = "/start/none", "/flows/none", "/callback/x?code=a&code=b"
	v.paths["/callback/{platform}/{client}"], v.paths["POST /complete"] = "/callback/x/none?code=a&state=b", "/complete"
	v.paths["GET /accounts/{id}/health"], v.paths["POST /accounts/{id}/refresh"] = "/accounts/none/health", "/accounts/none/refresh"
	v.paths["GET /accounts"], v.paths["GET /accounts/{id}"], v.paths["DELETE /accounts/{id}"] = "/accounts?limit=0", "/accounts/none", "/accounts/none"
}

func (v *tour) selections(t *testing.T) {
	t.Helper()
	b := v.w.browser(&alice)
	chosen := url.Values{"selected_ids": {firstPage}}
	session := b.connect("facebook", url.Values{"mode": {"headless"}}, nil).outcome(t).Get("session")
	v.see("GET /pending/{session}", "read", b.get("/connect/pending/"+session))
	v.see("POST /pending/{session}/finalize", "finalize", b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", chosen))
	picker := v.see("/callback/{platform}", "pending", b.connect("facebook", nil, nil)).location()
	page := v.see("/ui/pending/{session}", "get", b.get(picker))
	v.see("/ui/pending/{session}", "post", b.post(picker, chosen))
	v.see("POST /ui/pending/{session}/finalize", "nothing chosen", b.post(picker+"/finalize", formOf(t, page, nil)))
	v.see("POST /ui/pending/{session}/finalize", "finalize", b.post(picker+"/finalize", formOf(t, page, chosen)))
	v.see("/ui/pending/{session}", "resume", b.get(picker))
	account := b.get("/connect/accounts?platform=facebook")
	var list struct{ Accounts []struct{ ID string } }
	account.decode(t, http.StatusOK, &list)
	one := "/connect/accounts/" + list.Accounts[0].ID
	v.see("/accounts/{id}/candidates", "read", b.get(one+"/candidates"))
	v.see("/accounts/{id}/sessions", "add more", b.call(http.MethodPost, one+"/sessions", nil))
	v.see("/accounts/{id}", "edit", b.call(http.MethodPatch, one, map[string]string{"label": "ours"}))
	v.paths["/accounts/{id}/candidates"], v.paths["/accounts/{id}/sessions"] = "/accounts/none/candidates", "/accounts/none/sessions"
	home := v.see("GET /ui/{$}", "home", b.get("/connect/ui/"))
	v.see("POST /ui/accounts/{id}/disconnect", "disconnect", b.post("/connect/ui/accounts/"+list.Accounts[0].ID+"/disconnect", formOf(t, home, nil)))
	v.paths["GET /pending/{session}"], v.paths["POST /pending/{session}/finalize"] = "/pending/none", "/pending/none/finalize"
	v.paths["/ui/pending/{session}"], v.paths["POST /ui/pending/{session}/finalize"] = "/ui/pending/none", "/ui/pending/none/finalize"
	v.paths["GET /ui/{$}"], v.paths["POST /ui/accounts/{id}/disconnect"] = "/ui/?a=1&a=2", "/ui/accounts/none/disconnect"
}

func (v *tour) credentials(t *testing.T) {
	t.Helper()
	b := v.w.browser(&alice)
	values := url.Values{"identifier": {adaIdentifier}, "app_password": {adaAppPassword}}
	v.see("POST /credentials/{platform}", "login", b.call(http.MethodPost, "/connect/credentials/bluesky", map[string]string{"identifier": adaIdentifier, "app_password": adaAppPassword}))
	page := v.see("GET /ui/credentials/{platform}", "form", b.get("/connect/ui/credentials/bluesky"))
	v.see("POST /ui/credentials/{platform}", "nothing typed", b.post("/connect/ui/credentials/bluesky", formOf(t, page, nil)))
	v.see("POST /ui/credentials/{platform}", "login", b.post("/connect/ui/credentials/bluesky", formOf(t, page, values)))
	v.paths["POST /credentials/{platform}"] = "/credentials/none"
	v.paths["GET /ui/credentials/{platform}"], v.paths["POST /ui/credentials/{platform}"] = "/ui/credentials/none", "/ui/credentials/none"
}

// links are served where the browser is bound by them.
func (v *tour) links(t *testing.T) {
	t.Helper()
	w := newWorld(t, func(cfg *connect.Config) { cfg.Binding = connect.BindBrowser })
	started, err := w.engine.Start(t.Context(), acmeKey, connect.StartRequest{Platform: "x", User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	b := w.browser(nil)
	page := v.see("/go/{link}", "show", b.get(started.URL))
	v.see("/go/{link}", "follow", b.post(started.URL, formOf(t, page, nil)))
	v.see("/go/{link}", "used", w.browser(nil).get(started.URL))
	v.paths["/go/{link}"] = "/go/none"
}

// failures visits each route with each method as each kind of visitor.
func (v *tour) failures() {
	visitors := map[string]*browser{"nobody": v.w.browser(nil), "alice": v.w.browser(&alice), "key": v.w.program("acme")}
	methods := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}
	for route, path := range v.paths {
		for who, b := range visitors {
			for _, method := range methods {
				v.see(route, who+" "+method+" "+path, b.do(method, "/connect"+path, "", ""))
			}
		}
	}
	for _, route := range []string{"/ui", "/{$}"} {
		path := "/connect" + strings.TrimSuffix(route, "{$}")
		v.see(route, "get", visitors["alice"].get(path))
		v.see(route, "post", visitors["nobody"].do(http.MethodPost, path, "", ""))
	}
	// What is not clean is the engine's to refuse where no mux is before it.
	for _, path := range []string{"/callback", "/callback/", "//ui/", "/ui/../ui/", "/ui/./", "/start/x/", "/accounts/", "/ui//pending/none", "/callback/x/../x?code=a&state=b", "/%75i", "/ui%2f"} {
		v.see("/", path, answerOf(v.w.engine, arrival(alice, "/connect"+path)))
	}
}

var (
	handlerPattern = regexp.MustCompile(`(?m)^\t\t"([A-Z]* ?/[^"]*)": `)
	pagePattern    = regexp.MustCompile(`mux\.Handle(?:Func)?\("([^"]+)"`)
)

// registered returns the patterns that the source registers.
func registered(t *testing.T) []string {
	t.Helper()
	var patterns []string
	for file, pattern := range map[string]*regexp.Regexp{"handlers.go": handlerPattern, "ui.go": pagePattern} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range pattern.FindAllStringSubmatch(string(source), -1) {
			patterns = append(patterns, pathOf(found[1]))
		}
	}
	if len(patterns) < 20 {
		t.Fatalf("only %d routes are found in the source: %q", len(patterns), patterns)
	}
	return patterns
}

func TestThreat85_NothingIsCached(t *testing.T) {
	t.Parallel()
	v := theTour(t)
	good := map[string]bool{"/": true}                // no such route
	bad := map[string]bool{"/ui": true, "/{$}": true} // a redirect to the connect page
	for _, visit := range v.visits {
		if got := visit.reply.header.Values("Cache-Control"); len(got) != 1 || got[0] != "no-store" {
			t.Errorf("%s, %s: status %d, Cache-Control %q", visit.route, visit.what, visit.reply.status, got)
		}
		good[visit.route] = good[visit.route] || visit.reply.status < 400
		bad[visit.route] = bad[visit.route] || visit.reply.status >= 400
	}
	for _, route := range registered(t) {
		if !good[route] || !bad[route] {
			t.Errorf("%s: visited with success: %v, with an error: %v", route, good[route], bad[route])
		}
	}
}

// brokenStore answers nothing.
type brokenStore struct{ connect.Store }

var errBroken = errors.New("the store is down")

func (brokenStore) ReadFlow(context.Context, connect.FlowKey) (connect.Flow, error) {
	return connect.Flow{}, errBroken
}

func (brokenStore) CreateFlow(context.Context, connect.Flow, connect.FlowCaps) error {
	return errBroken
}

func (brokenStore) ReadAccount(context.Context, connect.AccountKey) (connect.Account, error) {
	return connect.Account{}, errBroken
}

func (brokenStore) ListAccounts(context.Context, string, connect.AccountFilter, connect.Page) ([]connect.Account, string, error) {
	return nil, "", errBroken
}

func TestThreat85_NothingIsCachedWithoutStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config
	cfg.Store = brokenStore{cfg.Store}
	broken, err := connect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	back := w.browser(&alice).consent(w.browser(&alice).start("x", nil), nil)
	const unknown = "01a202ea-80b4-72d1-930f-d2d98dc88776"
	for _, target := range []string{back, "/connect/accounts", "/connect/accounts/" + unknown, "/connect/flows/" + unknown, "/connect/pending/none", "/connect/ui/", "/connect/ui/pending/none"} {
		got := answerOf(broken, arrival(alice, target))
		if got.status != http.StatusServiceUnavailable || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: status %d, Cache-Control %q", target, got.status, got.header.Values("Cache-Control"))
		}
	}
}

// A host that mounts single handlers has nothing in front of them that would
// set a header.
func TestThreat85_HandlersMountedAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	back := b.consent(b.start("x", nil), nil)
	mux := http.NewServeMux()
	mux.Handle("/connect/accounts", w.engine.AccountsHandler())
	mux.Handle("/connect/accounts/{id}", w.engine.AccountHandler())
	mux.Handle("/connect/callback/{platform}", w.engine.CallbackHandler())
	mux.Handle("/connect/ui/", w.engine.PagesHandler())
	for target, status := range map[string]int{
		"/connect/accounts":        http.StatusOK,
		"/connect/accounts/none":   http.StatusNotFound,
		back:                       http.StatusSeeOther,
		"/connect/callback/x":      http.StatusBadRequest,
		"/connect/ui/":             http.StatusOK,
		"/connect/ui/pending/none": http.StatusNotFound,
	} {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, arrival(alice, target))
		if got := rec.Header().Values("Cache-Control"); rec.Code != status || strings.Join(got, ", ") != "no-store" {
			t.Errorf("%s: status %d, Cache-Control %q", target, rec.Code, got)
		}
	}
}

func TestThreat39_EveryRedirectIs303(t *testing.T) {
	t.Parallel()
	redirected := map[string]bool{}
	for _, visit := range theTour(t).visits {
		r := visit.reply
		if r.status < 300 || r.status > 399 {
			if r.location() != "" {
				t.Errorf("%s, %s: status %d with a Location", visit.route, visit.what, r.status)
			}
			continue
		}
		redirected[visit.route] = true
		if r.status != http.StatusSeeOther || r.body != "" || r.header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s, %s: status %d to %q, body %q", visit.route, visit.what, r.status, r.location(), r.body)
		}
	}
	for _, route := range []string{"/start/{platform}", "/go/{link}", "/callback/{platform}", "/ui/pending/{session}", "/ui/pending/{session}/finalize", "/ui/credentials/{platform}", "/ui/accounts/{id}/disconnect", "/ui", "/{$}"} {
		if !redirected[route] {
			t.Errorf("%s: no redirect was seen", route)
		}
	}
}

// A page may hold no word that a browser runs, and nothing of another origin
// but avatars, which get no referrer.
var (
	inlineCode = regexp.MustCompile(`(?i)<script|<style|\sstyle=|\son[a-z]+=|javascript:|<iframe|<object|<embed|<base|<meta http-equiv`)
	assets     = regexp.MustCompile(`(?i)\s(?:src|srcset|href|action|formaction|poster|data)="([^"]*)"`)
)

func TestThreat87_PageHeaders(t *testing.T) {
	t.Parallel()
	v := theTour(t)
	pages := map[string]bool{}
	for _, visit := range v.visits {
		r, name := visit.reply, visit.route+", "+visit.what
		if r.status < 300 && r.header.Get("X-Content-Type-Options") != "nosniff" || r.status >= 400 && r.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: status %d without nosniff", name, r.status)
		}
		if !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
			continue
		}
		pages[visit.route] = true
		for header, want := range map[string]string{"X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin"} {
			if got := r.header.Get(header); got != want {
				t.Errorf("%s: %s is %q", name, header, got)
			}
		}
		strictPolicy(t, name, r.header.Values("Content-Security-Policy"))
		if found := inlineCode.FindString(r.body); found != "" {
			t.Errorf("%s: the page holds %q", name, found)
		}
	}
	if len(pages) < 10 {
		t.Errorf("only the pages of %v were seen", slices.Collect(maps.Keys(pages)))
	}
}

func strictPolicy(t *testing.T, page string, policies []string) {
	t.Helper()
	if len(policies) != 1 {
		t.Errorf("%s: policies %q", page, policies)
		return
	}
	directives := map[string]string{}
	for directive := range strings.SplitSeq(policies[0], ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), " ")
		directives[name] = value
	}
	for name, want := range map[string]string{"default-src": "'none'", "style-src": "'self'", "frame-ancestors": "'none'", "base-uri": "'none'"} {
		if directives[name] != want {
			t.Errorf("%s: %s is %q, want %q", page, name, directives[name], want)
		}
	}
	if strings.Contains(policies[0], "unsafe-") || strings.Contains(policies[0], "*") || strings.Contains(policies[0], "data:") || directives["script-src"] != "" {
		t.Errorf("%s: policy %q", page, policies[0])
	}
	if !strings.HasPrefix(directives["form-action"], "'self'") {
		t.Errorf("%s: form-action is %q", page, directives["form-action"])
	}
}

func TestThreat84_NoReferrer(t *testing.T) {
	t.Parallel()
	v := theTour(t)
	for _, visit := range v.visits {
		r, name := visit.reply, visit.route+", "+visit.what
		if !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
			continue
		}
		if got := r.header.Values("Referrer-Policy"); len(got) != 1 || got[0] != "no-referrer" {
			t.Errorf("%s: Referrer-Policy %q", name, got)
		}
		for _, found := range assets.FindAllStringSubmatch(r.body, -1) {
			target := found[1]
			ours := strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "//") || strings.HasPrefix(target, "#") || strings.HasPrefix(target, v.w.host.URL) || strings.HasPrefix(target, "https://127.0.0.1:")
			avatar := strings.HasPrefix(target, "https://") && strings.Contains(found[0], " src=") && strings.Contains(r.body, target+`" alt="" `)
			if !ours && !avatar {
				t.Errorf("%s: the page refers to %q", name, target)
			}
		}
		if n := strings.Count(r.body, "<img"); n != strings.Count(r.body, `referrerpolicy="no-referrer"`) {
			t.Errorf("%s: an image may get a referrer", name)
		}
	}
}

// An answer that holds a code ends in a redirect to an address without it, or
// in a page that keeps it to itself.
func TestThreat84_NoCodeStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	for name, answer := range map[string]reply{
		"connected": b.connect("x", nil, nil),
		"pending":   b.connect("facebook", nil, nil),
		"denied":    b.connect("x", nil, url.Values{"decision": {"deny"}}),
		"parked":    w.browser(nil).arrive(b.consent(b.start("x", nil), nil)),
	} {
		values := answer.outcome(t)
		if values.Has("code") || values.Has("state") || strings.Contains(answer.location(), "state=") {
			t.Errorf("%s: location %q", name, answer.location())
		}
	}
}
