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
	n := len(r.PlatformID) + len(r.Name) + len(r.Username) + len(r.AvatarURL) + len(r.Parent) + len(r.ParentName) + len(r.Reason) + len(r.Access) + 200
	for key, value := range r.Target {
		n += len(key) + len(value)
	}
	return n
}

// listed is about what the candidates take together.
func (at *attempt) listed() int {
	total := 0
	for _, r := range at.progress.Candidates {
		total += r.size()
	}
	return total
}

// full reports whether the flow holds as many candidates as it can.
func (at *attempt) full() bool {
	return len(at.progress.Candidates) >= maxCandidates || at.listed() >= maxListed
}

// list asks the platform for candidates until there are enough, no more, or
// the time is over. It fails only where it could learn nothing at all: a
// list that stopped half-way goes on with the next request.
func (c *Connector) list(ctx context.Context, at *attempt, limit time.Duration, enough func() bool) error {
	tokens := at.source()
	if tokens.Self != nil || at.adapter.lister == nil {
		return at.onlySelf()
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for pages := 0; !at.progress.Complete && !enough(); pages++ {
		page, err := at.adapter.lister.List(ctx, at.adapter.env, tokens, ListRequest{Cursor: at.progress.Cursor})
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
	known := make(map[string]int, len(at.progress.Candidates))
	for i, record := range at.progress.Candidates {
		known[record.ID()] = i
	}
	total := at.listed()
	for _, candidate := range found {
		if _, declared := at.adapter.kind(candidate.Kind); !declared || (at.request.Kind != "" && candidate.Kind != at.request.Kind) {
			continue
		}
		candidate.AccessExpiry = tamed(candidate.AccessExpiry)
		record := recordOfCandidate(candidate)
		if record.size() > maxCandidate || len(at.progress.Candidates) >= maxCandidates || total >= maxListed {
			continue
		}
		i, again := known[record.ID()]
		switch {
		case !again:
			known[record.ID()] = len(at.progress.Candidates)
			at.progress.Candidates = append(at.progress.Candidates, record)
			total += record.size()
		case !at.progress.Candidates[i].Selectable() && record.Selectable():
			total += record.size() - at.progress.Candidates[i].size()
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

// decide returns the candidates to connect without a question, nil where a
// person must choose.
func (c *Connector) decide(ctx context.Context, at *attempt) ([]Candidate, error) {
	if missing := without(at.tokens.Scopes, at.adapter.methodByID(at.flow.Method).RequiredScopes); len(missing) > 0 {
		return nil, &ProviderError{Class: ClassScopeMissing}
	}
	if at.request.AccountID != "" {
		return c.findAgain(ctx, at)
	}
	limit, enough := firstList, func() bool { return false }
	switch at.request.Rule {
	case selection.First:
		enough = func() bool { return slices.ContainsFunc(at.offered(), selection.Candidate.Selectable) }
	case selection.All:
		limit = moreList
	case selection.Ask:
	}
	if err := c.list(ctx, at, limit, enough); err != nil {
		return nil, err
	}
	if at.progress.Complete && len(at.progress.Candidates) == 0 {
		return nil, &Error{Code: CodeNothingToConnect, Op: at.op, Platform: at.flow.Platform, Message: at.adapter.Nothing}
	}
	choice, decided := selection.Decide(at.request.Rule, at.offered(), at.progress.Complete, at.adapter.multiple())
	if !decided {
		return nil, nil
	}
	return at.chosen(choice), nil
}

// findAgain returns the candidate of a reconnect. A person who is signed in at
// the platform as somebody else connects nothing.
func (c *Connector) findAgain(ctx context.Context, at *attempt) ([]Candidate, error) {
	account, err := c.readAccount(ctx, at.op, at.flow.Tenant, at.request.AccountID)
	if err != nil {
		return nil, err
	}
	want := selection.Candidate{Kind: account.Kind, PlatformID: account.PlatformID}.ID()
	found := func() bool {
		return slices.ContainsFunc(at.offered(), func(o selection.Candidate) bool { return o.ID() == want })
	}
	if err := c.list(ctx, at, moreList, found); err != nil {
		return nil, err
	}
	if !found() && !at.progress.Complete {
		return nil, &ProviderError{Class: ClassRetry, Code: "list_incomplete"}
	}
	choice, err := selection.Choose(at.offered(), []string{want}, nil)
	if err != nil {
		return nil, &Error{Code: CodeIdentityMismatch, Op: at.op, Platform: at.flow.Platform, AccountID: account.ID, Err: err}
	}
	return at.chosen(choice), nil
}

// without returns what of needed is not in have.
func without(have, needed []string) []string {
	var missing []string
	for _, s := range needed {
		if !slices.Contains(have, s) {
			missing = append(missing, s)
		}
	}
	return missing
}
