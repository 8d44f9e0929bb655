package tokencrypt

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
)

// grant is the binding that most tests seal for.
var grant = Binding{Purpose: "grant", Tenant: "acme", Record: "gr_1", Field: "access_token", Generation: 3}

const bearer = "EAAB-canary-token"

func mustKey(tb testing.TB, id string) Key {
	tb.Helper()
	key, err := GenerateKey(id)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func mustRing(tb testing.TB, text string) *Keyring {
	tb.Helper()
	ring, err := ParseKeyring(text)
	if err != nil {
		tb.Fatal(err)
	}
	return ring
}

func newRing(tb testing.TB, primary Key, decryptOnly ...Key) *Keyring {
	tb.Helper()
	ring, err := NewKeyring(primary, decryptOnly...)
	if err != nil {
		tb.Fatal(err)
	}
	return ring
}

func mustSeal(tb testing.TB, ring *Keyring, b Binding, plaintext string) []byte {
	tb.Helper()
	blob, err := ring.Seal(b, []byte(plaintext))
	if err != nil {
		tb.Fatal(err)
	}
	return blob
}

func wantOpen(tb testing.TB, ring *Keyring, b Binding, blob []byte, want string) {
	tb.Helper()
	if got, err := ring.Open(b, blob); err != nil || string(got) != want {
		tb.Errorf("Open = %q, %v; want %q", got, err, want)
	}
}

// wantClosed demands that the blob does not open, that nothing of it comes
// back, and that the error is of one class only.
func wantClosed(tb testing.TB, ring *Keyring, b Binding, blob []byte, want error) {
	tb.Helper()
	got, err := ring.Open(b, blob)
	if got != nil || !errors.Is(err, want) {
		tb.Errorf("Open = %q, %v; want %v", got, err, want)
	}
	if errors.Is(err, ErrIntegrity) && errors.Is(err, ErrKeyUnavailable) {
		tb.Errorf("Open: %v is of both classes", err)
	}
}

func TestSeal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		binding   Binding
		plaintext string
	}{
		{"a token", grant, bearer},
		{"nothing", grant, ""},
		{"one byte", grant, "\x00"},
		{"the limit", grant, strings.Repeat("x", maxPlaintext)},
		{"least binding", Binding{Purpose: "p", Record: "r"}, bearer},
		{"longest field", Binding{Purpose: "p", Record: strings.Repeat("r", maxBindingField)}, bearer},
	}
	ring := newRing(t, mustKey(t, "k1"))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			blob := mustSeal(t, ring, test.binding, test.plaintext)
			wantOpen(t, ring, test.binding, blob, test.plaintext)
			if want := headerSize + len("k1") + nonceSize + len(test.plaintext) + tagSize; len(blob) != want {
				t.Errorf("the blob has %d bytes, want %d", len(blob), want)
			}
			if len(test.plaintext) > 8 && bytes.Contains(blob, []byte(test.plaintext[:8])) {
				t.Error("the blob shows the plaintext")
			}
		})
	}
}

func TestSeal_refuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxBindingField+1)
	tests := []struct {
		name    string
		binding Binding
		size    int
		want    error
	}{
		{"no binding", Binding{}, 1, errBinding},
		{"no purpose", Binding{Tenant: "t", Record: "r", Field: "f"}, 1, errBinding},
		{"no record", Binding{Purpose: "p", Tenant: "t", Field: "f"}, 1, errBinding},
		{"long purpose", Binding{Purpose: long, Record: "r"}, 1, errBinding},
		{"long tenant", Binding{Purpose: "p", Record: "r", Tenant: long}, 1, errBinding},
		{"long record", Binding{Purpose: "p", Record: long}, 1, errBinding},
		{"long field", Binding{Purpose: "p", Record: "r", Field: long}, 1, errBinding},
		{"long plaintext", grant, maxPlaintext + 1, errTooLong},
	}
	ring := newRing(t, mustKey(t, "k1"))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			blob, err := ring.Seal(test.binding, make([]byte, test.size))
			if blob != nil || !errors.Is(err, test.want) {
				t.Errorf("Seal = %d bytes, %v; want %v", len(blob), err, test.want)
			}
		})
	}
}

func TestSeal_zeroKeyring(t *testing.T) {
	t.Parallel()
	if blob, err := new(Keyring).Seal(grant, []byte(bearer)); blob != nil || !errors.Is(err, ErrKeyUnavailable) {
		t.Errorf("Seal = %q, %v", blob, err)
	}
}

func TestOpen_truncated(t *testing.T) {
	t.Parallel()
	ring := newRing(t, mustKey(t, "k1"))
	blob := mustSeal(t, ring, grant, bearer)
	for n := range blob {
		wantClosed(t, ring, grant, blob[:n], ErrIntegrity)
		wantClosed(t, ring, grant, blob[n+1:], ErrIntegrity)
	}
	wantClosed(t, ring, grant, append(blob, 0), ErrIntegrity)
	wantClosed(t, ring, grant, nil, ErrIntegrity)
}

func TestOpen_bitFlips(t *testing.T) {
	t.Parallel()
	ring := newRing(t, mustKey(t, "k1"))
	blob := mustSeal(t, ring, grant, bearer)
	for bit := range len(blob) * 8 {
		flipped := bytes.Clone(blob)
		flipped[bit/8] ^= 1 << (bit % 8)
		want := ErrIntegrity
		if id, err := KeyID(flipped); err == nil && id != "k1" {
			want = ErrKeyUnavailable // another key's id, as far as one can tell
		}
		wantClosed(t, ring, grant, flipped, want)
	}
}

func TestOpen_tooLong(t *testing.T) {
	t.Parallel()
	ring := newRing(t, mustKey(t, "k1"))
	cipher := ring.keys["k1"].cipher
	nonce := [nonceSize]byte([]byte("ABCDEFGHIJKLMNOPQRSTUVWX"))
	blob := append([]byte("\x01\x01\x02k1"), nonce[:]...)
	blob, err := cipher.seal(blob, &nonce, make([]byte, maxPlaintext+1), grant.associatedData("k1"))
	if err != nil {
		t.Fatal(err)
	}
	wantClosed(t, ring, grant, blob, ErrIntegrity)
}

func TestKeyID(t *testing.T) {
	t.Parallel()
	ring := newRing(t, mustKey(t, "2026-02"), mustKey(t, "2026-01"))
	if id, err := KeyID(mustSeal(t, ring, grant, bearer)); id != "2026-02" || err != nil {
		t.Errorf("KeyID = %q, %v", id, err)
	}
	short := mustSeal(t, ring, grant, "")
	for _, blob := range []string{"", "\x01", string(short[:len(short)-1]), bearer + bearer + bearer, "\x01\x01\x00" + strings.Repeat("x", 40)} {
		if id, err := KeyID([]byte(blob)); id != "" || !errors.Is(err, ErrIntegrity) {
			t.Errorf("KeyID(%q) = %q, %v", blob, id, err)
		}
	}
}

func TestKeyring_concurrent(t *testing.T) {
	t.Parallel()
	ring := newRing(t, mustKey(t, "k1"))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				wantOpen(t, ring, grant, mustSealed(t, ring), bearer)
			}
		})
	}
	group.Wait()
}

// mustSealed is mustSeal for goroutines, which must not end the test.
func mustSealed(t *testing.T, ring *Keyring) []byte {
	t.Helper()
	blob, err := ring.Seal(grant, []byte(bearer))
	if err != nil {
		t.Error(err)
	}
	return blob
}
