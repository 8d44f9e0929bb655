package selection_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect/selection"
)

func page(id string) selection.Candidate {
	return selection.Candidate{Kind: "page", PlatformID: id, Name: "Page " + id}
}

func profile(id string) selection.Candidate {
	return selection.Candidate{Kind: "profile", PlatformID: id, Name: "Person", Username: "dana"}
}

func blocked(id string) selection.Candidate {
	c := page(id)
	c.Reason = "you may not publish there"
	return c
}

var severalPages = selection.Multiple{"page": true}

func ids(candidates []selection.Candidate) []string {
	var names []string
	for _, c := range candidates {
		names = append(names, c.ID())
	}
	return names
}

func TestParseRule(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]selection.Rule{"": selection.Ask, "ask": selection.Ask, "first": selection.First, "all": selection.All} {
		got, err := selection.ParseRule(name)
		if got != want || err != nil {
			t.Errorf("ParseRule(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
	if _, err := selection.ParseRule("some"); err == nil {
		t.Error("an unknown rule was accepted")
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		rule     selection.Rule
		offered  []selection.Candidate
		partial  bool
		want     []string
		question bool
	}{
		{name: "exactly one needs no question", rule: selection.Ask, offered: []selection.Candidate{page("1")}, want: []string{"page:1"}},
		{name: "one of a list that goes on is a question", rule: selection.Ask, offered: []selection.Candidate{page("1")}, partial: true, question: true},
		{name: "one beside a blocked one is a question: the reason is worth seeing", rule: selection.Ask, offered: []selection.Candidate{page("1"), blocked("2")}, question: true},
		{name: "several are a question", rule: selection.Ask, offered: []selection.Candidate{page("1"), page("2")}, question: true},
		{name: "first takes the first that can be chosen", rule: selection.First, offered: []selection.Candidate{blocked("1"), page("2"), page("3")}, want: []string{"page:2"}},
		{name: "all takes what can be chosen", rule: selection.All, offered: []selection.Candidate{page("1"), blocked("2"), page("3")}, want: []string{"page:1", "page:3"}},
		{name: "all takes one of a kind that allows one", rule: selection.All, offered: []selection.Candidate{profile("1"), page("1"), profile("2"), page("2")}, want: []string{"profile:1", "page:1", "page:2"}},
		{name: "all of a list that goes on is a question", rule: selection.All, offered: []selection.Candidate{page("1"), page("2")}, partial: true, question: true},
		{name: "only blocked ones are a question under every rule", rule: selection.All, offered: []selection.Candidate{blocked("1")}, question: true},
		{name: "nothing offered is a question", rule: selection.First, question: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, decided := selection.Decide(tt.rule, tt.offered, !tt.partial, severalPages)
			if diff := cmp.Diff(tt.want, ids(got)); diff != "" || decided == tt.question {
				t.Errorf("decided %v, candidates (-want +got):\n%s", decided, diff)
			}
		})
	}
}

func TestThreat70_OnlyWhatWasOffered(t *testing.T) {
	t.Parallel()
	offered := []selection.Candidate{page("1"), page("2"), blocked("3"), profile("1"), profile("2")}
	tests := []struct {
		name    string
		ids     []string
		want    []string
		refused string
	}{
		{name: "in the order of the choice", ids: []string{"page:2", "page:1"}, want: []string{"page:2", "page:1"}},
		{name: "kinds mixed", ids: []string{"profile:1", "page:1"}, want: []string{"profile:1", "page:1"}},
		{name: "nothing", refused: ""},
		{name: "not offered", ids: []string{"page:1", "page:9"}, refused: "page:9"},
		{name: "same platform id under another kind", ids: []string{"board:1"}, refused: "board:1"},
		{name: "twice", ids: []string{"page:1", "page:1"}, refused: "page:1"},
		{name: "blocked", ids: []string{"page:3"}, refused: "page:3"},
		{name: "two of a single kind", ids: []string{"profile:1", "profile:2"}, refused: "profile:2"},
		{name: "empty id", ids: []string{""}, refused: ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := selection.Choose(offered, tt.ids, severalPages)
			if diff := cmp.Diff(tt.want, ids(got)); diff != "" {
				t.Errorf("candidates (-want +got):\n%s", diff)
			}
			if tt.want != nil {
				return
			}
			var refused *selection.Error
			if !errors.As(err, &refused) || refused.ID != tt.refused {
				t.Errorf("error %v, want a *selection.Error for %q", err, tt.refused)
			}
		})
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	child := selection.Candidate{Kind: "location", PlatformID: "77", Name: "Harbour", Parent: "account:1", ParentName: "Northern branches"}
	offered := []selection.Candidate{{Kind: "page", PlatformID: "110", Name: "Old Mill", Username: "oldmill"}, child}
	tests := []struct {
		name, query, parent string
		want                []string
	}{
		{name: "everything, every level", want: []string{"page:110", "location:77"}},
		{name: "by name, any case", query: " MILL ", want: []string{"page:110"}},
		{name: "by username", query: "oldm", want: []string{"page:110"}},
		{name: "by platform id", query: "77", want: []string{"location:77"}},
		{name: "by its parent's name", query: "north", want: []string{"location:77"}},
		{name: "within a parent", parent: "account:1", want: []string{"location:77"}},
		{name: "nothing", query: "zebra"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, ids(selection.Search(offered, tt.query, tt.parent))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
