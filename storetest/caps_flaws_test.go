package storetest

import (
	"context"

	"github.com/seed944197df/connect"
)

func capFlaws() []flaw {
	return []flaw{
		{
			"OpenPerUser counts the open flows of tenant and user", "a user's cap counts the whole tenant",
			func(s *flawed) {
				s.creating(func(_ *connect.Flow, caps *connect.FlowCaps) {
					caps.OpenPerUser, caps.OpenPerTenant = 0, max(caps.OpenPerUser, caps.OpenPerTenant)
				})
			},
		},
		{
			"OpenPerTenant counts the open flows of the tenant", "a tenant's cap counts each user alone",
			func(s *flawed) {
				s.creating(func(_ *connect.Flow, caps *connect.FlowCaps) {
					caps.OpenPerUser, caps.OpenPerTenant = max(caps.OpenPerUser, caps.OpenPerTenant), 0
				})
			},
		},
		{
			"Recent counts the flows within the window, open or not", "flows of all methods are counted together",
			func(s *flawed) {
				s.creating(func(f *connect.Flow, _ *connect.FlowCaps) { f.Method = newFlow(0).Method })
			},
		},
		{
			"an age is measured with the store's clock, not the caller's", "a flow's own time is taken for now",
			func(s *flawed) {
				s.creating(func(f *connect.Flow, caps *connect.FlowCaps) { caps.Window -= f.CreatedAt.Sub(s.now()) })
			},
		},
		{
			"zero means no bound", "a window without a bound has one",
			func(s *flawed) {
				s.creating(func(_ *connect.Flow, caps *connect.FlowCaps) {
					if caps.Window > 0 && caps.Recent == 0 {
						caps.Recent = 1
					}
				})
			},
		},
		{
			"the count and the write are one step", "open flows are counted, and then another is written",
			func(s *flawed) {
				s.createFlow = func(ctx context.Context, flow connect.Flow, caps connect.FlowCaps) error {
					if caps.OpenPerTenant > 0 { // what is no open flow meets the cap, but does not add to it
						count := connect.Flow{ID: "count for " + flow.ID, Tenant: flow.Tenant, Status: connect.FlowFailed}
						if err := s.sound.CreateFlow(ctx, count, caps); err != nil {
							return err
						}
						yield()
						caps.OpenPerTenant = 0
					}
					return s.sound.CreateFlow(ctx, flow, caps)
				}
			},
		},
	}
}
