package platformcall

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/strictjson"
)

const maxBody = 1 << 20 // bytes of an answer

var (
	errRequest = errors.New("the request could not be made")
	errBody    = errors.New("the answer broke off or is too long")
)

// Request is a form for a token endpoint. It holds secrets in clear, so it
// must not be logged.
type Request struct {
	URL   string
	Form  url.Values
	Basic *Basic // sent as the Authorization header; nil: none
	// OneTime says that the form presents a secret that works once: a code or
	// a rotating refresh token. Where the answer is lost the error is then
	// connect.ClassUncertain and not connect.ClassRetry.
	OneTime bool
	// TypeOptional accepts an answer without token_type.
	TypeOptional bool
	Classify     Classify // nil: everything is connect.ClassRetry
}

// Basic is the client authentication of RFC 6749 § 2.3.1.
type Basic struct {
	ID     string
	Secret connect.Secret
}

// Post sends the form once and returns the tokens of the answer. Its error is
// a [*connect.ProviderError], which the platform's own answer decides through
// req.Classify. An answer that is no success and no error either (HTML, cut
// off, a token with control characters) counts as lost.
func Post(ctx context.Context, env connect.Env, req Request) (*Answer, error) {
	sent := env.Now()
	fields, err := post(ctx, env, req)
	if err != nil {
		return nil, err
	}
	answer, err := parseAnswer(fields, sent, req.TypeOptional)
	if err != nil {
		return nil, &connect.ProviderError{Class: req.lost(), Status: http.StatusOK, Err: err}
	}
	return answer, nil
}

// Revoke sends the form to a revocation endpoint (RFC 7009). It succeeds where
// the platform says so: 2xx with an empty body, or a JSON object that names no
// error. What an unknown token is answered differs: the caller decides.
func Revoke(ctx context.Context, env connect.Env, req Request) error {
	_, err := post(ctx, env, req)
	return err
}

// Ask sends the form to an endpoint that changes nothing, introspection (RFC
// 7662), and decodes the answer as [Call] does.
func Ask(ctx context.Context, env connect.Env, req Request, v any) error {
	r, err := req.build(ctx)
	if err != nil {
		return err
	}
	return Call(env, r, req.Classify, v)
}

func post(ctx context.Context, env connect.Env, req Request) (map[string]json.RawMessage, error) {
	r, err := req.build(ctx)
	if err != nil {
		return nil, err
	}
	status, header, body, err := send(env, r)
	if err != nil {
		return nil, &connect.ProviderError{Class: req.unanswered(env, err), Status: status, Err: redact(err)}
	}
	failure, failed := ReadFailure(status, header, body)
	switch {
	case failed && status < 400 && failure.Body == nil: // something else answered
		return nil, &connect.ProviderError{Class: req.lost(), Status: status}
	case failed:
		e := failure.providerError(req.Classify, env.Now())
		if failure.fromGateway() {
			e.Class = req.lost()
		}
		return nil, e
	case failure.Body == nil && len(body) > 0:
		return nil, &connect.ProviderError{Class: req.lost(), Status: status, Err: strictjson.Err}
	}
	return failure.Body, nil
}

// build returns the request.
//
// Security: without GetBody the transport cannot send the secrets a second time
// after a broken connection, and a redirect (307) cannot take them elsewhere.
func (req Request) build(ctx context.Context) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, req.URL, strings.NewReader(req.Form.Encode()))
	if err != nil {
		return nil, errRequest // err quotes the URL
	}
	r.GetBody = nil
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if req.Basic != nil {
		r.SetBasicAuth(url.QueryEscape(req.Basic.ID), url.QueryEscape(req.Basic.Secret.Reveal()))
	}
	return r, nil
}

// lost is the class where the request may have been carried out and no usable
// answer came.
func (req Request) lost() connect.ErrorClass {
	if req.OneTime {
		return connect.ClassUncertain
	}
	return connect.ClassRetry
}

// unanswered is the class of a transport error.
func (req Request) unanswered(env connect.Env, err error) connect.ErrorClass {
	if env.NotSent != nil && env.NotSent(err) {
		return connect.ClassRetry
	}
	return req.lost()
}

// send sends r once and reads the whole answer. A status that comes with an
// error is that of an answer that could not be read to its end.
func send(env connect.Env, r *http.Request) (int, http.Header, []byte, error) {
	resp, err := env.HTTP.Do(r) //nolint:gosec // the provider's own address, over the guarded client
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = errBody
	}
	return resp.StatusCode, resp.Header, body, err
}

// redact takes the URL out of an error of [http.Client], which names it: some
// platforms want tokens in the query.
func redact(err error) error {
	if withURL, ok := errors.AsType[*url.Error](err); ok {
		return withURL.Err
	}
	return err
}
