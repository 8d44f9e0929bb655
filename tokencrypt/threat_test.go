package tokencrypt

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestThreat49_purpose(t *testing.T) {
	t.Parallel()
	ring := newRing(t, mustKey(t, "k1"), mustKey(t, "k2"))
	purposes := []string{"state", "ticket", "session", "link", "cookie", "seal", "s", "stat", "state-"}
	seen := make(map[string]string)
	for _, id := range []string{"k1", "k2"} {
		seen[ring.keys[id].root.Reveal()] = "root of " + id
		sealing, err := derive(ring.keys[id].root, infoSeal)
		if err != nil {
			t.Fatal(err)
		}
		seen[string(sealing)] = "sealing of " + id
		for _, purpose := range purposes {
			key, err := ring.Derive(purpose, id)
			if err != nil {
				t.Fatal(err)
			}
			if other := seen[string(key)]; other != "" {
				t.Errorf("the key for %s of %s is the one of %s", purpose, id, other)
			}
			seen[string(key)] = purpose + " of " + id
		}
	}
	for _, sealed := range purposes {
		blob := mustSeal(t, ring, Binding{Purpose: sealed, Record: "r"}, bearer)
		for _, opened := range purposes {
			if b := (Binding{Purpose: opened, Record: "r"}); sealed == opened {
				wantOpen(t, ring, b, blob, bearer)
			} else {
				wantClosed(t, ring, b, blob, ErrIntegrity)
			}
		}
	}
}

// Twenty rows, of four tenants that use the same record ids, with four columns
// each: every value opens in its own place and in none of the 79 others.
func TestThreat55_swapMatrix(t *testing.T) {
	t.Parallel()
	ring := newRing(t, mustKey(t, "k1"))
	var places []Binding
	for row := range 20 {
		for _, column := range []string{"access_token", "refresh_token", "private", "verifier"} {
			places = append(places, Binding{
				Purpose: "grant", Tenant: fmt.Sprint("tenant", row%4),
				Record: fmt.Sprint("gr_", row/4), Field: column, Generation: 1,
			})
		}
	}
	for from, source := range places {
		blob := mustSeal(t, ring, source, bearer)
		for to, place := range places {
			if from == to {
				wantOpen(t, ring, place, blob, bearer)
				continue
			}
			wantClosed(t, ring, place, blob, ErrIntegrity)
		}
	}
}

func TestThreat56_lengthPrefix(t *testing.T) {
	t.Parallel()
	ring := newRing(t, mustKey(t, "k1"))
	long := strings.Repeat("y", 255)
	tests := []struct {
		name string
		a, b Binding
	}{
		{"purpose and tenant", Binding{Purpose: "ab", Tenant: "c", Record: "r"}, Binding{Purpose: "a", Tenant: "bc", Record: "r"}},
		{"tenant and record", Binding{Purpose: "p", Tenant: "ab", Record: "c"}, Binding{Purpose: "p", Tenant: "a", Record: "bc"}},
		{"record and field", Binding{Purpose: "p", Record: "ab", Field: "c"}, Binding{Purpose: "p", Record: "a", Field: "bc"}},
		{"all in one", Binding{Purpose: "p", Record: "abc"}, Binding{Purpose: "p", Tenant: "a", Record: "b", Field: "c"}},
		{"a length inside a field", Binding{Purpose: "p", Record: "r", Field: "f"}, Binding{Purpose: "p", Record: "r\x00\x00\x00\x01f"}},
		{"a separator inside a field", Binding{Purpose: "p", Record: "a\x00b", Field: "c"}, Binding{Purpose: "p", Record: "a", Field: "b\x00c"}},
		{"a length above 255", Binding{Purpose: "p", Record: "r\x00" + long}, Binding{Purpose: "p", Record: "r", Field: long + "\x00"}},
		{"field and generation", Binding{Purpose: "p", Record: "r", Field: "f", Generation: 'x'}, Binding{Purpose: "p", Record: "r", Field: "f\x00\x00\x00\x00\x00\x00\x00x"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			wantClosed(t, ring, test.b, mustSeal(t, ring, test.a, bearer), ErrIntegrity)
			wantClosed(t, ring, test.a, mustSeal(t, ring, test.b, bearer), ErrIntegrity)
		})
	}
	if bytes.Equal(grant.associatedData("ab"), Binding{Purpose: "b" + grant.Purpose}.associatedData("a")) {
		t.Error("the key id runs into the purpose")
	}
}

// The format is that of a key per message: 192 random bits, of which the first
// half makes the AES-256-GCM key and the second half its nonce.
func TestThreat57_keyPerMessage(t *testing.T) {
	t.Parallel()
	ring := newRing(t, mustKey(t, "k1"))
	xaes := ring.keys["k1"].cipher
	nonces, keys := make(map[string]bool), make(map[string]bool)
	const count = 20_000
	for range count {
		parts, err := parse(mustSeal(t, ring, grant, bearer))
		if err != nil {
			t.Fatal(err)
		}
		nonces[string(parts.nonce[12:])] = true
		keys[string(xaes.messageKey(&parts.nonce))] = true
	}
	if len(nonces) != count || len(keys) != count {
		t.Errorf("%d seals had %d message keys and %d nonces for them", count, len(keys), len(nonces))
	}

	parts, err := parse(mustSeal(t, ring, grant, bearer))
	if err != nil {
		t.Fatal(err)
	}
	aad := grant.associatedData("k1")
	if got, err := openGCM(t, xaes.messageKey(&parts.nonce), parts, aad); err != nil || string(got) != bearer {
		t.Errorf("with the message key: %q, %v", got, err)
	}
	sealing, err := derive(ring.keys["k1"].root, infoSeal)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openGCM(t, sealing, parts, aad); err == nil {
		t.Error("the value is sealed with the ring's own key")
	}
}

// openGCM opens with plain AES-256-GCM.
func openGCM(t *testing.T, key []byte, parts sealed, aad []byte) ([]byte, error) {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return gcm.Open(nil, parts.nonce[12:], parts.ciphertext, aad)
}

// Four sweeps reseal the same rows by compare-and-swap while readers, some of
// which still have the ring before the promotion, read all of them.
func TestThreat59_rotation(t *testing.T) {
	t.Parallel()
	before, after := mustKey(t, "2026-01"), mustKey(t, "2026-02")
	introduced, promoted := newRing(t, before, after), newRing(t, after, before)
	place := func(i int) Binding { return Binding{Purpose: "grant", Tenant: "acme", Record: strconv.Itoa(i)} }
	rows := make([]atomic.Pointer[[]byte], 1000)
	for i := range rows {
		blob := mustSeal(t, introduced, place(i), bearer)
		rows[i].Store(&blob)
	}

	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := range rows {
				if err := reseal(promoted, place(i), &rows[i]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, ring := range []*Keyring{introduced, promoted} {
		group.Go(func() {
			for i := range rows {
				wantOpen(t, ring, place(i), *rows[i].Load(), bearer)
			}
		})
	}
	group.Wait()

	alone := newRing(t, after)
	for i := range rows {
		if id, err := KeyID(*rows[i].Load()); err != nil || id != "2026-02" {
			t.Fatalf("row %d is still sealed with %q: %v", i, id, err)
		}
		wantOpen(t, alone, place(i), *rows[i].Load(), bearer)
	}
}

// reseal is the sweep of the package comment for one row.
func reseal(ring *Keyring, b Binding, row *atomic.Pointer[[]byte]) error {
	stored := row.Load()
	if id, err := KeyID(*stored); err != nil || id == ring.PrimaryID() {
		return err
	}
	plaintext, err := ring.Open(b, *stored)
	if err != nil {
		return err
	}
	blob, err := ring.Seal(b, plaintext)
	if err != nil {
		return err
	}
	row.CompareAndSwap(stored, &blob) // whoever came first resealed it too
	return nil
}

func TestThreat60_missingKey(t *testing.T) {
	t.Parallel()
	lost, other := mustKey(t, "lost"), mustKey(t, "other")
	blob := mustSeal(t, newRing(t, lost), grant, bearer)
	wantClosed(t, newRing(t, other), grant, blob, ErrKeyUnavailable)
	if _, err := newRing(t, other).Open(grant, blob); errors.Is(err, ErrIntegrity) {
		t.Errorf("a missing key looks like tampering: %v", err)
	}
	wantOpen(t, newRing(t, other, lost), grant, blob, bearer)
}

// An unknown id ends it before any key is tried; so does a known one, even if
// another key of the ring would open the value.
func TestThreat61_noTrialDecryption(t *testing.T) {
	t.Parallel()
	a, b := mustKey(t, "a"), mustKey(t, "b")
	both := newRing(t, a, b)
	blob := mustSeal(t, newRing(t, b), grant, bearer)
	wantOpen(t, both, grant, blob, bearer)

	renamed := bytes.Clone(blob)
	renamed[headerSize] = 'c'
	wantClosed(t, both, grant, renamed, ErrKeyUnavailable)
	renamed[len(renamed)-1] ^= 1
	wantClosed(t, both, grant, renamed, ErrKeyUnavailable)
	renamed = bytes.Clone(blob)
	renamed[headerSize] = 'a'
	wantClosed(t, both, grant, renamed, ErrIntegrity)

	// The id is authenticated even where it leads to the right bytes.
	again, err := ParseKey("c" + b.Text()[1:])
	if err != nil {
		t.Fatal(err)
	}
	renamed[headerSize] = 'c'
	wantClosed(t, newRing(t, a, again), grant, renamed, ErrIntegrity)
}

func TestThreat62_neverSealed(t *testing.T) {
	t.Parallel()
	ring := newRing(t, mustKey(t, "k1"))
	blob := mustSeal(t, ring, grant, bearer)
	tests := []struct {
		name string
		blob []byte
	}{
		{"nothing", nil},
		{"a token", []byte(bearer)},
		{"a long token", bytes.Repeat([]byte(bearer), 20)},
		{"JSON", []byte(`{"access_token":"EAAB-canary-token-EAAB-canary-token-EAAB"}`)},
		{"zeroes", make([]byte, 200)},
		{"no version", blob[1:]},
		{"version 0", append([]byte{0}, blob[1:]...)},
		{"version 2", append([]byte{2}, blob[1:]...)},
		{"algorithm 0", append([]byte{1, 0}, blob[2:]...)},
		{"algorithm 2", append([]byte{1, 2}, blob[2:]...)},
		{"header before a token", append([]byte("\x01\x01\x02k1"), bytes.Repeat([]byte(bearer), 5)...)},
		{"base64 of a sealed value", []byte("AQECazE" + string(blob))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			wantClosed(t, ring, grant, test.blob, ErrIntegrity)
		})
	}
}

func TestThreat63_olderGeneration(t *testing.T) {
	t.Parallel()
	ring := newRing(t, mustKey(t, "k1"))
	now := grant
	for _, generation := range []int64{0, 2, 4, -3, 3 << 32, 3 + 1<<32} {
		now.Generation = generation
		wantClosed(t, ring, now, mustSeal(t, ring, grant, bearer), ErrIntegrity)
	}
}
