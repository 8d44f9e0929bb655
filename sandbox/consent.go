package sandbox

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// An authorization is a request for consent that has passed every check of its
// platform.
type authorization struct {
	platform, client, redirect, state, challenge string

	scopes []string // asked
	shown  []string // those the page shows; Facebook hides what was declined before
	untick bool     // whether the person may untick some of them
	fresh  bool     // Google's prompt=consent: a refresh token although there was a consent before
	report bool     // Facebook's return_scopes
}

// A decision is what the person did on the consent page.
type decision struct {
	allow   bool
	persona string
	scopes  []string // granted

	narrowed string // the scope that the fault narrowed_scopes took away
}

// publishScope is what the fault narrowed_scopes takes away, if it was asked.
var publishScope = map[string]string{"x": "tweet.write", "facebook": "pages_manage_posts", "google": googleScope + "youtube.upload"}

// consentPage shows who asks for what.
func (s *Sandbox) consentPage(a authorization, name string) reply {
	return s.html(http.StatusOK, "consent", map[string]any{
		"Title": name + " (sandbox)", "Platform": name, "People": choices(a.platform), "Scopes": a.shown, "Untick": a.untick,
	})
}

// refuse is a platform's error page. The browser stays on it: an answer to a
// redirect URI that is not the client's would hand the answer to a stranger.
func (s *Sandbox) refuse(title, reason string) reply {
	return s.html(http.StatusBadRequest, "refused", map[string]any{"Title": title, "Reason": reason})
}

// checkClient checks what every platform checks before it trusts a redirect
// URI. It returns the reason to refuse, or "".
func (s *Sandbox) checkClient(platform string, q url.Values) string {
	client, ok := s.client(platform, q.Get("client_id"))
	switch {
	case !ok:
		return "The client_id is not known."
	case !slices.Contains(client.RedirectURIs, q.Get("redirect_uri")):
		return "The redirect_uri is not one that the app has registered, letter for letter."
	}
	return ""
}

// checkChallenge checks the PKCE parameters; S256 is the only method here.
func checkChallenge(q url.Values) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	challenge := q.Get("code_challenge")
	switch {
	case q.Get("code_challenge_method") != "S256":
		return "The code_challenge_method must be S256."
	case len(challenge) != 43 || strings.Trim(challenge, letters) != "":
		return "The code_challenge must be the base64url of a SHA-256, 43 characters."
	}
	return ""
}

// decide reads the posted form. It returns a reason to refuse it, or "".
func (s *Sandbox) decide(c *call, a authorization) (decision, string) {
	d := decision{allow: c.form.Get("decision") == "allow", persona: c.form.Get("persona")}
	if !d.allow && c.form.Get("decision") != "deny" || len(c.form["decision"]) != 1 {
		return d, "Post decision=allow or decision=deny."
	}
	if c.fault == "deny" {
		d.allow = false
	}
	if !d.allow {
		return d, ""
	}
	if !c.form.Has("persona") {
		d.persona = people(a.platform)[0].id
	}
	if person(a.platform, d.persona) == nil || len(c.form["persona"]) > 1 {
		return d, "There is no such persona."
	}
	var problem string
	d.scopes, problem = chosenScopes(c, a)
	if c.fault == "narrowed_scopes" && len(d.scopes) > 0 {
		d.narrowed, d.scopes = narrow(a.platform, d.scopes)
	}
	return d, problem
}

// chosenScopes returns the scopes that were left ticked. The form marks itself
// with scopes=chosen, so that a form with every box unticked differs from a
// program that posts no scopes at all and means everything. What is hidden
// from this person counts as unticked: the form did not know the person yet.
func chosenScopes(c *call, a authorization) ([]string, string) {
	posted := splitScopes(strings.Join(c.form["scope"], " "))
	chosen := len(posted) > 0 || c.form.Get("scopes") == "chosen"
	if !chosen {
		return a.shown, ""
	}
	if !a.untick {
		return nil, "Permissions cannot be unticked here."
	}
	for _, scope := range posted {
		if !slices.Contains(a.scopes, scope) {
			return nil, "A posted scope was not asked for."
		}
	}
	left := slices.DeleteFunc(slices.Clone(a.shown), func(scope string) bool { return !slices.Contains(posted, scope) })
	return left, ""
}

// narrow takes one scope away.
func narrow(platform string, scopes []string) (taken string, left []string) {
	i := slices.Index(scopes, publishScope[platform])
	if i < 0 {
		i = len(scopes) - 1
	}
	return scopes[i], slices.Delete(slices.Clone(scopes), i, i+1)
}

// splitScopes splits a scope list at spaces and commas.
func splitScopes(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ' ' || r == ',' })
}

// issueCode issues the code that the browser carries back.
func (s *Sandbox) issueCode(c *call, a authorization, d decision, value string, life time.Duration) string {
	return s.put(value, token{
		Platform: a.platform, Kind: "code", Client: a.client, Persona: d.persona, Scopes: d.scopes, Issued: c.now,
		Expires: c.now.Add(life), Family: rand.Text(), Redirect: a.redirect, Challenge: a.challenge,
	})
}
