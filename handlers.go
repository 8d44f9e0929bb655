package connect

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/seed944197df/connect/selection"
)

// Handler serves everything under BaseURL's path, which it strips itself:
//
//	mux.Handle("/connect/", c.Handler())
//
// docs/http.md has the table of its routes, with what they take and answer.
// A host that wants single routes only mounts the handlers below instead;
// each names the path values that it reads.
func (c *Connector) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]http.Handler{
		"/platforms":                    c.PlatformsHandler(),
		"/start/{platform}":             c.StartHandler(),
		"/go/{link}":                    c.LinkHandler(),
		"/callback/{platform}":          c.CallbackHandler(),
		"/callback/{platform}/{client}": c.CallbackHandler(),
		"/complete":                     c.CompleteHandler(),
		"/flows/{id}":                   c.FlowHandler(),
		"/pending/{session}":            c.PendingHandler(),
		"/pending/{session}/finalize":   c.FinalizeHandler(),
		"/credentials/{platform}":       c.CredentialsHandler(),
		"/accounts":                     c.AccountsHandler(),
		"/accounts/{id}":                c.AccountHandler(),
		"/accounts/{id}/health":         c.HealthHandler(),
		"/accounts/{id}/refresh":        c.RefreshHandler(),
		"/accounts/{id}/candidates":     c.CandidatesHandler(),
		"/accounts/{id}/sessions":       c.AddMoreHandler(),
		"/ui/":                          c.PagesHandler(),
		"/ui":                           http.HandlerFunc(c.toConnectPage),
		"/{$}":                          http.HandlerFunc(c.toConnectPage),
		"/":                             http.HandlerFunc(c.noRoute),
	} {
		mux.Handle(pattern, h)
	}
	stripped := http.StripPrefix(c.base.Path, mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// As it was sent, since an encoded slash ends no prefix.
		if !strings.HasPrefix(r.URL.EscapedPath(), c.base.Path+"/") {
			c.cfg.Logger.Warn("a request is not below Config.BaseURL's path: mount Handler there, without http.StripPrefix", "path", c.base.Path)
			c.noRoute(w, r)
			return
		}
		if !isClean(r.URL.Path) {
			c.noRoute(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		stripped.ServeHTTP(w, r)
	})
}

// isClean reports whether a mux serves p as it is.
//
// Security: others it redirects, and takes a code along in the query, or a
// session in the path.
func isClean(p string) bool {
	clean := path.Clean(p)
	return clean == p || clean != "/" && clean+"/" == p
}

func (c *Connector) toConnectPage(w http.ResponseWriter, _ *http.Request) { seeOther(w, c.url("/ui/")) }

func (c *Connector) noRoute(w http.ResponseWriter, r *http.Request) {
	c.fails(w, r, &Error{Code: CodeNotFound, Op: "request", Message: "There is no such route."})
}

// principal authenticates a request and, for one that changes something, makes
// sure that the person behind an ambient principal meant it.
func (c *Connector) principal(r *http.Request) (Principal, error) {
	p, err := c.cfg.Authenticate(r)
	if errors.Is(err, ErrUnauthenticated) {
		return p, &Error{Code: CodeUnauthenticated, Op: "request", Message: "Sign in, or send an API key.", Err: err}
	}
	if err != nil {
		return p, &Error{Code: CodeUnavailable, Op: "request", Message: "We could not tell who you are. Try again in a moment.", Err: err}
	}
	if err := checkPrincipal("request", p); err != nil {
		return p, &Error{Code: CodeUnavailable, Op: "request", Message: "We could not tell who you are. Try again in a moment.", Err: fmt.Errorf("Config.Authenticate: %w", err)}
	}
	if p.Ambient && !safe(r) && !c.sameOrigin(r) {
		return p, crossOrigin()
	}
	return p, nil
}

func safe(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

func crossOrigin() *Error {
	return &Error{Code: CodeForbidden, Op: "request", Message: "The request comes from another site, or does not say where it comes from: send Origin, or use an API key."}
}

// sameOrigin reports whether a browser says that our own origin made the
// request.
//
// Security: absent is wrong, and the origin is compared with BaseURL, never
// with a Host header. Our pages send no referrer, and browsers then send
// "Origin: null" from them too, which counts only beside fetch metadata.
func (c *Connector) sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	ours := origin == c.base.Scheme+"://"+c.base.Host
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin":
		return ours || origin == "" || origin == "null"
	case "":
		return ours
	default:
		return false
	}
}

// answer serves one method for a principal, with JSON.
func (c *Connector) answer(method string, serve func(w http.ResponseWriter, r *http.Request, p Principal) (int, any, error)) http.Handler {
	return c.byMethod(map[string]http.Handler{method: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := c.principal(r)
		if err != nil {
			c.fails(w, r, err)
			return
		}
		status, answer, err := serve(w, r, p)
		if err != nil {
			c.fails(w, r, err)
			return
		}
		writeJSON(w, status, answer)
	})})
}

// PlatformsHandler serves GET /platforms.
func (c *Connector) PlatformsHandler() http.Handler {
	return c.answer(http.MethodGet, func(_ http.ResponseWriter, _ *http.Request, _ Principal) (int, any, error) {
		answer := platformsJSON{Platforms: []platformJSON{}}
		for _, a := range c.order {
			answer.Platforms = append(answer.Platforms, a.wire())
		}
		return http.StatusOK, answer, nil
	})
}

// StartHandler serves /start/{platform}: POST with a JSON body for programs,
// GET for a browser that navigates there.
func (c *Connector) StartHandler() http.Handler {
	post := c.answer(http.MethodPost, func(w http.ResponseWriter, r *http.Request, p Principal) (int, any, error) {
		var body startJSON
		if err := readJSON(w, r, &body); err != nil {
			return 0, nil, err
		}
		req, err := body.request(r.PathValue("platform"))
		if err != nil {
			return 0, nil, err
		}
		started, err := c.startFor(w, r, p, req)
		if err != nil {
			return 0, nil, err
		}
		return http.StatusCreated, startedJSON{FlowID: started.FlowID, URL: started.URL, State: started.State, ExpiresAt: started.ExpiresAt}, nil
	})
	return c.byMethod(map[string]http.Handler{http.MethodGet: http.HandlerFunc(c.navigate), http.MethodPost: post})
}

// startFor starts a flow. A browser that asks for itself is bound at once and
// needs no connect link.
func (c *Connector) startFor(w http.ResponseWriter, r *http.Request, p Principal, req StartRequest) (*Started, error) {
	if !p.Ambient {
		return c.Start(r.Context(), p, req)
	}
	started, flow, err := c.start(r.Context(), p, req)
	if err == nil && flow.Binding == BindBrowser {
		err = c.setCookie(w, r, flow)
	}
	return started, err
}

// byMethod serves each method by its handler and 405 otherwise. HEAD is not
// GET here: a scanner that only looks must change nothing.
func (c *Connector) byMethod(handlers map[string]http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := handlers[r.Method]; h != nil {
			h.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Allow", strings.Join(slices.Sorted(maps.Keys(handlers)), ", "))
		c.fails(w, r, &Error{Code: CodeMethodNotAllowed, Op: "request", Message: "The route does not have this method."})
	})
}

// CompleteHandler serves POST /complete.
func (c *Connector) CompleteHandler() http.Handler {
	return c.answer(http.MethodPost, func(w http.ResponseWriter, r *http.Request, p Principal) (int, any, error) {
		var body completeJSON
		if err := readJSON(w, r, &body); err != nil {
			return 0, nil, err
		}
		out, err := c.Complete(r.Context(), p, CompleteRequest(body))
		return http.StatusOK, out, err
	})
}

// FlowHandler serves GET /flows/{id}.
func (c *Connector) FlowHandler() http.Handler {
	return c.answer(http.MethodGet, func(_ http.ResponseWriter, r *http.Request, p Principal) (int, any, error) {
		view, err := c.Flow(r.Context(), p, r.PathValue("id"))
		if err != nil {
			return 0, nil, err
		}
		return http.StatusOK, flowJSON(*view), nil
	})
}

// PendingHandler serves GET /pending/{session}.
func (c *Connector) PendingHandler() http.Handler {
	return c.answer(http.MethodGet, func(_ http.ResponseWriter, r *http.Request, p Principal) (int, any, error) {
		req, err := pendingRequestOf(r)
		if err != nil {
			return 0, nil, err
		}
		view, err := c.Pending(r.Context(), p, r.PathValue("session"), req)
		if err != nil {
			return 0, nil, err
		}
		return http.StatusOK, view.wire(), nil
	})
}

// pendingRequestOf reads what of a list of candidates is asked for.
func pendingRequestOf(r *http.Request) (PendingRequest, error) {
	query, err := knownQuery(r, "q", "parent", "limit", "cursor")
	if err != nil {
		return PendingRequest{}, err
	}
	page, err := pageOf(query)
	return PendingRequest{Query: query.Get("q"), Parent: query.Get("parent"), Page: page}, err
}

// FinalizeHandler serves POST /pending/{session}/finalize.
func (c *Connector) FinalizeHandler() http.Handler {
	return c.answer(http.MethodPost, func(w http.ResponseWriter, r *http.Request, p Principal) (int, any, error) {
		var body finalizeJSON
		if err := readJSON(w, r, &body); err != nil {
			return 0, nil, err
		}
		if body.AdAccountIDs != nil {
			return 0, nil, noAds("finalize")
		}
		done, err := c.Finalize(r.Context(), p, r.PathValue("session"), FinalizeRequest{SelectedIDs: body.SelectedIDs, ReturnURL: body.ReturnURL})
		if err != nil {
			return 0, nil, err
		}
		return http.StatusOK, finalizedJSON{Accounts: done.Accounts, Failed: []failedJSON{}, ReturnURL: done.ReturnURL}, nil
	})
}

// CredentialsHandler serves POST /credentials/{platform}. Beside the method's
// own fields the body may name method, user, kind, account_id and metadata.
func (c *Connector) CredentialsHandler() http.Handler {
	return c.answer(http.MethodPost, func(w http.ResponseWriter, r *http.Request, p Principal) (int, any, error) {
		var body map[string]json.RawMessage
		if err := readJSON(w, r, &body); err != nil {
			return 0, nil, err
		}
		req, err := c.credentialsOf(r.PathValue("platform"), body)
		if err != nil {
			return 0, nil, err
		}
		out, err := c.ConnectCredentials(r.Context(), p, req)
		return http.StatusCreated, out, err
	})
}

// credentialsOf sorts a body into our fields and the method's.
func (c *Connector) credentialsOf(platform string, body map[string]json.RawMessage) (CredentialsRequest, error) {
	req := CredentialsRequest{Platform: platform, Metadata: body["metadata"], Values: map[string]Secret{}}
	ours := map[string]*string{"method": &req.Method, "user": &req.User, "kind": &req.Kind, "account_id": &req.AccountID}
	for name, raw := range body {
		if name == "metadata" {
			continue
		}
		var text string
		field, err := ours[name], json.Unmarshal(raw, &text)
		switch {
		case err != nil && (field != nil || c.platforms[platform].hasField(name)):
			return req, invalid("credentials", name, "Must be a string.")
		case err != nil:
			return req, invalid("credentials", "", "Every field but metadata must be a string.")
		case field != nil:
			*field = text
		default:
			req.Values[name] = NewSecret(text)
		}
	}
	return req, nil
}

// AccountsHandler serves GET /accounts.
func (c *Connector) AccountsHandler() http.Handler {
	return c.answer(http.MethodGet, func(_ http.ResponseWriter, r *http.Request, p Principal) (int, any, error) {
		query, err := knownQuery(r, "platform", "kind", "status", "platform_account_id", "limit", "cursor")
		if err != nil {
			return 0, nil, err
		}
		page, err := pageOf(query)
		if err != nil {
			return 0, nil, err
		}
		filter := AccountFilter{Platform: query.Get("platform"), Kind: query.Get("kind"), PlatformID: query.Get("platform_account_id"), Status: AccountStatus(query.Get("status"))}
		accounts, next, err := c.Accounts(r.Context(), p, filter, page)
		return http.StatusOK, accountsJSON{Accounts: orEmpty(accounts), NextCursor: nullable(next)}, err
	})
}

// AccountHandler serves /accounts/{id}: GET returns the account, PATCH edits
// it, DELETE disconnects it.
func (c *Connector) AccountHandler() http.Handler {
	return c.byMethod(map[string]http.Handler{
		http.MethodGet: c.answer(http.MethodGet, func(_ http.ResponseWriter, r *http.Request, p Principal) (int, any, error) {
			account, err := c.Account(r.Context(), p, r.PathValue("id"))
			return http.StatusOK, account, err
		}),
		http.MethodPatch:  c.EditHandler(),
		http.MethodDelete: c.DisconnectHandler(),
	})
}

// DisconnectHandler serves DELETE /accounts/{id} alone.
func (c *Connector) DisconnectHandler() http.Handler {
	return c.answer(http.MethodDelete, func(_ http.ResponseWriter, r *http.Request, p Principal) (int, any, error) {
		done, err := c.Disconnect(r.Context(), p, r.PathValue("id"))
		if err != nil {
			return 0, nil, err
		}
		return http.StatusOK, disconnectedJSON{AccountID: done.AccountID, Status: AccountDisconnected, Revocation: done.Revocation}, nil
	})
}

// knownQuery parses a query strictly and refuses parameters that a route does
// not have.
func knownQuery(r *http.Request, names ...string) (url.Values, error) {
	query, err := strictQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("request", "", "The query is malformed, too long, or names a parameter twice.")
	}
	for name := range query {
		if !slices.Contains(names, name) {
			return nil, invalid("request", "", unknownName("query", "parameters", names))
		}
	}
	return query, nil
}

func pageOf(query url.Values) (Page, error) {
	page := Page{Cursor: query.Get("cursor")}
	if !query.Has("limit") {
		return page, nil
	}
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit < 1 {
		return page, invalid("request", "limit", "May be 1 to 100.")
	}
	page.Limit = limit
	return page, nil
}

// navigationRequest reads a start from a browser's address.
func navigationRequest(r *http.Request) (StartRequest, error) {
	query, err := knownQuery(r, "user", "method", "kind", "scopes", "client", "return_url", "mode", "select", "account_id", "metadata", "login_hint", "ad_account_ids")
	if err != nil {
		return StartRequest{}, err
	}
	if query.Has("ad_account_ids") {
		return StartRequest{}, noAds("start")
	}
	return StartRequest{
		Platform: r.PathValue("platform"), Method: query.Get("method"), Client: query.Get("client"), User: query.Get("user"),
		Kind: query.Get("kind"), Scopes: strings.FieldsFunc(query.Get("scopes"), func(r rune) bool { return r == ' ' || r == ',' }), LoginHint: query.Get("login_hint"),
		ReturnURL: query.Get("return_url"), Mode: Mode(query.Get("mode")), Select: selection.Rule(query.Get("select")),
		AccountID: query.Get("account_id"), Metadata: json.RawMessage(query.Get("metadata")),
	}, nil
}
