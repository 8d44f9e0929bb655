package facebook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/strictjson"
	"github.com/seed944197df/connect/providers/internal/platformcall"
)

var errSubject = errors.New("facebook: the grant names no person")

// Sign implements [connect.Signer]: the token goes into the Authorization
// header, and a proof that we know the app's secret into the query, where alone
// Facebook reads it. Without a token it is [connect.ErrNoToken].
//
// The proof is made with the token that is used: an account's own Page token
// has another proof than the person's token. Source: developers.facebook.com,
// "Secure Graph API Calls".
func (p *Provider) Sign(env connect.Env, tokens *connect.Tokens, r *http.Request) error {
	token := tokens.Access.Reveal()
	if token == "" {
		return connect.ErrNoToken
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if env.Client.Secret.IsZero() {
		return nil
	}
	mac := hmac.New(sha256.New, []byte(env.Client.Secret.Reveal()))
	_, _ = mac.Write([]byte(token)) // never fails
	if r.URL.RawQuery != "" {
		r.URL.RawQuery += "&"
	}
	r.URL.RawQuery += "appsecret_proof=" + hex.EncodeToString(mac.Sum(nil))
	return nil
}

// appTokens is the app's own token.
func appTokens(client connect.Client) *connect.Tokens {
	return &connect.Tokens{Access: connect.NewSecret(client.ID + "|" + client.Secret.Reveal())}
}

// call reads a path of the Graph API into v.
func (p *Provider) call(ctx context.Context, env connect.Env, tokens *connect.Tokens, path string, query url.Values, v any) error {
	r, err := p.request(ctx, env, tokens, http.MethodGet, path, query)
	if err != nil {
		return err
	}
	return platformcall.Call(env, r, classify, v)
}

func (p *Provider) request(ctx context.Context, env connect.Env, tokens *connect.Tokens, method, path string, query url.Values) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, p.api()+path, nil)
	if err != nil {
		return nil, err
	}
	r.URL.RawQuery = query.Encode()
	return r, p.Sign(env, tokens, r)
}

// Revoke implements [connect.Revoker]. It takes the app away from the person,
// with every Page that the person connected by it.
//
// It asks as the app: the person's own token ends after 60 days, or with a new
// password, and the tokens of the Pages live on. A person whom the app does not
// know any more is success. Source: developers.facebook.com, "User
// Permissions", which takes an app token as well.
func (p *Provider) Revoke(ctx context.Context, env connect.Env, tokens *connect.Tokens) error {
	if !strictjson.ID(tokens.Subject).Digits() {
		return errSubject
	}
	r, err := p.request(ctx, env, appTokens(env.Client), http.MethodDelete, "/"+tokens.Subject+"/permissions", nil)
	if err != nil {
		return err
	}
	var answer json.RawMessage
	err = platformcall.Call(env, r, classifyApp, &answer)
	if e, ok := errors.AsType[*connect.ProviderError](err); ok && (e.Class == connect.ClassTargetLost || e.Code == "190/458") {
		return nil
	}
	if err == nil && !succeeded(answer) {
		return &connect.ProviderError{Class: connect.ClassRetry, Status: http.StatusOK, Code: "not_revoked"}
	}
	return err
}

// succeeded reads true, which is documented, and {"success":true}, which is
// sent.
func succeeded(answer json.RawMessage) bool {
	var object struct {
		Success bool `json:"success"`
	}
	return string(answer) == "true" || json.Unmarshal(answer, &object) == nil && object.Success
}
