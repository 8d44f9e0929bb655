package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/bluesky"
	"github.com/seed944197df/connect/providers/facebook"
	"github.com/seed944197df/connect/providers/x"
	"github.com/seed944197df/connect/sandbox"
	"github.com/seed944197df/connect/tokencrypt"
)

// offer is what the host offers to connect, and which of it is the sandbox's.
type offer struct {
	providers      []connect.Provider
	sandboxed      []string
	sandboxClients map[string]sandbox.Client
}

// offerings uses the real platform where the environment has a client for it,
// and the sandbox's own client everywhere else.
func offerings(origin string) offer {
	o := offer{sandboxClients: map[string]sandbox.Client{}}
	xID, xSecret := o.client("x", origin)
	appID, appSecret := o.client("facebook", origin)
	o.providers = []connect.Provider{
		x.New(x.Options{ClientID: xID, ClientSecret: xSecret}),
		facebook.New(facebook.Options{AppID: appID, AppSecret: appSecret}),
		bluesky.New(nil),
	}
	if os.Getenv("CONNECT_BLUESKY") != "real" { // an app password needs no client
		o.sandboxed = append(o.sandboxed, "bluesky")
	}
	return o
}

// client returns a platform's client id and secret.
func (o *offer) client(platform, origin string) (id string, secret connect.Secret) {
	id, value := environment(platform, "CLIENT_ID"), environment(platform, "CLIENT_SECRET")
	if id != "" && value != "" {
		return id, tokencrypt.NewSecret(value)
	}
	registered := sandbox.Client{ID: "900000000000001", Secret: "sandbox-secret-of-" + platform, RedirectURIs: []string{origin + "/connect/callback/" + platform}}
	o.sandboxed = append(o.sandboxed, platform)
	o.sandboxClients[platform] = registered
	return registered.ID, tokencrypt.NewSecret(registered.Secret)
}

// keyring reads the key ring beside the database, or makes one for a new
// database. A real host keeps its keys apart from the data.
func keyring(db string) (*tokencrypt.Keyring, error) {
	path := db + ".keys"
	text, err := os.ReadFile(path) //nolint:gosec // the path is the operator's own flag
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(db); err == nil {
			return nil, fmt.Errorf("%s exists, but its key ring %s is missing: put it back, or remove the database to begin anew", db, path)
		}
		return newKeyring(path)
	}
	if err != nil {
		return nil, err
	}
	ring, err := tokencrypt.ParseKeyring(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ring, nil
}

func newKeyring(path string) (*tokencrypt.Keyring, error) {
	key, err := tokencrypt.GenerateKey("k1")
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // as above
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteString(key.Text() + "\n"); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return tokencrypt.NewKeyring(key)
}
