package connect_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// A router that matches decoded paths hands us a path whose prefix ends in an
// encoded slash: no path of ours, though it decodes to one.
func TestThreat41_PrefixEndsInAnEncodedSlash(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(&alice)
	flowID, authorize := b.begin("x", nil)
	back := b.consent(authorize, nil)
	for _, path := range []string{"/connect%2Fcallback%2Fx", "/connect%2fcallback/x", "/connect%2F%2Fcallback/x", "/connect%2F..%2Fconnect/callback/x", "/c%6Fnnect%2Fcallback/x"} {
		wantNowhere(t, path, answerOf(w.engine, arrival(alice, path+"?"+queryOf(t, back))), codeOf(t, back), stateOf(t, back))
	}
	w.wantUnused(flowID)
	session := b.session("dana")
	for _, path := range []string{"/connect%2Fui%2Fpending%2F", "/connect%2Fui/pending/", "/connect%2fpending/", "/connect%2fgo/"} {
		wantNowhere(t, path, answerOf(w.engine, arrival(alice, path+session)), session)
	}
}

// The pages are mounted without the rest, below a router that cleans nothing.
func TestThreat41_PagesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.browser(&alice).session("dana")
	get := func(path string) reply {
		rec := httptest.NewRecorder()
		w.engine.PagesHandler().ServeHTTP(rec, arrival(alice, path))
		return reply{rec.Code, rec.Header(), rec.Body.String()}
	}
	for _, path := range []string{
		"/connect/ui//pending/", "/connect/ui/./pending/", "/connect/ui/pending//", "/connect/ui/x/../pending/", "/connect//ui/pending/", "/connect/./ui/pending/",
		"/connect/ui%2Fpending/", "/connect%2Fui/pending/", "/connect%2Fui%2Fpending%2F", "/connect/ui/pending%2F", "/ui//pending/", "/other/ui/pending/",
	} {
		for _, end := range []string{"", "/", "//"} {
			wantNowhere(t, path+"…"+end, get(path+session+end), session)
		}
	}
	if got := get("/connect/ui/pending/" + session); got.status != http.StatusOK {
		t.Errorf("the page at its own path: status %d", got.status)
	}
}
