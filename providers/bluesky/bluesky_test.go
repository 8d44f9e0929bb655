package bluesky_test

import (
	"strings"
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

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		opts *bluesky.Options
		want string // in the error; empty: none
	}{
		{"none", nil, ""},
		{"defaults", &bluesky.Options{}, ""},
		{"origins", &bluesky.Options{EntrywayHost: "https://entry.test", PLCURL: "https://PLC.test/"}, ""},
		{"PLC over http", &bluesky.Options{PLCURL: "http://plc.test"}, "Options.PLCURL"},
		{"PLC without a scheme", &bluesky.Options{PLCURL: "plc.test"}, "Options.PLCURL"},
		{"PLC with a user", &bluesky.Options{PLCURL: "https://u:canary@plc.test"}, "Options.PLCURL"},
		{"entryway over http", &bluesky.Options{EntrywayHost: "http://entry.test"}, "Options.EntrywayHost"},
		{"entryway with a path", &bluesky.Options{EntrywayHost: "https://entry.test/x"}, "Options.EntrywayHost"},
		{"entryway with a port", &bluesky.Options{EntrywayHost: "https://entry.test:8443"}, "Options.EntrywayHost"},
		{"entryway without a host", &bluesky.Options{EntrywayHost: "https://"}, "Options.EntrywayHost"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := bluesky.New(tc.opts).Check()
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "canary")):
				t.Errorf("the error is %v, want one that names %s and quotes nothing", err, tc.want)
			}
		})
	}
}
