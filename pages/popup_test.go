package pages

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func popup(origin string, message map[string]string) Result {
	return Result{Platform: "X", Opener: &Opener{Origin: origin, Message: message}}
}

// theScript is the one script of a page.
func theScript(t *testing.T, page string) element {
	t.Helper()
	var scripts []element
	for _, e := range parsed(t, "popup", page) {
		if e.name == "script" {
			scripts = append(scripts, e)
		}
	}
	if len(scripts) != 1 {
		t.Fatalf("%d scripts, want 1", len(scripts))
	}
	return scripts[0]
}

// A popup's result page has one script, whose hash its policy names, and keeps
// its opener; in all else it is like the others.
func TestThreat86_TheOneScript(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	w := render(t, p, popup("https://app.example.com", map[string]string{"status": "connected"}))
	script := theScript(t, w.Body.String())
	sum := sha256.Sum256([]byte(script.text))
	source := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	want(t, "popup", w.Header(), "Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src "+source+"; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	want(t, "popup", w.Header(), "Cross-Origin-Opener-Policy", "unsafe-none")
	want(t, "popup", w.Header(), "X-Content-Type-Options", "nosniff")
	if strings.Contains(script.text, "*") {
		t.Error("the script may post to anybody")
	}
}

// The message is inert text in an attribute, whatever it says.
func TestThreat86_MessageIsData(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	sent := map[string]string{"status": "error", "error": `"><script>alert(1)</script>`, "flow_id": "</script>\u2028'"}
	w := render(t, p, popup("https://app.example.com", sent))
	script := theScript(t, w.Body.String())
	if script.attrs["data-origin"] != "https://app.example.com" {
		t.Errorf("the message goes to %q", script.attrs["data-origin"])
	}
	var got map[string]string
	if err := json.Unmarshal([]byte(html.UnescapeString(script.attrs["data-message"])), &got); err != nil {
		t.Fatal(err)
	}
	sent["type"] = "connect.outcome"
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func TestThreat86_OneOriginOnly(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	for _, origin := range []string{"", "*", "/", "null", "app.example.com", "https://app.example.com/path", "https://a.example.com https://b.example.com", "javascript:alert(1)"} {
		if err := p.Render(nil, 200, popup(origin, nil)); err == nil {
			t.Errorf("a popup may tell %q", origin)
		}
	}
}
