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
	liCodeLife    = 30 * time.Minute
	liAccessLife  = 60 * 24 * time.Hour
	liRefreshLife = 365 * 24 * time.Hour // from the consent; refreshing does not move it

	liScopes = "openid profile email w_member_social r_basicprofile r_organization_admin rw_organization_admin" +
		" r_organization_social w_organization_social"
)

// linkedinEndpoint routes www.linkedin.com and api.linkedin.com.
func (s *Sandbox) linkedinEndpoint(c *call) endpoint {
	e := endpoint{platform: "linkedin"}
	switch c.host + c.path {
	case "www.linkedin.com/oauth/v2/authorization":
		e.answer = s.liAuthorize
		if c.Method == http.MethodPost {
			e.step = stepConsent
		}
	case "www.linkedin.com/oauth/v2/accessToken":
		e.answer, e.step = s.liToken, stepToken
		if c.form.Get("grant_type") == "refresh_token" {
			e.step = stepRefresh
		}
	case "www.linkedin.com/oauth/v2/introspectToken":
		e.answer, e.step = s.liIntrospect, stepInspect
	case "www.linkedin.com/oauth/v2/revoke":
		e.answer, e.step = s.liRevoke, stepRevoke
	case "api.linkedin.com/v2/userinfo", "api.linkedin.com/v2/me":
		e.answer, e.step = s.liMember, stepProfile
	case "api.linkedin.com/rest/organizationAcls":
		e.answer, e.step = s.liRest(http.MethodGet, s.liAcls), stepAPI
	case "api.linkedin.com/rest/organizationsLookup":
		e.answer, e.step = s.liRest(http.MethodGet, s.liLookup), stepAPI
	case "api.linkedin.com/rest/posts":
		e.answer, e.step = s.liRest(http.MethodPost, s.liPost), stepAPI
	default:
		if c.host == "api.linkedin.com" {
			e.answer = func(*call) reply {
				return s.liError(http.StatusNotFound, 0, "RESOURCE_NOT_FOUND", "No virtual resource found")
			}
		}
	}
	return e
}

// liAuthorize is the consent page and its form. Consent is all or nothing.
func (s *Sandbox) liAuthorize(c *call) reply {
	const title = "Bummer, something went wrong."
	a, problem := s.liRequest(c.query)
	if problem != "" {
		return s.refuse(title, problem)
	}
	switch c.Method {
	case http.MethodGet, http.MethodHead:
		return s.consentPage(a, "LinkedIn")
	case http.MethodPost:
	default:
		return methodNotAllowed("GET, HEAD, POST")
	}
	d, problem := s.decide(c, a)
	if problem != "" {
		return s.refuse(title, problem)
	}
	back := func(code, description string) reply {
		return redirect(a.redirect, url.Values{"error": {code}, "error_description": {description}, "state": {a.state}}, "")
	}
	unknown := slices.IndexFunc(a.scopes, func(scope string) bool { return !contains(liScopes, scope) })
	if c.fault == "unauthorized_scope" {
		unknown = len(a.scopes) - 1
	}
	switch {
	case unknown >= 0:
		return back("unauthorized_scope_error", "Scope &quot;"+a.scopes[unknown]+"&quot; is not authorized for your application")
	case c.fault == "cancel_login":
		return back("user_cancelled_login", "The user cancelled LinkedIn login")
	case !d.allow:
		return back("user_cancelled_authorize", "The user cancelled the authorization")
	}
	code := s.issueCode(c, a, d, "AQT"+rand.Text()+rand.Text(), liCodeLife)
	return redirect(a.redirect, url.Values{"code": {code}, "state": {a.state}}, "")
}

// liRequest checks an authorization request. LinkedIn has no PKCE here.
func (s *Sandbox) liRequest(q url.Values) (authorization, string) {
	const required = "response_type client_id redirect_uri scope state"
	if problem := s.checkClient("linkedin", q); problem != "" {
		return authorization{}, problem
	}
	if stray(q, required) != "" {
		return authorization{}, "A parameter is unknown or comes twice."
	}
	if name := missing(q, required); name != "" {
		return authorization{}, "The parameter " + name + " is missing."
	}
	a := authorization{platform: "linkedin", client: q.Get("client_id"), redirect: q.Get("redirect_uri"), state: q.Get("state")}
	a.scopes = strings.Split(q.Get("scope"), " ")
	a.shown = a.scopes
	if q.Get("response_type") != "code" {
		return a, "The response_type must be code."
	}
	return a, ""
}

// liToken is the token endpoint.
func (s *Sandbox) liToken(c *call) reply {
	switch c.form.Get("grant_type") {
	case "authorization_code":
		client, refusal := s.liClient(c, "grant_type code redirect_uri")
		if refusal != nil {
			return *refusal
		}
		return s.liGrantCode(c, client)
	case "refresh_token":
		client, refusal := s.liClient(c, "grant_type refresh_token")
		if refusal != nil {
			return *refusal
		}
		return s.liGrantRefresh(c, client)
	case "":
		return s.liRefuse(http.StatusBadRequest, "invalid_request", `A required parameter "grant_type" is missing`)
	}
	return s.liRefuse(http.StatusBadRequest, "unsupported_grant_type", "The grant type is not supported")
}

// liClient checks a form with exactly the given parameters and those of the
// client, whose secret comes in the body alone.
func (s *Sandbox) liClient(c *call, parameters string) (Client, *reply) {
	refuse := func(r reply) (Client, *reply) { return Client{}, &r }
	parameters += " client_id client_secret"
	switch {
	case c.Method != http.MethodPost:
		return refuse(methodNotAllowed("POST"))
	case c.form == nil || len(c.query) > 0 || c.Header.Get("Authorization") != "":
		return refuse(s.liRefuse(http.StatusBadRequest, "invalid_request", "Send the parameters as application/x-www-form-urlencoded in the body"))
	case stray(c.form, parameters) != "":
		return refuse(s.liRefuse(http.StatusBadRequest, "invalid_request", "A parameter is unknown or comes twice"))
	}
	if name := missing(c.form, parameters); name != "" {
		return refuse(s.liRefuse(http.StatusBadRequest, "invalid_request", `A required parameter "`+name+`" is missing`))
	}
	client, known := s.client("linkedin", c.form.Get("client_id"))
	if !known || !same(c.form.Get("client_secret"), client.Secret) {
		return refuse(s.liRefuse(http.StatusUnauthorized, "invalid_client", "Client authentication failed"))
	}
	return client, nil
}

// liGrantCode redeems a code, once. Another set of scopes than before ends what
// the member had given to the app.
func (s *Sandbox) liGrantCode(c *call, client Client) reply {
	code := s.find("linkedin", "code", c.form.Get("code"))
	switch {
	case code == nil || code.Dead != "":
		return s.liRefuse(http.StatusUnauthorized, "invalid_request", "Unable to retrieve access token: authorization code not found")
	case code.Client != client.ID || !code.live(c.now) || c.form.Get("redirect_uri") != code.Redirect:
		return s.liRefuse(http.StatusBadRequest, "invalid_redirect_uri", "Unable to retrieve access token: appid/redirect uri/code verifier does not match"+
			" authorization code. Or authorization code expired. Or external member binding exists")
	}
	s.kill(code, "used")
	scopes := slices.Sorted(slices.Values(code.Scopes))
	s.killAll("replaced", func(t *token) bool {
		return t.Kind != "code" && s.liSame(t, code) && !slices.Equal(slices.Sorted(slices.Values(t.Scopes)), scopes)
	})
	refresh := token{
		Platform: "linkedin", Kind: "refresh", Client: client.ID, Persona: code.Persona, Scopes: code.Scopes,
		Issued: c.now, Expires: c.now.Add(liRefreshLife), Family: code.Family,
	}
	if c.fault == "no_refresh_token" {
		return s.liIssue(c, &refresh, "")
	}
	return s.liIssue(c, &refresh, s.put("AQX"+rand.Text()+rand.Text(), refresh))
}

// liSame says whether two tokens are of one member and one app.
func (s *Sandbox) liSame(a, b *token) bool {
	return a.Platform == "linkedin" && a.Client == b.Client && a.Persona == b.Persona
}

// liGrantRefresh brings a new access token and the same refresh token.
func (s *Sandbox) liGrantRefresh(c *call, client Client) reply {
	value := c.form.Get("refresh_token")
	t := s.find("linkedin", "refresh", value)
	if t == nil || t.Client != client.ID || !t.live(c.now) {
		return s.liRefuse(http.StatusBadRequest, "invalid_request", "The provided authorization grant or refresh token is invalid, expired or revoked")
	}
	return s.liIssue(c, t, value)
}

// liIssue answers with an access token, which never outlives the refresh token.
func (s *Sandbox) liIssue(c *call, refresh *token, value string) reply {
	t := *refresh
	t.Kind, t.Issued, t.Expires = "access", c.now, c.now.Add(liAccessLife)
	if t.Expires.After(refresh.Expires) {
		t.Expires = refresh.Expires
	}
	v := values{
		"access_token": s.put("AQU"+rand.Text()+rand.Text()+rand.Text(), t), "expires_in": int(t.Expires.Sub(c.now).Seconds()),
		"scope": strings.Join(slices.Sorted(slices.Values(t.Scopes)), ","),
	}
	if value != "" {
		v["refresh_token"], v["refresh_token_expires_in"] = value, int(refresh.Expires.Sub(c.now).Seconds())
	}
	return s.answer(http.StatusOK, "linkedin/token.json", v)
}

// liIntrospect says what a token is.
func (s *Sandbox) liIntrospect(c *call) reply {
	client, refusal := s.liClient(c, "token")
	if refusal != nil {
		return *refusal
	}
	t := s.state.Tokens[c.form.Get("token")]
	if t == nil || t.Platform != "linkedin" || t.Kind == "code" || t.Client != client.ID {
		return s.liRefuse(http.StatusBadRequest, "invalid_request", "The token is invalid")
	}
	status := "active"
	switch {
	case t.Dead != "":
		status = "revoked"
	case c.fault == "expired_token" || !t.live(c.now):
		status = "expired"
	}
	return s.answer(http.StatusOK, "linkedin/introspection.json", values{
		"active": status == "active", "status": status, "client_id": client.ID, "scope": strings.Join(t.Scopes, ","),
		"authorized_at": t.Issued.Unix(), "created_at": t.Issued.Unix(), "expires_at": t.Expires.Unix(),
	})
}

// liRevoke ends everything that the member gave to the app. LinkedIn documents
// neither the endpoint nor its reach; this is the most that it can be.
func (s *Sandbox) liRevoke(c *call) reply {
	client, refusal := s.liClient(c, "token")
	if refusal != nil {
		return *refusal
	}
	t := s.state.Tokens[c.form.Get("token")]
	if t == nil || t.Platform != "linkedin" || t.Kind == "code" || t.Client != client.ID {
		return s.liRefuse(http.StatusBadRequest, "invalid_request", "The token is invalid")
	}
	s.killAll("revoked", func(o *token) bool { return s.liSame(o, t) })
	return reply{status: http.StatusOK, header: http.Header{}}
}

// liRefuse is an error of the authorization server.
func (s *Sandbox) liRefuse(status int, code, description string) reply {
	return s.answer(status, "linkedin/oauth_error.json", values{"error": code, "error_description": description})
}
