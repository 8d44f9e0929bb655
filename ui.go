package connect

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed944197df/connect/pages"
	"github.com/seed944197df/connect/selection"
)

// PagesHandler serves the pages: mount it at BaseURL's path + "/ui/".
func (c *Connector) PagesHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ui/{$}", c.connectPage)
	mux.Handle("GET /ui/style.css", c.pages.Style())
	mux.HandleFunc("/ui/pending/{session}", c.pickerPage)
	mux.HandleFunc("POST /ui/pending/{session}/finalize", c.pickerPost)
	mux.HandleFunc("GET /ui/credentials/{platform}", c.credentialsPage)
	mux.HandleFunc("POST /ui/credentials/{platform}", c.credentialsPost)
	mux.HandleFunc("POST /ui/accounts/{id}/disconnect", c.disconnectPost)
	mux.HandleFunc("GET /ui/result", c.resultPage)
	mux.HandleFunc("/ui/", func(w http.ResponseWriter, r *http.Request) {
		c.errorPage(w, r, notFound("page", "page"))
	})
	mounted := http.StripPrefix(c.base.Path, mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		escaped := r.URL.EscapedPath()
		switch {
		case !isClean(r.URL.Path):
			c.noRoute(w, r)
		case strings.HasPrefix(escaped, c.base.Path+"/ui/"):
			mounted.ServeHTTP(w, r)
		case strings.HasPrefix(escaped, "/ui/"):
			mux.ServeHTTP(w, r) // Handler has stripped the path
		default:
			c.noRoute(w, r)
		}
	})
}

func (c *Connector) render(w http.ResponseWriter, r *http.Request, status int, page pages.Page) {
	if err := c.pages.Render(w, status, page); err != nil { // nothing was sent
		c.cfg.Logger.Error("a page could not be rendered", "route", r.Pattern)
		http.Error(w, "This page cannot be shown.", http.StatusInternalServerError)
	}
}

// errorPage shows an error in our own words.
func (c *Connector) errorPage(w http.ResponseWriter, r *http.Request, err error) {
	e := asError(err)
	status := c.httpStatus(w, r, e)
	name := ""
	if a := c.platforms[e.Platform]; a != nil {
		name = a.DisplayName
	}
	c.render(w, r, status, pages.Error{Code: string(e.Code), Platform: name})
}

// formToken is what a form of ours carries for one purpose and person, so that
// a post proves that our page was shown to them.
func (c *Connector) formToken(scope ...string) string {
	key, err := c.cfg.Keys.Derive(purposeForm, c.cfg.Keys.PrimaryID())
	if err != nil {
		return ""
	}
	mac := hmac.New(sha256.New, key)
	for _, s := range scope {
		mac.Write([]byte(s))
		mac.Write([]byte{0})
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// validForm parses a bounded form and checks its token.
func (c *Connector) validForm(w http.ResponseWriter, r *http.Request, scope ...string) bool {
	r.Body = http.MaxBytesReader(w, r.Body, 4*maxBody)
	if r.ParseForm() != nil {
		return false
	}
	want := c.formToken(scope...)
	return want != "" && hmac.Equal([]byte(want), []byte(r.PostForm.Get(pages.FieldToken)))
}

// pageVisitor is who looks at a page: the host's session or, for a flow that
// is bound to the browser alone, whoever holds its cookie.
func (c *Connector) pageVisitor(r *http.Request) (Principal, error) {
	p, err := c.principal(r)
	if CodeOf(err) != CodeUnauthenticated || c.cfg.Binding != BindBrowser {
		return p, err
	}
	reads := 0
	for _, cookie := range r.Cookies() {
		id, ours := flowOfCookie(cookie.Name)
		if !ours {
			continue
		}
		if reads++; reads > maxCookies {
			break
		}
		flow, readErr := c.cfg.Store.ReadFlow(r.Context(), FlowKey{ID: id})
		if readErr == nil && flow.Binding == BindBrowser && c.hasCookie(r, flow) && c.concerns(r, flow) {
			return Principal{Tenant: flow.Tenant, User: flow.User}, nil
		}
	}
	return p, err
}

// concerns reports whether the page that is asked for is the flow's own.
func (c *Connector) concerns(r *http.Request, flow Flow) bool {
	if session := r.PathValue("session"); session != "" {
		return c.handleMatches(purposeSession, flow, session)
	}
	return strings.HasSuffix(r.URL.Path, "/ui/result") && r.URL.Query().Get("flow_id") == flow.ID
}

// pagePost authenticates a post of one of our forms.
func (c *Connector) pagePost(w http.ResponseWriter, r *http.Request, scope ...string) (Principal, error) {
	p, err := c.pageVisitor(r) // only the picker's address is a flow's own
	if err != nil {
		return p, err
	}
	if !c.sameOrigin(r) || !c.validForm(w, r, append(scope, p.Tenant, p.User)...) {
		return p, crossOrigin()
	}
	return p, nil
}

// originsOf returns what a form's redirect may lead to beside ourselves.
func originsOf(targets ...string) []string {
	var origins []string
	for _, target := range targets {
		if u, err := url.Parse(target); err == nil && u.Host != "" {
			origins = append(origins, u.Scheme+"://"+u.Host)
		}
	}
	return slices.Compact(origins)
}

// connectPage is where a person starts: the platforms, and what is connected.
func (c *Connector) connectPage(w http.ResponseWriter, r *http.Request) {
	p, err := c.principal(r)
	if err != nil {
		c.errorPage(w, r, err)
		return
	}
	query, err := knownQuery(r, "return_url", "mode", "notice")
	if err != nil {
		c.errorPage(w, r, err)
		return
	}
	accounts, _, err := c.Accounts(r.Context(), p, AccountFilter{}, Page{Limit: maxLimit})
	if err != nil {
		c.errorPage(w, r, err)
		return
	}
	page := pages.Connect{Token: c.formToken("disconnect", p.Tenant, p.User), Accounts: c.viewAccounts(accounts)}
	for i, account := range accounts {
		if account.Status != AccountActive {
			page.Accounts[i].Method, page.Accounts[i].MethodID = c.connectedBy(r.Context(), account)
		}
	}
	if query.Get("notice") == "disconnected" {
		page.Notice = "disconnected"
	}
	query.Del("notice")
	page.Query = query
	for _, a := range c.order {
		page.Platforms = append(page.Platforms, a.card())
	}
	c.render(w, r, http.StatusOK, page)
}

// card is a platform on the connect page.
func (a *adapter) card() pages.Platform {
	card := pages.Platform{Name: a.Name, DisplayName: a.DisplayName}
	for _, m := range a.Methods {
		method := pages.Method{Type: pages.MethodType(m.Type)}
		if len(a.Methods) > 1 {
			method.ID, method.Label = m.ID, strings.ReplaceAll(m.ID, "_", " ")
		}
		card.Methods = append(card.Methods, method)
	}
	return card
}

func (c *Connector) viewAccounts(accounts []Account) []pages.Account {
	var views []pages.Account
	for _, account := range accounts {
		view := pages.Account{
			ID: account.ID, Platform: account.Platform, PlatformName: account.Platform, PlatformID: account.PlatformID,
			Kind: kindWord(account.Kind), Name: account.Name, Username: account.Username, AvatarURL: account.AvatarURL, Status: string(account.Status),
		}
		if a := c.platforms[account.Platform]; a != nil {
			view.PlatformName = a.DisplayName
			view.Method = pages.MethodType(a.Methods[0].Type)
		}
		views = append(views, view)
	}
	return views
}

// connectedBy is the method that an account was connected by, the platform's
// first where that is not known, and its id where the platform has several.
func (c *Connector) connectedBy(ctx context.Context, account Account) (pages.MethodType, string) {
	a := c.platforms[account.Platform]
	if a == nil {
		return "", ""
	}
	method := a.Methods[0]
	if grant, err := c.cfg.Store.ReadGrant(ctx, GrantKey{Tenant: account.Tenant, ID: account.GrantID}); err == nil && a.methodByID(grant.Method).ID != "" {
		method = a.methodByID(grant.Method)
	}
	if len(a.Methods) == 1 {
		return pages.MethodType(method.Type), ""
	}
	return pages.MethodType(method.Type), method.ID
}

// kindWord makes a kind's name a word for people: ad_account, Ad account.
func kindWord(kind string) string {
	word := strings.ReplaceAll(kind, "_", " ")
	if word == "" {
		return ""
	}
	return strings.ToUpper(word[:1]) + word[1:]
}

// disconnectPost is the button beside an account.
func (c *Connector) disconnectPost(w http.ResponseWriter, r *http.Request) {
	p, err := c.pagePost(w, r, "disconnect")
	if err == nil {
		_, err = c.Disconnect(r.Context(), p, r.PathValue("id"))
	}
	if err != nil {
		c.errorPage(w, r, err)
		return
	}
	seeOther(w, c.url("/ui/?notice=disconnected"))
}

// pickerPage shows a selection. A long choice is carried from page to page by
// POST, which changes nothing here either.
func (c *Connector) pickerPage(w http.ResponseWriter, r *http.Request) {
	if !slices.Contains([]string{http.MethodGet, http.MethodPost}, r.Method) {
		c.errorPage(w, r, notFound("page", "page"))
		return
	}
	p, err := c.pageVisitor(r)
	r.Body = http.MaxBytesReader(w, r.Body, 4*maxBody)
	if err == nil && r.ParseForm() != nil {
		err = invalid("page", "", "The form is malformed or too long.")
	}
	if err != nil {
		c.errorPage(w, r, err)
		return
	}
	c.showPicker(w, r, p, pages.ReadChoice(r.Form), "")
}

func (c *Connector) showPicker(w http.ResponseWriter, r *http.Request, p Principal, choice pages.Choice, problem string) {
	session := r.PathValue("session")
	at, err := c.openSession(r.Context(), "pending", p, session)
	if err == nil && at.flow.Status == FlowConnected {
		c.resume(w, r, at) // a reload, or the back button
		return
	}
	var view *PendingSession
	if err == nil {
		view, err = c.Pending(r.Context(), p, session, PendingRequest{Query: choice.Query, Page: Page{Limit: maxLimit, Cursor: choice.Cursor}})
	}
	if err != nil {
		c.errorPage(w, r, err)
		return
	}
	status := http.StatusOK
	if problem != "" {
		status = http.StatusUnprocessableEntity
	}
	page := pages.Picker{
		Platform: at.adapter.DisplayName, Kinds: at.kindWords(),
		Query: choice.Query, Cursor: choice.Cursor, Next: view.NextCursor, Problem: problem,
		Self: c.url("/ui/pending/" + session), Action: c.url("/ui/pending/" + session + "/finalize"),
		Cancel: c.url("/ui/"), Token: c.formToken("finalize", session, p.Tenant, p.User), FormTargets: originsOf(view.ReturnURL),
	}
	if at.request.Mode == ModePopup {
		page.Cancel = "" // there, closing the window is how to cancel
	}
	page.Candidates, page.Elsewhere = at.cards(view, choice.IDs)
	c.render(w, r, status, page)
}

// resume sends a browser to where its finished flow leads.
func (c *Connector) resume(w http.ResponseWriter, r *http.Request, at *attempt) {
	out, err := c.outcome(r.Context(), at)
	if err != nil {
		c.errorPage(w, r, err)
		return
	}
	seeOther(w, out.ReturnURL)
}

func (at *attempt) kindWords() []pages.Kind {
	var kinds []pages.Kind
	for _, k := range at.adapter.Kinds {
		if slices.ContainsFunc(at.offered(), func(o selection.Candidate) bool { return o.Kind == k.Name }) {
			kinds = append(kinds, pages.Kind{Name: k.Name, One: kindWord(k.Name), Many: kindWord(k.Name) + "s", Multiple: k.Multiple})
		}
	}
	return kinds
}

// cards are the candidates of this page, and those chosen on other pages.
func (at *attempt) cards(view *PendingSession, chosen []string) (here, elsewhere []pages.Candidate) {
	shown := map[string]bool{}
	for _, o := range view.Candidates {
		shown[o.ID()] = true
		here = append(here, pages.Candidate{
			Candidate: at.withParent(o.Candidate),
			Connected: o.AccountID != "", AccountID: o.AccountID, Chosen: slices.Contains(chosen, o.ID()),
		})
	}
	for _, o := range at.offered() {
		if slices.Contains(chosen, o.ID()) && !shown[o.ID()] {
			elsewhere = append(elsewhere, pages.Candidate{Candidate: at.withParent(o), Chosen: true})
		}
	}
	return here, elsewhere
}

// withParent names a candidate's parent that is on offer itself.
func (at *attempt) withParent(c selection.Candidate) selection.Candidate {
	for _, o := range at.offered() {
		if c.Parent != "" && o.ID() == c.Parent {
			c.ParentName = o.Name
		}
	}
	return c
}

// pickerPost finalizes what was chosen.
func (c *Connector) pickerPost(w http.ResponseWriter, r *http.Request) {
	session := r.PathValue("session")
	p, err := c.pagePost(w, r, "finalize", session)
	if err != nil {
		c.errorPage(w, r, err)
		return
	}
	choice := pages.ReadChoice(r.PostForm)
	if len(choice.IDs) == 0 {
		c.showPicker(w, r, p, choice, "none_chosen")
		return
	}
	done, err := c.Finalize(r.Context(), p, session, FinalizeRequest{SelectedIDs: choice.IDs})
	switch {
	case err == nil:
		seeOther(w, done.ReturnURL)
	case CodeOf(err) == CodeNotOffered:
		c.showPicker(w, r, p, choice, string(CodeNotOffered))
	default:
		c.errorPage(w, r, err)
	}
}

// credentialsPage is the form of a credentials method.
func (c *Connector) credentialsPage(w http.ResponseWriter, r *http.Request) {
	p, err := c.principal(r)
	if err != nil {
		c.errorPage(w, r, err)
		return
	}
	form, err := c.readCredentialsForm(r)
	if err != nil {
		c.errorPage(w, r, err)
		return
	}
	c.showCredentials(w, r, p, form, nil)
}

// credentialsForm is what the address of a credentials form asks for.
type credentialsForm struct {
	adapter   *adapter
	method    Method
	accountID string
	mode      Mode
	returnURL string
}

// readCredentialsForm reads the address strictly, for the form and for its
// post.
func (c *Connector) readCredentialsForm(r *http.Request) (*credentialsForm, error) {
	const op = "credentials"
	query, err := knownQuery(r, "method", "account_id", "return_url", "mode")
	if err != nil {
		return nil, err
	}
	form := &credentialsForm{
		accountID: query.Get("account_id"), mode: Mode(query.Get("mode")),
		returnURL: cmp.Or(query.Get("return_url"), c.cfg.DefaultReturnURL),
	}
	if err := c.checkReturn(op, form.returnURL); err != nil {
		return nil, err
	}
	if form.adapter, err = c.adapter(op, r.PathValue("platform")); err != nil {
		return nil, err
	}
	var ok bool
	if form.method, ok = form.adapter.method(query.Get("method"), MethodCredentials); !ok {
		return nil, &Error{Code: CodeUnsupported, Op: op, Platform: form.adapter.Name, Message: "The platform has no such method."}
	}
	return form, nil
}

func (c *Connector) showCredentials(w http.ResponseWriter, r *http.Request, p Principal, form *credentialsForm, problem *Error) {
	a := form.adapter
	page := pages.Credentials{
		Platform: a.DisplayName, Action: c.url("/ui/credentials/"+a.Name) + rawQuery(r),
		Token: c.formToken("credentials", a.Name, p.Tenant, p.User), Cancel: c.url("/ui/"),
		FormTargets: originsOf(form.returnURL),
	}
	for _, f := range form.method.Fields {
		page.Fields = append(page.Fields, formField(f, r, problem))
	}
	status := http.StatusOK
	if problem != nil {
		status = c.httpStatus(w, r, problem)
		if problem.Field == "" {
			page.Problem, page.Reason = string(problem.Code), reasonOf(problem)
		}
	}
	c.render(w, r, status, page)
}

func rawQuery(r *http.Request) string {
	if r.URL.RawQuery == "" {
		return ""
	}
	return "?" + r.URL.RawQuery
}

// formField is a field as it is shown, with what was typed unless it is
// secret.
func formField(f Field, r *http.Request, problem *Error) pages.Field {
	view := pages.Field{Name: f.Name, Label: f.Label, Help: f.Help, Secret: f.Secret, Required: f.Required}
	if problem == nil {
		return view
	}
	if !f.Secret {
		view.Value = r.PostForm.Get(f.Name)
	}
	switch {
	case problem.Field != f.Name:
	case r.PostForm.Get(f.Name) == "":
		view.Problem = "required"
	default:
		view.Problem, view.Reason = "invalid", reasonOf(problem)
	}
	return view
}

// reasonOf is the provider's own sentence for a refusal, empty where it has none.
func reasonOf(problem *Error) string {
	if refusal, ok := errors.AsType[*ProviderError](problem.Err); ok && problem.Code == CodeCredentialsRefused {
		return refusal.Message
	}
	return ""
}

// credentialsPost connects with what was typed.
func (c *Connector) credentialsPost(w http.ResponseWriter, r *http.Request) {
	form, err := c.readCredentialsForm(r)
	if err != nil {
		c.errorPage(w, r, err)
		return
	}
	p, err := c.pagePost(w, r, "credentials", form.adapter.Name)
	if err != nil {
		c.errorPage(w, r, err)
		return
	}
	req := CredentialsRequest{Platform: form.adapter.Name, Method: form.method.ID, AccountID: form.accountID, Values: map[string]Secret{}}
	for _, f := range form.method.Fields {
		req.Values[f.Name] = NewSecret(r.PostForm.Get(f.Name))
	}
	out, err := c.login(r.Context(), p, req, form.mode, form.returnURL)
	if err != nil {
		c.showCredentials(w, r, p, form, asError(err))
		return
	}
	seeOther(w, out.ReturnURL)
}
