package sandbox

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	xCodeLife   = 30 * time.Second
	xAccessLife = 7200 * time.Second
	xStateMax   = 500 // characters

	xScopes = "tweet.read tweet.write tweet.moderate.write users.email users.read follows.read follows.write offline.access space.read" +
		" mute.read mute.write like.read like.write list.read list.write block.read block.write bookmark.read bookmark.write" +
		" dm.read dm.write media.write timeline.read broadcast.read broadcast.write"
	xUserFields = "id name username profile_image_url verified verified_type protected created_at description"
)

// xEndpoint routes x.com and api.x.com, and their former names.
func (s *Sandbox) xEndpoint(c *call) endpoint {
	e := endpoint{platform: "x"}
	switch site := !strings.HasPrefix(c.host, "api."); {
	case site && c.path == "/i/oauth2/authorize":
		e.answer = s.xAuthorize
		if c.Method == http.MethodPost {
			e.step = stepConsent
		}
	case site:
	case c.path == "/2/oauth2/token":
		e.answer, e.step = s.xToken, stepToken
		if c.form.Get("grant_type") == "refresh_token" {
			e.step = stepRefresh
		}
	case c.path == "/2/oauth2/revoke":
		e.answer, e.step = s.xRevoke, stepRevoke
	case c.path == "/2/users/me":
		e.answer, e.step = s.xMe, stepProfile
	default:
		e.answer = func(*call) reply { return s.xProblem(http.StatusNotFound, "Not Found") }
	}
	return e
}

// xAuthorize is the consent page and its form.
func (s *Sandbox) xAuthorize(c *call) reply {
	a, problem := s.xRequest(c.query)
	if problem != "" {
		return s.refuse("Something went wrong", problem)
	}
	switch c.Method {
	case http.MethodGet, http.MethodHead:
		return s.consentPage(a, "X")
	case http.MethodPost:
	default:
		return methodNotAllowed("GET, HEAD, POST")
	}
	d, problem := s.decide(c, a)
	if problem != "" {
		return s.refuse("Something went wrong", problem)
	}
	if !d.allow {
		return redirect(a.redirect, url.Values{"error": {"access_denied"}, "state": {a.state}}, "")
	}
	code := s.issueCode(c, a, d, xValue(c.now, "ac"), xCodeLife)
	return redirect(a.redirect, url.Values{"state": {a.state}, "code": {code}}, "")
}

// xRequest checks an authorization request. X shows an error page for whatever
// is wrong, and never redirects.
func (s *Sandbox) xRequest(q url.Values) (authorization, string) {
	const required = "response_type client_id redirect_uri scope state code_challenge code_challenge_method"
	if problem := s.checkClient("x", q); problem != "" {
		return authorization{}, problem
	}
	if name := stray(q, required); name != "" {
		return authorization{}, "A parameter is unknown or comes twice."
	}
	if name := missing(q, required); name != "" {
		return authorization{}, "The parameter " + name + " is missing."
	}
	a := authorization{platform: "x", client: q.Get("client_id"), redirect: q.Get("redirect_uri"), state: q.Get("state"), challenge: q.Get("code_challenge")}
	a.scopes = strings.Split(q.Get("scope"), " ")
	a.shown = a.scopes
	switch {
	case q.Get("response_type") != "code":
		return a, "The response_type must be code."
	case len(a.state) > xStateMax:
		return a, "The state is longer than 500 characters."
	case slices.ContainsFunc(a.scopes, func(scope string) bool { return !contains(xScopes, scope) }):
		return a, "A scope is unknown."
	}
	return a, checkChallenge(q)
}

// xToken is the token endpoint.
func (s *Sandbox) xToken(c *call) reply {
	client, refusal := s.xClient(c)
	if refusal != nil {
		return *refusal
	}
	var required string
	var grant func(*call, Client) reply
	switch c.form.Get("grant_type") {
	case "authorization_code":
		required, grant = "code redirect_uri code_verifier", s.xGrantCode
	case "refresh_token":
		required, grant = "refresh_token", s.xGrantRefresh
	case "":
		return s.xRequestError("Missing required parameter [grant_type].")
	default:
		return s.xError(http.StatusBadRequest, "unsupported_grant_type", "Value passed for the grant type was invalid.")
	}
	if name := stray(c.form, "grant_type client_id "+required); name != "" {
		return s.xRequestError("A parameter is unknown or comes twice.")
	}
	if name := missing(c.form, required); name != "" {
		return s.xRequestError("Missing required parameter [" + name + "].")
	}
	return grant(c, client)
}

// xClient authenticates a confidential client: POST, a form, Basic, and no
// secret anywhere else.
func (s *Sandbox) xClient(c *call) (Client, *reply) {
	refuse := func(r reply) (Client, *reply) { return Client{}, &r }
	if c.Method != http.MethodPost {
		return refuse(methodNotAllowed("POST"))
	}
	if c.form == nil || len(c.query) > 0 {
		return refuse(s.xRequestError("Send the parameters as application/x-www-form-urlencoded in the body."))
	}
	id, secret, ok := c.BasicAuth()
	id, errID := url.QueryUnescape(id) // RFC 6749 section 2.3.1
	secret, errSecret := url.QueryUnescape(secret)
	client, known := s.client("x", id)
	switch {
	case !ok || errID != nil || errSecret != nil || c.form.Has("client_secret"):
	case !known:
		return refuse(s.xError(http.StatusUnauthorized, "invalid_client", "Value passed for the client was invalid."))
	case !same(secret, client.Secret):
	case c.form.Has("client_id") && c.form.Get("client_id") != id:
		return refuse(s.xError(http.StatusBadRequest, "invalid_client", "Value passed for the client id did not match the authorization header."))
	default:
		return client, nil
	}
	return refuse(s.xError(http.StatusUnauthorized, "unauthorized_client", "Missing valid authorization header"))
}

// xGrantCode redeems a code, once.
func (s *Sandbox) xGrantCode(c *call, client Client) reply {
	code := s.find("x", "code", c.form.Get("code"))
	switch {
	case code == nil || code.Client != client.ID || !code.live(c.now):
		return s.xRequestError("Value passed for the authorization code was invalid.")
	case c.form.Get("redirect_uri") != code.Redirect:
		return s.xRequestError("Value passed for the redirect uri did not match the uri of the authorization code.")
	case !validVerifier(c.form.Get("code_verifier")) || !verifies(c.form.Get("code_verifier"), code.Challenge):
		return s.xRequestError("Value passed for the code verifier did not match the code challenge.")
	}
	s.kill(code, "used")
	return s.xIssue(c, code)
}

// xGrantRefresh rotates a refresh token. One that was rotated before ends the
// whole family: whoever comes second, one of the two has stolen it.
func (s *Sandbox) xGrantRefresh(c *call, client Client) reply {
	t := s.find("x", "refresh", c.form.Get("refresh_token"))
	if t != nil && t.Client == client.ID && t.Dead == "rotated" {
		s.xKillFamily(t)
	}
	if t == nil || t.Client != client.ID || !t.live(c.now) {
		return s.xRequestError("Value passed for the token was invalid.")
	}
	s.kill(t, "rotated")
	return s.xIssue(c, t)
}

// xIssue answers with a new pair of the same family.
func (s *Sandbox) xIssue(c *call, from *token) reply {
	t := token{
		Platform: "x", Kind: "access", Client: from.Client, Persona: from.Persona, Scopes: from.Scopes,
		Issued: c.now, Expires: c.now.Add(xAccessLife), Family: from.Family,
	}
	granted := slices.Clone(from.Scopes)
	slices.Reverse(granted) // X keeps no order
	v := values{"access_token": s.put(xValue(c.now, "at"), t), "scope": strings.Join(granted, " ")}
	if slices.Contains(t.Scopes, "offline.access") {
		t.Kind, t.Expires = "refresh", c.now.AddDate(0, 6, 0)
		v["refresh_token"] = s.put(xValue(c.now, "rt"), t)
	}
	return s.answer(http.StatusOK, "x/token.json", v)
}

// xRevoke ends a token; a refresh token takes its family along. A token that
// is not known is revoked already (RFC 7009 section 2.2).
func (s *Sandbox) xRevoke(c *call) reply {
	client, refusal := s.xClient(c)
	if refusal != nil {
		return *refusal
	}
	if stray(c.form, "token token_type_hint client_id") != "" {
		return s.xRequestError("A parameter is unknown or comes twice.")
	}
	if c.form.Get("token") == "" {
		return s.xRequestError("Missing required parameter [token].")
	}
	t := s.state.Tokens[c.form.Get("token")]
	switch {
	case t == nil || t.Platform != "x" || t.Client != client.ID:
	case t.Kind == "refresh":
		s.xKillFamily(t)
	case t.Kind == "access":
		s.kill(t, "revoked")
	}
	return s.answer(http.StatusOK, "x/revoked.json", nil)
}

func (s *Sandbox) xKillFamily(t *token) {
	s.killAll("revoked", func(o *token) bool { return o.Platform == "x" && o.Family == t.Family })
}

// xMe is GET /2/users/me.
func (s *Sandbox) xMe(c *call) reply {
	if c.Method != http.MethodGet {
		return methodNotAllowed("GET")
	}
	bearer, ok := strings.CutPrefix(c.Header.Get("Authorization"), "Bearer ")
	t := s.find("x", "access", bearer)
	if !ok || t == nil || !t.live(c.now) {
		return s.xProblem(http.StatusUnauthorized, "Unauthorized")
	}
	if !slices.Contains(t.Scopes, "users.read") || !slices.Contains(t.Scopes, "tweet.read") {
		return s.xProblem(http.StatusForbidden, "You are not permitted to perform this action.")
	}
	if name := stray(c.query, "user.fields"); name != "" {
		return s.xInvalid(name, "The query parameter ["+name+"] is not one of [expansions,tweet.fields,user.fields]")
	}
	fields := []string{"id", "name", "username"}
	if c.query.Has("user.fields") {
		fields = append(fields, strings.Split(c.query.Get("user.fields"), ",")...)
	}
	for _, f := range fields {
		if !contains(xUserFields, f) {
			return s.xInvalid("user.fields", "The `user.fields` query parameter value ["+f+"] is not one of ["+strings.ReplaceAll(xUserFields, " ", ",")+"]")
		}
	}
	return s.xUser(c, t, fields)
}

// xUser answers with the asked fields of a person.
func (s *Sandbox) xUser(c *call, t *token, fields []string) reply {
	p := person("x", t.Persona)
	if c.fault == "wrong_subject" {
		p = another(xPersonas, p)
	}
	v := values{"id": p.subject, "name": p.name, "username": p.username, "profile_image_url": "https://abs.twimg.com/sticky/default_profile_images/default_profile_normal.png"}
	if p.avatar != "" {
		v["profile_image_url"] = p.avatar
	}
	me := s.fill("x/me.json", v)
	user, _ := me["data"].(map[string]any)
	for name := range user {
		if !slices.Contains(fields, name) {
			delete(user, name)
		}
	}
	return jsonReply(http.StatusOK, me).with("x-rate-limit-limit", "75").with("x-rate-limit-remaining", "74").
		with("x-rate-limit-reset", strconv.FormatInt(c.now.Add(15*time.Minute).Unix(), 10))
}

// another returns a person who is not p.
func another(list []persona, p *persona) *persona {
	if p == &list[0] {
		return &list[1]
	}
	return &list[0]
}

func (s *Sandbox) xRequestError(description string) reply {
	return s.xError(http.StatusBadRequest, "invalid_request", description)
}

func (s *Sandbox) xError(status int, code, description string) reply {
	return s.answer(status, "x/oauth_error.json", values{"error": code, "error_description": description})
}

func (s *Sandbox) xProblem(status int, detail string) reply {
	return s.answer(status, "x/problem.json", values{"title": http.StatusText(status), "type": "about:blank", "status": status, "detail": detail})
}

func (s *Sandbox) xInvalid(parameter, message string) reply {
	return s.answer(http.StatusBadRequest, "x/invalid_request.json", values{"parameters": map[string][]string{parameter: {}}, "message": message})
}

// xValue makes a token as X makes them: unpadded base64 of a random part, the
// time in milliseconds, and what it is: ac, at or rt.
func xValue(now time.Time, kind string) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s:%d:1:0:%s:1", rand.Text(), now.UnixMilli(), kind))
}
