package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

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
func offerings(origin string) (offer, error) {
	o := offer{sandboxClients: map[string]sandbox.Client{}}
	xClient, xErr := o.client("x", origin)
	metaApp, metaErr := o.client("facebook", origin)
	if err := errors.Join(xErr, metaErr, o.bluesky()); err != nil {
		return o, err
	}
	o.providers = []connect.Provider{
		x.New(x.Options{ClientID: xClient.ID, ClientSecret: connect.NewSecret(xClient.Secret)}),
		facebook.New(facebook.Options{AppID: metaApp.ID, AppSecret: connect.NewSecret(metaApp.Secret)}),
		bluesky.New(nil),
	}
	return o, nil
}

// client returns a platform's client.
func (o *offer) client(platform, origin string) (sandbox.Client, error) {
	id, secret := environment(platform, "CLIENT_ID"), environment(platform, "CLIENT_SECRET")
	if id != "" && secret != "" {
		return sandbox.Client{ID: id, Secret: secret}, nil
	}
	if id != "" || secret != "" {
		name := "CONNECT_" + strings.ToUpper(platform)
		return sandbox.Client{}, fmt.Errorf("set both %s_CLIENT_ID and %s_CLIENT_SECRET for the real platform, or neither", name, name)
	}
	registered := sandbox.Client{ID: "900000000000001", Secret: "sandbox-secret-of-" + platform, RedirectURIs: []string{origin + "/connect/callback/" + platform}}
	o.sandboxed = append(o.sandboxed, platform)
	o.sandboxClients[platform] = registered
	return registered, nil
}

// bluesky needs no client for an app password, only a word on which one.
func (o *offer) bluesky() error {
	switch which := os.Getenv("CONNECT_BLUESKY"); which {
	case "real":
		return nil
	case "", "sandbox":
		o.sandboxed = append(o.sandboxed, "bluesky")
		return nil
	default:
		return fmt.Errorf(`CONNECT_BLUESKY is %q; set it to "real" or leave it`, which)
	}
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
