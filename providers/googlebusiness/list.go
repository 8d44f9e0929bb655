package googlebusiness

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/strictjson"
	"github.com/seed944197df/connect/providers/internal/google"
	"github.com/seed944197df/connect/selection"
)

const (
	accountsAtOnce  = "20" // the most that Google gives
	locationsAtOnce = "100"
	readMask        = "name,title,storeCode,storefrontAddress,metadata"
	maxName         = 100 // bytes of an account's name in a cursor

	reasonUnverified = "This location is not verified, or is not yours to manage. Verify it at business.google.com, then connect again."
)

// accounts is one page of the business accounts that a person manages.
type accounts struct {
	Accounts []struct {
		Name        string `json:"name"` // "accounts/1001"
		AccountName string `json:"accountName"`
	} `json:"accounts"`
	Next string `json:"nextPageToken"`
}

// locations is one page of an account's locations.
type locations struct {
	Locations []location `json:"locations"`
	Next      string     `json:"nextPageToken"`
}

// location is a place of business. Who serves customers at theirs has no
// address.
type location struct {
	Name      string `json:"name"` // "locations/9001"
	Title     string `json:"title"`
	StoreCode string `json:"storeCode"`
	Address   struct {
		Lines    []string `json:"addressLines"`
		Locality string   `json:"locality"`
	} `json:"storefrontAddress"`
	Metadata struct {
		HasVoice bool `json:"hasVoiceOfMerchant"` // left out where it is false
	} `json:"metadata"`
}

// List implements [connect.Lister]. Each call asks Google for one page: of the
// accounts, or of the locations of the next account. An account that may not
// be read is skipped. With a parent only its locations are listed.
//
// A location that is in several accounts comes with each of them.
func (p *Provider) List(ctx context.Context, env connect.Env, tokens *connect.Tokens, req connect.ListRequest) (connect.CandidatePage, error) {
	at, err := parseCursor(req.Cursor)
	if err != nil {
		return connect.CandidatePage{}, err
	}
	if req.Parent != "" && req.Cursor == "" {
		id := strictjson.ID(strings.TrimPrefix(req.Parent, "account:"))
		if !id.Digits() {
			return connect.CandidatePage{}, errCursor
		}
		at = cursor{Account: account{ID: id}, Last: true}
	}
	w := walk{env: env, tokens: tokens}
	if at.Account.ID == "" {
		return w.nextAccount(ctx, at)
	}
	return w.locations(ctx, at)
}

// walk is one call of List.
type walk struct {
	env    connect.Env
	tokens *connect.Tokens
}

// nextAccount finds the account whose locations come next.
func (w walk) nextAccount(ctx context.Context, at cursor) (connect.CandidatePage, error) {
	query := url.Values{"pageSize": {accountsAtOnce}}
	if at.Accounts != "" {
		query.Set("pageToken", at.Accounts)
	}
	var list accounts
	err := google.Get(ctx, w.env, w.tokens, "https://"+accountsHost+"/v1/accounts", query, &list)
	if at.Accounts != "" && invalidToken(err) {
		at.Accounts, at.Index = "", 0 // what comes twice is merged
		return page(nil, at)
	}
	if err != nil {
		return connect.CandidatePage{}, err
	}
	found := list.Accounts[min(at.Index, len(list.Accounts)):]
	for i, one := range found {
		id := idOf(one.Name, "accounts/")
		if id == "" {
			continue
		}
		at.Account = account{ID: id, Name: cut(one.AccountName)}
		at.Index += i + 1
		if at.Index == len(list.Accounts) {
			at.Accounts, at.Index, at.Last = list.Next, 0, list.Next == ""
		}
		return page(nil, at)
	}
	if list.Next == "" {
		return connect.CandidatePage{}, nil
	}
	at.Accounts, at.Index = list.Next, 0
	return page(nil, at)
}

// locations reads a page of the locations of an account.
func (w walk) locations(ctx context.Context, at cursor) (connect.CandidatePage, error) {
	query := url.Values{"readMask": {readMask}, "pageSize": {locationsAtOnce}, "orderBy": {"title"}}
	if at.Locations != "" {
		query.Set("pageToken", at.Locations)
	}
	var list locations
	address := "https://" + locationsHost + "/v1/accounts/" + string(at.Account.ID) + "/locations"
	err := google.Get(ctx, w.env, w.tokens, address, query, &list)
	switch {
	case at.Locations != "" && invalidToken(err):
		at.Locations = ""
		return page(nil, at)
	case err != nil && !lost(err):
		return connect.CandidatePage{}, err
	}
	var found []connect.Candidate
	for _, one := range list.Locations {
		if id := idOf(one.Name, "locations/"); id != "" {
			found = append(found, one.candidate(id, at.Account))
		}
	}
	at.Locations = list.Next
	switch {
	case at.Locations != "":
	case at.Last:
		return connect.CandidatePage{Candidates: found}, nil
	default:
		at.Account = account{}
	}
	return page(found, at)
}

// page is a page that is not the last.
func page(found []connect.Candidate, at cursor) (connect.CandidatePage, error) {
	next, err := at.next()
	if err != nil {
		return connect.CandidatePage{}, err
	}
	return connect.CandidatePage{Candidates: found, Next: next}, nil
}

// candidate returns the location as something to choose. Posting takes both
// names, so both go into the target, as the API spells them. The address is in
// the name, because the branches of a chain have one title.
func (l location) candidate(id strictjson.ID, of account) connect.Candidate {
	name := []string{l.Title}
	if len(l.Address.Lines) > 0 {
		name = append(name, l.Address.Lines[0])
	}
	if l.Address.Locality != "" {
		name = append(name, l.Address.Locality)
	}
	c := connect.Candidate{
		Candidate: selection.Candidate{
			Kind:       "location",
			PlatformID: string(id),
			Name:       strings.Join(name, ", "),
			Username:   l.StoreCode,
			Parent:     "account:" + string(of.ID),
			ParentName: of.Name,
		},
		Target: map[string]string{"account": "accounts/" + string(of.ID), "location": l.Name},
	}
	if !l.Metadata.HasVoice {
		c.Reason = reasonUnverified
	}
	return c
}

// idOf returns the number in a resource's name, and nothing for anything else.
//
// Security: it becomes a part of our URLs.
func idOf(name, prefix string) strictjson.ID {
	id, found := strings.CutPrefix(name, prefix)
	if !found || !strictjson.ID(id).Digits() {
		return ""
	}
	return strictjson.ID(id)
}

// invalidToken reports whether Google has forgotten its own cursor: everything
// else of the request is always the same.
func invalidToken(err error) bool {
	e, ok := errors.AsType[*connect.ProviderError](err)
	return ok && e.Status == http.StatusBadRequest && (e.Code == "INVALID_ARGUMENT" || e.Code == "invalidPageToken")
}

// lost reports whether Google refuses one account among many.
func lost(err error) bool {
	e, ok := errors.AsType[*connect.ProviderError](err)
	return ok && e.Class == connect.ClassTargetLost
}

// cut shortens a name for a cursor.
func cut(name string) string {
	if len(name) > maxName {
		return strings.ToValidUTF8(name[:maxName], "")
	}
	return name
}
