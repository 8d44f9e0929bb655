package connect_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sandbox"
)

// wantNowhere fails where a request that no route of ours has is served, or led
// anywhere else with what its address holds.
func wantNowhere(t *testing.T, name string, got reply, held ...string) {
	t.Helper()
	if got.status != http.StatusNotFound && got.status != http.StatusBadRequest {
		t.Errorf("%s: status %d, want 404 or 400", name, got.status)
	}
	if got.location() != "" || got.header.Get("Refresh") != "" || len(got.header.Values("Set-Cookie")) != 0 {
		t.Errorf("%s: header %v", name, got.header)
	}
	for _, value := range held {
		if strings.Contains(got.body, value) {
			t.Errorf("%s: the page holds what came in the address", name)
		}
	}
}

// strayCallbacks are paths that a mux would clean, a proxy decode or a careless
// router match to the callback of X.
func strayCallbacks() []string {
	return []string{
		"/connect//callback/x", "/connect/callback//x", "//connect/callback/x", "/connect///callback///x", "/connect/callback/x//",
		"/connect/./callback/x", "/connect/callback/./x", "/connect/callback/x/.", "/connect/callback/x/..",
		"/connect/callback/../callback/x", "/connect/../connect/callback/x", "/connect/callback/facebook/../x", "/other/../connect/callback/x",
		"/connect/callback/x/", "/connect/callback/x/shared/", "/connect/callback/x/shared/more", "/connect/callback", "/connect/callback/",
		"/connect/callback%2Fx", "/connect/callback%2fx", "/connect/callback/x%2F",
		"/connect/callback/x%2Fshared", "/connect/callback/%2Fx", "/connect/callback%252Fx", "/connect/callback%5Cx", "/connect/callback\\x",
		"/connect/%2e/callback/x", "/connect/callback/%2e%2e/callback/x", "/connect/callback/..%2Fcallback/x", "/connect/callback/.%2e/callback/x",
		"/connect/CALLBACK/x", "/connect/Callback/x", "/CONNECT/callback/x", "/connect/callback/X", "/connect/callback/x/SHARED",
		"/connect/callback/x;a=1", "/connect/callback;a=1/x", "/connect;a=1/callback/x", "/connect/callback/x%3Ba=1", "/connect/callback/x/shared;a=1",
		"/connect/callback/x%20", "/connect/callback/x%00", "/connect/callback/x%0a", "/connect/callback/%EF%BD%98", "/connect/callback/x.", "/connect/callback/x%3F",
		"/connect/connect/callback/x", "/callback/x", "/connectcallback/x", "/connect", "/", "/connect/x", "/connect/callbacks/x",
	}
}

// The engine's handler is asked directly: a host's own mux may answer before
// it, and what it does with a path is documented there.
func TestThreat41_StrayCallbacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	flowID, authorize := b.begin("x", nil)
	back := b.consent(authorize, nil)
	query := queryOf(t, back)
	code, state := codeOf(t, back), stateOf(t, back)
	for _, path := range strayCallbacks() {
		for _, scheme := range []string{"", w.host.URL} {
			wantNowhere(t, scheme+path, answerOf(w.engine, arrival(alice, scheme+path+"?"+query)), code, state)
		}
		wantNowhere(t, path+" without a session", answerOf(w.engine, httptest.NewRequest(http.MethodGet, path+"?"+query, nil)), code, state)
	}
	w.wantUnused(flowID)
	if got := b.arrive(back).outcome(t); got.Get("status") != "connected" {
		t.Errorf("the answer at its own path: %v", got)
	}
}

// However a host mounts the handlers, what is not their path is not theirs.
func TestThreat41_Mounting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	flowID, authorize := b.begin("x", nil)
	back := b.consent(authorize, nil)
	query := queryOf(t, back)
	alone := http.NewServeMux()
	alone.Handle("/connect/callback/{platform}", w.engine.CallbackHandler())
	alone.Handle("/connect/callback/{platform}/{client}", w.engine.CallbackHandler())
	twice := http.NewServeMux()
	twice.Handle("/connect/", w.engine.Handler())
	twice.Handle("/connect/callback/{platform}", w.engine.CallbackHandler())
	answers := func(h http.Handler, path string) reply {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, arrival(alice, path+"?"+query))
		return reply{rec.Code, rec.Header(), rec.Body.String()}
	}

	for name, got := range map[string]reply{
		"under a prefix that is stripped":   answers(http.StripPrefix("/connect", w.engine.Handler()), "/connect/callback/x"),
		"stripped, the prefix twice":        answers(http.StripPrefix("/connect", w.engine.Handler()), "/connect/connect//callback/x"),
		"below another handler of its own":  answers(http.StripPrefix("/app", w.engine.Handler()), "/app/callback/x"),
		"callback without path values":      answers(w.engine.CallbackHandler(), "/connect/callback/x"),
		"callback at another path":          answers(w.engine.CallbackHandler(), "/"),
		"callback, encoded slash":           answers(alone, "/connect/callback/x%2Fshared"),
		"callback, parameters":              answers(alone, "/connect/callback/x;a=1"),
		"callback, another client":          answers(alone, "/connect/callback/x/victim"),
		"callback, another platform":        answers(alone, "/connect/callback/facebook"),
		"mounted twice, slash at the end":   answers(twice, "/connect/callback/x/"),
		"mounted twice, encoded slash":      answers(twice, "/connect/callback%2Fx"),
		"mounted twice, another platform":   answers(twice, "/connect/callback/facebook"),
		"mounted twice, another case":       answers(twice, "/connect/CALLBACK/x"),
		"the prefix twice, and not cleaned": answers(w.engine.Handler(), "/connect/connect//callback/x"),
	} {
		wantNowhere(t, name, got, codeOf(t, back), stateOf(t, back))
	}
	w.wantUnused(flowID)

	// Where it is mounted right, every mount is the same one.
	for name, h := range map[string]http.Handler{"alone": alone, "twice": twice, "Handler": w.engine.Handler()} {
		if got := answers(h, "/connect/callback/x").outcome(t); got.Get("status") != "connected" || got.Get("flow_id") != flowID {
			t.Errorf("%s: outcome %v", name, got)
		}
	}
	w.wantExchanges(1)
}

// A session or a link is in the path of its page.
func TestThreat41_StrayPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	session := b.session("dana")
	for _, path := range []string{
		"/connect//ui/pending/", "/connect/ui//pending/", "/connect/ui/pending//", "/connect/./ui/pending/", "/connect/ui/./pending/", "/connect/ui/../ui/pending/",
		"/connect/ui%2Fpending/", "/connect/ui/pending%2F", "/connect/ui/pending/%2F", "/connect/UI/pending/", "/connect/ui/Pending/", "/ui/pending/",
		"/connect//pending/", "/connect/pending//", "/connect/./pending/", "/connect/pending/x/../", "/connect/pending%2F", "/connect/PENDING/",
		"/connect//go/", "/connect/go//", "/connect/go/./", "/connect/go%2F",
	} {
		wantNowhere(t, path, answerOf(w.engine, arrival(alice, path+session)), session)
	}
	for _, path := range []string{"/", "/.", "//", "/..", "%2F", "/finalize/", "%2Ffinalize", "//finalize", ";a=1", "%00"} {
		for _, page := range []string{"/connect/ui/pending/", "/connect/pending/"} {
			wantNowhere(t, page+"…"+path, answerOf(w.engine, arrival(alice, page+session+path)), session)
		}
	}
	if got := b.get("/connect/ui/pending/" + session); got.status != http.StatusOK {
		t.Errorf("the page at its own path: status %d", got.status)
	}
}

// A form post would bring code and state in its body. No platform here needs
// it, and none may choose it: neither body nor query of a POST is read.
func TestThreat105_FormPost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	flowID, authorize := b.begin("x", nil)
	back := b.consent(authorize, nil)
	query := queryOf(t, back)
	const form = "application/x-www-form-urlencoded"
	for _, path := range []string{"/connect/callback/x", "/connect/callback/x/shared"} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodHead} {
			for name, got := range map[string]reply{
				"body":          b.do(method, path, form, query),
				"query":         b.do(method, path+"?"+query, "", ""),
				"body, nobody":  w.browser(nil).do(method, path, form, query),
				"body as JSON":  b.do(method, path+"?"+query, "application/json", `{"code":"a"}`),
				"to be decoded": b.do(method, path+"?_method=GET&"+query, form, "_method=GET"),
			} {
				if got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != http.MethodGet || got.location() != "" {
					t.Errorf("%s %s, %s: status %d, header %v", method, path, name, got.status, got.header)
				}
			}
		}
	}
	if got := b.do(http.MethodGet, "/connect/callback/x", form, query); got.status != http.StatusBadRequest {
		t.Errorf("GET with a body: status %d", got.status)
	}
	w.wantUnused(flowID)
	if got := b.arrive(back).outcome(t); got.Get("status") != "connected" {
		t.Errorf("the answer in the query: %v", got)
	}
}

// firstWord notes how many codes had been exchanged when the first byte of an
// answer left.
type firstWord struct {
	*httptest.ResponseRecorder

	exchanged func() int
	seen      int
	written   bool
}

func (f *firstWord) note() {
	if !f.written {
		f.seen, f.written = f.exchanged(), true
	}
}

// WriteHeader implements [http.ResponseWriter].
func (f *firstWord) WriteHeader(status int) { f.note(); f.ResponseRecorder.WriteHeader(status) }

// Write implements [http.ResponseWriter].
func (f *firstWord) Write(p []byte) (int, error) { f.note(); return f.ResponseRecorder.Write(p) }

// A code that somebody reads in a log or a history is worth nothing, because
// it is dead before the browser is sent on; and where it is sent on to holds
// neither code nor state nor token.
func TestThreat105_ExchangeComesFirst(t *testing.T) {
	t.Parallel()
	nobody := connect.Principal{}
	first := url.Values{"select": {"first"}}
	tests := map[string]struct {
		platform string
		who      connect.Principal
		query    url.Values
		consent  url.Values
		fault    string // of the token endpoint
		status   string
		before   int // codes exchanged when the answer began
	}{
		"connected":              {platform: "x", who: alice, status: "connected", before: 1},
		"connected by rule":      {platform: "facebook", who: alice, query: first, status: "connected", before: 2},
		"connected, pop-up":      {platform: "x", who: alice, query: url.Values{"mode": {"popup"}}, status: "connected", before: 1},
		"picker":                 {platform: "facebook", who: alice, before: 2},
		"picker, pop-up":         {platform: "facebook", who: alice, query: url.Values{"mode": {"popup"}}, before: 2},
		"pending":                {platform: "facebook", who: alice, query: headless(), status: "pending", before: 2},
		"denied":                 {platform: "x", who: alice, consent: url.Values{"decision": {"deny"}}, status: "error", before: 0},
		"scope missing":          {platform: "facebook", who: alice, consent: unticked("pages_show_list"), status: "error", before: 2},
		"platform error":         {platform: "x", who: alice, fault: "500", status: "error", before: 1},
		"answer lost":            {platform: "x", who: alice, fault: "lost_answer", status: "error", before: 1},
		"continue, code is kept": {platform: "facebook", who: nobody, status: "continue", before: 0},
		"continue, quarantine":   {platform: "x", who: nobody, status: "continue", before: 1},
		"quarantine fails":       {platform: "x", who: nobody, fault: "500", status: "error", before: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.browser(&alice)
			back := visited(b.consent(b.start(tt.platform, tt.query), tt.consent))
			if tt.fault != "" {
				w.fault(sandbox.Fault{Platform: tt.platform, Fault: tt.fault, At: "token"})
			}
			word := &firstWord{ResponseRecorder: httptest.NewRecorder(), exchanged: func() int { return w.codeExchanges(tt.platform) }}
			r := arrival(tt.who, back)
			if tt.who == nobody {
				r.Header.Del("Cookie")
			}
			w.engine.Handler().ServeHTTP(word, r)
			got := reply{word.Code, word.Header(), word.Body.String()}
			if found := got.outcome(t).Get("status"); found != tt.status {
				t.Errorf("status %q at %s, want %q", found, got.location(), tt.status)
			}
			if word.seen != tt.before {
				t.Errorf("%d token requests when the answer began, want %d", word.seen, tt.before)
			}
			w.settle()
			if n := w.codeExchanges(tt.platform); n != word.seen {
				t.Errorf("%d token requests afterwards, %d before", n, word.seen)
			}
			w.wantKeptBack(got, back)
		})
	}
}

// wantKeptBack fails where the answer to back holds its state or anything that
// the platform issued.
func (w *world) wantKeptBack(got reply, back string) {
	w.t.Helper()
	secrets := append(w.box.Secrets(), stateOf(w.t, back))
	if query := mustParse(w.t, back).Query(); query.Has("code") {
		secrets = append(secrets, query.Get("code"))
	}
	var header strings.Builder
	if err := got.header.Write(&header); err != nil {
		w.t.Fatal(err)
	}
	for place, text := range map[string]string{"header": header.String(), "page": got.body} {
		if found := newNeedles(w.t, secrets).in(text); len(found) != 0 {
			w.t.Errorf("the %s holds a code, a state or a token: %v", place, found)
		}
	}
	for _, name := range []string{"code", "state", "access_token", "refresh_token"} {
		if got.outcome(w.t).Has(name) {
			w.t.Errorf("%s is a parameter of %s", name, got.location())
		}
	}
}

// A router that matches decoded paths hands us a path whose prefix ends in an
// encoded slash: no path of ours, though it decodes to one.
func TestThreat41_PrefixEndsInAnEncodedSlash(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	flowID, authorize := b.begin("x", nil)
	back := b.consent(authorize, nil)
	for _, path := range []string{"/connect%2Fcallback%2Fx", "/connect%2fcallback/x", "/connect%2F%2Fcallback/x", "/connect%2F..%2Fconnect/callback/x", "/c%6Fnnect%2Fcallback/x"} {
		wantNowhere(t, path, answerOf(w.engine, arrival(alice, path+"?"+queryOf(t, back))), codeOf(t, back), stateOf(t, back))
	}
	w.wantUnused(flowID)
	session := b.session("dana")
	for _, path := range []string{"/connect%2Fui%2Fpending%2F", "/connect%2Fui/pending/", "/connect%2fpending/", "/connect%2fgo/"} {
		wantNowhere(t, path, answerOf(w.engine, arrival(alice, path+session)), session)
	}
}

// The pages are mounted without the rest, below a router that cleans nothing.
func TestThreat41_PagesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.browser(&alice).session("dana")
	get := func(path string) reply {
		rec := httptest.NewRecorder()
		w.engine.PagesHandler().ServeHTTP(rec, arrival(alice, path))
		return reply{rec.Code, rec.Header(), rec.Body.String()}
	}
	for _, path := range []string{
		"/connect/ui//pending/", "/connect/ui/./pending/", "/connect/ui/pending//", "/connect/ui/x/../pending/", "/connect//ui/pending/", "/connect/./ui/pending/",
		"/connect/ui%2Fpending/", "/connect%2Fui/pending/", "/connect%2Fui%2Fpending%2F", "/connect/ui/pending%2F", "/ui//pending/", "/other/ui/pending/",
	} {
		for _, end := range []string{"", "/", "//"} {
			wantNowhere(t, path+"…"+end, get(path+session+end), session)
		}
	}
	if got := get("/connect/ui/pending/" + session); got.status != http.StatusOK {
		t.Errorf("the page at its own path: status %d", got.status)
	}
}

// Where the engine has a host name of its own, "//" is not its "/".
func TestThreat41_WithoutBasePath(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config
	cfg.BaseURL = w.host.URL
	engine, err := connect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	wantNowhere(t, "//", answerOf(engine, arrival(alice, w.host.URL+"//?code=stolen-code&state=stolen-state")), "stolen-code", "stolen-state")
}
