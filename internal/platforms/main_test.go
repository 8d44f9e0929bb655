package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocumentsShowTheTable: what people read is what the providers say.
func TestDocumentsShowTheTable(t *testing.T) {
	t.Parallel()
	for _, file := range documents {
		text, err := os.ReadFile(filepath.Join("..", "..", file))
		if err != nil {
			t.Fatal(err)
		}
		want, err := withTable(text)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if diff := cmp.Diff(string(want), string(text)); diff != "" {
			t.Errorf("%s is behind; go run ./internal/platforms (-want +got):\n%s", file, diff)
		}
	}
}

// TestEveryProviderIsInTheTable: a package of a provider that the table does
// not know would be missing from the documents.
func TestEveryProviderIsInTheTable(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(filepath.Join("..", "..", "providers"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"internal": true}
	for _, provider := range providers {
		known[provider.Platform().Name] = true
	}
	for _, entry := range entries {
		if entry.IsDir() && !known[entry.Name()] {
			t.Errorf("providers/%s is not in the table", entry.Name())
		}
	}
}
