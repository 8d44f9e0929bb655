package platformcall

import (
	"net/http"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/strictjson"
)

// Call sends r, a request to a platform's API that may be sent again, and
// decodes the answer strictly into v. Its error is a [*connect.ProviderError]:
// the class that classify says, or [connect.ClassRetry] where the answer is
// lost or unreadable.
func Call(env connect.Env, r *http.Request, classify Classify, v any) error {
	r.Header.Set("Accept", "application/json")
	status, header, body, err := send(env, r)
	if err != nil {
		return &connect.ProviderError{Class: connect.ClassRetry, Status: status, Err: redact(err)}
	}
	if failure, failed := ReadFailure(status, header, body); failed {
		return failure.providerError(classify, env.Now())
	}
	if err := strictjson.Decode(body, v); err != nil {
		return &connect.ProviderError{Class: connect.ClassRetry, Status: status, Err: err}
	}
	return nil
}
