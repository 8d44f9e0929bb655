package main

import (
	"path/filepath"
	"testing"

	"github.com/seed944197df/connect/internal/browsertest"
)

// TestBrowser is a person in Chromium who connects an X account, two of three
// Facebook Pages and a Bluesky account, and disconnects one.
func TestBrowser(t *testing.T) {
	t.Parallel()
	p := browsertest.New(t)
	q := startQuickstart(t, filepath.Join(t.TempDir(), "quickstart.db"))

	p.Open(q.app + "/")
	p.Click(`//button[contains(., "acme")]`)
	p.Click(`//a[contains(., "Connect an account")]`)
	p.Sees(`//h1`)

	p.Click(`//li[contains(., "X")]//a[contains(@href, "/start/x")]`)
	p.Sees(`//button[@value="allow"]`)
	p.Click(`//button[@value="allow"]`)
	p.Sees(`//li[contains(., "X says: Example Bakery")]`)

	p.Click(`//a[contains(., "Connect an account")]`)
	p.Click(`//a[contains(@href, "/start/facebook")]`)
	p.Click(`//button[@value="allow"]`)
	p.Sees(`//input[@value="page:110000000000001"]`)
	p.Click(`//input[@value="page:110000000000001"]`)
	p.Click(`//input[@value="page:110000000000002"]`)
	p.Click(`//button[@name="csrf_token"]`)
	p.Sees(`//li[contains(., "Facebook says: Harbour Bakery Catering")]`)

	p.Click(`//a[contains(., "Connect an account")]`)
	p.Click(`//a[contains(@href, "/ui/credentials/bluesky")]`)
	p.Sees(`//input[@name="app_password"]`)
	p.Type(`//input[@name="identifier"]`, "ada.sandbox.test")
	p.Type(`//input[@name="app_password"]`, "not-an-app-password")
	p.Click(`//button[contains(@class, "primary")]`)
	p.Sees(`//*[@role="alert"]`)
	p.Type(`//input[@name="app_password"]`, "sand-box2-test-pass")
	p.Click(`//button[contains(@class, "primary")]`)
	p.Sees(`//li[contains(., "Bluesky says: session of @ada.sandbox.test")]`)

	p.Click(`//a[contains(., "Connect an account")]`)
	p.Sees(`//li[contains(., "Harbour Bakery Catering")]`)
	p.Click(`//li[contains(., "Harbour Bakery Catering")]//summary`)
	p.Click(`//li[contains(., "Harbour Bakery Catering")]//form//button`)
	p.Sees(`//*[@role="status"]`)
	if got := len(q.visitor("demo-acme").accounts()); got != 3 {
		t.Errorf("%d accounts are left, want 3", got)
	}
}
