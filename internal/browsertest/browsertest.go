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
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/seed944197df/connect/internal/testreq"
)

// patience is how long a step may take.
const patience = 30 * time.Second

// Person is somebody in front of one browser window.
type Person struct {
	t       *testing.T
	ctx     context.Context //nolint:containedctx // chromedp keeps a window in its context
	screen  Screen
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
	p.do("turn to the window", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		return err
	}))
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
	p.screen = s
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

// Press presses keys, such as those of package kb, wherever the focus is, while
// others are held down.
func (p *Person) Press(keys string, held ...chromedp.Modifier) {
	p.t.Helper()
	p.do("press a key", chromedp.KeyEvent(keys, likeKeyboard, chromedp.KeyModifiers(held...)))
}

// likeKeyboard sends a key as keyboards do: where pressing it did something,
// such as following a link, no character follows.
func likeKeyboard(event *input.DispatchKeyEventParams) {
	if event.Type == kb.KeyDown {
		event.Type = kb.KeyRawDown
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

// Popup is the window that opens by what the person does.
func (p *Person) Popup(act func()) *Person {
	p.t.Helper()
	opened := chromedp.WaitNewTarget(p.ctx, func(info *target.Info) bool { return info.Type == "page" })
	act()
	select {
	case id := <-opened:
		ctx, cancel := chromedp.NewContext(p.ctx, chromedp.WithTargetID(id))
		p.t.Cleanup(cancel)
		return &Person{t: p.t, ctx: ctx, screen: p.screen, console: listen(ctx)}
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
