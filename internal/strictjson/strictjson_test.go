package strictjson_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect/internal/strictjson"
)

func TestThreat96_StrictDecoding(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text  string
		ok, unknown bool // unknown: only DecodeKnown refuses it
	}{
		{name: "an object", text: `{"a":"x"}`, ok: true},
		{name: "a key that is not known", text: `{"a":"x","b":1}`, ok: true, unknown: true},
		{name: "a key twice", text: `{"a":"x","a":"y"}`},
		{name: "a key twice but for case", text: `{"a":"x","A":"y"}`},
		{name: "a key twice but for a letter that encoding/json folds", text: `{"s":1,"\u017f":2}`},
		{name: "a key twice further in", text: `{"b":{"c":1,"c":2}}`},
		{name: "another type", text: `{"a":1}`},
		{name: "anything after the value", text: `{"a":"x"}{}`},
		{name: "a byte order mark", text: "\ufeff{}"},
		{name: "not UTF-8", text: "{\"a\":\"\xff\"}"},
		{name: "too deep", text: `{"b":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`},
		{name: "as deep as may be", text: `{"b":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`, ok: true, unknown: true},
		{name: "deeper by one", text: `{"b":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`},
		{name: "nothing", text: ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var v struct{ A string }
			if err := strictjson.Decode([]byte(tt.text), &v); (err == nil) != tt.ok {
				t.Errorf("Decode: error %v, want success to be %t", err, tt.ok)
			}
			if err := strictjson.DecodeKnown([]byte(tt.text), &v); (err == nil) != (tt.ok && !tt.unknown) {
				t.Errorf("DecodeKnown: error %v", err)
			}
		})
	}
}

// What is no JSON, a value of another type and an unknown key are told apart,
// and no key that was sent is repeated.
func TestDecodeKnownSaysWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	known := []string{"a", "list", "in", "Bare"}
	for text, want := range map[string]error{
		`{"a":"x","list":["y"],"in":{"z":"1"},"Bare":true}`: nil,
		`{"a":1}`:               &strictjson.KeyError{Key: "a", Known: known},
		`{"list":["x",1]}`:      &strictjson.KeyError{Key: "list", Known: known},
		`{"in":{"canary":1}}`:   &strictjson.KeyError{Key: "in", Known: known},
		`{"canary":1}`:          &strictjson.KeyError{Known: known},
		`{"a":"x","canary":{}}`: &strictjson.KeyError{Known: known},
		`{"a":1,"a":2}`:         strictjson.Err,
		`{"a":`:                 strictjson.Err,
		`["canary"]`:            strictjson.Err,
	} {
		var v struct {
			A    string            `json:"a"`
			List []string          `json:"list,omitempty"`
			In   map[string]string `json:"in"`
			Bare bool
		}
		err := strictjson.DecodeKnown([]byte(text), &v)
		got, _ := errors.AsType[*strictjson.KeyError](err)
		wanted, misfit := errors.AsType[*strictjson.KeyError](want)
		if diff := cmp.Diff(wanted, got); diff != "" || !misfit && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v (-want +got):\n%s", text, err, want, diff)
		}
	}
}

func TestIDKeepsEveryDigit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`"110000000000001"`:    "110000000000001",
		`17841400000000000001`: "17841400000000000001",
		`9007199254740993`:     "9007199254740993",
		`null`:                 "",
	} {
		var id strictjson.ID
		if err := strictjson.Decode([]byte(text), &id); err != nil || string(id) != want {
			t.Errorf("%s is %q, %v, want %q", text, id, err, want)
		}
	}
	for _, text := range []string{`1.5`, `1e3`, `-1`, `true`, `{}`, `[]`} {
		var id strictjson.ID
		if strictjson.Decode([]byte(text), &id) == nil {
			t.Errorf("%s is accepted as %q", text, id)
		}
	}
	for id, want := range map[strictjson.ID]bool{"12": true, "": false, "1/2": false, "me": false, strictjson.ID(bytes.Repeat([]byte("1"), 33)): false} {
		if id.Digits() != want {
			t.Errorf("Digits(%q) = %t", id, !want)
		}
	}
}
