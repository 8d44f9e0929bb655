// Package tokencrypt seals tokens and other secrets for storage, and keeps
// them out of logs.
//
// A [Keyring] seals a value for one place, its [Binding], and opens it there
// and nowhere else. It also derives the keys for values that travel, such as
// the state of an authorization request. A [Secret] is a string that does not
// print. The package knows nothing of HTTP or OAuth and depends on the
// standard library only.
//
// # What it protects against
//
// The attacker reads and writes the database, its backups and its replicas,
// but has no key. They read nothing but the length of a value, the id of its
// key, and what the host stores beside it.
//
// Security: they cannot move a value to another tenant, record or field, nor
// put an older one back, because all of these and the generation of the record
// are authenticated with it. Rolling back a whole record, its generation
// included, is not noticed: the generation must be one that the attacker
// cannot write, or it protects single fields only.
//
// Security: they cannot store a value of their own. There is no plaintext
// mode, no older format and no trial of several keys.
//
// Security: one purpose cannot be played off against another. What is sealed
// and each purpose of [Keyring.Derive] have keys of their own. Use a ring of
// its own for each environment too: a value from staging then does not open in
// production.
//
// Security: there is no count of messages to keep. Every value has a key of
// its own, of 192 random bits, so billions of refreshes do not wear out a ring.
//
// Out of scope are an attacker who runs code in the process or has a root key,
// and the memory of the process, where Go may leave copies of any value. The
// cipher does not commit to its key: whoever has two keys of a ring can make
// one ciphertext that both open. The exact key id, authenticated too, keeps
// that from mattering to anybody who has none.
//
// # When a value does not open
//
// [ErrKeyUnavailable] means that the ring lacks a key: a mistake in the
// configuration, cured by adding it. [ErrIntegrity] means that the value is
// not what was sealed there. Neither says that the token is dead. Keep the
// value, tell the operator, and do not ask the account's owner to connect
// again.
//
// # Rotating the primary key
//
//  1. Make a key with [GenerateKey] and add it to every process, decrypt-only,
//     below the primary.
//  2. When all of them have it, make it the primary by moving it to the top.
//  3. Reseal in the background: for each value whose [KeyID] is not
//     [Keyring.PrimaryID], open it, seal it again, and write it only if the
//     stored value is still the one that was read.
//  4. When no value has the old id any more, and backups that have it are no
//     longer wanted, remove the old key.
//
// # Format
//
// A ring is text, one key per line, the primary first: the id, a colon, and
// the standard base64 of 32 bytes. A sealed value is
//
//	1 byte    version: 1
//	1 byte    algorithm: 1, XAES-256-GCM
//	1 byte    length of the key id, 1 to 16
//	          key id
//	24 bytes  nonce, random
//	          ciphertext
//	16 bytes  tag
//
// Its associated data are eight fields, each after its length as 4 bytes: the
// version byte, the algorithm byte, the key id, and the purpose, tenant,
// record, field and generation of the Binding, the generation as 8 bytes.
// Numbers are big endian. The key of the cipher is HKDF-SHA256 of the root
// key with no salt and the info "connect/tokencrypt/v1/seal"; a key for a
// purpose has the info "connect/tokencrypt/v1/derive/" and the purpose.
//
// # Compatibility
//
// What one release has sealed, all later ones open, with the same ring text
// and Binding; and they derive the same keys. The file testdata/vectors.json
// holds values that must open, and values that must not; vectors are added
// to it, never changed. A new format would get a new version byte, and
// would be written only after a release that reads it.
//
// The cipher is [XAES-256-GCM], the key derivation [RFC 5869].
//
// [XAES-256-GCM]: https://c2sp.org/XAES-256-GCM
// [RFC 5869]: https://www.rfc-editor.org/rfc/rfc5869
package tokencrypt
