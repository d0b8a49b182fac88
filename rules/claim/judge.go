package claim

import (
	"slices"
	"strconv"
	"time"

	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/reason"
)

// MaxMilligrams bounds what one claim can be worth (10,000 t): beyond it something is wrong, and sums
// of what is within it stay far inside int64.
const MaxMilligrams = 1e13

// A Row is a recorded claim: the claim, its verdict, and what the leaf needs besides.
type Row struct {
	Claim     *Claim
	Body      string // Body(Claim)
	Account   Number
	Link      int // number of the link by which the member was named
	Programme string
	Group     string
	Vintage   string        // local year of the start; "" where no methodology was reached
	Holder    ledger.Holder // who received the reduction: the account or the applicant; 0 when nobody did
	Verdict   Verdict
	Method    *methodology.Methodology // nil where none was reached
	Used      []methodology.Use        // earlier values, factors and cap usage that it was judged by
	Key       [32]byte                 // the account's
	Again     *Again                   // nil for a claim that was judged as it came
	Times     int                      // how often it was judged again
}

// An Outcome is all that follows from judging a docket. Its entry sums to zero.
type Outcome struct {
	Verdicts []Verdict // one for each claim, in order
	Rows     []Row     // the recorded ones, in order: a row's place is its ordinal
	Counts   Counts    // the others
	Entry    ledger.Entry
	Changed  *Known // slots, usage, history and nets as they are now; only those that changed

	// Of a correction only.
	Reversals []Reversal // they come before the rows, whose ordinals go on from theirs
	Gone      Gone
}

// Judge goes through the docket in order of arrival; the first reason that applies is the verdict.
// It updates known, which NewKnown made, so that later claims of the docket see the earlier ones.
func (d *Docket) Judge(part int, number int64, known *Known) *Outcome {
	o := &Outcome{Changed: NewKnown()}
	d.judgeAll(part, number, known, o)
	return o
}

// JudgeAgain is Judge for whoever keeps known from docket to docket, and so need not hear what changed.
// The outcome is good until the docket is opened again.
func (d *Docket) JudgeAgain(part int, number int64, known *Known) *Outcome {
	o := &d.again
	clear(o.Counts)
	o.Entry.Reset()
	o.Changed = known
	d.judgeAll(part, number, known, o)
	return o
}

func (d *Docket) judgeAll(part int, number int64, known *Known, o *Outcome) {
	o.Verdicts = slices.Grow(o.Verdicts[:0], len(d.cases))[:len(d.cases)]
	o.Rows = slices.Grow(o.Rows[:0], len(d.cases))
	if o.Counts == nil {
		o.Counts = Counts{}
	}
	var fresh map[Identity]int // places in o.Rows, for those that come after
	if len(d.cases) > 1 {
		fresh = make(map[Identity]int, len(d.cases))
	}
	for i := range d.cases {
		m := &d.cases[i]
		place := len(o.Rows)
		o.Rows = append(o.Rows, Row{Claim: m.claim, Body: m.body, Method: m.method})
		row := &o.Rows[place]
		if !again(m, known, fresh, o) {
			d.judge(m, row, known, o)
		}
		if !row.Verdict.Reason.Recorded() {
			o.Counts[Count{m.programmeID(), row.Verdict.Reason}]++
			o.Verdicts[i] = row.Verdict
			o.Rows = o.Rows[:place]
			continue
		}
		row.Verdict.Ref = Ref{Part: part, Batch: number, Ord: place}
		d.post(row, m, o)
		if fresh != nil {
			fresh[m.identity()] = place
		}
		o.Verdicts[i] = row.Verdict
	}
}

// again finds whether the claim's identity has its verdict already, from before or in this batch, and
// puts into the last row what is to be said then: the first verdict, or id-reused.
func again(m *matter, known *Known, fresh map[Identity]int, o *Outcome) bool {
	if m.link == nil {
		return false
	}
	first, ok := known.Same[m.identity()]
	if place, here := fresh[m.identity()]; here {
		r := &o.Rows[place]
		first, ok = Recorded{Scenario: r.Claim.Scenario, Start: r.Claim.Start, End: r.Claim.End, Body: r.Body, Verdict: r.Verdict}, true
	}
	if !ok {
		return false
	}
	v := &o.Rows[len(o.Rows)-1].Verdict
	if !first.is(m) {
		v.Reason = reason.IDReused
		return true
	}
	*v = first.Verdict
	v.First, v.Reason = v.Reason, reason.Replay
	return true
}

func (m *matter) programmeID() string {
	if m.link == nil {
		return ""
	}
	return m.link.Programme
}

// judge finds the verdict of one claim and, if it counts, notes what that takes up.
func (d *Docket) judge(m *matter, row *Row, known *Known, o *Outcome) {
	if m.link != nil {
		row.Account, row.Link, row.Key, row.Programme = m.link.Account, m.link.Number, m.link.Key, m.link.Programme
	}
	if m.method != nil {
		row.Group, row.Vintage, row.Verdict.Method = m.method.Group, m.vintage(), m.method.Name()
	}
	if m.refused != reason.OK {
		row.Verdict.Reason, row.Verdict.Operands = m.refused, m.operands
		return
	}
	if code, operands := d.taken(m, known); code != reason.OK {
		row.Verdict.Reason, row.Verdict.Operands = code, operands
		return
	}
	d.weigh(m, row, known, o)
}

// taken looks whether the act was already counted.
func (d *Docket) taken(m *matter, known *Known) (reason.Code, reason.Operands) {
	if len(known.forgotten) > 0 && known.forgotten[m.identity()] {
		return reason.Overlap, reason.Operands{} // by whom, nobody knows any more
	}
	switch m.group.Kind {
	case methodology.Spans:
		if by, ok := m.clashing(known.Spans[m.line()]); ok {
			return reason.Overlap, reason.Operands{Other: by}
		}
	case methodology.Act, methodology.Total:
		slot, _ := d.slot(m)
		if c, ok := known.Slots[slot]; ok && !m.group.Greatest {
			return reason.Overlap, reason.Operands{Other: c.By}
		}
	}
	return reason.OK, reason.Operands{}
}

// clashing finds who reported what m clashes with: of several acts the earliest, so that the verdict does
// not depend on the order in which they are known.
func (m *matter) clashing(spans []Span) (by string, found bool) {
	var first Span
	this := Span{m.claim.Start, m.claim.End, m.claim.Partner}
	for _, s := range spans {
		if Clash(s, this, m.group.Tolerance) && (!found || s.compare(first) < 0) {
			first, found = s, true
		}
	}
	return first.By, found
}

// Clash reports whether one person cannot have done both: the spans overlap by more than the tolerance,
// or by more than half of the shorter one. One without length counts as wholly inside the other when
// it lies within it, or is the same instant.
func Clash(a, b Span, tolerance time.Duration) bool {
	overlap := min(a.End, b.End) - max(a.Start, b.Start)
	shorter := min(a.End-a.Start, b.End-b.Start)
	if shorter == 0 {
		return overlap == 0 && (a.Start == b.Start && a.End == b.End || a.Start < b.Start && b.End < a.End || b.Start < a.Start && a.End < b.End)
	}
	return overlap > 0 && (overlap > tolerance.Microseconds() || 2*overlap > shorter)
}

// weigh computes what the claim is worth, holds it against the caps, and credits it.
func (d *Docket) weigh(m *matter, row *Row, known *Known, o *Outcome) {
	given := m.given(known)
	w := weighing{matter: m, known: known, inputs: m.inputs, periods: m.periods}
	before := append(d.before(m, known), w.used()...)
	row.Used = before
	if capped, limit := w.hold(false); capped {
		row.Verdict.Reason, row.Verdict.Operands = reason.CapReached, limit
		return
	}
	q, code, operands := w.quantify(&given)
	row.Used = append(q.Used, before...)
	if code == reason.OK {
		w.value, w.worth = q.Milligrams, d.worth(m, known, q.Milligrams)
	}
	if capped, limit := w.hold(true); capped {
		row.Verdict.Reason, row.Verdict.Operands = reason.CapReached, limit
		return
	}
	if code == reason.OK && (w.value > MaxMilligrams || w.value < -MaxMilligrams) {
		code, operands = reason.CannotCompute, reason.Operands{Rule: "reduction", Limit: "10000 tCO2e"}
	}
	row.Verdict.Reason, row.Verdict.Operands = code, operands
	if code.Kind() != reason.Accepted {
		return
	}
	if code == reason.OK {
		row.Verdict.Operands, row.Verdict.Milligrams = w.trimmed, w.worth
		d.count(m, known, o, w.value)
	}
	d.take(m, known, o)
	w.use(o)
	d.keep(m, known, o)
}

// before says what the claim's period or year held before it, for its leaf.
func (d *Docket) before(m *matter, known *Known) []methodology.Use {
	if m.method.NetYear {
		return []methodology.Use{{What: "net " + m.vintage(), Value: strconv.FormatInt(known.Nets[m.netKey()], 10)}}
	}
	if slot, ok := d.slot(m); ok && (m.group.Kind == methodology.Spans || m.group.Greatest) {
		return []methodology.Use{{What: "counted " + slot.Key, Value: known.Slots[slot].String()}}
	}
	return nil
}

// worth turns a result into what is to be credited for it, before caps: what it adds to its period's
// total, or to its year's net, or else the result itself. Only a net: year claim may debit.
func (d *Docket) worth(m *matter, known *Known, value int64) int64 {
	if m.method.NetYear {
		before := known.Nets[m.netKey()]
		return max(0, before+value) - max(0, before)
	}
	if slot, ok := d.slot(m); ok && m.group.Kind != methodology.Act {
		before := known.Slots[slot]
		return before.with(m, value).credit() - before.credit()
	}
	return max(0, value)
}

// with is what the period holds when m's result is counted in it: a total stands against the totals,
// an included act adds to the acts.
func (c Counted) with(m *matter, value int64) Counted {
	if m.group.Kind == methodology.Total {
		c.Greatest = max(c.Greatest, value)
	} else {
		c.Included += max(0, value)
	}
	return c
}

// count carries a result into its year's net or its period's totals.
func (d *Docket) count(m *matter, known *Known, o *Outcome, value int64) {
	if m.method.NetYear {
		known.Nets[m.netKey()] += value
		o.Entry.Move(ledger.Issuance, m.netKey().Holder, m.netKey().Asset, value)
		return
	}
	if slot, ok := d.slot(m); ok && m.group.Kind != methodology.Act {
		known.setSlot(o, slot, known.Slots[slot].with(m, value))
	}
}

func (m *matter) netKey() ledger.Key {
	return ledger.Key{Holder: ledger.Holder(m.link.Account), Asset: m.net()}
}

// take notes that the act's time, key or period is taken.
func (d *Docket) take(m *matter, known *Known, o *Outcome) {
	switch m.group.Kind {
	case methodology.Spans:
		known.Spans[m.line()] = append(known.Spans[m.line()], Span{m.claim.Start, m.claim.End, m.claim.Partner})
	case methodology.Act, methodology.Total:
		slot, _ := d.slot(m)
		c := known.Slots[slot]
		c.By = m.claim.Partner
		known.setSlot(o, slot, c)
	}
}

func (k *Known) setSlot(o *Outcome, s Slot, c Counted) {
	k.Slots[s] = c
	o.Changed.Slots[s] = c
}

// keep stores the inputs that are history for later claims.
func (d *Docket) keep(m *matter, known *Known, o *Outcome) {
	for i := range m.method.Inputs {
		if !m.method.Inputs[i].Keep {
			continue
		}
		key := m.kept(m.method.Inputs[i].Name, m.method.KeepPeriod(m.claim.Start))
		known.Kept[key] = m.inputs[i]
		o.Changed.Kept[key] = m.inputs[i]
	}
}

// post writes the row's part of the entry: issuance gives; by the programme's ownership and the member's
// purposes the applicant receives, and the member points for it, or the member receives.
func (d *Docket) post(row *Row, m *matter, o *Outcome) {
	mg := row.Verdict.Milligrams
	if mg == 0 {
		return
	}
	row.Holder = ledger.Holder(row.Account)
	if m.programme.Assigned && slices.Contains(m.link.Purposes, Assign) {
		row.Holder = ledger.Applicant
	}
	o.Entry.Move(ledger.Issuance, row.Holder, m.series(), mg)
	if row.Holder != ledger.Applicant || m.programme.Points == nil {
		return
	}
	if n := m.programme.Points.For(mg); n > 0 {
		row.Verdict.Points = n
		asset := ledger.Points(m.programme.ID, m.programme.Points.Expiry(d.At))
		o.Entry.Move(ledger.Issuance, ledger.Holder(row.Account), asset, n)
	}
}
