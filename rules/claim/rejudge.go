package claim

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/quantity"
	"github.com/tanpu/tanpu/rules/reason"
)

// Rejudge judges one recorded claim again, alone, from what its leaf says that it was judged by: the earlier
// values and the usage that it lists. It knows no other act of the account, no consent and no registered meter
// of it, and takes those for what the verdict says of them. So a row that differs from the recorded one proves
// the verdict wrong; one that is the same proves everything but that. Working is what the methodology needs to
// explain its result, and nil where none was reached.
func Rejudge(s Session, recorded *Row) (row *Row, working *methodology.Given, err error) {
	d, known, err := reopen(s, recorded)
	if err != nil {
		return nil, nil, err
	}
	m := &d.cases[0]
	if m.refused == reason.OK {
		given := m.given(known)
		given.Limit = limit(m, known, recorded)
		working = &given
	}
	// The working is computed from what was known before judging changes it.
	before := *known
	if working != nil {
		kept := before.Kept
		working.History = func(input, period string) (quantity.Rat, bool) {
			v, ok := kept[m.kept(input, period)]
			return v, ok
		}
	}
	rows := d.Judge(0, 1, known).Rows
	if len(rows) != 1 {
		return nil, nil, fmt.Errorf("judged again the claim is not recorded")
	}
	rows[0].Again = recorded.Again
	return &rows[0], working, nil
}

// reopen puts a recorded claim on a docket of its own, with what its leaf says was known then.
func reopen(s Session, recorded *Row) (*Docket, *Known, error) {
	c := *recorded.Claim
	l := &Link{
		Sub: c.Sub, Account: 1, Number: 1, Programme: recorded.Programme, Partner: c.Partner,
		Purposes: []string{Credit}, Since: math.MinInt64,
	}
	if recorded.Holder == ledger.Applicant {
		l.Purposes = append(l.Purposes, Assign)
	}
	if c.Object != "" && recorded.Verdict.Reason != reason.ObjectUnknown {
		l.Objects = []string{c.Object}
	}
	d := Open(s, []Claim{c}, map[string]*Link{c.Sub: l})
	known, err := recalled(d, recorded)
	return d, known, err
}

// recalled makes known again what a recorded claim lists as used.
func recalled(d *Docket, recorded *Row) (*Known, error) {
	known, m := NewKnown(), &d.cases[0]
	used := make(map[string]string, len(recorded.Used))
	for _, u := range recorded.Used {
		used[u.What] = u.Value
	}
	bad := func(what string) error { return fmt.Errorf("what it says was used of %q cannot be read", what) }
	for _, p := range d.Needs.Usage {
		if text, ok := used["usage "+p.Name]; ok {
			u, ok := ParseUsage(text)
			if !ok {
				return nil, bad(p.Name)
			}
			known.Usage[p] = u
		}
	}
	for _, k := range d.Needs.Kept {
		if text, ok := used["history "+k.Input+" "+k.Period]; ok {
			v, ok := parseShown(text)
			if !ok {
				return nil, bad(k.Input + " " + k.Period)
			}
			known.Kept[k] = v
		}
	}
	for _, k := range d.Needs.Nets {
		if text, ok := used["net "+m.vintage()]; ok {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, bad("net")
			}
			known.Nets[k] = n
		}
	}
	for _, slot := range d.Needs.Slots {
		if text, ok := used["counted "+slot.Key]; ok {
			counted, ok := ParseCounted(text)
			if !ok {
				return nil, bad("counted")
			}
			known.Slots[slot] = counted
		}
	}
	if v := &recorded.Verdict; v.Reason == reason.Overlap && m.refused == reason.OK {
		block(d, known, v.Operands.Other)
	}
	return known, nil
}

// block puts an act where it refuses the claim as an overlap, reported by this partner.
func block(d *Docket, known *Known, by string) {
	m := &d.cases[0]
	if m.group.Kind == methodology.Spans {
		known.Spans[m.line()] = []Span{{m.claim.Start, m.claim.End, by}}
	} else if slot, ok := d.slot(m); ok {
		known.Slots[slot] = Counted{By: by}
	}
}

// parseShown reads a value as it stands among what was used: "12 kWh", "2500/9 kWh", in base units.
func parseShown(text string) (quantity.Rat, bool) {
	number, unit, _ := strings.Cut(text, " ")
	v, err := quantity.ParseRat(number)
	if err != nil {
		return v, false
	}
	if unit == "" {
		return v, true
	}
	u, err := quantity.ParseUnit(unit)
	if err != nil {
		return v, false
	}
	return u.Base(v)
}

// limit is what a cap that cut the claim left of one of its inputs.
func limit(m *matter, known *Known, recorded *Row) *methodology.Limit {
	field := recorded.Verdict.Operands.Field
	if recorded.Verdict.Reason != reason.OK || field == "" || field == reduction {
		return nil
	}
	for i := range m.method.Caps {
		c := &m.method.Caps[i]
		if c.Of != field || !c.Trim {
			continue
		}
		left, ok := c.Max.Sub(known.Usage[Period{m.link.Account, m.method.ID, m.local(c.Per)}].amount(c.Of))
		if ok && left.Sign() > 0 && left.Cmp(m.inputs[c.Input]) < 0 {
			return &methodology.Limit{Input: field, Max: left}
		}
	}
	return nil
}

// Credits are what a recorded claim left on its member's balances, found by judging it again as Rejudge does: points, the
// reduction where the member holds it, and the result that a net: year adds up.
func Credits(s Session, recorded *Row) (map[ledger.Asset]int64, error) {
	d, known, err := reopen(s, recorded)
	if err != nil {
		return nil, err
	}
	o := d.Judge(0, 1, known)
	if len(o.Rows) != 1 || !same(&o.Rows[0], recorded) {
		return nil, fmt.Errorf("claim %s judged again from its leaf comes out otherwise", recorded.Verdict.Ref)
	}
	credits := map[ledger.Asset]int64{}
	for key, amount := range o.Entry.All() {
		if key.Holder == 1 { // the account's number in a docket that was reopened
			credits[key.Asset] = amount
		}
	}
	return credits, nil
}
