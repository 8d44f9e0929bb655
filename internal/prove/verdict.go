package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// enough is how many kills there must have been: seven of eight that were
// due, for a machine may be slow. By default that is 150 a minute.
func (s settings) enough() int { return int(s.lasts * 7 / (s.every * 8)) }

// judge says what does not hold; nothing, where the engine has kept what it
// promises for the class of platform.
func judge(s settings, e evidence, f figures) []string {
	var wrong []string
	must := func(holds bool, format string, args ...any) {
		if !holds {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	must(f.Connected == e.Grants && len(e.Held) == e.Grants, "%d of %d grants were connected", min(f.Connected, len(e.Held)), e.Grants)
	must(f.Kills >= s.enough(), "%d kills are too few", f.Kills)
	must(f.Unsure > 0, "no kill has met a refresh, so that nothing was tried")
	must(f.Silent == 0, "%d lost silently", f.Silent)
	must(f.Twice == 0, "%d presented twice without a crash", f.Twice)
	must(f.Unrecorded == 0, "%d presented without a record", f.Unrecorded)
	must(f.Destroyed == 0, "%v of access tokens destroyed", f.Destroyed)
	must(e.Unsettled == 0, "%d not settled in time", e.Unsettled)
	must(f.LeftOpen <= e.Unsettled, "%d left open by processes that were asked to end", f.LeftOpen-e.Unsettled)
	must(len(e.Broken) == 0, "%d processes ended wrongly: %v", len(e.Broken), e.Broken)
	if e.Class == "strict" {
		must(f.Unexplained == 0, "%d lost otherwise than by a kill between the platform's commit and ours, or not lost by one", f.Unexplained)
		must(f.Alarms <= f.Swallowed, "%d reuse alarms", f.Alarms)
		return wrong
	}
	must(f.Lost == 0, "%d lost", f.Lost)
	must(f.Alarms == 0, "%d reuse alarms", f.Alarms)
	return wrong
}

// left is how many grants were left open, and in which state.
func (f figures) left() string {
	if f.LeftOpen == 0 {
		return "0"
	}
	return fmt.Sprintf("%d, %v", f.LeftOpen, f.Open)
}

// table writes the figures.
func (f figures) table(out io.Writer) error {
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range []struct {
		name  string
		value any
	}{
		{"grants", f.Connected},
		{"refreshes", f.Refreshes},
		{"kills", f.Kills},
		{"found sent, without an answer", fmt.Sprintf("%d, %d recovered", f.Unsure, f.Recovered)},
		{"answers repeated by the platform", f.Repeated},
		{"answers that a kill swallowed for good", f.Swallowed},
		{"lost", f.Lost},
		{"  declared", f.Declared},
		{"  silent", f.Silent},
		{"reuse alarms", f.Alarms},
		{"presented", f.Presented},
		{"  twice without a crash", f.Twice},
		{"  without a record before", f.Unrecorded},
		{"access tokens destroyed", fmt.Sprintf("%v (with fractions %v)", f.Destroyed, f.Nearly.Round(time.Millisecond))},
		{"left open in the end", f.left()},
	} {
		fmt.Fprintf(columns, "%s\t%v\n", row.name, row.value)
	}
	return columns.Flush()
}
