package tokencrypt

import (
	"fmt"
	"slices"
)

const (
	version      = 1       // the first byte of every blob
	algXAES      = 1       // its second byte: XAES-256-GCM
	headerSize   = 3       // version, algorithm, length of the key id
	maxPlaintext = 1 << 20 // bytes
)

// Seal encrypts plaintext, of at most 1 MiB, with the primary key, so that it
// opens with the same Binding only. Sealing the same value twice gives two
// different blobs. A blob is 43 bytes and the key id longer than its
// plaintext.
//
// It fails if the Binding is not valid, the plaintext is too long or the
// random source is broken; never does it return the plaintext instead.
func (k *Keyring) Seal(b Binding, plaintext []byte) ([]byte, error) {
	if !b.valid() {
		return nil, errBinding
	}
	if len(plaintext) > maxPlaintext {
		return nil, errTooLong
	}
	key, err := k.key(k.primary)
	if err != nil {
		return nil, err
	}
	var nonce [nonceSize]byte
	if err := readRandom(nonce[:]); err != nil {
		return nil, err
	}
	header := append([]byte{version, algXAES, byte(len(k.primary))}, k.primary...)
	blob := slices.Concat(header, nonce[:])
	return key.cipher.seal(blob, &nonce, plaintext, b.associatedData(k.primary))
}

// Open decrypts a blob that [Keyring.Seal] made for the same Binding. The
// error is [ErrKeyUnavailable] if the ring does not have the key that the
// blob names, and [ErrIntegrity] for everything else.
//
// Security: there is no plaintext mode. A value that was never sealed does not
// open, since whoever can write the database could otherwise store a token of
// their own.
func (k *Keyring) Open(b Binding, blob []byte) ([]byte, error) {
	if !b.valid() {
		return nil, fmt.Errorf("%w: %w", ErrIntegrity, errBinding)
	}
	sealed, err := parse(blob)
	if err != nil {
		return nil, err
	}
	key, err := k.key(sealed.keyID)
	if err != nil {
		return nil, err
	}
	plaintext, err := key.cipher.open(&sealed.nonce, sealed.ciphertext, b.associatedData(sealed.keyID))
	if err != nil {
		return nil, ErrIntegrity
	}
	return plaintext, nil
}

// KeyID returns the id of the key that sealed the blob, so that a sweep finds
// what an older key has sealed. The error is [ErrIntegrity] if the blob does
// not have the form of a sealed value. Nothing is decrypted: only Open tells
// whether the blob is genuine.
func KeyID(blob []byte) (string, error) {
	sealed, err := parse(blob)
	return sealed.keyID, err
}

// sealed is a blob in its parts.
type sealed struct {
	keyID      string
	nonce      [nonceSize]byte
	ciphertext []byte // and the tag
}

// parse takes a blob apart. It copies nothing of the ciphertext and checks
// every length before use.
func parse(blob []byte) (sealed, error) {
	if len(blob) < headerSize || blob[0] != version || blob[1] != algXAES {
		return sealed{}, ErrIntegrity
	}
	n := int(blob[2])
	rest := blob[headerSize:]
	if len(rest) < n+nonceSize+tagSize || len(rest) > n+nonceSize+maxPlaintext+tagSize {
		return sealed{}, ErrIntegrity
	}
	s := sealed{keyID: string(rest[:n]), ciphertext: rest[n+nonceSize:]}
	if !isName(s.keyID, maxKeyID) {
		return sealed{}, ErrIntegrity
	}
	copy(s.nonce[:], rest[n:])
	return s, nil
}
