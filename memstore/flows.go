package memstore

import (
	"context"
	"slices"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/storerow"
)

// CreateFlow implements [connect.FlowStore]. It returns [connect.ErrConflict]
// where the id or a handle is taken.
func (s *Store) CreateFlow(ctx context.Context, flow connect.Flow, caps connect.FlowCaps) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if s.ended[flow.Tenant] {
		return connect.ErrNotFound
	}
	if _, ok := s.flows[flow.ID]; ok || s.handleTaken(flow) {
		return connect.ErrConflict
	}
	if s.capReached(flow, caps) {
		return connect.ErrTooMany
	}
	s.keepFlow(flow)
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

// handle is one of the hashes that name a flow.
type handle struct{ kind, hash string }

// The kinds of handle. All but the link are only good within their tenant.
const (
	link    = "link"
	session = "session"
	ticket  = "ticket"
)

// handles returns the handles that there are.
func handles(linkHash, sessionHash, ticketHash []byte) []handle {
	all := []handle{{link, string(linkHash)}, {session, string(sessionHash)}, {ticket, string(ticketHash)}}
	return slices.DeleteFunc(all, func(h handle) bool { return h.hash == "" })
}

func handlesOf(f connect.Flow) []handle { return handles(f.Link, f.Session, f.Ticket) }

// handleTaken reports whether another flow has one of flow's handles.
func (s *Store) handleTaken(flow connect.Flow) bool {
	return slices.ContainsFunc(handlesOf(flow), func(h handle) bool {
		id, ok := s.handles[h]
		return ok && id != flow.ID
	})
}

// keepFlow stores a flow, and its handles in place of the earlier ones.
func (s *Store) keepFlow(flow connect.Flow) {
	for _, h := range handlesOf(s.flows[flow.ID]) {
		delete(s.handles, h)
	}
	for _, h := range handlesOf(flow) {
		s.handles[h] = flow.ID
	}
	s.flows[flow.ID] = cloneFlow(flow)
}

// ReadFlow implements [connect.FlowStore].
func (s *Store) ReadFlow(ctx context.Context, key connect.FlowKey) (connect.Flow, error) {
	if err := s.enter(ctx); err != nil {
		return connect.Flow{}, err
	}
	defer s.mu.Unlock()
	f, ok := s.flows[s.flowID(key)]
	if !ok || key.Tenant != "" && key.Tenant != f.Tenant {
		return connect.Flow{}, connect.ErrNotFound
	}
	return cloneFlow(f), nil
}

// flowID returns the id of the flow that key names. It is empty where key gives
// no name, several, or one that needs a tenant without.
func (s *Store) flowID(key connect.FlowKey) string {
	named := handles(key.Link, key.Session, key.Ticket)
	switch {
	case len(named) == 0:
		return key.ID
	case len(named) > 1 || key.ID != "":
		return ""
	case named[0].kind != link && key.Tenant == "":
		return ""
	default:
		return s.handles[named[0]]
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

// movable returns the stored flow, and the error that a move to next meets.
func (s *Store) movable(from connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
	stored, ok := s.flows[next.ID]
	if !ok || stored.Tenant != next.Tenant {
		return connect.Flow{}, connect.ErrNotFound
	}
	if stored.Status != from || stored.Version != next.Version || s.handleTaken(next) {
		return cloneFlow(stored), connect.ErrConflict
	}
	return cloneFlow(stored), nil
}

// putFlow stores the next version of a flow and returns it.
func (s *Store) putFlow(flow connect.Flow) connect.Flow {
	flow.Version++
	s.keepFlow(flow)
	return cloneFlow(flow)
}

// ClaimOverdueFlows implements [connect.FlowStore].
func (s *Store) ClaimOverdueFlows(ctx context.Context, n int, lease time.Duration) ([]connect.Flow, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	now := s.now()
	var claimed []connect.Flow
	for _, f := range s.overdue(now) {
		if len(claimed) >= n {
			break
		}
		s.flowHeld[f.ID] = now.Add(lease)
		claimed = append(claimed, cloneFlow(f))
	}
	return claimed, nil
}

// overdue returns the open flows whose time is over and that nobody holds, the
// longest overdue first.
func (s *Store) overdue(now time.Time) []connect.Flow {
	var flows []connect.Flow
	for _, f := range s.flows {
		if f.Status.Open() && passed(f.ExpiresAt, now) && !s.flowHeld[f.ID].After(now) {
			flows = append(flows, f)
		}
	}
	slices.SortFunc(flows, storerow.ByExpiry)
	return flows
}

// HastenFlows implements [connect.FlowStore].
func (s *Store) HastenFlows(ctx context.Context, tenant, user string) (int, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	now, n := s.now(), 0
	for _, f := range s.flows {
		if f.Tenant != tenant || user != "" && f.User != user || !f.Status.Open() {
			continue
		}
		n++
		if f.ExpiresAt.After(now) {
			f.ExpiresAt = now
			s.putFlow(f)
		}
	}
	return n, nil
}
