package browsertest

import (
	"context"
	"fmt"
	"time"

	"github.com/chromedp/chromedp"
)

// Sees waits until an element is on the page.
func (p *Person) Sees(xpath string) {
	p.t.Helper()
	await[bool](p, "see "+xpath, seen(xpath, "true"))
}

// Click clicks on an element once it takes clicks: a button that appears under
// the pointer is armed half a second later.
func (p *Person) Click(xpath string) {
	p.t.Helper()
	at := await[[2]float64](p, "click "+xpath, seen(xpath, `getComputedStyle(element).pointerEvents === "none" ? null : place(element)`))
	p.do("click "+xpath, chromedp.MouseClickXY(at[0], at[1]))
}

// DoubleClick clicks twice on the place of an element, whether or not it takes
// clicks.
func (p *Person) DoubleClick(xpath string) {
	p.t.Helper()
	at := await[[2]float64](p, "click on the place of "+xpath, seen(xpath, "place(element)"))
	p.do("click on the place of "+xpath, chromedp.MouseClickXY(at[0], at[1]), chromedp.MouseClickXY(at[0], at[1], chromedp.ClickCount(2)))
}

// Type types into a field.
func (p *Person) Type(xpath, text string) {
	p.t.Helper()
	await[bool](p, "type into "+xpath, seen(xpath, "(element.focus(), true)"))
	p.Press(text)
}

// Until waits until an expression is true, on whatever page there is by then.
func (p *Person) Until(expression string) {
	p.t.Helper()
	await[bool](p, "have it that "+expression, "Boolean("+expression+") || null")
}

// seen is an expression for what a visible element is worth, null until there
// is one on a page that has loaded: what lies where is only known then.
func seen(xpath, worth string) string {
	return fmt.Sprintf(`(() => {
		const element = document.evaluate(%q, document, null, XPathResult.FIRST_ORDERED_NODE_TYPE, null).singleNodeValue;
		const place = (element) => {
			element.scrollIntoView({block: "center", behavior: "instant"});
			const box = element.getClientRects()[0];
			return [box.x + box.width / 2, box.y + box.height / 2];
		};
		return document.readyState === "complete" && element?.checkVisibility({visibilityProperty: true}) ? %s : null;
	})()`, xpath, worth)
}

// await asks again and again what an expression is, until it is not null. An
// error is no answer: the page may have been on its way out.
func await[T any](p *Person, what, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	for {
		value, err := chromedp.Run(ctx, chromedp.Evaluate[*T](expression))
		if err == nil && value != nil {
			return *value
		}
		select {
		case <-ctx.Done():
			p.t.Fatalf("%s: it does not come to that (%v)\n%s", what, err, p.page())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
