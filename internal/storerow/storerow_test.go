package storerow

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed944197df/connect"
)

// FuzzCursor: a cursor is of the position that it was made for.
func FuzzCursor(f *testing.F) {
	f.Add(int64(1), "id-4")
	f.Add(int64(-1), ".")
	f.Fuzz(func(t *testing.T, micros int64, id string) {
		at := Position{micros, id}
		if back, ok := ParsePosition(at.Cursor()); !ok || back != at {
			t.Errorf("the cursor of %v is of %v, %t", at, back, ok)
		}
	})
}

// TestDecodeRefuses: a data column of another release's form, or a damaged one,
// is no row, and its error quotes nothing of it.
func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"a later form": {`{"v":2,"row":{"enabled":true}}`, "a row has the form 2, this release knows 1"},
		"no form":      {`{"enabled":true}`, "a row has the form 0, this release knows 1"},
		"damaged":      {`{"v":1,"row":{"sealed":"s3cr`, "a row's data column is damaged; restore a backup"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Decode[Client](test.text); err == nil || err.Error() != test.want {
				t.Errorf("Decode = %v, want %q", err, test.want)
			}
		})
	}
}

// TestColumnNames: the names in data columns are those that releases have
// written.
func TestColumnNames(t *testing.T) {
	t.Parallel()
	got, err := Encode(AccountOf(connect.Account{ParentID: "p", Scopes: []string{"s"}, Metadata: []byte("m")}))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"v":1,"row":{"parent_id":"p","client":"","scopes":["s"],"missing":null,"name":"","username":"",` +
		`"avatar_url":"","target":null,"api_base_url":"","label":"","metadata":"bQ=="}}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the data column of an account (-want +got):\n%s", diff)
	}
}
