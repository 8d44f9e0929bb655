package platformcall

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/internal/strictjson"
)

const (
	maxToken    = 16 << 10                  // bytes
	maxLifetime = 10 * 365 * 24 * time.Hour // what a platform may say of a token's life
)

var (
	errToken     = errors.New("the answer holds no token that a header can carry")
	errLifetime  = errors.New("the answer holds no lifetime between 0 and 10 years")
	errTokenType = errors.New("the answer's token type is not bearer")
)

// Answer is a successful answer of a token endpoint (RFC 6749 § 5.1).
type Answer struct {
	Access  connect.Secret
	Refresh connect.Secret // empty where none was given

	AccessExpiry  *time.Time // nil: not said
	RefreshExpiry *time.Time // of refresh_token_expires_in or refresh_expires_in; likewise

	Scope  *string                    // as it was sent; nil: not said
	Fields map[string]json.RawMessage // everything else, by name
}

// parseAnswer reads the members of an answer to a request that left at now.
func parseAnswer(fields map[string]json.RawMessage, now time.Time, typeOptional bool) (*Answer, error) {
	a := &Answer{Fields: fields}
	var tokenType *string
	err := errors.Join(
		a.secret("access_token", &a.Access),
		a.secret("refresh_token", &a.Refresh),
		a.expiry("expires_in", now, &a.AccessExpiry),
		a.expiry("refresh_expires_in", now, &a.RefreshExpiry),
		a.expiry("refresh_token_expires_in", now, &a.RefreshExpiry),
		a.text("scope", &a.Scope),
		a.text("token_type", &tokenType),
	)
	switch {
	case err != nil:
		return nil, err
	case a.Access.IsZero():
		return nil, errToken
	case tokenType == nil && !typeOptional, tokenType != nil && !strings.EqualFold(*tokenType, "bearer"):
		return nil, errTokenType
	}
	return a, nil
}

// take removes a member; null is as good as absent.
func (a *Answer) take(name string) (json.RawMessage, bool) {
	raw, ok := a.Fields[name]
	delete(a.Fields, name)
	return raw, ok && string(raw) != "null"
}

func (a *Answer) text(name string, to **string) error {
	raw, ok := a.take(name)
	if !ok {
		return nil
	}
	if json.Unmarshal(raw, to) != nil {
		return strictjson.Err
	}
	return nil
}

func (a *Answer) secret(name string, to *connect.Secret) error {
	var value *string
	if err := a.text(name, &value); err != nil || value == nil || *value == "" {
		return err
	}
	if !ValidToken(*value) {
		return errToken
	}
	*to = connect.NewSecret(*value)
	return nil
}

func (a *Answer) expiry(name string, now time.Time, to **time.Time) error {
	raw, ok := a.take(name)
	if !ok {
		return nil
	}
	life, err := lifetime(raw)
	if err != nil {
		return err
	}
	at := now.Add(life)
	*to = &at
	return nil
}

// lifetime reads seconds, which platforms send as integer, float or string.
func lifetime(raw json.RawMessage) (time.Duration, error) {
	text := strings.Trim(string(raw), `"`)
	if strings.Trim(text, "0123456789.eE+-") != "" {
		return 0, errLifetime
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || seconds < 0 || seconds > maxLifetime.Seconds() {
		return 0, errLifetime
	}
	return time.Duration(seconds) * time.Second, nil
}

// ValidToken reports whether s may be used as a token or an authorization
// code: 1 to 16384 bytes of visible ASCII or space (RFC 6749 appendix A), so
// that it cannot end a header line.
func ValidToken(s string) bool {
	if s == "" || len(s) > maxToken {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
