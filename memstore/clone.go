package memstore

import (
	"maps"
	"slices"
	"time"

	"github.com/seed944197df/connect"
)

// The functions of this file copy a row with everything it points to, because
// rows are shared with no caller.

func cloneFlow(f connect.Flow) connect.Flow {
	f.Link = slices.Clone(f.Link)
	f.Session = slices.Clone(f.Session)
	f.Ticket = slices.Clone(f.Ticket)
	f.Request = slices.Clone(f.Request)
	f.Progress = slices.Clone(f.Progress)
	f.Timeline = slices.Clone(f.Timeline)
	if f.Outcome != nil {
		f.Outcome = &connect.FlowOutcome{
			AccountIDs: slices.Clone(f.Outcome.AccountIDs),
			Error:      f.Outcome.Error,
			Chosen:     slices.Clone(f.Outcome.Chosen),
		}
	}
	return f
}

func cloneAccount(a connect.Account) connect.Account {
	a.Scopes = slices.Clone(a.Scopes)
	a.Missing = slices.Clone(a.Missing)
	a.Target = maps.Clone(a.Target)
	a.TokenExpiry = cloneTime(a.TokenExpiry)
	a.Metadata = slices.Clone(a.Metadata)
	a.Sealed = slices.Clone(a.Sealed)
	return a
}

func cloneGrant(g connect.Grant) connect.Grant {
	g.Sealed = slices.Clone(g.Sealed)
	g.Scopes = slices.Clone(g.Scopes)
	g.AccessExpiry = cloneTime(g.AccessExpiry)
	g.RefreshExpiry = cloneTime(g.RefreshExpiry)
	g.DueAt = cloneTime(g.DueAt)
	g.SentAt = cloneTime(g.SentAt)
	g.RefusedAt = cloneTime(g.RefusedAt)
	return g
}

func cloneClient(c connect.ClientRecord) connect.ClientRecord {
	c.Sealed = slices.Clone(c.Sealed)
	c.Scopes = slices.Clone(c.Scopes)
	return c
}

func cloneEvent(e connect.Event) connect.Event {
	e.Data = slices.Clone(e.Data)
	return e
}

func cloneTime(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	c := *t
	return &c
}
