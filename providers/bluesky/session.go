package bluesky

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/bluesky-social/indigo/atproto/atclient"
	"github.com/bluesky-social/indigo/atproto/syntax"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/strictjson"
)

// The methods of a PDS that are called here
// [https://docs.bsky.app/docs/api/com-atproto-server-create-session].
const (
	createSession  syntax.NSID = "com.atproto.server.createSession"
	refreshSession syntax.NSID = "com.atproto.server.refreshSession"
	deleteSession  syntax.NSID = "com.atproto.server.deleteSession"
	getSession     syntax.NSID = "com.atproto.server.getSession" // the one that is a GET
)

const (
	maxAnswer = 1 << 20      // bytes; an answer has two kilobytes and a DID document
	maxToken  = 8 << 10      // bytes; a token has a few hundred
	maxUnix   = 253402300799 // the end of the year 9999, the last that JSON can tell
)

// errAnswer means that a PDS carried a call out and that its answer is of no
// use.
var errAnswer = errors.New("bluesky: the server's answer is incomplete")

// session is the answer of createSession, refreshSession and getSession, as far
// as it is used. That of getSession has no tokens.
type session struct {
	DID     string         `json:"did"`
	Access  connect.Secret `json:"accessJwt"`
	Refresh connect.Secret `json:"refreshJwt"`
	Active  *bool          `json:"active"` // absent at older servers: active
	Status  string         `json:"status"` // why it is not active; may be absent even then
}

// parseSession reads an answer, which must have all that a grant needs.
func parseSession(body []byte) (*session, error) {
	var s session
	if strictjson.Decode(body, &s) != nil || s.DID == "" || !usable(s.Access) || !usable(s.Refresh) {
		return nil, errAnswer
	}
	return &s, nil
}

// usable reports whether a token can be sent in a header: 1 byte to 8 KiB of
// visible ASCII.
func usable(token connect.Secret) bool {
	text := token.Reveal()
	return text != "" && len(text) <= maxToken && !strings.ContainsFunc(text, func(r rune) bool { return r < '!' || r > '~' })
}

// tokens returns what a grant keeps of s, the session of a at its PDS.
func (s *session) tokens(pds string, now time.Time) *connect.Tokens {
	return &connect.Tokens{
		Subject:       s.DID,
		Access:        s.Access,
		Refresh:       s.Refresh,
		AccessExpiry:  expiry(s.Access, now),
		RefreshExpiry: expiry(s.Refresh, now),
		Hosts:         []string{strings.TrimPrefix(pds, "https://")},
		APIBaseURL:    pds,
	}
}

// expiry returns when a token ends, or nil where it does not say. Tokens are
// the server's own and need not be JWTs at all, so this is a hint: without one
// the server says when a token is over.
func expiry(token connect.Secret, now time.Time) *time.Time {
	parts := strings.Split(token.Reveal(), ".")
	if len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	var claims struct {
		Exp int64 `json:"exp"`
	}
	if strictjson.Decode(payload, &claims) != nil || claims.Exp <= now.Unix() || claims.Exp > maxUnix {
		return nil
	}
	at := time.Unix(claims.Exp, 0).UTC()
	return &at
}

// call sends in, unless it is nil, to a method of pds and returns the body of
// a successful answer. Every other answer is a [*connect.ProviderError]; an
// error of another type means that there was none.
//
// It uses indigo's client for the request alone: Post would drop the headers,
// which say when to try again.
func call(ctx context.Context, env connect.Env, pds string, method syntax.NSID, bearer connect.Secret, in any) ([]byte, error) {
	verb := http.MethodPost
	if method == getSession {
		verb = http.MethodGet
	}
	request := atclient.NewAPIRequest(verb, method, nil)
	if in != nil {
		body, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		request.Body = bytes.NewReader(body) // set here, so that its length is sent
		request.Headers.Set("Content-Type", "application/json")
	}
	request.Headers.Set("Accept", "application/json")
	if !bearer.IsZero() {
		request.Headers.Set("Authorization", "Bearer "+bearer.Reveal())
	}
	client := &atclient.APIClient{Client: env.HTTP, Host: pds}
	resp, err := client.Do(ctx, request)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return read(resp, method, env.Now())
}

// read returns the body of a successful answer and the error that any other
// answer is.
func read(resp *http.Response, method syntax.NSID, now time.Time) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode != http.StatusOK {
		return nil, answered(method, resp.StatusCode, resp.Header, body, now)
	}
	if err != nil {
		return nil, err
	}
	return body, nil
}

// isPage reports whether a successful answer is a page of something in front
// of the PDS, such as a proxy at maintenance.
func isPage(body []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}
