package connect

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect/tokencrypt"
)

// FuzzRing is no secret, so that what it sealed is the same in every process
// that fuzzes.
const FuzzRing = "2026-01:eSMz+AoNA49kvb3rK1wzT+GbUwuHZRqpqCnJcRWceus="

// fuzzState is what SealState made of fuzzClaims with FuzzRing.
const fuzzState = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoiMjAyNi0wMSIsInR5cCI6InN0YXRlIn0..yYIfZTjVSmWJiOZG.g-mRh3iAWf2FDA7Qrvk45a-EEo1RjDPwKLbVW7sLbyrj.1FlWQeX3oeKS6yoUCsU1-Q"

var fuzzClaims = StateClaims{
	FlowID: "019aab6e-5c00-7a3b-9c1d-2e3f4a5b6c7d", Platform: "x", Client: "shared",
	Expiry: time.Unix(1795348800, 0),
}

func newFuzzRing(f *testing.F) *tokencrypt.Keyring {
	f.Helper()
	ring, err := tokencrypt.ParseKeyring(FuzzRing)
	if err != nil {
		f.Fatal(err)
	}
	return ring
}

// Of all texts there may be, one is the state that was sealed.
func FuzzState(f *testing.F) {
	state := jweState{newFuzzRing(f)}
	f.Add(fuzzState)
	f.Add(strings.Replace(fuzzState, "..", ".AA.", 1))
	f.Add(fuzzState + "\n")
	f.Add(fuzzState[:len(fuzzState)-1] + "R")
	f.Add("eyJhbGciOiJub25lIn0..." + strings.Repeat("A", maxState))
	f.Fuzz(func(t *testing.T, text string) {
		if text != fuzzState {
			mustRefuse(t, state, "not ours", text)
			return
		}
		if got, err := state.OpenState(text); err != nil || got != fuzzClaims {
			t.Errorf("claims %+v, %v, want %+v", got, err, fuzzClaims)
		}
	})
}

var (
	urlSafe = regexp.MustCompile(`^[A-Za-z0-9._-]{1,255}$`)
	ourID   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// What is sealed opens to the same claims, and changed in one byte to none.
func FuzzSealState(f *testing.F) {
	state := jweState{newFuzzRing(f)}
	f.Add(uint64(1), uint64(2), "x", "shared", int64(1795348800), uint(100), byte(1))
	f.Add(uint64(0), uint64(0), strings.Repeat("p", 32), strings.Repeat("c", 32), int64(-1), uint(0), byte(0x20))
	f.Add(uint64(0), uint64(0), strings.Repeat("p", 33), "", int64(1)<<62, uint(0), byte(0))
	f.Fuzz(func(t *testing.T, high, low uint64, platform, client string, expiry int64, at uint, flip byte) {
		id := [16]byte(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, high), low))
		claims := StateClaims{FlowID: formatID(id), Platform: platform, Client: client, Expiry: time.Unix(expiry, 0)}
		sealed, err := state.SealState(claims)
		if fits := len(platform) <= 32 && len(client) <= 32; fits != (err == nil) {
			t.Fatalf("sealing %+v: %v", claims, err)
		}
		if err != nil {
			return
		}
		if got, err := state.OpenState(sealed); err != nil || got != claims || !urlSafe.MatchString(sealed) {
			t.Errorf("%q opens to %+v, %v, want %+v", sealed, got, err, claims)
		}
		changed := []byte(sealed)
		changed[at%uint(len(changed))] ^= flip
		if flip != 0 {
			mustRefuse(t, state, "changed", string(changed))
		}
	})
}

// Claims that unpack are packed as SealState packs them, so that whoever has
// the key finds no second way either.
func FuzzClaims(f *testing.F) {
	packed, err := fuzzClaims.pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add(packed[:24])
	f.Add(append(slices.Clone(packed), 0))
	f.Fuzz(func(t *testing.T, payload []byte) {
		claims, err := unpackClaims(payload)
		if err != nil {
			if !errors.Is(err, errState) || claims != (StateClaims{}) {
				t.Errorf("claims %+v, %v", claims, err)
			}
			return
		}
		if again, err := claims.pack(); err != nil || !bytes.Equal(again, payload) {
			t.Errorf("%x opens to %+v, which is packed as %x, %v", payload, claims, again, err)
		}
	})
}

// FuzzID: an id has one spelling, alone and in a cookie's name.
func FuzzID(f *testing.F) {
	for _, seed := range []string{fuzzClaims.FlowID, strings.ToUpper(fuzzClaims.FlowID), strings.ReplaceAll(fuzzClaims.FlowID, "-", ""), cookiePrefix + fuzzClaims.FlowID, ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := parseID(text)
		if ourID.MatchString(text) != (err == nil) || err == nil && formatID(id) != text {
			t.Errorf("%q is %x, %v", text, id, err)
		}
		flow, ours := flowOfCookie(text)
		if rest, ok := strings.CutPrefix(text, cookiePrefix); ours != (ok && ourID.MatchString(rest)) || ours && flow != rest {
			t.Errorf("the cookie %q is of flow %q, %t", text, flow, ours)
		}
	})
}

// sentences are all errors that a parser has, as its seeds bring them about. A
// parser whose errors are fixed sentences repeats nothing of what it was given.
type sentences map[string]bool

// seed adds an input to the corpus, and what refuse says of it to the sentences.
func (s sentences) seed(f *testing.F, refuse func() error, input ...any) {
	f.Helper()
	f.Add(input...)
	if err := refuse(); err != nil {
		s[err.Error()] = true
	}
}

// check fails unless err is one of the sentences, and of a code that blames
// the request.
func (s sentences) check(t *testing.T, err error) {
	t.Helper()
	if code := CodeOf(err); code != CodeInvalidRequest && code != CodeExpired || !s[err.Error()] {
		t.Errorf("the error is %v", err)
	}
}

// A query is accepted exactly where url.ParseQuery reads all of it, and each
// name once.
func FuzzCallbackQuery(f *testing.F) {
	c := &Connector{cfg: Config{State: jweState{newFuzzRing(f)}, Now: func() time.Time { return fuzzClaims.Expiry }}}
	c.platforms = map[string]*adapter{"x": {Platform: Platform{Name: "x", DisplayName: "X"}}, "y": {Platform: Platform{Name: "y", DisplayName: "Y"}}}
	errs := sentences{}
	for _, seed := range []string{
		"code=c&state=" + fuzzState, "state=" + fuzzState + "&error=access_denied", "code=c&error=e&state=" + fuzzState, "&&state=" + fuzzState + "&code=%63",
		"a=1&a=2", "a=1;b=2", "%61=1&a=2", "a=%zz", "a+b=c+d", "=", "code=" + strings.Repeat("c", maxCode+1) + "&state=" + fuzzState, strings.Repeat("a", maxQuery),
		"code=c&state=x", "code=c&state=" + strings.Repeat("x", maxState+1),
	} {
		for _, platform := range []string{"x", "y"} {
			errs.seed(f, func() error {
				_, err := c.parseResponse("callback", platform, "", seed)
				return err
			}, seed)
		}
	}
	f.Fuzz(func(t *testing.T, raw string) {
		query, err := strictQuery(raw)
		want, wantErr := url.ParseQuery(raw)
		once := wantErr == nil && len(raw) <= maxQuery
		for _, values := range want {
			once = once && len(values) == 1
		}
		if once != (err == nil) || once && !cmp.Equal(want, query) {
			t.Errorf("%q is %v, %v, want %v, %v", raw, query, err, want, wantErr)
		}
		for _, client := range []string{"", "other"} {
			for _, platform := range []string{"x", "y"} {
				resp, err := c.parseResponse("callback", platform, client, raw)
				switch {
				case err != nil:
					errs.check(t, err)
				case client == "other" || platform == "y" || !once:
					t.Errorf("%q is a response of %s, %q", raw, platform, client)
				default:
					mustBeResponse(t, resp, query)
				}
			}
		}
	})
}

// mustBeResponse checks a response that was accepted.
func mustBeResponse(t *testing.T, resp *response, query url.Values) {
	t.Helper()
	code, state := query.Get("code"), query.Get("state")
	if resp.claims != fuzzClaims || state != fuzzState || !cmp.Equal(resp.query, query) {
		t.Errorf("response %+v of %v", resp.claims, query)
	}
	if (code == "") == (query.Get("error") == "") || len(code) > maxCode {
		t.Errorf("%v holds neither a code nor an error, or both", query)
	}
}

// A list's query names only what the route has, and its numbers are in range.
func FuzzListQuery(f *testing.F) {
	errs := sentences{}
	read := func(raw string) (query url.Values, start, limit int, err error) {
		if query, err = knownQuery(&http.Request{URL: &url.URL{RawQuery: raw}}, "q", "parent", "limit", "cursor"); err != nil {
			return nil, 0, 0, err
		}
		page, err := pageOf(query)
		if err != nil {
			return nil, 0, 0, err
		}
		start, limit, err = candidatePage("pending", PendingRequest{Query: query.Get("q"), Parent: query.Get("parent"), Page: page})
		return query, start, limit, err
	}
	for _, seed := range []string{
		"limit=25&cursor=50&q=mill", "limit=0", "limit=101", "limit=+7&cursor=%2b7", "cursor=-1", "cursor=2001", "cursor=99999999999999999999",
		"parent=a&x=1", "q=1&q=2", "q=" + strings.Repeat("q", maxSearch+1),
	} {
		errs.seed(f, func() error { _, _, _, err := read(seed); return err }, seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		query, start, limit, err := read(raw)
		if err != nil {
			errs.check(t, err)
			return
		}
		for name := range query {
			if !slices.Contains([]string{"q", "parent", "limit", "cursor"}, name) {
				t.Errorf("%q names %q", raw, name)
			}
		}
		mustBeNumber(t, query.Get("limit"), limit, defaultLimit, maxLimit)
		mustBeNumber(t, query.Get("cursor"), start, 0, maxCandidates)
	})
}

func mustBeNumber(t *testing.T, text string, got, absent, most int) {
	t.Helper()
	want := big.NewInt(int64(absent))
	if text != "" {
		want.SetString(text, 10)
	}
	if got < 0 || got > most || want.Cmp(big.NewInt(int64(got))) != 0 {
		t.Errorf("%q is read as %d", text, got)
	}
}

// What a browser's address may ask of a start can be sent to a platform and
// told as JSON again.
func FuzzNavigation(f *testing.F) {
	errs := sentences{}
	read := func(raw string) (StartRequest, error) {
		r := &http.Request{URL: &url.URL{RawQuery: raw}}
		r.SetPathValue("platform", "x")
		req, err := navigationRequest(r)
		if err == nil {
			err = checkScopes("start", &adapter{}, Method{}, req.Scopes)
		}
		if err == nil {
			err = checkMetadata("start", req.Metadata)
		}
		return req, err
	}
	for _, seed := range []string{
		"scopes=tweet.read+users.read,offline.access&metadata=%7B%22a%22:[1]%7D&return_url=https://app.test/&login_hint=a%00b", "scopes=%22", "scopes=a%0d%0ab", "metadata=[]",
		"metadata=%7B%22%C3%A9%22:%22%F0%9F%98%80%22%7D", "scopes=" + strings.Repeat("a,", maxScopes+1), "scopes=" + strings.Repeat(strings.Repeat("a", 200)+"+", 21),
		"metadata=" + strings.Repeat("a", maxMetadata+1), "ad_account_ids=1", "platform=y", "user=a&user=b",
	} {
		errs.seed(f, func() error { _, err := read(seed); return err }, seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		req, err := read(raw)
		if err != nil {
			if CodeOf(err) != CodeUnsupported {
				errs.check(t, err)
			}
			return
		}
		asked := strings.FieldsFunc(mustParseQuery(t, raw).Get("scopes"), func(r rune) bool { return r == ' ' || r == ',' })
		unfit := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"\\,", r) }
		if !slices.Equal(asked, req.Scopes) || slices.ContainsFunc(req.Scopes, func(s string) bool { return strings.ContainsFunc(s, unfit) }) || len(req.Scopes) > maxScopes {
			t.Errorf("%q asks for %q", raw, req.Scopes)
		}
		if len(bytes.TrimSpace(req.Metadata)) == 0 {
			return
		}
		told, err := Account{Metadata: req.Metadata}.MarshalJSON()
		if err != nil || !utf8.Valid(told) || !bytes.HasPrefix(bytes.TrimSpace(req.Metadata), []byte("{")) {
			t.Errorf("the metadata %q is told as %q, %v", req.Metadata, told, err)
		}
	})
}

func mustParseQuery(t *testing.T, raw string) url.Values {
	t.Helper()
	query, err := url.ParseQuery(raw)
	if err != nil {
		t.Fatal(err)
	}
	return query
}

// A body that is accepted reads as encoding/json reads it, but names nothing
// that the route does not have.
func FuzzRequestBody(f *testing.F) {
	errs := sentences{}
	read := func(contentType string, body []byte, v any) error {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		return readJSON(httptest.NewRecorder(), r, v)
	}
	for _, seed := range []struct{ contentType, body string }{
		{"application/json", `{"user":"u","scopes":["a","b"],"input":{"k":"v"},"metadata":{"a":[1]},"select":"first"}`},
		{"application/json; charset=utf-8", `{"identifier":"ada","app_password":"p","metadata":{}}`},
		{"text/plain", `{}`},
		{"application/json", `{"user":"u","USER":"v"}`},
		{"application/json", ` [] `},
		{"application/json", strings.Repeat(" ", maxBody+1)},
		{"", ""},
	} {
		errs.seed(f, func() error { return read(seed.contentType, []byte(seed.body), new(startJSON)) }, seed.contentType, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		var start, lax startJSON
		var fields map[string]json.RawMessage
		known, anyone := read(contentType, body, &start), read(contentType, body, &fields)
		for _, err := range []error{known, anyone} {
			if err != nil {
				errs.check(t, err)
			} else if len(body) > 0 && (!strings.HasPrefix(strings.ToLower(contentType), "application/json") || len(body) > maxBody) {
				t.Errorf("%d bytes of %q are accepted", len(body), contentType)
			}
		}
		if known == nil && (anyone != nil || len(body) > 0 && (json.Unmarshal(body, &lax) != nil || !cmp.Equal(start, lax))) {
			t.Errorf("%q is read as %+v, want %+v", body, start, lax)
		}
		if anyone == nil {
			mustSort(t, fields)
		}
		for name := range fields {
			if known == nil && !slices.ContainsFunc(startNames, func(ours string) bool { return strings.EqualFold(ours, name) }) {
				t.Errorf("a start is accepted with the field %q", name)
			}
		}
	})
}

var startNames = []string{
	"user", "method", "input", "kind", "scopes", "client", "return_url", "mode", "select", "ad_account_ids", "account_id", "metadata", "login_hint",
}

// mustSort checks that no field of a credentials form is lost or renamed.
func mustSort(t *testing.T, fields map[string]json.RawMessage) {
	t.Helper()
	req, err := (&Connector{}).credentialsOf("x", fields)
	if err != nil {
		return // something else than a string
	}
	got := map[string]string{"method": req.Method, "user": req.User, "kind": req.Kind, "account_id": req.AccountID}
	for name, value := range req.Values {
		if _, twice := got[name]; twice {
			t.Errorf("%q is a field of ours and of the method", name)
		}
		got[name] = value.Reveal()
	}
	for name, raw := range fields {
		var text string
		if name != "metadata" && (json.Unmarshal(raw, &text) != nil || got[name] != text) {
			t.Errorf("%q is %q, want %s", name, got[name], raw)
		}
	}
}

// A row's sealed value that was never sealed does not open, and what was
// sealed by another release is not taken for tokens.
func FuzzSealedRow(f *testing.F) {
	c := &Connector{cfg: Config{Keys: newFuzzRing(f)}}
	f.Add([]byte("\x01\x01\x072026-01"), []byte(`{"v":1,"access":"a","access_exp":"2026-11-22T12:00:00Z"}`))
	f.Add([]byte(nil), []byte(`{"v":2,"access":"a"}`))
	f.Add([]byte(`{"v":1}`), []byte(`{"v":1,"self":{"Kind":"page"}}`))
	f.Fuzz(func(t *testing.T, blob, plain []byte) {
		grant := Grant{ID: "g", Tenant: "acme", Platform: "x", Sealed: blob}
		if _, err := c.openGrant(grant); !errors.Is(err, tokencrypt.ErrIntegrity) && !errors.Is(err, tokencrypt.ErrKeyUnavailable) {
			t.Errorf("%q opens: %v", blob, err)
		}
		var err error
		if grant.Sealed, err = c.cfg.Keys.Seal(grantBinding(grant), plain); err != nil {
			t.Fatal(err)
		}
		tokens, err := c.openGrant(grant)
		var record tokensRecord
		switch wantErr := json.Unmarshal(plain, &record); {
		case err == nil && (wantErr != nil || record.V != recordVersion || tokens.Access.Reveal() != record.Access || tokens.Refresh.Reveal() != record.Refresh):
			t.Errorf("%q is taken for tokens", plain)
		case err != nil && wantErr == nil && record.V == recordVersion:
			t.Errorf("%q is refused: %v", plain, err)
		case err != nil && err.Error() != errRecordVersion.Error() && err.Error() != "connect: opening grant: "+tokencrypt.ErrIntegrity.Error():
			t.Errorf("the error is %v", err)
		}
	})
}
