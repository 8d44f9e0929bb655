package main

import (
	"net/url"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect/internal/browsertest"
)

// origins are those of addresses, in order, each once.
func origins(t *testing.T, addresses []string) []string {
	t.Helper()
	var found []string
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, u.Scheme+"://"+u.Host)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func TestThreat84_NoRequestLeaves(t *testing.T) {
	t.Parallel()
	p := browsertest.New(t)
	q := startQuickstart(t, filepath.Join(t.TempDir(), "quickstart.db"))
	traffic := p.Traffic()
	q.signIn(p)
	for _, platform := range []string{"x", "facebook"} {
		p.Click(`//a[contains(., "Connect an account")]`)
		p.Click(`//a[contains(@href, "/start/` + platform + `")]`)
		p.Click(`//button[@value="allow"]`)
		if platform == "facebook" {
			p.Click(`//input[@value="page:110000000000001"]`)
			p.Click(`//button[@name="csrf_token"]`)
		}
		says(p, "Connected.")
	}
	p.Click(`//a[@href="/popup"]`)
	p.Sees(`//button[@value="x"]`)
	for _, address := range []string{
		"/connect/ui/", "/connect/ui/credentials/bluesky", "/connect/ui/nothing",
		"/connect/ui/result?status=connected&platform=x",
		q.visitor("demo-acme").finish("x", "alice", "popup", "deny").RequestURI(),
		"/connect/start/x",
	} {
		p.Open(q.app + address)
		p.Sees(`//h1`)
	}
	p.Click(`//a[contains(@href, "/start/x")]`) // from the hop page to the platform
	p.Sees(`//button[@value="allow"]`)

	want := []string{q.app, q.sandbox, "https://pbs.twimg.com", "https://scontent.sandbox.test"}
	slices.Sort(want)
	if diff := cmp.Diff(want, origins(t, traffic.URLs())); diff != "" {
		t.Errorf("origins that were asked (-want +got):\n%s", diff)
	}
	if got := traffic.Referers(); len(got) > 0 {
		t.Errorf("they were told %q", got)
	}
	p.Open(foreign(t, `<a href="`+q.app+`/nothing">A page with a referrer</a>`))
	p.Click(`//a`)
	p.Sees(`//pre`)
	if len(traffic.Referers()) == 0 {
		t.Error("the test would not see a Referer")
	}
}
