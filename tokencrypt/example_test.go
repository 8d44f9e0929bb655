package tokencrypt_test

import (
	"errors"
	"fmt"

	"github.com/seed944197df/connect/tokencrypt"
)

func Example() {
	key, err := tokencrypt.GenerateKey("2026-01")
	if err != nil {
		fmt.Println(err)
		return
	}
	ring, err := tokencrypt.NewKeyring(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	place := tokencrypt.Binding{Purpose: "grant", Tenant: "acme", Record: "gr_1", Field: "access_token", Generation: 1}
	blob, err := ring.Seal(place, []byte("a token"))
	if err != nil {
		fmt.Println(err)
		return
	}

	plaintext, err := ring.Open(place, blob)
	fmt.Printf("in its place: %s, %v\n", plaintext, err)

	place.Tenant = "other"
	_, err = ring.Open(place, blob)
	fmt.Println("elsewhere:", errors.Is(err, tokencrypt.ErrIntegrity))
	// Output:
	// in its place: a token, <nil>
	// elsewhere: true
}

// The new key is promoted to primary; what the old one has sealed is resealed.
func ExampleKeyID() {
	const (
		oldKey = "2026-01:b2xkLWtleS1vZi10aGUtZXhhbXBsZS0zMi1ieXRlcyE="
		newKey = "2026-02:bmV3LWtleS1vZi10aGUtZXhhbXBsZS0zMi1ieXRlcyE="
	)
	before, err := tokencrypt.ParseKeyring(oldKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	place := tokencrypt.Binding{Purpose: "grant", Record: "gr_1"}
	blob, err := before.Seal(place, []byte("a token"))
	if err != nil {
		fmt.Println(err)
		return
	}

	after, err := tokencrypt.ParseKeyring(newKey + "\n" + oldKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	for {
		id, err := tokencrypt.KeyID(blob)
		fmt.Println("sealed with", id, err)
		if err != nil || id == after.PrimaryID() {
			break
		}
		plaintext, err := after.Open(place, blob)
		if err != nil {
			fmt.Println(err)
			return
		}
		if blob, err = after.Seal(place, plaintext); err != nil {
			fmt.Println(err)
			return
		}
	}
	// Output:
	// sealed with 2026-01 <nil>
	// sealed with 2026-02 <nil>
}

func ExampleSecret() {
	secret := tokencrypt.NewSecret("a token")
	fmt.Println(secret)
	fmt.Printf("%+v\n", struct{ Token tokencrypt.Secret }{secret})
	fmt.Println("Authorization: Bearer", secret.Reveal())
	// Output:
	// [redacted]
	// {Token:[redacted]}
	// Authorization: Bearer a token
}

func ExampleKeyring_Derive() {
	ring, err := tokencrypt.ParseKeyring("2026-01:b2xkLWtleS1vZi10aGUtZXhhbXBsZS0zMi1ieXRlcyE=")
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := ring.Derive("state", ring.PrimaryID())
	fmt.Println(len(key), err)
	_, err = ring.Derive("state", "2025-12")
	fmt.Println(err)
	// Output:
	// 32 <nil>
	// tokencrypt: key unavailable: the ring has no key "2025-12"
}
