package tokencrypt

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"
)

// vectors is testdata/vectors.json. They were made by another implementation
// of the format, in another language, and are frozen: what fails here breaks
// the promise of the package comment.
type vectors struct {
	Sealed []struct {
		Name, Keyring string
		Binding       struct {
			Purpose, Tenant, Record, Field string
			Generation                     int64 `json:",string"`
		}
		Blob, Plaintext []byte
		Failure         string
	}
	Derived []struct {
		Keyring, Purpose, Key string
		KeyID                 string `json:"key_id"`
	}
}

func readVectors(t *testing.T) vectors {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Sealed) < 42 || len(v.Derived) < 10 {
		t.Fatalf("%d sealed and %d derived vectors; some were removed", len(v.Sealed), len(v.Derived))
	}
	return v
}

func TestVectors_sealed(t *testing.T) {
	t.Parallel()
	failures := map[string]error{"": nil, "key_unavailable": ErrKeyUnavailable, "integrity": ErrIntegrity}
	for _, vector := range readVectors(t).Sealed {
		t.Run(vector.Name, func(t *testing.T) {
			t.Parallel()
			want, known := failures[vector.Failure]
			if !known {
				t.Fatalf("unknown failure class %q", vector.Failure)
			}
			plaintext, err := mustRing(t, vector.Keyring).Open(Binding(vector.Binding), vector.Blob)
			if !errors.Is(err, want) {
				t.Fatalf("Open: %v, want %v", err, want)
			}
			if !bytes.Equal(plaintext, vector.Plaintext) {
				t.Errorf("Open = %q, want %q", plaintext, vector.Plaintext)
			}
		})
	}
}

func TestVectors_derived(t *testing.T) {
	t.Parallel()
	for _, vector := range readVectors(t).Derived {
		key, err := mustRing(t, vector.Keyring).Derive(vector.Purpose, vector.KeyID)
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(key) != vector.Key {
			t.Errorf("key %s for %s is another one than before", vector.KeyID, vector.Purpose)
		}
	}
}
