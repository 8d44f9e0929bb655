package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed944197df/connect/internal/browsertest"
)

// framed puts an address into a frame of the page and says whether the page
// can look inside, once the browser is done with it.
func framed(p *browsertest.Person, address string) (inside bool) {
	return browsertest.Evaluate[bool](p, fmt.Sprintf(`new Promise((done) => {
		const frame = document.createElement("iframe");
		frame.onload = () => done(frame.contentDocument !== null);
		frame.src = %q;
		document.body.append(frame);
	})`, address))
}

func TestThreat82_NotFramed(t *testing.T) { //nolint:tparallel // one person, one step after another
	t.Parallel()
	p := browsertest.New(t)
	q := startQuickstart(t, filepath.Join(t.TempDir(), "quickstart.db"))
	q.signIn(p)
	p.Open(q.app + "/connect/start/facebook")
	p.Click(`//a[contains(@href, "/start/facebook")]`)
	p.Click(`//button[@value="allow"]`)
	p.Sees(`//input[@value="page:110000000000001"]`)
	picker := browsertest.Evaluate[string](p, "location.origin + location.pathname")

	pages := map[string]string{
		"the connect page":      q.app + "/connect/ui/",
		"the picker":            picker,
		"the hop page":          q.app + "/connect/start/facebook",
		"a form":                q.app + "/connect/ui/credentials/bluesky",
		"a result":              q.app + "/connect/ui/result?status=connected&platform=x",
		"the result of a popup": q.visitor("demo-acme").finish("x", "alice", "popup", "deny").String(),
		"an error":              q.app + "/connect/ui/nothing",
	}
	for site, from := range map[string]string{"another site": foreign(t, ""), "our own": q.app + "/nothing"} {
		t.Run("by "+site, func(t *testing.T) {
			p := p.In(t)
			p.Open(from)
			if own := site == "our own"; framed(p, q.app+"/nothing") != own {
				t.Fatal("the test cannot tell what is framed")
			}
			traffic := p.Traffic()
			for name, address := range pages {
				if name == "the hop page" && site == "our own" {
					continue // which other sites alone come across
				}
				if framed(p, address) {
					t.Errorf("%s can be looked into", name)
				}
				traffic.Refuses(address)
			}
		})
	}
	for name, address := range map[string]string{"the picker": picker, "the hop page": q.app + "/connect/start/facebook"} {
		t.Run("nor is a click taken for another page's, on "+name, func(t *testing.T) {
			p := p.In(t)
			p.Pace(0) // the first half second lasts
			p.Open(address)
			traffic := p.Traffic()
			p.DoubleClick(`//*[contains(@class, "armed")]`)
			p.Sees(`//*[contains(@class, "armed")]`)
			pictures := func(url string) bool { return strings.HasPrefix(url, "https:") }
			if urls := slices.DeleteFunc(traffic.URLs(), pictures); len(urls) > 0 {
				t.Fatalf("it asked for %v", urls)
			}
			p.Pace(1)
			p.Click(`//*[contains(@class, "armed")]`)
			p.Until(`!document.querySelector(".armed") || document.querySelector("[role=alert]")`)
		})
	}
}
