//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// asGroup makes the end of a command the end of all that it has started: go
// test waits for its tests, whatever it is told itself.
func asGroup(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
}
