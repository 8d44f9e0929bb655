package main

import (
	"crypto/rand"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/seed944197df/connect"
)

// family is what the platform knows of one grant: all tokens that go back to
// one consent.
type family struct {
	grant    string
	rotation connect.Rotation
	chance   *mathrand.Rand // seeded: how slow it is

	mu       sync.Mutex // guards what follows, and chance
	current  pair       // the newest tokens
	former   string     // the refresh token that current has replaced
	replaced time.Time  // when
	dead     bool
}

// pair is what an answer holds.
type pair struct {
	generation      int
	refresh, access string
	expiry          time.Time // of access
}

func newFamily(grant string, index int, rotation connect.Rotation, seed uint64) *family {
	return &family{grant: grant, rotation: rotation, chance: mathrand.New(mathrand.NewPCG(seed, uint64(index)))} //nolint:gosec // a run is repeated by its seed
}

// connect issues the first tokens.
func (f *family) connect(now time.Time, life time.Duration) pair {
	f.current = pair{1, f.grant + "." + rand.Text(), rand.Text(), now.Add(life)}
	return f.current
}

// present takes a refresh token and says what becomes of it.
func (f *family) present(refresh string, now time.Time, life time.Duration) (pair, eventKind) {
	switch {
	case f.dead:
		return pair{}, refused
	case refresh == f.current.refresh:
		f.rotate(now, life)
		return f.current, issued
	case refresh == f.former && now.Before(f.replaced.Add(f.rotation.Grace)):
		return f.current, repeated
	default:
		f.dead = true
		return pair{}, alarmed
	}
}

func (f *family) rotate(now time.Time, life time.Duration) {
	next := pair{f.current.generation + 1, f.current.refresh, rand.Text(), now.Add(life)}
	if f.rotation.Class != connect.RotationStable {
		f.former, f.replaced = f.current.refresh, now
		next.refresh = f.grant + "." + rand.Text()
	}
	f.current = next
}

const (
	quickest = 20 * time.Millisecond // answer of the platform
	slowest  = 80 * time.Millisecond
)

// delays are how long the platform takes before and after its own commit.
func (f *family) delays() (before, after time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	whole := quickest + time.Duration(f.chance.Int64N(int64(slowest-quickest)))
	before = time.Duration(f.chance.Int64N(int64(whole)))
	return before, whole - before
}
