package peers

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"
)

// Names under which a [PDS] and its companions are reached, all on port 443.
const (
	PDSHost    = "pds.peers.internal" // the PDS' public name
	PLCHost    = "plc.directory"      // the directory of did:plc identities
	HandleHost = "alice.test"         // the account's handle, and where it resolves
)

// PDS is a running reference PDS with one account and one app password, and a
// PLC directory that knows the account. All its fields are constant once
// [StartPDS] returned it.
//
// It is reached as in production, by https and by name, but through
// [PDS.DialContext] or what a test builds of Dial and RootCAs: no name is
// resolved and no other host can be reached. So the client under test keeps its
// https rule and its guard against private addresses, and replaces only how it
// connects.
type PDS struct {
	URL         string // https origin of the PDS
	Handle      string // the account's handle
	DID         string // its did:plc identity
	Email       string // its e-mail address
	Password    string // its main password
	AppPassword string // an app password of the name "first"

	RootCAs *x509.CertPool    // trusts the TLS front and nothing else
	Dial    map[string]string // "name:443" to the address of the TLS front

	backend       string // where the PDS itself listens, by http
	adminPassword string
}

// StartPDS starts the reference PDS and its PLC directory and stops them when
// the test ends. It takes some four seconds on a quiet machine, so tests that
// need no PDS of their own should be subtests of one that starts it. It ends
// the test where the PDS is not installed.
func StartPDS(tb testing.TB) *PDS {
	tb.Helper()
	installed, scripts := installation(tb)
	ready := startNetwork(tb, installed, scripts, "PDS_HOSTNAME="+PDSHost, "HANDLE="+HandleHost)
	front, roots := startFront(tb, map[string]string{
		PDSHost:    ready.Backend,
		HandleHost: ready.Backend,
		PLCHost:    ready.PLC,
	})
	return &PDS{
		URL:         ready.PDS,
		Handle:      ready.Handle,
		DID:         ready.DID,
		Email:       ready.Email,
		Password:    ready.Password,
		AppPassword: ready.AppPassword,
		RootCAs:     roots,
		Dial: map[string]string{
			PDSHost + ":443":    front,
			HandleHost + ":443": front,
			PLCHost + ":443":    front,
		},
		backend:       ready.Backend,
		adminPassword: ready.AdminPassword,
	}
}

// DialContext connects to the TLS front for the names that p serves and refuses
// every other address. It may be a [http.Transport]'s DialContext, and may be
// called concurrently.
func (p *PDS) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	front, ok := p.Dial[address]
	if !ok {
		return nil, fmt.Errorf("peers: %s is not served here", address)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, front)
}

// CreateAppPassword makes another app password of the given name, which must
// be new, and returns it.
func (p *PDS) CreateAppPassword(tb testing.TB, name string) string {
	tb.Helper()
	var created struct {
		Password string `json:"password"`
	}
	p.call(tb, "com.atproto.server.createAppPassword", p.bearer(tb), map[string]any{"name": name}, &created)
	return created.Password
}

// RevokeAppPassword deletes the app password of the given name ("first" is
// AppPassword), as its owner would. Its refresh tokens end at once, its access
// tokens live on until they expire.
func (p *PDS) RevokeAppPassword(tb testing.TB, name string) {
	tb.Helper()
	p.call(tb, "com.atproto.server.revokeAppPassword", p.bearer(tb), map[string]any{"name": name}, nil)
}

// TakeDown suspends the account, as an administrator of the PDS would, or
// restores it where down is false.
func (p *PDS) TakeDown(tb testing.TB, down bool) {
	tb.Helper()
	p.call(tb, "com.atproto.admin.updateSubjectStatus", func(r *http.Request) {
		r.SetBasicAuth("admin", p.adminPassword)
	}, map[string]any{
		"subject":  map[string]any{"$type": "com.atproto.admin.defs#repoRef", "did": p.DID},
		"takedown": map[string]any{"applied": down},
	}, nil)
}

// bearer signs in with the main password and returns what authorizes a request
// as the account's owner.
func (p *PDS) bearer(tb testing.TB) func(*http.Request) {
	tb.Helper()
	var session struct {
		AccessJWT string `json:"accessJwt"`
	}
	p.call(tb, "com.atproto.server.createSession", func(*http.Request) {}, map[string]any{
		"identifier": p.DID,
		"password":   p.Password,
	}, &session)
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+session.AccessJWT) }
}

// call posts in to an XRPC method of the PDS itself and decodes the answer into
// out, unless out is nil.
func (p *PDS) call(tb testing.TB, method string, authorize func(*http.Request), in, out any) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	r, err := newRequest(ctx, p.backend+"/xrpc/"+method, in)
	if err != nil {
		tb.Fatal(err)
	}
	authorize(r)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		tb.Fatalf("%s: %s", method, resp.Status)
	}
	if out == nil {
		return
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		tb.Fatalf("%s: %v", method, err)
	}
}

// newRequest returns a POST of in as JSON.
func newRequest(ctx context.Context, url string, in any) (*http.Request, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}
