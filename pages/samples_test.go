package pages

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed944197df/connect/selection"
)

func setup(t *testing.T, o Options) *Pages {
	t.Helper()
	if o.BasePath == "" {
		o.BasePath = "/connect"
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func render(t *testing.T, p *Pages, page Page) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	if err := p.Render(w, 200, page); err != nil {
		t.Fatalf("%T: %v", page, err)
	}
	return w
}

// pagesOf is every page in its variants, with s in each place that a platform
// or a visitor fills. Ids, tokens and queries, which a page must not cut, are
// its first 300 bytes.
func pagesOf(s, avatarURL string) map[string]Page {
	id := s[:min(len(s), 300)]
	account := func(status string) Account {
		return Account{ID: id, Platform: "facebook", PlatformName: s, Kind: s, PlatformID: s, Name: s, Username: s, AvatarURL: avatarURL, Status: status, Method: OAuth}
	}
	candidate := Candidate{Candidate: selection.Candidate{Kind: "page", PlatformID: id, Name: s, Username: s, AvatarURL: avatarURL, ParentName: s}, Connected: true, AccountID: id}
	blocked := candidate
	blocked.Reason = or(s, "no")
	platforms := []Platform{
		{Name: "facebook", DisplayName: s, Methods: []Method{{Type: OAuth}}},
		{Name: "bluesky", DisplayName: s, Methods: []Method{{Type: OAuth, ID: id, Label: s}, {Type: CredentialsForm, Label: s}, {Type: Code, Label: s}}},
	}
	var accounts []Account
	for _, status := range []string{"", "active", "limited", "token_expired", "reauth_required", "target_lost", "suspended", "disconnected", s} {
		accounts = append(accounts, account(status))
	}
	kinds := []Kind{{Name: "page", One: s, Many: s, Multiple: true}}
	picker := Picker{Platform: s, Kinds: kinds, Candidates: []Candidate{candidate, blocked}, Self: "/connect/ui/pending/1", Action: "/connect/ui/pending/1/finalize", Token: id}
	mixed := picker
	mixed.Kinds = []Kind{kinds[0], {Name: "board", One: s, Many: s}}
	mixed.Elsewhere = []Candidate{candidate}
	mixed.Query, mixed.Cursor, mixed.Next, mixed.Problem, mixed.Cancel = id, "c", id, "none_chosen", "https://app.example.com/"
	single := picker
	single.Kinds = []Kind{{Name: "page", One: s, Many: s}}
	none := picker
	none.Candidates = []Candidate{blocked}
	empty := picker
	empty.Candidates = nil
	nomatch := empty
	nomatch.Query = id
	fields := []Field{
		{Name: "identifier", Label: s, Help: s, Required: true, Autocomplete: "username", Value: id, Problem: "invalid"},
		{Name: "app_password", Label: s, Secret: true, Required: true, Value: "planted-secret"},
		{Name: "service", Label: s},
	}
	return map[string]Page{
		"connect":            Connect{Platforms: platforms, Accounts: accounts, Query: map[string][]string{"return_url": {id}}, Token: id, Notice: s},
		"connect, nothing":   Connect{},
		"hop":                Hop{Platform: s, Href: "https://www.facebook.com/dialog/oauth?state=s"},
		"connect link":       Hop{Platform: s, Action: "/connect/go/1", Token: id},
		"picker":             picker,
		"picker, mixed":      mixed,
		"picker, single":     single,
		"picker, none":       none,
		"picker, empty":      empty,
		"picker, no match":   nomatch,
		"credentials":        Credentials{Platform: s, Fields: fields[1:], Action: "/connect/c", Token: id},
		"credentials, wrong": Credentials{Platform: s, Fields: fields, Action: "/connect/c", Token: id, Problem: "credentials_refused", Cancel: "/"},
		"result":             Result{Platform: s, Accounts: accounts, Continue: "https://app.example.com/", FlowID: s},
		"result, error":      Result{Platform: s, Code: "access_denied", Continue: "/", Again: "/again", FlowID: s},
		"result, popup":      Result{Platform: s, Accounts: accounts, Opener: &Opener{Origin: "https://app.example.com", Message: map[string]string{"status": "connected"}}},
		"result, other code": Result{Platform: s, Code: or(s, "x")},
		"working":            Working{Platform: s, Refresh: "/connect/callback/facebook?state=s"},
		"error":              Error{Code: or(s, "x"), Platform: s, Back: "/", FlowID: s},
		"error, bare":        Error{Code: "not_found"},
	}
}

func ordinary() map[string]Page { return pagesOf("Old Mill", "https://cdn.example.com/a.png") }

// element is a start tag as a browser reads it.
type element struct {
	name  string
	attrs map[string]string
	text  string // what follows, up to the next tag
}

// elements splits HTML that html/template wrote into its start tags. It is
// strict: an unquoted attribute or a stray bracket in text is an error.
func elements(html string) ([]element, error) {
	var found []element
	for {
		before, rest, ok := strings.Cut(html, "<")
		if strings.Contains(before, ">") {
			return nil, fmt.Errorf("stray > in %q", before)
		}
		if len(found) > 0 {
			found[len(found)-1].text += before
		}
		if !ok {
			return found, nil
		}
		e, after, err := tag(rest)
		if err != nil {
			return nil, err
		}
		html = after
		found = append(found, e)
	}
}

func tag(s string) (element, string, error) {
	end := strings.IndexAny(s, " \n>")
	if end < 0 {
		return element{}, "", fmt.Errorf("unfinished tag %.40q", s)
	}
	e := element{name: s[:end], attrs: map[string]string{}}
	s = s[end:]
	for {
		s = strings.TrimLeft(s, " \n")
		if rest, ok := strings.CutPrefix(s, ">"); ok {
			return e, rest, nil
		}
		end := strings.IndexAny(s, "= \n>")
		if end <= 0 || strings.ContainsAny(s[:end], `"'<`) {
			return element{}, "", fmt.Errorf("odd attribute in %s at %.40q", e.name, s)
		}
		name := s[:end]
		if _, twice := e.attrs[name]; twice {
			return element{}, "", fmt.Errorf("attribute %s twice in %s", name, e.name)
		}
		s = s[end:]
		value := ""
		if rest, ok := strings.CutPrefix(s, `="`); ok {
			if value, s, ok = strings.Cut(rest, `"`); !ok {
				return element{}, "", fmt.Errorf("unfinished attribute in %s", e.name)
			}
		} else if strings.HasPrefix(s, "=") {
			return element{}, "", fmt.Errorf("attribute %s of %s is not quoted", name, e.name)
		}
		e.attrs[name] = value
	}
}

func parsed(t *testing.T, name, html string) []element {
	t.Helper()
	found, err := elements(html)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return found
}
