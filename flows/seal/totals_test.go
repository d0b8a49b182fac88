package seal_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/correct"
	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store/storetest"
)

// credit has one member's claim of so many kWh judged at an instant, 500 g each.
func (w *world) credit(member int, at time.Time, kwh string) {
	w.t.Helper()
	w.creditLate(member, at, at, kwh)
}

// creditLate does so for a use at another instant.
func (w *world) creditLate(member int, used, at time.Time, kwh string) {
	w.t.Helper()
	w.next++
	c := claim.Claim{Partner: "utility", ID: fmt.Sprint(w.next), Sub: w.subs[member], Scenario: "meter", Start: used.UnixMicro(), End: used.UnixMicro(),
		Evidence: "system", Quantities: []claim.Quantity{{Name: "used", Text: kwh}}}
	j := &intake.Judge{DB: w.db}
	if v, err := j.Admit(w.t.Context(), w.db.Route(c.Sub), []claim.Claim{c}, at.UnixMicro()); err != nil || v[0].Milligrams == 0 {
		w.t.Fatal(v, err)
	}
}

func (w *world) totals(at time.Time) []record.Totals {
	w.t.Helper()
	if _, err := seal.OpenTotals(w.t.Context(), w.db, at); err != nil {
		w.t.Fatal(err)
	}
	step(w.t, w.sealer())
	_, entries := w.published()
	var list []record.Totals
	for _, e := range entries {
		if e, ok := e.(*record.Totals); ok {
			list = append(list, *e)
		}
	}
	return list
}

// A day's sums are opened once it is over, once, and only where enough members share them; what fewer share comes
// with the next days', and so does what a clock that was behind put into a day that was opened.
func TestOpenTotals(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		day := func(n, hour int) time.Time {
			return time.Date(2026, 9, n, hour, 0, 0, 0, time.FixedZone("CST", 8*3600))
		}
		for member := range seal.Least - 1 {
			w.credit(member, day(1, 9), "1")
			w.credit(member, day(1, 9), "1")
		}
		if got := w.totals(day(2, 12)); len(got) != 0 {
			t.Errorf("nine members' sum was opened: %+v", got)
		}
		w.credit(seal.Least-1, day(2, 9), "2")
		if got := w.totals(day(2, 23)); len(got) != 0 {
			t.Errorf("a day's sum was opened before it was over: %+v", got)
		}
		want := record.Totals{Type: record.TotalsType, Number: 1, Programme: "city", Method: "METER@1", Vintage: "2026", From: "2026-09-01", To: "2026-09-02",
			Least: seal.Least, Claims: 19, Reduction: 10_000_000}
		for range 2 {
			if got := w.totals(day(3, 2)); len(got) != 1 || got[0] != want {
				t.Errorf("opened %+v, want %+v", got, want)
			}
		}
		for member := range 12 {
			w.credit(member, day(4, 9), "3")
		}
		w.damage("UPDATE day_total SET claims = claims + 1, mg = mg + 7 WHERE day = '2026-09-01' AND part = (SELECT min(part) FROM day_total WHERE day = '2026-09-01')")
		got := w.totals(day(9, 2))
		next := want
		next.Number, next.From, next.To, next.Claims, next.Reduction = 2, "2026-09-03", "2026-09-08", 13, 18_000_007
		if len(got) != 2 || got[1] != next {
			t.Errorf("opened %+v, want %+v", got, next)
		}
	})
}

// Servers that look at the same moment open a day's sums once.
func TestOpenTotalsTogether(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		at := time.Date(2026, 9, 1, 9, 0, 0, 0, time.UTC)
		for member := range seal.Least {
			w.credit(member, at, "1")
		}
		var together sync.WaitGroup
		for range 8 {
			together.Go(func() {
				if _, err := seal.OpenTotals(t.Context(), w.db, at.AddDate(0, 0, 2)); err != nil {
					t.Error(err)
				}
			})
		}
		together.Wait()
		if got := w.totals(at.AddDate(0, 0, 2)); len(got) != 1 || got[0].Claims != seal.Least {
			t.Errorf("opened %+v, want one sum of %d claims", got, seal.Least)
		}
	})
}

// What a correction took back is taken from the sums, on the day of the correction: what was retracted, or judged again,
// would otherwise stay in what everybody adds up, or count twice.
func TestOpenTotalsCorrected(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		at := time.Date(2026, 9, 1, 9, 0, 0, 0, time.UTC)
		for member := range seal.Least + 2 {
			w.credit(member, at, "2")
		}
		w.totals(at.AddDate(0, 0, 1))
		d := correct.New(w.db)
		wrong := correct.Request{Subject: w.subs[0], Partner: "utility", ID: "1", By: "utility", Reason: "never happened"}
		if _, err := d.Retract(t.Context(), wrong, at.AddDate(0, 0, 2).UnixMicro()); err != nil {
			t.Fatal(err)
		}
		for member := range seal.Least {
			w.credit(member+3, at.AddDate(0, 0, 2), "2")
		}
		got := w.totals(at.AddDate(0, 0, 4))
		if len(got) != 2 || got[0].Reduction != 12_000_000 || got[1].Reduction != 10_000_000-1_000_000 || got[1].Claims != seal.Least {
			t.Errorf("opened %+v", got)
		}
		// Nine of ten took everything back: what is left is one member's.
		for member := range seal.Least {
			w.credit(member+3, at.AddDate(0, 0, 6), "2")
			if wrong.Subject, wrong.ID = w.subs[member+3], fmt.Sprint(w.next); member > 0 {
				if _, err := d.Retract(t.Context(), wrong, at.AddDate(0, 0, 6).UnixMicro()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := w.totals(at.AddDate(0, 0, 8)); len(got) != 2 {
			t.Errorf("one member's sum was opened: %+v", got[2:])
		}
	})
}

// Where many take back what was opened, as after a restatement, the sum that is opened is negative, though nothing was accepted:
// or it would be added up for ever.
func TestOpenTotalsTakenBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		at := time.Date(2026, 9, 1, 9, 0, 0, 0, time.UTC)
		for member := range seal.Least + 2 {
			w.credit(member, at, "2")
		}
		w.totals(at.AddDate(0, 0, 1))
		d := correct.New(w.db)
		retract := func(member int, at time.Time) {
			r := correct.Request{Subject: w.subs[member], Partner: "utility", ID: fmt.Sprint(member + 1), By: "utility", Reason: "never happened"}
			if _, err := d.Retract(t.Context(), r, at.UnixMicro()); err != nil {
				t.Fatal(err)
			}
		}
		for member := range seal.Least - 1 {
			retract(member, at.AddDate(0, 0, 2))
		}
		if got := w.totals(at.AddDate(0, 0, 3)); len(got) != 1 {
			t.Errorf("what nine members took back was opened: %+v", got[1:])
		}
		retract(seal.Least, at.AddDate(0, 0, 4))
		got := w.totals(at.AddDate(0, 0, 5))
		if len(got) != 2 || got[1].Claims != 0 || got[1].Reduction != -10*1_000_000 {
			t.Fatalf("opened %+v, want what ten members took back", got)
		}
		var sums record.Sums
		for i := range got {
			if wrong := sums.Add(&got[i]); wrong != "" {
				t.Error(wrong)
			}
		}
		if all := sums.All(); len(all) != 1 || all[0].Reduction != 2*1_000_000 {
			t.Errorf("they add up to %+v", all)
		}
	})
}

// What was opened, lost with a database and reported again is not opened again; those whose it is hide nobody.
func TestOpenTotalsAfterLoss(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		at := time.Date(2026, 9, 1, 9, 0, 0, 0, time.UTC)
		everybody := func(judged time.Time) {
			for member := range seal.Least + 2 {
				w.creditLate(member, at, judged, "1")
			}
		}
		everybody(at)
		w.totals(at.AddDate(0, 0, 1))
		w.damage("DELETE FROM day_total") // as a restore leaves it
		everybody(at.AddDate(0, 0, 2))
		for range seal.Least {
			w.credit(20, at.AddDate(0, 0, 3), "5")
		}
		if got := w.totals(at.AddDate(0, 0, 5)); len(got) != 1 {
			t.Errorf("one member's sum was opened: %+v", got[1:])
		}
		for member := range seal.Least {
			w.credit(13+member, at.AddDate(0, 0, 6), "1")
		}
		got := w.totals(at.AddDate(0, 0, 8))
		if n := 2 * seal.Least; len(got) != 2 || got[1].Claims != int64(n) || got[1].Reduction != int64(10*5+10)*500_000 {
			t.Errorf("opened %+v, want what %d claims came to", got, n)
		}
	})
}

// A sum that few share is looked at once a day and not at every turn, for it takes a look at what everybody did.
func TestTotalsLookedAtOnceADay(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	s := w.sealer()
	at := time.Date(2026, 9, 1, 9, 0, 0, 0, time.UTC)
	opened := func(at time.Time) int {
		if _, err := s.Step(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		_, entries := w.published()
		return count[*record.Totals](entries)
	}
	for member := range seal.Least - 1 {
		w.credit(member, at, "1")
		w.credit(member, at, "2")
	}
	if n := opened(at.AddDate(0, 0, 1)); n != 0 {
		t.Errorf("%d sums that nine share were opened", n)
	}
	w.credit(seal.Least, at, "1")
	if n := opened(at.AddDate(0, 0, 1).Add(time.Hour)); n != 0 {
		t.Errorf("%d sums were opened when nothing but the hour had changed", n)
	}
	if n := opened(at.AddDate(0, 0, 2)); n != 1 {
		t.Errorf("%d sums were opened a day later, want 1", n)
	}
}

// A running sealer opens sums beside its steps.
func TestTotalsBesideSteps(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	for member := range seal.Least {
		w.credit(member, time.Now().AddDate(0, 0, -2), "1")
	}
	s, err := seal.New(t.Context(), seal.Config{DB: w.db, Signer: w.signer(), Every: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	defer running.Wait()
	defer cancel()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if mustLog(t, w.db).Checkpoint == "" {
			continue
		}
		if _, entries := w.published(); count[*record.Totals](entries) == 1 {
			return
		}
	}
	t.Error("no sum was opened")
}
