package connect

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// loginTries bounds how often one principal may try credentials on one
// platform: it is counted in the store, over all processes.
const (
	loginTries  = 10
	loginWindow = time.Minute
)

// CredentialsRequest connects by what a person typed into a form.
type CredentialsRequest struct {
	Platform string
	Method   string            // defaults to the platform's first credentials method
	Values   map[string]Secret // by field name

	User      string // as in StartRequest
	Kind      string
	AccountID string
	Metadata  json.RawMessage
}

// ConnectCredentials connects by credentials, such as a Bluesky app password.
// It is a flow like any other and ends in the same outcome, but no browser
// returns, so that it never ends by ticket. What was typed is not kept.
//
// [CodeCredentialsRefused] means that the values were wrong; at most 10 tries
// a minute are made for one user and platform ([CodeRateLimited]).
func (c *Connector) ConnectCredentials(ctx context.Context, p Principal, req CredentialsRequest) (*Outcome, error) {
	return c.login(ctx, p, req, ModeHeadless, "")
}

// login is ConnectCredentials, also for a form of ours, whose browser goes on.
func (c *Connector) login(ctx context.Context, p Principal, req CredentialsRequest, mode Mode, returnURL string) (*Outcome, error) {
	const op = "credentials"
	start := StartRequest{
		Platform: req.Platform, Method: req.Method, User: req.User, Kind: req.Kind, AccountID: req.AccountID, Metadata: req.Metadata,
		Mode: mode, ReturnURL: returnURL,
	}
	at, err := c.plan(ctx, op, p, start, MethodCredentials)
	if err != nil {
		return nil, err
	}
	if err := checkValues(op, at.adapter.methodByID(at.flow.Method), req.Values); err != nil {
		return nil, err
	}
	return c.workNow(ctx, at, FlowCaps{Recent: loginTries, Window: loginWindow}, func(ctx context.Context) (*Tokens, error) {
		tokens, err := at.adapter.credentials.Login(ctx, at.adapter.env, LoginRequest{Method: at.flow.Method, Values: req.Values})
		return tokens, c.refusedLogin(at, err)
	})
}

// workNow takes a planned flow that no browser carries to its outcome. Where
// the flow fails it returns why, as an error.
func (c *Connector) workNow(ctx context.Context, at *attempt, caps FlowCaps, get func(context.Context) (*Tokens, error)) (*Outcome, error) {
	at.flow.Status = FlowClaimed
	if err := c.create(ctx, at, caps); err != nil {
		return nil, err
	}
	out, err := c.finish(ctx, func(ctx context.Context) (*Outcome, error) { return c.work(ctx, at, get) })
	if err == nil && at.problem != nil {
		return nil, at.problem
	}
	return out, err
}

// refusedLogin says of a refusal what the provider knows: the field, and why.
func (c *Connector) refusedLogin(at *attempt, err error) error {
	refusal, ok := errors.AsType[*ProviderError](err)
	if !ok || refusal.Class != ClassRefused && refusal.Class != ClassReconnect {
		return err
	}
	e := c.platformFailed(at.op, at.adapter, err)
	e.Code = CodeCredentialsRefused
	if refusal.Class == ClassReconnect { // not what was typed, but the account: taken down, gone
		e.Message = at.adapter.DisplayName + " does not let this account sign in."
	}
	if refusal.Message != "" {
		e.Message = refusal.Message
	}
	if at.adapter.methodByID(at.flow.Method).field(refusal.Field) {
		e.Field = refusal.Field
	}
	return e
}

// checkValues accepts exactly the method's fields. An error names a field of
// ours, never what was sent: a password may have been sent as a name.
func checkValues(op string, method Method, values map[string]Secret) error {
	known := 0
	names := []string{"method", "user", "kind", "account_id", "metadata"}
	for _, f := range method.Fields {
		names = append(names, f.Name)
		value, sent := values[f.Name]
		if sent {
			known++
		}
		switch {
		case f.Required && value.IsZero():
			return invalid(op, f.Name, "Is required.")
		case len(value.Reveal()) > maxURL:
			return invalid(op, f.Name, "Is longer than 2048 bytes.")
		}
	}
	if known != len(values) {
		return invalid(op, "", unknownName("request", "fields", names))
	}
	return nil
}
