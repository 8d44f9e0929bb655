package connect_test

import (
	"net/http"
	"testing"
)

func TestConnectX(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.browser(&alice).connect("x", nil, nil).outcome(t)
	if got.Get("status") != "connected" {
		t.Fatalf("outcome %v, logs %s", got, w.logs)
	}
	client, err := w.engine.Client(t.Context(), "acme", got.Get("account_id"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get("https://api.x.com/2/users/me")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
}
