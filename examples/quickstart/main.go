// Command quickstart is a small host application with the engine mounted at
// /connect/, on SQLite, against the sandbox: it shows the whole of what a host
// writes, and runs on a machine that has only Go.
//
//	go run ./examples/quickstart
//
// A platform whose CONNECT_<PLATFORM>_CLIENT_ID and _CLIENT_SECRET are set is
// the real one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/pages"
	"github.com/seed944197df/connect/sandbox"
	"github.com/seed944197df/connect/sqlitestore"
	"github.com/seed944197df/connect/tokencrypt"
)

// settings are the flags.
type settings struct {
	addr, sandbox, db string
	returnOrigins     []string
}

func main() {
	var s settings
	flag.StringVar(&s.addr, "addr", "127.0.0.1:8080", "address of the host application; loopback only")
	flag.StringVar(&s.sandbox, "sandbox", "127.0.0.1:8081", "address of the sandbox; loopback only")
	flag.StringVar(&s.db, "db", "quickstart.db", "SQLite file; its key ring is kept beside it, as FILE.keys")
	flag.Func("return-origin", "origin that flows may return to, such as https://app.example.com; may be repeated", func(origin string) error {
		s.returnOrigins = append(s.returnOrigins, origin)
		return nil
	})
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "quickstart: %q is not a flag; see -help\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, s, func(url string) { fmt.Println("quickstart is ready: " + url) })
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends. It calls ready with the host's URL once both
// addresses take connections.
func run(ctx context.Context, s settings, ready func(url string)) error {
	app, err := listen(ctx, s.addr, "-addr")
	if err != nil {
		return err
	}
	defer app.Close()
	box, err := listen(ctx, s.sandbox, "-sandbox")
	if err != nil {
		return err
	}
	defer box.Close()
	origin, boxOrigin := "http://"+app.Addr().String(), "http://"+box.Addr().String()

	offer, err := offerings(origin)
	if err != nil {
		return err
	}
	if info, err := os.Stat(filepath.Dir(s.db)); err != nil || !info.IsDir() {
		return fmt.Errorf("-db %q: its folder must exist", s.db)
	}
	keys, err := keyring(s.db)
	if err != nil {
		return err
	}
	store, err := sqlitestore.Open(ctx, s.db, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	platforms, err := sandbox.New(sandbox.Options{Clients: offer.sandboxClients, StateFile: s.db + ".sandbox"})
	if err != nil {
		return err
	}
	h := newHost(origin, boxOrigin)
	if h.engine, err = newEngine(h, offer, store, keys, s.returnOrigins); err != nil {
		return err
	}
	ready(origin + "/")
	return serve(ctx, h.engine, server{app, h.routes()}, server{box, platforms})
}

// newEngine composes the engine: this is what a host writes.
func newEngine(h *host, offer offer, store connect.Store, keys *tokencrypt.Keyring, returnOrigins []string) (*connect.Connector, error) {
	rewrite := h.sandbox
	if len(offer.sandboxed) == 0 {
		rewrite = "" // every platform is the real one
	}
	return connect.New(connect.Config{
		BaseURL:                h.origin + "/connect",
		Store:                  store,
		Keys:                   keys,
		Providers:              offer.providers,
		Authenticate:           h.authenticate,
		ReturnOrigins:          append(returnOrigins, h.origin),
		DefaultReturnURL:       h.origin + "/",
		Theme:                  pages.Theme{ProductName: productName, HomeURL: "/", SignInURL: "/"},
		Logger:                 slog.New(slog.NewTextHandler(os.Stderr, nil)),
		UnsafeRewriteHost:      rewrite,
		UnsafeRewritePlatforms: offer.sandboxed,
	})
}

func listen(ctx context.Context, addr, name string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("%s %q: give a loopback address with a port, such as 127.0.0.1:8080", name, addr)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s %s is in use by another program; choose another with %s 127.0.0.1:PORT", name, addr, name)
	}
	return l, err
}

// server is a listener and what answers on it.
type server struct {
	net.Listener
	http.Handler
}

// start serves in the background; failed gets why it ended.
func (s server) start(failed chan<- error) *http.Server {
	srv := &http.Server{Handler: s.Handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { failed <- srv.Serve(s.Listener) }()
	return srv
}

// serve answers until ctx ends or a server fails, then lets what is under way
// finish: the host's requests first, then the engine, then the platforms that
// it may still be calling.
func serve(ctx context.Context, engine *connect.Connector, app, platforms server) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var background sync.WaitGroup
	background.Go(func() { _ = engine.Run(ctx) })
	failed := make(chan error, 2)
	appServer, platformServer := app.start(failed), platforms.start(failed)
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	cancel()
	ending, end := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer end()
	err = errors.Join(err, appServer.Shutdown(ending))
	err = errors.Join(err, engine.Close(ending))
	background.Wait()
	return errors.Join(err, platformServer.Shutdown(ending))
}

// environment names the variable of a platform's setting.
func environment(platform, setting string) string {
	return os.Getenv("CONNECT_" + strings.ToUpper(platform) + "_" + setting)
}
