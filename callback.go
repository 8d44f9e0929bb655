package connect

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	exchangeTimeout = 30 * time.Second // what the platform gets, from the claim to the candidates
	commitTimeout   = 30 * time.Second // what the store gets after that
	readBack        = 5 * time.Second  // and once more, where its answer was lost
	loserWait       = 10 * time.Second // how long a second callback waits for the first
	maxQuery        = 8 << 10
	maxCode         = 2 << 10

	// stateKept is how long after its expiry a state may still ask how its flow
	// ended; later it is refused before the store is asked.
	stateKept = time.Hour
)

// Callback takes an authorization response (RFC 6749 § 4.1.2) through every
// check and to its outcome. Most hosts mount [Connector.CallbackHandler]
// instead. platform and client are those of the redirect URI; client is empty
// for the shared one.
//
// A response is used once: of any number of calls with one, one exchanges the
// code, and all get its outcome. An [*Error] means that there is no outcome to
// send the browser on with.
func (c *Connector) Callback(r *http.Request, platform, client string) (*Outcome, error) {
	resp, err := c.parseResponse("callback", platform, client, r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	at, err := c.flowOf(r.Context(), resp)
	if err != nil {
		return nil, err
	}
	visitor, err := c.visitor(r)
	if err != nil {
		return nil, err
	}
	switch c.boundTo(at.flow, visitor, r) {
	case boundNo:
		return nil, c.burn(r.Context(), at)
	case boundAbsent:
		if at.flow.Binding == BindBrowser {
			return nil, mismatch(at.op, at.flow)
		}
		return c.park(r.Context(), at, resp)
	case boundYes:
	}
	if visitor == nil {
		visitor = &Principal{Tenant: at.flow.Tenant, User: at.flow.User}
	}
	if err := c.stillAllowed(r.Context(), *visitor, at, ActionStart); err != nil {
		return nil, err
	}
	return c.arrive(r.Context(), at, resp)
}

// response is an authorization response that was parsed, but not yet believed.
type response struct {
	op     string
	claims StateClaims
	query  url.Values
	answer []byte // SHA-256 of the raw query
}

// parseResponse reads a query strictly: bounded, well-formed, no name twice,
// exactly one of code and error, and a state of ours for this redirect URI.
func (c *Connector) parseResponse(op, platform, client, rawQuery string) (*response, error) {
	a, err := c.adapter(op, platform)
	if err != nil {
		return nil, err
	}
	query, err := strictQuery(rawQuery)
	if err != nil {
		return nil, invalid(op, "", "The address is not a well-formed answer of "+a.DisplayName+".")
	}
	_, _, failed := a.refused(query)
	switch {
	case query.Get("state") == "":
		return nil, invalid(op, "state", "The address holds no state. Start again from the app.")
	case query.Has("code") && (failed || query.Has("error")), query.Get("code") == "" && !failed:
		return nil, invalid(op, "code", "The address must hold a code or an error, and not both.")
	case len(query.Get("code")) > maxCode:
		return nil, invalid(op, "code", "The code is too long.")
	case len(query.Get("state")) > maxState:
		return nil, invalid(op, "state", "The state is too long.")
	}
	claims, err := c.cfg.State.OpenState(query.Get("state"))
	if err != nil {
		return nil, invalid(op, "state", "The state is not one of ours. Start again from the app.")
	}
	if c.cfg.Now().After(claims.Expiry.Add(stateKept)) {
		return nil, &Error{Code: CodeExpired, Op: op, Platform: a.Name, Message: "This took too long. Start again from the app."}
	}
	if client == "" {
		client = sharedClient
	}
	if claims.Platform != a.Name || claims.Client != client {
		return nil, invalid(op, "state", "The answer belongs to another platform or client.")
	}
	sum := sha256.Sum256([]byte(rawQuery))
	return &response{op: op, claims: claims, query: query, answer: sum[:]}, nil
}

var errQuery = errors.New("malformed query")

// strictQuery parses what url.ParseQuery would silently drop or merge.
func strictQuery(raw string) (url.Values, error) {
	if len(raw) > maxQuery || strings.Contains(raw, ";") {
		return nil, errQuery
	}
	query := url.Values{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(key)
		text, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil || query.Has(name) {
			return nil, errQuery
		}
		query.Set(name, text)
	}
	return query, nil
}

// flowOf reads the flow that a response names and checks what the row knows.
func (c *Connector) flowOf(ctx context.Context, resp *response) (*attempt, error) {
	flow, err := c.cfg.Store.ReadFlow(ctx, FlowKey{ID: resp.claims.FlowID})
	if errors.Is(err, ErrNotFound) {
		return nil, &Error{Code: CodeExpired, Op: resp.op, Platform: resp.claims.Platform, Message: "This attempt is over. Start again from the app."}
	}
	if err != nil {
		return nil, storeError(resp.op, err)
	}
	if flow.Platform != resp.claims.Platform || flow.Client != resp.claims.Client {
		return nil, invalid(resp.op, "state", "The answer belongs to another platform or client.")
	}
	at, err := c.openFlow(resp.op, flow)
	if err != nil {
		return nil, err
	}
	// RFC 9207 § 2.4: where the server says that it names itself, it must.
	if at.request.Issuer != "" && at.request.Issuer != resp.query.Get("iss") {
		return nil, invalid(resp.op, "iss", "The answer comes from another server.")
	}
	return at, nil
}

// visitor is the host's own session in a browser, nil where there is none.
func (c *Connector) visitor(r *http.Request) (*Principal, error) {
	p, err := c.cfg.Authenticate(r)
	if errors.Is(err, ErrUnauthenticated) {
		return nil, nil //nolint:nilnil // nobody is a valid answer, and boundTo treats it as such
	}
	if err != nil {
		return nil, &Error{Code: CodeUnavailable, Op: "callback", Message: "We could not tell who you are. Try again in a moment.", RetryAfter: 2 * time.Second, Err: err}
	}
	return &p, checkPrincipal("callback", p)
}

func mismatch(op string, flow Flow) *Error {
	return &Error{Code: CodeBindingMismatch, Op: op, Platform: flow.Platform, Message: "This was started in another browser or by another person. Start again from the app.", Err: errMismatch}
}

// burn ends a flow that somebody else came back for.
//
// Security: the flow must not be usable by who began it either, because that
// may be the attacker who sent this person here.
func (c *Connector) burn(ctx context.Context, at *attempt) error {
	if !at.flow.Status.Open() {
		return mismatch(at.op, at.flow)
	}
	if err := c.giveUp(ctx, at, CodeBindingMismatch); err != nil {
		return err
	}
	return mismatch(at.op, at.flow)
}

// arrive goes on with a flow whose user has come back.
func (c *Connector) arrive(ctx context.Context, at *attempt, resp *response) (*Outcome, error) {
	if at.flow.Status != FlowStarted {
		return c.again(ctx, at, resp)
	}
	if c.overdue(at.flow) {
		return c.refusal(at, CodeExpired), nil
	}
	at.progress.Answer = resp.answer
	if err := c.claim(ctx, at, resp.op); errors.Is(err, ErrConflict) {
		return c.again(ctx, at, resp)
	} else if err != nil {
		return nil, storeError(resp.op, err)
	}
	return c.finish(ctx, func(ctx context.Context) (*Outcome, error) {
		return c.work(ctx, at, func(ctx context.Context) (*Tokens, error) { return c.exchange(ctx, at, resp.query) })
	})
}

// overdue is the clock's word beside the store's: a flow may be past its end
// before the sweep has seen it.
func (c *Connector) overdue(flow Flow) bool { return !c.cfg.Now().Before(flow.ExpiresAt) }

// refusal is the outcome of a response that came too late or twice. The flow
// itself stays as it is.
func (c *Connector) refusal(at *attempt, code Code) *Outcome {
	out := &Outcome{Status: OutcomeError, FlowID: at.flow.ID, Platform: at.flow.Platform, Error: code}
	out.ReturnURL = c.returnTo(at.request, out)
	return out
}

// again answers a response that is not the first of its flow: a reload or a
// double click gets the outcome of the first, another response gets nothing.
func (c *Connector) again(ctx context.Context, at *attempt, resp *response) (*Outcome, error) {
	at, err := c.settled(ctx, at)
	if err != nil {
		return nil, err
	}
	if at.flow.Status != FlowExpired && subtle.ConstantTimeCompare(at.progress.Answer, resp.answer) != 1 {
		return c.refusal(at, CodeUsed), nil
	}
	return c.outcome(ctx, at)
}

// settled waits until whoever has claimed the flow is done with it, for as
// long as a person may be kept waiting.
func (c *Connector) settled(ctx context.Context, at *attempt) (*attempt, error) {
	ctx, cancel := context.WithTimeout(ctx, loserWait)
	defer cancel()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		flow, err := c.cfg.Store.ReadFlow(ctx, FlowKey{Tenant: at.flow.Tenant, ID: at.flow.ID})
		if err != nil && ctx.Err() == nil {
			return nil, storeError(at.op, err)
		}
		if err == nil && flow.Status != FlowClaimed && flow.Status != FlowStarted {
			return c.openFlow(at.op, flow)
		}
		if !sleep(ctx, wait) {
			return nil, &Error{Code: CodeUnavailable, Op: at.op, Platform: at.flow.Platform, Message: "This is still being worked on.", RetryAfter: 2 * time.Second}
		}
	}
}

// sleep waits and reports whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// park keeps the response of a browser without a session until the host calls
// Complete. The code waits sealed; where it would not live that long, it is
// exchanged now and the tokens wait, for nobody to use, and are revoked if
// nobody completes.
func (c *Connector) park(ctx context.Context, at *attempt, resp *response) (*Outcome, error) {
	if at.flow.Status != FlowStarted {
		return c.parkedAgain(ctx, at, resp)
	}
	if c.overdue(at.flow) {
		return c.refusal(at, CodeExpired), nil
	}
	ticket, err := c.handle(purposeTicket, at.flow)
	if err != nil {
		return nil, storeError(resp.op, err)
	}
	at.progress.Answer, at.progress.Query = resp.answer, resp.query
	if at.adapter.codeIsShortLived() && resp.query.Has("code") {
		return c.quarantine(ctx, at, resp, ticket)
	}
	at.flow.Ticket = digest(ticket)
	at.flow.ExpiresAt = c.now().Add(c.cfg.TicketTTL)
	if err := c.move(ctx, at, FlowParked, resp.op); errors.Is(err, ErrConflict) {
		return c.parkedAgain(ctx, at, resp)
	} else if err != nil {
		return nil, storeError(resp.op, err)
	}
	return c.outcome(ctx, at)
}

// parkedAgain answers a reload with the same ticket, whatever became of the
// flow: the host, not this browser, is who may learn that. Where there is no
// ticket, the browser may still learn why, and nothing else.
func (c *Connector) parkedAgain(ctx context.Context, at *attempt, resp *response) (*Outcome, error) {
	at, err := c.settled(ctx, at)
	if err != nil {
		return nil, err
	}
	same := subtle.ConstantTimeCompare(at.progress.Answer, resp.answer) == 1
	switch {
	case same && at.flow.Ticket != nil:
		at.flow.Status = FlowParked
	case same && (at.flow.Status == FlowFailed || at.flow.Status == FlowOrphaned), at.flow.Status == FlowExpired:
	default:
		return c.refusal(at, CodeUsed), nil
	}
	return c.outcome(ctx, at)
}

// quarantine exchanges a short-lived code and parks the tokens.
func (c *Connector) quarantine(ctx context.Context, at *attempt, resp *response, ticket string) (*Outcome, error) {
	if err := c.claim(ctx, at, resp.op); errors.Is(err, ErrConflict) {
		return c.parkedAgain(ctx, at, resp)
	} else if err != nil {
		return nil, storeError(resp.op, err)
	}
	return c.finish(ctx, func(ctx context.Context) (*Outcome, error) {
		var err error
		if at.tokens, err = c.exchange(ctx, at, resp.query); err != nil {
			return c.failed(ctx, at, err)
		}
		at.progress.Query = nil
		at.flow.Ticket = digest(ticket)
		at.flow.ExpiresAt = c.now().Add(c.cfg.TicketTTL)
		if err := c.persist(ctx, at, FlowParked, "exchange"); err != nil {
			c.giveUpLater(at)
			return nil, storeError(resp.op, err)
		}
		return c.outcome(ctx, at)
	})
}

// exchange turns the response into tokens, or into the error that it carries.
func (c *Connector) exchange(ctx context.Context, at *attempt, query url.Values) (*Tokens, error) {
	if class, code, refused := at.adapter.refused(query); refused {
		return nil, &ProviderError{Class: class, Code: printable(code)} // it came through a browser
	}
	return at.adapter.oauth.Exchange(ctx, at.adapter.env, AuthResponse{
		Method: at.flow.Method, Query: query, Verifier: at.request.Verifier,
		Scopes: at.request.Scopes, Private: at.request.Private,
	})
}
