package outbound

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What is dialled is an ordinary address, port 443, however it is written.
func FuzzGuard(f *testing.F) {
	for _, address := range blocked {
		f.Add(address + ":443")
	}
	for _, address := range append(refused, "1.1.1.1:443", "[2606:4700::1111]:443", "[::ffff:8.8.8.8]:443", "[::ffff:808:808]:443") {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		if err := checkAddress(address, "443"); err != nil {
			wantError(t, err, ErrBlockedAddress)
			return
		}
		host, port, err := net.SplitHostPort(address)
		ip := net.ParseIP(host)
		number, portErr := strconv.Atoi(port)
		if err := errors.Join(err, portErr); err != nil || ip == nil || number != 443 || !ordinary(ip) {
			t.Errorf("%q is dialled: %v", address, err)
		}
	})
}

// The table of ranges is compared with the registries as they read in octets.
func FuzzPublic(f *testing.F) {
	for _, address := range blocked {
		if a, err := netip.ParseAddr(strings.Trim(address, "[]")); err == nil {
			high, low := a.As16(), a.As16()
			f.Add(binary.BigEndian.Uint64(high[:8]), binary.BigEndian.Uint64(low[8:]))
		}
	}
	f.Add(uint64(0x2606_4700_0000_0000), uint64(0x1111))
	f.Add(uint64(0), uint64(0xffff_0808_0808)) // ::ffff:8.8.8.8
	f.Fuzz(func(t *testing.T, high, low uint64) {
		ip := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, high), low)
		v6, v4 := netip.AddrFrom16([16]byte(ip)), netip.AddrFrom4([4]byte(ip))
		if public(v6) != ordinary(ip) || public(v4) != ordinary4([4]byte(ip)) {
			t.Errorf("%s: %t, %s: %t", v6, public(v6), v4, public(v4))
		}
		if public(v6.WithZone("eth0")) {
			t.Errorf("%s%%eth0 is public", v6)
		}
	})
}

// ordinary reports whether ip is in none of the registries' ranges.
func ordinary(ip net.IP) bool {
	if v4 := ip.To4(); v4 != nil {
		return ordinary4([4]byte(v4))
	}
	first, second, third := binary.BigEndian.Uint16(ip), binary.BigEndian.Uint16(ip[2:]), binary.BigEndian.Uint16(ip[4:])
	switch {
	case first < 0x2000, first > 0x3fff: // not assigned for global unicast
		return false
	case first == 0x2001 && (second < 0x0200 || second == 0x0db8): // protocols, documentation
		return false
	case first == 0x2002, first == 0x2620 && second == 0x004f && third == 0x8000: // 6to4, AS112
		return false
	case first == 0x3fff && second < 0x1000: // documentation
		return false
	}
	return true
}

func ordinary4(ip [4]byte) bool {
	switch block := fmt.Sprintf("%d.%d.%d", ip[0], ip[1], ip[2]); block {
	case "192.0.0", "192.0.2", "192.31.196", "192.52.193", "192.88.99", "192.175.48", "198.51.100", "203.0.113":
		return false
	}
	switch ip[0] {
	case 0, 10, 127:
		return false
	case 100:
		return ip[1] < 64 || ip[1] > 127
	case 169:
		return ip[1] != 254
	case 172:
		return ip[1] < 16 || ip[1] > 31
	case 192:
		return ip[1] != 168
	case 198:
		return ip[1] != 18 && ip[1] != 19
	}
	return ip[0] < 224
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// redirecting is a client without a network, each of whose requests is
// answered alike, and the requests that passed.
func redirecting(limits Limits, status int, location string) (*http.Client, *[]*url.URL) {
	var sent []*url.URL
	rules := &transport{limits: &limits}
	return &http.Client{CheckRedirect: limits.checkRedirect, Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
		call := &call{req: req}
		if err := rules.checkRequest(req); err != nil {
			return nil, call.fail(err)
		}
		sent = append(sent, req.URL)
		resp := &http.Response{StatusCode: status, Header: http.Header{"Location": {location}}, Body: http.NoBody, Request: req}
		if err := rules.checkResponse(resp); err != nil {
			return nil, call.fail(err)
		}
		return resp, nil
	})}, &sent
}

// Wherever a server points, only https is asked, at most three times more, and
// nothing of it is told.
func FuzzThreat90_Location(f *testing.F) {
	for _, location := range []string{
		"https://other.test/x", "/x", "", "//other.test", "http://example.com/", "https://user:pass@other.test/", "file:///etc/passwd",
		"https://169.254.169.254/", "https://[::1%25lo]/", "javascript:alert(1)", "https:other", "?a=b", "%zz", "https://a\x00b/", "https://a:b:c/", "//",
	} {
		f.Add(location, 302)
		f.Add(location, 307)
	}
	f.Add("/x", 304)
	f.Fuzz(func(t *testing.T, location string, status int) {
		for _, limits := range []Limits{{}, {Redirects: maxRedirects}} {
			client, sent := redirecting(limits, status, location)
			resp, err := client.Get("https://example.com/canary?canary=canary")
			if err != nil {
				wantKnown(t, Redact(err))
			} else if isRedirect(resp.StatusCode) {
				t.Errorf("%d %q is an answer", status, location)
			}
			if len(*sent) > 1+limits.Redirects {
				t.Errorf("%d %q is followed %d times", status, location, len(*sent)-1)
			}
			for _, u := range *sent {
				if u.Scheme != "https" || u.Host == "" || u.User != nil || u.Opaque != "" {
					t.Errorf("%d %q leads to %v", status, location, u)
				}
			}
		}
	})
}

// An error that net/http made of any address and any cause tells no more than
// the host.
func FuzzRedact(f *testing.F) {
	f.Add("https://example.com/v1/me?access_token=canary", "malformed HTTP response \"canary\"", "asking: ")
	f.Add("https://user:canary@[::1]:443/#canary", "EOF", "Get \"https://example.com/canary\": ")
	f.Add("%zz", "", "")
	f.Fuzz(func(t *testing.T, address, cause, prefix string) {
		err := Redact(fmt.Errorf("%s%w", prefix, &url.Error{Op: "Get", URL: address, Err: errors.New(cause)}))
		kept, ok := errors.AsType[*redacted](err)
		if !ok || kept.prefix != "" && (kept.prefix != prefix || strings.Contains(prefix, "://")) {
			t.Fatalf("Redact = %v", err)
		}
		wantKnown(t, errors.Unwrap(err))
	})
}

// wantKnown fails unless err is made of a method, a host and a cause of ours.
func wantKnown(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*callError](err)
	if !ok {
		t.Fatalf("error = %v", err)
	}
	causes := []error{
		ErrBlockedAddress, ErrInsecureScheme, ErrBodyTooLarge, ErrUnexpectedRedirect, errRequest, errUserinfo, errUpgrade,
		errBroken, io.ErrUnexpectedEOF,
	}
	if !slices.Contains(causes, e.cause) || e.method != http.MethodGet || strings.ContainsAny(e.host, "/?#@") {
		t.Errorf("method %q, host %q, cause %v", e.method, e.host, e.cause)
	}
	if want := fmt.Sprintf("outbound: GET %.255q: %v", e.host, e.cause); !strings.HasSuffix(err.Error(), want) {
		t.Errorf("error = %q, want %q", err, want)
	}
}
