package sandbox

import (
	"strconv"
	"testing"
	"time"
)

func TestOldTokensAreForgotten(t *testing.T) {
	t.Parallel()
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range maxTokens + 1 {
		s.put(strconv.Itoa(i), token{Platform: "x", Kind: "access", Issued: began.Add(time.Duration(i) * time.Second)})
	}
	if n := len(s.state.Tokens); n != maxTokens/2+1 {
		t.Errorf("%d tokens are left, want %d", n, maxTokens/2+1)
	}
	if s.find("x", "access", "0") != nil || s.find("x", "access", strconv.Itoa(maxTokens)) == nil {
		t.Error("want the oldest gone and the newest there")
	}
}
