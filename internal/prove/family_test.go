package main

import (
	"slices"
	"testing"
	"time"
)

// TestFamily: what the platform does to a token that was spent.
func TestFamily(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		class string
		later time.Duration
		want  []eventKind // to the first token again, then to the newest
	}{
		"stable":        {stable, time.Hour, []eventKind{issued, issued}},
		"grace, within": {grace20, grace - time.Nanosecond, []eventKind{repeated, issued}},
		"grace, after":  {grace20, grace, []eventKind{alarmed, refused}},
		"strict":        {strict, time.Nanosecond, []eventKind{alarmed, refused}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Now()
			f := newFamily("g", 0, rotationOf(tt.class), 1)
			first := f.connect(now, scriptLife)
			second, kind := f.present(first.refresh, now, scriptLife)
			if kind != issued || second.access == first.access || second.generation != 2 {
				t.Fatalf("the first answer is %s, of generation %d", kind, second.generation)
			}
			again, kind := f.present(first.refresh, now.Add(tt.later), scriptLife)
			got := []eventKind{kind}
			if kind == repeated && again != second {
				t.Error("the answer is not the same")
			}
			_, kind = f.present(f.current.refresh, now.Add(tt.later), scriptLife)
			if got = append(got, kind); !slices.Equal(tt.want, got) {
				t.Errorf("it is %v, want %v", got, tt.want)
			}
		})
	}
}

func TestDelaysAreSeeded(t *testing.T) {
	t.Parallel()
	f, same := newFamily("g", 7, rotationOf(strict), 1), newFamily("g", 7, rotationOf(strict), 1)
	for range 100 {
		before, after := f.delays()
		if whole := before + after; whole < quickest || whole > slowest {
			t.Fatalf("an answer takes %v", whole)
		}
		if b, a := same.delays(); b != before || a != after {
			t.Fatalf("%v and %v, then %v and %v", before, after, b, a)
		}
	}
}
