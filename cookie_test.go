package connect_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
)

// cookies are what the browser would send to the host.
func (b *browser) cookies() map[string]string {
	b.w.t.Helper()
	host, err := url.Parse(b.w.host.URL)
	if err != nil {
		b.w.t.Fatal(err)
	}
	values := map[string]string{}
	for _, c := range b.client.Jar.Cookies(host) {
		values[c.Name] = c.Value
	}
	return values
}

// forgetCookies empties the browser's jar.
func (b *browser) forgetCookies() {
	b.w.t.Helper()
	var err error
	if b.client.Jar, err = cookiejar.New(nil); err != nil {
		b.w.t.Fatal(err)
	}
}

// linked is a browser that has followed a connect link for acme/alice, where
// the link led it, and its flow.
func (w *world) linked(platform string) (b *browser, authorize, flowID string) {
	w.t.Helper()
	b = w.browser(nil)
	started := w.begin(acmeKey, connect.StartRequest{Platform: platform, User: "alice"})
	return b, b.follow(started.URL).location(), started.FlowID
}

func TestThreat24_CookieAttributes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBinding(connect.BindBrowser))
	byLink := w.browser(nil)
	started := w.begin(acmeKey, connect.StartRequest{Platform: "x", User: "alice"})
	byPost := w.browser(&alice).call(http.MethodPost, "/connect/start/x", map[string]string{})
	byGet := w.browser(&alice).get("/connect/start/x")
	for name, r := range map[string]reply{"link": byLink.follow(started.URL), "post": byPost, "get": byGet} {
		lines := r.header.Values("Set-Cookie")
		if len(lines) != 1 {
			t.Fatalf("%s: %d cookies, want one", name, len(lines))
		}
		cookie, err := http.ParseSetCookie(lines[0])
		if err != nil {
			t.Fatal(err)
		}
		id, prefixed := strings.CutPrefix(cookie.Name, "__Host-cx-")
		if !prefixed || w.flowRow(id).Binding != connect.BindBrowser {
			t.Errorf("%s: cookie %q, want the prefix and a flow's id", name, cookie.Name)
		}
		cookie.Name, cookie.Value, cookie.Raw = "", "", ""
		want := &http.Cookie{Path: "/", MaxAge: 15 * 60, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
		if diff := cmp.Diff(want, cookie); diff != "" {
			t.Errorf("%s: cookie (-want +got):\n%s", name, diff)
		}
	}
}

func TestThreat24_TossedCookies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBinding(connect.BindBrowser))
	b, authorize, flowID := w.linked("x")
	_, _, otherID := w.linked("x")
	address := b.consent(authorize, nil)
	name := "__Host-cx-" + flowID
	value := b.cookies()[name]
	if value == "" {
		t.Fatalf("cookies %v, want %s", b.cookies(), name)
	}
	b.forgetCookies()
	before := w.flowRow(flowID)
	for _, header := range []string{
		name + "=planted; " + name + "=" + value,
		name + "=" + value + "; " + name + "=planted",
		name + "=" + value + "; " + name + "=" + value,
		strings.ToLower("__Host-cx-") + flowID + "=" + value,
		strings.ToUpper("__Host-cx-") + flowID + "=" + value,
		"cx-" + flowID + "=" + value,
		"__Host-cx=" + value,
		"__Host-cx-" + otherID + "=" + value,
		name + "=",
		name + "=" + value[:len(value)-1],
		name + "=" + value + "A",
		name + "=" + otherID,
	} {
		b.header.Set("Cookie", header)
		if got := b.arrive(address); got.status != http.StatusForbidden {
			t.Errorf("%s: status %d, want 403", header, got.status)
		}
	}
	if diff := cmp.Diff(before, w.flowRow(flowID)); diff != "" {
		t.Errorf("the flow changed (-before +after):\n%s", diff)
	}
	w.wantExchanges(0)

	b.header.Set("Cookie", name+"="+value)
	if got := b.arrive(address).outcome(t); got.Get("status") != "connected" {
		t.Errorf("the one real cookie: %v, want connected", got)
	}
}

func TestThreat25_FlowsInOneBrowser(t *testing.T) {
	t.Parallel()
	for name, order := range map[string][]int{
		"as begun": {0, 1, 2, 3, 4}, "backwards": {4, 3, 2, 1, 0}, "mixed": {2, 0, 4, 1, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withBinding(connect.BindBrowser))
			b := w.browser(&alice)
			var addresses []string
			for range order {
				addresses = append(addresses, b.consent(b.start("x", nil), nil))
			}
			for _, i := range order {
				if got := b.arrive(addresses[i]).outcome(t); got.Get("status") != "connected" {
					t.Errorf("flow %d: %v, want connected", i, got)
				}
			}
			w.wantExchanges(len(order))
		})
	}
}

func TestThreat25_TheEleventhDropsTheOldest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBinding(connect.BindBrowser))
	b := w.browser(&alice)
	var addresses []string
	for range 11 {
		addresses = append(addresses, b.consent(b.start("x", nil), nil))
		w.clock.advance(time.Millisecond) // the names sort by it
	}
	if got := len(b.cookies()); got != 11 { // ten, and the host's session
		t.Errorf("%d cookies, want 11", got)
	}
	b.arrive(addresses[0]).wantStatus(t, http.StatusForbidden)
	w.wantExchanges(0)
	for i, address := range addresses[1:] {
		if got := b.arrive(address).outcome(t); got.Get("status") != "connected" {
			t.Errorf("flow %d: %v, want connected", i+2, got)
		}
	}
}

// A browser may come with more than ten, and with some that are not ours.
func TestThreat25_ForeignCookiesAreLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBinding(connect.BindBrowser))
	b := w.browser(&alice)
	names := []string{"theme=dark"}
	for i := range 15 {
		names = append(names, fmt.Sprintf("__Host-cx-00000000-0000-7000-8000-0000000000%02d=old", i))
	}
	b.header.Set("Cookie", strings.Join(names, "; "))
	var dropped, set []string
	for _, line := range b.get("/connect/start/x").header.Values("Set-Cookie") {
		cookie, err := http.ParseSetCookie(line)
		switch {
		case err != nil:
			t.Fatal(err)
		case cookie.MaxAge < 0:
			dropped = append(dropped, cookie.Name)
		default:
			set = append(set, cookie.Name)
		}
	}
	var want []string
	for _, name := range names[1:7] { // nine stay beside the new one
		name, _, _ = strings.Cut(name, "=")
		want = append(want, name)
	}
	if !slices.Equal(dropped, want) || len(set) != 1 {
		t.Errorf("dropped %v, set %v; want the six oldest of ours dropped and one set", dropped, set)
	}
}

// Where the host has no session to ask, the flow's cookie alone opens its
// picker, and no other cookie does. No principal is asked where the post comes
// from then, and the form is.
func TestThreat83_PickerByCookieAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBinding(connect.BindBrowser))
	owner, authorize, flowID := w.linked("facebook")
	picker := owner.arrive(owner.consent(authorize, nil)).location()
	page := owner.get(picker)
	forger := w.browser(nil)
	forger.header.Set("Cookie", "__Host-cx-"+flowID+"=forged")
	form := url.Values{"csrf_token": {page.formToken(t)}, "selected_ids": checkboxes(page.body)[:1]}

	other, otherAuthorize, _ := w.linked("facebook")
	otherPicker := other.arrive(other.consent(otherAuthorize, nil)).location()
	otherForm := url.Values{"csrf_token": {other.get(otherPicker).formToken(t)}, "selected_ids": form["selected_ids"]}
	for name, stranger := range map[string]*browser{"cookie of another flow": other, "forged cookie": forger, "no cookie": w.browser(nil)} {
		for _, got := range []reply{
			stranger.get(picker), stranger.post(picker, form),
			stranger.post(picker+"/finalize", form), stranger.post(picker+"/finalize", otherForm),
		} {
			if got.status != http.StatusUnauthorized || strings.Contains(got.body, form.Get("selected_ids")) {
				t.Errorf("%s: status %d, want 401 and nothing of the selection: %s", name, got.status, got.body)
			}
		}
	}
	owner.post(picker+"/finalize", otherForm).wantStatus(t, http.StatusForbidden)
	for name, header := range foreign(w) {
		owner.header = header
		if got := owner.do(http.MethodPost, picker+"/finalize", "application/x-www-form-urlencoded", form.Encode()); got.status != http.StatusForbidden {
			t.Errorf("%s: status %d, want 403", name, got.status)
		}
	}
	owner.header = http.Header{}
	w.wantNothingConnected()

	done := owner.post(picker+"/finalize", form)
	if got := done.outcome(t); got.Get("status") != "connected" {
		t.Fatalf("outcome %v, want connected", got)
	}
	if again := owner.get(picker); again.location() != done.location() {
		t.Errorf("the picker again goes to %q, want %q", again.location(), done.location())
	}
	if got := w.accounts(acmeKey); len(got) != 1 || got[0].ConnectedBy != "alice" {
		t.Errorf("accounts %+v, want one connected by alice", got)
	}
}

// A cookie is for pages of ours. It is no principal of the API, and none under
// another binding.
func TestCookieIsNoPrincipal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBinding(connect.BindBrowser))
	owner, authorize, flowID := w.linked("facebook")
	picker := owner.arrive(owner.consent(authorize, nil)).location()
	session := picker[strings.LastIndex(picker, "/")+1:]
	for _, target := range []string{"/connect/accounts", "/connect/flows/" + flowID, "/connect/pending/" + session} {
		if got := owner.call(http.MethodGet, target, nil).problem(t, http.StatusUnauthorized); got != "unauthenticated" {
			t.Errorf("%s: code %q, want unauthenticated", target, got)
		}
	}
	owner.get("/connect/ui/").wantStatus(t, http.StatusUnauthorized)
}

func TestLinkOfAnotherUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBinding(connect.BindBrowser))
	started := w.begin(acmeKey, connect.StartRequest{Platform: "x", User: "alice"})
	before := w.flowRow(started.FlowID)
	token := w.browser(nil).get(started.URL).formToken(t)
	for _, wrong := range []connect.Principal{mallory, bob} {
		b := w.browser(&wrong)
		b.get(started.URL).wantStatus(t, http.StatusForbidden)
		b.post(started.URL, url.Values{"csrf_token": {token}}).wantStatus(t, http.StatusForbidden)
	}
	if diff := cmp.Diff(before, w.flowRow(started.FlowID)); diff != "" {
		t.Errorf("the flow changed (-before +after):\n%s", diff)
	}
	w.browser(&alice).follow(started.URL).wantStatus(t, http.StatusSeeOther)
}

func TestThreat27_ScannerUsesNoLinkUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBinding(connect.BindBrowser))
	started := w.begin(acmeKey, connect.StartRequest{Platform: "x", User: "alice"})
	before := w.flowRow(started.FlowID)
	scanner := w.browser(nil)
	for range 20 {
		scanner.do(http.MethodHead, started.URL, "", "").wantStatus(t, http.StatusMethodNotAllowed)
		got := scanner.do(http.MethodGet, started.URL, "", "")
		got.wantStatus(t, http.StatusOK)
		if got.header.Get("Set-Cookie") != "" {
			t.Fatal("looking at a link sets a cookie")
		}
	}
	token := scanner.get(started.URL).formToken(t)
	scanner.post(started.URL, nil).wantStatus(t, http.StatusForbidden)
	scanner.do(http.MethodPost, started.URL, "application/x-www-form-urlencoded", "csrf_token="+token).wantStatus(t, http.StatusForbidden)
	if diff := cmp.Diff(before, w.flowRow(started.FlowID)); diff != "" {
		t.Fatalf("the scanner changed the flow (-before +after):\n%s", diff)
	}

	person := w.browser(nil)
	first := person.follow(started.URL)
	first.wantStatus(t, http.StatusSeeOther)
	if again := person.follow(started.URL); again.location() != first.location() {
		t.Errorf("the same browser goes to %q, then to %q", first.location(), again.location())
	}
	scanner.get(started.URL).wantStatus(t, http.StatusGone)
	scanner.post(started.URL, url.Values{"csrf_token": {token}}).wantStatus(t, http.StatusGone)
	if got := person.arrive(person.consent(first.location(), nil)).outcome(t); got.Get("status") != "connected" {
		t.Errorf("outcome %v, want connected", got)
	}
	person.get(started.URL).wantStatus(t, http.StatusGone)
}

// A browser that only looks ahead starts nothing, wherever it comes from.
func TestThreat27_PrefetchStartsNothing(t *testing.T) {
	t.Parallel()
	created := &createdStore{Store: memstore.New(nil)}
	w := newWorld(t, func(c *connect.Config) { c.Store = created })
	for name, b := range map[string]*browser{"person": w.browser(&alice), "program": w.program("acme")} {
		b.header.Set("Sec-Purpose", "prefetch;prerender")
		if got := b.get("/connect/start/x"); got.status != http.StatusOK || got.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: status %d, cookie %q", name, got.status, got.header.Get("Set-Cookie"))
		}
	}
	if got := created.count.Load(); got != 0 {
		t.Errorf("%d flows were created, want none", got)
	}
}

func TestLinkExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withBinding(connect.BindBrowser))
	started := w.begin(acmeKey, connect.StartRequest{Platform: "x", User: "alice"})
	b := w.browser(nil)
	b.get("/connect/go/"+strings.Repeat("A", 43)).wantStatus(t, http.StatusNotFound)
	w.clock.advance(15 * time.Minute)
	b.get(started.URL).wantStatus(t, http.StatusGone)
}

func TestStartByNavigation(t *testing.T) {
	t.Parallel()
	straight := map[string]bool{"Sec-Fetch-Site: same-origin": true, "Sec-Fetch-Dest: document": true, "Sec-Fetch-Mode: navigate": true}
	for _, header := range []string{
		"Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Sec-Fetch-Site: none", "Accept: text/html",
		"Sec-Purpose: prefetch", "Sec-Purpose: prefetch;prerender", "Sec-Fetch-Dest: iframe", "Sec-Fetch-Dest: image", "Sec-Fetch-Dest: document",
		"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Mode: navigate",
	} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			created := &createdStore{Store: memstore.New(nil)}
			w := newWorld(t, func(c *connect.Config) { c.Store = created })
			b := w.browser(&alice)
			name, value, _ := strings.Cut(header, ": ")
			b.header.Set(name, value)
			if name != "Sec-Fetch-Site" && name != "Accept" {
				b.header.Set("Sec-Fetch-Site", "same-origin")
			}
			query := "?return_url=" + url.QueryEscape(w.host.URL+appHost) + "&select=first"
			got := b.do(http.MethodGet, "/connect/start/x"+query, "", "")
			b.do(http.MethodHead, "/connect/start/x"+query, "", "").wantStatus(t, http.StatusMethodNotAllowed)
			if straight[header] {
				got.wantStatus(t, http.StatusSeeOther)
				if created.count.Load() != 1 {
					t.Errorf("%d flows, want one", created.count.Load())
				}
				return
			}
			got.wantStatus(t, http.StatusOK)
			if created.count.Load() != 0 || got.header.Get("Set-Cookie") != "" {
				t.Errorf("%d flows, cookie %q, want none", created.count.Load(), got.header.Get("Set-Cookie"))
			}
			link := regexp.MustCompile(`href="([^"]*/start/x[^"]*)"`).FindStringSubmatch(got.body)
			if link == nil {
				t.Fatalf("no link to go on: %s", got.body)
			}
			b.header.Del(name)
			b.header.Set("Sec-Fetch-Site", "same-origin")
			b.do(http.MethodGet, strings.ReplaceAll(link[1], "&amp;", "&"), "", "").wantStatus(t, http.StatusSeeOther)
		})
	}
}

// A program's key is no cookie: a foreign page cannot send it.
func TestPrefetchByKeyStartsNothing(t *testing.T) {
	t.Parallel()
	created := &createdStore{Store: memstore.New(nil)}
	w := newWorld(t, func(c *connect.Config) { c.Store = created })
	b := w.program("acme")
	b.header.Set("Sec-Purpose", "prefetch")
	b.do(http.MethodGet, "/connect/start/x", "", "").wantStatus(t, http.StatusOK)
	if got := created.count.Load(); got != 0 {
		t.Errorf("%d flows, want none", got)
	}
	b.header.Del("Sec-Purpose")
	b.do(http.MethodGet, "/connect/start/x", "", "").wantStatus(t, http.StatusSeeOther)
}
