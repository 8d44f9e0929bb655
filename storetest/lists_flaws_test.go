package storetest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/seed944197df/connect"
)

func listFlaws() []flaw {
	return []flaw{
		{
			"ListAccounts returns the newest first, in pages", "a cursor skips the rest of its moment",
			func(s *flawed) {
				s.listAccounts = func(_ context.Context, tenant string, filter connect.AccountFilter, page connect.Page) ([]connect.Account, string, error) {
					moment := func(a connect.Account) string { return a.ConnectedAt.Format(time.RFC3339Nano) }
					return pageAfter(s.accounts(tenant, filter), page, moment)
				}
			},
		},
		{
			"of the same moment, the larger id comes first", "of the same moment, the smaller id comes first",
			func(s *flawed) {
				s.listAccounts = func(_ context.Context, tenant string, filter connect.AccountFilter, page connect.Page) ([]connect.Account, string, error) {
					rows := s.accounts(tenant, filter)
					slices.SortFunc(rows, func(a, b connect.Account) int {
						return cmp.Or(b.ConnectedAt.Compare(a.ConnectedAt), cmp.Compare(a.ID, b.ID))
					})
					return pageAfter(rows, page, func(a connect.Account) string { return a.ID })
				}
			},
		},
		{
			"the last page has no cursor", "a full page has a cursor",
			func(s *flawed) {
				const end = "end"
				s.listAccounts = func(ctx context.Context, tenant string, filter connect.AccountFilter, page connect.Page) ([]connect.Account, string, error) {
					if page.Cursor == end {
						return nil, "", nil
					}
					rows, next, err := s.sound.ListAccounts(ctx, tenant, filter, page)
					if len(rows) == page.Limit && next == "" {
						next = end
					}
					return rows, next, err
				}
			},
		},
		{
			"a page after a cursor is not moved by newer accounts", "a cursor is a number of rows",
			func(s *flawed) {
				s.listAccounts = func(_ context.Context, tenant string, filter connect.AccountFilter, page connect.Page) ([]connect.Account, string, error) {
					rows := s.accounts(tenant, filter)
					return pageAfter(rows, page, func(a connect.Account) string {
						return strconv.Itoa(slices.IndexFunc(rows, func(b connect.Account) bool { return a.ID == b.ID }))
					})
				}
			},
		},
		{
			"ListAccounts filters by each field", "no list is narrowed to a kind",
			func(s *flawed) {
				s.listAccounts = func(ctx context.Context, tenant string, filter connect.AccountFilter, page connect.Page) ([]connect.Account, string, error) {
					filter.Kind = ""
					return s.sound.ListAccounts(ctx, tenant, filter, page)
				}
			},
		},
		{
			"tombstones are listed only where they are asked for", "tombstones are listed after the rest",
			func(s *flawed) {
				s.listAccounts = func(ctx context.Context, tenant string, filter connect.AccountFilter, page connect.Page) ([]connect.Account, string, error) {
					rows, next, err := s.sound.ListAccounts(ctx, tenant, filter, page)
					if filter.Status == "" && next == "" && err == nil {
						rows = append(rows, s.accounts(tenant, connect.AccountFilter{Status: connect.AccountDisconnected})...)
					}
					return rows, next, err
				}
			},
		},
		{
			"a malformed cursor is ErrNotFound", "a malformed cursor is the first page",
			func(s *flawed) {
				s.listAccounts = func(ctx context.Context, tenant string, filter connect.AccountFilter, page connect.Page) ([]connect.Account, string, error) {
					rows, next, err := s.sound.ListAccounts(ctx, tenant, filter, page)
					if errors.Is(err, connect.ErrNotFound) {
						page.Cursor = ""
						rows, next, err = s.sound.ListAccounts(ctx, tenant, filter, page)
					}
					return rows, next, err
				}
			},
		},
	}
}

// pageAfter returns the page of rows after the last whose cursor is the page's.
func pageAfter(rows []connect.Account, page connect.Page, cursor func(connect.Account) string) ([]connect.Account, string, error) {
	from := len(rows)
	for from > 0 && cursor(rows[from-1]) != page.Cursor {
		from--
	}
	if from == 0 && page.Cursor != "" {
		return nil, "", connect.ErrNotFound
	}
	to := min(from+page.Limit, len(rows))
	if to == len(rows) {
		return rows[from:], "", nil
	}
	return rows[from:to], cursor(rows[to-1]), nil
}
