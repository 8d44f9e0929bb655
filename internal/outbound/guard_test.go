package outbound

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func dialTo(address string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", address)
	}
}

// blocked are addresses that the guard must refuse whatever the port.
var blocked = []string{
	"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255",
	"127.0.0.1", "127.0.0.2", "127.255.255.254", "169.254.0.1", "169.254.169.254", "169.254.170.2",
	"172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.9", "192.0.0.170", "192.0.0.192", "192.0.2.1",
	"192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.0.1", "192.168.255.255", "192.175.48.1",
	"198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9",
	"224.0.0.1", "239.255.255.255", "240.0.0.1", "250.1.2.3", "255.255.255.255",
	"[::]", "[::1]", "[::7f00:1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]",
	"[::ffff:7f00:1]", "[::ffff:0:127.0.0.1]", "[::ffff:100.64.0.1]", "[::ffff:198.18.0.1]", "[::ffff:240.0.0.1]",
	"[64:ff9b::7f00:1]", "[64:ff9b::808:808]", "[64:ff9b:1::a00:1]", "[100::1]", "[100:0:0:1::1]", "[200::1]", "[400::1]",
	"[1fff:ffff::1]", "[2001::1]", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]", "[2001:2::1]", "[2001:10::1]", "[2001:20::1]", "[2001:1ff::1]",
	"[2001:db8::1]", "[2002:7f00:1::]", "[2002:a00:1::1]", "[2620:4f:8000::1]", "[3fff::1]", "[3fff:fff::1]",
	"[4000::1]", "[5f00::1]", "[8000::1]", "[fc00::1]", "[fd00::1]", "[fd00:ec2::254]", "[fe80::1]", "[fe80::1%eth0]", "[febf::1]",
	"[fec0::1]", "[ff02::1]", "[ff0e::1]", "[2606:4700::1111%eth0]", "[::ffff:8.8.8.8%eth0]",
}

// refused are addresses with ports that the guard must refuse.
var refused = []string{
	"8.8.8.8:80", "8.8.8.8:22", "8.8.8.8:8443", "8.8.8.8:0", "[2606:4700::1111]:80",
	"example.com:443", "8.8.8.8:https", "", ":443", "8.8.8.8", "08.8.8.8:443", "2130706433:443", "0x7f.1:443",
}

func TestThreat88_GuardRefuses(t *testing.T) {
	t.Parallel()
	if len(blocked) < 60 {
		t.Fatalf("%d targets, want at least 60", len(blocked))
	}
	targets := slices.Clone(refused)
	for _, address := range blocked {
		targets = append(targets, address+":443")
	}
	for _, target := range targets {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			wantError(t, checkAddress(target, "443"), ErrBlockedAddress)
		})
	}
}

func TestThreat88_GuardAllows(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"1.1.1.1", "8.8.4.4", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.255.255.255",
		"128.0.0.1", "169.253.255.255", "169.255.0.1", "172.15.255.255", "172.32.0.1", "192.0.1.1", "192.167.1.1",
		"192.169.0.1", "198.17.255.255", "198.20.0.1", "203.0.112.1", "223.255.255.255", "104.244.42.1",
		"[2000::1]", "[2001:200::1]", "[2001:4860:4860::8888]", "[2606:4700::1111]", "[2a03:2880::1]",
		"[2003::1]", "[2620:4f:8001::1]", "[3ffe::1]", "[::ffff:8.8.8.8]",
	} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			if err := checkAddress(address+":443", "443"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// The guard's port is that of a listening canary here, so that only the address can be what it refuses.
func TestThreat88_NothingReachesLoopback(t *testing.T) {
	t.Parallel()
	c := newCanary(t)
	for name, target := range map[string]string{
		"IPv4":                "127.0.0.1",
		"unspecified":         "0.0.0.0",
		"mapped":              "::ffff:127.0.0.1",
		"number: decimal":     "2130706433",
		"number: octal":       "0177.0.0.1",
		"number: hexadecimal": "0x7f.0.0.1",
		"number: short":       "127.1",
		"name":                "localhost",
		"looked up":           "pds.example",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := newDialer(Options{Resolver: dnsServer(t, [4]byte{127, 0, 0, 1})}, nil, defaultTimeouts().dial)
			if err != nil {
				t.Fatal(err)
			}
			d.port = c.port()
			conn, err := d.dial(t.Context(), "tcp", net.JoinHostPort(target, c.port()))
			if err == nil {
				conn.Close()
			}
			// Resolvers differ in whether they take a number for a name.
			var lookup *net.DNSError
			if strings.HasPrefix(name, "number: ") && errors.As(err, &lookup) {
				return
			}
			wantError(t, err, ErrBlockedAddress)
		})
	}
}

func TestThreat88_RequestsRefused(t *testing.T) {
	t.Parallel()
	c := newCanary(t)
	client := newTestClient(t, Options{Resolver: dnsServer(t, [4]byte{127, 0, 0, 1})}, defaultTimeouts())
	for name, tt := range map[string]struct {
		url  string
		want error
	}{
		"loopback":      {"https://127.0.0.1/", ErrBlockedAddress},
		"metadata":      {"https://169.254.169.254/latest/meta-data/", ErrBlockedAddress},
		"IPv6 loopback": {"https://[::1]/", ErrBlockedAddress},
		"zone":          {"https://[fe80::1%25lo]/", ErrBlockedAddress},
		"other port":    {"https://127.0.0.1:" + c.port() + "/", ErrBlockedAddress},
		"port 80":       {"https://pds.example:80/", ErrBlockedAddress},
		"name":          {"https://pds.example/", ErrBlockedAddress},
		"http":          {"http://127.0.0.1:" + c.port() + "/", ErrInsecureScheme},
		"file":          {"file://localhost/etc/passwd", ErrInsecureScheme},
		"upper case":    {"HTTP://127.0.0.1:" + c.port() + "/", ErrInsecureScheme},
		"userinfo":      {"https://user@127.0.0.1/", errUserinfo},
	} {
		for kind, hc := range map[string]*http.Client{"provider": client.HTTP(), "host": {Transport: client.Transport()}} {
			t.Run(name+" by "+kind, func(t *testing.T) {
				t.Parallel()
				_, err := fetch(t, hc, tt.url)
				wantError(t, err, tt.want)
				if !NotSent(err) {
					t.Error("NotSent = false for a refused request")
				}
			})
		}
	}
}

func TestThreat89_RebindingRefused(t *testing.T) {
	t.Parallel()
	c := newCanary(t)
	resolver := dnsServer(t, [4]byte{93, 184, 215, 14}, [4]byte{127, 0, 0, 1})

	d, err := newDialer(Options{Resolver: resolver}, nil, defaultTimeouts().dial)
	if err != nil {
		t.Fatal(err)
	}
	d.port = c.port()
	stopped := errors.New("a public address, which no test connects to")
	guard := d.guarded.ControlContext
	d.guarded.ControlContext = func(ctx context.Context, network, address string, conn syscall.RawConn) error {
		if err := guard(ctx, network, address, conn); err != nil {
			return err
		}
		return stopped
	}

	// Who judges an answer of the resolver and asks again to connect, connects to the canary now.
	_, err = d.dial(t.Context(), "tcp", "rebind.example.:"+c.port())
	wantError(t, err, stopped)
	_, err = d.dial(t.Context(), "tcp", "rebind.example.:"+c.port())
	wantError(t, err, ErrBlockedAddress)
}

func TestThreat91_EnvironmentProxyIgnored(t *testing.T) {
	c := newCanary(t)
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, "http://"+c.Addr().String())
	}
	t.Setenv("NO_PROXY", "")
	o := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("direct")) }))
	client := newTestClient(t, o, defaultTimeouts())

	got, err := fetch(t, client.HTTP(), "https://"+host+"/")
	if err != nil || got != "direct" {
		t.Fatalf("answer = %q, %v", got, err)
	}
	_, err = fetch(t, client.HTTP(), "https://169.254.169.254/")
	wantError(t, err, ErrBlockedAddress)
	for _, base := range []*http.Transport{client.calls, client.carried} {
		if base.Proxy != nil {
			t.Error("a transport has a proxy")
		}
	}
}

func TestUnsafeDial(t *testing.T) {
	t.Parallel()
	c := newCanary(t)
	o := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))

	t.Run("other names stay guarded", func(t *testing.T) {
		t.Parallel()
		_, err := fetch(t, newTestClient(t, o, defaultTimeouts()).HTTP(), "https://127.0.0.1:"+c.port()+"/")
		wantError(t, err, ErrBlockedAddress)
	})
	t.Run("case does not matter", func(t *testing.T) {
		t.Parallel()
		if _, err := fetch(t, newTestClient(t, o, defaultTimeouts()).HTTP(), "https://EXAMPLE.com/"); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("certificate is for the name", func(t *testing.T) {
		t.Parallel()
		wrong := o
		wrong.UnsafeDial = map[string]string{"other.test:443": o.UnsafeDial[host+":443"]}
		_, err := fetch(t, newTestClient(t, wrong, defaultTimeouts()).HTTP(), "https://other.test/")
		wantError(t, err, errCertificate)
		if !NotSent(err) {
			t.Error("NotSent = false after a failed handshake")
		}
	})
	t.Run("certificate is trusted", func(t *testing.T) {
		t.Parallel()
		untrusting := o
		untrusting.RootCAs = nil
		_, err := fetch(t, newTestClient(t, untrusting, defaultTimeouts()).HTTP(), "https://"+host+"/")
		wantError(t, err, errCertificate)
	})
}

func TestHostPort(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"http://localhost":      "localhost:80",
		"https://Sandbox.test":  "sandbox.test:443",
		"http://127.0.0.1:8081": "127.0.0.1:8081",
		"http://[::1]:8081":     "[::1]:8081",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := hostPort(u); got != want {
			t.Errorf("hostPort(%s) = %s, want %s", raw, got, want)
		}
	}
}
