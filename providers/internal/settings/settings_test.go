package settings_test

import (
	"strings"
	"testing"

	"github.com/seed944197df/connect/providers/internal/settings"
)

func TestAddressAndOrigin(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ address, origin bool }{
		"https://api.example.com":         {true, true},
		"https://xn--bcher-kva.example":   {true, true},
		"https://api.example.com/":        {true, false},
		"https://api.example.com/a/b":     {true, false},
		"https://api.example.com:8443":    {true, false},
		"https://API.example.com":         {true, false},
		"https://localhost":               {true, false},
		"https://user@api.example.com":    {false, false},
		"https://user:secret@example.com": {false, false},
		"https://@api.example.com":        {false, false},
		"https://api.example.com?":        {false, false},
		"https://api.example.com?a=b":     {false, false},
		"https://api.example.com#":        {false, false},
		"https://api.example.com#a":       {false, false},
		"http://api.example.com":          {false, false},
		"//api.example.com":               {false, false},
		"api.example.com":                 {false, false},
		"https:api.example.com":           {false, false},
		"https:///path":                   {false, false},
		"https://:443":                    {false, false},
		"https://":                        {false, false},
		"https://api.example.com\n":       {false, false},
		"https://api.example.com evil":    {false, false},
		"":                                {false, false},
	} {
		if got := settings.Address(text); got != want.address {
			t.Errorf("Address(%q) is %v", text, got)
		}
		if got := settings.Origin(text); got != want.origin {
			t.Errorf("Origin(%q) is %v", text, got)
		}
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		scopes []string
		want   bool
	}{
		{nil, true},
		{[]string{"tweet.read", "https://example.com/auth/a", "r:x"}, true},
		{[]string{""}, false},
		{[]string{"a", "b c"}, false},
		{[]string{"a,b"}, false},
		{[]string{"a\n"}, false},
		{[]string{`a"`}, false},
		{[]string{`a\`}, false},
		{[]string{"\u00e9"}, false},
		{[]string{strings.Repeat("a", 256)}, true},
		{[]string{strings.Repeat("a", 257)}, false},
	} {
		if got := settings.Scopes(test.scopes); got != test.want {
			t.Errorf("Scopes(%q) is %v", test.scopes, got)
		}
	}
}
