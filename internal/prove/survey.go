package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/seed944197df/connect"
)

// hands is how many goroutines of the parent use the store at once.
const hands = 16

// each runs do for every i below n, by many hands, and returns the first
// error.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var working sync.WaitGroup
	for hand := range hands {
		working.Go(func() {
			for i := hand; i < n && ctx.Err() == nil; i += hands {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	working.Wait()
	return context.Cause(ctx)
}

// connectAll connects the grants as a host's users do.
func connectAll(ctx context.Context, engine *connect.Connector, grants int) error {
	return each(ctx, grants, func(ctx context.Context, i int) error {
		principal := connect.Principal{Tenant: tenantOf(i), User: grantName(i)}
		outcome, err := engine.ConnectCredentials(ctx, principal, connect.CredentialsRequest{
			Platform: platformName,
			Values:   map[string]connect.Secret{"name": connect.NewSecret(grantName(i))},
		})
		if err == nil && outcome.Status != connect.OutcomeConnected {
			err = fmt.Errorf("%s is %s: %s", grantName(i), outcome.Status, outcome.Error)
		}
		return err
	})
}

func open(g connect.Grant) bool {
	return g.Status != connect.GrantActive && g.Status != connect.GrantDead
}

// restless are the grants that somebody has claimed, or whose refresh token
// may have been presented with no answer that is known.
func restless(ctx context.Context, kept connect.Store, among []int) ([]int, error) {
	found := make([]bool, len(among))
	err := each(ctx, len(among), func(ctx context.Context, i int) error {
		g, err := kept.ReadGrant(ctx, grantKey(among[i]))
		found[i] = open(g)
		return err
	})
	var some []int
	for i, isSo := range found {
		if isSo {
			some = append(some, among[i])
		}
	}
	return some, err
}

// settle waits until what the kills have left is settled, and returns how many
// grants were not within the limit. Grants that are refreshed meanwhile are
// none of it.
func settle(ctx context.Context, kept connect.Store, among []int, limit time.Duration) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		left, err := restless(ctx, kept, among)
		if err == nil && len(left) == 0 {
			return 0, nil
		}
		if err == nil {
			among = left
		}
		select {
		case <-ctx.Done():
			return len(among), nil
		case <-time.After(500 * time.Millisecond):
		}
		if err != nil && ctx.Err() == nil {
			return len(among), err
		}
	}
}

// all is every grant's number.
func all(grants int) []int {
	numbers := make([]int, grants)
	for i := range numbers {
		numbers[i] = i
	}
	return numbers
}

// observe reads what the store holds of every grant, through an engine that
// only looks: one whose clock is so late that no token is over, so that it
// refreshes none.
func observe(ctx context.Context, st stage, kept connect.Store) ([]holding, error) {
	var mu sync.Mutex // guards seen
	seen := map[string]*connect.Tokens{}
	look := observer{provider{class: st.Class}, func(t *connect.Tokens) {
		mu.Lock()
		defer mu.Unlock()
		seen[t.Subject] = t
	}}
	engine, err := st.engine(kept, look, func() time.Time { return time.Now().Add(observedSince) })
	if err != nil {
		return nil, err
	}
	defer func() { _ = engine.Close(ctx) }() // nothing is under way
	held := make([]holding, st.Grants)
	err = each(ctx, st.Grants, func(ctx context.Context, i int) error {
		var err error
		held[i], err = observeOne(ctx, engine, kept, i)
		return err
	})
	for i, h := range held {
		if tokens := seen[h.Grant]; tokens != nil {
			held[i].Refresh, held[i].Access = fingerprint(tokens.Refresh.Reveal()), fingerprint(tokens.Access.Reveal())
		}
	}
	return held, err
}

// observeOne reads the row of a grant and has its tokens shown to the
// observer, where the account is one that works.
func observeOne(ctx context.Context, engine *connect.Connector, kept connect.Store, i int) (holding, error) {
	account, err1 := kept.ReadAccount(ctx, accountKey(i))
	grant, err2 := kept.ReadGrant(ctx, grantKey(i))
	if err := errors.Join(err1, err2); err != nil {
		return holding{}, fmt.Errorf("%s: %w", grantName(i), err)
	}
	h := holding{Grant: grantName(i), Generation: grant.Generation, Works: account.Status == connect.AccountActive}
	if open(grant) {
		h.Open = string(grant.Status)
	}
	if !h.Works {
		return h, nil
	}
	client, err := engine.Client(ctx, account.Tenant, account.ID)
	if err != nil {
		return h, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+platformHost+"/", nil)
	if err != nil {
		return h, err
	}
	resp, err := client.Do(r)
	switch {
	case err == nil:
		return h, errors.Join(errSent, resp.Body.Close())
	case !errors.Is(err, errSeen):
		return h, err
	}
	return h, nil
}

var errSent = errors.New("a request of the checker has left")
