package browsertest

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Focus is what the keyboard acts on, as a screen reader tells it: its role
// and its name, such as "button Sign in".
func (p *Person) Focus() string {
	p.t.Helper()
	var tree accessibility.GetPartialAXTreeResult
	p.do("look where the focus is", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		element, err := chromedp.Run(ctx, chromedp.Evaluate[*runtime.RemoteObject]("document.activeElement"))
		if err != nil {
			return err
		}
		alone := false
		tree, err = chromedp.Call(ctx, accessibility.GetPartialAXTree, accessibility.GetPartialAXTreeParams{ObjectID: element.ObjectID, FetchRelatives: &alone})
		return err
	}))
	words := spoken(tree.Nodes[0].Role) + " " + spoken(tree.Nodes[0].Name)
	return strings.Join(strings.Fields(words), " ")
}

// nowhere is where the focus is past the end of a page.
const nowhere = "none"

func spoken(v *accessibility.Value) string {
	var text string
	if v == nil || json.Unmarshal(v.Value, &text) != nil {
		return ""
	}
	return text
}

// TabTo presses Tab until the focus is there, past the end of the page and on
// from its beginning if need be, and returns where it was on the way, the last
// included.
func (p *Person) TabTo(focus string) []string {
	p.t.Helper()
	var passed []string
	for ends := 0; ends < 2 && len(passed) < 200; {
		p.Press(kb.Tab)
		at := p.Focus()
		passed = append(passed, at)
		switch at {
		case focus:
			return passed
		case nowhere:
			ends++
		}
	}
	p.t.Fatalf("Tab does not lead to %q, but to %q\n%s", focus, passed, p.page())
	return nil
}
