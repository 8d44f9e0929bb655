package sandbox

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// createSession signs in with an app password, at the account's PDS or, for
// accounts that it fronts, at the entryway.
func (s *Sandbox) createSession(c *call) reply {
	var in struct {
		Identifier      string `json:"identifier"`
		Password        string `json:"password"`
		AuthFactorToken string `json:"authFactorToken"`
		AllowTakendown  bool   `json:"allowTakendown"`
	}
	if refusal := s.readXRPC(c, &in); refusal != nil {
		return *refusal
	}
	if in.Identifier == "" || in.Password == "" {
		return s.invalidRequest("Input must have the properties \"identifier\" and \"password\"")
	}
	a := named(in.Identifier)
	var r reply
	switch {
	case a == nil || !a.signsInAt(c.host) || !same(in.Password, appPassword):
		r = s.xrpcError(http.StatusUnauthorized, "AuthenticationRequired", "Invalid identifier or password")
	case a.takenDown:
		r = s.xrpcError(http.StatusUnauthorized, "AccountTakedown", "Account has been taken down")
	default:
		family := rand.Text()
		r = s.session(c, a, s.bskyToken(c.now, a, "access", family), s.bskyToken(c.now, a, "refresh", family))
	}
	return r.with("RateLimit-Limit", "30").with("RateLimit-Remaining", "29").with("RateLimit-Policy", "30;w=300").
		with("RateLimit-Reset", strconv.FormatInt(c.now.Add(5*time.Minute).Unix(), 10))
}

// signsInAt says whether a host knows the account's password.
func (a *bskyAccount) signsInAt(host string) bool {
	return host == a.pds || host == bskyEntryway && a.entryway
}

// readXRPC decodes a JSON body and refuses fields that are not in v.
func (s *Sandbox) readXRPC(c *call, v any) *reply {
	var problem string
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.DisallowUnknownFields()
	switch {
	case c.Header.Get("Content-Type") == "":
		problem = "Request encoding (Content-Type) required but not provided"
	case mediaType(c.Request) != "application/json":
		problem = "Wrong request encoding (Content-Type): " + mediaType(c.Request)
	case len(c.query) > 0:
		problem = "Unexpected query parameters"
	case d.Decode(v) != nil || d.More():
		problem = "Input is not the JSON that the method takes"
	default:
		return nil
	}
	r := s.invalidRequest(problem)
	return &r
}

// refreshSession rotates a refresh token. For two hours the old one works
// again, and leads to the same successor.
func (s *Sandbox) refreshSession(c *call) reply {
	value, t, refusal := s.bskyBearer(c, "refresh")
	if refusal != nil {
		return *refusal
	}
	if len(c.body) > 0 {
		return s.invalidRequest("A request body was provided when none was expected")
	}
	if !t.live(c.now) {
		return s.expiredToken(t)
	}
	a := named(t.Persona)
	if a.takenDown {
		return s.xrpcError(http.StatusUnauthorized, "AccountTakedown", "Account has been taken down")
	}
	if t.Next == "" {
		t.Next = s.bskyToken(c.now, a, "refresh", t.Family)
		if end := c.now.Add(bskyGrace); end.Before(t.Expires) {
			s.state.Tokens[value].Expires = end
		}
	}
	return s.session(c, a, s.bskyToken(c.now, a, "access", t.Family), t.Next)
}

// deleteSession ends a session. It takes the refresh token, even an expired
// one; the access token goes on until it expires.
func (s *Sandbox) deleteSession(c *call) reply {
	_, t, refusal := s.bskyBearer(c, "refresh")
	if refusal != nil {
		return *refusal
	}
	s.killAll("revoked", func(o *token) bool { return o.Platform == "bluesky" && o.Kind == "refresh" && o.Family == t.Family })
	return reply{status: http.StatusOK, header: http.Header{}}
}

// getSession says whose session it is.
func (s *Sandbox) getSession(c *call) reply {
	t, refusal := s.bskyAccess(c)
	if refusal != nil {
		return *refusal
	}
	return s.answer(http.StatusOK, "bluesky/get_session.json", s.sessionValues(c, named(t.Persona)))
}

// session is the answer of createSession and refreshSession.
func (s *Sandbox) session(c *call, a *bskyAccount, access, refresh string) reply {
	v := s.sessionValues(c, a)
	v["accessJwt"], v["refreshJwt"] = access, refresh
	return s.answer(http.StatusOK, "bluesky/session.json", v)
}

// sessionValues describes an account. A deactivated one lacks the status that
// should say so, as some servers leave it out.
func (s *Sandbox) sessionValues(c *call, a *bskyAccount) values {
	if c.fault == "wrong_subject" {
		a = account(func(o *bskyAccount) bool { return o.did != a.did })
	}
	return values{"handle": a.handleNow(), "did": a.did, "didDoc": s.didDocument(a), "email": a.email, "active": !a.deactivated}
}

// bskyBearer finds the token of the Authorization header, which must be of the
// given kind and belong to this host. It may be dead.
func (s *Sandbox) bskyBearer(c *call, kind string) (string, *token, *reply) {
	refuse := func(r reply) (string, *token, *reply) { return "", nil, &r }
	value, ok := strings.CutPrefix(c.Header.Get("Authorization"), "Bearer ")
	if !ok || value == "" {
		return refuse(s.xrpcError(http.StatusUnauthorized, "AuthMissing", "Authentication Required"))
	}
	t := s.state.Tokens[value]
	switch {
	case strings.Count(value, ".") != 2:
		return refuse(s.xrpcError(http.StatusBadRequest, "InvalidToken", "Malformed token"))
	case t == nil || t.Platform != "bluesky" || !named(t.Persona).signsInAt(c.host):
		return refuse(s.xrpcError(http.StatusBadRequest, "InvalidToken", "Token could not be verified"))
	case t.Kind != kind:
		return refuse(s.xrpcError(http.StatusBadRequest, "InvalidToken", "Invalid token type"))
	}
	return value, t, nil
}

// bskyAccess is bskyBearer for an access token that must work.
func (s *Sandbox) bskyAccess(c *call) (*token, *reply) {
	_, t, refusal := s.bskyBearer(c, "access")
	if refusal == nil && !t.live(c.now) {
		r := s.expiredToken(t)
		return nil, &r
	}
	return t, refusal
}

// expiredToken says that a token has ended: 400, not 401.
func (s *Sandbox) expiredToken(t *token) reply {
	message := "Token has expired"
	if t.Dead != "" {
		message = "Token has been revoked"
	}
	return s.xrpcError(http.StatusBadRequest, "ExpiredToken", message)
}

// bskyToken issues a JWT as the reference PDS makes them. Nobody checks its
// signature: a token is known by its value.
func (s *Sandbox) bskyToken(now time.Time, a *bskyAccount, kind, family string) string {
	life, typ, scope := bskyAccessLife, "at+jwt", "com.atproto.appPass"
	if kind == "refresh" {
		life, typ, scope = bskyRefreshLife, "refresh+jwt", "com.atproto.refresh"
	}
	header := fmt.Sprintf(`{"typ":%q,"alg":"HS256"}`, typ)
	claims := fmt.Sprintf(`{"scope":%q,"sub":%q,"iat":%d,"exp":%d,"aud":%q,"jti":%q}`, scope, a.did, now.Unix(), now.Add(life).Unix(), "did:web:"+a.pds, rand.Text())
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(header)) + "." + encode([]byte(claims))
	mac := hmac.New(sha256.New, []byte(rand.Text()))
	mac.Write([]byte(signed))
	return s.put(signed+"."+encode(mac.Sum(nil)), token{
		Platform: "bluesky", Kind: kind, Persona: a.did, Issued: now, Expires: now.Add(life), Family: family,
	})
}
