package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// An fbSession is what a Graph call is made with: an app token, or a user or
// Page token with its person.
type fbSession struct {
	client Client
	value  string
	token  *token // nil: an app token
	person *persona
	page   string // id, of a Page token
	grant  map[string]string
}

// granted says whether the person has granted a permission and not taken it
// back.
func (f *fbSession) granted(scope string) bool { return f.grant[scope] == "granted" }

// fbAuth reads and checks the access token and its proof.
func (s *Sandbox) fbAuth(c *call) (*fbSession, *reply) {
	refuse := func(r reply) (*fbSession, *reply) { return nil, &r }
	value := c.query.Get("access_token")
	if bearer, ok := strings.CutPrefix(c.Header.Get("Authorization"), "Bearer "); ok && value == "" {
		value = bearer
	} else if ok && bearer != value {
		return refuse(s.fbBad("The access token of the query and the one of the header differ."))
	}
	if value == "" {
		return refuse(s.fbError(http.StatusBadRequest, 2500, 0, "An active access token must be used to query information about the current user."))
	}
	f := &fbSession{value: value}
	if id, secret, ok := strings.Cut(value, "|"); ok {
		client, known := s.client("facebook", id)
		if !known || !same(secret, client.Secret) {
			return refuse(s.fbError(http.StatusBadRequest, 190, 0, "Invalid OAuth access token signature."))
		}
		f.client = client
	} else if refusal := s.fbUser(c, f); refusal != nil {
		return refuse(*refusal)
	}
	if !proves(c, f) {
		return refuse(s.fbBad("Invalid appsecret_proof provided in the API argument"))
	}
	return f, nil
}

// fbUser completes the session of a user or Page token.
func (s *Sandbox) fbUser(c *call, f *fbSession) *reply {
	t := s.state.Tokens[f.value]
	if t == nil || t.Platform != "facebook" || t.Kind == "code" || !t.live(c.now) {
		r := s.fbTokenError(t, c.now)
		return &r
	}
	f.client, _ = s.client("facebook", t.Client)
	f.token, f.page, f.person = t, t.Page, person("facebook", t.Persona)
	f.grant = s.state.Grants[fbGrantKey(t.Client, t.Persona)]
	return nil
}

// proves checks appsecret_proof, which is optional: the HMAC of the very token
// that is used.
func proves(c *call, f *fbSession) bool {
	if !c.query.Has("appsecret_proof") {
		return true
	}
	mac := hmac.New(sha256.New, []byte(f.client.Secret))
	mac.Write([]byte(f.value))
	if c.query.Has("appsecret_time") {
		mac.Write([]byte("|" + c.query.Get("appsecret_time")))
	}
	return same(hex.EncodeToString(mac.Sum(nil)), c.query.Get("appsecret_proof"))
}

// fbTokenError is the answer to a token that does not work.
func (s *Sandbox) fbTokenError(t *token, now time.Time) reply {
	subcode, message := fbTokenFault(t, now)
	return s.fbError(http.StatusBadRequest, 190, subcode, message)
}

func fbTokenFault(t *token, now time.Time) (subcode int, message string) {
	switch {
	case t == nil || t.Platform != "facebook" || t.Kind == "code":
		return 0, "Invalid OAuth access token - Cannot parse access token"
	case t.Dead != "":
		return 458, "Error validating access token: The user has not authorized the application."
	case !t.live(now):
		return 463, "Error validating access token: Session has expired."
	}
	return 0, ""
}

// fbGraph answers a GET of the Graph API.
func (s *Sandbox) fbGraph(c *call) reply {
	if c.Method != http.MethodGet {
		return s.fbBad("Unsupported " + strings.ToLower(c.Method) + " request.")
	}
	f, refusal := s.fbAuth(c)
	if refusal != nil {
		return *refusal
	}
	if stray(c.query, "access_token fields limit after appsecret_proof appsecret_time") != "" {
		return s.fbBad("(#100) A parameter is unknown or comes twice.")
	}
	r := s.fbNode(c, f)
	return r.with("X-App-Usage", `{"call_count":28,"total_time":25,"total_cputime":25}`).with("facebook-api-version", "v26.0")
}

// fbNode finds the node or edge that the path names.
func (s *Sandbox) fbNode(c *call, f *fbSession) reply {
	id, edge := c.node[0], strings.Join(c.node[1:], "/")
	switch {
	case f.token == nil:
		return s.fbGone(id) // an app token reads nobody's data
	case f.page == "" && (id == "me" || id == asid(s, f)):
		return s.fbPersonNode(c, f, edge)
	case edge == "":
		return s.fbPage(c, f, id)
	case f.page == "" && (edge == "owned_pages" || edge == "client_pages"):
		return s.fbBusinessPages(c, f, id, edge)
	case id == "me" || id == f.page:
		return s.fbBad("(#100) Tried accessing nonexisting field (" + edge + ") on node type (Page)")
	}
	return s.fbGone(id)
}

// fbPersonNode is the person or an edge of theirs.
func (s *Sandbox) fbPersonNode(c *call, f *fbSession, edge string) reply {
	switch edge {
	case "":
		return s.fbMe(c, f)
	case "permissions":
		return s.fbPermissions(f)
	case "accounts":
		return s.fbAccounts(c, f)
	case "businesses":
		return s.fbBusinesses(c, f)
	}
	return s.fbBad("(#100) Tried accessing nonexisting field (" + edge + ") on node type (User)")
}

// fbGone is 100/33: the object is missing or out of reach.
func (s *Sandbox) fbGone(id string) reply {
	return s.fbError(http.StatusBadRequest, 100, 33, fmt.Sprintf("Unsupported get request. Object with ID '%s' does not exist, cannot be loaded due to missing permissions, or does not support this operation.", id))
}

// asid is the person's id for one app: it differs from app to app.
func asid(s *Sandbox, f *fbSession) string {
	if s.clients["facebook"].ID == f.client.ID {
		return f.person.subject
	}
	h := fnv.New32a()
	h.Write([]byte(f.client.ID))
	return fmt.Sprintf("%s%03d", f.person.subject, h.Sum32()%1000)
}

// fbMe is the profile of the person.
func (s *Sandbox) fbMe(c *call, f *fbSession) reply {
	of := *f
	if c.fault == "wrong_subject" {
		of.person = another(facebookPersonas, f.person)
	}
	first, _, _ := strings.Cut(of.person.name, " ")
	v := values{"id": asid(s, &of), "name": of.person.name, "first_name": first}
	if f.granted("email") {
		v["email"] = of.person.id + "@sandbox.test"
	}
	return s.fbObject(c, "facebook/me.json", v)
}

// fbObject answers with the asked fields of an object.
func (s *Sandbox) fbObject(c *call, name string, v values) reply {
	object, refusal := s.fbSelect(c, name, v)
	if refusal != nil {
		return *refusal
	}
	return jsonReply(http.StatusOK, object)
}

// fbPermissions lists what was granted and declined.
func (s *Sandbox) fbPermissions(f *fbSession) reply {
	list := []any{}
	for _, scope := range slices.Sorted(maps.Keys(f.grant)) {
		list = append(list, s.fill("facebook/permission.json", values{"permission": scope, "status": f.grant[scope]}))
	}
	return s.answer(http.StatusOK, "facebook/data.json", values{"data": list})
}

// fbDeletePermissions is DELETE /{person}/permissions, which ends every token
// of that person, or /{person}/permissions/{permission}, which takes one away.
func (s *Sandbox) fbDeletePermissions(c *call) reply {
	f, refusal := s.fbAuth(c)
	switch {
	case refusal != nil:
		return *refusal
	case stray(c.query, "access_token appsecret_proof appsecret_time") != "":
		return s.fbBad("(#100) A parameter is unknown or comes twice.")
	case len(c.node) < 2 || len(c.node) > 3 || c.node[1] != "permissions":
		return s.fbGone(c.node[0])
	case f.page != "":
		return s.fbError(http.StatusForbidden, 200, 0, "(#200) A user access token or an app access token is required.")
	}
	if f.token == nil {
		s.fbImpersonate(f, c.node[0])
	}
	if f.person == nil || c.node[0] != "me" && c.node[0] != asid(s, f) {
		return s.fbGone(c.node[0])
	}
	s.dirty = true
	if len(c.node) == 3 {
		delete(f.grant, c.node[2])
		return s.answer(http.StatusOK, "facebook/success.json", nil)
	}
	delete(s.state.Grants, fbGrantKey(f.client.ID, f.person.id))
	s.killAll("removed", func(t *token) bool {
		return t.Platform == "facebook" && t.Client == f.client.ID && t.Persona == f.person.id
	})
	return s.answer(http.StatusOK, "facebook/success.json", nil)
}

// fbImpersonate lets an app token speak of the person with the given id.
func (s *Sandbox) fbImpersonate(f *fbSession, id string) {
	for i := range facebookPersonas {
		of := &fbSession{client: f.client, person: &facebookPersonas[i]}
		if asid(s, of) == id {
			f.person, f.grant = of.person, s.state.Grants[fbGrantKey(f.client.ID, of.person.id)]
		}
	}
}

// fbDebug is debug_token. It wants an app token.
func (s *Sandbox) fbDebug(c *call) reply {
	f, refusal := s.fbAuth(c)
	switch {
	case c.Method != http.MethodGet:
		return s.fbBad("Unsupported " + strings.ToLower(c.Method) + " request.")
	case refusal != nil:
		return *refusal
	case stray(c.query, "access_token input_token appsecret_proof appsecret_time") != "" || c.query.Get("input_token") == "":
		return s.fbBad("(#100) The parameter input_token is required")
	case f.token != nil:
		return s.fbBad("(#100) You must provide an app access token, or a user access token that is an owner or developer of the app")
	}
	value := c.query.Get("input_token")
	of := &fbSession{client: f.client, value: value}
	t := s.state.Tokens[value]
	subcode, message := fbTokenFault(t, c.now)
	if c.fault == "expired_token" {
		subcode, message = 463, "Error validating access token: Session has expired."
	}
	if message != "" || s.fbUser(c, of) != nil {
		v := values{"app_id": f.client.ID, "message": message}
		if subcode != 0 {
			v["subcode"] = subcode
		}
		return s.answer(http.StatusOK, "facebook/debug_token_invalid.json", v)
	}
	if of.client.ID != f.client.ID {
		return s.fbBad("(#100) The App_id in the input_token did not match the Viewing App")
	}
	return s.answer(http.StatusOK, "facebook/debug_token.json", s.fbDebugValues(of))
}

// fbDebugValues describes a token that works.
func (s *Sandbox) fbDebugValues(f *fbSession) values {
	v := values{
		"app_id": f.client.ID, "type": "USER", "user_id": asid(s, f), "issued_at": f.token.Issued.Unix(), "expires_at": 0,
		"data_access_expires_at": f.token.DataAccess.Unix(),
	}
	if !f.token.Expires.IsZero() {
		v["expires_at"] = f.token.Expires.Unix()
	}
	if f.page != "" {
		v["type"], v["profile_id"] = "PAGE", f.page
	}
	scopes, granular := []string{}, []any{}
	for _, scope := range slices.Sorted(maps.Keys(f.grant)) {
		if !f.granted(scope) {
			continue
		}
		scopes = append(scopes, scope)
		g := values{"scope": scope}
		if strings.HasPrefix(scope, "pages_") {
			g["target_ids"] = pageIDs(f.person.reach())
		}
		granular = append(granular, s.fill("facebook/granular_scope.json", g))
	}
	v["scopes"], v["granular_scopes"] = scopes, granular
	return v
}

// pageIDs lists the Pages of the roles.
func pageIDs(roles []role) []string {
	ids := []string{}
	for _, r := range roles {
		ids = append(ids, r.page.id)
	}
	return ids
}
