package connect_test

import (
	"context"
	"errors"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/selection"
	"github.com/seed944197df/connect/tokencrypt"
)

var (
	errModelDied  = errors.New("the process has died")
	errModelStore = errors.New("the connection to the store is lost")
)

// fate is what the schedule makes of a call.
type fate int

const (
	fateFine     fate = iota
	fateUntold        // it happens, and the caller is told that it may not have
	fateFails         // it does not happen, and the caller is told so
	fateUnsent        // the request cannot leave the process
	fateVanishes      // the request leaves, and does not arrive
	fateRefused       // the platform refuses what is good
)

var fates = []string{"", ", and its answer is lost", " fails", " cannot leave", " leaves and does not arrive", " is refused by mistake"}

// modelCall is a call beyond a process that waits for its turn. Only the
// schedule runs it.
type modelCall struct {
	life  *modelLife
	name  string
	run   func(fate)
	done  chan struct{}
	since time.Time
	gone  bool // its caller has given up
	slept bool // its process stood still past its lease meanwhile
}

// modelLife is a process from its start to its end: an engine with a clock of
// its own.
type modelLife struct {
	m      *model
	worker int
	skew   time.Duration
	engine *connect.Connector
	ctx    context.Context // of what the process is asked to do
	end    context.CancelFunc
	died   chan struct{}

	dead, frozen bool            // with tasks guarded by model.mu
	tasks        map[string]bool // that are under way

	froze    time.Time
	open     []*modelShown
	marks    map[*modelPair]int    // how often it may present each
	attempts map[*modelPair]string // the last for which it may
	logins   map[string]*modelPair // that it got last, by subject
}

func (m *model) start(worker int) *modelLife {
	l := &modelLife{
		m: m, worker: worker, skew: m.skews[worker], died: make(chan struct{}),
		tasks: map[string]bool{}, marks: map[*modelPair]int{}, attempts: map[*modelPair]string{}, logins: map[string]*modelPair{},
	}
	l.ctx, l.end = context.WithCancel(context.Background())
	now := func() time.Time { return time.Now().Add(l.skew) }
	l.engine = connect.Process(m.template, &modelStore{life: l}, now, &modelProvider{l})
	m.lives[worker] = l
	return l
}

// crash ends the process. Nothing that it does from now on reaches anybody.
func (l *modelLife) crash() {
	l.m.mu.Lock()
	l.dead, l.frozen = true, false
	l.m.mu.Unlock()
	close(l.died)
	l.end()
	l.excuse()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_ = l.engine.Close(over)
}

func (l *modelLife) freeze() {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.frozen, l.froze = true, time.Now()
}

func (l *modelLife) wake() {
	slept := l.overslept()
	if time.Since(l.froze) >= modelKept {
		l.forget()
	}
	l.m.mu.Lock()
	l.frozen = false
	l.m.mu.Unlock()
	for _, call := range l.m.calls {
		call.slept = call.slept || slept && call.life == l
	}
	if !slept {
		return
	}
	l.excuse()
	for _, p := range l.open {
		p.slept = true
	}
}

// modelKept is how long a process keeps new tokens for a store that does not
// take them.
const modelKept = 5 * time.Minute

// forget says that the process has lost what it was given and has not stored.
func (l *modelLife) forget() {
	for _, pair := range l.m.platform.pairs {
		if pair.delivered == l {
			pair.delivered = nil
		}
	}
}

// overslept reports whether a claim of the process may have run out because it
// stands still: claims are renewed
// at a third of their lease, and that may take a sixth.
func (l *modelLife) overslept() bool { return l.frozen && time.Since(l.froze) >= l.m.lease/2 }

// excuse says that nobody can know what became of what the process has sent.
func (l *modelLife) excuse() {
	for _, p := range l.open {
		p.excused = true
	}
}

// begin lets the process do something.
func (l *modelLife) begin(task string, do func(context.Context)) {
	l.m.mu.Lock()
	l.tasks[task] = true
	l.m.mu.Unlock()
	go func() {
		do(l.ctx)
		l.m.mu.Lock()
		defer l.m.mu.Unlock()
		delete(l.tasks, task)
	}()
}

// at reports whether the process is at a task.
func (l *modelLife) at(task string) bool {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	return l.tasks[task]
}

func (l *modelLife) round() {
	l.begin("round", func(ctx context.Context) { connect.Round(ctx, l.engine) })
}

func (l *modelLife) use(a *modelAccount) {
	l.begin("use", func(ctx context.Context) { _, _ = l.engine.TokenSource(ctx, acmeKey.Tenant, a.id) })
}

func (l *modelLife) disconnect(a *modelAccount) {
	l.begin("disconnect", func(ctx context.Context) { _, _ = l.engine.Disconnect(ctx, acmeKey, a.id) })
}

func (l *modelLife) connect(subject string) {
	l.begin("connect", func(ctx context.Context) {
		who := map[string]connect.Secret{"who": tokencrypt.NewSecret(subject)}
		_, _ = l.engine.ConnectCredentials(ctx, acmeKey, connect.CredentialsRequest{Platform: "fake", Values: who})
	})
}

// reach waits until the schedule lets a call happen. Where over is closed
// first the caller gives up.
func (l *modelLife) reach(name string, over <-chan struct{}, run func(*modelCall, fate)) error {
	call := &modelCall{life: l, name: name, done: make(chan struct{}), since: time.Now()}
	call.run = func(f fate) { run(call, f) }
	l.m.mu.Lock()
	if l.dead {
		l.m.mu.Unlock()
		return errModelDied
	}
	l.m.arrived = append(l.m.arrived, call)
	l.m.mu.Unlock()
	select {
	case <-call.done:
		return nil
	case <-l.died:
		return errModelDied
	case <-over:
		l.m.mu.Lock()
		defer l.m.mu.Unlock()
		call.gone = true
		return context.DeadlineExceeded
	}
}

// modelProvider is the platform as one process sees it.
type modelProvider struct{ life *modelLife }

// Platform implements [connect.Provider].
func (p *modelProvider) Platform() connect.Platform {
	m := p.life.m
	return connect.Platform{
		Name: "fake", DisplayName: "Fake", Client: connect.Client{ID: "fake-client"},
		Methods:  []connect.Method{{ID: "form", Type: connect.MethodCredentials, Fields: []connect.Field{{Name: "who", Required: true}}}},
		Kinds:    []connect.Kind{{Name: "profile"}},
		Rotation: connect.Rotation{Class: m.declared, Grace: modelGrace},
		Revokes:  m.platform.reach,
	}
}

// Login implements [connect.Credentials].
func (p *modelProvider) Login(_ context.Context, env connect.Env, req connect.LoginRequest) (*connect.Tokens, error) {
	subject := req.Values["who"].Reveal()
	var pair *modelPair
	err := p.life.reach("login", nil, func(*modelCall, fate) {
		pair = p.life.m.platform.consent(subject, time.Now())
		pair.told = env.Now().Add(modelTTL)
		p.life.logins[subject] = pair
	})
	if err != nil {
		return nil, err
	}
	return pair.tokens(), nil
}

func (pair *modelPair) tokens() *connect.Tokens {
	subject, told := pair.family.subject, pair.told
	return &connect.Tokens{
		Subject: subject, AccessExpiry: &told,
		Access: tokencrypt.NewSecret(pair.access), Refresh: tokencrypt.NewSecret(pair.refresh),
		Self: &connect.Candidate{Candidate: selection.Candidate{Kind: "profile", PlatformID: subject, Name: subject}},
	}
}

// Refresh implements [connect.Refresher]. The request arrives and the answer
// comes back in two turns, with the platform's own commit between them.
func (p *modelProvider) Refresh(ctx context.Context, env connect.Env, old *connect.Tokens) (*connect.Tokens, error) {
	var fresh *modelPair
	var shown *modelShown
	var said error
	err := p.life.reach("request", ctx.Done(), func(call *modelCall, f fate) {
		shown, fresh, said = p.life.present(call, old.Access.Reveal(), f)
	})
	if err == nil && said == nil {
		err = p.life.reach("answer", ctx.Done(), func(_ *modelCall, f fate) {
			if f == fateUntold {
				shown.excused = true
				said = &connect.ProviderError{Class: connect.ClassUncertain}
				return
			}
			if fresh != nil {
				fresh.told = env.Now().Add(modelTTL)
				fresh.delivered = p.life
			}
		})
	}
	switch {
	case err != nil:
		return nil, &connect.ProviderError{Class: connect.ClassUncertain, Err: err}
	case said != nil:
		return nil, said
	case fresh == nil:
		return nil, &connect.ProviderError{Class: connect.ClassReconnect, Status: 400, Code: "invalid_grant"}
	}
	return fresh.tokens(), nil
}

// Revoke implements [connect.Revoker].
func (p *modelProvider) Revoke(ctx context.Context, _ connect.Env, tokens *connect.Tokens) error {
	var said error
	err := p.life.reach("revoke", ctx.Done(), func(_ *modelCall, f fate) {
		if f != fateFails && !p.life.m.lazy {
			p.life.m.platform.revoke(p.life.m.platform.pairs[tokens.Access.Reveal()])
		}
		if f != fateFine {
			said = &connect.ProviderError{Class: connect.ClassRetry, Status: 502}
		}
	})
	if err != nil {
		return &connect.ProviderError{Class: connect.ClassUncertain, Err: err}
	}
	return said
}
