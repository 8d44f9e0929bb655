package connect_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/facebook"
	"github.com/seed944197df/connect/providers/x"
	"github.com/seed944197df/connect/sandbox"
	"github.com/seed944197df/connect/tokencrypt"
)

// TestThreat64_NoSecretLeavesUnderAnyFault: after runs of a platform with each
// of the sandbox's faults at each step, none of the secrets is in any place.
func TestThreat64_NoSecretLeavesUnderAnyFault(t *testing.T) {
	t.Parallel()
	for _, platform := range []string{"x", "facebook", "bluesky"} {
		t.Run(platform, func(t *testing.T) {
			t.Parallel()
			l := newLeaks(t)
			l.life(platform, "good")
			var index struct{ Faults []string }
			l.world.browser(nil).do(http.MethodGet, l.boxHost+"/", "", "").decode(t, http.StatusOK, &index)
			possible := map[string]bool{}
			for _, fault := range index.Faults {
				for _, at := range []string{"consent", "token", "refresh", "profile", "api", "inspect", "revoke"} {
					if l.box.SetFault(sandbox.Fault{Platform: platform, Fault: fault, At: at, Times: 2}) != nil {
						continue // it does not exist there
					}
					possible[fault] = true
					l.life(platform, fault+"-"+at)
					l.fault(sandbox.Fault{Platform: platform, Fault: "none"})
				}
			}
			if diff := cmp.Diff(possible, l.met); diff != "" {
				t.Errorf("faults that hit (-want +got):\n%s", diff)
			}
			l.forEveryPlace()
			l.settle()
			l.wantNoSecret()
		})
	}
}

// forEveryPlace makes the requests that fill the places which a platform's own
// runs may leave empty, and plants what the search must find.
func (l *leaks) forEveryPlace() {
	l.t.Helper()
	b := l.browser(&alice)
	picker := b.connect("facebook", nil, as("dana")).location()
	form := url.Values{"csrf_token": {b.get(picker).formToken(l.t)}, "selected_ids": {"page:110000000000001", "page:9"}}
	b.post(picker+"/finalize", form)
	back := l.browser(nil).arrive(b.consent(b.start("x", nil), nil)).outcome(l.t)
	program := l.browser(nil)
	program.header.Set("Authorization", "Bearer key-acme")
	program.json(http.MethodPost, "/connect/complete", object{"ticket": back.Get("ticket")})
	l.browser(&mallory).arrive(b.consent(b.start("x", nil), nil)) // burns the flow
	b.get("/connect/callback/x?code=c&state=s")
	b.get("/connect/accounts/nowhere")
	l.proveSearch()
}

// TestThreat76_OnlyDigestsAreStored: who reads the database can use none of
// the handles.
func TestThreat76_OnlyDigestsAreStored(t *testing.T) {
	t.Parallel()
	l := newLeaks(t)
	b := l.browser(&alice)
	session := b.session("dana")
	ticket := l.browser(nil).arrive(b.consent(b.start("x", nil), nil)).outcome(t).Get("ticket")
	cfg := l.config
	cfg.Binding = connect.BindBrowser
	linking, err := connect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	started, err := linking.Start(t.Context(), acmeKey, connect.StartRequest{Platform: "x", User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	link := started.URL[strings.LastIndex(started.URL, "/")+1:]

	stored := l.database()
	for name, handle := range map[string]string{"session": session, "ticket": ticket, "link": link} {
		if raw, err := base64.RawURLEncoding.DecodeString(handle); err != nil || len(raw) != 32 {
			t.Errorf("%s %q does not have 256 bits", name, handle)
		} else if strings.Contains(stored, string(raw)) {
			t.Errorf("the bytes of the %s are stored", name)
		}
		if found := newNeedles(t, []string{handle}).in(stored); len(found) != 0 {
			t.Errorf("the %s is stored: %v", name, found)
		}
		if digest := sha256.Sum256([]byte(handle)); !strings.Contains(stored, string(digest[:])) {
			t.Errorf("the digest of the %s is not stored, so this test looks in the wrong place", name)
		}
	}
	if session == ticket || ticket == link {
		t.Error("handles repeat")
	}
}

// TestThreat73_NoPlatformTokenInAddresses: no redirect of a whole run holds
// anything that the platform issued, but the code where it belongs.
func TestThreat73_NoPlatformTokenInAddresses(t *testing.T) {
	t.Parallel()
	l := newLeaks(t)
	b := l.browser(&alice)
	for _, mode := range []string{"hosted", "headless", "popup"} {
		b.connect("x", url.Values{"mode": {mode}}, nil).outcome(t)
		b.connect("facebook", url.Values{"mode": {mode}, "select": {"all"}}, as("dana")).outcome(t)
		b.connect("facebook", url.Values{"mode": {mode}}, as("analyst")).outcome(t)
		b.connect("x", url.Values{"mode": {mode}}, url.Values{"decision": {"deny"}}).outcome(t)
	}
	picker := b.connect("facebook", nil, as("portfolio")).location()
	form := url.Values{"csrf_token": {b.get(picker).formToken(t)}, "selected_ids": {"page:110000000000006"}}
	b.post(picker+"/finalize", form).outcome(t)
	target := "/connect/ui/credentials/bluesky?return_url=" + url.QueryEscape(l.host.URL+appHost)
	b.post(target, url.Values{"csrf_token": {b.get(target).formToken(t)}, "identifier": {"ada.sandbox.test"}, "app_password": {"sand-box2-test-pass"}}).outcome(t)
	l.browser(nil).arrive(b.consent(b.start("facebook", nil), nil)).outcome(t)

	urls := l.everywhere()["urls"]
	if n := strings.Count(urls, "\n"); n < 3*13 {
		t.Errorf("only %d addresses", n)
	}
	if found := newNeedles(t, l.box.Secrets()).in(urls); len(found) != 0 {
		t.Errorf("platform tokens in addresses: %v", found)
	}
}

// TestThreat74_StateSaysNothing: a state tells its reader neither whose it is
// nor which platform it is for, and no two are alike.
func TestThreat74_StateSaysNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shape := regexp.MustCompile(`^[A-Za-z0-9_-]+\.\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`)
	var headers []string
	seen := map[string]bool{}
	for _, tenant := range []string{"owner123", "acme", "instagram"} {
		b := w.browser(&connect.Principal{Tenant: tenant, User: "user456", Ambient: true})
		for _, platform := range []string{"x", "facebook", "x"} {
			flowID, target := b.begin(platform, nil)
			state := mustParse(t, target).Query().Get("state")
			if !shape.MatchString(state) || seen[state] {
				t.Errorf("state %q", state)
			}
			seen[state] = true
			parts := strings.Split(state, ".")
			plain := []string{state}
			for _, part := range parts {
				raw, err := base64.RawURLEncoding.DecodeString(part)
				if err != nil {
					t.Errorf("%v in %q", err, part)
				}
				plain = append(plain, string(raw))
			}
			for _, said := range []string{tenant, "user456", "facebook", flowID, strings.ReplaceAll(flowID, "-", ""), "shared", w.host.URL} {
				if strings.Contains(strings.ToLower(strings.Join(plain, " ")), said) {
					t.Errorf("the state says %q", said)
				}
			}
			header, _ := base64.RawURLEncoding.DecodeString(parts[0])
			headers = append(headers, string(header))
		}
	}
	if headers = slices.Compact(headers); len(headers) != 1 || strings.Contains(headers[0], `"x"`) {
		t.Errorf("headers %v, want one for all", headers)
	}
}

// TestThreat65_TypesPrintNoSecret: whatever a host prints of ours, in whatever
// way, holds no secret.
func TestThreat65_TypesPrintNoSecret(t *testing.T) {
	t.Parallel()
	const secret = "canary-of-a-secret-type"
	hidden := tokencrypt.NewSecret(secret)
	self := connect.Candidate{Access: hidden}
	tokens := connect.Tokens{Subject: "s", Access: hidden, Refresh: hidden, Private: hidden, Self: &self}
	client := connect.Client{ID: "id", Secret: hidden}
	values := map[string]connect.Secret{"app_password": hidden}
	cfg := plainConfig(t)
	key, err := tokencrypt.GenerateKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Keys, err = tokencrypt.NewKeyring(key); err != nil {
		t.Fatal(err)
	}
	xProvider := x.New(x.Options{ClientID: "id", ClientSecret: hidden})
	facebookProvider := facebook.New(facebook.Options{AppID: "900000000000001", AppSecret: hidden})
	cfg.Providers = []connect.Provider{xProvider, facebookProvider}
	engine, err := connect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, keyText, _ := strings.Cut(key.Text(), ":")
	search := newNeedles(t, []string{secret, keyText})
	for name, v := range map[string]any{
		"Secret": hidden, "Tokens": tokens, "Candidate": self, "Client": client, "Config": cfg, "Connector": engine,
		"Env":                connect.Env{Client: client},
		"AuthRequest":        connect.AuthRequest{State: "s", Verifier: hidden},
		"AuthResponse":       connect.AuthResponse{Query: url.Values{"code": {secret}}, Verifier: hidden, Private: hidden},
		"Authorization":      connect.Authorization{Private: hidden},
		"LoginRequest":       connect.LoginRequest{Values: values},
		"CredentialsRequest": connect.CredentialsRequest{Values: values},
		"Platform":           xProvider.Platform(),
		"x.Options":          x.Options{ClientSecret: hidden},
		"facebook.Options":   facebook.Options{AppSecret: hidden},
		"x.Provider":         *xProvider,
		"facebook.Provider":  *facebookProvider,
		"Key":                key,
		"Keyring":            *cfg.Keys,
	} {
		for how, text := range printed(v) {
			if found := search.in(text); len(found) != 0 {
				t.Errorf("%s with %s shows its secret: %v", name, how, found)
			}
		}
	}
	if found := search.in(printed(secret)["%v"]); found["raw"] == 0 {
		t.Error("the search does not find what is shown")
	}
}

// printed is v in every way that a host might print it.
func printed(v any) map[string]string {
	all := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		all[verb] = fmt.Sprintf(verb, v)
		all[verb+" of a pointer"] = fmt.Sprintf(verb, &v)
		all[verb+" in a slice"] = fmt.Sprintf(verb, []any{v})
	}
	raw, _ := json.Marshal(v) // what cannot be marshalled shows nothing
	all["json"] = string(raw)
	var out strings.Builder
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("printed", "value", v, slog.Group("group", "value", v))
	}
	all["slog"] = out.String()
	all["error"] = fmt.Errorf("failed: %v: %+v", v, v).Error()
	func() {
		defer func() { all["panic"] = fmt.Sprint(recover()) }()
		panic(v)
	}()
	return all
}
