package connect

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed944197df/connect/selection"
	"github.com/seed944197df/connect/tokencrypt"
)

// recordVersion is the first field of everything that is sealed, so that a
// later release can tell what it reads.
const recordVersion = 1

var errRecordVersion = errors.New("connect: sealed by a newer release")

// tokensRecord is [Tokens] as they are sealed. This file is the only one in
// which a secret becomes plain text on its way to the store.
type tokensRecord struct {
	V             int              `json:"v"`
	Subject       string           `json:"sub,omitempty"`
	Access        string           `json:"access,omitempty"`
	Refresh       string           `json:"refresh,omitempty"`
	Private       string           `json:"private,omitempty"`
	AccessExpiry  *time.Time       `json:"access_exp,omitempty"`
	RefreshExpiry *time.Time       `json:"refresh_exp,omitempty"`
	Scopes        []string         `json:"scopes,omitempty"`
	Hosts         []string         `json:"hosts,omitempty"`
	APIBaseURL    string           `json:"api,omitempty"`
	Self          *candidateRecord `json:"self,omitempty"`
	Issued        time.Time        `json:"iat,omitzero"` // when a grant got them
}

// candidateRecord is a [Candidate] as it is sealed in a pending flow.
type candidateRecord struct {
	selection.Candidate

	Target       map[string]string `json:"target,omitempty"`
	Access       string            `json:"access,omitempty"`
	AccessExpiry *time.Time        `json:"access_exp,omitempty"`
}

func recordOfTokens(t *Tokens) *tokensRecord {
	r := &tokensRecord{
		V: recordVersion, Subject: t.Subject,
		Access: t.Access.Reveal(), Refresh: t.Refresh.Reveal(), Private: t.Private.Reveal(),
		AccessExpiry: t.AccessExpiry, RefreshExpiry: t.RefreshExpiry,
		Scopes: t.Scopes, Hosts: t.Hosts, APIBaseURL: t.APIBaseURL,
	}
	if t.Self != nil {
		self := recordOfCandidate(*t.Self)
		r.Self = &self
	}
	return r
}

func (r *tokensRecord) tokens() (*Tokens, error) {
	if r.V != recordVersion {
		return nil, errRecordVersion
	}
	t := &Tokens{
		Subject: r.Subject,
		Access:  NewSecret(r.Access), Refresh: NewSecret(r.Refresh), Private: NewSecret(r.Private),
		AccessExpiry: r.AccessExpiry, RefreshExpiry: r.RefreshExpiry,
		Scopes: r.Scopes, Hosts: r.Hosts, APIBaseURL: r.APIBaseURL,
	}
	if r.Self != nil {
		self := r.Self.candidate()
		t.Self = &self
	}
	return t, nil
}

func recordOfCandidate(c Candidate) candidateRecord {
	return candidateRecord{Candidate: c.Candidate, Target: c.Target, Access: c.Access.Reveal(), AccessExpiry: c.AccessExpiry}
}

func (r candidateRecord) candidate() Candidate {
	return Candidate{Candidate: r.Candidate, Target: r.Target, Access: NewSecret(r.Access), AccessExpiry: r.AccessExpiry}
}

// requestRecord is a flowRequest as it is sealed.
type requestRecord struct {
	flowRequest

	V        int    `json:"v"`
	Verifier string `json:"verifier,omitempty"`
	Private  string `json:"private,omitempty"`
}

func (c *Connector) sealRequest(f *Flow, r flowRequest) error {
	sealed, err := c.seal(flowBinding(*f, "request"), requestRecord{r, recordVersion, r.Verifier.Reveal(), r.Private.Reveal()})
	f.Request = sealed
	return err
}

func (c *Connector) openRequest(f Flow) (flowRequest, error) {
	var r requestRecord
	if err := c.open(flowBinding(f, "request"), f.Request, &r); err != nil {
		return flowRequest{}, err
	}
	if r.V != recordVersion {
		return flowRequest{}, errRecordVersion
	}
	r.flowRequest.Verifier, r.flowRequest.Private = NewSecret(r.Verifier), NewSecret(r.Private)
	return r.flowRequest, nil
}

// accountSecret is what an account holds of its own: nothing, for most.
type accountSecret struct {
	V      int    `json:"v"`
	Access string `json:"access"`
}

// seal seals v as JSON. open reverses it.
func (c *Connector) seal(b tokencrypt.Binding, v any) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errSealing, b.Purpose, err)
	}
	sealed, err := c.cfg.Keys.Seal(b, plain)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errSealing, b.Purpose, err)
	}
	return sealed, nil
}

// errSealing says that a value cannot be stored, however often it is tried.
var errSealing = errors.New("connect: sealing")

// open fails with [tokencrypt.ErrKeyUnavailable] or [tokencrypt.ErrIntegrity].
// Neither ever means that a user must reconnect, and nothing is deleted.
func (c *Connector) open(b tokencrypt.Binding, sealed []byte, v any) error {
	plain, err := c.cfg.Keys.Open(b, sealed)
	if err != nil {
		return fmt.Errorf("connect: opening %s: %w", b.Purpose, err)
	}
	if json.Unmarshal(plain, v) != nil {
		return fmt.Errorf("connect: opening %s: %w", b.Purpose, tokencrypt.ErrIntegrity)
	}
	return nil
}

// The bindings name the row that a value was sealed for, and what of the row
// decides where the value goes.
//
// Security: who can write rows but has no key must not send a token anywhere
// else. So the platform is part of every binding; an account is bound to its
// grant and to what it is at the platform, and has a sealed value even where it
// has no token, so that emptying the column is no way around; a flow is bound
// to who must come back and how. The hosts that a grant adds are sealed with
// its tokens. A whole row that is put back as it once was is not noticed.

func grantBinding(g Grant) tokencrypt.Binding {
	return tokencrypt.Binding{Purpose: "grant", Tenant: g.Tenant, Record: record(g.Platform, g.ID, g.ClientID, g.Subject), Field: "tokens", Generation: g.Generation}
}

func accountBinding(a Account) tokencrypt.Binding {
	return tokencrypt.Binding{Purpose: "account", Tenant: a.Tenant, Record: record(a.Platform, a.ID, a.GrantID, a.Kind, a.PlatformID), Field: "token", Generation: a.Generation}
}

// record joins what identifies a row so that no two lists of parts are the
// same text.
func record(parts ...string) string {
	var joined strings.Builder
	for _, part := range parts {
		fmt.Fprintf(&joined, "%d:%s,", len(part), part)
	}
	return joined.String()
}

// flowBinding has no generation: a flow lives minutes and its status alone
// says what may still be done with it.
func flowBinding(f Flow, field string) tokencrypt.Binding {
	return tokencrypt.Binding{Purpose: "flow", Tenant: f.Tenant, Record: record(f.Platform, f.ID, f.Client, f.Method, f.User, string(f.Binding)), Field: field}
}

// sealGrant seals tokens into g, whose id and generation must be final, and
// copies to its columns what the fleet must know without opening them.
func (c *Connector) sealGrant(g *Grant, t *Tokens) error {
	record := recordOfTokens(t)
	record.Issued = c.now()
	sealed, err := c.seal(grantBinding(*g), record)
	if err != nil {
		return err
	}
	g.Sealed, g.Scopes = sealed, t.Scopes
	g.AccessExpiry, g.RefreshExpiry = t.AccessExpiry, t.RefreshExpiry
	return nil
}

func (c *Connector) openGrant(g Grant) (*Tokens, error) {
	tokens, _, err := c.openIssued(g)
	return tokens, err
}

// openIssued is openGrant, and when the grant got the tokens.
func (c *Connector) openIssued(g Grant) (*Tokens, time.Time, error) {
	var record tokensRecord
	if err := c.open(grantBinding(g), g.Sealed, &record); err != nil {
		return nil, time.Time{}, err
	}
	tokens, err := record.tokens()
	return tokens, record.Issued, err
}

// sealAccount seals an account's own token, which may be empty, into a, whose
// key, grant and generation must be final.
func (c *Connector) sealAccount(a *Account, access Secret) (err error) {
	a.Sealed, err = c.seal(accountBinding(*a), accountSecret{V: recordVersion, Access: access.Reveal()})
	return err
}

func (c *Connector) openAccount(a Account) (Secret, error) {
	var own accountSecret
	if err := c.open(accountBinding(a), a.Sealed, &own); err != nil {
		return Secret{}, err
	}
	if own.V != recordVersion {
		return Secret{}, errRecordVersion
	}
	return NewSecret(own.Access), nil
}
