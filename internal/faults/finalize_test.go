package faults_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed944197df/connect"
)

// choose brings a flow to a selection of all pages.
func (r *rig) choose(subject string) (session string, choice []string) {
	r.t.Helper()
	_, path := r.consent(subject)
	out, err := r.engine.Callback(arrival(r.t.Context(), subject, path), platformName, "")
	if err != nil || out.Status != connect.OutcomePending {
		r.t.Fatalf("the flow is %+v, %v: want pending", out, err)
	}
	for i := range pagesOfAll {
		choice = append(choice, fmt.Sprintf("page:page%d", i+1))
	}
	return out.Session, choice
}

// sql runs statements past the line.
func (r *rig) sql(statements string) *pgx.Conn {
	r.t.Helper()
	conn, err := pgx.Connect(r.t.Context(), r.direct)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(r.t.Context(), statements); err != nil {
		r.t.Fatal(err)
	}
	return conn
}

// obstruct makes PostgreSQL do something when it stores the page with a number.
func (r *rig) obstruct(page int, what string) {
	r.t.Helper()
	r.sql(fmt.Sprintf(`CREATE FUNCTION obstruct() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN %s; RETURN NEW; END';
		CREATE TRIGGER obstruct BEFORE INSERT ON connect.accounts FOR EACH ROW
		WHEN (NEW.platform_id = 'page%d') EXECUTE FUNCTION obstruct()`, what, page))
}

func (r *rig) clear() { r.t.Helper(); r.sql("DROP FUNCTION obstruct CASCADE") }

// wantStored checks how many pages there are, each with its event.
func (r *rig) wantStored(want int) {
	r.t.Helper()
	accounts, _, err := r.engine.Accounts(r.t.Context(), who(""), connect.AccountFilter{}, connect.Page{})
	if events := r.events()[connect.EventAccountConnected]; err != nil || len(accounts) != want || len(events) != want {
		r.t.Errorf("%d accounts, %d events, %v: want %d", len(accounts), len(events), err, want)
	}
}

// finalize connects all pages by the session.
func (r *rig) finalize(user, session string, choice []string) {
	r.t.Helper()
	done, err := r.engine.Finalize(r.t.Context(), who(user), session, connect.FinalizeRequest{SelectedIDs: choice})
	if err != nil || len(done.Accounts) != pagesOfAll {
		r.t.Errorf("finalized %+v, %v: want all", done, err)
	}
}

// PostgreSQL refuses one of five pages: none is stored, and the same selection
// connects all as soon as it does not.
func TestFault32_AllPagesOrNone(t *testing.T) {
	t.Parallel()
	for k := range pagesOfAll {
		t.Run(fmt.Sprintf("page %d", k+1), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, settings{provider: pages{provider{strict}}})
			session, choice := r.choose("alice")
			r.obstruct(k+1, `RAISE EXCEPTION ''no''`)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := r.engine.Finalize(ctx, who("alice"), session, connect.FinalizeRequest{SelectedIDs: choice})
			if connect.CodeOf(err) != connect.CodeUnavailable {
				t.Errorf("finalized with %v, want unavailable", err)
			}
			r.wantStored(0)
			r.clear()
			r.finalize("alice", session, choice)
			r.wantStored(pagesOfAll)
		})
	}
}

const isHeldUp = `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory')`

// A process is killed while PostgreSQL stores the third of five pages.
func TestFault32_AKilledFinalize(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{provider: pages{provider{strict}}})
	session, choice := r.choose("alice")
	r.obstruct(3, "PERFORM pg_advisory_xact_lock(1)")
	obstacle := r.sql("SELECT pg_advisory_lock(1)")
	met := make(chan struct{})
	go func() {
		defer close(met)
		until(t, "the third page is held up", func() bool {
			var held bool
			err := obstacle.QueryRow(t.Context(), isHeldUp).Scan(&held)
			return err == nil && held
		})
	}()
	r.killWhen(task{Session: session, Choice: choice}, met)
	r.wantStored(0)
	if err := obstacle.Close(t.Context()); err != nil { // and with it the lock
		t.Error(err)
	}
	r.finalize("alice", session, choice)
	r.wantStored(pagesOfAll)
}
