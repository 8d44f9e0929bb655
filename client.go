package connect

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed944197df/connect/tokencrypt"
)

// Client returns an HTTP client that calls the platform as the account. The
// client refreshes before the token ends, and once where the platform says
// that it has ended; it may be kept and shared, and each request looks the
// account up anew. Its errors are [*Error]s with the code that says who must
// act: [CodeReauthRequired], [CodeTokenExpired], [CodeTargetLost],
// [CodeSuspended], [CodeDisconnected]. What else the platform answers is the
// caller's; where it says that a permission is missing, the account becomes
// [AccountLimited] as well.
//
// It reaches https addresses of the platform's own hosts only, follows no
// redirect, and sets no deadline beside the request's context.
func (c *Connector) Client(ctx context.Context, tenant, accountID string) (*http.Client, error) {
	if _, err := c.usable(ctx, tenant, accountID); err != nil {
		return nil, err
	}
	return &http.Client{
		Transport:     &accountTransport{c: c, tenant: tenant, accountID: accountID},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// accountTransport authorizes each request as one account.
type accountTransport struct {
	c                 *Connector
	tenant, accountID string
}

// RoundTrip implements [http.RoundTripper].
func (t *accountTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	use, err := t.c.use(r.Context(), t.tenant, t.accountID)
	if err != nil {
		return nil, closing(r, err)
	}
	if err := use.mayReach(r); err != nil {
		return nil, closing(r, err)
	}
	resp, err := t.c.send(use, r)
	if err != nil || resp.StatusCode < http.StatusBadRequest {
		return resp, err
	}
	return t.heed(use, r, resp)
}

// heed acts on what an answer says about the account. What says nothing is the
// caller's alone.
func (t *accountTransport) heed(use *accountUse, r *http.Request, resp *http.Response) (*http.Response, error) {
	class, known := use.classify(resp)
	if !known {
		return resp, nil
	}
	switch class {
	case ClassExpired, ClassReconnect:
		if !use.ownToken && use.adapter.refreshable(use.tokens, t.c.cfg.Now()) {
			return t.again(use, r, resp)
		}
		return t.doubted(use, r, resp)
	case ClassTargetLost:
		return t.doubted(use, r, resp)
	case ClassSuspended:
		return nil, t.blocked(use, resp)
	case ClassScopeMissing:
		t.lacking(use)
	case ClassConfig:
		t.c.cfg.Logger.Error("a client is refused by its platform", "op", "client", "platform", use.adapter.Name, "status", resp.StatusCode)
	default:
	}
	return resp, nil
}

// doubted asks the platform whether an answer was about the account.
//
// What a platform answers to a request of the host's own may be about that
// request alone: Facebook says of each post that was deleted what it says of a
// Page that is gone. So such an answer ends nothing. What ends an account is
// the platform's word on a question of ours: a refresh, or this one with the
// same token. Where it may not be asked now, or cannot be, the caller has the
// answer, and the next one may tell.
func (t *accountTransport) doubted(use *accountUse, r *http.Request, resp *http.Response) (*http.Response, error) {
	heard := t.c.probe(r.Context(), &exam{account: use.account, grant: use.grant, adapter: use.adapter, tokens: use.tokens})
	switch {
	case heard == nil || heard.err == nil:
		return resp, nil
	case classOf(heard.err) == ClassTargetLost:
		return nil, t.lost(use, resp, AccountTargetLost)
	case !refusesToken(heard.err):
		return resp, nil
	case use.ownToken:
		return nil, t.lost(use, resp, AccountReauthRequired)
	default:
		return t.again(use, r, resp)
	}
}

// again refreshes once and repeats the request; where that cannot be, the
// caller gets the platform's own answer.
func (t *accountTransport) again(use *accountUse, r *http.Request, resp *http.Response) (*http.Response, error) {
	if err := t.c.refresh(r.Context(), use.grant, true); err != nil {
		if CodeOf(err) == CodeReauthRequired || CodeOf(err) == CodeTokenExpired {
			_ = resp.Body.Close()
			return nil, err
		}
		return resp, nil
	}
	if !replayable(r) {
		return resp, nil
	}
	fresh, err := t.c.use(r.Context(), t.tenant, t.accountID)
	if err == nil {
		err = fresh.mayReach(r) // the account may have moved to another server meanwhile
	}
	if err != nil {
		return resp, nil //nolint:nilerr // the platform has answered, and that answer is the caller's
	}
	_ = resp.Body.Close()
	repeat := r.Clone(r.Context())
	if r.GetBody != nil {
		if repeat.Body, err = r.GetBody(); err != nil {
			return nil, fmt.Errorf("connect: repeating a request after a refresh: %w", err)
		}
	}
	return t.c.send(fresh, repeat)
}

// closing keeps the promise of a RoundTripper to close the body.
func closing(r *http.Request, err error) error {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return err
}

func replayable(r *http.Request) bool {
	return r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
}

// accountUse is an account with everything that a request needs, open.
type accountUse struct {
	account  Account
	grant    Grant
	adapter  *adapter
	tokens   *Tokens // Access is the account's own where it has one
	ownToken bool
}

// usable reads an account and refuses one that does not work.
func (c *Connector) usable(ctx context.Context, tenant, accountID string) (Account, error) {
	account, err := c.readAccount(ctx, "client", tenant, accountID)
	if err != nil {
		return Account{}, err
	}
	if account.Status != AccountActive && account.Status != AccountLimited {
		return Account{}, unusable("client", account.Platform, account.Status)
	}
	return account, nil
}

// unusable says why an account does not work and who must act.
func unusable(op, platform string, status AccountStatus) *Error {
	messages := map[AccountStatus]string{
		AccountTokenExpired:   "The token ended and could not be refreshed. The user must connect again.",
		AccountReauthRequired: "The platform ended the grant. The user must connect again.",
		AccountTargetLost:     "The account is gone at the platform or out of reach. The user must choose another.",
		AccountSuspended:      "The platform has blocked this app or account. The host or the platform must act.",
		AccountDisconnected:   "The account was disconnected.",
	}
	return &Error{Code: Code(status), Op: op, Platform: platform, Message: messages[status]}
}

// use opens an account for one request, refreshed where its token is over.
func (c *Connector) use(ctx context.Context, tenant, accountID string) (*accountUse, error) {
	use, err := c.openUse(ctx, tenant, accountID)
	now := c.cfg.Now()
	if err != nil || use.ownToken || !over(use.tokens.AccessExpiry, now.Add(expirySkew)) {
		return use, err
	}
	ended := over(use.tokens.AccessExpiry, now)
	if due := use.grant.DueAt; !ended && due != nil && now.Before(*due) {
		return use, nil // its whole life is short, and Run will see to it
	}
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if !ended {
		waiting, cancel = context.WithTimeout(ctx, patience)
	}
	defer cancel()
	if err := c.refresh(waiting, use.grant, false); err != nil {
		if CodeOf(err) == CodeReauthRequired || ended || ctx.Err() != nil {
			return nil, err
		}
		return use, nil // what is left of the old token still works
	}
	return c.openUse(ctx, tenant, accountID)
}

func (c *Connector) openUse(ctx context.Context, tenant, accountID string) (*accountUse, error) {
	account, err := c.usable(ctx, tenant, accountID)
	if err != nil {
		return nil, err
	}
	a, err := c.adapter("client", account.Platform)
	if err != nil {
		return nil, err
	}
	grant, err := c.cfg.Store.ReadGrant(ctx, GrantKey{Tenant: tenant, ID: account.GrantID})
	if err != nil {
		return nil, storeError("client", err)
	}
	if grant.Platform != account.Platform { // neither binding can tell
		return nil, storeError("client", fmt.Errorf("connect: an account and its grant are of two platforms: %w", tokencrypt.ErrIntegrity))
	}
	use := &accountUse{account: account, grant: grant, adapter: a}
	if use.tokens, err = c.openGrant(grant); err != nil {
		return nil, storeError("client", err)
	}
	own, err := c.openAccount(account)
	if err != nil {
		return nil, storeError("client", err)
	}
	if !own.IsZero() {
		use.ownToken, use.tokens.Access, use.tokens.AccessExpiry = true, own, account.TokenExpiry
	}
	return use, nil
}

// mayReach refuses every address that is not the platform's.
//
// Security: the token goes to these hosts and nowhere else, whatever URL the
// caller was talked into. The hosts that a grant adds are sealed with it.
func (use *accountUse) mayReach(r *http.Request) error {
	host := r.URL.Hostname()
	allowed := slices.Contains(use.adapter.Hosts, host) || slices.Contains(use.tokens.Hosts, host)
	plain := r.URL.Scheme == "https" && r.URL.User == nil && r.URL.Opaque == "" && (r.URL.Port() == "" || r.URL.Port() == "443")
	if plain && allowed && (r.Host == "" || r.Host == r.URL.Host) {
		return nil
	}
	return &Error{Code: CodeForbidden, Op: "client", Platform: use.adapter.Name, AccountID: use.account.ID, Message: unreached(r, allowed)}
}

// unreached says what is wrong with an address. It names the host at most: the
// rest of an address may hold a secret.
func unreached(r *http.Request, allowed bool) string {
	switch {
	case !allowed:
		return fmt.Sprintf("The host %.100q is not one of the platform's, so that no token is sent there.", r.URL.Hostname())
	case r.URL.Scheme != "https":
		return "Only https is reached, so that the token is not sent in the clear."
	default:
		return "An address with a user, a port or another Host header is not reached."
	}
}

// send signs a copy of the request and sends it.
func (c *Connector) send(use *accountUse, r *http.Request) (*http.Response, error) {
	signed := r.Clone(r.Context())
	signed.Header.Del("Authorization")
	if err := c.sign(use, signed); err != nil {
		return nil, closing(r, err)
	}
	resp, err := c.outbound(use.adapter).Transport().RoundTrip(signed)
	if resp != nil {
		resp.Request = r // what was sent carries the token
		// Security: http.Client quotes a Location that it cannot parse in its
		// error, and a platform may repeat there what it was sent.
		if _, bad := resp.Location(); bad != nil {
			resp.Header.Del("Location")
		}
	}
	return resp, err
}

func (c *Connector) sign(use *accountUse, r *http.Request) error {
	if use.adapter.signer != nil {
		return use.adapter.signer.Sign(use.adapter.env, use.tokens, r)
	}
	if use.tokens.Access.IsZero() {
		return &Error{Code: CodeUnsupported, Op: "client", Platform: use.adapter.Name, Message: "The account has no token to call the platform with.", Err: ErrNoToken}
	}
	r.Header.Set("Authorization", "Bearer "+use.tokens.Access.Reveal())
	return nil
}

// classify reads what an answer says about the grant, if anything. It reads the
// answer's beginning and puts it back.
func (use *accountUse) classify(resp *http.Response) (ErrorClass, bool) {
	head, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	resp.Body = &replayedBody{io.MultiReader(bytes.NewReader(head), resp.Body), resp.Body}
	if err != nil {
		return "", false
	}
	return use.adapter.classify(resp.StatusCode, resp.Header, head)
}

// replayedBody reads what was read before, then the rest.
type replayedBody struct {
	io.Reader
	io.Closer
}

// TokenSource returns the account's bearer token for libraries that insist on
// one. The token leaves the engine's protection: it may be logged or sent
// anywhere. Use [Connector.Client] where you can. The error is [ErrNoToken]
// for an account whose requests are signed otherwise.
//
// The source may be kept and is safe for concurrent use. It waits at most a
// minute for a refresh.
func (c *Connector) TokenSource(ctx context.Context, tenant, accountID string) (oauth2.TokenSource, error) {
	source := &tokenSource{c: c, tenant: tenant, accountID: accountID}
	if _, err := source.token(ctx); err != nil {
		return nil, err
	}
	return source, nil
}

type tokenSource struct {
	c                 *Connector
	tenant, accountID string
}

// Token implements [oauth2.TokenSource].
func (s *tokenSource) Token() (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(s.c.background, time.Minute)
	defer cancel()
	return s.token(ctx)
}

func (s *tokenSource) token(ctx context.Context) (*oauth2.Token, error) {
	use, err := s.c.use(ctx, s.tenant, s.accountID)
	if err != nil {
		return nil, err
	}
	if use.tokens.Access.IsZero() {
		return nil, &Error{Code: CodeUnsupported, Op: "token", Platform: use.adapter.Name, Message: "The account has no bearer token; use Client.", Err: ErrNoToken}
	}
	token := &oauth2.Token{AccessToken: use.tokens.Access.Reveal(), TokenType: "Bearer"}
	if use.tokens.AccessExpiry != nil {
		token.Expiry = *use.tokens.AccessExpiry
	}
	return token, nil
}

var _ http.RoundTripper = (*accountTransport)(nil)
