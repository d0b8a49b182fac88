package methodology

import (
	"slices"
	"strings"

	"github.com/tanpu/tanpu/rules/quantity"
	"github.com/tanpu/tanpu/rules/reason"
)

// Given is what a claim reports, and what else its result depends on.
type Given struct {
	Start, End int64      // microseconds UTC
	Region     string     // the claim's, or the programme's where it gave none
	Evidence   string     // the grade
	Quantities []Reported // in order of name, names unique

	// History returns the account's earlier value of an input marked keep, in base units, for a period
	// such as "2026-08" or "2026-08-21". Nil is an account without any.
	History func(input, period string) (quantity.Rat, bool)

	// Limit, if any, cuts an input to what a trimming cap leaves of it.
	Limit *Limit
}

// A Reported is a value as it was reported: "2.1" (in the input's own unit) or "2100 m".
type Reported struct{ Name, Text string }

// A Limit is what a trimming cap leaves of an input, in base units.
type Limit struct {
	Input string
	Max   quantity.Rat
}

// Inputs are a claim's values in base units, in the order of the methodology's inputs.
type Inputs []quantity.Rat

// Quantified is a result with what it was computed from.
type Quantified struct {
	Milligrams                 int64        // weighted, then rounded once, toward −∞
	Baseline, Project, Leakage quantity.Rat // mg, before the weight; 0 where there is no such formula
	Reduction                  quantity.Rat // mg, before the weight and the rounding
	Inputs                     Inputs       // after Limit
	Used                       []Use        // history and factors, in order of use
	NoHistory                  bool         // earlier values are missing, and nothing is credited
	Need                       string       // which: "2025-08, 2024-08"
}

// A Use is a value that the result depends on and the claim does not contain.
type Use struct{ What, Value string }

// Read takes the inputs from a claim. The code is OK, BadEvidence, BadQuantity, BelowMinimum or AboveMaximum.
func (m *Methodology) Read(g *Given) (Inputs, reason.Code, reason.Operands) {
	if _, ok := m.Evidence[g.Evidence]; !ok {
		return nil, reason.BadEvidence, reason.Operands{Field: "evidence", Got: g.Evidence, Want: strings.Join(names(m.Evidence), ", ")}
	}
	for i := range g.Quantities {
		if name := g.Quantities[i].Name; m.input(name) < 0 {
			return nil, reason.BadQuantity, reason.Operands{Field: name, Got: g.Quantities[i].Text, Want: m.inputNames()}
		}
	}
	in := make(Inputs, len(m.Inputs))
	for i := range m.Inputs {
		text, ok := reported(g, m.Inputs[i].Name)
		if ok {
			in[i], ok = m.Inputs[i].Base(text)
		}
		if !ok {
			return nil, reason.BadQuantity, reason.Operands{Field: m.Inputs[i].Name, Got: text, Want: m.Inputs[i].wanted()}
		}
	}
	code, ops := m.limits(g, in)
	return in, code, ops
}

// limits holds the inputs against their limits: the lower ones of all come before the upper ones.
func (m *Methodology) limits(g *Given, in Inputs) (reason.Code, reason.Operands) {
	for i := range m.Inputs {
		if x := &m.Inputs[i]; in[i].Cmp(x.Min) < 0 {
			return reason.BelowMinimum, x.beyond(in[i], x.Min)
		}
	}
	for i := range m.Inputs {
		if x := &m.Inputs[i]; x.Max != nil && in[i].Cmp(*x.Max) > 0 {
			return reason.AboveMaximum, x.beyond(in[i], *x.Max)
		}
	}
	return reason.OK, reason.Operands{}
}

func (x *Input) beyond(got, limit quantity.Rat) reason.Operands {
	return reason.Operands{Field: x.Name, Got: show(got, x.Unit), Limit: show(limit, x.Unit)}
}

// Base reads a value in base units: a number in the input's unit, or a quantity of its dimension.
func (x *Input) Base(text string) (quantity.Rat, bool) {
	v, unit, err := quantity.ParseQuantity(text)
	if err != nil {
		return quantity.Rat{}, false
	}
	if unit.Name == "" {
		unit = x.Unit
	}
	if unit.Dim != x.Unit.Dim {
		return quantity.Rat{}, false
	}
	return unit.Base(v)
}

// wanted says what would have been taken, "0.1 to 50 km".
func (x *Input) wanted() string {
	low, ok := x.Unit.Of(x.Min)
	if x.Max == nil || !ok {
		return withUnit("≥ "+low.String(), x.Unit)
	}
	return low.String() + " – " + show(*x.Max, x.Unit)
}

func (m *Methodology) input(name string) int {
	for i := range m.Inputs {
		if m.Inputs[i].Name == name {
			return i
		}
	}
	return -1
}

func (m *Methodology) inputNames() string {
	all := make([]string, len(m.Inputs))
	for i := range m.Inputs {
		all[i] = m.Inputs[i].Name
	}
	return strings.Join(all, ", ")
}

func reported(g *Given, name string) (string, bool) {
	for i := range g.Quantities {
		if g.Quantities[i].Name == name {
			return g.Quantities[i].Text, true
		}
	}
	return "", false
}

// Plausible holds the inputs against the plausibility rule. The code is OK or Implausible; a rule that
// has no value, as after a division by zero, does not hold.
func (m *Methodology) Plausible(g *Given, in Inputs) (reason.Code, reason.Operands) {
	rule := m.formulas.plausible
	if rule == nil {
		return reason.OK, reason.Operands{}
	}
	if len(in) != len(m.Inputs) {
		return reason.Implausible, reason.Operands{Rule: rule.text}
	}
	r := run{m: m, g: g, in: in}
	if holds, s := r.holds(rule.root); s == fine && holds {
		return reason.OK, reason.Operands{}
	}
	return reason.Implausible, r.whyNot(rule)
}

// whyNot says which comparison failed and by how much, where one alone did.
func (r *run) whyNot(rule *formula) reason.Operands {
	n := rule.root
	for n.op == opAnd {
		if holds, s := r.holds(n.a); s == fine && holds {
			n = n.b
		} else {
			n = n.a
		}
	}
	ops := reason.Operands{Rule: n.text}
	if n.op == opOr || n.op == opNot {
		return ops
	}
	unit := n.comparedIn()
	if a, s := r.value(n.a); s == fine {
		ops.Got = round(a, unit)
	}
	if b, s := r.value(n.b); s == fine {
		ops.Limit = round(b, unit)
	}
	return ops
}

// comparedIn chooses the unit in which both sides of a comparison are shown: that of a side which has
// one of its own, rather than of one computed.
func (n *node) comparedIn() quantity.Unit {
	for _, side := range []*node{n.b, n.a} {
		if side.op <= opFactor {
			return side.unit
		}
	}
	return n.a.unit
}

// places is how many decimals of a computed figure are shown.
const places = 6

// round writes an amount for people, exactly where that is short.
func round(base quantity.Rat, unit quantity.Unit) string {
	v, ok := unit.Of(base)
	if !ok {
		v, unit = base, unit.Dim.Unit()
	}
	return withUnit(short(v), unit)
}

func short(v quantity.Rat) string {
	s := v.Decimal(places)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// Quantify computes the reduction. The code is OK, CannotCompute or NoHistory.
func (m *Methodology) Quantify(g *Given, in Inputs) (Quantified, reason.Code, reason.Operands) {
	q := Quantified{Inputs: in}
	grade, ok := m.Evidence[g.Evidence]
	if !ok || len(in) != len(m.Inputs) {
		return q, reason.CannotCompute, reason.Operands{Rule: m.formulas.reduction.text}
	}
	if g.Limit != nil {
		q.Inputs = m.cut(in, g.Limit)
	}
	r := run{m: m, g: g, in: q.Inputs}
	rule, s := r.amounts(&q)
	q.Used = r.used
	switch s {
	case never:
		return q, reason.CannotCompute, reason.Operands{Rule: rule.text}
	case missing:
		q.NoHistory, q.Need = true, r.needed()
		return q, reason.NoHistory, reason.Operands{Need: q.Need}
	}
	if q.Milligrams, ok = m.credit(q.Reduction, grade); !ok {
		return q, reason.CannotCompute, reason.Operands{Rule: m.formulas.reduction.text}
	}
	return q, reason.OK, reason.Operands{}
}

// amounts computes baseline, project, leakage and reduction. It goes on after one that misses earlier
// values, since another may never have a value, which weighs more; rule is the one that decided.
func (r *run) amounts(q *Quantified) (rule *formula, worst state) {
	fs := &r.m.formulas
	parts := [...]struct {
		f   *formula
		out *quantity.Rat
	}{{fs.baseline, &q.Baseline}, {fs.project, &q.Project}, {fs.leakage, &q.Leakage}, {fs.reduction, &q.Reduction}}
	for i, p := range parts {
		if p.f == nil {
			continue
		}
		v, s := r.value(p.f.root)
		if s > worst {
			rule, worst = p.f, s
		}
		if *p.out = v; i < len(r.terms) {
			r.terms[i].value, r.terms[i].state = v, s
		}
	}
	return rule, worst
}

// credit weighs a reduction by its evidence and rounds it, once, down to a milligram. Without net: year
// a result below zero credits nothing: one act cannot take back another's credit.
func (m *Methodology) credit(reduction quantity.Rat, grade Grade) (int64, bool) {
	weighted, ok := reduction.Mul(grade.Weight)
	if !ok {
		return 0, false
	}
	mg, ok := weighted.Floor()
	if !ok {
		return 0, false
	}
	if mg < 0 && !m.NetYear {
		mg = 0
	}
	return mg, true
}

// cut returns the inputs with one of them cut to what a cap leaves of it.
func (m *Methodology) cut(in Inputs, limit *Limit) Inputs {
	i := m.input(limit.Input)
	if i < 0 || in[i].Cmp(limit.Max) <= 0 {
		return in
	}
	in = slices.Clone(in)
	in[i] = limit.Max
	return in
}

// A HistoryKey names an earlier value of an account: the input and its period.
type HistoryKey struct{ Input, Period string }

// NeedsHistory lists the earlier values that Quantify may ask for.
func (m *Methodology) NeedsHistory(start int64) []HistoryKey {
	var keys []HistoryKey
	for _, h := range m.histories {
		for _, period := range m.periods(h, start) {
			key := HistoryKey{m.Inputs[h.input].Name, period}
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// Keeps reports whether any input is kept as history.
func (m *Methodology) Keeps() bool {
	return slices.ContainsFunc(m.Inputs, func(in Input) bool { return in.Keep })
}
