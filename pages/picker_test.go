package pages

import (
	"html"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect/selection"
)

func pageCandidate(id string) Candidate {
	return Candidate{Candidate: selection.Candidate{Kind: "page", PlatformID: id, Name: "Page " + id}}
}

func pagePicker(several bool, candidates ...Candidate) Picker {
	return Picker{
		Platform: "Facebook", Kinds: []Kind{{Name: "page", One: "Page", Many: "Pages", Multiple: several}},
		Candidates: candidates, Self: "/connect/ui/pending/1", Action: "/connect/ui/pending/1/finalize", Token: "once",
	}
}

// press sends the form as a browser would: what is ticked, what is typed, and
// the pressed button's own name and value.
func press(t *testing.T, found []element, label string) (method, target string, form url.Values) {
	t.Helper()
	form = url.Values{}
	var pressed map[string]string
	for _, e := range found {
		_, disabled := e.attrs["disabled"]
		_, checked := e.attrs["checked"]
		box := e.attrs["type"] == "checkbox" || e.attrs["type"] == "radio"
		switch {
		case e.name == "form":
			method, target = e.attrs["method"], e.attrs["action"]
		case e.name == "input" && !disabled && (checked || !box):
			form.Add(e.attrs["name"], html.UnescapeString(e.attrs["value"]))
		case e.name == "button" && e.text == label:
			pressed = e.attrs
		}
	}
	if pressed == nil {
		t.Fatalf("no button %q", label)
	}
	if name := pressed["name"]; name != "" {
		form.Add(name, html.UnescapeString(pressed["value"]))
	}
	return or(pressed["formmethod"], method), or(pressed["formaction"], target), form
}

// A choice survives search and paging, and the token is in no URL.
func TestPickerButtons(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	picker := pagePicker(true, pageCandidate("1"), pageCandidate("2"), pageCandidate("3"))
	picker.Candidates[1].Chosen = true
	picker.Candidates[2].Chosen, picker.Candidates[2].Reason = true, "no right"
	picker.Elsewhere = []Candidate{pageCandidate("9")}
	picker.Query, picker.Cursor, picker.Next = "mill", "c1", "c2"
	found := parsed(t, "picker", render(t, p, picker).Body.String())
	chosen := []string{"page:9", "page:2"}
	tests := []struct {
		label, method, target string
		want                  Choice
	}{
		{"Search", "get", picker.Self, Choice{Query: "mill", IDs: chosen}},
		{"Show all", "get", picker.Self, Choice{IDs: chosen}},
		{"First page", "get", picker.Self, Choice{Query: "mill", IDs: chosen}},
		{"Next page", "get", picker.Self, Choice{Query: "mill", Cursor: "c2", IDs: chosen}},
		{"Connect selected", "post", picker.Action, Choice{Query: "mill", IDs: chosen}},
	}
	for _, tt := range tests {
		t.Run(tt.label, func(t *testing.T) {
			t.Parallel()
			method, target, form := press(t, found, tt.label)
			if method != tt.method || target != tt.target {
				t.Errorf("%s %s, want %s %s", method, target, tt.method, tt.target)
			}
			if diff := cmp.Diff(tt.want, ReadChoice(form)); diff != "" {
				t.Error(diff)
			}
			if got, want := form.Get(FieldToken) == "once", tt.method == "post"; got != want {
				t.Errorf("token sent: %v, want %v", got, want)
			}
		})
	}
}

// The Enter key presses a form's first button: that one must decide nothing.
func TestPickerEnterSearches(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	picker := ordinary()["picker, mixed"]
	for _, e := range parsed(t, "picker", render(t, p, picker).Body.String()) {
		if e.name == "button" {
			if e.text != "Search" {
				t.Errorf("the first button is %q", e.text)
			}
			return
		}
	}
}

func TestPickerManyIDsArePosted(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	picker := pagePicker(true)
	for i := range 300 {
		c := pageCandidate("1048576001" + strconv.Itoa(i))
		if i < 100 {
			picker.Candidates = append(picker.Candidates, c)
		} else {
			picker.Elsewhere = append(picker.Elsewhere, c)
		}
	}
	method, target, form := press(t, parsed(t, "picker", render(t, p, picker).Body.String()), "Search")
	if method != "post" || target != picker.Self || len(ReadChoice(form).IDs) != 200 {
		t.Errorf("%s %s with %d ids, want a post of 200 to the picker itself", method, target, len(ReadChoice(form).IDs))
	}
	if form.Get(FieldToken) != "" {
		t.Error("searching sends the token")
	}
}

func TestPickerBoxes(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	mixed := pagePicker(true, pageCandidate("1"))
	mixed.Kinds = append(mixed.Kinds, Kind{Name: "board", One: "Board"})
	tests := []struct {
		name, box, hint string
		picker          Picker
	}{
		{name: "several", box: "checkbox", picker: pagePicker(true, pageCandidate("1"))},
		{name: "one", box: "radio", picker: pagePicker(false, pageCandidate("1"))},
		{name: "mixed", box: "checkbox", hint: "Choose no more than one Board.", picker: mixed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := render(t, p, tt.picker).Body.String()
			for _, e := range parsed(t, tt.name, body) {
				if e.attrs["name"] == FieldSelected && (e.attrs["type"] != tt.box || e.attrs["value"] != "page:1") {
					t.Errorf("input %v, want a %s", e.attrs, tt.box)
				}
			}
			if got := strings.Contains(body, "Choose no more than one"); got != (tt.hint != "") || !strings.Contains(body, tt.hint) {
				t.Errorf("hint shown: %v, want %q", got, tt.hint)
			}
		})
	}
}

func TestPickerSays(t *testing.T) {
	t.Parallel()
	p := setup(t, Options{})
	connected, child, blocked := pageCandidate("1"), pageCandidate("2"), pageCandidate("3")
	connected.Connected = true
	child.ParentName = "Harbour group"
	blocked.Reason = "you are not an administrator"
	problem := pagePicker(true, pageCandidate("1"))
	problem.Problem = "none_chosen"
	nomatch := pagePicker(true)
	nomatch.Query = "zebra"
	later := pagePicker(true, blocked)
	later.Next = "c"
	tests := []struct {
		name   string
		picker Picker
		has    []string
		lacks  []string
	}{
		{"what is connected", pagePicker(true, connected), []string{"Already connected"}, nil},
		{"where it belongs", pagePicker(true, child), []string{"in Harbour group"}, nil},
		{"why it cannot be chosen", pagePicker(true, pageCandidate("1"), blocked), []string{"Cannot be chosen: you are not an administrator", " disabled>"}, nil},
		{"that none can be chosen", pagePicker(true, blocked), []string{"Nothing here can be connected"}, []string{"Connect selected"}},
		{"nothing of that while there is another page", later, []string{"Connect selected", "Next page"}, []string{"Nothing here can be connected"}},
		{"that the search found nothing", nomatch, []string{"Nothing found for &#34;zebra&#34;.", "Show all"}, []string{"Nothing here can be connected"}},
		{"what was wrong", problem, []string{`role="alert"`, `<a href="#choices">Choose at least one.</a>`}, nil},
		{"no search box over a short list", pagePicker(true, connected), nil, []string{`type="search"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := render(t, p, tt.picker).Body.String()
			for _, text := range tt.has {
				if !strings.Contains(body, text) {
					t.Errorf("lacks %q", text)
				}
			}
			for _, text := range tt.lacks {
				if strings.Contains(body, text) {
					t.Errorf("has %q", text)
				}
			}
		})
	}
}

func TestReadChoice(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, form string
		want       Choice
	}{
		{"nothing", "", Choice{}},
		{"each id once, in order", "selected_ids=b&selected_ids=a&selected_ids=b", Choice{IDs: []string{"b", "a"}}},
		{"search and page", "q=mill&cursor=c", Choice{Query: "mill", Cursor: "c"}},
		{"a page of another search", "q=mill&shown=mil&cursor=c", Choice{Query: "mill"}},
		{"a page of this search", "q=mill&shown=mill&cursor=c", Choice{Query: "mill", Cursor: "c"}},
		{"show all takes both back", "q=mill&cursor=c&show=all&selected_ids=a", Choice{IDs: []string{"a"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			form, err := url.ParseQuery(tt.form)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, ReadChoice(form)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
