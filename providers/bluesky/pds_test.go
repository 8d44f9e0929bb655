package bluesky_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/outbound"
	"github.com/seed944197df/connect/internal/peers"
	"github.com/seed944197df/connect/providers/bluesky"
)

// TestRealPDS runs against the reference PDS. Its parts follow one another.
func TestRealPDS(t *testing.T) {
	t.Parallel()
	pds := peers.StartPDS(t)
	env := pdsEnv(t, pds)
	p := bluesky.New(nil)

	try := func(identifier, password, host string) (*connect.Tokens, error) {
		return p.Login(t.Context(), env, typed("identifier", identifier, "app_password", password, "pds", host))
	}
	var tokens *connect.Tokens
	for _, identifier := range []string{pds.Handle, pds.DID, pds.Email} {
		var err error
		if tokens, err = try(identifier, pds.AppPassword, peers.PDSHost); err != nil {
			t.Fatalf("login by %s: %v", identifier, err)
		}
		if tokens.Subject != pds.DID || tokens.Self.Username != pds.Handle || tokens.APIBaseURL != pds.URL {
			t.Errorf("login by %s: subject %q, username %q, PDS %q", identifier, tokens.Subject, tokens.Self.Username, tokens.APIBaseURL)
		}
	}
	wantWithin(t, "access token", tokens.AccessExpiry, 2*time.Hour)
	wantWithin(t, "refresh token", tokens.RefreshExpiry, 90*24*time.Hour)
	wantSession(t, p, env, tokens, http.StatusOK)

	_, err := try(pds.Handle, "aaaa-bbbb-cccc-dddd", "")
	wantClass(t, err, connect.ClassRefused, "AuthenticationRequired")
	_, err = try("bob.example.com", pds.AppPassword, "")
	wantClass(t, err, connect.ClassRefused, "handle_not_found")

	second := refresh(t, p, env, tokens)
	third := refresh(t, p, env, second)
	if third.Refresh.Equal(second.Refresh) || second.Refresh.Equal(tokens.Refresh) {
		t.Error("a refresh token stayed")
	}
	again := refresh(t, p, env, second) // within its grace time
	wantSession(t, p, env, third, http.StatusOK)
	wantSession(t, p, env, again, http.StatusOK)

	swapped := *third
	swapped.Refresh = third.Access
	_, err = p.Refresh(t.Context(), env, &swapped)
	wantClass(t, err, connect.ClassReconnect, "InvalidToken")
	swapped.Access = third.Refresh
	wantSession(t, p, env, &swapped, http.StatusBadRequest)

	for range 2 {
		if err := p.Revoke(t.Context(), env, again); err != nil {
			t.Fatalf("revoking: %v", err)
		}
	}
	_, err = p.Refresh(t.Context(), env, again)
	wantClass(t, err, connect.ClassReconnect, "ExpiredToken")

	tokens, err = try(pds.Handle, pds.CreateAppPassword(t, "second"), "")
	if err != nil {
		t.Fatal(err)
	}
	pds.TakeDown(t, true)
	_, err = try(pds.DID, pds.AppPassword, "") // the PDS does not resolve the handle now
	wantClass(t, err, connect.ClassRefused, "AuthenticationRequired")
	_, err = p.Refresh(t.Context(), env, tokens)
	wantClass(t, err, connect.ClassReconnect, "AccountTakedown")
	pds.TakeDown(t, false)

	tokens, err = try(pds.Handle, pds.AppPassword, "")
	if err != nil {
		t.Fatal(err)
	}
	pds.RevokeAppPassword(t, "first")
	wantSession(t, p, env, tokens, http.StatusOK) // an access token lives on
	_, err = p.Refresh(t.Context(), env, tokens)
	wantClass(t, err, connect.ClassReconnect, "ExpiredToken")
	_, err = try(pds.Handle, pds.AppPassword, "")
	wantClass(t, err, connect.ClassRefused, "AuthenticationRequired")
	if err := p.Revoke(t.Context(), env, tokens); err != nil {
		t.Errorf("revoking what is over: %v", err)
	}
}

// pdsEnv is an Env on the real outbound client that reaches pds under its
// public names and nothing else. DNS knows no handle, so they are resolved by
// https.
func pdsEnv(t *testing.T, pds *peers.PDS) connect.Env {
	t.Helper()
	return realEnv(t, outbound.Options{
		Resolver:   (&fakeDNS{}).resolver(),
		RootCAs:    pds.RootCAs,
		UnsafeDial: pds.Dial,
	})
}

func refresh(t *testing.T, p *bluesky.Provider, env connect.Env, tokens *connect.Tokens) *connect.Tokens {
	t.Helper()
	got, err := p.Refresh(t.Context(), env, tokens)
	if err != nil {
		t.Fatalf("refreshing: %v", err)
	}
	return got
}

// wantSession calls getSession with the access token. An answer that is not a
// success must be one that asks for a refresh.
func wantSession(t *testing.T, p *bluesky.Provider, env connect.Env, tokens *connect.Tokens, status int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tokens.APIBaseURL+"/xrpc/com.atproto.server.getSession", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+tokens.Access.Reveal())
	resp, err := env.HTTP.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Errorf("getSession: %d, want %d", resp.StatusCode, status)
	}
	if status == http.StatusOK {
		return
	}
	if class, ok := p.Classify(resp.StatusCode, resp.Header, body); !ok || class != connect.ClassExpired {
		t.Errorf("getSession's answer is classified as %q, want %q", class, connect.ClassExpired)
	}
}

// wantWithin fails the test unless at is life from now, give or take a minute.
func wantWithin(t *testing.T, what string, at *time.Time, life time.Duration) {
	t.Helper()
	if at == nil {
		t.Fatalf("the %s has no expiry", what)
	}
	if off := time.Until(*at) - life; off.Abs() > time.Minute {
		t.Errorf("the %s lives %v, want %v", what, time.Until(*at), life)
	}
}

// certificate returns a certificate for names, signed by itself.
func certificate(t *testing.T, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: names[0]},
		DNSNames:     names,
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
