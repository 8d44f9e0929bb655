package connect_test

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/tokencrypt"
)

// property is what the tenant acme has, by every name that something takes.
type property struct {
	account, started, pending, connected, session, ticket, query string
}

// fill gives acme one of everything.
func (w *world) fill() property {
	w.t.Helper()
	b := w.browser(&alice)
	var p property
	p.account = b.connected("x", nil, nil)[0]
	p.started, _ = b.begin("x", nil)
	open := b.connect("facebook", headless(), as("dana")).outcome(w.t)
	p.pending, p.session = open.Get("flow_id"), open.Get("session")
	p.connected = b.connect("facebook", nil, as("single")).outcome(w.t).Get("flow_id")
	p.ticket = w.browser(nil).arrive(b.consent(b.start("x", nil), nil)).outcome(w.t).Get("ticket")
	p.query = mustParse(w.t, b.consent(b.start("x", nil), nil)).RawQuery
	return p
}

// nowhere is property that nobody has, of the same form.
func nowhere() property {
	const id, handle = "019a0000-0000-7000-8000-000000000000", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	return property{account: id, started: id, pending: id, connected: id, session: handle, ticket: handle}
}

// reaches are the exported methods that take an id, with a call for each id
// that they take.
func reaches(w *world, as connect.Principal) map[string]func(property) []error {
	ctx, c := w.t.Context(), w.engine
	return map[string]func(property) []error{
		"Account":    func(p property) []error { _, err := c.Account(ctx, as, p.account); return []error{err} },
		"Disconnect": func(p property) []error { _, err := c.Disconnect(ctx, as, p.account); return []error{err} },
		"AddMore":    func(p property) []error { _, err := c.AddMore(ctx, as, p.account); return []error{err} },
		"Candidates": func(p property) []error {
			_, err := c.Candidates(ctx, as, p.account, connect.PendingRequest{})
			return []error{err}
		},
		"Edit": func(p property) []error {
			_, err := c.Edit(ctx, as, p.account, connect.EditRequest{SelectedID: "profile:1"})
			return []error{err}
		},
		"Client": func(p property) []error { _, err := c.Client(ctx, as.Tenant, p.account); return []error{err} },
		"TokenSource": func(p property) []error {
			_, err := c.TokenSource(ctx, as.Tenant, p.account)
			return []error{err}
		},
		"Health": func(p property) []error {
			_, err := c.Health(ctx, as, p.account, connect.HealthRequest{Live: true})
			return []error{err}
		},
		"Refresh": func(p property) []error { _, err := c.Refresh(ctx, as, p.account); return []error{err} },
		"Import": func(p property) []error {
			program := connect.Principal{Tenant: as.Tenant}
			_, err := c.Import(ctx, program, connect.ImportRequest{Platform: "x", AccountID: p.account, Tokens: connect.Tokens{Access: tokencrypt.NewSecret("a")}})
			return []error{err}
		},
		"Start": func(p property) []error {
			_, err := c.Start(ctx, as, connect.StartRequest{Platform: "x", AccountID: p.account})
			return []error{err}
		},
		"ConnectCredentials": func(p property) []error {
			_, err := c.ConnectCredentials(ctx, as, connect.CredentialsRequest{Platform: "bluesky", AccountID: p.account, Values: map[string]connect.Secret{
				"identifier": tokencrypt.NewSecret("ada.sandbox.test"), "app_password": tokencrypt.NewSecret("sand-box2-test-pass"),
			}})
			return []error{err}
		},
		"Flow": func(p property) []error {
			var errs []error
			for _, id := range []string{p.started, p.pending, p.connected} {
				_, err := c.Flow(ctx, as, id)
				errs = append(errs, err)
			}
			return errs
		},
		"Pending": func(p property) []error {
			_, err := c.Pending(ctx, as, p.session, connect.PendingRequest{})
			return []error{err}
		},
		"Finalize": func(p property) []error {
			_, err := c.Finalize(ctx, as, p.session, connect.FinalizeRequest{SelectedIDs: []string{"page:110000000000001"}})
			return []error{err}
		},
		"Complete": func(p property) []error {
			_, err := c.Complete(ctx, as, connect.CompleteRequest{Ticket: p.ticket})
			if p.query == "" {
				return []error{err}
			}
			_, queryErr := c.Complete(ctx, as, connect.CompleteRequest{Platform: "x", Query: p.query})
			return []error{err, queryErr}
		},
	}
}

// withoutID are the exported methods that take no id of a tenant's.
// Callback and the pages of a flow's own browser are bound by rows 1 to 5.
var withoutID = []string{"Accounts", "Callback", "CallbackHandler", "Close", "DeleteTenant", "DisconnectByUser", "Handler", "LinkHandler", "PlatformsHandler", "Run"}

// routes are the handlers that take an id, with a request for each.
func routes() map[string]func(*browser, property) []reply {
	choice := object{"selected_ids": []string{"page:110000000000001"}}
	return map[string]func(*browser, property) []reply{
		"AccountHandler": func(b *browser, p property) []reply { return []reply{b.get("/connect/accounts/" + p.account)} },
		"AddMoreHandler": func(b *browser, p property) []reply {
			return []reply{b.call("POST", "/connect/accounts/"+p.account+"/sessions", nil)}
		},
		"CandidatesHandler": func(b *browser, p property) []reply {
			return []reply{b.get("/connect/accounts/" + p.account + "/candidates")}
		},
		"EditHandler": func(b *browser, p property) []reply {
			return []reply{b.call("PATCH", "/connect/accounts/"+p.account, object{"label": "x"})}
		},
		"DisconnectHandler": func(b *browser, p property) []reply {
			return []reply{b.call("DELETE", "/connect/accounts/"+p.account, nil)}
		},
		"HealthHandler": func(b *browser, p property) []reply {
			return []reply{b.get("/connect/accounts/" + p.account + "/health"), b.get("/connect/accounts/" + p.account + "/health?probe=live")}
		},
		"RefreshHandler": func(b *browser, p property) []reply {
			return []reply{b.call("POST", "/connect/accounts/"+p.account+"/refresh", nil)}
		},
		"StartHandler": func(b *browser, p property) []reply {
			return []reply{b.call("POST", "/connect/start/x", object{"account_id": p.account}), b.get("/connect/start/x?account_id=" + p.account)}
		},
		"CredentialsHandler": func(b *browser, p property) []reply {
			body := credentials()
			body["account_id"] = p.account
			return []reply{b.call("POST", "/connect/credentials/bluesky", body)}
		},
		"FlowHandler": func(b *browser, p property) []reply {
			return []reply{b.get("/connect/flows/" + p.started), b.get("/connect/flows/" + p.pending), b.get("/connect/flows/" + p.connected)}
		},
		"PendingHandler": func(b *browser, p property) []reply { return []reply{b.get("/connect/pending/" + p.session)} },
		"FinalizeHandler": func(b *browser, p property) []reply {
			return []reply{b.call("POST", "/connect/pending/"+p.session+"/finalize", choice)}
		},
		"CompleteHandler": func(b *browser, p property) []reply {
			replies := []reply{b.call("POST", "/connect/complete", object{"ticket": p.ticket})}
			if p.query != "" {
				replies = append(replies, b.call("POST", "/connect/complete", object{"platform": "x", "query": p.query}))
			}
			return replies
		},
		"AccountsHandler": func(*browser, property) []reply { return nil }, // lists only; see row 69
		"PagesHandler": func(b *browser, p property) []reply {
			if b.header.Get("Authorization") != "" {
				return []reply{b.get("/connect/ui/pending/" + p.session)}
			}
			form := url.Values{"csrf_token": {b.get("/connect/ui/").formTokenOr("none")}}
			return []reply{b.get("/connect/ui/pending/" + p.session), b.post("/connect/ui/accounts/"+p.account+"/disconnect", form)}
		},
	}
}

// formTokenOr is the token of a page's form, or other where it has none.
func (r reply) formTokenOr(other string) string {
	if found := formTokenValue.FindStringSubmatch(r.body); found != nil {
		return found[1]
	}
	return other
}

// TestThreat67_ForeignIDs: whatever takes an id does not find another
// tenant's, says the same as of one that nobody has, and changes nothing. A
// method that is new must be added here.
func TestThreat67_ForeignIDs(t *testing.T) {
	t.Parallel()
	var book ledger
	w := newWorld(t, keepLedger(&book))
	w.browser(&bob).connected("x", nil, as("clara")) // so that bob's page has a form
	theirs, nobodys := w.fill(), nowhere()
	before := book.count()

	for _, p := range []connect.Principal{bob, {Tenant: "globex"}} {
		methods := reaches(w, p)
		for _, name := range methodNames() {
			if strings.HasSuffix(name, "Handler") || slices.Contains(withoutID, name) {
				continue
			}
			reach := methods[name]
			if reach == nil {
				t.Errorf("method %s is not tested", name)
				continue
			}
			none := reach(nobodys)
			for i, err := range reach(theirs) {
				wantCode(t, err, connect.CodeNotFound)
				if fmt.Sprint(err) != fmt.Sprint(none[min(i, len(none)-1)]) {
					t.Errorf("%s: of another tenant %v, of nobody %v", name, err, none[0])
				}
			}
		}
	}
	for _, b := range []*browser{w.browser(&bob), w.program("globex")} {
		handlers := routes()
		for _, name := range methodNames() {
			if !strings.HasSuffix(name, "Handler") || slices.Contains(withoutID, name) {
				continue
			}
			request := handlers[name]
			if request == nil {
				t.Errorf("route %s is not tested", name)
				continue
			}
			none := request(b, nobodys)
			for i, got := range request(b, theirs) {
				if got.status != http.StatusNotFound || got.body != none[min(i, len(none)-1)].body {
					t.Errorf("%s: status %d, want 404 and what is said of nobody's: %s", name, got.status, got.body)
				}
			}
		}
	}
	if wrote := book.since(before); len(wrote) != 0 {
		t.Errorf("something changed: %v", wrote)
	}
	w.stillTheirs(t, theirs)
}

// stillTheirs makes sure that the ids of fill were good: their owner may do
// with each what the other tenant may not.
func (w *world) stillTheirs(t *testing.T, p property) {
	t.Helper()
	methods := reaches(w, alice)
	for _, name := range []string{"Account", "Health", "Refresh", "Client", "TokenSource", "Start", "Flow", "Pending", "Finalize", "Complete"} {
		for i, err := range methods[name](p) {
			if err != nil {
				t.Errorf("%s %d: to its owner: %v", name, i, err)
			}
		}
	}
	if _, err := w.engine.Disconnect(t.Context(), alice, p.account); err != nil {
		t.Errorf("Disconnect: to its owner: %v", err)
	}
}

// methodNames are the exported methods of a Connector.
func methodNames() []string {
	var names []string
	for m := range reflect.TypeFor[*connect.Connector]().Methods() {
		names = append(names, m.Name)
	}
	return names
}

func (l *ledger) count() int { return len(l.since(0)) }

// TestThreat69_TenantsThatContainEachOther: ownership is equality, also where
// one tenant's name begins, ends or matches another's.
func TestThreat69_TenantsThatContainEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenants := []string{"abc", "abcdef", "ABC", "ab", "def", "a_c", "abc%", "%", "abc-abc"}
	session, account, flow := map[string]string{}, map[string]string{}, map[string]string{}
	for _, tenant := range tenants {
		b := w.browser(&connect.Principal{Tenant: tenant, User: "u", Ambient: true})
		open := b.connect("facebook", headless(), as("dana")).outcome(t)
		session[tenant], flow[tenant] = open.Get("session"), open.Get("flow_id")
		account[tenant] = b.connected("x", nil, nil)[0]
	}
	for _, tenant := range tenants {
		own := w.accounts(connect.Principal{Tenant: tenant})
		if len(own) != 1 || own[0].ID != account[tenant] || own[0].Tenant != tenant {
			t.Errorf("%s lists %v", tenant, own)
		}
		b := w.browser(&connect.Principal{Tenant: tenant, User: "u", Ambient: true})
		for _, other := range tenants {
			want := http.StatusNotFound
			if other == tenant {
				want = http.StatusOK
			}
			for _, target := range []string{"/pending/" + session[other], "/flows/" + flow[other], "/accounts/" + account[other]} {
				if got := b.get("/connect" + target); got.status != want {
					t.Errorf("%s of %s by %s: status %d, want %d", target, other, tenant, got.status, want)
				}
			}
		}
	}
	for _, user := range []string{"U", "u ", "", "uu"} { // users likewise
		b := w.browser(&connect.Principal{Tenant: "abc", User: user})
		if got := b.get("/connect/pending/" + session["abc"]); got.status == http.StatusOK {
			t.Errorf("user %q sees the session of u", user)
		}
	}
}

// TestThreat70_NotOffered: only what was offered can be chosen, and a refused
// choice consumes nothing.
func TestThreat70_NotOffered(t *testing.T) {
	t.Parallel()
	var book ledger
	w := newWorld(t, keepLedger(&book))
	b := w.browser(&alice)
	session := b.session("analyst")
	w.browser(&bob).session("dana") // 110000000000002 is on offer to somebody
	before := book.count()
	const offered = "page:110000000000001"
	for name, ids := range map[string][]string{
		"foreign":                 {"foreign"},
		"of another session":      {"page:110000000000002"},
		"beside an offered one":   {offered, "page:110000000000002"},
		"blocked":                 {"page:110000000000004"},
		"offered and blocked":     {offered, "page:110000000000004"},
		"another kind":            {"profile:110000000000001"},
		"without its kind":        {"110000000000001"},
		"twice":                   {offered, offered},
		"with a space":            {offered + " "},
		"in capitals":             {"PAGE:110000000000001"},
		"empty id":                {""},
		"none":                    {},
		"more than were offered":  slices.Repeat([]string{offered}, 2001),
		"the id of the person":    {"page:102233445566779"},
		"a list inside of a name": {offered + ",page:110000000000002"},
	} {
		got := b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", object{"selected_ids": ids})
		var p struct{ Code, Field string }
		got.decode(t, http.StatusUnprocessableEntity, &p)
		if p.Code != "not_offered" || p.Field != "selected_ids" {
			t.Errorf("%s: %s", name, got.body)
		}
		if strings.Contains(got.body, "foreign") || strings.Contains(got.body, "110000000000002") {
			t.Errorf("%s: the answer repeats what was sent: %s", name, got.body)
		}
	}
	if wrote := book.since(before); len(wrote) != 0 || len(w.accounts(alice)) != 0 {
		t.Errorf("something changed: %v", wrote)
	}
	b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", object{"selected_ids": []string{offered}}).wantStatus(t, http.StatusOK)
}

// TestThreat71_ParallelFinalize: of 50 at once, one connects and all get its
// answer; another choice afterwards is too late.
func TestThreat71_ParallelFinalize(t *testing.T) {
	t.Parallel()
	var book ledger
	w := newWorld(t, keepLedger(&book))
	session := w.browser(&alice).session("dana")
	target := "/connect/pending/" + session + "/finalize"
	choice := object{"selected_ids": []string{"page:110000000000001", "page:110000000000002"}}
	before := book.count()

	replies := make([]reply, 50)
	var all sync.WaitGroup
	for i := range replies {
		b := w.program("acme")
		all.Go(func() { replies[i] = b.json(http.MethodPost, target, choice) })
	}
	all.Wait()
	for i, got := range replies {
		if got.status != http.StatusOK || got.body != replies[0].body {
			t.Errorf("answer %d: status %d: %s", i, got.status, got.body)
		}
	}
	var told []string
	for _, account := range w.accounts(alice) {
		told = append(told, "account.connected "+account.ID)
	}
	events := w.events("acme")
	slices.Sort(told)
	slices.Sort(events)
	if diff := cmp.Diff(told, events); diff != "" || len(told) != 2 {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"CommitFlow"}, book.since(before)); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	b := w.browser(&alice)
	for _, other := range [][]string{{"page:110000000000001"}, {"page:110000000000003"}, {"page:110000000000001", "page:110000000000002", "page:110000000000003"}, {}} {
		if code := b.call(http.MethodPost, target, object{"selected_ids": other}).problem(t, http.StatusGone); code != "used" {
			t.Errorf("%v afterwards: %s", other, code)
		}
	}
	if n := len(w.accounts(alice)); n != 2 {
		t.Errorf("%d accounts", n)
	}
}

// TestThreat71_ParallelChoices: of two different choices at once, one is
// connected as a whole and the other is told so.
func TestThreat71_ParallelChoices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.browser(&alice).session("dana")
	replies := make([]reply, 20)
	var all sync.WaitGroup
	for i := range replies {
		b := w.program("acme")
		id := fmt.Sprintf("page:11000000000000%d", 1+i%2)
		all.Go(func() {
			replies[i] = b.json(http.MethodPost, "/connect/pending/"+session+"/finalize", object{"selected_ids": []string{id}})
		})
	}
	all.Wait()
	count := map[int]int{}
	for _, got := range replies {
		count[got.status]++
	}
	if diff := cmp.Diff(map[int]int{http.StatusOK: 10, http.StatusGone: 10}, count); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	if n := len(w.accounts(alice)); n != 1 {
		t.Errorf("%d accounts, want 1", n)
	}
}

// TestThreat72_ProfileFromTheClient: what an account is called comes from the
// platform, never from who finalizes.
func TestThreat72_ProfileFromTheClient(t *testing.T) {
	t.Parallel()
	var book ledger
	w := newWorld(t, keepLedger(&book))
	b := w.browser(&alice)
	session := b.session("dana")
	before := book.count()
	profile := object{"id": "110000000000001", "name": "Mallory's", "username": "mallory"}
	for _, name := range []string{
		"userProfile", "profile", "name", "username", "avatar_url", "accounts", "candidates", "access_token", "tempToken", "platform_account_id", "tenant", "user", "account_id", "metadata",
	} {
		body := object{"selected_ids": []string{"page:110000000000001"}, name: profile}
		if code := b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", body).problem(t, http.StatusBadRequest); code != "invalid_request" {
			t.Errorf("%s at finalize: %s", name, code)
		}
	}
	for _, name := range []string{"userProfile", "name", "access_token", "tenant", "state", "redirect_uri", "code_verifier"} {
		if code := b.call(http.MethodPost, "/connect/start/x", object{name: "x"}).problem(t, http.StatusBadRequest); code != "invalid_request" {
			t.Errorf("%s at start: %s", name, code)
		}
		body := credentials()
		body[name] = "x"
		if code := b.call(http.MethodPost, "/connect/credentials/bluesky", body).problem(t, http.StatusBadRequest); code != "invalid_request" {
			t.Errorf("%s at credentials: %s", name, code)
		}
	}
	b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", object{"selected_ids": []any{profile}}).wantStatus(t, http.StatusBadRequest)
	if wrote := book.since(before); len(wrote) != 0 {
		t.Errorf("something changed: %v", wrote)
	}
	done := b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", object{"selected_ids": []string{"page:110000000000001"}})
	if got := list(done.object(t, http.StatusOK)["accounts"]); got[0]["name"] != "Harbour Bakery" {
		t.Errorf("the account is called %v", got[0]["name"])
	}
}
