package returnurl

import (
	"bufio"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os/exec"
	"testing"

	"github.com/seed944197df/connect/internal/testreq"
)

func TestThreat29_GoParserAgrees(t *testing.T) {
	t.Parallel()
	a, rows := table(t)
	accepted := 0
	for _, raw := range append(mutants(rows, 20_000), urlsOf(rows)...) {
		if got, err := a.Origin(raw); err == nil {
			accepted++
			sameOrigin(t, got, raw)
		}
	}
	if accepted < 1000 {
		t.Errorf("only %d URLs were accepted and compared", accepted)
	}
}

func TestThreat29_BrowserParserAgrees(t *testing.T) {
	t.Parallel()
	see := newBrowser(t)
	a, rows := table(t)
	for _, raw := range append(mutants(rows, 20_000), urlsOf(rows)...) {
		if origin, err := a.Origin(raw); err == nil {
			seesOrigin(t, see, origin, raw)
			seesOrigin(t, see, origin, Append(raw, connected))
		}
	}
}

// A browser tells the origin that it sees in a URL.
type browser func(raw string) string

// originOfLine answers each URL, a line of JSON, with a line. Node's URL is the WHATWG parser that browsers have.
const originOfLine = `
const origin = (raw) => {
  try {
    const u = new URL(raw, "https://base.test/");
    return u.username || u.password || u.hash ? "more than an origin" : u.origin;
  } catch { return "refused" }
};
require("readline").createInterface({ input: process.stdin }).on("line", (line) => console.log(origin(JSON.parse(line))));`

// newBrowser starts a browser that ends with the test. It must not be asked by two goroutines at once.
func newBrowser(tb testing.TB) browser {
	tb.Helper()
	node := exec.Command(testreq.Command(tb, "node"), "-e", originOfLine)
	in, err1 := node.StdinPipe()
	out, err2 := node.StdoutPipe()
	if err := errors.Join(err1, err2, node.Start()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		in.Close() // its last line
		if err := node.Wait(); err != nil {
			tb.Error(err)
		}
	})
	ask, answers := json.NewEncoder(in), bufio.NewScanner(out)
	return func(raw string) string {
		if err := ask.Encode(raw); err != nil || !answers.Scan() {
			return "no answer"
		}
		return answers.Text()
	}
}

// seesOrigin fails if a browser sees another origin in raw than want.
func seesOrigin(t *testing.T, see browser, want, raw string) {
	t.Helper()
	if got := see(raw); got != want {
		t.Errorf("Origin(%q) = %q, a browser sees %q", raw, want, got)
	}
}

func urlsOf(rows []row) []string {
	var urls []string
	for _, r := range rows {
		urls = append(urls, r.URL)
	}
	return urls
}

// mutants returns n URLs, the same each time: rows with a piece put in, cut out, or taken from another row.
func mutants(rows []row, n int) []string {
	pieces := []string{
		"/", "\\", "@", ":", "?", "#", "%", "%2f", "%40", "//", "..", ".", ";", "&", "=", "[", "]", "\t", "\n", " ",
		"443", ":443", "0", "x", "-", "'", "(", "*", ",", "~", "!", "$", "_", "}", "https://", "evil.test", "\u00ad", "\u3002", "\x00",
	}
	random := rand.New(rand.NewPCG(28, 29))
	urls := make([]string, n)
	for i := range urls {
		raw, other := rows[random.IntN(len(rows))].URL, rows[random.IntN(len(rows))].URL
		if len(raw) > 200 || len(other) > 200 {
			raw, other = "https://app.example.com/p?a=1", "https://app.example.com"
		}
		at := random.IntN(len(raw) + 1)
		switch random.IntN(4) {
		case 0, 1:
			urls[i] = raw[:at] + pieces[random.IntN(len(pieces))] + raw[at:]
		case 2:
			urls[i] = raw[:at] + raw[min(at+1+random.IntN(3), len(raw)):]
		default:
			urls[i] = raw[:at] + other[min(at, len(other)):]
		}
	}
	return urls
}
