package connect

import (
	"context"
	"time"
)

// ClientStore keeps clients that are not in the host's configuration: a
// tenant's own, and those registered per server.
type ClientStore interface {
	// ReadClient returns a client, or [ErrNotFound].
	ReadClient(ctx context.Context, tenant, platform, name string) (ClientRecord, error)

	// PutClient stores a client with version 1 where none is stored, or
	// replaces the stored one if its version is one less; otherwise
	// [ErrStale]. Of concurrent first puts exactly one succeeds.
	PutClient(ctx context.Context, client ClientRecord) error
}

// ClientRecord is a stored client. Its key is (tenant, platform, name); the
// tenant is empty for one that all tenants share.
type ClientRecord struct {
	Tenant, Platform, Name string
	Version                int64
	ClientID               string
	Sealed                 []byte // its secret
	Scopes                 []string
	Enabled                bool
	CreatedAt, UpdatedAt   time.Time
}

// TenantStore ends tenants.
type TenantStore interface {
	// EndTenant marks a tenant as ended, for good. From then on CreateFlow,
	// PutClient, and CommitFlow with a grant or accounts must be [ErrNotFound]
	// for it, those that run meanwhile included; what there is can be read,
	// released, claimed and settled until it is erased. Grants with tokens that
	// no live account is on become [GrantRevoking] with it, as ReleaseAccount
	// leaves them. Repeating it changes nothing.
	EndTenant(ctx context.Context, tenant string) error

	// EraseTenant deletes every row of a tenant that was ended, but the mark
	// itself, and reports whether it did: it must change nothing where the
	// tenant was not ended, or still has an open flow, a live account, or a
	// grant that is to be revoked.
	EraseTenant(ctx context.Context, tenant string) (bool, error)
}
