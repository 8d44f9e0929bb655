package main

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect/internal/browsertest"
)

// signIn opens the host's page as alice.
func (q *quickstart) signIn(p *browsertest.Person) {
	q.t.Helper()
	p.Open(q.app + "/")
	p.Click(`//button[@value="acme"]`)
	p.Sees(`//h1[. = "acme"]`)
}

// says waits until the page's status says text.
func says(p *browsertest.Person, text string) {
	p.Sees(`//*[@role="status" and contains(., "` + text + `")]`)
}

// hear makes a page record every message that it gets from now on.
const hear = `window.heard = [], addEventListener("message", ({origin, data}) => heard.push({origin, ...data})), true`

// A message is what a page hears.
type message struct {
	Origin   string `json:"origin"`
	Type     string `json:"type"`
	Status   string `json:"status"`
	Platform string `json:"platform"`
	Error    string `json:"error"`
}

func heard(p *browsertest.Person) []message {
	return browsertest.Evaluate[[]message](p, "heard")
}

func TestThreat86_PopupTellsItsOpener(t *testing.T) { //nolint:tparallel // one person, one step after another
	t.Parallel()
	p := browsertest.New(t)
	q := startQuickstart(t, filepath.Join(t.TempDir(), "quickstart.db"))
	q.signIn(p)
	p.Click(`//a[@href="/popup"]`)
	p.Sees(`//button[@value="x"]`)

	t.Run("by a message", func(t *testing.T) {
		p := p.In(t)
		browsertest.Evaluate[bool](p, hear)
		browsertest.Evaluate[bool](p, `window.setTimeout = () => {}, true`) // no second poll
		popup := p.Popup(func() { p.Click(`//button[@value="x"]`) })
		says(p, "Go on in the other window.")
		popup.Click(`//button[@value="allow"]`)
		says(p, "Connected: Example Bakery.")
		popup.Closes()
		want := []message{{Origin: q.app, Type: "connect.outcome", Status: "connected", Platform: "x"}}
		if diff := cmp.Diff(want, heard(p)); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
	})
	t.Run("by polling, where the picker has parted the windows", func(t *testing.T) {
		p := p.In(t)
		p.Open(q.app + "/popup")
		browsertest.Evaluate[bool](p, hear)
		popup := p.Popup(func() { p.Click(`//button[@value="facebook"]`) })
		popup.Click(`//button[@value="allow"]`)
		popup.Click(`//input[@value="page:110000000000002"]`)
		popup.Click(`//button[@name="csrf_token"]`)
		says(p, "Connected: Harbour Bakery Catering.")
		popup.Closes()
		if got := heard(p); len(got) != 0 {
			t.Errorf("it was a message: %v", got)
		}
	})
	t.Run("that the person declined", func(t *testing.T) {
		p := p.In(t)
		p.Open(q.app + "/popup")
		browsertest.Evaluate[bool](p, hear)
		popup := p.Popup(func() { p.Click(`//button[@value="x"]`) })
		popup.Click(`//button[@value="deny"]`)
		says(p, "Nothing was connected. You did not give permission on X.")
		popup.Sees(`//p[contains(., "You did not give permission on X.")]`)
		want := []message{{Origin: q.app, Type: "connect.outcome", Status: "error", Platform: "x", Error: "access_denied"}}
		if diff := cmp.Diff(want, heard(p)); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
	})
	t.Run("which believes no message", func(t *testing.T) {
		p := p.In(t)
		p.Open(q.app + "/popup")
		popup := p.Popup(func() { p.Click(`//button[@value="x"]`) })
		popup.Sees(`//button[@value="allow"]`)
		says(p, "Go on in the other window.")
		browsertest.Evaluate[bool](p, `(async () => {
			const asked = performance.getEntriesByType("resource").length;
			while (performance.getEntriesByType("resource").length < asked + 2) { // it has looked, and looked again
				postMessage({type: "connect.outcome", flow_id: waiting, status: "connected", account_ids: "forged"}, location.origin);
				await new Promise((later) => setTimeout(later, 50));
			}
			return true;
		})()`)
		says(p, "Go on in the other window.")
	})
}

// foreign serves pages of another site, which hold nothing but body.
func foreign(t *testing.T, body string) (url string) {
	t.Helper()
	return otherSite(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html>"+body)
	}))
}

// opens is the window that a page's script opens.
func opens(p *browsertest.Person, url string) *browsertest.Person {
	return p.Popup(func() { browsertest.Evaluate[bool](p, fmt.Sprintf(`window.other = open(%q), true`, url)) })
}

func TestThreat86_ForeignOpenerLearnsNothing(t *testing.T) { //nolint:tparallel // one person, one step after another
	t.Parallel()
	p := browsertest.New(t)
	q := startQuickstart(t, filepath.Join(t.TempDir(), "quickstart.db"))
	q.signIn(p)
	visit := func(t *testing.T) *browsertest.Person {
		t.Helper()
		p := p.In(t)
		p.Open(foreign(t, ""))
		browsertest.Evaluate[bool](p, hear)
		return p
	}

	t.Run("of a flow that it starts", func(t *testing.T) {
		p := visit(t)
		popup := opens(p, q.app+"/connect/start/x?mode=popup")
		popup.Click(`//a[contains(@href, "/start/x")]`) // the hop page: the person agrees
		popup.Click(`//button[@value="deny"]`)
		popup.Until(`location.pathname === "/connect/ui/result" && opener === null`)
		if !browsertest.Evaluate[bool](p, "other.closed && heard.length === 0") {
			t.Errorf("it still holds the window, or heard %v", heard(p))
		}
	})
	t.Run("of one that has ended", func(t *testing.T) {
		p := visit(t)
		v := q.visitor("demo-acme")
		opens(p, v.finish("x", "alice", "popup", "allow").String()).Closes()
		popup := opens(p, v.finish("x", "alice", "popup", "deny").String())
		popup.Sees(`//h1[contains(., "X")]`)
		browsertest.Evaluate[bool](popup, `opener.postMessage({type: "the end"}, "*"), true`)
		p.Until("heard.length > 0")
		if diff := cmp.Diff([]message{{Origin: q.app, Type: "the end"}}, heard(p)); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
	})
}
