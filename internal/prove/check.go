package main

import (
	"slices"
	"time"
)

// evidence is everything that the checker goes by.
type evidence struct {
	Class  string
	Grants int
	Truth  []event   // of the platform
	Notes  []note    // of the workers' stores
	Kills  []kill    // by the parent
	Held   []holding // what the store holds in the end

	Unsettled int     // grants whose refresh was still open when the waiting ended
	Broken    []error // processes that have ended otherwise than by a kill or when asked to
}

// holding is what the store has of a grant.
type holding struct {
	Grant      string
	Generation int64  // how many pairs of tokens were stored
	Open       string // what a process has left it in that was to settle it; empty where none has
	Works      bool   // its account is active: nobody was told otherwise
	Refresh    string
	Access     string // both empty unless it works
}

// figures are what the evidence comes to.
type figures struct {
	Connected   int
	Refreshes   int // at which the platform has issued tokens
	Kills       int
	Presented   int
	Unsure      int            // refreshes that were found recorded as sent, with no answer
	Recovered   int            // of these, on grants that live
	Repeated    int            // answers that the platform gave once more
	Swallowed   int            // grants whose newest tokens the platform has issued and the store never got
	Lost        int            // grants that no longer work, or hold what the platform does not take
	Declared    int            // of these, accounts that say so
	Silent      int            // of these, accounts that do not
	Unexplained int            // grants that are lost and swallowed nothing, or the other way round
	Alarms      int            // spent tokens that the platform was shown
	Twice       int            // presentations of what a process that lives has presented
	Unrecorded  int            // presentations that no record precedes
	Destroyed   time.Duration  // what access tokens had left when an alarm ended them, in whole seconds of each
	Nearly      time.Duration  // the same with fractions
	LeftOpen    int            // grants that the processes left open which were asked to end, or never settled
	Open        map[string]int // the same by what they were left in
}

// check computes the figures. It knows nothing of the engine but that a store
// counts the pairs of tokens that it was given.
func check(e evidence) figures {
	c := newCase(e)
	f := figures{Kills: len(e.Kills)}
	for _, line := range e.Truth {
		switch {
		case line.Kind == issued && line.Worker == 0:
			f.Connected++
		case line.Kind == issued:
			f.Refreshes++
		case line.Kind == presented:
			f.Presented++
		case line.Kind == repeated:
			f.Repeated++
		case line.Kind == alarmed:
			f.Alarms++
		}
	}
	for _, h := range e.Held {
		c.count(h, &f)
	}
	f.Unsure, f.Recovered = c.unsure()
	f.Twice = c.twice()
	f.Unrecorded = c.unrecorded()
	return f
}

// grantCase is what the platform has recorded of a grant.
type grantCase struct {
	newest    event             // the last tokens that it has issued
	expiries  map[int]time.Time // of access tokens, by generation
	alarm     *event
	presented []event
	lost      bool
}

// wholeCase is the evidence by grant.
type wholeCase struct {
	evidence

	rotates bool
	grants  map[string]*grantCase
	killed  map[int]time.Time // when, by worker
}

func newCase(e evidence) *wholeCase {
	c := &wholeCase{evidence: e, rotates: e.Class != "stable", grants: map[string]*grantCase{}, killed: map[int]time.Time{}}
	for _, h := range e.Held {
		c.grants[h.Grant] = &grantCase{expiries: map[int]time.Time{}}
	}
	for _, line := range slices.SortedStableFunc(slices.Values(e.Truth), func(a, b event) int { return a.At.Compare(b.At) }) {
		if g := c.grants[line.Grant]; g != nil {
			g.add(line)
		}
	}
	for _, k := range e.Kills {
		c.killed[k.Worker] = k.At
	}
	return c
}

func (g *grantCase) add(line event) {
	switch line.Kind {
	case issued:
		g.newest = line
		g.expiries[line.Generation] = line.Expiry
	case alarmed:
		g.alarm = &line
	case presented:
		g.presented = append(g.presented, line)
	case repeated, refused:
	}
}

// count adds what became of a grant.
func (c *wholeCase) count(h holding, f *figures) {
	if h.Open != "" {
		if f.Open == nil {
			f.Open = map[string]int{}
		}
		f.Open[h.Open]++
		f.LeftOpen++
	}
	g := c.grants[h.Grant]
	swallowed := c.rotates && h.Generation < int64(g.newest.Generation)
	current := h.Refresh == g.newest.Refresh && (h.Access == g.newest.Access || !c.rotates)
	g.lost = !h.Works || !current || g.alarm != nil
	for _, counted := range []struct {
		is bool
		in *int
	}{
		{swallowed, &f.Swallowed},
		{g.lost, &f.Lost},
		{g.lost && !h.Works, &f.Declared},
		{g.lost && h.Works, &f.Silent},
		{g.lost != swallowed, &f.Unexplained},
	} {
		if counted.is {
			*counted.in++
		}
	}
	if g.alarm != nil {
		left := max(0, g.expiries[int(h.Generation)].Sub(g.alarm.At))
		f.Nearly += left
		f.Destroyed += left.Truncate(time.Second)
	}
}

// unsure counts the refreshes that were found with no answer, each once, and
// those of them whose grant lives all the same.
func (c *wholeCase) unsure() (found, recovered int) {
	type refresh struct {
		grant      string
		generation int64
	}
	counted := map[refresh]bool{}
	for _, n := range c.Notes {
		r := refresh{n.Grant, n.Generation}
		g := c.grants[n.Grant]
		if n.Kind != unsure || g == nil || counted[r] {
			continue
		}
		counted[r] = true
		found++
		if !g.lost {
			recovered++
		}
	}
	return found, recovered
}

// twice counts the presentations of tokens that were presented before by a
// process that was not killed since. A process is known to hold other tokens by
// its access token, too.
func (c *wholeCase) twice() int {
	type pair struct{ refresh, access string }
	count := 0
	for _, g := range c.grants {
		last := map[pair]event{}
		for _, p := range g.presented {
			tokens := pair{p.Refresh, p.Access}
			if before, again := last[tokens]; again && !c.diedIn(before, p) {
				count++
			}
			last[tokens] = p
		}
	}
	return count
}

// diedIn reports whether the process that made the first presentation was
// killed before the second one.
func (c *wholeCase) diedIn(first, second event) bool {
	at, killed := c.killed[first.Worker]
	return killed && at.Before(second.At)
}

// unrecorded counts the presentations for which their process had no record
// that they were about to be made: to each belongs one of its own.
func (c *wholeCase) unrecorded() int {
	type by struct {
		grant  string
		worker int
	}
	records := map[by][]time.Time{}
	for _, n := range c.Notes {
		if n.Kind == marked {
			records[by{n.Grant, n.Worker}] = append(records[by{n.Grant, n.Worker}], n.At)
		}
	}
	for _, times := range records {
		slices.SortFunc(times, time.Time.Compare)
	}
	count, used := 0, map[by]int{}
	for _, line := range c.Truth {
		if line.Kind != presented {
			continue
		}
		who := by{line.Grant, line.Worker}
		if times := records[who]; used[who] < len(times) && !times[used[who]].After(line.At) {
			used[who]++
			continue
		}
		count++
	}
	return count
}
