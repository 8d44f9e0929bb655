package storerow

import (
	"cmp"
	"encoding/base64"
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/seed944197df/connect"
)

// FlowName returns the column that key names a flow by, and its value; an empty
// column where it names none: by nothing, by several, or by a handle that needs
// a tenant without one.
func FlowName(key connect.FlowKey) (column string, value any) {
	names := 0
	for _, n := range []struct {
		column      string
		given       bool
		value       any
		needsTenant bool
	}{
		{"id", key.ID != "", key.ID, false},
		{"link", len(key.Link) > 0, key.Link, false},
		{"session", len(key.Session) > 0, key.Session, true},
		{"ticket", len(key.Ticket) > 0, key.Ticket, true},
	} {
		if !n.given {
			continue
		}
		names++
		if key.Tenant != "" || !n.needsTenant {
			column, value = n.column, n.value
		}
	}
	if names != 1 {
		return "", nil
	}
	return column, value
}

// FlowOr returns the flow only where the caller is to see it: on success, and
// where another was faster.
func FlowOr(stored connect.Flow, err error) (connect.Flow, error) {
	if err != nil && !errors.Is(err, connect.ErrConflict) {
		return connect.Flow{}, err
	}
	return stored, err
}

// ByExpiry orders flows by their ends.
func ByExpiry(a, b connect.Flow) int {
	return cmp.Or(a.ExpiresAt.Compare(b.ExpiresAt), cmp.Compare(a.ID, b.ID))
}

// Position is the place of an account in a list, which begins with the newest.
type Position struct {
	Micros int64 // ConnectedAt
	ID     string
}

// PositionOf returns the place of a.
func PositionOf(a connect.Account) Position { return Position{a.ConnectedAt.UnixMicro(), a.ID} }

// Compare is negative where p is the older one.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Micros, q.Micros), cmp.Compare(p.ID, q.ID))
}

// Cursor returns the cursor of the page after p.
func (p Position) Cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.Micros, 10) + "." + p.ID))
}

// ParsePosition is the reverse of Cursor; the empty cursor is before all
// accounts.
func ParsePosition(cursor string) (p Position, ok bool) {
	if cursor == "" {
		return Position{Micros: math.MaxInt64}, true
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return Position{}, false
	}
	number, id, found := strings.Cut(string(text), ".")
	micros, err := strconv.ParseInt(number, 10, 64)
	return Position{micros, id}, found && err == nil
}

// PageOf cuts what was read of a page, one more than limit where there is a
// next one, and returns the cursor of that.
func PageOf(rows []connect.Account, limit int) (page []connect.Account, next string) {
	n := min(limit, len(rows))
	if 0 < n && n < len(rows) {
		next = PositionOf(rows[n-1]).Cursor()
	}
	return rows[:n], next
}

// EventRow is an event with its place in the order of writing.
type EventRow struct {
	connect.Event
	Position int64
}

// EventsOf returns the events of rows.
func EventsOf(rows []EventRow) []connect.Event {
	var events []connect.Event
	for _, row := range rows {
		events = append(events, row.Event)
	}
	return events
}
