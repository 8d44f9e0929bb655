package sandbox

import (
	"cmp"
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
	googleCodeLife    = 10 * time.Minute
	googleAccessLife  = 3599 * time.Second
	googleIdle        = 182 * 24 * time.Hour // six months without use
	googleTestingLife = 604799 * time.Second // of a client in testing
	googleMostRefresh = 100                  // refresh tokens of one person for one client

	googleScope    = "https://www.googleapis.com/auth/"
	googleIdentity = "openid email profile " + googleScope + "userinfo.email " + googleScope + "userinfo.profile"
	googleScopes   = googleIdentity + " " + googleYouTube + " " + googleScope + "business.manage"
	googleYouTube  = googleListing + " " + googleScope + "youtube.upload"
	googleListing  = googleScope + "youtube " + googleScope + "youtube.readonly " + googleScope + "youtube.force-ssl"
)

// googleEndpoint routes Google's sign-in and its APIs.
func (s *Sandbox) googleEndpoint(c *call) endpoint {
	e := endpoint{platform: "google"}
	switch c.host + c.path {
	case "accounts.google.com/o/oauth2/v2/auth":
		e.answer = s.googleAuthorize
		if c.Method == http.MethodPost {
			e.step = stepConsent
		}
	case "oauth2.googleapis.com/token":
		e.answer, e.step = s.googleToken, stepToken
		if c.form.Get("grant_type") == "refresh_token" {
			e.step = stepRefresh
		}
	case "oauth2.googleapis.com/tokeninfo":
		e.answer, e.step = s.googleTokenInfo, stepProfile
	case "oauth2.googleapis.com/revoke":
		e.answer, e.step = s.googleRevoke, stepRevoke
	default:
		if e.answer = s.googleAPI(c); e.answer != nil {
			e.step = stepAPI
		}
	}
	return e
}

// googleAuthorize is the chooser of accounts and the consent page.
func (s *Sandbox) googleAuthorize(c *call) reply {
	a, problem := s.googleRequest(c.query)
	if problem != "" {
		return s.refuse("Access blocked", problem)
	}
	switch c.Method {
	case http.MethodGet, http.MethodHead:
		return s.consentPage(a, "Google")
	case http.MethodPost:
	default:
		return methodNotAllowed("GET, HEAD, POST")
	}
	d, problem := s.decide(c, a)
	if problem != "" {
		return s.refuse("Access blocked", problem)
	}
	if d.allow && len(a.shown) > 0 && len(d.scopes) == 0 { // every box was left empty
		d.allow = false
	}
	if !d.allow {
		return redirect(a.redirect, url.Values{"error": {"access_denied"}, "state": {a.state}}, "")
	}
	d.scopes = append(only(a.scopes, googleIdentity), d.scopes...)
	code := s.issueCode(c, a, d, "4/0A"+rand.Text()+rand.Text(), googleCodeLife)
	s.find("google", "code", code).Fresh = a.fresh
	return redirect(a.redirect, url.Values{
		"state": {a.state}, "iss": {"https://accounts.google.com"}, "code": {code}, "scope": {strings.Join(d.scopes, " ")},
		"authuser": {"0"}, "prompt": {"consent"},
	}, "")
}

// googleRequest checks an authorization request. Google shows its own page for
// whatever is wrong. A person may untick where more than one thing is asked.
func (s *Sandbox) googleRequest(q url.Values) (authorization, string) {
	const required = "response_type client_id redirect_uri scope state access_type code_challenge code_challenge_method"
	if problem := s.checkClient("google", q); problem != "" {
		return authorization{}, problem
	}
	if name := stray(q, required+" prompt login_hint include_granted_scopes"); name != "" {
		return authorization{}, "Error 400: invalid_request. A parameter is unknown or comes twice."
	}
	if name := missing(q, required); name != "" {
		return authorization{}, "Error 400: invalid_request. The parameter " + name + " is missing."
	}
	a := authorization{platform: "google", client: q.Get("client_id"), redirect: q.Get("redirect_uri"), state: q.Get("state"), challenge: q.Get("code_challenge")}
	a.scopes = strings.Split(q.Get("scope"), " ")
	a.shown = slices.DeleteFunc(slices.Clone(a.scopes), func(scope string) bool { return contains(googleIdentity, scope) })
	a.untick = len(a.shown) > 1
	a.fresh = contains(q.Get("prompt"), "consent")
	switch {
	case q.Get("response_type") != "code":
		return a, "Error 400: unsupported_response_type. The response_type must be code."
	case q.Get("access_type") != "offline" && q.Get("access_type") != "online":
		return a, "Error 400: invalid_request. The access_type must be offline or online."
	case slices.ContainsFunc(a.scopes, func(scope string) bool { return !contains(googleScopes, scope) }):
		return a, "Error 400: invalid_scope. A scope is unknown."
	case slices.ContainsFunc(strings.Fields(q.Get("prompt")), func(p string) bool { return !contains("consent select_account", p) }):
		return a, "Error 400: invalid_request. The prompt must be consent, select_account or both."
	}
	a.fresh = a.fresh && q.Get("access_type") == "offline"
	return a, checkChallenge(q)
}

// only returns the members that a space-separated list has.
func only(members []string, list string) []string {
	return slices.DeleteFunc(slices.Clone(members), func(m string) bool { return !contains(list, m) })
}

// googleToken is the token endpoint: POST, a form, the client in the body.
func (s *Sandbox) googleToken(c *call) reply {
	if c.Method != http.MethodPost {
		return methodNotAllowed("POST")
	}
	client, known := s.client("google", c.form.Get("client_id"))
	var required string
	var grant func(*call, Client) reply
	switch c.form.Get("grant_type") {
	case "authorization_code":
		required, grant = "code redirect_uri code_verifier", s.googleGrantCode
	case "refresh_token":
		required, grant = "refresh_token", s.googleGrantRefresh
	default:
		return s.googleError(http.StatusBadRequest, "unsupported_grant_type", "Invalid grant_type: "+c.form.Get("grant_type"))
	}
	required += " grant_type client_id client_secret"
	if name := cmp.Or(stray(c.form, required), missing(c.form, required)); name != "" || len(c.query) > 0 {
		return s.googleError(http.StatusBadRequest, "invalid_request", "Missing required parameter, or one that is unknown or repeated: "+name)
	}
	if !known {
		return s.googleError(http.StatusUnauthorized, "invalid_client", "The OAuth client was not found.")
	}
	if !same(c.form.Get("client_secret"), client.Secret) {
		return s.googleError(http.StatusUnauthorized, "invalid_client", "Unauthorized")
	}
	return grant(c, client)
}

// googleGrantCode redeems a code, once. A refresh token comes with the first
// consent only, or where the consent screen was asked for.
func (s *Sandbox) googleGrantCode(c *call, client Client) reply {
	code := s.find("google", "code", c.form.Get("code"))
	switch {
	case code == nil || code.Client != client.ID || !code.live(c.now):
		return s.googleError(http.StatusBadRequest, "invalid_grant", "Malformed auth code.")
	case c.form.Get("redirect_uri") != code.Redirect:
		return s.googleError(http.StatusBadRequest, "redirect_uri_mismatch", "Bad Request")
	case !validVerifier(c.form.Get("code_verifier")) || !verifies(c.form.Get("code_verifier"), code.Challenge):
		return s.googleError(http.StatusBadRequest, "invalid_grant", "Invalid code verifier.")
	}
	s.kill(code, "used")
	key := "google " + client.ID + " " + code.Persona
	first := s.state.Grants[key] == nil
	s.state.Grants[key] = map[string]string{}
	for _, scope := range code.Scopes {
		s.state.Grants[key][scope] = "granted"
	}
	extra := values{"id_token": googleIDToken(c, code)}
	if (first || code.Fresh) && c.fault != "no_refresh_token" {
		t := token{Platform: "google", Kind: "refresh", Client: client.ID, Persona: code.Persona, Scopes: code.Scopes, Issued: c.now, Expires: c.now.Add(googleIdle), Family: code.Family}
		if c.fault == "testing_client" {
			t.Expires, t.Fixed = c.now.Add(googleTestingLife), true
			extra["refresh_token_expires_in"] = int(googleTestingLife.Seconds())
		}
		extra["refresh_token"] = s.put("1//0g"+rand.Text()+rand.Text(), t)
		s.googleDropOldest(&t)
	}
	return s.googleIssue(c, code, extra)
}

// googleDropOldest ends the oldest refresh token of a person and client that
// have too many.
func (s *Sandbox) googleDropOldest(of *token) {
	var living []*token
	for _, t := range s.state.Tokens {
		if t.Platform == "google" && t.Kind == "refresh" && t.Client == of.Client && t.Persona == of.Persona && t.Dead == "" {
			living = append(living, t)
		}
	}
	if len(living) > googleMostRefresh {
		s.kill(slices.MinFunc(living, func(a, b *token) int { return a.Issued.Compare(b.Issued) }), "dropped")
	}
}

// googleGrantRefresh gives a new access token. The refresh token stays.
func (s *Sandbox) googleGrantRefresh(c *call, client Client) reply {
	t := s.find("google", "refresh", c.form.Get("refresh_token"))
	switch {
	case t != nil && t.Client != client.ID:
		return s.googleError(http.StatusUnauthorized, "unauthorized_client", "Unauthorized")
	case t == nil || !t.live(c.now):
		return s.googleError(http.StatusBadRequest, "invalid_grant", "Token has been expired or revoked.")
	}
	extra := values{}
	if t.Fixed {
		extra["refresh_token_expires_in"] = int(t.Expires.Sub(c.now).Seconds())
	} else {
		t.Expires = c.now.Add(googleIdle)
		s.dirty = true
	}
	return s.googleIssue(c, t, extra)
}

// googleIssue answers with a new access token. Short names of scopes come back
// as long ones, in another order.
func (s *Sandbox) googleIssue(c *call, from *token, v values) reply {
	t := token{Platform: "google", Kind: "access", Client: from.Client, Persona: from.Persona, Issued: c.now, Expires: c.now.Add(googleAccessLife), Family: from.Family}
	for _, scope := range from.Scopes {
		if scope == "email" || scope == "profile" {
			scope = googleScope + "userinfo." + scope
		}
		t.Scopes = append(t.Scopes, scope)
	}
	slices.Sort(t.Scopes)
	v["access_token"] = s.put("ya29.a0"+rand.Text()+rand.Text(), t)
	v["scope"] = strings.Join(t.Scopes, " ")
	return s.answer(http.StatusOK, "google/token.json", v)
}

// googleIDToken looks like an ID token; nobody here checks its signature.
func googleIDToken(c *call, t *token) string {
	encode := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"iss":"https://accounts.google.com","aud":%q,"sub":%q,"iat":%d}`, t.Client, person("google", t.Persona).subject, c.now.Unix())
	return encode([]byte(`{"alg":"RS256"}`)) + "." + encode([]byte(claims)) + "." + encode([]byte(rand.Text()))
}

// googleTokenInfo says whose an access token is.
func (s *Sandbox) googleTokenInfo(c *call) reply {
	if c.Method != http.MethodPost {
		return methodNotAllowed("POST")
	}
	bearer, _ := strings.CutPrefix(c.Header.Get("Authorization"), "Bearer ")
	t := s.find("google", "access", bearer)
	if t == nil || !t.live(c.now) || len(c.query) > 0 {
		return s.googleError(http.StatusBadRequest, "invalid_token", "Invalid Value")
	}
	v := values{
		"aud": t.Client, "scope": strings.Join(t.Scopes, " "),
		"exp": strconv.FormatInt(t.Expires.Unix(), 10), "expires_in": strconv.Itoa(int(t.Expires.Sub(c.now).Seconds())),
	}
	if slices.Contains(t.Scopes, "openid") {
		p := person("google", t.Persona)
		if c.fault == "wrong_subject" {
			p = another(googlePersonas, p)
		}
		v["sub"] = p.subject
	}
	return s.answer(http.StatusOK, "google/tokeninfo.json", v)
}

// googleRevoke ends everything that a person gave to a client, by any of its
// living tokens.
func (s *Sandbox) googleRevoke(c *call) reply {
	if c.Method != http.MethodPost {
		return methodNotAllowed("POST")
	}
	t := s.state.Tokens[c.form.Get("token")]
	if stray(c.form, "token") != "" || len(c.query) > 0 || t == nil || t.Platform != "google" || t.Kind == "code" || !t.live(c.now) {
		return s.googleError(http.StatusBadRequest, "invalid_token", "Token expired or revoked")
	}
	delete(s.state.Grants, "google "+t.Client+" "+t.Persona)
	s.killAll("revoked", func(o *token) bool { return o.Platform == "google" && o.Client == t.Client && o.Persona == t.Persona })
	return jsonReply(http.StatusOK, map[string]any{})
}

func (s *Sandbox) googleError(status int, code, description string) reply {
	return s.answer(status, "google/oauth_error.json", values{"error": code, "error_description": description})
}
