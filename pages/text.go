package pages

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Text returns the catalogue: every text of the pages in English, by key. A
// word in braces is a placeholder that the page fills. The map is the
// caller's.
func Text() map[string]string {
	text := make(map[string]string)
	data, err := embedded.ReadFile("templates/en.json")
	if err != nil || json.Unmarshal(data, &text) != nil {
		return nil // the file is part of the program; a test reads it
	}
	return text
}

// catalogue is ours with the host's entries in place.
func catalogue(replaced map[string]string) (map[string]string, error) {
	text := Text()
	for key, value := range replaced {
		ours, ok := text[key]
		if !ok {
			return nil, fmt.Errorf("pages: Text: %q is not a key of the catalogue", key)
		}
		if strings.TrimSpace(value) == "" || len(value) > 2000 {
			return nil, fmt.Errorf("pages: Text: %q must have 1 to 2000 bytes", key)
		}
		known := append(placeholder.FindAllString(ours, -1), "{product}")
		for _, p := range placeholder.FindAllString(value, -1) {
			if !slices.Contains(known, p) {
				return nil, fmt.Errorf("pages: Text: %q cannot use %s, only %s", key, p, strings.Join(known, ", "))
			}
		}
		text[key] = value
	}
	if !language.MatchString(text["page.language"]) || !slices.Contains([]string{"ltr", "rtl"}, text["page.direction"]) {
		return nil, errors.New(`pages: Text: "page.language" must be a language tag such as "en" and "page.direction" "ltr" or "rtl"`)
	}
	return text, nil
}

var (
	placeholder = regexp.MustCompile(`\{[a-z]+\}`)
	language    = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)
)

// say returns the text of a key; pairs are its placeholders' names and values.
// A key or a value that is missing is an error, so that [New] finds it.
func (p *Pages) say(key string, pairs ...string) (string, error) {
	text, ok := p.text[key]
	if !ok {
		return "", fmt.Errorf("no text for %q", key)
	}
	var missing error
	filled := placeholder.ReplaceAllStringFunc(text, func(name string) string {
		value, ok := p.value(strings.Trim(name, "{}"), pairs)
		if !ok {
			missing = fmt.Errorf("text %q: no value for %s", key, name)
		}
		return value
	})
	return filled, missing
}

func (p *Pages) value(name string, pairs []string) (string, bool) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i] == name {
			return isolate(or(clean(pairs[i+1]), p.text["unnamed."+name])), true
		}
	}
	if name == "product" {
		return isolate(or(p.theme.ProductName, p.text["unnamed.product"])), true
	}
	return "", false
}

// sayCode returns the text for a code from outside: group.code, or the
// group's fallback where the catalogue does not know the code. Nothing of the
// code itself is shown.
func (p *Pages) sayCode(group, code string, pairs ...string) (string, error) {
	key := group + "." + code
	if _, ok := p.text[key]; !ok {
		key = group + ".unknown"
	}
	return p.say(key, pairs...)
}
