package sandbox_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFacebookPersonas(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, tt := range []struct {
		persona string
		sizes   []int
		able    int // Pages with CREATE_CONTENT
	}{
		{"dana", []int{2, 0, 1}, 3},
		{"analyst", []int{2}, 1},
		{"single", []int{1}, 1},
		{"nobody", []int{0}, 0},
		{"portfolio", []int{0}, 0},
		{"agency", []int{25, 25, 14}, 64},
	} {
		t.Run(tt.persona, func(t *testing.T) {
			t.Parallel()
			pages, sizes := w.walk("me/accounts?fields=id,tasks&limit=100", w.fbConnect(tt.persona))
			able, ids := 0, map[any]bool{}
			for _, p := range pages {
				ids[p["id"]] = true
				for _, task := range p["tasks"].([]any) {
					if task == "CREATE_CONTENT" {
						able++
					}
				}
			}
			if diff := cmp.Diff(tt.sizes, sizes); diff != "" || able != tt.able || len(ids) != len(pages) {
				t.Errorf("%d of %d can publish, want %d; sizes (-want +got):\n%s", able, len(ids), tt.able, diff)
			}
		})
	}
}

func TestFacebookSamePageTwoPeople(t *testing.T) {
	t.Parallel()
	w := setup(t)
	first := func(persona string) object {
		pages, _ := w.walk("me/accounts?fields=id,access_token", w.fbConnect(persona))
		return pages[0]
	}
	dana, analyst := first("dana"), first("analyst")
	if dana["id"] != analyst["id"] || dana["access_token"] == analyst["access_token"] {
		t.Errorf("want one Page with two tokens")
	}
}

func TestFacebookPortfolio(t *testing.T) {
	t.Parallel()
	w := setup(t)
	token := w.fbConnect("portfolio")
	businesses, _ := w.walk("me/businesses?fields=id,name", token)
	id, _ := businesses[0]["id"].(string)
	owned, _ := w.walk(id+"/owned_pages?fields=id,access_token", token)
	client, _ := w.walk(id+"/client_pages?fields=id,access_token", token)
	if len(owned) != 1 || len(client) != 2 || client[0]["access_token"] == nil || client[1]["access_token"] != nil {
		t.Errorf("owned %d, client %d Pages; want 1 and 2, the last without token", len(owned), len(client))
	}
	if got := w.graph(owned[0]["id"].(string)+"?fields=tasks", token); got.status != http.StatusOK {
		t.Errorf("direct read: status %d", got.status)
	}
	code := w.fbCode(url.Values{"persona": {"portfolio"}, "scope": {"pages_show_list"}})
	narrow := w.fbToken(fbCodeForm(code)).text(t, "access_token")
	for _, path := range []string{"me/businesses", id + "/owned_pages"} {
		if diff := cmp.Diff(graphError{403, 200, 0}, errorOf(t, w.graph(path, narrow))); diff != "" {
			t.Errorf("%s without business_management (-want +got):\n%s", path, diff)
		}
	}
}

func TestFacebookGraphRefuses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	user := w.fbConnect("dana")
	pages, _ := w.walk("me/accounts?fields=id,access_token", user)
	page, _ := pages[0]["access_token"].(string)
	other, _ := pages[1]["id"].(string)
	for _, tt := range []struct {
		name, path, token string
		want              graphError
	}{
		{"no token", "me", "", graphError{400, 2500, 0}},
		{"unknown token", "me", "EAAGother", graphError{400, 190, 0}},
		{"forged app token", "debug_token?input_token=x", clientID + "|wrong", graphError{400, 190, 0}},
		{"unknown field", "me?fields=id,shoe_size", user, graphError{400, 100, 0}},
		{"unknown nested field", "me?fields=picture{shoe_size}", user, graphError{400, 100, 0}},
		{"unknown field of an empty list", "me/businesses?fields=shoe_size", user, graphError{400, 100, 0}},
		{"broken fields", "me?fields=picture{url", user, graphError{400, 2500, 0}},
		{"unknown parameter", "me?user.fields=id", user, graphError{400, 100, 0}},
		{"bad cursor", "me/accounts?after=zzz", user, graphError{400, 100, 0}},
		{"cursor behind the end", "me/accounts?after=MTo5OQ", user, graphError{400, 100, 0}}, // 1:99
		{"cursor with a tail", "me/accounts?after=MToxYWJj", user, graphError{400, 100, 0}},  // 1:1abc
		{"bad limit", "me/accounts?limit=0", user, graphError{400, 100, 0}},
		{"unknown object", "123", user, graphError{400, 100, 33}},
		{"Page of nobody here", "110000000000005", user, graphError{400, 100, 33}},
		{"another Page with a Page token", other, page, graphError{400, 100, 33}},
		{"unknown edge of a person", "me/friends", user, graphError{400, 100, 0}},
		{"profile with an app token", "me", clientID + "|" + secret, graphError{400, 100, 33}},
		{"accounts of a Page", "me/accounts", page, graphError{400, 100, 0}},
		{"debug_token with a user token", "debug_token?input_token=" + page, user, graphError{400, 100, 0}},
		{"two tokens", "me?access_token=" + page, user, graphError{400, 100, 0}},
		{"wrong proof", "me?appsecret_proof=00", user, graphError{400, 100, 0}},
		{"proof of another token", "me?appsecret_proof=" + proof(page), user, graphError{400, 100, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := request{method: "GET", url: fbNode + tt.path, header: map[string]string{"Authorization": "Bearer " + tt.token}}
			if tt.token == "" {
				r.header = nil
			}
			if diff := cmp.Diff(tt.want, errorOf(t, w.do(r))); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
	if got := w.graph("me?appsecret_proof="+proof(user), user); got.status != http.StatusOK {
		t.Errorf("right proof: status %d: %s", got.status, got.body)
	}
	retired := w.do(request{method: "GET", url: "graph.facebook.com/v20.0/me?access_token=" + user})
	if diff := cmp.Diff(graphError{400, 2635, 0}, errorOf(t, retired)); diff != "" {
		t.Errorf("retired version (-want +got):\n%s", diff)
	}
}

func proof(token string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(token))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestFacebookNextHoldsToken(t *testing.T) {
	t.Parallel()
	w := setup(t)
	user := w.fbConnect("dana")
	next := w.graph("me/accounts?fields=id&limit=1", user).text(t, "paging.next")
	u, err := url.Parse(next)
	if err != nil || u.Host != "graph.facebook.com" || u.Query().Get("access_token") != user || u.Query().Get("fields") != "id" || u.Query().Get("after") == "" {
		t.Errorf("next is %q, %v", next, err)
	}
}

func TestFacebookDeletePermissions(t *testing.T) {
	t.Parallel()
	for name, appToken := range map[string]bool{"user token": false, "app token": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			first, second, other := w.fbConnect("dana"), w.fbConnect("dana"), w.fbConnect("analyst")
			code := w.fbCode(url.Values{"persona": {"dana"}}, "client_id=second")
			otherApp := w.fbToken(fbCodeForm(code, "client_id=second", "client_secret=other-secret")).text(t, "access_token")
			pages, _ := w.walk("me/accounts?fields=access_token", first)
			page, _ := pages[0]["access_token"].(string)
			with := first
			if appToken {
				with = clientID + "|" + secret
			}
			got := w.do(request{method: "DELETE", url: fbNode + "102233445566778/permissions", header: map[string]string{"Authorization": "Bearer " + with}})
			if diff := cmp.Diff(object{"success": true}, got.object(t)); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			for kind, token := range map[string]string{"its token": first, "the other token": second, "the Page token": page} {
				if diff := cmp.Diff(graphError{400, 190, 458}, errorOf(t, w.graph("me", token))); diff != "" {
					t.Errorf("%s (-want +got):\n%s", kind, diff)
				}
			}
			for kind, token := range map[string]string{"another person": other, "another app": otherApp} {
				if got := w.graph("me", token); got.status != http.StatusOK {
					t.Errorf("%s: status %d", kind, got.status)
				}
			}
		})
	}
}

func TestFacebookDeleteOnePermission(t *testing.T) {
	t.Parallel()
	w := setup(t)
	user := w.fbConnect("dana")
	header := map[string]string{"Authorization": "Bearer " + user}
	if got := w.do(request{method: "DELETE", url: fbNode + "me/permissions/pages_show_list", header: header}); got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	if diff := cmp.Diff(graphError{403, 200, 0}, errorOf(t, w.graph("me/accounts", user))); diff != "" {
		t.Errorf("the list without the permission (-want +got):\n%s", diff)
	}
	if got := w.do(request{method: "DELETE", url: fbNode + "102233445566779/permissions", header: header}); got.status != http.StatusBadRequest {
		t.Errorf("another person's permissions: status %d", got.status)
	}
}

func TestFacebookDeleteRefuses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	user := w.fbConnect("single")
	pages, _ := w.walk("me/accounts?fields=access_token", user)
	page, _ := pages[0]["access_token"].(string)
	for _, tt := range []struct {
		name, path, token string
		want              graphError
	}{
		{"no token", "me/permissions", "", graphError{400, 2500, 0}},
		{"Page token", "me/permissions", page, graphError{403, 200, 0}},
		{"me of an app", "me/permissions", clientID + "|" + secret, graphError{400, 100, 33}},
		{"unknown person", "123/permissions", clientID + "|" + secret, graphError{400, 100, 33}},
		{"other edge", "me/accounts", user, graphError{400, 100, 33}},
		{"unknown parameter", "me/permissions?force=1", user, graphError{400, 100, 0}},
		{"wrong proof", "me/permissions?appsecret_proof=" + proof(page), user, graphError{400, 100, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := request{method: "DELETE", url: fbNode + tt.path}
			if tt.token != "" {
				r.header = map[string]string{"Authorization": "Bearer " + tt.token}
			}
			if diff := cmp.Diff(tt.want, errorOf(t, w.do(r))); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFacebookDebugToken(t *testing.T) {
	t.Parallel()
	w := setup(t)
	user := w.fbConnect("single")
	pages, _ := w.walk("me/accounts?fields=access_token", user)
	page, _ := pages[0]["access_token"].(string)
	app := clientID + "|" + secret
	debug := func(token string) object {
		o, _ := w.graph("debug_token?input_token="+token, app).object(t)["data"].(object)
		return o
	}
	issued := float64(w.clock().Unix())
	scopes := []any{"business_management", "pages_manage_posts", "pages_read_engagement", "pages_show_list", "public_profile"}
	target := []any{"110000000000005"}
	want := object{
		"app_id": clientID, "type": "PAGE", "application": "Sandbox Connect", "is_valid": true, "issued_at": issued, "expires_at": 0.0,
		"data_access_expires_at": issued + 90*86400, "user_id": "102233445566780", "profile_id": "110000000000005", "scopes": scopes,
		"granular_scopes": []any{
			object{"scope": "business_management"},
			object{"scope": "pages_manage_posts", "target_ids": target},
			object{"scope": "pages_read_engagement", "target_ids": target},
			object{"scope": "pages_show_list", "target_ids": target},
			object{"scope": "public_profile"},
		},
	}
	if diff := cmp.Diff(want, debug(page)); diff != "" {
		t.Errorf("Page token (-want +got):\n%s", diff)
	}
	want["type"], want["expires_at"] = "USER", issued+5183944
	delete(want, "profile_id")
	if diff := cmp.Diff(want, debug(user)); diff != "" {
		t.Errorf("user token (-want +got):\n%s", diff)
	}
	w.wait(61 * 24 * time.Hour)
	dead := object{"app_id": clientID, "is_valid": false, "scopes": []any{}, "error": object{"code": 190.0, "subcode": 463.0, "message": "Error validating access token: Session has expired."}}
	if diff := cmp.Diff(dead, debug(user)); diff != "" {
		t.Errorf("expired token (-want +got):\n%s", diff)
	}
}

func TestFacebookIDsDifferPerApp(t *testing.T) {
	t.Parallel()
	w := setup(t)
	code := w.fbCode(url.Values{"persona": {"dana"}}, "client_id=second")
	token := w.fbToken(fbCodeForm(code, "client_id=second", "client_secret=other-secret")).text(t, "access_token")
	id := w.graph("me", token).text(t, "id")
	if id == "102233445566778" || id == "" {
		t.Errorf("id %q of the second app", id)
	}
}
