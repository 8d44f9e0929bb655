package bluesky_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/bluesky"
)

var (
	appPassword = regexp.MustCompile(`^[a-z2-7]{4}-[a-z2-7]{4}-[a-z2-7]{4}-[a-z2-7]{4}$`)

	hostName = regexp.MustCompile(`(?i)^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?$`)
	ownCode  = regexp.MustCompile(`^(not_an_app_password|bad_identifier|bad_pds|did_unsupported|handle_not_found|handle_ambiguous|handle_mismatch|did_not_found|pds_missing|pds_refused|did_mismatch|pds_mismatch|account_(inactive|takendown|suspended|deactivated)|[A-Za-z]{1,64})$`)
)

// wantQuiet checks that an error is of a class and, but for a code that is one
// word, repeats none of the texts. Those of a few letters prove nothing, as they
// are in any sentence.
func wantQuiet(t *testing.T, err error, texts ...string) *connect.ProviderError {
	t.Helper()
	e, ok := errors.AsType[*connect.ProviderError](err)
	classes := []connect.ErrorClass{connect.ClassRefused, connect.ClassRetry, connect.ClassConfig, connect.ClassReconnect, connect.ClassUncertain}
	if !ok || !slices.Contains(classes, e.Class) || e.RetryAfter < 0 || e.RetryAfter > 24*time.Hour {
		t.Fatalf("the error is %v", err)
	}
	if !ownCode.MatchString(e.Code) && (e.Code != "" || e.Class == connect.ClassRefused) {
		t.Errorf("the code is %q", e.Code)
	}
	codeless := *e
	codeless.Code = ""
	for _, text := range append(texts, password) {
		if len(text) >= 12 && strings.Contains(codeless.Error(), text) {
			t.Errorf("the error repeats %q: %v", text, err)
		}
	}
	return e
}

// asked returns the hosts that were asked by the method, and checks that they
// are nothing but names.
func asked(t *testing.T, w *world, method string) []string {
	t.Helper()
	var hosts []string
	for _, request := range w.seen() {
		verb, address, _ := strings.Cut(request, " ")
		host, _, _ := strings.Cut(address, "/")
		if !hostName.MatchString(host) {
			t.Errorf("%q is asked", request)
		}
		if verb == method {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// FuzzLogin: whatever is typed, nothing but host names is asked, the password
// goes to the account's own server alone, and no error repeats anything.
func FuzzLogin(f *testing.F) {
	for _, seed := range []string{handle, did, email, "@ada.example.com", "did:web:ada.example.com", "https://ada.example.com/", "ada@b@c", "\u202eada.example.com", "a.b", "127.1", "[::1]", "a%2eb.test"} {
		f.Add(seed, pdsHost, password)
		f.Add(email, seed, password)
	}
	f.Add(handle, "", " "+password+"\u200b")
	f.Add(handle, "", "correct horse battery staple")
	f.Fuzz(func(t *testing.T, identifier, pds, secret string) {
		w, _ := newWorld(t)
		w.dns.broken = true
		_, err := bluesky.New(nil).Login(t.Context(), w.env(), typed("identifier", identifier, "pds", pds, "app_password", secret))
		if err != nil {
			wantQuiet(t, err, identifier, pds, secret)
		}
		servers := asked(t, w, http.MethodPost)
		if !strings.Contains(identifier, "@") && slices.ContainsFunc(servers, func(host string) bool { return host != pdsHost }) {
			t.Errorf("the password for %q is sent to %q", identifier, servers)
		}
		visible := strings.TrimSpace(strings.Map(func(r rune) rune {
			if unicode.Is(unicode.Cf, r) {
				return -1
			}
			return r
		}, secret))
		if !appPassword.MatchString(visible) && len(w.seen()) > 0 || visible != password && err == nil {
			t.Errorf("%q is taken for an app password", secret)
		}
	})
}

// FuzzDocument: whatever a directory and a handle's server say, the password
// goes to the server that the account's document names, or nowhere.
func FuzzDocument(f *testing.F) {
	f.Add(document(did, handle, "https://"+pdsHost), did)
	f.Add(document(did, handle, "https://PDS.test/"), " "+did+"\n")
	f.Add(document(did, handle, "https://user@pds.test:443/x?y#z"), did)
	f.Add(document(did, handle, "https://user@pds.test"), did)
	f.Add(document(did, handle, "http://pds.test/x"), did)
	f.Add(document(did, handle, "https://127.0.0.1"), did)
	f.Add(document(otherDID, handle, "https://other.test"), otherDID)
	f.Add(document(did, "other.test", "https://"+pdsHost), "did:web:pds.test")
	f.Add(`{"id":"`+did+`","service":[{"id":"x#atproto_pds","type":"Other","serviceEndpoint":"https://a.test"},{"id":"#atproto_pds","type":"AtprotoPersonalDataServer","serviceEndpoint":{}}]}`, did)
	f.Add(`{"id":12345678901234567890}`, "<html>")
	f.Fuzz(func(t *testing.T, doc, wellKnownDID string) {
		w, _ := newWorld(t)
		w.hosts["plc.directory"] = documents{did: doc}
		w.hosts[handle] = wellKnown(wellKnownDID)
		tokens, err := bluesky.New(nil).Login(t.Context(), w.env(), typed())
		values := valuesOf(doc)
		if err != nil {
			wantQuiet(t, err, values...)
		} else if tokens.Subject != did || tokens.APIBaseURL != "https://"+pdsHost || tokens.Self.Username != handle {
			t.Errorf("logged in as %q at %s", tokens.Subject, tokens.APIBaseURL)
		}
		for _, host := range asked(t, w, http.MethodPost) {
			named := func(value string) bool { return strings.TrimSuffix(strings.ToLower(value), "/") == "https://"+host }
			claimed := func(value string) bool { return strings.EqualFold(value, "at://"+handle) }
			if !slices.ContainsFunc(values, named) || !slices.ContainsFunc(values, claimed) || !slices.Contains(values, did) || !strings.Contains(wellKnownDID, did) {
				t.Errorf("the password is sent to %q by %s", host, doc)
			}
		}
	})
}

// valuesOf returns every string of a JSON text that is no key.
func valuesOf(text string) []string {
	var v any
	_ = json.Unmarshal([]byte(text), &v) // of what is no JSON there are none
	var values []string
	var collect func(any)
	collect = func(v any) {
		switch v := v.(type) {
		case string:
			values = append(values, v)
		case []any:
			for _, inner := range v {
				collect(inner)
			}
		case map[string]any:
			for _, inner := range v {
				collect(inner)
			}
		}
	}
	collect(v)
	return values
}

var statuses = []int{200, 201, 204, 302, 400, 401, 403, 404, 408, 413, 429, 500, 502, 503, 504}

// FuzzSession: whatever a PDS answers to a login and a refresh, the outcome is
// tokens of the account that can be sent, or an error that costs nobody a
// grant unless the answer says so.
func FuzzSession(f *testing.F) {
	session := func(did, access, more string) string {
		return `{"did":"` + did + `","accessJwt":"` + access + `","refreshJwt":"b"` + more + `}`
	}
	for i := range statuses {
		f.Add(i, "", "", `{"error":"ExpiredToken","message":"prose"}`)
	}
	f.Add(0, "", "", session(did, jwt("a", now.Add(time.Hour)), `,"active":true`))
	f.Add(0, "", "", session(did, jwt("a", time.Unix(1<<60, 0)), ""))
	f.Add(0, "", "", session(otherDID, "a", ""))
	f.Add(0, "", "", session(did, `a\r\nX: y`, ""))
	f.Add(0, "", "", session(did, "a", `,"active":false,"status":"takendown"`))
	f.Add(0, "", "", "<html>")
	f.Add(5, "120", "", `{"error":"AccountTakedown"}`)
	f.Add(10, "Sun, 22 Nov 2026 12:01:00 GMT", "1795348800", `{"error":"RateLimitExceeded"}`)
	f.Add(10, "-1", "99999999999999999", ``)
	f.Fuzz(func(t *testing.T, which int, retryAfter, reset, body string) {
		status := statuses[uint(which)%uint(len(statuses))]
		w, pds := newWorld(t)
		pds.override = func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Retry-After", retryAfter)
			rw.Header().Set("Ratelimit-Reset", reset)
			rw.WriteHeader(status)
			_, _ = io.WriteString(rw, body)
		}
		p := bluesky.New(nil)
		tokens, err := p.Login(t.Context(), w.env(), typed())
		if err != nil {
			e := wantQuiet(t, err, valuesOf(body)...)
			wantJustified(t, e, status, body)
		} else {
			wantTokens(t, tokens, status, body)
		}
		old := &connect.Tokens{Subject: did, APIBaseURL: "https://" + pdsHost, Refresh: connect.NewSecret("canary-refresh")}
		tokens, err = p.Refresh(t.Context(), w.env(), old)
		if err != nil {
			wantJustified(t, wantQuiet(t, err, append(valuesOf(body), "canary-refresh")...), status, body)
		} else {
			wantTokens(t, tokens, status, body)
		}
		wantClassified(t, p, status, body)
		asked(t, w, "")
	})
}

// wantTokens checks tokens against the answer that they are of.
func wantTokens(t *testing.T, tokens *connect.Tokens, status int, body string) {
	t.Helper()
	unfit := func(r rune) bool { return r < '!' || r > '~' }
	for _, token := range []connect.Secret{tokens.Access, tokens.Refresh} {
		if text := token.Reveal(); text == "" || len(text) > 8<<10 || strings.ContainsFunc(text, unfit) || !slices.Contains(valuesOf(body), text) {
			t.Errorf("a token of %d bytes is taken from %q", len(text), body)
		}
	}
	for _, at := range []*time.Time{tokens.AccessExpiry, tokens.RefreshExpiry} {
		if at != nil && (!at.After(now) || at.Year() > 9999) {
			t.Errorf("a token ends at %v", at)
		}
	}
	if status != http.StatusOK || tokens.Subject != did || !slices.Equal(tokens.Hosts, []string{pdsHost}) || tokens.APIBaseURL != "https://"+pdsHost {
		t.Errorf("%d %q is a session of %q at %q", status, body, tokens.Subject, tokens.Hosts)
	}
}

// wantJustified checks that an error does not say more than the answer did.
func wantJustified(t *testing.T, e *connect.ProviderError, status int, body string) {
	t.Helper()
	passing := status == 429 || status >= 500
	var answer struct{ Error string }
	named := json.Unmarshal([]byte(body), &answer) == nil && answer.Error != ""
	ok := true
	switch e.Class {
	case connect.ClassReconnect:
		ok = !passing && named && (status == 400 || status == 401 || status == 403)
	case connect.ClassRefused:
		ok = !passing && named && (status == 400 || status == 401) || status == http.StatusOK
	case connect.ClassUncertain:
		ok = status == http.StatusOK || status >= 500 && e.Code == "" // of a refresh, by a gateway
	case connect.ClassRetry:
	default:
		ok = false
	}
	if !ok {
		t.Errorf("%d %q is %v", status, body, e)
	}
}

func wantClassified(t *testing.T, p *bluesky.Provider, status int, body string) {
	t.Helper()
	class, known := p.Classify(status, http.Header{}, []byte(body))
	if passing := status == 429 || status >= 500; passing && class != connect.ClassRetry {
		t.Errorf("%d %q is %q", status, body, class)
	}
	if known != slices.Contains([]connect.ErrorClass{connect.ClassExpired, connect.ClassReconnect, connect.ClassRetry}, class) || !known && class != "" || known && status < 400 {
		t.Errorf("%d %q is %q, %t", status, body, class, known)
	}
}
