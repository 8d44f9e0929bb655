package main

import (
	"html"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/browsertest"
)

func TestThreat26_SameSite(t *testing.T) { //nolint:tparallel // one person, one step after another
	t.Parallel()
	p := browsertest.New(t)
	consent := func(t *testing.T, h *host) url.Values {
		t.Helper()
		p := p.In(t)
		p.Open(h.origin + "/")
		p.Click(`//button[@value="acme"]`)
		p.Click(`//a[contains(., "Connect an account")]`)
		p.Click(`//a[contains(@href, "/start/facebook")]`)
		p.Click(`//input[@value="single"]`)
		p.Click(`//button[@value="allow"]`)
		p.Until(`location.origin === "` + h.origin + `" && location.search`)
		query, err := url.ParseQuery(browsertest.Evaluate[string](p, "location.search.slice(1)"))
		if err != nil {
			t.Fatal(err)
		}
		return query
	}

	t.Run("a Lax session is at the callback", func(t *testing.T) {
		h := startHost(t, "Lax")
		if got := consent(t, h).Get("status"); got != "connected" {
			t.Errorf("status %q, want connected", got)
		}
		if diff := cmp.Diff([]string{"Sam's Bikes"}, h.names(t)); diff != "" {
			t.Errorf("accounts (-want +got):\n%s", diff)
		}
	})
	t.Run("a Strict one is not, so the host completes", func(t *testing.T) {
		h := startHost(t, "Strict")
		outcome := consent(t, h)
		if got := outcome.Get("status"); got != "continue" || len(h.names(t)) > 0 {
			t.Fatalf("status %q and accounts %v; want continue and none", got, h.names(t))
		}
		done, err := h.engine.Complete(t.Context(), alice, connect.CompleteRequest{Ticket: outcome.Get("ticket")})
		if err != nil || done.Status != connect.OutcomeConnected {
			t.Errorf("Complete = %+v, %v", done, err)
		}
	})
	t.Run("no session is with a post, which is no callback", func(t *testing.T) {
		p, h := p.In(t), startHost(t, "Lax")
		p.Open(h.origin + "/")
		p.Click(`//button[@value="acme"]`)
		p.Sees(`//h1[. = "acme"]`)
		started, err := h.engine.Start(t.Context(), alice, connect.StartRequest{Platform: "x"})
		if err != nil {
			t.Fatal(err)
		}
		program := (&quickstart{t: t, app: h.origin, sandbox: h.sandbox}).visitor("")
		_, header, _ := program.form(started.URL, url.Values{"decision": {"allow"}})
		back := header.Get("Location")
		p.Open(foreign(t, postForm(t, back)))
		p.Click(`//button`)
		p.Until(`performance.getEntriesByType("navigation")[0].responseStatus === 405`)
		flow, err := h.engine.Flow(t.Context(), alice, started.FlowID)
		if err != nil || flow.Stage != connect.FlowStarted || len(h.names(t)) > 0 {
			t.Fatalf("the flow is %+v, %v, and there are accounts %v", flow, err, h.names(t))
		}
		p.Open(back)
		p.Sees(`//li[contains(., "Example Bakery")]`)
	})
}

// postForm is a page's form that posts what an address has in its query.
func postForm(t *testing.T, address string) string {
	t.Helper()
	action, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	var form strings.Builder
	form.WriteString(`<form method="post" action="` + action + `"><button>Post</button>`)
	for name := range values {
		form.WriteString(`<input type="hidden" name="` + name + `" value="` + html.EscapeString(values.Get(name)) + `">`)
	}
	return form.String()
}
