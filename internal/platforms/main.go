// Command platforms writes the table of what each provider can do into the
// documents that show it, from the providers themselves:
//
//	go run ./internal/platforms
//
// It runs at the module's root. A test fails where a document is behind.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/bluesky"
	"github.com/seed944197df/connect/providers/facebook"
	"github.com/seed944197df/connect/providers/googlebusiness"
	"github.com/seed944197df/connect/providers/linkedin"
	"github.com/seed944197df/connect/providers/x"
	"github.com/seed944197df/connect/providers/youtube"
)

// providers are all there are, in the order of the table.
var providers = []connect.Provider{
	x.New(x.Options{}),
	facebook.New(facebook.Options{}),
	linkedin.New(linkedin.Options{}),
	youtube.New(youtube.Options{}),
	googlebusiness.New(googlebusiness.Options{}),
	bluesky.New(nil),
}

// documents show the table, between the marks.
var documents = []string{"README.md", "docs/design.md"}

const (
	begins = "<!-- platforms: go run ./internal/platforms -->\n"
	ends   = "<!-- /platforms -->"
)

func main() {
	for _, file := range documents {
		if err := write(file); err != nil {
			fmt.Fprintf(os.Stderr, "platforms: %s: %v\n", file, err)
			os.Exit(1)
		}
	}
}

func write(file string) error {
	old, err := os.ReadFile(file) //nolint:gosec // one of documents
	if err != nil {
		return err
	}
	text, err := withTable(old)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644) //nolint:gosec // a document that everybody may read
}

// withTable returns text with the present table between the marks.
func withTable(text []byte) ([]byte, error) {
	before, rest, begun := bytes.Cut(text, []byte(begins))
	_, after, ended := bytes.Cut(rest, []byte(ends))
	if !begun || !ended {
		return nil, errors.New("the marks of the table are missing")
	}
	return fmt.Appendf(nil, "%s%s%s%s%s", before, begins, table(), ends, after), nil
}

// table is the table as Markdown.
func table() string {
	var t strings.Builder
	t.WriteString("| Platform | Connected by | Accounts | Refresh | Revocation ends | A new consent | Import, live probe | API version |\n")
	t.WriteString("|---|---|---|---|---|---|---|---|\n")
	for _, provider := range providers {
		p := provider.Platform()
		_, identifies := provider.(connect.Identifier)
		cells := []string{
			p.DisplayName, methods(p), kinds(p), refresh(provider), revocation(provider), reconsent(p), yes(identifies), version(p.Version),
		}
		fmt.Fprintf(&t, "| %s |\n", strings.Join(cells, " | "))
	}
	return t.String()
}

func methods(p connect.Platform) string {
	var all []string
	for _, m := range p.Methods {
		var asked []string
		for _, f := range m.Fields {
			asked = append(asked, f.Label)
		}
		all = append(all, strings.TrimSuffix("`"+m.ID+"`: "+strings.Join(asked, ", "), ": "))
	}
	return strings.Join(all, "; ")
}

func kinds(p connect.Platform) string {
	var all []string
	for _, k := range p.Kinds {
		text := "`" + k.Name + "`"
		if k.Multiple {
			text += ", several at once"
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

func refresh(provider connect.Provider) string {
	if _, ok := provider.(connect.Refresher); !ok {
		return "none"
	}
	switch r := provider.Platform().Rotation; r.Class {
	case connect.RotationStable:
		return "the refresh token stays"
	case connect.RotationGrace:
		return "rotates, the old one answers for " + strings.TrimSuffix(r.Grace.String(), "0m0s")
	default:
		return "rotates, the old one ends the grant"
	}
}

func revocation(provider connect.Provider) string {
	p := provider.Platform()
	_, revokes := provider.(connect.Revoker)
	switch {
	case revokes && p.Revokes == connect.ReachToken:
		return "the tokens"
	case revokes && p.Revokes == connect.ReachSubject:
		return "all that the person gave to the client"
	default:
		return "nothing: there is none"
	}
}

func reconsent(p connect.Platform) string {
	switch {
	case !slices.ContainsFunc(p.Methods, func(m connect.Method) bool { return m.Type == connect.MethodOAuth }):
		return "-"
	case p.Reconsent == connect.ReconsentReplaces:
		return "changes the earlier ones"
	default:
		return "leaves the earlier ones"
	}
}

func yes(b bool) string { return map[bool]string{true: "yes", false: "no"}[b] }

func version(v connect.Version) string {
	switch {
	case v.Name == "":
		return "-"
	case v.Sunset.IsZero():
		return v.Name
	default:
		return v.Name + ", until " + v.Sunset.Format("2006-01-02")
	}
}
