package tokencrypt

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Key is one root key of a [Keyring]: an id and 32 secret bytes. Make one with
// [GenerateKey], store what [Key.Text] gives, read it with [ParseKey]. The
// zero Key is not a key, and a ring refuses it. A Key prints as "[redacted]"
// like a [Secret], is immutable and safe for concurrent use.
type Key struct {
	id   string
	root Secret // 32 bytes
}

// GenerateKey returns a new random key. The id, of 1 to 16 characters of a-z,
// 0-9, _ and -, is not secret: it is stored in every value the key seals. Use
// an id once only; a date does well.
func GenerateKey(id string) (Key, error) {
	if !isName(id, maxKeyID) {
		return Key{}, errKeyID
	}
	root := make([]byte, keySize)
	if err := readRandom(root); err != nil {
		return Key{}, err
	}
	return Key{id: id, root: NewSecret(string(root))}, nil
}

// ParseKey reads the text form of a key: its id, a colon, and the standard
// base64 of its 32 bytes, with nothing before or after. Errors do not quote
// the text.
func ParseKey(text string) (Key, error) {
	id, encoded, _ := strings.Cut(text, ":")
	if !isName(id, maxKeyID) {
		return Key{}, errKeyID
	}
	if len(encoded) != base64.StdEncoding.EncodedLen(keySize) {
		return Key{}, errKeyText // the decoder would skip line ends
	}
	root, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(root) != keySize {
		return Key{}, errKeyText
	}
	if subtle.ConstantTimeCompare(root, make([]byte, keySize)) == 1 {
		return Key{}, errZeroKey
	}
	return Key{id: id, root: NewSecret(string(root))}, nil
}

// ID returns the id, which is not secret.
func (k Key) ID() string { return k.id }

// Text returns the text form, for storing: in a secret manager, or in a file
// that only the service can read. Whoever has it can open every value that
// the key has sealed.
func (k Key) Text() string {
	return k.id + ":" + base64.StdEncoding.EncodeToString([]byte(k.root.Reveal()))
}

// String returns "[redacted]".
func (k Key) String() string { return redacted }

// GoString returns "[redacted]".
func (k Key) GoString() string { return redacted }

// Format writes "[redacted]", whatever the verb and the flags are.
func (k Key) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// LogValue returns "[redacted]".
func (k Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]"; the text form is [Key.Text].
func (k Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// isName reports whether s is a key id or a purpose: 1 to limit characters of
// a-z, 0-9, _ and -.
func isName(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// readRandom fills b from the system's random source.
//
// Security: crypto/rand is called directly, so that no setting can make nonces
// or keys predictable; it ends the program when the source fails. A source
// that a test or a mistake has replaced by a constant one is caught here, as
// b would repeat itself, which by chance does not happen.
func readRandom(b []byte) error {
	if _, err := rand.Read(b); err != nil {
		return err
	}
	if half := len(b) / 2; subtle.ConstantTimeCompare(b[:half], b[half:]) == 1 {
		return errRandom
	}
	return nil
}
