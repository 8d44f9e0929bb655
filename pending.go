package connect

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/seed944197df/connect/selection"
)

// PendingRequest narrows what a selection shows.
type PendingRequest struct {
	Query  string // in names, usernames and ids
	Parent string // a candidate's id: only what belongs to it
	Page   Page   // Limit defaults to 25 and is at most 100
}

// PendingSession is an open selection.
type PendingSession struct {
	Session    string
	FlowID     string
	Platform   string
	Kind       string // the only kind on offer, empty where there are several
	ExpiresAt  time.Time
	Multiple   bool // several may be chosen
	Complete   bool // the platform has no more candidates
	Candidates []OfferedCandidate
	NextCursor string
	ReturnURL  string // where the browser goes afterwards; empty: our result page
}

// OfferedCandidate is a candidate with what the tenant already has of it.
type OfferedCandidate struct {
	selection.Candidate

	AccountID string // the live account that it is connected as; empty if none
}

const (
	defaultLimit = 25
	maxLimit     = 100
	maxSearch    = 200
)

// Pending returns one page of an open selection and lists more of the platform
// where the page needs it, for at most 10 seconds. It consumes nothing. The
// session is found only by the user of its flow and by API keys of its tenant,
// else [CodeNotFound]; one that is over is [CodeExpired] or [CodeUsed].
func (c *Connector) Pending(ctx context.Context, p Principal, session string, req PendingRequest) (*PendingSession, error) {
	at, err := c.openSession(ctx, "pending", p, session)
	if err != nil {
		return nil, err
	}
	if err := c.authorize(ctx, p, at.action(ActionStart)); err != nil {
		return nil, err
	}
	if at.flow.Status != FlowPending || c.overdue(at.flow) {
		return nil, c.over("pending", at.flow)
	}
	start, limit, err := candidatePage("pending", req)
	if err != nil {
		return nil, err
	}
	match := func() []selection.Candidate { return selection.Search(at.offered(), req.Query, req.Parent) }
	if at, err = c.listMore(ctx, at, func() bool { return len(match()) > start+limit }); err != nil {
		return nil, err
	}
	view := at.session(session)
	view.Candidates, view.NextCursor, err = c.offer(ctx, at, match(), start, limit)
	return view, storeError("pending", err)
}

// offer is one page of what was found, with what the tenant already has of it,
// and the cursor of the next page.
func (c *Connector) offer(ctx context.Context, at *attempt, found []selection.Candidate, start, limit int) ([]OfferedCandidate, string, error) {
	var page []OfferedCandidate
	for _, candidate := range found[min(start, len(found)):min(start+limit, len(found))] {
		id, err := c.connectedAs(ctx, at, candidate)
		if err != nil {
			return nil, "", err
		}
		page = append(page, OfferedCandidate{candidate, id})
	}
	if len(found) > start+limit || !at.progress.Complete {
		return page, strconv.Itoa(start + len(page)), nil
	}
	return page, "", nil
}

func candidatePage(op string, req PendingRequest) (start, limit int, err error) {
	if len(req.Query) > maxSearch || len(req.Parent) > maxSearch {
		return 0, 0, invalid(op, "q", "Is longer than 200 bytes.")
	}
	if limit, err = pageLimit(op, req.Page.Limit); err != nil || req.Page.Cursor == "" {
		return 0, limit, err
	}
	start, err = strconv.Atoi(req.Page.Cursor)
	if err != nil || start < 0 || start > maxCandidates {
		return 0, 0, invalid(op, "cursor", "Is not a cursor of this list.")
	}
	return start, limit, nil
}

func pageLimit(op string, limit int) (int, error) {
	switch {
	case limit == 0:
		return defaultLimit, nil
	case limit < 0 || limit > maxLimit:
		return 0, invalid(op, "limit", "May be 1 to 100.")
	}
	return limit, nil
}

// session describes the selection without its candidates.
func (at *attempt) session(handle string) *PendingSession {
	view := &PendingSession{
		Session: handle, FlowID: at.flow.ID, Platform: at.flow.Platform,
		ExpiresAt: at.flow.ExpiresAt, Complete: at.progress.Complete, ReturnURL: at.request.ReturnURL,
	}
	kinds := map[string]bool{}
	for _, candidate := range at.offered() {
		kinds[candidate.Kind] = true
		view.Kind = candidate.Kind
		kind, _ := at.adapter.kind(candidate.Kind)
		view.Multiple = view.Multiple || kind.Multiple
	}
	if len(kinds) > 1 {
		view.Kind, view.Multiple = "", true
	}
	return view
}

// connectedAs returns the id of the live account of a candidate.
func (c *Connector) connectedAs(ctx context.Context, at *attempt, candidate selection.Candidate) (string, error) {
	account, err := c.cfg.Store.ReadAccount(ctx, accountKey(at.flow.Tenant, at.adapter, candidate))
	if errors.Is(err, ErrNotFound) || (err == nil && account.Status == AccountDisconnected) {
		return "", nil
	}
	return account.ID, err
}

// openSession finds a selection for who may see it.
func (c *Connector) openSession(ctx context.Context, op string, p Principal, session string) (*attempt, error) {
	if err := checkPrincipal(op, p); err != nil {
		return nil, err
	}
	if session == "" || len(session) > maxHandle {
		return nil, notFound(op, handleWords[purposeSession])
	}
	at, err := c.flowByHandle(ctx, op, purposeSession, session, FlowKey{Tenant: p.Tenant, Session: digest(session)})
	if err != nil {
		return nil, err
	}
	if !maySee(p, at.flow) {
		return nil, notFound(op, handleWords[purposeSession])
	}
	return at, nil
}

// maySee reports whether flows and sessions are open to p: to their user, and
// to API keys, which are principals without a user, of their tenant.
func maySee(p Principal, flow Flow) bool {
	if p.User == "" {
		return p.Tenant == flow.Tenant && !p.Ambient
	}
	return p.Tenant == flow.Tenant && p.User == flow.User
}

func (c *Connector) over(op string, flow Flow) *Error {
	if flow.Status == FlowConnected {
		return &Error{Code: CodeUsed, Op: op, Platform: flow.Platform, Message: "This selection was already finished."}
	}
	return &Error{Code: CodeExpired, Op: op, Platform: flow.Platform, Message: "This selection is over. Start again from the app."}
}

// listMore lists until there are enough and keeps what it found. Where two
// requests list at once, one keeps its find and the other reads it.
func (c *Connector) listMore(ctx context.Context, at *attempt, enough func() bool) (*attempt, error) {
	if at.progress.Complete || enough() {
		return at, nil
	}
	known := len(at.progress.Candidates)
	cursor := at.progress.Cursor
	list := c.list
	if at.request.GrantID != "" {
		list = c.listLent
	}
	if err := list(ctx, at, moreList, enough); err != nil {
		return nil, c.listFailed(at, err)
	}
	if len(at.progress.Candidates) == known && at.progress.Cursor == cursor {
		return at, nil
	}
	err := c.move(ctx, at, FlowPending, "list")
	if err != nil && !errors.Is(err, ErrConflict) {
		return nil, storeError("pending", err)
	}
	return at, nil
}

// FinalizeRequest is a choice.
type FinalizeRequest struct {
	SelectedIDs []string
	ReturnURL   string // instead of the flow's; checked alike
}

// Finalized is what a choice connected.
type Finalized struct {
	Accounts  []Account
	ReturnURL string // where the browser goes next, with the outcome's parameters
}

// Finalize connects what was chosen of an open selection: all of it, in one
// step, or nothing. The same call again gives the same answer; another choice
// afterwards is [CodeUsed]. An id that was not offered is [CodeNotOffered], and
// the selection stays open. Otherwise its errors are those of Pending and
// [CodeReturnURLRefused].
func (c *Connector) Finalize(ctx context.Context, p Principal, session string, req FinalizeRequest) (*Finalized, error) {
	at, err := c.openSession(ctx, "finalize", p, session)
	if err != nil {
		return nil, err
	}
	if err := c.stillAllowed(ctx, p, at, ActionFinalize); err != nil {
		return nil, err
	}
	if err := c.checkReturn("finalize", req.ReturnURL); err != nil {
		return nil, err
	}
	if req.ReturnURL != "" {
		at.request.ReturnURL = req.ReturnURL
	}
	choice := slices.Sorted(slices.Values(req.SelectedIDs))
	if at.flow.Status == FlowPending {
		err = c.finalize(ctx, at, req.SelectedIDs, choice)
		if errors.Is(err, ErrConflict) {
			err = c.reread(ctx, at)
		}
		if err != nil {
			return nil, err
		}
	}
	return c.finalized(ctx, at, choice)
}

// finalize commits a choice.
func (c *Connector) finalize(ctx context.Context, at *attempt, ids, sorted []string) error {
	if c.overdue(at.flow) {
		return c.over("finalize", at.flow)
	}
	if len(ids) > maxCandidates {
		return notOffered(at, "More was chosen than was offered.")
	}
	choice, err := selection.Choose(at.offered(), ids, at.adapter.multiple())
	if err != nil {
		refused, _ := errors.AsType[*selection.Error](err)
		return notOffered(at, "The choice is refused: "+refused.Problem+".")
	}
	chosen, err := c.confirm(ctx, at, choice)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	_, err = c.commit(ctx, at, chosen, sorted)
	switch {
	case err == nil:
		return c.reread(ctx, at)
	case errors.Is(err, ErrConflict):
		return err
	case errors.Is(err, ErrNotFound):
		return tenantEnded("finalize") // what the flow holds is given back when it expires
	default:
		return storeError("finalize", err)
	}
}

func notOffered(at *attempt, message string) *Error {
	return &Error{Code: CodeNotOffered, Op: "finalize", Platform: at.flow.Platform, Field: "selected_ids", Message: message}
}

// reread takes the flow as it is stored now.
func (c *Connector) reread(ctx context.Context, at *attempt) error {
	flow, err := c.cfg.Store.ReadFlow(ctx, FlowKey{Tenant: at.flow.Tenant, ID: at.flow.ID})
	if err != nil {
		return storeError("finalize", err)
	}
	at.flow = flow
	return nil
}

// finalized answers with what the flow connected, to the choice that did it.
func (c *Connector) finalized(ctx context.Context, at *attempt, choice []string) (*Finalized, error) {
	if at.flow.Status != FlowConnected || !slices.Equal(at.flow.Outcome.Chosen, choice) {
		return nil, c.over("finalize", at.flow)
	}
	out, err := c.outcome(ctx, at)
	if err != nil {
		return nil, err
	}
	return &Finalized{Accounts: out.Accounts, ReturnURL: out.ReturnURL}, nil
}
