package facebook_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
)

// sameSecrets compares what secrets hold.
var sameSecrets = cmp.Comparer(func(a, b connect.Secret) bool { return a.Reveal() == b.Reveal() })

func TestIdentify(t *testing.T) {
	t.Parallel()
	const page = "110000000000001"
	person := func(subject string) *connect.Tokens {
		return &connect.Tokens{Subject: subject, Access: connect.NewSecret(userToken)}
	}
	for name, test := range map[string]struct {
		tokens *connect.Tokens
		me     string
		want   *connect.Tokens
		asked  []string
	}{
		"a person of whom nothing is known": {
			person(""), "",
			&connect.Tokens{Subject: "102233445566778", Scopes: []string{"pages_show_list"}},
			[]string{"GET /me", "GET /me/permissions"},
		},
		"the person of a grant": {
			person("102233445566778"), "",
			&connect.Tokens{Subject: "102233445566778", Scopes: []string{"pages_show_list"}},
			[]string{"GET /me", "GET /me/permissions"},
		},
		"a Page's own token": {
			person("102233445566778"), `{"id":"` + page + `","name":"Harbour"}`,
			&connect.Tokens{Subject: page},
			[]string{"GET /me"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, f := newProvider(), newFake(t)
			if test.me != "" {
				f.answers["GET /me"] = test.me
			}
			said, err := p.Identify(t.Context(), newEnv(p, f), test.tokens)
			if diff := cmp.Diff(test.want, said, sameSecrets); diff != "" || err != nil {
				t.Errorf("%v, said (-want +got):\n%s", err, diff)
			}
			if diff := cmp.Diff(test.asked, f.paths()); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIdentifyErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		path, answer string
		class        connect.ErrorClass
		code         string
	}{
		"token over":             {"GET /me", "400 " + graphError(`"code":190,"error_subcode":463`), connect.ClassReconnect, "190/463"},
		"no proof of this app":   {"GET /me", "400 " + graphError(`"code":100`), connect.ClassConfig, "100"},
		"a Page, not a person":   {"GET /me/permissions", "400 " + graphError(`"code":100`), connect.ClassRefused, "no_person"},
		"permissions limited":    {"GET /me/permissions", "400 " + graphError(`"code":4`), connect.ClassRetry, "4"},
		"permissions without":    {"GET /me/permissions", `{}`, connect.ClassRetry, "no_permissions"},
		"the id is not a number": {"GET /me", `{"id":"../me"}`, connect.ClassRetry, "no_id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, f := newProvider(), newFake(t)
			f.answers[test.path] = test.answer
			said, err := p.Identify(t.Context(), newEnv(p, f), &connect.Tokens{Access: connect.NewSecret(userToken)})
			wantFailure(t, err, test.class, test.code)
			if said != nil {
				t.Errorf("said %+v, want nothing", said)
			}
		})
	}
}
