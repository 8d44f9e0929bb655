package signedrequest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect/providers/internal/signedrequest"
	"github.com/seed944197df/connect/tokencrypt"
)

const key = "canary-app-secret-5f1c"

var (
	now    = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)
	secret = tokencrypt.NewSecret(key)
)

// honest is an object as Meta writes it, issued at the given time.
func honest(at time.Time) string {
	return fmt.Sprintf(`{"user_id":"102233445566778","algorithm":"HMAC-SHA256","issued_at":%d,"expires":%d}`, at.Unix(), at.Unix()+3600)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func mac(key, message string) []byte {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(message))
	return h.Sum(nil)
}

// sign makes the signed_request of an object.
func sign(key, object string) string {
	message := encode([]byte(object))
	return encode(mac(key, message)) + "." + message
}

func mustRefuse(t *testing.T, raw string, secrets ...tokencrypt.Secret) {
	t.Helper()
	got, err := signedrequest.Parse(raw, now, secrets...)
	if err != signedrequest.Err || got != (signedrequest.Request{}) { //nolint:errorlint // the very same error
		t.Errorf("%.200q: request %+v, error %v, want none and %v", raw, got, err, signedrequest.Err)
	}
}

// Meta's own example, with the secret "secret": the signature is the one of
// its documentation, so the signer of these tests is none of our own making.
func TestSignerAgreesWithMeta(t *testing.T) {
	t.Parallel()
	const example = "vlXgu64BQGFSQrY0ZcJBZASMvYvTHu9GQ0YM9rjPSso.eyJhbGdvcml0aG0iOiJITUFDLVNIQTI1NiIsIjAiOiJwYXlsb2FkIn0"
	if got := sign("secret", `{"algorithm":"HMAC-SHA256","0":"payload"}`); got != example {
		t.Errorf("signed as %s, want %s", got, example)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ object, user string }{
		"as documented":            {honest(now), "102233445566778"},
		"the id is a number":       {fmt.Sprintf(`{"algorithm":"HMAC-SHA256","issued_at":%d,"user_id":102233445566778}`, now.Unix()), "102233445566778"},
		"the number is above 2^53": {fmt.Sprintf(`{"algorithm":"HMAC-SHA256","issued_at":%d,"user_id":17841400000000000001}`, now.Unix()), "17841400000000000001"},
		"with more than we read":   {fmt.Sprintf(`{"user":{"country":"de","age":{"min":21}},"algorithm":"HMAC-SHA256","issued_at":%d,"user_id":"1"}`, now.Unix()), "1"},
		"white space":              {fmt.Sprintf(` { "algorithm" : "HMAC-SHA256", "issued_at":%d,`+"\n"+`"user_id":"1" } `, now.Unix()), "1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := signedrequest.Parse(sign(key, tt.object), now, secret)
			if err != nil {
				t.Fatal(err)
			}
			want := signedrequest.Request{UserID: tt.user, IssuedAt: now, Replay: sha256.Sum256(mac(key, encode([]byte(tt.object))))}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestThreat47_PinnedAlgorithm(t *testing.T) {
	t.Parallel()
	rest := fmt.Sprintf(`"issued_at":%d,"user_id":"1"}`, now.Unix())
	for name, object := range map[string]string{
		"none":              `{"algorithm":"none",` + rest,
		"None":              `{"algorithm":"None",` + rest,
		"empty":             `{"algorithm":"",` + rest,
		"absent":            `{` + rest,
		"null":              `{"algorithm":null,` + rest,
		"a number":          `{"algorithm":256,` + rest,
		"a list":            `{"algorithm":["HMAC-SHA256"],` + rest,
		"lower case":        `{"algorithm":"hmac-sha256",` + rest,
		"HS256":             `{"algorithm":"HS256",` + rest,
		"HS512":             `{"algorithm":"HS512",` + rest,
		"HMAC-SHA512":       `{"algorithm":"HMAC-SHA512",` + rest,
		"HMAC-SHA1":         `{"algorithm":"HMAC-SHA1",` + rest,
		"RS256":             `{"algorithm":"RS256",` + rest,
		"AES-256-CBC":       `{"algorithm":"AES-256-CBC HMAC-SHA256",` + rest,
		"white space":       `{"algorithm":"HMAC-SHA256 ",` + rest,
		"under JWT's name":  `{"alg":"HMAC-SHA256",` + rest,
		"twice, right last": `{"algorithm":"none","algorithm":"HMAC-SHA256",` + rest,
		"twice, in case":    `{"algorithm":"HMAC-SHA256","Algorithm":"none",` + rest,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mustRefuse(t, sign(key, object), secret) // the signature is right
		})
	}
}

// No signature makes up for a key that is not the app's.
func TestThreat47_WrongKey(t *testing.T) {
	t.Parallel()
	raw := sign(key, honest(now))
	other := tokencrypt.NewSecret("another app's secret")
	for name, secrets := range map[string][]tokencrypt.Secret{
		"no secret":           {},
		"another app's":       {other},
		"several, none of it": {other, tokencrypt.NewSecret(key + " "), tokencrypt.NewSecret(strings.ToUpper(key))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mustRefuse(t, raw, secrets...)
		})
	}
	t.Run("the empty secret", func(t *testing.T) {
		t.Parallel()
		mustRefuse(t, sign("", honest(now)), tokencrypt.Secret{})
		mustRefuse(t, sign("", honest(now)), tokencrypt.NewSecret(""), secret)
	})
}

// An app secret is replaced while requests are on their way.
func TestSecretReplaced(t *testing.T) {
	t.Parallel()
	older := tokencrypt.NewSecret("the secret before")
	for _, secrets := range [][]tokencrypt.Secret{{secret, older}, {older, secret}, {{}, older, secret}} {
		for _, signer := range []string{key, older.Reveal()} {
			if _, err := signedrequest.Parse(sign(signer, honest(now)), now, secrets...); err != nil {
				t.Errorf("one of %d secrets: %v", len(secrets), err)
			}
		}
	}
}

func TestThreat101_EveryBit(t *testing.T) {
	t.Parallel()
	whole := sign(key, honest(now))
	raw := []byte(whole)
	for bit := range 8 * len(raw) {
		raw[bit/8] ^= 1 << (bit % 8)
		mustRefuse(t, string(raw), secret)
		raw[bit/8] ^= 1 << (bit % 8)
	}
	for n := range len(whole) {
		mustRefuse(t, whole[:n], secret)
		mustRefuse(t, whole[n+1:], secret)
		for _, extra := range []string{"\n", "\r", " ", "=", "."} {
			mustRefuse(t, whole[:n]+extra+whole[n:], secret)
		}
	}
	if _, err := signedrequest.Parse(string(raw), now, secret); err != nil {
		t.Errorf("the request itself: %v", err)
	}
}

func TestThreat101_Forged(t *testing.T) {
	t.Parallel()
	raw := sign(key, honest(now))
	signature, message, _ := strings.Cut(raw, ".")
	victim := encode([]byte(strings.Replace(honest(now), "102233445566778", "102233445566779", 1)))
	decoded, padded := string(mac(key, message)), base64.URLEncoding.EncodeToString(mac(key, message))
	loose := signature[:len(signature)-1] + string(rune(signature[len(signature)-1]+1)) // the last character's unused bits
	for name, forged := range map[string]string{
		"nothing":                     "",
		"a dot":                       ".",
		"only the signature":          signature,
		"only the object":             message,
		"no signature":                "." + message,
		"no object":                   signature + ".",
		"an empty object's signature": encode(mac(key, "")) + ".",
		"another object":              signature + "." + victim,
		"halves swapped":              message + "." + signature,
		"three parts":                 signature + "." + message + "." + signature,
		"a part before":               encode([]byte("{}")) + "." + raw,
		"two requests":                raw + raw,
		"signed as decoded":           encode(mac(key, honest(now))) + "." + message,
		"signed with SHA-256 alone":   encode(sumOf(key+message)) + "." + message,
		"first half of the signature": encode([]byte(decoded[:16])) + "." + message,
		"a longer signature":          encode([]byte(decoded+"\x00")) + "." + message,
		"signature in hexadecimal":    fmt.Sprintf("%x", decoded) + "." + message,
		"zeros":                       encode(make([]byte, sha256.Size)) + "." + message,
		"padded signature":            padded + "." + message,
		"signature with loose bits":   loose + "." + message,
		"standard base64":             inStandardBase64(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mustRefuse(t, forged, secret)
		})
	}
}

// inStandardBase64 is a request whose signature base64url spells otherwise.
func inStandardBase64() string {
	for spaces := ""; ; spaces += " " {
		message := encode([]byte(honest(now) + spaces))
		if signature := base64.RawStdEncoding.EncodeToString(mac(key, message)); strings.ContainsAny(signature, "+/") {
			return signature + "." + message
		}
	}
}

func sumOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// The signer is Meta, and yet the object is not one that it writes.
func TestThreat101_SignedButNotARequest(t *testing.T) {
	t.Parallel()
	at := strconv.FormatInt(now.Unix(), 10)
	with := func(user string) string {
		return `{"algorithm":"HMAC-SHA256","issued_at":` + at + `,"user_id":` + user + `}`
	}
	for name, object := range map[string]string{
		"nothing":             ``,
		"not JSON":            `user_id=1`,
		"null":                `null`,
		"a list":              `[` + with(`"1"`) + `]`,
		"no id":               `{"algorithm":"HMAC-SHA256","issued_at":` + at + `}`,
		"id null":             with(`null`),
		"id empty":            with(`""`),
		"id negative":         with(`-1`),
		"id a fraction":       with(`1.5`),
		"id an exponent":      with(`1e3`),
		"id a path":           with(`"1/../2"`),
		"id letters":          with(`"me"`),
		"id of 33 digits":     with(`"` + strings.Repeat("1", 33) + `"`),
		"id a list":           with(`["1"]`),
		"id twice":            with(`"1","user_id":"2"`),
		"id twice, in case":   with(`"1","USER_ID":"2"`),
		"id twice, escaped":   with(`"1","user\u005fid":"2"`),
		"time twice":          with(`"1","issued_at":` + at),
		"rubbish after":       with(`"1"`) + `x`,
		"a zero byte after":   with(`"1"`) + "\x00",
		"two objects":         with(`"1"`) + with(`"1"`),
		"cut off":             strings.TrimSuffix(with(`"1"`), "}"),
		"byte order mark":     "\ufeff" + with(`"1"`),
		"not UTF-8":           with(`"1","x":"` + "\xff" + `"`),
		"100 levels":          with(`"1","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100)),
		"a signed object too": with(`"1"`) + "." + with(`"1"`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mustRefuse(t, sign(key, object), secret)
		})
	}
	// What is signed is the spelling, and yet there is only one.
	spelled := with(`"1","x":"??>>"`)
	for len(spelled)%3 == 0 {
		spelled += " "
	}
	for name, message := range map[string]string{
		"padded":          base64.URLEncoding.EncodeToString([]byte(spelled)),
		"standard base64": base64.RawStdEncoding.EncodeToString([]byte(spelled)),
		"a line end":      encode([]byte(spelled))[:40] + "\n" + encode([]byte(spelled))[40:],
	} {
		if message == encode([]byte(spelled)) {
			t.Fatalf("%s: not another spelling", name)
		}
		mustRefuse(t, encode(mac(key, message))+"."+message, secret)
	}
}

// What nobody signed is not read: it makes no difference what it is.
//
//nolint:paralleltest // it counts what the process allocates
func TestThreat101_UnsignedIsNotRead(t *testing.T) {
	object := strings.TrimSuffix(honest(now), "}") + `,"x":[` + strings.Repeat(`{"a":1},`, 300) + `1]}`
	cost := func(object string) float64 {
		raw := sign("of a stranger", object)
		return testing.AllocsPerRun(100, func() { mustRefuse(t, raw, secret) })
	}
	if read, unread := cost(object), cost(strings.Repeat("x", len(object))); read != unread {
		t.Errorf("%v allocations for an object, %v for as much rubbish", read, unread)
	}
}

func TestThreat101_OnlyNow(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		issued string
		ok     bool
	}{
		"now":                   {strconv.FormatInt(now.Unix(), 10), true},
		"five minutes ago":      {strconv.FormatInt(now.Unix()-300, 10), true},
		"in five minutes":       {strconv.FormatInt(now.Unix()+300, 10), true},
		"a second more ago":     {strconv.FormatInt(now.Unix()-301, 10), false},
		"in a second more":      {strconv.FormatInt(now.Unix()+301, 10), false},
		"yesterday":             {strconv.FormatInt(now.Unix()-86400, 10), false},
		"next year":             {strconv.FormatInt(now.Unix()+365*86400, 10), false},
		"zero":                  {`0`, false},
		"null":                  {`null`, false},
		"before 1970":           {`-` + strconv.FormatInt(now.Unix(), 10), false},
		"the end of time":       {strconv.FormatInt(math.MaxInt64, 10), false},
		"the beginning of time": {strconv.FormatInt(math.MinInt64, 10), false},
		"after the end of time": {`9223372036854775808`, false},
		"milliseconds":          {strconv.FormatInt(now.UnixMilli(), 10), false},
		"text":                  {`"` + strconv.FormatInt(now.Unix(), 10) + `"`, false},
		"a fraction":            {strconv.FormatInt(now.Unix(), 10) + `.5`, false},
		"an exponent":           {`1.7e9`, false},
		"true":                  {`true`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := sign(key, `{"algorithm":"HMAC-SHA256","issued_at":`+tt.issued+`,"user_id":"1"}`)
			if _, err := signedrequest.Parse(raw, now, secret); (err == nil) != tt.ok {
				t.Errorf("error %v, want success to be %t", err, tt.ok)
			}
		})
	}
	t.Run("absent, on a clock that was never set", func(t *testing.T) {
		t.Parallel()
		if _, err := signedrequest.Parse(sign(key, `{"algorithm":"HMAC-SHA256","user_id":"1"}`), time.Unix(0, 0), secret); err == nil {
			t.Error("a request of no time is one of 1970")
		}
	})
}

// A request that comes again has the key that it had, and no other has it.
func TestThreat101_ReplayKey(t *testing.T) {
	t.Parallel()
	keyOf := func(raw string, at time.Time) [sha256.Size]byte {
		got, err := signedrequest.Parse(raw, at, secret)
		if err != nil {
			t.Fatal(err)
		}
		return got.Replay
	}
	raw := sign(key, honest(now))
	first := keyOf(raw, now)
	if again := keyOf(raw, now.Add(4*time.Minute)); again != first {
		t.Error("the same request has two keys")
	}
	if later := keyOf(sign(key, honest(now.Add(time.Second))), now); later == first {
		t.Error("another request has the same key")
	}
	if _, err := signedrequest.Parse(raw, now.Add(5*time.Minute+time.Second), secret); err == nil {
		t.Error("the request is valid for longer than keys are kept")
	}
}

//nolint:paralleltest // it counts what the process allocates
func TestThreat101_LengthCap(t *testing.T) {
	object := strings.TrimSuffix(honest(now), "}") + `,"x":"`
	padding := 4<<10 - len(encode(mac(key, ""))) - 1
	fitting := object + strings.Repeat("x", padding*3/4-len(object)-2) + `"}`
	if raw := sign(key, fitting); len(raw) > 4<<10 || len(raw) < 4<<10-3 {
		t.Fatalf("%d bytes do not try the limit", len(raw))
	}
	if _, err := signedrequest.Parse(sign(key, fitting), now, secret); err != nil {
		t.Errorf("4 KiB: %v", err)
	}
	mustRefuse(t, sign(key, strings.TrimSuffix(fitting, `"}`)+`xxx"}`), secret)
	for name, huge := range map[string]string{
		"1 MB, signed":       sign(key, object+strings.Repeat("x", 1<<20)+`"}`),
		"1 MB of dots":       strings.Repeat(".", 1<<20),
		"1 MB of signature":  strings.Repeat("A", 1<<20) + "." + encode([]byte(honest(now))),
		"1 MB without a dot": strings.Repeat("A", 1<<20),
	} {
		if n := testing.AllocsPerRun(10, func() { mustRefuse(t, huge, secret) }); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

// The error says nothing of what was read, and it is always the same.
func TestThreat101_SilentError(t *testing.T) {
	t.Parallel()
	_, err := signedrequest.Parse(sign(key, `{"algorithm":"`+key+`","user_id":"102233445566778"}`), now, secret)
	if err != signedrequest.Err { //nolint:errorlint // the very same error
		t.Fatalf("error %v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, key) || strings.Contains(text, "102233445566778") {
		t.Errorf("the error holds what was sent: %s", text)
	}
}

// FuzzParse knows the secret, as Meta does, and signs whatever it is given; it
// also plays the stranger, who does not. What is accepted must be an object
// that is signed as it stands, of now, for somebody.
func FuzzParse(f *testing.F) {
	raw := sign(key, honest(now))
	f.Add(raw, honest(now), uint16(0))
	f.Add(raw+"=", `{"algorithm":"HMAC-SHA256","issued_at":1795176000,"user_id":1}`, uint16(300))
	f.Add("a.b.c", `{"algorithm":"none","issued_at":1,"user_id":""}`, uint16(7))
	f.Fuzz(func(t *testing.T, stranger, object string, cut uint16) {
		if _, err := signedrequest.Parse(stranger, now, secret); err == nil {
			_, message, _ := strings.Cut(stranger, ".")
			if want := encode(mac(key, message)) + "." + message; stranger != want {
				t.Errorf("%q is accepted, and its signature is not %q", stranger, want)
			}
		}
		signed := sign(key, object)
		got, err := signedrequest.Parse(signed, now, secret)
		switch {
		case err != nil && (err != signedrequest.Err || got != signedrequest.Request{}): //nolint:errorlint // the very same error
			t.Errorf("%q: request %+v, error %v", object, got, err)
		case err == nil && (strings.Trim(got.UserID, "0123456789") != "" || got.UserID == "" || now.Sub(got.IssuedAt).Abs() > 5*time.Minute):
			t.Errorf("%q is accepted as %+v", object, got)
		}
		i := int(cut) % len(signed)
		mustRefuse(t, signed[:i], secret)
		mustRefuse(t, signed[:i]+string(signed[i]^1)+signed[i+1:], secret)
	})
}
