package main

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect/internal/browsertest"
)

func TestHostPagesAreAccessible(t *testing.T) {
	t.Parallel()
	axe := browsertest.Axe(t)
	p := browsertest.New(t)
	q := startQuickstart(t, filepath.Join(t.TempDir(), "quickstart.db"))
	check := func(page string) {
		for _, scheme := range []string{"light", "dark"} {
			p.Look(browsertest.Screen{Width: browsertest.Phone.Width, Scheme: scheme})
			if diff := cmp.Diff([]string{}, p.Violations(axe)); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", page, scheme, diff)
			}
		}
	}
	p.Open(q.app + "/")
	check("signing in")
	q.visitor("demo-acme").connect("x", "alice")
	q.signIn(p)
	check("home")
	p.Click(`//a[@href="/popup"]`)
	p.Sees(`//button[@value="x"]`)
	check("the popup's opener")
}
