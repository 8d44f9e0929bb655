package peers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"testing"
	"time"
)

// startFront serves https for the names in backends, each passed on to its http
// backend, until the test ends. It returns the address it listens on and the
// pool that trusts its certificate.
func startFront(tb testing.TB, backends map[string]string) (address string, roots *x509.CertPool) {
	tb.Helper()
	cert, roots := certify(tb, slices.Sorted(maps.Keys(backends)))
	handlers := map[string]http.Handler{}
	for name, backend := range backends {
		handlers[name] = passTo(tb, backend)
	}
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, ok := handlers[r.Host]
		if !ok {
			http.Error(w, "no such host", http.StatusMisdirectedRequest)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	front.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	front.StartTLS()
	tb.Cleanup(front.Close)
	return front.Listener.Addr().String(), roots
}

// passTo returns a proxy to backend that keeps the Host header, which tells the
// PDS whose handle is asked for.
func passTo(tb testing.TB, backend string) http.Handler {
	tb.Helper()
	target, err := url.Parse(backend)
	if err != nil {
		tb.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}}
}

// certify returns a certificate for names, signed by an authority made for it,
// and a pool that holds the authority.
func certify(tb testing.TB, names []string) (tls.Certificate, *x509.CertPool) {
	tb.Helper()
	authority := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "peers test authority"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: names[0]},
		DNSNames:     names,
		NotBefore:    authority.NotBefore,
		NotAfter:     authority.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	authorityKey, leafKey := newKey(tb), newKey(tb)
	authority = sign(tb, authority, authority, authorityKey, authorityKey)
	leaf = sign(tb, leaf, authority, leafKey, authorityKey)

	roots := x509.NewCertPool()
	roots.AddCert(authority)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: leafKey, Leaf: leaf}, roots
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// sign returns cert for key, signed by parent's key.
func sign(tb testing.TB, cert, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) *x509.Certificate {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, key.Public(), parentKey)
	if err != nil {
		tb.Fatal(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return signed
}
