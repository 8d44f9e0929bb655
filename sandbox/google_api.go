package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// googleAPI returns what answers a call of an API, or nil.
func (s *Sandbox) googleAPI(c *call) func(*call) reply {
	c.node = strings.Split(strings.Trim(c.path, "/"), "/")
	host := strings.TrimSuffix(c.host, ".googleapis.com")
	method, scopes, answer := http.MethodGet, googleScope+"business.manage", s.businessAccounts
	switch {
	case (host == "www" || host == "youtube") && c.path == "/youtube/v3/channels":
		scopes, answer = googleListing, s.youtubeChannels
	case host == "mybusinessaccountmanagement" && c.path == "/v1/accounts":
	case host == "mybusinessbusinessinformation" && below(c.node, "v1", "accounts", "", "locations"):
		answer = s.businessLocations
	case host == "mybusinessbusinessinformation" && below(c.node, "v1", "locations", ""):
		answer = s.businessLocation
	case host == "mybusiness" && below(c.node, "v4", "accounts", "", "locations", "", "localPosts"):
		method, answer = http.MethodPost, s.businessPost
	default:
		return nil
	}
	return s.googleBearer(method, scopes, answer)
}

// below reports whether a path has these elements; an empty one is any.
func below(node []string, elements ...string) bool {
	return slices.EqualFunc(node, elements, func(have, want string) bool { return want == "" || have == want })
}

// googleBearer lets a call through that has the method, a living token in the
// header and one of the scopes.
func (s *Sandbox) googleBearer(method, scopes string, answer func(*call, *persona) reply) func(*call) reply {
	return func(c *call) reply {
		if c.Method != method {
			return methodNotAllowed(method)
		}
		bearer, ok := strings.CutPrefix(c.Header.Get("Authorization"), "Bearer ")
		t := s.find("google", "access", bearer)
		switch {
		case !ok || t == nil || !t.live(c.now):
			return s.googleProblem(http.StatusUnauthorized, "UNAUTHENTICATED", "authError", "Request had invalid authentication credentials.")
		case len(only(t.Scopes, scopes)) == 0:
			return s.googleProblem(http.StatusForbidden, "PERMISSION_DENIED", "insufficientPermissions", "Request had insufficient authentication scopes.")
		}
		return answer(c, person("google", t.Persona))
	}
}

// youtubeChannels is channels.list of the person's own. Without a channel there
// are no items at all.
func (s *Sandbox) youtubeChannels(c *call, p *persona) reply {
	if stray(c.query, "part mine maxResults pageToken") != "" || missing(c.query, "part mine") != "" || c.query.Get("mine") != "true" {
		return s.googleInvalid("No filter selected, a parameter is missing, unknown or comes twice.")
	}
	for part := range strings.SplitSeq(c.query.Get("part"), ",") {
		if !contains("id snippet status statistics", part) {
			return s.googleInvalid("'" + part + "'")
		}
	}
	if n, err := strconv.Atoi(c.query.Get("maxResults")); c.query.Has("maxResults") && (err != nil || n < 0 || n > 50) {
		return s.googleInvalid("Invalid value for maxResults.")
	}
	if c.query.Has("pageToken") {
		return s.googleProblem(http.StatusBadRequest, "INVALID_ARGUMENT", "invalidPageToken", "The request specifies an invalid page token.")
	}
	if p.channel == nil {
		return s.answer(http.StatusOK, "google/channels.json", values{"total": 0})
	}
	channel := s.fill("google/channel.json", values{
		"id": p.channel.id, "title": p.channel.title, "handle": p.channel.handle, "picture": "https://yt3.sandbox.test/" + p.channel.id + "=s88",
	})
	return s.answer(http.StatusOK, "google/channels.json", values{"total": 1, "items": []any{channel}})
}

// businessAccounts is accounts.list: 20 at most on a page.
func (s *Sandbox) businessAccounts(c *call, p *persona) reply {
	if stray(c.query, "pageSize pageToken filter parentAccount") != "" {
		return s.googleInvalid("A parameter is unknown or comes twice.")
	}
	from, to, next, ok := googlePage(c, "accounts", len(p.accounts), 20, 20)
	if !ok {
		return s.googleInvalid("Request contains an invalid argument.")
	}
	var list []any
	for _, a := range p.accounts[from:to] {
		list = append(list, s.fill("google/account.json", values{"name": "accounts/" + a.id, "account_name": a.name, "type": a.kind, "role": a.role}))
	}
	return s.listed("google/accounts.json", "accounts", list, next)
}

// businessLocations is locations.list of one account, or of all ("-"): 10 on a
// page, 100 at most, and never without a read mask.
func (s *Sandbox) businessLocations(c *call, p *persona) reply {
	mask, ok := readMask(c)
	if !ok || stray(c.query, "readMask pageSize pageToken filter orderBy") != "" || c.query.Has("orderBy") && !contains("title storeCode", c.query.Get("orderBy")) {
		return s.googleInvalid("Request contains an invalid argument.")
	}
	locations, status := p.locations(c.node[2])
	if status != http.StatusOK {
		return s.googleRefusal(status)
	}
	if c.query.Get("orderBy") == "title" {
		slices.SortStableFunc(locations, func(a, b gLocation) int { return strings.Compare(a.title, b.title) })
	}
	from, to, next, ok := googlePage(c, c.node[2], len(locations), 10, 100)
	if !ok {
		return s.googleInvalid("Request contains an invalid argument.")
	}
	var list []any
	for _, l := range locations[from:to] {
		list = append(list, s.locationObject(l, mask))
	}
	return s.listed("google/locations.json", "locations", list, next)
}

// businessLocation is locations.get.
func (s *Sandbox) businessLocation(c *call, p *persona) reply {
	mask, ok := readMask(c)
	if !ok || stray(c.query, "readMask") != "" {
		return s.googleInvalid("Request contains an invalid argument.")
	}
	all, _ := p.locations("-")
	for _, l := range all {
		if l.id == c.node[2] {
			return jsonReply(http.StatusOK, s.locationObject(l, mask))
		}
	}
	return s.googleRefusal(http.StatusNotFound)
}

// businessPost publishes on a location, which is named with its account.
func (s *Sandbox) businessPost(c *call, p *persona) reply {
	var post struct {
		Summary string `json:"summary"`
	}
	if mediaType(c.Request) != "application/json" || json.Unmarshal(c.body, &post) != nil || post.Summary == "" {
		return s.googleInvalid("Request contains an invalid argument.")
	}
	locations, status := p.locations(c.node[2])
	i := slices.IndexFunc(locations, func(l gLocation) bool { return l.id == c.node[4] })
	switch {
	case status != http.StatusOK:
		return s.googleRefusal(status)
	case i < 0:
		return s.googleRefusal(http.StatusNotFound)
	case locations[i].unverified:
		return s.googleRefusal(http.StatusForbidden)
	}
	name := strings.Join(c.node[1:], "/") + "/" + strconv.Itoa(len(s.state.Records)+1)
	s.state.Records[name] = post.Summary
	s.dirty = true
	return s.answer(http.StatusOK, "google/post.json", values{"name": name, "summary": post.Summary})
}

// locations are those of an account, and of all for "-". The status is 200, 403
// or 404.
func (p *persona) locations(account string) ([]gLocation, int) {
	var list []gLocation
	found := account == "-"
	for _, a := range p.accounts {
		if account != "-" && a.id != account {
			continue
		}
		if a.closed && account != "-" {
			return nil, http.StatusForbidden
		}
		found = true
		list = append(list, a.locations...)
	}
	if !found {
		return nil, http.StatusNotFound
	}
	return list, http.StatusOK
}

// locationObject has the fields of the mask. What is false is left out.
func (s *Sandbox) locationObject(l gLocation, mask []string) map[string]any {
	v := values{"name": "locations/" + l.id, "title": l.title}
	if l.storeCode != "" {
		v["store_code"] = l.storeCode
	}
	if l.street != "" {
		v["address"] = map[string]any{"regionCode": "DE", "postalCode": "10115", "locality": l.town, "addressLines": []string{l.street}}
	}
	if !l.unverified {
		v["voice"] = true
	}
	object := s.fill("google/location.json", v)
	for name := range object {
		if !slices.Contains(mask, name) {
			delete(object, name)
		}
	}
	return object
}

func readMask(c *call) (mask []string, ok bool) {
	mask = strings.Split(c.query.Get("readMask"), ",")
	return mask, !slices.ContainsFunc(mask, func(f string) bool {
		return !contains("name title storeCode storefrontAddress websiteUri metadata phoneNumbers categories", f)
	})
}

// googlePage returns which part of a list a call asks for, and the token of the
// next. A token works for the list that it came with.
func googlePage(c *call, list string, n, usual, most int) (from, to int, next any, ok bool) {
	size := usual
	if text := c.query.Get("pageSize"); text != "" {
		var err error
		if size, err = strconv.Atoi(text); err != nil || size < 1 || size > most {
			return 0, 0, nil, false
		}
	}
	if text := c.query.Get("pageToken"); text != "" {
		b, err := base64.RawURLEncoding.DecodeString(text)
		of, at, _ := strings.Cut(string(b), " ")
		from, _ = strconv.Atoi(at)
		if err != nil || of != list || from < 1 || from >= n {
			return 0, 0, nil, false
		}
	}
	if to = min(from+size, n); to < n {
		next = base64.RawURLEncoding.EncodeToString([]byte(list + " " + strconv.Itoa(to)))
	}
	return from, to, next, true
}

// listed is one page of a list. Of an empty one nothing is there.
func (s *Sandbox) listed(file, name string, list []any, next any) reply {
	if len(list) == 0 {
		return jsonReply(http.StatusOK, map[string]any{})
	}
	return s.answer(http.StatusOK, file, values{name: list, "next": next})
}

func (s *Sandbox) googleRefusal(status int) reply {
	if status == http.StatusNotFound {
		return s.googleProblem(status, "NOT_FOUND", "", "Requested entity was not found.")
	}
	return s.googleProblem(status, "PERMISSION_DENIED", "", "The caller does not have permission")
}

func (s *Sandbox) googleInvalid(message string) reply {
	return s.googleProblem(http.StatusBadRequest, "INVALID_ARGUMENT", "", message)
}

// googleProblem is the error of an API, with the reason of the older ones.
func (s *Sandbox) googleProblem(status int, name, reason, message string) reply {
	v := values{"code": status, "message": message, "status": name}
	if reason != "" {
		v["errors"] = []any{map[string]string{"message": message, "domain": "global", "reason": reason}}
	}
	return s.answer(status, "google/error.json", v)
}
