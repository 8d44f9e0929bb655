// Package strictjson decodes JSON from outside: answers of platforms and
// requests of clients.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

const maxDepth = 32

// Err is the error of what is no such JSON: it says nothing of what it read.
var Err = errors.New("not the JSON that was expected")

// Decode decodes one JSON value into v, as [json.Unmarshal] does, and refuses
// what a careful server never sends: bytes that are not UTF-8, a byte order
// mark, anything after the value, more than 32 levels, and two keys of one
// object that differ at most in case. Its error quotes nothing of data.
//
// Security: encoding/json takes the last of two keys and ignores their case,
// so that {"id":1,"ID":2} means something else to it than to the server that
// signed off on it. See RFC 8259 § 4.
func Decode(data []byte, v any) error { return decode(data, v, false) }

// DecodeKnown is Decode into a struct, for requests: it also refuses keys that v
// does not have. What is well-formed, but does not fit v, is a [*KeyError].
func DecodeKnown(data []byte, v any) error { return decode(data, v, true) }

// A KeyError says which key of an object does not fit a struct. It tells names
// of the struct only, never one that was read.
type KeyError struct {
	Key   string   // whose value has another type; empty: a key that the struct lacks
	Known []string // the keys that the struct has
}

// Error implements error.
func (e *KeyError) Error() string { return "JSON that does not fit" }

// misfit returns the KeyError for an error of [json.Decoder.Decode] on valid
// JSON.
func misfit(err error, v any) error {
	e := &KeyError{Known: keysOf(v)}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		e.Key, _, _ = strings.Cut(wrong.Field, ".")
		if !slices.Contains(e.Known, e.Key) {
			return Err
		}
	}
	return e
}

// keysOf returns the keys of a pointer to a struct.
func keysOf(v any) []string {
	t := reflect.TypeOf(v).Elem()
	if t.Kind() != reflect.Struct {
		return nil
	}
	var keys []string
	for f := range t.Fields() {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if key == "" {
			key = f.Name
		}
		keys = append(keys, key)
	}
	return keys
}

func decode(data []byte, v any, known bool) error {
	if !utf8.Valid(data) || !json.Valid(data) || !wellFormed(data) {
		return Err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if known {
		dec.DisallowUnknownFields()
	}
	err := dec.Decode(v)
	switch {
	case err == nil:
		return nil
	case known:
		return misfit(err, v)
	default:
		return Err
	}
}

// wellFormed walks the tokens of a valid JSON text.
func wellFormed(data []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var open []*level
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			return false
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			open = open[:len(open)-1]
			continue
		}
		if len(open) > 0 && !open[len(open)-1].accept(token) {
			return false
		}
		if delim, ok := token.(json.Delim); ok {
			if len(open) == maxDepth {
				return false
			}
			open = append(open, newLevel(delim))
		}
	}
}

// A level is an object or array that is open.
type level struct {
	keys    map[string]bool // nil in an array
	atValue bool            // the next token is the value of a key
}

func newLevel(delim json.Delim) *level {
	if delim == '[' {
		return &level{}
	}
	return &level{keys: map[string]bool{}}
}

// accept reports whether token may come next: false for a second equal key.
func (l *level) accept(token json.Token) bool {
	if l.keys == nil {
		return true
	}
	if l.atValue {
		l.atValue = false
		return true
	}
	key, _ := token.(string)
	key = strings.ToLower(strings.ToUpper(key)) // as encoding/json folds them
	seen := l.keys[key]
	l.keys[key] = true
	l.atValue = true
	return !seen
}

// ID is a platform's id. In JSON it is a string or an integer, which may
// exceed 2^53 and is therefore kept as text.
type ID string

// UnmarshalJSON implements [json.Unmarshaler]; null leaves the id as it is.
func (id *ID) UnmarshalJSON(data []byte) error {
	text := string(data)
	switch {
	case text == "null":
		return nil
	case strings.HasPrefix(text, `"`):
		return json.Unmarshal(data, (*string)(id))
	case text != "" && strings.Trim(text, "0123456789") == "":
		*id = ID(text)
		return nil
	default:
		return Err
	}
}

// Digits reports whether the id is 1 to 32 decimal digits, so that it may be
// part of a URL's path.
func (id ID) Digits() bool {
	return id != "" && len(id) <= 32 && strings.Trim(string(id), "0123456789") == ""
}
