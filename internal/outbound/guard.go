package outbound

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// publicV6 is the only part of the IPv6 space that is assigned for global unicast [RFC 4291 § 2.4].
var publicV6 = netip.MustParsePrefix("2000::/3")

// special lists the ranges of the IANA special-purpose address registries, of multicast and of translation
// to IPv4. Nothing in them is a platform. The predicates of netip do not suffice: to them 100.64.0.0/10,
// 198.18.0.0/15, 240.0.0.0/4, 64:ff9b::/96 and 2002::/16 are ordinary global unicast addresses.
//
// https://www.iana.org/assignments/iana-ipv4-special-registry
// https://www.iana.org/assignments/iana-ipv6-special-registry
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),         // this network
	netip.MustParsePrefix("10.0.0.0/8"),        // private use
	netip.MustParsePrefix("100.64.0.0/10"),     // carrier-grade NAT
	netip.MustParsePrefix("127.0.0.0/8"),       // loopback
	netip.MustParsePrefix("169.254.0.0/16"),    // link local, cloud metadata
	netip.MustParsePrefix("172.16.0.0/12"),     // private use
	netip.MustParsePrefix("192.0.0.0/24"),      // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),      // documentation
	netip.MustParsePrefix("192.31.196.0/24"),   // AS112
	netip.MustParsePrefix("192.52.193.0/24"),   // automatic multicast tunnelling
	netip.MustParsePrefix("192.88.99.0/24"),    // 6to4 relays
	netip.MustParsePrefix("192.168.0.0/16"),    // private use
	netip.MustParsePrefix("192.175.48.0/24"),   // AS112
	netip.MustParsePrefix("198.18.0.0/15"),     // benchmarking
	netip.MustParsePrefix("198.51.100.0/24"),   // documentation
	netip.MustParsePrefix("203.0.113.0/24"),    // documentation
	netip.MustParsePrefix("224.0.0.0/4"),       // multicast
	netip.MustParsePrefix("240.0.0.0/4"),       // reserved, broadcast
	netip.MustParsePrefix("::/96"),             // unspecified, loopback, IPv4-compatible
	netip.MustParsePrefix("64:ff9b::/96"),      // NAT64
	netip.MustParsePrefix("64:ff9b:1::/48"),    // NAT64, local use
	netip.MustParsePrefix("100::/64"),          // discard only
	netip.MustParsePrefix("100:0:0:1::/64"),    // dummy prefix
	netip.MustParsePrefix("2001::/23"),         // protocol assignments, Teredo, ORCHID
	netip.MustParsePrefix("2001:db8::/32"),     // documentation
	netip.MustParsePrefix("2002::/16"),         // 6to4
	netip.MustParsePrefix("2620:4f:8000::/48"), // AS112
	netip.MustParsePrefix("3fff::/20"),         // documentation
	netip.MustParsePrefix("5f00::/16"),         // segment routing
	netip.MustParsePrefix("fc00::/7"),          // unique local
	netip.MustParsePrefix("fe80::/10"),         // link local
	netip.MustParsePrefix("fec0::/10"),         // site local
	netip.MustParsePrefix("ff00::/8"),          // multicast
}

// public reports whether a is an ordinary address of the internet. An IPv4-mapped one is judged as IPv4.
func public(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	if a.Is6() && !publicV6.Contains(a) {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// checkAddress refuses what is not a public address with that port.
func checkAddress(address, port string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || strconv.Itoa(int(ap.Port())) != port || !public(ap.Addr()) {
		return ErrBlockedAddress
	}
	return nil
}

type dialer struct {
	guarded, plain net.Dialer
	port           string            // the only port dialled
	only           string            // the sandbox's address, the only one dialled; empty: any public one
	detours        map[string]string // Options.UnsafeDial
}

func newDialer(o Options, rewrite *url.URL, timeout time.Duration) (*dialer, error) {
	if err := checkDialAddresses(o.UnsafeDial); err != nil {
		return nil, err
	}
	d := &dialer{port: "443", detours: make(map[string]string)}
	d.plain = net.Dialer{Timeout: timeout, Resolver: o.Resolver}
	d.guarded = d.plain
	d.guarded.ControlContext = d.guard
	for from, to := range o.UnsafeDial {
		d.detours[strings.ToLower(from)] = to
	}
	if rewrite != nil {
		d.only = hostPort(rewrite)
	}
	return d, nil
}

// guard is a [net.Dialer.ControlContext]: it sees the address of each attempt, after the name was looked up and
// before anything is sent to it.
func (d *dialer) guard(_ context.Context, _, address string, _ syscall.RawConn) error {
	return checkAddress(address, d.port)
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	address = strings.ToLower(address)
	if d.only != "" {
		if address != d.only {
			return nil, ErrBlockedAddress
		}
		return d.plain.DialContext(ctx, network, address)
	}
	if to, ok := d.detours[address]; ok {
		return d.plain.DialContext(ctx, network, to)
	}
	// Refused here too, so that no name is looked up for a port that is never dialled.
	if !strings.HasSuffix(address, ":"+d.port) {
		return nil, ErrBlockedAddress
	}
	return d.guarded.DialContext(ctx, network, address)
}

// hostPort returns the address that the transport dials for u.
func hostPort(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "http":
		port = "80"
	default:
		port = "443"
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

func checkDialAddresses(m map[string]string) error {
	for from, to := range m {
		for _, address := range []string{from, to} {
			if _, _, err := net.SplitHostPort(address); err != nil {
				return fmt.Errorf("outbound: UnsafeDial: %q is not host:port", address)
			}
		}
	}
	return nil
}
