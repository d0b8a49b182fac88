package methodology

import (
	"slices"
	"strings"
	"time"

	"github.com/tanpu/tanpu/rules/document"
	"github.com/tanpu/tanpu/rules/quantity"
	"github.com/tanpu/tanpu/rules/reason"
)

// An Example is a claim and what must come out of it: the part of a methodology that anyone can check
// without reading formulas.
type Example struct {
	Given        Given
	Want         Want
	Line, Column int // where it says what it wants
}

// A Want is an outcome. Amounts that are nil are not asked for.
type Want struct {
	Reason                                reason.Code
	Baseline, Project, Leakage, Reduction *quantity.Rat // mg; Reduction weighted and rounded
}

func (p *parser) examples(v document.Value) {
	if !v.Present() {
		return
	}
	for i, item := range v.Items() {
		if i == maxExamples {
			item.Errorf("more than %d examples", maxExamples)
			return
		}
		f := item.Fields()
		var e Example
		want := f.Need("want")
		e.Want = p.want(want)
		e.Given = p.given(f.Need("given"), e.Want.Reason)
		e.Line, e.Column = want.Place()
		f.Close()
		p.m.Examples = append(p.m.Examples, e)
	}
}

// given reads an example's claim. One that wants bad-quantity may report what no input is called;
// elsewhere such a name is a slip of the pen.
func (p *parser) given(v document.Value, want reason.Code) (g Given) {
	if !v.Present() {
		return g
	}
	f := v.Fields()
	g.Region = p.m.Region
	if region := f.Take("region"); region.Present() {
		g.Region, _ = region.String()
	}
	if evidence := f.Take("evidence"); evidence.Present() {
		g.Evidence, _ = evidence.String()
	}
	for _, in := range p.m.Inputs {
		if q := f.Take(in.Name); q.Present() {
			text, _ := q.String()
			g.Quantities = append(g.Quantities, Reported{in.Name, text})
		}
	}
	p.when(&g, v, f)
	g.History = p.past(f.Take("history"), g.Start)
	if want == reason.BadQuantity {
		for _, e := range f.Others() {
			text, _ := e.Value.String()
			g.Quantities = append(g.Quantities, Reported{e.Name, text})
		}
	} else {
		f.Close()
	}
	slices.SortFunc(g.Quantities, func(a, b Reported) int { return strings.Compare(a.Name, b.Name) })
	return g
}

// when sets an example's times. It happens when the methodology begins unless it says otherwise, and
// takes a whole period where the group's acts do.
func (p *parser) when(g *Given, v document.Value, f *document.Fields) {
	m := p.m
	start := m.From
	if at := f.Take("at"); at.Present() {
		start, _ = at.Date(m.Zone)
		if !start.IsZero() && (start.Before(m.From) || !m.To.IsZero() && !start.Before(m.To)) {
			at.Errorf("the methodology does not hold on this day")
		}
	}
	length := f.Take("duration")
	if m.group.Kind == Total && !length.Present() {
		g.Start, g.End = period(start, m.group.Period, !f.Take("at").Present())
		return
	}
	g.Start = start.UnixMicro()
	g.End = g.Start
	if !length.Present() {
		if p.usesDuration {
			v.Errorf("the formulas use duration, so the example needs it, as in duration: 12 min")
		}
		return
	}
	a, unit, ok := length.Quantity()
	if !ok {
		return
	}
	us, ok := Microseconds(p.inDimension(length, a, unit, quantity.Time))
	if !ok {
		length.Errorf("a duration is from 0 to ten years, in whole microseconds")
	}
	g.End += us
}

// Microseconds returns a time in seconds as microseconds; ok is false when it is no length an act can have.
func Microseconds(seconds quantity.Rat) (us int64, ok bool) {
	r, ok := seconds.Mul(million)
	if !ok || r.Sign() < 0 {
		return 0, false
	}
	us, ok = r.Floor()
	return us, ok && us <= int64(10*366*24*time.Hour/time.Microsecond) && quantity.Int(us).Cmp(r) == 0
}

// period returns the local day or month in which t lies, or with later the first that begins no earlier.
func period(t time.Time, name string, later bool) (start, end int64) {
	year, month, day := t.Date()
	step := func(i int) time.Time { return time.Date(year, month, day+i, 0, 0, 0, 0, t.Location()) }
	if name == "month" {
		step = func(i int) time.Time { return time.Date(year, month+time.Month(i), 1, 0, 0, 0, 0, t.Location()) }
	}
	i := 0
	if later && step(0).Before(t) {
		i = 1
	}
	return step(i).UnixMicro(), step(i + 1).UnixMicro()
}

// past reads an account's earlier values, the latest first.
func (p *parser) past(v document.Value, start int64) func(input, period string) (quantity.Rat, bool) {
	if !v.Present() {
		return nil
	}
	values := map[HistoryKey]quantity.Rat{}
	for _, e := range v.Entries() {
		var periods []string
		for _, key := range p.m.NeedsHistory(start) {
			if key.Input == e.Name {
				periods = append(periods, key.Period)
			}
		}
		if periods == nil && p.broken {
			continue
		}
		if periods == nil {
			e.Key.Errorf("no formula uses the history of %q", e.Name)
			continue
		}
		unit := p.m.Inputs[p.m.input(e.Name)].Unit
		for i, item := range e.Value.Items() {
			if i == len(periods) {
				item.Errorf("the formulas look at %d earlier values only", len(periods))
				break
			}
			if base, ok := parseLimit(item, unit); ok {
				values[HistoryKey{e.Name, periods[i]}] = base
			}
		}
	}
	return func(input, period string) (quantity.Rat, bool) {
		v, ok := values[HistoryKey{input, period}]
		return v, ok
	}
}

// decided are the reasons that a methodology decides by itself.
var decided = []string{
	string(reason.BadEvidence), string(reason.BadQuantity), string(reason.BelowMinimum), string(reason.AboveMaximum),
	string(reason.Implausible), string(reason.CannotCompute),
}

func (p *parser) want(v document.Value) Want {
	w := Want{Reason: reason.OK}
	if !v.Present() {
		return w
	}
	f := v.Fields()
	w.Baseline = p.wantAmount(f.Take("baseline"))
	w.Project = p.wantAmount(f.Take("project"))
	w.Leakage = p.wantAmount(f.Take("leakage"))
	w.Reduction = p.wantAmount(f.Take("reduction"))
	amounts := w != Want{Reason: reason.OK}
	refused, why := f.Take("refused"), f.Take("reason")
	if code, ok := refused.OneOf(decided...); ok {
		w.Reason = reason.Code(code)
		if amounts {
			v.Errorf("what is refused has no amounts; want one or the other")
		}
	}
	if code, ok := why.OneOf(string(reason.OK), string(reason.NoHistory)); ok {
		w.Reason = reason.Code(code)
	}
	f.Close()
	if v.IsMapping() && !amounts && !refused.Present() && !why.Present() {
		v.Errorf("an example wants something, such as {reduction: 195.93 gCO2e} or {refused: below-minimum}")
	}
	return w
}

func (p *parser) wantAmount(v document.Value) *quantity.Rat {
	a, unit, ok := v.Quantity()
	if !ok {
		return nil
	}
	mg := p.inDimension(v, a, unit, quantity.CO2e)
	return &mg
}

// Try takes a claim through Read, Plausible and Quantify, as far as it gets.
func (m *Methodology) Try(g *Given) (Quantified, reason.Code, reason.Operands) {
	in, code, ops := m.Read(g)
	if code != reason.OK {
		return Quantified{}, code, ops
	}
	if code, ops = m.Plausible(g, in); code != reason.OK {
		return Quantified{Inputs: in}, code, ops
	}
	return m.Quantify(g, in)
}

// CheckExamples computes every example and reports, with its place, each that does not come out.
func (m *Methodology) CheckExamples() error {
	var errs document.Errors
	for i := range m.Examples {
		e := &m.Examples[i]
		q, code, ops := m.Try(&e.Given)
		if wrong := e.Want.compare(q, code, ops); wrong != "" {
			errs = append(errs, &document.Error{File: m.file, Line: e.Line, Column: e.Column, Message: wrong})
		}
	}
	if errs == nil {
		return nil
	}
	return errs
}

// compare says what is wrong with an outcome, "" when nothing is.
func (w *Want) compare(q Quantified, code reason.Code, ops reason.Operands) string {
	if code != w.Reason {
		got := string(code)
		if code == reason.OK {
			got = show(quantity.Int(q.Milligrams), grams)
		}
		return "this example should come out as " + string(w.Reason) + ", but gives " + got + said(ops)
	}
	for _, x := range []struct {
		name string
		want *quantity.Rat
		got  quantity.Rat
	}{
		{"baseline", w.Baseline, q.Baseline},
		{"project", w.Project, q.Project},
		{"leakage", w.Leakage, q.Leakage},
		{"reduction", w.Reduction, quantity.Int(q.Milligrams)},
	} {
		if x.want != nil && x.want.Cmp(x.got) != 0 {
			return "this example's " + x.name + " should be " + show(*x.want, grams) + ", but is " + show(x.got, grams)
		}
	}
	return ""
}

// said writes operands for an author: " (distance: got 0.001 km, limit 0.1 km)".
func said(ops reason.Operands) string {
	var parts []string
	for _, x := range [][2]string{{"", ops.Field}, {"", ops.Rule}, {"got ", ops.Got}, {"limit ", ops.Limit}, {"want ", ops.Want}, {"need ", ops.Need}} {
		if x[1] != "" {
			parts = append(parts, x[0]+x[1])
		}
	}
	if parts == nil {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}
