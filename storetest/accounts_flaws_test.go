package storetest

import (
	"context"
	"errors"

	"github.com/seed944197df/connect"
)

func accountFlaws() []flaw {
	return []flaw{
		{
			"ReadAccount finds by id and by key", "by key, the newest of a kind is found",
			func(s *flawed) {
				s.readAccount = func(ctx context.Context, key connect.AccountKey) (connect.Account, error) {
					account, err := s.sound.ReadAccount(ctx, key)
					newest := s.accounts(key.Tenant, connect.AccountFilter{Platform: key.Platform, Kind: key.Kind})
					if key.ID == "" && err == nil && len(newest) > 0 {
						return newest[0], nil
					}
					return account, err
				}
			},
		},
		{
			"ReadAccount finds a tombstone", "by key, no tombstone is found",
			func(s *flawed) {
				s.readAccount = func(ctx context.Context, key connect.AccountKey) (connect.Account, error) {
					account, err := s.sound.ReadAccount(ctx, key)
					if key.ID == "" && account.Status == connect.AccountDisconnected {
						return connect.Account{}, connect.ErrNotFound
					}
					return account, err
				}
			},
		},
		{
			"ReadAccount returns ErrNotFound", "by key, the kind is not compared",
			func(s *flawed) {
				s.readAccount = func(ctx context.Context, key connect.AccountKey) (connect.Account, error) {
					account, err := s.sound.ReadAccount(ctx, key)
					alike := s.accounts(key.Tenant, connect.AccountFilter{Platform: key.Platform, PlatformID: key.PlatformID})
					if key.PlatformID != "" && errors.Is(err, connect.ErrNotFound) && len(alike) > 0 && alike[0].ClientID == key.ClientID {
						return alike[0], nil
					}
					return account, err
				}
			},
		},
		{
			"WriteAccount replaces the account and writes its events", "a write forgets the parent",
			func(s *flawed) { s.writing(func(a *connect.Account) { a.ParentID = "" }) },
		},
		{
			"WriteAccount of another version is ErrStale and changes nothing", "a write may leave versions out",
			func(s *flawed) {
				s.writing(func(a *connect.Account) {
					if stored := s.account(connect.AccountKey{Tenant: a.Tenant, ID: a.ID}); stored.ID != "" {
						a.Version = min(a.Version, stored.Version+1)
					}
				})
			},
		},
		{
			"WriteAccount of an unknown account is ErrNotFound", "the first version of an account counts as written",
			func(s *flawed) {
				s.writeAccount = func(ctx context.Context, a connect.Account, events []connect.Event) error {
					err := s.sound.WriteAccount(ctx, a, events)
					if a.Version == 1 && errors.Is(err, connect.ErrNotFound) {
						return nil
					}
					return err
				}
			},
		},
		{
			"WriteAccount cannot take another account's key", "a key that is taken stays as it was",
			func(s *flawed) {
				s.writeAccount = func(ctx context.Context, a connect.Account, events []connect.Event) error {
					err := s.sound.WriteAccount(ctx, a, events)
					if errors.Is(err, connect.ErrConflict) {
						a.PlatformID = s.account(connect.AccountKey{Tenant: a.Tenant, ID: a.ID}).PlatformID
						err = s.sound.WriteAccount(ctx, a, events)
					}
					return err
				}
			},
		},
		{
			"of concurrent writes exactly one succeeds", "an account is compared, and then written",
			func(s *flawed) {
				s.writeAccount = func(ctx context.Context, a connect.Account, events []connect.Event) error {
					key := connect.AccountKey{Tenant: a.Tenant, ID: a.ID}
					if read := s.account(key); read.ID == "" || a.Version != read.Version+1 {
						return s.sound.WriteAccount(ctx, a, events)
					}
					yield()
					s.mu.Lock()
					defer s.mu.Unlock()
					a.Version = s.account(key).Version + 1
					return s.sound.WriteAccount(ctx, a, events)
				}
			},
		},
	}
}
