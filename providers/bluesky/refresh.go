package bluesky

import (
	"context"
	"errors"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"github.com/seed944197df/connect"
)

// Refresh exchanges the refresh token for a new pair at the PDS that issued
// it. The reference PDS answers the old refresh token for two hours more, with
// the same successor; other servers may not, so nothing relies on it here.
//
// Where the PDS cannot be reached at all, the account may have moved: the DID
// document is read again and the PDS that it names now is asked.
func (p *Provider) Refresh(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
	if tokens.Refresh.IsZero() {
		return nil, &connect.ProviderError{Class: connect.ClassReconnect, Err: errors.New("bluesky: the grant has no refresh token")}
	}
	pds, ok := parseOrigin(tokens.APIBaseURL)
	if !ok {
		return nil, misconfigured("the grant names no PDS")
	}
	body, err := call(ctx, env, pds, refreshSession, tokens.Refresh, nil)
	if err != nil && env.NotSent(err) {
		if moved := p.movedTo(ctx, env, tokens.Subject); moved != "" && moved != pds {
			pds = moved
			body, err = call(ctx, env, pds, refreshSession, tokens.Refresh, nil)
		}
	}
	if err != nil {
		return nil, refreshError(env, err)
	}
	return successor(body, tokens, pds, env)
}

// successor returns the new tokens. Security: a server that answers for
// another account is not believed, and a missing refresh token never replaces
// one that may still work.
func successor(body []byte, tokens *connect.Tokens, pds string, env connect.Env) (*connect.Tokens, error) {
	s, err := parseSession(body)
	switch {
	case err != nil && isPage(body):
		return nil, failed("refreshing", err)
	case err != nil:
		return nil, uncertain(err)
	}
	if s.DID != tokens.Subject {
		return nil, uncertain(errors.New("bluesky: the server answered for another account"))
	}
	return s.tokens(pds, env.Now()), nil
}

// movedTo returns the PDS that a DID's document names, or "" where it cannot
// be read.
func (p *Provider) movedTo(ctx context.Context, env connect.Env, did string) string {
	a, _, err := p.directory(env).document(ctx, syntax.DID(did))
	if err != nil {
		return ""
	}
	return a.pds
}

// refreshError returns what an error of call means for the refresh token that
// was presented.
func refreshError(env connect.Env, err error) error {
	_, answered := errors.AsType[*connect.ProviderError](err)
	switch {
	case answered:
		return err
	case env.NotSent(err):
		return failed("refreshing", err)
	}
	return uncertain(err)
}

// Revoke ends the session: its refresh token is over at once. Its access token
// goes on until it expires, two hours at most at the reference PDS, and the app
// password remains; only the account's owner can delete that.
//
// A session that is over already, and one whose account is gone, is success.
func (p *Provider) Revoke(ctx context.Context, env connect.Env, tokens *connect.Tokens) error {
	if tokens.Refresh.IsZero() {
		return nil
	}
	pds, ok := parseOrigin(tokens.APIBaseURL)
	if !ok {
		return misconfigured("the grant names no PDS")
	}
	_, err := call(ctx, env, pds, deleteSession, tokens.Refresh, nil)
	answer, answered := errors.AsType[*connect.ProviderError](err)
	switch {
	case err == nil:
		return nil
	case !answered:
		return failed("revoking", err)
	case answer.Class == connect.ClassReconnect:
		return nil
	}
	return err
}
