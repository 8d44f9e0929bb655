package connect

import (
	"context"
	"time"
)

// Process returns an engine as another process would have it: New with a store,
// a clock and a provider of its own. It shares what New takes longest for, the
// parsed pages, because the model starts some processes in each system.
func Process(c *Connector, store Store, now func() time.Time, provider Provider) *Connector {
	cfg := c.cfg
	cfg.Store, cfg.Now, cfg.Providers = store, now, []Provider{provider}
	platforms, order, err := cfg.newAdapters()
	if err != nil {
		panic(err)
	}
	process := &Connector{
		cfg: cfg, base: c.base, platforms: platforms, order: order, returns: c.returns,
		live: c.live, sandbox: c.sandbox, pages: c.pages,
	}
	for _, a := range order {
		a.env, a.gates = process.newEnv(a), newGates(now)
	}
	process.background, process.stop = context.WithCancel(context.Background())
	return process
}
