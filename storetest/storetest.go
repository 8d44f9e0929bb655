// Package storetest holds the contract of [connect.Store] as tests. Who writes
// a store runs them in one line:
//
//	func TestStore(t *testing.T) { storetest.Run(t, open) }
//
// Each subtest carries the sentence that it checks as its name. The concurrent
// cases mean most under the race detector.
package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed944197df/connect"
)

// Run tests a store. For each subtest it calls open, which must return an
// empty store whose clock is now, and must close it with t.Cleanup. The
// subtests run in parallel.
//
// All times that Run stores are UTC and have whole microseconds, which is what
// a store must keep.
func Run(t *testing.T, open func(t *testing.T, now func() time.Time) connect.Store) {
	t.Helper()
	for _, group := range groups() {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					c := &clock{time: epoch}
					test.run(&state{open(t, c.now), t, c})
				})
			}
		})
	}
}

// group is a part of the contract.
type group struct {
	name  string
	tests []test
}

func groups() []group {
	return []group{
		{"flows", flowTests()},
		{"caps", capTests()},
		{"moves", moveTests()},
		{"commits", commitTests()},
		{"refused commits", refusedCommitTests()},
		{"accounts", accountTests()},
		{"lists", listTests()},
		{"releases", releaseTests()},
		{"claims", claimTests()},
		{"due claims", dueTests()},
		{"sent", sentTests()},
		{"settlements", settleTests()},
		{"late answers", lateTests()},
		{"subjects", subjectTests()},
		{"clients", clientTests()},
		{"events", eventTests()},
		{"tenants", tenantTests()},
		{"ended tenants", endedTests()},
		{"erased tenants", eraseTests()},
		{"copies", copyTests()},
	}
}

// test is one sentence of the contract.
type test struct {
	name string
	run  func(s *state)
}

// state is what one test works on.
type state struct {
	connect.Store
	testing.TB
	*clock
}

// epoch is when every test begins.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)

// clock is the store's clock; it stands still until it is moved.
type clock struct {
	mu   sync.Mutex // guards time
	time time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
}

// parallel is the number of callers in the concurrent tests.
const parallel = 50

// race calls f from many goroutines at once and returns what each got.
func race[T any](f func(i int) T) []T { return raceOf(parallel, f) }

// raceOf is race with n goroutines.
func raceOf[T any](n int, f func(i int) T) []T {
	results := make([]T, n)
	begin := make(chan struct{})
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() {
			<-begin
			results[i] = f(i)
		})
	}
	close(begin)
	done.Wait()
	return results
}

// raced is what one goroutine got.
type raced[T any] struct {
	value T
	err   error
}

// winner returns the one result without an error, and the others, which must
// all have the error want.
func winner[T any](s *state, results []raced[T], want error) (T, []T) {
	s.Helper()
	var won, lost []T
	for _, r := range results {
		if r.err == nil {
			won = append(won, r.value)
			continue
		}
		s.wantError(r.err, want)
		lost = append(lost, r.value)
	}
	if len(won) != 1 {
		s.Fatalf("%d of %d concurrent calls succeeded, want exactly 1", len(won), len(results))
	}
	return won[0], lost
}

// ok ends the test where a call failed that must not.
func (s *state) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatalf("unexpected error: %v", err)
	}
}

// must returns v, or ends the test.
func must[T any](s *state) func(v T, err error) T {
	return func(v T, err error) T {
		s.Helper()
		s.ok(err)
		return v
	}
}

func (s *state) wantError(err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Errorf("error is %v, want %v", err, want)
	}
}

// equal compares rows. Empty and nil are the same here; where nil has a
// meaning of its own, the test looks for it.
func (s *state) equal(what string, got, want any) {
	s.Helper()
	if reflect.DeepEqual(want, got) {
		return // as nearly always, and much faster
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// everything is all that can be read of a tenant.
type everything struct {
	Flows      []connect.Flow
	Grants     []connect.Grant
	Accounts   []connect.Account
	Tombstones []connect.Account
	Events     []connect.Event
}

// read returns everything of a tenant. It finds the flows and grants by the
// ids that the builders give them.
func (s *state) read(tenant string) everything {
	s.Helper()
	ctx := s.Context()
	var all everything
	for i := range 10 {
		f, err := s.ReadFlow(ctx, connect.FlowKey{Tenant: tenant, ID: fmt.Sprintf("flow-%d", i)})
		if err == nil {
			all.Flows = append(all.Flows, f)
		}
		g, err := s.ReadGrant(ctx, connect.GrantKey{Tenant: tenant, ID: fmt.Sprintf("grant-%d", i)})
		if err == nil {
			all.Grants = append(all.Grants, g)
		}
	}
	page := connect.Page{Limit: 1000}
	var err error
	all.Accounts, _, err = s.ListAccounts(ctx, tenant, connect.AccountFilter{}, page)
	s.ok(err)
	all.Tombstones, _, err = s.ListAccounts(ctx, tenant, connect.AccountFilter{Status: connect.AccountDisconnected}, page)
	s.ok(err)
	all.Events, _, err = s.ListEvents(ctx, tenant, page)
	s.ok(err)
	return all
}

// unchanged returns a function that fails the test where anything of the
// tenant is no longer as it was.
func (s *state) unchanged(tenant string) func() {
	s.Helper()
	before := s.read(tenant)
	return func() {
		s.Helper()
		s.equal("what should not have changed", s.read(tenant), before)
	}
}
