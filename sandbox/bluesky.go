package sandbox

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	bskyAccessLife  = 120 * time.Minute
	bskyRefreshLife = 90 * 24 * time.Hour
	bskyGrace       = 2 * time.Hour // in which a rotated refresh token works again

	bskyEntryway = "bsky.social"
	bskyAppView  = "public.api.bsky.app"
)

// blueskyEndpoint routes the PLC directory, the hosts of handles, the PDSes,
// the entryway and the public AppView.
func (s *Sandbox) blueskyEndpoint(c *call) endpoint {
	e := endpoint{platform: "bluesky"}
	method, xrpc := strings.CutPrefix(c.path, "/xrpc/")
	switch {
	case c.host == "plc.directory":
		e.answer = s.plcDocument
	case c.path == "/.well-known/atproto-did":
		e.answer = s.wellKnownDID
	case xrpc && c.host == bskyAppView && method == "app.bsky.actor.getProfile":
		e.answer, e.step = s.bskyProfile, stepAPI
	case xrpc && (isPDS(c.host) || c.host == bskyEntryway):
		return s.pdsEndpoint(e, method)
	}
	return e
}

// pdsEndpoint routes the methods of a PDS.
func (s *Sandbox) pdsEndpoint(e endpoint, method string) endpoint {
	queries := map[string]endpoint{
		"com.atproto.server.describeServer":  {e.platform, stepNone, s.describeServer},
		"com.atproto.identity.resolveHandle": {e.platform, stepNone, s.resolveHandle},
		"com.atproto.server.getSession":      {e.platform, stepProfile, s.getSession},
		"com.atproto.repo.getRecord":         {e.platform, stepAPI, s.getRecord},
	}
	procedures := map[string]endpoint{
		"com.atproto.server.createSession":  {e.platform, stepToken, s.createSession},
		"com.atproto.server.refreshSession": {e.platform, stepRefresh, s.refreshSession},
		"com.atproto.server.deleteSession":  {e.platform, stepRevoke, s.deleteSession},
		"com.atproto.repo.createRecord":     {e.platform, stepAPI, s.createRecord},
	}
	if q, ok := queries[method]; ok {
		return s.onlyMethod(q, http.MethodGet)
	}
	if p, ok := procedures[method]; ok {
		return s.onlyMethod(p, http.MethodPost)
	}
	e.answer = func(*call) reply {
		return s.xrpcError(http.StatusNotImplemented, "MethodNotImplemented", "Method Not Implemented")
	}
	return e
}

// onlyMethod refuses what comes with another HTTP method.
func (s *Sandbox) onlyMethod(e endpoint, method string) endpoint {
	answer := e.answer
	e.answer = func(c *call) reply {
		if c.Method != method {
			return s.invalidRequest("Incorrect HTTP method (" + c.Method + ") expected " + method)
		}
		return answer(c)
	}
	return e
}

// isPDS says whether a host is the PDS of some account.
func isPDS(host string) bool {
	return account(func(a *bskyAccount) bool { return a.pds == host }) != nil
}

// account returns the first account that match picks, or nil.
func account(match func(*bskyAccount) bool) *bskyAccount {
	for i := range bskyAccounts {
		if match(&bskyAccounts[i]) {
			return &bskyAccounts[i]
		}
	}
	return nil
}

// named returns the account with a handle, DID or email, or nil.
func named(identifier string) *bskyAccount {
	identifier = strings.ToLower(identifier)
	return account(func(a *bskyAccount) bool {
		return identifier == a.handle || identifier == a.did || identifier == a.email
	})
}

// plcDocument is GET https://plc.directory/{did}.
func (s *Sandbox) plcDocument(c *call) reply {
	did := strings.TrimPrefix(c.path, "/")
	a := account(func(a *bskyAccount) bool { return a.did == did })
	if a == nil {
		return jsonReply(http.StatusNotFound, map[string]string{"message": "DID not registered: " + did})
	}
	return jsonReply(http.StatusOK, s.didDocument(a)).with("Content-Type", "application/did+ld+json")
}

func (s *Sandbox) didDocument(a *bskyAccount) map[string]any {
	handle := a.handle
	if a.documentHandle != "" {
		handle = a.documentHandle
	}
	return s.fill("bluesky/did_document.json", values{"did": a.did, "at_handle": "at://" + handle, "key_id": a.did + "#atproto", "pds": "https://" + a.pds})
}

// wellKnownDID is GET https://{handle}/.well-known/atproto-did.
func (s *Sandbox) wellKnownDID(c *call) reply {
	a := account(func(a *bskyAccount) bool { return a.handle == c.host })
	if a == nil {
		return text(http.StatusNotFound, "User not found")
	}
	return text(http.StatusOK, a.did)
}

func (s *Sandbox) resolveHandle(c *call) reply {
	a := account(func(a *bskyAccount) bool { return a.handle == c.query.Get("handle") })
	if a == nil {
		return s.invalidRequest("Unable to resolve handle")
	}
	return s.answer(http.StatusOK, "bluesky/resolve_handle.json", values{"did": a.did})
}

func (s *Sandbox) describeServer(c *call) reply {
	return s.answer(http.StatusOK, "bluesky/describe_server.json", values{"did": "did:web:" + c.host})
}

// bskyProfile is app.bsky.actor.getProfile of the public AppView, which needs
// no token.
func (s *Sandbox) bskyProfile(c *call) reply {
	a := named(c.query.Get("actor"))
	if a == nil || a.takenDown || strings.Contains(c.query.Get("actor"), "@") {
		return s.invalidRequest("Profile not found")
	}
	return s.answer(http.StatusOK, "bluesky/profile.json", values{"did": a.did, "handle": a.handleNow(), "displayName": a.name, "avatar": "https://cdn.sandbox.test/" + url.PathEscape(a.did) + ".jpg"})
}

// handleNow is the handle as the network sees it: a handle that its DID
// document does not name is invalid.
func (a *bskyAccount) handleNow() string {
	if a.documentHandle != "" {
		return "handle.invalid"
	}
	return a.handle
}

func (s *Sandbox) invalidRequest(message string) reply {
	return s.xrpcError(http.StatusBadRequest, "InvalidRequest", message)
}

// xrpcError is the error body of XRPC.
func (s *Sandbox) xrpcError(status int, name, message string) reply {
	return s.answer(status, "bluesky/error.json", values{"error": name, "message": message})
}
