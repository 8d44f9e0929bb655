package providertest

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/providers/bluesky"
)

func descriptionFlaws() []flaw {
	once := newX().Platform()
	var counter atomic.Int64
	return []flaw{
		{
			broken:   "name in capitals",
			provider: described(func(p *connect.Platform) { p.Name = "X" }),
			findings: is("description", "Name %q must be 1 to 32 of a-z and 0-9, DisplayName must not be empty"),
		},
		{
			broken:   "alias of its own name",
			provider: described(func(p *connect.Platform) { p.Aliases = []string{p.Name} }),
			findings: is("description", "alias %q must be 1 to 32 of a-z and 0-9, and another name than the rest"),
		},
		{
			broken:   "settings refused",
			provider: &flawedPages{Provider: newFacebook(), check: func() error { return errors.New("flawed") }},
			findings: is("description", "Check refuses the provider: %v"),
		},
		{
			broken: "two methods of one id",
			provider: described(func(p *connect.Platform) {
				p.Methods = append(p.Methods, p.Methods[0])
			}),
			findings: is("description", "method id %q must be 1 to 32 of a-z, 0-9 and _, and unique"),
		},
		{
			broken: "method of a type that is not there",
			provider: described(func(p *connect.Platform) {
				p.Methods = append(p.Methods, connect.Method{
					ID: "password", Type: connect.MethodCredentials, Fields: []connect.Field{{Name: "password", Label: "Password", Secret: true}},
				})
			}),
			findings: is("description", "method %q is of type %q, which the provider does not implement"),
		},
		{
			broken: "required, not requested",
			provider: &flawedX{
				Provider: newX(),
				exchange: connected(func(tokens *connect.Tokens) { tokens.Scopes = append(tokens.Scopes, "like.read") }).exchange,
				platform: func(p connect.Platform) connect.Platform {
					p.Methods[0].RequiredScopes = []string{"like.read"}
					return p
				},
			},
			findings: is("description", "method %q requires %q and does not ask for it"),
		},
		{
			broken:   "no method",
			provider: described(func(p *connect.Platform) { p.Methods = nil }),
			findings: is("description", "there is no method"),
		},
		{
			broken: "field without a label",
			provider: described(func(p *connect.Platform) {
				p.Methods[0].Fields = []connect.Field{{Name: "handle"}}
			}),
			findings: is("description", "method %q: field %q must have a unique name of a-z, 0-9 and _, and a label"),
		},
		{
			broken: "password in plain sight",
			provider: &flawedLogin{Provider: bluesky.New(nil), platform: func(p connect.Platform) connect.Platform {
				for i := range p.Methods[0].Fields {
					p.Methods[0].Fields[i].Secret = false
				}
				return p
			}},
			findings: is("description", "method %q asks for credentials, and for no secret"),
		},
		{
			broken:   "kind in two words",
			provider: described(func(p *connect.Platform) { p.Kinds = append(p.Kinds, connect.Kind{Name: "a page"}) }),
			findings: is("description", "kind %q must be 1 to 32 of a-z, 0-9 and _, and unique"),
		},
		{
			broken:   "no kind",
			provider: described(func(p *connect.Platform) { p.Kinds = nil }),
			findings: []string{ // the one candidate has none either
				"description: there is no kind",
				"oauth/grant/connect: candidate %q must have a kind that Platform names, an id and a name",
			},
		},
		{
			broken:   "host with a scheme",
			provider: described(func(p *connect.Platform) { p.Hosts = append(p.Hosts, "https://api.x.com") }),
			findings: is("description", "host %q must be a name in lower case, without scheme, port and path"),
		},
		{
			broken:   "API elsewhere",
			provider: described(func(p *connect.Platform) { p.APIBaseURL = "https://api.x.example/2" }),
			findings: is("description", "APIBaseURL %q must be https, on one of Hosts"),
		},
		{
			broken:   "unknown rotation",
			provider: described(func(p *connect.Platform) { p.Rotation.Class = "often" }),
			findings: is("description", "rotation %q is unknown"),
		},
		{
			broken:   "grace without a rotation",
			provider: described(func(p *connect.Platform) { p.Rotation.Grace = time.Minute }),
			findings: is("description", "a grace belongs to RotationGrace, and to no other"),
		},
		{
			broken:   "no source of rotation",
			provider: described(func(p *connect.Platform) { p.Rotation.Source = "" }),
			findings: is("description", "a provider that refreshes says how the refresh token rotates, and who says so"),
		},
		{
			broken: "revocation by nobody",
			provider: struct {
				connect.Provider
				connect.OAuth
			}{newX(), newX()},
			findings: is("description", "revocation reaches %q, and the provider is no Revoker"),
		},
		{
			broken:   "revocation of nothing",
			provider: described(func(p *connect.Platform) { p.Revokes = connect.ReachNothing }),
			findings: is("description", "the provider is a Revoker, and its revocation reaches nothing"),
		},
		{
			broken:   "unknown reach",
			provider: described(func(p *connect.Platform) { p.Revokes = "far" }),
			findings: is("description", "reach %q is unknown"),
		},
		{
			broken:   "unknown reconsent",
			provider: described(func(p *connect.Platform) { p.Reconsent = "" }),
			findings: is("description", "reconsent %q is unknown"),
		},
		{
			broken:   "code that ended before it began",
			provider: described(func(p *connect.Platform) { p.CodeTTL = -time.Second }),
			findings: is("description", "CodeTTL is negative"),
		},
		{
			broken:   "changing description",
			provider: described(func(p *connect.Platform) { p.CodeTTL += time.Duration(counter.Add(1)) }),
			findings: is("description", "Platform does not return the same each time"),
		},
		{
			broken:   "shared description",
			provider: described(func(p *connect.Platform) { *p = once }),
			findings: is("description", "Platform shares what it returns: a caller can change it"),
		},
	}
}
