package faults_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed944197df/connect"
)

// The platform as the engine sees it. Its calls are rewritten to loopback, with
// the host as the first part of the path.
const (
	platformName = "wire"
	platformHost = "platform.test"
	tokenLife    = time.Hour
)

// platform is an authorization server that takes each code once, rotates
// refresh tokens, and ends a grant whose old one comes again.
type platform struct {
	now      func() time.Time
	rotation connect.Rotation
	server   *httptest.Server

	mu        sync.Mutex // guards what follows
	committed func()     // called when something was issued, before it is answered
	families  map[string]*family
}

// family is what goes back to one consent. A token's serial number is in its
// text.
type family struct {
	serial    int
	replaced  time.Time            // when the refresh token before this one was
	expiry    map[string]time.Time // of each access token
	exchanges int
	presented map[string]int // how often each refresh token came
	alarms    int            // old ones that came
	dead      bool
	revoked   bool
}

func newPlatform(t *testing.T, now func() time.Time, rotation connect.Rotation) *platform {
	t.Helper()
	p := &platform{now: now, rotation: rotation, committed: func() {}, families: map[string]*family{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /"+platformHost+"/token", p.token)
	mux.HandleFunc("POST /"+platformHost+"/revoke", p.revoke)
	mux.HandleFunc("GET /"+platformHost+"/me", p.me)
	p.server = httptest.NewServer(mux)
	t.Cleanup(p.server.Close)
	return p
}

// whenCommitted sets what happens between the platform's own commit and its
// answer.
func (p *platform) whenCommitted(event func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.committed = event
}

// family returns a copy of what is known of a subject.
func (p *platform) family(subject string) family {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.families[subject]; f != nil {
		return *f
	}
	return family{}
}

// answer is what the token endpoint says (RFC 6749 § 5).
type answer struct {
	Subject   string `json:"subject,omitempty"`
	Access    string `json:"access_token,omitempty"`
	Refresh   string `json:"refresh_token,omitempty"`
	ExpiresIn int    `json:"expires_in,omitempty"`
	Error     string `json:"error,omitempty"`
}

func (p *platform) token(w http.ResponseWriter, r *http.Request) {
	issue := p.exchange
	secret := r.PostFormValue("code")
	if r.PostFormValue("grant_type") == "refresh_token" {
		issue, secret = p.refresh, r.PostFormValue("refresh_token")
	}
	p.mu.Lock()
	said, committed := issue(secret), p.committed
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if said.Error != "" {
		w.WriteHeader(http.StatusBadRequest)
	} else {
		committed()
	}
	_ = json.NewEncoder(w).Encode(said) // whoever asked may be gone
}

// subjectOf is the middle of "code.subject" and "refresh.subject.1".
func subjectOf(secret string) string {
	parts := strings.Split(secret+"..", ".")
	return parts[1]
}

// exchange takes a code. One that comes again ends what it was given for (RFC
// 6749 § 4.1.2).
func (p *platform) exchange(code string) answer {
	subject := subjectOf(code)
	if f := p.families[subject]; f != nil {
		f.exchanges++
		f.dead = true
		return answer{Error: "invalid_grant"}
	}
	f := &family{exchanges: 1, serial: 1, expiry: map[string]time.Time{}, presented: map[string]int{}}
	p.families[subject] = f
	return p.issue(subject, f)
}

func (p *platform) refresh(token string) answer {
	subject := subjectOf(token)
	f := p.families[subject]
	if f == nil || f.dead {
		return answer{Error: "invalid_grant"}
	}
	f.presented[token]++
	former := refreshToken(subject, f.serial-1)
	switch {
	case p.rotation.Class == connect.RotationStable:
	case token == refreshToken(subject, f.serial):
		f.serial++
		f.replaced = p.now()
	case token == former && p.now().Before(f.replaced.Add(p.rotation.Grace)):
	default:
		f.alarms++
		f.dead = true
		return answer{Error: "invalid_grant"}
	}
	return p.issue(subject, f)
}

func refreshToken(subject string, serial int) string {
	return fmt.Sprintf("refresh.%s.%d", subject, serial)
}

func (p *platform) issue(subject string, f *family) answer {
	access := fmt.Sprintf("access.%s.%d", subject, f.serial)
	f.expiry[access] = p.now().Add(tokenLife)
	return answer{Subject: subject, Access: access, Refresh: refreshToken(subject, f.serial), ExpiresIn: int(tokenLife.Seconds())}
}

// revoke ends a grant (RFC 7009).
func (p *platform) revoke(_ http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.families[subjectOf(r.PostFormValue("token"))]; f != nil {
		f.dead, f.revoked = true, true
	}
}

// me is the API: it answers to an access token that works.
func (p *platform) me(w http.ResponseWriter, r *http.Request) {
	access := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.families[subjectOf(access)]
	if f == nil || f.dead || !p.now().Before(f.expiry[access]) {
		w.WriteHeader(http.StatusUnauthorized)
	}
}
