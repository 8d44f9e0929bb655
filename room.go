package connect

import "sync"

// room is what a lane has for grants that are under way. A tenant that has as
// much of it as is left gets no more.
//
// Security: a grant whose server is of a customer's choosing may be under way
// for long, and one whose answer was lost is claimed before others. So one
// tenant whose servers hang gets half of the room at most, two get a third
// each, and there is always as much left for whoever comes next.
type room struct {
	mu   sync.Mutex // guards what follows
	left int
	of   map[string]int // by tenant, what is under way
}

func newRoom(size int) *room { return &room{left: size, of: map[string]int{}} }

// offer returns how many grants there is room for now, half of what is left at
// most, and the tenants that get none.
func (r *room) offer() (n int, full []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for tenant, taken := range r.of {
		if taken >= r.left {
			full = append(full, tenant)
		}
	}
	return min(runBatch, (r.left+1)/2), full
}

func (r *room) take(tenant string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left--
	r.of[tenant]++
}

func (r *room) leave(tenant string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left++
	if r.of[tenant]--; r.of[tenant] == 0 {
		delete(r.of, tenant)
	}
}
