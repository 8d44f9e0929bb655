package connect

import (
	"context"
	"time"
)

// Store keeps flows, accounts, grants, clients, subjects and events. Most
// users pass sqlitestore, pgstore or memstore to [New]; the
// interfaces here are for those who write a store, and package storetest holds
// each sentence of their contract as a test.
//
// Every method must be atomic, must be safe for concurrent use by many
// processes on the same data, and must have made its change durable when it
// returns nil. A write that returns an error of the transport may or may not
// have happened. No method may keep or change what it was passed, and what it
// returns belongs to the caller.
//
// A store never sees a secret: whatever is secret in a row arrives sealed.
// Leases and ages are measured with the store's own clock, never the caller's.
type Store interface {
	FlowStore
	AccountStore
	GrantStore
	SubjectStore
	ClientStore
	EventStore
	TenantStore
}

// FlowStore keeps flows.
type FlowStore interface {
	// CreateFlow stores a new flow. It must return [ErrTooMany], and store
	// nothing, where a cap is reached; the count and the write are one step. A
	// flow whose id or handle is taken is [ErrConflict], one of a tenant that
	// was ended is [ErrNotFound].
	CreateFlow(ctx context.Context, flow Flow, caps FlowCaps) error

	// ReadFlow returns the flow that key names, or [ErrNotFound].
	ReadFlow(ctx context.Context, key FlowKey) (Flow, error)

	// MoveFlow replaces the stored flow by next if the stored one has the
	// status from and the version next.Version, and returns it with the version
	// incremented. Otherwise it must change nothing and return the stored flow
	// and [ErrConflict]: of any number of concurrent moves from one version,
	// exactly one succeeds. A flow that the tenant does not have is
	// [ErrNotFound]; a handle that is another flow's is [ErrConflict].
	MoveFlow(ctx context.Context, from FlowStatus, next Flow) (Flow, error)

	// CommitFlow does what [Commit] says, all or nothing, and returns the flow
	// as stored. It must return the stored flow and [ErrConflict] as MoveFlow
	// does; [ErrBusy] where the subject of the grant, or of one that the
	// accounts join, is claimed; [ErrStale] where the grant or an account has
	// changed since it was read. In each of these cases nothing is changed. An
	// event whose id is taken is [ErrConflict] as well.
	CommitFlow(ctx context.Context, commit Commit) (Flow, error)

	// ClaimOverdueFlows returns at most n open flows whose ExpiresAt has passed,
	// the longest overdue first, for the caller to end with CommitFlow. It
	// changes nothing of them, but does not return one again before lease has
	// passed: a flow that nobody could end is returned again then. One that
	// cannot be read keeps nobody else's from their end: it is held like the
	// others, and told by an error beside them.
	ClaimOverdueFlows(ctx context.Context, n int, lease time.Duration) ([]Flow, error)

	// HastenFlows makes the open flows of a tenant overdue, those of one user
	// where user is set, and returns how many there are: ClaimOverdueFlows
	// returns them next. For a flow that was not overdue this is a move, so that
	// who has read it before cannot move it any more.
	HastenFlows(ctx context.Context, tenant, user string) (int, error)
}

// FlowStatus is where a flow is on its way.
//
//	started → claimed → [parked → claimed] → pending → connected | failed | expired | orphaned
type FlowStatus string

// The states of a flow. The last four are final.
const (
	FlowStarted   FlowStatus = "started"   // the browser is on its way to the platform
	FlowClaimed   FlowStatus = "claimed"   // one callback has it, and exchanges the code
	FlowParked    FlowStatus = "parked"    // back without a session: waits for Complete
	FlowPending   FlowStatus = "pending"   // waits for a selection
	FlowConnected FlowStatus = "connected" // done
	FlowFailed    FlowStatus = "failed"    // refused, denied or broken
	FlowExpired   FlowStatus = "expired"   // nobody came back in time
	FlowOrphaned  FlowStatus = "orphaned"  // a process died while it had the flow
)

// Open reports whether the flow may still move.
func (s FlowStatus) Open() bool {
	switch s {
	case FlowStarted, FlowClaimed, FlowParked, FlowPending:
		return true
	default:
		return false
	}
}

// Flow is one attempt to connect.
type Flow struct {
	ID       string
	Tenant   string
	User     string // who must come back; empty where nobody was named
	Platform string
	Client   string // name of the client
	Method   string
	Binding  Binding
	Status   FlowStatus
	Version  int64  // counts the moves; 1 when created
	KeyID    string // the key that this flow's handles are derived from

	// SHA-256 of the handles that name this flow to a browser or a host. Nil
	// until the handle exists; never two flows with the same.
	Link, Session, Ticket []byte

	Linked   bool         // the connect link has been used
	Request  []byte       // sealed: what Start was given, and the verifier
	Progress []byte       // sealed: what is known since; nil before the callback
	Outcome  *FlowOutcome // nil while open
	Timeline []FlowStep

	CreatedAt time.Time
	ExpiresAt time.Time
}

// FlowOutcome is how a flow ended. It holds nothing secret.
type FlowOutcome struct {
	AccountIDs []string
	Error      Code
	Chosen     []string // the ids of the choice that was finalized, sorted
}

// FlowStep is one line of a flow's history, for support.
type FlowStep struct {
	At     time.Time `json:"at"`
	Step   string    `json:"step"`   // start, link, callback, exchange, complete, list, connect, fail, expire
	Result string    `json:"result"` // "ok" or a code
}

// FlowKey names a flow. Exactly one of ID, Link, Session and Ticket is set.
//
// Tenant must be set for Session and Ticket and is compared; a store must
// return [ErrNotFound] where it is missing there. It is empty for Link, and
// for ID where a browser returns and only the row can say whose it is.
type FlowKey struct {
	Tenant                string
	ID                    string
	Link, Session, Ticket []byte // SHA-256 of the handle
}

// FlowCaps bounds what one principal can create. Zero means no bound.
type FlowCaps struct {
	OpenPerUser   int // open flows with the flow's tenant and user
	OpenPerTenant int // open flows with the flow's tenant

	// Recent bounds the flows that were created within Window with the flow's
	// tenant, user, platform and method, open or not.
	Recent int
	Window time.Duration
}

// Commit is the end of a flow, or the step to a selection: everything that
// becomes true at once.
type Commit struct {
	From FlowStatus
	Flow Flow // as it will be; Version as it was read

	// Grant is inserted, or replaces the stored one with the same key and so
	// takes it from whoever held its claim. Its Generation must be one more
	// than the stored one's, 1 where none is stored, and its ID the stored
	// one's; otherwise [ErrStale]. Nil where the commit brings no tokens.
	Grant *Grant

	// Accounts are inserted, or replace the stored ones with the same key, a
	// tombstone included. Version and ID are checked as Grant's Generation and
	// ID are. One whose grant is neither Grant nor stored, or is stored and
	// revoking or dead, is [ErrStale] as well.
	Accounts []Account

	Events []Event // Sequence is set by the store
}

// AccountStore keeps accounts.
type AccountStore interface {
	// ReadAccount returns the account that key names, a tombstone included, or
	// [ErrNotFound].
	ReadAccount(ctx context.Context, key AccountKey) (Account, error)

	// ListAccounts returns the tenant's accounts that match and the cursor of
	// the next page, empty on the last: newest ConnectedAt first, then the
	// larger ID. A malformed cursor is [ErrNotFound].
	ListAccounts(ctx context.Context, tenant string, filter AccountFilter, page Page) ([]Account, string, error)

	// WriteAccount replaces the stored account with the same tenant and ID if
	// its version is one less than account.Version; otherwise [ErrStale], or
	// [ErrNotFound]. A key that is another account's is [ErrConflict].
	WriteAccount(ctx context.Context, account Account, events []Event) error

	// ReleaseAccount makes the account a tombstone: status disconnected, its
	// own secret wiped, its events written. Where no live account is left on
	// its grant, and the grant still holds tokens, the grant becomes
	// [GrantRevoking], due at once and taken from whoever held it, in the same
	// step. Releasing a tombstone changes nothing and returns it; an account
	// that the tenant does not have is [ErrNotFound].
	ReleaseAccount(ctx context.Context, tenant, id string, events []Event) (Released, error)
}

// AccountKey names an account within its tenant: by ID, or by the other
// fields together.
type AccountKey struct {
	Tenant         string
	ID             string
	Platform, Kind string
	ClientID       string // the client at the platform where the kind is client-scoped, else empty
	PlatformID     string
}

// Account is a connected candidate. Its key is (tenant, platform, kind,
// client id where the kind is client-scoped, platform id).
type Account struct {
	ID         string
	Tenant     string
	Platform   string
	Kind       string
	ClientID   string // see AccountKey
	PlatformID string
	Version    int64 // counts the writes; 1 when created

	GrantID  string
	ParentID string // the account this one goes with; empty for most
	Client   string // name of the client of its grant
	Status   AccountStatus
	Scopes   []string // granted
	Missing  []string // scopes that the kind asks for and the grant lacks

	Name, Username, AvatarURL string
	Target                    map[string]string
	APIBaseURL                string
	OwnToken                  bool       // Client uses a token of the account's own, not its grant's
	TokenExpiry               *time.Time // of the token that Client uses; nil unknown, zero never
	Label                     string
	Metadata                  []byte // the host's JSON object; nil: none

	Sealed     []byte // its own token, or that it has none; nil once it is a tombstone
	Generation int64  // counts the writes of Sealed

	ConnectedBy string // the user; empty where an API key named none
	ConnectedAt time.Time
	UpdatedAt   time.Time
}

// Key returns the account's key: everything that tells it from another but its
// ID.
func (account Account) Key() AccountKey {
	return AccountKey{Tenant: account.Tenant, Platform: account.Platform, Kind: account.Kind, ClientID: account.ClientID, PlatformID: account.PlatformID}
}

// AccountStatus says whether an account works, and if not, who must act.
type AccountStatus string

// The statuses of an account. Client works with the first two only.
const (
	AccountActive         AccountStatus = "active"          // everything it was connected for
	AccountLimited        AccountStatus = "limited"         // works, but lacks scopes that its kind asks for: the user
	AccountTokenExpired   AccountStatus = "token_expired"   // could not be refreshed: the user
	AccountReauthRequired AccountStatus = "reauth_required" // the grant is dead: the user
	AccountTargetLost     AccountStatus = "target_lost"     // the grant lives, the Page or board is gone: the user
	AccountSuspended      AccountStatus = "suspended"       // the platform or the host's client is blocked: not the user
	AccountDisconnected   AccountStatus = "disconnected"    // a tombstone
)

// AccountFilter narrows a list of accounts; an empty field matches all.
// Tombstones are listed only where Status asks for them.
type AccountFilter struct {
	Platform, Kind, PlatformID, GrantID, ConnectedBy string
	Status                                           AccountStatus
}

// Page is a part of a list: at most Limit rows after Cursor, which is empty
// for the first page.
type Page struct {
	Limit  int
	Cursor string
}

// Released is what a release did.
type Released struct {
	Account Account
	Grant   Grant
	// Last reports that this release left no live account on the grant, so
	// that the grant is to be revoked.
	Last bool
}

// GrantStore keeps grants. A grant is refreshed and revoked by whoever holds
// its claim: an attempt id with a lease.
type GrantStore interface {
	// ReadGrant returns the grant that key names, or [ErrNotFound].
	ReadGrant(ctx context.Context, key GrantKey) (Grant, error)

	// ClaimGrant claims one grant, due or not. A grant may be claimed when it
	// is active, uncertain or revoking, or when its lease has run out;
	// otherwise the claim is [ErrConflict]. Of concurrent claims for one grant
	// exactly one succeeds. A grant that the tenant does not have is
	// [ErrNotFound].
	//
	// A claim that ran out hands its own Prior on, so that what may have been
	// sent, or is to be revoked, is not forgotten with the process that knew.
	ClaimGrant(ctx context.Context, key GrantKey, attempt string, lease time.Duration) (ClaimedGrant, error)

	// ClaimDueGrants claims, as ClaimGrant does, at most claim.N grants of a
	// platform that are due: DueAt has passed, or a lease has run out. No grant
	// goes out twice. Those that may have been sent come first, since a
	// platform may repeat an answer only for a while; then those due longest.
	//
	// Where more are due than that, half of N is for the tenants in turn, so
	// that nobody waits behind another's backlog: a grant each, the one due
	// longest, of the tenants after claim.After in ascending order and around.
	// The result says where the turn goes on. A store may end a turn early that
	// has passed a thousand tenants with nothing due. The tenants of claim.Except
	// are left alone, in the turn as well.
	ClaimDueGrants(ctx context.Context, claim DueClaim) (DueGrants, error)

	// RenewClaims gives the grants that the attempt still holds, with an
	// unexpired lease, a new lease. It leaves the others alone.
	RenewClaims(ctx context.Context, attempt string, grants []GrantKey, lease time.Duration) error

	// MarkSent records, durably and before the first byte leaves, that the
	// holder of attempt is about to present the refresh tokens of grants: it
	// increments Presented, and sets SentAt unless it is set. It returns those
	// that the attempt still holds, with an unexpired lease; the others must be
	// left alone.
	MarkSent(ctx context.Context, attempt string, grants []GrantKey) ([]GrantKey, error)

	// SettleGrant ends a claim. It must return [ErrStale] and change nothing
	// where the generation is no longer settlement.Generation or the attempt
	// does not hold the grant. Tokens are kept even so, whoever holds the
	// grant, where the generation is right and the grant not dead: what a
	// platform has issued exists nowhere else, and a late answer counts as long
	// as nothing newer was stored. Where the grant is to be revoked, by somebody
	// who has it or by whoever claims it next, a late answer replaces the tokens
	// alone: the grant is revoking, held by nobody and due as it was, so that
	// they are revoked. A grant that the tenant does not have is [ErrNotFound].
	SettleGrant(ctx context.Context, settlement Settlement) (Grant, error)
}

// GrantKey names a grant within its tenant: by ID, or by the other fields
// together.
type GrantKey struct {
	Tenant                      string
	ID                          string
	Platform, ClientID, Subject string
}

// GrantStatus is where a grant is in its life.
type GrantStatus string

// The states of a grant.
const (
	GrantActive    GrantStatus = "active"    // its tokens are the newest known
	GrantClaimed   GrantStatus = "claimed"   // one process has it; nothing was sent
	GrantSent      GrantStatus = "sent"      // its refresh token may have been presented
	GrantUncertain GrantStatus = "uncertain" // presented, and the answer is lost
	GrantRevoking  GrantStatus = "revoking"  // its last account left: to be revoked
	GrantDead      GrantStatus = "dead"      // over: revoked, refused, or expired
)

// Grant is what a resource owner gave to one client. Its key is (tenant,
// platform, client id, subject).
type Grant struct {
	ID       string
	Tenant   string
	Platform string
	Client   string // name of the client that minted it
	ClientID string // the client's id at the platform
	Subject  string // the resource owner's id at the platform
	Method   string

	// SubjectKey is a hash of platform family, client id and subject: the one
	// key without a tenant. See SubjectStore.
	SubjectKey string

	Status     GrantStatus
	Reason     Code   // why it is dead, why it rests, or what it owes its accounts; else empty
	Sealed     []byte // its tokens; nil once wiped
	Generation int64  // counts the writes of Sealed
	Scopes     []string

	AccessExpiry  *time.Time // nil unknown, zero never
	RefreshExpiry *time.Time
	DueAt         *time.Time // when Run should see to it; nil: never

	Attempt    string     // who holds it
	LeaseUntil time.Time  // by the store's clock
	SentAt     *time.Time // when its refresh token was first presented, by the store's clock; nil: it was not
	Presented  int        // how often it may have been, with no answer that we know

	Failures  int        // failed refreshes since the last that succeeded
	RefusedAt *time.Time // a first refusal, which waits for a second; else nil

	CreatedAt time.Time
	UpdatedAt time.Time
}

// Key returns the grant's key: everything that tells it from another but its
// ID.
func (g Grant) Key() GrantKey {
	return GrantKey{Tenant: g.Tenant, Platform: g.Platform, ClientID: g.ClientID, Subject: g.Subject}
}

// DueClaim asks for grants of a platform that are due.
type DueClaim struct {
	Platform string
	N        int
	After    string   // the tenant after which the turn goes on
	Except   []string // tenants whose grants are left alone
	Attempt  string
	Lease    time.Duration
}

// DueGrants is what a [DueClaim] got.
type DueGrants struct {
	Grants []ClaimedGrant
	After  string // for the next claim
}

// ClaimedGrant is a grant with the status that it had before the claim. A
// Prior of [GrantSent] or [GrantUncertain] means that its refresh token may
// have been presented already; of [GrantRevoking], that it is to be revoked.
type ClaimedGrant struct {
	Grant
	Prior GrantStatus
	Now   time.Time // the store's clock when it was claimed
}

// Settlement is the end of a claim.
type Settlement struct {
	Tenant, ID string
	Attempt    string
	Generation int64 // of the grant as it was claimed

	Status GrantStatus // active, uncertain, revoking or dead
	Reason Code        // becomes the grant's
	DueAt  *time.Time

	// Presented replaces the grant's for uncertain: the holder may know that
	// what MarkSent has counted was not sent after all. Where it is 0, and for
	// any other status, the grant is left with neither SentAt nor Presented.
	Presented int

	Failures  int
	RefusedAt *time.Time

	// Tokens replaces the stored tokens and increments the generation; nil
	// keeps both. Wipe removes the sealed tokens instead.
	Tokens *SealedTokens
	Wipe   bool

	// AccountStatus, where set, becomes the status of the grant's live accounts;
	// AccountTokenExpired only of those that have no token of their own, and
	// AccountSuspended only of those that are active or limited. For each account
	// whose status this changes, and for no other, a copy of each event is
	// written, with that account's id and the event id "ID.account id"; without
	// AccountStatus none is.
	AccountStatus AccountStatus
	Events        []Event
}

// SealedTokens are new tokens of a grant.
type SealedTokens struct {
	Sealed        []byte
	Scopes        []string
	AccessExpiry  *time.Time
	RefreshExpiry *time.Time
}

// SubjectStore counts who shares a subject, over all tenants. Some platforms
// revoke everything that a person gave to a client, so the last account out
// asks for the revocation, and a commit that meets one under way waits.
type SubjectStore interface {
	// ClaimSubject claims the subject for a revocation. It must return
	// [ErrConflict] where an account that is not a tombstone has a grant with
	// this key, in any tenant, and [ErrBusy] where another attempt holds an
	// unexpired claim. The count and the claim are one step, and a claim must
	// hold off CommitFlow for grants with this key until it is released or its
	// lease has run out.
	ClaimSubject(ctx context.Context, subjectKey, attempt string, lease time.Duration) error

	// ReleaseSubject ends a claim that the attempt holds; otherwise it does
	// nothing.
	ReleaseSubject(ctx context.Context, subjectKey, attempt string) error
}
