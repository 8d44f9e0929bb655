package returnurl

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"os/exec"
	"testing"
	"time"

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

// Node's URL is the WHATWG parser that browsers have.
func TestThreat29_BrowserParserAgrees(t *testing.T) {
	t.Parallel()
	node := testreq.Command(t, "node")
	a, rows := table(t)
	var accepted, want []string
	for _, raw := range append(mutants(rows, 20_000), urlsOf(rows)...) {
		if origin, err := a.Origin(raw); err == nil {
			sent := Append(raw, connected)
			accepted, want = append(accepted, raw, sent), append(want, origin, origin)
		}
	}
	for i, got := range browserOrigins(t, node, accepted) {
		if got != want[i] {
			t.Errorf("Origin(%q) = %q, a browser sees %q", accepted[i], want[i], got)
		}
	}
}

const originsOfStdin = `
const urls = JSON.parse(require("fs").readFileSync(0, "utf8"));
const origin = (raw) => { try { return new URL(raw, "https://base.test/").origin } catch { return "refused" } };
console.log(JSON.stringify(urls.map(origin)));`

func browserOrigins(t *testing.T, node string, urls []string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	input, err := json.Marshal(urls)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, node, "-e", originsOfStdin)
	cmd.Stdin = bytes.NewReader(input)
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var origins []string
	if err := json.Unmarshal(output, &origins); err != nil || len(origins) != len(urls) {
		t.Fatalf("node answered %d origins for %d URLs: %v", len(origins), len(urls), err)
	}
	return origins
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
