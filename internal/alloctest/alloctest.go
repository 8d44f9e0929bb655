// Package alloctest measures, for tests, how much memory code asks for.
package alloctest

import (
	"math"
	"runtime"
)

// Bytes returns how many bytes the process allocates while f runs: the least
// of some runs, since the runtime allocates too. Nothing else may run at the
// same time, so a test that calls it is not parallel.
func Bytes(runs int, f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range runs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}
