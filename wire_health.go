package connect

import "time"

type healthJSON struct {
	AccountID       string       `json:"account_id"`
	Platform        string       `json:"platform"`
	Health          HealthState  `json:"health"`
	TokenValid      bool         `json:"token_valid"`
	TokenExpiresAt  *time.Time   `json:"token_expires_at"`
	NeedsReconnect  bool         `json:"needs_reconnect"`
	GrantedScopes   []string     `json:"granted_scopes"`
	MissingScopes   []string     `json:"missing_scopes"`
	Reasons         []reasonJSON `json:"reasons"`
	Recommendations []string     `json:"recommendations"`
	NextBreakAt     *time.Time   `json:"next_break_at"`
	CheckedAt       time.Time    `json:"checked_at"`
}

type reasonJSON struct {
	Code   string `json:"code"`
	Who    string `json:"who"`
	Detail string `json:"detail"`
}

func (h *Health) wire() healthJSON {
	j := healthJSON{
		AccountID: h.AccountID, Platform: h.Platform, Health: h.State, TokenValid: h.TokenValid, NeedsReconnect: h.NeedsReconnect,
		GrantedScopes: orEmpty(h.GrantedScopes), MissingScopes: orEmpty(h.MissingScopes),
		Reasons: []reasonJSON{}, Recommendations: orEmpty(h.Recommendations), NextBreakAt: h.NextBreakAt, CheckedAt: h.CheckedAt,
	}
	if h.TokenExpiresAt != nil && !h.TokenExpiresAt.IsZero() {
		j.TokenExpiresAt = h.TokenExpiresAt
	}
	for _, r := range h.Reasons {
		j.Reasons = append(j.Reasons, reasonJSON(r))
	}
	return j
}
