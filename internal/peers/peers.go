// Package peers starts real servers on loopback for tests: software that was
// not written for this project and so does not share its mistakes.
//
// Only tests import it. A peer that is not installed ends the test by
// [testreq.Missing]; ".ci/run" installs them all into .tools/peers.
package peers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed944197df/connect/internal/testreq"
)

// installation returns the folder with the installed peers, which is
// $CONNECT_PEERS_DIR or .tools/peers of the repository, and the folder
// with the scripts that run them. It ends the test where there is no
// installation.
func installation(tb testing.TB) (installed, scripts string) {
	tb.Helper()
	root, err := repository()
	if err != nil {
		tb.Fatal(err)
	}
	installed = folder(root)
	if _, err := os.Stat(filepath.Join(installed, "node_modules", "@atproto", "pds")); err != nil {
		testreq.Missing(tb, "the reference PDS", fmt.Sprintf("%v (.ci/run installs it)", err))
	}
	return installed, filepath.Join(root, ".ci", "peers")
}

func folder(root string) string {
	if dir := os.Getenv("CONNECT_PEERS_DIR"); dir != "" {
		return dir
	}
	return filepath.Join(root, ".tools", "peers")
}

// Module returns the folder of an npm module that is installed beside the
// peers, or ends the test where it is not.
func Module(tb testing.TB, name string) string {
	tb.Helper()
	root, err := repository()
	if err != nil {
		tb.Fatal(err)
	}
	dir := filepath.Join(folder(root), "node_modules", name)
	if _, err := os.Stat(dir); err != nil {
		testreq.Missing(tb, name, fmt.Sprintf("%v (.ci/run installs it)", err))
	}
	return dir
}

// repository returns the closest folder at or above the working directory
// that has the peers' scripts. Tests run in their package's folder.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, ".ci", "peers", "network.mjs")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("peers: no .ci/peers/network.mjs at or above the working directory")
		}
		dir = parent
	}
}
