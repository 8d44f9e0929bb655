// Package storerow holds what the stores share of rows, beside a grant's claim
// (grantclaim): what is kept of them as JSON, and how they are named, listed
// and ordered.
package storerow

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/seed944197df/connect"
)

// form is the number of the present form of data columns. A change that an
// older release would misread takes the next number.
const form = 1

// sheet is a data column.
type sheet[T any] struct {
	Form int `json:"v"`
	Row  T   `json:"row"`
}

// Encode returns the data column for row: what no statement compares or changes
// alone.
func Encode[T any](row T) (string, error) {
	text, err := json.Marshal(sheet[T]{form, row})
	return string(text), err
}

// Decode is the reverse of [Encode].
func Decode[T any](text string) (T, error) {
	var s sheet[T]
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s.Row, errors.New("a row's data column is damaged; restore a backup")
	}
	if s.Form != form {
		return s.Row, fmt.Errorf("a row has the form %d, this release knows %d", s.Form, form)
	}
	return s.Row, nil
}

// Flow is the data column of flows.
type Flow struct {
	Client   string             `json:"client"`
	Binding  connect.Binding    `json:"binding"`
	KeyID    string             `json:"key_id"`
	Linked   bool               `json:"linked"`
	Request  []byte             `json:"request"`
	Progress []byte             `json:"progress"`
	Outcome  *outcome           `json:"outcome"`
	Timeline []connect.FlowStep `json:"timeline"`
}

type outcome struct {
	AccountIDs []string     `json:"account_ids"`
	Error      connect.Code `json:"error"`
	Chosen     []string     `json:"chosen"`
}

// FlowOf returns what is kept of f as data.
func FlowOf(f connect.Flow) Flow {
	return Flow{f.Client, f.Binding, f.KeyID, f.Linked, f.Request, f.Progress, (*outcome)(f.Outcome), f.Timeline}
}

// Fill is the reverse of [FlowOf].
func (d Flow) Fill(f *connect.Flow) {
	f.Client, f.Binding, f.KeyID, f.Linked = d.Client, d.Binding, d.KeyID, d.Linked
	f.Request, f.Progress, f.Timeline = d.Request, d.Progress, d.Timeline
	f.Outcome = (*connect.FlowOutcome)(d.Outcome)
}

// Account is the data column of accounts.
type Account struct {
	ParentID   string            `json:"parent_id"`
	Client     string            `json:"client"`
	Scopes     []string          `json:"scopes"`
	Missing    []string          `json:"missing"`
	Name       string            `json:"name"`
	Username   string            `json:"username"`
	AvatarURL  string            `json:"avatar_url"`
	Target     map[string]string `json:"target"`
	APIBaseURL string            `json:"api_base_url"`
	Label      string            `json:"label"`
	Metadata   []byte            `json:"metadata"`
}

// AccountOf returns what is kept of a as data.
func AccountOf(a connect.Account) Account {
	return Account{
		a.ParentID, a.Client, a.Scopes, a.Missing, a.Name, a.Username, a.AvatarURL, a.Target,
		a.APIBaseURL, a.Label, a.Metadata,
	}
}

// Fill is the reverse of [AccountOf].
func (d Account) Fill(a *connect.Account) {
	a.ParentID, a.Client, a.Scopes, a.Missing = d.ParentID, d.Client, d.Scopes, d.Missing
	a.Name, a.Username, a.AvatarURL = d.Name, d.Username, d.AvatarURL
	a.Target, a.APIBaseURL, a.Label, a.Metadata = d.Target, d.APIBaseURL, d.Label, d.Metadata
}

// Client is the data column of clients.
type Client struct {
	ClientID string   `json:"client_id"`
	Sealed   []byte   `json:"sealed"`
	Scopes   []string `json:"scopes"`
	Enabled  bool     `json:"enabled"`
}

// ClientOf returns what is kept of c as data.
func ClientOf(c connect.ClientRecord) Client {
	return Client{c.ClientID, c.Sealed, c.Scopes, c.Enabled}
}

// Fill is the reverse of [ClientOf].
func (d Client) Fill(c *connect.ClientRecord) {
	c.ClientID, c.Sealed, c.Scopes, c.Enabled = d.ClientID, d.Sealed, d.Scopes, d.Enabled
}

// Event is the data column of events.
type Event struct {
	Type     connect.EventType `json:"type"`
	Platform string            `json:"platform"`
	Data     []byte            `json:"data"`
}

// EventOf returns what is kept of e as data.
func EventOf(e connect.Event) Event { return Event{e.Type, e.Platform, e.Data} }

// Fill is the reverse of [EventOf].
func (d Event) Fill(e *connect.Event) { e.Type, e.Platform, e.Data = d.Type, d.Platform, d.Data }
