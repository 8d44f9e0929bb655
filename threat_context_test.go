package connect_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sandbox"
)

// visited is an address as the server sees it: without the fragment that
// Facebook appends.
func visited(address string) string {
	address, _, _ = strings.Cut(address, "#")
	return address
}

// sentTo is the address of an answer at another redirect URI of ours.
func sentTo(back, redirect string) string {
	base, query, _ := strings.Cut(back, "?")
	host, _, _ := strings.Cut(base, "/connect/")
	return host + "/connect" + redirect + "?" + query
}

// wantUnused fails where an answer was exchanged, or the flow went on.
func (w *world) wantUnused(flowID string) {
	w.t.Helper()
	for _, platform := range []string{"x", "facebook"} {
		if n := w.codeExchanges(platform); n != 0 {
			w.t.Errorf("%d token requests at %s, want none", n, platform)
		}
	}
	if row := w.flowRow(flowID); row.Status != connect.FlowStarted {
		w.t.Errorf("the flow is %s, want started", row.Status)
	}
	if events := w.storedEvents(); len(events) != 0 {
		w.t.Errorf("events %v, want none", events)
	}
	w.wantNothingConnected()
}

// The state is valid and the browser is the right one: only the redirect URI
// is that of another platform or of another client.
func TestThreat7_AnotherRedirectURI(t *testing.T) {
	t.Parallel()
	for platform, others := range map[string][]string{
		"x":        {"facebook", "facebook/shared", "bluesky", "x/otherclient", "x/Shared", "x/shared2", "facebook/otherclient"},
		"facebook": {"x", "x/shared", "twitter", "bluesky", "facebook/otherclient", "facebook/900000000000001"},
	} {
		t.Run(platform, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.browser(&alice)
			flowID, authorize := b.begin(platform, object{"select": "first"})
			back := visited(b.consent(authorize, nil))
			for _, other := range others {
				got := b.arrive(sentTo(back, "/callback/"+other))
				if got.status != http.StatusBadRequest || got.location() != "" {
					t.Errorf("%s: status %d, location %q, want 400 and none", other, got.status, got.location())
				}
				name, client, _ := strings.Cut(other, "/")
				_, err := w.engine.Complete(t.Context(), alice, connect.CompleteRequest{Platform: name, Client: client, Query: queryOf(t, back)})
				wantCode(t, err, connect.CodeInvalidRequest)
			}
			w.wantUnused(flowID)

			if got := b.arrive(back).outcome(t); got.Get("status") != "connected" || got.Get("flow_id") != flowID {
				t.Errorf("the answer where it belongs: %v", got)
			}
			if n := w.codeExchanges(platform); n == 0 {
				t.Error("token requests are not counted: the test proves nothing")
			}
		})
	}
}

// A refusal in the place of the code is an answer too.
func TestThreat7_RefusalAtAnotherRedirectURI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	flowID, authorize := b.begin("x", nil)
	denied := b.consent(authorize, url.Values{"decision": {"deny"}})
	for _, other := range []string{"facebook", "x/otherclient"} {
		if got := b.arrive(sentTo(denied, "/callback/"+other)); got.status != http.StatusBadRequest || got.location() != "" {
			t.Errorf("%s: status %d, location %q", other, got.status, got.location())
		}
	}
	w.wantUnused(flowID)
	if got := b.arrive(denied).outcome(t); got.Get("error") != "access_denied" {
		t.Errorf("the refusal where it belongs: %v", got)
	}
}

// selfNaming is a fake whose server says that it names itself in its answers.
type selfNaming struct {
	*fake

	issuer string
}

// Begin implements [connect.OAuth].
func (n selfNaming) Begin(ctx context.Context, env connect.Env, req connect.AuthRequest) (connect.Authorization, error) {
	auth, err := n.fake.Begin(ctx, env, req)
	auth.Issuer = n.issuer
	return auth, err
}

// naming gives the bench's fake an issuer.
func naming(issuer string) func(*connect.Config) {
	return func(c *connect.Config) {
		f, _ := c.Providers[0].(*fake)
		c.Providers = []connect.Provider{selfNaming{f, issuer}}
	}
}

// answered sends an answer of the fake to the bench's handler.
func (b *bench) answered(state, rest string) reply {
	b.t.Helper()
	return answerOf(b.engine, arrival(alice, "https://host.test/connect/callback/fake?state="+state+rest))
}

func TestThreat7_Issuer(t *testing.T) {
	t.Parallel()
	const issuer = "https://as.fake.test/tenant-1"
	right := "&iss=" + url.QueryEscape(issuer)
	b := newBench(t, time.Now, naming(issuer))
	b.fake.answer("exchange", b.fake.tokens("first"))
	started, err := b.engine.Start(t.Context(), alice, connect.StartRequest{Platform: "fake"})
	if err != nil {
		t.Fatal(err)
	}
	for name, rest := range map[string]string{
		"none":                  "&code=c",
		"empty":                 "&code=c&iss=",
		"without a value":       "&code=c&iss",
		"another server":        "&code=c&iss=https%3A%2F%2Fevil.test",
		"another tenant":        "&code=c&iss=" + url.QueryEscape("https://as.fake.test/tenant-2"),
		"its beginning":         "&code=c&iss=" + url.QueryEscape("https://as.fake.test"),
		"a slash more":          "&code=c" + right + "%2F",
		"another case":          "&code=c&iss=" + url.QueryEscape("https://AS.fake.test/tenant-1"),
		"http":                  "&code=c&iss=" + url.QueryEscape("http://as.fake.test/tenant-1"),
		"white space":           "&code=c" + right + "+",
		"twice":                 "&code=c" + right + right,
		"right, then another":   "&code=c" + right + "&iss=https%3A%2F%2Fevil.test",
		"under another name":    "&code=c" + strings.Replace(right, "iss", "ISS", 1),
		"a refusal without one": "&error=access_denied",
		"a refusal of another":  "&error=access_denied&iss=https%3A%2F%2Fevil.test",
	} {
		if got := b.answered(started.State, rest); got.status != http.StatusBadRequest || got.location() != "" {
			t.Errorf("%s: status %d, location %q, want 400 and none", name, got.status, got.location())
		}
	}
	flow, err := b.config.Store.ReadFlow(t.Context(), connect.FlowKey{ID: started.FlowID})
	if _, _, exchanged := b.fake.asked(); exchanged != 0 || err != nil || flow.Status != connect.FlowStarted {
		t.Errorf("%d exchanges, the flow is %s, %v; want none and started", exchanged, flow.Status, err)
	}
	if got := b.answered(started.State, "&code=c"+right).outcome(t); got.Get("status") != "connected" {
		t.Errorf("the right issuer: %v", got)
	}
}

// A server that does not say that it sends iss may send it all the same, and
// what it sends is not compared with anything: "there might be legitimate
// authorization servers that provide the iss parameter without indicating their
// support" (RFC 9207 § 2.4). Here the redirect URI tells the platforms apart.
func TestThreat7_IssuerThatNobodyAnnounced(t *testing.T) {
	t.Parallel()
	for name, iss := range map[string]string{"none": "", "one": "&iss=https%3A%2F%2Fas.fake.test", "another": "&iss=https%3A%2F%2Fevil.test"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, time.Now)
			b.fake.answer("exchange", b.fake.tokens("first"))
			started, err := b.engine.Start(t.Context(), alice, connect.StartRequest{Platform: "fake"})
			if err != nil {
				t.Fatal(err)
			}
			if got := b.answered(started.State, "&code=c"+iss).outcome(t); got.Get("status") != "connected" {
				t.Errorf("outcome %v", got)
			}
			if got := b.answered(started.State, "&code=c"+iss+"&iss=a"); iss != "" && got.status != http.StatusBadRequest {
				t.Errorf("sent twice: status %d", got.status)
			}
		})
	}
}

// misnamed is a state encoder in the hands of an attacker: it opens every state
// as one of another platform or client.
type misnamed struct {
	mu       sync.Mutex // guards sealed
	sealed   []connect.StateClaims
	platform string // empty: as it was
	client   string // likewise
}

// SealState implements [connect.StateEncoder].
func (m *misnamed) SealState(claims connect.StateClaims) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sealed = append(m.sealed, claims)
	return strconv.Itoa(len(m.sealed)), nil
}

// OpenState implements [connect.StateEncoder].
func (m *misnamed) OpenState(state string) (connect.StateClaims, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, err := strconv.Atoi(state)
	if err != nil || i < 1 || i > len(m.sealed) {
		return connect.StateClaims{}, errBroken
	}
	claims := m.sealed[i-1]
	if m.platform != "" {
		claims.Platform = m.platform
	}
	if m.client != "" {
		claims.Client = m.client
	}
	return claims, nil
}

// lie makes every state one of another platform and client; empty: no longer.
func (m *misnamed) lie(platform, client string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.platform, m.client = platform, client
}

// The redirect URI and even the state agree on another context than the flow's
// row, which decides.
func TestThreat9_ContextIsTheFlows(t *testing.T) {
	t.Parallel()
	states := &misnamed{}
	w := newWorld(t, func(c *connect.Config) { c.State = states })
	b := w.browser(&alice)
	flowID, authorize := b.begin("x", nil)
	back := b.consent(authorize, nil)
	for redirect, context := range map[string][2]string{
		"/callback/facebook":         {"facebook", ""},
		"/callback/facebook/shared":  {"facebook", "shared"},
		"/callback/x/victim":         {"", "victim"},
		"/callback/facebook/victim":  {"facebook", "victim"},
		"/callback/bluesky":          {"bluesky", ""},
		"/callback/x/900000000001-a": {"", "900000000001-a"},
	} {
		states.lie(context[0], context[1])
		if got := b.arrive(sentTo(back, redirect)); got.status != http.StatusBadRequest || got.location() != "" {
			t.Errorf("%s: status %d, location %q, want 400 and none", redirect, got.status, got.location())
		}
		if got := w.browser(nil).arrive(sentTo(back, redirect)); got.status != http.StatusBadRequest || got.location() != "" {
			t.Errorf("%s without a session: status %d, location %q, want 400 and none", redirect, got.status, got.location())
		}
	}
	w.wantUnused(flowID)
	states.lie("", "")
	if got := b.arrive(sentTo(back, "/callback/x/shared")).outcome(t); got.Get("status") != "connected" {
		t.Errorf("the flow's own context, with its client named: %v", got)
	}
}

// Two flows of one browser, one answer at the redirect URI of the other: each
// still ends where it began.
func TestThreat9_AnswersChangePlaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	xFlow, xAuthorize := b.begin("x", nil)
	facebookFlow, facebookAuthorize := b.begin("facebook", object{"select": "first"})
	x, facebook := b.consent(xAuthorize, nil), b.consent(facebookAuthorize, nil)
	for _, answer := range []string{
		sentTo(facebook, "/callback/x"), sentTo(x, "/callback/facebook"),
		"/connect/callback/x?state=" + stateOf(t, facebook) + "&code=" + url.QueryEscape(codeOf(t, x)),
		"/connect/callback/facebook?state=" + stateOf(t, x) + "&code=" + url.QueryEscape(codeOf(t, facebook)),
	} {
		if got := b.arrive(answer); got.status != http.StatusBadRequest || got.location() != "" {
			t.Errorf("%s: status %d, location %q", answer, got.status, got.location())
		}
	}
	w.wantUnused(xFlow)
	w.wantUnused(facebookFlow)
	for _, back := range []string{facebook, x} {
		if got := b.arrive(back).outcome(t); got.Get("status") != "connected" {
			t.Errorf("%s: %v", back, got)
		}
	}
}

var allOnFacebook = []string{"pages_show_list", "pages_read_engagement", "pages_manage_posts", "business_management"}

// unticked is a consent at Facebook without some of the permissions.
func unticked(scopes ...string) url.Values {
	left := slices.DeleteFunc(slices.Clone(allOnFacebook), func(s string) bool { return slices.Contains(scopes, s) })
	return url.Values{"scopes": {"chosen"}, "scope": left}
}

// A person unticks what publishing needs. Whichever way the Page is chosen, it
// is connected with a status that says so.
func TestThreat22_UntickedIsNeverActive(t *testing.T) {
	t.Parallel()
	for name, choose := range map[string]func(t *testing.T, b *browser, consent url.Values) (id string){
		"chosen by rule": func(_ *testing.T, b *browser, consent url.Values) string {
			return b.connected("facebook", url.Values{"select": {"first"}}, consent)[0]
		},
		"chosen by the host": func(t *testing.T, b *browser, consent url.Values) string {
			t.Helper()
			session := b.connect("facebook", headless(), consent).outcome(t).Get("session")
			done := b.call(http.MethodPost, "/connect/pending/"+session+"/finalize", object{"selected_ids": []string{firstPage}})
			id, _ := list(done.object(t, http.StatusOK)["accounts"])[0]["id"].(string)
			return id
		},
		"chosen in the picker": func(t *testing.T, b *browser, consent url.Values) string {
			t.Helper()
			picker := b.connect("facebook", nil, consent).location()
			form := formOf(t, b.get(picker), url.Values{"selected_ids": {firstPage}})
			return b.post(picker+"/finalize", form).outcome(t).Get("account_id")
		},
		"completed by the host": func(t *testing.T, b *browser, consent url.Values) string {
			t.Helper()
			back := b.consent(b.start("facebook", url.Values{"select": {"first"}}), consent)
			ticket := b.w.browser(nil).arrive(back).outcome(t).Get("ticket")
			done := b.call(http.MethodPost, "/connect/complete", object{"ticket": ticket}).object(t, http.StatusOK)
			id, _ := list(done["accounts"])[0]["id"].(string)
			return id
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.browser(&alice)
			id := choose(t, b, unticked("pages_manage_posts", "pages_read_engagement"))
			got := b.get("/connect/accounts/"+id).object(t, http.StatusOK)
			if diff := cmp.Diff([]any{"business_management", "pages_show_list", "public_profile"}, sorted(got["granted_scopes"])); diff != "" || got["status"] != "limited" {
				t.Errorf("status %v, granted scopes (-want +got):\n%s", got["status"], diff)
			}
			if diff := cmp.Diff([]string{"pages_read_engagement", "pages_manage_posts"}, w.account(alice, id).Missing); diff != "" {
				t.Errorf("missing (-want +got):\n%s", diff)
			}
			for status, want := range map[string]int{"active": 0, "limited": 1} {
				if got := list(b.get("/connect/accounts?status="+status).object(t, http.StatusOK)["accounts"]); len(got) != want {
					t.Errorf("%d accounts are %s, want %d", len(got), status, want)
				}
			}
		})
	}
}

func sorted(v any) []any {
	values, _ := v.([]any)
	slices.SortFunc(values, func(a, b any) int {
		first, _ := a.(string)
		second, _ := b.(string)
		return strings.Compare(first, second)
	})
	return values
}

// Without a scope that the method requires nothing can be connected, and what
// the platform gave is given back.
func TestThreat22_RequiredScope(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		platform, scopes string
		consent          url.Values
		fault            string
	}{
		"facebook, the list of Pages": {platform: "facebook", consent: unticked("pages_show_list")},
		"facebook, every box":         {platform: "facebook", consent: unticked(allOnFacebook...)},
		"x, who it is":                {platform: "x", scopes: "tweet.read users.read", fault: "narrowed_scopes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if tt.fault != "" {
				w.fault(sandbox.Fault{Platform: tt.platform, Fault: tt.fault})
			}
			query := url.Values{"select": {"first"}}
			if tt.scopes != "" {
				query.Set("scopes", tt.scopes)
			}
			got := w.browser(&alice).connect(tt.platform, query, tt.consent).outcome(t)
			if got.Get("status") != "error" || got.Get("error") != "scope_missing" || got.Has("account_id") {
				t.Errorf("outcome %v, want scope_missing", got)
			}
			w.settle()
			w.wantNothingConnected()
			if diff := cmp.Diff([]connect.EventType{connect.EventFlowFailed}, w.eventTypes("acme")); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if n := w.revocations() + w.facebookRevocations(); n == 0 {
				t.Error("the tokens were not given back")
			}
		})
	}
}

// What counts is what the platform says was granted, scope by scope.
func TestThreat22_GrantedAgainstAsked(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		granted []string
		want    connect.AccountStatus // empty: nothing is connected
		missing []string
	}{
		"all":                   {[]string{"read", "write"}, connect.AccountActive, nil},
		"more":                  {[]string{"write", "admin", "read"}, connect.AccountActive, nil},
		"not the wanted one":    {[]string{"read"}, connect.AccountLimited, []string{"write"}},
		"one that contains it":  {[]string{"read", "write:posts"}, connect.AccountLimited, []string{"write"}},
		"another case":          {[]string{"read", "WRITE"}, connect.AccountLimited, []string{"write"}},
		"not the required one":  {[]string{"write"}, "", nil},
		"both in one":           {[]string{"read write"}, "", nil},
		"none":                  {[]string{}, "", nil},
		"the platform is quiet": {nil, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, time.Now, func(c *connect.Config) {
				f, _ := c.Providers[0].(*fake)
				f.platform.Methods = []connect.Method{{ID: "oauth", Type: connect.MethodOAuth, DefaultScopes: []string{"read", "write"}, RequiredScopes: []string{"read"}}}
				f.platform.Kinds = []connect.Kind{{Name: "profile", Scopes: []string{"read", "write"}}}
			})
			b.fake.answer("exchange", func(ctx context.Context) (*connect.Tokens, error) {
				tokens, err := b.fake.tokens("first")(ctx)
				tokens.Scopes = tt.granted
				return tokens, err
			})
			if tt.want == "" {
				b.fake.answer("revoke", succeeds)
			}
			_, out, err := b.callback()
			switch {
			case err != nil:
				t.Fatal(err)
			case tt.want == "":
				if out.Error != connect.CodeScopeMissing || len(out.Accounts) != 0 {
					t.Errorf("outcome %+v, want scope_missing", out)
				}
			case len(out.Accounts) != 1 || out.Accounts[0].Status != tt.want:
				t.Errorf("outcome %+v, want an account that is %s", out, tt.want)
			default:
				if diff := cmp.Diff(tt.missing, out.Accounts[0].Missing); diff != "" {
					t.Errorf("missing (-want +got):\n%s", diff)
				}
			}
		})
	}
}
