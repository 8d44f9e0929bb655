package storetest

import (
	"context"
	"sync"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
)

// flawed is a store whose methods can be replaced, one by one. Unless they are,
// it is as sound as memstore.
type flawed struct {
	sound *memstore.Store
	now   func() time.Time
	mu    sync.Mutex // makes several calls of a flaw one
	known sync.Map   // what a flaw remembers

	createFlow        func(context.Context, connect.Flow, connect.FlowCaps) error
	readFlow          func(context.Context, connect.FlowKey) (connect.Flow, error)
	moveFlow          func(context.Context, connect.FlowStatus, connect.Flow) (connect.Flow, error)
	commitFlow        func(context.Context, connect.Commit) (connect.Flow, error)
	claimOverdueFlows func(context.Context, int, time.Duration) ([]connect.Flow, error)
	hastenFlows       func(ctx context.Context, tenant, user string) (int, error)
	readAccount       func(context.Context, connect.AccountKey) (connect.Account, error)
	listAccounts      func(context.Context, string, connect.AccountFilter, connect.Page) ([]connect.Account, string, error)
	writeAccount      func(context.Context, connect.Account, []connect.Event) error
	releaseAccount    func(ctx context.Context, tenant, id string, events []connect.Event) (connect.Released, error)
	readGrant         func(context.Context, connect.GrantKey) (connect.Grant, error)
	claimGrant        func(ctx context.Context, key connect.GrantKey, attempt string, lease time.Duration) (connect.ClaimedGrant, error)
	claimDueGrants    func(context.Context, connect.DueClaim) (connect.DueGrants, error)
	renewClaims       func(context.Context, string, []connect.GrantKey, time.Duration) error
	markSent          func(context.Context, string, []connect.GrantKey) ([]connect.GrantKey, error)
	settleGrant       func(context.Context, connect.Settlement) (connect.Grant, error)
	claimSubject      func(ctx context.Context, subjectKey, attempt string, lease time.Duration) error
	releaseSubject    func(ctx context.Context, subjectKey, attempt string) error
	readClient        func(ctx context.Context, tenant, platform, name string) (connect.ClientRecord, error)
	putClient         func(context.Context, connect.ClientRecord) error
	listEvents        func(context.Context, string, connect.Page) ([]connect.Event, string, error)
	claimEvents       func(context.Context, int, string, time.Duration) ([]connect.Event, error)
	ackEvents         func(context.Context, string, []string) error
	endTenant         func(context.Context, string) error
	eraseTenant       func(context.Context, string) (bool, error)
}

var _ connect.Store = (*flawed)(nil)

// newFlawed returns a store without a flaw.
func newFlawed(now func() time.Time) *flawed {
	sound := memstore.New(&memstore.Options{Now: now})
	return &flawed{
		sound: sound, now: now,
		createFlow: sound.CreateFlow, readFlow: sound.ReadFlow, moveFlow: sound.MoveFlow, commitFlow: sound.CommitFlow,
		claimOverdueFlows: sound.ClaimOverdueFlows, hastenFlows: sound.HastenFlows,
		readAccount: sound.ReadAccount, listAccounts: sound.ListAccounts, writeAccount: sound.WriteAccount, releaseAccount: sound.ReleaseAccount,
		readGrant: sound.ReadGrant, claimGrant: sound.ClaimGrant, claimDueGrants: sound.ClaimDueGrants,
		renewClaims: sound.RenewClaims, markSent: sound.MarkSent, settleGrant: sound.SettleGrant,
		claimSubject: sound.ClaimSubject, releaseSubject: sound.ReleaseSubject,
		readClient: sound.ReadClient, putClient: sound.PutClient,
		listEvents: sound.ListEvents, claimEvents: sound.ClaimEvents, ackEvents: sound.AckEvents,
		endTenant: sound.EndTenant, eraseTenant: sound.EraseTenant,
	}
}

// yield lets everybody else go first: within a bubble of testing/synctest time
// moves on only once nobody has anything left to do. So of the callers of a
// race all have read before one of them writes.
func yield() { <-time.After(time.Nanosecond) }

// first returns what was first remembered under key: value, or an earlier one.
func first[T any](s *flawed, key any, value T) T {
	known, _ := s.known.LoadOrStore(key, value)
	earliest, _ := known.(T)
	return earliest
}

// The functions below change what a method is passed, in a copy.

func (s *flawed) creating(change func(flow *connect.Flow, caps *connect.FlowCaps)) {
	s.createFlow = func(ctx context.Context, flow connect.Flow, caps connect.FlowCaps) error {
		change(&flow, &caps)
		return s.sound.CreateFlow(ctx, flow, caps)
	}
}

func (s *flawed) moving(change func(next *connect.Flow)) {
	s.moveFlow = func(ctx context.Context, from connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
		change(&next)
		return s.sound.MoveFlow(ctx, from, next)
	}
}

func (s *flawed) committing(change func(commit *connect.Commit)) {
	s.commitFlow = func(ctx context.Context, commit connect.Commit) (connect.Flow, error) {
		commit = copyOf(commit)
		change(&commit)
		return s.sound.CommitFlow(ctx, commit)
	}
}

func (s *flawed) writing(change func(account *connect.Account)) {
	s.writeAccount = func(ctx context.Context, account connect.Account, events []connect.Event) error {
		change(&account)
		return s.sound.WriteAccount(ctx, account, events)
	}
}

func (s *flawed) settling(change func(settlement *connect.Settlement)) {
	s.settleGrant = func(ctx context.Context, settlement connect.Settlement) (connect.Grant, error) {
		change(&settlement)
		return s.sound.SettleGrant(ctx, settlement)
	}
}

// copyOf returns a commit whose rows can be changed.
func copyOf(commit connect.Commit) connect.Commit {
	if commit.Grant != nil {
		grant := *commit.Grant
		commit.Grant = &grant
	}
	commit.Accounts = append([]connect.Account(nil), commit.Accounts...)
	commit.Events = append([]connect.Event(nil), commit.Events...)
	return commit
}

// The functions below return what is stored, or an empty row.

func (s *flawed) flow(id string) connect.Flow {
	flow, _ := s.sound.ReadFlow(context.Background(), connect.FlowKey{ID: id})
	return flow
}

func (s *flawed) account(key connect.AccountKey) connect.Account {
	account, _ := s.sound.ReadAccount(context.Background(), key)
	return account
}

func (s *flawed) grant(key connect.GrantKey) connect.Grant {
	grant, _ := s.sound.ReadGrant(context.Background(), key)
	return grant
}

// accounts returns the accounts of a tenant that match.
func (s *flawed) accounts(tenant string, filter connect.AccountFilter) []connect.Account {
	accounts, _, _ := s.sound.ListAccounts(context.Background(), tenant, filter, connect.Page{Limit: 1000})
	return accounts
}

// settled ends the grant as settlement says, whatever state it is in.
func (s *flawed) settled(ctx context.Context, settlement connect.Settlement) connect.Grant {
	settlement.Attempt = "attempt of the store's own"
	_, _ = s.sound.ClaimGrant(ctx, connect.GrantKey{Tenant: settlement.Tenant, ID: settlement.ID}, settlement.Attempt, time.Minute)
	grant, _ := s.sound.SettleGrant(ctx, settlement)
	return grant
}

// noted writes events that tell of no change.
func (s *flawed) noted(ctx context.Context, events []connect.Event) {
	flow := connect.Flow{ID: "flow of " + events[0].ID, Tenant: events[0].Tenant, Status: connect.FlowFailed, Version: 1}
	_ = s.sound.CreateFlow(ctx, flow, connect.FlowCaps{})
	_, _ = s.sound.CommitFlow(ctx, connect.Commit{From: flow.Status, Flow: flow, Events: events})
}

// The methods of connect.Store.

func (s *flawed) CreateFlow(ctx context.Context, flow connect.Flow, caps connect.FlowCaps) error {
	return s.createFlow(ctx, flow, caps)
}

func (s *flawed) ReadFlow(ctx context.Context, key connect.FlowKey) (connect.Flow, error) {
	return s.readFlow(ctx, key)
}

func (s *flawed) MoveFlow(ctx context.Context, from connect.FlowStatus, next connect.Flow) (connect.Flow, error) {
	return s.moveFlow(ctx, from, next)
}

func (s *flawed) CommitFlow(ctx context.Context, commit connect.Commit) (connect.Flow, error) {
	return s.commitFlow(ctx, commit)
}

func (s *flawed) ClaimOverdueFlows(ctx context.Context, n int, lease time.Duration) ([]connect.Flow, error) {
	return s.claimOverdueFlows(ctx, n, lease)
}

func (s *flawed) HastenFlows(ctx context.Context, tenant, user string) (int, error) {
	return s.hastenFlows(ctx, tenant, user)
}

func (s *flawed) ReadAccount(ctx context.Context, key connect.AccountKey) (connect.Account, error) {
	return s.readAccount(ctx, key)
}

func (s *flawed) ListAccounts(ctx context.Context, tenant string, filter connect.AccountFilter, page connect.Page) ([]connect.Account, string, error) {
	return s.listAccounts(ctx, tenant, filter, page)
}

func (s *flawed) WriteAccount(ctx context.Context, account connect.Account, events []connect.Event) error {
	return s.writeAccount(ctx, account, events)
}

func (s *flawed) ReleaseAccount(ctx context.Context, tenant, id string, events []connect.Event) (connect.Released, error) {
	return s.releaseAccount(ctx, tenant, id, events)
}

func (s *flawed) ReadGrant(ctx context.Context, key connect.GrantKey) (connect.Grant, error) {
	return s.readGrant(ctx, key)
}

func (s *flawed) ClaimGrant(ctx context.Context, key connect.GrantKey, attempt string, lease time.Duration) (connect.ClaimedGrant, error) {
	return s.claimGrant(ctx, key, attempt, lease)
}

func (s *flawed) ClaimDueGrants(ctx context.Context, claim connect.DueClaim) (connect.DueGrants, error) {
	return s.claimDueGrants(ctx, claim)
}

func (s *flawed) RenewClaims(ctx context.Context, attempt string, grants []connect.GrantKey, lease time.Duration) error {
	return s.renewClaims(ctx, attempt, grants, lease)
}

func (s *flawed) MarkSent(ctx context.Context, attempt string, grants []connect.GrantKey) ([]connect.GrantKey, error) {
	return s.markSent(ctx, attempt, grants)
}

func (s *flawed) SettleGrant(ctx context.Context, settlement connect.Settlement) (connect.Grant, error) {
	return s.settleGrant(ctx, settlement)
}

func (s *flawed) ClaimSubject(ctx context.Context, subjectKey, attempt string, lease time.Duration) error {
	return s.claimSubject(ctx, subjectKey, attempt, lease)
}

func (s *flawed) ReleaseSubject(ctx context.Context, subjectKey, attempt string) error {
	return s.releaseSubject(ctx, subjectKey, attempt)
}

func (s *flawed) ReadClient(ctx context.Context, tenant, platform, name string) (connect.ClientRecord, error) {
	return s.readClient(ctx, tenant, platform, name)
}

func (s *flawed) PutClient(ctx context.Context, client connect.ClientRecord) error {
	return s.putClient(ctx, client)
}

func (s *flawed) ListEvents(ctx context.Context, tenant string, page connect.Page) ([]connect.Event, string, error) {
	return s.listEvents(ctx, tenant, page)
}

func (s *flawed) ClaimEvents(ctx context.Context, n int, attempt string, lease time.Duration) ([]connect.Event, error) {
	return s.claimEvents(ctx, n, attempt, lease)
}

func (s *flawed) AckEvents(ctx context.Context, attempt string, ids []string) error {
	return s.ackEvents(ctx, attempt, ids)
}

func (s *flawed) EndTenant(ctx context.Context, tenant string) error {
	return s.endTenant(ctx, tenant)
}

func (s *flawed) EraseTenant(ctx context.Context, tenant string) (bool, error) {
	return s.eraseTenant(ctx, tenant)
}
