package tokencrypt

import "errors"

// The two ways in which a sealed value will not open. Neither means that the
// token inside is dead: do not delete the value, and do not send its owner to
// connect again. Compare with [errors.Is].
var (
	// ErrKeyUnavailable means that the ring has no key of the id that the
	// value names. It is a matter of configuration: add the key to the ring,
	// and the value opens.
	ErrKeyUnavailable = errors.New("tokencrypt: key unavailable")

	// ErrIntegrity means that the value is not what was sealed for this
	// binding: changed, cut short, moved from another record, older than the
	// record, or never sealed at all.
	ErrIntegrity = errors.New("tokencrypt: integrity check failed")
)

// What a caller gets wrong. No text here or elsewhere quotes its input.
var (
	errKeyID        = errors.New("tokencrypt: a key id must have 1 to 16 characters of a-z, 0-9, _ and -")
	errKeyText      = errors.New(`tokencrypt: a key must read "id:" and the standard base64 of 32 bytes`)
	errZeroKey      = errors.New("tokencrypt: a key must not be zero; make one with GenerateKey")
	errDuplicateID  = errors.New("tokencrypt: two keys of the ring have the same id")
	errDuplicateKey = errors.New("tokencrypt: two keys of the ring have the same bytes under different ids")
	errNoKeys       = errors.New("tokencrypt: the text holds no key; its first key is the primary")
	errPurpose      = errors.New("tokencrypt: a purpose must have 1 to 32 characters of a-z, 0-9, _ and -")
	errBinding      = errors.New("tokencrypt: a binding needs a purpose and a record, and no field above 4096 bytes")
	errTooLong      = errors.New("tokencrypt: a plaintext must not have more than 1 MiB")
	errRandom       = errors.New("tokencrypt: the system's random source repeats itself")
)
