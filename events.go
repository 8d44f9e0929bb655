package connect

import (
	"context"
	"encoding/json"
	"time"
)

// EventStore is the outbox: events are written with the change that they tell
// of, by the methods above, and delivered from here.
type EventStore interface {
	// ListEvents returns the tenant's events after cursor, in the order in which
	// they were written, and the cursor to go on from. A malformed cursor is
	// [ErrNotFound].
	ListEvents(ctx context.Context, tenant string, page Page) ([]Event, string, error)

	// ClaimEvents claims at most n undelivered events for delivery. It must not
	// return an event while an earlier one of the same account is undelivered
	// and not in the same answer, nor one that another attempt holds.
	ClaimEvents(ctx context.Context, n int, attempt string, lease time.Duration) ([]Event, error)

	// AckEvents records that the events, which the attempt holds, were
	// delivered. Others are ignored.
	AckEvents(ctx context.Context, attempt string, ids []string) error
}

// Event tells of one change. It never holds a token, a session or a link.
type Event struct {
	ID        string
	Type      EventType
	Tenant    string
	AccountID string // empty for events of a flow
	Platform  string
	Sequence  int64 // counts an account's events from 1; 0 where there is no account
	CreatedAt time.Time
	Data      []byte // a JSON object; nil: an empty one
}

// EventType names what happened.
type EventType string

// The event types.
const (
	EventAccountConnected      EventType = "account.connected"
	EventAccountUpdated        EventType = "account.updated"
	EventAccountDisconnected   EventType = "account.disconnected"
	EventAccountTokenExpired   EventType = "account.token_expired"
	EventAccountReauthRequired EventType = "account.reauth_required"
	EventAccountScopesChanged  EventType = "account.scopes_changed"
	EventFlowFailed            EventType = "flow.failed"
)

// event makes an event of now; the store writes it with the change it tells of.
func (c *Connector) event(kind EventType, tenant, platform, accountID string, data map[string]string) Event {
	now := c.now()
	var raw []byte
	if data != nil {
		raw, _ = json.Marshal(data) //nolint:errchkjson // a map of strings has no way to fail
	}
	return Event{ID: newID(now), Type: kind, Tenant: tenant, Platform: platform, AccountID: accountID, CreatedAt: now, Data: raw}
}

func statusData(status AccountStatus) map[string]string {
	return map[string]string{"status": string(status)}
}
