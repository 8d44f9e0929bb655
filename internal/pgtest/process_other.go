//go:build !linux

package pgtest

import "syscall"

// endWithUs does nothing: only stop ends the process.
func endWithUs() *syscall.SysProcAttr { return nil }
