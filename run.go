package connect

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	runEvery   = 5 * time.Second
	runBatch   = 64              // grants that are claimed at once
	runChunk   = 16              // of them, are marked as sent at once
	laneRoom   = 256             // grants of one platform that are under way at once
	flowBatch  = 16              // flows that are ended at once
	sweepLease = 2 * time.Minute // longer than it takes to end a batch of flows
)

// Run does what no request waits for: it refreshes what is due, repeats
// revocations, and ends flows that nobody finished. It returns ctx's error
// when ctx ends, after what it had begun: nothing new is claimed or sent then,
// and what was claimed and not sent is handed back. Every process may run it;
// where none does, accounts are refreshed when they are used.
//
// Platforms do not wait for each other. One that is down, or asks to be left
// alone, is asked again by one request in a while.
func (c *Connector) Run(ctx context.Context) error {
	var lanes sync.WaitGroup
	lanes.Go(func() { repeat(ctx, runEvery, c.endFlows) })
	for _, a := range c.order {
		l := c.newLane(a)
		lanes.Go(func() { l.run(ctx) })
	}
	lanes.Wait()
	return ctx.Err()
}

// repeat does rounds until ctx ends: at once where one says that there may be
// more to do.
func repeat(ctx context.Context, every time.Duration, round func(context.Context) bool) {
	for {
		wait := time.Duration(float64(every) * between(0.75, 1.25))
		if round(ctx) {
			wait = 0
		}
		if !sleep(ctx, wait) {
			return
		}
	}
}

// lane sees to what is due at one platform.
type lane struct {
	c     *Connector
	a     *adapter
	turn  string // the tenant whose turn it was last
	room  *room  // for what is under way, over all servers
	begun sync.WaitGroup
}

func (c *Connector) newLane(a *adapter) *lane {
	return &lane{c: c, a: a, room: newRoom(laneRoom)}
}

func (l *lane) run(ctx context.Context) {
	repeat(ctx, min(runEvery, l.a.leaseOf()), l.round)
	l.begun.Wait()
}

// round claims a batch and begins with all of it. It reports whether there may
// be more.
func (l *lane) round(ctx context.Context) bool {
	n, full := l.room.offer()
	if ctx.Err() != nil || n == 0 || l.a.gates.main.wait() > 0 {
		return false
	}
	trying := l.a.gates.main.isShut()
	if trying {
		n = 1
	}
	holds := l.claim(ctx, n, full)
	for chunk := range slices.Chunk(holds, runChunk) {
		l.begin(ctx, chunk)
	}
	return len(holds) == n && !trying
}

// claim does not end with ctx: a claim that was cut off would hold its grants
// until the lease runs out.
func (l *lane) claim(ctx context.Context, n int, except []string) []*hold {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.a.leaseOf())
	defer cancel()
	began, attempt := l.c.cfg.Now(), newID(l.c.cfg.Now())
	due, err := l.c.cfg.Store.ClaimDueGrants(ctx, DueClaim{Platform: l.a.Name, N: n, After: l.turn, Except: except, Attempt: attempt, Lease: l.a.leaseOf()})
	if err != nil {
		l.c.cfg.Logger.Warn("claiming grants failed", "platform", l.a.Name, "error", err)
		return nil
	}
	l.turn = due.After
	for _, g := range due.Grants {
		l.room.take(g.Tenant)
	}
	return l.c.newHolds(l.a, attempt, began, due.Grants)
}

// begin plans a chunk and begins with all of it. What is for the platform is
// marked together, and begins as soon as there is a slot. What is for a server
// of its own waits by itself, since such a server may hang.
func (l *lane) begin(ctx context.Context, chunk []*hold) {
	todo := make([]plan, len(chunk))
	var presenting []*hold
	for i, h := range chunk {
		if todo[i] = l.plan(h); todo[i].present != nil && !l.isOwn(h) {
			presenting = append(presenting, h)
		}
	}
	l.mark(ctx, presenting)
	for i, h := range chunk {
		leave, ok := func() {}, true
		if !l.isOwn(h) {
			leave, ok = l.enter(ctx, h)
		}
		l.begun.Go(func() {
			defer l.room.leave(h.Tenant)
			defer h.release()
			if l.isOwn(h) && todo[i].sends() {
				leave, ok = l.enterOwn(ctx, h)
			}
			defer leave()
			halted := !ok || h.gate.isShut() && !h.trying
			<-l.c.detach(refreshTimeout+settleBudget, func(ctx context.Context) { l.attend(ctx, h, todo[i], halted) })
		})
	}
}

// isOwn reports whether the grant is for a server of its own.
func (l *lane) isOwn(h *hold) bool { return h.gate != l.a.gates.main }

// plan puts off what is for a gate that is shut. Only what is to be sent passes
// it: nothing else may take the place of the one that tries.
func (l *lane) plan(h *hold) plan {
	todo := l.c.planRefresh(h)
	if !todo.sends() {
		return todo
	}
	wait, ok := h.gate.pass()
	switch {
	case ok:
		h.trying = h.gate.isShut()
		return todo
	case l.isOwn(h):
		return rest(h, at(h.now().Add(wait)), nil)
	default: // what is due stays due: nothing is claimed until then
		return rest(h, h.DueAt, nil)
	}
}

// mark marks holds of one claim as sent.
func (l *lane) mark(ctx context.Context, holds []*hold) {
	if err := l.c.markSent(context.WithoutCancel(ctx), holds); err != nil {
		l.c.cfg.Logger.Warn("grants could not be marked as sent", "platform", l.a.Name, "error", err)
	}
}

// enter takes a slot for one grant; ok tells whether it got one.
func (l *lane) enter(ctx context.Context, h *hold) (leave func(), ok bool) {
	if h.gate.enter(ctx) != nil {
		return func() {}, false
	}
	return h.gate.leave, true
}

// enterOwn waits no longer than a lease lasts: whoever needs the grant
// meanwhile waits for us.
func (l *lane) enterOwn(ctx context.Context, h *hold) (leave func(), ok bool) {
	ctx, cancel := context.WithTimeout(ctx, l.a.leaseOf())
	defer cancel()
	return l.enter(ctx, h)
}

// attend does what was planned, unless nothing more may be sent.
func (l *lane) attend(ctx context.Context, h *hold, todo plan, halted bool) {
	if l.isOwn(h) && todo.present != nil && !halted {
		l.mark(ctx, []*hold{h})
	}
	var err error
	switch {
	case !todo.sends():
		err = l.c.conclude(ctx, h, todo)
	case halted || todo.present != nil && !h.marked:
		if h.marked {
			h.unmark()
		}
		err = l.c.giveBack(ctx, h, h.back())
	case todo.revoke:
		l.c.revokeClaimed(ctx, h)
	default:
		err = l.c.present(ctx, h, todo.present)
	}
	if err != nil {
		l.c.cfg.Logger.Info("a refresh failed", "platform", h.Platform, "grant", h.ID, "error", err)
	}
}

// endFlows ends a batch of flows that nobody finished, and reports whether
// there may be more.
func (c *Connector) endFlows(ctx context.Context) bool {
	flows, err := c.cfg.Store.ClaimOverdueFlows(ctx, flowBatch, sweepLease)
	if err != nil && !isCanceled(err) {
		c.cfg.Logger.Warn("finding old flows failed", "error", err)
	}
	var ending sync.WaitGroup
	for _, flow := range flows {
		ending.Go(func() {
			<-c.detach(refreshWait, func(ctx context.Context) { c.expire(ctx, flow) })
		})
	}
	ending.Wait()
	return len(flows) == flowBatch
}
