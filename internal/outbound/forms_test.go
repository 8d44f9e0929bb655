package outbound

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
)

// spellings are hosts of URLs that lead, or led in some program, to ourselves
// or to where only we may go. Each is sent through the whole client.
var spellings = []string{
	// ourselves, as an address
	"127.0.0.1", "127.0.0.2", "127.255.255.254", "0.0.0.0", "0.0.0.1",
	"[::1]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::]", "[::127.0.0.1]", "[::7f00:1]",
	"[::ffff:127.0.0.1]", "[::FFFF:7F00:1]", "[0:0:0:0:0:ffff:7f00:1]", "[::ffff:0.0.0.0]", "[::ffff:0:127.0.0.1]",
	// with a zone
	"[::1%25lo]", "[::1%251]", "[fe80::1%25lo]", "[fe80::1%25eth0]", "[::ffff:127.0.0.1%25lo]", "[2606:4700::1111%25lo]",
	// inside of another address: NAT64, 6to4, Teredo
	"[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[64:ff9b:1:ffff::10.0.0.1]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]",
	"[2001:0:4136:e378:8000:63bf:80ff:fffe]", "[2001::1]",
	// as a name, which here always means 127.0.0.1
	"localhost", "LOCALHOST", "localhost.", "pds.example", "a.localhost", "127.0.0.1.nip.example", "metadata.google.internal",
	"localho\u017ft", "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3", "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021", "127.0.0\uff0e1",
	// private and shared
	"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "100.127.255.254", "[fc00::1]", "[fd00:ec2::254]", "[fec0::1]",
	// the metadata of a cloud
	"169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]",
	// registered for something else
	"192.0.0.1", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.175.48.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
	"[100::1]", "[100:0:0:1::1]", "[2001:2::1]", "[2001:10::1]", "[2001:20::1]", "[2001:30::1]", "[2001:db8::1]", "[2620:4f:8000::1]", "[3fff::1]", "[5f00::1]",
	// nobody or everybody
	"224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.254", "255.255.255.255", "[ff02::1]", "[ff05::1:3]", "[4000::1]", "[e000::1]",
}

// numbers are addresses to some resolvers, names to others, and to the rest
// nothing at all.
var numbers = []string{
	"127.1", "127.0.1", "127.0.0.1.", "2130706433", "017700000001", "0177.0.0.1", "0177.1", "127.0.0.01", "127.000.000.001", "0127.0.0.1",
	"0x7f000001", "0x7f.1", "0x7f.0.0.1", "0X7F.0x0.0x0.0x1", "0", "00", "0x0", "4294967296", "127.0.0.1.0",
	"2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "169.16689662", "0xA9.254.0251.0xfe",
}

// everywhere is a canary at every address of this machine.
func everywhere(t *testing.T) *canary {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	return watch(t, l)
}

// guardedAt is the client of providers, but for its port: with that of a canary
// the address alone can be what it refuses.
func guardedAt(t *testing.T, port string, resolver *net.Resolver) *http.Client {
	t.Helper()
	o, times := Options{Resolver: resolver}, defaultTimeouts()
	d, err := newDialer(o, nil, times.dial)
	if err != nil {
		t.Fatal(err)
	}
	d.port = port
	base := newTransport(o, d, times)
	t.Cleanup(base.CloseIdleConnections)
	return &http.Client{Transport: (&Client{options: o}).transport(base, &Limits{Timeout: times.total, Body: defaultBody})}
}

func TestThreat88_EverySpelling(t *testing.T) {
	t.Parallel()
	if len(spellings)+len(numbers) < 60 {
		t.Fatalf("%d targets, want at least 60", len(spellings)+len(numbers))
	}
	c := everywhere(t)
	client := guardedAt(t, c.port(), dnsServer(t, [4]byte{127, 0, 0, 1}))
	for _, host := range slices.Concat(spellings, numbers) {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			_, err := fetch(t, client, "https://"+host+":"+c.port()+"/")
			if errors.Is(err, errLookup) && slices.Contains(numbers, host) {
				return
			}
			wantError(t, err, ErrBlockedAddress)
			if !NotSent(err) {
				t.Error("NotSent = false for a refused connection")
			}
		})
	}
}

// Every address of an answer is judged, in either family.
func TestThreat88_EveryRecord(t *testing.T) {
	t.Parallel()
	c := everywhere(t)
	for name, records := range map[string][]string{
		"A":                      {"127.0.0.1"},
		"A, unspecified":         {"0.0.0.0"},
		"AAAA":                   {"::1"},
		"AAAA, unspecified":      {"::"},
		"AAAA, mapped":           {"::ffff:127.0.0.1"},
		"AAAA, NAT64":            {"64:ff9b::7f00:1"},
		"AAAA, local NAT64":      {"64:ff9b:1::7f00:1"},
		"AAAA, 6to4":             {"2002:7f00:1::"},
		"AAAA, unique local":     {"fd00::1"},
		"AAAA, link local":       {"fe80::1"},
		"both":                   {"::1", "127.0.0.1"},
		"many":                   {"127.0.0.1", "127.0.0.2", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"},
		"several of one network": {"10.0.0.1", "10.0.0.2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resolver := dnsAnswering(t, func(v6 bool) (answers []netip.Addr) {
				for _, record := range records {
					if addr := netip.MustParseAddr(record); addr.Is6() == v6 {
						answers = append(answers, addr)
					}
				}
				return answers
			})
			_, err := fetch(t, guardedAt(t, c.port(), resolver), "https://pds.example:"+c.port()+"/")
			wantError(t, err, ErrBlockedAddress)
			if !NotSent(err) {
				t.Error("NotSent = false for a refused connection")
			}
		})
	}
}

// A redirect is one more address from outside, after the first that was good.
func TestThreat90_EverySpelling(t *testing.T) {
	t.Parallel()
	c := newCanary(t)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		for location, want := range map[string]error{
			"//169.254.169.254/latest/meta-data/":                             ErrBlockedAddress,
			"https://[::ffff:a9fe:a9fe]/":                                     ErrBlockedAddress,
			"https://[64:ff9b::a9fe:a9fe]/":                                   ErrBlockedAddress,
			"https://[fe80::1%25lo]/":                                         ErrBlockedAddress,
			"https://localhost/":                                              ErrBlockedAddress,
			"https://pds.example/":                                            ErrBlockedAddress,
			"https://example.com:" + c.port() + "/":                           ErrBlockedAddress,
			"https://127.0.0.1:443/":                                          ErrBlockedAddress,
			"http://example.com/":                                             ErrInsecureScheme,
			"HTTP://127.0.0.1:" + c.port() + "/":                              ErrInsecureScheme,
			"file:///etc/passwd":                                              errRequest,
			"gopher://127.0.0.1:" + c.port() + "/_x":                          ErrInsecureScheme,
			"https:169.254.169.254":                                           errRequest,
			"https:///latest":                                                 errRequest,
			"https://example.com@169.254.169.254/":                            errUserinfo,
			"https://169.254.169.254\\@" + host + "/":                         ErrUnexpectedRedirect,
			"https://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3/": ErrBlockedAddress,
		} {
			t.Run(http.StatusText(status)+" "+location, func(t *testing.T) {
				t.Parallel()
				o := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					next := location
					if r.URL.Path == "/" {
						next = "/hop" // the first hop is an honest one
					}
					w.Header().Set("Location", next)
					w.WriteHeader(status)
				}))
				o.Resolver = dnsServer(t, [4]byte{127, 0, 0, 1})
				_, err := fetch(t, newTestClient(t, o, defaultTimeouts()).WithLimits(Limits{Redirects: 3}), "https://"+host+"/")
				wantError(t, err, want)
			})
		}
	}
}

// What http.Client does not follow is no answer either.
func TestThreat90_OtherStatuses(t *testing.T) {
	t.Parallel()
	for _, status := range []int{300, 305, 306, 309, 310, 399} {
		for name, location := range map[string]string{"another path": "/next", "another host": "https://169.254.169.254/", "none": ""} {
			t.Run(fmt.Sprintf("%d, %s", status, name), func(t *testing.T) {
				t.Parallel()
				client := newTestClient(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Location", location)
					w.WriteHeader(status)
				})), defaultTimeouts())
				for _, allowed := range []int{0, maxRedirects} {
					_, err := fetch(t, client.WithLimits(Limits{Redirects: allowed}), "https://"+host+"/")
					wantError(t, err, ErrUnexpectedRedirect)
				}
			})
		}
	}
}
