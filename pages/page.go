package pages

import (
	"net/url"

	"github.com/seed944197df/connect/selection"
)

// Names of the form fields that the pages send back.
const (
	FieldToken    = "csrf_token"   // bound to the person and the form's purpose
	FieldSelected = "selected_ids" // a chosen candidate's id; repeated
	FieldQuery    = "q"            // what the picker's search box holds
	FieldCursor   = "cursor"       // the page of candidates that is asked for
	FieldShow     = "show"         // "all" takes the search back
	FieldShown    = "shown"        // the search that the page shows, to which its cursors belong
)

// Page is one of the pages of this package: [Connect], [Hop], [Picker],
// [Credentials], [Result], [Working] or [Error].
//
// Fields called Href, Action and the like are URLs that the engine made or
// has checked; every other text may come from a platform. Origins in
// FormTargets are where a form's post may be redirected, such as
// "https://app.example.com": Chromium blocks the redirect otherwise.
type Page interface {
	template() string
	formTargets() []string
	hasAvatars() bool
}

// Connect is the page to connect from: a card per platform and the accounts
// there are.
type Connect struct {
	Platforms []Platform
	Accounts  []Account
	Query     url.Values // goes along on every link that starts a connection, such as return_url
	Token     string     // of the disconnect forms
	Notice    string     // "disconnected" after a disconnect, else empty
}

// Platform is a card on [Connect].
type Platform struct {
	Name        string // as in URLs: "facebook"
	DisplayName string // "Facebook"
	Methods     []Method
}

// Method is a way to connect a platform, a button on its card.
type Method struct {
	Type  MethodType
	ID    string // sent as "method" where a platform has several of a type; else empty
	Label string // tells the methods of one platform apart; may be empty where there is one
}

// MethodType says where a method's button leads.
type MethodType string

// The method types: to the platform through {base}/start/{platform}, to our
// form at {base}/ui/credentials/{platform}, or to our code at
// {base}/ui/codes/{platform}.
const (
	OAuth           MethodType = "oauth"
	CredentialsForm MethodType = "credentials"
	Code            MethodType = "code"
)

// Account is a connected account.
type Account struct {
	ID           string
	Platform     string // as in URLs
	PlatformName string // for display
	Kind         string // for display, singular: "Page"; may be empty
	PlatformID   string // the platform's stable id
	Name         string
	Username     string
	AvatarURL    string
	Status       string     // one of the account statuses of the HTTP surface; empty is active
	Method       MethodType // how it reconnects; empty offers no reconnect link
	MethodID     string     // where the platform has several methods; else empty
}

// Hop stands between another site's link and the platform, so that nobody is
// sent there by a link alone. With Action it is a connect link's page, whose
// button binds this browser; otherwise a link to Href.
type Hop struct {
	Platform    string // for display
	Href        string
	Action      string
	Token       string
	FormTargets []string
}

// Picker offers candidates. Where several kinds are offered, or one that may
// be chosen more than once, it shows checkboxes, else radio buttons; two of a
// kind that allows one are refused by [selection.Choose].
//
// All of it is one form. Its search and paging buttons send what is ticked to
// Self, by GET, where the engine reads it with [ReadChoice] and renders again
// with Chosen set on the candidates of the new page and the others under
// Elsewhere; so a choice survives both without a script. Where the ids would
// make the URL longer than proxies like, these buttons POST to Self instead:
// Self must take both and change nothing. The button that finalizes POSTs to
// Action and is the only one that carries the token, so that no URL does.
type Picker struct {
	Platform    string // for display
	Kinds       []Kind // every kind of the session, not only of this page
	Candidates  []Candidate
	Elsewhere   []Candidate // chosen, but not on this page
	Query       string
	Cursor      string // of this page; empty on the first
	Next        string // cursor of the next page; empty on the last
	Self        string // this page's path, without a query
	Action      string
	Token       string
	Problem     string // "none_chosen", "not_offered" or an error code; else empty
	Cancel      string // where to go instead; may be empty
	FormTargets []string
}

// Kind is a kind of candidate in words.
type Kind struct {
	Name     string // "page"
	One      string // "Page"
	Many     string // "Pages"
	Multiple bool   // several may be chosen
}

// Candidate is a row of [Picker].
type Candidate struct {
	selection.Candidate
	Connected bool   // there is an account for it
	AccountID string // of that account
	Chosen    bool
}

// Credentials is a form for a platform that takes a name and a password, or
// the like, in place of a redirect.
type Credentials struct {
	Platform    string // for display
	Fields      []Field
	Action      string
	Token       string
	Problem     string // an error code; empty where there is none, or where fields say it
	Reason      string // a sentence in place of the one for Problem; may be empty
	Cancel      string // where to go instead; may be empty
	FormTargets []string
}

// Field is one input of [Credentials].
type Field struct {
	Name         string
	Label        string
	Help         string
	Secret       bool
	Required     bool
	Autocomplete string // the attribute's value; empty is "off"
	Value        string // what was typed before; never shown of a secret
	Problem      string // "required" or "invalid"; else empty
	Reason       string // a sentence in place of the one for Problem; may be empty
}

// Result is how a flow ended: with accounts, or with the code of an error.
type Result struct {
	Platform   string // for display
	Accounts   []Account
	Code       string  // an error code; empty is success
	Next       string  // what to do about it, instead of our own words; may be empty
	Continue   string  // where to go on; may be empty
	Again      string  // where to try again; may be empty
	FlowID     string  // reference for support
	Unfinished bool    // consent was given, and the host must finish it
	Nothing    bool    // the address tells of no flow
	Opener     *Opener // whom a popup tells; nil where the page is no popup
}

// Opener is the page that opened a popup and waits for its outcome.
type Opener struct {
	Origin  string            // the only one that gets the message
	Message map[string]string // what it gets, beside "type": "connect.outcome"
}

// Working is for a browser whose flow another request is finishing: it looks
// again at Refresh after two seconds, by a header and with a link.
type Working struct {
	Platform string // for display
	Refresh  string
}

// Error is what a browser sees where no flow can answer.
type Error struct {
	Code     string // an error code; our own words are shown for it
	Platform string // for display; may be empty
	Back     string // where to go; may be empty
	FlowID   string // reference for support; may be empty
}

func (Connect) template() string     { return "connect.html" }
func (Hop) template() string         { return "hop.html" }
func (Picker) template() string      { return "picker.html" }
func (Credentials) template() string { return "credentials.html" }
func (Result) template() string      { return "result.html" }
func (Working) template() string     { return "working.html" }
func (Error) template() string       { return "error.html" }

func (Connect) formTargets() []string       { return nil }
func (h Hop) formTargets() []string         { return h.FormTargets }
func (p Picker) formTargets() []string      { return p.FormTargets }
func (c Credentials) formTargets() []string { return c.FormTargets }
func (Result) formTargets() []string        { return nil }
func (Working) formTargets() []string       { return nil }
func (Error) formTargets() []string         { return nil }

func (c Connect) hasAvatars() bool { return anyAvatar(c.Accounts) }
func (Hop) hasAvatars() bool       { return false }
func (p Picker) hasAvatars() bool {
	return anyCandidateAvatar(p.Candidates) || anyCandidateAvatar(p.Elsewhere)
}
func (Credentials) hasAvatars() bool { return false }
func (r Result) hasAvatars() bool    { return anyAvatar(r.Accounts) }
func (Working) hasAvatars() bool     { return false }
func (Error) hasAvatars() bool       { return false }

func (w Working) refresh() string { return w.Refresh }

func (r Result) opener() *Opener { return r.Opener }

func anyAvatar(accounts []Account) bool {
	for _, a := range accounts {
		if avatar(a.AvatarURL) != "" {
			return true
		}
	}
	return false
}

func anyCandidateAvatar(candidates []Candidate) bool {
	for _, c := range candidates {
		if avatar(c.AvatarURL) != "" {
			return true
		}
	}
	return false
}
