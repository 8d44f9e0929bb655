package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// verdictOf is the checker's word on a script.
func verdictOf(e evidence) []string {
	return judge(settings{lasts: time.Second, every: 350 * time.Millisecond}, e, check(e))
}

func TestCheckerAccepts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		class string
		does  func(s *script)
		want  figures // beside those of every script
	}{
		"grace":  {grace20, func(*script) {}, figures{}},
		"strict": {strict, func(*script) {}, figures{}},
		"stable": {stable, func(*script) {}, figures{}},
		"grace: a lost answer is repeated in time": {
			grace20, func(s *script) {
				s.connect("hit")
				s.swallows()
				s.refreshes(3, "hit")
			}, figures{Connected: 1, Refreshes: 1, Kills: 1, Presented: 2, Unsure: 1, Recovered: 1, Repeated: 1},
		},
		"stable: a lost answer is of no use to anybody": {
			stable, func(s *script) {
				s.connect("hit")
				s.swallows()
				s.refreshes(3, "hit")
			}, figures{Connected: 1, Refreshes: 2, Kills: 1, Presented: 2, Unsure: 1, Recovered: 1},
		},
		"strict: what a kill swallowed is lost, declared, and cost nothing more": {
			strict, func(s *script) {
				s.connect("hit")
				s.swallows()
				s.passes(scriptLife)
				s.marks(3, "hit")
				s.presents(3, "hit")
				s.declares()
			}, figures{Connected: 1, Refreshes: 1, Kills: 1, Presented: 2, Unsure: 1, Swallowed: 1, Lost: 1, Declared: 1, Alarms: 1},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScript(tt.class)
			s.kill(100) // at rest
			tt.does(s)
			e := s.ends()
			want := tt.want
			want.Connected, want.Refreshes, want.Presented = want.Connected+2, want.Refreshes+3, want.Presented+3
			want.Kills, want.Unsure, want.Recovered = want.Kills+2, want.Unsure+1, want.Recovered+1
			if diff := cmp.Diff(want, check(e)); diff != "" {
				t.Errorf("figures (-want +got):\n%s", diff)
			}
			if wrong := verdictOf(e); len(wrong) > 0 {
				t.Errorf("it does not hold: %q", wrong)
			}
		})
	}
}

func TestCheckerRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		class string
		does  func(s *script)
		want  []string
	}{
		"a grant is lost and nobody told": {
			strict, func(s *script) {
				s.connect("hit")
				s.swallows()
				s.passes(scriptLife)
				s.marks(3, "hit")
				s.presents(3, "hit")
			}, []string{"1 lost silently"},
		},
		"a swallowed answer is never asked for again": {
			grace20, func(s *script) {
				s.connect("hit")
				s.swallows()
			}, []string{"1 lost silently", "1 lost"},
		},
		"an answer is counted and not stored": {
			grace20, func(s *script) {
				s.connect("hit")
				s.marks(2, "hit")
				s.presents(2, "hit")
				s.stored["hit"].writes++
			}, []string{"1 lost silently", "1 lost"},
		},
		"the tokens of two answers are mixed": {
			grace20, func(s *script) {
				s.connect("hit")
				s.marks(2, "hit")
				mixed := s.presents(2, "hit")
				mixed.access = "of another answer"
				s.stores("hit", mixed)
			}, []string{"1 lost silently", "1 lost"},
		},
		"a spent token comes after the grace period": {
			grace20, func(s *script) {
				s.connect("hit")
				s.swallows()
				s.passes(scriptLife)
				s.marks(3, "hit")
				s.presents(3, "hit")
				s.declares()
			}, []string{"1 lost", "1 reuse alarms"},
		},
		"an access token had life left when its grant was ended": {
			strict, func(s *script) {
				s.connect("hit")
				s.swallows()
				s.passes(scriptLife / 2)
				s.marks(3, "hit")
				s.presents(3, "hit")
				s.declares()
			}, []string{"29s of access tokens destroyed"},
		},
		"a process presents what another one has replaced": {
			strict, func(s *script) {
				s.connect("hit")
				old := s.stored["hit"].tokens
				s.refreshes(2, "hit")
				current := s.stored["hit"].tokens
				s.stored["hit"].tokens = old
				s.marks(3, "hit")
				s.presents(3, "hit")
				s.stored["hit"].tokens = current
			}, []string{
				"1 lost silently", "1 presented twice without a crash", "59s of access tokens destroyed",
				"1 lost otherwise than by a kill between the platform's commit and ours, or not lost by one", "1 reuse alarms",
			},
		},
		"a living process presents again": {
			grace20, func(s *script) {
				s.connect("hit")
				s.marks(2, "hit")
				s.presents(2, "hit")
				s.refreshes(2, "hit")
			}, []string{"1 presented twice without a crash"},
		},
		"two processes present at once, and one dies afterwards": {
			stable, func(s *script) {
				s.connect("hit")
				s.marks(2, "hit")
				s.presents(2, "hit")
				s.refreshes(3, "hit")
				s.kill(2)
			}, []string{"1 presented twice without a crash"},
		},
		"nothing is recorded": {
			grace20, func(s *script) {
				s.connect("hit")
				s.stores("hit", s.presents(2, "hit"))
			}, []string{"1 presented without a record"},
		},
		"the record comes late": {
			stable, func(s *script) {
				s.connect("hit")
				s.stores("hit", s.presents(2, "hit"))
				s.marks(2, "hit")
			}, []string{"1 presented without a record"},
		},
		"the record is of another process": {
			strict, func(s *script) {
				s.connect("hit")
				s.marks(3, "hit")
				s.stores("hit", s.presents(2, "hit"))
			}, []string{"1 presented without a record"},
		},
		"one record serves two presentations": {
			grace20, func(s *script) {
				s.connect("hit")
				s.refreshes(2, "hit")
				s.passes(scriptLife)
				s.stores("hit", s.presents(2, "hit"))
			}, []string{"1 presented without a record"},
		},
		"a grant that lives is given up": {
			strict, func(s *script) {
				s.connect("hit")
				s.declares()
			}, []string{"1 lost otherwise than by a kill between the platform's commit and ours, or not lost by one"},
		},
		"a grant that lives is given up where none may be": {
			stable, func(s *script) {
				s.connect("hit")
				s.declares()
			}, []string{"1 lost"},
		},
		"kills met nothing": {
			grace20, func(s *script) {
				s.Notes = nil
				s.Truth = s.Truth[:1]
				s.order = s.order[:1]
				s.stored["calm"].tokens = s.families["calm"].current
			},
			[]string{"no kill has met a refresh, so that nothing was tried", "1 lost silently", "1 lost"},
		},
		"there were hardly any kills": {
			grace20, func(s *script) { s.Kills = s.Kills[:1] }, []string{"1 kills are too few"},
		},
		"a grant was never connected": {
			grace20, func(s *script) { s.Truth = s.Truth[1:] }, []string{"1 of 2 grants were connected"},
		},
		"something stays open": {
			strict, func(s *script) { s.Unsettled = 1 }, []string{"1 not settled in time"},
		},
		"something is left open by a process that was asked to end": {
			strict, func(s *script) { s.stored["calm"].open = "sent" },
			[]string{"1 left open by processes that were asked to end"},
		},
		"a process ends by itself": {
			strict, func(s *script) { s.Broken = []error{errors.New("worker 7: panic")} },
			[]string{"1 processes ended wrongly: [worker 7: panic]"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScript(tt.class)
			s.kill(100) // at rest
			tt.does(s)
			if diff := cmp.Diff(tt.want, verdictOf(s.ends())); diff != "" {
				t.Errorf("what does not hold (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := check(newScript(grace20).ends()).table(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"grants                                  2\n", "found sent, without an answer           1, 1 recovered\n", "lost                                    0\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
}
