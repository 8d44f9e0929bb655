package facebook

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

// The stages of a walk. Two are named as the lists of a business are.
const (
	stageAccounts   = "accounts"
	stageBusinesses = "businesses"
	stageOwned      = "owned_pages"
	stageClients    = "client_pages"
	stageTicked     = "ticked"
	stageEnd        = ""
)

var errCursor = errors.New("facebook: the cursor is not one of this provider")

// cursor says where a walk through all lists stands. Facebook's own cursors,
// which it holds, are no secrets.
type cursor struct {
	Stage    string         `json:"s"`
	After    string         `json:"a,omitempty"` // Facebook's cursor in the list of Pages
	Business businessCursor `json:"b,omitzero"`
	Ticked   int            `json:"t,omitempty"` // ticked Pages that have been read
	Found    bool           `json:"f,omitempty"` // there was a Page with its token
	Calls    int            `json:"n,omitempty"`
}

type businessCursor struct {
	ID    strictjson.ID `json:"i,omitempty"`
	After string        `json:"a,omitempty"` // Facebook's cursor in the list of businesses
}

// parseCursor reads what next wrote; empty is the beginning.
func parseCursor(text string) (cursor, error) {
	if text == "" {
		return cursor{Stage: stageAccounts}, nil
	}
	var c cursor
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(text) > maxCursor || strictjson.Decode(data, &c) != nil {
		return cursor{}, errCursor
	}
	inBusiness := c.Stage == stageOwned || c.Stage == stageClients
	switch {
	case inBusiness != c.Business.ID.Digits(), c.Ticked < 0, c.Calls < 0:
		return cursor{}, errCursor
	case !inBusiness && c.Stage != stageAccounts && c.Stage != stageBusinesses && c.Stage != stageTicked:
		return cursor{}, errCursor
	}
	return c, nil
}

// next returns the cursor as text, empty at the end. A walk that grows without
// end is cut, and so is one whose cursor would be too long.
func (c cursor) next() (string, error) {
	if c.Stage == stageEnd || c.Calls >= maxCalls {
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
