package pages

import (
	"net/url"

	"github.com/seed944197df/connect/selection"
)

// samples is one page of each type with every part filled, which New renders
// to try the templates out.
func samples() []Page {
	account := Account{ID: "1", Platform: "p", PlatformName: "P", Kind: "Page", PlatformID: "1", Name: "N", Username: "n", AvatarURL: "https://example.com/a.png", Status: "limited", Method: OAuth}
	candidate := Candidate{Candidate: selection.Candidate{Kind: "page", PlatformID: "1", Name: "N", Username: "n", AvatarURL: "https://example.com/a.png", ParentName: "O"}, Connected: true, AccountID: "1", Chosen: true}
	blocked := Candidate{Candidate: selection.Candidate{Kind: "page", PlatformID: "2", Reason: "R"}}
	kinds := []Kind{{Name: "page", One: "Page", Many: "Pages", Multiple: true}, {Name: "board", One: "Board", Many: "Boards"}}
	field := Field{Name: "identifier", Label: "L", Help: "H", Required: true, Autocomplete: "username", Value: "v", Problem: "required"}
	return []Page{
		Connect{
			Platforms: []Platform{{Name: "p", DisplayName: "P", Methods: []Method{{Type: OAuth, ID: "m", Label: "M"}, {Type: CredentialsForm, Label: "C"}}}},
			Accounts:  []Account{account},
			Query:     url.Values{"return_url": {"https://example.com/"}},
			Token:     "t",
			Notice:    "disconnected",
		},
		Hop{Platform: "P", Action: "/go/1", Token: "t"},
		Picker{
			Platform: "P", Kinds: kinds, Candidates: []Candidate{candidate, blocked}, Elsewhere: []Candidate{candidate},
			Query: "q", Cursor: "c", Next: "n", Self: "/s", Action: "/a", Token: "t", Problem: "none_chosen", Cancel: "/",
		},
		Credentials{Platform: "P", Fields: []Field{field, {Name: "password", Label: "L", Secret: true, Problem: "invalid", Reason: "R"}}, Action: "/a", Token: "t", Problem: "credentials_refused", Reason: "R", Cancel: "/"},
		Result{Nothing: true, Again: "/"},
		Result{Platform: "P", Unfinished: true, FlowID: "f", Opener: &Opener{Origin: "https://example.com"}},
		Result{Platform: "P", Accounts: []Account{account}, Continue: "/", Again: "/", FlowID: "f"},
		Working{Platform: "P", Refresh: "/"},
		Error{Code: "not_found", Back: "/", FlowID: "f"},
		Error{Code: "unauthenticated"},
	}
}
