package storetest

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/seed944197df/connect"
)

// tenant is whose rows the builders build.
const tenant = "tenant-1"

// The functions of this file build valid rows; n makes them differ.

func newFlow(n int) connect.Flow {
	return connect.Flow{
		ID:        fmt.Sprintf("flow-%d", n),
		Tenant:    tenant,
		User:      "user-1",
		Platform:  "facebook",
		Client:    "shared",
		Method:    "oauth",
		Binding:   connect.BindSession,
		Status:    connect.FlowStarted,
		Version:   1,
		KeyID:     "key-1",
		Request:   []byte("sealed request"),
		Timeline:  []connect.FlowStep{{At: epoch, Step: "start", Result: "ok"}},
		CreatedAt: epoch,
		ExpiresAt: epoch.Add(time.Hour),
	}
}

func newGrant(n int) connect.Grant {
	return connect.Grant{
		ID:           fmt.Sprintf("grant-%d", n),
		Tenant:       tenant,
		Platform:     "facebook",
		Client:       "shared",
		ClientID:     "client-id",
		Subject:      fmt.Sprintf("subject-%d", n),
		Method:       "oauth",
		SubjectKey:   fmt.Sprintf("subject-key-%d", n),
		Status:       connect.GrantActive,
		Sealed:       []byte("sealed tokens"),
		Generation:   1,
		Scopes:       []string{"read", "write"},
		AccessExpiry: in(time.Hour),
		DueAt:        in(45 * time.Minute),
		CreatedAt:    epoch,
		UpdatedAt:    epoch,
	}
}

// newAccount returns an account on grant 1.
func newAccount(n int) connect.Account {
	return connect.Account{
		ID:          fmt.Sprintf("account-%d", n),
		Tenant:      tenant,
		Platform:    "facebook",
		Kind:        "page",
		PlatformID:  fmt.Sprintf("page-%d", n),
		Version:     1,
		GrantID:     "grant-1",
		Client:      "shared",
		Status:      connect.AccountActive,
		Scopes:      []string{"read"},
		Missing:     []string{"write"},
		Name:        fmt.Sprintf("Page %d", n),
		Username:    "page",
		AvatarURL:   "https://cdn.example/1.png",
		Target:      map[string]string{"parent": "7"},
		APIBaseURL:  "https://api.example",
		OwnToken:    true,
		TokenExpiry: in(time.Hour),
		Label:       "main",
		Metadata:    []byte(`{"a":1}`),
		Sealed:      []byte("sealed page token"),
		Generation:  1,
		ConnectedBy: "user-1",
		ConnectedAt: epoch,
		UpdatedAt:   epoch,
	}
}

// newEvent returns an event of an account; none where accountID is empty.
func newEvent(n int, accountID string) connect.Event {
	return connect.Event{
		ID:        fmt.Sprintf("event-%d", n),
		Type:      connect.EventAccountConnected,
		Tenant:    tenant,
		AccountID: accountID,
		Platform:  "facebook",
		CreatedAt: epoch,
		Data:      []byte(`{"b":2}`),
	}
}

func newClient(name string) connect.ClientRecord {
	return connect.ClientRecord{
		Tenant:    tenant,
		Platform:  "facebook",
		Name:      name,
		Version:   1,
		ClientID:  "client-id",
		Sealed:    []byte("sealed secret"),
		Scopes:    []string{"read"},
		Enabled:   true,
		CreatedAt: epoch,
		UpdatedAt: epoch,
	}
}

// newCommit returns the end of flow n as it was created: grant n with one
// account n, and one event.
func newCommit(n int) connect.Commit {
	flow := newFlow(n)
	flow.Status = connect.FlowConnected
	flow.Progress = []byte("sealed progress")
	grant, account := newGrant(n), newAccount(n)
	account.GrantID = grant.ID
	flow.Outcome = &connect.FlowOutcome{AccountIDs: []string{account.ID}, Chosen: []string{"page:1"}}
	return connect.Commit{
		From:     connect.FlowStarted,
		Flow:     flow,
		Grant:    &grant,
		Accounts: []connect.Account{account},
		Events:   []connect.Event{newEvent(n, account.ID)},
	}
}

// in returns a time after the beginning of the test.
func in(d time.Duration) *time.Time {
	t := epoch.Add(d)
	return &t
}

// handle returns the hash of a handle.
func handle(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// create stores a flow.
func (s *state) create(flow connect.Flow) {
	s.Helper()
	s.ok(s.CreateFlow(s.Context(), flow, connect.FlowCaps{}))
}

// commit creates the flow of a commit and commits it.
func (s *state) commit(commit connect.Commit) {
	s.Helper()
	flow := commit.Flow
	flow.Status, flow.Outcome, flow.Progress = commit.From, nil, nil
	s.create(flow)
	must[connect.Flow](s)(s.CommitFlow(s.Context(), commit))
}

// connected stores grant 1 with n accounts, each with one event.
func (s *state) connected(n int) {
	s.Helper()
	c := newCommit(1)
	c.Accounts, c.Events = nil, nil
	for i := range n {
		a := newAccount(i + 1)
		c.Accounts = append(c.Accounts, a)
		c.Events = append(c.Events, newEvent(i+1, a.ID))
	}
	s.commit(c)
}

func (s *state) flow(n int) connect.Flow {
	s.Helper()
	return must[connect.Flow](s)(s.ReadFlow(s.Context(), connect.FlowKey{ID: fmt.Sprintf("flow-%d", n)}))
}

func (s *state) grant(n int) connect.Grant {
	s.Helper()
	key := connect.GrantKey{Tenant: tenant, ID: fmt.Sprintf("grant-%d", n)}
	return must[connect.Grant](s)(s.ReadGrant(s.Context(), key))
}

func (s *state) account(n int) connect.Account {
	s.Helper()
	key := connect.AccountKey{Tenant: tenant, ID: fmt.Sprintf("account-%d", n)}
	return must[connect.Account](s)(s.ReadAccount(s.Context(), key))
}

func (s *state) events() []connect.Event {
	s.Helper()
	events, _, err := s.ListEvents(s.Context(), tenant, connect.Page{Limit: 1000})
	s.ok(err)
	return events
}
