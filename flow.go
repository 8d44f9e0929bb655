package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed944197df/connect/internal/returnurl"
	"github.com/seed944197df/connect/selection"
	"github.com/seed944197df/connect/tokencrypt"
)

// Mode is what a flow does when a person must choose, and how it ends.
type Mode string

// The modes. The zero value is ModeHosted.
const (
	ModeHosted   Mode = "hosted"   // our picker page asks; it needs the host's session
	ModeHeadless Mode = "headless" // the return URL gets a session, and the host asks: for flows that end by ticket
	ModePopup    Mode = "popup"    // as hosted, in a window that ends on our result page
)

// flowRequest is what Start was given and chose. It is sealed when the flow is
// created; when the flow ends, what was needed on the way only is left out.
type flowRequest struct {
	URL       string            `json:"url,omitempty"` // the authorization request
	Issuer    string            `json:"iss,omitempty"`
	Verifier  Secret            `json:"-"`
	Private   Secret            `json:"-"` // of the [Authorization]
	Kind      string            `json:"kind,omitempty"`
	Scopes    []string          `json:"scopes,omitempty"`
	Input     map[string]string `json:"input,omitempty"`
	ReturnURL string            `json:"return_url,omitempty"`
	Mode      Mode              `json:"mode,omitempty"`
	Rule      selection.Rule    `json:"select,omitempty"`
	AccountID string            `json:"account_id,omitempty"` // reconnect this one, or connect more of its grant
	GrantID   string            `json:"grant_id,omitempty"`   // connect more of this grant; the flow holds no tokens then
	Metadata  json.RawMessage   `json:"metadata,omitempty"`
	Imported  bool              `json:"imported,omitempty"` // its tokens are the host's, not of a consent of ours
}

// flowProgress is what is known since the callback. It is sealed again at each
// step and emptied of secrets at the end.
type flowProgress struct {
	V          int               `json:"v"`
	Answer     []byte            `json:"answer,omitempty"` // SHA-256 of the response that claimed the flow
	Query      url.Values        `json:"query,omitempty"`  // the response, while it waits for Complete
	Tokens     *tokensRecord     `json:"tokens,omitempty"`
	Candidates []candidateRecord `json:"candidates,omitempty"`
	Cursor     string            `json:"cursor,omitempty"`
	Complete   bool              `json:"complete,omitempty"` // there are no more candidates
}

// attempt is a flow that is being worked on, with its sealed parts open.
type attempt struct {
	op       string // what the caller is at, for errors
	flow     Flow
	adapter  *adapter
	request  flowRequest
	progress flowProgress
	tokens   *Tokens
	lent     *loan  // of the grant that it connects more of
	problem  *Error // why the flow failed, where it failed here
}

// openFlow opens the sealed parts of a flow.
func (c *Connector) openFlow(op string, flow Flow) (*attempt, error) {
	a, err := c.adapter(op, flow.Platform)
	if err != nil {
		return nil, err
	}
	at := &attempt{op: op, flow: flow, adapter: a}
	if at.request, err = c.openRequest(flow); err != nil {
		return nil, storeError(op, err)
	}
	if flow.Progress == nil && flow.Status != FlowParked && flow.Status != FlowPending {
		return at, nil // those two wait with what is sealed there
	}
	if err := c.open(flowBinding(flow, "progress"), flow.Progress, &at.progress); err != nil {
		return nil, storeError(op, err)
	}
	if at.progress.Tokens != nil {
		if at.tokens, err = at.progress.Tokens.tokens(); err != nil {
			return nil, storeError(op, err)
		}
	}
	return at, nil
}

// maxSteps bounds a flow's history; the newest steps are kept.
const maxSteps = 50

// next returns the flow as it will be at status, with the progress sealed and
// the step written into its history.
func (c *Connector) next(at *attempt, status FlowStatus, step, result string) (Flow, error) {
	flow := at.flow
	flow.Status = status
	flow.Timeline = append(slices.Clip(flow.Timeline[max(0, len(flow.Timeline)-maxSteps+1):]), FlowStep{At: c.now(), Step: step, Result: result})
	at.progress.Tokens = nil
	if at.tokens != nil {
		at.progress.Tokens = recordOfTokens(at.tokens)
	}
	var err error
	if flow.Progress, err = c.sealProgress(flow, at); err != nil || status.Open() {
		return flow, err
	}
	err = c.sealRequest(&flow, at.request)
	return flow, err
}

// move takes the flow to status by compare-and-swap. A write that was reported
// as failed may have happened, so the row is read back: what is sealed is never
// twice the same.
func (c *Connector) move(ctx context.Context, at *attempt, status FlowStatus, step string) error {
	next, err := c.next(at, status, step, "ok")
	if err != nil {
		return err
	}
	moved, err := c.cfg.Store.MoveFlow(ctx, at.flow.Status, next)
	if err != nil && !errors.Is(err, ErrConflict) {
		stored, readErr := c.cfg.Store.ReadFlow(ctx, FlowKey{Tenant: next.Tenant, ID: next.ID})
		if readErr != nil || !bytes.Equal(stored.Progress, next.Progress) {
			return err
		}
		moved, err = stored, nil
	}
	if err == nil {
		at.flow = moved
	}
	return err
}

// claim takes the flow for this process: no other will work on it. It leaves
// itself the time that this takes.
func (c *Connector) claim(ctx context.Context, at *attempt, step string) error {
	if enough := c.now().Add(exchangeTimeout + commitTimeout + time.Minute); at.flow.ExpiresAt.Before(enough) {
		at.flow.ExpiresAt = enough
	}
	return c.move(ctx, at, FlowClaimed, step)
}

// persist is move where the flow holds what must not be lost: see swap.
func (c *Connector) persist(ctx context.Context, at *attempt, status FlowStatus, step string) error {
	next, err := c.next(at, status, step, "ok")
	if err != nil {
		return err
	}
	moved, err := c.swap(ctx, func() (Flow, []byte, error) {
		stored, err := c.cfg.Store.MoveFlow(ctx, at.flow.Status, next)
		return stored, next.Progress, err
	})
	if err == nil {
		at.flow = moved
	}
	return err
}

// swap repeats a compare-and-swap that failed for a reason that passes, until
// ctx ends. A write that was reported as failed may have happened, so a
// conflict with a row that holds what was tried before is a success: what is
// sealed is never twice the same.
func (c *Connector) swap(ctx context.Context, write func() (stored Flow, progress []byte, err error)) (Flow, error) {
	var tried [][]byte
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		stored, progress, err := write()
		switch {
		case err == nil:
			return stored, nil
		case errors.Is(err, ErrConflict):
			if slices.ContainsFunc(tried, func(p []byte) bool { return bytes.Equal(p, stored.Progress) }) {
				return stored, nil
			}
			return stored, err
		case errors.Is(err, ErrNotFound), errors.Is(err, errSealing), errors.Is(err, tokencrypt.ErrKeyUnavailable), errors.Is(err, tokencrypt.ErrIntegrity):
			return Flow{}, err
		}
		if _, refused := errors.AsType[*Error](err); refused {
			return Flow{}, err
		}
		tried = append(tried, progress)
		c.cfg.Logger.Warn("a step of a flow is tried again", "error", err)
		if !sleep(ctx, wait) {
			return Flow{}, err
		}
	}
}

// forget empties what a finished flow no longer needs of its secrets.
func (at *attempt) forget() {
	at.tokens = nil
	at.request.URL, at.request.Verifier, at.request.Private = "", Secret{}, Secret{}
	at.progress = flowProgress{Answer: at.progress.Answer}
}

// OutcomeStatus is how a step of a flow ended.
type OutcomeStatus string

// The statuses of an outcome.
const (
	OutcomeConnected OutcomeStatus = "connected" // accounts exist
	OutcomePending   OutcomeStatus = "pending"   // a selection is open
	OutcomeContinue  OutcomeStatus = "continue"  // the host must call Complete with the ticket
	OutcomeError     OutcomeStatus = "error"
)

// Outcome is how a step of a flow ended.
type Outcome struct {
	Status    OutcomeStatus
	FlowID    string
	Platform  string
	Accounts  []Account // for OutcomeConnected
	Session   string    // for OutcomePending: names the selection
	Ticket    string    // for OutcomeContinue: one-time
	ExpiresAt time.Time // of the session or ticket
	Error     Code      // for OutcomeError

	// ReturnURL is where the browser goes next: the flow's return URL with the
	// outcome's parameters, or one of our pages.
	ReturnURL string
}

// outcome tells how the flow stands, for whoever may know it.
func (c *Connector) outcome(ctx context.Context, at *attempt) (*Outcome, error) {
	out := &Outcome{FlowID: at.flow.ID, Platform: at.flow.Platform, ExpiresAt: at.flow.ExpiresAt}
	var err error
	switch at.flow.Status {
	case FlowConnected:
		out.Status = OutcomeConnected
		out.Accounts, err = c.accountsOf(ctx, at.flow)
	case FlowPending:
		out.Status = OutcomePending
		out.Session, err = c.handle(purposeSession, at.flow)
	case FlowParked:
		out.Status = OutcomeContinue
		out.Ticket, err = c.handle(purposeTicket, at.flow)
	case FlowFailed:
		out.Status, out.Error = OutcomeError, at.flow.Outcome.Error
	case FlowExpired, FlowOrphaned:
		out.Status, out.Error = OutcomeError, CodeExpired
	default:
		return nil, &Error{Code: CodeUnavailable, Op: at.op, Platform: at.flow.Platform, Message: "This is still being worked on.", RetryAfter: 2 * time.Second}
	}
	if err != nil {
		return nil, storeError(at.op, err)
	}
	out.ReturnURL = c.returnTo(at.request, out)
	return out, nil
}

// accountsOf reads the accounts that a flow connected, in its order. One that
// is gone since is left out.
func (c *Connector) accountsOf(ctx context.Context, flow Flow) ([]Account, error) {
	var accounts []Account
	for _, id := range flow.Outcome.AccountIDs {
		account, err := c.cfg.Store.ReadAccount(ctx, AccountKey{Tenant: flow.Tenant, ID: id})
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		accounts = append(accounts, account)
	}
	return accounts, nil
}

// returnTo is the return contract: where a browser goes after an outcome.
//
// Security: the return URL was checked when the flow began and is checked
// again here, so that a list that has become shorter counts at once.
func (c *Connector) returnTo(req flowRequest, out *Outcome) string {
	if out.Status == OutcomePending && (req.Mode != ModeHeadless || req.ReturnURL == "") {
		return c.url("/ui/pending/" + out.Session)
	}
	target := req.ReturnURL
	if target == "" || req.Mode == ModePopup || c.returns.Check(target) != nil {
		target = c.url("/ui/result")
	}
	return returnurl.Append(target, out.parameters())
}

// parameters are what a return URL tells: never a token, a profile or a
// platform's text.
func (out Outcome) parameters() [][2]string {
	params := [][2]string{{"status", string(out.Status)}, {"platform", out.Platform}}
	switch out.Status {
	case OutcomeConnected:
		var ids []string
		for _, a := range out.Accounts {
			ids = append(ids, a.ID)
		}
		params = append(params, [2]string{"account_ids", strings.Join(ids, ",")})
		if len(ids) == 1 {
			params = append(params, [2]string{"account_id", ids[0]})
		}
	case OutcomePending:
		params = append(params, [2]string{"session", out.Session})
	case OutcomeContinue:
		params = append(params, [2]string{"ticket", out.Ticket})
	case OutcomeError:
		params = append(params, [2]string{"error", string(out.Error)})
	}
	return append(params, [2]string{"flow_id", out.FlowID})
}
