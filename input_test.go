package connect_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// bad is a request that must be refused.
type bad struct {
	name, method, target string
	body                 string // JSON, unless kind says otherwise
	kind                 string // content type
	status               int
	code, field          string
	page                 bool // answered by a page instead of a problem
}

// TestBadInput: every route refuses what it cannot take with the documented
// status and code, names the field, and stores nothing.
func TestBadInput(t *testing.T) { //nolint:tparallel // the requests share a ledger
	t.Parallel()
	var book ledger
	w := newWorld(t, keepLedger(&book))
	b := w.browser(&alice)
	account := b.connected("x", nil, nil)[0]
	session := b.session("dana")
	before, rows := book.count(), w.box.Requests("pds.sandbox.test", "/xrpc/com.atproto.server.createSession")

	for name, requests := range map[string][]bad{
		"routes":      badRoutes(),
		"start":       badStarts(account),
		"navigation":  badNavigations(),
		"callback":    badCallbacks(),
		"complete":    badCompletes(),
		"pending":     badSelections(session),
		"credentials": badCredentials(account),
		"accounts":    badAccounts(),
	} {
		for _, tt := range requests {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				tt.refused(t, b)
				if wrote := book.since(before); len(wrote) != 0 {
					t.Fatalf("something was stored: %v", wrote)
				}
			})
		}
	}
	if n := w.box.Requests("pds.sandbox.test", "/xrpc/com.atproto.server.createSession"); n != rows {
		t.Errorf("%d logins were sent", n-rows)
	}
	if n := len(w.accounts(alice)); n != 1 {
		t.Errorf("%d accounts", n)
	}
	b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", object{"selected_ids": []string{"page:110000000000001"}}).wantStatus(t, http.StatusOK)
}

// refused sends the request and checks the answer.
func (tt bad) refused(t *testing.T, b *browser) {
	t.Helper()
	if tt.kind == "" && tt.body != "" {
		tt.kind = "application/json"
	}
	restore := b.from("same-origin")
	got := b.do(tt.method, "/connect"+tt.target, tt.kind, tt.body)
	restore()
	if got.status != tt.status {
		t.Fatalf("status %d, want %d: %s", got.status, tt.status, got.body)
	}
	if cache := got.header.Get("Cache-Control"); cache != "no-store" {
		t.Errorf("Cache-Control %q", cache)
	}
	if tt.page {
		if !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") || got.location() != "" {
			t.Errorf("header %v, want a page", got.header)
		}
		return
	}
	if code := got.problem(t, tt.status); code != tt.code {
		t.Errorf("code %s, want %s", code, tt.code)
	}
	var p struct{ Field, Detail, Type, Title string }
	if err := json.Unmarshal([]byte(got.body), &p); err != nil {
		t.Fatal(err)
	}
	if p.Field != tt.field || p.Detail == "" || p.Type == "" || p.Title == "" {
		t.Errorf("field %q, want %q: %s", p.Field, tt.field, got.body)
	}
}

func badRoutes() []bad {
	return []bad{
		{name: "no such route", method: "GET", target: "/nowhere", status: 404, code: "not_found"},
		{name: "unknown flow", method: "GET", target: "/flows/019a0000-0000-7000-8000-000000000000", status: 404, code: "not_found"},
		{name: "flow id that is none", method: "GET", target: "/flows/%00", status: 404, code: "not_found"},
		{name: "unknown page", method: "GET", target: "/ui/nowhere", status: 404, page: true},
		{name: "unknown link", method: "GET", target: "/go/AAAA", status: 404, page: true},
		{name: "connect page with a parameter that it lacks", method: "GET", target: "/ui/?state=x", status: 400, page: true},
		{name: "credentials page of an unknown platform", method: "GET", target: "/ui/credentials/nowhere", status: 404, page: true},
		{name: "credentials page of a platform without", method: "GET", target: "/ui/credentials/x", status: 422, page: true},
		{name: "credentials page with a return URL elsewhere", method: "GET", target: "/ui/credentials/bluesky?return_url=https://evil.example", status: 422, page: true},
		{name: "form without its token", method: "POST", target: "/ui/accounts/x/disconnect", kind: "application/x-www-form-urlencoded", body: "a=b", status: 403, page: true},
	}
}

func badStarts(account string) []bad {
	long := strings.Repeat("a", 2048)
	metadata := `{"a":"` + strings.Repeat("b", 2049-8) + `"}` // 2049 bytes
	starts := []bad{
		{name: "unknown platform", target: "/start/nowhere", status: 404, code: "unknown_platform", field: "platform"},
		{name: "platform without OAuth", target: "/start/bluesky", status: 422, code: "unsupported", field: "method"},
		{name: "unknown method", body: `{"method":"magic"}`, status: 422, code: "unsupported", field: "method"},
		{name: "unknown kind", body: `{"kind":"page"}`, status: 400, code: "invalid_request", field: "kind"},
		{name: "unknown mode", body: `{"mode":"modal"}`, status: 400, code: "invalid_request", field: "mode"},
		{name: "unknown select", body: `{"select":"last"}`, status: 400, code: "invalid_request", field: "select"},
		{name: "unknown client", body: `{"client":"ours"}`, status: 404, code: "not_found", field: "client"},
		{name: "scopes without the required", body: `{"scopes":["tweet.read"]}`, status: 400, code: "invalid_request", field: "scopes"},
		{name: "empty scope", body: `{"scopes":["tweet.read","users.read",""]}`, status: 400, code: "invalid_request", field: "scopes"},
		{name: "two scopes in one", body: `{"scopes":["tweet.read users.read"]}`, status: 400, code: "invalid_request", field: "scopes"},
		{name: "scope with a line break", body: `{"scopes":["tweet.read","users.read","a\nb"]}`, status: 400, code: "invalid_request", field: "scopes"},
		{name: "101 scopes", body: `{"scopes":["tweet.read"` + strings.Repeat(`,"users.read"`, 100) + `]}`, status: 400, code: "invalid_request", field: "scopes"},
		{name: "input that the method lacks", body: `{"input":{"server":"x"}}`, status: 400, code: "invalid_request", field: "input"},
		{name: "long login hint", body: `{"login_hint":"` + long + `"}`, status: 400, code: "invalid_request", field: "login_hint"},
		{name: "long user", body: `{"user":"` + long + `"}`, status: 400, code: "invalid_request", field: "user"},
		{name: "another user", body: `{"user":"mallory"}`, status: 403, code: "forbidden", field: "user"},
		{name: "return URL elsewhere", body: `{"return_url":"https://evil.example/"}`, status: 422, code: "return_url_refused", field: "return_url"},
		{name: "return URL that is none", body: `{"return_url":"/app"}`, status: 422, code: "return_url_refused", field: "return_url"},
		{name: "metadata that is a list", body: `{"metadata":[]}`, status: 400, code: "invalid_request", field: "metadata"},
		{name: "metadata that is a text", body: `{"metadata":"x"}`, status: 400, code: "invalid_request", field: "metadata"},
		{name: "metadata that is null", body: `{"metadata":null}`, status: 400, code: "invalid_request", field: "metadata"},
		{name: "2049 bytes of metadata", body: `{"metadata":` + metadata + `}`, status: 400, code: "invalid_request", field: "metadata"},
		{name: "unknown account", body: `{"account_id":"019a0000-0000-7000-8000-000000000000"}`, status: 404, code: "not_found"},
		{name: "account on another platform", target: "/start/facebook", body: `{"account_id":"` + account + `"}`, status: 422, code: "identity_mismatch", field: "account_id"},
		{name: "ad accounts", body: `{"ad_account_ids":["1"]}`, status: 422, code: "unsupported", field: "ad_account_ids"},
		{name: "all ad accounts", body: `{"ad_account_ids":"all"}`, status: 422, code: "unsupported", field: "ad_account_ids"},
	}
	starts = append(starts, badBodies(`{"mode":"headless"}`)...)
	return onRoute("/start/x", starts)
}

// onRoute posts to target what names no route of its own.
func onRoute(target string, requests []bad) []bad {
	for i := range requests {
		if requests[i].method == "" {
			requests[i].method = http.MethodPost
		}
		if requests[i].target == "" {
			requests[i].target = target
		}
	}
	return requests
}

// badBodies are bodies that no route takes. good is one that the route does.
func badBodies(good string) []bad {
	inside := strings.TrimSuffix(good, "}")
	key, _, _ := strings.Cut(good[2:], `"`)
	pad := strings.Repeat(" ", 65<<10)
	all := []bad{
		{name: "unknown field", body: inside + `,"surprise":1}`},
		{name: "the same key twice, once in capitals", body: inside + `,"` + strings.ToUpper(key) + `":1}`},
		{name: "the same key twice", body: inside + "," + good[1:]},
		{name: "two values", body: good + good},
		{name: "half a value", body: inside},
		{name: "a list", body: "[" + good + "]"},
		{name: "null", body: "null"},
		{name: "a text", body: `"x"`},
		{name: "no JSON", body: "mode=headless"},
		{name: "bytes that are no UTF-8", body: inside + ",\"\xff\":1}"},
		{name: "65 KiB", body: inside + pad + "}"},
		{name: "deep nesting", body: strings.Repeat(`{"a":`, 20000)},
		{name: "as text", body: good, kind: "text/plain", field: "Content-Type"},
		{name: "as a form", body: good, kind: "application/x-www-form-urlencoded", field: "Content-Type"},
		{name: "as multipart", body: good, kind: "multipart/form-data; boundary=x", field: "Content-Type"},
	}
	for i := range all {
		all[i].status, all[i].code = 400, "invalid_request"
	}
	return all
}

func badNavigations() []bad {
	refuse := func(name, query string, status int) bad {
		return bad{name: name, method: "GET", target: "/start/x?" + query, status: status, page: true}
	}
	return []bad{
		{name: "unknown platform", method: "GET", target: "/start/nowhere", status: 404, page: true},
		refuse("unknown parameter", "surprise=1", 400),
		refuse("repeated parameter", "mode=popup&mode=popup", 400),
		refuse("repeated parameter, escaped", "mode=popup&mod%65=popup", 400),
		refuse("malformed escape", "mode=%zz", 400),
		refuse("semicolon", "mode=popup;select=all", 400),
		refuse("9 KiB", "login_hint="+strings.Repeat("a", 9<<10), 400),
		refuse("unknown mode", "mode=modal", 400),
		refuse("unknown select", "select=last", 400),
		refuse("unknown kind", "kind=page", 400),
		refuse("unknown method", "method=magic", 422),
		refuse("unknown client", "client=ours", 404),
		refuse("bad scopes", "scopes=tweet.read", 400),
		refuse("metadata that is a list", "metadata=[]", 400),
		refuse("2049 bytes of metadata", "metadata={"+strings.Repeat("%20", 2047)+"}", 400),
		refuse("another user", "user=mallory", 403),
		refuse("ad accounts", "ad_account_ids=1", 422),
		refuse("return URL elsewhere", "return_url=https://evil.example", 422),
		refuse("unknown account", "account_id=019a0000-0000-7000-8000-000000000000", 404),
	}
}

func badCallbacks() []bad {
	refuse := func(name, target string, status int) bad {
		return bad{name: name, method: "GET", target: "/callback/" + target, status: status, page: true}
	}
	return []bad{
		refuse("unknown platform", "nowhere?code=c&state=s", 404),
		refuse("nothing", "x", 400),
		refuse("no state", "x?code=c", 400),
		refuse("empty state", "x?code=c&state=", 400),
		refuse("foreign state", "x?code=c&state=s", 400),
		refuse("513 characters of state", "x?code=c&state="+strings.Repeat("a", 513), 400),
		refuse("code and error", "x?code=c&error=e&state=s", 400),
		refuse("two codes", "x?code=c&code=d&state=s", 400),
		refuse("malformed", "x?code=%zz&state=s", 400),
		refuse("9 KiB", "x?code=c&state=s&a="+strings.Repeat("a", 9<<10), 400),
		refuse("unknown client", "x/ours?code=c&state=s", 400),
	}
}

func badCompletes() []bad {
	requests := []bad{
		{name: "unknown ticket", body: `{"ticket":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`, status: 404, code: "not_found"},
		{name: "long ticket", body: `{"ticket":"` + strings.Repeat("a", 65) + `"}`, status: 400, code: "invalid_request", field: "ticket"},
		{name: "ticket and query", body: `{"ticket":"a","platform":"x","query":"code=c"}`, status: 400, code: "invalid_request", field: "ticket"},
		{name: "nothing", body: `{}`, status: 400, code: "invalid_request", field: "ticket"},
		{name: "unknown platform", body: `{"platform":"nowhere","query":"code=c&state=s"}`, status: 404, code: "unknown_platform", field: "platform"},
		{name: "no query", body: `{"platform":"x"}`, status: 400, code: "invalid_request", field: "ticket"},
		{name: "malformed query", body: `{"platform":"x","query":"code=c&code=d&state=s"}`, status: 400, code: "invalid_request"},
		{name: "foreign state", body: `{"platform":"x","query":"code=c&state=s"}`, status: 400, code: "invalid_request", field: "state"},
		{name: "neither code nor error", body: `{"platform":"x","query":"state=s"}`, status: 400, code: "invalid_request", field: "code"},
		{name: "long code", body: `{"platform":"x","query":"state=s&code=` + strings.Repeat("a", 2049) + `"}`, status: 400, code: "invalid_request", field: "code"},
	}
	return onRoute("/complete", append(requests, badBodies(`{"ticket":"a"}`)...))
}

func badSelections(session string) []bad {
	pending := "/pending/" + session
	refuse := func(name, query, field string) bad {
		return bad{name: name, method: "GET", target: pending + "?" + query, status: 400, code: "invalid_request", field: field}
	}
	requests := []bad{
		{name: "unknown session", method: "GET", target: "/pending/AAAA", status: 404, code: "not_found"},
		{name: "long session", method: "GET", target: "/pending/" + strings.Repeat("a", 65), status: 404, code: "not_found"},
		{name: "finalize of an unknown session", target: "/pending/AAAA/finalize", body: `{"selected_ids":["page:1"]}`, status: 404, code: "not_found"},
		refuse("limit 0", "limit=0", "limit"), refuse("limit 101", "limit=101", "limit"), refuse("negative limit", "limit=-1", "limit"),
		refuse("limit that is no number", "limit=ten", "limit"), refuse("empty limit", "limit=", "limit"), refuse("huge limit", "limit=99999999999999999999", "limit"),
		refuse("cursor that is none", "cursor=x", "cursor"), refuse("negative cursor", "cursor=-1", "cursor"), refuse("cursor beyond", "cursor=99999", "cursor"),
		refuse("long search", "q="+strings.Repeat("a", 201), "q"),
		refuse("unknown parameter", "surprise=1", ""), refuse("repeated parameter", "limit=1&limit=2", ""), refuse("malformed parameter", "q=%zz", ""),
		{name: "nothing chosen", body: `{"selected_ids":[]}`, status: 422, code: "not_offered", field: "selected_ids"},
		{name: "no choice", body: `{}`, status: 422, code: "not_offered", field: "selected_ids"},
		{name: "not offered", body: `{"selected_ids":["page:9"]}`, status: 422, code: "not_offered", field: "selected_ids"},
		{name: "number as id", body: `{"selected_ids":[110000000000001]}`, status: 400, code: "invalid_request", field: "selected_ids"},
		{name: "ad accounts", body: `{"selected_ids":["page:110000000000001"],"ad_account_ids":[]}`, status: 422, code: "unsupported", field: "ad_account_ids"},
		{name: "return URL elsewhere", body: `{"selected_ids":["page:110000000000001"],"return_url":"https://evil.example"}`, status: 422, code: "return_url_refused", field: "return_url"},
	}
	return onRoute(pending+"/finalize", append(requests, badBodies(`{"selected_ids":["page:110000000000001"]}`)...))
}

func badCredentials(account string) []bad {
	const typed = `"identifier":"ada.sandbox.test","app_password":"sand-box2-test-pass"`
	requests := []bad{
		{name: "unknown platform", target: "/credentials/nowhere", body: `{}`, status: 404, code: "unknown_platform", field: "platform"},
		{name: "platform without", target: "/credentials/x", body: `{}`, status: 422, code: "unsupported", field: "method"},
		{name: "unknown method", body: `{"method":"oauth",` + typed + `}`, status: 422, code: "unsupported", field: "method"},
		{name: "unknown kind", body: `{"kind":"page",` + typed + `}`, status: 400, code: "invalid_request", field: "kind"},
		{name: "another user", body: `{"user":"mallory",` + typed + `}`, status: 403, code: "forbidden", field: "user"},
		{name: "metadata that is a list", body: `{"metadata":[],` + typed + `}`, status: 400, code: "invalid_request", field: "metadata"},
		{name: "account on another platform", body: `{"account_id":"` + account + `",` + typed + `}`, status: 422, code: "identity_mismatch", field: "account_id"},
		{name: "no identifier", body: `{"app_password":"sand-box2-test-pass"}`, status: 400, code: "invalid_request", field: "identifier"},
		{name: "no password", body: `{"identifier":"ada.sandbox.test"}`, status: 400, code: "invalid_request", field: "app_password"},
		{name: "empty password", body: `{"identifier":"ada.sandbox.test","app_password":""}`, status: 400, code: "invalid_request", field: "app_password"},
		{name: "long identifier", body: `{"identifier":"` + strings.Repeat("a", 2049) + `","app_password":"sand-box2-test-pass"}`, status: 400, code: "invalid_request", field: "identifier"},
		{name: "number", body: `{"identifier":1,"app_password":"sand-box2-test-pass"}`, status: 400, code: "invalid_request", field: "identifier"},
	}
	return onRoute("/credentials/bluesky", append(requests, badBodies("{"+typed+"}")...))
}

func badAccounts() []bad {
	refuse := func(name, query, field string) bad {
		return bad{name: name, method: "GET", target: "/accounts?" + query, status: 400, code: "invalid_request", field: field}
	}
	return []bad{
		refuse("limit 0", "limit=0", "limit"), refuse("limit 101", "limit=101", "limit"), refuse("limit that is no number", "limit=x", "limit"),
		refuse("cursor that is none", "cursor=x", "cursor"), refuse("unknown parameter", "tenant=globex", ""), refuse("repeated parameter", "kind=a&kind=b", ""),
		{name: "unknown account", method: "GET", target: "/accounts/x", status: 404, code: "not_found"},
		{name: "disconnect of an unknown account", method: "DELETE", target: "/accounts/x", status: 404, code: "not_found"},
	}
}

// TestBadInputMethod: a route that there is, with a method that it lacks.
func TestBadInputMethod(t *testing.T) {
	t.Parallel()
	var book ledger
	w := newWorld(t, keepLedger(&book))
	b := w.browser(&alice)
	id := b.connected("x", nil, nil)[0]
	before := book.count()
	for _, request := range [][2]string{
		{"PUT", "/accounts"},
		{"PUT", "/accounts/" + id},
		{"POST", "/platforms"},
		{"DELETE", "/start/x"},
		{"HEAD", "/start/x"},
		{"GET", "/complete"},
		{"POST", "/callback/x"},
		{"HEAD", "/callback/x"},
		{"PUT", "/pending/x"},
		{"GET", "/pending/x/finalize"},
		{"GET", "/credentials/bluesky"},
	} {
		if got := b.call(request[0], "/connect"+request[1], nil); got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") == "" {
			t.Errorf("%v: status %d, header %v", request, got.status, got.header)
		}
	}
	if wrote := book.since(before); len(wrote) != 0 {
		t.Errorf("something was stored: %v", wrote)
	}
}

// TestBadInputOfNobody: who is not signed in learns nothing and changes
// nothing, and an ambient principal's writes come from our own origin.
func TestBadInputOfNobody(t *testing.T) {
	t.Parallel()
	var book ledger
	w := newWorld(t, keepLedger(&book))
	b := w.browser(&alice)
	account, session := b.connected("x", nil, nil)[0], b.session("dana")
	before := book.count()
	nobody := w.browser(nil)
	for _, request := range [][2]string{
		{"GET", "/platforms"},
		{"GET", "/accounts"},
		{"GET", "/accounts/" + account},
		{"GET", "/pending/" + session},
		{"GET", "/flows/x"},
		{"POST", "/start/x"},
		{"POST", "/complete"},
		{"POST", "/credentials/bluesky"},
		{"POST", "/pending/" + session + "/finalize"},
		{"DELETE", "/accounts/" + account},
	} {
		if code := nobody.call(request[0], "/connect"+request[1], nil).problem(t, http.StatusUnauthorized); code != "unauthenticated" {
			t.Errorf("%v: %s", request, code)
		}
		if request[0] == "GET" {
			continue
		}
		if code := b.json(request[0], "/connect"+request[1], nil).problem(t, http.StatusForbidden); code != "forbidden" { // no Sec-Fetch-Site, no Origin
			t.Errorf("%v from nowhere: %s", request, code)
		}
	}
	for _, target := range []string{"/start/x", "/ui/", "/ui/pending/" + session, "/ui/credentials/bluesky"} {
		if got := nobody.get("/connect" + target); got.status != http.StatusUnauthorized {
			t.Errorf("%s: status %d", target, got.status)
		}
	}
	if wrote := book.since(before); len(wrote) != 0 {
		t.Errorf("something was stored: %v", wrote)
	}
}

// TestBadInputTooLate: a session that is over, in both ways.
func TestBadInputTooLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	choice := object{"selected_ids": []string{"page:110000000000001"}}
	used, expired := b.session("dana"), b.session("dana")
	b.call(http.MethodPost, "/connect/pending/"+used+"/finalize", choice).wantStatus(t, http.StatusOK)
	flowID, target := b.begin("x", nil)
	late := b.consent(target, nil)
	w.clock.advance(15 * time.Minute)
	for session, code := range map[string]string{used: "used", expired: "expired"} {
		if got := b.get("/connect/pending/"+session).problem(t, http.StatusGone); got != code {
			t.Errorf("pending: %s, want %s", got, code)
		}
	}
	if got := b.call(http.MethodPost, "/connect/pending/"+expired+"/finalize", choice).problem(t, http.StatusGone); got != "expired" {
		t.Errorf("finalize: %s", got)
	}
	if got := b.arrive(late).outcome(t); got.Get("error") != "expired" || w.exchanges() != 0 {
		t.Errorf("outcome %v, %d exchanges", got, w.exchanges())
	}
	if stage := b.get("/connect/flows/"+flowID).object(t, http.StatusOK)["stage"]; stage != "expired" {
		t.Errorf("stage %v", stage)
	}
	if n := len(w.accounts(alice)); n != 1 {
		t.Errorf("%d accounts", n)
	}
}

// TestGoodInput: what is only unusual is taken.
func TestGoodInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	metadata := `{"a":"` + strings.Repeat("b", 2048-8) + `"}` // 2 KiB to the byte
	for name, body := range map[string]string{
		"nothing":        "",
		"empty object":   "{}",
		"all fields":     `{"user":"alice","method":"oauth","input":{},"kind":"profile","scopes":["tweet.read","users.read"],"client":"shared","return_url":"` + w.host.URL + `","mode":"popup","select":"all","login_hint":"ada"}`,
		"2 KiB metadata": `{"metadata":` + metadata + `}`,
	} {
		kind := "application/json; charset=utf-8"
		if body == "" {
			kind = ""
		}
		restore := b.from("same-origin")
		if got := b.do(http.MethodPost, "/connect/start/x", kind, body); got.status != http.StatusCreated {
			t.Errorf("%s: status %d: %s", name, got.status, got.body)
		}
		restore()
	}
	target := b.start("x", url.Values{"scopes": {"tweet.read,users.read offline.access"}})
	if got := mustParse(t, target).Query().Get("scope"); got != "tweet.read users.read offline.access" {
		t.Errorf("scope %q", got)
	}
}
