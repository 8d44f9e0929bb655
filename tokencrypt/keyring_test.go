package tokencrypt

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

// canaryKey has 32 bytes that no error may quote.
var canaryKey = base64.StdEncoding.EncodeToString([]byte("canary-canary-canary-canary-keys"))

func TestGenerateKey(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a", "2026-01", "abcdefghij_-0189"} {
		key, err := GenerateKey(id)
		if err != nil || key.ID() != id || len(key.root.Reveal()) != keySize {
			t.Errorf("GenerateKey(%q) = key %q of %d bytes, %v", id, key.ID(), len(key.root.Reveal()), err)
		}
		again, err := ParseKey(key.Text())
		if err != nil || again.ID() != id || !again.root.Equal(key.root) {
			t.Errorf("the text of key %q does not read back: %v", id, err)
		}
	}
	for _, id := range []string{"", "seventeen-letters", "A", "a b", "a:b", "a.b", "\u00e9", "a\n"} {
		if _, err := GenerateKey(id); !errors.Is(err, errKeyID) {
			t.Errorf("GenerateKey(%q): %v, want %v", id, err, errKeyID)
		}
	}
}

func TestThreat51_keysDiffer(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for range 10_000 {
		root := mustKey(t, "k").root.Reveal()
		if len(root) != keySize || seen[root] {
			t.Fatalf("key of %d bytes, seen before: %t", len(root), seen[root])
		}
		seen[root] = true
	}
}

func TestParseKey_refuses(t *testing.T) {
	t.Parallel()
	raw := make([]byte, 33)
	copy(raw, "canary-canary-canary-canary-keys!")
	tests := []struct {
		name, text string
		want       error
	}{
		{"empty", "", errKeyID},
		{"no id", ":" + canaryKey, errKeyID},
		{"no colon", canaryKey, errKeyID},
		{"id in capitals", "K1:" + canaryKey, errKeyID},
		{"id with a space", " k1:" + canaryKey, errKeyID},
		{"id too long", "seventeen-letters:" + canaryKey, errKeyID},
		{"no key", "k1:", errKeyText},
		{"id only", "k1", errKeyText},
		{"space before", "k1: " + canaryKey, errKeyText},
		{"space after", "k1:" + canaryKey + " ", errKeyText},
		{"line end inside", "k1:" + canaryKey[:20] + "\n" + canaryKey[20:], errKeyText},
		{"31 bytes", "k1:" + base64.StdEncoding.EncodeToString(raw[:31]), errKeyText},
		{"33 bytes", "k1:" + base64.StdEncoding.EncodeToString(raw[:33]), errKeyText},
		{"no padding", "k1:" + strings.TrimRight(canaryKey, "="), errKeyText},
		{"stray bits", "k1:" + canaryKey[:42] + "N=", errKeyText},
		{"URL alphabet", "k1:" + base64.URLEncoding.EncodeToString([]byte(strings.Repeat("\xff", 32))), errKeyText},
		{"hexadecimal", "k1:" + strings.Repeat("ca", 32), errKeyText},
		{"zero", "k1:" + base64.StdEncoding.EncodeToString(make([]byte, 32)), errZeroKey},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			key, err := ParseKey(test.text)
			if !errors.Is(err, test.want) || key.ID() != "" {
				t.Fatalf("ParseKey = key %q, %v; want %v", key.ID(), err, test.want)
			}
			wantNoCanary(t, err.Error(), canaryKey, "canary")
		})
	}
}

func TestNewKeyring_refuses(t *testing.T) {
	t.Parallel()
	a, b := mustKey(t, "a"), mustKey(t, "b")
	renamed, err := ParseKey("c" + strings.TrimPrefix(a.Text(), "a"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		keys []Key
		want error
	}{
		{"zero primary", []Key{{}}, errZeroKey},
		{"zero decrypt-only key", []Key{a, {}}, errZeroKey},
		{"the primary twice", []Key{a, a}, errDuplicateID},
		{"same id", []Key{a, mustKey(t, "a")}, errDuplicateID},
		{"same id further down", []Key{a, b, mustKey(t, "b")}, errDuplicateID},
		{"same bytes", []Key{a, b, renamed}, errDuplicateKey},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ring, err := NewKeyring(test.keys[0], test.keys[1:]...)
			if ring != nil || !errors.Is(err, test.want) {
				t.Errorf("NewKeyring: %v, want %v", err, test.want)
			}
		})
	}
}

func TestParseKeyring(t *testing.T) {
	t.Parallel()
	a, b := mustKey(t, "a"), mustKey(t, "b")
	tests := []struct{ name, text, primary string }{
		{"one key", a.Text(), "a"},
		{"two keys", b.Text() + "\n" + a.Text() + "\n", "b"},
		{"comments and blank lines", "# new\n\n" + a.Text() + "\n \t\n  # old: x\n" + b.Text(), "a"},
		{"line ends of Windows", a.Text() + "\r\n" + b.Text() + "\r\n", "a"},
		{"indented", "\t" + a.Text() + "  \n", "a"},
	}
	sealed := mustSeal(t, newRing(t, a), grant, bearer)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ring := mustRing(t, test.text)
			if ring.PrimaryID() != test.primary {
				t.Errorf("PrimaryID = %q, want %q", ring.PrimaryID(), test.primary)
			}
			wantOpen(t, ring, grant, sealed, bearer)
		})
	}
}

func TestParseKeyring_refuses(t *testing.T) {
	t.Parallel()
	line := "k1:" + canaryKey
	tests := []struct {
		name, text, prefix string
		want               error
	}{
		{"empty", "", "", errNoKeys},
		{"comments only", "# k1:" + canaryKey + "\n\n", "", errNoKeys},
		{"bad second line", line + "\nk2:" + canaryKey[1:], "tokencrypt: line 2: a key", errKeyText},
		{"blank lines count", "\n\n#\n" + canaryKey, "tokencrypt: line 4: a key", errKeyID},
		{"comment after a key", line + " # primary", "tokencrypt: line 1: a key", errKeyText},
		{"two keys in a line", line + "," + line, "tokencrypt: line 1: a key", errKeyText},
		{"same line twice", line + "\n" + line, "", errDuplicateID},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ring, err := ParseKeyring(test.text)
			if ring != nil || !errors.Is(err, test.want) || !strings.HasPrefix(err.Error(), test.prefix) {
				t.Fatalf("ParseKeyring: %v, want %s%v", err, test.prefix, test.want)
			}
			wantNoCanary(t, err.Error(), canaryKey, canaryKey[1:])
		})
	}
}

func TestDerive(t *testing.T) {
	t.Parallel()
	a, b := mustKey(t, "a"), mustKey(t, "b")
	before, after := newRing(t, a), newRing(t, b, a)
	one, err := before.Derive("state", "a")
	if err != nil || len(one) != keySize {
		t.Fatalf("Derive = %d bytes, %v", len(one), err)
	}
	if two, err := after.Derive("state", "a"); err != nil || string(two) != string(one) {
		t.Errorf("a new primary changes the derived key of the old one: %v", err)
	}
	if two, err := after.Derive("state", "b"); err != nil || string(two) == string(one) {
		t.Errorf("two keys derive the same key: %v", err)
	}
	for _, id := range []string{"", "c", "A", "a ", strings.Repeat("a", 1000), "\x00"} {
		if key, err := after.Derive("state", id); key != nil || !errors.Is(err, ErrKeyUnavailable) {
			t.Errorf("Derive of key %q = %d bytes, %v", id, len(key), err)
		}
	}
	for _, purpose := range []string{"", "State", "a/b", "../seal", strings.Repeat("p", maxPurpose+1)} {
		if key, err := after.Derive(purpose, "a"); key != nil || !errors.Is(err, errPurpose) {
			t.Errorf("Derive for %q = %d bytes, %v", purpose, len(key), err)
		}
	}
}
