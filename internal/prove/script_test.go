package main

import (
	"time"

	"github.com/seed944197df/connect"
)

// script makes evidence by hand: what a platform of the class would record,
// and what workers and a store would that do as the test says.
type script struct {
	evidence

	now      time.Time
	families map[string]*family
	stored   map[string]*stored
	order    []string
}

// stored is what the store has of a grant.
type stored struct {
	tokens pair
	writes int64
	works  bool
	open   string
}

const scriptLife = time.Minute

func newScript(class string) *script {
	s := &script{evidence: evidence{Class: class}, now: time.Now(), families: map[string]*family{}, stored: map[string]*stored{}}
	s.connect("calm")
	s.refreshes(1, "calm")
	s.refreshes(1, "calm")
	// A kill before the request has left: the next process repeats nothing.
	s.connect("unlucky")
	s.marks(1, "unlucky")
	s.kill(1)
	s.passes(scriptLife)
	s.finds(2, "unlucky")
	s.finds(2, "unlucky") // a claim later
	s.refreshes(2, "unlucky")
	return s
}

func (s *script) passes(d time.Duration) { s.now = s.now.Add(d) }

func (s *script) tells(e event) {
	s.passes(time.Millisecond)
	e.At = s.now
	s.Truth = append(s.Truth, e)
}

func (s *script) notes(kind noteKind, worker int, grant string) {
	s.passes(time.Millisecond)
	s.Notes = append(s.Notes, note{At: s.now, Kind: kind, Grant: grant, Worker: worker, Generation: s.stored[grant].writes})
}

func (s *script) connect(grant string) {
	f := newFamily(grant, 0, rotationOf(s.Class), 0)
	tokens := f.connect(s.now, scriptLife)
	s.families[grant], s.stored[grant] = f, &stored{tokens, 1, true, ""}
	s.order = append(s.order, grant)
	s.tells(event{Kind: issued, Grant: grant, Generation: 1, Refresh: fingerprint(tokens.refresh), Access: fingerprint(tokens.access), Expiry: tokens.expiry})
}

func (s *script) marks(worker int, grant string) { s.notes(marked, worker, grant) }

func (s *script) finds(worker int, grant string) { s.notes(unsure, worker, grant) }

func (s *script) kill(worker int) {
	s.passes(time.Millisecond)
	s.Kills = append(s.Kills, kill{s.now, worker})
}

// presents sends what the store has, and returns the answer.
func (s *script) presents(worker int, grant string) pair {
	has := s.stored[grant].tokens
	s.tells(event{Kind: presented, Grant: grant, Worker: worker, Refresh: fingerprint(has.refresh), Access: fingerprint(has.access)})
	tokens, kind := s.families[grant].present(has.refresh, s.now, scriptLife)
	s.tells(event{
		Kind: kind, Grant: grant, Worker: worker, Generation: tokens.generation,
		Refresh: fingerprint(tokens.refresh), Access: fingerprint(tokens.access), Expiry: tokens.expiry,
	})
	return tokens
}

func (s *script) stores(grant string, tokens pair) {
	s.stored[grant].tokens = tokens
	s.stored[grant].writes++
}

// declares tells the user of the grant "hit" that it is lost.
func (s *script) declares() { s.stored["hit"].works = false }

// refreshes is a refresh as it should be.
func (s *script) refreshes(worker int, grant string) {
	s.marks(worker, grant)
	s.stores(grant, s.presents(worker, grant))
}

// swallows is a kill of worker 2 between the platform's commit and ours, which
// worker 3 comes upon at the grant "hit".
func (s *script) swallows() {
	s.marks(2, "hit")
	s.presents(2, "hit")
	s.kill(2)
	s.finds(3, "hit")
}

// ends returns the evidence as it stands.
func (s *script) ends() evidence {
	e := s.evidence
	e.Grants = len(s.order)
	for _, grant := range s.order {
		has := s.stored[grant]
		h := holding{Grant: grant, Generation: has.writes, Open: has.open, Works: has.works}
		if has.works {
			h.Refresh, h.Access = fingerprint(has.tokens.refresh), fingerprint(has.tokens.access)
		}
		e.Held = append(e.Held, h)
	}
	return e
}

var (
	grace20 = string(connect.RotationGrace)
	strict  = string(connect.RotationStrict)
	stable  = string(connect.RotationStable)
)
