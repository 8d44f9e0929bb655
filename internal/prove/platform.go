package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/seed944197df/connect"
)

// The platform as the engine sees it. Its calls are rewritten to loopback, with
// the host as the first part of the path.
const (
	platformName = "prove"
	platformHost = "platform.test"
	tokenPath    = "/token"
)

// platform is a token endpoint that tells its truth to a file.
type platform struct {
	families map[string]*family
	life     time.Duration
	truth    *journal
}

func newPlatform(st stage, truth *journal) *platform {
	p := &platform{families: map[string]*family{}, life: st.Life, truth: truth}
	for i := range st.Grants {
		grant := grantName(i)
		p.families[grant] = newFamily(grant, i, rotationOf(st.Class), st.Seed)
	}
	return p
}

// runPlatform serves until ctx ends. The first line that it prints is where.
func runPlatform(ctx context.Context, st stage) error {
	truth, err := openJournal(st.truth())
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "http://"+listener.Addr().String())
	mux := http.NewServeMux()
	mux.Handle("POST /"+platformHost+tokenPath, newPlatform(st, truth))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return server.Serve(listener)
}

// answer is what the token endpoint says (RFC 6749 § 5).
type answer struct {
	Access    string `json:"access_token,omitempty"`
	Refresh   string `json:"refresh_token,omitempty"`
	ExpiresIn int    `json:"expires_in,omitempty"`
	Error     string `json:"error,omitempty"`
}

// ServeHTTP implements [http.Handler]. It ends what it has begun, whoever has
// died meanwhile.
func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	grant, _, _ := strings.Cut(r.PostFormValue("refresh_token"), ".")
	if name := r.PostFormValue("username"); name != "" {
		grant = name
	}
	f := p.families[grant]
	switch {
	case f == nil:
		http.Error(w, "no such grant", http.StatusNotFound)
		return
	case r.PostFormValue("grant_type") == "password":
		reply(w, p.connect(f, now))
		return
	}
	worker, _ := strconv.Atoi(r.PostFormValue("worker")) // the checker misses one that is no number
	refresh, access := r.PostFormValue("refresh_token"), r.PostFormValue("access_token")
	p.tell(event{At: now, Kind: presented, Grant: grant, Worker: worker, Refresh: fingerprint(refresh), Access: fingerprint(access)})
	before, after := f.delays()
	<-time.After(before)
	said := p.decide(f, refresh, worker)
	<-time.After(after)
	reply(w, said)
}

// connect gives a grant its first tokens, whose lives differ so that the
// refreshes do not come all at once.
func (p *platform) connect(f *family, now time.Time) answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	life := shortestLife + time.Duration(f.chance.Int64N(int64(p.life-shortestLife)+1))
	tokens := f.connect(now, life.Truncate(time.Second))
	p.tell(event{At: now, Kind: issued, Grant: f.grant, Generation: 1, Refresh: fingerprint(tokens.refresh), Access: fingerprint(tokens.access), Expiry: tokens.expiry})
	return tokens.answer(now)
}

// shortestLife of an access token: the engine refreshes none earlier than ten
// seconds after it was issued.
const shortestLife = 15 * time.Second

// decide is the platform's commit: what it writes down has happened.
func (p *platform) decide(f *family, refresh string, worker int) answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	tokens, kind := f.present(refresh, now, p.life)
	e := event{At: now, Kind: kind, Grant: f.grant, Worker: worker, Generation: tokens.generation}
	if kind == issued || kind == repeated {
		e.Refresh, e.Access, e.Expiry = fingerprint(tokens.refresh), fingerprint(tokens.access), tokens.expiry
	}
	p.tell(e)
	if kind == refused || kind == alarmed {
		return answer{Error: "invalid_grant"}
	}
	return tokens.answer(now)
}

func (t pair) answer(now time.Time) answer {
	return answer{Access: t.access, Refresh: t.refresh, ExpiresIn: int(t.expiry.Sub(now).Seconds())}
}

// tell writes to the record. Without it the run is worth nothing: the process
// ends, before anything was promised to anybody, and the run with it.
func (p *platform) tell(e event) {
	if err := p.truth.write(e); err != nil {
		fmt.Fprintln(os.Stderr, "platform:", err)
		os.Exit(1)
	}
}

func reply(w http.ResponseWriter, a answer) {
	w.Header().Set("Content-Type", "application/json")
	if a.Error != "" {
		w.WriteHeader(http.StatusBadRequest)
	}
	_ = json.NewEncoder(w).Encode(a) //nolint:gosec,errchkjson // the tokens are the answer; whoever asked may be dead
}

// describe is the platform as the engine is told of it.
func describe(class string) connect.Platform {
	return connect.Platform{
		Name: platformName, DisplayName: "Prove",
		Methods: []connect.Method{{
			ID: "name", Type: connect.MethodCredentials,
			Fields: []connect.Field{{Name: "name", Label: "Name", Required: true}},
		}},
		Kinds:    []connect.Kind{{Name: "profile"}},
		Rotation: rotationOf(class),
		Hosts:    []string{platformHost},
	}
}
