package platformcall_test

import (
	"io"
	"math"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/internal/platformcall"
)

// withMember is a good answer of a token endpoint with one member more.
func withMember(member string) string {
	return `{"access_token":"a","token_type":"bearer",` + member + `}`
}

// Seconds come as integer, fraction, exponent or text, and are 0 to 10 years.
func TestThreat96_Lifetimes(t *testing.T) {
	t.Parallel()
	const lost = -1
	for raw, seconds := range map[string]float64{
		`0`: 0, `-0`: 0, `1`: 1, `59.999`: 59, `1e0`: 1, `1E+3`: 1000, `12e-1`: 1, `1e-400`: 0,
		`3.1536e8`: 315360000, `315360000.0`: 315360000, `315360000`: 315360000,
		`"0"`: 0, `"3600"`: 3600, `"3600.9"`: 3600, `"1e3"`: 1000, `"0010"`: 10, `"315360000"`: 315360000,

		`315360001`: lost, `315360000.1`: lost, `9007199254740993`: lost, `18446744073709551616`: lost, `1e308`: lost, `1e309`: lost,
		`-1`: lost, `-0.5`: lost, `-1e-9`: lost, `-1e309`: lost,
		`01`: lost, `+1`: lost, `.5`: lost, `1.`: lost, `1e`: lost, `0x10`: lost, `1_000`: lost, `Infinity`: lost, `-Infinity`: lost, `NaN`: lost, `--1`: lost,
		`"315360001"`: lost, `"-1"`: lost, `"1e309"`: lost, `""`: lost, `" 1"`: lost, `"1 "`: lost, `"1_000"`: lost, `"1,5"`: lost, `"0x1p4"`: lost,
		`"e"`: lost, `"-"`: lost, `"--1"`: lost, `"1e"`: lost, `"inf"`: lost, `"NaN"`: lost, `"null"`: lost, `"1\u0000"`: lost, `"\"1"`: lost, `"` + "\u0661" + `"`: lost,
		`true`: lost, `false`: lost, `[]`: lost, `[3600]`: lost, `{}`: lost, `{"seconds":3600}`: lost,
	} {
		for _, name := range []string{"expires_in", "refresh_expires_in", "refresh_token_expires_in"} {
			t.Run(name+" "+raw, func(t *testing.T) {
				t.Parallel()
				answer, failure := post(t, answering(200, withMember(`"`+name+`":`+raw)))
				if seconds == lost {
					if failure == nil || failure.Class != connect.ClassUncertain {
						t.Errorf("error is %v, want class uncertain", failure)
					}
					return
				}
				if failure != nil {
					t.Fatal(failure)
				}
				expiry := answer.RefreshExpiry
				if name == "expires_in" {
					expiry = answer.AccessExpiry
				}
				if want := now.Add(time.Duration(seconds) * time.Second); expiry == nil || !expiry.Equal(want) {
					t.Errorf("expiry is %v, want %v", expiry, want)
				}
			})
		}
	}
}

// inUTF16 is text in the encoding that JSON had before RFC 8259.
func inUTF16(text string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(text)) {
		b.WriteByte(byte(unit))
		b.WriteByte(byte(unit >> 8))
	}
	return b.String()
}

// manyMembers is an object of n members with different names.
func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`"k` + strconv.Itoa(i) + `":[],`)
	}
	return withMember(b.String() + `"k":{}`)
}

func TestThreat96_StrangeAnswers(t *testing.T) {
	t.Parallel()
	good := withMember(`"x":1`)
	const accepted = connect.ErrorClass("")
	for name, tt := range map[string]struct {
		body string
		want connect.ErrorClass
	}{
		"token type in capitals":       {`{"access_token":"a","token_type":"BEARER"}`, accepted},
		"token in escapes":             {`{"access_token":"\u0061\/b","token_type":"bearer"}`, accepted},
		"an empty name":                {withMember(`"":1`), accepted},
		"a name of JavaScript":         {withMember(`"__proto__":{"access_token":"b"}`), accepted},
		"a huge number elsewhere":      {withMember(`"x":1e999999`), accepted},
		"a number of 1000 digits":      {withMember(`"x":1` + strings.Repeat("0", 1000)), accepted},
		"half a character elsewhere":   {withMember(`"x":"\ud800"`), accepted},
		"10000 members":                {manyMembers(10000), accepted},
		"scope empty":                  {withMember(`"scope":""`), accepted},
		"scope null":                   {withMember(`"scope":null`), accepted},
		"1 MiB, padded":                {good + strings.Repeat(" ", 1<<20-len(good)), accepted},
		"1 MiB and a byte":             {good + strings.Repeat(" ", 1<<20-len(good)+1), connect.ClassUncertain},
		"two empty names":              {withMember(`"":1,"":2`), connect.ClassUncertain},
		"names that fold by Kelvin":    {withMember(`"to` + "\u212a" + `en_type":"mac"`), connect.ClassUncertain},
		"names in capitals as well":    {withMember(`"ACCESS_TOKEN":"b"`), connect.ClassUncertain},
		"names of half characters":     {withMember(`"\ud800":1,"\ud801":2`), connect.ClassUncertain},
		"the name in capitals alone":   {`{"Access_Token":"a","token_type":"bearer"}`, connect.ClassUncertain},
		"the token further in":         {`{"data":{"access_token":"a","token_type":"bearer"}}`, connect.ClassUncertain},
		"the token in a list":          {`[` + good + `]`, connect.ClassUncertain},
		"the object in a string":       {strconv.Quote(good), connect.ClassUncertain},
		"half a character in a token":  {`{"access_token":"a\ud800","token_type":"bearer"}`, connect.ClassUncertain},
		"NUL in a token":               {`{"access_token":"a\u0000","token_type":"bearer"}`, connect.ClassUncertain},
		"a line end in a string":       {withMember("\"x\":\"a\nb\""), connect.ClassUncertain},
		"an escape that is none":       {withMember(`"x":"\x41"`), connect.ClassUncertain},
		"an escape cut off":            {withMember(`"x":"\u00"`), connect.ClassUncertain},
		"an overlong slash":            {withMember("\"x\":\"\xc0\xaf\""), connect.ClassUncertain},
		"UTF-16":                       {inUTF16(good), connect.ClassUncertain},
		"a vertical tab around":        {"\v" + good, connect.ClassUncertain},
		"a no-break space around":      {"\u00a0" + good, connect.ClassUncertain},
		"NUL after":                    {good + "\x00", connect.ClassUncertain},
		"a name without quotes":        {`{access_token:"a",token_type:"bearer"}`, connect.ClassUncertain},
		"a number as a name":           {withMember(`1:2`), connect.ClassUncertain},
		"JSONP":                        {`callback(` + good + `)`, connect.ClassUncertain},
		"a guard against scripts":      {")]}',\n" + good, connect.ClassUncertain},
		"a form":                       {`access_token=a&token_type=bearer&expires_in=3600`, connect.ClassUncertain},
		"an XML answer":                {`<access_token>a</access_token>`, connect.ClassUncertain},
		"token type with white space":  {`{"access_token":"a","token_type":"bearer "}`, connect.ClassUncertain},
		"token type empty":             {`{"access_token":"a","token_type":""}`, connect.ClassUncertain},
		"token type null":              {`{"access_token":"a","token_type":null}`, connect.ClassUncertain},
		"scope a number":               {withMember(`"scope":1`), connect.ClassUncertain},
		"refresh token true":           {withMember(`"refresh_token":true`), connect.ClassUncertain},
		"error empty":                  {withMember(`"error":""`), connect.ClassRetry},
		"error false":                  {withMember(`"error":false`), connect.ClassRetry},
		"error an empty object":        {withMember(`"error":{}`), connect.ClassRetry},
		"error a list":                 {withMember(`"error":[]`), connect.ClassRetry},
		"error of a dead grant":        {withMember(`"error":"invalid_grant"`), connect.ClassReconnect},
		"error whose code is a list":   {withMember(`"error":{"code":["invalid_grant"]}`), connect.ClassRetry},
		"error of a dead grant, twice": {withMember(`"error":"x","error":"invalid_grant"`), connect.ClassUncertain},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, failure := post(t, answering(200, tt.body))
			switch {
			case tt.want == accepted && failure != nil:
				t.Error(failure)
			case tt.want != accepted && (failure == nil || failure.Class != tt.want):
				t.Errorf("error is %v, want class %s", failure, tt.want)
			}
		})
	}
}

// blanks is an answer that never ends.
type blanks struct{}

// Read implements [io.Reader].
func (blanks) Read(p []byte) (int, error) { return copy(p, "                                "), nil }

//nolint:paralleltest // it counts what the process allocates
func TestThreat94_EndlessAnswer(t *testing.T) {
	endless := roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(blanks{}), Request: r}, nil
	})
	least := uint64(math.MaxUint64)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := platformcall.Post(t.Context(), env(endless), request())
		runtime.ReadMemStats(&after)
		if failure := asProviderError(t, err); failure == nil || failure.Class != connect.ClassUncertain {
			t.Errorf("error is %v, want class uncertain", err)
		}
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	if least > 8<<20 { // the 1 MiB that is read, collected and then whole; the race detector has it allocate more
		t.Errorf("it takes %d bytes", least)
	}
}
