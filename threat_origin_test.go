package connect_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
)

// unsafeRoute is a route that changes something, with a request that would.
type unsafeRoute struct {
	method, path string
	body         any
	form         url.Values
}

// unsafeRoutes are all of them; those of forms come with a valid form token.
func unsafeRoutes(t *testing.T, w *world) []unsafeRoute {
	t.Helper()
	b := w.browser(&alice)
	id := b.connect("x", nil, nil).outcome(t).Get("account_id")
	ticket := w.browser(nil).arrive(b.consent(b.start("x", nil), nil)).outcome(t).Get("ticket")
	session := b.connect("facebook", url.Values{"mode": {"headless"}}, nil).outcome(t).Get("session")
	picker := b.get("/connect/ui/pending/" + session)
	chosen := url.Values{"selected_ids": {firstPage}}
	typed := url.Values{"identifier": {adaIdentifier}, "app_password": {adaAppPassword}}
	return []unsafeRoute{
		{http.MethodPost, "/start/x", map[string]string{}, url.Values{}},
		{http.MethodPost, "/complete", map[string]string{"ticket": ticket}, url.Values{"ticket": {ticket}}},
		{http.MethodPost, "/pending/" + session + "/finalize", chosen, chosen},
		{http.MethodPost, "/credentials/bluesky", map[string]string{"identifier": adaIdentifier, "app_password": adaAppPassword}, typed},
		{http.MethodDelete, "/accounts/" + id, map[string]string{}, url.Values{}},
		{http.MethodPost, "/ui/pending/" + session, map[string]string{}, chosen},
		{http.MethodPost, "/ui/pending/" + session + "/finalize", map[string]string{}, formOf(t, picker, chosen)},
		{http.MethodPost, "/ui/credentials/bluesky", map[string]string{}, formOf(t, b.get("/connect/ui/credentials/bluesky"), typed)},
		{http.MethodPost, "/ui/accounts/" + id + "/disconnect", map[string]string{}, formOf(t, b.get("/connect/ui/"), nil)},
	}
}

// foreign are the headers of requests that our own origin did not make.
func foreign(w *world) map[string]http.Header {
	name := strings.TrimPrefix(w.host.URL, "https://")
	return map[string]http.Header{
		"cross-site":              {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}},
		"cross-site, no origin":   {"Sec-Fetch-Site": {"cross-site"}},
		"cross-site, our origin":  {"Sec-Fetch-Site": {"cross-site"}, "Origin": {w.host.URL}},
		"same-site":               {"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://blog." + name}},
		"typed":                   {"Sec-Fetch-Site": {"none"}},
		"same-origin of evil":     {"Sec-Fetch-Site": {"same-origin"}, "Origin": {"https://evil.example"}},
		"unknown metadata":        {"Sec-Fetch-Site": {"Same-Origin"}, "Origin": {w.host.URL}},
		"no origin, no metadata":  {},
		"a referrer only":         {"Referer": {w.host.URL + appHost}},
		"Origin: null":            {"Origin": {"null"}},
		"null, cross-site":        {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"null"}},
		"evil's origin":           {"Origin": {"https://evil.example"}},
		"our name over http":      {"Origin": {"http://" + name}},
		"our name, another port":  {"Origin": {"https://127.0.0.1:1"}},
		"our name as a prefix":    {"Origin": {w.host.URL + ".evil.example"}},
		"our name as a user":      {"Origin": {w.host.URL + "@evil.example"}},
		"two origins":             {"Origin": {w.host.URL + " https://evil.example"}},
		"a list that begins ours": {"Origin": {"https://evil.example", w.host.URL}},
	}
}

func TestThreat83_ForeignRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	routes := unsafeRoutes(t, w)
	before, exchanges := len(w.accounts(alice)), w.exchanges()
	for name, header := range foreign(w) {
		b := w.browser(&alice)
		b.header = header
		for _, route := range routes {
			jsonPost := b.json(route.method, "/connect"+route.path, route.body)
			formPost := b.do(route.method, "/connect"+route.path, "application/x-www-form-urlencoded", route.form.Encode())
			textPost := b.do(route.method, "/connect"+route.path, "text/plain", `{"ticket":"a"}`)
			for kind, got := range map[string]reply{"JSON": jsonPost, "form": formPost, "text": textPost} {
				if got.status != http.StatusForbidden || got.location() != "" {
					t.Errorf("%s, %s, %s %s: status %d: %s", name, kind, route.method, route.path, got.status, got.body)
				}
			}
		}
	}
	if len(w.accounts(alice)) != before || w.exchanges() != exchanges || w.box.Requests("pds.sandbox.test", "/xrpc/com.atproto.server.createSession") != 0 {
		t.Errorf("%d accounts, were %d; %d exchanges, were %d", len(w.accounts(alice)), before, w.exchanges(), exchanges)
	}
	// The very same requests pass from our own origin, each in its own form.
	b := w.browser(&alice)
	for _, route := range routes {
		got := b.call(route.method, "/connect"+route.path, route.body)
		if strings.HasPrefix(route.path, "/ui/") {
			got = b.post("/connect"+route.path, route.form)
		}
		if got.status == http.StatusForbidden {
			t.Errorf("%s %s from our own origin: status %d: %s", route.method, route.path, got.status, got.body)
		}
	}
}

// A form of ours carries a token, so that even our own origin must have shown
// the page to the person.
func TestThreat83_FormToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	other := tokenOf(t, w.browser(&mallory).get("/connect/ui/credentials/bluesky"))
	for _, route := range unsafeRoutes(t, w) {
		if !strings.HasPrefix(route.path, "/ui/") || route.form.Get("csrf_token") == "" {
			continue
		}
		right := route.form.Get("csrf_token")
		for name, token := range map[string]string{"none": "", "wrong": "AAAA", "another person's or page's": other, "cut": right[:len(right)-1], "longer": right + "A"} {
			form := maps.Clone(route.form)
			form.Set("csrf_token", token)
			if got := b.post("/connect"+route.path, form); got.status != http.StatusForbidden {
				t.Errorf("%s with token %q: status %d", route.path, name, got.status)
			}
		}
		inQuery := maps.Clone(route.form)
		inQuery.Del("csrf_token")
		if got := b.post("/connect"+route.path+"?csrf_token="+right, inQuery); got.status != http.StatusForbidden && got.status != http.StatusBadRequest {
			t.Errorf("%s with the token in the address: status %d", route.path, got.status)
		}
	}
}

func TestThreat83_ConnectLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(cfg *connect.Config) { cfg.Binding = connect.BindBrowser })
	started, err := w.engine.Start(t.Context(), acmeKey, connect.StartRequest{Platform: "x", User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	form := formOf(t, w.browser(nil).get(started.URL), nil)
	for name, header := range foreign(w) {
		b := w.browser(nil)
		b.header = header
		if got := b.do(http.MethodPost, started.URL, "application/x-www-form-urlencoded", form.Encode()); got.status != http.StatusForbidden || got.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: status %d, cookie %q", name, got.status, got.header.Get("Set-Cookie"))
		}
	}
	if got := w.browser(nil).post(started.URL, url.Values{}); got.status != http.StatusForbidden {
		t.Errorf("without the form's token: status %d", got.status)
	}
	if got := w.browser(nil).post(started.URL, form); got.status != http.StatusSeeOther {
		t.Errorf("our own page: status %d", got.status)
	}
}

// An API key is sent by nobody unknowing, so that it is not asked where it
// comes from.
func TestThreat83_APIKeys(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"cross-site", "no origin, no metadata", "Origin: null", "evil's origin"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			key := w.program("acme")
			maps.Copy(key.header, foreign(w)[name])
			for _, route := range unsafeRoutes(t, w) {
				if strings.HasPrefix(route.path, "/ui/") {
					continue
				}
				if got := key.json(route.method, "/connect"+route.path, route.body); got.status >= 400 {
					t.Errorf("%s %s: status %d: %s", route.method, route.path, got.status, got.body)
				}
			}
		})
	}
}

// A start that another site may have caused waits for the person.
func TestThreat83_StartFromElsewhere(t *testing.T) {
	t.Parallel()
	created := &createdStore{Store: memstore.New(nil)}
	w := newWorld(t, func(c *connect.Config) { c.Store = created })
	for name, header := range map[string]http.Header{
		"cross-site": {"Sec-Fetch-Site": {"cross-site"}}, "same-site": {"Sec-Fetch-Site": {"same-site"}}, "typed": {"Sec-Fetch-Site": {"none"}},
		"no metadata": {}, "our origin, no metadata": {"Origin": {w.host.URL}}, "a frame of ours": {"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Dest": {"iframe"}},
	} {
		b := w.browser(&alice)
		b.header = header
		if got := b.do(http.MethodGet, "/connect/start/x", "", ""); got.status != http.StatusOK || got.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: status %d to %q, want a page", name, got.status, got.location())
		}
	}
	if got := created.count.Load(); got != 0 {
		t.Errorf("%d flows were created, want none", got)
	}
	w.browser(&alice).get("/connect/start/x").wantStatus(t, http.StatusSeeOther)
}

// A host name that a client sends decides nothing.
func TestThreat42_HostHeader(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(cfg *connect.Config) { cfg.Binding = connect.BindBrowser })
	spoof := func(r *http.Request) *http.Request {
		r.Host = "evil.example"
		for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Server", "X-Host", "X-Original-Host", "X-Forwarded-For"} {
			r.Header.Set(name, "evil.example")
		}
		r.Header.Set("X-Forwarded-Proto", "http")
		r.Header.Set("X-Forwarded-Port", "81")
		r.Header.Set("X-Forwarded-Prefix", "/evil")
		r.Header.Set("X-Original-Url", "/evil")
		r.Header.Set("X-Rewrite-Url", "/evil")
		r.Header.Set("Forwarded", "host=evil.example;proto=http")
		return r
	}
	request := func(p connect.Principal, method, path, body string) *http.Request {
		r := httptest.NewRequest(method, "/connect"+path, strings.NewReader(body))
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		if p.Ambient {
			r.AddCookie(&http.Cookie{Name: "session", Value: p.Tenant + "/" + p.User})
		} else {
			r.Header.Set("Authorization", "Bearer key-"+p.Tenant)
		}
		return spoof(r)
	}
	navigated := answerOf(w.engine, request(alice, http.MethodGet, "/start/x", ""))
	redirect, err := url.Parse(navigated.location())
	if err != nil || redirect.Query().Get("redirect_uri") != w.host.URL+"/connect/callback/x" {
		t.Errorf("status %d, location %q", navigated.status, navigated.location())
	}
	if cookie := navigated.header.Get("Set-Cookie"); cookie == "" || strings.Contains(cookie, "Domain") {
		t.Errorf("cookie %q", cookie)
	}
	var started struct{ URL string }
	answerOf(w.engine, request(acmeKey, http.MethodPost, "/start/x", `{"user":"alice"}`)).decode(t, http.StatusCreated, &started)
	if !strings.HasPrefix(started.URL, w.host.URL+"/connect/go/") {
		t.Errorf("connect link %q", started.URL)
	}
	link := strings.TrimPrefix(started.URL, w.host.URL+"/connect")
	for _, path := range []string{link, "/ui/", "/ui/credentials/bluesky", "/ui/result?status=error&error=expired", "/ui/none", "/start/none", "/platforms"} {
		got := answerOf(w.engine, request(alice, http.MethodGet, path, ""))
		for name, values := range got.header {
			if strings.Contains(strings.Join(values, " "), "evil") {
				t.Errorf("%s: %s is %q", path, name, values)
			}
		}
		if strings.Contains(got.body, "evil") {
			t.Errorf("%s: the body names the host: %s", path, got.body)
		}
	}
	// Nor does it make a foreign origin ours.
	post := request(alice, http.MethodPost, "/start/x", "{}")
	post.Header.Del("Sec-Fetch-Site")
	post.Header.Set("Origin", "https://evil.example")
	if got := answerOf(w.engine, post); got.status != http.StatusForbidden {
		t.Errorf("an origin that equals the Host header: status %d", got.status)
	}
}

// untouched fails whoever asks it: each of its methods panics.
type untouched struct{ connect.Store }

// countedStates counts what a state encoder is asked to open.
type countedStates struct{ opened atomic.Int64 }

func (*countedStates) SealState(connect.StateClaims) (string, error) { return "sealed", nil }

func (s *countedStates) OpenState(string) (connect.StateClaims, error) {
	s.opened.Add(1)
	return connect.StateClaims{}, errBroken
}

// asked reports whether answering r asks the store.
func asked(engine *connect.Connector, r *http.Request) (got reply, panicked bool) {
	defer func() { panicked = recover() != nil }()
	return answerOf(engine, r), false
}

func TestThreat43_Oversized(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config
	cfg.Store = untouched{}
	states := &countedStates{}
	cfg.State = states
	engine, err := connect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("A", 1<<20)
	for name, target := range map[string]string{
		"state":             "/callback/x?code=a&state=" + long,
		"state of an error": "/callback/x?error=access_denied&state=" + long,
		"state, just over":  "/callback/x?code=a&state=" + long[:513],
		"state, encoded":    "/callback/x?code=a&state=" + strings.Repeat("%41", 513),
		"code":              "/callback/x?state=a&code=" + long,
		"code, just over":   "/callback/x?state=a&code=" + long[:2<<10+1],
		"another parameter": "/callback/x?code=a&state=a&b=" + long,
		"just over in all":  "/callback/x?code=a&state=a&b=" + long[:8<<10],
		"many parameters":   "/callback/x?code=a&state=a" + strings.Repeat("&", 1<<20),
		"start":             "/start/x?return_url=" + long,
		"accounts":          "/accounts?cursor=" + long,
		"session's page":    "/pending/a?cursor=" + long,
		"our page":          "/ui/?return_url=" + long,
		"credentials":       "/ui/credentials/bluesky?return_url=" + long,
		"result":            "/ui/result?status=" + long,
		"link":              "/go/" + long,
		"session":           "/pending/" + long,
		"picker":            "/ui/pending/" + long,
	} {
		got, touched := asked(engine, arrival(alice, "/connect"+target))
		wanted := got.status == http.StatusBadRequest || got.status == http.StatusNotFound || target[:7] == "/start/" && got.status == http.StatusOK
		if touched || !wanted || got.location() != "" || len(got.body) > 16<<10 {
			t.Errorf("%s: store asked: %v, status %d, %d bytes of body", name, touched, got.status, len(got.body))
		}
	}
	for name, body := range map[string]string{
		"query": `{"platform":"x","query":"code=a&state=` + long + `"}`, "shorter query": `{"platform":"x","query":"code=a&state=` + long[:9<<10] + `"}`,
		"ticket": `{"ticket":"` + long[:65] + `"}`,
	} {
		r := arrival(alice, "/connect/complete")
		r.Method, r.Body = http.MethodPost, http.NoBody
		r = r.WithContext(t.Context())
		post := httptest.NewRequest(http.MethodPost, "/connect/complete", strings.NewReader(body))
		post.Header = r.Header
		post.Header.Set("Sec-Fetch-Site", "same-origin")
		post.Header.Set("Content-Type", "application/json")
		if got, touched := asked(engine, post); touched || got.status != http.StatusBadRequest {
			t.Errorf("Complete, %s: store asked: %v, status %d", name, touched, got.status)
		}
	}
	if n := states.opened.Load(); n != 0 {
		t.Errorf("%d states were opened", n)
	}
	// What is within the bounds goes on, to the encoder and to the store.
	if _, _ = asked(engine, arrival(alice, "/connect/callback/x?code=a&state="+long[:512])); states.opened.Load() != 1 {
		t.Error("a state of 512 bytes was not looked at")
	}
	if _, touched := asked(engine, arrival(alice, "/connect/accounts")); !touched {
		t.Error("the store is asked, and that is not noticed")
	}
}
