package sqlitestore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed944197df/connect"
)

// A flow that this release cannot read keeps no other from its end, and is held
// with them.
func TestFault26_AFlowThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ data, want string }{
		"newer":   {`{"v":2,"row":{}}`, "form 2"},
		"damaged": {`{"v":1,"row":{"cli`, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, store := t.Context(), setup(t)
			for n := range 16 {
				at := time.Now().Add(time.Duration(n-100) * time.Hour)
				flow := connect.Flow{ID: fmt.Sprintf("flow-%02d", n), Tenant: "tenant", Status: connect.FlowStarted, CreatedAt: at, ExpiresAt: at}
				if err := store.CreateFlow(ctx, flow, connect.FlowCaps{}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := store.writer.ExecContext(ctx, "UPDATE flows SET data = ? WHERE id = 'flow-00'", test.data); err != nil {
				t.Fatal(err)
			}
			flows, err := store.ClaimOverdueFlows(ctx, 16, time.Hour)
			if err == nil || !strings.Contains(err.Error(), "flow-00") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q of flow-00 in it", err, test.want)
			}
			if len(flows) != 15 || flows[0].ID != "flow-01" || flows[14].ID != "flow-15" {
				t.Errorf("%d flows, want the other 15, the longest overdue first", len(flows))
			}
			if flows, err := store.ClaimOverdueFlows(ctx, 16, time.Hour); len(flows) != 0 || err != nil {
				t.Errorf("%d flows, %v: want all of them held", len(flows), err)
			}
		})
	}
}
