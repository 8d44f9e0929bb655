package tokencrypt

import "encoding/binary"

// maxBindingField is the most bytes that a field of a Binding may have.
const maxBindingField = 4096

// Binding says which value is sealed. A sealed value opens only with the
// Binding it was sealed with, so whoever can write the database cannot move it
// to another tenant, record or field, nor put an older one back.
//
// Purpose and Record must not be empty, since a Binding without them binds to
// nothing; no field may be longer than 4096 bytes. Nothing here is secret and
// nothing of it is stored in the sealed value: both sides know it.
type Binding struct {
	Purpose    string // what the value is for, such as "grant"
	Tenant     string // the tenant that owns the record; empty for what belongs to no tenant
	Record     string // the id of the record
	Field      string // the column or member that holds the value; empty if there is only one
	Generation int64  // the version of the record; one that grows makes older values useless
}

// valid reports whether b binds to something.
func (b Binding) valid() bool {
	for _, field := range []string{b.Purpose, b.Tenant, b.Record, b.Field} {
		if len(field) > maxBindingField {
			return false
		}
	}
	return b.Purpose != "" && b.Record != ""
}

// associatedData returns the bytes that are authenticated with a value: the
// header of the blob that names the key keyID, and b.
//
// Security: each field has its length before it. Without, ("ab", "c") and
// ("a", "bc") would be the same bytes, and a value could move between them.
func (b Binding) associatedData(keyID string) []byte {
	generation := binary.BigEndian.AppendUint64(nil, uint64(b.Generation))
	var data []byte
	for _, field := range []string{
		string([]byte{version}), string([]byte{algXAES}), keyID,
		b.Purpose, b.Tenant, b.Record, b.Field, string(generation),
	} {
		data = binary.BigEndian.AppendUint32(data, uint32(len(field)))
		data = append(data, field...)
	}
	return data
}
