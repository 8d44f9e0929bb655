package connect_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed944197df/connect"
	"github.com/seed944197df/connect/sqlitestore"
	"github.com/seed944197df/connect/tokencrypt"
)

// fileVault is a vault in SQLite, and its file as somebody else opens it.
func fileVault(t *testing.T) (*vault, *sql.DB) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "connect.db")
	v := newVault(t, func(c *connect.Config) {
		store, err := sqlitestore.Open(t.Context(), file, &sqlitestore.Options{Now: c.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		c.Store = store
	})
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(5000)&_pragma=synchronous(OFF)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return v, db
}

// alter changes one row of a file.
func alter(t *testing.T, db *sql.DB, statement string, args ...any) {
	t.Helper()
	result, err := db.ExecContext(t.Context(), statement, args...)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		t.Fatalf("%d rows changed, %v: %s", n, err, statement)
	}
}

// put writes a sealed value into a place of a file.
func (p place) put(t *testing.T, db *sql.DB, sealed []byte) {
	t.Helper()
	alter(t, db, "UPDATE "+p.table+" SET data = json_set(data, '$.row."+p.field+"', ?) WHERE id = ?", base64.StdEncoding.EncodeToString(sealed), p.id)
}

// The same with rows that somebody has really written.
func TestThreat55_SwappedInTheFile(t *testing.T) {
	t.Parallel()
	v, db := fileVault(t)
	v.wantWhole()
	sent := len(v.taps.requests())
	for i, at := range v.places {
		for _, step := range []int{1, 5, 9} {
			at.put(t, db, v.places[(i+step)%len(v.places)].sealed)
			v.wantRefused(at, "with the "+v.places[(i+step)%len(v.places)].name)
		}
		at.put(t, db, at.sealed)
		if at.table != "flows" {
			for _, generation := range []int{0, 2, 1} { // the last is its own
				alter(t, db, generationOf[at.table], generation, at.id)
				if generation != 1 {
					v.wantRefused(at, "of another generation")
				}
			}
		}
	}
	v.movedInTheFile(db)
	if now := len(v.taps.requests()); now != sent {
		t.Errorf("%d requests were sent to platforms", now-sent)
	}
	v.wantWhole()
}

var generationOf = map[string]string{
	"grants":   "UPDATE grants SET generation = ? WHERE id = ?",
	"accounts": "UPDATE accounts SET data = json_set(data, '$.row.generation', ?) WHERE id = ?",
}

// movedInTheFile gives rows to another platform and to another tenant, and back.
func (v *vault) movedInTheFile(db *sql.DB) {
	v.t.Helper()
	clara := v.owned[1] // whom the other tenant does not have
	for _, step := range []struct{ account, grant, tenant, target string }{
		{"facebook", "x", "acme", pageCall},
		{"facebook", "facebook", "acme", pageCall},
		{"x", "facebook", "acme", xMe},
		{"x", "x", "globex", xMe},
		{"x", "x", "acme", ""}, // as it was
	} {
		alter(v.t, db, "UPDATE accounts SET (platform, tenant) = (?, ?) WHERE id = ?", step.account, step.tenant, clara.ID)
		alter(v.t, db, "UPDATE grants SET (platform, tenant) = (?, ?) WHERE id = ?", step.grant, step.tenant, clara.GrantID)
		if step.target == "" {
			return
		}
		if status, err := v.call(step.tenant, clara.ID, step.target); !errors.Is(err, tokencrypt.ErrIntegrity) {
			v.t.Errorf("%+v: status %d, error %v, want ErrIntegrity in its tree", step, status, err)
		}
	}
}

// Without the key nothing works, nothing is sent and nothing is lost, and with
// it all is as it was.
func TestThreat60_KeyRemovedAndBack(t *testing.T) {
	t.Parallel()
	keys := make([]tokencrypt.Key, 2)
	for i := range keys {
		var err error
		if keys[i], err = tokencrypt.GenerateKey(fmt.Sprintf("k%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	first, err1 := tokencrypt.NewKeyring(keys[0])
	removed, err2 := tokencrypt.NewKeyring(keys[1])
	back, err3 := tokencrypt.NewKeyring(keys[1], keys[0])
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	v := newVault(t, func(c *connect.Config) { c.Keys = first })
	gone := v.owned[0]
	healthy := v.engine
	sent := len(v.taps.requests())

	v.engine = v.withKeys(removed)
	for _, at := range v.places {
		for i, use := range append([]func() error{at.read}, at.act...) {
			err := use()
			if at.table == "flows" && connect.CodeOf(err) == connect.CodeInvalidRequest {
				continue // its state does not open either
			}
			if !errors.Is(err, tokencrypt.ErrKeyUnavailable) || connect.CodeOf(err) != connect.CodeUnavailable {
				t.Errorf("use %d of the %s: error %v, want ErrKeyUnavailable in its tree", i, at.name, err)
			}
		}
	}
	if got, err := v.engine.Disconnect(t.Context(), acmeKey, gone.ID); err != nil || got.Revocation != connect.RevocationPending {
		t.Errorf("Disconnect: %+v, %v, want a revocation that is pending", got, err)
	}
	v.clock.advance(3 * time.Hour)
	for range 3 {
		v.round()
		v.clock.advance(10 * time.Minute)
	}
	if now := len(v.taps.requests()); now != sent {
		t.Errorf("%d requests were sent to platforms", now-sent)
	}
	v.wantKept(v.config.Store, gone.ID)
	if !strings.Contains(v.logs.String(), "key unavailable") {
		t.Error("the log does not tell why")
	}

	v.engine = v.withKeys(back)
	v.round()
	if n := v.revocations(); n != 4 { // two tokens each: what was disconnected, and what waited for Complete
		t.Errorf("%d revocations, want 4", n)
	}
	for _, account := range v.owned[1:] {
		if _, err := v.engine.TokenSource(t.Context(), account.Tenant, account.ID); err != nil {
			t.Errorf("the account of %s on %s: %v", account.Tenant, account.Platform, err)
		}
		v.wantActive(account)
	}
	v.engine = healthy
}

func (v *vault) wantActive(account connect.Account) {
	v.t.Helper()
	if got := v.account(connect.Principal{Tenant: account.Tenant}, account.ID).Status; got != connect.AccountActive {
		v.t.Errorf("the account of %s on %s is %s, want active", account.Tenant, account.Platform, got)
	}
}

// withKeys is a process with another ring.
func (v *vault) withKeys(ring *tokencrypt.Keyring) *connect.Connector {
	v.t.Helper()
	cfg := v.config
	cfg.Keys = ring
	engine, err := connect.New(cfg)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := engine.Close(ctx); err != nil {
			v.t.Errorf("Close: %v", err)
		}
	})
	return engine
}

// downgrades are what a value could be replaced by so that no key is needed.
func downgrades(sealed []byte) map[string][]byte {
	const record = `{"v":1,"sub":"2244990011","access":"planted-token","refresh":"planted-refresh","tokens":{"v":1,"access":"planted-token"}}`
	version, algorithm, short := slices.Clone(sealed), slices.Clone(sealed), sealed[:len(sealed)-1]
	version[0]--
	algorithm[1]--
	newer := slices.Clone(sealed)
	newer[0]++
	header := int(sealed[2]) + 3
	return map[string][]byte{
		"plain text":                 []byte(record),
		"a token":                    []byte("planted-token"),
		"plain text with a header":   append(slices.Clone(sealed[:header]), record...),
		"plain text behind a nonce":  append(slices.Clone(sealed[:header+24]), record...),
		"no version":                 sealed[header:],
		"an older version":           version,
		"a newer version":            newer,
		"another algorithm":          algorithm,
		"text of what was sealed":    []byte(base64.StdEncoding.EncodeToString(sealed)),
		"a value that was cut short": short,
		"nothing":                    {},
	}
}

func TestThreat62_PlainText(t *testing.T) {
	t.Parallel()
	var f forger
	v := newVault(t, keepForger(&f))
	v.wantUntouched(f.Store, func() {
		for _, at := range v.places {
			for name, value := range downgrades(at.sealed) {
				f.rewrite(func(row any) {
					if field := at.of(row); field != nil {
						*field = slices.Clone(value)
					}
				})
				v.wantRefused(at, "with "+name)
			}
			f.rewrite(func(row any) {
				if field := at.of(row); field != nil {
					*field = nil
				}
			})
			v.wantRefused(at, "with NULL")
		}
	})
	f.rewrite(nil)
	v.wantWhole()
}

func TestThreat62_PlainTextInTheFile(t *testing.T) {
	t.Parallel()
	v, db := fileVault(t)
	sent := len(v.taps.requests())
	for _, at := range v.places {
		for name, value := range downgrades(at.sealed) {
			at.put(t, db, value)
			v.wantRefused(at, "with "+name)
		}
		at.put(t, db, at.sealed)
	}
	if now := len(v.taps.requests()); now != sent {
		t.Errorf("%d requests were sent to platforms", now-sent)
	}
	v.wantWhole()
}

// What was replaced does not open again: neither tokens before a refresh, nor
// those of an earlier consent.
func TestThreat63_OlderValueRestored(t *testing.T) {
	t.Parallel()
	v, db := fileVault(t)
	before := v.places
	v.clock.advance(2*time.Hour + time.Minute)
	for _, account := range v.owned {
		v.callAs(account) // refreshes where there is something to refresh
	}
	v.browser(&alice).connected("facebook", url.Values{"select": {"all"}}, nil) // seals anew what has no refresh
	sent, checked := len(v.taps.requests()), 0
	for _, at := range before {
		newest := v.stored(db, at)
		if at.table == "flows" || bytes.Equal(newest, at.sealed) {
			continue
		}
		checked++
		at.put(t, db, at.sealed)
		v.wantRefused(at, "with an older value")
		at.put(t, db, newest)
	}
	if now := len(v.taps.requests()); now != sent {
		t.Errorf("%d requests were sent to platforms", now-sent)
	}
	if checked < 8 {
		t.Errorf("%d values were replaced", checked)
	}
	for _, account := range v.owned {
		v.callAs(account)
		v.wantActive(account)
	}
}

// callAs makes a request as an account.
func (v *vault) callAs(account connect.Account) {
	v.t.Helper()
	target := map[string]string{"x": xMe, "facebook": pageCall, "bluesky": adaSession}[account.Platform]
	if status, err := v.call(account.Tenant, account.ID, target); status != http.StatusOK || err != nil {
		v.t.Errorf("the account of %s on %s: status %d, %v", account.Tenant, account.Platform, status, err)
	}
}

// stored is what a place of a file holds now.
func (v *vault) stored(db *sql.DB, at place) []byte {
	v.t.Helper()
	var text string
	query := "SELECT json_extract(data, '$.row." + at.field + "') FROM " + at.table + " WHERE id = ?"
	if err := db.QueryRowContext(v.t.Context(), query, at.id).Scan(&text); err != nil {
		v.t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		v.t.Fatal(err)
	}
	return raw
}

// What nobody asks for goes on meanwhile: refreshes, revocations, the end of
// old flows. None sends what it should not have, and none gives up.
func TestThreat55_Run(t *testing.T) {
	t.Parallel()
	var f forger
	v := newVault(t, keepForger(&f))
	gone := v.owned[0]
	f.rewrite(everywhere(v.places[len(v.places)-1].sealed)) // a flow's: nothing else opens with it
	sent := len(v.taps.requests())
	if got, err := v.engine.Disconnect(t.Context(), acmeKey, gone.ID); err != nil || got.Revocation != connect.RevocationPending {
		t.Errorf("Disconnect: %+v, %v, want a revocation that is pending", got, err)
	}
	v.clock.advance(3 * time.Hour) // every token of X and every flow is over
	other := map[string]string{"x": "bluesky", "bluesky": "x", "facebook": "x"}
	for _, forge := range []func(row any){
		everywhere(v.places[len(v.places)-1].sealed),
		func(row any) {
			on(func(g *connect.Grant) { g.Platform = other[g.Platform] })(row)
			on(func(f *connect.Flow) { f.User = "somebody" })(row)
		},
	} {
		f.rewrite(forge)
		v.round()
		v.clock.advance(10 * time.Minute)
	}
	if now := len(v.taps.requests()); now != sent {
		t.Errorf("%d requests were sent to platforms", now-sent)
	}
	v.wantKept(f.Store, gone.ID)
	f.rewrite(nil)
	v.round()
	if n := v.revocations(); n != 4 { // two tokens each: what was disconnected, and what waited for Complete
		t.Errorf("%d revocations, want 4", n)
	}
	for _, account := range v.owned[1:] {
		if _, err := v.engine.TokenSource(t.Context(), account.Tenant, account.ID); err != nil {
			t.Errorf("the account of %s on %s: %v", account.Tenant, account.Platform, err)
		}
	}
}

// everywhere puts one value into every place.
func everywhere(sealed []byte) func(row any) {
	return func(row any) {
		switch row := row.(type) {
		case *connect.Grant:
			row.Sealed = slices.Clone(sealed)
		case *connect.Account:
			row.Sealed = slices.Clone(sealed)
		case *connect.Flow:
			row.Request, row.Progress = slices.Clone(sealed), slices.Clone(sealed)
		}
	}
}

// wantKept fails where something sealed is gone, or an account that was not
// disconnected does not stand as it did.
func (v *vault) wantKept(store connect.Store, disconnected string) {
	v.t.Helper()
	for _, row := range v.rows(store) {
		switch row := row.(type) {
		case connect.Account:
			if row.Status != connect.AccountActive && row.ID != disconnected {
				v.t.Errorf("the account of %s on %s is %s", row.Tenant, row.Platform, row.Status)
			}
		case connect.Grant:
			if row.Status != connect.GrantActive && row.Status != connect.GrantRevoking || row.Generation != 1 {
				v.t.Errorf("the grant of %s on %s is %s, generation %d", row.Tenant, row.Platform, row.Status, row.Generation)
			}
		}
	}
	for _, at := range v.places {
		found := slices.ContainsFunc(v.rows(store), func(row any) bool {
			switch row := row.(type) {
			case connect.Account:
				return bytes.Equal(row.Sealed, at.sealed)
			case connect.Grant:
				return bytes.Equal(row.Sealed, at.sealed)
			case connect.Flow:
				return bytes.Equal(row.Request, at.sealed) || bytes.Equal(row.Progress, at.sealed)
			default:
				return false
			}
		})
		if !found && at.id != disconnected {
			v.t.Errorf("the %s is gone", at.name)
		}
	}
}
