package memstore

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/seed944197df/connect"
)

// CreateFlow implements [connect.FlowStore]. It returns [connect.ErrConflict]
// where the id or a handle is taken.
func (s *Store) CreateFlow(ctx context.Context, flow connect.Flow, caps connect.FlowCaps) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if _, ok := s.flows[flow.ID]; ok || s.handleTaken(flow) {
		return connect.ErrConflict
	}
	if s.capReached(flow, caps) {
		return connect.ErrTooMany
	}
	s.flows[flow.ID] = cloneFlow(flow)
	return nil
}

// capReached reports whether flow would be one too many.
func (s *Store) capReached(flow connect.Flow, caps connect.FlowCaps) bool {
	now := s.now()
	var openOfUser, openOfTenant, recent int
	for _, f := range s.flows {
		if f.Tenant != flow.Tenant {
			continue
		}
		sameUser := f.User == flow.User
		if f.Status.Open() {
			openOfTenant++
			if sameUser {
				openOfUser++
			}
		}
		if sameUser && f.Platform == flow.Platform && f.Method == flow.Method &&
			now.Sub(f.CreatedAt) < caps.Window {
			recent++
		}
	}
	reached := func(n, bound int) bool { return bound > 0 && n >= bound }
	return reached(openOfUser, caps.OpenPerUser) ||
		reached(openOfTenant, caps.OpenPerTenant) ||
		reached(recent, caps.Recent)
}

// handleTaken reports whether another flow has one of flow's handles.
func (s *Store) handleTaken(flow connect.Flow) bool {
	for id, f := range s.flows {
		if id != flow.ID && (same(f.Link, flow.Link) || same(f.Session, flow.Session) || same(f.Ticket, flow.Ticket)) {
			return true
		}
	}
	return false
}

// same reports whether a and b are one handle; an absent handle is like none.
func same(a, b []byte) bool { return len(a) > 0 && bytes.Equal(a, b) }

// ReadFlow implements [connect.FlowStore].
func (s *Store) ReadFlow(ctx context.Context, key connect.FlowKey) (connect.Flow, error) {
	if err := s.enter(ctx); err != nil {
		return connect.Flow{}, err
	}
	defer s.mu.Unlock()
	for _, f := range s.flows {
		if names(key) == 1 && flowMatches(f, key) {
			return cloneFlow(f), nil
		}
	}
	return connect.Flow{}, connect.ErrNotFound
}

// names counts the names that key gives; one is right.
func names(key connect.FlowKey) int {
	n := 0
	for _, length := range []int{len(key.ID), len(key.Link), len(key.Session), len(key.Ticket)} {
		if length > 0 {
			n++
		}
	}
	return n
}

// flowMatches reports whether key names f. The tenant is compared wherever it
// is given; a session or a ticket without one names nothing.
func flowMatches(f connect.Flow, key connect.FlowKey) bool {
	if key.Tenant != "" && key.Tenant != f.Tenant {
		return false
	}
	switch {
	case key.ID != "":
		return key.ID == f.ID
	case len(key.Link) > 0:
		return same(key.Link, f.Link)
	case key.Tenant == "":
		return false
	default:
		return same(key.Session, f.Session) || same(key.Ticket, f.Ticket)
	}
}

// MoveFlow implements [connect.FlowStore]. It returns [connect.ErrNotFound]
// where the tenant has no such flow.
func (s *Store) MoveFlow(ctx context.Context, from connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
	if err := s.enter(ctx); err != nil {
		return connect.Flow{}, err
	}
	defer s.mu.Unlock()
	if stored, err := s.movable(from, next); err != nil {
		return stored, err
	}
	return s.putFlow(next), nil
}

// movable returns the error, and the stored flow, that a move of next meets.
func (s *Store) movable(from connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
	stored, ok := s.flows[next.ID]
	if !ok || stored.Tenant != next.Tenant {
		return connect.Flow{}, connect.ErrNotFound
	}
	if stored.Status != from || stored.Version != next.Version || s.handleTaken(next) {
		return cloneFlow(stored), connect.ErrConflict
	}
	return connect.Flow{}, nil
}

// putFlow stores the next version of a flow and returns it.
func (s *Store) putFlow(flow connect.Flow) connect.Flow {
	flow.Version++
	s.flows[flow.ID] = cloneFlow(flow)
	return cloneFlow(flow)
}

// ExpireFlows implements [connect.FlowStore]. The longest expired come first.
func (s *Store) ExpireFlows(ctx context.Context, n int) ([]connect.Flow, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var over []connect.Flow
	for _, f := range s.overdue(s.now()) {
		if len(over) >= n {
			break
		}
		if f.Status == connect.FlowClaimed {
			f.Status = connect.FlowOrphaned
		} else {
			f.Status = connect.FlowExpired
		}
		over = append(over, s.putFlow(f))
	}
	return over, nil
}

// overdue returns the open flows whose time is over, the oldest first.
func (s *Store) overdue(now time.Time) []connect.Flow {
	var flows []connect.Flow
	for _, f := range s.flows {
		if f.Status.Open() && passed(f.ExpiresAt, now) {
			flows = append(flows, f)
		}
	}
	slices.SortFunc(flows, func(a, b connect.Flow) int {
		return cmp.Or(a.ExpiresAt.Compare(b.ExpiresAt), cmp.Compare(a.ID, b.ID))
	})
	return flows
}
