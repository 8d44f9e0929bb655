package tokencrypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
)

const (
	keySize   = 32 // bytes of a root key, of a derived key and of a message key
	nonceSize = 24 // bytes of an XAES-256-GCM nonce
	tagSize   = 16 // bytes of a GCM tag
)

// xaes is XAES-256-GCM: AES-256-GCM with a key of its own for each message,
// derived from the first half of a 192-bit nonce. It is safe for concurrent
// use.
//
// Security: plain AES-GCM with random 96-bit nonces must not seal more than
// 2^32 values under one key (NIST SP 800-38D, section 8.3), which a large
// fleet does in months, and one repeated nonce betrays the key that
// authenticates. With 192 random bits there is no count to keep.
//
// The algorithm and its names are those of https://c2sp.org/XAES-256-GCM.
type xaes struct {
	block cipher.Block
	k1    [aes.BlockSize]byte
}

// newXAES returns the cipher for a key of 32 bytes. It tries the cipher out,
// since a process that runs with GODEBUG=fips140=only has no GCM with a nonce
// of one's own choice; better to learn that here than from a first token.
func newXAES(key []byte) (*xaes, error) {
	if len(key) != keySize {
		return nil, aes.KeySizeError(len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	x := &xaes{block: block}
	block.Encrypt(x.k1[:], x.k1[:]) // L: the encryption of the zero block
	double(&x.k1)
	if _, err := x.gcm(new([nonceSize]byte)); err != nil {
		return nil, err
	}
	return x, nil
}

// double multiplies b by x in GF(2^128), the step that makes K1 of L.
// It does not branch on b, which is secret.
func double(b *[aes.BlockSize]byte) {
	carry := b[0] >> 7
	for i := range aes.BlockSize - 1 {
		b[i] = b[i]<<1 | b[i+1]>>7
	}
	b[aes.BlockSize-1] = b[aes.BlockSize-1]<<1 ^ carry*0b10000111
}

// messageKey returns Kx, the AES-256-GCM key of the message with this nonce.
func (x *xaes) messageKey(nonce *[nonceSize]byte) []byte {
	key := make([]byte, keySize)
	for i := range keySize / aes.BlockSize {
		m := key[i*aes.BlockSize:][:aes.BlockSize]
		m[1] = byte(i + 1)
		m[2] = 'X'
		copy(m[4:], nonce[:12])
		subtle.XORBytes(m, m, x.k1[:])
		x.block.Encrypt(m, m)
	}
	return key
}

// gcm returns the AES-256-GCM of the message with this nonce.
func (x *xaes) gcm(nonce *[nonceSize]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(x.messageKey(nonce))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// seal appends the ciphertext and the tag to dst.
func (x *xaes) seal(dst []byte, nonce *[nonceSize]byte, plaintext, aad []byte) ([]byte, error) {
	gcm, err := x.gcm(nonce)
	if err != nil {
		return nil, err
	}
	return gcm.Seal(dst, nonce[12:], plaintext, aad), nil
}

// open returns the plaintext, or an error if anything is not as it was sealed.
func (x *xaes) open(nonce *[nonceSize]byte, ciphertext, aad []byte) ([]byte, error) {
	gcm, err := x.gcm(nonce)
	if err != nil {
		return nil, err
	}
	return gcm.Open(nil, nonce[12:], ciphertext, aad)
}
