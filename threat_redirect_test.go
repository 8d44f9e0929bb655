package connect_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed944197df/connect"
)

// createdFlows counts the flows that are stored.
type createdFlows struct {
	connect.Store

	n atomic.Int64
}

func (s *createdFlows) CreateFlow(ctx context.Context, flow connect.Flow, caps connect.FlowCaps) error {
	s.n.Add(1)
	return s.Store.CreateFlow(ctx, flow, caps)
}

// serve answers a request without a network between.
func answerOf(engine *connect.Connector, r *http.Request) reply {
	rec := httptest.NewRecorder()
	engine.Handler().ServeHTTP(rec, r)
	return reply{rec.Code, rec.Header(), rec.Body.String()}
}

// arrival is the request of a browser of p that a platform sends back.
func arrival(p connect.Principal, target string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.AddCookie(&http.Cookie{Name: "session", Value: p.Tenant + "/" + p.User})
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	return r
}

type returnRow struct {
	URL string
	OK  bool
	Why string
}

func returnTable(t *testing.T) (allowed []string, rows []returnRow) {
	t.Helper()
	text, err := os.ReadFile("internal/returnurl/testdata/urls.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Allowed []string
		URLs    []returnRow
	}
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	// An empty return URL is none, which the default stands in for.
	rows = slices.DeleteFunc(table.URLs, func(r returnRow) bool { return r.URL == "" })
	if len(rows) < 200 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	return table.Allowed, rows
}

func returnWorld(t *testing.T) (*world, *createdFlows, []returnRow) {
	t.Helper()
	allowed, rows := returnTable(t)
	store := &createdFlows{}
	w := newWorld(t, func(cfg *connect.Config) {
		cfg.ReturnOrigins = allowed
		cfg.MaxOpenFlowsPerUser, cfg.MaxOpenFlowsPerTenant = 10_000, 10_000
		store.Store = cfg.Store
		cfg.Store = store
	})
	return w, store, rows
}

func TestThreat28_TableAtStart(t *testing.T) {
	t.Parallel()
	w, store, rows := returnWorld(t)
	program := w.program("acme")
	for _, row := range rows {
		before := store.n.Load()
		_, err := w.engine.Start(t.Context(), acmeKey, connect.StartRequest{Platform: "x", ReturnURL: row.URL})
		over := program.json(http.MethodPost, "/connect/start/x", map[string]string{"return_url": row.URL})
		stored := store.n.Load() - before
		if row.OK {
			if err != nil || over.status != http.StatusCreated || stored != 2 {
				t.Errorf("%s: %q: error %v, status %d, %d flows stored, want it accepted twice", row.Why, row.URL, err, over.status, stored)
			}
			continue
		}
		refusedReturn(t, row, err, over)
		if stored != 0 {
			t.Errorf("%s: %q: %d flows were stored", row.Why, row.URL, stored)
		}
	}
}

func refusedReturn(t *testing.T, row returnRow, err error, over reply) {
	t.Helper()
	var problem struct{ Code, Field string }
	over.decode(t, http.StatusUnprocessableEntity, &problem)
	if problem.Code != "return_url_refused" || problem.Field != "return_url" {
		t.Errorf("%s: %q: problem %+v", row.Why, row.URL, problem)
	}
	e := errorOf(t, err)
	if e.Code != connect.CodeReturnURLRefused || e.Field != "return_url" {
		t.Errorf("%s: %q: code %q, field %q", row.Why, row.URL, e.Code, e.Field)
	}
	// What is refused may be longer than a text that a person reads.
	if len(row.URL) > 40 && strings.Contains(err.Error()+over.body, row.URL) {
		t.Errorf("%s: the answer repeats %q", row.Why, row.URL)
	}
}

// A list that has become shorter counts at once, for flows under way as well.
func TestThreat28_CheckedAgainBeforeUse(t *testing.T) {
	t.Parallel()
	w, _, rows := returnWorld(t)
	cfg := w.config
	cfg.ReturnOrigins = nil
	shorter, err := connect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if !row.OK {
			continue
		}
		started, err := w.engine.Start(t.Context(), alice, connect.StartRequest{Platform: "x", ReturnURL: row.URL})
		if err != nil {
			t.Fatal(err)
		}
		denied := w.host.URL + "/connect/callback/x?error=access_denied&state=" + started.State
		ours := answerOf(shorter, arrival(alice, denied))
		if want := w.host.URL + "/connect/ui/result?"; ours.status != http.StatusSeeOther || !strings.HasPrefix(ours.location(), want) {
			t.Errorf("%s: status %d, location %q, want our own page", row.Why, ours.status, ours.location())
		}
		// The flow has ended. Its outcome goes to the return URL where that is
		// still allowed.
		theirs := answerOf(w.engine, arrival(alice, denied))
		if base, _, _ := strings.Cut(row.URL, "?"); theirs.status != http.StatusSeeOther || !strings.HasPrefix(theirs.location(), base) {
			t.Errorf("%s: status %d, location %q, want %q", row.Why, theirs.status, theirs.location(), row.URL)
		}
	}
}

func TestThreat28_FinalizeChecksToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.browser(&alice).connect("facebook", url.Values{"mode": {"headless"}}, nil).outcome(t).Get("session")
	for _, target := range []string{"https://evil.example/", w.host.URL + "@evil.example/", "//evil.example"} {
		got := w.program("acme").json(http.MethodPost, "/connect/pending/"+session+"/finalize", map[string]any{"selected_ids": []string{"page:110000000000001"}, "return_url": target})
		if code := got.problem(t, http.StatusUnprocessableEntity); code != "return_url_refused" {
			t.Errorf("%q: code %q", target, code)
		}
	}
	if n := len(w.accounts(alice)); n != 0 {
		t.Errorf("%d accounts were connected", n)
	}
	// The page for credentials leads to a return URL as well.
	page := w.browser(&alice).get("/connect/ui/credentials/bluesky?return_url=https://evil.example/")
	if page.status != http.StatusUnprocessableEntity || strings.Contains(page.body+page.header.Get("Content-Security-Policy"), "evil.example") {
		t.Errorf("status %d: %s", page.status, page.body)
	}
}

func TestThreat32_ReturnURLIsTheFlows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, extra := range []string{
		"redirect_uri=https%3A%2F%2Fevil.example", "return=https%3A%2F%2Fevil.example", "return_url=https%3A%2F%2Fevil.example",
		"return_to=https%3A%2F%2Fevil.example&next=https%3A%2F%2Fevil.example", "mode=popup",
	} {
		b := w.browser(&alice)
		got := b.arrive(b.consent(b.start("x", nil), nil) + "&" + extra)
		if got.outcome(t).Get("status") != "connected" || !strings.HasPrefix(got.location(), w.host.URL+appHost+"?") || strings.Contains(got.location(), "evil") {
			t.Errorf("%s: location %q", extra, got.location())
		}
	}
}

// What a leak of the return URL gives away is worth nothing without being the
// user who began.
func TestThreat33_LeakedTicket(t *testing.T) {
	t.Parallel()
	for _, platform := range []string{"x", "facebook"} {
		t.Run(platform, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.browser(&alice)
			back := b.consent(b.start(platform, url.Values{"select": {"all"}}), nil)
			ticket := w.browser(nil).arrive(back).outcome(t).Get("ticket")
			if ticket == "" {
				t.Fatal("no ticket")
			}
			body := map[string]string{"ticket": ticket}
			w.refused(w.browser(nil).call(http.MethodPost, "/connect/complete", body), http.StatusUnauthorized, "unauthenticated")
			w.refused(w.browser(&bob).call(http.MethodPost, "/connect/complete", body), http.StatusNotFound, "not_found")
			w.refused(w.program("globex").call(http.MethodPost, "/connect/complete", body), http.StatusNotFound, "not_found")
			var out struct{ Status string }
			b.call(http.MethodPost, "/connect/complete", body).decode(t, http.StatusOK, &out)
			if out.Status != "connected" {
				t.Errorf("the user who began gets %+v", out)
			}
			w.refused(w.browser(&mallory).call(http.MethodPost, "/connect/complete", body), http.StatusForbidden, "binding_mismatch")
		})
	}
}

// A ticket in the hands of another user of the tenant burns.
func TestThreat33_TicketBurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	ticket := w.browser(nil).arrive(b.consent(b.start("facebook", nil), nil)).outcome(t).Get("ticket")
	body := map[string]string{"ticket": ticket}
	w.refused(w.browser(&mallory).call(http.MethodPost, "/connect/complete", body), http.StatusForbidden, "binding_mismatch")
	var out struct{ Status, Error string }
	b.call(http.MethodPost, "/connect/complete", body).decode(t, http.StatusOK, &out)
	if out.Status != "error" || out.Error != "binding_mismatch" || len(w.accounts(alice)) != 0 {
		t.Errorf("after the theft: %+v, %d accounts", out, len(w.accounts(alice)))
	}
}

func TestThreat33_LeakedSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	session := b.connect("facebook", url.Values{"mode": {"headless"}}, nil).outcome(t).Get("session")
	path := "/connect/pending/" + session
	choice := map[string][]string{"selected_ids": {"page:110000000000001"}}
	for name, thief := range map[string]*browser{"bob": w.browser(&bob), "mallory": w.browser(&mallory), "globex": w.program("globex")} {
		for _, got := range []reply{thief.get(path), thief.call(http.MethodPost, path+"/finalize", choice)} {
			if code := got.problem(t, http.StatusNotFound); code != "not_found" {
				t.Errorf("%s: code %q", name, code)
			}
		}
	}
	w.refused(w.browser(nil).get(path), http.StatusUnauthorized, "unauthenticated")
	if got := b.call(http.MethodPost, path+"/finalize", choice); got.status != http.StatusOK {
		t.Errorf("the user who began: status %d: %s", got.status, got.body)
	}
}

// refused checks a problem and that nothing is connected for the thief.
func (w *world) refused(got reply, status int, code string) {
	w.t.Helper()
	if found := got.problem(w.t, status); found != code {
		w.t.Errorf("code %q, want %q", found, code)
	}
	if n := len(w.accounts(bob)); n != 0 {
		w.t.Errorf("another tenant has %d accounts", n)
	}
}

func TestThreat34_ForgedOutcome(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, query := range []string{
		"status=connected&account_id=evil", "a=1&status=error&account_ids=evil&flow_id=evil&b=2",
		"%73tatus=error&account%5Fid=evil", "platform=evil&session=evil&ticket=evil&error=evil", "a=1;status=error;account_id=evil",
	} {
		got := w.browser(&alice).connect("x", url.Values{"return_url": {w.host.URL + appHost + "?" + query}}, nil)
		outcome, err := url.ParseQuery(strings.ReplaceAll(strings.TrimPrefix(got.location(), w.host.URL+appHost+"?"), ";", "&"))
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range outcome {
			if len(values) != 1 || strings.Contains(values[0], "evil") {
				t.Errorf("%s: %s=%q in %s", query, name, values, got.location())
			}
		}
		if outcome.Get("status") != "connected" || outcome.Get("platform") != "x" || outcome.Get("account_id") == "" || outcome.Has("error") || outcome.Has("ticket") {
			t.Errorf("%s: outcome %v", query, outcome)
		}
	}
}

// unusedAfter sends hostile answers to a flow's redirect URI; each must be a
// 400 that exchanges nothing and leaves the flow as it is.
func unusedAfter(t *testing.T, answers func(back string) []string) {
	t.Helper()
	w := newWorld(t)
	b := w.browser(&alice)
	back := b.consent(b.start("x", nil), nil)
	for _, answer := range answers(back) {
		got := b.arrive(answer)
		if got.status != http.StatusBadRequest || got.location() != "" {
			t.Errorf("%s: status %d, location %q", answer, got.status, got.location())
		}
		var problem struct{ Code string }
		complete := map[string]string{"platform": "x", "query": queryOf(t, answer)}
		b.call(http.MethodPost, "/connect/complete", complete).decode(t, http.StatusBadRequest, &problem)
		if problem.Code != "invalid_request" {
			t.Errorf("%s: Complete answers %q", answer, problem.Code)
		}
	}
	if n := w.exchanges(); n != 0 {
		t.Errorf("%d exchanges", n)
	}
	if events := w.storedEvents(); len(events) != 0 {
		t.Errorf("events %v", events)
	}
	if got := b.arrive(back).outcome(t); got.Get("status") != "connected" {
		t.Errorf("the honest answer gets %v", got)
	}
}

func queryOf(t *testing.T, target string) string {
	t.Helper()
	_, q, found := strings.Cut(target, "?")
	if !found {
		t.Fatalf("%q has no query", target)
	}
	return q
}

func (w *world) storedEvents() []connect.Event {
	w.t.Helper()
	events, _, err := w.config.Store.ListEvents(w.t.Context(), "acme", connect.Page{Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	return events
}

func TestThreat35_RepeatedParameters(t *testing.T) {
	t.Parallel()
	unusedAfter(t, func(back string) []string {
		u, _ := url.Parse(back)
		code, state := u.Query().Get("code"), u.Query().Get("state")
		base, _, _ := strings.Cut(back, "?")
		return []string{
			back + "&code=" + code, back + "&code=b", back + "&code=", back + "&code", back + "&%63ode=b",
			back + "&state=" + state, back + "&state=b", back + "&iss=a&iss=b", back + "&a=1&a=1",
			base + "?code=a&code=" + code + "&state=" + state,
		}
	})
}

func TestThreat36_MalformedAnswer(t *testing.T) {
	t.Parallel()
	unusedAfter(t, func(back string) []string {
		return []string{back + ";a=1", back + "&a=1;b=2", back + "&a=%", back + "&a=%zz", back + "&%=1", strings.Replace(back, "&", ";", 1)}
	})
}

func TestThreat36_QuerySurvives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, raw := range []string{"?a=1;b=2", "?a=1;b=2&c", "?%2f=+%20?/&a=1&a=2&&", "?=&a==1"} {
		target := w.host.URL + appHost + raw
		got := w.browser(&alice).connect("x", url.Values{"return_url": {target}}, nil)
		if got.status != http.StatusSeeOther || !strings.HasPrefix(got.location(), strings.TrimSuffix(target, "&")+"&status=connected&platform=x&") {
			t.Errorf("%s: status %d, location %q", raw, got.status, got.location())
		}
	}
}

func TestThreat37_ErrorWithoutState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := newWorld(t)
	foreign, err := other.engine.Start(t.Context(), alice, connect.StartRequest{Platform: "x"})
	if err != nil {
		t.Fatal(err)
	}
	b := w.browser(&alice)
	denied := b.consent(b.start("x", nil), url.Values{"decision": {"deny"}})
	state := "state=" + stateOf(t, denied)
	for _, tt := range []struct {
		who    *browser
		query  string
		status int
	}{
		{b, "error=access_denied", http.StatusBadRequest},
		{b, "error=access_denied&state=", http.StatusBadRequest},
		{b, "error=access_denied&state=evil", http.StatusBadRequest},
		{b, "error=access_denied&state=" + foreign.State, http.StatusBadRequest},
		{b, "error=access_denied&error_description=%3Cb%3Eevil&state=evil", http.StatusBadRequest},
		{b, state, http.StatusBadRequest},
		{w.browser(nil), "error=access_denied", http.StatusBadRequest},
	} {
		got := tt.who.arrive("/connect/callback/x?" + tt.query)
		if got.status != tt.status || got.location() != "" || strings.Contains(got.body, "evil") || strings.Contains(got.body, "access_denied") {
			t.Errorf("%s: status %d, location %q: %s", tt.query, got.status, got.location(), got.body)
		}
	}
	if events := w.storedEvents(); len(events) != 0 {
		t.Errorf("events %v", events)
	}
	// With the state, from who began, it is an outcome.
	if got := b.arrive(denied).outcome(t); got.Get("error") != "access_denied" || len(w.storedEvents()) != 1 {
		t.Errorf("outcome %v, events %v", got, w.storedEvents())
	}
}

// A stranger's error cannot end a flow for its user without burning it openly.
func TestThreat37_ErrorOfAStranger(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	denied := b.consent(b.start("x", nil), url.Values{"decision": {"deny"}})
	if got := w.browser(&mallory).arrive(denied); got.status != http.StatusForbidden || got.location() != "" {
		t.Errorf("status %d, location %q", got.status, got.location())
	}
}

func stateOf(t *testing.T, target string) string {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil || u.Query().Get("state") == "" {
		t.Fatalf("no state in %q: %v", target, err)
	}
	return u.Query().Get("state")
}

func TestThreat38_CodeAndError(t *testing.T) {
	t.Parallel()
	unusedAfter(t, func(back string) []string {
		base, _, _ := strings.Cut(back, "?")
		state := "state=" + stateOf(t, back)
		return []string{
			back + "&error=access_denied", back + "&error=", back + "&error",
			base + "?" + state, base + "?code=&" + state, base + "?code&" + state, base + "?code=&error=access_denied&" + state,
		}
	})
}

func TestThreat40_Fragment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, target := range []string{"#x", "#", "?a=1#x", "#_=_", "/#/done"} {
		_, err := w.engine.Start(t.Context(), alice, connect.StartRequest{Platform: "x", ReturnURL: w.host.URL + appHost + target})
		if e := errorOf(t, err); e.Code != connect.CodeReturnURLRefused || e.Field != "return_url" {
			t.Errorf("%s: %v", target, err)
		}
	}
	// An encoded one is a character like any other.
	got := w.browser(&alice).connect("x", url.Values{"return_url": {w.host.URL + appHost + "?a=%23x"}}, nil)
	if got.outcome(t).Get("status") != "connected" || strings.Contains(got.location(), "#") {
		t.Errorf("location %q", got.location())
	}
}

func errorOf(t *testing.T, err error) *connect.Error {
	t.Helper()
	var e *connect.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want a *connect.Error", err)
	}
	return e
}
