package linkedin

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/strictjson"
	"github.com/seed944197df/connect/selection"
)

const (
	perPage  = 20   // roles of one answer; so many ids fit into one lookup
	maxRoles = 4000 // of one member; the engine keeps 2000 candidates
)

var errCursor = errors.New("linkedin: the cursor is not one of this provider")

// List implements [connect.Lister]: first the member's own profile, then the
// Pages on which the member has a role, as LinkedIn lists the roles. One Page
// may come twice, once for each role.
//
// A Page on which no role lets the member publish comes with the reason.
func (p *Provider) List(ctx context.Context, env connect.Env, tokens *connect.Tokens, req connect.ListRequest) (connect.CandidatePage, error) {
	start, err := parseCursor(req.Cursor)
	if err != nil {
		return connect.CandidatePage{}, err
	}
	var result connect.CandidatePage
	if req.Cursor == "" {
		self, err := p.profile(ctx, env, tokens)
		if err != nil {
			return connect.CandidatePage{}, err
		}
		result.Candidates = append(result.Candidates, *self)
	}
	if !lists(tokens.Scopes) {
		return result, nil
	}
	roles, more, err := p.roles(ctx, env, tokens, start)
	if err != nil {
		return connect.CandidatePage{}, err
	}
	if more && start+perPage < maxRoles {
		result.Next = strconv.Itoa(start + perPage)
	}
	names, err := p.organizations(ctx, env, tokens, roles)
	if err != nil {
		return connect.CandidatePage{}, err
	}
	for _, r := range roles {
		result.Candidates = append(result.Candidates, r.candidate(names[r.id]))
	}
	return result, nil
}

// parseCursor reads how many roles come before a page.
func parseCursor(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	start, err := strconv.Atoi(text)
	if err != nil || start <= 0 || start >= maxRoles || start%perPage != 0 || strconv.Itoa(start) != text {
		return 0, errCursor
	}
	return start, nil
}

// role is what a member may do on a Page.
type role struct {
	id   string // of the organization
	name string // "ADMINISTRATOR"
}

// publishes reports whether the role lets the member publish for the Page. The
// content administrator has two names in LinkedIn's documentation.
func (r role) publishes() bool {
	return r.name == "ADMINISTRATOR" || r.name == "CONTENT_ADMINISTRATOR" || r.name == "CONTENT_ADMIN"
}

// titles are the roles that may not publish, as LinkedIn's pages name them.
var titles = map[string]string{
	"ANALYST":                         "analyst",
	"CURATOR":                         "curator",
	"DIRECT_SPONSORED_CONTENT_POSTER": "sponsored content poster",
	"LEAD_CAPTURE_ADMINISTRATOR":      "landing pages administrator",
	"LEAD_GEN_FORMS_MANAGER":          "lead gen forms manager",
	"RECRUITING_POSTER":               "recruiting poster",
}

// candidate returns the Page as something to choose. An organization that
// LinkedIn says nothing of has its number for a name.
func (r role) candidate(org organization) connect.Candidate {
	c := connect.Candidate{
		Target: map[string]string{"urn": urnPrefix + r.id, "role": r.name},
		Candidate: selection.Candidate{
			Kind:       kindOrganization,
			PlatformID: r.id,
			Name:       org.Name,
			Username:   org.Vanity,
		},
	}
	if c.Name == "" {
		c.Name = "Page " + r.id
	}
	if !r.publishes() {
		c.Reason = "Your role on this Page may not publish. Ask one of its super admins to make you a content admin."
		if title := titles[r.name]; title != "" {
			c.Reason = "You are " + title + " of this Page, which may not publish. Ask one of its super admins to make you a content admin."
		}
	}
	return c
}

const urnPrefix = "urn:li:organization:"

// roles reads one page of the member's roles, the best of each Page. It reports
// whether there may be more: LinkedIn states neither total nor links reliably.
func (p *Provider) roles(ctx context.Context, env connect.Env, tokens *connect.Tokens, start int) ([]role, bool, error) {
	var page struct {
		Elements []struct {
			Organization string `json:"organization"`
			Role         string `json:"role"`
			State        string `json:"state"`
		} `json:"elements"`
		Paging struct {
			Links []struct {
				Rel string `json:"rel"`
			} `json:"links"`
		} `json:"paging"`
	}
	path := "/rest/organizationAcls?q=roleAssignee&state=APPROVED&start=" + strconv.Itoa(start) + "&count=" + strconv.Itoa(perPage)
	if err := p.call(ctx, env, tokens, path, &page); err != nil {
		return nil, false, err
	}
	more := len(page.Elements) >= perPage
	for _, link := range page.Paging.Links {
		more = more || link.Rel == "next" && len(page.Elements) > 0
	}
	var found []role
	for _, e := range page.Elements {
		id, ok := strings.CutPrefix(e.Organization, urnPrefix)
		if !ok || !strictjson.ID(id).Digits() || e.State != "APPROVED" {
			continue
		}
		one := role{id: id, name: e.Role}
		i := slices.IndexFunc(found, func(r role) bool { return r.id == id })
		switch {
		case i < 0:
			found = append(found, one)
		case !found[i].publishes():
			found[i] = one
		}
	}
	return found, more, nil
}

// organization is what everybody may read of one.
type organization struct {
	Name   string `json:"localizedName"`
	Vanity string `json:"vanityName"`
}

// organizations looks up the names of Pages. An app that may not do that, as in
// the development tier, still learns which Pages there are: their roles are
// what counts.
func (p *Provider) organizations(ctx context.Context, env connect.Env, tokens *connect.Tokens, roles []role) (map[string]organization, error) {
	var found struct {
		Results map[string]organization `json:"results"`
	}
	if len(roles) == 0 {
		return found.Results, nil
	}
	ids := make([]string, len(roles))
	for i, r := range roles {
		ids[i] = r.id
	}
	// Rest.li 2.0 reads a list only where its parentheses are not encoded.
	err := p.call(ctx, env, tokens, "/rest/organizationsLookup?ids=List("+strings.Join(ids, ",")+")", &found)
	if e, ok := errors.AsType[*connect.ProviderError](err); ok && e.Class == connect.ClassScopeMissing {
		return found.Results, nil
	}
	return found.Results, err
}
