package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	liDefaultCount = 10
	liMaxCount     = 100
	liOrganization = "urn:li:organization:"

	liVersionHeader = "Linkedin-Version" // as net/http spells it
)

// liVersions are the versions that are served, with the day each one ends.
var liVersions = map[string]string{
	"202511": "2026-11-16", "202601": "2027-01-15", "202602": "2027-02-15", "202603": "2027-03-16",
	"202604": "", "202605": "", "202606": "", "202607": "",
}

// An orgRole is one role of a person at an organization.
type orgRole struct {
	id, name, role string
	state          string // "": APPROVED
	hidden         bool   // the lookup does not tell its name
}

// linkedinPersonas are the people of LinkedIn. Harbour Bakery is reached by both
// lena and hidden.
var linkedinPersonas = []persona{
	{
		id: "lena", label: "Lena, two Pages to publish on, one to look at", subject: "aB3dEfGhIj", name: "Lena Example", username: "lena-example",
		avatar: "https://media.licdn.com/dms/image/v2/lena/profile-displayphoto-shrink_100_100/0?e=1768000000&v=beta&t=x",
		roles: []orgRole{
			{id: "11223344", name: "Harbour Bakery", role: "ANALYST"},
			{id: "11223344", name: "Harbour Bakery", role: "ADMINISTRATOR"},
			{id: "22334455", name: "Harbour Catering", role: "CONTENT_ADMINISTRATOR"},
			{id: "55667788", name: "Old Mill", role: "ANALYST"},
			{id: "66778899", name: "Asked for", role: "ADMINISTRATOR", state: "REQUESTED"},
		},
	},
	{id: "solo", label: "Sol, only a profile", subject: "-f_Ut43FoQ", name: "Sol Solo", username: "sol-solo"},
	{id: "manager", label: "Mani, 40 Pages on three pages of a list", subject: "zY9xWvUtSr", name: "Mani Manager", username: "mani", roles: managerRoles()},
	{
		id: "hidden", label: "Hida, a Page whose name LinkedIn does not tell", subject: "qQ1wW2eE3r", name: "Hida Hidden", username: "hida",
		roles: []orgRole{
			{id: "11223344", name: "Harbour Bakery", role: "CONTENT_ADMIN"},
			{id: "77889900", name: "Hidden", role: "ADMINISTRATOR", hidden: true},
		},
	},
}

// managerRoles are 45 roles at 40 organizations: on all but the last one the
// person may publish, on the first three by a role at the end of the list.
func managerRoles() []orgRole {
	var roles []orgRole
	add := func(n int, role string) {
		roles = append(roles, orgRole{id: strconv.Itoa(300000 + n), name: fmt.Sprintf("Client %02d", n), role: role})
	}
	for n := 1; n <= 40; n++ {
		role := "ADMINISTRATOR"
		if n <= 3 || n == 40 {
			role = "ANALYST"
		}
		add(n, role)
	}
	for n := 1; n <= 3; n++ {
		add(n, "CONTENT_ADMINISTRATOR")
	}
	add(4, "CURATOR")
	add(5, "CURATOR")
	return roles
}

// liAuth finds the token of a call.
func (s *Sandbox) liAuth(c *call) (*token, *reply) {
	refuse := func(number int, code, message string) (*token, *reply) {
		r := s.liError(http.StatusUnauthorized, number, code, message)
		return nil, &r
	}
	bearer, ok := strings.CutPrefix(c.Header.Get("Authorization"), "Bearer ")
	t := s.find("linkedin", "access", bearer)
	switch {
	case !ok || bearer == "":
		return refuse(401, "", "Empty oauth2_access_token")
	case t == nil:
		return refuse(65600, "INVALID_ACCESS_TOKEN", "Invalid access token")
	case t.Dead != "":
		return refuse(65601, "REVOKED_ACCESS_TOKEN", "The token used in the request has been revoked by the user")
	case !t.live(c.now):
		return refuse(65602, "EXPIRED_ACCESS_TOKEN", "The token used in the request has expired")
	}
	return t, nil
}

// liMember is who the token is of: /v2/userinfo, or the older /v2/me.
func (s *Sandbox) liMember(c *call) reply {
	t, refusal := s.liAuth(c)
	switch {
	case c.Method != http.MethodGet:
		return methodNotAllowed("GET")
	case refusal != nil:
		return *refusal
	case len(c.query) > 0:
		return s.liError(http.StatusBadRequest, 0, "ILLEGAL_ARGUMENT", "A parameter is unknown")
	}
	p := person("linkedin", t.Persona)
	if c.fault == "wrong_subject" {
		p = another(linkedinPersonas, p)
	}
	first, last, _ := strings.Cut(p.name, " ")
	v := values{"given_name": first, "family_name": last}
	if c.path == "/v2/me" {
		if !slices.Contains(t.Scopes, "r_basicprofile") {
			return s.liDenied("me.GET.NO_VERSION")
		}
		v["id"], v["vanity_name"] = p.subject, p.username
		return s.answer(http.StatusOK, "linkedin/me.json", v)
	}
	if !slices.Contains(t.Scopes, "openid") || !slices.Contains(t.Scopes, "profile") {
		return s.liDenied("userinfo.GET.NO_VERSION")
	}
	v["sub"], v["name"] = p.subject, p.name
	if p.avatar != "" {
		v["picture"] = p.avatar
	}
	if slices.Contains(t.Scopes, "email") {
		v["email"], v["email_verified"] = p.id+"@sandbox.test", true
	}
	return s.answer(http.StatusOK, "linkedin/userinfo.json", v)
}

// liRest checks what every call of the versioned API must send.
func (s *Sandbox) liRest(method string, answer func(*call, *token) reply) func(*call) reply {
	return func(c *call) reply {
		version := c.Header.Get(liVersionHeader)
		end, known := liVersions[version]
		t, refusal := s.liAuth(c)
		switch {
		case c.Method != method:
			return methodNotAllowed(method)
		case version == "":
			return s.liError(http.StatusBadRequest, 0, "VERSION_MISSING", "A version must be present. Please specify a version by adding the LinkedIn-Version header.")
		case !known || end != "" && c.now.UTC().Format("2006-01-02") >= end:
			return s.liError(http.StatusUpgradeRequired, 0, "NONEXISTENT_VERSION", "Requested version "+version+"01 is not active")
		case refusal != nil:
			return *refusal
		case c.Header.Get("X-Restli-Protocol-Version") != "2.0.0":
			return s.liError(http.StatusBadRequest, 0, "ILLEGAL_ARGUMENT", "Send X-Restli-Protocol-Version: 2.0.0")
		}
		return answer(c, t)
	}
}

// liAcls lists the person's roles.
func (s *Sandbox) liAcls(c *call, t *token) reply {
	if !slices.Contains(t.Scopes, "rw_organization_admin") && !slices.Contains(t.Scopes, "r_organization_admin") {
		return s.liDenied("partnerApiOrganizationAcls.FINDER-roleAssignee." + c.Header.Get(liVersionHeader) + "01")
	}
	start, startOK := number(c.query, "start", 0)
	count, countOK := number(c.query, "count", liDefaultCount)
	if stray(c.query, "q state role start count") != "" || c.query.Get("q") != "roleAssignee" || !startOK || !countOK || count == 0 {
		return s.liError(http.StatusBadRequest, 0, "ILLEGAL_ARGUMENT", "Invalid query parameters passed to request")
	}
	count = min(count, liMaxCount)
	p := person("linkedin", t.Persona)
	elements := []any{}
	for _, r := range p.roles {
		state := r.state
		if state == "" {
			state = "APPROVED"
		}
		if wanted(c.query, "state", state) && wanted(c.query, "role", r.role) {
			elements = append(elements, s.fill("linkedin/acl.json", values{
				"assignee": "urn:li:person:" + p.subject, "state": state, "role": r.role, "organization": liOrganization + r.id,
			}))
		}
	}
	v := values{"start": start, "count": count, "total": len(elements), "links": []any{}, "elements": elements[min(start, len(elements)):min(start+count, len(elements))]}
	if start+count < len(elements) {
		href := fmt.Sprintf("%s?q=roleAssignee&start=%d&count=%d", c.path, start+count, count)
		v["links"] = []any{s.fill("linkedin/link.json", values{"href": href})}
	}
	return s.answer(http.StatusOK, "linkedin/acls.json", v)
}

// number reads a parameter that is a number of 0 or more.
func number(q url.Values, name string, absent int) (int, bool) {
	if !q.Has(name) {
		return absent, true
	}
	n, err := strconv.Atoi(q.Get(name))
	return n, err == nil && n >= 0
}

// wanted says whether a filter, if there is one, lets a value through.
func wanted(q url.Values, name, value string) bool { return !q.Has(name) || q.Get(name) == value }

// liLookup tells the names of organizations. Rest.li reads a list only where
// its parentheses and commas are not encoded.
func (s *Sandbox) liLookup(c *call, t *token) reply {
	list, ok := strings.CutPrefix(c.URL.RawQuery, "ids=List(")
	list, closed := strings.CutSuffix(list, ")")
	if !ok || !closed || list == "" || strings.Trim(list, "0123456789,") != "" {
		return s.liError(http.StatusBadRequest, 0, "ILLEGAL_ARGUMENT", "Invalid query parameters passed to request")
	}
	results, statuses, failed := map[string]any{}, map[string]any{}, map[string]any{}
	for id := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(person("linkedin", t.Persona).roles, func(r orgRole) bool { return r.id == id && !r.hidden })
		if i < 0 {
			statuses[id] = http.StatusNotFound
			failed[id] = s.liErrorBody(http.StatusNotFound, 0, "RESOURCE_NOT_FOUND", "Could not find entity")
			continue
		}
		r := person("linkedin", t.Persona).roles[i]
		statuses[id] = http.StatusOK
		results[id] = s.fill("linkedin/organization.json", values{
			"id": json.Number(id), "name": r.name, "vanity_name": strings.ReplaceAll(strings.ToLower(r.name), " ", "-"),
		})
	}
	return s.answer(http.StatusOK, "linkedin/lookup.json", values{"results": results, "statuses": statuses, "errors": failed})
}

// liPost publishes as the person, or as an organization for which the person
// may. What was published is not kept.
func (s *Sandbox) liPost(c *call, t *token) reply {
	var post struct {
		Author       string `json:"author"`
		Commentary   string `json:"commentary"`
		Visibility   string `json:"visibility"`
		Distribution any    `json:"distribution"`
		State        string `json:"lifecycleState"`
		NoReshare    bool   `json:"isReshareDisabledByAuthor"`
	}
	d := json.NewDecoder(strings.NewReader(string(c.body)))
	d.DisallowUnknownFields()
	err := d.Decode(&post)
	complete := post.Commentary != "" && post.Visibility != "" && post.Distribution != nil && post.State == "PUBLISHED"
	if err != nil || !complete || mediaType(c.Request) != "application/json" {
		return s.liError(http.StatusBadRequest, 0, "MISSING_FIELD", "A field of the post is missing, unknown or wrong")
	}
	p := person("linkedin", t.Persona)
	id, ofPage := strings.CutPrefix(post.Author, liOrganization)
	mayPublish := slices.ContainsFunc(p.roles, func(r orgRole) bool {
		return r.id == id && r.state == "" && contains("ADMINISTRATOR CONTENT_ADMINISTRATOR CONTENT_ADMIN", r.role)
	})
	switch {
	case ofPage && !slices.Contains(t.Scopes, "w_organization_social"):
		return s.liError(http.StatusBadRequest, 0, "BAD_REQUEST", "Organization permissions must be used when using organization as author")
	case ofPage && !mayPublish, !ofPage && post.Author != "urn:li:person:"+p.subject, !ofPage && !slices.Contains(t.Scopes, "w_member_social"):
		return s.liDenied("partnerApiPostsExternal.CREATE." + c.Header.Get(liVersionHeader) + "01")
	}
	return reply{status: http.StatusCreated, header: http.Header{"X-Restli-Id": {fmt.Sprintf("urn:li:share:%d", c.now.UnixNano())}}}
}

func (s *Sandbox) liDenied(what string) reply {
	return s.liError(http.StatusForbidden, 100, "ACCESS_DENIED", "Not enough permissions to access: "+what)
}

// liError is an error of the API. A number of 0 and an empty code are left out.
func (s *Sandbox) liError(status, number int, code, message string) reply {
	return jsonReply(status, s.liErrorBody(status, number, code, message))
}

func (s *Sandbox) liErrorBody(status, number int, code, message string) map[string]any {
	v := values{"status": status, "message": message}
	if number != 0 {
		v["number"] = number
	}
	if code != "" {
		v["code"] = code
	}
	return s.fill("linkedin/error.json", v)
}
