package connect

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/seed944197df/connect/selection"
)

// sharedClient is our name for the client that the host configured for all
// its tenants.
const sharedClient = "shared"

// adapter is a provider with its capabilities asserted; nil where it lacks
// one. What the engine does without it stands at each capability's interface.
type adapter struct {
	Platform
	sandboxed bool // see Config.UnsafeRewriteHost
	env       Env  // what the provider is lent, the same for every call
	gates     *gates
	probes    *probes

	oauth       OAuth
	credentials Credentials
	lister      Lister
	refresher   Refresher
	identifier  Identifier
	refuser     Refuser
	checker     Checker
	revoker     Revoker
	signer      Signer
	classifier  Classifier
}

func newAdapter(p Provider) *adapter {
	a := &adapter{Platform: p.Platform()}
	a.Client.Name = sharedClient
	setDefault(&a.Family, a.Name)
	a.oauth, _ = p.(OAuth)
	a.credentials, _ = p.(Credentials)
	a.lister, _ = p.(Lister)
	a.refresher, _ = p.(Refresher)
	a.identifier, _ = p.(Identifier)
	a.refuser, _ = p.(Refuser)
	a.checker, _ = p.(Checker)
	a.revoker, _ = p.(Revoker)
	a.signer, _ = p.(Signer)
	a.classifier, _ = p.(Classifier)
	return a
}

func (a *adapter) check() error {
	switch {
	case !platformName.MatchString(a.Name):
		return errors.New("the platform's name must be 1 to 32 of a-z and 0-9")
	case a.DisplayName == "":
		return fmt.Errorf("%s has no display name", a.Name)
	case len(a.Methods) == 0:
		return fmt.Errorf("%s has no method to connect by", a.Name)
	case len(a.Kinds) == 0:
		return fmt.Errorf("%s has no kind of account", a.Name)
	}
	for _, k := range a.Kinds {
		if !kindName.MatchString(k.Name) {
			return fmt.Errorf("%s: kind names must be 1 to 32 of a-z, 0-9 and _", a.Name)
		}
	}
	if err := a.checkMethods(); err != nil || a.checker == nil {
		return err
	}
	return a.checker.Check()
}

func (a *adapter) checkMethods() error {
	for _, m := range a.Methods {
		switch {
		case m.Type == MethodOAuth && a.oauth == nil, m.Type == MethodCredentials && a.credentials == nil:
			return fmt.Errorf("%s: method %q is not implemented by the provider", a.Name, m.ID)
		case m.Type != MethodOAuth && m.Type != MethodCredentials:
			return fmt.Errorf("%s: method %q has an unknown type", a.Name, m.ID)
		case m.Type == MethodOAuth && a.Client.ID == "":
			return fmt.Errorf("%s: the client id is empty; pass the one of your app at the platform", a.Name)
		}
	}
	return nil
}

// method returns the method with the id, or the first of the type where the id
// is empty. Without a type it may be of any.
func (a *adapter) method(id string, kind MethodType) (Method, bool) {
	for _, m := range a.Methods {
		if (kind == "" || m.Type == kind) && (id == "" || m.ID == id) {
			return m, true
		}
	}
	return Method{}, false
}

func (a *adapter) methodByID(id string) Method {
	i := slices.IndexFunc(a.Methods, func(m Method) bool { return m.ID == id })
	if i < 0 {
		return Method{}
	}
	return a.Methods[i]
}

// hasField reports whether one of the methods asks for a field of this name. A
// nil adapter has none.
func (a *adapter) hasField(name string) bool {
	return a != nil && slices.ContainsFunc(a.Methods, func(m Method) bool { return m.field(name) })
}

func (m Method) field(name string) bool {
	return slices.ContainsFunc(m.Fields, func(f Field) bool { return f.Name == name })
}

func (a *adapter) kind(name string) (Kind, bool) {
	i := slices.IndexFunc(a.Kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return a.Kinds[i], true
}

// multiple tells selection which kinds may be chosen more than once.
func (a *adapter) multiple() selection.Multiple {
	m := selection.Multiple{}
	for _, k := range a.Kinds {
		m[k.Name] = k.Multiple
	}
	return m
}

// subjectKey names whom a client acts for, over all tenants and over the
// platforms that one consent covers, without saying who it is.
func (a *adapter) subjectKey(subject string) string {
	h := sha256.New()
	for _, s := range []string{a.Family, a.Client.ID, subject} {
		var length [4]byte
		binary.BigEndian.PutUint32(length[:], uint32(len(s)))
		h.Write(length[:])
		h.Write([]byte(s))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// minted reports whether the grant is of the client that is configured. Another
// client must present nothing of it: a server takes that for a theft (RFC 6749
// § 5.2), and refuses what the right one could still use.
func (a *adapter) minted(g Grant) bool { return g.ClientID == a.Client.ID }

// refreshable reports whether there is a refresh token to present.
func (a *adapter) refreshable(t *Tokens, now time.Time) bool {
	return a.refresher != nil && !t.Refresh.IsZero() && !over(t.RefreshExpiry, now)
}

// refused reads a response without a code; see [Refuser].
func (a *adapter) refused(query url.Values) (ErrorClass, string, bool) {
	if a.refuser != nil {
		return a.refuser.Refused(query)
	}
	code := query.Get("error")
	if code == "access_denied" || slices.Contains(a.Denials, code) {
		return ClassDenied, code, true
	}
	return ClassRetry, code, code != ""
}

// codeIsShortLived reports whether an authorization code could end before a
// host that must first load a page calls Complete.
func (a *adapter) codeIsShortLived() bool {
	return a.CodeTTL > 0 && a.CodeTTL < time.Minute
}

// classify returns what an answer of the API says about the grant.
func (a *adapter) classify(status int, header http.Header, body []byte) (ErrorClass, bool) {
	if a.classifier != nil {
		return a.classifier.Classify(status, header, body)
	}
	return ClassExpired, status == http.StatusUnauthorized
}
