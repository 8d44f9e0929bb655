package main

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/browsertest"
	"github.com/seed944197df/connect/selection"
)

// shelf is a platform without a network: its form asks for nothing, and its
// grant offers 250 books, 40 at a time.
type shelf struct{}

// Platform implements [connect.Provider].
func (shelf) Platform() connect.Platform {
	return connect.Platform{
		Name: "shelf", DisplayName: "Shelf",
		Methods: []connect.Method{{ID: "form", Type: connect.MethodCredentials}},
		Kinds:   []connect.Kind{{Name: "book", Multiple: true}},
		Hosts:   []string{"api.shelf.test"},
	}
}

// Login implements [connect.Credentials].
func (shelf) Login(_ context.Context, _ connect.Env, req connect.LoginRequest) (*connect.Tokens, error) {
	if len(req.Values) > 0 {
		return nil, &connect.ProviderError{Class: connect.ClassRefused}
	}
	return &connect.Tokens{Subject: "1", Access: connect.NewSecret("access")}, nil
}

// List implements [connect.Lister].
func (shelf) List(_ context.Context, _ connect.Env, _ *connect.Tokens, req connect.ListRequest) (connect.CandidatePage, error) {
	const all, some = 250, 40
	from, err := strconv.Atoi("0" + req.Cursor)
	var page connect.CandidatePage
	for i := from + 1; i <= min(from+some, all); i++ {
		page.Candidates = append(page.Candidates, connect.Candidate{Candidate: selection.Candidate{
			Kind: "book", PlatformID: fmt.Sprintf("urn:shelf:example:book:%020d", i), Name: fmt.Sprintf("Book %03d", i),
		}})
	}
	if from+some < all {
		page.Next = strconv.Itoa(from + some)
	}
	return page, err
}

// TestManyCandidates: what was chosen is kept from page to page and through a
// search, and what was unchosen again is not.
func TestManyCandidates(t *testing.T) {
	t.Parallel()
	p := browsertest.New(t)
	h := startHost(t, "Lax", shelf{})
	p.Open(h.origin + "/")
	p.Click(`//button[@value="acme"]`)
	p.Click(`//a[contains(., "Connect an account")]`)
	p.Click(`//a[contains(@href, "/ui/credentials/shelf")]`)
	p.Click(`//button[contains(@class, "primary")]`)

	shows := func(n int) { p.Until(fmt.Sprintf(`document.querySelectorAll("#choices input").length === %d`, n)) }
	book := func(n int) { p.Click(fmt.Sprintf(`//label[contains(., "Book %03d")]`, n)) }
	press := func(button string) { p.Click(`//button[. = "` + button + `"]`) }
	shows(100)
	book(3)
	press("Next page")
	p.Sees(`//fieldset[@id="choices"]//label[contains(., "Book 101")]`)
	book(150)
	press("Next page")
	shows(50)
	book(250)
	p.Type(`//input[@name="q"]`, "book 007")
	press("Search")
	shows(1)
	book(7)
	press("Show all")
	shows(100)
	book(3) // no more
	press("Connect selected")
	p.Sees(`//h1[. = "acme"]`)
	if diff := cmp.Diff([]string{"Book 007", "Book 150", "Book 250"}, h.names(t)); diff != "" {
		t.Errorf("connected (-want +got):\n%s", diff)
	}
}
