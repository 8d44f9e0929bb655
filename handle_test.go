package connect

import (
	"errors"
	"testing"
	"time"

	"github.com/seed944197df/connect/tokencrypt"
)

// A handle is computed with a key: whoever lacks it, or has another one of the
// same id, cannot make the handle of a flow, however much is known of the flow.
func TestThreat51_HandlesNeedTheKey(t *testing.T) {
	t.Parallel()
	ours, theirs := &Connector{cfg: Config{Keys: testRing(t, "k1")}}, &Connector{cfg: Config{Keys: testRing(t, "k1")}}
	flow := Flow{ID: newID(time.Now()), KeyID: "k1"}
	for _, purpose := range []string{purposeLink, purposeSession, purposeTicket, purposeCookie, purposeForm} {
		handle, err1 := ours.handle(purpose, flow)
		again, err2 := ours.handle(purpose, flow)
		foreign, err3 := theirs.handle(purpose, flow)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		if handle != again || handle == foreign {
			t.Errorf("%s: the same ring gives the same handle: %v; another ring does: %v", purpose, handle == again, handle == foreign)
		}
		if !ours.handleMatches(purpose, flow, handle) || ours.handleMatches(purpose, flow, foreign) || ours.handleMatches(purpose, flow, "") {
			t.Errorf("%s: a handle of another ring, or none, matches", purpose)
		}
	}
	flow.KeyID = "k2"
	if handle, err := ours.handle(purposeTicket, flow); handle != "" || !errors.Is(err, tokencrypt.ErrKeyUnavailable) {
		t.Errorf("without the flow's key: a handle of %d characters, %v", len(handle), err)
	}
}
