package pages

import "strings"

// Wrong reports whether the form is shown again because something is wrong.
func (c Credentials) Wrong() bool {
	if c.Problem != "" {
		return true
	}
	for _, f := range c.Fields {
		if f.Problem != "" {
			return true
		}
	}
	return false
}

// First is the name of the field to look at first, empty where there is none.
func (c Credentials) First() string {
	if len(c.Fields) == 0 {
		return ""
	}
	return c.Fields[0].Name
}

// DescribedBy lists the ids of the texts that explain the field.
func (f Field) DescribedBy() string {
	var ids []string
	if f.Help != "" {
		ids = append(ids, "help-"+f.Name)
	}
	if f.Problem != "" {
		ids = append(ids, "mistake-"+f.Name)
	}
	return strings.Join(ids, " ")
}
