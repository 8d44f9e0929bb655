package sandbox

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	fbDefaultLimit = 25
	fbMaxLimit     = 100
)

// fbAccounts is /me/accounts.
func (s *Sandbox) fbAccounts(c *call, f *fbSession) reply {
	if !f.granted("pages_show_list") {
		return s.fbError(http.StatusForbidden, 200, 0, "(#200) Requires pages_show_list permission to manage the object")
	}
	return s.fbPageList(c, f, f.person.pages, f.person.steps)
}

// fbBusinesses is /me/businesses.
func (s *Sandbox) fbBusinesses(c *call, f *fbSession) reply {
	if !f.granted("business_management") {
		return s.fbError(http.StatusForbidden, 200, 0, "(#200) Requires business_management permission to manage the object")
	}
	return s.fbList(c, f, "facebook/business.json", len(f.person.businesses), nil, func(i int) values {
		return values{"id": f.person.businesses[i].id, "name": f.person.businesses[i].name}
	})
}

// fbBusinessPages is an edge of a business.
func (s *Sandbox) fbBusinessPages(c *call, f *fbSession, id, edge string) reply {
	for _, b := range f.person.businesses {
		switch {
		case b.id != id:
		case !f.granted("business_management"):
			return s.fbError(http.StatusForbidden, 200, 0, "(#200) Requires business_management permission to manage the object")
		case edge == "owned_pages":
			return s.fbPageList(c, f, b.owned, nil)
		default:
			return s.fbPageList(c, f, b.client, nil)
		}
	}
	return s.fbGone(id)
}

// fbPage is a Page by its id. A Page token sees its own Page only, a user
// token every Page on which the person has a role.
func (s *Sandbox) fbPage(c *call, f *fbSession, id string) reply {
	if id == "me" {
		id = f.page
	}
	for _, r := range f.person.reach() {
		if r.page.id != id || f.page != "" && f.page != id {
			continue
		}
		if f.page == "" && !f.granted("pages_show_list") {
			break
		}
		return s.fbObject(c, "facebook/page.json", s.fbPageValues(f, r))
	}
	return s.fbGone(id)
}

// fbPageList answers with one page of a list of Facebook Pages.
func (s *Sandbox) fbPageList(c *call, f *fbSession, roles []role, steps []int) reply {
	return s.fbList(c, f, "facebook/page.json", len(roles), steps, func(i int) values { return s.fbPageValues(f, roles[i]) })
}

// fbPageValues describes a Page as one person sees it.
func (s *Sandbox) fbPageValues(f *fbSession, r role) values {
	p := r.page
	v := values{"id": p.id, "name": p.name, "category": p.category, "tasks": r.tasks, "link": "https://www.facebook.com/" + p.id}
	if p.username != "" {
		v["username"], v["link"] = p.username, "https://www.facebook.com/"+p.username
		v["picture"] = "https://scontent.sandbox.test/" + p.id + ".jpg"
	}
	if p.followers > 0 {
		v["followers_count"] = p.followers
	}
	if p.instagram != "" && f.granted("instagram_basic") {
		v["instagram_id"], v["instagram_username"] = p.instagram, p.username
	}
	if !r.bare {
		v["access_token"] = s.fbPageToken(f, p.id)
	}
	return v
}

// fbPageToken returns the Page token that belongs to a user token, the same
// each time. It lives as long as a short-lived user token, or for ever.
func (s *Sandbox) fbPageToken(f *fbSession, page string) string {
	if f.page != "" {
		return f.value
	}
	sum := sha256.Sum256([]byte(f.value + page))
	value := "EAAG" + hex.EncodeToString(sum[:]) + "ZD"
	if s.state.Tokens[value] == nil {
		t := *f.token
		t.Kind, t.Page = "page", page
		if t.Long {
			t.Expires = time.Time{}
		}
		s.put(value, t)
	}
	return value
}

// A cursor is a place in a list: the number of pages and of entries before it.
type cursor struct{ step, offset int }

func (p cursor) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d:%d", p.step, p.offset))
}

// parseCursor reads a cursor; the empty one is the start.
func parseCursor(text string) (cursor, bool) {
	if text == "" {
		return cursor{}, true
	}
	var p cursor
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return p, false
	}
	n, err := fmt.Sscanf(string(b), "%d:%d", &p.step, &p.offset)
	return p, err == nil && n == 2 && p.step >= 0 && p.offset >= 0 && p.String() == text
}

// fbList answers with one page of a list of n entries, each an answer file. The
// first pages have the sizes that steps gives, an empty one included; "next" is
// there while entries are left, and it carries the token, as Facebook's does.
func (s *Sandbox) fbList(c *call, f *fbSession, file string, n int, steps []int, entry func(int) values) reply {
	if _, refusal := s.fbSelect(c, file, nil); refusal != nil {
		return *refusal // a wrong field list is wrong for an empty list too
	}
	limit, limitOK := parseLimit(c.query)
	at, cursorOK := parseCursor(c.query.Get("after"))
	if !limitOK || !cursorOK || at.offset > n {
		return s.fbBad("(#100) Invalid paging parameter")
	}
	if f.person.most > 0 {
		limit = min(limit, f.person.most)
	}
	if at.step < len(steps) {
		limit = min(limit, steps[at.step])
	}
	end := cursor{at.step + 1, min(at.offset+limit, n)}
	list := []any{}
	for i := at.offset; i < end.offset; i++ {
		object, _ := s.fbSelect(c, file, entry(i))
		list = append(list, object)
	}
	v := values{"data": list}
	if n > 0 {
		v["before"], v["after"] = at.String(), end.String()
	}
	if end.offset < n {
		v["next"] = fbNext(c, f, end, limit)
	}
	return s.answer(http.StatusOK, "facebook/list.json", v)
}

// fbNext is the URL of the next page: the token in clear, no proof.
func fbNext(c *call, f *fbSession, at cursor, limit int) string {
	q := url.Values{"access_token": {f.value}, "after": {at.String()}, "limit": {strconv.Itoa(limit)}}
	for _, name := range []string{"fields", "limit"} {
		if c.query.Has(name) {
			q.Set(name, c.query.Get(name))
		}
	}
	return "https://" + c.host + c.path + "?" + q.Encode()
}

// parseLimit reads the parameter limit, which Facebook caps.
func parseLimit(q url.Values) (int, bool) {
	if !q.Has("limit") {
		return fbDefaultLimit, true
	}
	n, err := strconv.Atoi(q.Get("limit"))
	return min(n, fbMaxLimit), err == nil && n > 0
}
