package main

import "slices"

// rootMutants take away or break guards of the engine itself.
var rootMutants = slices.Concat(comingBack, completing, answering, permitting, holding, redirecting, parsing, naming, resting, calling, owning, posting, telling)

// comingBack is about who comes back: a session, a cookie, a link.
var comingBack = []mutant{
	{row: 1, file: "binding.go", old: `if c.hasCookie(r, flow) {`, new: `if r != nil {`, why: "the cookie of a flow that is bound to its browser"},
	{row: 1, file: "callback.go", old: `if at.flow.Binding == BindBrowser {`, new: `if false {`, why: "the refusal of a browser without the cookie: it could go on by ticket"},
	{row: 1, file: "start.go", old: `case p.User == "":`, new: `case p.User == "" || named != "":`, why: "a start for oneself only"},
	{row: 2, file: "binding.go", old: `if visitor != nil && stranger(*visitor, flow) {`, new: `if false {`, why: "the comparison of the session with the flow"},
	{row: 2, file: "binding.go", old: `flow.User != "" && visitor.User != flow.User`, new: `false`, why: "the comparison of users"},
	{row: 2, file: "binding.go", old: `return visitor.Tenant != flow.Tenant || (`, new: `return (`, why: "the comparison of tenants"},
	{row: 2, file: "callback.go", old: `return nil, c.burn(r.Context(), at)`, new: `return nil, mismatch(at.op, at.flow)`, why: "the end of a flow that a stranger came back for"},
	{row: 2, file: "sealing.go", old: `f.Method, f.User, string(f.Binding))`, new: `f.Method, string(f.Binding))`, why: "the user in what a flow is sealed for"},
	{row: 2, file: "sealing.go", old: `f.Method, f.User, string(f.Binding))`, new: `f.Method, f.User)`, why: "the binding in what a flow is sealed for"},
	{row: 3, file: "link.go", old: `case visitor != nil && stranger(*visitor, at.flow):`, new: `case visitor != nil && false:`, why: "the session at the link itself"},
	{row: 4, file: "binding.go", old: "\t\tif visitor != nil {", new: "\t\tif true {", why: "the session of a flow that is bound to one"},
	{row: 4, file: "binding.go", old: `return boundAbsent`, new: `return boundYes`, why: "the doubt about who cannot be told"},
	{row: 4, file: "start.go", old: `if user == "" && c.cfg.Binding == BindSession {`, new: `if false {`, why: "the ticket of a flow that names no user"},
}

// completing is about tickets, and who brings them.
var completing = []mutant{
	{row: 4, file: "complete.go", old: `if at.flow.Status == FlowParked && c.overdue(at.flow) {`, new: `if false {`, why: "the end of a ticket"},
	{row: 4, file: "expire.go", old: `if !c.gaveBack(ctx, at) && !late {`, new: `if false {`, why: "the return of tokens that nobody completed"},
	{row: 5, file: "complete.go", old: `if !mayReturn(p, at.flow) {`, new: `if false {`, why: "the question who completes"},
	{row: 5, file: "binding.go", old: `return p.User == flow.User || (`, new: `return p.User != "" || (`, why: "the comparison of users at Complete"},
	{row: 5, file: "complete.go", old: `return c.burn(ctx, at)`, new: `return mismatch(at.op, at.flow)`, why: "the end of a flow whose ticket was stolen"},
	{row: 5, file: "complete.go", old: "\t\tc.abandonLater(at, tokens)", new: "\t\t_ = tokens", why: "the return of a burned flow's tokens"},
	{row: 5, file: "complete.go", old: `tokens := at.tokens`, new: `tokens := at.tokens; c.abandonLater(at, tokens)`, why: "the order: to fail first, then to revoke"},
	{row: 5, file: "callback.go", old: `if !at.flow.Status.Open() {`, new: `if false {`, why: "the peace of a flow that has ended well"},
	{row: 6, file: "accounts.go", old: `case FlowStarted, FlowClaimed, FlowParked:`, new: `case FlowStarted, FlowClaimed:`, why: "the silence about a ticket towards who began"},
	{row: 6, file: "start.go", old: `case named == "" || named == p.User:`, new: `case true:`, why: "credentials that are typed for oneself only"},
}

// answering is about which answer belongs to which flow, and how often.
var answering = []mutant{
	{row: 7, file: "callback.go", old: `if claims.Platform != a.Name || claims.Client != client {`, new: `if claims.Client != client {`, why: "the platform of the redirect URI"},
	{row: 7, file: "callback.go", old: `if claims.Platform != a.Name || claims.Client != client {`, new: `if claims.Platform != a.Name {`, why: "the client of the redirect URI"},
	{row: 7, file: "callback.go", old: `at.request.Issuer != resp.query.Get("iss") {`, new: `resp.query.Has("iss") && at.request.Issuer != resp.query.Get("iss") {`, why: "the issuer that must be there"},
	{row: 9, file: "callback.go", old: `if flow.Platform != resp.claims.Platform || flow.Client != resp.claims.Client {`, new: `if false {`, why: "the word of the row over that of the state"},
	{row: 11, file: "start.go", old: `oauth2.GenerateVerifier()`, new: `oauth2.GenerateVerifier()[:0] + strings.Repeat("v", 43)`, why: "a verifier of each flow's own"},
	{row: 12, file: "start.go", old: `oauth2.GenerateVerifier()`, new: `oauth2.GenerateVerifier()[:42]`, why: "the length of a verifier"},
	{row: 13, file: "flow.go", old: `return c.move(ctx, at, FlowClaimed, step)`, new: `_ = c.move(ctx, at, FlowClaimed, step); return nil`, why: "the claim before the exchange"},
	{row: 13, file: "callback.go", old: `at.progress.Answer = resp.answer`, new: `at.progress.Answer = nil`, why: "the memory of the answer that a reload repeats", tests: `^TestThreat13_ParallelCallbacks$`},
	{row: 14, file: "callback.go", old: `subtle.ConstantTimeCompare(at.progress.Answer, resp.answer) != 1`, new: `false`, why: "the refusal of a second code"},
	{row: 14, file: "callback.go", old: `case same && at.flow.Ticket != nil:`, new: `case at.flow.Ticket != nil:`, why: "the refusal of a second code without a session"},
	{row: 14, file: "callback.go", old: `return !c.cfg.Now().Before(flow.ExpiresAt)`, new: `return false`, why: "the end of a flow's time"},
	{row: 15, file: "callback.go", old: `claims, err := c.cfg.State.OpenState(query.Get("state"))`, new: `claims, err := StateClaims{Platform: a.Name, Client: sharedClient, Expiry: c.now()}, error(nil)`, why: "the state"},
	{row: 16, file: "start.go", old: `Method: at.flow.Method, State: state,`, new: `Method: at.flow.Method, State: "AAAA",`, why: "a state that nobody chose"},
	{row: 17, file: "callback.go", old: `_, _, failed := a.refused(query)`, new: `_, _, failed := a.refused(query); if !query.Has("state") { return &response{op: op, query: query}, nil }`, why: "the state that must be there"},
	{row: 18, file: "commit.go", old: `Kind: candidate.Kind, PlatformID: candidate.PlatformID}`, new: `Kind: candidate.Kind, PlatformID: candidate.Username}`, why: "accounts by id and not by name"},
	{row: 18, file: "commit.go", old: `ClientID: client.ID, Subject: at.tokens.Subject}`, new: `ClientID: client.ID, Subject: at.tokens.Self.Name}`, why: "grants by subject and not by name"},
	{row: 20, file: "candidates.go", old: `selection.Choose(at.offered(), []string{want}, nil)`, new: `selection.Choose(at.offered(), []string{at.offered()[0].ID()}, nil)`, why: "the account that is connected again"},
}

// permitting is about what was granted, and what the host still allows.
var permitting = []mutant{
	{row: 22, file: "candidates.go", old: `RequiredScopes); len(missing) > 0 {`, new: `RequiredScopes); len(missing) > 99 {`, why: "the scopes that are required"},
	{row: 22, file: "start.go", old: `a.Reconsent == ReconsentReplaces && len(missing) > 0`, new: `a.Reconsent == ReconsentReplaces && len(missing) > 99`, why: "the scopes that a consent which replaces others must ask for"},
	{row: 22, file: "commit.go", old: `if len(missing) > 0 {`, new: `if false {`, why: "the mark of an account that lacks a scope"},
	{row: 23, file: "complete.go", old: `return c.stillAllowed(ctx, p, at, ActionStart)`, new: `return nil`, why: "the question to the host at Complete"},
	{row: 23, file: "callback.go", old: `if err := c.stillAllowed(r.Context(), *visitor, at, ActionStart); err != nil {`, new: `if err := error(nil); err != nil {`, why: "the question to the host at the callback"},
	{row: 23, file: "pending.go", old: `if err := c.stillAllowed(ctx, p, at, ActionFinalize); err != nil {`, new: `if err := error(nil); err != nil {`, why: "the question to the host at Finalize"},
	{row: 23, file: "complete.go", old: `!at.flow.Status.Open() || p.User != at.flow.User {`, new: `!at.flow.Status.Open() {`, why: "the peace of a flow from who may not end it"},
}

// holding is about cookies and connect links.
var holding = []mutant{
	{row: 24, file: "binding.go", old: `cookiePrefix = "__Host-cx-"`, new: `cookiePrefix = "cx-"`, why: "the prefix that no sibling domain can set"},
	{row: 24, file: "binding.go", old: `return len(cookies) == 1 && c`, new: `return len(cookies) >= 1 && c`, why: "the refusal of two cookies of one name"},
	{row: 24, file: "binding.go", old: `Secure: true,`, new: `Secure: false,`, why: "Secure"},
	{row: 24, file: "binding.go", old: `HttpOnly: true,`, new: `HttpOnly: false,`, why: "HttpOnly"},
	{row: 24, file: "binding.go", old: `SameSite: http.SameSiteLaxMode`, new: `SameSite: http.SameSiteNoneMode`, why: "SameSite"},
	{row: 24, file: "binding.go", old: `return err == nil && value != "" && hmac.Equal([]byte(want), []byte(value))`, new: `return err == nil && value != "" && want != ""`, why: "the value of a cookie"},
	{row: 25, file: "binding.go", old: `func cookieName(flow Flow) string { return cookiePrefix + flow.ID }`, new: `func cookieName(flow Flow) string { return cookiePrefix + flow.Platform }`, why: "a cookie of each flow's own"},
	{row: 25, file: "binding.go", old: `for len(names) >= maxCookies {`, new: `for len(names) >= 1000 {`, why: "the end of a heap of cookies"},
	{row: 27, file: "link.go", old: `http.MethodGet:  http.HandlerFunc(c.showLink),`, new: `http.MethodGet:  http.HandlerFunc(c.followLink),`, why: "a GET that only shows"},
	{row: 27, file: "link.go", old: `case at.flow.Status != FlowStarted, at.flow.Linked && !c.hasCookie(r, at.flow):`, new: `case at.flow.Status != FlowStarted:`, why: "the one browser that may follow a link"},
	{row: 27, file: "link.go", old: `if prefetched(r) || p.Ambient`, new: `if p.Ambient`, why: "the refusal to be prefetched"},
}

// redirecting is about where a browser is sent.
var redirecting = []mutant{
	{row: 28, file: "start.go", old: `return c.checkReturn(op, r.ReturnURL)`, new: `return nil`, why: "the check of the return URL at the start"},
	{row: 28, file: "flow.go", old: `req.Mode == ModePopup || c.returns.Check(target) != nil {`, new: `req.Mode == ModePopup {`, why: "the check of the return URL before it is used"},
	{row: 28, file: "pending.go", old: `if err := c.checkReturn("finalize", req.ReturnURL); err != nil {`, new: `if err := error(nil); err != nil {`, why: "the check of a choice's return URL"},
	{row: 28, file: "ui.go", old: `if err := c.checkReturn(op, form.returnURL); err != nil {`, new: `if err := error(nil); err != nil {`, why: "the check of a form's return URL"},
	{row: 32, file: "callback.go", old: `return c.arrive(r.Context(), at, resp)`, new: `if u := resp.query.Get("return_url"); u != "" { at.request.ReturnURL = u }; return c.arrive(r.Context(), at, resp)`, why: "a return URL that no answer changes"},
	{row: 33, file: "pending.go", old: `if !maySee(p, at.flow) {`, new: `if false {`, why: "the question who has a session"},
	{row: 39, file: "link.go", old: `w.WriteHeader(http.StatusSeeOther)`, new: `w.WriteHeader(http.StatusTemporaryRedirect)`, why: "the redirect that repeats no post"},
	{row: 41, file: "handlers.go", old: `if !isClean(r.URL.Path) {`, new: `if false {`, why: "the refusal of a path that is not clean"},
	{row: 42, file: "handlers.go", old: `ours := origin == c.base.Scheme+"://"+c.base.Host`, new: `ours := origin == c.base.Scheme+"://"+r.Host`, why: "our own name for our origin"},
}

// parsing is about what an answer may be.
var parsing = []mutant{
	{row: 35, file: "callback.go", old: `err1 != nil || err2 != nil || query.Has(name) {`, new: `err1 != nil || err2 != nil {`, why: "the refusal of repeated parameters"},
	{row: 36, file: "callback.go", old: `if len(raw) > maxQuery || strings.Contains(raw, ";") {`, new: `if len(raw) > maxQuery {`, why: "the refusal of semicolons"},
	{row: 36, file: "callback.go", old: `err1 != nil || err2 != nil || query.Has(name) {`, new: `err1 != nil && err2 != nil || query.Has(name) {`, why: "the refusal of broken escapes"},
	{row: 37, file: "callback.go", old: `query.Get("code") == "" && !failed:`, new: `false:`, why: "a code, where there is no error"},
	{row: 37, file: "callback.go", old: `case query.Get("state") == "":`, new: `case failed: return nil, &Error{Code: CodeAccessDenied, Op: op, Platform: a.Name}`, why: "the state of an error"},
	{row: 38, file: "callback.go", old: `case query.Has("code") && (failed || query.Has("error")), query`, new: `case query`, why: "the refusal of a code beside an error"},
	{row: 43, file: "callback.go", old: `if len(raw) > maxQuery || strings.Contains(raw, ";") {`, new: `if strings.Contains(raw, ";") {`, why: "the length of a query"},
	{row: 43, file: "callback.go", old: `case len(query.Get("code")) > maxCode:`, new: `case false:`, why: "the length of a code"},
	{row: 43, file: "callback.go", old: `case len(query.Get("state")) > maxState:`, new: `case false:`, why: "the length of a state"},
	{row: 43, file: "pending.go", old: `if session == "" || len(session) > maxHandle {`, new: `if session == "" {`, why: "the length of a session"},
}

// naming is about states, handles and ids.
var naming = []mutant{
	{row: 44, file: "state.go", old: `return err == nil && state == spelled && strings`, new: `return err == nil && spelled != "" && strings`, why: "the one spelling of a state", tests: `^TestThreat44_OneSpelling$`},
	{row: 44, file: "state.go", old: `if len(rest) != 0 {`, new: `if false {`, why: "the end of the claims", tests: `^TestThreat44_ClaimsAreWhole$`},
	{row: 45, file: "state.go", old: `if len(state) > maxState {`, new: `if false {`, why: "the length of a state, before it is parsed"},
	{row: 45, file: "state.go", old: `if err != nil || !asWritten(state, sealed) {`, new: `if err != nil {`, why: "the refusal of what is compressed"},
	{row: 46, file: "state.go", old: `s.keys.Derive(purposeState, sealed.Header.KeyID)`, new: `s.keys.Derive(purposeState, s.keys.PrimaryID())`, why: "the key that the state names"},
	{row: 46, file: "state.go", old: `if err != nil || !asWritten(state, sealed) {`, new: `if err != nil {`, why: "the one header"},
	{row: 48, file: "start.go", old: `Platform: a.Name, Client: sharedClient, Method: method.ID,`, new: `Platform: a.Name, Client: sharedClient, Method: method.ID, Link: request.Metadata,`, why: "what a row keeps to itself", tests: `^TestThreat48_RowIsSealed$`},
	{row: 49, file: "binding.go", old: `key, err := c.cfg.Keys.Derive(purpose, flow.KeyID)`, new: `key, err := c.cfg.Keys.Derive("handle", flow.KeyID)`, why: "the purpose of a handle", tests: `^TestThreat49_HandlesOfOneFlow$`},
	{row: 50, file: "binding.go", old: `sum := sha256.Sum256([]byte(handle))`, new: `sum := []byte(handle)`, why: "the digest that is looked up"},
	{row: 51, file: "id.go", old: `_, _ = rand.Read(id[:])`, new: `_, _ = rand.Read(id[:8])`, why: "the randomness of ids", tests: `^TestThreat51_Unique$`},
	{row: 51, file: "binding.go", old: `mac := hmac.New(sha256.New, key)`, new: `mac := hmac.New(sha256.New, key[:0])`, why: "the key of handles", tests: `^TestThreat51_HandlesNeedTheKey$`},
}

// resting is about what is sealed, and what a missing key ends.
var resting = []mutant{
	{row: 55, file: "sealing.go", old: `record(g.Platform, g.ID, g.ClientID, g.Subject)`, new: `record(g.ID, g.ClientID, g.Subject)`, why: "the platform that tokens are sealed for", tests: `^TestThreat55_Run$`},
	{row: 55, file: "sealing.go", old: `record(a.Platform, a.ID, a.GrantID, a.Kind, a.PlatformID)`, new: `record(a.Platform, a.ID, a.Kind, a.PlatformID)`, why: "the grant that an account is sealed for", tests: `^TestThreat55_ChangedColumns$`},
	{row: 55, file: "sealing.go", old: `Binding{Purpose: "flow", Tenant: f.Tenant,`, new: `Binding{Purpose: "flow", Tenant: "t",`, why: "the tenant that a flow is sealed for", tests: `^TestThreat55_ChangedColumns$`},
	{row: 55, file: "sealing.go", old: `string(f.Binding)), Field: field}`, new: `string(f.Binding)), Field: "flow"}`, why: "the column that a flow is sealed for", tests: `^TestThreat55_SwappedSealedValues$`},
	{row: 60, file: "plan.go", old: `parked.settlement.Reason = CodeUnavailable`, new: `parked.settlement = c.end(h, AccountReauthRequired, CodeUnavailable)`, why: "the patience of a grant without its key"},
	{row: 60, file: "revoke.go", old: `c.cfg.Logger.Error("a grant does not open", "platform", h.Platform, "grant", h.ID, "error", err)`, new: `return RevocationFailed, 0`, why: "the patience of a revocation without its key"},
	{row: 60, file: "expire.go", old: `if late {`, new: `if true {`, why: "the patience of a flow without its key"},
	{row: 62, file: "client.go", old: `own, err := c.openAccount(account)`, new: `own, err := c.openAccount(account); if len(account.Sealed) == 0 { err = nil }`, why: "the refusal of an emptied column"},
	{row: 62, file: "flow.go", old: `if flow.Progress == nil && flow.Status != FlowParked && flow.Status != FlowPending {`, new: `if flow.Progress == nil {`, why: "the refusal of an emptied column of a flow"},
	{row: 63, file: "sealing.go", old: `Field: "token", Generation: a.Generation}`, new: `Field: "token"}`, why: "the generation that an account is sealed for"},
	{row: 64, file: "commit.go", old: `account.Target = candidate.Target`, new: `account.Target = map[string]string{"access": at.tokens.Access.Reveal()}`, why: "tokens in sealed columns only"},
	{row: 102, file: "problem.go", old: `"a request failed", "op", e.Op,`, new: `"a request failed", "query", r.URL.RawQuery, "op", e.Op,`, why: "a log without queries"},
}

// calling is about what reaches a platform, and what is told of it.
var calling = []mutant{
	{row: 66, file: "client.go", old: `allowed := slices.Contains(use.adapter.Hosts, host)`, new: `allowed := host != ""`, why: "the platform's hosts"},
	{row: 66, file: "client.go", old: `slices.Contains(use.adapter.Hosts, host)`, new: `slices.ContainsFunc(use.adapter.Hosts, func(h string) bool { return bytes.HasSuffix([]byte(host), []byte(h)) })`, why: "the whole name of a host"},
	{row: 66, file: "client.go", old: `r.URL.Scheme == "https" && `, new: ``, why: "https"},
	{row: 66, file: "client.go", old: `(r.URL.Port() == "" || r.URL.Port() == "443")`, new: `true`, why: "the port"},
	{row: 66, file: "client.go", old: `r.URL.User == nil && `, new: ``, why: "the refusal of a user in an address"},
	{row: 66, file: "client.go", old: `(r.Host == "" || r.Host == r.URL.Host)`, new: `true`, why: "the Host header"},
	{row: 66, file: "client.go", old: `return http.ErrUseLastResponse`, new: `return nil`, why: "the refusal to follow redirects"},
	{row: 66, file: "client.go", old: `err = fresh.mayReach(r)`, new: `err = nil`, why: "the hosts of a request that is repeated"},
	{row: 66, file: "client.go", old: `resp.Request = r `, new: `_ = r `, why: "an answer without the token"},
	{row: 93, file: "commit.go", old: `if at.tokens, err = get(asking); err != nil {`, new: `if at.tokens, err = get(asking); err != nil { at.tokens, err = get(asking) }; if err != nil {`, why: "the one exchange", tests: `^TestThreat93_OneTokenRequest$`},
	{row: 93, file: "present.go", old: `if fresh, err = h.a.refresher.Refresh(ctx, h.a.env, old); err == nil {`, new: `if fresh, err = h.a.refresher.Refresh(ctx, h.a.env, old); err != nil { fresh, err = h.a.refresher.Refresh(ctx, h.a.env, old) } else {`, why: "the one refresh", tests: `^TestThreat93_OneRefreshRequest$`},
	{row: 103, file: "start.go", old: `err = outbound.Redact(err)`, new: `_ = outbound.Redact(err)`, why: "errors without an address", tests: `^TestThreat103_TimeoutTellsNoToken$`},
	{row: 108, file: "callback.go", old: `if c.cfg.Now().After(claims.Expiry.Add(stateKept)) {`, new: `if false {`, why: "the end of a state, before the store is asked", tests: `^TestThreat108_BadStatesAskNoStore$`},
	{row: 108, file: "start.go", old: `caps.OpenPerUser, caps.OpenPerTenant = c.cfg.MaxOpenFlowsPerUser, c.cfg.MaxOpenFlowsPerTenant`, new: `caps.OpenPerUser, caps.OpenPerTenant = 1000, 1000`, why: "the bound of open flows", tests: `^TestThreat108_OpenFlowsAreBounded$`},
	{row: 108, file: "ui.go", old: `if reads++; reads > maxCookies {`, new: `if reads++; reads > 1000 {`, why: "the bound of cookies that are looked up", tests: `^TestThreat108_CookiesBoundReads$`},
	{row: 110, file: "revoke.go", old: `if a.Revokes == ReachSubject {`, new: `if false {`, why: "the count of who lives on a consent"},
	{row: 19, file: "tenants.go", old: `if _, err := c.cfg.Store.HastenFlows(ctx, p.Tenant, user); err != nil {`, new: `if err := error(nil); err != nil {`, why: "the end of what a removed user has begun"},
	{row: 19, file: "tenants.go", old: `if p.Ambient || p.User != "" {`, new: `if p.Ambient {`, why: "the key that ends everything of a user"},
	{row: 77, file: "memstore/commit.go", old: `if s.ended[commit.Flow.Tenant] && (`, new: `if false && (`, why: "the look at the mark when a flow commits", pkg: "."},
	{row: 19, file: "tenants.go", old: `if user == "" || len(user) > 255 {`, new: `if len(user) > 255 {`, why: "the user without a name, who would be everybody"},
	{row: 110, file: "revoke.go", old: `context.WithTimeout(ctx, revokeLease/2)`, new: `context.WithCancel(ctx)`, why: "the end of a request before that of its claim"},
	{row: 110, file: "revoke.go", old: `if !h.a.minted(h.Grant) {`, new: `if false {`, why: "the client that a grant was given to"},
	{row: 109, file: "revoke.go", old: `h.Prior != GrantRevoking {`, new: `false {`, why: "a consent that came while the revocation waited"},
	{row: 109, file: "revoke.go", old: `if revocation == RevocationPending {`, new: `if false {`, why: "the repetition of a revocation"},
	{row: 110, file: "revoke.go", old: `c.revoke(ctx, a, tokens, newID(c.cfg.Now()))`, new: `_ = a.revoker.Revoke(ctx, a.env, tokens)`, why: "that count for a flow that came to nothing", tests: `^TestThreat110_AbandonedFlow$`},
}

// owning is about tenants, sessions and choices.
var owning = []mutant{
	{row: 67, file: "complete.go", old: `FlowKey{Tenant: p.Tenant, Ticket: digest(req.Ticket)}`, new: `FlowKey{Ticket: digest(req.Ticket)}`, why: "the tenant of a ticket"},
	{row: 67, file: "complete.go", old: `if at.flow.Tenant != p.Tenant {`, new: `if false {`, why: "the tenant of an answer that a host completes"},
	{row: 68, file: "pending.go", old: `return p.Tenant == flow.Tenant && p.User == flow.User`, new: `return p.Tenant == flow.Tenant`, why: "the user of a session"},
	{row: 68, file: "pending.go", old: `if p.User == "" {`, new: `if p.User == "" || !p.Ambient {`, why: "the user of a bearer token"},
	{row: 68, file: "complete.go", old: `if err == nil && !c.handleMatches(purpose, at.flow, handle) {`, new: `if false {`, why: "the computation of a handle that was found"},
	{row: 71, file: "pending.go", old: `|| !slices.Equal(at.flow.Outcome.Chosen, choice) {`, new: `{`, why: "the refusal of another choice afterwards"},
	{row: 72, file: "problem.go", old: `strictjson.DecodeKnown(body, v)`, new: `strictjson.Decode(body, v)`, why: "the refusal of unknown fields"},
	{row: 72, file: "credentials.go", old: `if known != len(values) {`, new: `if false {`, why: "the refusal of unknown fields of a form"},
	{row: 73, file: "flow.go", old: `out.ReturnURL = c.returnTo(at.request, out)`, new: `out.ReturnURL = c.returnTo(at.request, out); if at.tokens != nil { out.ReturnURL += "&token=" + at.tokens.Access.Reveal() }`, why: "a return URL without tokens"},
	{row: 74, file: "start.go", old: `Method: at.flow.Method, State: state,`, new: `Method: at.flow.Method, State: at.flow.Tenant + "." + state,`, why: "a state that names no tenant"},
	{row: 76, file: "binding.go", old: `sum := sha256.Sum256([]byte(handle))`, new: `sum := []byte(handle)`, why: "the digest that is stored"},
}

// posting is about requests that another site may cause.
var posting = []mutant{
	{row: 83, file: "handlers.go", old: `if p.Ambient && !safe(r) && !c.sameOrigin(r) {`, new: `if false {`, why: "the question where a request comes from"},
	{row: 83, file: "handlers.go", old: `return ours || origin == "" || origin == "null"`, new: `return true`, why: "the origin beside the fetch metadata"},
	{row: 83, file: "handlers.go", old: `ours := origin == c.base`, new: `ours := origin == "" || origin == c.base`, why: "the origin that must be there"},
	{row: 83, file: "handlers.go", old: `ours := origin == c.base.Scheme+"://"+c.base.Host`, new: `ours := strings.HasPrefix(origin, c.base.Scheme+"://"+c.base.Host)`, why: "the whole origin"},
	{row: 83, file: "handlers.go", old: `return false`, new: `return ours`, why: "the fetch metadata beside the origin"},
	{row: 83, file: "ui.go", old: `hmac.Equal([]byte(want), []byte(r.PostForm.Get(pages.FieldToken)))`, new: `true`, why: "the token of a form"},
	{row: 83, file: "ui.go", old: `r.PostForm.Get(pages.FieldToken)`, new: `r.Form.Get(pages.FieldToken)`, why: "the token in the body", tests: `^TestThreat83_FormToken$`},
	{row: 83, file: "ui.go", old: `for _, s := range scope {`, new: `for _, s := range scope[:1] {`, why: "the person that a form was shown to", tests: `^TestThreat83_FormToken$`},
	{row: 83, file: "ui.go", old: `if !c.sameOrigin(r) || !c.validForm(`, new: `if !c.validForm(`, why: "the origin beside a form's token", tests: `^TestThreat83_PickerByCookieAlone$`},
	{row: 83, file: "link.go", old: `if prefetched(r) || p.Ambient && !ownNavigation(r) {`, new: `if prefetched(r) {`, why: "the page between a start that another site caused and the platform", tests: `^TestThreat83_StartFromElsewhere$`},
	{row: 83, file: "link.go", old: `(!c.sameOrigin(r) || !c.validForm(w, r, at.flow.ID))`, new: `!c.validForm(w, r, at.flow.ID)`, why: "the origin at a link", tests: `^TestThreat83_ConnectLink$`},
}

// telling is about what our answers tell browsers, logs and others.
var telling = []mutant{
	{row: 84, file: "link.go", old: `seeOther(w, out.ReturnURL)`, new: `seeOther(w, out.ReturnURL+"&"+r.URL.RawQuery)`, why: "a return URL without the answer", tests: `^TestThreat84_NoCodeStays$`},
	{row: 85, file: "problem.go", old: `header.Set("Cache-Control", "no-store")`, new: ``, why: "no-store on the JSON of a handler that is mounted alone"},
	{row: 85, file: "link.go", old: `header.Set("Cache-Control", "no-store")`, new: ``, why: "no-store on the redirects of a handler that is mounted alone"},
	{row: 86, file: "ui_result.go", old: `if err != nil || at.request.Mode != ModePopup {`, new: `if err != nil {`, why: "the silence of a flow that is no pop-up's"},
	{row: 87, file: "problem.go", old: `header.Set("X-Content-Type-Options", "nosniff")`, new: ``, why: "nosniff"},
	{row: 105, file: "link.go", old: `out, err := c.Callback(`, new: `w.WriteHeader(http.StatusSeeOther); out, err := c.Callback(`, why: "the exchange before the first byte", tests: `^TestThreat105_ExchangeComesFirst$`},
	{row: 105, file: "handlers.go", old: `if h := handlers[r.Method]; h != nil {`, new: `if r.Method == "POST" && handlers["POST"] == nil { r.Method = "GET" }; if h := handlers[r.Method]; h != nil {`, why: "a callback that reads no post", tests: `^TestThreat105_FormPost$`},
}
