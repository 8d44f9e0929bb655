package sqlitestore_test

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// becomeNobody takes from root, who may read everything, the right to, until the
// test ends: on this thread alone. Others may still go to the folder of path.
func becomeNobody(t *testing.T, path string) {
	t.Helper()
	if err := os.Chmod(filepath.Dir(filepath.Dir(path)), 0o711); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	if err := syscall.Setfsuid(65534); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setfsuid(os.Getuid()); err != nil { // before the folder is removed
			t.Error(err)
		}
		runtime.UnlockOSThread()
	})
}
