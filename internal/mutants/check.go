package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// exempt are the rows that have tests and no mutant, each with the reason.
var exempt = map[int]string{
	26:  "a browser shows what the attributes of row 24 and the ticket of row 4 come to",
	107: "imports are no guard: the test reads them from the files themselves",
}

// prefix is how the names of a row's tests begin.
func prefix(row int) string { return fmt.Sprintf("TestThreat%d_", row) }

// expression selects the tests that must fail.
func (m mutant) expression() string {
	if m.tests != "" {
		return m.tests
	}
	return "^" + prefix(m.row)
}

// inPackage is the package of those tests, as the go command takes it.
func (m mutant) inPackage() string {
	if m.pkg != "" {
		return "./" + path.Clean(m.pkg)
	}
	return "./" + path.Dir(m.file)
}

// String tells a mutant in a line.
func (m mutant) String() string { return fmt.Sprintf("row %d, %s: %s", m.row, m.file, m.why) }

// patched returns the file with the patch.
func (m mutant) patched(root string) ([]byte, error) {
	source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(m.file))) //nolint:gosec // a file of this module
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(source, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s: %q occurs %d times, want once", m, m.old, n)
	}
	return bytes.Replace(source, []byte(m.old), []byte(m.new), 1), nil
}

// check finds what is wrong with a table, but for what only a compiler sees.
func check(root string, mutants []mutant, exempt map[int]string) error {
	var problems []error
	seen := map[mutant]bool{}
	for _, m := range mutants {
		problems = append(problems, m.check(root))
		same := m
		same.why = ""
		if seen[same] {
			problems = append(problems, fmt.Errorf("%s: is there twice", m))
		}
		seen[same] = true
	}
	rows, err := testedRows(root)
	return errors.Join(append(problems, err, uncovered(rows, mutants, exempt))...)
}

// ofOneRow is an expression that holds | in a group only: outside, what stands
// behind it would be without the prefix of the row.
var ofOneRow = regexp.MustCompile(`^\^TestThreat[0-9]+_(\w|\([\w|]+\))*\$?$`)

func (m mutant) check(root string) error {
	switch {
	case m.row <= 0 || m.why == "" || strings.TrimSpace(m.old) == "":
		return fmt.Errorf("%s: has no row, no reason or nothing to replace", m)
	case strings.ContainsAny(m.old+m.new, "\r\n"):
		return fmt.Errorf("%s: is more than one line", m)
	case strings.TrimSpace(m.old) == strings.TrimSpace(m.new):
		return fmt.Errorf("%s: changes nothing", m)
	case !strings.HasPrefix(m.expression(), "^"+prefix(m.row)):
		return fmt.Errorf("%s: its tests are not those of its row", m)
	}
	if _, err := regexp.Compile(m.expression()); err != nil {
		return fmt.Errorf("%s: %w", m, err)
	}
	if !ofOneRow.MatchString(m.expression()) {
		return fmt.Errorf("%s: its tests are more than names, with alternatives in a group", m)
	}
	source, err := m.patched(root)
	if err != nil {
		return err
	}
	if path.Ext(m.file) == ".go" { // templates are patched too
		if _, err := parser.ParseFile(token.NewFileSet(), m.file, source, parser.SkipObjectResolution); err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
	}
	return nil
}

// uncovered finds rows that have tests and no mutant, and exemptions that are
// not needed.
func uncovered(tested map[int]bool, mutants []mutant, exempt map[int]string) error {
	var problems []error
	covered := map[int]bool{}
	for _, m := range mutants {
		covered[m.row] = true
	}
	for row := range tested {
		if _, excused := exempt[row]; !covered[row] && !excused {
			problems = append(problems, fmt.Errorf("row %d has tests and no mutant", row))
		}
	}
	for row, reason := range exempt {
		if covered[row] || !tested[row] || reason == "" {
			problems = append(problems, fmt.Errorf("row %d needs no exemption, or has one without a reason", row))
		}
	}
	return errors.Join(problems...)
}

var threatTest = regexp.MustCompile(`^TestThreat([0-9]+)_`)

// testedRows are the rows that a test of the module is named for.
func testedRows(root string) (map[int]bool, error) {
	rows := map[int]bool{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != root && (entry.Name() == "testdata" || entry.Name()[0] == '.' || entry.Name()[0] == '_'):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declared := range file.Decls {
			f, ok := declared.(*ast.FuncDecl)
			if !ok || f.Recv != nil {
				continue
			}
			if found := threatTest.FindStringSubmatch(f.Name.Name); found != nil {
				row, err := strconv.Atoi(found[1])
				if err != nil {
					return err
				}
				rows[row] = true
			}
		}
		return nil
	})
	return rows, err
}
