package claim_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/reason"
)

// drawLinks gives two members links to every partner of the documents, some of them lacking something.
func drawLinks(t *rapid.T) map[string]*claim.Link {
	links := map[string]*claim.Link{}
	for account := range claim.Number(2) {
		for _, l := range []claim.Link{
			{Programme: "city", Partner: "bikes"}, {Programme: "city", Partner: "phones"}, {Programme: "city", Partner: "bank"},
			{Programme: "city", Partner: "food"}, {Programme: "city", Partner: "utility"}, {Programme: "home", Partner: "utility"},
		} {
			l.Account, l.Key = account+1, [32]byte{byte(account)}
			l.Sub = fmt.Sprint(l.Programme, l.Partner, account)
			l.Purposes = rapid.SampledFrom([][]string{claim.Purposes, claim.Purposes, {claim.Credit}, {claim.Statistics}}).Draw(t, "purposes")
			l.Since = rapid.SampledFrom([]claim.Micros{0, 0, 0, august.Add(48 * time.Hour).UnixMicro()}).Draw(t, "since")
			l.Objects = []string{"meter"}
			links[l.Sub] = &l
		}
	}
	return links
}

var august = time.Date(2026, 8, 1, 0, 0, 0, 0, time.FixedZone("", 8*3600))

// scenarios of the documents, with who reports them, what, and in which steps.
var scenarios = []struct{ name, programme, partner, quantity, unit string }{
	{"bike", "city", "bikes", "distance", " km"}, {"walk", "city", "bikes", "distance", " km"}, {"walk", "city", "phones", "distance", ""},
	{"steps", "city", "phones", "steps", "000"}, {"steps", "city", "bank", "steps", "000"}, {"errand", "city", "bikes", "load", "0"},
	{"trim", "city", "bikes", "load", ""}, {"order", "city", "food", "sets", ""}, {"water", "city", "utility", "used", ""},
	{"electricity", "home", "utility", "used", "00"}, {"gone", "city", "bikes", "distance", ""},
}

// drawClaim draws from so few ids, times and values that claims often meet.
func drawClaim(t *rapid.T) claim.Claim {
	s := rapid.SampledFrom(scenarios).Draw(t, "scenario")
	c := claim.Claim{Partner: s.partner, Scenario: s.name, Sub: fmt.Sprint(s.programme, s.partner, rapid.IntRange(0, 2).Draw(t, "member"))}
	c.ID = fmt.Sprint(rapid.IntRange(0, 30).Draw(t, "id"))
	c.Evidence = rapid.SampledFrom([]string{"system", "system", "system", "self", ""}).Draw(t, "evidence")
	c.Object = rapid.SampledFrom([]string{"", "", "meter", "other"}).Draw(t, "object")
	c.Act = rapid.SampledFrom([]string{"a", "b", "c", ""}).Draw(t, "act")
	c.Quantities = []claim.Quantity{{Name: s.quantity, Text: fmt.Sprint(rapid.IntRange(0, 12).Draw(t, "amount"), s.unit)}}
	start := august.AddDate(0, 0, rapid.IntRange(-1, 2).Draw(t, "day")).Add(time.Duration(rapid.IntRange(0, 47).Draw(t, "half hour")) * 30 * time.Minute)
	end := start.Add(time.Duration(rapid.IntRange(-1, 50).Draw(t, "minutes")) * time.Minute)
	switch s.name {
	case "steps":
		start = time.Date(start.Year(), start.Month(), start.Day(), 0, 0, 0, 0, start.Location())
		end = start.AddDate(0, 0, 1)
	case "electricity":
		start = time.Date(2026-start.Day()%3, 7, 1, 0, 0, 0, 0, start.Location())
		end = start.AddDate(0, 1, 0)
	}
	c.Start, c.End = start.UnixMicro(), end.UnixMicro()
	return c
}

// How claims are split into batches changes no verdict and nothing that is kept; sending all of them
// again changes nothing at all.
func TestSplitAndReplayProperty(t *testing.T) {
	book := library(t, documents(t))
	session := claim.Session{At: august.AddDate(0, 0, 3).UnixMicro()}
	rapid.Check(t, func(rt *rapid.T) {
		links := drawLinks(rt)
		claims := rapid.SliceOfN(rapid.Custom(drawClaim), 1, 60).Draw(rt, "claims")
		session.Backfill = rapid.Bool().Draw(rt, "backfill")

		whole := newMemory(book)
		whole.links = links
		first := whole.judge(t, session, claims).Verdicts

		split := newMemory(book)
		split.links = links
		var verdicts []claim.Verdict
		for rest := claims; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(rt, "batch")
			verdicts = append(verdicts, split.judge(t, session, rest[:n]).Verdicts...)
			rest = rest[n:]
		}
		for i := range claims {
			a, b := first[i], verdicts[i]
			a.Ref, b.Ref = claim.Ref{}, claim.Ref{}
			if a != b {
				rt.Fatalf("claim %d: %v in one batch, %v in several", i, a, b)
			}
		}
		sameState(rt, whole, split)

		before := state(split)
		for i, v := range split.judge(t, session, claims).Verdicts {
			checkReplay(rt, i, verdicts[i], v)
		}
		if after := state(split); !reflect.DeepEqual(before, after) {
			rt.Fatalf("sending everything again changed what is kept:\n%v\n%v", before, after)
		}
		checkTimes(rt, split)
		if t.Failed() {
			rt.FailNow()
		}
	})
}

func checkReplay(t *rapid.T, i int, first, again claim.Verdict) {
	want := first
	switch {
	case first.Reason.Recorded():
		want.First, want.Reason = first.Reason, reason.Replay
	case again.Reason == reason.Replay || again.Reason == reason.IDReused:
		return // it left no row, and meanwhile its id was used through another link of the same partner
	}
	if again != want {
		t.Fatalf("claim %d: %v, and sent again %v", i, first, again)
	}
}

// state is what a memory keeps, as text and numbers that can be compared.
func state(w *memory) any {
	usage := map[claim.Period]string{}
	for k, v := range w.usage {
		usage[k] = v.String()
	}
	kept := map[claim.Kept]string{}
	for k, v := range w.kept {
		kept[k] = v.String()
	}
	return []any{usage, kept, maps.Clone(w.slots), maps.Clone(w.balances), len(w.rows)}
}

func sameState(t *rapid.T, a, b *memory) {
	if x, y := state(a), state(b); !reflect.DeepEqual(x, y) {
		t.Fatalf("in one batch\n%v\nin several\n%v", x, y)
	}
}

// checkTimes looks, without a thought for efficiency, whether anybody was in two places at once or was
// credited for nothing, and whether the balances are the sums of the rows.
func checkTimes(t *rapid.T, w *memory) {
	sums := map[ledger.Key]int64{}
	for i, a := range w.rows {
		if w.reversed[a.Verdict.Ref] {
			continue
		}
		if a.Verdict.Reason != reason.OK && (a.Verdict.Milligrams != 0 || a.Verdict.Points != 0) {
			t.Fatalf("%s credited %d mg", a.Verdict.Reason, a.Verdict.Milligrams)
		}
		if a.Verdict.Milligrams != 0 {
			sums[ledger.Key{Holder: a.Holder, Asset: ledger.Series(a.Programme, a.Verdict.Method, a.Vintage)}] += a.Verdict.Milligrams
		}
		if a.Group != "trip" || a.Verdict.Reason != reason.OK {
			continue
		}
		for _, b := range w.rows[:i] {
			both := min(a.Claim.End, b.Claim.End) - max(a.Claim.Start, b.Claim.Start)
			shorter := min(a.Claim.End-a.Claim.Start, b.Claim.End-b.Claim.Start)
			if b.Group == "trip" && !w.reversed[b.Verdict.Ref] && b.Account == a.Account && b.Verdict.Reason == reason.OK && both > 0 && (both > 60e6 || 2*both > shorter) {
				t.Fatalf("two trips at once: %v and %v", a.Claim, b.Claim)
			}
		}
	}
	for _, k := range slices.Collect(maps.Keys(w.balances)) {
		if k.Holder != ledger.Issuance && k.Asset.Kind() == "CO2E" && w.balances[k] != sums[k] {
			t.Fatalf("%v is %d, its rows sum to %d", k, w.balances[k], sums[k])
		}
		if k.Holder != ledger.Issuance && w.balances[k] < 0 && k.Asset.Kind() != "NET" {
			t.Fatalf("%v is %d, below zero", k, w.balances[k])
		}
	}
}
