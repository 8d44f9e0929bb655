package tokencrypt

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What ends a process, or changes all of it, is tried in a child of its own.
const (
	childMode     = "TOKENCRYPT_TEST_CHILD"
	childKeyBytes = "stable-key-of-a-child-process-32"
	childKey      = "k1:c3RhYmxlLWtleS1vZi1hLWNoaWxkLXByb2Nlc3MtMzI="
)

// runChild runs this test binary again, with TestChild in the given mode, and
// returns all it printed and how it ended.
func runChild(t *testing.T, mode string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestChild$", "-test.v")
	command.Env = append(os.Environ(), childMode+"="+mode)
	if mode == "fips" {
		command.Env = append(command.Env, "GODEBUG=fips140=only")
	}
	out, err := command.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("the child hangs:\n%s", out)
	}
	return string(out), err
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("no random bytes") }

type constantReader byte

func (c constantReader) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(c)
	}
	return len(b), nil
}

// TestChild is the child of runChild; by itself it does nothing.
func TestChild(t *testing.T) {
	t.Parallel()
	mode := os.Getenv(childMode)
	if mode == "" {
		t.Skip("not a child")
	}
	ring, err := ParseKeyring(childKey)
	if err != nil {
		t.Fatal("no ring:", err)
	}
	switch mode {
	case "failing":
		rand.Reader = failingReader{}
	case "constant":
		rand.Reader = constantReader(0x42)
	default:
		panicWith(t, mode, ring)
	}
	_, sealErr := ring.Seal(grant, []byte(canary))
	_, keyErr := GenerateKey("k2")
	t.Log("Seal:", sealErr, "GenerateKey:", keyErr)
}

func panicWith(t *testing.T, mode string, ring *Keyring) {
	t.Helper()
	secret := NewSecret(canary)
	key, err := ParseKey(childKey)
	if err != nil {
		t.Fatal(err)
	}
	switch mode {
	case "panic Secret":
		panic(secret)
	case "panic Key":
		panic(key)
	case "panic *Keyring":
		panic(ring)
	case "panic unexported":
		panic(unexported{secret: secret, key: key, ring: ring})
	case "panic error":
		panic(failure{secret, key})
	}
}

func TestThreat58_brokenRandomSource(t *testing.T) {
	t.Parallel()
	out, err := runChild(t, "failing")
	if err == nil || strings.Contains(out, "Seal:") {
		t.Errorf("Seal and GenerateKey go on without random bytes: %v\n%s", err, out)
	}
	out, err = runChild(t, "constant")
	if want := fmt.Sprintln("Seal:", errRandom, "GenerateKey:", errRandom); err != nil || !strings.Contains(out, want) {
		t.Errorf("with a constant source: %v\n%s", err, out)
	}
}

// Where Go refuses XAES-256-GCM there is no ring, rather than a ring whose
// values seem to be tampered with.
func TestNewKeyring_fips140only(t *testing.T) {
	t.Parallel()
	out, err := runChild(t, "fips")
	if err == nil || !strings.Contains(out, "no ring: ") {
		t.Errorf("NewKeyring goes on: %v\n%s", err, out)
	}
}

// Nothing but crypto/rand gives random bytes, nothing takes a reader instead,
// and nothing but the standard library sees a key.
func TestThreat58_onlyCryptoRand(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	sources := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		sources++
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"rand.Reader", "io.Reader"} {
			if strings.Contains(string(text), word) {
				t.Errorf("%s uses %s", file, word)
			}
		}
		checkImports(t, file, text)
	}
	if sources < 5 {
		t.Errorf("only %d source files found", sources)
	}
}

func checkImports(t *testing.T, file string, text []byte) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range parsed.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(path, ".") || strings.HasPrefix(path, "math/rand") || path == "unsafe" || path == "os" {
			t.Errorf("%s imports %s", file, path)
		}
	}
}
