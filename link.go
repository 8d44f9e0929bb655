package connect

import (
	"errors"
	"net/http"
	"strings"

	"github.com/seed944197df/connect/pages"
)

// LinkHandler serves /go/{link}, the connect link: GET shows a page, POST binds
// the browser and sends it on to the platform.
//
// Security: links are sent by mail, and mail is scanned. Looking at a link
// changes nothing; only the button does, and only from our own page. The
// browser that pressed it first may press it again, and no other.
func (c *Connector) LinkHandler() http.Handler {
	return c.byMethod(map[string]http.Handler{
		http.MethodGet:  http.HandlerFunc(c.showLink),
		http.MethodPost: http.HandlerFunc(c.followLink),
	})
}

// linked finds the flow of a link that may still be followed.
func (c *Connector) linked(r *http.Request) (*attempt, error) {
	link := r.PathValue("link")
	if link == "" || len(link) > maxHandle {
		return nil, notFound("link", handleWords[purposeLink])
	}
	at, err := c.flowByHandle(r.Context(), "link", purposeLink, link, FlowKey{Link: digest(link)})
	if err != nil {
		return nil, err
	}
	visitor, err := c.visitor(r)
	switch {
	case err != nil:
		return nil, err
	case visitor != nil && stranger(*visitor, at.flow):
		return nil, mismatch(at.op, at.flow)
	case at.flow.Status != FlowStarted, at.flow.Linked && !c.hasCookie(r, at.flow):
		return nil, &Error{Code: CodeUsed, Op: "link", Platform: at.flow.Platform, Message: "This link was already used. Start again from the app."}
	case c.overdue(at.flow):
		return nil, &Error{Code: CodeExpired, Op: "link", Platform: at.flow.Platform, Message: "This link is over. Ask for a new one."}
	}
	return at, nil
}

func (c *Connector) showLink(w http.ResponseWriter, r *http.Request) {
	at, err := c.linked(r)
	if err != nil {
		c.errorPage(w, r, err)
		return
	}
	c.render(w, r, http.StatusOK, pages.Hop{
		Platform: at.adapter.DisplayName, Action: c.url("/go/" + r.PathValue("link")),
		Token: c.formToken(at.flow.ID), FormTargets: originsOf(at.request.URL),
	})
}

func (c *Connector) followLink(w http.ResponseWriter, r *http.Request) {
	at, err := c.linked(r)
	if err == nil && (!c.sameOrigin(r) || !c.validForm(w, r, at.flow.ID)) {
		err = crossOrigin()
	}
	if err == nil && !at.flow.Linked {
		at.flow.Linked = true
		err = c.move(r.Context(), at, FlowStarted, "link")
		if errors.Is(err, ErrConflict) {
			err = &Error{Code: CodeUsed, Op: "link", Platform: at.flow.Platform, Message: "This link was already used. Start again from the app."}
		}
	}
	if err == nil {
		err = c.setCookie(w, r, at.flow)
	}
	if err != nil {
		c.errorPage(w, r, err)
		return
	}
	seeOther(w, at.request.URL)
}

// navigate serves a browser that goes to /start/{platform}. Only our own pages
// may take it straight to the platform: a start from elsewhere, which another
// site could have caused, shows the hop page with a link to press.
func (c *Connector) navigate(w http.ResponseWriter, r *http.Request) {
	p, err := c.principal(r)
	if err != nil {
		c.errorPage(w, r, err)
		return
	}
	req, err := navigationRequest(r)
	if err != nil {
		c.errorPage(w, r, err)
		return
	}
	a, err := c.adapter("start", req.Platform)
	if err != nil {
		c.errorPage(w, r, err)
		return
	}
	if prefetched(r) || p.Ambient && !ownNavigation(r) {
		href := c.url("/start/" + a.Name)
		if r.URL.RawQuery != "" {
			href += "?" + r.URL.RawQuery
		}
		c.render(w, r, http.StatusOK, pages.Hop{Platform: a.DisplayName, Href: href})
		return
	}
	started, err := c.startFor(w, r, p, req)
	if err != nil {
		c.errorPage(w, r, err)
		return
	}
	seeOther(w, started.URL)
}

func prefetched(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch")
}

// ownNavigation reports whether a page of our own origin sent the browser
// here, and not to fill a frame or a picture of that page. A browser that does
// not say what it fetches for, as Safari before 16.4 did, is taken at its word
// about the site: what it starts is bound to its own session all the same.
func ownNavigation(r *http.Request) bool {
	dest, mode := r.Header.Get("Sec-Fetch-Dest"), r.Header.Get("Sec-Fetch-Mode")
	return r.Header.Get("Sec-Fetch-Site") == "same-origin" &&
		(dest == "" || dest == "document") && (mode == "" || mode == "navigate")
}

// seeOther redirects with 303, the one redirect that never repeats a body
// (RFC 9700 § 4.12), and with an empty body of its own.
func seeOther(w http.ResponseWriter, target string) {
	header := w.Header()
	header.Set("Location", target)
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

// CallbackHandler serves GET /callback/{platform} and
// /callback/{platform}/{client}, the redirect URIs. It ends in 303 to the
// return URL or to one of our pages, so that no address with a code stays; a
// response that nobody can be sent on with, such as one of another person, is
// an error page with its status.
func (c *Connector) CallbackHandler() http.Handler {
	return c.byMethod(map[string]http.Handler{http.MethodGet: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := c.Callback(r, r.PathValue("platform"), r.PathValue("client"))
		switch {
		case err == nil:
			seeOther(w, out.ReturnURL)
		case CodeOf(err) == CodeUnavailable:
			c.tryAgain(w, r, err)
		default:
			c.errorPage(w, r, err)
		}
	})})
}

// tryAgain shows a page that loads the same address again by itself: somebody
// else is at work on the flow, or the store did not answer and the code has
// not been used.
func (c *Connector) tryAgain(w http.ResponseWriter, r *http.Request, err error) {
	e := asError(err)
	status := c.httpStatus(w, r, e)
	a, err := c.adapter("callback", r.PathValue("platform"))
	if err != nil {
		c.errorPage(w, r, err)
		return
	}
	c.render(w, r, status, pages.Working{Platform: a.DisplayName, Refresh: c.url("/callback/" + r.PathValue("platform") + clientPath(r) + "?" + r.URL.RawQuery)})
}

func clientPath(r *http.Request) string {
	if client := r.PathValue("client"); client != "" {
		return "/" + client
	}
	return ""
}
