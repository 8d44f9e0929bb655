package connect_test

import (
	"fmt"
	"time"

	"github.com/seed944197df/connect"
)

const (
	modelTTL   = time.Hour   // of the model's access tokens
	modelGrace = time.Minute // for which a platform of the grace class repeats an answer
)

// modelPlatform is a platform as SECURITY.md section 2 assumes it: it rotates,
// it detects reuse, and it knows the truth about each token that it has issued.
type modelPlatform struct {
	class connect.RotationClass
	reach connect.Reach
	pairs map[string]*modelPair // by access token
	all   []*modelFamily
}

// modelFamily is what one consent has begun.
type modelFamily struct {
	subject string
	pairs   []*modelPair
	ended   string // why; empty while it lives
	late    bool   // it was ended by what had been overtaken: a request, or a revocation
}

// modelPair is an access token with its refresh token.
type modelPair struct {
	family          *modelFamily
	access, refresh string
	ends            time.Time // of the access token, by the platform's clock
	told            time.Time // the same, by the clock of who got it
	next            *modelPair
	rotated         time.Time // when next was issued
	revoked         bool

	shown     []*modelShown
	delivered *modelLife // who got it last
}

// modelShown is one time that a pair's refresh token was sent.
type modelShown struct {
	at       time.Time
	life     *modelLife
	attempt  string
	open     bool // its process has not recorded what came of it
	excused  bool // its answer is lost, or its process died or stood still
	slept    bool // its process stood still past its lease before that
	overdue  bool // it was sent after its process had stood still past its lease
	harmless bool // the platform did not look at the token, and said so
	pair     *modelPair
}

func (p *modelPlatform) consent(subject string, now time.Time) *modelPair {
	f := &modelFamily{subject: subject}
	p.all = append(p.all, f)
	return p.issue(f, now)
}

func (p *modelPlatform) issue(f *modelFamily, now time.Time) *modelPair {
	name := fmt.Sprintf("%s-%d-%d", f.subject, len(p.all), len(f.pairs)+1)
	pair := &modelPair{family: f, access: "a" + name, refresh: "r" + name, ends: now.Add(modelTTL)}
	if p.class == connect.RotationStable && len(f.pairs) > 0 {
		pair.refresh = f.pairs[0].refresh
	}
	f.pairs = append(f.pairs, pair)
	p.pairs[pair.access] = pair
	return pair
}

// refresh answers a presented refresh token, nil where it is refused.
func (p *modelPlatform) refresh(old *modelPair, now time.Time) *modelPair {
	f := old.family
	switch {
	case f.ended != "" || old.revoked:
		return nil
	case p.class == connect.RotationStable:
		return p.issue(f, now)
	case old.next == nil:
		old.next, old.rotated = p.issue(f, now), now
		return old.next
	case p.class == connect.RotationGrace && old.next.next == nil && now.Before(old.rotated.Add(modelGrace)):
		return old.next
	default:
		f.ended = "reuse"
		return nil
	}
}

// revoke ends a pair, or as much as the platform's revocations reach.
func (p *modelPlatform) revoke(pair *modelPair) {
	pair.revoked = true
	for _, f := range p.all {
		shared := p.class == connect.RotationStable && f == pair.family
		if f.ended == "" && (shared || p.reach == connect.ReachSubject && f.subject == pair.family.subject) {
			f.ended = "revoked"
		}
	}
}

// accepts reports whether the platform takes the pair's access token.
func (pair *modelPair) accepted(now time.Time) bool {
	return pair.family.ended == "" && !pair.revoked && now.Before(pair.ends)
}

// newest reports whether the pair's refresh token is the one to present.
func (pair *modelPair) newest() bool {
	return pair.family.ended == "" && !pair.revoked && pair.next == nil
}
