package sandbox

import "strings"

// maxFieldDepth bounds how deep "fields" may nest.
const maxFieldDepth = 4

// A field is one element of the parameter fields: a name, perhaps with
// modifiers as in picture.type(large), perhaps with fields of its own in
// braces.
type field struct {
	name string
	sub  []field
}

// parseFields reads a field list. Absent is the default, id and name.
func parseFields(text string) ([]field, bool) {
	if text == "" {
		return []field{{name: "id"}, {name: "name"}}, true
	}
	list, rest, ok := fieldList(text, maxFieldDepth)
	return list, ok && rest == ""
}

// fieldList reads fields up to a closing brace or the end.
func fieldList(text string, depth int) (list []field, rest string, ok bool) {
	for depth > 0 {
		end := strings.IndexFunc(text, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9') })
		if end < 0 {
			end = len(text)
		}
		if end == 0 {
			return nil, "", false
		}
		f := field{name: text[:end]}
		if text, ok = skipModifiers(text[end:]); !ok {
			return nil, "", false
		}
		if strings.HasPrefix(text, "{") {
			if f.sub, text, ok = fieldList(text[1:], depth-1); !ok || !strings.HasPrefix(text, "}") {
				return nil, "", false
			}
			text = text[1:]
		}
		list = append(list, f)
		if !strings.HasPrefix(text, ",") {
			return list, text, true
		}
		text = text[1:]
	}
	return nil, "", false
}

// skipModifiers skips .name(value) as often as it comes.
func skipModifiers(text string) (rest string, ok bool) {
	for strings.HasPrefix(text, ".") {
		open, end := strings.IndexByte(text, '('), strings.IndexByte(text, ')')
		if open < 2 || end < open {
			return "", false
		}
		text = text[end+1:]
	}
	return text, true
}

// fbSelect fills an answer file and keeps the fields that were asked. A field
// that the file does not have does not exist.
func (s *Sandbox) fbSelect(c *call, name string, v values) (any, *reply) {
	fields, ok := parseFields(c.query.Get("fields"))
	if !ok {
		r := s.fbError(400, 2500, 0, "Syntax error in the fields parameter.")
		return nil, &r
	}
	known, _ := s.templates[name].(map[string]any)
	object, unknown := pick(known, s.fill(name, v), fields)
	if unknown != "" {
		r := s.fbBad("(#100) Tried accessing nonexisting field (" + unknown + ")")
		return nil, &r
	}
	return object, nil
}

// pick returns the asked fields of an object, the id always, or the name of a
// field that does not exist. The wrapper "data" around a picture is not named
// in a field list.
func pick(known, object map[string]any, fields []field) (map[string]any, string) {
	out := map[string]any{}
	if id, ok := object["id"]; ok {
		out["id"] = id
	}
	for _, f := range fields {
		if _, ok := known[f.name]; !ok {
			return nil, f.name
		}
		v, ok := object[f.name]
		if !ok {
			continue
		}
		out[f.name] = v
		if f.sub == nil {
			continue
		}
		inner, unknown := pickInner(known[f.name], v, f.sub)
		if unknown != "" {
			return nil, unknown
		}
		out[f.name] = inner
	}
	return out, ""
}

// pickInner picks from what a field holds.
func pickInner(known, v any, fields []field) (any, string) {
	knownMap, _ := known.(map[string]any)
	object, _ := v.(map[string]any)
	data, wrapped := knownMap["data"].(map[string]any)
	if !wrapped {
		return pick(knownMap, object, fields)
	}
	inner, _ := object["data"].(map[string]any)
	picked, unknown := pick(data, inner, fields)
	return map[string]any{"data": picked}, unknown
}
