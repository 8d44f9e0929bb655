package connect

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed944197df/connect/selection"
)

// OfferedPage is a page of what an account could be pointed at.
type OfferedPage struct {
	Platform   string
	Kind       string // all are of the account's kind
	Complete   bool   // the platform has no more candidates
	Candidates []OfferedCandidate
	NextCursor string
}

// Candidates returns what the grant of an account could be pointed at: its
// candidates of the account's kind, those included that other accounts hold and
// that cannot be chosen. It asks the platform each time, for at most 10
// seconds. Its errors are those of AddMore.
func (c *Connector) Candidates(ctx context.Context, p Principal, accountID string, req PendingRequest) (*OfferedPage, error) {
	const op = "candidates"
	at, account, err := c.onGrant(ctx, op, p, ActionEdit, accountID)
	if err != nil {
		return nil, err
	}
	start, limit, err := candidatePage(op, req)
	if err != nil {
		return nil, err
	}
	at.request.Kind = account.Kind
	match := func() []selection.Candidate { return selection.Search(at.offered(), req.Query, req.Parent) }
	if err := c.listLent(ctx, at, moreList, func() bool { return len(match()) > start+limit }); err != nil {
		return nil, c.listFailed(at, err)
	}
	page := &OfferedPage{Platform: account.Platform, Kind: account.Kind, Complete: at.progress.Complete}
	page.Candidates, page.NextCursor, err = c.offer(ctx, at, match(), start, limit)
	return page, storeError(op, err)
}

// EditRequest changes an account. What is left out stays as it is.
type EditRequest struct {
	SelectedID string          // a candidate of the account's kind and grant: point the account at it
	Metadata   json.RawMessage // a JSON object of at most 2 KiB, instead of the stored one
	Label      *string         // what the host's people call it, at most 200 bytes; empty: nothing
}

const maxLabel = 200

// Edit changes an account and returns it as it is then. With SelectedID it
// becomes another Page or board of the same grant, without a new consent and
// under the same id, and an account whose own one was lost works again.
//
// A candidate that the platform does not offer, or that cannot be chosen, is
// [CodeNotOffered]; one that is another account of the tenant, disconnected or
// not, is [CodeConflict] and AccountID names it. A tombstone is
// [CodeDisconnected]. Otherwise its errors are those of AddMore.
func (c *Connector) Edit(ctx context.Context, p Principal, id string, req EditRequest) (*Account, error) {
	const op = "edit"
	account, err := c.permitted(ctx, op, p, ActionEdit, id)
	if err != nil {
		return nil, err
	}
	if err := checkEdit(op, req); err != nil {
		return nil, err
	}
	edited, err := c.edit(ctx, op, account, req)
	if errors.Is(err, ErrStale) || errors.Is(err, ErrConflict) { // another was faster: see what it left
		if account, err = c.readAccount(ctx, op, p.Tenant, id); err == nil {
			edited, err = c.edit(ctx, op, account, req)
		}
	}
	if err != nil {
		return nil, storeError(op, err)
	}
	c.newestExpiry(ctx, &edited)
	return &edited, nil
}

// checkEdit refuses what no account can have.
func checkEdit(op string, req EditRequest) error {
	switch {
	case req.SelectedID == "" && len(req.Metadata) == 0 && req.Label == nil:
		return invalid(op, "", "Nothing is to be changed: name selected_id, metadata or label.")
	case len(req.SelectedID) > maxShortText:
		return invalid(op, "selected_id", "Is longer than 512 bytes.")
	case req.Label != nil && len(*req.Label) > maxLabel:
		return invalid(op, "label", "Is longer than 200 bytes.")
	case req.Label != nil && (!utf8.ValidString(*req.Label) || strings.ContainsFunc(*req.Label, unicode.IsControl)):
		return invalid(op, "label", "Must be UTF-8 without control characters.")
	default:
		return checkMetadata(op, req.Metadata)
	}
}

// edit writes an account as it will be. It fails with [ErrStale] or
// [ErrConflict] where something changed underneath.
func (c *Connector) edit(ctx context.Context, op string, account Account, req EditRequest) (Account, error) {
	if account.Status == AccountDisconnected {
		return Account{}, unusable(op, account.Platform, account.Status)
	}
	next := account
	if req.SelectedID != "" {
		var err error
		if next, err = c.repoint(ctx, op, account, req.SelectedID); err != nil {
			return Account{}, err
		}
	}
	if len(req.Metadata) > 0 {
		next.Metadata = req.Metadata
	}
	if req.Label != nil {
		next.Label = *req.Label
	}
	next.Version = account.Version + 1
	next.UpdatedAt = c.now()
	event := c.event(EventAccountUpdated, next.Tenant, next.Platform, next.ID, map[string]string{"kind": next.Kind})
	return next, c.cfg.Store.WriteAccount(ctx, next, []Event{event})
}

// repoint is the account as another candidate of its grant.
func (c *Connector) repoint(ctx context.Context, op string, account Account, selectedID string) (Account, error) {
	at, err := c.borrow(ctx, op, account)
	if err != nil {
		return Account{}, err
	}
	at.request.Kind = account.Kind
	candidate, err := c.pick(ctx, at, selectedID)
	if err != nil {
		return Account{}, err
	}
	key := accountKey(account.Tenant, at.adapter, candidate.Candidate)
	if err := c.unheld(ctx, op, account, key); err != nil {
		return Account{}, err
	}
	next := filled(account, at, at.lent.grant, candidate, c.now())
	next.ClientID, next.PlatformID = key.ClientID, key.PlatformID
	next.ConnectedBy, next.ConnectedAt = account.ConnectedBy, account.ConnectedAt
	next.Generation++
	err = c.sealAccount(&next, candidate.Access)
	return next, err
}

// pick asks the platform for the candidate that was chosen.
func (c *Connector) pick(ctx context.Context, at *attempt, id string) (Candidate, error) {
	choose := func() ([]selection.Candidate, error) { return selection.Choose(at.offered(), []string{id}, nil) }
	found := func() bool { _, err := choose(); return err == nil }
	if err := c.listLent(ctx, at, moreList, found); err != nil {
		return Candidate{}, c.listFailed(at, err)
	}
	choice, err := choose()
	switch {
	case err == nil:
		return at.chosen(choice)[0], nil
	case !at.progress.Complete:
		return Candidate{}, c.platformFailed(at.op, at.adapter, &ProviderError{Class: ClassRetry, Code: "list_incomplete"})
	default:
		return Candidate{}, &Error{Code: CodeNotOffered, Op: at.op, Platform: at.adapter.Name, Field: "selected_id", AccountID: at.request.AccountID, Message: "The account's grant does not offer this, or it cannot be chosen."}
	}
}

// unheld refuses what is another account. A tombstone keeps its id for who
// connects the same again, so that it is not in the way of that only.
func (c *Connector) unheld(ctx context.Context, op string, account Account, key AccountKey) error {
	other, err := c.cfg.Store.ReadAccount(ctx, key)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && other.ID == account.ID:
		return nil
	case err != nil:
		return err
	}
	message := "This is another account already. Disconnect one of the two, or use the other one."
	if other.Status == AccountDisconnected {
		message = "This was another account, which is disconnected. Connect it again to get that one back."
	}
	return &Error{Code: CodeConflict, Op: op, Platform: account.Platform, Field: "selected_id", AccountID: other.ID, Message: message}
}
