package browsertest

import (
	"context"
	"slices"
	"sync"

	"github.com/chromedp/chromedp"
)

// console is what a window's pages have written to the console.
type console struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func listen(ctx context.Context) *console {
	c := &console{}
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return // the window is closed
			}
			if m.Type == chromedp.ConsoleError || m.IsException() {
				c.add(m)
			}
		}
	}()
	return c
}

// add keeps a message. A picture that does not load is the network's affair.
func (c *console) add(m chromedp.ConsoleMessage) {
	if m.Source == "network" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, m.URL+": "+m.Text)
}

// Complaints is what the browser has complained of in this window so far:
// errors, exceptions and what a page's Content-Security-Policy forbade.
func (p *Person) Complaints() []string {
	p.console.mu.Lock()
	defer p.console.mu.Unlock()
	return slices.Clone(p.console.lines)
}
