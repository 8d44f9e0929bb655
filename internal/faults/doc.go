// Package faults shows by its tests what the engine does where PostgreSQL, the
// network or its own process fails.
package faults
