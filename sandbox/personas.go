package sandbox

import (
	"fmt"
	"strings"
)

// A persona is a person of X, Facebook, LinkedIn or Google who can be played on the consent
// page. The first of each platform is preselected and ordinary.
type persona struct {
	id, label string
	subject   string // the platform's id of the person
	name      string
	username  string // X, LinkedIn
	avatar    string

	pages      []role     // Facebook: in the answer of /me/accounts
	steps      []int      // sizes of its first pages; then what the caller asks for
	most       int        // most entries of one page; 0: 100
	businesses []business // Facebook: portfolios, whose Pages need business_management
	roles      []orgRole  // LinkedIn: roles at organizations

	channel  *gChannel  // YouTube: the one that is chosen with the account; nil: none
	accounts []gAccount // Google Business Profile
}

// A role is what a person may do on a Facebook Page.
type role struct {
	page  *fbPage
	tasks []string
	bare  bool // listed without access_token
}

// A business is a Facebook business portfolio.
type business struct {
	id, name      string
	owned, client []role
}

// An fbPage is a Facebook Page. Only id, name and category are always there.
type fbPage struct {
	id, name, username, category string
	followers                    int
	instagram                    string // id of the linked professional account
}

const xAvatar = "https://pbs.twimg.com/profile_images/"

// xPersonas are the people of X. Ids are above 2^53, as most are today.
var xPersonas = []persona{
	{id: "bakery", label: "Example Bakery, an ordinary account", subject: "2244990011", name: "Example Bakery", username: "examplebakery", avatar: xAvatar + "1234/abc_normal.jpg"},
	{id: "clara", label: "Clara, a second ordinary account", subject: "1790000000000000001", name: "Clara Example", username: "clara_example", avatar: xAvatar + "5678/def_normal.png"},
	{id: "oddname", label: "A name of 300 characters with markup and right-to-left letters", subject: "1790000000000000003", name: oddName(), username: "odd_name"},
}

// oddName is what a page must survive: markup, quotes, Hebrew letters, an
// override of the writing direction, an emoji of two UTF-16 units; 300
// characters in all.
func oddName() string {
	name := "<b onclick=\"alert(1)\">Odd</b> & '\u05e9\u05dc\u05d5\u05dd' \u202emoc.elpmaxe \U0001f956 "
	return name + strings.Repeat("x", 300-len([]rune(name)))
}

// Pages that more than one person has a role on.
var (
	harbourBakery = &fbPage{id: "110000000000001", name: "Harbour Bakery", username: "harbourbakery", category: "Bakery", followers: 4211, instagram: "17841400000000001"}
	fullRights    = []string{"ADVERTISE", "ANALYZE", "CREATE_CONTENT", "MESSAGING", "MODERATE", "MANAGE"}
)

// facebookPersonas are the people of Facebook. Harbour Bakery is reached by
// both dana and analyst.
var facebookPersonas = []persona{
	{
		id: "dana", label: "Dana, full rights on three Pages", subject: "102233445566778", name: "Dana Example", steps: []int{2, 0, 1},
		pages: []role{
			{page: harbourBakery, tasks: fullRights},
			{page: &fbPage{id: "110000000000002", name: "Harbour Bakery Catering", username: "harbourcatering", category: "Caterer", followers: 312}, tasks: fullRights},
			{page: &fbPage{id: "110000000000003", name: "Harbour Coffee", category: "Coffee shop"}, tasks: fullRights},
		},
	},
	{
		id: "analyst", label: "Ana, two Pages, may not publish on one of them", subject: "102233445566779", name: "Ana Lyst",
		pages: []role{
			{page: harbourBakery, tasks: fullRights},
			{page: &fbPage{id: "110000000000004", name: "Old Mill", category: "Local business", followers: 57}, tasks: []string{"ANALYZE"}},
		},
	},
	{
		id: "single", label: "Sam, exactly one Page", subject: "102233445566780", name: "Sam Single",
		pages: []role{{page: &fbPage{id: "110000000000005", name: "Sam's Bikes", username: "samsbikes", category: "Bicycle shop", followers: 88}, tasks: fullRights}},
	},
	{id: "nobody", label: "Noor, no Page at all", subject: "102233445566781", name: "Noor Nobody"},
	{
		id: "portfolio", label: "Pat, Pages only through a business portfolio", subject: "102233445566782", name: "Pat Portfolio",
		businesses: []business{{
			id: "120000000000001", name: "Example Holding",
			owned:  []role{{page: &fbPage{id: "110000000000006", name: "Holding News", category: "Media", followers: 9001}, tasks: fullRights}},
			client: []role{{page: &fbPage{id: "110000000000007", name: "Client Shop", category: "Shop"}, tasks: fullRights}, {page: &fbPage{id: "110000000000008", name: "Client Cafe, not ticked", category: "Cafe"}, tasks: fullRights, bare: true}},
		}},
	},
	{id: "agency", label: "Agnes, an agency with 64 Pages", subject: "102233445566783", name: "Agnes Agency", pages: agencyPages(64), most: 25},
}

func agencyPages(n int) []role {
	roles := make([]role, n)
	for i := range roles {
		p := &fbPage{id: fmt.Sprintf("1100000000001%02d", i+1), name: fmt.Sprintf("Client %02d", i+1), category: "Brand", followers: 10 * i}
		roles[i] = role{page: p, tasks: fullRights}
	}
	return roles
}

// reach lists every role of the person, those through businesses included.
func (p *persona) reach() []role {
	list := append([]role(nil), p.pages...)
	for _, b := range p.businesses {
		list = append(append(list, b.owned...), b.client...)
	}
	return list
}

// A bskyAccount is an account of Bluesky.
type bskyAccount struct {
	did, handle, email, label string
	name                      string
	pds                       string // host
	entryway                  bool   // bsky.social signs it in too
	deactivated, takenDown    bool
	documentHandle            string // what the DID document claims, if not the handle
}

// appPassword is the app password of every Bluesky account of the sandbox.
const appPassword = "sand-box2-test-pass"

// bskyAccounts are the accounts of Bluesky; the first is ordinary, on a PDS of
// its own. All host names end in .test, which nobody can own.
var bskyAccounts = []bskyAccount{
	{did: "did:plc:adasandboxaccount2345abc", handle: "ada.sandbox.test", email: "ada@sandbox.test", name: "Ada Example", label: "Ada, an ordinary account on its own PDS", pds: "pds.sandbox.test"},
	{did: "did:plc:erinsandboxaccount234abc", handle: "erin.sandbox.test", email: "erin@sandbox.test", name: "Erin Example", label: "Erin, hosted by Bluesky, signs in at bsky.social", pds: "morel.sandbox.test", entryway: true},
	{did: "did:plc:dorasandboxaccount234abc", handle: "dora.sandbox.test", email: "dora@sandbox.test", name: "Dora Example", label: "Dora, a deactivated account", pds: "pds.sandbox.test", deactivated: true},
	{did: "did:plc:tomsandboxaccount2345abc", handle: "tom.sandbox.test", email: "tom@sandbox.test", name: "Tom Example", label: "Tom, taken down", pds: "pds.sandbox.test", takenDown: true},
	{did: "did:plc:malsandboxaccount2345abc", handle: "mallory.sandbox.test", email: "mallory@sandbox.test", name: "Mallory", label: "Mallory, whose DID document names another handle", pds: "pds.sandbox.test", documentHandle: "ada.sandbox.test"},
}

// people lists who can be played on a platform.
func people(platform string) []persona {
	switch platform {
	case "x":
		return xPersonas
	case "linkedin":
		return linkedinPersonas
	case "google":
		return googlePersonas
	default:
		return facebookPersonas
	}
}

// person returns the persona of a platform by its id, or nil.
func person(platform, id string) *persona {
	list := people(platform)
	for i := range list {
		if list[i].id == id {
			return &list[i]
		}
	}
	return nil
}
