package storetest

import (
	"context"
	"errors"

	"github.com/seed944197df/connect"
)

func endedFlaws() []flaw {
	const nothing = "an ended tenant gets no flow, client, grant or account"
	committing := func(overlooked func(c connect.Commit) bool) func(s *flawed) {
		return func(s *flawed) {
			s.commitFlow = func(ctx context.Context, c connect.Commit) (connect.Flow, error) {
				flow, err := s.sound.CommitFlow(ctx, c)
				if errors.Is(err, connect.ErrNotFound) && s.has("ended", c.Flow.Tenant) && overlooked(c) {
					return c.Flow, nil
				}
				return flow, err
			}
			s.remembering()
		}
	}
	return []flaw{
		{
			nothing, "an ended tenant gets flows",
			func(s *flawed) {
				s.remembering()
				s.createFlow = func(ctx context.Context, flow connect.Flow, caps connect.FlowCaps) error {
					err := s.sound.CreateFlow(ctx, flow, caps)
					if _, known := s.sound.ReadClient(ctx, flow.Tenant, "facebook", "own"); known == nil && s.has("ended", flow.Tenant) {
						return nil
					}
					return err
				}
			},
		},
		{
			nothing, "an ended tenant gets clients",
			func(s *flawed) {
				s.remembering()
				s.putClient = func(ctx context.Context, client connect.ClientRecord) error {
					err := s.sound.PutClient(ctx, client)
					if s.has("ended", client.Tenant) && client.Version == 2 {
						return nil
					}
					return err
				}
			},
		},
		{nothing, "an ended tenant gets grants", committing(func(c connect.Commit) bool { return len(c.Accounts) == 0 })},
		{nothing, "an ended tenant gets accounts", committing(func(c connect.Commit) bool { return c.Grant == nil })},
		{
			"what an ended tenant has can be read, ended, claimed, settled and released", "what an ended tenant has cannot be settled",
			func(s *flawed) {
				s.remembering()
				s.settling(func(st *connect.Settlement) {
					if s.has("ended", st.Tenant) && st.Tokens != nil {
						st.ID = ""
					}
				})
			},
		},
		{
			"ending a tenant leaves the others alone", "tenants whose names begin so end as well",
			func(s *flawed) {
				s.endTenant = func(ctx context.Context, tenant string) error {
					if tenant == short {
						_ = s.sound.EndTenant(ctx, "abcd")
					}
					return s.sound.EndTenant(ctx, tenant)
				}
			},
		},
		{
			"ending a tenant revokes the grants that no account is on", "they are left as they are",
			func(s *flawed) {
				s.readGrant = func(ctx context.Context, key connect.GrantKey) (connect.Grant, error) {
					grant, err := s.sound.ReadGrant(ctx, key)
					if grant.ID == "grant-2" && grant.Status == connect.GrantRevoking {
						grant.Status = connect.GrantActive
					}
					return grant, err
				}
			},
		},
		{
			"ending a tenant again changes nothing", "a tenant ends once",
			func(s *flawed) {
				s.endTenant = func(ctx context.Context, tenant string) error {
					if s.has("ended", tenant) {
						return connect.ErrConflict
					}
					first(s, memory{"ended", tenant}, true)
					return s.sound.EndTenant(ctx, tenant)
				}
			},
		},
		{
			"whoever writes after EndTenant has returned fails", "who read that a tenant goes on may write",
			func(s *flawed) {
				s.remembering()
				remember := s.endTenant
				s.endTenant = func(ctx context.Context, tenant string) error {
					yield()
					return remember(ctx, tenant)
				}
				s.createFlow = func(ctx context.Context, flow connect.Flow, caps connect.FlowCaps) error {
					went := !s.has("ended", flow.Tenant)
					yield()
					yield() // the end comes between
					if went && s.has("ended", flow.Tenant) {
						flow.Tenant = "another " + flow.Tenant // under the same id
					}
					return s.sound.CreateFlow(ctx, flow, caps)
				}
			},
		},
	}
}

// memory is what a flaw remembers of a tenant.
type memory struct{ what, tenant string }

func (s *flawed) has(what, tenant string) bool {
	_, ok := s.known.Load(memory{what, tenant})
	return ok
}

// remembering notes which tenants were ended.
func (s *flawed) remembering() {
	s.endTenant = func(ctx context.Context, tenant string) error {
		err := s.sound.EndTenant(ctx, tenant)
		first(s, memory{"ended", tenant}, true)
		return err
	}
}

func eraseFlaws() []flaw {
	const nothing = "EraseTenant changes nothing: "
	overlooking := func(overlooked func(s *flawed, tenant string) bool) func(s *flawed) {
		return func(s *flawed) {
			s.remembering()
			s.eraseTenant = func(ctx context.Context, tenant string) (bool, error) {
				erased, err := s.sound.EraseTenant(ctx, tenant)
				return erased || overlooked(s, tenant), err
			}
		}
	}
	grant := func(status connect.GrantStatus) func(s *flawed, tenant string) bool {
		return func(s *flawed, tenant string) bool {
			return s.grant(connect.GrantKey{Tenant: tenant, ID: "grant-1"}).Status == status
		}
	}
	return []flaw{
		{
			"EraseTenant deletes every row of the tenant", "an erased tenant's clients are left",
			func(s *flawed) {
				s.eraseTenant = func(ctx context.Context, tenant string) (bool, error) {
					c, _ := s.sound.ReadClient(ctx, tenant, "facebook", "own")
					s.known.Store(memory{"client", tenant}, c)
					return s.sound.EraseTenant(ctx, tenant)
				}
				s.readClient = func(ctx context.Context, tenant, platform, name string) (connect.ClientRecord, error) {
					if kept, ok := s.known.Load(memory{"client", tenant}); ok {
						c, _ := kept.(connect.ClientRecord)
						return c, nil
					}
					return s.sound.ReadClient(ctx, tenant, platform, name)
				}
			},
		},
		{
			"EraseTenant leaves the other tenants alone", "the accounts of another tenant are released",
			func(s *flawed) {
				s.eraseTenant = func(ctx context.Context, tenant string) (bool, error) {
					_, _ = s.sound.ReleaseAccount(ctx, long, "account-1", nil)
					return s.sound.EraseTenant(ctx, tenant)
				}
			},
		},
		{
			"an erased tenant stays ended", "an erased tenant may come back",
			func(s *flawed) {
				s.eraseTenant = func(ctx context.Context, tenant string) (bool, error) {
					erased, err := s.sound.EraseTenant(ctx, tenant)
					if erased {
						first(s, memory{"erased", tenant}, true)
					}
					return erased, err
				}
				s.createFlow = func(ctx context.Context, flow connect.Flow, caps connect.FlowCaps) error {
					if s.has("erased", flow.Tenant) {
						return nil
					}
					return s.sound.CreateFlow(ctx, flow, caps)
				}
			},
		},
		{
			nothing + "the tenant was not ended", "a tenant is erased without being ended",
			overlooking(func(s *flawed, tenant string) bool { return !s.has("ended", tenant) }),
		},
		{
			nothing + "it has an open flow", "an open flow does not keep a tenant",
			overlooking(func(s *flawed, _ string) bool { return s.flow("flow-2").Status.Open() }),
		},
		{
			nothing + "it has a live account", "a live account does not keep a tenant",
			overlooking(func(s *flawed, tenant string) bool { return len(s.accounts(tenant, connect.AccountFilter{})) > 0 }),
		},
		{
			nothing + "it has a grant that is to be revoked", "a grant that is to be revoked does not keep a tenant",
			overlooking(grant(connect.GrantRevoking)),
		},
		{
			nothing + "it has a grant that is claimed for its revocation", "a grant that is being revoked does not keep a tenant",
			overlooking(grant(connect.GrantClaimed)),
		},
	}
}
