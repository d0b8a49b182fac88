package restate_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/tanpu/tanpu/flows/correct"
	"github.com/tanpu/tanpu/flows/erase"
	"github.com/tanpu/tanpu/flows/restate"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

const credit = "parameters: {credit: {value: %s, unit: gCO2e/%s, source: test, seen: false}}"

// simple is a life of rides of 2 km in batches of one claim each.
func simple(rides int) *life {
	l := &life{id: "BIKE", known: "2020-01-01", texts: map[string][]string{}}
	for id, unit := range map[string]string{"BIKE": "km", "WALK": "step", "STEPS": "step", "POWER": "kWh"} {
		l.texts[id] = []string{fmt.Sprintf("inputs: {amount: {unit: %s, min: 0, max: 100, source: test, seen: false}}", unit), fmt.Sprintf(credit, "100", unit),
			"reduction: amount * credit", "evidence: {system: {weight: 1}}"}
		if id != "POWER" {
			l.texts[id] = append(l.texts[id], "group: "+map[string]string{"BIKE": "trip", "WALK": "trip", "STEPS": "steps"}[id])
		}
	}
	l.draft = append(append([]string{}, l.texts["BIKE"][:1]...), append([]string{fmt.Sprintf(credit, "150", "km")}, l.texts["BIKE"][2:]...)...)
	for i := range rides {
		start := spring.UnixMicro() + int64(i)*60e6
		c := said{member: i % 2, partner: "rides", Claim: claim.Claim{ID: fmt.Sprint(i), Scenario: "bike", Evidence: "system", Start: start, End: start + 50e6,
			Quantities: []claim.Quantity{{Name: "amount", Text: "2"}}}}
		l.batches = append(l.batches, lived{part: i / 2 % 2, claims: []said{c}})
	}
	l.revisedAt = -1
	return l
}

func (l *life) draftOf() restate.Draft {
	return restate.Draft{File: "draft.yaml", Text: []byte(l.after()[0].String())}
}

func written(t *testing.T, r *restate.Report) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A report at its own watermark is the same, byte for byte, whatever has come since, however many read at once; also
// one that was made while claims came in.
func TestWatermark(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		l, ctx := simple(60), context.Background()
		half := *l
		half.batches = l.batches[:10]
		db := half.live(t, url, l.before())
		first, err := restate.Try(ctx, db, l.draftOf(), restate.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if first.Total.Changed != 10 || first.Total.Old != 10*200_000 || first.Total.New != 10*300_000 || first.Accounts.More != 4 {
			t.Errorf("%+v, %+v", first.Total, first.Accounts)
		}
		more := make(chan struct{})
		go func() {
			defer close(more)
			l.rest(t, db, 10)
		}()
		var between []*restate.Report
		for open := true; open; {
			select {
			case <-more:
				open = false
			default:
			}
			r, err := restate.Try(ctx, db, l.draftOf(), restate.Options{Workers: 2})
			if err != nil {
				t.Fatal(err)
			}
			between = append(between, r)
		}
		last := between[len(between)-1]
		if last.Total.Changed != 60 {
			t.Errorf("in the end %d changed", last.Total.Changed)
		}
		for _, r := range append(between, first) {
			again, err := restate.Try(ctx, db, l.draftOf(), restate.Options{Workers: 1, Upto: &r.Watermark})
			if err != nil || !bytes.Equal(written(t, r), written(t, again)) {
				t.Errorf("again at the same watermark: %v\n%s\n%s", err, written(t, r), written(t, again))
			}
		}
		t.Logf("%d reports while claims came in", len(between))
	})
}

// A correction that was made since changes nothing of what stood at the watermark.
func TestWatermarkBeforeCorrection(t *testing.T) {
	l, ctx := simple(8), context.Background()
	db := l.live(t, storetest.SQLite(t), l.before())
	r, err := restate.Try(ctx, db, l.draftOf(), restate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := correct.New(db).Retract(ctx, correct.Request{Subject: subsOf(t, db)["0 0rides"], Partner: "rides", ID: "0", By: "rides", Reason: "a test"}, spring.AddDate(0, 1, 0).UnixMicro()); err != nil {
		t.Fatal(err)
	}
	again, err := restate.Try(ctx, db, l.draftOf(), restate.Options{Upto: &r.Watermark})
	if err != nil || !bytes.Equal(written(t, r), written(t, again)) {
		t.Errorf("at the same watermark after a correction: %v\n%s\n%s", err, written(t, r), written(t, again))
	}
}

// rest lives on from a batch, for members that have joined.
func (l *life) rest(t *testing.T, db *store.DB, from int) {
	rest := *l
	rest.batches = l.batches[from:]
	rest.say(t, db, subsOf(t, db))
}

// subsOf finds the subs of members that have joined.
func subsOf(t *testing.T, db *store.DB) map[string]string {
	subs := map[string]string{}
	for part := range db.Parts {
		err := db.Snapshot(context.Background(), part, func(s *store.Snapshot) error {
			return s.Links(context.Background(), store.Range{From: 1, To: s.Accounts}, func(k *claim.Link, _ int64) {
				subs[fmt.Sprint(part, k.Account-1, k.Partner)] = k.Sub
			})
		})
		if err != nil {
			t.Error(err)
		}
	}
	return subs
}

// A watermark that is not of this history is refused.
func TestOtherWatermark(t *testing.T) {
	l, ctx := simple(8), context.Background()
	db := l.live(t, storetest.SQLite(t), l.before())
	r, err := restate.Try(ctx, db, l.draftOf(), restate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*restate.Watermark){
		"another database": func(w *restate.Watermark) { w.Database = "x" },
		"a part less":      func(w *restate.Watermark) { w.Parts = w.Parts[:1] },
		"a later batch":    func(w *restate.Watermark) { w.Parts[1].Batch++ },
		"another hash":     func(w *restate.Watermark) { w.Parts[1].Hash[3]++ },
		"another instant":  func(w *restate.Watermark) { w.Parts[1].At++ },
		"a batch less":     func(w *restate.Watermark) { w.Parts[1].Batch-- },
		"a later rulebook": func(w *restate.Watermark) { w.Rulebook++ },
	} {
		w := r.Watermark
		w.Parts = append([]restate.Mark{}, w.Parts...)
		change(&w)
		if _, err := restate.Try(ctx, db, l.draftOf(), restate.Options{Upto: &w}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What cannot be judged again leaves its account out, and is told.
func TestUnjudged(t *testing.T) {
	for statement, why := range map[string]restate.Why{
		"UPDATE claim SET body = body || ' ' WHERE part = 0 AND account = 1 AND id = '0'": restate.NoBody,
		"DELETE FROM link WHERE part = 0 AND account = 1":                                 restate.NoConsent,
		"DELETE FROM account WHERE part = 0 AND account = 1":                              restate.NoAccount,
		"UPDATE claim SET batch = -1 WHERE part = 0 AND account = 1 AND id = '0'":         restate.NoBatch,
		"DELETE FROM account_key WHERE part = 0 AND account = 1":                          restate.Erased,
	} {
		l, ctx, url := simple(16), context.Background(), storetest.SQLite(t)
		db := l.live(t, url, l.before())
		damage(t, url, statement)
		r, err := restate.Try(ctx, db, l.draftOf(), restate.Options{})
		if err != nil {
			t.Fatal(statement, err)
		}
		if r.Whole() || len(r.Unjudged) != 1 || r.Unjudged[0] != (restate.Unjudged{Why: why, Accounts: 1, Claims: 4}) || r.Total.Changed != 12 {
			t.Errorf("%s: %+v, %d changed", statement, r.Unjudged, r.Total.Changed)
		}
	}
}

// Of people who were erased there is nothing to try: the report counts their claims, and is whole; and so is what applying it
// comes to.
func TestForgotten(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		l, ctx := simple(16), context.Background()
		db := l.live(t, url, l.before())
		if _, err := erase.New(db).Account(ctx, store.AccountID{Part: 0, Number: 1}, spring.AddDate(0, 1, 0)); err != nil {
			t.Fatal(err)
		}
		r, err := restate.Try(ctx, db, l.draftOf(), restate.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !r.Whole() || len(r.Unjudged) != 1 || r.Unjudged[0] != (restate.Unjudged{Why: restate.Forgotten, Accounts: 1, Claims: 4}) || r.Total.Changed != 12 {
			t.Errorf("%+v, %d changed", r.Unjudged, r.Total.Changed)
		}
		if done, err := restate.Apply(ctx, db, l.order(r), restate.Options{}); err != nil || !done.Whole() {
			t.Errorf("applied, it is %+v: %v", done, err)
		}
	})
}

func damage(t *testing.T, url, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(url, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT name FROM sqlite_master WHERE type = 'trigger'")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	rows.Close()
	for _, name := range names {
		if _, err := db.Exec("DROP TRIGGER " + name); err != nil {
			t.Fatal(err)
		}
	}
	done, err := db.Exec(statement)
	if err != nil {
		t.Fatal(statement, err)
	}
	if n, _ := done.RowsAffected(); n == 0 {
		t.Fatalf("%s: there was nothing to damage", statement)
	}
}

// A draft that no programme could run is refused, as it would be when it was published.
func TestUnfit(t *testing.T) {
	l, ctx := simple(4), context.Background()
	db := l.live(t, storetest.SQLite(t), l.before())
	good := l.after()[0].String()
	for change, want := range map[string]string{
		"timezone: Asia/Tokyo": "they must be the same",
		"region: US":           "holds in US",
		"id: NONE":             "no version of NONE is published",
		"group: nothing":       `there is no group "nothing"`,
	} {
		name, _, _ := strings.Cut(change, ":")
		var lines []string
		for line := range strings.Lines(good) {
			if strings.HasPrefix(line, name+":") {
				line = change + "\n"
			}
			lines = append(lines, line)
		}
		_, err := restate.Try(ctx, db, restate.Draft{File: "draft.yaml", Text: []byte(strings.Join(lines, ""))}, restate.Options{})
		if err == nil || !strings.Contains(err.Error(), want) || fault.KindOf(err) == "" {
			t.Errorf("%s: %v, want %q", change, err, want)
		}
	}
	if _, err := restate.Try(ctx, db, restate.Draft{File: "draft.yaml", Text: []byte(good + "examples:\n  - given: {amount: 1 km, duration: 1 min, evidence: system}\n    want: {reduction: 1 gCO2e}\n")}, restate.Options{}); err == nil {
		t.Error("a draft whose example does not come out was tried")
	}
}

// An empty database has nothing to try on, and that is no fault.
func TestNothing(t *testing.T) {
	l := simple(0)
	db := l.live(t, storetest.SQLite(t), l.before())
	if r := try(t, db, l.after()[0].String()); r.Judged.Claims != 0 || r.Total != (restate.Sum{}) || len(r.Months) != 0 {
		t.Errorf("%+v", r)
	}
}

// A rulebook published after some batches is theirs that come later: a methodology that was not yet there when a
// claim was judged is not there when it is judged again.
func TestOwnRulebook(t *testing.T) {
	l := simple(8)
	l.revisedAt = 4
	for i := range l.batches {
		l.batches[i].claims[0].partner = "bank"
	}
	db := l.live(t, storetest.SQLite(t), l.before())
	r := try(t, db, l.after()[0].String())
	if r.Judged.Claims != 8 || r.Total.Claims != 4 || r.Total.Changed != 4 {
		t.Errorf("of %d claims %d are concerned and %d changed, want 8, 4 and 4: once revised, the bank may report no rides", r.Judged.Claims, r.Total.Claims, r.Total.Changed)
	}
}

func TestBuckets(t *testing.T) {
	for i := range restate.Buckets {
		from, to := restate.Bounds(i)
		if from != nil && restate.BucketOf(*from) != i || to != nil && restate.BucketOf(*to) != i {
			t.Errorf("the ends of bucket %d lie in other buckets", i)
		}
		if i > 0 {
			if _, before := restate.Bounds(i - 1); before == nil || from == nil || *before+1 != *from {
				t.Errorf("buckets %d and %d do not meet", i-1, i)
			}
		} else if from != nil {
			t.Error("the first bucket has an end")
		}
	}
	if _, to := restate.Bounds(restate.Buckets - 1); to != nil || restate.BucketOf(0) != restate.Buckets/2 || restate.BucketOf(1e13) != restate.Buckets-1 {
		t.Error("the last bucket has an end, or zero is not in the middle")
	}
}
