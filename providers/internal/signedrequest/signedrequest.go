// Package signedrequest checks the signed_request that Meta posts to the
// deauthorization and the data deletion callback of an app.
//
// A signed_request is the base64url of an HMAC-SHA256, a dot, and the base64url
// of a JSON object. The key is the app secret of the product: Facebook,
// Instagram and Threads each have their own. The message is the second half as
// it was sent, still encoded.
//
// Security: whoever forges one disconnects people or deletes their data, so
// nothing of the object is read before its signature is right, and all that is
// wrong is one error, from which nothing can be learned by trying.
//
// https://developers.facebook.com/docs/development/create-an-app/app-dashboard/data-deletion-callback
// https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow
package signedrequest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/seed944197df/connect/internal/strictjson"
	"github.com/seed944197df/connect/tokencrypt"
)

const (
	maxLength = 4 << 10 // bytes; Meta's have about 200
	maxAge    = 5 * time.Minute
	algorithm = "HMAC-SHA256"
)

// Err is the one error of this package: the request is not Meta's, or not one
// of now.
var Err = errors.New("the signed request is not valid")

// Request is what Meta says in a signed_request.
type Request struct {
	// UserID is the person's id, which Meta scopes to the app: the subject of
	// a grant, never the id of a Page. It is text, because it may exceed 2^53.
	UserID   string
	IssuedAt time.Time

	// Replay is the SHA-256 of the signature. Within the minutes in which a
	// request is valid it can be sent again, so the caller must remember this
	// value for ten minutes and answer a second one without doing anything.
	//
	// It must be remembered per callback: somebody who removes the app and
	// asks for deletion in one step makes Meta sign the same object for both.
	Replay [sha256.Size]byte
}

// Parse checks raw, the value of the form field signed_request, against the
// app secret. While a secret is being replaced both may be passed; the empty
// one signs nothing. A request is valid for five minutes around its issue.
//
// Its error is always [Err].
func Parse(raw string, now time.Time, secrets ...tokencrypt.Secret) (Request, error) {
	if len(raw) > maxLength {
		return Request{}, Err
	}
	encoded, message, _ := strings.Cut(raw, ".")
	signature, ok := decode(encoded)
	if !ok || !signed(signature, message, secrets) {
		return Request{}, Err
	}
	request, ok := read(message)
	if age := now.Sub(request.IssuedAt); !ok || age > maxAge || age < -maxAge {
		return Request{}, Err
	}
	request.Replay = sha256.Sum256(signature)
	return request, nil
}

// signed reports whether one of the secrets signed message. hmac.Equal is
// false, in constant time, for a signature of another length too.
func signed(signature []byte, message string, secrets []tokencrypt.Secret) bool {
	found := false
	for _, secret := range secrets {
		if secret.IsZero() {
			continue // anybody could sign with it
		}
		mac := hmac.New(sha256.New, []byte(secret.Reveal()))
		mac.Write([]byte(message))
		found = hmac.Equal(mac.Sum(nil), signature) || found
	}
	return found
}

// read reads the object of a request that is signed. The algorithm is part of
// it and decides nothing: it must be the one that was used.
func read(message string) (Request, bool) {
	var object struct {
		Algorithm string        `json:"algorithm"`
		IssuedAt  *int64        `json:"issued_at"` // seconds since 1970
		UserID    strictjson.ID `json:"user_id"`
	}
	text, ok := decode(message)
	if !ok || strictjson.Decode(text, &object) != nil {
		return Request{}, false
	}
	if object.Algorithm != algorithm || object.IssuedAt == nil || !object.UserID.Digits() {
		return Request{}, false
	}
	return Request{UserID: string(object.UserID), IssuedAt: time.Unix(*object.IssuedAt, 0).UTC()}, true
}

// decode decodes base64url without padding (RFC 4648 § 5) in its one spelling:
// encoding/base64 alone skips line ends and ignores the last, unused bits.
func decode(text string) ([]byte, bool) {
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	return decoded, err == nil && base64.RawURLEncoding.EncodeToString(decoded) == text
}
