package connect_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/seed944197df/connect"
)

const (
	fromAlice   = " HTTP/1.1\nHost: host.test\nCookie: session={tenant}/alice\nSec-Fetch-Site: same-origin"
	fromProgram = " HTTP/1.1\nHost: host.test\nAuthorization: Bearer key-{tenant}\nContent-Type: application/json"
	fromNobody  = " HTTP/1.1\nHost: host.test\nSec-Fetch-Site: cross-site"
)

// FuzzHandler sends any request to a tenant with open flows. Whatever it is,
// the answer is one of ours: it blames the request and not the engine, leads
// to no foreign address, shows a tenant's names to nobody else, and shows no
// token to anybody.
func FuzzHandler(f *testing.F) {
	for _, target := range []string{
		"/connect/ui/", "/connect/ui/?return_url=https%3A%2F%2Fapp.test%2F", "/connect/ui/pending/{session}?q=Page&cursor=20", "/connect/ui/credentials/quiet?mode=popup", "/connect/ui/result?status=error&error=expired&flow_id={flow}", "/connect/ui/result?status=error&error=access_denied&flow_id={popup}",
		"/connect/start/quiet?scopes=a+b,c&metadata=%7B%7D&return_url=https%3A%2F%2Fapp.test%2Fx", "/connect/callback/quiet?code=c&state={state}", "/connect/callback/quiet?error=access_denied&state={state}",
		"/connect/go/{link}", "/connect/flows/{flow}", "/connect/pending/{session}?limit=100", "/connect/accounts?status=active&cursor=MS4y", "/connect/accounts/{account}", "/connect/platforms",
	} {
		for _, from := range []string{fromAlice, fromProgram, fromNobody} {
			f.Add("GET "+target+from, "")
		}
	}
	for target, body := range map[string]string{
		"/connect/start/quiet": `{"user":"alice","scopes":["a"],"return_url":"https://app.test/?a=b","mode":"popup","select":"all","metadata":{"a":1},"login_hint":"x"}`,
		"/connect/complete":    `{"ticket":"{ticket}"}`, "/connect/pending/{session}/finalize": `{"selected_ids":["page:1","page:2"],"return_url":"https://app.test/"}`,
		"/connect/credentials/quiet": `{"password":"p","metadata":{}}`,
	} {
		f.Add("POST "+target+fromProgram, body)
		f.Add("POST "+target+fromAlice+"\nContent-Type: application/json", body)
	}
	f.Add("POST /connect/complete"+fromProgram, `{"platform":"quiet","query":"code=c&state={state}"}`)
	f.Add("POST /connect/ui/pending/{session}"+fromAlice+"\nContent-Type: application/x-www-form-urlencoded", "selected_ids=page:1&q=x")
	f.Add("DELETE /connect/accounts/{account}"+fromProgram, "")
	hosts := []*quietHost{newQuietHost(f, connect.BindSession), newQuietHost(f, connect.BindBrowser)}
	f.Fuzz(func(t *testing.T, head, body string) {
		for _, host := range hosts {
			v := host.visit(t)
			w := v.serve(head, body)
			if w == nil {
				return
			}
			wantOurs(t, w)
			if !strings.Contains(head, "{tenant}") && strings.Contains(w.Body.String(), v.secret) {
				t.Errorf("somebody else is shown the tenant's names: %s", w.Body)
			}
		}
	})
}

// wantOurs checks what holds of every answer.
func wantOurs(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	statuses := []int{200, 201, 303, 400, 401, 403, 404, 405, 409, 410, 422, 429}
	if !slices.Contains(statuses, w.Code) || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("status %d, headers %v: %s", w.Code, w.Header(), w.Body)
	}
	if strings.Contains(fmt.Sprint(w.Header(), w.Body), quietToken) {
		t.Errorf("the answer holds a token: %v %s", w.Header(), w.Body)
	}
	if target := w.Header().Get("Location"); target != "" || w.Code == http.StatusSeeOther {
		u, err := url.Parse(target)
		if err != nil || u.Scheme != "https" || u.User != nil || !slices.Contains([]string{"host.test", "app.test", "quiet.test"}, u.Host) {
			t.Errorf("status %d leads to %q", w.Code, target)
		}
	}
	for _, cookie := range w.Result().Cookies() {
		if !strings.HasPrefix(cookie.Name, "__Host-cx-") || !cookie.Secure || !cookie.HttpOnly {
			t.Errorf("cookie %v", cookie)
		}
	}
	wantContent(t, w)
}

// wantContent checks that an answer's body is what its type says.
func wantContent(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	body := w.Body.Bytes()
	kind, _, _ := mime.ParseMediaType(w.Header().Get("Content-Type"))
	switch {
	case len(body) == 0:
	case w.Header().Get("X-Content-Type-Options") != "nosniff" || !utf8.Valid(body):
		t.Errorf("%s is sniffed, or no text: %q", kind, body)
	case kind == "application/json" || kind == "application/problem+json":
		if !json.Valid(body) || (w.Code >= 400) != (kind == "application/problem+json") {
			t.Errorf("status %d with %s: %s", w.Code, kind, body)
		}
	case kind == "text/html":
		wantPage(t, w.Header().Get("Content-Security-Policy"), w.Body.String())
	case kind != "text/css":
		t.Errorf("content type %q", kind)
	}
}

// wantPage checks that a page holds no script but that of a popup's end, which
// speaks to the flow's own origin.
func wantPage(t *testing.T, policy, page string) {
	t.Helper()
	scripts := strings.Count(page, "<script")
	ours := strings.Contains(page, `<script data-origin="https://app.test" data-message="`)
	if !strings.HasPrefix(policy, "default-src 'none'; style-src 'self'; ") || scripts > 1 || (scripts == 1) != ours || ours != strings.Contains(policy, "script-src 'sha256-") {
		t.Errorf("policy %q of %s", policy, page)
	}
}

// FuzzHandle: nothing but the handle itself opens what it names, to nobody but
// those it is for.
func FuzzHandle(f *testing.F) {
	f.Add("", uint(0), byte(1))
	f.Add(strings.Repeat("A", 43), uint(42), byte('A'^'B'))
	f.Add("../accounts", uint(7), byte(0x20))
	f.Add(strings.Repeat("a", 65), uint(20), byte(0x80))
	hosts := []*quietHost{newQuietHost(f, connect.BindSession), newQuietHost(f, connect.BindBrowser)}
	f.Fuzz(func(t *testing.T, text string, at uint, flip byte) {
		for _, host := range hosts {
			v := host.visit(t)
			neighbour := connect.Principal{Tenant: v.key.Tenant + "-2", User: "alice", Ambient: true}
			colleague := connect.Principal{Tenant: v.key.Tenant, User: "mallory", Ambient: true}
			forged := []string{text}
			for _, kind := range []string{"session", "ticket", "flow", "link"} {
				handle := v.handle(kind)
				if handle == "" {
					continue
				}
				v.wantHidden(colleague, handle)
				v.wantHidden(neighbour, handle)
				if changed := []byte(handle); flip != 0 {
					changed[at%uint(len(changed))] ^= flip
					forged = append(forged, string(changed))
				}
			}
			v.wantClosed(neighbour, cmp.Or(v.handle("ticket"), v.handle("link"))) // a binding has one of them
			for _, text := range forged {
				v.wantHidden(v.alice, text)
				v.wantClosed(v.alice, text)
				v.wantUnbound(text)
			}
			v.wantOpen()
		}
	})
}

// wantHidden fails if p is shown a flow or a selection by the text.
func (v *quietVisit) wantHidden(p connect.Principal, text string) {
	v.t.Helper()
	_, err1 := v.engine.Pending(v.t.Context(), p, text, connect.PendingRequest{})
	_, err2 := v.engine.Finalize(v.t.Context(), p, text, connect.FinalizeRequest{SelectedIDs: []string{"page:1"}})
	_, err3 := v.engine.Flow(v.t.Context(), p, text)
	for _, err := range []error{err1, err2, err3} {
		if connect.CodeOf(err) != connect.CodeNotFound {
			v.t.Errorf("%q opens something, or fails with %v", text, err)
		}
	}
}

// wantClosed fails if p can go on with a flow by the text.
func (v *quietVisit) wantClosed(p connect.Principal, text string) {
	v.t.Helper()
	_, err := v.engine.Complete(v.t.Context(), p, connect.CompleteRequest{Ticket: text})
	if code := connect.CodeOf(err); code != connect.CodeNotFound && (code != connect.CodeInvalidRequest || text != "" && len(text) <= 64) {
		v.t.Errorf("the ticket %q opens something, or fails with %v", text, err)
	}
	r := httptest.NewRequestWithContext(v.t.Context(), http.MethodGet, "/", nil)
	r.SetPathValue("link", text)
	r.Header.Set("Cookie", "session="+p.Tenant+"/"+p.User)
	w := httptest.NewRecorder()
	v.engine.LinkHandler().ServeHTTP(w, r)
	if w.Code != http.StatusNotFound && (w.Code != http.StatusForbidden || p == v.alice) {
		v.t.Errorf("the link %q is answered with %d", text, w.Code)
	}
}

// wantUnbound fails if a browser whose cookie holds the text may come back.
func (v *quietVisit) wantUnbound(text string) {
	v.t.Helper()
	if v.host.binding != connect.BindBrowser {
		return
	}
	r := httptest.NewRequestWithContext(v.t.Context(), http.MethodGet, "/connect/callback/quiet?code=c&state="+v.handle("state"), nil)
	r.AddCookie(&http.Cookie{Name: "__Host-cx-" + v.handle("flow"), Value: text})
	if out, err := v.engine.Callback(r, "quiet", ""); connect.CodeOf(err) != connect.CodeBindingMismatch {
		v.t.Errorf("the cookie %q has the outcome %+v, %v", text, out, err)
	}
}

// wantOpen fails if a handle of the visit has been used up.
func (v *quietVisit) wantOpen() {
	v.t.Helper()
	if _, err := v.engine.Flow(v.t.Context(), v.alice, v.handle("flow")); err != nil {
		v.t.Error(err)
	}
	if session := v.handle("session"); session != "" {
		if _, err := v.engine.Pending(v.t.Context(), v.alice, session, connect.PendingRequest{}); err != nil {
			v.t.Error(err)
		}
		if _, err := v.engine.Complete(v.t.Context(), v.key, connect.CompleteRequest{Ticket: v.handle("ticket")}); err != nil {
			v.t.Error(err)
		}
	}
	if link := v.handle("link"); link != "" {
		if w := v.serve("GET /connect/go/{link}"+fromAlice, ""); w.Code != http.StatusOK {
			v.t.Errorf("the link is answered with %d", w.Code)
		}
	}
}

// FuzzPending: any page of any search shows what was offered and is asked for,
// each once, and a choice connects what was offered and nothing else.
func FuzzPending(f *testing.F) {
	f.Add("Page 1", "", "", 5, "page:1,page:2")
	f.Add("", "page:1", "20", 100, "page:1,page:1")
	f.Add("  PAGE", "", "29", 1, "page:30")
	f.Add("\u0130", "", "2000", 0, "")
	f.Add("x", "", "+1", -1, "profile:1,page:001")
	host := newQuietHost(f, connect.BindSession)
	f.Fuzz(func(t *testing.T, query, parent, cursor string, limit int, choice string) {
		v := host.visit(t)
		v.wantPages(query, parent, cursor, limit)
		var ids []string
		if choice != "" {
			ids = strings.Split(choice, ",")
		}
		v.wantChoice(ids)
	})
}

func (v *quietVisit) wantPages(query, parent, cursor string, limit int) {
	v.t.Helper()
	seen := map[string]bool{}
	for range quietPages + 2 {
		view, err := v.engine.Pending(v.t.Context(), v.alice, v.handle("session"), connect.PendingRequest{Query: query, Parent: parent, Page: connect.Page{Cursor: cursor, Limit: limit}})
		if err != nil {
			if connect.CodeOf(err) != connect.CodeInvalidRequest || len(seen) > 0 {
				v.t.Errorf("%q, %q, %q, %d: %v", query, parent, cursor, limit, err)
			}
			return
		}
		if len(view.Candidates) > 100 || limit > 0 && len(view.Candidates) > limit {
			v.t.Errorf("%d candidates, want at most %d", len(view.Candidates), limit)
		}
		for _, c := range view.Candidates {
			found := strings.Contains(strings.ToLower(c.Name), strings.ToLower(strings.TrimSpace(query))) || strings.Contains(c.PlatformID, strings.TrimSpace(query))
			if seen[c.ID()] || !found || parent != "" || !offeredPage(c.ID()) {
				v.t.Errorf("%q is shown, of the search for %q in %q, or shown again", c.ID(), query, parent)
			}
			seen[c.ID()] = true
		}
		if cursor = view.NextCursor; cursor == "" {
			return
		}
	}
	v.t.Errorf("%q, %q, %q, %d: the list does not end", query, parent, cursor, limit)
}

func offeredPage(id string) bool {
	number, page := strings.CutPrefix(id, "page:")
	n, err := strconv.Atoi(number)
	return page && err == nil && 0 <= n && n < quietPages && number == strconv.Itoa(n)
}

// wantChoice fails unless a choice connects exactly what it names, or names
// what was not offered, and leaves the selection open.
func (v *quietVisit) wantChoice(ids []string) {
	v.t.Helper()
	all, err := v.engine.Pending(v.t.Context(), v.alice, v.handle("session"), connect.PendingRequest{Page: connect.Page{Limit: 100}})
	if err != nil || !all.Complete || len(all.Candidates) != quietPages {
		v.t.Fatalf("the whole list: %+v, %v", all, err)
	}
	choice := slices.Sorted(slices.Values(ids))
	unknown := func(id string) bool { return !offeredPage(id) }
	if len(ids) == 0 || len(slices.Compact(slices.Clone(choice))) < len(ids) || slices.ContainsFunc(ids, unknown) {
		_, err := v.finalize(ids)
		if e := errorOf(v.t, err); e.Code != connect.CodeNotOffered || e.Field != "selected_ids" {
			v.t.Errorf("choosing %q: %v, want not_offered", ids, err)
		}
		choice = []string{"page:0"}
	}
	if got, err := v.finalize(choice); err != nil || !slices.Equal(got, choice) {
		v.t.Errorf("choosing %q connects %q, %v", choice, got, err)
	}
}

// finalize returns the ids of what was connected, sorted.
func (v *quietVisit) finalize(ids []string) ([]string, error) {
	done, err := v.engine.Finalize(v.t.Context(), v.alice, v.handle("session"), connect.FinalizeRequest{SelectedIDs: ids})
	if err != nil {
		return nil, err
	}
	var got []string
	for _, a := range done.Accounts {
		got = append(got, a.Kind+":"+a.PlatformID)
	}
	return slices.Sorted(slices.Values(got)), nil
}
