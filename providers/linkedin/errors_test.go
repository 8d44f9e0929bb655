package linkedin_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed944197df/connect"
)

func oauthError(name, description string) string {
	return `{"error":"` + name + `","error_description":"` + description + `"}`
}

// The rows of the token endpoint's table.
func TestTokenErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		class  connect.ErrorClass
		code   string
	}{
		"bad code": {
			401, oauthError("invalid_request", "Unable to retrieve access token: authorization code not found"),
			connect.ClassReconnect, "invalid_request/code",
		},
		"redirect, app or code mismatch, or code expired": {
			400, oauthError("invalid_redirect_uri", "Unable to retrieve access token: appid/redirect uri/code verifier does not match authorization code. Or authorization code expired. Or external member binding exists"),
			connect.ClassReconnect, "invalid_redirect_uri",
		},
		"redirect URI of another kind": {400, oauthError("invalid_redirect_uri", "Unable to retrieve access token"), connect.ClassConfig, "invalid_redirect_uri"},
		"missing parameter": {
			400, oauthError("invalid_request", `A required parameter \"client_id\" is missing`),
			connect.ClassRetry, "invalid_request",
		},
		"refresh token expired or revoked": {
			400, oauthError("invalid_request", "The provided authorization grant or refresh token is invalid, expired or revoked"),
			connect.ClassReconnect, "invalid_request/token",
		},
		"the same by the RFC's name":       {400, oauthError("invalid_grant", "Token has been expired or revoked."), connect.ClassReconnect, "invalid_grant"},
		"wrong secret":                     {401, oauthError("invalid_client", "Client authentication failed"), connect.ClassConfig, "invalid_client"},
		"unknown client, 400":              {400, oauthError("invalid_client", ""), connect.ClassConfig, "invalid_client"},
		"app not allowed":                  {400, oauthError("unauthorized_client", ""), connect.ClassConfig, "unauthorized_client"},
		"bad grant type":                   {400, oauthError("unsupported_grant_type", ""), connect.ClassConfig, "unsupported_grant_type"},
		"no body at 401":                   {401, "", connect.ClassConfig, ""},
		"another name at 401":              {401, oauthError("invalid_request", "Unable to retrieve access token"), connect.ClassConfig, "invalid_request"},
		"rate limit":                       {429, `{"status":429,"serviceErrorCode":101,"message":"Resource level throttle"}`, connect.ClassRetry, ""},
		"out of service":                   {503, oauthError("temporarily_unavailable", ""), connect.ClassRetry, "temporarily_unavailable"},
		"gateway out of service":           {503, "<html>", connect.ClassUncertain, ""},
		"gateway gave up":                  {504, "<html>", connect.ClassUncertain, ""},
		"HTML":                             {400, "<html>", connect.ClassRetry, ""},
		"cut off":                          {200, tokenBody[:40], connect.ClassUncertain, ""},
		"a token that no header can carry": {200, `{"access_token":"a\r\n"}`, connect.ClassUncertain, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, f := newProvider(), newFake(t)
			f.answers[tokenPath] = answer{test.status, test.body}
			_, err := p.Refresh(t.Context(), newEnv(p, f), granted())
			wantFailure(t, err, test.class, test.code)
			_, err = exchange(t, p, f)
			wantFailure(t, err, test.class, test.code)
			if len(f.got) != 2 {
				t.Errorf("%d requests were sent, want 2", len(f.got))
			}
		})
	}
}

// The rows of the API's table: what an answer to a request through Client says
// of the grant, and what the same answer is to a call of the provider's own.
func TestAPIErrors(t *testing.T) {
	t.Parallel()
	const none = connect.ErrorClass("")
	for name, test := range map[string]struct {
		status int
		body   string
		class  connect.ErrorClass
		own    connect.ErrorClass
		code   string
		wait   time.Duration
	}{
		"revoked": {
			401, `{"status":401,"serviceErrorCode":65601,"code":"REVOKED_ACCESS_TOKEN","message":"The token used in the request has been revoked by the user"}`,
			connect.ClassReconnect, connect.ClassReconnect, "REVOKED_ACCESS_TOKEN", 0,
		},
		"revoked, by number":  {401, `{"status":401,"serviceErrorCode":65601,"message":"prose"}`, connect.ClassReconnect, connect.ClassReconnect, "", 0},
		"expired":             {401, `{"status":401,"serviceErrorCode":65602,"code":"EXPIRED_ACCESS_TOKEN","message":"The token used in the request has expired"}`, connect.ClassExpired, connect.ClassExpired, "EXPIRED_ACCESS_TOKEN", 0},
		"invalid":             {401, `{"status":401,"serviceErrorCode":65600,"code":"INVALID_ACCESS_TOKEN","message":"Invalid access token"}`, connect.ClassExpired, connect.ClassExpired, "INVALID_ACCESS_TOKEN", 0},
		"401 of another kind": {401, `<html>`, connect.ClassExpired, connect.ClassExpired, "", 0},
		"none sent":           {401, `{"message":"Empty oauth2_access_token","serviceErrorCode":401,"status":401}`, none, connect.ClassRetry, "", 0},
		"no permission or role": {
			403, `{"status":403,"serviceErrorCode":100,"code":"ACCESS_DENIED","message":"Not enough permissions to access: partnerApiOrganizationAcls.FINDER-roleAssignee.20260701"}`,
			none, connect.ClassScopeMissing, "ACCESS_DENIED", 0,
		},
		"no scope of Pages": {
			400, `{"status":400,"message":"Organization permissions must be used when using organization as author"}`,
			connect.ClassScopeMissing, connect.ClassScopeMissing, "", 0,
		},
		"version over":       {426, `{"status":426,"code":"NONEXISTENT_VERSION","message":"Requested version 20240101 is not active"}`, connect.ClassConfig, connect.ClassConfig, "NONEXISTENT_VERSION", 0},
		"version over, bare": {426, `{}`, connect.ClassConfig, connect.ClassConfig, "", 0},
		"version missing":    {400, `{"status":400,"code":"VERSION_MISSING","message":"A version must be present"}`, connect.ClassConfig, connect.ClassConfig, "VERSION_MISSING", 0},
		"rate, of the day": {
			429, `{"status":429,"serviceErrorCode":101,"code":"TOO_MANY_REQUESTS","message":"Resource level throttle APPLICATION DAY limit for calls to this resource is reached."}`,
			connect.ClassRetry, connect.ClassRetry, "TOO_MANY_REQUESTS", 12 * time.Hour, // until midnight UTC
		},
		"rate":            {429, `{"status":429,"serviceErrorCode":101,"message":"Resource level throttle limit for calls to this resource is reached."}`, connect.ClassRetry, connect.ClassRetry, "", 0},
		"gateway gave up": {504, `<html>`, connect.ClassRetry, connect.ClassRetry, "", 0},
		"out of service":  {500, `{"status":500,"code":"INTERNAL_SERVER_ERROR"}`, connect.ClassRetry, connect.ClassRetry, "INTERNAL_SERVER_ERROR", 0},
		"a field":         {422, `{"status":422,"code":"DUPLICATE_POST","message":"Content is a duplicate"}`, none, connect.ClassRetry, "DUPLICATE_POST", 0},
		"gone":            {404, `{"status":404,"code":"RESOURCE_NOT_FOUND"}`, none, connect.ClassRetry, "RESOURCE_NOT_FOUND", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, f := newProvider(), newFake(t)
			class, ok := p.Classify(test.status, nil, []byte(test.body))
			if class != test.class || ok != (test.class != "") {
				t.Errorf("Classify = %q, %t, want %q", class, ok, test.class)
			}
			for _, path := range []string{userPath, aclPath} {
				f.answers[userPath], f.answers[aclPath] = answer{200, userBody}, answer{200, aclBody}
				f.answers[path] = answer{test.status, test.body}
				_, err := p.List(t.Context(), newEnv(p, f), granted("openid", "rw_organization_admin"), connect.ListRequest{})
				wantFailure(t, err, test.own, test.code)
				failure, ok := errors.AsType[*connect.ProviderError](err)
				if ok && failure.RetryAfter != test.wait {
					t.Errorf("RetryAfter is %v, want %v", failure.RetryAfter, test.wait)
				}
				if says := strings.Contains(err.Error(), "set linkedin.Options.Version to a newer one"); says != (test.own == connect.ClassConfig) {
					t.Errorf("%v", err)
				}
			}
		})
	}
	if class, ok := newProvider().Classify(201, nil, nil); ok {
		t.Errorf("a success is %q", class)
	}
}
