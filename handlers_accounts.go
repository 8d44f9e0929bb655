package connect

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// EditHandler serves PATCH /accounts/{id} alone.
func (c *Connector) EditHandler() http.Handler {
	return c.answer(http.MethodPatch, func(w http.ResponseWriter, r *http.Request, p Principal) (int, any, error) {
		var body editJSON
		if err := readJSON(w, r, &body); err != nil {
			return 0, nil, err
		}
		req, err := body.request()
		if err != nil {
			return 0, nil, err
		}
		account, err := c.Edit(r.Context(), p, r.PathValue("id"), req)
		return http.StatusOK, account, err
	})
}

// CandidatesHandler serves GET /accounts/{id}/candidates.
func (c *Connector) CandidatesHandler() http.Handler {
	return c.answer(http.MethodGet, func(_ http.ResponseWriter, r *http.Request, p Principal) (int, any, error) {
		req, err := pendingRequestOf(r)
		if err != nil {
			return 0, nil, err
		}
		view, err := c.Candidates(r.Context(), p, r.PathValue("id"), req)
		if err != nil {
			return 0, nil, err
		}
		return http.StatusOK, offeredJSON{
			Platform: view.Platform, Kind: view.Kind, Complete: view.Complete,
			Candidates: wireCandidates(view.Candidates), NextCursor: nullable(view.NextCursor),
		}, nil
	})
}

// AddMoreHandler serves POST /accounts/{id}/sessions.
func (c *Connector) AddMoreHandler() http.Handler {
	return c.answer(http.MethodPost, func(w http.ResponseWriter, r *http.Request, p Principal) (int, any, error) {
		var body struct{}
		if err := readJSON(w, r, &body); err != nil {
			return 0, nil, err
		}
		out, err := c.AddMore(r.Context(), p, r.PathValue("id"))
		return http.StatusCreated, out, err
	})
}

// editJSON is the body of an edit. A label that is null is taken away.
type editJSON struct {
	SelectedID   *string         `json:"selected_id"`
	Metadata     json.RawMessage `json:"metadata"`
	Label        json.RawMessage `json:"label"`
	AdAccountIDs json.RawMessage `json:"ad_account_ids"`
}

func (j editJSON) request() (EditRequest, error) {
	req := EditRequest{Metadata: j.Metadata}
	if j.AdAccountIDs != nil {
		return req, noAds("edit")
	}
	if j.SelectedID != nil {
		if req.SelectedID = *j.SelectedID; req.SelectedID == "" {
			return req, invalid("edit", "selected_id", "Names no candidate.")
		}
	}
	if j.Label == nil {
		return req, nil
	}
	var label string
	if !bytes.Equal(j.Label, []byte("null")) && json.Unmarshal(j.Label, &label) != nil {
		return req, invalid("edit", "label", "Must be text or null.")
	}
	req.Label = &label
	return req, nil
}

// offeredJSON is the part of a pending session that shows candidates.
type offeredJSON struct {
	Platform   string          `json:"platform"`
	Kind       string          `json:"kind"`
	Multiple   bool            `json:"multiple"` // never: an account is one of them
	Complete   bool            `json:"complete"`
	Candidates []candidateJSON `json:"candidates"`
	NextCursor *string         `json:"next_cursor"`
}
