package bluesky

import (
	"cmp"
	"context"
	"errors"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/selection"
)

// Login exchanges an app password for a session at the account's PDS. The
// fields are identifier (a handle, a DID or an e-mail address), app_password
// and pds, the host name of the PDS, which is read only beside an e-mail
// address.
//
// Its errors are a [*connect.ProviderError] and repeat nothing of what was
// typed. Of class [connect.ClassRefused] the codes are, before the password
// is sent: not_an_app_password, bad_identifier, bad_pds, did_unsupported (all
// these before anything is sent), handle_not_found, handle_ambiguous,
// handle_mismatch, did_not_found, pds_missing, pds_refused; after it: did_mismatch,
// pds_mismatch, account_inactive, account_takendown, account_suspended,
// account_deactivated and the server's own, such as AuthenticationRequired for
// a wrong app password. An app password needs no second factor, so
// AuthFactorTokenRequired is refused as well.
func (p *Provider) Login(ctx context.Context, env connect.Env, req connect.LoginRequest) (*connect.Tokens, error) {
	if req.Method != methodAppPassword {
		return nil, misconfigured("there is no such method")
	}
	f, err := parseForm(req.Values)
	if err != nil {
		return nil, err
	}
	d := p.directory(env)
	if f.email != "" {
		return p.loginByEmail(ctx, env, d, f)
	}
	a, err := d.find(ctx, f)
	if err != nil {
		return nil, err
	}
	s, err := login(ctx, env, a.pds, a.did.String(), f.password)
	if err != nil {
		return nil, err
	}
	return finish(ctx, env, a.pds, s, a)
}

// loginByEmail logs in first and looks the account up afterwards.
//
// Security: the server that a person names could answer with anybody's DID, so
// the document of that DID must name the same server. The entryway is the
// host's own choice and stands for many servers.
func (p *Provider) loginByEmail(ctx context.Context, env connect.Env, d *directory, f form) (*connect.Tokens, error) {
	at := cmp.Or(f.pds, p.entryway)
	s, err := login(ctx, env, at, f.email, f.password)
	if err != nil {
		return nil, err
	}
	a, err := d.byDID(ctx, syntax.DID(s.DID))
	if err == nil && at != p.entryway && a.pds != at {
		err = refused("pds_mismatch", "the account is not at this server")
	}
	if err != nil {
		discard(ctx, env, at, s)
		return nil, err
	}
	return finish(ctx, env, at, s, a)
}

// login calls createSession. It is never repeated, and never used in place of
// a refresh: servers allow few of them a day. The answer's DID is not checked
// yet.
func login(ctx context.Context, env connect.Env, at, identifier string, password connect.Secret) (*session, error) {
	body, err := call(ctx, env, at, createSession, connect.Secret{}, struct {
		Identifier string `json:"identifier"`
		Password   string `json:"password"`
	}{identifier, password.Reveal()})
	if _, answered := errors.AsType[*connect.ProviderError](err); answered {
		return nil, err
	}
	if err != nil {
		return nil, failed("logging in", err)
	}
	s, err := parseSession(body)
	if err != nil {
		return nil, failed("logging in", err)
	}
	return s, nil
}

// finish checks that s, made by the server at, is a session of a that is of
// use, and ends it where it is not.
func finish(ctx context.Context, env connect.Env, at string, s *session, a *account) (*connect.Tokens, error) {
	err := s.check(a)
	if err != nil {
		discard(ctx, env, at, s)
		return nil, err
	}
	tokens := s.tokens(a.pds, env.Now())
	tokens.Self = a.candidate()
	return tokens, nil
}

// check refuses a session of another account and of an account that cannot be
// used.
func (s *session) check(a *account) error {
	if s.DID != a.did.String() {
		return refused("did_mismatch", "the server answered for another account")
	}
	if why := s.inactive(); why != "" {
		return refused("account_"+why, "the account is "+why)
	}
	return nil
}

// inactive returns why the account cannot be used, "" where it can.
func (s *session) inactive() string {
	if s.Active == nil || *s.Active {
		return ""
	}
	switch s.Status {
	case "takendown", "suspended", "deactivated":
		return s.Status
	}
	return "inactive"
}

// candidate returns a as the one thing that its grant connects. The handle is
// a name and no more: it may belong to somebody else tomorrow.
func (a *account) candidate() *connect.Candidate {
	c := &connect.Candidate{
		Candidate: selection.Candidate{
			Kind:       kindProfile,
			PlatformID: a.did.String(),
			Name:       a.did.String(),
		},
		Target: map[string]string{"did": a.did.String(), "pds": a.pds},
	}
	if a.handle != "" {
		c.Name = a.handle.String()
		c.Username = a.handle.String()
		c.Target["handle"] = a.handle.String()
	}
	return c
}

// discard ends a session that will not be kept. It is a courtesy to the
// account's owner, whose server would list it for months: its failure changes
// nothing.
func discard(ctx context.Context, env connect.Env, at string, s *session) {
	_, _ = call(ctx, env, at, deleteSession, s.Refresh, nil)
}
