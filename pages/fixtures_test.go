package pages

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/seed944197df/connect/selection"
)

// fixture is a page as a customer of a product sees it: Lantern, which plans
// posts for a bakery.
type fixture struct {
	name string
	page Page
}

// world is where fixtures take what comes from outside.
type world struct {
	site string              // the origin that serves the pages and the avatars
	say  func(string) string // what a platform says in place of an ordinary text
	rows int                 // candidates on a page of many
}

// fixtures is every page in each state that a customer may meet.
func (w world) fixtures() []fixture {
	all := []fixture{
		{"connect", w.connect()},
		{"connect-first", Connect{Platforms: w.platforms()}},
		{"connect-last", Connect{Platforms: w.platforms()[:1], Accounts: w.bakery()[7:]}},
		{"hop", Hop{Platform: "Facebook", Href: "/page/working"}},
		{"hop-link", Hop{Platform: "Facebook", Action: "/connect/go/k3", Token: "once"}},
	}
	all = append(all, w.pickers()...)
	return append(all,
		fixture{"credentials", bluesky()},
		fixture{"credentials-refused", refused()},
		fixture{"result", Result{Platform: "X", Accounts: w.bakery()[4:5], Continue: "/page/connect", FlowID: "fl_7Q2M"}},
		fixture{"result-three", Result{Platform: "Facebook", Accounts: w.bakery()[:3], Continue: "/page/connect"}},
		fixture{"result-failed", Result{Platform: "Facebook", Code: "access_denied", Continue: "/page/connect", Again: "/page/hop", FlowID: "fl_7Q2M8ZT4"}},
		fixture{"result-unfinished", Result{Platform: "Facebook", Unfinished: true, FlowID: "fl_7Q2M8ZT4"}},
		fixture{"result-nothing", Result{Nothing: true, Continue: "/page/connect"}},
		fixture{"result-popup", Result{Platform: "X", Accounts: w.bakery()[4:5], Opener: &Opener{Origin: w.site, Message: map[string]string{"status": "error"}}}},
		fixture{"result-popup-failed", Result{Platform: "X", Code: "access_denied", FlowID: "fl_7Q2M8ZT4", Opener: &Opener{Origin: w.site, Message: map[string]string{"status": "error"}}}},
		fixture{"working", Working{Platform: "Facebook", Refresh: "/page/working"}},
		fixture{"error", Error{Code: "not_found", Back: "/page/connect", FlowID: "fl_7Q2M8ZT4"}},
		fixture{"error-signed-out", Error{Code: "unauthenticated", Back: "/page/connect"}},
	)
}

func (w world) platforms() []Platform {
	oauth := []Method{{Type: OAuth}}
	return []Platform{
		{Name: "facebook", DisplayName: "Facebook", Methods: oauth},
		{Name: "instagram", DisplayName: "Instagram", Methods: []Method{{Type: OAuth, ID: "facebook", Label: "Facebook"}, {Type: OAuth, ID: "instagram", Label: "Instagram"}}},
		{Name: "x", DisplayName: "X", Methods: oauth},
		{Name: "linkedin", DisplayName: "LinkedIn", Methods: oauth},
		{Name: "tiktok", DisplayName: "TikTok", Methods: oauth},
		{Name: "youtube", DisplayName: "YouTube", Methods: oauth},
		{Name: "bluesky", DisplayName: "Bluesky", Methods: []Method{{Type: CredentialsForm}}},
		{Name: "bakers_guild", DisplayName: "Bakers\u2019 Guild", Methods: oauth},
	}
}

// bakery is an account in every status.
func (w world) bakery() []Account {
	accounts := []Account{
		{Platform: "facebook", PlatformName: "Facebook", Kind: "Page", PlatformID: "110000000000001", Name: "Harbour Bakery", Username: "harbourbakery"},
		{Platform: "facebook", PlatformName: "Facebook", Kind: "Page", PlatformID: "110000000000002", Name: "Harbour Bakery Catering", Username: "harbourcatering", Status: "limited"},
		{Platform: "facebook", PlatformName: "Facebook", Kind: "Page", PlatformID: "110000000000007", Name: "Caf\u00e9 Zur M\u00fchle", Status: "target_lost"},
		{Platform: "instagram", PlatformName: "Instagram", Kind: "Profile", PlatformID: "17841400000000042", Name: "Harbour Bakery", Username: "harbour.bakery", Status: "suspended"},
		{Platform: "x", PlatformName: "X", Kind: "Profile", PlatformID: "2244990011", Name: "Harbour Bakery", Username: "harbourbakery", Status: "active"},
		{Platform: "linkedin", PlatformName: "LinkedIn", Kind: "Organization", PlatformID: "urn:li:organization:2414183", Name: "Harbour Bakery GmbH", Status: "token_expired"},
		{Platform: "bluesky", PlatformName: "Bluesky", Kind: "Profile", PlatformID: "did:plc:ewvi7nxzyoun6zhxrhs64oiz", Name: "Ada Moreau", Username: "ada.harbour-bakery.example", Status: "reauth_required"},
		{Platform: "tiktok", PlatformName: "TikTok", Kind: "Profile", PlatformID: "-000N4xkq1c", Name: "harbourbakes", Username: "harbourbakes", Status: "disconnected"},
	}
	for i := range accounts {
		a := &accounts[i]
		a.ID, a.Method, a.AvatarURL = fmt.Sprintf("ac_%d", i), OAuth, w.avatar(i)
		a.PlatformID, a.Name, a.Username = w.say(a.PlatformID), w.say(a.Name), w.say(a.Username)
	}
	return accounts
}

// avatar is a picture for two of three, and for a few one that is gone.
func (w world) avatar(i int) string {
	switch {
	case i%3 == 2:
		return ""
	case i%10 == 9:
		return w.site + "/gone.svg"
	default:
		return fmt.Sprintf("%s/avatar/%d.svg", w.site, i)
	}
}

func (w world) connect() Connect {
	return Connect{
		Platforms: w.platforms(), Accounts: w.bakery()[:7], Token: "once", Notice: "disconnected",
		Query: url.Values{"return_url": {"https://lantern.example/settings"}},
	}
}

// town is 300 Pages: some connected, some that cannot be chosen.
func (w world) town() []Candidate {
	kinds := []string{"Bakery", "Books", "Caf\u00e9", "Cycles", "Florist", "Garden", "Library", "Museum", "Records", "Theatre"}
	streets := []string{"Harbour", "Old Mill", "Station", "Castle", "Riverside", "Market"}
	groups := []string{"Harbour Holding", "", "Town Council", "", ""}
	towns := []string{"Aldbury", "Brenwick", "Carrow", "Dunmere", "Elstow"}
	var all []Candidate
	for i := range 300 {
		name := fmt.Sprintf("%s %s %s", streets[i%6], kinds[i%10], towns[i/60])
		c := Candidate{Candidate: selection.Candidate{
			Kind: "page", PlatformID: fmt.Sprintf("1100000000%05d", i+1), Name: w.say(name), AvatarURL: w.avatar(i),
		}}
		if i%2 == 0 {
			c.Username = w.say(strings.ToLower(strings.ReplaceAll(name, " ", "")))
		}
		if group := groups[i%5]; group != "" {
			c.ParentName = w.say(group)
		}
		c.Connected = i == 0 || i == 7
		if i%11 == 4 {
			c.Reason = "Your role on this Page does not include publishing."
		}
		if i == 5 {
			c.Reason = "This Page was not shared when you gave permission."
		}
		all = append(all, c)
	}
	return all
}

func (w world) pickers() []fixture {
	town := w.town()
	pages := Kind{Name: "page", One: "Page", Many: "Pages", Multiple: true}
	base := Picker{Platform: "Facebook", Kinds: []Kind{pages}, Self: "/page/picker", Action: "/connect/ui/pending/k3/finalize", Token: "once", Cancel: "/page/connect"}

	short := base
	short.Candidates = chosen(town[:6], 1)

	many := base
	many.Candidates, many.Next = chosen(town[:w.rows], 1, 2), "c1"

	middle := base
	middle.Candidates, middle.Elsewhere = chosen(town[100:124], 1, 4), chosen(town[1:3], 0, 1)
	middle.Query, middle.Cursor, middle.Next = "a", "c1", "c2"

	nomatch := base
	nomatch.Query, nomatch.Elsewhere = "zebra", chosen(town[1:3], 0, 1)

	problem := base
	problem.Candidates, problem.Problem = town[:3], "none_chosen"

	none := base
	none.Candidates = town[4:6]

	single := base
	single.Platform, single.Kinds, single.Candidates = "LinkedIn", []Kind{{Name: "organization", One: "Organization", Many: "Organizations"}}, nil
	for _, c := range town[6:10] {
		c.Kind = "organization"
		single.Candidates = append(single.Candidates, c)
	}
	single.Candidates = chosen(single.Candidates, 0)

	mixed := base
	mixed.Platform, mixed.Kinds = "Pinterest", []Kind{{Name: "profile", One: "Profile", Many: "Profiles"}, {Name: "board", One: "Board", Many: "Boards", Multiple: true}}
	for i, c := range chosen(town[20:24], 1, 2) {
		c.Kind = "board"
		if i == 0 {
			c.Kind = "profile"
		}
		mixed.Candidates = append(mixed.Candidates, c)
	}
	return []fixture{
		{"picker", short},
		{"picker-300", many},
		{"picker-300-search", middle},
		{"picker-nomatch", nomatch},
		{"picker-problem", problem},
		{"picker-none", none},
		{"picker-one", single},
		{"picker-mixed", mixed},
	}
}

// chosen is a copy of the candidates with some of them ticked.
func chosen(candidates []Candidate, indexes ...int) []Candidate {
	marked := append([]Candidate(nil), candidates...)
	for _, i := range indexes {
		marked[i].Chosen = true
	}
	return marked
}

func bluesky() Credentials {
	return Credentials{
		Platform: "Bluesky", Action: "/connect/ui/credentials/bluesky", Token: "once", Cancel: "/page/connect",
		Fields: []Field{
			{Name: "identifier", Label: "Handle, e-mail or DID", Help: "For example ada.bsky.social.", Required: true, Autocomplete: "username"},
			{
				Name: "app_password", Label: "App password", Secret: true, Required: true,
				Help: "Make one in Bluesky under Settings, Privacy and security, App passwords: 19 characters like abcd-efgh-ijkl-mnop. Never type your main password.",
			},
			{Name: "service", Label: "Server", Help: "Only if it is not bsky.social."},
		},
	}
}

func refused() Credentials {
	c := bluesky()
	c.Fields[0].Value = "ada.harbour-bakery.example"
	c.Fields[1].Problem, c.Fields[1].Reason = "invalid", "This is not an app password, so nothing was sent. One has 19 characters, like abcd-efgh-ijkl-mnop."
	return c
}

// hostileNames are what somebody may call a Page. None of them is empty once
// it is clean.
func hostileNames() []string {
	return []string{
		"\u0645\u062e\u0628\u0632\u0629 \u0627\u0644\u0645\u064a\u0646\u0627\u0621 (2024)",
		"Harbour \u202eyrekaB\u202c \u2066x\u2069",
		"Har\u200bbour\u2060 \ufeffBak\u00adery\u200d",
		"H" + strings.Repeat("\u0323\u0324\u0331\u0301\u0302\u0308", 40) + "arbour" + strings.Repeat("\u20dd\u0489", 30),
		strings.Repeat("W", 300),
		`<script>alert(1)</script><img src=x onerror=alert(1)>`,
		`" onmouseover="alert(1)" style="position:fixed" x="`,
		"\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f3f3\ufe0f\u200d\U0001f308 Bakery",
		"\u05de\u05d0\u05e4\u05d9\u05d9\u05d4 \u202dHarbour\u202c 123",
		strings.Repeat("\u6e2f\u53e3\u9eb5\u5305", 75),
		"javascript:alert(document.domain)",
		strings.Repeat("\u0e0a\u0e37\u0e48\u0e2d\u0e23\u0e49\u0e32\u0e19", 40),
	}
}

// ordinaryWorld lets platforms say what they are asked for, hostileWorld what
// they like.
func ordinaryWorld(site string) world {
	return world{site: site, say: func(s string) string { return s }, rows: 100}
}

func hostileWorld(site string) world {
	names, next := hostileNames(), 0
	return world{site: site, rows: 24, say: func(s string) string {
		if s == "" {
			return ""
		}
		next++
		return names[next%len(names)]
	}}
}
