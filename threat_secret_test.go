package connect_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/facebook"
	"github.com/seed944197df/connect/providers/x"
	"github.com/seed944197df/connect/sandbox"
	"github.com/seed944197df/connect/tokencrypt"
)

// TestThreat64_NoSecretIsStored: flows and grants in every state that one can
// be left in lie in the file, and none of the secrets does. What is written
// while something fails is searched by TestThreat102.
func TestThreat64_NoSecretIsStored(t *testing.T) {
	t.Parallel()
	for platform, want := range map[string]struct{ flows, grants []string }{
		"x":        {[]string{"connected", "expired", "failed", "parked", "started"}, []string{"active", "dead", "revoking", "uncertain"}},
		"facebook": {[]string{"connected", "expired", "failed", "parked", "pending", "started"}, []string{"active", "dead", "revoking"}},
		"bluesky":  {[]string{"connected", "failed"}, []string{"active", "dead", "revoking", "uncertain"}},
	} {
		t.Run(platform, func(t *testing.T) {
			t.Parallel()
			l := newLeaks(t, platform, inFile(t))
			l.tenant().life(nothing, whole)
			l.leaveOpen()
			if secrets := l.secrets(); len(secrets) < 40 {
				t.Errorf("only %d secrets to look for", len(secrets))
			}
			l.wantNoSecret()
			db := l.open()
			defer func() { _ = db.Close() }()
			flows := l.column(db, "SELECT DISTINCT status FROM flows ORDER BY status")
			grants := l.column(db, "SELECT DISTINCT status FROM grants ORDER BY status")
			if diff := cmp.Diff([][]string{want.flows, want.grants}, [][]string{flows, grants}); diff != "" {
				t.Errorf("states of flows and grants (-want +got):\n%s", diff)
			}
		})
	}
}

// leaveOpen leaves flows and grants behind in the middle of what they are at.
func (l *leaks) leaveOpen() {
	l.t.Helper()
	late := l.tenant()
	late.started("")
	l.clock.advance(20 * time.Minute)
	late.sweep(nil)

	for _, wrong := range []sandbox.Fault{{Fault: "500", At: "revoke"}, {Fault: "lost_answer", At: "refresh"}} {
		n := l.tenant()
		n.ways()[0]()
		accounts := n.accounts()
		l.clock.advance(2*time.Hour - 10*time.Second)
		wrong.Platform, wrong.Times = l.platform, 9
		l.fault(wrong)
		n.use(accounts)
		if wrong.At == "revoke" {
			n.leave(accounts)
		}
		l.disarm()
	}
	gone := l.tenant()
	gone.ways()[0]()
	gone.leave(gone.accounts())
	l.fault(sandbox.Fault{Platform: l.platform, Fault: "500", At: "token"})
	l.tenant().ways()[0]() // fails
	l.tenant().ways()[0]() // connects
	if n := l.tenant(); l.platform != "bluesky" {
		n.started("")
		n.alice.arrive(n.consent(n.started("")))
		n.nobody.arrive(n.consent(n.started("")))
	}
}

// TestThreat76_OnlyDigestsAreStored: who reads the database can use none of
// the handles.
func TestThreat76_OnlyDigestsAreStored(t *testing.T) {
	t.Parallel()
	l := newLeaks(t, "any", inFile(t))
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

// TestThreat73_NoPlatformTokenInAddresses: no redirect of ours in a whole run
// holds anything that the platform issued. Those of runs that fail are searched
// by TestThreat102.
func TestThreat73_NoPlatformTokenInAddresses(t *testing.T) {
	t.Parallel()
	l := newLeaks(t, "any")
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

	urls := l.everywhere()["Location"]
	if n := strings.Count(urls, "\n"); n < 3*8 {
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
	if found := search.in(printed(secret)["%v"]); len(found) == 0 {
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
