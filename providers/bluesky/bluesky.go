// Package bluesky connects accounts of Bluesky and of every other server of
// the AT Protocol.
//
// A person connects by an app password: a password made for one app, which
// cannot change the account and can be deleted alone. It is exchanged at once
// for a session of the account's own server, its PDS, and then forgotten;
// what is kept are the session's two tokens.
//
// The PDS is found as the protocol says: handle to DID, DID to document,
// document to PDS, and the document must name the handle in turn. Security:
// the password is sent to a server that this chain leads to, never to one that
// is only part of what a person typed. An e-mail address leads nowhere, so it
// goes to the entryway of Bluesky's own servers or to the PDS that the person
// names, and the account's document must confirm that PDS afterwards.
//
// This package links indigo, the AT Protocol's Go library, whose package
// identity registers Prometheus collectors in the default registry when the
// program starts. They count what indigo's caches do, which are not used here,
// so they stay zero. The rest of connect does not link it.
package bluesky

import (
	"errors"
	"time"

	"github.com/seed944197df/connect"
)

const (
	methodAppPassword = "app_password"
	kindProfile       = "profile"

	fieldIdentifier  = "identifier"
	fieldAppPassword = "app_password"
	fieldPDS         = "pds"

	defaultEntryway = "https://bsky.social"
	defaultPLC      = "https://plc.directory"

	// refreshGrace is how long the reference PDS answers a refresh token that
	// was replaced.
	refreshGrace = 2 * time.Hour
)

// Options changes what [New] returns. Both are https origins: scheme and host
// name, nothing else; [Provider.Check] refuses what is not.
type Options struct {
	// EntrywayHost is asked where a person types an e-mail address and no PDS.
	// It is trusted to say whose address that is.
	// Defaults to "https://bsky.social".
	EntrywayHost string
	// PLCURL is the directory of did:plc identities. It is trusted to say which
	// PDS an account has. Defaults to "https://plc.directory".
	PLCURL string
}

// Provider is the Bluesky adapter. Create it with [New]. It is safe for
// concurrent use.
type Provider struct {
	entryway string // origin
	plc      string // origin
}

var (
	_ connect.Provider    = (*Provider)(nil)
	_ connect.Checker     = (*Provider)(nil)
	_ connect.Credentials = (*Provider)(nil)
	_ connect.Refresher   = (*Provider)(nil)
	_ connect.Identifier  = (*Provider)(nil)
	_ connect.Revoker     = (*Provider)(nil)
	_ connect.Classifier  = (*Provider)(nil)
)

// New returns the adapter. opts may be nil. What is wrong with it is for
// [connect.New] to say: see [Provider.Check].
func New(opts *Options) *Provider {
	if opts == nil {
		opts = &Options{}
	}
	return &Provider{
		entryway: originOr(opts.EntrywayHost, defaultEntryway),
		plc:      originOr(opts.PLCURL, defaultPLC),
	}
}

// originOr returns text as [parseOrigin] does, unchanged where it is none, and
// fallback where it is empty.
func originOr(text, fallback string) string {
	if text == "" {
		return fallback
	}
	if origin, ok := parseOrigin(text); ok {
		return origin
	}
	return text
}

// Check implements [connect.Checker].
func (p *Provider) Check() error {
	if _, ok := parseOrigin(p.entryway); !ok {
		return errors.New("bluesky: Options.EntrywayHost must be an https origin; leave it empty for " + defaultEntryway)
	}
	if _, ok := parseOrigin(p.plc); !ok {
		return errors.New("bluesky: Options.PLCURL must be an https origin; leave it empty for " + defaultPLC)
	}
	return nil
}

// Platform describes Bluesky. There are no clients, scopes or hosts common to
// all accounts: each grant brings its PDS.
func (p *Provider) Platform() connect.Platform {
	return connect.Platform{
		Name:        "bluesky",
		DisplayName: "Bluesky",
		Methods:     []connect.Method{appPasswordMethod()},
		Kinds:       []connect.Kind{{Name: kindProfile}},
		Rotation: connect.Rotation{
			Class:  connect.RotationGrace,
			Grace:  refreshGrace,
			Source: "@atproto/pds 0.5: account-manager.ts, REFRESH_GRACE_MS",
		},
		Revokes:   connect.ReachToken,
		Reconsent: connect.ReconsentCoexists,
	}
}

func appPasswordMethod() connect.Method {
	return connect.Method{
		ID:   methodAppPassword,
		Type: connect.MethodCredentials,
		Fields: []connect.Field{
			{
				Name:     fieldIdentifier,
				Label:    "Handle, e-mail or DID",
				Help:     "For example ada.bsky.social.",
				Required: true,
			},
			{
				Name:     fieldAppPassword,
				Label:    "App password",
				Help:     "Make one in Bluesky under Settings, Privacy and security, App passwords: 19 characters like abcd-efgh-ijkl-mnop. Never type your main password.",
				Secret:   true,
				Required: true,
			},
			{
				Name:  fieldPDS,
				Label: "Server (PDS)",
				Help:  "Only for an e-mail address at a server of your own, for example pds.example.com.",
			},
		},
	}
}
