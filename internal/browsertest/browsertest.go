// Package browsertest is a person with a browser, for tests: Chromium, which
// stays on this machine, driven as by a pointer and a keyboard.
//
// Only tests import it. Where there is no Chromium, [New] ends the test by
// [testreq.Missing]. Elements are named by XPath. Every step has a deadline,
// and one that fails ends the test with what the page shows. A Person is for
// one goroutine.
package browsertest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/seed944197df/connect/internal/testreq"
)

// patience is how long a step may take.
const patience = 30 * time.Second

// Person is somebody in front of one browser window.
type Person struct {
	t       *testing.T
	ctx     context.Context //nolint:containedctx // chromedp keeps a window in its context
	console *console
}

// Screen is what a person looks at.
type Screen struct {
	Width  int64  // CSS pixels
	Scheme string // "light" or "dark"
}

// Phone is the screen that a person begins with.
var Phone = Screen{Width: 390, Scheme: "light"}

// New starts a browser of its own, whose profile is empty.
func New(t *testing.T) *Person {
	t.Helper()
	path := testreq.Command(t, "chromium")
	ctx, cancel := chromedp.NewExecAllocator(context.Background(),
		append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(path),
			chromedp.NoSandbox,
			chromedp.Flag("disable-quic", true),
			chromedp.Flag("disable-popup-blocking", true),
			chromedp.Flag("ignore-certificate-errors", true), // httptest's are its own
			chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"))...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // no deadline on the first: it starts the browser
		t.Fatal(err)
	}
	p := &Person{t: t, ctx: ctx, console: listen(ctx)}
	p.Look(Phone)
	return p
}

// Look changes the screen.
func (p *Person) Look(s Screen) {
	p.t.Helper()
	scheme := chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: s.Scheme}},
		})
		return err
	})
	p.do(fmt.Sprintf("look at %d px, %s", s.Width, s.Scheme), chromedp.EmulateViewport(s.Width, 844), scheme)
}

// ScriptsOff stops the scripts of pages; those of tests still run.
func (p *Person) ScriptsOff() {
	p.t.Helper()
	p.do("turn scripts off", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
}

// Open goes to an address.
func (p *Person) Open(url string) {
	p.t.Helper()
	p.do("open "+url, chromedp.Navigate(url))
}

// Click clicks on an element once it takes clicks: a button that appears under
// the pointer is armed half a second later.
func (p *Person) Click(xpath string) {
	p.t.Helper()
	p.Sees(xpath)
	p.Until(fmt.Sprintf(`getComputedStyle(document.evaluate(%q, document, null, XPathResult.FIRST_ORDERED_NODE_TYPE, null).singleNodeValue).pointerEvents !== "none"`, xpath))
	p.do("click "+xpath, chromedp.Click(xpath))
}

// Type types into a field.
func (p *Person) Type(xpath, text string) {
	p.t.Helper()
	p.do("type into "+xpath, chromedp.WaitVisible(xpath), chromedp.SendKeys(xpath, text))
}

// Press presses keys, such as those of package kb, wherever the focus is.
func (p *Person) Press(keys string) {
	p.t.Helper()
	p.do("press a key", chromedp.KeyEvent(keys))
}

// Sees waits until an element is on the page.
func (p *Person) Sees(xpath string) {
	p.t.Helper()
	p.do("see "+xpath, chromedp.WaitVisible(xpath))
}

// Until waits until an expression is true, on whatever page there is by then.
func (p *Person) Until(expression string) {
	p.t.Helper()
	deadline := time.After(patience)
	for !Evaluate[bool](p, "Boolean("+expression+")") {
		select {
		case <-deadline:
			p.t.Fatalf("it is never true that %s\n%s", expression, p.page())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Evaluate returns what an expression is on the person's page. A promise is
// awaited.
func Evaluate[T any](p *Person, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("evaluate: %v\n%s", err, p.page())
	}
	return v
}

// Picture keeps the whole page as a file.
func (p *Person) Picture(file string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Fatalf("picture of %s: %v", file, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(file, png, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// Popup is the window that opens by what the person does.
func (p *Person) Popup(act func()) *Person {
	p.t.Helper()
	opened := chromedp.WaitNewTarget(p.ctx, func(info *target.Info) bool { return info.Type == "page" })
	act()
	select {
	case id := <-opened:
		ctx, cancel := chromedp.NewContext(p.ctx, chromedp.WithTargetID(id))
		p.t.Cleanup(cancel)
		return &Person{t: p.t, ctx: ctx, console: listen(ctx)}
	case <-time.After(patience):
		p.t.Fatalf("no window opens\n%s", p.page())
		return nil
	}
}

func (p *Person) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("%s: %v\n%s", what, err, p.page())
	}
}

// page is what the browser shows, for a failure.
func (p *Person) page() string {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.pathname + "\n" + document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}
