package tokencrypt

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// redacted is what every printed form of a secret says.
const redacted = "[redacted]"

// What goes wrong with a decoded secret; neither says a word of its value.
var (
	errSecretJSON     = errors.New("tokencrypt: a secret must be a JSON string")
	errSecretRedacted = errors.New("tokencrypt: the secret was redacted before it was encoded")
)

// Secret holds a value that must not be printed: an access token, a refresh
// token, a password, an authorization code. Every way of formatting, logging
// or encoding a Secret gives "[redacted]" or, where package fmt may not call
// its methods, an address; only [Secret.Reveal] gives the value.
//
// The zero value is the empty secret. Copies are safe for concurrent use; the
// two Unmarshal methods, which replace the value, are not.
//
// Security: package fmt calls no method of an unexported field, nor of an
// operand of %p or of a wrong %w, but prints the fields it finds. So the value
// lies behind a pointer, of which fmt prints the address. Two Secrets cannot
// be compared with ==, which would take a time that depends on the value; the
// compiler refuses it. Use [Secret.Equal].
type Secret struct {
	_     [0]func() // not comparable
	value *string   // nil in the empty secret
}

// NewSecret returns a Secret that holds s.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{value: &s}
}

// Reveal returns the value, "" for the empty secret. It is the only way out
// of a Secret: a search for its name finds every place where a value leaves.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether s is the empty secret. The option omitzero of
// [encoding/json] calls it.
func (s Secret) IsZero() bool { return s.value == nil }

// Equal reports whether s and other hold the same value, in a time that
// depends on no more than their lengths. Two empty secrets are not equal: an
// absent secret never matches an absent secret.
func (s Secret) Equal(other Secret) bool {
	if s.IsZero() || other.IsZero() {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String returns "[redacted]".
func (s Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (s Secret) GoString() string { return redacted }

// Format writes "[redacted]", whatever the verb and the flags are.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// LogValue returns "[redacted]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "[redacted]" as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// UnmarshalText sets s to the text, so that a request can be decoded into it.
// It refuses "[redacted]": that is no secret but the trace of one that was
// encoded where its value was wanted.
func (s *Secret) UnmarshalText(text []byte) error {
	if string(text) == redacted {
		return errSecretRedacted
	}
	*s = NewSecret(string(text))
	return nil
}

// UnmarshalJSON sets s to a JSON string as [Secret.UnmarshalText] does; null
// leaves s as it is. The error for any other value does not quote it.
func (s *Secret) UnmarshalJSON(data []byte) error {
	var text *string
	if err := json.Unmarshal(data, &text); err != nil {
		return errSecretJSON
	}
	if text == nil {
		return nil
	}
	return s.UnmarshalText([]byte(*text))
}
