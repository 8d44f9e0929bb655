package storetest

import (
	"github.com/seed944197df/connect"
)

func accountTests() []test {
	return []test{
		{"ReadAccount finds by id and by key", accountRead},
		{"ReadAccount finds a tombstone", accountReadTombstone},
		{"ReadAccount returns ErrNotFound", accountNotFound},
		{"WriteAccount replaces the account and writes its events", accountWrite},
		{"WriteAccount of another version is ErrStale and changes nothing", accountStale},
		{"WriteAccount of an unknown account is ErrNotFound", accountWriteUnknown},
		{"WriteAccount cannot take another account's key", accountKeyTaken},
		{"of concurrent writes exactly one succeeds", accountRace},
	}
}

func accountRead(s *state) {
	s.connected(2)
	for n := range 2 {
		want := newAccount(n + 1)
		s.equal("by id", s.account(n+1), want)
		s.equal("by key", must[connect.Account](s)(s.ReadAccount(s.Context(), want.Key())), want)
	}
}

func accountReadTombstone(s *state) {
	s.connected(1)
	want := must[connect.Released](s)(s.ReleaseAccount(s.Context(), tenant, "account-1", nil)).Account
	s.equal("by id", s.account(1), want)
	s.equal("by key", must[connect.Account](s)(s.ReadAccount(s.Context(), newAccount(1).Key())), want)
}

func accountNotFound(s *state) {
	s.connected(1)
	key := newAccount(1).Key()
	for name, change := range map[string]func(k *connect.AccountKey){
		"nothing":           func(k *connect.AccountKey) { *k = connect.AccountKey{Tenant: tenant} },
		"unknown id":        func(k *connect.AccountKey) { k.ID = "account-9" },
		"other tenant":      func(k *connect.AccountKey) { k.Tenant = "tenant-2" },
		"other platform":    func(k *connect.AccountKey) { k.Platform = "x" },
		"other kind":        func(k *connect.AccountKey) { k.Kind = "profile" },
		"other client":      func(k *connect.AccountKey) { k.ClientID = "client-2" },
		"other platform id": func(k *connect.AccountKey) { k.PlatformID = "page-9" },
	} {
		try := key
		change(&try)
		if _, err := s.ReadAccount(s.Context(), try); err == nil {
			s.Errorf("%s: found an account", name)
		} else {
			s.wantError(err, connect.ErrNotFound)
		}
	}
}

func accountWrite(s *state) {
	s.connected(1)
	want := newAccount(1)
	want.Version = 2
	want.PlatformID = "page-8" // a chat that migrated
	want.GrantID = "grant-2"
	want.ParentID = "account-3"
	want.Status = connect.AccountLimited
	want.Name, want.Username, want.AvatarURL = "a", "b", "https://c.example"
	want.Target = map[string]string{"guild": "9"}
	want.TokenExpiry = nil
	want.Sealed, want.Generation = []byte("new"), 2
	want.Metadata = []byte(`{"z":0}`)
	want.UpdatedAt = epoch.AddDate(0, 1, 0)
	events := []connect.Event{newEvent(8, want.ID), newEvent(9, want.ID)}
	s.ok(s.WriteAccount(s.Context(), want, events))
	s.equal("account", s.account(1), want)
	s.equal("by its new key", must[connect.Account](s)(s.ReadAccount(s.Context(), want.Key())), want)
	_, err := s.ReadAccount(s.Context(), newAccount(1).Key())
	s.wantError(err, connect.ErrNotFound)
	events[0].Sequence, events[1].Sequence = 2, 3
	s.equal("new events", s.events()[1:], events)
}

func accountStale(s *state) {
	s.connected(1)
	check := s.unchanged(tenant)
	for _, version := range []int64{0, 1, 3} {
		a := newAccount(1)
		a.Version = version
		a.Name = "renamed"
		s.wantError(s.WriteAccount(s.Context(), a, []connect.Event{newEvent(9, a.ID)}), connect.ErrStale)
	}
	check()
}

func accountWriteUnknown(s *state) {
	s.connected(1)
	check := s.unchanged(tenant)
	a := newAccount(2)
	s.wantError(s.WriteAccount(s.Context(), a, []connect.Event{newEvent(9, a.ID)}), connect.ErrNotFound)
	check()
}

func accountKeyTaken(s *state) {
	s.connected(2)
	check := s.unchanged(tenant)
	a := newAccount(2)
	a.Version = 2
	a.PlatformID = newAccount(1).PlatformID
	s.wantError(s.WriteAccount(s.Context(), a, []connect.Event{newEvent(9, a.ID)}), connect.ErrConflict)
	check()
}

func accountRace(s *state) {
	s.connected(1)
	won, _ := winner(s, race(func(i int) raced[connect.Account] {
		a := newAccount(1)
		a.Version = 2
		a.Name = string(rune('A' + i))
		return raced[connect.Account]{a, s.WriteAccount(s.Context(), a, []connect.Event{newEvent(100+i, a.ID)})}
	}), connect.ErrStale)
	s.equal("account", s.account(1), won)
	if n := len(s.events()); n != 2 {
		s.Errorf("%d events, want 2", n)
	}
}
