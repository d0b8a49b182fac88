package claim_test

import (
	"testing"
	"time"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/quantity"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/rulebook"
)

// meterDocuments hold one methodology under which a claim can be wrong in every way there is.
var meterDocuments = map[string]string{
	"m.groups.yaml": `
meter: {kind: total, period: month, repeat: refuse, each: object, title: a meter}
`,
	"m.methodology.yaml": methodologyOfMeter("METER", "2024-01-01"),
	"l.methodology.yaml": methodologyOfMeter("LATER", "2030-01-01"),
	"p.programme.yaml":   programmeOfMeter("p", ""),
	"c.programme.yaml":   programmeOfMeter("closed", "open: {from: 2020-01-01, to: 2021-01-01}"),
}

func methodologyOfMeter(id, from string) string {
	return `
id: ` + id + `
version: 1
title: a meter
domain: life
activity: meter
kind: reduction
use: points
region: CN
timezone: Asia/Shanghai
valid: {from: ` + from + `}
sources: [{id: s, title: a source}]
group: meter
inputs:
  used: {unit: kWh, min: 1, max: 5000, keep: true, source: s, seen: true}
  area: {unit: m2, max: 1000, source: s, seen: true}
  people: {unit: person, source: s, seen: true}
  rooms: {unit: "1", source: s, seen: true}
parameters: {grid: {value: 0.5, unit: kgCO2e/kWh, source: s, seen: true}, one: {value: 1, unit: person, source: s, seen: true}}
baseline: history(used, same_month, 1) * grid
project: used * grid * one / people
caps: [{per: year, claims: 2}]
plausible: rooms <= 50
evidence: {system: {weight: 1}}
`
}

func programmeOfMeter(id, open string) string {
	return `
id: ` + id + `
title: a programme
region: CN-42
timezone: Asia/Shanghai
operator: {name: an operator, mode: platform}
applicant: {name: an applicant}
ownership: assigned
accepts: {late: 720h, early: 5m}
` + open + `
points: {name: points, per: 10 gCO2e, expires: end-of-next-year}
scenarios:
  meter: {methodology: METER, partners: [utility]}
  later: {methodology: LATER, partners: [utility]}
`
}

// A hearing is one claim with all that its verdict depends on.
type hearing struct {
	session claim.Session
	link    claim.Link
	claim   claim.Claim
	known   *claim.Known
	same    func(h *hearing) // the account has a claim with this id already
	slot    bool             // the period is taken
}

func newHearing(book *rulebook.Rulebook) *hearing {
	zone := time.FixedZone("", 8*3600)
	h := &hearing{
		session: claim.Session{Book: book, At: time.Date(2026, 8, 3, 0, 0, 0, 0, zone).UnixMicro()},
		link: claim.Link{Sub: "sub", Account: 9, Programme: "p", Partner: "utility", Purposes: []string{claim.Credit, claim.Assign},
			Objects: []string{"meter-1"}},
		claim: claim.Claim{Partner: "utility", ID: "id", Sub: "sub", Scenario: "meter", Evidence: "system", Object: "meter-1",
			Start:      time.Date(2026, 7, 1, 0, 0, 0, 0, zone).UnixMicro(),
			End:        time.Date(2026, 8, 1, 0, 0, 0, 0, zone).UnixMicro(),
			Quantities: []claim.Quantity{{Name: "area", Text: "100"}, {Name: "people", Text: "2"}, {Name: "rooms", Text: "4"}, {Name: "used", Text: "90"}}},
		known: claim.NewKnown(),
	}
	h.known.Kept[claim.Kept{Account: 9, Method: "METER", Input: "used", Object: "meter-1", Period: "2025-07"}] = kWh(100)
	return h
}

// kWh in joules, the base unit of energy.
func kWh(n int64) quantity.Rat { return quantity.Int(n * 3_600_000) }

func (h *hearing) report(name, text string) {
	for i := range h.claim.Quantities {
		if h.claim.Quantities[i].Name == name {
			h.claim.Quantities[i].Text = text
		}
	}
}

func (h *hearing) verdict() claim.Verdict {
	if h.same != nil {
		h.same(h)
	}
	if h.slot {
		h.known.Slots[claim.Slot{Account: 9, Group: "meter", Key: "2026-07/" + h.claim.Object}] = claim.Counted{By: "bank"}
	}
	d := claim.Open(h.session, []claim.Claim{h.claim}, map[string]*claim.Link{"sub": &h.link})
	return d.Judge(0, 1, h.known).Verdicts[0]
}

func (h *hearing) recorded(body string) {
	h.known.Same[claim.Identity{Account: 9, Partner: h.claim.Partner, ID: "id"}] = claim.Recorded{
		Scenario: h.claim.Scenario, Start: h.claim.Start, End: h.claim.End, Body: body, Verdict: claim.Verdict{Reason: reason.OK, Milligrams: 7}}
}

// spoilers hold one way for each reason to apply, and the operands that its verdict then has.
var spoilers = []struct {
	code     reason.Code
	spoil    func(h *hearing)
	operands string
}{
	{reason.Replay, func(h *hearing) { h.same = func(h *hearing) { h.recorded(claim.Body(&h.claim)) } }, ""},
	{reason.IDReused, func(h *hearing) { h.same = func(h *hearing) { h.recorded(`{"evidence":"other"}`) } }, ""},
	{reason.NoLink, func(h *hearing) { h.link.Since = h.claim.Start + 1 }, `{"from":"2026-06-30T16:00:00Z"}`},
	{reason.LinkRevoked, func(h *hearing) { h.link.Revoked = 1e6 }, `{"until":"1970-01-01T00:00:01Z"}`},
	{reason.NoPurpose, func(h *hearing) { h.link.Purposes = []string{claim.Assign, claim.Statistics} }, `{"need":"credit"}`},
	{reason.ProgrammeClosed, func(h *hearing) { h.link.Programme = "closed" }, `{"field":"closed","got":"2026-06-30T16:00:00Z"}`},
	{reason.ScenarioOff, func(h *hearing) { h.link.Partner, h.claim.Partner = "bank", "bank" }, `{"field":"meter","got":"2026-06-30T16:00:00Z"}`},
	{reason.UnknownMethodology, func(h *hearing) { h.claim.Scenario = "later" },
		`{"field":"LATER","got":"2026-06-30T16:00:00Z","from":"2030-01-01T00:00:00+08:00"}`},
	{reason.BadTime, func(h *hearing) { h.claim.End-- }, `{"field":"start","got":"2026-06-30T16:00:00Z","want":"whole month"}`},
	{reason.InFuture, func(h *hearing) { h.session.At = h.claim.End - 300e6 - 2 }, `{"got":"2026-07-31T16:00:00Z","limit":"5m0s"}`},
	{reason.TooLate, func(h *hearing) { h.session.At = h.claim.End + 720*3600e6 + 1 }, `{"got":"720h0m0s","limit":"720h0m0s"}`},
	{reason.OutOfRegion, func(h *hearing) { h.claim.Region = "CN-43" }, `{"got":"CN-43","limit":"CN-42"}`},
	{reason.BadEvidence, func(h *hearing) { h.claim.Evidence = "hearsay" }, `{"field":"evidence","got":"hearsay","want":"system"}`},
	{reason.BadQuantity, func(h *hearing) {
		h.claim.Quantities = append([]claim.Quantity{{Name: "aaa", Text: "1"}}, h.claim.Quantities...)
	},
		`{"field":"aaa","got":"1","want":"used, area, people, rooms"}`},
	{reason.BelowMinimum, func(h *hearing) { h.report("used", "0.5") }, `{"field":"used","got":"0.5 kWh","limit":"1 kWh"}`},
	{reason.AboveMaximum, func(h *hearing) { h.report("area", "1000.5") }, `{"field":"area","got":"1000.5 m2","limit":"1000 m2"}`},
	{reason.ObjectUnknown, func(h *hearing) { h.link.Objects = nil }, `{"got":"meter-1"}`},
	{reason.Implausible, func(h *hearing) { h.report("rooms", "51") }, `{"got":"51","limit":"50","rule":"rooms <= 50"}`},
	{reason.Overlap, func(h *hearing) { h.slot = true }, `{"other":"bank"}`},
	{reason.CapReached, func(h *hearing) {
		h.known.Usage[claim.Period{Account: 9, Method: "METER", Name: "2026"}] = claim.Usage{Claims: 2}
	}, `{"field":"claims","limit":"2","until":"2027-01-01T00:00:00+08:00"}`},
	{reason.CannotCompute, func(h *hearing) { h.report("people", "0") }, `{"rule":"used * grid * one / people"}`},
	{reason.NoHistory, func(h *hearing) { clear(h.known.Kept) }, `{"need":"2025-07"}`},
	{reason.OK, func(*hearing) {}, ""},
}

// Each reason by itself has its operands; of two that apply, the first in the list is the verdict.
func TestPrecedence(t *testing.T) {
	book := library(t, meterDocuments)
	if len(spoilers) != len(reason.All) {
		t.Fatalf("%d reasons are tested of %d", len(spoilers), len(reason.All))
	}
	for i, first := range spoilers {
		if first.code != reason.All[i] {
			t.Fatalf("reason %d of the list is %s, here it is %s", i, reason.All[i], first.code)
		}
		h := newHearing(book)
		first.spoil(h)
		v := h.verdict()
		if got := claim.Operands(&v.Operands); v.Reason != first.code || got != first.operands {
			t.Errorf("%s alone: verdict %s with %s, want %s", first.code, v.Reason, got, first.operands)
		}
		if credited := v.Milligrams != 0; credited != (first.code == reason.OK || first.code == reason.Replay) {
			t.Errorf("%s alone: credited %d mg", first.code, v.Milligrams)
		}
		for _, second := range spoilers[i+1:] {
			switch [2]reason.Code{first.code, second.code} {
			case [2]reason.Code{reason.Replay, reason.IDReused}, [2]reason.Code{reason.InFuture, reason.TooLate}:
				continue // one rules out the other
			}
			h := newHearing(book)
			second.spoil(h)
			first.spoil(h)
			if v := h.verdict(); v.Reason != first.code {
				t.Errorf("%s and %s: verdict %s", first.code, second.code, v.Reason)
			}
		}
	}
}

// Every check fails closed: what it looks at may be missing altogether.
func TestMissing(t *testing.T) {
	book := library(t, meterDocuments)
	tests := []struct {
		what string
		lose func(h *hearing)
		want reason.Code
	}{
		{"the programme", func(h *hearing) { h.link.Programme = "gone" }, reason.ProgrammeClosed},
		{"all purposes", func(h *hearing) { h.link.Purposes = nil }, reason.NoPurpose},
		{"the scenario", func(h *hearing) { h.claim.Scenario = "" }, reason.ScenarioOff},
		{"the times", func(h *hearing) { h.claim.Start, h.claim.End = 0, 0 }, reason.UnknownMethodology},
		{"the end", func(h *hearing) { h.claim.End = 0 }, reason.BadTime},
		{"the evidence", func(h *hearing) { h.claim.Evidence = "" }, reason.BadEvidence},
		{"all quantities", func(h *hearing) { h.claim.Quantities = nil }, reason.BadQuantity},
		{"one quantity", func(h *hearing) { h.claim.Quantities = h.claim.Quantities[:3] }, reason.BadQuantity},
		{"the text of a quantity", func(h *hearing) { h.report("used", "") }, reason.BadQuantity},
		{"the objects", func(h *hearing) { h.link.Objects = []string{""} }, reason.ObjectUnknown},
		{"the partner", func(h *hearing) { h.claim.Partner = "" }, reason.NoLink},
		{"the sub", func(h *hearing) { h.claim.Sub = "" }, reason.NoLink},
		{"the history", func(h *hearing) { clear(h.known.Kept) }, reason.NoHistory},
	}
	for _, tt := range tests {
		h := newHearing(book)
		tt.lose(h)
		if v := h.verdict(); v.Reason != tt.want || v.Milligrams != 0 {
			t.Errorf("without %s: %s, %d mg; want %s and nothing", tt.what, v.Reason, v.Milligrams, tt.want)
		}
	}
}

// What is recorded and what only counted is as the list of reasons says, and both are in the totals.
func TestRecorded(t *testing.T) {
	book := library(t, meterDocuments)
	for _, s := range spoilers {
		h := newHearing(book)
		s.spoil(h)
		if h.same != nil {
			h.same(h)
		}
		if h.slot {
			h.known.Slots[claim.Slot{Account: 9, Group: "meter", Key: "2026-07/meter-1"}] = claim.Counted{By: "bank"}
		}
		h.session.Book = book
		o := claim.Open(h.session, []claim.Claim{h.claim}, map[string]*claim.Link{"sub": &h.link}).Judge(0, 1, h.known)
		b := claim.Seal(ledger.Batch{Number: 1, At: h.session.At}, o, book, nil)
		if recorded := len(o.Rows) == 1; recorded != s.code.Recorded() || recorded == (len(o.Counts) == 1) {
			t.Errorf("%s: %d rows and counts %q", s.code, len(o.Rows), o.Counts)
		}
		if ref := o.Verdicts[0].Ref; (ref != claim.Ref{}) != s.code.Recorded() {
			t.Errorf("%s: reference %q", s.code, ref)
		}
		if len(b.Totals) != 1 || b.Totals[0].Reason != s.code || b.Totals[0].Claims != 1 {
			t.Errorf("%s: totals %v", s.code, b.Totals)
		}
		for _, total := range b.Totals {
			if total.Milligrams != o.Verdicts[0].Milligrams && s.code != reason.Replay {
				t.Errorf("%s: %d mg in the totals, %d in the verdict", s.code, total.Milligrams, o.Verdicts[0].Milligrams)
			}
		}
	}
}
