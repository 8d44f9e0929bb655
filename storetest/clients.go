package storetest

import (
	"github.com/seed944197df/connect"
)

func clientTests() []test {
	return []test{
		{"PutClient stores and ReadClient returns", clientStored},
		{"a client of all tenants has no tenant", clientShared},
		{"ReadClient returns ErrNotFound", clientNotFound},
		{"PutClient of another version is ErrStale and changes nothing", clientStale},
		{"of concurrent first puts exactly one succeeds", clientRace},
	}
}

func (s *state) client(tenant, name string) connect.ClientRecord {
	s.Helper()
	return must[connect.ClientRecord](s)(s.ReadClient(s.Context(), tenant, "facebook", name))
}

func clientStored(s *state) {
	want := newClient("own")
	s.ok(s.PutClient(s.Context(), want))
	s.equal("first version", s.client(tenant, "own"), want)

	want.Version = 2
	want.ClientID, want.Sealed, want.Scopes, want.Enabled = "client-2", nil, nil, false
	want.UpdatedAt = epoch.AddDate(0, 1, 0)
	s.ok(s.PutClient(s.Context(), want))
	got := s.client(tenant, "own")
	s.equal("second version", got, want)
	if got.Sealed != nil {
		s.Error("no secret became one")
	}
}

func clientShared(s *state) {
	want := newClient("server")
	want.Tenant = ""
	s.ok(s.PutClient(s.Context(), want))
	s.equal("client", s.client("", "server"), want)
	_, err := s.ReadClient(s.Context(), tenant, "facebook", "server")
	s.wantError(err, connect.ErrNotFound)
}

func clientNotFound(s *state) {
	s.ok(s.PutClient(s.Context(), newClient("own")))
	for _, key := range [][3]string{
		{"tenant-2", "facebook", "own"},
		{"", "facebook", "own"},
		{tenant, "x", "own"},
		{tenant, "facebook", "other"},
	} {
		_, err := s.ReadClient(s.Context(), key[0], key[1], key[2])
		s.wantError(err, connect.ErrNotFound)
	}
}

func clientStale(s *state) {
	put := func(version int64) error {
		c := newClient("own")
		c.Version = version
		return s.PutClient(s.Context(), c)
	}
	for _, version := range []int64{0, 2} {
		s.wantError(put(version), connect.ErrStale)
	}
	_, err := s.ReadClient(s.Context(), tenant, "facebook", "own")
	s.wantError(err, connect.ErrNotFound)
	s.ok(put(1))
	for _, version := range []int64{0, 1, 3} {
		s.wantError(put(version), connect.ErrStale)
	}
	s.equal("client", s.client(tenant, "own"), newClient("own"))
}

func clientRace(s *state) {
	won, _ := winner(s, race(func(i int) raced[connect.ClientRecord] {
		c := newClient("server")
		c.ClientID = string(rune('A' + i))
		return raced[connect.ClientRecord]{c, s.PutClient(s.Context(), c)}
	}), connect.ErrStale)
	s.equal("client", s.client(tenant, "server"), won)
}
