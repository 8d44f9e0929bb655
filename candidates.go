package connect

import (
	"context"
	"slices"
	"time"

	"github.com/seed944197df/connect/internal/outbound"
	"github.com/seed944197df/connect/selection"
)

const (
	firstList     = 3 * time.Second  // how long a callback lists before it asks
	moreList      = 10 * time.Second // how long one request for more lists
	maxCandidates = 2000
	maxCandidate  = 16 << 10  // bytes of one
	maxListed     = 512 << 10 // bytes of all candidates together: they are sealed in one value
)

// size is about what a candidate takes when it is sealed.
func (r candidateRecord) size() int {
	n := len(r.PlatformID) + len(r.Name) + len(r.Username) + len(r.AvatarURL) + len(r.Parent) + len(r.Reason) + len(r.Access) + 200
	for key, value := range r.Target {
		n += len(key) + len(value)
	}
	return n
}

// full reports whether the flow holds as many candidates as it can.
func (at *attempt) full() bool {
	total := 0
	for _, r := range at.progress.Candidates {
		total += r.size()
	}
	return len(at.progress.Candidates) >= maxCandidates || total >= maxListed
}

// list asks the platform for candidates until there are enough, no more, or
// the time is over. It fails only where it could learn nothing at all: a
// list that stopped half-way goes on with the next request.
func (c *Connector) list(ctx context.Context, at *attempt, limit time.Duration, enough func() bool) error {
	if at.tokens.Self != nil || at.adapter.lister == nil {
		return at.onlySelf()
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for pages := 0; !at.progress.Complete && !enough(); pages++ {
		page, err := at.adapter.lister.List(ctx, c.env(at.adapter), at.tokens, ListRequest{Cursor: at.progress.Cursor})
		switch {
		case err != nil && pages+len(at.progress.Candidates) == 0:
			return err
		case err != nil:
			c.cfg.Logger.Warn("listing candidates stopped", "platform", at.flow.Platform, "flow", at.flow.ID, "error", outbound.Redact(err))
			return nil
		}
		at.add(page.Candidates)
		at.progress.Cursor = page.Next
		at.progress.Complete = page.Next == "" || at.full()
	}
	return nil
}

// onlySelf offers the grant itself.
func (at *attempt) onlySelf() error {
	if at.tokens.Self == nil {
		return &ProviderError{Class: ClassRetry, Code: "no_candidates"}
	}
	if !at.progress.Complete {
		at.add([]Candidate{*at.tokens.Self})
		at.progress.Complete = true
	}
	return nil
}

// add merges candidates by id, keeping the copy that can be chosen: one Page
// may be found twice, once without a token. Kinds that the flow does not ask
// for, or that the provider never declared, are left out.
func (at *attempt) add(found []Candidate) {
	for _, candidate := range found {
		if _, declared := at.adapter.kind(candidate.Kind); !declared || (at.request.Kind != "" && candidate.Kind != at.request.Kind) {
			continue
		}
		candidate.AccessExpiry = tamed(candidate.AccessExpiry)
		record := recordOfCandidate(candidate)
		if record.size() > maxCandidate || at.full() {
			continue
		}
		i := slices.IndexFunc(at.progress.Candidates, func(r candidateRecord) bool { return r.ID() == record.ID() })
		switch {
		case i < 0:
			at.progress.Candidates = append(at.progress.Candidates, record)
		case !at.progress.Candidates[i].Selectable() && record.Selectable():
			at.progress.Candidates[i] = record
		}
	}
}

// offered is what selection may choose from.
func (at *attempt) offered() []selection.Candidate {
	offered := make([]selection.Candidate, len(at.progress.Candidates))
	for i, r := range at.progress.Candidates {
		offered[i] = r.Candidate
	}
	return offered
}

// chosen returns the candidates behind a choice, in its order.
func (at *attempt) chosen(choice []selection.Candidate) []Candidate {
	var chosen []Candidate
	for _, want := range choice {
		for _, record := range at.progress.Candidates {
			if record.ID() == want.ID() {
				chosen = append(chosen, record.candidate())
			}
		}
	}
	return chosen
}
