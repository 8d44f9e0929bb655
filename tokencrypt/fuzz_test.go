package tokencrypt

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The first of testdata/vectors.json: a value that a release has sealed.
const (
	vectorRing = "2026-01:eSMz+AoNA49kvb3rK1wzT+GbUwuHZRqpqCnJcRWceus="
	vectorBlob = "AQEHMjAyNi0wMR7n4tfYc3UwDbA43qxCzu3RcQW9NvRjIkKeyhLpXt/m325LrIuUR+tPqg2ncHAN2ofWpnmO3w1wdQ=="
)

// What never was sealed does not open: of all blobs there may be, one does.
func FuzzOpen(f *testing.F) {
	ring, binding := mustRing(f, vectorRing), Binding{Purpose: "grant", Tenant: "acme", Record: "gr_01", Field: "access_token", Generation: 1}
	sealed, err := base64.StdEncoding.DecodeString(vectorBlob)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte("\x01\x01\xff"))
	f.Add([]byte(bearer))
	f.Fuzz(func(t *testing.T, blob []byte) {
		id, idErr := KeyID(blob)
		if (idErr == nil) != isName(id, maxKeyID) || !bytes.Contains(blob, []byte(id)) {
			t.Errorf("KeyID = %q, %v", id, idErr)
		}
		switch {
		case bytes.Equal(blob, sealed):
			wantOpen(t, ring, binding, blob, "EAAB-vector-token")
		case idErr == nil && id != ring.PrimaryID():
			wantClosed(t, ring, binding, blob, ErrKeyUnavailable)
		default:
			wantClosed(t, ring, binding, blob, ErrIntegrity)
		}
	})
}

// What was sealed opens for its own binding, and for no other; changed or cut
// short, it does not open at all.
func FuzzSeal(f *testing.F) {
	ring := mustRing(f, vectorRing)
	f.Add([]byte(bearer), "p", "ab", "c", "f", int64(0), "p", "a", "bc", "f", int64(0), uint(50), byte(1))
	f.Add([]byte(nil), "p", "", "r", "", int64(1), "p", "", "r", "", int64(1), uint(2), byte(0x80))
	f.Add([]byte("x"), "", "", "r", "", int64(1), "p", "", "", "", int64(-1), uint(0), byte(0))
	f.Fuzz(func(t *testing.T, plaintext []byte, p1, t1, r1, f1 string, g1 int64, p2, t2, r2, f2 string, g2 int64, at uint, flip byte) {
		a, b := Binding{p1, t1, r1, f1, g1}, Binding{p2, t2, r2, f2, g2}
		blob, err := ring.Seal(a, plaintext)
		if !a.valid() || len(plaintext) > maxPlaintext {
			if blob != nil || err == nil {
				t.Errorf("Seal for %+v = %d bytes, %v", a, len(blob), err)
			}
			return
		}
		if err != nil || len(blob) != 43+len(ring.PrimaryID())+len(plaintext) {
			t.Fatalf("Seal for %+v = %d bytes, %v", a, len(blob), err)
		}
		wantOpen(t, ring, a, blob, string(plaintext))
		if a != b {
			wantClosed(t, ring, b, blob, ErrIntegrity)
		}
		at %= uint(len(blob))
		wantShut(t, ring, a, blob[:at])
		if flip != 0 {
			blob[at] ^= flip
			wantShut(t, ring, a, blob)
		}
	})
}

// wantShut is wantClosed where the blob may name any key.
func wantShut(t *testing.T, ring *Keyring, b Binding, blob []byte) {
	t.Helper()
	want := ErrIntegrity
	if id, err := KeyID(blob); err == nil && id != ring.PrimaryID() {
		want = ErrKeyUnavailable
	}
	wantClosed(t, ring, b, blob, want)
}

// Two bindings never are the same bytes, since the bytes can be taken apart
// again.
func FuzzThreat56_Injective(f *testing.F) {
	f.Add("k", "ab", "c", "r", "f", int64(0))
	f.Add("k1", "p", "", "r\x00\x00\x00\x01f", "", int64(-1))
	f.Fuzz(func(t *testing.T, keyID, purpose, tenant, record, field string, generation int64) {
		b := Binding{purpose, tenant, record, field, generation}
		var parts []string
		for data := b.associatedData(keyID); len(data) > 0; {
			n := int(binary.BigEndian.Uint32(data))
			parts, data = append(parts, string(data[4:4+n])), data[4+n:]
		}
		want := []string{"\x01", "\x01", keyID, purpose, tenant, record, field, string(binary.BigEndian.AppendUint64(nil, uint64(generation)))}
		if !slices.Equal(parts, want) {
			t.Errorf("%+v is %q", b, parts)
		}
	})
}

var lineNumber = regexp.MustCompile(`^tokencrypt: line [1-9][0-9]*: `)

// A ring that is read is what stands in the text, line by line, and an error
// says no more than the line's number.
func FuzzParseKeyring(f *testing.F) {
	f.Add("k1:" + canaryKey + "\n# a comment\n")
	f.Add(" k2:" + canaryKey[:40] + "AAA=\r\n\nk1:" + canaryKey)
	f.Add("k1:\nk2")
	f.Fuzz(func(t *testing.T, text string) {
		ring, err := ParseKeyring(text)
		if err != nil {
			says := lineNumber.ReplaceAllString(err.Error(), "tokencrypt: ")
			if own := errors.Unwrap(err); ring != nil || own != nil && own.Error() != says || !strings.HasPrefix(says, "tokencrypt: ") {
				t.Errorf("ParseKeyring = %v, %v", ring, err)
			}
			return
		}
		var lines []string
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				lines = append(lines, line)
			}
		}
		if len(lines) != len(ring.keys) || !strings.HasPrefix(lines[0], ring.PrimaryID()+":") {
			t.Errorf("%d lines are %d keys with %q as the primary", len(lines), len(ring.keys), ring.PrimaryID())
		}
		for id, key := range ring.keys {
			if !slices.Contains(lines, Key{id: id, root: key.root}.Text()) {
				t.Errorf("no line is the key %q", id)
			}
		}
	})
}
