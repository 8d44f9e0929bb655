package connect

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/seed944197df/connect/tokencrypt"
)

// maxState bounds a state: it is refused above this before anything is parsed.
// What the default encoder writes is at most 255 characters, the shortest
// limit that a platform advises.
const maxState = 512

// maxClaim bounds a platform's and a client's name in a state, in bytes.
const maxClaim = 32

// StateClaims is all that a state says: it names the flow, and the flow's row
// says the rest.
type StateClaims struct {
	FlowID   string
	Platform string
	Client   string
	Expiry   time.Time // to the second
}

// StateEncoder seals the state parameter (RFC 6749 § 10.12). Most users leave
// [Config.State] nil; a host that must understand states elsewhere supplies
// its own.
//
// A sealed state must be URL-safe ASCII, at most 255 characters, and must not
// tell its claims to who has no key. OpenState must refuse whatever SealState
// did not write, always with the same error; it is given at most 512 bytes. It
// does not check Expiry. Both must be safe for concurrent use.
type StateEncoder interface {
	SealState(StateClaims) (string, error)
	OpenState(state string) (StateClaims, error)
}

// errState says nothing more, so that nothing can be learned by trying.
var errState = errors.New("the state is not one of ours")

// jweState is the default encoder: a compact JWE (RFC 7516) with "dir" and
// A256GCM.
//
// Security: algorithms are pinned before any key is touched, the key id must
// be one of ours exactly, the protected header names the purpose, and a header
// with anything else in it, zip above all, is refused. A state has one
// spelling, so that no two strings are the same state.
type jweState struct{ keys *tokencrypt.Keyring }

const stateType = jose.ContentType("state")

// SealState implements [StateEncoder].
func (s jweState) SealState(claims StateClaims) (string, error) {
	kid := s.keys.PrimaryID()
	key, err := s.keys.Derive(purposeState, kid)
	if err != nil {
		return "", err
	}
	payload, err := claims.pack()
	if err != nil {
		return "", err
	}
	options := (&jose.EncrypterOptions{}).WithType(stateType)
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: key, KeyID: kid}, options)
	if err != nil {
		return "", err
	}
	sealed, err := encrypter.Encrypt(payload)
	if err != nil {
		return "", err
	}
	return sealed.CompactSerialize()
}

// OpenState implements [StateEncoder].
func (s jweState) OpenState(state string) (StateClaims, error) {
	if len(state) > maxState {
		return StateClaims{}, errState
	}
	sealed, err := jose.ParseEncryptedCompact(state, []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil || !asWritten(state, sealed) {
		return StateClaims{}, errState
	}
	key, err := s.keys.Derive(purposeState, sealed.Header.KeyID)
	if err != nil {
		return StateClaims{}, errState
	}
	payload, err := sealed.Decrypt(key)
	if err != nil {
		return StateClaims{}, errState
	}
	return unpackClaims(payload)
}

// asWritten reports whether a state is spelled as SealState spells it: with our
// header, byte for byte, and in canonical base64. go-jose also reads other
// headers, line breaks, and bits behind the last byte.
func asWritten(state string, sealed *jose.JSONWebEncryption) bool {
	header := fmt.Sprintf(`{"alg":%q,"enc":%q,"kid":%q,"typ":%q}`, jose.DIRECT, jose.A256GCM, sealed.Header.KeyID, stateType)
	spelled, err := sealed.CompactSerialize()
	return err == nil && state == spelled && strings.HasPrefix(state, base64.RawURLEncoding.EncodeToString([]byte(header))+"..")
}

// pack writes the claims in few bytes: the flow's 16, the expiry's 8, then
// platform and client, each with its length. JSON would pass 255 characters.
func (claims StateClaims) pack() ([]byte, error) {
	id, err := parseID(claims.FlowID)
	if err != nil || len(claims.Platform) > maxClaim || len(claims.Client) > maxClaim {
		return nil, errors.New("connect: state claims are out of range")
	}
	payload := binary.BigEndian.AppendUint64(id[:], uint64(claims.Expiry.Unix()))
	for _, s := range []string{claims.Platform, claims.Client} {
		payload = append(append(payload, byte(len(s))), s...)
	}
	return payload, nil
}

func unpackClaims(payload []byte) (StateClaims, error) {
	if len(payload) < 24 {
		return StateClaims{}, errState
	}
	claims := StateClaims{
		FlowID: formatID([16]byte(payload)),
		Expiry: time.Unix(int64(binary.BigEndian.Uint64(payload[16:24])), 0),
	}
	rest := payload[24:]
	for _, field := range []*string{&claims.Platform, &claims.Client} {
		if len(rest) == 0 || rest[0] > maxClaim || len(rest)-1 < int(rest[0]) {
			return StateClaims{}, errState
		}
		*field, rest = string(rest[1:1+rest[0]]), rest[1+rest[0]:]
	}
	if len(rest) != 0 {
		return StateClaims{}, errState
	}
	return claims, nil
}
