package peers_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed944197df/connect/internal/peers"
)

// client returns a plain client whose only special things are whom it trusts
// and how it dials.
func client(tb testing.TB, p *peers.PDS) *http.Client {
	tb.Helper()
	transport := &http.Transport{
		DialContext:     p.DialContext,
		TLSClientConfig: &tls.Config{RootCAs: p.RootCAs, MinVersion: tls.VersionTLS12},
	}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

func do(tb testing.TB, c *http.Client, method, url, body string) (status int, answer []byte) {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), method, url, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, answer
}

func signIn(tb testing.TB, c *http.Client, p *peers.PDS, identifier, password string) (status int, did string) {
	tb.Helper()
	body, err := json.Marshal(map[string]string{"identifier": identifier, "password": password})
	if err != nil {
		tb.Fatal(err)
	}
	status, answer := do(tb, c, http.MethodPost, p.URL+"/xrpc/com.atproto.server.createSession", string(body))
	var session struct{ DID string }
	if err := json.Unmarshal(answer, &session); err != nil {
		tb.Fatal(err)
	}
	return status, session.DID
}

// TestPDS runs its parts one after another: each starts from what the one
// before left.
func TestPDS(t *testing.T) {
	t.Parallel()
	p := peers.StartPDS(t)
	c := client(t, p)

	for _, identifier := range []string{p.Handle, p.DID, p.Email} {
		if status, did := signIn(t, c, p, identifier, p.AppPassword); status != http.StatusOK || did != p.DID {
			t.Errorf("sign-in as %s: %d, DID %q, want 200, %q", identifier, status, did, p.DID)
		}
	}

	if _, body := do(t, c, http.MethodGet, "https://alice.test/.well-known/atproto-did", ""); string(bytes.TrimSpace(body)) != p.DID {
		t.Errorf("the handle resolves to %q, want %q", body, p.DID)
	}
	_, body := do(t, c, http.MethodGet, "https://plc.directory/"+p.DID, "")
	var doc struct {
		AlsoKnownAs []string
		Service     []struct{ ServiceEndpoint string }
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(doc.AlsoKnownAs, "at://"+p.Handle) {
		t.Errorf("the DID document names %q, want the handle", doc.AlsoKnownAs)
	}
	if len(doc.Service) != 1 || doc.Service[0].ServiceEndpoint != p.URL {
		t.Errorf("the DID document's services are %+v, want %s", doc.Service, p.URL)
	}

	second := p.CreateAppPassword(t, "second")
	p.RevokeAppPassword(t, "first")
	if status, _ := signIn(t, c, p, p.DID, p.AppPassword); status != http.StatusUnauthorized {
		t.Errorf("sign-in with a revoked app password: %d, want 401", status)
	}
	if status, _ := signIn(t, c, p, p.DID, second); status != http.StatusOK {
		t.Errorf("sign-in with the second app password: %d, want 200", status)
	}
	p.TakeDown(t, true)
	if status, _ := signIn(t, c, p, p.DID, second); status != http.StatusUnauthorized {
		t.Errorf("sign-in to a suspended account: %d, want 401", status)
	}
	p.TakeDown(t, false)
	if status, _ := signIn(t, c, p, p.DID, second); status != http.StatusOK {
		t.Errorf("sign-in to a restored account: %d, want 200", status)
	}
}

func TestPDSRefusesOtherHosts(t *testing.T) {
	t.Parallel()
	p := &peers.PDS{Dial: map[string]string{"pds.peers.internal:443": "127.0.0.1:1"}}
	for _, address := range []string{"example.com:443", "pds.peers.internal:80", ""} {
		if conn, err := p.DialContext(t.Context(), "tcp", address); err == nil {
			conn.Close()
			t.Errorf("connected to %q", address)
		}
	}
}
