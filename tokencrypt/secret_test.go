package tokencrypt

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSecret_Equal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		a, b Secret
		want bool
	}{
		{"same value", NewSecret(canary), NewSecret(strings.Clone(canary)), true},
		{"other value", NewSecret("a"), NewSecret("b"), false},
		{"prefix", NewSecret("ab"), NewSecret("a"), false},
		{"absent and present", Secret{}, NewSecret("a"), false},
		{"both absent", Secret{}, Secret{}, false},
		{"both empty", NewSecret(""), NewSecret(""), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := test.a.Equal(test.b); got != test.want {
				t.Errorf("a.Equal(b) = %t", got)
			}
			if got := test.b.Equal(test.a); got != test.want {
				t.Errorf("b.Equal(a) = %t", got)
			}
		})
	}
}

func TestSecret_Reveal(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "a", canary, "\x00\xff", redacted} {
		s := NewSecret(value)
		if s.Reveal() != value || s.IsZero() != (value == "") {
			t.Errorf("NewSecret(%q) reveals %q, IsZero %t", value, s.Reveal(), s.IsZero())
		}
		if !reflect.DeepEqual(s, NewSecret(strings.Clone(value))) {
			t.Errorf("two secrets of %q are not deeply equal", value)
		}
	}
}

// A comparison by == would take a time that depends on the values.
func TestThreat50_notComparable(t *testing.T) {
	t.Parallel()
	for _, value := range []any{Secret{}, Key{}} {
		if reflect.TypeOf(value).Comparable() {
			t.Errorf("%T can be compared by ==", value)
		}
	}
}

func TestSecret_decode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, data, want string
		err              error
	}{
		{"a string", `{"Secret":"canary"}`, "canary", nil},
		{"escapes", `{"Secret":"a\"\u00e9\n"}`, "a\"\u00e9\n", nil},
		{"empty", `{"Secret":""}`, "", nil},
		{"null", `{"Secret":null}`, "before", nil},
		{"absent", `{}`, "before", nil},
		{"number", `{"Secret":424242}`, "before", errSecretJSON},
		{"object", `{"Secret":{"a":"canary"}}`, "before", errSecretJSON},
		{"list", `{"Secret":["canary"]}`, "before", errSecretJSON},
		{"what an encoder made of a secret", `{"Secret":"[redacted]"}`, "before", errSecretRedacted},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			request := exported{Secret: NewSecret("before")}
			err := json.Unmarshal([]byte(test.data), &request)
			if !errors.Is(err, test.err) {
				t.Fatalf("Unmarshal: %v, want %v", err, test.err)
			}
			if diff := cmp.Diff(test.want, request.Secret.Reveal()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSecret_text(t *testing.T) {
	t.Parallel()
	var s Secret
	if err := s.UnmarshalText([]byte(canary)); err != nil || s.Reveal() != canary {
		t.Errorf("UnmarshalText: %v", err)
	}
	text, err := s.MarshalText()
	if err != nil || string(text) != redacted {
		t.Errorf("MarshalText = %q, %v", text, err)
	}
	if err := s.UnmarshalText(text); !errors.Is(err, errSecretRedacted) || s.Reveal() != canary {
		t.Errorf("UnmarshalText of what MarshalText gave: %v", err)
	}
}

func TestSecret_omitzero(t *testing.T) {
	t.Parallel()
	type answer struct {
		Token Secret `json:"token,omitzero"`
	}
	for _, test := range []struct{ value, want string }{{"", `{}`}, {canary, `{"token":"[redacted]"}`}} {
		data, err := json.Marshal(answer{NewSecret(test.value)})
		if err != nil || string(data) != test.want {
			t.Errorf("JSON of %q = %s, %v; want %s", test.value, data, err, test.want)
		}
	}
}
