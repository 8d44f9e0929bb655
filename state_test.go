package connect

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

func TestStateRoundTrip(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	longest := StateClaims{FlowID: newID(now), Platform: strings.Repeat("p", 32), Client: strings.Repeat("c", 32), Expiry: now}
	state := jweState{testRing(t, "a-key-id-of-16ch")}
	sealed, err := state.SealState(longest)
	if err != nil {
		t.Fatal(err)
	}
	if len(sealed) > 255 {
		t.Errorf("the longest state has %d characters, want at most 255", len(sealed))
	}
	got, err := state.OpenState(sealed)
	if diff := cmp.Diff(longest, got); diff != "" || err != nil {
		t.Errorf("error %v, claims (-want +got):\n%s", err, diff)
	}
}
