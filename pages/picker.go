package pages

import (
	"net/url"
	"slices"
)

// Choice is what a [Picker]'s buttons send.
type Choice struct {
	Query  string
	Cursor string
	IDs    []string // in the order of the page, each once; not yet checked
}

// ReadChoice reads what a [Picker] sent, by GET or POST. Whether the ids were
// offered is for [selection.Choose] to say.
func ReadChoice(form url.Values) Choice {
	c := Choice{Query: form.Get(FieldQuery), Cursor: form.Get(FieldCursor)}
	if form.Get(FieldShow) == "all" {
		c.Query, c.Cursor = "", ""
	}
	if form.Has(FieldShown) && form.Get(FieldShown) != c.Query {
		c.Cursor = "" // typed anew, and then paged
	}
	for _, id := range form[FieldSelected] {
		if !slices.Contains(c.IDs, id) {
			c.IDs = append(c.IDs, id)
		}
	}
	return c
}

// Single reports whether one candidate is all that may be chosen.
func (p Picker) Single() bool { return len(p.Kinds) == 1 && !p.Kinds[0].Multiple }

// OneKind reports whether every candidate is of the same kind.
func (p Picker) OneKind() bool { return len(p.Kinds) == 1 }

// KindName is the display word of a candidate's kind, empty where the page
// offers only one kind and so need not say.
func (p Picker) KindName(c Candidate) string {
	if p.OneKind() {
		return ""
	}
	for _, k := range p.Kinds {
		if k.Name == c.Kind {
			return k.One
		}
	}
	return ""
}

// Limits names the kinds of which only one may be chosen, on a page where
// radio buttons do not say so.
func (p Picker) Limits() []string {
	var limits []string
	for _, k := range p.Kinds {
		if !k.Multiple && !p.OneKind() {
			limits = append(limits, k.One)
		}
	}
	return limits
}

// CanChoose reports whether anything can be chosen here.
func (p Picker) CanChoose() bool {
	return len(p.Elsewhere) > 0 || slices.ContainsFunc(p.Candidates, func(c Candidate) bool { return c.Selectable() })
}

// Exhausted reports whether nothing can be chosen on any page.
func (p Picker) Exhausted() bool {
	return !p.CanChoose() && p.Query == "" && p.Cursor == "" && p.Next == ""
}

// Searchable reports whether the list is long enough for a search box.
func (p Picker) Searchable() bool {
	return p.Query != "" || p.Cursor != "" || p.Next != "" || len(p.Candidates) > searchFrom
}

// searchFrom is how many candidates a person takes in without a search box.
const searchFrom = 8

// Long reports whether the ids that this page might send are too many for a
// URL: proxies commonly refuse a request line above 8 KiB.
func (p Picker) Long() bool {
	size := 0
	for _, c := range slices.Concat(p.Candidates, p.Elsewhere) {
		size += len(FieldSelected) + len(url.QueryEscape(c.ID())) + 2
	}
	return size > 4000
}
