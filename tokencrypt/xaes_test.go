package tokencrypt

import (
	"bytes"
	"crypto/sha3"
	"encoding/hex"
	"io"
	"testing"
)

// The examples of https://c2sp.org/XAES-256-GCM; in the first one the top bit
// of L is 0, in the second it is 1.
func TestXAES(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name               string
		key                byte
		aad                string
		k1, kx, ciphertext string
	}{
		{
			name:       "carry 0",
			key:        1,
			k1:         "e531954aca063d5b8d9c47a47d4cc6f0",
			kx:         "c8612c9ed53fe43e8e005b828a1631a0bbcb6ab2f46514ec4f439fcfd0fa969b",
			ciphertext: "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271",
		},
		{
			name:       "carry 1",
			key:        3,
			aad:        "c2sp.org/XAES-256-GCM",
			k1:         "23810ec50edb99f374409466ed1f4b7b",
			kx:         "e9c621d4cdd9b11b00a6427ad7e559aeedd66b3857646677748f8ca796cb3fd8",
			ciphertext: "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			x, err := newXAES(bytes.Repeat([]byte{test.key}, keySize))
			if err != nil {
				t.Fatal(err)
			}
			nonce := [nonceSize]byte([]byte("ABCDEFGHIJKLMNOPQRSTUVWX"))
			ciphertext, err := x.seal(nil, &nonce, []byte("XAES-256-GCM"), []byte(test.aad))
			if err != nil {
				t.Fatal(err)
			}
			wantHex(t, "K1", x.k1[:], test.k1)
			wantHex(t, "Kx", x.messageKey(&nonce), test.kx)
			wantHex(t, "ciphertext", ciphertext, test.ciphertext)
			plaintext, err := x.open(&nonce, ciphertext, []byte(test.aad))
			if err != nil || string(plaintext) != "XAES-256-GCM" {
				t.Errorf("open = %q, %v", plaintext, err)
			}
		})
	}
}

func wantHex(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if hex.EncodeToString(got) != want {
		t.Errorf("%s = %x, want %s", what, got, want)
	}
}

// The accumulated test of the specification: 10,000 messages read from one
// SHAKE128 stream, their ciphertexts hashed by another.
func TestXAES_accumulated(t *testing.T) {
	t.Parallel()
	source, sum := sha3.NewSHAKE128(), sha3.NewSHAKE128()
	read := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(source, b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	for range 10_000 {
		key, nonce := read(keySize), [nonceSize]byte(read(nonceSize))
		plaintext := read(int(read(1)[0]))
		aad := read(int(read(1)[0]))
		x, err := newXAES(key)
		if err != nil {
			t.Fatal(err)
		}
		ciphertext, err := x.seal(nil, &nonce, plaintext, aad)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := x.open(&nonce, ciphertext, aad)
		if err != nil || !bytes.Equal(opened, plaintext) {
			t.Fatalf("open = %x, %v; want %x", opened, err, plaintext)
		}
		_, _ = sum.Write(ciphertext)
	}
	got := make([]byte, 32)
	_, _ = sum.Read(got)
	wantHex(t, "hash", got, "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939")
}

func TestXAES_keySize(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 16, 24, 31, 33} {
		if _, err := newXAES(make([]byte, size)); err == nil {
			t.Errorf("a key of %d bytes is accepted", size)
		}
	}
}
