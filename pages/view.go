package pages

import (
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/url"
)

// funcs is what templates may call besides the page's fields and methods.
func (p *Pages) funcs() template.FuncMap {
	return template.FuncMap{
		"text":           p.say,
		"code":           p.sayCode,
		"clean":          clean,
		"handle":         handle,
		"avatar":         avatar,
		"initials":       initials,
		"hue":            hue,
		"dict":           dict,
		"popup":          func() template.JS { return p.popup },
		"message":        message,
		"theme":          func() Theme { return p.theme },
		"stylesheet":     func() string { return p.base + "/ui/style.css" },
		"methodHref":     p.methodHref,
		"reconnectHref":  p.reconnectHref,
		"disconnectHref": p.disconnectHref,
		"statusTone":     statusTone,
		"statusActs":     statusActs,
	}
}

// message is what a popup posts to its opener.
func message(o Opener) (string, error) {
	fields := maps.Clone(o.Message)
	if fields == nil {
		fields = map[string]string{}
	}
	fields["type"] = "connect.outcome"
	data, err := json.Marshal(fields)
	return string(data), err
}

// dict makes a map of keys and values, to hand several to a partial template.
func dict(pairs ...any) (map[string]any, error) {
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		key, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: key %d is not a string", i)
		}
		m[key] = pairs[i+1]
	}
	return m, nil
}

func (p *Pages) methodHref(platform string, m Method, query url.Values) (string, error) {
	values := url.Values{}
	for key := range query {
		values[key] = query[key]
	}
	if m.ID != "" {
		values.Set("method", m.ID)
	}
	return p.startHref(platform, m.Type, values)
}

// reconnectHref leads back to where the connect page itself leads.
func (p *Pages) reconnectHref(a Account, query ...url.Values) (string, error) {
	values := url.Values{"account_id": {a.ID}}
	for _, q := range query {
		for _, key := range []string{"return_url", "mode"} {
			if q.Has(key) {
				values[key] = q[key]
			}
		}
	}
	return p.methodHref(a.Platform, Method{ID: a.MethodID, Type: a.Method}, values)
}

func (p *Pages) startHref(platform string, method MethodType, values url.Values) (string, error) {
	paths := map[MethodType]string{OAuth: "/start/", CredentialsForm: "/ui/credentials/", Code: "/ui/codes/"}
	route, ok := paths[method]
	if !ok {
		return "", fmt.Errorf("no method type %q", method)
	}
	href := p.base + route + url.PathEscape(platform)
	if len(values) > 0 {
		href += "?" + values.Encode()
	}
	return href, nil
}

func (p *Pages) disconnectHref(a Account) string {
	return p.base + "/ui/accounts/" + url.PathEscape(a.ID) + "/disconnect"
}

// statusTone is the class that colours a status; its words say the same.
func statusTone(status string) string {
	switch status {
	case "", "active":
		return "good"
	case "limited", "suspended":
		return "fair"
	case "disconnected":
		return "idle"
	default:
		return "poor"
	}
}

// statusActs reports whether the user mends the status by connecting again.
func statusActs(status string) bool {
	switch status {
	case "limited", "token_expired", "reauth_required", "target_lost":
		return true
	default:
		return false
	}
}
