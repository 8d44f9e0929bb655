package sandbox

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	fbCodeLife       = 600 * time.Second
	fbShortLife      = 5108 * time.Second
	fbLongLife       = 5183944 * time.Second
	fbDataAccessLife = 90 * 24 * time.Hour
	fbStateMax       = 255 // characters; Meta states no limit, this is its advice

	fbDefaultScopes = "pages_show_list pages_read_engagement pages_manage_posts business_management"
	fbScopes        = fbDefaultScopes + " public_profile email pages_manage_engagement pages_read_user_content read_insights pages_manage_metadata" +
		" pages_messaging publish_video instagram_basic instagram_content_publish instagram_manage_comments instagram_manage_insights" +
		" instagram_manage_messages ads_management ads_read whatsapp_business_management whatsapp_business_messaging leads_retrieval" +
		" catalog_management openid"
)

// fbVersions are the Graph API versions with the day each one ends.
var fbVersions = map[string]string{
	"v20.0": "2026-09-24", "v21.0": "2027-01-21", "v22.0": "2027-05-20", "v23.0": "2027-10-08",
	"v24.0": "2028-02-18", "v25.0": "2028-07-29", "v26.0": "",
}

// facebookEndpoint routes www.facebook.com and graph.facebook.com.
func (s *Sandbox) facebookEndpoint(c *call) endpoint {
	e := endpoint{platform: "facebook"}
	version, node := splitVersion(c.path)
	c.node = node
	switch path := strings.Join(node, "/"); {
	case c.host == "www.facebook.com" && path == "dialog/oauth":
		e.answer = s.fbDialog
		if c.Method == http.MethodPost {
			e.step = stepConsent
		}
		return e
	case c.host == "www.facebook.com":
		return e
	case path == "oauth/access_token":
		e.answer, e.step = s.fbToken, stepToken
		if c.query.Get("grant_type")+c.form.Get("grant_type") == "fb_exchange_token" {
			e.step = stepRefresh
		}
	case path == "debug_token":
		e.answer, e.step = s.fbDebug, stepInspect
	case c.Method == http.MethodDelete:
		e.answer, e.step = s.fbDeletePermissions, stepRevoke
	case path == "me":
		e.answer, e.step = s.fbGraph, stepProfile
	default:
		e.answer, e.step = s.fbGraph, stepAPI
	}
	if !fbVersionLives(version, c.now) {
		e.answer = func(*call) reply {
			return s.fbError(http.StatusBadRequest, 2635, 0, "(#2635) You are calling a deprecated version of the API. Please update to the latest version.")
		}
	}
	return e
}

// splitVersion takes the version, if there is one, off a path.
func splitVersion(path string) (string, []string) {
	node := strings.Split(strings.Trim(path, "/"), "/")
	if len(node[0]) > 1 && node[0][0] == 'v' && node[0][1] >= '0' && node[0][1] <= '9' {
		return node[0], node[1:]
	}
	return "", node
}

// fbVersionLives says whether a version is served. A path without one is.
func fbVersionLives(version string, now time.Time) bool {
	end, known := fbVersions[version]
	return version == "" || known && (end == "" || now.UTC().Format(time.DateOnly) < end)
}

// fbDialog is the consent page and its form.
func (s *Sandbox) fbDialog(c *call) reply {
	const title = "Sorry, something went wrong."
	if version, _ := splitVersion(c.path); !fbVersionLives(version, c.now) {
		return s.refuse(title, "This version of the dialog is not served any more.")
	}
	a, problem := s.fbRequest(c.query)
	if problem != "" {
		return s.refuse(title, problem)
	}
	switch c.Method {
	case http.MethodGet, http.MethodHead:
		s.fbHideDeclined(&a, c.query.Get("auth_type"), "")
		return s.consentPage(a, "Facebook")
	case http.MethodPost:
	default:
		return methodNotAllowed("GET, HEAD, POST")
	}
	s.fbHideDeclined(&a, c.query.Get("auth_type"), c.form.Get("persona"))
	d, problem := s.decide(c, a)
	if problem != "" {
		return s.refuse(title, problem)
	}
	if !d.allow {
		return redirect(a.redirect, url.Values{
			"error": {"access_denied"}, "error_code": {"200"}, "error_description": {"Permissions error"}, "error_reason": {"user_denied"}, "state": {a.state},
		}, "#_=_")
	}
	declined := s.fbGrant(a, d)
	q := url.Values{"code": {s.issueCode(c, a, d, "AQD"+rand.Text()+rand.Text(), fbCodeLife)}, "state": {a.state}}
	if a.report {
		q.Set("granted_scopes", strings.Join(d.scopes, ","))
		q.Set("denied_scopes", strings.Join(declined, ","))
	}
	return redirect(a.redirect, q, "#_=_")
}

// fbRequest checks a dialog request.
func (s *Sandbox) fbRequest(q url.Values) (authorization, string) {
	const allowed = "client_id redirect_uri state response_type scope config_id override_default_response_type auth_type return_scopes" +
		" display extras code_challenge code_challenge_method nonce"
	if problem := s.checkClient("facebook", q); problem != "" {
		return authorization{}, "URL Blocked. " + problem
	}
	a := authorization{
		platform: "facebook", client: q.Get("client_id"), redirect: q.Get("redirect_uri"), state: q.Get("state"), challenge: q.Get("code_challenge"),
		untick: !q.Has("config_id"), report: q.Get("return_scopes") == "true", scopes: splitScopes(q.Get("scope")),
	}
	if len(a.scopes) == 0 && q.Has("config_id") {
		a.scopes = strings.Fields(fbDefaultScopes)
	}
	switch {
	case stray(q, allowed) != "":
		return a, "A parameter is unknown or comes twice."
	case a.state == "":
		return a, "The parameter state is missing."
	case len(a.state) > fbStateMax:
		return a, "The state is longer than 255 characters."
	case q.Has("response_type") && q.Get("response_type") != "code":
		return a, "The response_type must be code."
	case q.Has("auth_type") && !contains("rerequest reauthenticate", q.Get("auth_type")):
		return a, "The auth_type is unknown."
	case slices.ContainsFunc(a.scopes, func(scope string) bool { return !contains(fbScopes, scope) }):
		return a, "Invalid Scopes. This message is only shown to developers."
	case q.Has("code_challenge") || q.Has("code_challenge_method"):
		return a, checkChallenge(q)
	}
	return a, ""
}

// fbHideDeclined leaves out what the person has declined before: Facebook asks
// for it again only with auth_type=rerequest. Nobody has declined anything
// before the person is known, and public_profile is never asked.
func (s *Sandbox) fbHideDeclined(a *authorization, authType, personaID string) {
	grant := s.state.Grants[fbGrantKey(a.client, personaID)]
	for _, scope := range a.scopes {
		hidden := scope == "public_profile" || grant[scope] == "declined" && authType != "rerequest"
		if !hidden && !slices.Contains(a.shown, scope) {
			a.shown = append(a.shown, scope)
		}
	}
}

// fbGrant records what the person decided and returns what was declined.
func (s *Sandbox) fbGrant(a authorization, d decision) []string {
	key := fbGrantKey(a.client, d.persona)
	if s.state.Grants[key] == nil {
		s.state.Grants[key] = map[string]string{}
	}
	grant := s.state.Grants[key]
	var declined []string
	for _, scope := range a.scopes {
		switch {
		case slices.Contains(d.scopes, scope):
			grant[scope] = "granted"
			continue
		case scope == "public_profile":
			continue
		case scope == d.narrowed:
			grant[scope] = "expired" // the fault; it is asked again next time
		default:
			grant[scope] = "declined"
		}
		declined = append(declined, scope)
	}
	grant["public_profile"] = "granted"
	s.dirty = true
	return declined
}

func fbGrantKey(client, personaID string) string { return client + "/" + personaID }

// fbToken is the token endpoint. It takes its parameters from query and body.
func (s *Sandbox) fbToken(c *call) reply {
	if c.Method != http.MethodGet && c.Method != http.MethodPost {
		return methodNotAllowed("GET, POST")
	}
	p := url.Values{}
	for _, from := range []url.Values{c.query, c.form} {
		for name, list := range from {
			p[name] = append(p[name], list...)
		}
	}
	if stray(p, "client_id client_secret redirect_uri code code_verifier grant_type fb_exchange_token") != "" {
		return s.fbBad("A parameter is unknown or comes twice.")
	}
	client, known := s.client("facebook", p.Get("client_id"))
	switch {
	case !known:
		return s.fbError(http.StatusBadRequest, 101, 0, "Error validating application. Invalid application ID.")
	case !same(p.Get("client_secret"), client.Secret):
		return s.fbError(http.StatusBadRequest, 101, 0, "Error validating client secret.")
	}
	switch p.Get("grant_type") {
	case "", "authorization_code":
		return s.fbGrantCode(c, client, p)
	case "fb_exchange_token":
		return s.fbExchange(c, client, p.Get("fb_exchange_token"))
	case "client_credentials":
		return s.answer(http.StatusOK, "facebook/token.json", values{"access_token": client.ID + "|" + client.Secret})
	}
	return s.fbBad("Unsupported grant_type.")
}

// fbGrantCode redeems a code, once.
func (s *Sandbox) fbGrantCode(c *call, client Client, p url.Values) reply {
	code := s.find("facebook", "code", p.Get("code"))
	verifier := p.Get("code_verifier")
	switch {
	case code == nil || code.Client != client.ID:
		return s.fbBad("Invalid verification code format.")
	case code.Dead != "":
		return s.fbError(http.StatusBadRequest, 100, 36009, "This authorization code has been used.")
	case !code.live(c.now):
		return s.fbError(http.StatusBadRequest, 100, 36007, "This authorization code has expired.")
	case p.Get("redirect_uri") != code.Redirect:
		return s.fbError(http.StatusBadRequest, 100, 36008, "Error validating verification code. Please make sure your redirect_uri is identical to the one you used in the OAuth dialog request")
	case code.Challenge == "" && p.Has("code_verifier"), code.Challenge != "" && (!validVerifier(verifier) || !verifies(verifier, code.Challenge)):
		return s.fbBad("Invalid code_verifier parameter.")
	}
	s.kill(code, "used")
	return s.fbIssue(c, code, fbShortLife, false, c.now.Add(fbDataAccessLife))
}

// fbExchange trades a living user token for one of 60 days.
func (s *Sandbox) fbExchange(c *call, client Client, value string) reply {
	t := s.find("facebook", "access", value)
	if t == nil || t.Client != client.ID {
		return s.fbTokenError(nil, c.now)
	}
	if !t.live(c.now) {
		return s.fbTokenError(t, c.now)
	}
	return s.fbIssue(c, t, fbLongLife, true, t.DataAccess)
}

// fbIssue answers with a new user token.
func (s *Sandbox) fbIssue(c *call, from *token, life time.Duration, long bool, dataAccess time.Time) reply {
	value := s.put("EAAG"+rand.Text()+rand.Text()+rand.Text()+"ZD", token{
		Platform: "facebook", Kind: "access", Client: from.Client, Persona: from.Persona, Issued: c.now, Expires: c.now.Add(life),
		Family: from.Family, Long: long, DataAccess: dataAccess,
	})
	return s.answer(http.StatusOK, "facebook/token.json", values{"access_token": value, "expires_in": int(life.Seconds())})
}

// fbBad is code 100, the answer to a wrong parameter.
func (s *Sandbox) fbBad(message string) reply {
	return s.fbError(http.StatusBadRequest, 100, 0, message)
}

// fbError is the error body of the Graph API. A subcode of 0 is left out.
func (s *Sandbox) fbError(status, code, subcode int, message string) reply {
	v := values{"code": code, "message": message}
	if subcode != 0 {
		v["error_subcode"] = subcode
	}
	return s.answer(status, "facebook/error.json", v)
}
