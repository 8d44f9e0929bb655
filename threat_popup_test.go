package connect_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
)

var openerScript = regexp.MustCompile(`<script data-origin="([^"]*)" data-message="([^"]*)">`)

// told is whom a result page tells, and what: "" and nil where it tells nobody
// and keeps no opener.
func told(t *testing.T, page reply) (origin string, message map[string]string) {
	t.Helper()
	if page.status != http.StatusOK {
		t.Fatalf("result page: status %d: %s", page.status, page.body)
	}
	found := openerScript.FindStringSubmatch(page.body)
	keeps := page.header.Get("Cross-Origin-Opener-Policy") != "same-origin"
	if runs := strings.Contains(page.header.Get("Content-Security-Policy"), "script-src"); keeps != runs || keeps != (found != nil) {
		t.Fatalf("the page keeps its opener: %v, may run a script: %v, has one: %v", keeps, runs, found != nil)
	}
	if found == nil {
		return "", nil
	}
	if err := json.Unmarshal([]byte(html.UnescapeString(found[2])), &message); err != nil {
		t.Fatal(err)
	}
	return found[1], message
}

// flat is a return URL's outcome as a popup's message tells it.
func flat(outcome url.Values) map[string]string {
	message := map[string]string{"type": "connect.outcome"}
	for name := range outcome {
		message[name] = outcome.Get(name)
	}
	return message
}

func TestThreat86_PopupTellsOneOrigin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *connect.Config) { c.ReturnOrigins = append(c.ReturnOrigins, "https://spa.example.com") })
	popup := func(returnURL string) url.Values {
		return url.Values{"mode": {"popup"}, "return_url": {returnURL}}
	}
	for _, tt := range []struct {
		name   string
		query  url.Values
		answer url.Values // at the platform
		signed *connect.Principal
		origin string
		status string
	}{
		{"of the return URL", popup("https://spa.example.com/a/page?q=1"), nil, &alice, "https://spa.example.com", "connected"},
		{"our own, where there is no return URL", popup(""), nil, &alice, w.host.URL, "connected"},
		{"of a failure too", popup("https://spa.example.com"), url.Values{"decision": {"deny"}}, &alice, "https://spa.example.com", "error"},
		{"with a ticket where there is no session", popup("https://spa.example.com"), nil, nil, "https://spa.example.com", "continue"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			back := w.browser(&alice).consent(w.browser(&alice).start("x", tt.query), tt.answer)
			b := w.browser(tt.signed)
			end := b.arrive(back)
			origin, message := told(t, b.get(end.location()))
			if origin != tt.origin || message["status"] != tt.status {
				t.Errorf("%q is told %q; want %q, %q", origin, message["status"], tt.origin, tt.status)
			}
			if diff := cmp.Diff(flat(end.outcome(t)), message); diff != "" {
				t.Errorf("message (-address +message):\n%s", diff)
			}
		})
	}
}

func TestThreat86_OtherFlowsTellNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	hosted := b.connect("x", nil, nil).outcome(t)
	open, _ := b.begin("x", object{"mode": "popup"})
	for name, query := range map[string]url.Values{
		"a flow that is no popup's":     hosted,
		"no flow":                       {"status": {"connected"}, "platform": {"x"}},
		"a popup's that has not ended":  {"status": {"connected"}, "flow_id": {open}, "account_ids": {"forged"}},
		"a popup's without its ticket":  {"status": {"continue"}, "flow_id": {open}, "ticket": {strings.Repeat("A", 43)}},
		"a popup's that is not pending": {"status": {"pending"}, "flow_id": {open}, "session": {strings.Repeat("A", 43)}},
		"an unknown flow":               {"status": {"connected"}, "platform": {"x"}, "flow_id": {"01a202ea-80b4-72d1-930f-d2d98dc88776"}},
		"no id":                         {"status": {"connected"}, "flow_id": {"*"}},
	} {
		if origin, message := told(t, b.get("/connect/ui/result?"+query.Encode())); origin != "" {
			t.Errorf("%s: %q is told %v", name, origin, message)
		}
	}
}

// The allow-list of now counts, not that of the flow's start.
func TestThreat86_OriginThatIsNoLongerAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *connect.Config) { c.ReturnOrigins = append(c.ReturnOrigins, "https://spa.example.com") })
	b := w.browser(&alice)
	end := b.connect("x", url.Values{"mode": {"popup"}, "return_url": {"https://spa.example.com/"}}, nil)
	cfg := w.config
	cfg.ReturnOrigins = []string{w.host.URL}
	later, err := connect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if origin, _ := told(t, answerOf(later, arrival(alice, end.location()))); origin != w.host.URL {
		t.Errorf("%q is told", origin)
	}
}

// A message says what the address says, and only names of the return contract.
func TestThreat86_OnlyTheContract(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	end := b.connect("x", url.Values{"mode": {"popup"}}, nil)
	_, message := told(t, b.get(end.location()+"&code=stolen&state=stolen&note=stolen"))
	if diff := cmp.Diff(flat(end.outcome(t)), message); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func TestPopupOfACredentialsForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	target := "/connect/ui/credentials/bluesky?mode=popup&return_url=" + url.QueryEscape(w.host.URL+appHost)
	end := b.post(target, url.Values{"csrf_token": {b.get(target).formToken(t)}, "identifier": {"ada.sandbox.test"}, "app_password": {"sand-box2-test-pass"}})
	if !strings.HasPrefix(end.location(), w.config.BaseURL+"/ui/result?status=connected&") {
		t.Fatalf("the popup ends at %q: %s", end.location(), end.body)
	}
	if origin, message := told(t, b.get(end.location())); origin != w.host.URL || message["status"] != "connected" {
		t.Errorf("%q is told %v", origin, message)
	}
}

// A popup's picker offers no way into the whole connect page.
func TestPopupPickerHasNoCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	for mode, want := range map[string]bool{"popup": false, "hosted": true} {
		picker := b.get(b.connect("facebook", url.Values{"mode": {mode}}, as("dana")).location())
		if got := strings.Contains(picker.body, `/connect/ui/">Cancel`); got != want {
			t.Errorf("%s: the picker has a way to cancel: %v", mode, got)
		}
	}
}
