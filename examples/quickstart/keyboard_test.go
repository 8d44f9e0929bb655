package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect/internal/browsertest"
)

// typist is a person without a pointer.
type typist struct {
	*browsertest.Person

	t *testing.T
}

func (k typist) in(t *testing.T) typist {
	t.Helper()
	return typist{k.In(t), t}
}

// enter goes to a link or button with Tab and presses it.
func (k typist) enter(focus string) {
	k.t.Helper()
	k.TabTo(focus)
	k.Press(kb.Enter)
}

// passes goes on with Tab, by these in this order.
func (k typist) passes(want ...string) {
	k.t.Helper()
	got := slices.DeleteFunc(k.TabTo(want[len(want)-1]), func(focus string) bool { return !slices.Contains(want, focus) })
	if diff := cmp.Diff(want, got); diff != "" {
		k.t.Errorf("order of the focus (-want +got):\n%s", diff)
	}
}

// TestKeyboardWithoutScripts is a person without a pointer, in a browser that
// runs no script.
func TestKeyboardWithoutScripts(t *testing.T) { //nolint:tparallel // one person, one step after another
	t.Parallel()
	p := typist{browsertest.New(t), t}
	q := startQuickstart(t, filepath.Join(t.TempDir(), "quickstart.db"))
	p.ScriptsOff()
	p.Open(q.app + "/")
	p.enter("button Sign in as alice of acme")
	p.Sees(`//h1[. = "acme"]`)

	t.Run("connects two of many Pages", func(t *testing.T) { p.in(t).connectsTwo() })
	t.Run("signs in to Bluesky at the second try", func(t *testing.T) { p.in(t).secondTry() })
	t.Run("disconnects", func(t *testing.T) { p.in(t).disconnects() })
	t.Run("is told where scripts are needed", func(t *testing.T) {
		p := p.in(t)
		p.Open(q.app + "/popup")
		p.passes("link The normal page", "link Your accounts")
	})
}

func (k typist) connectsTwo() {
	k.enter("link Connect an account")
	k.Sees(`//h2[@id="platforms"]`)
	k.Press(kb.Tab)
	k.Press(kb.Enter) // the skip link
	k.Until(`document.activeElement.id === "main"`)
	k.passes("link Connect X", "link Connect Facebook", "link Connect Bluesky")
	k.Press(kb.Tab, kb.ModifierShift)
	k.Press(kb.Enter) // Facebook

	k.Sees(`//button[@value="allow"]`)
	k.TabTo("radio Dana, full rights on three Pages")
	k.Press(kb.ArrowUp) // from the first to the last
	k.Until(`document.activeElement.value === "agency"`)
	k.enter("button Allow")

	k.Sees(`//input[@name="q"]`)
	const search = "searchbox Search by name or ID"
	k.passes("link Skip to content", search, "button Search", "checkbox Client 01", "checkbox Client 02")
	k.Press(" ")
	k.Press(kb.Tab, kb.ModifierShift)
	k.Press(kb.Tab, kb.ModifierShift)
	k.Press(kb.Tab, kb.ModifierShift)
	k.Press("client 64" + kb.Enter)
	k.Until(`document.querySelectorAll("#choices input").length === 1`)
	k.passes("link Skip to content", search, "button Search", "checkbox Client 02", "checkbox Client 64")
	k.Press(" ")
	k.enter("button Show all")
	k.Until(`document.querySelectorAll("#choices input").length === 64`)
	k.enter("button Connect selected")
	k.Sees(`//li[contains(., "Facebook says: Client 02")]`)
	k.Sees(`//li[contains(., "Facebook says: Client 64")]`)
}

func (k typist) secondTry() {
	k.enter("link Connect an account")
	k.Sees(`//h2[@id="platforms"]`)
	k.enter("link Connect Bluesky")
	k.Sees(`//input[@name="app_password"]`)
	const handle = "textbox Handle, e-mail or DID"
	k.passes("link Skip to content", handle)
	k.Press("ada.sandbox.test" + kb.Tab + "not-an-app-password" + kb.Enter)

	k.Sees(`//*[@role="alert"]`)
	if title := browsertest.Evaluate[string](k.Person, "document.title"); !strings.HasPrefix(title, "Problem: ") {
		k.t.Errorf("the title is %q", title)
	}
	k.passes("link This is not an app password, so nothing was sent. One has 19 characters, like abcd-efgh-ijkl-mnop.", handle)
	k.Until(`document.activeElement.value === "ada.sandbox.test"`)
	k.Press(kb.Tab, kb.ModifierShift)
	k.Press(kb.Enter) // what is wrong leads to the field
	k.Until(`document.activeElement.name === "app_password"`)
	k.Press("sand-box2-test-pass" + kb.Enter)
	k.Sees(`//li[contains(., "Bluesky says: session of @ada.sandbox.test")]`)
}

func (k typist) disconnects() {
	k.enter("link Connect an account")
	k.Sees(`//h2[@id="platforms"]`)
	k.enter("DisclosureTriangle Disconnect Client 02")
	const confirm = "button Yes, disconnect Client 02"
	k.passes(confirm)
	k.Press(kb.Enter)
	k.Sees(`//*[@role="status"]`)
	k.Until(`!document.body.innerText.includes("Client 02")`)
}
