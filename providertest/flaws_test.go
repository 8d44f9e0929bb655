package providertest

import (
	"slices"
	"testing"

	"github.com/seed944197df/connect"
)

// A flaw is a provider, or a Config, that breaks one sentence of the contract.
type flaw struct {
	broken   string
	provider connect.Provider
	findings []string          // all that the suite must say: "check: sentence"
	spoil    func(cfg *Config) // nil where the provider alone is at fault
}

func (f flaw) config(t *testing.T) Config {
	t.Helper()
	cfg := config(t, f.provider)
	if f.spoil != nil {
		f.spoil(&cfg)
	}
	return cfg
}

// flaws returns at least one flaw for each check and for each sentence.
func flaws() []flaw {
	return slices.Concat(configFlaws(), descriptionFlaws(), beginFlaws(), refusedFlaws(), connectFlaws(), loginFlaws(),
		listFlaws(), refreshFlaws(), identifyFlaws(), revokeFlaws(), signFlaws(), classifyFlaws(), transportFlaws(), rubbishFlaws())
}

// is says one sentence in one check.
func is(check, sentence string) []string { return []string{check + ": " + sentence} }
