package googlebusiness

import (
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/seed944197df/connect/internal/strictjson"
)

const (
	maxCalls  = 500  // of one walk through all lists
	maxCursor = 1024 // bytes
)

var errCursor = errors.New("googlebusiness: the cursor is not one of this provider")

// cursor says where a walk through all accounts and their locations stands.
// Google's own cursors, which it holds, are no secrets.
type cursor struct {
	Accounts  string  `json:"a,omitempty"` // Google's cursor of the page of accounts
	Index     int     `json:"i,omitempty"` // the next account on it
	Account   account `json:"n,omitzero"`  // whose locations come next
	Locations string  `json:"l,omitempty"` // Google's cursor in them
	Last      bool    `json:"e,omitempty"` // there is no account after it
	Calls     int     `json:"c,omitempty"`
}

// account is a business account on the way through its locations.
type account struct {
	ID   strictjson.ID `json:"i"`
	Name string        `json:"n"`
}

// parseCursor reads what next wrote; empty is the beginning.
func parseCursor(text string) (cursor, error) {
	if text == "" {
		return cursor{}, nil
	}
	var c cursor
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(text) > maxCursor || strictjson.Decode(data, &c) != nil {
		return cursor{}, errCursor
	}
	if c.Index < 0 || c.Calls < 0 || c.Account != (account{}) && !c.Account.ID.Digits() {
		return cursor{}, errCursor
	}
	return c, nil
}

// next returns the cursor as text. A walk that grows without end is cut, and so
// is one whose cursor would be too long.
func (c cursor) next() (string, error) {
	if c.Calls++; c.Calls >= maxCalls {
		return "", nil
	}
	data, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(data)
	if len(text) > maxCursor {
		return "", errCursor
	}
	return text, nil
}
