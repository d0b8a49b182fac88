package claim_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/rulebook"
)

var september = august.AddDate(0, 0, 3).UnixMicro()

// live are the claims that were not reversed, in the order in which they, or those in whose place they stand, came.
func (w *memory) live() (list []claim.Row) {
	arrived := map[claim.Ref]claim.Ref{}
	for _, r := range w.undone {
		if r.Next < 0 {
			continue
		}
		first, again := arrived[r.Of]
		if !again {
			first = r.Of
		}
		arrived[claim.Ref{Part: 3, Batch: r.Ref.Batch, Ord: r.Next}] = first
	}
	place := func(r *claim.Row) claim.Ref {
		if first, again := arrived[r.Verdict.Ref]; again {
			return first
		}
		return r.Verdict.Ref
	}
	for _, r := range w.rows {
		if !w.reversed[r.Verdict.Ref] {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b claim.Row) int {
		x, y := place(&a), place(&b)
		if x.Batch != y.Batch {
			return int(x.Batch - y.Batch)
		}
		return x.Ord - y.Ord
	})
	return list
}

// basisOf is what a row was judged by.
func (w *memory) basisOf(r *claim.Row) claim.Basis {
	if r.Again != nil {
		return r.Again.Basis
	}
	return w.basis[r.Verdict.Ref.Batch]
}

// drawHistory has claims judged, and some of them retracted and replaced on the way.
func drawHistory(t testing.TB, rt *rapid.T, book *rulebook.Rulebook, without ...string) *memory {
	w := newMemory(book)
	w.links = drawLinks(rt)
	for _, l := range w.links {
		if len(l.Purposes) == 1 && l.Purposes[0] == claim.Credit {
			l.Purposes = claim.Purposes // or it would depend on the order whether a day's steps go to the applicant
		}
	}
	draw := rapid.Custom(drawClaim).Filter(func(c claim.Claim) bool { return !slices.Contains(without, c.Scenario) })
	at := september
	for range rapid.IntRange(1, 8).Draw(rt, "rounds") {
		at += 1e6
		w.judge(t, claim.Session{At: at, Backfill: rapid.Bool().Draw(rt, "backfill")}, rapid.SliceOfN(draw, 1, 25).Draw(rt, "claims"))
		for range rapid.IntRange(0, 3).Draw(rt, "corrections") {
			at += 1e6
			drawCorrection(t, rt, w, draw, at)
		}
	}
	return w
}

func drawCorrection(t testing.TB, rt *rapid.T, w *memory, draw *rapid.Generator[claim.Claim], at claim.Micros) {
	live := w.live()
	if len(live) == 0 {
		return
	}
	row := rapid.SampledFrom(live).Draw(rt, "corrected")
	r := &claim.Correction{Of: []claim.Ref{row.Verdict.Ref}, Why: claim.Retracted, By: row.Claim.Partner, Reason: "drawn"}
	if rapid.Bool().Draw(rt, "replaced") {
		c := draw.Draw(rt, "replacement")
		if len(row.Claim.Quantities) == 1 && rapid.Bool().Draw(rt, "amount only") {
			c = *row.Claim
			c.Quantities = []claim.Quantity{{Name: c.Quantities[0].Name, Text: fmt.Sprint(rapid.IntRange(0, 12).Draw(rt, "other amount"), "00")}}
		}
		c.Partner, c.Sub, c.ID = row.Claim.Partner, row.Claim.Sub, "new "+row.Verdict.Ref.String()
		r.Why, r.With = claim.Replaced, &c
	}
	b, err := w.correct(t, row.Account, r, at, nil)
	if err != nil && fault.KindOf(err) != fault.Unfit {
		rt.Fatalf("%v of %s: %v", r.Why, row.Verdict.Ref, err)
	}
	if err != nil {
		return
	}
	if len(b.Reversals) == 0 || b.Reversals[0].Of != row.Verdict.Ref || b.Reversals[0].Milligrams != row.Verdict.Milligrams {
		rt.Fatalf("%v of %s with %d mg begins with %+v", r.Why, row.Verdict.Ref, row.Verdict.Milligrams, b.Reversals)
	}
	if _, err := w.correct(t, row.Account, r, at, nil); fault.KindOf(err) != fault.Conflict {
		rt.Fatalf("the same correction again: %v", err)
	}
}

// After any corrections what is kept is what a database keeps that never heard of the claims taken back: it judges those
// that count in the order in which they came, each as it was judged here. Caps that trim are left out: what one leaves
// depends on what had been used when a claim came. And which of a day's walks and steps a credit stands under depends on
// the order in which they were judged; how much it is does not.
func TestCorrectedProperty(t *testing.T) {
	book := library(t, documents(t))
	rapid.Check(t, func(rt *rapid.T) {
		w := drawHistory(t, rt, book, "trim")
		checkTimes(rt, w)
		fresh := newMemory(book)
		fresh.links = w.links
		for _, r := range w.live() {
			if r.Verdict.Reason.Kind() != reason.Accepted {
				continue
			}
			basis := w.basisOf(&r)
			v := fresh.judge(t, claim.Session{At: basis.At, Backfill: basis.Backfill}, []claim.Claim{*r.Claim}).Verdicts[0]
			if v.Reason == reason.NoHistory && r.Verdict.Reason == reason.OK && r.Again != nil {
				rt.Skip("a history came after the claim and before it was judged again")
			}
			if v.Reason != r.Verdict.Reason || v.Milligrams != r.Verdict.Milligrams && r.Group != "steps" && r.Group != "trip" {
				rt.Fatalf("%s is %v here, and %v where only what counts was judged", r.Verdict.Ref, r.Verdict, v)
			}
		}
		got, want := amounts(w), amounts(fresh)
		if !reflect.DeepEqual(got, want) {
			rt.Fatalf("corrected\n%v\nnever heard of\n%v", got, want)
		}
		if said, is := w.credits(t), w.held(); !maps.Equal(said, is) {
			rt.Fatalf("the leaves of what counts say %v, and the members hold %v", said, is)
		}
		if t.Failed() {
			rt.FailNow()
		}
	})
}

// credits is what the claims that count left on their members' balances, as their leaves say, and held is what is there.
func (w *memory) credits(t testing.TB) map[ledger.Key]int64 {
	sums := map[ledger.Key]int64{}
	for _, r := range w.live() {
		if r.Verdict.Reason.Kind() != reason.Accepted {
			continue
		}
		basis := w.basisOf(&r)
		credits, err := claim.Credits(claim.Session{Book: w.book, At: basis.At, Backfill: basis.Backfill}, &r)
		if err != nil {
			t.Fatal(err)
		}
		for asset, n := range credits {
			sums[ledger.Key{Holder: ledger.Holder(r.Account), Asset: asset}] += n
		}
	}
	maps.DeleteFunc(sums, func(_ ledger.Key, n int64) bool { return n == 0 })
	return sums
}

func (w *memory) held() map[ledger.Key]int64 {
	held := maps.Clone(w.balances)
	maps.DeleteFunc(held, func(k ledger.Key, n int64) bool { return n == 0 || k.Holder <= 0 })
	return held
}

// amounts is what a memory keeps, without what is zero, and walks with steps.
func amounts(w *memory) any {
	usage := map[claim.Period]string{}
	for k, v := range w.usage {
		v.Amounts = slices.DeleteFunc(slices.Clone(v.Amounts), func(a claim.Amount) bool { return a.Value.Sign() == 0 })
		usage[k] = v.String()
	}
	kept := map[claim.Kept]string{}
	for k, v := range w.kept {
		kept[k] = v.String()
	}
	balances := map[ledger.Key]int64{}
	for k, n := range w.balances {
		k.Asset = ledger.Asset(strings.Replace(string(k.Asset), "/WALK@1/", "/STEPS@1/", 1))
		balances[k] += n
	}
	maps.DeleteFunc(balances, func(_ ledger.Key, n int64) bool { return n == 0 })
	slots := map[claim.Slot]claim.Counted{}
	for k, c := range w.slots {
		if k.Group == "steps" {
			c.By = "" // who was judged last, which nothing depends on
		}
		slots[k] = c
	}
	return []any{usage, kept, slots, balances}
}

// With everything retracted nothing is left, whatever came before and in whichever order it goes.
func TestRetractAllProperty(t *testing.T) {
	book := library(t, documents(t))
	nothing := amounts(newMemory(book))
	rapid.Check(t, func(rt *rapid.T) {
		w := drawHistory(t, rt, book)
		for live := w.live(); len(live) > 0; live = w.live() {
			row := rapid.SampledFrom(live).Draw(rt, "retracted")
			if _, err := w.correct(t, row.Account, &claim.Correction{Of: []claim.Ref{row.Verdict.Ref}, Why: claim.Retracted, By: "p"}, september+1e9, nil); err != nil {
				rt.Fatal(err)
			}
		}
		if left := amounts(w); !reflect.DeepEqual(left, nothing) {
			rt.Fatalf("what is left is %v", left)
		}
	})
}

// What is retracted and reported again under another id is worth what it was, where nothing took its place meanwhile and
// nothing was computed from its value.
func TestRetractAndSendAgainProperty(t *testing.T) {
	book := library(t, documents(t))
	rapid.Check(t, func(rt *rapid.T) {
		w := drawHistory(t, rt, book, "trim", "electricity")
		live := slices.DeleteFunc(w.live(), func(r claim.Row) bool {
			return r.Verdict.Reason != reason.OK || slices.Contains([]string{"steps", "walk"}, r.Claim.Scenario)
		})
		if len(live) == 0 {
			rt.Skip("nothing was credited")
		}
		before := amounts(w)
		row := rapid.SampledFrom(live).Draw(rt, "retracted")
		b, err := w.correct(t, row.Account, &claim.Correction{Of: []claim.Ref{row.Verdict.Ref}, Why: claim.Retracted, By: "p"}, september+1e9, nil)
		if err != nil {
			rt.Fatal(err)
		}
		if len(b.Rows) > 0 {
			rt.Skip("something takes its place")
		}
		c := *row.Claim
		c.ID = "again"
		basis := w.basisOf(&row)
		v := w.judge(t, claim.Session{At: basis.At, Backfill: basis.Backfill}, []claim.Claim{c}).Verdicts[0]
		if v.Milligrams != row.Verdict.Milligrams || v.Points != row.Verdict.Points || !reflect.DeepEqual(before, amounts(w)) {
			rt.Fatalf("%s was worth %v, and sent again %v", row.Verdict.Ref, row.Verdict, v)
		}
	})
}

// A claim that lost to a retracted one as an overlap is credited, unless something else stands against it.
func TestLosersProperty(t *testing.T) {
	book := library(t, documents(t))
	rapid.Check(t, func(rt *rapid.T) {
		w := drawHistory(t, rt, book)
		for _, row := range w.live() {
			if w.reversed[row.Verdict.Ref] || row.Verdict.Reason.Kind() != reason.Accepted {
				continue
			}
			if _, err := w.correct(t, row.Account, &claim.Correction{Of: []claim.Ref{row.Verdict.Ref}, Why: claim.Retracted, By: "p"}, september+1e9, nil); err != nil {
				rt.Fatal(err)
			}
			for _, loser := range w.live() {
				if loser.Verdict.Reason != reason.Overlap || loser.Account != row.Account {
					continue
				}
				// Judged as a new claim it must still be an overlap: nobody waits for what nobody holds.
				c := *loser.Claim
				c.ID = "loser " + loser.Verdict.Ref.String()
				basis := w.basisOf(&loser)
				o := claim.Open(claim.Session{Book: book, At: basis.At, Backfill: basis.Backfill}, []claim.Claim{c}, w.links)
				if v := o.Judge(3, 99, w.answer(&o.Needs)).Verdicts[0]; v.Reason != reason.Overlap {
					rt.Fatalf("%s is still an overlap, and would be %s", loser.Verdict.Ref, v.Reason)
				}
			}
		}
	})
}

// A refusal that a later rulebook cures is judged by it, as if it had been published when the claim came.
func TestCure(t *testing.T) {
	files := documents(t)
	before := maps.Clone(files)
	delete(before, "bike.methodology.yaml")
	for _, name := range []string{"city.programme.yaml", "home.programme.yaml"} {
		before[name] = withoutBike(before[name])
	}
	old, book := library(t, before), library(t, files)
	w := newMemory(old)
	l := &claim.Link{Sub: "b", Account: 1, Programme: "city", Partner: "bikes", Purposes: claim.Purposes}
	w.links["b"] = l
	start := august.Add(8 * time.Hour).UnixMicro()
	ride := func(id string, from int64) claim.Claim {
		return claim.Claim{Partner: "bikes", ID: id, Sub: "b", Scenario: "bike", Start: start + from*60e6, End: start + (from+10)*60e6, Evidence: "system",
			Quantities: []claim.Quantity{{Name: "distance", Text: "2"}}}
	}
	for i, v := range w.judge(t, claim.Session{At: september}, []claim.Claim{ride("a", 0), ride("b", 5), ride("c", 30)}).Verdicts {
		if v.Reason != reason.ScenarioOff {
			t.Fatalf("claim %d is %v, want scenario-off", i, v)
		}
	}
	w.book = book
	of := []claim.Ref{{Part: 3, Batch: 1, Ord: 0}, {Part: 3, Batch: 1, Ord: 1}, {Part: 3, Batch: 1, Ord: 2}}
	b, err := w.correct(t, 1, &claim.Correction{Of: of, Why: claim.Rejudged, By: claim.Operator, Reason: "the methodology was published late"}, september+40*365*86400e6, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range b.Rows {
		got = append(got, fmt.Sprintf("%s %s %s %s %d", r.Claim.ID, outcome(r.Verdict), r.Verdict.Ref, r.Again.Of, r.Times))
	}
	want := []string{"a ok 200000mg 20000pt 3.2.3 3.1.0 1", `b overlap {"other":"bikes"} 3.2.4 3.1.1 1`, "c ok 200000mg 20000pt 3.2.5 3.1.2 1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if b.Rows[0].Again.At != september {
		t.Errorf("judged as of %d, want when it came, %d", b.Rows[0].Again.At, september)
	}
}

func withoutBike(programme string) string {
	lines := slices.DeleteFunc(strings.SplitAfter(programme, "\n"), func(line string) bool { return strings.Contains(line, "methodology: BIKE") })
	return strings.Join(lines, "")
}

// A replacement tells something new of the member: that needs a consent that is in force.
func TestReplaceWithoutConsent(t *testing.T) {
	w := newMemory(library(t, documents(t)))
	l := &claim.Link{Sub: "b", Account: 1, Programme: "city", Partner: "bikes", Purposes: claim.Purposes}
	w.links["b"] = l
	c := claim.Claim{Partner: "bikes", ID: "a", Sub: "b", Scenario: "bike", Start: august.UnixMicro(), End: august.UnixMicro() + 600e6, Evidence: "system",
		Quantities: []claim.Quantity{{Name: "distance", Text: "2"}}}
	w.judge(t, claim.Session{At: september}, []claim.Claim{c})
	l.Revoked = september + 1
	with := c
	with.ID = "b"
	of := []claim.Ref{{Part: 3, Batch: 1}}
	if _, err := w.correct(t, 1, &claim.Correction{Of: of, Why: claim.Replaced, With: &with, By: "bikes"}, september+1, nil); fault.KindOf(err) != fault.Conflict {
		t.Errorf("replaced after the link ended: %v", err)
	}
	with.Partner = "rivals"
	if _, err := w.correct(t, 1, &claim.Correction{Of: of, Why: claim.Replaced, With: &with, By: "rivals"}, september, nil); fault.KindOf(err) != fault.Unfit {
		t.Errorf("replaced by another partner: %v", err)
	}
	if _, err := w.correct(t, 1, &claim.Correction{Of: of, Why: claim.Retracted, By: "bikes"}, september+1, nil); err != nil {
		t.Errorf("retracted after the link ended: %v", err)
	}
}

// What a leaf of a reversal, and of a claim judged again, says: their bytes must never change.
func TestCorrectionLeaves(t *testing.T) {
	r := claim.Reversal{Of: claim.Ref{Part: 3, Batch: 12, Ord: 4}, Why: claim.Retracted, By: "bikes", Reason: "the bike \"stood\" still", Milligrams: 195930, Points: 19593, OwedPoints: 93}
	want := `{"reversal":{"of":"3.12.4","why":"retracted","by":"bikes","reason":"the bike \"stood\" still","reduction_mg":-195930,"points_thousandths":-19593,"liability_mg":0,"liability_thousandths":93}}`
	if got := string(r.Leaf(nil)); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	row := claim.Row{Claim: &claim.Claim{Partner: "p", ID: "i"}, Body: "{}", Verdict: claim.Verdict{Reason: reason.BadTime}}
	plain := string(claim.Leaf(nil, &row, ledger.Hash{}))
	row.Again = &claim.Again{Of: claim.Ref{Part: 3, Batch: 12, Ord: 4}, Basis: claim.Basis{At: 5, Rulebook: 7, Backfill: true}}
	want = plain[:len(plain)-1] + `,"again":{"of":"3.12.4","at":5,"rulebook":7,"backfill":true}}`
	if got := string(claim.Leaf(nil, &row, ledger.Hash{})); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
