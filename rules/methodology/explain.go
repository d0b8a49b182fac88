package methodology

import (
	"fmt"
	"strings"
	"time"

	"github.com/tanpu/tanpu/rules/quantity"
	"github.com/tanpu/tanpu/rules/reason"
)

// Explain writes the working of a claim as a bill: each formula, then sign, term and value line by line
// with the source under it, down to what is credited. lang is "zh" or "en". A claim that is not credited
// is explained up to the step that decided.
func (m *Methodology) Explain(g Given, lang string) (string, error) {
	w, ok := wordings[lang]
	if !ok {
		return "", fmt.Errorf("explaining in %q: there are zh and en", lang)
	}
	e := &explainer{m: m, g: &g, w: w, lang: lang, cut: -1}
	e.head()
	e.claim()
	return e.bill.String(), nil
}

// A wording is the words of a working in one language.
type wording struct {
	basedOn, since, until, evidence, weight, reported, duration, limits, plausible, holds, fails string
	terms                                                                                        [4]string
	source, mean, earlier, floor, zero, cut, credited, verdict, need, unseen, noValue            string
	got, limit, want                                                                             string
}

var wordings = map[string]*wording{
	"zh": {
		basedOn: "依据：", since: "%s 起生效", until: "%s 起生效，%s 起失效", evidence: "证据", weight: "证据权重", reported: "填报", duration: "时长",
		limits: "限值", plausible: "合理性", holds: "成立", fails: "不成立",
		terms:  [4]string{"基准排放", "项目排放", "泄漏", "减排量"},
		source: "来源：", mean: "往期平均", earlier: "往期", floor: "向下取整到毫克", zero: "低于零，不计入", cut: "按额度余量截取",
		credited: "计入", verdict: "裁定：", need: "缺少往期：", unseen: "◇ 未核实", noValue: "无法求值",
		got: "得", limit: "限", want: "应为",
	},
	"en": {
		basedOn: "Based on: ", since: "In force from %s", until: "In force from %s until %s", evidence: "evidence", weight: "weight of evidence", reported: "Reported", duration: "time taken",
		limits: "limits", plausible: "Plausibility", holds: "holds", fails: "does not hold",
		terms:  [4]string{"Baseline", "Project", "Leakage", "Reduction"},
		source: "Source: ", mean: "mean of earlier values", earlier: "earlier value", floor: "rounded down to a milligram", zero: "below zero, nothing credited", cut: "cut to what the cap leaves",
		credited: "credited", verdict: "Verdict: ", need: "missing earlier values: ", unseen: "◇ unverified", noValue: "has no value",
		got: "got", limit: "limit", want: "want",
	},
}

// An explainer writes one working.
type explainer struct {
	m    *Methodology
	g    *Given
	w    *wording
	lang string
	run  run
	cut  int // the input that a cap cut, from there on; -1 for none
	bill bill
}

func (e *explainer) head() {
	m := e.m
	e.bill.text(0, m.Title.In(e.lang)+" · "+m.Name())
	if !m.BasedOn.IsZero() {
		e.bill.text(0, e.w.basedOn+m.BasedOn.In(e.lang))
	}
	if m.To.IsZero() {
		e.bill.text(0, fmt.Sprintf(e.w.since, m.From.Format(time.DateOnly)))
	} else {
		e.bill.text(0, fmt.Sprintf(e.w.until, m.From.Format(time.DateOnly), m.To.Format(time.DateOnly)))
	}
}

// claim goes the way of Try, writing each step down.
func (e *explainer) claim() {
	in, code, ops := e.m.Read(e.g)
	e.reported(in)
	if code != reason.OK {
		e.verdict(code, ops)
		return
	}
	e.run = run{m: e.m, g: e.g, in: in}
	if f := e.m.formulas.plausible; f != nil {
		code, ops = e.m.Plausible(e.g, in)
		e.plausible(f, code == reason.OK)
		if code != reason.OK {
			e.verdict(code, ops)
			return
		}
	}
	q, code, ops := e.m.Quantify(e.g, in)
	e.amounts(&q)
	if code != reason.OK {
		e.verdict(code, ops)
		return
	}
	e.total(&q)
	e.verdict(code, ops)
}

// reported lists what the claim says, in the units of the methodology where it can be read.
func (e *explainer) reported(in Inputs) {
	e.bill.section(e.w.reported, "")
	for i := range e.m.Inputs {
		x := &e.m.Inputs[i]
		text, ok := reported(e.g, x.Name)
		switch {
		case in != nil:
			text = show(in[i], x.Unit)
		case !ok:
			text = "—"
		}
		e.bill.line(1, "", title(x.Name, x.Title.In(e.lang)), text)
		if x.Source != "" {
			e.bill.text(2, e.w.limits+" "+x.wanted()+e.mark(x.Seen)+e.sourced(x.Source))
		}
	}
	if e.g.End != e.g.Start && e.m.group.Kind != Total {
		if d, s := (&run{g: e.g}).duration(); s == fine {
			e.bill.line(1, "", title("duration", e.w.duration), round(d, minutes))
		}
	}
	e.bill.line(1, "", e.w.evidence, e.g.Evidence)
}

// plausible writes both sides of each comparison and whether the rule holds.
func (e *explainer) plausible(f *formula, holds bool) {
	e.bill.section(e.w.plausible, f.text)
	e.sides(f.root)
	outcome := e.w.holds
	if !holds {
		outcome = e.w.fails
	}
	e.bill.rule(1)
	e.bill.text(1, outcome)
}

func (e *explainer) sides(n *node) {
	switch {
	case n.op == opAnd || n.op == opOr:
		e.sides(n.a)
		e.sides(n.b)
	case n.op == opNot:
		e.sides(n.a)
	default:
		unit := n.comparedIn()
		e.term(1, "", n.a, unit)
		e.term(1, signs[n.op], n.b, unit)
	}
}

// amounts writes each formula with its terms and result. A formula that only joins the ones before it
// (baseline − project) is a bill of their results.
func (e *explainer) amounts(q *Quantified) {
	fs := &e.m.formulas
	if e.g.Limit != nil {
		if i := e.m.input(e.g.Limit.Input); i >= 0 && e.run.in[i].Cmp(q.Inputs[i]) != 0 {
			e.cut = i
		}
	}
	e.run.in = q.Inputs
	values := [...]quantity.Rat{q.Baseline, q.Project, q.Leakage, q.Reduction}
	for i, f := range []*formula{fs.baseline, fs.project, fs.leakage, fs.reduction} {
		if f == nil {
			continue
		}
		e.bill.section(e.w.terms[i], f.text)
		e.chain(1, f.root)
		_, s := e.run.value(f.root)
		if i < len(e.run.terms) {
			e.run.terms[i].value, e.run.terms[i].state = values[i], s
		}
		e.bill.rule(1)
		e.bill.line(1, "=", e.w.terms[i], e.amount(values[i], s, f.root.unit))
	}
}

func (e *explainer) amount(v quantity.Rat, s state, unit quantity.Unit) string {
	switch s {
	case missing:
		return "—"
	case never:
		return e.w.noValue
	}
	return exact(v, unit)
}

// total writes what the evidence makes of the reduction, and the one rounding.
func (e *explainer) total(q *Quantified) {
	grade := e.m.Evidence[e.g.Evidence]
	e.bill.line(1, "×", e.w.weight+" "+e.g.Evidence, grade.Weight.String())
	weighted, _ := q.Reduction.Mul(grade.Weight)
	e.bill.rule(1)
	if quantity.Int(q.Milligrams).Cmp(weighted) != 0 {
		why := e.w.floor
		if weighted.Sign() < 0 && q.Milligrams == 0 {
			why = e.w.zero
		}
		e.bill.line(1, "=", "", exact(weighted, grams))
		e.bill.text(1, why)
	}
	e.bill.line(1, "=", e.w.credited, show(quantity.Int(q.Milligrams), grams))
}

func (e *explainer) verdict(code reason.Code, ops reason.Operands) {
	e.bill.section(e.w.verdict+string(code), "")
	if ops.Rule != "" {
		e.bill.text(1, ops.Rule)
	}
	for _, x := range [][2]string{{e.w.got, ops.Got}, {e.w.limit, ops.Limit}, {e.w.want, ops.Want}} {
		if x[1] != "" {
			e.bill.line(1, "", strings.TrimSpace(ops.Field+" "+x[0]), x[1])
		}
	}
	if ops.Need != "" {
		e.bill.text(1, e.w.need+ops.Need)
	}
}

// signs are what stands before a term in a bill.
var signs = map[op]string{
	opAdd: "+", opSub: "−", opMul: "×", opQuo: "÷",
	opLess: "<", opLessEqual: "≤", opMore: ">", opMoreEqual: "≥", opEqual: "=", opNotEqual: "≠",
}

// chain writes the terms of a sum or product one under the other, each with its sign. A term that is
// itself computed shows its value and, indented, its own terms.
func (e *explainer) chain(indent int, n *node) {
	switch n.op {
	case opAdd, opSub, opMul, opQuo:
		if joins(n.op, n.a.op) {
			e.chain(indent, n.a)
		} else {
			e.term(indent, "", n.a, n.a.unit)
		}
		e.term(indent, signs[n.op], n.b, n.b.unit)
	case opMin, opMax:
		for _, side := range []*node{n.a, n.b} {
			if side.op == n.op && side.text == "" { // min(a, b, c) is min of min(a, b) and c
				e.chain(indent, side)
			} else {
				e.term(indent, "", side, side.unit)
			}
		}
	case opNeg:
		e.term(indent, "−", n.a, n.a.unit)
	default:
		e.term(indent, "", n, n.unit)
	}
}

// joins reports whether a left operand is written in the same column as the operation.
func joins(outer, inner op) bool {
	sum := func(o op) bool { return o == opAdd || o == opSub }
	product := func(o op) bool { return o == opMul || o == opQuo }
	return sum(outer) && sum(inner) || product(outer) && product(inner)
}

// term writes one term with its value, its source, and what it is made of.
func (e *explainer) term(indent int, sign string, n *node, unit quantity.Unit) {
	v, s := e.run.value(n)
	value := e.amount(v, s, unit)
	switch n.op {
	case opValue:
		e.parameter(indent, sign, n, value)
	case opInput:
		x := &e.m.Inputs[n.index]
		label := title(x.Name, x.Title.In(e.lang))
		if e.cut == n.index {
			label += " · " + e.w.cut
		}
		e.bill.line(indent, sign, label, value)
	case opDuration:
		e.bill.line(indent, sign, title(n.text, e.w.duration), value)
	case opTerm:
		e.bill.line(indent, sign, title(n.text, e.w.terms[n.index]), value)
	case opHistory:
		e.history(indent, sign, n, value)
	case opFactor:
		e.factor(indent, sign, n, value)
	default:
		label := n.text
		if sign != "" && (n.op == opAdd || n.op == opSub) {
			label = "(" + label + ")"
		}
		e.bill.line(indent, sign, label, value)
		e.chain(indent+1, n)
	}
}

func (e *explainer) parameter(indent int, sign string, n *node, value string) {
	p := n.parameter
	if p == nil {
		e.bill.line(indent, sign, "", value)
		return
	}
	e.bill.line(indent, sign, title(p.Name, p.Title.In(e.lang)), value)
	e.bill.text(indent+1, strings.TrimSpace(e.from(p.Source, e.m.Sources)+e.mark(p.Seen)))
}

func (e *explainer) history(indent int, sign string, n *node, value string) {
	e.bill.line(indent, sign, title(n.text, e.w.mean), value)
	for _, period := range e.m.periods(n.history, e.g.Start) {
		earlier := "—"
		if e.g.History != nil {
			if v, ok := e.g.History(e.m.Inputs[n.index].Name, period); ok {
				earlier = exact(v, n.unit)
			}
		}
		e.bill.line(indent+1, "", e.w.earlier+" "+period, earlier)
	}
}

func (e *explainer) factor(indent int, sign string, n *node, value string) {
	e.bill.line(indent, sign, title(n.text, n.factor.Title.In(e.lang)), value)
	v := n.factor.at(e.g.Region, e.m.calendar.day(e.g.Start))
	if v == nil {
		return
	}
	e.bill.text(indent+1, v.Region+" · "+e.from(v.Source, n.factor.Sources)+e.mark(v.Seen))
}

func (e *explainer) from(id string, sources []Source) string {
	for _, s := range sources {
		if s.ID == id {
			return e.w.source + s.Title.In(e.lang)
		}
	}
	return e.w.source + id
}

func (e *explainer) sourced(id string) string { return " · " + e.from(id, e.m.Sources) }

func (e *explainer) mark(seen bool) string {
	if seen {
		return ""
	}
	return " " + e.w.unseen
}

func title(name, text string) string {
	if text == "" {
		return name
	}
	return name + "  " + text
}

// exactPlaces is how many decimals a working shows before it says that there are more.
const exactPlaces = 9

// exact writes an amount exactly where that is short, and else says that it goes on.
func exact(base quantity.Rat, unit quantity.Unit) string {
	v, ok := unit.Of(base)
	if !ok {
		v, unit = base, unit.Dim.Unit()
	}
	s := v.String()
	if _, decimals, _ := strings.Cut(s, "."); strings.Contains(s, "/") || len(decimals) > exactPlaces {
		s = v.Decimal(exactPlaces) + "…"
	}
	return withUnit(s, unit)
}
