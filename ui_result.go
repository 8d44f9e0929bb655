package connect

import (
	"context"
	"net/http"
	"net/url"

	"github.com/seed944197df/connect/pages"
)

// resultPage is where a flow ends that has no return URL.
func (c *Connector) resultPage(w http.ResponseWriter, r *http.Request) {
	query, err := strictQuery(r.URL.RawQuery)
	if err != nil {
		c.errorPage(w, r, invalid("page", "", "The address is malformed."))
		return
	}
	page := pages.Result{FlowID: query.Get("flow_id"), Again: c.url("/ui/"), Continue: c.url("/ui/")}
	if _, err := parseID(page.FlowID); err != nil {
		page.FlowID = ""
	}
	if page.Opener = c.opener(r.Context(), page.FlowID, query); page.Opener != nil {
		page.Again, page.Continue = "", ""
	}
	if a := c.platforms[query.Get("platform")]; a != nil {
		page.Platform = a.DisplayName
	}
	switch OutcomeStatus(query.Get("status")) {
	case OutcomeConnected:
		page.Accounts = c.resultAccounts(r, page.FlowID)
	case OutcomeContinue:
		page.Unfinished = true
	case OutcomeError:
		page.Code = string(knownCode(query.Get("error")))
		if a := c.platforms[query.Get("platform")]; a != nil && page.Code == string(CodeNothingToConnect) {
			page.Next = a.Nothing
		}
	default:
		page.Nothing = true
	}
	c.render(w, r, http.StatusOK, page)
}

// resultAccounts are the accounts of a flow, for who may see them.
func (c *Connector) resultAccounts(r *http.Request, flowID string) []pages.Account {
	p, err := c.pageVisitor(r)
	if err != nil {
		return nil
	}
	view, err := c.Flow(r.Context(), p, flowID)
	if err != nil || view.Outcome == nil {
		return nil
	}
	return c.viewAccounts(view.Outcome.Accounts)
}

// opener is whom a popup's result page tells, and what: the origin of the
// flow's return URL, else our own, and what the address of the page says, where
// the flow bears it out. It is nil where there is nothing to tell.
//
// Security: the address may have been made up. What comes of it is a hint all
// the same: a refusal leaves the flow as it is, and anybody can claim one.
func (c *Connector) opener(ctx context.Context, flowID string, query url.Values) *pages.Opener {
	flow, err := c.cfg.Store.ReadFlow(ctx, FlowKey{ID: flowID})
	if err != nil {
		return nil
	}
	at, err := c.openFlow("page", flow)
	if err != nil || at.request.Mode != ModePopup {
		return nil
	}
	out := Outcome{Status: OutcomeStatus(query.Get("status")), Platform: flow.Platform, FlowID: flow.ID}
	switch {
	case out.Status == OutcomeConnected && flow.Status == FlowConnected:
		for _, id := range flow.Outcome.AccountIDs {
			out.Accounts = append(out.Accounts, Account{ID: id})
		}
	case out.Status == OutcomeContinue && c.handleMatches(purposeTicket, flow, query.Get("ticket")):
		out.Ticket = query.Get("ticket")
	case out.Status == OutcomeError:
		out.Error = knownCode(query.Get("error"))
	default:
		return nil
	}
	opener := &pages.Opener{Origin: c.base.Scheme + "://" + c.base.Host, Message: map[string]string{}}
	if origin, err := c.returns.Origin(at.request.ReturnURL); err == nil {
		opener.Origin = origin
	}
	for _, p := range out.parameters() {
		opener.Message[p[0]] = p[1]
	}
	return opener
}

// knownCode keeps a stranger from writing on our page.
func knownCode(code string) Code {
	if _, known := statuses[Code(code)]; known {
		return Code(code)
	}
	return CodePlatformError
}
