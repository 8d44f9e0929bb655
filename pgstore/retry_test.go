package pgstore

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestRetry(t *testing.T) {
	t.Parallel()
	undone := &pgconn.PgError{Code: serializationFailure}
	deadlock := &pgconn.PgError{Code: deadlockDetected}
	broken := errors.New("connection reset")
	for _, test := range []struct {
		name  string
		errs  []error // of the runs, in turn
		runs  int
		wants error
	}{
		{"what succeeds is run once", []error{nil}, 1, nil},
		{"what the server has undone is run again", []error{undone, deadlock, errMoved, undone, nil}, 5, nil},
		{"but not for ever", []error{undone, undone, undone, undone, undone}, 5, undone},
		{"what may have happened is not", []error{broken}, 1, broken},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				runs := 0
				err := retry(t.Context(), func(context.Context) error {
					runs++
					return test.errs[runs-1]
				})
				if !errors.Is(err, test.wants) || runs != test.runs {
					t.Errorf("%d runs and %v, want %d and %v", runs, err, test.runs, test.wants)
				}
			})
		})
	}
}

// A method whose caller has gone away does not wait for its next try.
func TestRetryEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	runs := 0
	err := retry(ctx, func(context.Context) error {
		runs++
		cancel()
		return errMoved
	})
	if !errors.Is(err, errMoved) || runs > 2 {
		t.Errorf("%d runs and %v", runs, err)
	}
}
