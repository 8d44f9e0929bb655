package providertest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/seed944197df/connect"
)

// canary is in every answer that is spoiled, and must be in no error.
const canary = "canary-platform-prose-7d1f0c"

// A garbage answer is one that no platform means.
type garbage struct {
	name   string
	status int
	body   string
}

// answer returns the garbage as an answer.
func (g garbage) answer(r *http.Request) (*http.Response, error) {
	header := http.Header{"Content-Type": {"application/json"}}
	if g.status == http.StatusTemporaryRedirect {
		header.Set("Location", "https://evil.invalid/"+canary)
	}
	return &http.Response{
		StatusCode: g.status, Header: header, Body: io.NopCloser(strings.NewReader(g.body)), Request: r,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1,
	}, nil
}

// head returns as much of the body as Classify gets.
func (g garbage) head() []byte {
	const most = 64 << 10 // bytes
	return []byte(g.body[:min(len(g.body), most)])
}

const html = "<!DOCTYPE html><title>Sorry</title><p>" + canary

// rubbish must never connect anybody, nor cost anybody a grant.
func rubbish() []garbage {
	ok := func(member string) string {
		return `{"access_token":"` + canary + `","token_type":"bearer","id":"1",` + member + `}`
	}
	return append(outages(),
		garbage{"HTML at 200", 200, html},
		garbage{"nothing at 200", 200, ""},
		garbage{"null", 200, "null"},
		garbage{"an array", 200, `["` + canary + `"]`},
		garbage{"cut off", 200, `{"access_token":"` + canary},
		garbage{"equal keys", 200, ok(`"access_token":"b","id":"2"`)},
		garbage{"a huge number", 200, ok(`"expires_in":1e999,"expires_at":1e999`)},
		garbage{"wrong types", 200, `{"access_token":{"a":1},"token_type":7,"expires_in":[],"id":{},"data":"x","error":null}`},
		garbage{"a token with control characters", 200, `{"access_token":"a\r\nX: ` + canary + `","token_type":"bearer","accessJwt":"a\r\nX: y","refreshJwt":"\u0000"}`},
		garbage{"a token of 1 MB", 200, `{"access_token":"` + strings.Repeat("a", 1<<20) + `","token_type":"bearer"}`},
		garbage{"deep nesting", 200, strings.Repeat(`{"a":`, 100_000)},
		garbage{"an error at 200", 200, `{"error":"temporarily_unavailable","error_description":"` + canary + `"}`},
		garbage{"an error object at 200", 200, `{"error":{"message":"` + canary + `","code":2}}`},
		garbage{"an error number at 200", 200, `{"error":503}`},
		garbage{"HTML at 400", 400, html},
		garbage{"HTML at 403", 403, html},
		garbage{"a redirect", http.StatusTemporaryRedirect, ""},
	)
}

// outages are answers by which a platform says that it cannot answer now,
// whatever the body looks like.
func outages() []garbage {
	var list []garbage
	for _, status := range []int{429, 500, 502, 503, 504} {
		for name, body := range map[string]string{
			"HTML":                    html,
			"a dead grant's name":     `{"error":"invalid_grant","error_description":"` + canary + `","title":"Unauthorized","status":401}`,
			"a dead token's code":     `{"error":{"code":190,"error_subcode":460,"message":"` + canary + `"}}`,
			"an expired token's name": `{"error":"ExpiredToken","message":"` + canary + `"}`,
		} {
			list = append(list, garbage{fmt.Sprintf("%s at %d", name, status), status, body})
		}
	}
	return list
}

// wantNoSecret checks that no way to print err shows a secret.
func wantNoSecret(tb testing.TB, err error, secrets []string) {
	tb.Helper()
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	if e, ok := errors.AsType[*connect.ProviderError](err); ok {
		text += fmt.Sprintf("%+v %#v", *e, *e)
	}
	for _, secret := range secrets {
		if len(secret) >= 6 && strings.Contains(text, secret) {
			tb.Errorf("the error of class %q holds a secret", classOf(err))
		}
	}
}
