package pgstore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed944197df/connect/internal/pgtest"
)

// A flow that this release cannot read keeps no other from its end, and is held
// with them.
func TestFault26_AFlowThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ data, want string }{
		"newer":   {`{"v":2,"row":{}}`, "form 2"},
		"damaged": {`{"v":1,"row":[]}`, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.Database(t)
			ctx, store := t.Context(), open(t, dsn, nil)
			for n := range 16 {
				if err := create(ctx, store, n); err != nil {
					t.Fatal(err)
				}
			}
			exec(t, dsn, "UPDATE connect.flows SET data = '"+test.data+"' WHERE id = 'flow-3'")
			flows, err := store.ClaimOverdueFlows(ctx, 16, time.Hour)
			if err == nil || !strings.Contains(err.Error(), "flow-3:") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q of flow-3 in it", err, test.want)
			}
			if len(flows) != 15 {
				t.Errorf("%d flows, want the other 15", len(flows))
			}
			if flows, err := store.ClaimOverdueFlows(ctx, 16, time.Hour); len(flows) != 0 || err != nil {
				t.Errorf("%d flows, %v: want all of them held", len(flows), err)
			}
		})
	}
}
