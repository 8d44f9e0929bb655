package connect

import (
	"encoding/json"
	"time"

	"github.com/seed944197df/connect/selection"
)

// The types here are the JSON of the HTTP surface, field by field.

type accountJSON struct {
	ID                string            `json:"id"`
	Platform          string            `json:"platform"`
	Kind              string            `json:"kind"`
	PlatformAccountID string            `json:"platform_account_id"`
	Name              string            `json:"name"`
	Username          *string           `json:"username"`
	AvatarURL         *string           `json:"avatar_url"`
	Status            AccountStatus     `json:"status"`
	GrantedScopes     []string          `json:"granted_scopes"`
	GrantID           string            `json:"grant_id"`
	ParentAccountID   *string           `json:"parent_account_id"`
	Client            string            `json:"client"`
	Target            map[string]string `json:"target"`
	APIBaseURL        string            `json:"api_base_url"`
	TokenExpiresAt    *time.Time        `json:"token_expires_at"`
	AdAccountIDs      []string          `json:"ad_account_ids"`
	Metadata          json.RawMessage   `json:"metadata"`
	Label             *string           `json:"label"`
	ConnectedBy       *string           `json:"connected_by"`
	ConnectedAt       time.Time         `json:"connected_at"`
	UpdatedAt         time.Time         `json:"updated_at"`
}

// MarshalJSON writes the account as the HTTP surface does. It never holds a
// token.
func (account Account) MarshalJSON() ([]byte, error) {
	out := accountJSON{
		ID: account.ID, Platform: account.Platform, Kind: account.Kind, PlatformAccountID: account.PlatformID,
		Name: account.Name, Username: nullable(account.Username), AvatarURL: nullable(account.AvatarURL),
		Status: account.Status, GrantedScopes: orEmpty(account.Scopes), GrantID: account.GrantID,
		Client: account.Client, Target: account.Target, APIBaseURL: account.APIBaseURL,
		Metadata: account.Metadata, Label: nullable(account.Label),
		ConnectedBy: nullable(account.ConnectedBy), ConnectedAt: account.ConnectedAt, UpdatedAt: account.UpdatedAt,
	}
	if account.ParentID != "" {
		out.ParentAccountID = &account.ParentID
	}
	if account.TokenExpiry != nil && !account.TokenExpiry.IsZero() {
		out.TokenExpiresAt = account.TokenExpiry
	}
	if out.Target == nil {
		out.Target = map[string]string{}
	}
	if out.Metadata == nil {
		out.Metadata = json.RawMessage("{}")
	}
	return json.Marshal(out)
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// nullable is absent in JSON where Go has an empty string.
func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

type accountsJSON struct {
	Accounts   []Account `json:"accounts"`
	NextCursor *string   `json:"next_cursor"`
}

type outcomeJSON struct {
	Status    OutcomeStatus `json:"status"`
	FlowID    string        `json:"flow_id"`
	Platform  string        `json:"platform"`
	Accounts  []Account     `json:"accounts,omitempty"`
	Session   string        `json:"session,omitempty"`
	ExpiresAt *time.Time    `json:"expires_at,omitempty"`
	Error     Code          `json:"error,omitempty"`
}

// MarshalJSON writes the outcome as the HTTP surface does. A ticket is for the
// return URL alone and is left out.
func (out Outcome) MarshalJSON() ([]byte, error) {
	j := outcomeJSON{Status: out.Status, FlowID: out.FlowID, Platform: out.Platform, Accounts: out.Accounts, Session: out.Session, Error: out.Error}
	if out.Status == OutcomePending {
		j.ExpiresAt = &out.ExpiresAt
	}
	return json.Marshal(j)
}

type startedJSON struct {
	FlowID    string    `json:"flow_id"`
	URL       string    `json:"url"`
	State     string    `json:"state"`
	ExpiresAt time.Time `json:"expires_at"`
	SDK       *struct{} `json:"sdk"`
}

type flowJSON struct {
	FlowID   string     `json:"flow_id"`
	Platform string     `json:"platform"`
	Stage    FlowStatus `json:"stage"`
	Outcome  *Outcome   `json:"outcome"`
	Timeline []FlowStep `json:"timeline"`
}

type pendingJSON struct {
	Session    string          `json:"session"`
	FlowID     string          `json:"flow_id"`
	Platform   string          `json:"platform"`
	Kind       *string         `json:"kind"`
	ExpiresAt  time.Time       `json:"expires_at"`
	Multiple   bool            `json:"multiple"`
	Complete   bool            `json:"complete"`
	Candidates []candidateJSON `json:"candidates"`
	NextCursor *string         `json:"next_cursor"`
}

type candidateJSON struct {
	ID         string  `json:"id"`
	Kind       string  `json:"kind"`
	Name       string  `json:"name"`
	Username   *string `json:"username"`
	AvatarURL  *string `json:"avatar_url"`
	Parent     *string `json:"parent"`
	ParentName string  `json:"parent_name,omitempty"`
	Connected  bool    `json:"connected"`
	AccountID  *string `json:"account_id"`
	Selectable bool    `json:"selectable"`
	Reason     *string `json:"reason"`
}

func (view *PendingSession) wire() pendingJSON {
	return pendingJSON{
		Session: view.Session, FlowID: view.FlowID, Platform: view.Platform, Kind: nullable(view.Kind),
		ExpiresAt: view.ExpiresAt, Multiple: view.Multiple, Complete: view.Complete,
		Candidates: wireCandidates(view.Candidates), NextCursor: nullable(view.NextCursor),
	}
}

func wireCandidates(offered []OfferedCandidate) []candidateJSON {
	list := []candidateJSON{}
	for _, o := range offered {
		list = append(list, candidateJSON{
			ID: o.ID(), Kind: o.Kind, Name: o.Name, Username: nullable(o.Username), AvatarURL: nullable(o.AvatarURL), Parent: nullable(o.Parent), ParentName: o.ParentName,
			Connected: o.AccountID != "", AccountID: nullable(o.AccountID), Selectable: o.Selectable(), Reason: nullable(o.Reason),
		})
	}
	return list
}

type finalizedJSON struct {
	Accounts  []Account    `json:"accounts"`
	Failed    []failedJSON `json:"failed"`
	ReturnURL string       `json:"return_url"`
}

// failedJSON is a chosen candidate that could not be connected. No platform
// here needs a step of its own per account, so that all are connected or none.
type failedJSON struct {
	ID      string `json:"id"`
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

type disconnectedJSON struct {
	AccountID  string        `json:"account_id"`
	Status     AccountStatus `json:"status"`
	Revocation Revocation    `json:"revocation"`
}

type platformsJSON struct {
	Platforms []platformJSON `json:"platforms"`
}

type platformJSON struct {
	Platform    string       `json:"platform"`
	DisplayName string       `json:"display_name"`
	Methods     []methodJSON `json:"methods"`
	Kinds       []kindJSON   `json:"kinds"`
	APIVersion  *string      `json:"api_version"`
	Sunset      *time.Time   `json:"api_version_sunset"`
}

type methodJSON struct {
	ID             string      `json:"id"`
	Type           MethodType  `json:"type"`
	Fields         []fieldJSON `json:"fields"`
	DefaultScopes  []string    `json:"default_scopes"`
	RequiredScopes []string    `json:"required_scopes"`
}

type fieldJSON struct {
	Name     string `json:"name"`
	Label    string `json:"label"`
	Help     string `json:"help"`
	Secret   bool   `json:"secret"`
	Required bool   `json:"required"`
}

type kindJSON struct {
	Kind     string `json:"kind"`
	Multiple bool   `json:"multiple"`
}

// wire describes a platform without its client.
func (p Platform) wire() platformJSON {
	j := platformJSON{Platform: p.Name, DisplayName: p.DisplayName, APIVersion: nullable(p.Version.Name)}
	if !p.Version.Sunset.IsZero() {
		j.Sunset = &p.Version.Sunset
	}
	for _, m := range p.Methods {
		method := methodJSON{ID: m.ID, Type: m.Type, Fields: []fieldJSON{}, DefaultScopes: orEmpty(m.DefaultScopes), RequiredScopes: orEmpty(m.RequiredScopes)}
		for _, f := range m.Fields {
			method.Fields = append(method.Fields, fieldJSON(f))
		}
		j.Methods = append(j.Methods, method)
	}
	for _, k := range p.Kinds {
		j.Kinds = append(j.Kinds, kindJSON{Kind: k.Name, Multiple: k.Multiple})
	}
	return j
}

// startJSON is the body of a start.
type startJSON struct {
	User         string            `json:"user"`
	Method       string            `json:"method"`
	Input        map[string]string `json:"input"`
	Kind         string            `json:"kind"`
	Scopes       []string          `json:"scopes"`
	Client       string            `json:"client"`
	ReturnURL    string            `json:"return_url"`
	Mode         Mode              `json:"mode"`
	Select       selection.Rule    `json:"select"`
	AdAccountIDs json.RawMessage   `json:"ad_account_ids"`
	AccountID    string            `json:"account_id"`
	Metadata     json.RawMessage   `json:"metadata"`
	LoginHint    string            `json:"login_hint"`
}

func (j startJSON) request(platform string) (StartRequest, error) {
	if j.AdAccountIDs != nil {
		return StartRequest{}, noAds("start")
	}
	return StartRequest{
		Platform: platform, Method: j.Method, Client: j.Client, User: j.User, Input: j.Input, Kind: j.Kind,
		Scopes: j.Scopes, LoginHint: j.LoginHint, ReturnURL: j.ReturnURL, Mode: j.Mode, Select: j.Select,
		AccountID: j.AccountID, Metadata: j.Metadata,
	}, nil
}

func noAds(op string) *Error {
	return &Error{Code: CodeUnsupported, Op: op, Field: "ad_account_ids", Message: "Ad accounts cannot be connected here."}
}

type completeJSON struct {
	Ticket   string `json:"ticket"`
	Platform string `json:"platform"`
	Client   string `json:"client"`
	Query    string `json:"query"`
}

type finalizeJSON struct {
	SelectedIDs  []string        `json:"selected_ids"`
	ReturnURL    string          `json:"return_url"`
	AdAccountIDs json.RawMessage `json:"ad_account_ids"`
}
