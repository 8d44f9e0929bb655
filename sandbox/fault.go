package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// holdTime is how long a fault keeps a request waiting.
const holdTime = 60 * time.Second

// A step is the part of a flow that an endpoint serves; faults hit steps.
type step string

const (
	stepNone    step = ""        // pages, resolution: no fault hits these
	stepConsent step = "consent" // a person's decision on the consent page
	stepToken   step = "token"   // code exchange, createSession
	stepRefresh step = "refresh" // refresh grant, fb_exchange_token, refreshSession
	stepProfile step = "profile" // who is it: /2/users/me, /me, getSession
	stepAPI     step = "api"     // other calls with an access token
	stepInspect step = "inspect" // debug_token
	stepRevoke  step = "revoke"  // revoke, DELETE permissions, deleteSession
)

const (
	platforms = "x facebook linkedin google bluesky"
	steps     = "consent token refresh profile api inspect revoke"
	calls     = "token refresh profile api inspect revoke" // those that a program makes
)

// A Fault makes a platform misbehave for its next requests, then ends. One
// request meets one fault, the one that was set first.
//
//   - deny, narrowed_scopes: the person refuses, or one asked permission is not
//     granted, whatever was posted.
//   - 429, invalid_grant, expired_token, false_200_error: the platform's own
//     answer to too many requests, to a dead grant, to an expired access token,
//     and Facebook's error with HTTP 200.
//   - 500, html: a page, with status 502 or 200. Nothing is done.
//   - hang: no answer until the client leaves, at most 60 seconds. Nothing is
//     done.
//   - lost_answer, bad_json, slow_body: the work is done, and the connection is
//     cut, the answer ends in its middle, or its second half takes 60 seconds.
//   - wrong_subject: the answer is about another person.
//   - cancel_login, unauthorized_scope, revoked_token, access_denied,
//     version_sunset: LinkedIn's. The person leaves the login page, the app has
//     no product for a scope; the person has taken the token back, a role or a
//     product is missing, and the version of the API is over.
//   - Google's own: what its APIs, its token endpoint and the policies of a
//     Workspace answer, by names that say what is wrong. testing_client has a
//     refresh token of seven days.
//   - no_refresh_token: LinkedIn and Google give none.
type Fault struct {
	Platform string `json:"platform"` // x, facebook, linkedin, google or bluesky
	Fault    string `json:"fault"`    // one of the index's faults, or "none" to switch all of the platform off
	Times    int    `json:"times"`    // how many requests it hits; 0 means one

	// At limits it to one step: consent, token, refresh, profile, api,
	// inspect or revoke. Empty is wherever it applies.
	At string `json:"at,omitempty"`
}

// faultKinds says where each fault hits. A name may have several rows.
var faultKinds = []struct{ name, platforms, steps string }{
	{"deny", "x facebook linkedin google", "consent"},                       // the person refuses, whatever was posted
	{"narrowed_scopes", "x facebook google", "consent"},                     // one asked permission is not granted
	{"429", platforms, calls},                                               // the platform's answer to too many requests
	{"500", platforms, calls},                                               // 502 with an HTML page
	{"html", platforms, calls},                                              // 200 with an HTML page
	{"hang", platforms, calls},                                              // no answer until the client leaves, at most 60 s
	{"slow_body", platforms, calls},                                         // the work is done, half of the answer comes after 60 s
	{"bad_json", platforms, calls},                                          // the work is done, the answer ends in its middle
	{"lost_answer", platforms, "token refresh revoke"},                      // the work is done, the connection cut
	{"invalid_grant", platforms, "refresh"},                                 // the platform's answer to a dead grant
	{"expired_token", "x facebook linkedin bluesky", "profile api inspect"}, // the platform's answer to an expired access token
	{"expired_token", "google", "api"},
	{"false_200_error", "facebook", calls},                     // an error with HTTP 200
	{"wrong_subject", "x facebook linkedin google", "profile"}, // the answer is about another person
	{"wrong_subject", "bluesky", "token refresh profile"},
	{"no_refresh_token", "linkedin google", "token"}, // LinkedIn: the app is not approved for them
	{"cancel_login", "linkedin", "consent"},          // the person leaves the login page
	{"unauthorized_scope", "linkedin", "consent"},    // no product of the app has a scope that was asked
	{"revoked_token", "linkedin", "profile api"},     // the person has taken the token back
	{"access_denied", "linkedin", "profile api"},     // a product, a scope or a role is missing
	{"version_sunset", "linkedin", "api"},            // the version of the API is over
	{"account_deleted", "google", "refresh"},
	{"session_control", "google", "refresh"}, // the Workspace wants a new sign-in
	{"admin_policy", "google", "token refresh"},
	{"invalid_client", "google", "token refresh"},
	{"testing_client", "google", "token"},
	{"signup_required", "google", "api"}, // there is no channel
	{"scope_missing", "google", "api"},
	{"api_disabled", "google", "api"},
	{"quota_exceeded", "google", "api"}, // until midnight
	{"no_quota", "google", "api"},       // the project was never let in
	{"rate_limit", "google", "api"},     // with 403
	{"delegation_forbidden", "google", "api"},
	{"channel_closed", "google", "api"},
	{"channel_suspended", "google", "api"},
	{"no_permission", "google", "api"},
	{"not_found", "google", "api"},
	{"bad_page_token", "google", "api"},
}

// cannedFaults are the faults that answer with a platform's own body.
var cannedFaults = map[string]struct {
	status int
	file   string
}{
	"x 429":                    {http.StatusTooManyRequests, "x/fault_429.json"},
	"x invalid_grant":          {http.StatusBadRequest, "x/fault_invalid_grant.json"},
	"x expired_token":          {http.StatusUnauthorized, "x/fault_expired_token.json"},
	"facebook 429":             {http.StatusBadRequest, "facebook/fault_429.json"},
	"facebook invalid_grant":   {http.StatusBadRequest, "facebook/fault_invalid_grant.json"},
	"facebook expired_token":   {http.StatusBadRequest, "facebook/fault_expired_token.json"},
	"facebook false_200_error": {http.StatusOK, "facebook/fault_false_200_error.json"},
	"linkedin 429":             {http.StatusTooManyRequests, "linkedin/fault_429.json"},
	"linkedin invalid_grant":   {http.StatusBadRequest, "linkedin/fault_invalid_grant.json"},
	"linkedin expired_token":   {http.StatusUnauthorized, "linkedin/fault_expired_token.json"},
	"linkedin revoked_token":   {http.StatusUnauthorized, "linkedin/fault_revoked_token.json"},
	"linkedin access_denied":   {http.StatusForbidden, "linkedin/fault_access_denied.json"},
	"linkedin version_sunset":  {http.StatusUpgradeRequired, "linkedin/fault_version_sunset.json"},
	"bluesky 429":              {http.StatusTooManyRequests, "bluesky/fault_429.json"},
	"bluesky invalid_grant":    {http.StatusBadRequest, "bluesky/fault_invalid_grant.json"},
	"bluesky expired_token":    {http.StatusBadRequest, "bluesky/fault_expired_token.json"},

	"google 429":                  {http.StatusTooManyRequests, "google/fault_429.json"},
	"google invalid_grant":        {http.StatusBadRequest, "google/fault_invalid_grant.json"},
	"google expired_token":        {http.StatusUnauthorized, "google/fault_expired_token.json"},
	"google account_deleted":      {http.StatusBadRequest, "google/fault_account_deleted.json"},
	"google session_control":      {http.StatusBadRequest, "google/fault_session_control.json"},
	"google admin_policy":         {http.StatusBadRequest, "google/fault_admin_policy.json"},
	"google invalid_client":       {http.StatusUnauthorized, "google/fault_invalid_client.json"},
	"google signup_required":      {http.StatusUnauthorized, "google/fault_signup_required.json"},
	"google scope_missing":        {http.StatusForbidden, "google/fault_scope_missing.json"},
	"google api_disabled":         {http.StatusForbidden, "google/fault_api_disabled.json"},
	"google quota_exceeded":       {http.StatusForbidden, "google/fault_quota_exceeded.json"},
	"google no_quota":             {http.StatusTooManyRequests, "google/fault_no_quota.json"},
	"google rate_limit":           {http.StatusForbidden, "google/fault_rate_limit.json"},
	"google delegation_forbidden": {http.StatusForbidden, "google/fault_delegation_forbidden.json"},
	"google channel_closed":       {http.StatusForbidden, "google/fault_channel_closed.json"},
	"google channel_suspended":    {http.StatusForbidden, "google/fault_channel_suspended.json"},
	"google no_permission":        {http.StatusForbidden, "google/fault_no_permission.json"},
	"google not_found":            {http.StatusNotFound, "google/fault_not_found.json"},
	"google bad_page_token":       {http.StatusBadRequest, "google/fault_bad_page_token.json"},
}

// SetFault makes the next f.Times requests that the fault applies to meet it,
// as POST /_act/fault does. It fails if the platform, the fault or the step is
// unknown, or the fault does not exist there.
func (s *Sandbox) SetFault(f Fault) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.setFault(f); err != nil {
		return err
	}
	return s.save()
}

func (s *Sandbox) setFault(f Fault) error {
	possible := faultNames(f.Platform)
	switch {
	case len(possible) == 0:
		return fmt.Errorf("sandbox: unknown platform %q; there are x, facebook, linkedin, google and bluesky", f.Platform)
	case f.Fault != "none" && !slices.Contains(possible, f.Fault):
		return fmt.Errorf("sandbox: %s has no fault %q; possible: %s, none", f.Platform, f.Fault, strings.Join(possible, ", "))
	case f.At != "" && f.Fault != "none" && !contains(faultSteps(f.Platform, f.Fault), f.At):
		return fmt.Errorf("sandbox: fault %q of %s applies at: %s", f.Fault, f.Platform, faultSteps(f.Platform, f.Fault))
	case f.Times < 0:
		return errors.New("sandbox: times must be 0 (once) or more")
	}
	s.dirty = true
	s.state.Faults = slices.DeleteFunc(s.state.Faults, func(old Fault) bool {
		return old.Platform == f.Platform && (f.Fault == "none" || f.Fault == old.Fault && f.At == old.At)
	})
	if f.Fault == "none" {
		return nil
	}
	f.Times = max(f.Times, 1)
	s.state.Faults = append(s.state.Faults, f)
	return nil
}

// faultNames lists the faults of a platform; all of them for "".
func faultNames(platform string) []string {
	names := []string{}
	for _, k := range faultKinds {
		if platform == "" || contains(k.platforms, platform) {
			names = append(names, k.name)
		}
	}
	return slices.Compact(names)
}

// faultSteps lists the steps that a fault of a platform hits.
func faultSteps(platform, name string) string {
	for _, k := range faultKinds {
		if k.name == name && contains(k.platforms, platform) {
			return k.steps
		}
	}
	return ""
}

// takeFault returns the fault that hits a request for e, counting it down.
func (s *Sandbox) takeFault(e endpoint) string {
	for i, f := range s.state.Faults {
		at := contains(faultSteps(f.Platform, f.Fault), string(e.step)) && (f.At == "" || f.At == string(e.step))
		if f.Platform != e.platform || !at {
			continue
		}
		s.dirty = true
		if s.state.Faults[i].Times--; f.Times <= 1 {
			s.state.Faults = slices.Delete(s.state.Faults, i, i+1)
		}
		return f.Fault
	}
	return ""
}

// faultReply is the answer of a fault that stands in the way of any work.
func (s *Sandbox) faultReply(c *call, e endpoint) (reply, bool) {
	if c.fault == "expired_token" && e.step == stepInspect {
		return reply{}, false // debug_token and introspection have their own way to say so
	}
	if canned, ok := cannedFaults[e.platform+" "+c.fault]; ok {
		r := s.answer(canned.status, canned.file, nil)
		if c.fault == "429" {
			rateHeader(r, e.platform, c.now)
		}
		return r, true
	}
	switch c.fault {
	case "500":
		return page(http.StatusBadGateway, "Bad gateway."), true
	case "html":
		return page(http.StatusOK, "We will be back soon."), true
	case "hang":
		return page(http.StatusGatewayTimeout, "The answer took too long."), true
	}
	return reply{}, false
}

// rateHeader says that the limit is used up, the way the platform says it.
// Facebook has no Retry-After.
func rateHeader(r reply, platform string, now time.Time) {
	switch platform {
	case "x":
		r.with("x-rate-limit-limit", "75").with("x-rate-limit-remaining", "0").
			with("x-rate-limit-reset", strconv.FormatInt(now.Add(15*time.Minute).Unix(), 10))
	case "facebook":
		r.with("X-App-Usage", `{"call_count":100,"total_time":25,"total_cputime":25}`)
	case "bluesky":
		r.with("RateLimit-Limit", "30").with("RateLimit-Remaining", "0").with("RateLimit-Policy", "30;w=300").
			with("RateLimit-Reset", strconv.FormatInt(now.Add(5*time.Minute).Unix(), 10)).with("Retry-After", "300")
	}
}

// deliver writes the answer, as the fault says.
func (s *Sandbox) deliver(w http.ResponseWriter, c *call, r reply) {
	switch c.fault {
	case "hang":
		hold(c)
	case "lost_answer":
		cut(w)
		return
	case "bad_json":
		r.body = r.body[:len(r.body)/2]
	}
	h := w.Header()
	maps.Copy(h, r.header)
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(r.status)
	if c.fault == "slow_body" {
		half := len(r.body) / 2
		send(w, r.body[:half])
		hold(c)
		r.body = r.body[half:]
	}
	_, _ = w.Write(r.body) // a client that has left is no error here
}

// send writes b and does not let it wait for the rest.
func send(w http.ResponseWriter, b []byte) {
	_, _ = w.Write(b)
	_ = http.NewResponseController(w).Flush()
}

// hold waits until the client leaves, at most holdTime.
func hold(c *call) {
	timer := time.NewTimer(holdTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.Context().Done():
	}
}

// cut ends the connection without an answer; where it cannot be taken over
// (HTTP/2), in the middle of one.
func cut(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
		return
	}
	w.Header().Set("Content-Length", "1024")
	send(w, []byte("{"))
}

// actFault is POST /_act/fault.
func (s *Sandbox) actFault(c *call) reply {
	var f Fault
	d := json.NewDecoder(strings.NewReader(string(c.body)))
	d.DisallowUnknownFields()
	err := d.Decode(&f)
	if err == nil && mediaType(c.Request) != "application/json" {
		err = errors.New("sandbox: send JSON with Content-Type application/json")
	}
	if err == nil {
		err = s.setFault(f)
	}
	if err != nil {
		return jsonReply(http.StatusBadRequest, map[string]any{
			"error": err.Error(), "platforms": strings.Fields(platforms), "faults": append(faultNames(""), "none"), "steps": strings.Fields(steps),
		})
	}
	return reply{status: http.StatusNoContent, header: http.Header{}}
}
