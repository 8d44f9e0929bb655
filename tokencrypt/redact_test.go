package tokencrypt

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const canary = "canary-0123456789-secret"

// wantNoCanary demands that printed holds none of the secrets, in no spelling
// that package fmt or an encoder knows.
func wantNoCanary(t *testing.T, printed string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		for _, spelling := range spellings(secret) {
			if strings.Contains(strings.ToLower(printed), strings.ToLower(spelling)) {
				t.Errorf("a secret shows in %q", printed)
			}
		}
	}
}

// spellings returns the forms of the first bytes of secret, so that a part of
// it is found as well.
func spellings(secret string) []string {
	part := []byte(secret[:6])
	return []string{
		string(part),
		strings.Trim(fmt.Sprintf("%q", part), `"`),
		strings.Trim(fmt.Sprintf("%d", part), "[]"),
		strings.Trim(fmt.Sprintf("%#v", part), "[]byte{}"),
		strings.Trim(fmt.Sprintf("%o", part), "[]"),
		strings.Trim(fmt.Sprintf("%b", part), "[]"),
		fmt.Sprintf("% x", part),
		hex.EncodeToString(part),
		base64.StdEncoding.EncodeToString(part),
	}
}

type exported struct {
	Secret Secret
	Key    Key
	Ring   *Keyring
}

type unexported struct {
	secret Secret
	key    Key
	ring   *Keyring
	nested *unexported
}

// carriers returns values that hold secrets in every way, and the secrets.
func carriers(t *testing.T) (values map[string]any, secrets []string) {
	t.Helper()
	secret, key := NewSecret(canary), mustKey(t, "k1")
	ring := newRing(t, key)
	sealing, err := derive(key.root, infoSeal)
	if err != nil {
		t.Fatal(err)
	}
	hidden := unexported{secret, key, ring, &unexported{secret: secret, key: key, ring: ring}}
	values = map[string]any{
		"Secret": secret, "*Secret": &secret, "[]Secret": []Secret{secret}, "[1]Secret": [1]Secret{secret},
		"map": map[string]Secret{"a": secret}, "any": []any{secret, key, ring}, "error": failure{secret, key},
		"Key": key, "*Key": &key, "[]Key": []Key{key},
		"*Keyring": ring, "Keyring": struct{ Keyring }{*ring}, "ringKey": *ring.keys["k1"],
		"exported": exported{secret, key, ring}, "*exported": &exported{secret, key, ring},
		"unexported": hidden, "*unexported": &hidden, "[]unexported": []unexported{hidden},
	}
	return values, []string{canary, key.root.Reveal(), key.Text()[3:], string(sealing)}
}

// failure is an error that carries what it should not.
type failure struct {
	secret Secret
	key    Key
}

func (f failure) Error() string {
	return fmt.Sprintf("refused %v: %v %#v %s", f, f.secret, f.key, f.key)
}

// Format keeps Error, which prints f, from calling itself.
func (f failure) Format(state fmt.State, verb rune) {
	fmt.Fprintf(state, fmt.FormatString(state, verb), unexported{secret: f.secret, key: f.key})
}

func TestThreat65_verbs(t *testing.T) {
	t.Parallel()
	values, secrets := carriers(t)
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for verb := 'A'; verb <= 'z'; verb++ {
				for _, flags := range []string{"", "+", "#", "-30", " ", "030", "+#", ".2", "[1]"} {
					format := "%" + flags + string(verb)
					wantNoCanary(t, fmt.Sprintf(format, value), secrets...)
					wantNoCanary(t, fmt.Errorf(format, value).Error(), secrets...)
				}
			}
			wantNoCanary(t, fmt.Sprint(value)+fmt.Sprintln(value), secrets...)
			for _, format := range []string{"", "%!", "%*d", "%[2]v", "%.*f", "%z %v"} {
				wantNoCanary(t, fmt.Sprintf(format, value, value), secrets...)
			}
		})
	}
}

func TestThreat65_redactedText(t *testing.T) {
	t.Parallel()
	key := mustKey(t, "k1")
	for _, value := range []fmt.Stringer{NewSecret(canary), Secret{}, key, Key{}, newRing(t, key)} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%40v"} {
			if got := fmt.Sprintf(format, value); got != "[redacted]" {
				t.Errorf("%s of %T = %q", format, value, got)
			}
		}
		if got := value.String(); got != "[redacted]" {
			t.Errorf("String of %T = %q", value, got)
		}
	}
	for _, value := range []slog.LogValuer{NewSecret(canary), key} {
		if got := value.LogValue().String(); got != "[redacted]" {
			t.Errorf("LogValue of %T = %q", value, got)
		}
	}
	for _, value := range []encoding.TextMarshaler{NewSecret(canary), key} {
		if got, err := value.MarshalText(); string(got) != "[redacted]" || err != nil {
			t.Errorf("MarshalText of %T = %q, %v", value, got, err)
		}
	}
	if got, err := NewSecret(canary).MarshalJSON(); string(got) != `"[redacted]"` || err != nil {
		t.Errorf("MarshalJSON = %s, %v", got, err)
	}
	for _, value := range []fmt.GoStringer{NewSecret(canary), key} {
		if got := value.GoString(); got != "[redacted]" {
			t.Errorf("GoString of %T = %q", value, got)
		}
	}
}

func TestThreat65_encoders(t *testing.T) {
	t.Parallel()
	values, secrets := carriers(t)
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := json.Marshal(value)
			wantNoCanary(t, fmt.Sprint(string(data), err), secrets...)
			data, err = xml.Marshal(value)
			wantNoCanary(t, fmt.Sprint(string(data), err), secrets...)

			var out bytes.Buffer
			options := &slog.HandlerOptions{Level: slog.LevelDebug}
			for _, handler := range []slog.Handler{slog.NewTextHandler(&out, options), slog.NewJSONHandler(&out, options)} {
				logger := slog.New(handler)
				logger.Info("one", "value", value)
				logger.With("value", value).WithGroup("g").Debug("two", slog.Group("in", "value", value), slog.Any("list", []any{value}))
				logger.Error("three", "err", fmt.Errorf("sealing: %w", fmt.Errorf("%v", value)))
			}
			wantNoCanary(t, out.String(), secrets...)
		})
	}
	data, err := json.Marshal(exported{Secret: NewSecret(canary), Key: mustKey(t, "k1")})
	if want := `{"Secret":"[redacted]","Key":"[redacted]","Ring":null}`; string(data) != want || err != nil {
		t.Errorf("JSON = %s, %v; want %s", data, err, want)
	}
}

// A panic must not show what it panics with, nor what is on the stack.
func TestThreat65_panic(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"panic Secret", "panic Key", "panic *Keyring", "panic unexported", "panic error"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			out, err := runChild(t, mode)
			if err == nil || !strings.Contains(out, "panic: ") {
				t.Fatalf("the child did not panic: %v\n%s", err, out)
			}
			wantNoCanary(t, out, canary, childKeyBytes, childKey[3:])
		})
	}
}

func TestThreat65_errors(t *testing.T) {
	t.Parallel()
	key := mustKey(t, "k1")
	ring := newRing(t, key)
	hidden := Binding{Purpose: canary, Tenant: canary, Record: canary}
	var secret Secret
	_, parse := ParseKey(canary)
	_, parseRing := ParseKeyring("k1:" + canary + "\n")
	_, generate := GenerateKey(canary)
	_, unsealed := ring.Open(grant, []byte(canary+canary+canary))
	_, moved := ring.Open(hidden, mustSeal(t, ring, grant, canary))
	_, tooLong := ring.Seal(hidden, bytes.Repeat([]byte(canary), maxPlaintext/8))
	_, unknown := ring.Derive("state", canary)
	_, purpose := ring.Derive(strings.ToUpper(canary), "k1")
	decode := json.Unmarshal([]byte(`{"Secret":["`+canary+`"]}`), &struct{ Secret *Secret }{&secret})
	for name, err := range map[string]error{
		"ParseKey": parse, "ParseKeyring": parseRing, "GenerateKey": generate, "unsealed": unsealed,
		"moved": moved, "too long": tooLong, "unknown": unknown, "purpose": purpose, "decode": decode,
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		wantNoCanary(t, fmt.Sprintf("%v %+v %#v", err, err, err), canary, key.root.Reveal(), key.Text()[3:])
		for cause := err; cause != nil; cause = errors.Unwrap(cause) {
			wantNoCanary(t, cause.Error(), canary, key.root.Reveal(), key.Text()[3:])
		}
	}
}
