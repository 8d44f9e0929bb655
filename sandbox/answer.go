package sandbox

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

//go:embed testdata
var testdata embed.FS

// A reply is an answer that is ready to be written.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// with adds a header field to the reply.
func (r reply) with(name, value string) reply {
	r.header.Set(name, value)
	return r
}

// values fill the placeholders of an answer file.
type values map[string]any

// loadTemplates reads the answer files, by name: "x/token.json".
func loadTemplates() (map[string]any, error) {
	names, err := fs.Glob(testdata, "testdata/*/*.json")
	if err != nil {
		return nil, err
	}
	templates := make(map[string]any, len(names))
	for _, name := range names {
		b, err := fs.ReadFile(testdata, name)
		if err != nil {
			return nil, err
		}
		v, err := parseJSON(b)
		if err != nil {
			return nil, fmt.Errorf("sandbox: %s: %w", name, err)
		}
		templates[strings.TrimPrefix(name, "testdata/")] = v
	}
	return templates, nil
}

// parseJSON decodes b and keeps numbers as they are written.
func parseJSON(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// fill returns an answer file with its placeholders replaced: a string "$name"
// becomes the value of that name, of whatever type. A key without a value is
// left out, and so is an object that loses all its keys.
func (s *Sandbox) fill(name string, v values) map[string]any {
	m, _ := fillValue(s.templates[name], v).(map[string]any)
	return m
}

func fillValue(template any, v values) any {
	switch t := template.(type) {
	case string:
		if name, ok := strings.CutPrefix(t, "$"); ok {
			return v[name]
		}
	case []any:
		list := make([]any, 0, len(t))
		for _, e := range t {
			list = append(list, fillValue(e, v))
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(t))
		for k, e := range t {
			if filled := fillValue(e, v); filled != nil {
				m[k] = filled
			}
		}
		if len(m) == 0 && len(t) > 0 {
			return nil
		}
		return m
	}
	return template
}

// answer is fill, encoded as an answer.
func (s *Sandbox) answer(status int, name string, v values) reply {
	return jsonReply(status, s.fill(name, v))
}

// jsonReply encodes v as an answer.
func jsonReply(status int, v any) reply {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return page(http.StatusInternalServerError, "The answer could not be encoded.")
	}
	return reply{status, http.Header{"Content-Type": {"application/json; charset=utf-8"}}, bytes.TrimSpace(b.Bytes())}
}

// text is a plain text answer.
func text(status int, body string) reply {
	return reply{status, http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, []byte(body)}
}

// page is a bare HTML page with one sentence, as a platform's proxies send it.
func page(status int, sentence string) reply {
	body := "<!doctype html><html lang=\"en\"><head><title>" + http.StatusText(status) + "</title></head><body><h1>" +
		html.EscapeString(sentence) + "</h1></body></html>"
	return reply{status, http.Header{"Content-Type": {"text/html; charset=utf-8"}}, []byte(body)}
}

// redirect sends the browser back to the client with q added to its URI.
func redirect(uri string, q url.Values, fragment string) reply {
	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	return page(http.StatusSeeOther, "Going back to the app.").with("Location", uri+separator+q.Encode()+fragment)
}

// methodNotAllowed says which methods a path has.
func methodNotAllowed(methods string) reply {
	return page(http.StatusMethodNotAllowed, "That method is not allowed here.").with("Allow", methods)
}

// mediaType is the request's media type without parameters, in lower case.
func mediaType(r *http.Request) string {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// stray returns the name of a parameter that is not allowed or that comes
// twice, or "".
func stray(v url.Values, allowed string) string {
	for name, list := range v {
		if len(list) != 1 || !contains(allowed, name) {
			return name
		}
	}
	return ""
}

// missing returns the first of the names that is absent or empty, or "".
func missing(v url.Values, names string) string {
	for name := range strings.FieldsSeq(names) {
		if v.Get(name) == "" {
			return name
		}
	}
	return ""
}

// contains says whether a space-separated list has the name.
func contains(list, name string) bool {
	return slices.Contains(strings.Fields(list), name)
}
