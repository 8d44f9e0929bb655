package connect

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect/internal/alloctest"
	"github.com/seed944197df/connect/tokencrypt"
)

func testRing(t *testing.T, id string) *tokencrypt.Keyring {
	t.Helper()
	key, err := tokencrypt.GenerateKey(id)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := tokencrypt.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func testClaims(platform, client string) StateClaims {
	now := time.Now().Truncate(time.Second)
	return StateClaims{FlowID: newID(now), Platform: platform, Client: client, Expiry: now}
}

// longest are the longest claims there can be.
func longest() StateClaims {
	return testClaims(strings.Repeat("p", 32), strings.Repeat("c", 32))
}

func sealState(t *testing.T, state jweState, claims StateClaims) string {
	t.Helper()
	sealed, err := state.SealState(claims)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// mustRefuse checks that a state is refused as every other one is.
func mustRefuse(t *testing.T, state jweState, name, sealed string) {
	t.Helper()
	if got, err := state.OpenState(sealed); !errors.Is(err, errState) || err.Error() != errState.Error() || got != (StateClaims{}) {
		t.Errorf("%s: claims %+v, error %v, want none and %v: %q", name, got, err, errState, sealed)
	}
}

func deriveKey(t *testing.T, ring *tokencrypt.Keyring, purpose string) []byte {
	t.Helper()
	key, err := ring.Derive(purpose, ring.PrimaryID())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// forgery is a compact JWE that is made as ours are, but for what it names.
type forgery struct {
	alg     jose.KeyAlgorithm
	enc     jose.ContentEncryption
	key     any
	kid     string
	zip     jose.CompressionAlgorithm
	header  map[jose.HeaderKey]any
	payload []byte
	p2c     int
}

func (f forgery) seal(t *testing.T) string {
	t.Helper()
	options := &jose.EncrypterOptions{Compression: f.zip, ExtraHeaders: f.header}
	recipient := jose.Recipient{Algorithm: f.alg, Key: f.key, KeyID: f.kid, PBES2Count: f.p2c}
	encrypter, err := jose.NewEncrypter(f.enc, recipient, options)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := encrypter.Encrypt(f.payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := sealed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// honest is a forgery that is none: everything is as SealState writes it.
func honest(t *testing.T, ring *tokencrypt.Keyring) forgery {
	t.Helper()
	payload, err := testClaims("x", "shared").pack()
	if err != nil {
		t.Fatal(err)
	}
	return forgery{
		alg: jose.DIRECT, enc: jose.A256GCM, key: deriveKey(t, ring, purposeState), kid: ring.PrimaryID(),
		header: map[jose.HeaderKey]any{"typ": "state"}, payload: payload,
	}
}

func TestHonestForgeryOpens(t *testing.T) {
	t.Parallel()
	ring := testRing(t, "k1")
	if _, err := (jweState{ring}).OpenState(honest(t, ring).seal(t)); err != nil {
		t.Errorf("the forger of these tests does not write what SealState does: %v", err)
	}
}

func TestStateRoundTrip(t *testing.T) {
	t.Parallel()
	state := jweState{testRing(t, "a-key-id-of-16ch")}
	for _, claims := range []StateClaims{longest(), testClaims("x", "shared"), testClaims("", "")} {
		got, err := state.OpenState(sealState(t, state, claims))
		if diff := cmp.Diff(claims, got); diff != "" || err != nil {
			t.Errorf("error %v, claims (-want +got):\n%s", err, diff)
		}
	}
}

// 255 characters is the shortest limit that a platform advises.
func TestStateLength(t *testing.T) {
	t.Parallel()
	if _, err := tokencrypt.GenerateKey(strings.Repeat("k", 17)); err == nil {
		t.Fatal("key ids have become longer than this test knows")
	}
	state := jweState{testRing(t, strings.Repeat("k", 16))}
	if sealed := sealState(t, state, longest()); len(sealed) > 255 {
		t.Errorf("the longest state has %d characters, want at most 255", len(sealed))
	}
	for name, claims := range map[string]StateClaims{
		"platform":  testClaims(strings.Repeat("p", 33), "shared"),
		"client":    testClaims("x", strings.Repeat("c", 33)),
		"flow id":   {FlowID: "not an id"},
		"spelling":  {FlowID: strings.ToUpper("0192f0c1-aaaa-7bbb-8ccc-ddddeeeeffff")},
		"no claims": {},
	} {
		if sealed, err := state.SealState(claims); err == nil {
			t.Errorf("%s: out of range, and sealed as %q", name, sealed)
		}
	}
}

func TestThreat44_EveryBit(t *testing.T) {
	t.Parallel()
	for group := range 4 {
		t.Run(strconv.Itoa(group), func(t *testing.T) {
			t.Parallel()
			for i := group; i < 100; i += 4 {
				ring := testRing(t, strings.Repeat("k", 1+i%16))
				flipEveryBit(t, jweState{ring}, testClaims(strings.Repeat("p", i%9), strings.Repeat("c", i%5)))
			}
		})
	}
}

func flipEveryBit(t *testing.T, state jweState, claims StateClaims) {
	t.Helper()
	whole := sealState(t, state, claims)
	sealed := []byte(whole)
	for bit := range 8 * len(sealed) {
		sealed[bit/8] ^= 1 << (bit % 8)
		if got, err := state.OpenState(string(sealed)); err != errState || got != (StateClaims{}) { //nolint:errorlint // the very same error
			t.Errorf("%s, bit %d: claims %+v, error %v", whole, bit, got, err)
		}
		sealed[bit/8] ^= 1 << (bit % 8)
	}
	if _, err := state.OpenState(string(sealed)); err != nil {
		t.Errorf("the state itself: %v", err)
	}
}

// A state has one spelling: what decodes to the same bytes is not the same.
func TestThreat44_OneSpelling(t *testing.T) {
	t.Parallel()
	state := jweState{testRing(t, "k1")}
	sealed := sealState(t, state, testClaims("x", "shared"))
	for n := range len(sealed) {
		mustRefuse(t, state, fmt.Sprintf("the first %d characters", n), sealed[:n])
		mustRefuse(t, state, fmt.Sprintf("a newline at %d", n), sealed[:n]+"\n"+sealed[n:])
		mustRefuse(t, state, fmt.Sprintf("a carriage return at %d", n), sealed[:n]+"\r"+sealed[n:])
	}
	parts := strings.Split(sealed, ".")
	for name, other := range map[string]string{
		"padded":           sealed + "==",
		"followed":         sealed + "A",
		"newline at end":   sealed + "\n",
		"a sixth part":     sealed + ".",
		"twice":            sealed + sealed,
		"four parts":       strings.Join(parts[:4], "."),
		"an encrypted key": parts[0] + ".AAAA." + strings.Join(parts[2:], "."),
		"parts swapped":    strings.Join([]string{parts[0], "", parts[3], parts[2], parts[4]}, "."),
		"JSON":             `{"protected":"` + parts[0] + `","iv":"` + parts[2] + `","ciphertext":"` + parts[3] + `","tag":"` + parts[4] + `"}`,
		"standard base64":  strings.NewReplacer("-", "+", "_", "/").Replace(sealed) + "=",
	} {
		mustRefuse(t, state, name, other)
	}
}

func TestThreat44_ClaimsAreWhole(t *testing.T) {
	t.Parallel()
	ring := testRing(t, "k1")
	f := honest(t, ring)
	whole := f.payload
	for n := range whole {
		f.payload = whole[:n]
		mustRefuse(t, jweState{ring}, fmt.Sprintf("%d bytes of claims", n), f.seal(t))
	}
	f.payload = append(slices.Clone(whole), 0)
	mustRefuse(t, jweState{ring}, "one byte more", f.seal(t))
}

//nolint:paralleltest // it counts what the process allocates
func TestThreat45_ZipBomb(t *testing.T) {
	ring := testRing(t, "k1")
	state := jweState{ring}
	f := honest(t, ring)
	f.zip = jose.DEFLATE
	f.payload = append(f.payload, make([]byte, 130_000)...) // go-jose would inflate up to 250 000
	bomb := f.seal(t)
	if len(bomb) > maxState {
		t.Fatalf("the bomb has %d bytes and does not come to be parsed", len(bomb))
	}
	if n := alloctest.Bytes(10, func() { mustRefuse(t, state, "zip", bomb) }); n >= 64<<10 {
		t.Errorf("refusing it allocates %d bytes, want less than 64 KiB", n)
	}
	f = honest(t, ring)
	f.zip = jose.DEFLATE
	mustRefuse(t, state, "zip of good claims", f.seal(t))
}

//nolint:paralleltest // it counts what the process allocates
func TestThreat45_LengthCap(t *testing.T) {
	ring := testRing(t, "k1")
	for _, length := range []int{64 << 10, 1 << 20} {
		long := honest(t, ring).seal(t) + strings.Repeat("A", length)
		if n := alloctest.Bytes(10, func() { mustRefuse(t, jweState{ring}, "a long state", long) }); n > 4<<10 {
			t.Errorf("a state of %d bytes is refused after %d bytes were allocated: it was parsed", len(long), n)
		}
	}
	f := honest(t, ring)
	f.payload = make([]byte, maxState)
	if touchesKey(f.seal(t)) {
		t.Error("a state that is too long gets as far as the keys")
	}
}

// touchesKey reports whether opening a state gets as far as the keys: there
// are none, which panics.
func touchesKey(sealed string) (touched bool) {
	defer func() { touched = recover() != nil }()
	_, _ = jweState{}.OpenState(sealed)
	return false
}

// otherAlgorithms are sealed with the right secret, in every way but ours.
func otherAlgorithms(t *testing.T, f forgery) map[string]string {
	t.Helper()
	secret, ok := f.key.([]byte)
	if !ok {
		t.Fatal("the secret is no key")
	}
	twice := append(slices.Clone(secret), secret...)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sealed := map[string]string{}
	for _, other := range []forgery{
		{alg: jose.DIRECT, enc: jose.A128GCM, key: secret[:16]},
		{alg: jose.DIRECT, enc: jose.A192GCM, key: secret[:24]},
		{alg: jose.DIRECT, enc: jose.A128CBC_HS256, key: secret},
		{alg: jose.DIRECT, enc: jose.A192CBC_HS384, key: twice[:48]},
		{alg: jose.DIRECT, enc: jose.A256CBC_HS512, key: twice},
		{alg: jose.A128KW, enc: jose.A256GCM, key: secret[:16]},
		{alg: jose.A192KW, enc: jose.A256GCM, key: secret[:24]},
		{alg: jose.A256KW, enc: jose.A256GCM, key: secret},
		{alg: jose.A128GCMKW, enc: jose.A256GCM, key: secret[:16]},
		{alg: jose.A256GCMKW, enc: jose.A256GCM, key: secret},
		{alg: jose.A256KW, enc: jose.A128CBC_HS256, key: secret},
		{alg: jose.PBES2_HS256_A128KW, enc: jose.A256GCM, key: secret, p2c: 1000},
		{alg: jose.PBES2_HS512_A256KW, enc: jose.A256GCM, key: secret, p2c: 1000},
		{alg: jose.ECDH_ES, enc: jose.A256GCM, key: ecKey.Public()},
		{alg: jose.RSA_OAEP_256, enc: jose.A256GCM, key: rsaKey.Public()},
	} {
		other.kid, other.header, other.payload = f.kid, f.header, f.payload
		sealed[string(other.alg)+" "+string(other.enc)] = other.seal(t)
	}
	return sealed
}

// headed replaces the header of a state, without the key.
func headed(sealed, header string) string {
	_, rest, _ := strings.Cut(sealed, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
}

func TestThreat46_AlgorithmConfusion(t *testing.T) {
	t.Parallel()
	ring := testRing(t, "k1")
	f := honest(t, ring)
	ours := f.seal(t)
	if !touchesKey(ours) {
		t.Fatal("a state of ours is not noticed to touch the key")
	}
	refused := otherAlgorithms(t, f)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: f.key}, (&jose.SignerOptions{}).WithType("state").WithHeader("kid", f.kid))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(f.payload)
	if err != nil {
		t.Fatal(err)
	}
	if refused["JWS"], err = signed.CompactSerialize(); err != nil {
		t.Fatal(err)
	}
	payload := base64.RawURLEncoding.EncodeToString(f.payload)
	refused["unsigned JWS"] = headed("."+payload+".", `{"alg":"none"}`)
	for name, header := range map[string]string{
		"none":              `{"alg":"none","enc":"A256GCM","kid":"k1","typ":"state"}`,
		"enc none":          `{"alg":"dir","enc":"none","kid":"k1","typ":"state"}`,
		"PBES2, p2c of 1e9": `{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","kid":"k1","typ":"state","p2c":1000000000,"p2s":"c2FsdHNhbHQ"}`,
		"alg in capitals":   `{"alg":"DIR","enc":"A256GCM","kid":"k1","typ":"state"}`,
		"alg twice":         `{"alg":"dir","alg":"dir","enc":"A256GCM","kid":"k1","typ":"state"}`,
		"no alg":            `{"enc":"A256GCM","kid":"k1","typ":"state"}`,
		"no enc":            `{"alg":"dir","kid":"k1","typ":"state"}`,
		"a list":            `["dir"]`,
		"nothing":           ``,
	} {
		refused[name] = headed(ours, header)
	}
	for name, sealed := range refused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if touchesKey(sealed) {
				t.Error("it is refused only after the key was asked for")
			}
			mustRefuse(t, jweState{ring}, name, sealed)
		})
	}
}

// The header is part of what is sealed: only who has the key could change it,
// and even then nothing but ours is read.
func TestThreat46_OnlyOurHeader(t *testing.T) {
	t.Parallel()
	ring, other := testRing(t, "k1"), testRing(t, "k1")
	for name, change := range map[string]func(*forgery){
		"unknown kid":        func(f *forgery) { f.kid = "k2" },
		"no kid":             func(f *forgery) { f.kid = "" },
		"kid with a space":   func(f *forgery) { f.kid = "k1 " },
		"kid in capitals":    func(f *forgery) { f.kid = "K1" },
		"the kid of a path":  func(f *forgery) { f.kid = "../k1" },
		"another ring's key": func(f *forgery) { f.key = deriveKey(t, other, purposeState) },
		"another purpose":    func(f *forgery) { f.header["typ"] = "ticket" },
		"no purpose":         func(f *forgery) { delete(f.header, "typ") },
		"purpose no text":    func(f *forgery) { f.header["typ"] = []string{"state"} },
		"crit":               func(f *forgery) { f.header["crit"] = []string{"exp"} },
		"cty":                func(f *forgery) { f.header["cty"] = "JWT" },
		"nonce":              func(f *forgery) { f.header["nonce"] = "n" },
		"x5c":                func(f *forgery) { f.header["x5c"] = []string{} },
		"x5u":                func(f *forgery) { f.header["x5u"] = "https://evil.example/key" },
		"jku":                func(f *forgery) { f.header["jku"] = "https://evil.example/key" },
		"jwk":                func(f *forgery) { f.header["jwk"] = publicJWK(t) },
		"apu":                func(f *forgery) { f.header["apu"] = "QQ" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := honest(t, ring)
			change(&f)
			mustRefuse(t, jweState{ring}, name, f.seal(t))
		})
	}
}

func publicJWK(t *testing.T) map[string]any {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(key.PublicKey().Bytes())}
}

// A state says where the flow is, and nothing of what is in it.
func TestThreat48_ClaimsAreAllThereIs(t *testing.T) {
	t.Parallel()
	ring := testRing(t, "k1")
	claims := StateClaims{FlowID: "0192f0c1-aaaa-7bbb-8ccc-ddddeeeeffff", Platform: "x", Client: "shared", Expiry: time.Unix(0x65000000, 0)}
	sealed, err := jose.ParseEncryptedCompact(sealState(t, jweState{ring}, claims), []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		t.Fatal(err)
	}
	got, err := sealed.Decrypt(deriveKey(t, ring, purposeState))
	if err != nil {
		t.Fatal(err)
	}
	want := []byte("\x01\x92\xf0\xc1\xaa\xaa\x7b\xbb\x8c\xcc\xdd\xdd\xee\xee\xff\xff" + "\x00\x00\x00\x00\x65\x00\x00\x00" + "\x01x" + "\x06shared")
	if !bytes.Equal(got, want) {
		t.Errorf("a state holds %q, want %q", got, want)
	}
	header, _, _ := strings.Cut(sealState(t, jweState{ring}, claims), ".")
	raw, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"alg": "dir", "enc": "A256GCM", "kid": "k1", "typ": "state"}, fields); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

func TestThreat49_OtherPurpose(t *testing.T) {
	t.Parallel()
	ring := testRing(t, "k1")
	for _, purpose := range []string{purposeTicket, purposeSession, purposeLink, purposeCookie, purposeForm, "rest"} {
		f := honest(t, ring)
		f.key = deriveKey(t, ring, purpose)
		mustRefuse(t, jweState{ring}, "sealed as "+purpose, f.seal(t))
		f.header["typ"] = purpose
		mustRefuse(t, jweState{ring}, "sealed and named as "+purpose, f.seal(t))
		f = honest(t, ring)
		f.header["typ"] = purpose
		mustRefuse(t, jweState{ring}, "named as "+purpose, f.seal(t))
	}
	staging := testRing(t, "k1") // the same id, another key
	mustRefuse(t, jweState{ring}, "of another environment", sealState(t, jweState{staging}, testClaims("x", "shared")))
}

// Ids are random beyond their time, so that 10^6 of one millisecond differ,
// and a handle differs for each flow and purpose.
func TestThreat51_Unique(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ids := make(map[string]struct{}, 1_000_000)
	for range 1_000_000 {
		ids[newID(now)] = struct{}{}
	}
	if len(ids) != 1_000_000 {
		t.Errorf("%d of 1000000 ids are different", len(ids))
	}
	c := &Connector{cfg: Config{Keys: testRing(t, "k1")}}
	handles := map[string]struct{}{}
	for id := range ids {
		for _, purpose := range []string{purposeLink, purposeSession, purposeTicket, purposeCookie} {
			handle, err := c.handle(purpose, Flow{ID: id, KeyID: "k1"})
			if raw, decodeErr := base64.RawURLEncoding.DecodeString(handle); err != nil || decodeErr != nil || len(raw) != 32 {
				t.Fatalf("handle of %d bytes, errors %v, %v", len(raw), err, decodeErr)
			}
			handles[handle] = struct{}{}
		}
		if len(handles) == 4*5000 {
			break
		}
	}
	if len(handles) != 4*5000 {
		t.Errorf("%d handles are different", len(handles))
	}
}
