package bluesky

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"github.com/seed944197df/connect"
)

// Limits of what a person may type, in bytes, checked before any of it is
// parsed.
const (
	maxIdentifier = 2048 // a DID [https://atproto.com/specs/did]
	maxEmail      = 254  // [RFC 5321 § 4.5.3.1.3]
	maxPassword   = 64   // an app password has 19
	maxPDS        = 300  // a host name has 253, "https://" may stand before it
)

var (
	// appPassword is the shape of an app password: 80 bits in base32.
	appPassword = regexp.MustCompile(`^[a-z2-7]{4}(-[a-z2-7]{4}){3}$`)
	// plcDID is stricter than indigo's, which lets a path through
	// [https://web.plc.directory/spec/v0.1/did-plc].
	plcDID = regexp.MustCompile(`^did:plc:[a-z2-7]{24}$`)
)

// form is what a person typed, normalised, each in its right shape.
type form struct {
	did      syntax.DID    // one of did, handle and email is set
	handle   syntax.Handle // in lower case
	email    string
	pds      string // origin; only with email, and empty for the entryway
	password connect.Secret
}

// parseForm reads values without asking anybody. Its errors repeat none of
// them: people type passwords into the wrong field.
func parseForm(values map[string]connect.Secret) (form, error) {
	var f form
	if err := f.setPassword(values[fieldAppPassword].Reveal()); err != nil {
		return form{}, err
	}
	if err := f.setIdentifier(values[fieldIdentifier].Reveal()); err != nil {
		return form{}, err
	}
	if f.email == "" {
		return f, nil // the document says which PDS it is
	}
	if err := f.setPDS(values[fieldPDS].Reveal()); err != nil {
		return form{}, err
	}
	return f, nil
}

// setPassword refuses everything but an app password. Security: a main
// password can do anything to the account, so it is never sent, not even to
// its own server.
func (f *form) setPassword(typed string) error {
	if len(typed) > maxPassword {
		return refused("not_an_app_password", "the password is not an app password")
	}
	typed = clean(typed)
	if !appPassword.MatchString(typed) {
		return refused("not_an_app_password", "the password is not an app password")
	}
	f.password = connect.NewSecret(typed)
	return nil
}

func (f *form) setIdentifier(typed string) error {
	if len(typed) > maxIdentifier {
		return refused("bad_identifier", "the identifier is too long")
	}
	typed = strings.TrimPrefix(clean(typed), "@")
	switch {
	case strings.HasPrefix(typed, "did:"):
		return f.setDID(typed)
	case strings.Contains(typed, "@"):
		return f.setEmail(typed)
	}
	handle, err := syntax.ParseHandle(typed)
	if err != nil || handle.IsInvalidHandle() || !handle.AllowedTLD() {
		return refused("bad_identifier", "the identifier is neither a handle nor a DID nor an e-mail address")
	}
	f.handle = handle.Normalize()
	return nil
}

func (f *form) setDID(typed string) error {
	did, err := parseDID(typed)
	if err != nil {
		return err
	}
	f.did = did
	return nil
}

// parseDID accepts the two methods of the AT Protocol. A did:web is a host name
// there, without port or path.
func parseDID(text string) (syntax.DID, error) {
	did, err := syntax.ParseDID(text)
	if err != nil {
		return "", refused("bad_identifier", "the DID is malformed")
	}
	if plcDID.MatchString(text) {
		return did, nil
	}
	host, err := syntax.ParseHandle(strings.TrimPrefix(text, "did:web:"))
	if err != nil || !host.AllowedTLD() {
		return "", refused("did_unsupported", "the DID is neither a did:plc nor a did:web of a host name")
	}
	return did, nil
}

// setEmail checks no more than that there is one name and one host. Whether
// there is such an address is the server's to say.
func (f *form) setEmail(typed string) error {
	name, host, _ := strings.Cut(typed, "@")
	if name == "" || host == "" || len(typed) > maxEmail || strings.ContainsFunc(typed, unicode.IsSpace) || strings.Contains(host, "@") {
		return refused("bad_identifier", "the e-mail address is malformed")
	}
	f.email = typed
	return nil
}

func (f *form) setPDS(typed string) error {
	if len(typed) > maxPDS {
		return refused("bad_pds", "the server's name is too long")
	}
	typed = strings.ToLower(clean(typed))
	if typed == "" {
		return nil
	}
	if !strings.Contains(typed, "://") {
		typed = "https://" + typed
	}
	pds, ok := parseOrigin(typed)
	if !ok {
		return refused("bad_pds", "the server is not a host name")
	}
	f.pds = pds
	return nil
}

// clean removes white space around typed and, anywhere in it, format
// characters, which copying from an app brings along: marks of text direction,
// zero-width spaces.
func clean(typed string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, typed))
}

// parseOrigin returns text as "https://host". It accepts https and a host name
// of at least two labels; no port, path, query or user.
func parseOrigin(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil {
		return "", false
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	host, err := syntax.ParseHandle(u.Host) // the grammar of a host name [RFC 1123 § 2.1]
	if err != nil || u.String() != "https://"+u.Host {
		return "", false
	}
	return "https://" + host.Normalize().String(), true
}
