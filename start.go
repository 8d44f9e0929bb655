package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/oauth2"

	"github.com/seed944197df/connect/internal/outbound"
	"github.com/seed944197df/connect/selection"
)

// StartRequest asks for a flow. Only Platform is required.
type StartRequest struct {
	Platform string
	Method   string // defaults to the platform's first OAuth method
	Client   string // name of the client; defaults to the shared one

	// User is who will come back. An ambient principal is always itself; an API
	// key names the user here, and where it names none the flow ends by ticket.
	User string // at most 255 bytes

	Input     map[string]string // values of the method's fields, at most 2048 bytes each
	Kind      string            // offer only candidates of this kind
	Scopes    []string          // instead of the method's default scopes, see [ReconsentReplaces]; at most 100, 4 KiB together
	LoginHint string            // what the platform may prefill; at most 512 bytes

	ReturnURL string         // defaults to Config.DefaultReturnURL, else our result page
	Mode      Mode           // defaults to ModeHosted
	Select    selection.Rule // defaults to selection.Ask

	AccountID string          // reconnect this account
	Metadata  json.RawMessage // a JSON object of at most 2 KiB, stamped on the accounts
}

// Started is a flow that waits for the browser.
type Started struct {
	FlowID    string
	URL       string // where to send the browser
	State     string
	ExpiresAt time.Time
}

const (
	maxMetadata  = 2 << 10
	maxURL       = 2048
	maxScopes    = 100
	maxScopeText = 4 << 10
	maxShortText = 512
)

// Start begins a flow for the principal. The browser must then open the URL
// that it returns: the platform's consent screen or, under [BindBrowser], a
// connect link that binds the browser first.
//
// Its errors are [*Error]s that name the field which is wrong, and nothing is
// stored then: [CodeInvalidRequest], [CodeUnknownPlatform], [CodeUnsupported],
// [CodeReturnURLRefused], [CodeForbidden], [CodeNotFound] for a client or
// account that is not there, [CodeRateLimited] where too many flows are open,
// [CodePlatformError] and [CodeUnavailable].
func (c *Connector) Start(ctx context.Context, p Principal, req StartRequest) (*Started, error) {
	started, flow, err := c.start(ctx, p, req)
	if err != nil || flow.Link == nil {
		return started, err
	}
	link, err := c.handle(purposeLink, flow)
	if err != nil {
		return nil, storeError("start", err)
	}
	started.URL = c.url("/go/" + link)
	return started, nil
}

// start begins a flow and returns the platform's URL whatever the binding is.
func (c *Connector) start(ctx context.Context, p Principal, req StartRequest) (*Started, Flow, error) {
	at, err := c.plan(ctx, "start", p, req, MethodOAuth)
	if err != nil {
		return nil, Flow{}, err
	}
	state, err := c.cfg.State.SealState(StateClaims{FlowID: at.flow.ID, Platform: at.flow.Platform, Client: at.flow.Client, Expiry: at.flow.ExpiresAt})
	if err != nil {
		return nil, Flow{}, storeError("start", err)
	}
	if err := c.begin(ctx, at, state, req.LoginHint); err != nil {
		return nil, Flow{}, err
	}
	if at.flow.Binding == BindBrowser {
		link, err := c.handle(purposeLink, at.flow)
		if err != nil {
			return nil, Flow{}, storeError("start", err)
		}
		at.flow.Link = digest(link)
	}
	if err := c.create(ctx, at, FlowCaps{}); err != nil {
		return nil, Flow{}, err
	}
	return &Started{FlowID: at.flow.ID, URL: at.request.URL, State: state, ExpiresAt: at.flow.ExpiresAt}, at.flow, nil
}

// plan checks a request and lays out its flow; nothing is stored yet.
func (c *Connector) plan(ctx context.Context, op string, p Principal, req StartRequest, kind MethodType) (*attempt, error) {
	a, err := c.adapter(op, req.Platform)
	if err != nil {
		return nil, err
	}
	if err := c.authorize(ctx, p, Action{Name: ActionStart, Platform: a.Name, AccountID: req.AccountID}); err != nil {
		return nil, err
	}
	method, ok := a.method(req.Method, kind)
	if !ok {
		return nil, &Error{Code: CodeUnsupported, Op: op, Platform: a.Name, Field: "method", Message: "The platform has no such method; GET /platforms lists its methods."}
	}
	user, err := whoReturns(op, p, req.User)
	if err != nil {
		return nil, err
	}
	request, err := c.checkRequest(op, a, method, req)
	if err != nil {
		return nil, err
	}
	if err := c.checkReconnect(ctx, op, p, a, request.AccountID); err != nil {
		return nil, err
	}
	now := c.now()
	flow := Flow{
		ID: newID(now), Tenant: p.Tenant, User: user,
		Platform: a.Name, Client: sharedClient, Method: method.ID,
		Binding: c.bindingFor(user), Status: FlowStarted, Version: 1, KeyID: c.cfg.Keys.PrimaryID(),
		Timeline:  []FlowStep{{At: now, Step: "start", Result: "ok"}},
		CreatedAt: now, ExpiresAt: now.Add(c.cfg.FlowTTL),
	}
	return &attempt{op: op, flow: flow, adapter: a, request: *request}, nil
}

// whoReturns decides whom a flow is bound to.
func whoReturns(op string, p Principal, named string) (string, error) {
	switch {
	case len(named) > 255:
		return "", invalid(op, "user", "The user is longer than 255 bytes.")
	case p.User == "":
		return named, nil
	case named == "" || named == p.User:
		return p.User, nil
	default:
		return "", &Error{Code: CodeForbidden, Op: op, Field: "user", Message: "Only an API key may start a flow for another user."}
	}
}

func (c *Connector) bindingFor(user string) Binding {
	if user == "" && c.cfg.Binding == BindSession {
		return BindTicket
	}
	return c.cfg.Binding
}

func invalid(op, field, message string) *Error {
	return &Error{Code: CodeInvalidRequest, Op: op, Field: field, Message: message}
}

// checkRequest turns what was asked into what the flow keeps.
func (c *Connector) checkRequest(op string, a *adapter, method Method, req StartRequest) (*flowRequest, error) {
	rule, err := selection.ParseRule(string(req.Select))
	if err != nil {
		return nil, invalid(op, "select", `Must be "ask", "first" or "all".`)
	}
	r := &flowRequest{
		Kind: req.Kind, Scopes: method.DefaultScopes, Input: req.Input,
		ReturnURL: c.cfg.DefaultReturnURL, Mode: ModeHosted, Rule: rule,
		AccountID: req.AccountID, Metadata: req.Metadata,
	}
	if req.Mode != "" {
		r.Mode = req.Mode
	}
	if len(req.Scopes) > 0 {
		r.Scopes = req.Scopes
	}
	if req.ReturnURL != "" {
		r.ReturnURL = req.ReturnURL
	}
	return r, c.refuse(op, a, method, req, r)
}

// refuse names the first field that cannot be.
func (c *Connector) refuse(op string, a *adapter, method Method, req StartRequest, r *flowRequest) error {
	if req.Client != "" && req.Client != sharedClient {
		return &Error{Code: CodeNotFound, Op: op, Platform: a.Name, Field: "client", Message: "There is no client of this name."}
	}
	if _, known := a.kind(r.Kind); r.Kind != "" && !known {
		return invalid(op, "kind", "The platform has no such kind; GET /platforms lists its kinds.")
	}
	if !slices.Contains([]Mode{ModeHosted, ModeHeadless, ModePopup}, r.Mode) {
		return invalid(op, "mode", `Must be "hosted", "headless" or "popup".`)
	}
	if len(req.LoginHint) > maxShortText {
		return invalid(op, "login_hint", "Is longer than 512 bytes.")
	}
	if err := checkScopes(op, a, method, r.Scopes); err != nil {
		return err
	}
	if err := checkInput(op, method, r.Input); err != nil {
		return err
	}
	if err := checkMetadata(op, r.Metadata); err != nil {
		return err
	}
	return c.checkReturn(op, r.ReturnURL)
}

// checkReturn refuses a return URL that the allow-list does not hold.
func (c *Connector) checkReturn(op, target string) error {
	if target == "" {
		return nil
	}
	if err := c.returns.Check(target); err != nil {
		return &Error{Code: CodeReturnURLRefused, Op: op, Field: "return_url", Message: "The return URL is not allowed; the host must add its exact origin to Config.ReturnOrigins.", Err: err}
	}
	return nil
}

// checkScopes accepts scope tokens (RFC 6749 § 3.3) that include what the
// method cannot do without. Where a new consent replaces the earlier ones, that
// is all of its default scopes: a flow that asked for less would take them from
// accounts that were connected before.
func checkScopes(op string, a *adapter, method Method, scopes []string) error {
	if len(scopes) > maxScopes {
		return invalid(op, "scopes", "More than 100 scopes.")
	}
	if len(strings.Join(scopes, " ")) > maxScopeText {
		return invalid(op, "scopes", "The scopes are longer than 4 KiB together.")
	}
	for _, scope := range scopes {
		if !isScope(scope) {
			return invalid(op, "scopes", "A scope is empty or has a character that no scope has.")
		}
	}
	for _, required := range method.RequiredScopes {
		if !slices.Contains(scopes, required) {
			return invalid(op, "scopes", "The scope "+required+" is required.")
		}
	}
	if missing := without(scopes, method.DefaultScopes); a.Reconsent == ReconsentReplaces && len(missing) > 0 {
		return invalid(op, "scopes", "A consent at "+a.DisplayName+" replaces the earlier ones, whose accounts would lose "+strings.Join(missing, ", ")+". Add what is missing, or name no scopes.")
	}
	return nil
}

func isScope(s string) bool {
	for _, b := range []byte(s) {
		if b <= ' ' || b == '"' || b == '\\' || b == ',' || b > '~' {
			return false
		}
	}
	return s != "" && len(s) <= 256
}

func checkInput(op string, method Method, input map[string]string) error {
	for name, value := range input {
		if !method.field(name) {
			return invalid(op, "input", "The method has no such field; GET /platforms lists its fields.")
		}
		if len(value) > maxURL {
			return invalid(op, "input", "A value is longer than 2048 bytes.")
		}
	}
	for _, f := range method.Fields {
		if f.Required && input[f.Name] == "" && method.Type == MethodOAuth {
			return invalid(op, "input", "The field "+f.Name+" is required.")
		}
	}
	return nil
}

// checkMetadata accepts nothing or a JSON object of at most 2 KiB.
func checkMetadata(op string, metadata json.RawMessage) error {
	trimmed := bytes.TrimSpace(metadata)
	switch {
	case len(trimmed) == 0:
		return nil
	case len(metadata) > maxMetadata:
		return invalid(op, "metadata", "Is longer than 2 KiB.")
	case trimmed[0] != '{' || !utf8.Valid(trimmed) || !json.Valid(trimmed):
		return invalid(op, "metadata", "Must be a JSON object.")
	}
	return nil
}

// checkReconnect refuses to reconnect what the tenant does not have.
func (c *Connector) checkReconnect(ctx context.Context, op string, p Principal, a *adapter, id string) error {
	if id == "" {
		return nil
	}
	account, err := c.readAccount(ctx, op, p.Tenant, id)
	if err != nil {
		return err
	}
	if account.Platform != a.Name {
		return &Error{Code: CodeIdentityMismatch, Op: op, Platform: a.Name, Field: "account_id", AccountID: id, Message: "The account is on another platform."}
	}
	return nil
}

// begin asks the provider for the authorization request.
func (c *Connector) begin(ctx context.Context, at *attempt, state, loginHint string) error {
	at.request.Verifier = NewSecret(oauth2.GenerateVerifier()) // RFC 7636 § 4.1: 256 bits, 43 characters
	auth, err := at.adapter.oauth.Begin(ctx, at.adapter.env, AuthRequest{
		Method: at.flow.Method, State: state, Verifier: at.request.Verifier,
		Scopes: at.request.Scopes, Input: at.request.Input, LoginHint: loginHint, Reconnect: at.request.AccountID != "",
	})
	if err != nil {
		return c.platformFailed("start", at.adapter, err)
	}
	at.request.URL = c.browserURL(at.adapter, auth.URL)
	at.request.Issuer = auth.Issuer
	at.request.Private = auth.Private
	return nil
}

// browserURL sends a browser to the sandbox where outbound calls go there too.
func (c *Connector) browserURL(a *adapter, platformURL string) string {
	if !a.sandboxed {
		return platformURL
	}
	return c.cfg.UnsafeRewriteHost + "/" + strings.TrimPrefix(platformURL, "https://")
}

// create seals the request and stores the flow, within the caps.
func (c *Connector) create(ctx context.Context, at *attempt, caps FlowCaps) error {
	if err := c.sealRequest(&at.flow, at.request); err != nil {
		return storeError("start", err)
	}
	caps.OpenPerUser, caps.OpenPerTenant = c.cfg.MaxOpenFlowsPerUser, c.cfg.MaxOpenFlowsPerTenant
	err := c.cfg.Store.CreateFlow(ctx, at.flow, caps)
	if errors.Is(err, ErrNotFound) {
		return tenantEnded(at.op)
	}
	return storeError("start", err)
}

// platformFailed turns an error of a provider into one of ours, and tells the
// operator what only an operator can mend.
func (c *Connector) platformFailed(op string, a *adapter, err error) *Error {
	class := classOf(err)
	err = outbound.Redact(err) // an http.Client puts the whole address into its errors
	e := &Error{Op: op, Platform: a.Name, Err: err, RetryAfter: asProviderError(err).RetryAfter}
	switch class {
	case ClassDenied:
		e.Code, e.Message = CodeAccessDenied, a.DisplayName+" did not grant access."
	case ClassRefused:
		e.Code, e.Message = CodeCredentialsRefused, a.DisplayName+" refused what was typed. Check it and try again."
	case ClassReconnect:
		e.Code, e.Message = CodePlatformError, a.DisplayName+" did not accept what it was sent. Start again."
	case ClassScopeMissing:
		e.Code, e.Message = CodeScopeMissing, a.DisplayName+" did not grant a permission that is required. Connect again and leave all boxes ticked."
	case ClassConfig:
		e.Code, e.Message = CodePlatformError, a.DisplayName+" does not accept this app's settings. Tell the people who run it."
		c.cfg.Logger.Error("a client is refused by its platform", "op", op, "platform", a.Name, "error", err)
	default:
		e.Code, e.Message = CodePlatformError, a.DisplayName+" could not be reached or did not answer as expected. Try again in a moment."
	}
	return e
}
