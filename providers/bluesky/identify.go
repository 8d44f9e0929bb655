package bluesky

import (
	"context"
	"errors"
	"strings"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/strictjson"
)

// Identify asks the PDS whose session it is.
//
// Security: tokens from elsewhere name the server that is asked, which could
// answer with anybody's DID. So the document of that DID must name the same
// server, as it must for an e-mail address that logs in.
func (p *Provider) Identify(ctx context.Context, env connect.Env, tokens *connect.Tokens) (*connect.Tokens, error) {
	at, ok := parseOrigin(tokens.APIBaseURL)
	if !ok {
		return nil, refused("bad_pds", "the tokens name no PDS, such as https://pds.example.com")
	}
	s, err := whose(ctx, env, at, tokens.Access)
	if err != nil {
		return nil, err
	}
	if tokens.Subject != "" {
		return known(s)
	}
	a, err := p.directory(env).byDID(ctx, syntax.DID(s.DID))
	switch {
	case err != nil:
		return nil, err
	case at != p.entryway && a.pds != at:
		return nil, refused("pds_mismatch", "the account is not at this server")
	}
	if err := s.check(a); err != nil {
		return nil, err
	}
	return &connect.Tokens{
		Subject:    s.DID,
		Hosts:      []string{strings.TrimPrefix(a.pds, "https://")},
		APIBaseURL: a.pds,
		Self:       a.candidate(),
	}, nil
}

// known returns whose the session of a grant is that was checked when it was
// connected.
func known(s *session) (*connect.Tokens, error) {
	if why := s.inactive(); why != "" {
		return nil, &connect.ProviderError{Class: connect.ClassSuspended, Code: "account_" + why}
	}
	return &connect.Tokens{Subject: s.DID}, nil
}

// whose calls getSession.
func whose(ctx context.Context, env connect.Env, at string, access connect.Secret) (*session, error) {
	body, err := call(ctx, env, at, getSession, access, nil)
	if _, answered := errors.AsType[*connect.ProviderError](err); answered {
		return nil, err
	}
	if err != nil {
		return nil, failed("asking whose the session is", err)
	}
	var s session
	if strictjson.Decode(body, &s) != nil || s.DID == "" {
		return nil, failed("asking whose the session is", errAnswer)
	}
	return &s, nil
}
