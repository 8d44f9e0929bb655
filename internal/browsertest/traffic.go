package browsertest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// Traffic is what a window asks servers for.
type Traffic struct {
	p *Person

	mu       sync.Mutex                   // guards what follows
	urls     []string                     // in order, redirects included
	referers []string                     // that were sent
	latest   map[network.RequestID]string // URL
	refused  []string                     // URLs
}

// Traffic records what the window asks for from now on.
func (p *Person) Traffic() *Traffic {
	p.t.Helper()
	traffic := &Traffic{p: p, latest: map[network.RequestID]string{}}
	p.do("watch the network", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, network.Enable, network.EnableParams{})
		return err
	}))
	if err := chromedp.Listen(p.ctx, traffic.record); err != nil {
		p.t.Fatal(err)
	}
	return traffic
}

func (tr *Traffic) record(event any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		tr.urls = append(tr.urls, e.Request.URL)
		tr.latest[e.RequestID] = e.Request.URL
		tr.keepReferer(e.Request.Headers)
	case *network.EventRequestWillBeSentExtraInfo: // what went over the wire
		tr.keepReferer(e.Headers)
	case *network.EventLoadingFailed:
		if e.ErrorText == "net::ERR_BLOCKED_BY_RESPONSE" {
			tr.refused = append(tr.refused, tr.latest[e.RequestID])
		}
	}
}

func (tr *Traffic) keepReferer(headers network.Headers) {
	for name, value := range headers {
		if text, ok := value.(string); ok && strings.EqualFold(name, "Referer") && text != "" && !slices.Contains(tr.referers, text) {
			tr.referers = append(tr.referers, text)
		}
	}
}

// URLs are those that were asked for, in order, redirects included.
func (tr *Traffic) URLs() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.Clone(tr.urls)
}

// Referers are those that were sent, or would have been, each once.
func (tr *Traffic) Referers() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.Clone(tr.referers)
}

// Refuses waits until the browser does not show what url answered, because the
// answer itself says so.
func (tr *Traffic) Refuses(url string) {
	tr.p.t.Helper()
	for deadline := time.After(patience); ; {
		tr.mu.Lock()
		refused := slices.Contains(tr.refused, url)
		tr.mu.Unlock()
		if refused {
			return
		}
		select {
		case <-deadline:
			tr.p.t.Fatalf("the browser shows %s", url)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
