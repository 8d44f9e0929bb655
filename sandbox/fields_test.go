package sandbox_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// notInAnswers are the fields that the providers name and no answer file has,
// by folder and path, or by folder and file.
var notInAnswers = map[string]string{
	"facebook cursor.go":                       "our own cursor in a list, not an answer",
	"facebook estimated_time_to_regain_access": "is in a header, X-Business-Use-Case-Usage",
	"bluesky identifier":                       "is sent, to createSession",
	"bluesky password":                         "is sent, to createSession",
	"bluesky exp":                              "is inside of a token",
	"bluesky status":                           "some servers leave it out, and the sandbox is one of them",
	"internal/platformcall refresh_expires_in": "of other platforms' token endpoints",
}

// What a provider reads must be what the sandbox answers, or a provider that
// misspells a field passes all tests.
func TestProvidersReadWhatIsAnswered(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for folder, platforms := range map[string][]string{
		"x":                     {"x"},
		"facebook":              {"facebook"},
		"linkedin":              {"linkedin"},
		"bluesky":               {"bluesky"},
		"internal/platformcall": {"x", "facebook", "linkedin"},
	} {
		answers := answerFiles(t, platforms)
		fields := fieldsRead(t, "../providers/"+folder)
		if len(fields) < 5 {
			t.Errorf("%s: only %d fields were found", folder, len(fields))
		}
		for _, f := range fields {
			file, field := folder+" "+f.file, folder+" "+strings.Join(f.path, ".")
			switch {
			case notInAnswers[file] != "":
				used[file] = true
			case hasAnywhere(answers, answers, f.path):
			case notInAnswers[field] != "":
				used[field] = true
			default:
				t.Errorf("%s reads %q, which no answer file of %v has", file, strings.Join(f.path, "."), platforms)
			}
		}
	}
	for key := range notInAnswers {
		if !used[key] {
			t.Errorf("the exception %q is not needed", key)
		}
	}
}

func answerFiles(t *testing.T, platforms []string) []any {
	t.Helper()
	var names []string
	for _, platform := range platforms {
		found, err := filepath.Glob("testdata/" + platform + "/*.json")
		if err != nil || len(found) == 0 {
			t.Fatalf("no answer files of %s: %v", platform, err)
		}
		names = append(names, found...)
	}
	var answers []any
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var answer any
		if err := json.Unmarshal(raw, &answer); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		answers = append(answers, answer)
	}
	return answers
}

// hasAnywhere reports whether one of values, or a value within, has the path.
func hasAnywhere(values, answers []any, path []string) bool {
	for _, v := range values {
		if has(v, answers, path) || hasAnywhere(children(v), answers, path) {
			return true
		}
	}
	return false
}

// has reports whether v has the path. A placeholder may be filled with what
// another file has.
func has(v any, answers []any, path []string) bool {
	if len(path) == 0 {
		return true
	}
	switch v := v.(type) {
	case string:
		return strings.HasPrefix(v, "$") && hasAnywhere(answers, nil, path)
	case []any:
		for _, e := range v {
			if has(e, answers, path) {
				return true
			}
		}
	case map[string]any:
		member, ok := v[path[0]]
		return ok && has(member, answers, path[1:])
	}
	return false
}

// children are the members of an object and the elements of an array.
func children(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case map[string]any:
		var all []any
		for _, member := range v {
			all = append(all, member)
		}
		return all
	}
	return nil
}

// field is a JSON field that a file names.
type field struct {
	file string
	path []string
}

// fieldsRead returns the fields that the files of a folder name: by the tags of
// structs, and by the literals with which an object's members are looked up.
func fieldsRead(t *testing.T, folder string) []field {
	t.Helper()
	names, err := filepath.Glob(folder + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var read []field
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			for _, path := range named(n) {
				read = append(read, field{filepath.Base(name), path})
			}
			_, tagged := n.(*ast.StructType)
			return !tagged
		})
	}
	return read
}

// named returns the paths that a node names by itself.
func named(n ast.Node) [][]string {
	switch n := n.(type) {
	case *ast.StructType:
		return tags(n, nil)
	case *ast.CallExpr:
		return lookups(n)
	case *ast.IndexExpr:
		return literal(n.Index)
	}
	return nil
}

// tags returns the paths of a struct's JSON fields, those of the structs
// within included.
func tags(s *ast.StructType, parent []string) [][]string {
	var paths [][]string
	for _, field := range s.Fields.List {
		if field.Tag == nil {
			continue
		}
		text, err := strconv.Unquote(field.Tag.Value)
		name, _, _ := strings.Cut(reflect.StructTag(text).Get("json"), ",")
		if err != nil || name == "" || name == "-" {
			continue
		}
		path := append(append([]string(nil), parent...), name)
		paths = append(paths, path)
		typ := field.Type
		for {
			list, ok := typ.(*ast.ArrayType)
			if !ok {
				break
			}
			typ = list.Elt
		}
		if inner, ok := typ.(*ast.StructType); ok {
			paths = append(paths, tags(inner, path)...)
		}
	}
	return paths
}

// lookups returns the member that a call names: a.secret("access_token", …),
// f.Member("title").
func lookups(call *ast.CallExpr) [][]string {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if ok && slices.Contains([]string{"secret", "expiry", "text", "Member"}, f.Sel.Name) && len(call.Args) > 0 {
		return literal(call.Args[0])
	}
	return nil
}

// literal returns the path of a string literal.
func literal(e ast.Expr) [][]string {
	text, ok := e.(*ast.BasicLit)
	if !ok || text.Kind != token.STRING {
		return nil
	}
	name, err := strconv.Unquote(text.Value)
	if err != nil {
		return nil
	}
	return [][]string{{name}}
}
