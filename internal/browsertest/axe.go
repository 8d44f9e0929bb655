package browsertest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed944197df/connect/internal/peers"
)

// rules are the sets of axe-core that a page must pass.
var rules = []string{"wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"}

// Axe is the source of [axe-core], which finds what keeps people from using a
// page.
//
// [axe-core]: https://github.com/dequelabs/axe-core
func Axe(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(peers.Module(t, "axe-core"), "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// Violations is what axe-core finds wrong with the page as it is: a line for
// each rule, with the elements that break it. What axe-core cannot decide is
// not among them. It goes by all rules, or only by those that are named.
func (p *Person) Violations(axe string, only ...string) []string {
	p.t.Helper()
	if only == nil {
		only = rules
	}
	if !Evaluate[bool](p, "Boolean(window.axe)") { // once per page: it is half a megabyte
		Evaluate[bool](p, axe+"\n; true")
	}
	run, err := json.Marshal(only)
	if err != nil {
		p.t.Fatal(err)
	}
	found := Evaluate[[]struct {
		ID    string   `json:"id"`
		Help  string   `json:"help"`
		Nodes []string `json:"nodes"`
	}](p, `axe.run(document, {runOnly: `+string(run)+`, resultTypes: ["violations"], selectors: false}).then((r) => r.violations.map((v) => ({id: v.id, help: v.help, nodes: v.nodes.map((n) => n.html)})))`)
	lines := []string{}
	for _, v := range found {
		lines = append(lines, fmt.Sprintf("%s: %s: %s", v.ID, v.Help, strings.Join(v.Nodes, " ")))
	}
	return lines
}
