package connect

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/seed944197df/connect/internal/outbound"
	"github.com/seed944197df/connect/selection"
)

// maxImported bounds what an import brings, in bytes of each secret.
const maxImported = 16 << 10

// ImportRequest connects tokens that the host already has. Platform and
// Tokens.Access are required.
type ImportRequest struct {
	Platform string
	Method   string // how the tokens were got; defaults to the platform's first method

	// Tokens must be of the client that the platform is configured with. Besides
	// the secrets and expiries it may hold Scopes, which count where the
	// platform does not tell them, and APIBaseURL, the server to ask on a
	// platform of many. All else in it is ignored: the platform says it.
	Tokens Tokens

	User      string // as in StartRequest
	Kind      string
	Select    selection.Rule
	AccountID string
	Metadata  json.RawMessage
}

// Import connects tokens that the host has from elsewhere, such as the system
// that it used before. It is a flow like any other and ends in the same
// outcome, but no browser takes part: where several candidates are left, the
// outcome is pending and [Connector.Finalize] connects what is chosen. Import
// a person's tokens once, not once per account.
//
// Whose the tokens are is asked of the platform, never taken from the host; a
// platform that cannot be asked ([Identifier]) is [CodeUnsupported]. Tokens
// that it does not accept are [CodeCredentialsRefused]; an access token that
// has ended must be refreshed where it comes from. Tokens of a person who is
// connected already are [CodeConflict], and what is stored stays: it may be
// newer than they are.
//
// Tokens that are not connected are not revoked, for they may be in use. Where
// the platform replaces refresh tokens ([Rotation]), the other system must stop
// refreshing before Import is called and never use these tokens again after it:
// of two that refresh, the platform may cut off both.
//
// Import has no HTTP route, so that tokens never travel over one of ours, and
// is for programs: an ambient principal is [CodeForbidden].
func (c *Connector) Import(ctx context.Context, p Principal, req ImportRequest) (*Outcome, error) {
	const op = "import"
	if p.Ambient {
		return nil, &Error{Code: CodeForbidden, Op: op, Message: "Only a program may import tokens, not a browser's session."}
	}
	at, err := c.plan(ctx, op, p, StartRequest{
		Platform: req.Platform, Method: req.Method, User: req.User, Kind: req.Kind,
		Select: req.Select, AccountID: req.AccountID, Metadata: req.Metadata, Mode: ModeHeadless,
	}, "")
	if err != nil {
		return nil, err
	}
	if at.adapter.identifier == nil {
		return nil, &Error{Code: CodeUnsupported, Op: op, Platform: at.flow.Platform, Message: at.adapter.DisplayName + " cannot be asked whose tokens these are. The user must connect."}
	}
	if err := checkImported(op, req.Tokens); err != nil {
		return nil, err
	}
	at.request.Imported = true
	return c.workNow(ctx, at, FlowCaps{}, func(ctx context.Context) (*Tokens, error) { return at.identify(ctx, req.Tokens) })
}

func checkImported(op string, t Tokens) error {
	if t.Access.IsZero() {
		return invalid(op, "tokens", "The access token is missing.")
	}
	for _, secret := range []Secret{t.Access, t.Refresh, t.Private} {
		if len(secret.Reveal()) > maxImported {
			return invalid(op, "tokens", "A token is longer than 16 KiB.")
		}
	}
	if len(t.APIBaseURL) > maxURL {
		return invalid(op, "tokens", "The API's base URL is longer than 2048 bytes.")
	}
	for _, scope := range t.Scopes {
		if !isScope(scope) || len(t.Scopes) > maxScopes {
			return invalid(op, "tokens", "The scopes are too many, or one has a character that no scope has.")
		}
	}
	return nil
}

// identify returns the tokens with what the platform says of them.
//
// Security: who they belong to and which hosts get them is the platform's word
// alone, so that a wrong row of the system before connects nobody else.
func (at *attempt) identify(ctx context.Context, given Tokens) (*Tokens, error) {
	tokens := &Tokens{
		Access: given.Access, Refresh: given.Refresh, Private: given.Private,
		AccessExpiry: given.AccessExpiry, RefreshExpiry: given.RefreshExpiry,
		Scopes: slices.Clone(given.Scopes), APIBaseURL: given.APIBaseURL,
	}
	said, err := at.adapter.identifier.Identify(ctx, at.adapter.env, tokens)
	switch {
	case err != nil && refusesToken(err):
		return nil, &Error{Code: CodeCredentialsRefused, Op: at.op, Platform: at.flow.Platform, Message: at.adapter.DisplayName + " does not accept the access token. Refresh it where it comes from, then import what came of it.", Err: outbound.Redact(err)}
	case err != nil:
		return nil, err
	case said.Subject == "":
		return nil, &ProviderError{Class: ClassRetry, Code: "no_subject"}
	}
	tokens.Subject, tokens.Self, tokens.Hosts, tokens.APIBaseURL = said.Subject, said.Self, said.Hosts, said.APIBaseURL
	if said.Scopes != nil {
		tokens.Scopes = said.Scopes
	}
	return tokens, nil
}

// refusesToken reports whether an answer to [Identifier.Identify] means that
// the platform does not accept the token.
func refusesToken(err error) bool {
	switch classOf(err) {
	case ClassExpired, ClassReconnect, ClassRefused:
		return true
	default:
		return false
	}
}

// lives reports whether a grant's tokens may be in use here.
func (g Grant) lives() bool {
	return g.Generation > 0 && g.Status != GrantDead && g.Status != GrantRevoking
}

// importedBefore refuses to replace tokens that we may have refreshed since by
// those that they came from.
func importedBefore(at *attempt) *Error {
	return &Error{Code: CodeConflict, Op: at.op, Platform: at.flow.Platform, Message: "This person is connected already, and the tokens here may be newer. Disconnect the accounts first, or let the user connect again."}
}
