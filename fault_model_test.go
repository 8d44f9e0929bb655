package connect_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/memstore"
)

var modelClasses = []connect.RotationClass{connect.RotationStable, connect.RotationGrace, connect.RotationStrict}

// modelTemplate is an engine for [connect.Process].
func modelTemplate(t *testing.T) *connect.Connector {
	t.Helper()
	template, err := connect.New(connect.Config{
		BaseURL: "https://host.test/connect", Store: memstore.New(nil), Keys: newKeyring(t, "k1"),
		Providers: []connect.Provider{newFake(t, time.Now)}, Authenticate: authenticate,
	})
	if err != nil {
		t.Fatal(err)
	}
	return template
}

// modelNumber is a number of the environment.
func modelNumber(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s is no number: %v", name, err)
	}
	return n
}

// bubble runs one system in a time of its own. What is left of it when it has
// ended is a violation.
func bubble(t *testing.T, run func() *model) (broken *model, problem string) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			problem = fmt.Sprintf("(8) %v", r)
		}
	}()
	synctest.Test(t, func(*testing.T) {
		m := run()
		m.end()
		broken = m
	})
	return broken, broken.broken
}

// seeded runs the system of a seed.
func seeded(t *testing.T, template *connect.Connector, class connect.RotationClass, seed int, change func(*setup)) (*model, string) {
	t.Helper()
	return bubble(t, func() *model {
		rng := rand.New(rand.NewPCG(uint64(seed), 50))
		s := seededSetup(rng, class)
		change(&s)
		m := newModel(template, s)
		m.runSeeded(rng)
		return m
	})
}

// searchSeeds runs many systems, none of which may break an invariant. The
// engine spreads its due times by chance of its own, so that a seed is tried
// some times where it is repeated.
func searchSeeds(t *testing.T, systems int, change func(*setup)) {
	t.Helper()
	template := modelTemplate(t)
	first, systems := modelNumber(t, "CONNECT_MODEL_SEED", 0), modelNumber(t, "CONNECT_MODEL_SYSTEMS", systems)
	step := 1
	if os.Getenv("CONNECT_MODEL_SEED") != "" && os.Getenv("CONNECT_MODEL_SYSTEMS") == "" {
		step, systems = 0, 20
	}
	for _, class := range modelClasses {
		t.Run(string(class), func(t *testing.T) {
			t.Parallel()
			lost, steps := 0, 0
			for i := range systems {
				seed := first + i*step
				m, problem := seeded(t, template, class, seed, change)
				if problem != "" {
					t.Fatalf("CONNECT_MODEL_SEED=%d: %s\n%v", seed, problem, m)
				}
				lost, steps = lost+m.lost, steps+m.step
			}
			t.Logf("%d systems, %d steps, %d accounts lost and told", systems, steps, lost)
		})
	}
}

func TestFault50_SeededSchedules(t *testing.T) {
	t.Parallel()
	searchSeeds(t, 300, func(*setup) {})
}

// A store that was put back has forgotten what was spent since. Then an account
// may be lost, but nobody is left to believe that it works.
func TestFault50_RestoredStore(t *testing.T) {
	t.Parallel()
	searchSeeds(t, 100, func(s *setup) { s.logs, s.budget[actRestore] = true, 1 })
}

// A model that finds nothing must be able to.
func TestFault50_ModelFindsPlantedFaults(t *testing.T) {
	t.Parallel()
	template := modelTemplate(t)
	tests := map[string]struct {
		class  connect.RotationClass
		change func(*setup)
		breaks string // one of these
	}{
		"MarkSent records nothing":          {connect.RotationGrace, planted(func(_ *model, s connect.Store) connect.Store { return forgetful{s} }), "2"},
		"a claim goes out twice":            {connect.RotationStrict, planted(func(m *model, s connect.Store) connect.Store { return generous{s, m} }), "15"},
		"a settlement of an old generation": {connect.RotationStable, planted(func(_ *model, s connect.Store) connect.Store { return careless{s} }), "46"},
		"a lost answer is forgotten":        {connect.RotationStrict, planted(func(_ *model, s connect.Store) connect.Store { return hopeful{s} }), "135"},
		"a loss that nobody is told":        {connect.RotationStrict, planted(func(_ *model, s connect.Store) connect.Store { return silent{s} }), "4"},
		"strict is presented again at once": {connect.RotationStrict, func(s *setup) { s.declared = connect.RotationStable }, "15"},
		"what came late is not revoked":     {connect.RotationStrict, func(s *setup) { s.lazy = true }, "6"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range 2000 {
				_, problem := seeded(t, template, tt.class, seed, tt.change)
				if problem == "" {
					continue
				}
				if _, found, _ := strings.Cut(problem, "("); !strings.ContainsAny(found[:1], tt.breaks) {
					t.Errorf("found %s, want one of the invariants %s", problem, tt.breaks)
				}
				t.Logf("seed %d, %s", seed, problem)
				return
			}
			t.Error("nothing was found in 2000 systems")
		})
	}
}
