package memstore

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/seed944197df/connect"
)

// eventRow is an event with its delivery.
type eventRow struct {
	connect.Event
	attempt   string
	until     time.Time // of the lease
	delivered bool
	erased    bool // with its tenant; what is left is its place
}

// checkEvents returns [connect.ErrConflict] where an event's id is taken.
func (s *Store) checkEvents(events []connect.Event) error {
	seen := map[string]bool{}
	for _, e := range events {
		if s.eventIDs[e.ID] || seen[e.ID] {
			return connect.ErrConflict
		}
		seen[e.ID] = true
	}
	return nil
}

// putEvents appends events, and counts those of accounts.
func (s *Store) putEvents(events []connect.Event) {
	for _, e := range events {
		e = cloneEvent(e)
		e.Sequence = 0
		if e.AccountID != "" {
			key := rowKey{e.Tenant, e.AccountID}
			s.sequences[key]++
			e.Sequence = s.sequences[key]
		}
		s.eventIDs[e.ID] = true
		s.events = append(s.events, &eventRow{Event: e})
	}
}

// ListEvents implements [connect.EventStore]. The order is that of writing; a
// malformed cursor is [connect.ErrNotFound].
func (s *Store) ListEvents(ctx context.Context, tenant string, page connect.Page) ([]connect.Event, string, error) {
	cursor := page.Cursor
	if cursor == "" {
		cursor = "0"
	}
	position, err := strconv.ParseUint(cursor, 10, 63)
	if err != nil {
		return nil, "", connect.ErrNotFound
	}
	if err := s.enter(ctx); err != nil {
		return nil, "", err
	}
	defer s.mu.Unlock()
	var events []connect.Event
	for i := int(position); i < len(s.events) && len(events) < page.Limit; i++ {
		if row := s.events[i]; row.Tenant == tenant && !row.erased {
			events = append(events, cloneEvent(row.Event))
			cursor = strconv.Itoa(i + 1)
		}
	}
	return events, cursor, nil
}

// ClaimEvents implements [connect.EventStore]. The oldest come first, and what
// the attempt holds already comes again.
func (s *Store) ClaimEvents(ctx context.Context, n int, attempt string, lease time.Duration) ([]connect.Event, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	now := s.now()
	blocked := map[rowKey]bool{} // accounts with an event that another attempt holds
	var claimed []connect.Event
	for _, row := range s.events {
		if len(claimed) >= n {
			break
		}
		account := rowKey{row.Tenant, row.AccountID}
		if row.delivered || blocked[account] {
			continue
		}
		if row.attempt != attempt && !passed(row.until, now) {
			blocked[account] = row.AccountID != ""
			continue
		}
		row.attempt = attempt
		row.until = now.Add(lease)
		claimed = append(claimed, cloneEvent(row.Event))
	}
	return claimed, nil
}

// AckEvents implements [connect.EventStore]. An attempt whose lease has run out
// may still acknowledge what nobody has claimed since.
func (s *Store) AckEvents(ctx context.Context, attempt string, ids []string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, row := range s.events {
		if attempt != "" && row.attempt == attempt && slices.Contains(ids, row.ID) {
			row.delivered = true
		}
	}
	return nil
}
