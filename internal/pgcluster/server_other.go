//go:build !linux

package pgcluster

import (
	"os"
	"os/exec"
)

// asServer does nothing: the server runs as we do.
func asServer(*exec.Cmd) {}

// chown does nothing: what is ours is the server's.
func chown(string) error { return nil }

func stopNow(server *os.Process) error { return server.Kill() }
