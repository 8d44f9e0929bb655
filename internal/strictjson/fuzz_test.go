package strictjson_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/seed944197df/connect/internal/strictjson"
)

// FuzzDecode compares with encoding/json, which reads what is accepted in the
// same way, and with what the bare text tells of keys and levels.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"a","x":[{"id":1},{"id":2}]}`, `{"a":1,"A":2}`, `{"k":1,"\u212a":2}`, `{"s":1,"\u017f":2}`, `{"\ud800":1,"\udfff":2}`,
		`{"a":{"b":1,"b":2}}`, `["\"{:",{"":null}]`, `"x"`, "\ufeff{}", "{\"a\":\"\xff\"}", `{"a":"x"}{}`, strings.Repeat("[", 33) + strings.Repeat("]", 33),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var raw json.RawMessage
		err := strictjson.Decode(data, &raw)
		if err != nil && err != strictjson.Err { //nolint:errorlint // it must be nothing but this one
			t.Errorf("%q is refused with %v", data, err)
		}
		valid := utf8.Valid(data) && json.Valid(data)
		keys, depth := outline(string(data))
		switch {
		case err == nil && (!valid || depth > 32):
			t.Errorf("%q is accepted", data)
		case err == nil && different(t, data) != keys:
			t.Errorf("%q is accepted with two equal keys", data)
		case err != nil && valid && depth <= 32 && keys < 2:
			t.Errorf("%q is refused", data)
		}
		known(t, data, err == nil)
	})
}

// quoted is a string of a valid JSON text.
var quoted = regexp.MustCompile(`"(\\.|[^"\\])*"`)

// outline counts the keys and the levels of a valid JSON text.
func outline(text string) (keys, depth int) {
	open := 0
	for _, c := range quoted.ReplaceAllString(text, "") {
		switch c {
		case ':':
			keys++
		case '{', '[':
			open++
			depth = max(depth, open)
		case '}', ']':
			open--
		}
	}
	return keys, depth
}

// different counts the keys that are different, in each object for itself.
func different(t *testing.T, data []byte) int {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	return count(v)
}

func count(v any) int {
	n := 0
	switch v := v.(type) {
	case []any:
		for _, inner := range v {
			n += count(inner)
		}
	case map[string]any:
		folded := map[string]bool{}
		for key, inner := range v {
			folded[strings.Map(fold, key)] = true
			n += count(inner)
		}
		n += len(folded)
	}
	return n
}

// fold returns the least of the runes that strings.EqualFold takes for r.
func fold(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return least
}

// known checks DecodeKnown, which refuses what Decode refuses, and more.
func known(t *testing.T, data []byte, accepted bool) {
	t.Helper()
	var strict, lax struct {
		A string
		X []struct{ ID int }
	}
	if strictjson.DecodeKnown(data, &strict) != nil {
		return
	}
	if err := json.Unmarshal(data, &lax); !accepted || err != nil || strict.A != lax.A || len(strict.X) != len(lax.X) {
		t.Errorf("%q is known as %+v, and else as %+v, %v", data, strict, lax, err)
	}
	var keys map[string]json.RawMessage
	_ = json.Unmarshal(data, &keys) // null has none
	for key := range keys {
		if !strings.EqualFold(key, "a") && !strings.EqualFold(key, "x") {
			t.Errorf("%q is known with the key %q", data, key)
		}
	}
}

// FuzzID: an id keeps what is written, digit by digit.
func FuzzID(f *testing.F) {
	for _, seed := range []string{`"1"`, `17841400000000000001`, `null`, `1.5`, `-1`, `"\u0031"`, ` 1 `, `true`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var id strictjson.ID
		if err := strictjson.Decode(data, &id); err != nil {
			if id != "" {
				t.Errorf("%q is refused, and is %q", data, id)
			}
			return
		}
		var text string
		if json.Unmarshal(data, &text) != nil {
			text = strings.TrimSpace(string(data))
			if !strictjson.ID(text).Digits() && len(text) <= 32 {
				t.Errorf("%q is accepted", data)
			}
		}
		if string(id) != text {
			t.Errorf("%q is %q, want %q", data, id, text)
		}
		if id.Digits() && !regexp.MustCompile(`^[0-9]{1,32}$`).MatchString(string(id)) {
			t.Errorf("%q is taken for digits", id)
		}
	})
}
