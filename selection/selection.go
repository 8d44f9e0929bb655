// Package selection decides which of the offered candidates become accounts.
//
// It is pure: no I/O, no clock, no provider. The engine hands it what a grant
// offers and what a person or a rule wants; it answers with candidates that
// were really offered, or says why not.
package selection

import (
	"errors"
	"fmt"
	"strings"
)

// Candidate is something that a grant could connect: a profile, a Page, a
// board, a location.
type Candidate struct {
	Kind       string // "page", "profile", …
	PlatformID string // the platform's stable id, as text: ids may exceed 2^53
	Name       string
	Username   string
	AvatarURL  string
	Parent     string // ID of what it belongs to; empty at the top level
	ParentName string // what that is called, where it cannot itself be chosen
	Reason     string // why it cannot be chosen; empty when it can
}

// ID names the candidate within its platform: "kind:platform id".
func (c Candidate) ID() string { return c.Kind + ":" + c.PlatformID }

// Selectable reports whether the candidate may be chosen.
func (c Candidate) Selectable() bool { return c.Reason == "" }

// Rule says what happens when a grant offers more than one candidate.
type Rule string

// The rules. The zero value is Ask.
const (
	Ask   Rule = "ask"   // a person chooses
	First Rule = "first" // the first selectable candidate
	All   Rule = "all"   // every selectable candidate, one of a kind that allows only one
)

// ParseRule reads a rule's name; the empty name is [Ask].
func ParseRule(name string) (Rule, error) {
	switch r := Rule(name); r {
	case "":
		return Ask, nil
	case Ask, First, All:
		return r, nil
	default:
		return "", errors.New(`selection: rule must be "ask", "first" or "all"`)
	}
}

// Multiple tells of each kind whether several of it may be chosen at once. A
// kind that is not listed may be chosen once.
type Multiple map[string]bool

// Decide returns what the rule connects without a question. It returns false
// where a person must choose: several candidates under [Ask], or none that is
// selectable. complete says that offered is the whole list; only [First] can
// decide on a part of it.
func Decide(rule Rule, offered []Candidate, complete bool, multiple Multiple) ([]Candidate, bool) {
	selectable := only(offered, Candidate.Selectable)
	switch {
	case len(selectable) == 0:
		return nil, false
	case rule == First:
		return selectable[:1], true
	case rule == All && complete:
		return oneOfSingleKinds(selectable, multiple), true
	case complete && len(offered) == 1:
		return selectable, true
	default:
		return nil, false
	}
}

func oneOfSingleKinds(candidates []Candidate, multiple Multiple) []Candidate {
	taken := map[string]bool{}
	return only(candidates, func(c Candidate) bool {
		if taken[c.Kind] && !multiple[c.Kind] {
			return false
		}
		taken[c.Kind] = true
		return true
	})
}

// Error says which id of a choice was refused and why. Its text is safe to
// show: it never repeats the id.
type Error struct {
	ID      string // the refused id; empty when the choice as a whole is wrong
	Problem string
}

// Error implements error.
func (e *Error) Error() string { return "selection: " + e.Problem }

// Choose returns the candidates that ids name, in the order of ids.
//
// Security: ids come from a browser, so a choice can only ever name what was
// offered. An id that was not offered, that is not selectable or that comes
// twice refuses the whole choice with an [*Error], and so do an empty choice
// and two of a kind that allows one.
func Choose(offered []Candidate, ids []string, multiple Multiple) ([]Candidate, error) {
	if len(ids) == 0 {
		return nil, &Error{Problem: "nothing was chosen"}
	}
	byID := make(map[string]Candidate, len(offered))
	for _, c := range offered {
		byID[c.ID()] = c
	}
	chosen := make([]Candidate, 0, len(ids))
	count := map[string]int{}
	for _, id := range ids {
		c, offered := byID[id]
		switch {
		case !offered:
			return nil, &Error{ID: id, Problem: "an id was not offered, or was named twice"}
		case !c.Selectable():
			return nil, &Error{ID: id, Problem: "an id cannot be chosen: " + c.Reason}
		case count[c.Kind] > 0 && !multiple[c.Kind]:
			return nil, &Error{ID: id, Problem: fmt.Sprintf("only one %s may be chosen", c.Kind)}
		}
		delete(byID, id)
		count[c.Kind]++
		chosen = append(chosen, c)
	}
	return chosen, nil
}

// Search returns the candidates whose name, username, platform id or parent's
// name contains query, ignoring case, and that belong to parent, where one is
// given. Without a parent the list is flat: the candidates of every level.
func Search(offered []Candidate, query, parent string) []Candidate {
	query = strings.ToLower(strings.TrimSpace(query))
	return only(offered, func(c Candidate) bool {
		if parent != "" && c.Parent != parent {
			return false
		}
		return query == "" ||
			strings.Contains(strings.ToLower(c.Name), query) ||
			strings.Contains(strings.ToLower(c.Username), query) ||
			strings.Contains(strings.ToLower(c.ParentName), query) ||
			strings.Contains(c.PlatformID, query)
	})
}

func only(candidates []Candidate, keep func(Candidate) bool) []Candidate {
	var kept []Candidate
	for _, c := range candidates {
		if keep(c) {
			kept = append(kept, c)
		}
	}
	return kept
}
