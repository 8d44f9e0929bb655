package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// For go test, a patched package has made everything new that imports it, which
// is most of what a mutant would cost. But what others see of the package is the
// same, as a rule: so it is compiled alone, and linked with what was built
// without the patch. The linker compares what was seen with what is there; where
// they differ, go test does the whole work.

// binary is how the tests of one package are built.
type binary struct {
	main     string             // the archive with the main function
	archives map[string]string  // by the path that source imports
	ours     map[string]archive // by the directory of the source
}

// archive is a package as go list tells of it. Of one package there may be two:
// as it is, and as the tests see it, which says what they are for.
type archive struct {
	ImportPath string   `json:"ImportPath"`
	Name       string   `json:"Name"`
	Dir        string   `json:"Dir"`
	Export     string   `json:"Export"`
	ForTest    string   `json:"ForTest"`
	GoFiles    []string `json:"GoFiles"`
	EmbedFiles []string `json:"EmbedFiles"`
	Module     *struct {
		Main      bool   `json:"Main"`
		GoVersion string `json:"GoVersion"`
	} `json:"Module"`
}

// path is how source names the package: without what it is for.
func (a archive) path() string {
	path, _, _ := strings.Cut(a.ImportPath, " ")
	return path
}

// binaryOf builds the tests of a package without a patch, and remembers how.
func (l lab) binaryOf(ctx context.Context, pkg string) (*binary, error) {
	listed, err := l.command(ctx, "go", "list", "-deps", "-test", "-export", "-json", compilerFlags, pkg).Output()
	if err != nil {
		return nil, fmt.Errorf("listing what %s needs: %w", pkg, err)
	}
	b := &binary{archives: map[string]string{}, ours: map[string]archive{}}
	for decoder := json.NewDecoder(bytes.NewReader(listed)); ; {
		var a archive
		switch err := decoder.Decode(&a); {
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return nil, err
		}
		b.add(a)
	}
}

func (b *binary) add(a archive) {
	switch {
	case a.Name == "main" && strings.HasSuffix(a.ImportPath, ".test"):
		b.main = a.Export
		return
	case a.ForTest == "" && b.archives[a.path()] != "":
		return
	}
	b.archives[a.path()] = a.Export
	if a.Module != nil && a.Module.Main && !strings.HasSuffix(a.Name, "_test") {
		b.ours[a.Dir] = a
	}
}

// rebuild makes the test binary with the patched file in the place of another,
// and reports whether it could.
func (l lab) rebuild(ctx context.Context, i int, b *binary, file, patched string) (program string, ok bool) {
	a, known := b.ours[filepath.Dir(file)]
	if !known || filepath.Ext(file) != ".go" || len(a.EmbedFiles) > 0 {
		return "", false
	}
	base := filepath.Join(l.temp, strconv.Itoa(i))
	program = base + ".test"
	compile := []string{
		"tool", "compile", "-o", base + ".a", "-p", a.path(), "-importcfg", base + ".cfg", "-trimpath", patched + "=>" + file,
		"-pack", "-complete", "-nolocalimports", "-lang=" + version.Lang("go"+a.Module.GoVersion), "-N", "-l", "-dwarf=false",
	}
	for _, name := range a.GoFiles {
		if name = filepath.Join(a.Dir, name); name == file {
			name = patched
		}
		compile = append(compile, name)
	}
	err := os.WriteFile(base+".cfg", b.config(a.path(), base+".a"), 0o600)
	if err == nil {
		err = l.command(ctx, "go", compile...).Run()
	}
	if err == nil {
		err = l.command(ctx, "go", "tool", "link", "-o", program, "-importcfg", base+".cfg", "-s", "-w", b.main).Run()
	}
	_ = os.Remove(base + ".a") // where it was not made there is nothing to remove
	return program, err == nil
}

// config tells the compiler and the linker where the packages are, one of them
// elsewhere.
func (b *binary) config(changed, elsewhere string) []byte {
	var config bytes.Buffer
	for path, file := range b.archives {
		if path == changed {
			file = elsewhere
		}
		if file != "" {
			fmt.Fprintf(&config, "packagefile %s=%s\n", path, file)
		}
	}
	return config.Bytes()
}

// runTests runs a test binary in the folder of its package.
func (l lab) runTests(ctx context.Context, program, pkg, expression string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, childLimit)
	defer cancel()
	command := l.command(ctx, program, "-test.timeout="+testLimit.String(), "-test.run="+expression, "-test.failfast")
	command.Dir = filepath.Join(l.root, filepath.FromSlash(pkg))
	output, err := command.CombinedOutput()
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return string(output), errors.Join(err, os.Remove(program))
}

// command is a program that is killed with what it has started when ctx ends.
func (l lab) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, name, args...) //nolint:gosec // arguments of our own table
	command.Dir = l.root
	command.Env = append(command.Environ(), "GOGC=400",
		"GOFLAGS=",       // the race detector costs more than it tells here
		"TMPDIR="+l.temp) // so that what is killed leaves nothing
	command.WaitDelay = waitDelay
	asGroup(command)
	return command
}
