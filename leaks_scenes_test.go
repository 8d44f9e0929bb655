package connect_test

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sandbox"
)

// The scenes are what goes wrong in the lives of tenants.

// disarm lets everything work again.
func (l *leaks) disarm() {
	l.t.Helper()
	l.fault(sandbox.Fault{Platform: l.platform, Fault: "none"})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.front.echo, l.front.words, l.store.fails = echo{}, false, ""
}

func (l *leaks) met() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hits
}

// meets reports whether something goes wrong in a run that was meant for it.
// There may be three, for what one has given back may end what the next one
// holds: Facebook revokes all that a person has given.
func (l *leaks) meets(never bool, run func(n *tenant, enough func() bool)) bool {
	l.t.Helper()
	tries := 3
	if never {
		tries = 1
	}
	for range tries {
		before := l.met()
		enough := func() bool { return l.met() > before }
		if run(l.tenant(), enough); enough() {
			return true
		}
	}
	return false
}

// nothing goes wrong.
func nothing() {}

// whole lets a life go on to its end.
func whole() bool { return false }

// personas are people at a platform for whom the engine asks it different
// things. The first is the ordinary one.
var personas = map[string][]string{
	"x":        {""},
	"facebook": {"", "portfolio", "nobody"},
	"bluesky":  {"", "erin@sandbox.test"},
}

// faults is a life with each of the sandbox's faults at each step, as the
// sandbox itself lists them. It returns those that nobody met.
func (l *leaks) faults() (missed []string) {
	l.t.Helper()
	var known struct{ Faults, Steps []string }
	l.world.browser(nil).do(http.MethodPost, l.boxHost+"/_act/fault", "application/json", "{}").decode(l.t, http.StatusBadRequest, &known)
	for _, name := range known.Faults {
		for _, step := range known.Steps {
			fault := sandbox.Fault{Platform: l.platform, Fault: name, At: step, Times: 1}
			if name == "none" || l.box.SetFault(fault) != nil {
				continue // it does not exist there
			}
			never := slices.Contains(neverMet[l.platform], step)
			if !l.meets(never, func(n *tenant, _ func() bool) {
				if step == "inspect" {
					n.persona = "nobody" // Facebook looks into a token where it finds no Page
				}
				n.life(func() { l.fault(fault) }, whole)
			}) {
				missed = append(missed, name+" at "+step)
			}
		}
	}
	slices.Sort(missed)
	return missed
}

// repeats is a life for each call of the engine, and each way in which a
// platform could repeat what it was sent. It returns those that nobody met.
func (l *leaks) repeats() (missed []string) {
	l.t.Helper()
	for _, persona := range personas[l.platform] {
		n, known := l.tenant(), len(l.front.known())
		n.persona = persona
		n.life(nothing, whole)
		for i, call := range l.front.known()[known:] {
			turn := 0
			for kind := range echoes {
				if slices.Contains(lines, kind) && i > 0 && !strings.HasPrefix(call, "ours") {
					continue // one call of each transport is enough
				}
				turn++
				if !l.meets(false, func(n *tenant, enough func() bool) {
					n.persona, n.brief = persona, 1+turn%2
					n.life(func() { l.repeat(echo{call, kind}) }, enough)
				}) {
					missed = append(missed, kind+" of "+call)
				}
			}
		}
	}
	return missed
}

func (l *leaks) repeat(e echo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.front.echo = e
}

// names is a life at a platform that puts tokens into everything that it says
// of an account.
func (l *leaks) names() {
	for _, persona := range personas[l.platform] {
		n := l.tenant()
		n.persona = persona
		n.life(func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.front.words = true
		}, whole)
	}
}

// outages is a life for each method of the store: it fails before it has done
// anything, or its answer is lost. It returns those that nobody called.
func (l *leaks) outages() (missed []string) {
	l.t.Helper()
	for m := range reflect.TypeFor[connect.Store]().Methods() {
		method := m.Name
		for _, done := range []bool{false, true} {
			if !l.meets(slices.Contains(neverCalled[l.platform], method), func(n *tenant, _ func() bool) { n.life(func() { l.store.fail(method, done) }, whole) }) {
				missed = append(missed, method)
				break // nobody calls it
			}
		}
	}
	return missed
}

// deadlines are calls that the platform does not answer and the caller gives
// up.
func (l *leaks) deadlines() {
	l.t.Helper()
	n := l.tenant()
	n.ways()[0]()
	l.waitFor(true)
	for _, account := range n.accounts() {
		for _, step := range []string{"profile", "api"} {
			l.fault(sandbox.Fault{Platform: l.platform, Fault: "hang", At: step, Times: 2})
		}
		for _, r := range n.calls(account) {
			ctx, cancel := context.WithTimeout(l.t.Context(), 20*time.Millisecond)
			client, err := l.engine.Client(l.t.Context(), n.name, account.ID)
			if err != nil {
				l.t.Fatal(err)
			}
			resp, err := client.Do(r.WithContext(ctx))
			l.err(err)
			if err == nil {
				_ = resp.Body.Close()
				l.t.Errorf("%s was answered", r.URL.Path)
			}
			cancel()
		}
	}
	l.waitFor(false)
	n.quit(n.accounts())
}

// waitFor says whether answers that take a minute do.
func (l *leaks) waitFor(minutes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.front.waits = minutes
}

// attacks are what strangers, thieves and mistakes do, by name.
var attacks = map[string]func(*tenant){
	"another person":  func(n *tenant) { n.strangers(&connect.Principal{Tenant: n.name, User: "mallory", Ambient: true}) },
	"another tenant":  func(n *tenant) { n.strangers(&connect.Principal{Tenant: "globex", User: "bob", Ambient: true}) },
	"nobody":          func(n *tenant) { n.strangers(nil) },
	"denied":          (*tenant).denied,
	"forged callback": (*tenant).forgedCallback,
	"loaded callback": (*tenant).loadedCallback,
	"late callback":   (*tenant).lateCallback,
	"stolen ticket":   (*tenant).stolenTicket,
	"stolen session":  (*tenant).stolenSession,
	"stolen link":     (*tenant).stolenLink,
	"popup":           (*tenant).popup,
	"forged requests": (*tenant).forgedRequests,
	"wrong passwords": (*tenant).wrongPasswords,
}

// started begins in the browser and returns the platform's address.
func (n *tenant) started(query string) string {
	return n.alice.get("/connect/start/" + n.l.platform + "?return_url=" + url.QueryEscape(n.l.host.URL+appHost) + query).location()
}

func (n *tenant) strangers(p *connect.Principal) {
	back := n.consent(n.started(""))
	stranger := n.l.browser(p)
	stranger.look(n.arrive(stranger, back).location())
	n.arrive(n.alice, back)
}

func (n *tenant) denied() {
	authorize := n.started("")
	if authorize == "" {
		return
	}
	back := n.alice.do(http.MethodPost, authorize, "application/x-www-form-urlencoded", "decision=deny").location()
	n.arrive(n.nobody, back)
	n.follow(n.alice, n.arrive(n.alice, back))
}

// state is the state of a new flow.
func (n *tenant) state() string {
	return mustParse(n.l.t, n.started("")).Query().Get("state")
}

func (n *tenant) forgedCallback() {
	made := n.l.made
	for _, query := range []url.Values{
		{"code": {made("forged code")}, "state": {made("forged state")}},
		{"code": {made("forged code")}, "state": {n.state()}},
		{"code": {made("forged code"), made("forged code")}, "state": {n.state()}},
		{"code": {made("forged code")}},
		{"state": {n.state()}},
		{"code": {made("forged code")}, "error": {"access_denied"}, "state": {n.state()}},
		{"error": {made("error of a callback")}, "state": {n.state()}},
		{"error": {made("error of a callback")}, "error_description": {made("prose of a callback")}, "error_uri": {"https://evil.example.com/" + made("prose of a callback")}, "state": {n.state()}},
		{"error_code": {made("error of a callback")}, "error_message": {made("prose of a callback")}, "state": {n.state()}},
		{"error": {"x"}, "error_reason": {made("prose of a callback")}, "state": {n.state() + strings.Repeat("x", 600)}},
		{"code": {strings.Repeat(made("forged code"), 100)}, "state": {n.state()}},
	} {
		for _, platform := range []string{n.l.platform, "x", made("unknown platform")} {
			address := n.l.host.URL + "/connect/callback/" + platform + "?" + query.Encode()
			n.follow(n.alice, n.arrive(n.alice, address))
			n.nobody.arrive(address + ";")
		}
	}
}

// loadedCallback comes back with tokens that nobody asked for.
func (n *tenant) loadedCallback() {
	for _, b := range []*browser{n.alice, n.nobody} {
		if back := n.consent(n.started("")); back != "" {
			back, _, _ = strings.Cut(back, "#")
			n.follow(b, n.arrive(b, back+"&access_token="+n.l.made("token in a callback")+"&id_token="+n.l.made("token in a callback")+"&scope="+n.l.made("token in a callback")))
		}
	}
}

func (n *tenant) lateCallback() {
	for _, late := range []time.Duration{16 * time.Minute, 3 * time.Hour} {
		back := n.consent(n.started(""))
		n.l.clock.advance(late)
		n.arrive(n.alice, back)
		n.arrive(n.nobody, back)
		n.l.round()
	}
}

func (n *tenant) stolenTicket() {
	for _, steal := range []func(ticket string){
		func(ticket string) {
			n.l.program("globex").json(http.MethodPost, "/connect/complete", object{"ticket": ticket})
		},
		func(ticket string) {
			mallory := n.l.browser(&connect.Principal{Tenant: n.name, User: "mallory", Ambient: true})
			mallory.call(http.MethodPost, "/connect/complete", object{"ticket": ticket})
		},
		func(ticket string) { n.alice.get("/connect/go/" + ticket) },
		func(ticket string) { n.alice.get("/connect/ui/pending/" + ticket) },
		func(ticket string) { n.key.get("/connect/pending/" + ticket) },
		func(string) { n.l.clock.advance(3 * time.Minute) },
		func(ticket string) { n.complete(ticket) },
	} {
		ticket := mustParse(n.l.t, n.arrive(n.nobody, n.consent(n.started("&mode=headless"))).location()).Query().Get("ticket")
		steal(ticket)
		n.complete(ticket)
	}
	n.complete(n.l.made("forged ticket"))
}

func (n *tenant) stolenSession() {
	n.key.get("/connect/pending/" + n.l.made("forged session"))
	got := n.arrive(n.alice, n.consent(n.started("")))
	_, session, ok := strings.Cut(got.location(), "/connect/ui/pending/")
	if !ok {
		return
	}
	form := url.Values{"csrf_token": {n.l.made("forged form token")}, "selected_ids": {"page:110000000000001"}}
	for _, b := range []*browser{n.l.browser(&connect.Principal{Tenant: n.name, User: "mallory", Ambient: true}), n.l.program("globex"), n.nobody, n.alice} {
		b.get(got.location())
		b.post(got.location()+"/finalize", form)
		b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", object{"selected_ids": []string{"page:9"}})
		b.get("/connect/go/" + session)
		b.call(http.MethodPost, "/connect/complete", object{"ticket": session})
		b.get("/connect/pending/" + session + "?q=" + n.l.made("search"))
	}
	n.l.clock.advance(time.Hour)
	n.choose(session)
	n.l.round()
	n.choose(session)
}

func (n *tenant) stolenLink() {
	stranger := n.l.browser(&connect.Principal{Tenant: n.name, User: "mallory", Ambient: true})
	for _, late := range []time.Duration{0, 16 * time.Minute} {
		address := n.link()
		if !strings.Contains(address, "/connect/go/") {
			return
		}
		n.l.clock.advance(late)
		form := url.Values{"csrf_token": {n.nobody.get(address).token()}}
		n.nobody.post(address, url.Values{"csrf_token": {n.l.made("forged form token")}})
		stranger.post(address, form)
		authorize := n.nobody.post(address, form).location()
		for _, b := range []*browser{n.nobody, stranger, n.l.browser(nil)} {
			b.get(address)
			b.post(address, form)
		}
		back := n.consent(authorize)
		n.arrive(stranger, back)
		n.arrive(n.l.browser(nil), back)
	}
}

func (n *tenant) popup() {
	for _, b := range []*browser{n.alice, n.nobody} {
		b.look(n.arrive(b, n.consent(n.started("&mode=popup&select=all"))).location())
	}
}

func (n *tenant) forgedRequests() {
	stranger := n.l.browser(nil)
	stranger.header.Set("Authorization", "Bearer "+n.l.made("unknown API key"))
	guest := n.l.browser(nil)
	guest.header.Set("Cookie", "host="+n.l.made("unknown session cookie")+"; __Host-cx-00000000-0000-7000-8000-000000000000="+n.l.made("forged cookie"))
	made := n.l.made("token in a request")
	paths := []string{
		"platforms", "start/" + n.l.platform, "go/" + made, "complete", "flows/" + made, "pending/" + made, "accounts", "accounts/" + made,
		"ui/", "ui/result", "ui/" + made, "credentials/bluesky", "ui/credentials/bluesky", made,
	}
	for i, path := range paths {
		target := "/connect/" + path
		for _, b := range []*browser{n.alice, []*browser{stranger, guest}[i%2]} {
			b.get(target + "?token=" + made + "&return_url=https://evil.example.com/" + made)
			b.call(http.MethodPost, target, object{"token": made, "return_url": "https://evil.example.com/" + made, made: made})
			b.do(http.MethodPut, target, "text/plain", made)
			b.do(http.MethodPost, target, "application/json", `{"token":"`+made)
			b.post(target, url.Values{"csrf_token": {made}, "token": {made}})
		}
	}
}

// wrongPasswords types secrets where they do not belong.
func (n *tenant) wrongPasswords() {
	if n.l.platform != "bluesky" {
		return
	}
	made := func(kind string) string {
		text := strings.ToLower(rand.Text())
		value := text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:16]
		n.l.mu.Lock()
		defer n.l.mu.Unlock()
		n.l.waiting[value] = kind
		return value
	}
	for _, fields := range []map[string]string{
		{"identifier": adaIdentifier, "app_password": made("wrong app password")},
		{"identifier": "erin@sandbox.test", "app_password": made("wrong app password"), "pds": "pds.sandbox.test"},
		{"identifier": "nobody.sandbox.test", "app_password": made("wrong app password")},
		{"identifier": "tom.sandbox.test", "app_password": adaAppPassword},
		{"identifier": "dora.sandbox.test", "app_password": adaAppPassword},
		{"identifier": adaIdentifier, "app_password": n.l.made("main password")},
		{"identifier": made("password as identifier"), "app_password": made("wrong app password")},
		{"identifier": made("password as identifier") + "@example.com", "app_password": adaAppPassword, "pds": made("password as server")},
		{"identifier": adaIdentifier, "app_password": adaAppPassword, made("password as field"): "x"},
		{"identifier": adaIdentifier},
	} {
		n.l.clock.advance(time.Minute) // so often may be tried
		n.typeIn(fields)
		n.key.json(http.MethodPost, "/connect/credentials/bluesky", fields)
	}
	number := n.l.made("password in broken JSON")
	n.key.do(http.MethodPost, "/connect/credentials/bluesky", "application/json", `{"identifier":"`+adaIdentifier+`","app_password":["`+number+`"]}`)
	for range 12 { // more than may be tried
		n.typeIn(map[string]string{"identifier": adaIdentifier, "app_password": made("wrong app password")})
	}
}
