package tokencrypt

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
)

const (
	maxKeyID   = 16 // characters of a key id
	maxPurpose = 32 // characters of a purpose of Derive
)

// The HKDF info of the derived keys. Neither is a prefix of the other, so the
// key that seals is none that Derive returns, whatever the purpose.
const (
	infoSeal   = "connect/tokencrypt/v1/seal"
	infoDerive = "connect/tokencrypt/v1/derive/" // and the purpose
)

// Keyring seals values with its primary key, and opens those that any of its
// keys has sealed. It is immutable and safe for concurrent use; to rotate,
// make a new one, as the package comment tells.
type Keyring struct {
	primary string
	keys    map[string]*ringKey // by key id
}

// ringKey is a key of a ring, with the cipher that seals values.
type ringKey struct {
	root   Secret
	cipher *xaes
}

// NewKeyring returns a ring that seals with primary and opens with all keys.
// It refuses the zero Key, an id that occurs twice, and the same bytes under
// two ids, since a rotation from a key to itself changes nothing. With
// GODEBUG=fips140=only it always fails: Go then has no cipher for it.
func NewKeyring(primary Key, decryptOnly ...Key) (*Keyring, error) {
	ring := &Keyring{primary: primary.id, keys: make(map[string]*ringKey)}
	for _, key := range append([]Key{primary}, decryptOnly...) {
		if err := ring.add(key); err != nil {
			return nil, err
		}
	}
	return ring, nil
}

// add puts key into a ring that is being built.
func (k *Keyring) add(key Key) error {
	if key.root.IsZero() {
		return errZeroKey
	}
	if k.keys[key.id] != nil {
		return errDuplicateID
	}
	for _, other := range k.keys {
		if other.root.Equal(key.root) {
			return errDuplicateKey
		}
	}
	sealing, err := derive(key.root, infoSeal)
	if err != nil {
		return err
	}
	cipher, err := newXAES(sealing)
	if err != nil {
		return err
	}
	k.keys[key.id] = &ringKey{root: key.root, cipher: cipher}
	return nil
}

// ParseKeyring reads a ring of one key per line, in the text form of
// [ParseKey]. The first key is the primary. Spaces around a line, blank lines
// and lines that start with # are ignored. Errors name the line but quote
// nothing of it.
func ParseKeyring(text string) (*Keyring, error) {
	var keys []Key
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := ParseKey(line)
		if err != nil {
			return nil, &lineError{line: number, err: err}
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errNoKeys
	}
	return NewKeyring(keys[0], keys[1:]...)
}

// lineError is what is wrong with a line of a ring's text.
type lineError struct {
	line int
	err  error
}

// Error implements error.
func (e *lineError) Error() string {
	return fmt.Sprintf("tokencrypt: line %d: %s", e.line, strings.TrimPrefix(e.err.Error(), "tokencrypt: "))
}

// Unwrap returns the error of the line alone.
func (e *lineError) Unwrap() error { return e.err }

// PrimaryID returns the id of the key that seals.
func (k *Keyring) PrimaryID() string { return k.primary }

// String returns "[redacted]".
func (k *Keyring) String() string { return redacted }

// Format writes "[redacted]", whatever the verb and the flags are.
func (k *Keyring) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// Derive returns the 32-byte key for a purpose, of 1 to 32 characters of a-z,
// 0-9, _ and -, that belongs to the root key keyID. The same ring text gives
// the same key in every process. Use [Keyring.PrimaryID] for what is made now,
// and the id that a received value names for what was made before; for an id
// that the ring does not have the error is [ErrKeyUnavailable].
//
// Security: each purpose has a key of its own, and none is the key that seals,
// so that a value made for one purpose is never accepted for another. Keys are
// derived by HKDF-SHA256 ([RFC 5869]); from one of them neither the root key
// nor another can be computed.
//
// [RFC 5869]: https://www.rfc-editor.org/rfc/rfc5869
func (k *Keyring) Derive(purpose, keyID string) ([]byte, error) {
	if !isName(purpose, maxPurpose) {
		return nil, errPurpose
	}
	key, err := k.key(keyID)
	if err != nil {
		return nil, err
	}
	return derive(key.root, infoDerive+purpose)
}

// key returns the key of exactly this id.
//
// Security: no other key is tried. Trying all of them would let a value choose
// its key, take time in proportion to the ring, and hide that a key is missing.
func (k *Keyring) key(id string) (*ringKey, error) {
	if key := k.keys[id]; key != nil {
		return key, nil
	}
	if !isName(id, maxKeyID) {
		return nil, ErrKeyUnavailable
	}
	return nil, fmt.Errorf("%w: the ring has no key %q", ErrKeyUnavailable, id)
}

// derive returns the key of root for info.
func derive(root Secret, info string) ([]byte, error) {
	return hkdf.Key(sha256.New, []byte(root.Reveal()), nil, info, keySize)
}
