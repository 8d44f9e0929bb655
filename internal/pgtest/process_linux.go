package pgtest

import "syscall"

// endWithUs makes a process end however we end.
func endWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT} }
