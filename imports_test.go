package connect_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// listed is what "go list -deps -json" says of a package.
type listed struct {
	ImportPath string
	Standard   bool
	CgoFiles   []string
	Imports    []string
	Module     *struct {
		Path string
		Main bool
	}
}

func dependencies(t *testing.T, packages ...string) []listed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "go", append([]string{"list", "-deps", "-json=ImportPath,Standard,CgoFiles,Imports,Module"}, packages...)...)
	output, err := command.Output()
	if err != nil {
		if failed, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("%v: %s", err, failed.Stderr)
		}
		t.Fatal(err)
	}
	var found []listed
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		found = append(found, p)
	}
}

// modules returns the modules of other people that packages link.
func modules(t *testing.T, packages ...string) []string {
	t.Helper()
	var found []string
	for _, p := range dependencies(t, packages...) {
		if p.Module != nil && !p.Module.Main && !slices.Contains(found, p.Module.Path) {
			found = append(found, p.Module.Path)
		}
	}
	return found
}

// Importing the engine links what the token path needs and nothing else.
func TestThreat107_ImportGraph(t *testing.T) {
	t.Parallel()
	allowed := []string{"github.com/go-jose/go-jose/v4", "golang.org/x/oauth2"}
	got := modules(t, ".")
	slices.Sort(got)
	if !slices.Equal(got, allowed) {
		t.Errorf("the engine links %q, want %q", got, allowed)
	}
	const ours = "github.com/seed944197df/connect"
	never := []string{"providers", "memstore", "sqlitestore", "pgstore", "storetest", "providertest", "sandbox", "examples"}
	for _, p := range dependencies(t, ".") {
		name, inside := strings.CutPrefix(p.ImportPath, ours+"/")
		top, _, _ := strings.Cut(name, "/")
		if inside && slices.Contains(never, top) {
			t.Errorf("the engine imports %s", p.ImportPath)
		}
		if !p.Standard && (len(p.CgoFiles) > 0 || slices.Contains(p.Imports, "C")) {
			t.Errorf("%s needs cgo", p.ImportPath)
		}
		if slices.Contains([]string{"plugin", "testing", "net/http/httptest", "expvar", "net/http/pprof"}, p.ImportPath) {
			t.Errorf("the engine imports %s", p.ImportPath)
		}
	}
	// The look must be able to find something.
	if found := modules(t, "./sqlitestore"); !slices.Contains(found, "modernc.org/sqlite") {
		t.Errorf("sqlitestore links %q", found)
	}
}

func TestThreat107_PurePackages(t *testing.T) {
	t.Parallel()
	for name, allowed := range map[string][]string{
		"./tokencrypt": nil, "./selection": nil, "./pages": nil, "./memstore": {"github.com/go-jose/go-jose/v4", "golang.org/x/oauth2"},
		"./internal/outbound": nil, "./internal/returnurl": nil, "./internal/strictjson": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, module := range modules(t, name) {
				if !slices.Contains(allowed, module) {
					t.Errorf("links %s", module)
				}
			}
		})
	}
}
