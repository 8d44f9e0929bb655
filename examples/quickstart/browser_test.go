package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/seed944197df/connect/internal/testreq"
)

// TestBrowser is a person in Chromium who connects an X account, two of three
// Facebook Pages and a Bluesky account, and disconnects one. With
// CONNECT_SCREENSHOTS set to a folder it keeps what the person saw.
func TestBrowser(t *testing.T) {
	t.Parallel()
	ctx := chromium(t)
	q := startQuickstart(t, filepath.Join(t.TempDir(), "quickstart.db"))
	p := &person{t: t, ctx: ctx}

	p.open(q.app + "/")
	p.click(`//button[contains(., "acme")]`)
	p.click(`//a[contains(., "Connect an account")]`)
	p.sees(`//h1`, "connect-empty")

	p.click(`//li[contains(., "X")]//a[contains(@href, "/start/x")]`)
	p.sees(`//button[@value="allow"]`, "")
	p.click(`//button[@value="allow"]`)
	p.sees(`//li[contains(., "X says: Example Bakery")]`, "")

	p.click(`//a[contains(., "Connect an account")]`)
	p.click(`//a[contains(@href, "/start/facebook")]`)
	p.click(`//button[@value="allow"]`)
	p.sees(`//input[@value="page:110000000000001"]`, "picker")
	p.click(`//input[@value="page:110000000000001"]`)
	p.click(`//input[@value="page:110000000000002"]`)
	p.click(`//button[@name="csrf_token"]`)
	p.sees(`//li[contains(., "Facebook says: Harbour Bakery Catering")]`, "")

	p.click(`//a[contains(., "Connect an account")]`)
	p.click(`//a[contains(@href, "/ui/credentials/bluesky")]`)
	p.sees(`//input[@name="app_password"]`, "credentials")
	p.types(`//input[@name="identifier"]`, "ada.sandbox.test")
	p.types(`//input[@name="app_password"]`, "not-an-app-password")
	p.click(`//button[contains(@class, "primary")]`)
	p.sees(`//*[@role="alert"]`, "credentials-refused")
	p.types(`//input[@name="app_password"]`, "sand-box2-test-pass")
	p.click(`//button[contains(@class, "primary")]`)
	p.sees(`//li[contains(., "Bluesky says: session of @ada.sandbox.test")]`, "host")

	p.click(`//a[contains(., "Connect an account")]`)
	p.sees(`//li[contains(., "Harbour Bakery Catering")]`, "connect")
	p.click(`//li[contains(., "Harbour Bakery Catering")]//summary`)
	p.click(`//li[contains(., "Harbour Bakery Catering")]//form//button`)
	p.sees(`//*[@role="status"]`, "disconnected")
	if got := len(q.visitor("demo-acme").accounts()); got != 3 {
		t.Errorf("%d accounts are left, want 3", got)
	}
}

// chromium starts a browser that stays on loopback.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path := testreq.Command(t, "chromium")
	ctx, cancel := chromedp.NewExecAllocator(context.Background(),
		append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(path),
			chromedp.NoSandbox,
			chromedp.Flag("disable-quic", true),
			chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"))...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(390, 844)); err != nil { // no deadline on the first: it starts the browser
		t.Fatal(err)
	}
	return ctx
}

// person does one thing at a time and waits until the page shows it.
type person struct {
	t   *testing.T
	ctx context.Context
}

const patience = 30 * time.Second

func (p *person) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("%s: %v\n%s", what, err, p.page())
	}
}

// page is what the browser shows, for a failure.
func (p *person) page() string {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.pathname + "\n" + document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

func (p *person) open(url string) {
	p.t.Helper()
	p.do("open "+url, chromedp.Navigate(url))
}

// click waits until the element takes clicks: a button that appears under the
// pointer is armed half a second later.
func (p *person) click(xpath string) {
	p.t.Helper()
	armed := fmt.Sprintf(`getComputedStyle(document.evaluate(%q, document, null, XPathResult.FIRST_ORDERED_NODE_TYPE, null).singleNodeValue).pointerEvents !== "none"`, xpath)
	p.do("wait for "+xpath, chromedp.WaitVisible(xpath))
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](armed)); err != nil {
		p.t.Fatalf("%s is never armed: %v", xpath, err)
	}
	p.do("click "+xpath, chromedp.Click(xpath))
}

func (p *person) types(xpath, text string) {
	p.t.Helper()
	p.do("type into "+xpath, chromedp.WaitVisible(xpath), chromedp.SendKeys(xpath, text))
}

// sees waits until something is on the page and, with a name, keeps a picture
// of it: phone and desktop, light and dark.
func (p *person) sees(xpath, name string) {
	p.t.Helper()
	p.do("see "+xpath, chromedp.WaitVisible(xpath))
	folder := os.Getenv("CONNECT_SCREENSHOTS")
	if folder == "" || name == "" {
		return
	}
	for _, scheme := range []string{"light", "dark"} {
		for device, width := range map[string]int64{"phone": 390, "desktop": 1280} {
			p.picture(filepath.Join(folder, name+"-"+device+"-"+scheme+".png"), width, scheme)
		}
	}
	p.do("turn the phone on again", chromedp.EmulateViewport(390, 844))
}

func (p *person) picture(file string, width int64, scheme string) {
	p.t.Helper()
	dark := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
	p.do("emulate "+scheme, chromedp.EmulateViewport(width, 844), dark)
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Fatalf("picture of %s: %v", file, err)
	}
	if err := os.WriteFile(file, png, 0o600); err != nil {
		p.t.Fatal(err)
	}
}
