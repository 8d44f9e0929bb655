package facebook_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
)

// walk lists everything and returns "id access? reason?" of each candidate.
func walk(t *testing.T, f *fake, tokens *connect.Tokens) []string {
	t.Helper()
	p := newProvider()
	var got []string
	for cursor, calls := "", 0; ; calls++ {
		list, err := p.List(t.Context(), newEnv(p, f), tokens, connect.ListRequest{Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list.Candidates {
			got = append(got, describe(t, c))
		}
		if cursor = list.Next; cursor == "" {
			return got
		}
		if data, err := base64.RawURLEncoding.DecodeString(cursor); err != nil || strings.Contains(string(data), "canary") {
			t.Errorf("cursor %q holds a secret or is odd: %v", data, err)
		}
		if calls > 600 {
			t.Fatal("the walk does not end")
		}
	}
}

func describe(t *testing.T, c connect.Candidate) string {
	t.Helper()
	if c.Kind != "page" {
		t.Errorf("kind is %q", c.Kind)
	}
	text := c.PlatformID
	if !c.Access.IsZero() {
		text += " " + c.Access.Reveal()
		if c.AccessExpiry == nil || !c.AccessExpiry.IsZero() {
			t.Error("a Page token does not end")
		}
	}
	switch {
	case strings.HasPrefix(c.Reason, "You may not publish"):
		text += " no right"
	case c.Reason != "":
		text += " not shared"
	}
	return text
}

func pageJSON(id, access, tasks string) string {
	text := `{"id":` + id + `,"name":"Page","tasks":[` + tasks + `]`
	if access != "" {
		text += `,"access_token":"` + access + `"`
	}
	return text + "}"
}

func list(next string, pages ...string) string {
	paging := ""
	if next != "" {
		paging = fmt.Sprintf(`,"paging":{"cursors":{"before":"b","after":%q},"next":"https://evil.example/?access_token=canary&after=%s"}`, next, next)
	}
	return `{"data":[` + strings.Join(pages, ",") + `]` + paging + `}`
}

func TestPagesOfThePerson(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.answers["GET /me/accounts"] = list("two",
		pageJSON(`"110"`, "canary-1", `"ANALYZE","CREATE_CONTENT"`), pageJSON(`"111"`, "canary-2", `"MANAGE"`))
	f.answers["GET /me/accounts?after=two"] = list("three") // empty, and yet there is more
	f.answers["GET /me/accounts?after=three"] = list("",
		pageJSON(`"112"`, "canary-3", `"ANALYZE"`), pageJSON(`"113"`, "", `"MANAGE"`), pageJSON(`"114"`, "canary-4", ""),
		pageJSON(`17841400000000000001`, "canary-5", `"PROFILE_PLUS_CREATE_CONTENT"`), pageJSON(`"../me"`, "canary-6", `"MANAGE"`),
		pageJSON(`"115"`, `a\r\nb`, `"MANAGE"`))
	want := []string{
		"110 canary-1", "111 canary-2", "112 canary-3 no right", "113 not shared", "114 canary-4 no right",
		"17841400000000000001 canary-5", "115 not shared",
	}
	if diff := cmp.Diff(want, walk(t, f, granted("pages_show_list"))); diff != "" {
		t.Error(diff)
	}
	if len(f.got) != 3 {
		t.Errorf("%d requests were sent, want 3: %v", len(f.got), f.paths())
	}
	query := f.got[0].URL.Query()
	if query.Get("fields") != "id,name,username,tasks,access_token,picture.type(large){url}" || query.Get("limit") != "100" {
		t.Errorf("query is %v", query)
	}
}

func TestPageOfTheFactSheet(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.answers["GET /me/accounts"] = `{"data":[{"id":"110000000000001","name":"Harbour Bakery","username":"harbourbakery","category":"Bakery",
	  "tasks":["ADVERTISE","ANALYZE","CREATE_CONTENT","MESSAGING","MODERATE","MANAGE"],"access_token":"EAAGpage_one",
	  "picture":{"data":{"url":"https://scontent.example/p1.jpg"}}}],
	 "paging":{"cursors":{"before":"QVFIUjB","after":"QVFIUjE"}}}`
	p := newProvider()
	got, err := p.List(t.Context(), newEnv(p, f), granted(), connect.ListRequest{})
	if err != nil {
		t.Fatal(err)
	}
	c := got.Candidates[0]
	if c.ID() != "page:110000000000001" || c.Name != "Harbour Bakery" || c.Username != "harbourbakery" ||
		c.AvatarURL != "https://scontent.example/p1.jpg" || !c.Selectable() || c.Access.Reveal() != "EAAGpage_one" || got.Next != "" {
		t.Errorf("candidate is %+v, next %q", c.Candidate, got.Next)
	}
}

func TestPagesOfBusinesses(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.answers["GET /me/accounts"] = list("")
	f.answers["GET /me/businesses"] = list("b2", `{"id":"901","name":"One"}`)
	f.answers["GET /901/owned_pages"] = list("o2", pageJSON(`"110"`, "", `"MANAGE"`))
	f.answers["GET /901/owned_pages?after=o2"] = list("", pageJSON(`"111"`, "canary-1", `"MANAGE"`))
	f.answers["GET /901/client_pages"] = "403 " + graphError(`"code":10`)
	f.answers["GET /me/businesses?after=b2"] = list("b3") // empty, and yet there is more
	f.answers["GET /me/businesses?after=b3"] = list("", `{"id":"902","name":"Two"}`)
	f.answers["GET /902/owned_pages"] = "500 " + graphError(`"code":1`)
	f.answers["GET /902/client_pages"] = list("", pageJSON(`"110"`, "canary-2", `"MANAGE"`))
	got := walk(t, f, granted("pages_show_list", "business_management"))
	if diff := cmp.Diff([]string{"110 not shared", "111 canary-1", "110 canary-2"}, got); diff != "" {
		t.Error(diff)
	}
	if len(f.got) != 9 {
		t.Errorf("%d requests were sent, want 9: %v", len(f.got), f.paths())
	}
}

func TestTickedPages(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.answers["GET /me/accounts"] = list("")
	f.answers["GET /me/businesses"] = "403 " + graphError(`"code":200`)
	f.answers["GET /debug_token"] = `{"data":{"is_valid":true,"granular_scopes":[
		{"scope":"pages_show_list","target_ids":["1",2,"3","4","5","../6","7"]},{"scope":"business_management","target_ids":["99"]}]}}`
	for _, id := range []string{"1", "2", "4", "5", "7"} {
		f.answers["GET /"+id] = pageJSON(id, "canary-"+id, `"MANAGE"`)
	}
	f.answers["GET /3"] = "400 " + graphError(`"code":100,"error_subcode":33`)
	got := walk(t, f, granted("pages_show_list", "business_management"))
	if diff := cmp.Diff([]string{"1 canary-1", "2 canary-2", "4 canary-4", "5 canary-5", "7 canary-7"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestNothingAtAll(t *testing.T) {
	t.Parallel()
	for name, debug := range map[string]string{
		"all targets": `{"data":{"is_valid":true,"granular_scopes":[{"scope":"pages_show_list"}]}}`,
		"invalid":     `{"data":{"is_valid":false,"error":{"code":190,"message":"x"}}}`,
		"refused":     "400 " + graphError(`"code":100`),
		"app secret":  "400 " + graphError(`"code":190`), // of the app's token: no reason to give up the grant
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.answers["GET /me/accounts"] = list("")
			f.answers["GET /debug_token"] = debug
			if got := walk(t, f, granted("pages_show_list")); len(got) != 0 || len(f.got) != 2 {
				t.Errorf("found %v after %v", got, f.paths())
			}
		})
	}
}

func TestErrorsThatEndAWalk(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer string
		class  connect.ErrorClass
		code   string
	}{
		"token dead":  {"400 " + graphError(`"code":190,"error_subcode":460`), connect.ClassReconnect, "190/460"},
		"rate limit":  {"400 " + graphError(`"code":17`), connect.ClassRetry, "17"},
		"429":         {"429 ", connect.ClassRetry, ""},
		"unreachable": {"", connect.ClassRetry, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, f := newProvider(), newFake(t)
			if test.answer != "" {
				f.answers["GET /901/owned_pages"] = test.answer
			}
			cursor := base64.RawURLEncoding.EncodeToString([]byte(`{"s":"owned_pages","b":{"i":"901"}}`))
			_, err := p.List(t.Context(), newEnv(p, f), granted("business_management"), connect.ListRequest{Cursor: cursor})
			wantFailure(t, err, test.class, test.code)
		})
	}
}

func TestWalkIsBounded(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.answers["GET /me/accounts"] = list("again")
	f.answers["GET /me/accounts?after=again"] = list("again")
	walk(t, f, granted())
	if len(f.got) != 500 {
		t.Errorf("%d requests were sent, want 500", len(f.got))
	}
	f.answers["GET /me/accounts"] = list(strings.Repeat("x", 2000))
	p := newProvider()
	if _, err := p.List(t.Context(), newEnv(p, f), granted(), connect.ListRequest{}); err == nil {
		t.Error("a cursor of 2000 bytes is taken along")
	}
}

func TestCursorsOfOthers(t *testing.T) {
	t.Parallel()
	p, f := newProvider(), newFake(t)
	for _, text := range []string{
		`{"s":""}`, `{"s":"other"}`, `{"s":"owned_pages"}`, `{"s":"owned_pages","b":{"i":"../me"}}`, `{"s":"ticked","t":-1}`,
		`{"s":"accounts","s":"ticked"}`, `{"s":"accounts","n":-1}`, `null`, `[`, `{"s":"accounts","b":{"i":"1"}}`,
	} {
		if _, err := p.List(t.Context(), newEnv(p, f), granted(), connect.ListRequest{Cursor: base64.RawURLEncoding.EncodeToString([]byte(text))}); err == nil {
			t.Errorf("cursor %s is accepted", text)
		}
	}
	if _, err := p.List(t.Context(), newEnv(p, f), granted(), connect.ListRequest{Cursor: "%%%"}); err == nil || len(f.got) != 0 {
		t.Errorf("error is %v after %d requests", err, len(f.got))
	}
}
