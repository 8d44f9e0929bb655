package bluesky_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/bluesky"
)

func TestPlatform(t *testing.T) {
	t.Parallel()
	got := bluesky.New(nil).Platform()
	want := connect.Platform{
		Name:        "bluesky",
		DisplayName: "Bluesky",
		Methods: []connect.Method{{
			ID:   "app_password",
			Type: connect.MethodCredentials,
			Fields: []connect.Field{
				{Name: "identifier", Label: "Handle, e-mail or DID", Required: true},
				{Name: "app_password", Label: "App password", Secret: true, Required: true},
				{Name: "pds", Label: "Server (PDS)"},
			},
		}},
		Kinds:     []connect.Kind{{Name: "profile"}},
		Rotation:  connect.Rotation{Class: connect.RotationGrace, Grace: 2 * time.Hour},
		Revokes:   connect.ReachToken,
		Reconsent: connect.ReconsentCoexists,
	}
	options := cmp.Options{
		ignoreSecrets(),
		cmpopts.IgnoreFields(connect.Field{}, "Help"),
		cmpopts.IgnoreFields(connect.Rotation{}, "Source"),
	}
	if diff := cmp.Diff(want, got, options); diff != "" {
		t.Errorf("platform (-want +got):\n%s", diff)
	}
	for _, f := range got.Methods[0].Fields {
		if f.Help == "" {
			t.Errorf("field %s has no help", f.Name)
		}
	}
	if got.Rotation.Source == "" {
		t.Error("the rotation has no source")
	}
}

// TestPlatformIsACopy: what a caller changes stays with that caller.
func TestPlatformIsACopy(t *testing.T) {
	t.Parallel()
	p := bluesky.New(nil)
	p.Platform().Methods[0].Fields[0].Name = "changed"
	if got := p.Platform().Methods[0].Fields[0].Name; got != "identifier" {
		t.Errorf("the field is %q", got)
	}
}
