package storetest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed944197df/connect"
)

// What FuzzLists does with one cursor finds each flaw that a list may have.
func TestFuzzListsFindsFlaws(t *testing.T) {
	t.Parallel()
	type lister = func(ctx context.Context, tenant string, page connect.Page) ([]connect.Event, string, error)
	for name, tt := range map[string]struct {
		breaks func(sound lister) lister
		want   string
	}{
		"no flaw": {func(sound lister) lister { return sound }, ""},
		"always empty": {func(lister) lister {
			return func(context.Context, string, connect.Page) ([]connect.Event, string, error) { return nil, "", nil }
		}, "are []"},
		"no order": {func(sound lister) lister {
			return func(ctx context.Context, tenant string, page connect.Page) ([]connect.Event, string, error) {
				events, next, err := sound(ctx, tenant, page)
				slices.Reverse(events)
				return events, next, err
			}
		}, "want ["},
		"another tenant": {func(sound lister) lister {
			return func(ctx context.Context, _ string, page connect.Page) ([]connect.Event, string, error) {
				return sound(ctx, "tenant-2", page)
			}
		}, "event-1"},
		"no end": {func(sound lister) lister {
			return func(ctx context.Context, tenant string, page connect.Page) ([]connect.Event, string, error) {
				page.Cursor = ""
				events, _, err := sound(ctx, tenant, page)
				return events, "again", err
			}
		}, "does not end"},
		"no limit": {func(sound lister) lister {
			return func(ctx context.Context, tenant string, page connect.Page) ([]connect.Event, string, error) {
				page.Limit++
				return sound(ctx, tenant, page)
			}
		}, "of at most 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &clock{time: epoch}
			store, r := newFlawed(c.now), &recorder{TB: t}
			store.listEvents = tt.breaks(store.listEvents)
			var done sync.WaitGroup
			done.Go(func() {
				s := &state{store, r, c}
				s.byTurns()
				s.checkLists("", 2)
			})
			done.Wait()
			if said := strings.Join(r.said, "\n"); (tt.want == "") != (said == "") || !strings.Contains(said, tt.want) {
				t.Errorf("what it says is %q, want %q in it", said, tt.want)
			}
		})
	}
}
