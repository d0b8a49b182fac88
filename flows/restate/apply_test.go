package restate_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tanpu/tanpu/flows/audit"
	"github.com/tanpu/tanpu/flows/erase"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/flows/restate"
	"github.com/tanpu/tanpu/flows/statement"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

func (l *life) order(r *restate.Report) restate.Order {
	return restate.Order{Name: "second-try", Reason: "the first text was wrong", Draft: []byte(l.after()[0].String()), Report: r}
}

// tryAndApply tries a draft, applies it, and tells where the figures do not agree and what the audit finds.
func (l *life) tryAndApply(t *testing.T, db *store.DB) (r *restate.Report, wrong []string) {
	t.Helper()
	ctx := context.Background()
	r, err := restate.Try(ctx, db, l.draftOf(), restate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	done, err := restate.Apply(ctx, db, l.order(r), restate.Options{})
	if err != nil {
		return r, []string{err.Error()}
	}
	if done.Moved.Accounts != 0 || !done.AsReported || !bytes.Equal(written(t, r), written(t, done.Applied)) {
		wrong = append(wrong, fmt.Sprintf("applied, the draft comes to other figures than tried: %d accounts moved\n%s\n%s", done.Moved.Accounts, written(t, r), written(t, done.Applied)))
	}
	return r, append(wrong, found(t, db)...)
}

// found is what the audit finds.
func found(t *testing.T, db *store.DB) (list []string) {
	t.Helper()
	r, err := audit.Run(context.Background(), db, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		list = append(list, fmt.Sprintf("the audit finds %s: %s", f.Kind, f.Text))
	}
	return list
}

// unsaid tells of which accounts the statement, which is made from claims and reversals, is not what the balances are.
func unsaid(t *testing.T, db *store.DB) (wrong []string) {
	t.Helper()
	ctx, books := context.Background(), &publish.Books{DB: db}
	for part := range db.Parts {
		for n := range 2 {
			id := store.AccountID{Part: part, Number: int64(n + 1)}
			s, err := statement.Of(ctx, books, id, spring.AddDate(10, 0, 0).UnixMicro())
			if err != nil {
				return append(wrong, err.Error())
			}
			balances, _, err := db.Account(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			held := map[string]int64{}
			for _, b := range balances {
				held[string(b.Asset)] += b.Amount
			}
			for _, b := range s.Balances {
				held[string(b.Asset)] -= b.Amount
			}
			for asset, n := range held {
				if n != 0 {
					wrong = append(wrong, fmt.Sprintf("account %s holds %d of %s more than its statement says", id, n, asset))
				}
			}
		}
	}
	return wrong
}

func clean(t *testing.T, db *store.DB) {
	t.Helper()
	for _, f := range found(t, db) {
		t.Error(f)
	}
}

// Applying a draft makes a life stand as if it had been lived under the draft, claim by claim, with all that claims leave; it comes
// to the figures that trying it gave, the audit finds nothing, and tried once more it changes nothing.
func TestAppliesProperty(t *testing.T) {
	check := func(t *testing.T, l life, one, other string) (r *restate.Report, wrong []string) {
		db, fresh := l.live(t, one, l.before()), l.live(t, other, l.after())
		defer db.Close()
		defer fresh.Close()
		if r, wrong = l.tryAndApply(t, db); len(r.Unjudged) > 0 {
			return r, wrong // a correction that could not have been made
		}
		want, got := judged(t, fresh), judged(t, db)
		for id, w := range want {
			w.method = strings.Replace(w.method, l.id+"@3", l.id+"@1", 1)
			if o := got[id]; o != w && (o.reason != w.reason || o.mg != 0 || w.mg != 0) {
				wrong = append(wrong, fmt.Sprintf("claim %s: stands as %v, lived through %v", id, o, w))
			}
		}
		if left, lived := recorded(t, db), recorded(t, fresh); !maps.Equal(left, lived) {
			wrong = append(wrong, fmt.Sprintf("what is left:\napplied       %v\nlived through %v", left, lived))
		}
		wrong = append(wrong, unsaid(t, db)...)
		again, err := restate.Try(context.Background(), db, l.draftOf(), restate.Options{})
		if err != nil || again.Total.Old != again.Total.New || again.Total.OldPoints != again.Total.NewPoints || len(again.Unjudged) > 0 {
			wrong = append(wrong, fmt.Sprintf("tried once more: %v, %+v, %v", err, again.Total, again.Unjudged))
		}
		return r, wrong
	}
	t.Run("sqlite", func(t *testing.T) {
		changed, left, corrected := 0, 0, 0
		eachLife(t, drawCorrected, func(l life, fatal func(...any)) {
			r, wrong := check(t, l, storetest.SQLite(t), storetest.SQLite(t))
			if len(wrong) > 0 {
				fatal(strings.Join(wrong, "\n"))
			}
			if r.Total.Changed > 0 {
				changed++
			}
			if len(r.Unjudged) > 0 {
				left++
			}
			for _, c := range l.changes {
				if !c.failed {
					corrected++
				}
			}
		})
		t.Logf("%d lives changed, %d were left out in part; %d corrections", changed, left, corrected)
		if changed == 0 || corrected == 0 {
			t.Error("nothing changed, or nothing was corrected before: this tried little")
		}
	})
	t.Run("postgres", func(t *testing.T) {
		for seed := range 2 {
			if _, wrong := check(t, rapid.Custom(drawCorrected).Example(seed), storetest.Postgres(t), storetest.Postgres(t)); len(wrong) > 0 {
				t.Error(strings.Join(wrong, "\n"))
			}
		}
	})
}

// An order that does not fit the report, the draft or the database is refused, and changes nothing.
func TestOrders(t *testing.T) {
	l, ctx := simple(8), context.Background()
	db := l.live(t, storetest.SQLite(t), l.before())
	r, err := restate.Try(ctx, db, l.draftOf(), restate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*restate.Order){
		"another draft":  func(o *restate.Order) { o.Draft = append(bytes.Clone(o.Draft), '\n') },
		"another figure": func(o *restate.Order) { o.Report.Total.New++ },
		"other days":     func(o *restate.Order) { o.Report.Draft.To = "2026-03-01" },
		"a later batch":  func(o *restate.Order) { o.Report.Watermark.Parts[1].Batch++ },
		"no name":        func(o *restate.Order) { o.Name = "" },
	} {
		report := *r
		report.Watermark.Parts = append([]restate.Mark{}, r.Watermark.Parts...)
		o := l.order(&report)
		change(&o)
		if _, err := restate.Apply(ctx, db, o, restate.Options{}); err == nil || fault.KindOf(err) == "" && name != "no name" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n, err := db.Rulebook(ctx); err != nil || n != r.Watermark.Rulebook {
		t.Errorf("rulebook %d, %v: something was published", n, err)
	}
	done, err := restate.Apply(ctx, db, l.order(r), restate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := restate.Apply(ctx, db, l.order(r), restate.Options{})
	if err != nil || !bytes.Equal(written(t, again.Applied), written(t, done.Applied)) {
		t.Errorf("the same order again: %v", err)
	}
	o := l.order(r)
	o.Reason = "another"
	if _, err := restate.Apply(ctx, db, o, restate.Options{}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("the same name for another reason: %v", err)
	}
	o = l.order(r)
	o.Name = "third"
	if _, err := restate.Apply(ctx, db, o, restate.Options{}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("the same report under another name: %v", err)
	}
	clean(t, db)
}

// Somebody who is erased between being found and being restated used to end the run with an error.
func TestApplyPassesErased(t *testing.T) {
	l, ctx, now := simple(40), context.Background(), spring.AddDate(0, 0, 3)
	db := l.live(t, storetest.SQLite(t), l.before())
	r, err := restate.Try(ctx, db, l.draftOf(), restate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := restate.Begin(ctx, db, l.order(r), 0, now)
	if err != nil {
		t.Fatal(err)
	}
	erased := false
	for part := range db.Parts {
		pending, err := a.Pending(ctx, part, now.UnixMicro())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range pending {
			id := store.AccountID{Part: part, Number: n}
			if !erased {
				if _, err := erase.New(db).Account(ctx, id, now); err != nil {
					t.Fatal(err)
				}
				erased = true
			}
			if err := a.Restate(ctx, id, now.UnixMicro()); err != nil {
				t.Errorf("account %s: %v", id, err)
			}
		}
	}
	if done, err := a.Finish(ctx, 1, now); err != nil || !erased || done.AsReported {
		t.Errorf("in the end: %v, as reported %v; want figures that lack the one who was erased", err, done.AsReported)
	}
	clean(t, db)
}

// Killed at any step, the same order again goes on where it was, restates no account twice, and comes to the same figures.
func TestApplyResumes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		l, ctx := simple(40), context.Background()
		db := l.live(t, url, l.before())
		r, err := restate.Try(ctx, db, l.draftOf(), restate.Options{})
		if err != nil {
			t.Fatal(err)
		}
		batches := int64(0)
		for died := 0; ; died++ { // after so many accounts
			a, err := restate.Begin(ctx, db, l.order(r), 0, spring.AddDate(0, 0, 3))
			if err != nil {
				t.Fatal(err)
			}
			left := 0
			for part := range db.Parts {
				pending, err := a.Pending(ctx, part, spring.AddDate(0, 0, 3).UnixMicro())
				if err != nil {
					t.Fatal(err)
				}
				for i, n := range pending {
					if left++; i > 0 {
						continue // we die
					}
					for range 2 { // the answer of the first was lost
						if err := a.Restate(ctx, store.AccountID{Part: part, Number: n}, spring.AddDate(0, 0, 3).UnixMicro()); err != nil {
							t.Fatal(err)
						}
					}
					batches++
				}
			}
			if left == 0 {
				break
			}
			if _, err := restate.Try(ctx, db, l.draftOf(), restate.Options{}); fault.KindOf(err) != fault.Conflict {
				t.Errorf("a draft was tried in the middle of a restatement: %v", err)
			}
			for _, f := range found(t, db) {
				t.Errorf("in the middle: %s", f)
			}
		}
		done, err := restate.Apply(ctx, db, l.order(r), restate.Options{})
		if err != nil || !bytes.Equal(written(t, r), written(t, done.Applied)) {
			t.Errorf("in the end: %v\n%s\n%s", err, written(t, r), written(t, done.Applied))
		}
		if batches != 4 {
			t.Errorf("%d accounts were restated, want 4", batches)
		}
		clean(t, db)
	})
}

// What comes between the report and the order, and while accounts are being restated, is restated as it is then, and told apart;
// what comes after the order is judged by the draft.
func TestApplyMoved(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		l, ctx := simple(60), context.Background()
		half := *l
		half.batches = l.batches[:20]
		db := half.live(t, url, l.before())
		r, err := restate.Try(ctx, db, l.draftOf(), restate.Options{})
		if err != nil {
			t.Fatal(err)
		}
		between := *l
		between.batches = l.batches[:22] // two more rides, of the two members of partition 0
		between.rest(t, db, 20)
		began, ended := make(chan bool), make(chan bool)
		go func() {
			defer close(ended)
			close(began)
			l.rest(t, db, 22)
		}()
		<-began
		done, err := restate.Apply(ctx, db, l.order(r), restate.Options{Now: func() time.Time { return spring.AddDate(0, 0, 2) }})
		<-ended
		if err != nil {
			t.Fatal(err)
		}
		m, a := &done.Moved, done.Applied
		if !done.AsReported || m.Accounts < 2 || a.Total.Old-m.Applied.Old != r.Total.Old-m.Reported.Old || a.Total.New-m.Applied.New != r.Total.New-m.Reported.New {
			t.Errorf("reported %+v, applied %+v, moved %+v", r.Total, a.Total, *m)
		}
		if m.Applied.New < m.Reported.New+2*300_000 {
			t.Errorf("of the two rides that came between nothing is told: %+v", *m)
		}
		clean(t, db)
		for id, o := range judged(t, db) {
			if o != (outcome{reason.OK, 300_000, 30_000, "BIKE@2"}) {
				t.Errorf("claim %s stands as %v", id, o)
			}
		}
		if again, err := restate.Apply(ctx, db, l.order(r), restate.Options{}); err != nil || !bytes.Equal(written(t, again.Applied), written(t, a)) {
			t.Errorf("the same order again: %v", err)
		}
	})
}

// A correction after the order judges by it, also in an account that was not restated yet.
func TestCorrectedBeforeRestated(t *testing.T) {
	l, ctx := simple(8), context.Background()
	l.changes = nil
	db := l.live(t, storetest.SQLite(t), l.before())
	r, err := restate.Try(ctx, db, l.draftOf(), restate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	now := spring.AddDate(0, 0, 3)
	if _, err := restate.Begin(ctx, db, l.order(r), 0, now); err != nil {
		t.Fatal(err)
	}
	subs := subsOf(t, db)
	for i := range 2 { // all that one member has
		c := change{batch: 4 * i, how: "replace", amount: 3}
		l.change(t, db, subs, &c, now)
		if c.failed {
			t.Fatal("not corrected")
		}
	}
	clean(t, db)
	done, err := restate.Apply(ctx, db, l.order(r), restate.Options{Now: func() time.Time { return now }})
	if err != nil || done.Moved.Accounts != 1 {
		t.Fatalf("%v: %+v", err, done)
	}
	clean(t, db)
	for id, o := range judged(t, db) {
		want := outcome{reason.OK, 300_000, 30_000, "BIKE@2"}
		if strings.HasSuffix(id, "r") {
			want.mg, want.points = 450_000, 45_000
		}
		if o != want {
			t.Errorf("claim %s stands as %v", id, o)
		}
	}
}

// After an older database was restored, with the documents that the log has, the same order restates again what was lost.
func TestApplyAfterRestore(t *testing.T) {
	l, ctx, url := simple(8), context.Background(), storetest.SQLite(t)
	l.live(t, url, l.before()).Close()
	file := strings.TrimPrefix(url, "sqlite:")
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	db := reopened(t, url)
	r, err := restate.Try(ctx, db, l.draftOf(), restate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	done, err := restate.Apply(ctx, db, l.order(r), restate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	documents, err := db.Documents(ctx, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	order := l.order(r)
	if n := len(documents); string(documents[n-2].Body) != string(order.Document()) {
		t.Errorf("the order was published as\n%s", documents[n-2].Body)
	}
	restored := filepath.Join(t.TempDir(), "restored.db")
	if err := os.WriteFile(restored, old, 0o666); err != nil {
		t.Fatal(err)
	}
	db = reopened(t, "sqlite:"+restored)
	if err := db.Publish(ctx, r.Watermark.Rulebook, documents[r.Watermark.Rulebook:], spring.AddDate(0, 1, 0)); err != nil {
		t.Fatal(err)
	}
	again, err := restate.Apply(ctx, db, l.order(r), restate.Options{})
	if err != nil || !bytes.Equal(written(t, again.Applied), written(t, done.Applied)) {
		t.Errorf("applied again: %v", err)
	}
	for id, o := range judged(t, db) {
		if o != (outcome{reason.OK, 300_000, 30_000, "BIKE@2"}) {
			t.Errorf("claim %s stands as %v", id, o)
		}
	}
	clean(t, db)
}

func reopened(t *testing.T, url string) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}
