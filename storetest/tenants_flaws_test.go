package storetest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/seed944197df/connect"
)

// tenantFlaws compare tenants without case, as some databases do.
func tenantFlaws() []flaw {
	return []flaw{
		{
			"flows", "a flow's tenant is compared without case",
			func(s *flawed) {
				s.readFlow = func(ctx context.Context, key connect.FlowKey) (connect.Flow, error) {
					key.Tenant = strings.ToLower(key.Tenant)
					return s.sound.ReadFlow(ctx, key)
				}
			},
		},
		{
			"accounts", "an account's tenant is compared without case",
			func(s *flawed) {
				s.readAccount = func(ctx context.Context, key connect.AccountKey) (connect.Account, error) {
					key.Tenant = strings.ToLower(key.Tenant)
					return s.sound.ReadAccount(ctx, key)
				}
			},
		},
		{
			"grants", "a grant's tenant is compared without case",
			func(s *flawed) {
				s.settling(func(st *connect.Settlement) { st.Tenant = strings.ToLower(st.Tenant) })
				s.readGrant = func(ctx context.Context, key connect.GrantKey) (connect.Grant, error) {
					key.Tenant = strings.ToLower(key.Tenant)
					return s.sound.ReadGrant(ctx, key)
				}
			},
		},
		{
			"clients", "a client's tenant is compared without case",
			func(s *flawed) {
				s.readClient = func(ctx context.Context, tenant, platform, name string) (connect.ClientRecord, error) {
					return s.sound.ReadClient(ctx, strings.ToLower(tenant), platform, name)
				}
			},
		},
		{
			"events", "an event's tenant is compared without case",
			func(s *flawed) {
				s.listEvents = func(ctx context.Context, tenant string, page connect.Page) ([]connect.Event, string, error) {
					return s.sound.ListEvents(ctx, strings.ToLower(tenant), page)
				}
			},
		},
		{
			"events keep their order within a tenant", "an event waits for those of another tenant",
			func(s *flawed) {
				s.claimEvents = func(ctx context.Context, n int, attempt string, lease time.Duration) ([]connect.Event, error) {
					claimed, err := s.sound.ClaimEvents(ctx, n, attempt, lease)
					return slices.DeleteFunc(claimed, func(e connect.Event) bool { return first(s, e.AccountID, e.Tenant) != e.Tenant }), err
				}
			},
		},
	}
}
