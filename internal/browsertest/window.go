package browsertest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/animation"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// In is the same person at the same window, in a subtest.
func (p *Person) In(t *testing.T) *Person {
	t.Helper()
	same := *p
	same.t = t
	return &same
}

// Closes waits until the window is closed.
func (p *Person) Closes() {
	p.t.Helper()
	gone, err := chromedp.Detached(p.ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-gone:
	case <-time.After(patience):
		p.t.Fatalf("the window does not close\n%s", p.page())
	}
}

// Pace is how fast animations run, on later pages too: 1 as they were made, 0
// for one that never gets on.
func (p *Person) Pace(rate float64) {
	p.t.Helper()
	p.do(fmt.Sprintf("run animations at %g", rate), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		if _, err := chromedp.Call(ctx, animation.Enable, cdp.Empty{}); err != nil {
			return err
		}
		_, err := chromedp.Call(ctx, animation.SetPlaybackRate, animation.SetPlaybackRateParams{PlaybackRate: rate})
		return err
	}))
}
