package sandbox

import (
	"crypto/rand"
	"net/http"
	"strings"
)

const (
	maxRecords = 1000 // records that are kept

	// recordCID has the shape of a content id. It is the same for all records.
	recordCID = "bafyreib2rxk3rybk3aobmv5cjuql3bm2twh4jo5uxgf5kpqcsgz7soitae"
)

// createRecord is com.atproto.repo.createRecord: enough to see that a client
// can write to the account it was connected for.
func (s *Sandbox) createRecord(c *call) reply {
	var in struct {
		Repo       string         `json:"repo"`
		Collection string         `json:"collection"`
		RKey       string         `json:"rkey"`
		Validate   *bool          `json:"validate"`
		Record     map[string]any `json:"record"`
		SwapCommit string         `json:"swapCommit"`
	}
	t, refusal := s.bskyAccess(c)
	if refusal == nil {
		refusal = s.readXRPC(c, &in)
	}
	if refusal != nil {
		return *refusal
	}
	a := named(t.Persona)
	switch {
	case in.Repo != a.did && in.Repo != a.handle:
		return s.xrpcError(http.StatusForbidden, "Forbidden", "Repo is not the one of the session")
	case a.deactivated:
		return s.xrpcError(http.StatusUnauthorized, "AccountDeactivated", "Account is deactivated")
	case in.Collection == "" || in.Record == nil || in.Record["$type"] != in.Collection:
		return s.invalidRequest("Invalid record: its $type must be the collection")
	case len(s.state.Records) >= maxRecords:
		return s.xrpcError(http.StatusServiceUnavailable, "NotEnoughResources", "The sandbox keeps no more records")
	}
	if in.RKey == "" {
		in.RKey = strings.ToLower(rand.Text()[:13])
	}
	uri := "at://" + a.did + "/" + in.Collection + "/" + in.RKey
	s.state.Records[uri] = in.Record
	s.dirty = true
	return s.answer(http.StatusOK, "bluesky/record_created.json", values{"uri": uri, "cid": recordCID})
}

// getRecord is com.atproto.repo.getRecord, which needs no token. Each account
// has a profile.
func (s *Sandbox) getRecord(c *call) reply {
	a := named(c.query.Get("repo"))
	if stray(c.query, "repo collection rkey cid") != "" || missing(c.query, "repo collection rkey") != "" || a == nil || !a.signsInAt(c.host) {
		return s.invalidRequest("Could not find repo")
	}
	uri := "at://" + a.did + "/" + c.query.Get("collection") + "/" + c.query.Get("rkey")
	value := s.state.Records[uri]
	if value == nil && strings.HasSuffix(uri, "/app.bsky.actor.profile/self") {
		value = map[string]any{"$type": "app.bsky.actor.profile", "displayName": a.name}
	}
	if value == nil {
		return s.xrpcError(http.StatusBadRequest, "RecordNotFound", "Could not locate record")
	}
	return s.answer(http.StatusOK, "bluesky/record.json", values{"uri": uri, "cid": recordCID, "value": value})
}
