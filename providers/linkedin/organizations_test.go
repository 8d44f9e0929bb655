package linkedin_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/selection"
)

func list(t *testing.T, f *fake, cursor string, scopes ...string) (connect.CandidatePage, error) {
	t.Helper()
	p := newProvider()
	return p.List(t.Context(), newEnv(p, f), granted(scopes...), connect.ListRequest{Cursor: cursor})
}

func TestList(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	page, err := list(t, f, "", "openid", "rw_organization_admin")
	if err != nil {
		t.Fatal(err)
	}
	want := connect.CandidatePage{Candidates: []connect.Candidate{
		{
			Target:    map[string]string{"urn": "urn:li:person:aB3dEfGhIj"},
			Candidate: selection.Candidate{Kind: "profile", PlatformID: "aB3dEfGhIj", Name: "Dana Example", AvatarURL: "https://media.licdn.com/dms/image/dana/0?e=1"},
		},
		{
			Target:    map[string]string{"urn": "urn:li:organization:11223344", "role": "ADMINISTRATOR"},
			Candidate: selection.Candidate{Kind: "organization", PlatformID: "11223344", Name: "Example Bakery", Username: "example-bakery"},
		},
	}}
	if diff := cmp.Diff(want, page, sameSecrets); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
	if got := f.got[1].URL.RawQuery; got != "q=roleAssignee&state=APPROVED&start=0&count=20" {
		t.Errorf("roles are asked for by %s", got)
	}
	if got := f.got[2].URL.RawQuery; got != "ids=List(11223344)" { // not encoded
		t.Errorf("names are asked for by %s", got)
	}
}

// acl is an answer with roles, "organization role" each.
func acl(links string, roles ...string) string {
	elements := make([]string, len(roles))
	for i, r := range roles {
		urn, role, _ := strings.Cut(r, " ")
		elements[i] = fmt.Sprintf(`{"organization":%q,"role":%q,"state":"APPROVED"}`, urn, role)
	}
	return `{"elements":[` + strings.Join(elements, ",") + `]` + links + `}`
}

// twenty is a full page of roles.
func twenty() []string {
	roles := make([]string, 20)
	for i := range roles {
		roles[i] = fmt.Sprintf("urn:li:organization:%d ADMINISTRATOR", 100+i)
	}
	return roles
}

func TestListPages(t *testing.T) {
	t.Parallel()
	const next = `,"paging":{"links":[{"rel":"next","href":"https://evil.example/"}]}`
	for name, test := range map[string]struct {
		cursor, body string
		next         string
		found        int
	}{
		"full, nothing said":      {"", acl("", twenty()...), "20", 21},
		"short, nothing said":     {"20", acl("", twenty()[:3]...), "", 3},
		"short, more is said":     {"20", acl(next, twenty()[:3]...), "40", 3},
		"empty, more is said":     {"20", acl(next), "", 0},
		"a link back":             {"20", acl(`,"paging":{"links":[{"rel":"prev"}]}`, twenty()[:3]...), "", 3},
		"the end of all patience": {"3980", acl(next, twenty()...), "", 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.answers[aclPath] = answer{200, test.body}
			page, err := list(t, f, test.cursor, "openid", "r_organization_admin")
			if err != nil {
				t.Fatal(err)
			}
			if page.Next != test.next || len(page.Candidates) != test.found {
				t.Errorf("%d candidates, next %q, want %d and %q", len(page.Candidates), page.Next, test.found, test.next)
			}
			for _, r := range f.got {
				if r.URL.Host != "api.linkedin.com" {
					t.Errorf("%s was asked", r.URL.Host)
				}
			}
		})
	}
}

func TestListRoles(t *testing.T) {
	t.Parallel()
	const ask = " Ask one of its super admins to make you a content admin."
	for role, reason := range map[string]string{
		"ADMINISTRATOR": "", "CONTENT_ADMINISTRATOR": "", "CONTENT_ADMIN": "",
		"ANALYST":                         "You are analyst of this Page, which may not publish." + ask,
		"CURATOR":                         "You are curator of this Page, which may not publish." + ask,
		"DIRECT_SPONSORED_CONTENT_POSTER": "You are sponsored content poster of this Page, which may not publish." + ask,
		"RECRUITING_POSTER":               "You are recruiting poster of this Page, which may not publish." + ask,
		"LEAD_CAPTURE_ADMINISTRATOR":      "You are landing pages administrator of this Page, which may not publish." + ask,
		"LEAD_GEN_FORMS_MANAGER":          "You are lead gen forms manager of this Page, which may not publish." + ask,
		"<b>NEW</b>":                      "Your role on this Page may not publish." + ask,
		"":                                "Your role on this Page may not publish." + ask,
	} {
		f := newFake(t)
		f.answers[aclPath] = answer{200, acl("", "urn:li:organization:11223344 "+role)}
		page, err := list(t, f, "20", "openid", "rw_organization_admin")
		if err != nil || len(page.Candidates) != 1 || page.Candidates[0].Reason != reason {
			t.Errorf("%s: %+v, %v", role, page.Candidates, err)
		}
	}
}

// What is no role at an organization is left out, and of several roles the
// best counts.
func TestListLeavesOut(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	body := acl("", "urn:li:organization:7 ANALYST", "urn:li:organization:7 ADMINISTRATOR", "urn:li:organization:7 CURATOR",
		"urn:li:organizationBrand:8 ADMINISTRATOR", "urn:li:organization:../9 ADMINISTRATOR", "urn:li:organization: ADMINISTRATOR", "10 ADMINISTRATOR")
	f.answers[aclPath] = answer{200, strings.Replace(body, `{"elements":[`, `{"elements":[{"organization":"urn:li:organization:11","role":"ADMINISTRATOR","state":"REVOKED"},{},`, 1)}
	page, err := list(t, f, "20", "openid", "rw_organization_admin")
	if err != nil || len(page.Candidates) != 1 || page.Candidates[0].ID() != "organization:7" || !page.Candidates[0].Selectable() {
		t.Errorf("%+v, %v", page.Candidates, err)
	}
	if page.Candidates[0].Name != "Page 7" { // which the lookup does not know
		t.Errorf("name %q", page.Candidates[0].Name)
	}
}

// Names are for people: an app that may not look them up still lists. What
// may pass stops the list, so that nobody sees numbers for an hour.
func TestListWithoutNames(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.answers[namesPath] = answer{403, `{"status":403,"serviceErrorCode":100,"code":"ACCESS_DENIED","message":"Not enough permissions"}`}
	page, err := list(t, f, "", "openid", "rw_organization_admin")
	if err != nil || len(page.Candidates) != 2 || page.Candidates[1].Name != "Page 11223344" || !page.Candidates[1].Selectable() {
		t.Errorf("%+v, %v", page.Candidates, err)
	}
	f.answers[namesPath] = answer{429, `{}`}
	_, err = list(t, f, "", "openid", "rw_organization_admin")
	wantFailure(t, err, connect.ClassRetry, "")
}

func TestListWithoutTheScope(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	page, err := list(t, f, "", "openid", "w_member_social")
	if err != nil || len(page.Candidates) != 1 || page.Candidates[0].Kind != "profile" || page.Next != "" || len(f.got) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestListRefusesOtherCursors(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	for _, cursor := range []string{"0", "1", "-20", "+20", "020", "20 ", "4000", "9999999999999999999", "next", "20&count=1"} {
		if _, err := list(t, f, cursor, "openid", "rw_organization_admin"); err == nil || len(f.got) != 0 {
			t.Errorf("%q: %v after %d requests", cursor, err, len(f.got))
		}
	}
}
