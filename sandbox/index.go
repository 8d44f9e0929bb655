package sandbox

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"strings"
)

//go:embed pages.html
var pagesHTML string

// A choice is a persona on a page and in the index.
type choice struct {
	ID    string `json:"id"`
	Label string `json:"label"`
}

// choices lists who there is to play on a platform.
func choices(platform string) []choice {
	list := []choice{}
	if platform == "bluesky" {
		for _, a := range bskyAccounts {
			list = append(list, choice{a.handle, a.label})
		}
		return list
	}
	for _, p := range people(platform) {
		list = append(list, choice{p.id, p.label})
	}
	return list
}

// ownEndpoint routes what is the sandbox's own.
func (s *Sandbox) ownEndpoint(c *call) endpoint {
	switch {
	case c.host == "" && c.path == "/":
		return endpoint{answer: s.index}
	case c.host == "_act" && c.path == "/fault" && c.Method == http.MethodPost:
		return endpoint{answer: s.actFault}
	case c.host == "_act" && c.path == "/fault":
		return endpoint{answer: func(*call) reply { return methodNotAllowed("POST") }}
	}
	return endpoint{}
}

// index is GET /: who can be played and what can go wrong.
func (s *Sandbox) index(c *call) reply {
	if c.Method != http.MethodGet && c.Method != http.MethodHead {
		return methodNotAllowed("GET, HEAD")
	}
	login := map[string]string{"identifier": bskyAccounts[0].handle, "app_password": appPassword}
	if strings.Contains(c.Header.Get("Accept"), "text/html") {
		return s.html(http.StatusOK, "index", map[string]any{
			"Title": "Sandbox", "Faults": faultNames(""), "Identifier": login["identifier"], "AppPassword": appPassword,
			"Platforms": []map[string]any{
				{"Name": "X", "People": choices("x")},
				{"Name": "Facebook", "People": choices("facebook")},
				{"Name": "LinkedIn", "People": choices("linkedin")},
				{"Name": "Google", "People": choices("google")},
				{"Name": "Bluesky", "People": choices("bluesky")},
			},
		})
	}
	personas := map[string][]choice{}
	for platform := range strings.FieldsSeq(platforms) {
		personas[platform] = choices(platform)
	}
	return jsonReply(http.StatusOK, map[string]any{
		"personas": personas, "bluesky": login, "mastodon": nil, "telegram": nil, "faults": faultNames(""),
	})
}

// html renders one of the pages.
func (s *Sandbox) html(status int, name string, data any) reply {
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, name, data); err != nil {
		return page(http.StatusInternalServerError, "The page could not be rendered.")
	}
	r := reply{status, http.Header{"Content-Type": {"text/html; charset=utf-8"}}, b.Bytes()}
	return r.with("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'").
		with("Referrer-Policy", "no-referrer")
}

// parsePages parses the pages.
func parsePages() (*template.Template, error) {
	return template.New("pages").Parse(pagesHTML)
}
