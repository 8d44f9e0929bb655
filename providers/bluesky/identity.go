package bluesky

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/bluesky-social/indigo/atproto/identity"
	"github.com/bluesky-social/indigo/atproto/syntax"

	"github.com/seed944197df/connect"
)

const (
	dnsTimeout = 3 * time.Second
	pdsService = "atproto_pds"
	pdsType    = "AtprotoPersonalDataServer"
	didRecord  = "did="
)

// account is an account as its DID document describes it.
type account struct {
	did    syntax.DID
	handle syntax.Handle // empty where handle and document do not name each other
	pds    string        // origin: "https://host"
}

// directory looks accounts up, without credentials and without a cache: a
// stale answer would send a password to a server that the account has left.
type directory struct {
	web identity.BaseDirectory
	dns *net.Resolver // nil is net's default
}

func (p *Provider) directory(env connect.Env) *directory {
	return &directory{
		web: identity.BaseDirectory{PLCURL: p.plc, HTTPClient: *env.Lookup},
		dns: env.Resolver,
	}
}

// find returns the account that f names by handle or DID.
func (d *directory) find(ctx context.Context, f form) (*account, error) {
	if f.handle != "" {
		return d.byHandle(ctx, f.handle)
	}
	return d.byDID(ctx, f.did)
}

// byHandle returns the account of a handle. The document must name the handle
// in turn: anybody can point a handle of theirs at somebody else's DID.
func (d *directory) byHandle(ctx context.Context, handle syntax.Handle) (*account, error) {
	did, err := d.resolveHandle(ctx, handle)
	if err != nil {
		return nil, err
	}
	a, declared, err := d.document(ctx, did)
	if err != nil {
		return nil, err
	}
	if declared != handle {
		return nil, refused("handle_mismatch", "the account does not have this handle")
	}
	a.handle = declared
	return a, nil
}

// byDID returns the account of a DID. Its handle is left out where it does not
// lead back to the DID; the account is none the worse.
func (d *directory) byDID(ctx context.Context, did syntax.DID) (*account, error) {
	a, declared, err := d.document(ctx, did)
	if err != nil {
		return nil, err
	}
	if declared == "" || declared.IsInvalidHandle() || !declared.AllowedTLD() {
		return a, nil
	}
	if back, err := d.resolveHandle(ctx, declared); err == nil && back == did {
		a.handle = declared
	}
	return a, nil
}

// document reads a DID's document: its PDS, and the handle that it declares,
// which is not checked yet.
func (d *directory) document(ctx context.Context, did syntax.DID) (*account, syntax.Handle, error) {
	if _, err := parseDID(did.String()); err != nil {
		return nil, "", err
	}
	doc, err := d.web.ResolveDID(ctx, did)
	if errors.Is(err, identity.ErrDIDNotFound) {
		return nil, "", refused("did_not_found", "there is no such account")
	}
	if err != nil {
		return nil, "", failed("reading the DID document", err)
	}
	id := identity.ParseIdentity(doc)
	service, ok := id.Services[pdsService]
	if !ok || service.Type != pdsType {
		return nil, "", refused("pds_missing", "the account has no PDS")
	}
	pds, ok := parseOrigin(service.URL)
	if !ok {
		return nil, "", refused("pds_refused", "the account's PDS is not an https host name")
	}
	declared, err := id.DeclaredHandle()
	if err != nil {
		declared = ""
	}
	return &account{did: did, pds: pds}, declared, nil
}

// resolveHandle asks DNS and, where that has no answer, the handle's own web
// server [https://atproto.com/specs/handle]. It stands in for indigo's
// ResolveHandle, which takes the first of two records that contradict each
// other and returns neither a DID nor an error where only the web is asked and
// fails.
func (d *directory) resolveHandle(ctx context.Context, handle syntax.Handle) (syntax.DID, error) {
	did, dnsErr := d.resolveTXT(ctx, handle)
	if dnsErr == nil || errors.Is(dnsErr, errAmbiguous) {
		return did, dnsErr
	}
	did, err := d.web.ResolveHandleWellKnown(ctx, handle)
	switch {
	case err == nil:
		return did, nil
	case errors.Is(err, identity.ErrHandleNotFound), errors.Is(dnsErr, errNoRecord) && unreachable(err):
		return "", refused("handle_not_found", "there is no such handle")
	}
	return "", failed("resolving the handle", err)
}

var (
	errNotInDNS  = errors.New("bluesky: the handle is resolved without DNS")
	errNoRecord  = errors.New("bluesky: the handle has no DNS record")
	errAmbiguous = refused("handle_ambiguous", "the handle's DNS names two accounts")
)

// resolveTXT returns the DID in the TXT records of a handle. It returns
// errNoRecord where DNS says that there is none. It does not ask for handles
// that Bluesky hosts, which have none, nor for .test, which DNS does not have
// [RFC 6761 § 6.2].
func (d *directory) resolveTXT(ctx context.Context, handle syntax.Handle) (syntax.DID, error) {
	if strings.HasSuffix(handle.String(), ".bsky.social") || handle.TLD() == "test" {
		return "", errNotInDNS
	}
	ctx, cancel := context.WithTimeout(ctx, dnsTimeout)
	defer cancel()
	// The dot at the end keeps the resolver from trying the host's own domains.
	records, err := d.dns.LookupTXT(ctx, "_atproto."+handle.String()+".")
	if answer, ok := errors.AsType[*net.DNSError](err); ok && answer.IsNotFound {
		return "", errNoRecord
	}
	if err != nil {
		return "", err
	}
	return onlyDID(records)
}

// onlyDID returns the one DID that records name; other records may stand
// beside it.
func onlyDID(records []string) (syntax.DID, error) {
	var found syntax.DID
	for _, record := range records {
		text, ok := strings.CutPrefix(record, didRecord)
		did, err := syntax.ParseDID(text)
		switch {
		case !ok, err != nil, did == found:
		case found != "":
			return "", errAmbiguous
		default:
			found = did
		}
	}
	if found == "" {
		return "", errNoRecord
	}
	return found, nil
}

// unreachable reports whether err says that no web server answered at all, as
// of a name that does not exist. A server that is slow is not that.
func unreachable(err error) bool {
	u, ok := errors.AsType[*url.Error](err)
	return ok && !u.Timeout()
}
