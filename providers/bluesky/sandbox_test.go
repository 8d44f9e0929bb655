package bluesky_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/outbound"
	"github.com/seed944197df/connect/providers/bluesky"
	"github.com/seed944197df/connect/providertest"
	"github.com/seed944197df/connect/sandbox"
)

// play returns a sandbox, an Env that reaches it and nothing else, and the app
// password of its people.
func play(t *testing.T) (*sandbox.Sandbox, connect.Env, string) {
	t.Helper()
	s, err := sandbox.New(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, realEnv(t, outbound.Options{UnsafeRewriteHost: server.URL}), index(t, server.URL)
}

func index(t *testing.T, origin string) (appPassword string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, origin, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var page struct {
		Bluesky struct {
			AppPassword string `json:"app_password"`
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil {
		t.Fatal(err)
	}
	return page.Bluesky.AppPassword
}

// TestProvider is the suite that every provider must pass.
func TestProvider(t *testing.T) {
	t.Parallel()
	s, _, appPassword := play(t)
	providertest.Run(t, providertest.Config{
		Provider: bluesky.New(nil),
		Platform: providertest.FromHandler(s),
		Login:    typed("identifier", "ada.sandbox.test", "app_password", appPassword).Values,
		Hosts:    []string{"pds.sandbox.test"},
	})
}

func TestSandboxLogin(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		identifier, pds, password string // an empty password is the right one
		class                     connect.ErrorClass
		code                      string
	}{
		{identifier: "ada.sandbox.test"},
		{identifier: "ada@sandbox.test", pds: "pds.sandbox.test"},
		{identifier: "erin.sandbox.test"},
		{identifier: "erin@sandbox.test"},
		{"nobody.sandbox.test", "", "", connect.ClassRefused, "handle_not_found"},
		{"ada.sandbox.test", "", "aaaa-bbbb-cccc-dddd", connect.ClassRefused, "AuthenticationRequired"},
		{"dora.sandbox.test", "", "", connect.ClassRefused, "account_inactive"},
		{"tom.sandbox.test", "", "", connect.ClassReconnect, "AccountTakedown"},
		{"mallory.sandbox.test", "", "", connect.ClassRefused, "handle_mismatch"},
	} {
		t.Run(tc.identifier+" "+tc.password, func(t *testing.T) {
			t.Parallel()
			_, env, right := play(t)
			if tc.password == "" {
				tc.password = right
			}
			p := bluesky.New(nil)
			tokens, err := p.Login(t.Context(), env, typed("identifier", tc.identifier, "app_password", tc.password, "pds", tc.pds))
			if tc.class != "" {
				wantClass(t, err, tc.class, tc.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			tokens = refresh(t, p, env, tokens)
			wantSession(t, p, env, tokens, http.StatusOK)
			if err := p.Revoke(t.Context(), env, tokens); err != nil {
				t.Errorf("revoking: %v", err)
			}
			_, err = p.Refresh(t.Context(), env, tokens)
			wantClass(t, err, connect.ClassReconnect, "ExpiredToken")
		})
	}
}

func TestSandboxFaults(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		fault string
		class connect.ErrorClass // of a refresh
		code  string
	}{
		{"429", connect.ClassRetry, "RateLimitExceeded"},
		{"500", connect.ClassUncertain, ""},
		{"html", connect.ClassRetry, ""},
		{"lost_answer", connect.ClassUncertain, ""},
		{"bad_json", connect.ClassUncertain, ""},
		{"invalid_grant", connect.ClassReconnect, "ExpiredToken"},
		{"wrong_subject", connect.ClassUncertain, ""},
	} {
		t.Run(tc.fault, func(t *testing.T) {
			t.Parallel()
			s, env, password := play(t)
			p := bluesky.New(nil)
			tokens, err := p.Login(t.Context(), env, typed("identifier", "ada.sandbox.test", "app_password", password))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.SetFault(sandbox.Fault{Platform: "bluesky", Fault: tc.fault, At: "refresh"}); err != nil {
				t.Fatal(err)
			}
			_, err = p.Refresh(t.Context(), env, tokens)
			wantClass(t, err, tc.class, tc.code)
			if n := s.Requests("pds.sandbox.test", refreshPath); n != 1 {
				t.Errorf("the refresh token was presented %d times", n)
			}
			if _, err := p.Refresh(t.Context(), env, tokens); err != nil {
				t.Errorf("the next refresh: %v", err)
			}
		})
	}
}
