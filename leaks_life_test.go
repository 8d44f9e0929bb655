package connect_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed944197df/connect"
)

// tenant is one customer of the host, with its people. Whatever it does may
// fail: how each step ends is no matter here.
type tenant struct {
	l       *leaks
	name    string
	persona string   // whose account is connected: a person of the sandbox, or an identifier
	alice   *browser // began everything
	key     *browser // the customer's program
	nobody  *browser // a browser without the host's session
	flows   []string
	brief   int // 1 or 2: it connects in this one of its ways, and reloads nothing
}

// tenant is a run of its own.
func (l *leaks) tenant() *tenant {
	l.t.Helper()
	l.runs++
	name := fmt.Sprintf("tenant-%d", l.runs)
	return &tenant{l: l, name: name, alice: l.browser(&connect.Principal{Tenant: name, User: "alice", Ambient: true}), key: l.program(name), nobody: l.browser(nil)}
}

// members are those of a JSON answer, none where it is another.
func (r reply) members() object {
	var o object
	_ = json.Unmarshal([]byte(r.body), &o)
	return o
}

// text is a member of a JSON answer.
func (r reply) text(name string) string {
	text, _ := r.members()[name].(string)
	return text
}

// token is the token of the form on a page, empty where there is none.
func (r reply) token() string {
	if found := formTokenValue.FindStringSubmatch(r.body); found != nil {
		return found[1]
	}
	return ""
}

// ways connect, each to its end.
func (n *tenant) ways() []func() {
	if n.l.platform == "bluesky" {
		return []func(){n.byForm, n.byJSON}
	}
	return []func(){n.bySession, n.byProgram}
}

// bySession connects in the browser that began.
func (n *tenant) bySession() {
	n.follow(n.alice, n.arrive(n.alice, n.consent(n.started(""))))
}

// byProgram connects in a browser that the host does not know, by ticket or by
// connect link: the program begins, completes and chooses.
func (n *tenant) byProgram() {
	address := n.link()
	if strings.Contains(address, "/connect/go/") {
		address = n.nobody.post(address, url.Values{"csrf_token": {n.nobody.get(address).token()}}).location()
	}
	back := mustParse(n.l.t, n.arrive(n.nobody, n.consent(address)).location()).Query()
	n.complete(back.Get("ticket"))
	n.choose(back.Get("session"))
}

// link is where a program sends a browser.
func (n *tenant) link() string {
	return n.key.json(http.MethodPost, "/connect/start/"+n.l.platform, object{"user": "alice", "mode": "headless", "return_url": n.l.host.URL + appHost}).text("url")
}

func (n *tenant) complete(ticket string) {
	if ticket == "" {
		return
	}
	n.choose(n.key.json(http.MethodPost, "/connect/complete", object{"ticket": ticket}).text("session"))
}

// choose takes everything that a selection offers.
func (n *tenant) choose(session string) {
	if session != "" {
		offered := n.key.get("/connect/pending/" + session)
		n.key.json(http.MethodPost, "/connect/pending/"+session+"/finalize", object{"selected_ids": selectable(offered)})
	}
}

// selectable are the ids that may be chosen.
func selectable(pending reply) []string {
	ids := []string{}
	candidates, _ := pending.members()["candidates"].([]any)
	for _, c := range candidates {
		if candidate, ok := c.(object); ok && candidate["selectable"] == true {
			ids = append(ids, fmt.Sprint(candidate["id"]))
		}
	}
	return ids
}

// consent is the person at the platform. It returns where the platform sends
// the browser, empty where there was no way to the platform.
func (n *tenant) consent(authorize string) string {
	if !strings.HasPrefix(authorize, n.l.boxHost) {
		return ""
	}
	form := url.Values{"decision": {"allow"}}
	if n.persona != "" {
		form.Set("persona", n.persona)
	}
	return n.alice.do(http.MethodPost, authorize, "application/x-www-form-urlencoded", form.Encode()).location()
}

// look opens an address, where there is one.
func (b *browser) look(address string) {
	if address != "" {
		b.get(address)
	}
}

// arrive comes back from the platform, and once more: a reload, which goes on
// where the store was down.
func (n *tenant) arrive(b *browser, back string) reply {
	if back == "" {
		return reply{}
	}
	got := b.arrive(back)
	if n.brief > 0 {
		return got
	}
	again := b.arrive(back)
	if got.status == http.StatusServiceUnavailable {
		return again
	}
	return got
}

// follow goes where an answer leads, through our picker.
func (n *tenant) follow(b *browser, got reply) {
	to := got.location()
	if _, session, ok := strings.Cut(to, "/connect/ui/pending/"); ok {
		page := b.get(to)
		form := url.Values{"csrf_token": {page.token()}, "selected_ids": checkboxes(page.body)}
		b.post(to, url.Values{"q": {"a"}})
		got = b.post(to+"/finalize", form)
		b.get(to)
		b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", object{"selected_ids": form["selected_ids"]})
		to = got.location()
	}
	if u := mustParse(n.l.t, to); u.Path == appHost {
		n.flows = append(n.flows, u.Query().Get("flow_id"))
		b.get("/connect/ui/result?" + u.RawQuery)
	}
}

// typed is what connects an account at Bluesky.
func (n *tenant) typed() map[string]string {
	identifier := adaIdentifier
	if n.persona != "" {
		identifier = n.persona
	}
	return map[string]string{"identifier": identifier, "app_password": adaAppPassword}
}

func (n *tenant) byForm() { n.typeIn(n.typed()) }

// typeIn sends our form.
func (n *tenant) typeIn(fields map[string]string) {
	target := "/connect/ui/credentials/bluesky?return_url=" + url.QueryEscape(n.l.host.URL+appHost)
	form := url.Values{"csrf_token": {n.alice.get(target).token()}}
	for name, value := range fields {
		form.Set(name, value)
	}
	n.follow(n.alice, n.alice.post(target, form))
}

func (n *tenant) byJSON() {
	n.key.json(http.MethodPost, "/connect/credentials/bluesky", n.typed())
}

// accounts are what is connected.
func (n *tenant) accounts() []connect.Account {
	n.l.disarm()
	return n.l.accounts(connect.Principal{Tenant: n.name})
}

// calls are what the host asks of a platform with an account.
func (n *tenant) calls(account connect.Account) []*http.Request {
	var calls []*http.Request
	add := func(method, target, body string) {
		r, err := http.NewRequestWithContext(n.l.t.Context(), method, target, strings.NewReader(body))
		if err != nil {
			n.l.t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Host", "ours") // tells it from the engine's own calls
		calls = append(calls, r)
	}
	switch account.Platform {
	case "x":
		add(http.MethodGet, "https://api.x.com/2/users/me", "")
	case "facebook":
		add(http.MethodGet, account.APIBaseURL+"/"+account.PlatformID+"?fields=id,name", "")
	case "bluesky":
		add(http.MethodGet, account.APIBaseURL+"/xrpc/com.atproto.server.getSession", "")
		add(http.MethodPost, account.APIBaseURL+"/xrpc/com.atproto.repo.createRecord",
			`{"repo":"`+account.PlatformID+`","collection":"app.bsky.feed.post","record":{"$type":"app.bsky.feed.post","text":"hello"}}`)
	}
	add(http.MethodGet, "https://evil.example.com/", "")
	return calls
}

// use works with every account, by client and by token.
func (n *tenant) use(accounts []connect.Account) {
	for _, account := range accounts {
		for _, r := range n.calls(account) {
			client, err := n.l.engine.Client(r.Context(), n.name, account.ID)
			n.l.err(err)
			if err != nil {
				continue
			}
			resp, err := client.Do(r)
			n.l.err(err)
			if err == nil {
				_ = resp.Body.Close()
			}
		}
		source, err := n.l.engine.TokenSource(n.l.t.Context(), n.name, account.ID)
		n.l.err(err)
		if err == nil {
			_, err = source.Token()
			n.l.err(err)
		}
	}
}

// read asks for everything that may be read.
func (n *tenant) read(accounts []connect.Account) {
	n.alice.get("/connect/ui/")
	n.alice.get("/connect/platforms")
	n.key.get("/connect/accounts")
	for _, account := range accounts {
		n.key.get("/connect/accounts/" + account.ID)
	}
	for _, flow := range n.flows {
		n.key.get("/connect/flows/" + flow)
	}
}

// leave disconnects, by our page and by the program, and once more.
func (n *tenant) leave(accounts []connect.Account) {
	for i, account := range accounts {
		if page := n.alice.get("/connect/ui/"); i == 0 {
			n.alice.post("/connect/ui/accounts/"+account.ID+"/disconnect", url.Values{"csrf_token": {page.token()}})
		}
		n.key.json(http.MethodDelete, "/connect/accounts/"+account.ID, nil)
	}
	n.use(accounts[:min(1, len(accounts))])
}

// life runs a tenant's account from its start to its end. Before each phase
// arm makes something go wrong. Where enough says so, nothing more does and the
// account goes at once.
func (n *tenant) life(arm func(), enough func() bool) {
	ways := n.ways()
	if n.brief > 0 {
		ways = ways[n.brief-1:][:1]
	}
	for _, way := range ways {
		arm()
		way()
	}
	accounts := n.accounts()
	if len(accounts) == 0 && !enough() {
		ways[0]()
		accounts = n.accounts()
	}
	for _, phase := range []func([]connect.Account){n.use, n.useLater, n.read, n.change, n.leave, n.sweep} {
		if enough() {
			n.quit(accounts)
			return
		}
		arm()
		phase(accounts)
	}
	n.l.disarm()
	n.l.keepEvents(n.name)
	if !enough() {
		arm()
		n.vanish()
		n.l.disarm()
	}
}

// change edits each account, points it elsewhere and back, and connects more of
// its grant.
func (n *tenant) change(accounts []connect.Account) {
	for _, account := range accounts {
		target := "/connect/accounts/" + account.ID
		n.key.json(http.MethodPatch, target, object{"label": "ours", "metadata": object{"team": "north"}})
		ids := selectable(n.key.get(target + "/candidates"))
		for _, id := range append(ids[:min(2, len(ids))], account.Kind+":"+account.PlatformID) {
			n.key.json(http.MethodPatch, target, object{"selected_id": id})
		}
		n.choose(n.key.json(http.MethodPost, target+"/sessions", nil).text("session"))
		n.alice.get("/connect/ui/pending/" + n.alice.call(http.MethodPost, target+"/sessions", nil).text("session"))
	}
}

// vanish ends all that alice has, and then the tenant, as often as it takes.
func (n *tenant) vanish() {
	key := connect.Principal{Tenant: n.name}
	for range 2 {
		_, err := n.l.engine.DisconnectByUser(n.l.t.Context(), key, "alice")
		n.l.err(err)
	}
	for range 3 {
		_, err := n.l.engine.DeleteTenant(n.l.t.Context(), key)
		n.l.err(err)
		n.l.clock.advance(6 * time.Minute)
		n.l.round()
	}
}

// quit disconnects, and no more.
func (n *tenant) quit(accounts []connect.Account) {
	n.l.disarm()
	for _, account := range accounts {
		n.key.json(http.MethodDelete, "/connect/accounts/"+account.ID, nil)
	}
}

// useLater is use when access tokens of X and Bluesky are over.
func (n *tenant) useLater(accounts []connect.Account) {
	n.l.clock.advance(2*time.Hour + time.Minute)
	n.use(accounts)
}

// sweep lets Run do what is due, and what is to be tried again.
func (n *tenant) sweep([]connect.Account) {
	for range 2 {
		n.l.round()
		n.l.clock.advance(6 * time.Minute)
	}
}

// keepEvents files what the host would be told.
func (l *leaks) keepEvents(tenant string) {
	l.t.Helper()
	events, _, err := l.config.Store.ListEvents(context.WithoutCancel(l.t.Context()), tenant, connect.Page{Limit: 1000})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, e := range events {
		l.add("events", fmt.Sprintf("%+v\n%s", e, e.Data))
	}
}
