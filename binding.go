package connect

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
)

// Binding is how a flow makes sure that who comes back is who began. A sealed
// state proves who wrote it, not who returns it: whoever can make a person
// open a URL could otherwise collect that person's account.
//
// Under every level, a host session at the callback that is another user or
// tenant burns the flow.
type Binding string

// The levels. A flow whose start named no user is always BindTicket, but under
// BindBrowser and UnsafeBindNone.
const (
	// BindSession asks that the host's own session at the callback is the
	// tenant and user of the flow. Where no session reaches the callback, the
	// flow goes on as BindTicket. It is the default.
	BindSession Binding = "session"

	// BindBrowser asks for a cookie that the connect link, or a start in the
	// browser itself, has set.
	//
	// Security: it stops a forwarded authorization URL, but not a forwarded
	// connect link. Use it only where the host has no session to ask.
	BindBrowser Binding = "browser"

	// BindTicket sends the browser back with a one-time ticket, and the flow
	// ends when the host calls [Connector.Complete] as the user who began.
	BindTicket Binding = "ticket"

	// UnsafeBindNone accepts the state alone: anyone who makes a person open a
	// URL gets that person's account. For tests of a host without sessions.
	UnsafeBindNone Binding = "none"
)

// Purposes of the keys that the engine derives. A value made for one is worth
// nothing for another.
const (
	purposeState   = "state"
	purposeLink    = "link"
	purposeSession = "session"
	purposeTicket  = "ticket"
	purposeCookie  = "cookie"
	purposeForm    = "form"
)

// handle derives a value that names the flow to a browser or a host: 256 bits
// that nobody without the key can guess, and that the engine can repeat for a
// reload. Stores only ever see its digest.
func (c *Connector) handle(purpose string, flow Flow) (string, error) {
	key, err := c.cfg.Keys.Derive(purpose, flow.KeyID)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(flow.ID))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}

// handleMatches compares in constant time; an absent value never matches.
func (c *Connector) handleMatches(purpose string, flow Flow, value string) bool {
	want, err := c.handle(purpose, flow)
	return err == nil && value != "" && hmac.Equal([]byte(want), []byte(value))
}

// digest is how a store knows a handle.
func digest(handle string) []byte {
	sum := sha256.Sum256([]byte(handle))
	return sum[:]
}

// maxHandle is longer than any handle of ours.
const maxHandle = 64

var errMismatch = errors.New("another browser or user came back")

// bound is what the engine knows of who came back.
type bound int

const (
	boundYes    bound = iota // the one who began
	boundNo                  // somebody else: the flow must burn
	boundAbsent              // cannot be told here: the flow must not go on here
)

// boundTo decides whether the request comes from who began the flow.
func (c *Connector) boundTo(flow Flow, visitor *Principal, r *http.Request) bound {
	if visitor != nil && stranger(*visitor, flow) {
		return boundNo
	}
	switch flow.Binding {
	case BindSession:
		if visitor != nil {
			return boundYes
		}
	case BindBrowser:
		if c.hasCookie(r, flow) {
			return boundYes
		}
	case UnsafeBindNone:
		return boundYes
	case BindTicket: // only the host can tell
	}
	return boundAbsent
}

// stranger reports whether the visitor is certainly not who began the flow. A
// person of the tenant is no stranger to a flow that named no user, but no
// proof either.
func stranger(visitor Principal, flow Flow) bool {
	return visitor.Tenant != flow.Tenant || (visitor.User != "" && flow.User != "" && visitor.User != flow.User)
}

// mayReturn reports whether the principal may end the flow: the user of the
// flow, or the tenant's own API key. An API key without a user stands for the
// whole tenant, so that a host which completes with one must itself know whose
// browser brought the ticket.
//
// Security: equality of the whole tenant and user, and a flow without a user
// is open to API keys only, so that absence never matches absence.
func mayReturn(p Principal, flow Flow) bool {
	if p.Tenant != flow.Tenant {
		return false
	}
	if p.User != "" {
		return p.User == flow.User || (flow.User == "" && !p.Ambient)
	}
	return !p.Ambient
}

// Cookies bind a browser to a flow, one cookie per flow so that tabs do not
// overwrite each other. The name begins with the flow's time, so that names
// sort by age.
//
// Security: the __Host- prefix keeps a sibling subdomain or a plain-http
// attacker from planting one (RFC 6265bis § 4.1.3), and two of one name are
// refused because a browser tells nothing about which is real.
const (
	cookiePrefix = "__Host-cx-"
	maxCookies   = 10
)

func cookieName(flow Flow) string { return cookiePrefix + flow.ID }

// flowOfCookie returns the flow that a cookie's name speaks of.
func flowOfCookie(name string) (string, bool) {
	id, ours := strings.CutPrefix(name, cookiePrefix)
	if _, err := parseID(id); err != nil {
		return "", false
	}
	return id, ours
}

func (c *Connector) hasCookie(r *http.Request, flow Flow) bool {
	cookies := r.CookiesNamed(cookieName(flow))
	return len(cookies) == 1 && c.handleMatches(purposeCookie, flow, cookies[0].Value)
}

// setCookie binds the browser to the flow until the flow expires, and drops
// the oldest binding where the browser holds ten.
func (c *Connector) setCookie(w http.ResponseWriter, r *http.Request, flow Flow) error {
	value, err := c.handle(purposeCookie, flow)
	if err != nil {
		return err
	}
	name := cookieName(flow)
	c.dropOldCookies(w, r, name)
	http.SetCookie(w, flowCookie(name, value, int(flow.ExpiresAt.Sub(c.cfg.Now()).Seconds())))
	return nil
}

func (c *Connector) dropOldCookies(w http.ResponseWriter, r *http.Request, adding string) {
	var names []string
	for _, cookie := range r.Cookies() {
		if strings.HasPrefix(cookie.Name, cookiePrefix) && cookie.Name != adding {
			names = append(names, cookie.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for len(names) >= maxCookies {
		http.SetCookie(w, flowCookie(names[0], "", -1))
		names = names[1:]
	}
}

func flowCookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}
