package methodology

import (
	"slices"
	"strings"

	"github.com/tanpu/tanpu/rules/quantity"
)

// An op is what a node does. The logical ones come last.
type op uint8

const (
	opValue    op = iota // a number or parameter
	opInput              // what the claim reports
	opDuration           // end − start
	opTerm               // the value of an earlier formula
	opHistory
	opFactor
	opNeg
	opAdd
	opSub
	opMul
	opQuo
	opMin
	opMax
	opLess
	opLessEqual
	opMore
	opMoreEqual
	opEqual
	opNotEqual
	opAnd
	opOr
	opNot
)

func (o op) logical() bool { return o >= opLess }

// A node is a compiled expression.
type node struct {
	op        op
	a, b      *node
	index     int // of an input or term
	value     quantity.Rat
	parameter *Parameter
	history   *history
	factor    *Factor
	dim       quantity.Dim
	unit      quantity.Unit // in which its value is shown
	text      string        // as written
}

// uses reports whether an expression refers to the value of an earlier formula.
func (n *node) uses(term int) bool {
	if n == nil {
		return false
	}
	return n.op == opTerm && n.index == term || n.a.uses(term) || n.b.uses(term)
}

// A state is whether an expression has a value. The worst of two states is that of both together.
type state uint8

const (
	fine    state = iota
	missing       // earlier values are not there
	never         // division by zero, a number too large, no factor
)

// A run computes the formulas of one claim.
type run struct {
	m     *Methodology
	g     *Given
	in    Inputs
	terms [3]struct {
		value quantity.Rat
		state state
	}
	used []Use
	need []string
}

// value computes an amount in base units.
func (r *run) value(n *node) (quantity.Rat, state) {
	switch n.op {
	case opValue:
		return n.value, fine
	case opInput:
		return r.in[n.index], fine
	case opDuration:
		return r.duration()
	case opTerm:
		return r.terms[n.index].value, r.terms[n.index].state
	case opHistory:
		return r.history(n)
	case opFactor:
		return r.factor(n)
	case opNeg:
		a, s := r.value(n.a)
		return a.Neg(), s
	}
	a, s := r.value(n.a)
	b, t := r.value(n.b)
	if s = max(s, t); s != fine {
		return quantity.Rat{}, s
	}
	return combine(n.op, a, b)
}

func combine(o op, a, b quantity.Rat) (c quantity.Rat, s state) {
	ok := false
	switch o {
	case opAdd:
		c, ok = a.Add(b)
	case opSub:
		c, ok = a.Sub(b)
	case opMul:
		c, ok = a.Mul(b)
	case opQuo:
		c, ok = a.Quo(b)
	case opMin:
		return pick(a, b, a.Cmp(b) <= 0), fine
	case opMax:
		return pick(a, b, a.Cmp(b) >= 0), fine
	}
	if !ok {
		return quantity.Rat{}, never
	}
	return c, fine
}

func pick(a, b quantity.Rat, first bool) quantity.Rat {
	if first {
		return a
	}
	return b
}

var million = quantity.Int(1e6)

// duration returns end − start in seconds.
func (r *run) duration() (quantity.Rat, state) {
	us, ok := quantity.Int(r.g.End).Sub(quantity.Int(r.g.Start))
	if !ok {
		return quantity.Rat{}, never
	}
	return combine(opQuo, us, million)
}

// holds tells whether a comparison is true; it is not fine when an amount in it has no value.
func (r *run) holds(n *node) (bool, state) {
	switch n.op {
	case opAnd, opOr:
		holds, s := r.holds(n.a)
		if s != fine || holds == (n.op == opOr) { // the right side no longer matters, and may have no value
			return holds, s
		}
		return r.holds(n.b)
	case opNot:
		holds, s := r.holds(n.a)
		return !holds, s
	}
	a, s := r.value(n.a)
	b, t := r.value(n.b)
	if s = max(s, t); s != fine {
		return false, s
	}
	return compares(n.op, a.Cmp(b)), fine
}

func compares(o op, cmp int) bool {
	switch o {
	case opLess:
		return cmp < 0
	case opLessEqual:
		return cmp <= 0
	case opMore:
		return cmp > 0
	case opMoreEqual:
		return cmp >= 0
	case opEqual:
		return cmp == 0
	}
	return cmp != 0
}

// history returns the mean of the account's earlier values; all of them must be there.
func (r *run) history(n *node) (quantity.Rat, state) {
	in := &r.m.Inputs[n.index]
	var sum quantity.Rat
	s := fine
	for _, period := range r.m.periods(n.history, r.g.Start) {
		v, ok := quantity.Rat{}, false
		if r.g.History != nil {
			v, ok = r.g.History(in.Name, period)
		}
		if !ok {
			r.need = appendNew(r.need, period)
			s = max(s, missing)
			continue
		}
		r.use("history "+in.Name+" "+period, show(v, in.Unit))
		if sum, ok = sum.Add(v); !ok {
			s = never
		}
	}
	if s != fine {
		return quantity.Rat{}, s
	}
	return combine(opQuo, sum, quantity.Int(int64(n.history.n)))
}

// periods lists the periods that a history reaches back to, the latest first.
func (m *Methodology) periods(h *history, start int64) []string {
	day := m.calendar.day(start)
	periods := make([]string, h.n)
	year, month, _ := civil(day)
	for i := range periods {
		if h.trailing {
			periods[i] = dayText(day - 1 - i)
		} else {
			periods[i] = writeDate(year-1-i, month, 1, 7)
		}
	}
	return periods
}

func (r *run) factor(n *node) (quantity.Rat, state) {
	v := n.factor.at(r.g.Region, r.m.calendar.day(r.g.Start))
	if v == nil {
		return quantity.Rat{}, never
	}
	r.use("factor "+n.factor.Name+" "+v.Region+" "+v.From.Format("2006-01-02"), v.Text+" "+n.unit.Name)
	return v.Value, fine
}

// use notes a value that the claim does not contain, once.
func (r *run) use(what, value string) {
	if !slices.ContainsFunc(r.used, func(u Use) bool { return u.What == what }) {
		r.used = append(r.used, Use{what, value})
	}
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// maxNeed is how many missing periods are named; a year of days would fill a page.
const maxNeed = 12

// needed writes the missing periods.
func (r *run) needed() string {
	if len(r.need) <= maxNeed {
		return strings.Join(r.need, ", ")
	}
	return strings.Join(r.need[:maxNeed], ", ") + ", …"
}

// show writes an amount in base units exactly, in a unit: "2.1 km", "2500/9 kWh".
func show(base quantity.Rat, unit quantity.Unit) string {
	v, ok := unit.Of(base)
	if !ok {
		return base.String() + " " + unit.Dim.Unit().Name
	}
	return withUnit(v.String(), unit)
}

func withUnit(number string, unit quantity.Unit) string {
	if unit.Name == "" || unit.Name == "1" {
		return number
	}
	return number + " " + unit.Name
}
