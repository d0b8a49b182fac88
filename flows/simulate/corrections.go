package simulate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tanpu/tanpu/flows/correct"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/reason"
)

// A correction was asked for, and what it did is known.
type correction struct {
	correct.Request
	with *claim.Claim
	part int
	done int64 // the batch that it is
}

// correct has a partner take a claim back or replace it, or asks for a correction again.
func (w *world) correct() {
	s := w.server()
	if s == nil {
		return
	}
	if n := len(w.done); n > 0 && w.draw.IntN(4) == 0 {
		w.cover.Other["a correction was asked for again"]++
		s.carry(w.done[w.draw.IntN(n)])
		return
	}
	row := w.anyRow(func(r *mrow) bool { return !r.account.crowd() && (r.counts() || w.draw.IntN(4) == 0) })
	if row == nil {
		return
	}
	c := row.claim
	k := &correction{part: row.ref.Part, Request: correct.Request{Subject: c.Sub, Partner: c.Partner, ID: c.ID, By: c.Partner, Reason: "it stood still"}}
	if w.draw.IntN(2) == 0 {
		k.with = w.instead(row)
	}
	s.carry(k)
}

// anyRow draws a recorded claim.
func (w *world) anyRow(of func(*mrow) bool) *mrow {
	var list []*mrow
	for _, a := range w.model.members() {
		for _, r := range a.rows {
			if of(r) {
				list = append(list, r)
			}
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[w.draw.IntN(len(list))]
}

// instead draws what is to take a claim's place.
func (w *world) instead(row *mrow) *claim.Claim {
	with := *row.claim
	w.next++
	with.ID = fmt.Sprint(w.next)
	switch with.Scenario {
	case "bike", "swim", "walk":
		shift := time.Duration(w.draw.IntN(5)-2) * 15 * time.Minute
		with.Start, with.End = with.Start+shift.Microseconds(), with.End+shift.Microseconds()
	case "order":
		with.Act = string(rune('a' + w.draw.IntN(6)))
	}
	if w.draw.IntN(2) == 0 {
		factor := map[string]int{"walk": 100, "steps": 100, "meter": 50}[with.Scenario]
		with.Quantities = []claim.Quantity{{Name: with.Quantities[0].Name, Text: fmt.Sprint(max(1, factor) * (1 + w.draw.IntN(6)))}}
	}
	return &with
}

// carry has a server carry a correction out. Where it cannot be told what it did, it is asked for again at once.
func (s *server) carry(k *correction) {
	before := s.stage.committed
	var done *correct.Done
	var err error
	if k.with == nil {
		done, err = s.desk.Retract(s.ctx, k.Request, s.clock())
	} else {
		done, err = s.desk.Replace(s.ctx, k.Request, *k.with, s.clock())
	}
	committed := s.stage.committed > before
	switch {
	case err != nil && committed:
		if again := s.well(); again != nil {
			s.cover.Other["a correction was done, and its answer lost"]++
			again.carry(k)
		}
		return
	case err != nil:
		s.note("not corrected: %s", fault.KindOf(err))
		if !s.allowed(err) {
			s.fail("correction", "of %s of %s: %v", k.ID, k.Partner, err)
		}
		if k.done != 0 && fault.KindOf(err) != "" && fault.KindOf(err) != fault.Conflict {
			s.fail("correction", "%s of %s was corrected by batch %d.%d, and now it is said: %v", k.ID, k.Partner, k.part, k.done, err)
		}
		if k.with == nil && k.done == 0 && fault.KindOf(err) != "" && s.retractable(k) {
			s.fail("correction", "%s of %s cannot be retracted: %v", k.ID, k.Partner, err)
		}
		return
	case k.done != 0 && done.Batch != k.done:
		s.fail("correction", "%s of %s was corrected by batch %d.%d, and asked for again by %d", k.ID, k.Partner, k.part, k.done, done.Batch)
		return
	}
	if k.done == 0 && done.Batch != 0 {
		k.done = done.Batch
		s.world.done = append(s.world.done, k)
	}
	s.adopt(done)
}

// retractable reports whether the claim's latest row was never reversed.
func (w *world) retractable(k *correction) bool {
	l := w.model.links[k.Subject]
	if l == nil {
		return false
	}
	var last *mrow
	for _, r := range l.account.rows {
		if r.claim.Partner == k.Partner && r.claim.ID == k.ID {
			last = r
		}
	}
	return last != nil && !last.gone
}

// rejudge has refusals of one account judged again that may prove curable.
func (w *world) rejudge() {
	s := w.server()
	if s == nil {
		return
	}
	curable := func(r *mrow) bool {
		return !r.gone && (r.reason == reason.ScenarioOff || r.reason == reason.ProgrammeClosed || r.reason == reason.UnknownMethodology)
	}
	row := w.anyRow(curable)
	if row == nil {
		return
	}
	var refs []claim.Ref
	for _, r := range row.account.rows {
		if curable(r) {
			refs = append(refs, r.ref)
		}
	}
	s.judgeAgain(refs)
}

func (s *server) judgeAgain(refs []claim.Ref) {
	before := s.stage.committed
	list, err := s.desk.Rejudge(s.ctx, refs, "it was published late", s.clock())
	if err != nil && s.stage.committed > before {
		if again := s.well(); again != nil {
			again.judgeAgain(refs)
		}
		return
	}
	if err != nil && (!s.allowed(err) || fault.KindOf(err) != "") {
		s.fail("correction", "judging %v again: %v", refs, err)
		return
	}
	for _, done := range list {
		s.adopt(done)
	}
	s.note("judged again: %d of %d, %v", len(list), len(refs), err != nil)
}

// adopt takes over what a correction did, once: the rules for what is judged again are many, and told in one place
// only. What must hold afterwards is told here once more.
func (s *server) adopt(done *correct.Done) {
	batch := claim.Ref{Part: done.Account.Part, Batch: done.Batch}
	if done.Batch == 0 || s.adopted[batch] {
		return
	}
	s.adopted[batch] = true
	a, p := s.model.account(done.Account), &s.model.parts[batch.Part]
	p.head++
	p.at = max(p.at, done.At)
	if p.head != done.Batch {
		s.fail("correction", "it is batch %d.%d, and %d is due", batch.Part, done.Batch, p.head)
	}
	for i := range done.Changes {
		s.change(a, &done.Changes[i], done)
	}
	slices.SortStableFunc(a.rows, func(x, y *mrow) int {
		if x.ref.Batch != y.ref.Batch {
			return int(x.ref.Batch - y.ref.Batch)
		}
		return x.ref.Ord - y.ref.Ord
	})
	s.note("correction %d.%d: %d changes", batch.Part, done.Batch, len(done.Changes))
	a.check(s.world)
}

// change is one claim that was reversed, and what took its place.
func (s *server) change(a *maccount, c *correct.Change, done *correct.Done) {
	s.cover.Other["a claim was "+string(c.Why)]++
	old := s.model.rows[c.Of]
	if old == nil || old.gone || old.account != a || old.counts() && (old.mg != c.Milligrams || old.points != c.Points) {
		s.fail("correction", "it reverses %s with %d mg and %d points, where the model has %+v", c.Of, c.Milligrams, c.Points, old)
		return
	}
	old.gone = true
	a.owed[s.model.asset(old)] += c.OwedMilligrams
	if old.points != 0 {
		a.owed["POINT"] += c.OwedPoints
	}
	if c.Next == nil {
		return
	}
	n := c.Next
	row := &mrow{ref: claim.Ref{Part: done.Account.Part, Batch: done.Batch, Ord: c.Reversal.Next}, claim: n.Claim, account: a, link: s.model.links[n.Claim.Sub]}
	row.judged = s.value(n)
	s.model.rows[row.ref] = row
	a.rows = append(a.rows, row)
	if key := n.Claim.Partner + "/" + n.Claim.ID; a.first[key] == nil {
		a.first[key] = row
	}
	s.cover.Other["a claim in another's place: "+string(n.Verdict.Reason)]++
}

// value finds what a claim that was judged again takes up, from what it was credited and says that it was judged by.
func (w *world) value(n *claim.Row) judged {
	v := judged{reason: n.Verdict.Reason, mg: n.Verdict.Milligrams, points: n.Verdict.Points, value: n.Verdict.Milligrams}
	if v.reason != reason.OK {
		return v
	}
	switch n.Claim.Scenario {
	case "bike", "swim":
		v.per, v.text = w.model.perTenth(n.Claim), w.model.ride(n.Claim)
		v.km = v.mg / v.per
		if n.Verdict.Method != v.text {
			w.fail("correction", "%s of %s is judged again by %s, want %s", n.Claim.ID, n.Claim.Partner, n.Verdict.Method, v.text)
		}
	case "walk", "steps":
		v.value = 2 * tenths(n.Claim)
	case "meter":
		for _, u := range n.Used {
			if strings.HasPrefix(u.What, "history used ") {
				v.value = (tenthsOf(strings.TrimSuffix(u.Value, " kWh")) - tenths(n.Claim)) * 50_000
			}
		}
	}
	return v
}

// check is what must hold of an account, however it came to be.
func (a *maccount) check(w *world) {
	days, km, months := map[string]int{}, map[string]int64{}, map[string]int64{}
	walked, years, nets := map[string]int64{}, map[int]int64{}, map[int]int64{}
	for i, r := range a.rows {
		if !r.counts() {
			if !r.gone && !r.forgot && r.reason == reason.Overlap && !slices.ContainsFunc(a.rows, func(o *mrow) bool { return o.counts() && clash(o.claim, r.claim) }) {
				w.fail("overlap", "%s of %s lost to an act that does not count: %+v", r.claim.ID, r.claim.Partner, *r.claim)
			}
			continue
		}
		for _, o := range a.rows[:i] {
			if o.counts() && clash(o.claim, r.claim) {
				w.fail("overlap", "%s and %s of %s both count", o.ref, r.ref, a.id)
			}
		}
		t := localTime(r.claim.Start)
		day := t.Format("2006-01-02")
		switch r.claim.Scenario {
		case "bike", "swim":
			days[day]++
			if km[day] += r.km; days[day] > 3 || km[day] > 120 || r.km > tenths(r.claim) || r.mg != r.km*r.per {
				w.fail("cap", "on %s %s is credited %d rides and %d km/10; %s has %d", day, a.id, days[day], km[day], r.ref, r.km)
			}
		case "order":
			if months[day[:7]] += r.mg; months[day[:7]] > 20_000 || r.mg > 7000 {
				w.fail("cap", "in %s %s is credited %d mg for orders", day[:7], a.id, months[day[:7]])
			}
		case "walk", "steps":
			walked[day] += r.mg
		case "meter":
			years[t.Year()] += r.mg
			if r.reason == reason.OK {
				nets[t.Year()] += r.value
			}
		}
	}
	for day, mg := range walked {
		if want := credit(a, day, nil, 0); mg != want {
			w.fail("total", "on %s %s is credited %d mg for walking, which is worth %d", day, a.id, mg, want)
		}
	}
	for year, mg := range years {
		if want := max(0, nets[year]); mg != want {
			w.fail("net", "in %d %s is credited %d mg for electricity, and saved %d", year, a.id, mg, want)
		}
	}
}
