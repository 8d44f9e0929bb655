package providertest

import (
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"

	"github.com/seed944197df/connect"
)

var (
	platformName = regexp.MustCompile(`^[a-z0-9]{1,32}$`)
	memberName   = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)
	hostName     = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
)

func testDescription(t tester, p connect.Provider) {
	t.Helper()
	got := p.Platform()
	if !platformName.MatchString(got.Name) || got.DisplayName == "" {
		t.Errorf("Name %q must be 1 to 32 of a-z and 0-9, DisplayName must not be empty", got.Name)
	}
	testAliases(t, got)
	testSettings(t, p)
	testMethods(t, p, got.Methods)
	testKinds(t, got.Kinds)
	testHosts(t, got)
	testBehaviour(t, p, got)
	testConstant(t, p)
}

func testAliases(t tester, got connect.Platform) {
	t.Helper()
	seen := map[string]bool{got.Name: true}
	for _, alias := range got.Aliases {
		if !platformName.MatchString(alias) || seen[alias] {
			t.Errorf("alias %q must be 1 to 32 of a-z and 0-9, and another name than the rest", alias)
		}
		seen[alias] = true
	}
}

// testSettings tests that the provider accepts its own: what it was made with
// works against the platform.
func testSettings(t tester, p connect.Provider) {
	t.Helper()
	checker, ok := p.(connect.Checker)
	if !ok {
		return
	}
	if err := checker.Check(); err != nil {
		t.Errorf("Check refuses the provider: %v", err)
	}
}

func testMethods(t tester, p connect.Provider, methods []connect.Method) {
	t.Helper()
	_, oauth := p.(connect.OAuth)
	_, credentials := p.(connect.Credentials)
	seen := map[string]bool{}
	for _, m := range methods {
		if !memberName.MatchString(m.ID) || seen[m.ID] {
			t.Errorf("method id %q must be 1 to 32 of a-z, 0-9 and _, and unique", m.ID)
		}
		seen[m.ID] = true
		implemented := m.Type == connect.MethodOAuth && oauth || m.Type == connect.MethodCredentials && credentials
		if !implemented {
			t.Errorf("method %q is of type %q, which the provider does not implement", m.ID, m.Type)
		}
		for _, scope := range m.RequiredScopes {
			if !slices.Contains(m.DefaultScopes, scope) {
				t.Errorf("method %q requires %q and does not ask for it", m.ID, scope)
			}
		}
		testFields(t, m)
	}
	if len(methods) == 0 {
		t.Error("there is no method")
	}
}

func testFields(t tester, m connect.Method) {
	t.Helper()
	seen := map[string]bool{}
	for _, f := range m.Fields {
		if !memberName.MatchString(f.Name) || f.Label == "" || seen[f.Name] {
			t.Errorf("method %q: field %q must have a unique name of a-z, 0-9 and _, and a label", m.ID, f.Name)
		}
		seen[f.Name] = true
	}
	if m.Type == connect.MethodCredentials && !slices.ContainsFunc(m.Fields, func(f connect.Field) bool { return f.Secret }) {
		t.Errorf("method %q asks for credentials, and for no secret", m.ID)
	}
}

func testKinds(t tester, kinds []connect.Kind) {
	t.Helper()
	seen := map[string]bool{}
	for _, k := range kinds {
		if !memberName.MatchString(k.Name) || seen[k.Name] {
			t.Errorf("kind %q must be 1 to 32 of a-z, 0-9 and _, and unique", k.Name)
		}
		seen[k.Name] = true
	}
	if len(kinds) == 0 {
		t.Error("there is no kind")
	}
}

func testHosts(t tester, got connect.Platform) {
	t.Helper()
	for _, host := range got.Hosts {
		if !hostName.MatchString(host) {
			t.Errorf("host %q must be a name in lower case, without scheme, port and path", host)
		}
	}
	if got.APIBaseURL == "" {
		return
	}
	u, err := url.Parse(got.APIBaseURL)
	if err != nil || u.Scheme != "https" || u.RawQuery != "" || !slices.Contains(got.Hosts, u.Host) {
		t.Errorf("APIBaseURL %q must be https, on one of Hosts", got.APIBaseURL)
	}
}

func testBehaviour(t tester, p connect.Provider, got connect.Platform) {
	t.Helper()
	classes := []connect.RotationClass{connect.RotationStable, connect.RotationGrace, connect.RotationStrict}
	_, refreshes := p.(connect.Refresher)
	switch {
	case got.Rotation.Class != "" && !slices.Contains(classes, got.Rotation.Class):
		t.Errorf("rotation %q is unknown", got.Rotation.Class)
	case (got.Rotation.Class == connect.RotationGrace) != (got.Rotation.Grace > 0):
		t.Error("a grace belongs to RotationGrace, and to no other")
	case refreshes && (got.Rotation.Class == "" || got.Rotation.Source == ""):
		t.Error("a provider that refreshes says how the refresh token rotates, and who says so")
	}
	_, revokes := p.(connect.Revoker)
	switch got.Revokes {
	case connect.ReachToken, connect.ReachSubject:
		if !revokes {
			t.Errorf("revocation reaches %q, and the provider is no Revoker", got.Revokes)
		}
	case connect.ReachNothing, "":
		if revokes {
			t.Error("the provider is a Revoker, and its revocation reaches nothing")
		}
	default:
		t.Errorf("reach %q is unknown", got.Revokes)
	}
	if got.Reconsent != connect.ReconsentReplaces && got.Reconsent != connect.ReconsentCoexists {
		t.Errorf("reconsent %q is unknown", got.Reconsent)
	}
	if got.CodeTTL < 0 {
		t.Error("CodeTTL is negative")
	}
}

// testConstant spoils one description and looks at the next.
func testConstant(t tester, p connect.Provider) {
	t.Helper()
	spoiled := p.Platform()
	if !reflect.DeepEqual(spoiled, p.Platform()) {
		t.Error("Platform does not return the same each time")
		return
	}
	before := fmt.Sprintf("%+v", spoiled)
	for i := range spoiled.Methods {
		clear(spoiled.Methods[i].Fields)
		clear(spoiled.Methods[i].DefaultScopes)
		clear(spoiled.Methods[i].RequiredScopes)
	}
	for i := range spoiled.Kinds {
		clear(spoiled.Kinds[i].Scopes)
	}
	clear(spoiled.Methods)
	clear(spoiled.Kinds)
	clear(spoiled.Aliases)
	clear(spoiled.Hosts)
	clear(spoiled.Denials)
	if before != fmt.Sprintf("%+v", p.Platform()) {
		t.Error("Platform shares what it returns: a caller can change it")
	}
}
