package facebook_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed944197df/connect"
)

// The rows of the error table. own is the class of an answer to the provider's
// own call, api what Classify says of a caller's; empty: nothing about the
// grant.
func TestErrors(t *testing.T) {
	t.Parallel()
	message := func(code, text string) string {
		return `{"error":{"message":"` + text + `","type":"OAuthException","code":` + code + `}}`
	}
	for name, test := range map[string]struct {
		status   int
		body     string
		own, api connect.ErrorClass
		code     string
	}{
		"190":         {400, graphError(`"code":190`), connect.ClassReconnect, connect.ClassReconnect, "190"},
		"102":         {400, graphError(`"code":102`), connect.ClassReconnect, connect.ClassReconnect, "102"},
		"190/458":     {400, graphError(`"code":190,"error_subcode":458`), connect.ClassReconnect, connect.ClassReconnect, "190/458"},
		"190/459":     {400, graphError(`"code":190,"error_subcode":459`), connect.ClassReconnect, connect.ClassReconnect, "190/459"},
		"190/464":     {400, graphError(`"code":190,"error_subcode":464`), connect.ClassReconnect, connect.ClassReconnect, "190/464"},
		"190/460":     {400, graphError(`"code":190,"error_subcode":460`), connect.ClassReconnect, connect.ClassReconnect, "190/460"},
		"190/463":     {401, graphError(`"code":190,"error_subcode":463`), connect.ClassReconnect, connect.ClassReconnect, "190/463"},
		"190/467":     {400, graphError(`"code":190,"error_subcode":467`), connect.ClassReconnect, connect.ClassReconnect, "190/467"},
		"190/492":     {403, graphError(`"code":190,"error_subcode":492`), connect.ClassReconnect, connect.ClassReconnect, "190/492"},
		"190 at 200":  {200, graphError(`"code":190`), connect.ClassReconnect, connect.ClassReconnect, "190"},
		"190 as text": {400, graphError(`"code":"190","error_subcode":"460"`), connect.ClassReconnect, connect.ClassReconnect, "190/460"},
		"3":           {400, graphError(`"code":3`), connect.ClassScopeMissing, connect.ClassScopeMissing, "3"},
		"10":          {403, graphError(`"code":10`), connect.ClassScopeMissing, connect.ClassScopeMissing, "10"},
		"200":         {403, graphError(`"code":200`), connect.ClassScopeMissing, connect.ClassScopeMissing, "200"},
		"299":         {403, graphError(`"code":299`), connect.ClassScopeMissing, connect.ClassScopeMissing, "299"},
		"impersonating": {
			403, message("200", "(#200) pages_manage_posts must be granted before impersonating a user's page."),
			connect.ClassReconnect, connect.ClassReconnect, "200",
		},
		"100/33":           {400, graphError(`"code":100,"error_subcode":33`), connect.ClassTargetLost, connect.ClassTargetLost, "100/33"},
		"100":              {400, graphError(`"code":100`), connect.ClassConfig, "", "100"},
		"100/2018001":      {400, graphError(`"code":100,"error_subcode":2018001`), connect.ClassConfig, "", "100/2018001"},
		"101":              {400, graphError(`"code":101`), connect.ClassConfig, connect.ClassConfig, "101"},
		"190 cannot parse": {400, message("190", "Cannot parse access token"), connect.ClassConfig, connect.ClassConfig, "190"},
		"190 app secret":   {400, message("190", "Invalid client secret"), connect.ClassConfig, connect.ClassConfig, "190"},
		"1":                {500, graphError(`"code":1`), connect.ClassRetry, connect.ClassRetry, "1"},
		"2":                {400, graphError(`"code":2`), connect.ClassRetry, connect.ClassRetry, "2"},
		"4":                {403, graphError(`"code":4`), connect.ClassRetry, connect.ClassRetry, "4"},
		"17":               {400, graphError(`"code":17`), connect.ClassRetry, connect.ClassRetry, "17"},
		"17/2446079":       {400, graphError(`"code":17,"error_subcode":2446079`), connect.ClassRetry, connect.ClassRetry, "17/2446079"},
		"32":               {403, graphError(`"code":32`), connect.ClassRetry, connect.ClassRetry, "32"},
		"341":              {400, graphError(`"code":341`), connect.ClassRetry, connect.ClassRetry, "341"},
		"613":              {400, graphError(`"code":613`), connect.ClassRetry, connect.ClassRetry, "613"},
		"613/1996":         {400, graphError(`"code":613,"error_subcode":1996`), connect.ClassRetry, connect.ClassRetry, "613/1996"},
		"613/1487742":      {400, graphError(`"code":613,"error_subcode":1487742`), connect.ClassRetry, connect.ClassRetry, "613/1487742"},
		"80000":            {400, graphError(`"code":80000`), connect.ClassRetry, connect.ClassRetry, "80000"},
		"80001":            {400, graphError(`"code":80001`), connect.ClassRetry, connect.ClassRetry, "80001"},
		"80014":            {400, graphError(`"code":80014`), connect.ClassRetry, connect.ClassRetry, "80014"},
		"368/1390008":      {400, graphError(`"code":368,"error_subcode":1390008`), connect.ClassRetry, connect.ClassRetry, "368/1390008"},
		"506":              {400, graphError(`"code":506`), connect.ClassRetry, "", "506"},
		"2635":             {400, graphError(`"code":2635`), connect.ClassConfig, connect.ClassConfig, "2635"},
		"190 at 500":       {500, graphError(`"code":190`), connect.ClassRetry, connect.ClassRetry, "190"},
		"190 at 429":       {429, graphError(`"code":190`), connect.ClassRetry, connect.ClassRetry, "190"},
		"HTML at 503":      {503, `<html>`, connect.ClassRetry, connect.ClassRetry, ""},
		"HTML at 400":      {400, `<html>`, connect.ClassRetry, "", ""},
		"HTML at 401":      {401, `<html>`, connect.ClassRetry, "", ""},
		"error is text":    {400, `{"error":"invalid_grant"}`, connect.ClassRetry, "", "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider()
			env := newEnv(p, nil)
			env.HTTP = &http.Client{Transport: constant{test.status, http.Header{}, test.body}}
			_, err := p.List(t.Context(), env, granted(), connect.ListRequest{})
			wantFailure(t, err, test.own, test.code)
			class, ok := p.Classify(test.status, nil, []byte(test.body))
			if class != test.api || ok != (test.api != "") {
				t.Errorf("Classify = %q, %t, want %q", class, ok, test.api)
			}
		})
	}
}

// constant gives one answer to everything.
type constant struct {
	status int
	header http.Header
	body   string
}

func (c constant) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: c.status, Header: c.header, Body: io.NopCloser(strings.NewReader(c.body)), Request: r}, nil
}

func TestWaits(t *testing.T) {
	t.Parallel()
	usage := http.Header{"X-Business-Use-Case-Usage": {`{"1":[{"type":"pages","call_count":95,"estimated_time_to_regain_access":19}],"2":[{"estimated_time_to_regain_access":3}]}`}}
	for name, test := range map[string]struct {
		answer constant
		want   time.Duration
	}{
		"business use case": {constant{400, usage, graphError(`"code":80001`)}, 19 * time.Minute},
		"429 without JSON":  {constant{429, usage, ``}, 19 * time.Minute},
		"odd header":        {constant{400, http.Header{"X-Business-Use-Case-Usage": {`[]`}}, graphError(`"code":80001`)}, 0},
		"absurd header":     {constant{400, http.Header{"X-Business-Use-Case-Usage": {`{"1":[{"estimated_time_to_regain_access":99999999}]}`}}, graphError(`"code":80001`)}, 24 * time.Hour},
		"blocked":           {constant{400, http.Header{}, graphError(`"code":368`)}, 24 * time.Hour},
		"unknown":           {constant{400, http.Header{}, graphError(`"code":4`)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider()
			env := newEnv(p, nil)
			env.HTTP = &http.Client{Transport: test.answer}
			_, err := p.List(t.Context(), env, granted(), connect.ListRequest{})
			var failure *connect.ProviderError
			if !errors.As(err, &failure) || failure.Class != connect.ClassRetry || failure.RetryAfter != test.want {
				t.Errorf("error is %v, want to wait %v", err, test.want)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	const denied, retry, config = connect.ClassDenied, connect.ClassRetry, connect.ClassConfig
	for query, want := range map[string]struct {
		class connect.ErrorClass // empty: not refused
		code  string
	}{
		"": {}, "state=s": {}, "code=c&state=s": {}, "error_message=x": {}, "error_reason=user_denied": {},

		"error=access_denied&error_reason=user_denied&error_description=Permissions+error&error_code=200": {denied, "access_denied"},

		"error=access_denied":                      {denied, "access_denied"},
		"error=access_denied&code=c":               {denied, "access_denied"},
		"error=other&error_reason=user_denied":     {denied, "other"},
		"error=server_error":                       {retry, "server_error"},
		"error=invalid_scope&error_code=100":       {retry, "invalid_scope"},
		"error=":                                   {retry, ""},
		"error=&code=c":                            {retry, ""},
		"error_code=200&error_message=Permissions": {denied, "200"},
		"error_code=1349026&error_message=x":       {config, "1349026"},
		"error_code=191&error_message=x&code=c":    {config, "191"},
		"error_code=1":                             {retry, "1"},
		"error_code=2":                             {retry, "2"},
		"error_code=4":                             {retry, "4"},
		"error_code=80001":                         {retry, "80001"},
		"error_code=":                              {retry, ""},
		"error_code=x":                             {retry, "x"},
		"error_code=99999999999999999999999":       {retry, "99999999999999999999999"},
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		class, code, refused := newProvider().Refused(values)
		if class != want.class || code != want.code || refused != (want.class != "") {
			t.Errorf("%q is %q, %q, %v; want %q, %q", query, class, code, refused, want.class, want.code)
		}
	}
}
