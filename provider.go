package connect

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/seed944197df/connect/selection"
	"github.com/seed944197df/connect/tokencrypt"
)

// Secret is a value that prints as "[redacted]". See [tokencrypt.Secret].
type Secret = tokencrypt.Secret

// NewSecret returns a [Secret] that holds s.
func NewSecret(s string) Secret { return tokencrypt.NewSecret(s) }

// Provider is the adapter for one platform. Most users only pass providers to
// [New]; this is for those who write one.
//
// A provider describes itself and implements at least one way to connect
// ([OAuth] or [Credentials]). Everything else it can do is a capability: a
// small interface that the engine looks for once, in [New].
//
// A provider must be safe for concurrent use and must keep no state about
// grants. It must make every call through the [Env] that it is lent, must
// return errors as [*ProviderError] where the platform answered, and must not
// put a secret into any error.
type Provider interface {
	// Platform describes the platform. It must return the same each time.
	Platform() Platform
}

// Platform describes a platform to the engine: mostly data.
type Platform struct {
	Name        string        // in URLs and JSON: "facebook"; 1 to 32 of [a-z0-9]
	DisplayName string        // for people: "Facebook"
	Aliases     []string      // other names that requests may use: "twitter"
	Family      string        // shared by platforms that one client and one consent cover; defaults to Name
	Client      Client        // the host's shared client; zero where the platform has no clients
	Methods     []Method      // ways to connect, the default first
	Kinds       []Kind        // what can be connected
	Rotation    Rotation      // what a refresh does to the refresh token
	Revokes     Reach         // how far a revocation reaches
	Reconsent   Reconsent     // what a new consent does to the earlier one
	CodeTTL     time.Duration // life of an authorization code; zero: at least a minute
	Hosts       []string      // the only hosts that [Connector.Client] may reach
	APIBaseURL  string        // where the API is, with the version: "https://graph.facebook.com/v26.0"
	Version     Version       // the API version in use
	Denials     []string      // values of the error parameter that mean "the person said no", beside access_denied
	Nothing     string        // for people: what to do where a consent offers nothing; empty: our own words
	ProbeEvery  time.Duration // how often each process may ask by [Identifier] for [Connector.Health]; zero: every 10 s
}

// MethodType is how a method works.
type MethodType string

// The method types.
const (
	MethodOAuth       MethodType = "oauth"       // a redirect to the platform's consent screen
	MethodCredentials MethodType = "credentials" // the person types something into a form
)

// Method is one way to connect a platform.
type Method struct {
	ID             string // unique within the platform: "oauth", "app_password"
	Type           MethodType
	Fields         []Field  // what must be asked first
	DefaultScopes  []string // requested when a flow names none
	RequiredScopes []string // without these nothing can be connected
}

// Field is a value that a person types.
type Field struct {
	Name     string // key in JSON and forms
	Label    string // for people
	Help     string // one sentence; may be empty
	Secret   bool   // shown as dots and never echoed
	Required bool
}

// Kind is a sort of candidate.
type Kind struct {
	Name         string   // "profile", "page"; 1 to 32 of [a-z0-9_]
	Multiple     bool     // several may be chosen at once
	Scopes       []string // needed to use it; an account that lacks one is [AccountLimited]
	ClientScoped bool     // the platform gives each client other ids, so the client belongs to the account's key
}

// Rotation is what a refresh does to the refresh token that it presents.
type Rotation struct {
	Class  RotationClass
	Grace  time.Duration // RotationGrace: how long the old token still answers
	Source string        // where the platform or its users say so
}

// RotationClass names the three behaviours. The zero value is treated as
// RotationStrict.
type RotationClass string

// The rotation classes.
const (
	RotationStable RotationClass = "stable" // the refresh token stays
	RotationGrace  RotationClass = "grace"  // it is replaced; the old one answers a while longer
	RotationStrict RotationClass = "strict" // it is replaced; the old one kills the grant
)

// Reach is how far a revocation at the platform reaches. The zero value is
// treated as ReachNothing.
type Reach string

// The reaches.
const (
	ReachNothing Reach = "nothing" // the platform has no revocation
	ReachToken   Reach = "token"   // the presented token, and what was issued with it
	ReachSubject Reach = "subject" // everything that the subject gave to the client
)

// Reconsent is what a new consent does to an earlier one of the same subject.
type Reconsent string

// The kinds of new consent.
const (
	ReconsentReplaces Reconsent = "replaces" // it changes what earlier grants have, so that no flow may ask for less than the default scopes
	ReconsentCoexists Reconsent = "coexists" // earlier grants stay as they are
)

// Version is an API version and the day on which it ends.
type Version struct {
	Name   string
	Sunset time.Time // zero: no end is known
}

// Client is an OAuth client (RFC 6749 § 2): the registration at the platform.
type Client struct {
	Name   string // ours: "shared", or a tenant's own name for it
	ID     string // client_id at the platform
	Secret Secret // empty for a public client
}

// Env is what the engine lends to a provider for the time of one call.
type Env struct {
	Client      Client
	RedirectURL string // exactly as it was sent in the authorization request

	// HTTP is for calls that carry credentials: https only, public addresses
	// only, no redirects, no retries, at most 1 MiB of answer, 20 s in all.
	// Its errors are redacted.
	HTTP *http.Client
	// Lookup is for calls without credentials, to hosts that a person named:
	// as HTTP, but it follows up to 3 redirects and reads at most 64 KiB.
	Lookup *http.Client
	// Resolver is for DNS records other than addresses.
	Resolver *net.Resolver
	// NotSent reports whether an error of HTTP proves that no byte of the
	// request left. See [ClassUncertain].
	NotSent func(error) bool
	Now     func() time.Time
}

// OAuth connects by a redirect to the platform (RFC 6749 § 4.1).
type OAuth interface {
	// Begin returns the authorization request to send the browser to. It must
	// use the state, the redirect URL and an S256 challenge of the verifier
	// (RFC 7636 § 4.2) where the platform knows PKCE.
	Begin(ctx context.Context, env Env, req AuthRequest) (Authorization, error)
	// Exchange turns a checked authorization response into tokens and says
	// whose they are and what was granted. It must send the code at most once.
	Exchange(ctx context.Context, env Env, resp AuthResponse) (*Tokens, error)
}

// AuthRequest is what a flow asks of [OAuth.Begin].
type AuthRequest struct {
	Method    string
	State     string
	Verifier  Secret // PKCE code verifier, 43 characters
	Scopes    []string
	Input     map[string]string // values of the method's fields
	LoginHint string
	Reconnect bool // the person has consented before: ask again for what was declined
}

// Authorization is where to send the browser.
type Authorization struct {
	URL     string
	Issuer  string // RFC 9207: what the iss parameter must be; empty where the platform sends none
	Private Secret // kept sealed in the flow and handed to Exchange; at most 16 KiB
}

// AuthResponse is a checked authorization response: the state was ours, the
// browser and user are those who began, no parameter is repeated, there is no
// error parameter.
type AuthResponse struct {
	Method   string
	Query    url.Values
	Verifier Secret
	Scopes   []string // as requested
	Private  Secret   // of the [Authorization]
}

// Format writes "[redacted]", whatever the verb is: the query holds the code.
func (AuthResponse) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "[redacted]") }

// MarshalJSON writes "[redacted]" for the same reason.
func (AuthResponse) MarshalJSON() ([]byte, error) { return []byte(`"[redacted]"`), nil }

// Credentials connects by values that a person types.
type Credentials interface {
	// Login checks the values at the platform. It must refuse what does not
	// have the right shape before anything is sent, with [ClassRefused].
	Login(ctx context.Context, env Env, req LoginRequest) (*Tokens, error)
}

// LoginRequest holds what a person typed, by [Field] name. All of it is
// secret: people type passwords into the wrong field.
type LoginRequest struct {
	Method string
	Values map[string]Secret
}

// Tokens is what a grant holds. The engine seals it as a whole.
type Tokens struct {
	Subject string // the resource owner's stable id at the platform, the server included where there are many
	Access  Secret // bearer token; empty where requests are signed otherwise
	Refresh Secret
	Private Secret // the provider's own: keys, nonces; versioned by the provider; at most 16 KiB

	AccessExpiry  *time.Time // nil: unknown; the zero time: never
	RefreshExpiry *time.Time // likewise

	Scopes     []string   // granted, not requested
	Hosts      []string   // hosts that Client may reach beside Platform.Hosts
	APIBaseURL string     // overrides Platform.APIBaseURL
	Self       *Candidate // set where the grant is exactly one candidate
}

// Candidate is a [selection.Candidate] with what the engine keeps of it. Its id
// is [selection.Candidate.ID]. A candidate above 16 KiB is left out, and a flow
// keeps at most 2000 of them, 512 KiB together.
type Candidate struct {
	selection.Candidate

	Target       map[string]string // public facts that a caller of the API needs: a PDS, a parent's id
	Access       Secret            // its own access token, where it has one
	AccessExpiry *time.Time        // of Access; as in Tokens
}

// Lister lists what a grant could connect, for platforms where that is not
// the grant itself.
type Lister interface {
	// List returns one page of candidates. A page may be empty and still name a
	// next cursor. The cursor must hold no secret.
	List(ctx context.Context, env Env, tokens *Tokens, req ListRequest) (CandidatePage, error)
}

// ListRequest asks for candidates.
type ListRequest struct {
	Parent string // a candidate's id: only what belongs to it; a provider of one level ignores it
	Cursor string // Next of the page before; empty for the first
}

// CandidatePage is one page of candidates.
type CandidatePage struct {
	Candidates []Candidate
	Next       string // empty on the last page; at most 1 KiB
}

// Refresher gets new tokens for a grant (RFC 6749 § 6). Without it a grant ends
// when its access token ends; accounts with a token of their own live on.
type Refresher interface {
	// Refresh returns the new tokens. What is empty in them keeps its old
	// value, but AccessExpiry, which belongs to Access. It must send at most one request that presents the refresh token;
	// where that request may have been carried out and the answer is lost, it
	// must return [ClassUncertain]. A 5xx that names no error of the platform is
	// no answer: what stands before a platform says so after it has passed the
	// request on, too.
	Refresh(ctx context.Context, env Env, tokens *Tokens) (*Tokens, error)
}

// Identifier asks the platform whose an access token is. Without it nothing
// can be imported, [Connector.Health] tells only what is stored, and an answer
// to [Connector.Client] ends no account whose token cannot be refreshed.
type Identifier interface {
	// Identify returns what only the platform can say: Subject, Self where the
	// grant is one candidate, Scopes where the platform tells them, Hosts and
	// APIBaseURL where they are the grant's own. The rest is left empty.
	//
	// tokens.Subject is empty where nobody we trust has said yet whose tokens
	// they are: the answer must then hold against a server that lies. Otherwise
	// Subject alone may be returned. tokens.Access may be an account's own
	// token; Subject is then that account's [selection.Candidate.PlatformID].
	//
	// It must not present the refresh token nor change tokens, and must cost
	// next to nothing: it is asked for each account again and again. A token
	// that the platform refuses is [ClassExpired], [ClassReconnect] or
	// [ClassRefused].
	Identify(ctx context.Context, env Env, tokens *Tokens) (*Tokens, error)
}

// Revoker ends a grant at the platform (RFC 7009), refresh token first.
type Revoker interface {
	// Revoke must treat an unknown or already revoked token as success.
	Revoke(ctx context.Context, env Env, tokens *Tokens) error
}

// Signer authorizes the requests of [Connector.Client]. Without it they carry
// "Authorization: Bearer" and the access token (RFC 6750 § 2.1).
type Signer interface {
	// Sign authorizes r, which is a private copy. tokens.Access is the
	// account's own token where it has one. It must not read r's body.
	Sign(env Env, tokens *Tokens, r *http.Request) error
}

// Checker refuses settings that a provider was made with. Without it they are
// taken as they are.
type Checker interface {
	// Check is called once, by [New], whose error it becomes: it must say which
	// setting is wrong and the way out, and must not quote a secret.
	Check() error
}

// Refuser reads an authorization response that brings no code. Without it only
// the error parameter counts (RFC 6749 § 4.1.2.1): access_denied and
// [Platform].Denials are [ClassDenied], anything else is [ClassRetry].
type Refuser interface {
	// Refused returns the class of a refusal and the platform's code for it,
	// and false where the response is neither a refusal nor anything else that
	// the platform sends.
	Refused(query url.Values) (class ErrorClass, code string, refused bool)
}

// Classifier reads an answer of the platform's API that is not a success. The
// engine uses it to refresh once where the access token is over. Without it,
// 401 is [ClassExpired] and everything else is left to the caller.
type Classifier interface {
	// Classify returns the class, and false where the answer says nothing
	// about the grant. body holds at most 64 KiB.
	Classify(status int, header http.Header, body []byte) (ErrorClass, bool)
}
