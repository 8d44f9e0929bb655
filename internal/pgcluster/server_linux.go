package pgcluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// asServer makes a program run as the server's user, and end with us however
// we end.
func asServer(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if uid, gid, err := owner(); err == nil && os.Geteuid() == 0 {
		command.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
}

// chown gives a folder to the server's user. PostgreSQL refuses to run as
// root.
func chown(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := owner()
	if err != nil {
		return fmt.Errorf("pgcluster: root cannot run the server: %w", err)
	}
	return os.Chown(dir, uid, gid)
}

func owner() (uid, gid int, err error) {
	who, err := user.Lookup(superuser)
	if err != nil {
		return 0, 0, err
	}
	uid, err1 := strconv.Atoi(who.Uid)
	gid, err2 := strconv.Atoi(who.Gid)
	return uid, gid, errors.Join(err1, err2)
}

// stopNow is PostgreSQL's immediate shutdown.
func stopNow(server *os.Process) error { return server.Signal(syscall.SIGQUIT) }
