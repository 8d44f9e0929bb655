package returnurl

import (
	"net/url"
	"strings"
	"testing"
)

var connected = [][2]string{{"status", "connected"}, {"platform", "x"}}

func TestAppend(t *testing.T) {
	t.Parallel()
	const base = "https://app.example.com/done"
	for name, tt := range map[string]struct {
		query  string
		params [][2]string
		want   string
	}{
		"no query":              {"", connected, "?status=connected&platform=x"},
		"empty query":           {"?", connected, "?status=connected&platform=x"},
		"query":                 {"?a=1", connected, "?a=1&status=connected&platform=x"},
		"ends with &":           {"?a=1&", connected, "?a=1&status=connected&platform=x"},
		"odd bytes":             {"?&&=&a&b==1&%2f=+%20?/", connected, "?&&=&a&b==1&%2f=+%20?/&status=connected&platform=x"},
		"same name twice":       {"?a=1&a=2", connected, "?a=1&a=2&status=connected&platform=x"},
		"escapes":               {"", [][2]string{{"error", "a b+c&d=e#f\u00e9,%"}}, "?error=a%20b%2Bc%26d%3De%23f%C3%A9%2C%25"},
		"names too":             {"", [][2]string{{"a b", ""}}, "?a%20b="},
		"order":                 {"", [][2]string{{"z", "1"}, {"a", "2"}}, "?z=1&a=2"},
		"no params":             {"?a=1&&", nil, "?a=1&&"},
		"no params, bare":       {"?", nil, "?"},
		"no params, only ours":  {"?status=x", nil, ""},
		"name only prefix":      {"?statuses=1&xstatus=2&status%20=3", connected, "?statuses=1&xstatus=2&status%20=3&status=connected&platform=x"},
		"names differ by case":  {"?Status=1", connected, "?Status=1&status=connected&platform=x"},
		"value looks like name": {"?a=status&b=status=1", connected, "?a=status&b=status=1&status=connected&platform=x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Append(base+tt.query, tt.params); got != base+tt.want {
				t.Errorf("Append = %s\nwant     %s", got, base+tt.want)
			}
		})
	}
}

func TestThreat34_ParameterPollution(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"?status=connected":                         "?",
		"?status=connected&account_id=evil":         "?",
		"?status":                                   "?",
		"?status=":                                  "?",
		"?%73tatus=x":                               "?",
		"?%73%74%61%74%75%73=x":                     "?",
		"?account%5Fid=x&account%5fids=y":           "?",
		"?a=1&status=x":                             "?a=1&",
		"?status=x&a=1":                             "?a=1&",
		"?a=1&status=x&b=2":                         "?a=1&b=2&",
		"?status=1&status=2&a&status=3":             "?a&",
		"?status=x;a=1":                             "?a=1&",
		"?a=1;status=x":                             "?a=1&",
		"?a=1;status=x;b=2":                         "?a=1;b=2&",
		"?platform=a&account_ids=b&session=c":       "?",
		"?ticket=a&error=b&flow_id=c&account_id=d":  "?",
		"?x=?status=1":                              "?x=?status=1&",
		"?&status=x":                                "?",
		"?a=1&status=x&":                            "?a=1&",
		"?redirect=https://evil.test/%3Fstatus%3Dx": "?redirect=https://evil.test/%3Fstatus%3Dx&",
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			got := Append("https://app.example.com/"+query, connected)
			if want := "https://app.example.com/" + want + "status=connected&platform=x"; got != want {
				t.Errorf("Append = %s\nwant     %s", got, want)
			}
			u, err := url.Parse(got)
			if err != nil {
				t.Fatal(err)
			}
			values, err := url.ParseQuery(strings.ReplaceAll(u.RawQuery, ";", "&"))
			if err != nil || len(values["status"]) != 1 || values.Get("status") != "connected" {
				t.Errorf("status = %q, %v", values["status"], err)
			}
		})
	}
}

func TestThreat36_SemicolonSurvives(t *testing.T) {
	t.Parallel()
	const raw = "https://app.example.com/?a=1;b=2"
	if err := newAllowlist(t, "https://app.example.com").Check(raw); err != nil {
		t.Fatal(err)
	}
	if got, want := Append(raw, connected), raw+"&status=connected&platform=x"; got != want {
		t.Errorf("Append = %s, want %s", got, want)
	}
}
