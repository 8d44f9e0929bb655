package connect

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"time"
)

// newID returns a UUIDv7 (RFC 9562 § 5.7): it sorts by the time of its making,
// so that new rows lie together and lists need no other order.
func newID(now time.Time) string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	var stamp [8]byte
	binary.BigEndian.PutUint64(stamp[:], uint64(now.UnixMilli()))
	copy(id[:6], stamp[2:])
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return formatID(id)
}

func formatID(id [16]byte) string {
	s := hex.EncodeToString(id[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// parseID accepts exactly what formatID writes, so that an id has one
// spelling.
func parseID(s string) ([16]byte, error) {
	var id [16]byte
	raw, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(raw) != len(id) {
		return id, errors.New("connect: not an id")
	}
	copy(id[:], raw)
	if formatID(id) != s {
		return id, errors.New("connect: not an id")
	}
	return id, nil
}
