package main

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/pages"
)

// host is an application with two customers. A browser signs in with one
// click; a program sends an API key.
type host struct {
	engine  *connect.Connector
	origin  string
	sandbox string // its origin

	mu       sync.Mutex // guards sessions
	sessions map[string]connect.Principal
}

const sessionCookie = "quickstart_session"

// users are the demo customers: one user each.
var users = map[string]string{"acme": "alice", "globex": "bob"}

// apiKeys are the demo keys. They stand for a whole tenant.
var apiKeys = map[string]string{"demo-acme": "acme", "demo-globex": "globex"}

func newHost(origin, sandbox string) *host {
	return &host{origin: origin, sandbox: sandbox, sessions: map[string]connect.Principal{}}
}

func (h *host) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/connect/", h.engine.Handler())
	mux.HandleFunc("GET /{$}", h.home)
	mux.HandleFunc("GET /popup", h.popup)
	mux.HandleFunc("POST /finish", h.finish)
	mux.HandleFunc("POST /sign-in", h.signIn)
	mux.HandleFunc("POST /sign-out", h.signOut)
	own := http.NewCrossOriginProtection()
	own.AddInsecureBypassPattern("/connect/") // the engine has its own, stricter check
	return h.onlyOwnName(own.Handler(mux))
}

// onlyOwnName refuses requests that a foreign name was pointed here for (DNS
// rebinding): a demo on loopback has no other protection. A browser that came
// by the name localhost is sent to the address that the engine knows, since a
// flow would end there, without its session; programs have no session.
func (h *host) onlyOwnName(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own := "http://"+r.Host == h.origin
		switch {
		case !own && r.Host != "localhost"+h.origin[strings.LastIndex(h.origin, ":"):]:
			http.Error(w, "This is "+h.origin+".", http.StatusMisdirectedRequest)
		case !own && r.Method == http.MethodGet && r.Header.Get("Authorization") == "":
			http.Redirect(w, r, h.origin+r.URL.RequestURI(), http.StatusSeeOther) //nolint:gosec // to our own origin, whatever the path is
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// authenticate is the host's side of the engine: who makes this request?
func (h *host) authenticate(r *http.Request) (connect.Principal, error) {
	if header := r.Header.Get("Authorization"); header != "" {
		key, _ := strings.CutPrefix(header, "Bearer ")
		if tenant := apiKeys[key]; tenant != "" {
			return connect.Principal{Tenant: tenant}, nil
		}
		return connect.Principal{}, connect.ErrUnauthenticated
	}
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return connect.Principal{}, connect.ErrUnauthenticated
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if p, ok := h.sessions[cookie.Value]; ok {
		return p, nil
	}
	return connect.Principal{}, connect.ErrUnauthenticated
}

func (h *host) signIn(w http.ResponseWriter, r *http.Request) {
	tenant := r.FormValue("tenant")
	if users[tenant] == "" {
		http.Error(w, `There is no such tenant; use "acme" or "globex".`, http.StatusBadRequest)
		return
	}
	token := rand.Text()
	h.mu.Lock()
	h.sessions[token] = connect.Principal{Tenant: tenant, User: users[tenant], Ambient: true}
	h.mu.Unlock()
	http.SetCookie(w, session(token, 0))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (h *host) signOut(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		h.mu.Lock()
		delete(h.sessions, cookie.Value)
		h.mu.Unlock()
	}
	http.SetCookie(w, session("", -1))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// finish ends a flow that came back with a ticket: what a host's backend does.
// The person pressed a button of this very page, as the cross-origin check has
// seen, so that the principal is not ambient: it may take a flow that an API key
// began for nobody in particular.
func (h *host) finish(w http.ResponseWriter, r *http.Request) {
	p, _ := h.authenticate(r) // for nobody, Complete fails
	p.Ambient = false
	out, err := h.engine.Complete(r.Context(), p, connect.CompleteRequest{Ticket: r.PostFormValue("ticket")})
	if err != nil {
		http.Redirect(w, r, "/?status=error&error="+string(connect.CodeOf(err)), http.StatusSeeOther)
		return
	}
	http.Redirect(w, r, out.ReturnURL, http.StatusSeeOther)
}

// session is the host's own cookie. It is not Secure because the demo is served
// over http on loopback; yours must be.
func session(token string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // see above
		Name: sessionCookie, Value: token, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

//go:embed home.html popup.html
var files embed.FS

var templates = template.Must(template.ParseFS(files, "*.html"))

// view is what the host's pages show.
type view struct {
	Title, Nonce string
	Tenant, User string
	Sandbox      string // where its people and passwords are
	Notice       string
	Choose       string // the session of a choice that is open
	Ticket       string // of a flow that waits to be finished
	Sentences    map[string]string
	Accounts     []accountView
}

type accountView struct {
	connect.Account

	Answer string // what the platform said to a call as this account
	Failed bool
}

// home shows the customer's accounts and, for each, a call made as it.
func (h *host) home(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	v := view{Title: productName, Sandbox: h.sandbox, Notice: notice(query)}
	p, err := h.authenticate(r)
	if err != nil {
		show(w, "home.html", v)
		return
	}
	accounts, _, err := h.engine.Accounts(r.Context(), p, connect.AccountFilter{}, connect.Page{Limit: 100})
	if err != nil {
		http.Error(w, "The accounts cannot be read right now.", http.StatusServiceUnavailable)
		return
	}
	v.Tenant, v.User = p.Tenant, p.User
	switch query.Get("status") {
	case "pending":
		v.Choose = query.Get("session")
	case "continue":
		v.Ticket = query.Get("ticket")
	}
	for _, account := range accounts {
		v.Accounts = append(v.Accounts, h.call(r.Context(), account))
	}
	show(w, "home.html", v)
}

// popup shows how a page that must not be left connects: see popup.html.
func (h *host) popup(w http.ResponseWriter, r *http.Request) {
	if _, err := h.authenticate(r); err != nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	v := view{Title: "Connect in a popup", Sentences: map[string]string{}}
	for key, text := range pages.Text() {
		if code, ok := strings.CutPrefix(key, "error."); ok {
			v.Sentences[code] = text
		}
	}
	show(w, "popup.html", v)
}

// show renders a page. Its style and its script run by their nonce. Nothing is
// told to where its links lead: what a flow returns to may hold a ticket.
func show(w http.ResponseWriter, page string, v view) {
	v.Nonce = rand.Text()
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+v.Nonce+"'; script-src 'nonce-"+v.Nonce+"'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	_ = templates.ExecuteTemplate(w, page, v)
}

// notice tells how a flow ended. Anybody can make a link to this page, so that
// it repeats nothing of the address.
func notice(query url.Values) string {
	switch query.Get("status") {
	case "connected":
		return "Connected."
	case "pending":
		return "Waiting for a choice."
	case "continue":
		return "Almost done. What is left is for this application to do, for who is signed in."
	case "error":
		return "Nothing was connected. " + sentence(query.Get("error"), query.Get("platform"))
	default:
		return ""
	}
}

const productName = "Quickstart"

// sentence is the engine's own for an error code.
func sentence(code, platform string) string {
	texts := pages.Text()
	text, known := texts["error."+code]
	if !known {
		text = texts["error.unknown"]
	}
	name, known := map[string]string{"x": "X", "facebook": "Facebook", "bluesky": "Bluesky"}[platform]
	if !known {
		name = texts["unnamed.platform"]
	}
	text = strings.NewReplacer("{platform}", name, "{product}", productName).Replace(text)
	return strings.ToUpper(text[:1]) + text[1:]
}

// call asks the platform who the account is, as the account.
func (h *host) call(ctx context.Context, account connect.Account) accountView {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	answer, err := h.whoAmI(ctx, account)
	if e, ok := errors.AsType[*connect.Error](err); ok {
		return accountView{Account: account, Answer: "The call failed. " + e.Message, Failed: true}
	}
	if err != nil {
		return accountView{Account: account, Answer: "The call failed. The platform did not answer as expected.", Failed: true}
	}
	return accountView{Account: account, Answer: answer}
}

func (h *host) whoAmI(ctx context.Context, account connect.Account) (string, error) {
	client, err := h.engine.Client(ctx, account.Tenant, account.ID)
	if err != nil {
		return "", err
	}
	path := map[string]string{
		"x":        "/users/me",
		"facebook": "/" + account.PlatformID + "?fields=name",
		"bluesky":  "/xrpc/com.atproto.server.getSession",
	}[account.Platform]
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, account.APIBaseURL+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the platform answered %d", resp.StatusCode)
	}
	return readName(resp.Body)
}

// readName reads the name in any of the three answers.
func readName(body io.Reader) (string, error) {
	var answer struct {
		Name   string `json:"name"`
		Handle string `json:"handle"`
		Data   struct {
			Name     string `json:"name"`
			Username string `json:"username"`
		} `json:"data"`
	}
	if err := json.NewDecoder(io.LimitReader(body, 1<<20)).Decode(&answer); err != nil {
		return "", err
	}
	switch {
	case answer.Data.Username != "":
		return "X says: " + answer.Data.Name + " (@" + answer.Data.Username + ")", nil
	case answer.Handle != "":
		return "Bluesky says: session of @" + answer.Handle, nil
	case answer.Name != "":
		return "Facebook says: " + answer.Name, nil
	}
	return "", errors.New("the platform named nobody")
}
