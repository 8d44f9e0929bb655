package facebook

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/strictjson"
	"github.com/seed944197df/connect/providers/internal/platformcall"
	"github.com/seed944197df/connect/selection"
)

const (
	pageFields = "id,name,username,tasks,access_token,picture.type(large){url}"

	// Why a Page cannot be chosen.
	reasonNotShared = "This Page was not shared with the app. Connect again and tick it on Facebook."
	reasonNoRight   = "You may not publish on this Page. Ask an administrator for the right to create content."
)

// page is a Page as Facebook lists it. Everything but the id may be missing.
type page struct {
	ID       strictjson.ID `json:"id"`
	Name     string        `json:"name"`
	Username string        `json:"username"`
	Tasks    []string      `json:"tasks"`
	Access   string        `json:"access_token"`
	Picture  struct {
		Data struct {
			URL string `json:"url"`
		} `json:"data"`
	} `json:"picture"`
}

// candidate returns the Page as something to choose. Its token never ends, for
// it was taken with a long-lived user token.
func (pg page) candidate() connect.Candidate {
	c := connect.Candidate{Candidate: selection.Candidate{
		Kind:       "page",
		PlatformID: string(pg.ID),
		Name:       pg.Name,
		Username:   pg.Username,
	}}
	if strings.HasPrefix(pg.Picture.Data.URL, "https://") {
		c.AvatarURL = pg.Picture.Data.URL
	}
	if platformcall.ValidToken(pg.Access) {
		c.Access = connect.NewSecret(pg.Access)
		c.AccessExpiry = new(time.Time)
	}
	switch {
	case c.Access.IsZero():
		c.Reason = reasonNotShared
	case !slices.ContainsFunc(pg.Tasks, publishes):
		c.Reason = reasonNoRight
	}
	return c
}

// publishes reports whether a task lets a person publish. Pages of a business
// name the same tasks with a prefix.
func publishes(task string) bool {
	switch strings.TrimPrefix(task, "PROFILE_PLUS_") {
	case "CREATE_CONTENT", "MANAGE", "FULL_CONTROL":
		return true
	default:
		return false
	}
}

// edge is one page of a list of the Graph API.
type edge[T any] struct {
	Data   []T `json:"data"`
	Paging struct {
		Cursors struct {
			After string `json:"after"`
		} `json:"cursors"`
		Next string `json:"next"`
	} `json:"paging"`
}

// after returns the cursor of the next page, empty on the last one.
//
// Security: paging.next itself is never followed. It holds the access token in
// clear, lacks the proof, and would let an answer choose where we call.
func (e edge[T]) after() string {
	if e.Paging.Next == "" {
		return ""
	}
	return e.Paging.Cursors.After
}

// fetch reads one page of a list.
func fetch[T any](ctx context.Context, p *Provider, env connect.Env, tokens *connect.Tokens, path string, query url.Values, after string) (edge[T], error) {
	if after != "" {
		query.Set("after", after)
	}
	var e edge[T]
	if err := p.call(ctx, env, tokens, path, query, &e); err != nil {
		return edge[T]{}, err
	}
	return e, nil
}

// List implements [connect.Lister]. Each call asks Facebook for one page of a
// list, in this order:
//
//  1. the person's Pages;
//  2. where business_management was granted, each business of the person: its
//     own Pages, then its clients'. A business that may not be read is skipped;
//  3. where no Page with its token was found, the Pages that were ticked in
//     the dialog, one by one: they can be read even where the lists are empty.
//
// The same Page may come twice, with and without its token. Pages without a
// token or without the right to publish come with a reason. Source:
// developers.facebook.com, "User Accounts", and field reports.
func (p *Provider) List(ctx context.Context, env connect.Env, tokens *connect.Tokens, req connect.ListRequest) (connect.CandidatePage, error) {
	at, err := parseCursor(req.Cursor)
	if err != nil {
		return connect.CandidatePage{}, err
	}
	w := walk{provider: p, env: env, tokens: tokens}
	var found []page
	switch at.Stage {
	case stageAccounts:
		found, at, err = w.accounts(ctx, at)
	case stageBusinesses:
		at, err = w.businesses(ctx, at)
	case stageOwned, stageClients:
		found, at, err = w.businessPages(ctx, at)
	case stageTicked:
		found, at, err = w.ticked(ctx, at)
	}
	if err != nil {
		return connect.CandidatePage{}, err
	}
	result := connect.CandidatePage{}
	for _, one := range found {
		if !one.ID.Digits() {
			continue
		}
		c := one.candidate()
		at.Found = at.Found || !c.Access.IsZero()
		result.Candidates = append(result.Candidates, c)
	}
	at.Calls++
	if at.Stage == stageTicked && at.Ticked == 0 && at.Found {
		at.Stage = stageEnd
	}
	result.Next, err = at.next()
	return result, err
}

// walk is one call of List.
type walk struct {
	provider *Provider
	env      connect.Env
	tokens   *connect.Tokens
}

func (w walk) pages(ctx context.Context, path, after string) (edge[page], error) {
	query := url.Values{"fields": {pageFields}, "limit": {"100"}}
	return fetch[page](ctx, w.provider, w.env, w.tokens, path, query, after)
}

func (w walk) accounts(ctx context.Context, at cursor) ([]page, cursor, error) {
	list, err := w.pages(ctx, "/me/accounts", at.After)
	at.After = list.after()
	switch {
	case at.After != "":
	case slices.Contains(w.tokens.Scopes, scopeBusiness):
		at.Stage = stageBusinesses
	default:
		at.Stage = stageTicked
	}
	return list.Data, at, err
}

// businesses finds the next business: one at a time, so that the cursor names
// it and no call takes long.
func (w walk) businesses(ctx context.Context, at cursor) (cursor, error) {
	type business struct {
		ID strictjson.ID `json:"id"`
	}
	query := url.Values{"fields": {"id,name"}, "limit": {"1"}}
	list, err := fetch[business](ctx, w.provider, w.env, w.tokens, "/me/businesses", query, at.Business.After)
	if err != nil {
		at.Stage = stageTicked
		return at, unlessRefused(err)
	}
	at.Business = businessCursor{After: list.after()}
	switch {
	case len(list.Data) > 0 && list.Data[0].ID.Digits():
		at.Stage, at.Business.ID = stageOwned, list.Data[0].ID
	case at.Business.After == "":
		at.Stage = stageTicked
	}
	return at, nil
}

func (w walk) businessPages(ctx context.Context, at cursor) ([]page, cursor, error) {
	list, err := w.pages(ctx, "/"+string(at.Business.ID)+"/"+at.Stage, at.After)
	at.After = list.after() // empty after an error
	switch {
	case at.After != "":
	case at.Stage == stageOwned:
		at.Stage = stageClients
	case at.Business.After != "":
		at.Stage, at.Business.ID = stageBusinesses, ""
	default:
		at.Stage, at.Business = stageTicked, businessCursor{}
	}
	return list.Data, at, unlessRefused(err)
}

// ticked reads some of the Pages that the person ticked.
func (w walk) ticked(ctx context.Context, at cursor) ([]page, cursor, error) {
	const perCall = 5
	ids, err := w.provider.tickedIDs(ctx, w.env, w.tokens)
	if unlessRefused(err) != nil {
		return nil, at, err
	}
	ids = ids[min(at.Ticked, len(ids)):]
	at.Ticked += perCall
	if len(ids) <= perCall {
		at.Stage = stageEnd
	}
	var found []page
	for _, id := range ids[:min(perCall, len(ids))] {
		var one page
		err := w.provider.call(ctx, w.env, w.tokens, "/"+string(id), url.Values{"fields": {pageFields}}, &one)
		switch {
		case err == nil:
			found = append(found, one)
		case unlessRefused(err) != nil:
			return nil, at, err
		}
	}
	return found, at, nil
}

// tickedIDs returns the ids of the Pages that the consent names.
func (p *Provider) tickedIDs(ctx context.Context, env connect.Env, tokens *connect.Tokens) ([]strictjson.ID, error) {
	seen, err := p.inspect(ctx, env, tokens)
	if err != nil {
		return nil, err
	}
	var ids []strictjson.ID
	for _, granular := range seen.Granular {
		if granular.Scope == scopeShowList {
			ids = append(ids, granular.Targets...)
		}
	}
	return slices.DeleteFunc(ids, func(id strictjson.ID) bool { return !id.Digits() }), nil
}

// unlessRefused returns nil for an error by which Facebook refuses, or fails
// at, one thing among many. It returns err where the token is dead, Facebook
// asks to wait or there was no answer: to go on would lose Pages silently.
func unlessRefused(err error) error {
	e, ok := errors.AsType[*connect.ProviderError](err)
	switch {
	case !ok, e.Status == 0, e.Status == http.StatusTooManyRequests, e.Class == connect.ClassReconnect:
		return err
	}
	if code, _ := split(e.Code); limited(code) {
		return err
	}
	return nil
}
