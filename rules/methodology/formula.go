package methodology

import (
	"go/ast"
	goparser "go/parser"
	"go/scanner"
	"go/token"
	"strings"

	"github.com/tanpu/tanpu/rules/document"
	"github.com/tanpu/tanpu/rules/quantity"
)

// Bounds on a formula, far above what one needs.
const (
	maxFormula = 2000 // bytes
	maxNodes   = 300
	maxNesting = 40
)

// A formula is an expression as it was written and as it is computed.
type formula struct {
	text string
	root *node
}

// The formulas of a methodology. Those that are not given are nil; reduction is never nil, but where
// the text leaves it out it is baseline − project − leakage.
type formulas struct {
	baseline, project, leakage, reduction *formula
	plausible                             *formula
}

// formulas reads and compiles all formulas.
func (p *parser) formulas(root document.Value, f *document.Fields) {
	fs := &p.m.formulas
	fs.baseline = p.amount(f.Take("baseline"), "baseline")
	fs.project = p.amount(f.Take("project"), "project")
	fs.leakage = p.leakage(f.Take("leakage"))
	reduction := f.Take("reduction")
	switch {
	case reduction.Present():
		fs.reduction = p.amount(reduction, "reduction")
		p.usesAll(reduction, fs)
	case fs.baseline == nil:
		root.Errorf("nothing is computed: give reduction, or baseline and project")
	default:
		fs.reduction = p.difference()
	}
	if v := f.Take("plausible"); v.Present() {
		fs.plausible = p.compile(v, "plausible")
		if root := fs.plausible.root; root != nil && !root.op.logical() {
			v.Errorf("plausible is a comparison, such as distance / duration <= top_speed; this is %s", root.dim)
		}
	}
}

// usesAll reports a formula that is computed and shown, but that the reduction leaves out.
func (p *parser) usesAll(reduction document.Value, fs *formulas) {
	for i, f := range []*formula{fs.baseline, fs.project, fs.leakage} {
		if f != nil && fs.reduction.root != nil && !fs.reduction.root.uses(i) {
			reduction.Errorf("%s is given, but reduction does not use it", terms[i])
		}
	}
}

// amount compiles a formula whose value is CO2e.
func (p *parser) amount(v document.Value, name string) *formula {
	if !v.Present() {
		return nil
	}
	f := p.compile(v, name)
	switch root := f.root; {
	case root == nil:
	case root.op.logical():
		v.Errorf("%s is an amount of CO2e; this is a comparison", name)
	case root.dim != quantity.CO2e:
		v.Errorf("%s is an amount of CO2e; this is %s", name, root.dim)
	}
	return f
}

// leakage reads what is either a formula or the text that a verifier needs: a plain string is the
// formula; {zh, en} or a list is the text; {formula, text} is either or both.
func (p *parser) leakage(v document.Value) *formula {
	if v.IsList() {
		p.leakageText(v)
		return nil
	}
	if !v.IsMapping() {
		return p.amount(v, "leakage")
	}
	f := v.Fields()
	formula, text := f.Take("formula"), f.Take("text")
	if !formula.Present() && !text.Present() {
		p.leakageText(v)
		return nil
	}
	f.Close()
	p.leakageText(text)
	return p.amount(formula, "leakage")
}

func (p *parser) leakageText(v document.Value) {
	if texts := v.Texts(); texts != nil {
		p.m.setText("leakage", texts)
	}
}

// difference is baseline − project − leakage, of those that are given.
func (p *parser) difference() *formula {
	fs := &p.m.formulas
	f := &formula{text: "baseline", root: p.term(0)}
	for i, t := range []struct {
		name string
		f    *formula
	}{1: {"project", fs.project}, 2: {"leakage", fs.leakage}} {
		if t.f != nil {
			f.text += " - " + t.name
			f.root = &node{op: opSub, a: f.root, b: p.term(i), dim: quantity.CO2e, unit: grams, text: f.text}
		}
	}
	return f
}

// grams is the unit in which CO2e is shown.
var grams, _ = quantity.ParseUnit("gCO2e")

// terms are the formulas that reduction can refer to, in order.
var terms = []string{"baseline", "project", "leakage"}

// term refers to the value of a formula that is computed before.
func (p *parser) term(i int) *node {
	return &node{op: opTerm, index: i, dim: quantity.CO2e, unit: grams, text: terms[i]}
}

// A compiler turns one formula into nodes.
type compiler struct {
	*parser
	at    document.Value
	name  string // baseline, … , plausible
	text  string
	units map[int]string // unit of a literal, by the place of its bracket
	nodes int
}

// compile reads one formula. Its root is nil when it has mistakes, which are reported.
func (p *parser) compile(v document.Value, name string) *formula {
	text, ok := v.String()
	f := &formula{text: text}
	if !ok {
		return f
	}
	c := &compiler{parser: p, at: v, name: name, text: text, units: map[int]string{}}
	source, ok := c.prepare()
	if !ok {
		return f
	}
	expr, err := goparser.ParseExprFrom(token.NewFileSet(), "", source, goparser.SkipObjectResolution)
	if err != nil {
		c.syntax(err)
		return f
	}
	f.root = c.node(expr, 0)
	return f
}

func (c *compiler) errorf(pos token.Pos, format string, args ...any) *node {
	c.broken = true
	c.at.ErrorAt(int(pos)-1, format, args...)
	return nil
}

// typed are signs that people type and what the formula language has for them.
var typed = map[rune]string{
	'×': "*", '÷': "/", '−': "-", '–': "-", '≤': "<=", '≥': ">=", '≠': "!=", '（': "(", '）': ")", '，': ",", '·': "*",
}

// prepare returns the formula as go/parser can read it, of the same length so that places stay right:
// the unit in each pair of brackets, which may be no Go (25[%]), is taken out and remembered.
func (c *compiler) prepare() (source string, ok bool) {
	if len(c.text) > maxFormula {
		c.errorf(1, "a formula longer than %d bytes; give its parts names", maxFormula)
		return "", false
	}
	for i, r := range c.text {
		if sign, found := typed[r]; found {
			c.errorf(token.Pos(i+1), "write %s instead of %c", sign, r)
			return "", false
		}
	}
	for _, comment := range []string{"//", "/*"} {
		if i := strings.Index(c.text, comment); i >= 0 {
			c.errorf(token.Pos(i+1), "%s: a formula has no comments; put them after a # in the line above", comment)
			return "", false
		}
	}
	b := []byte(c.text)
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\n', '\r':
			b[i] = ' '
		case '[':
			n := strings.IndexByte(c.text[i:], ']')
			if n < 0 {
				c.errorf(token.Pos(i+1), "this bracket is not closed")
				return "", false
			}
			c.units[i] = strings.TrimSpace(c.text[i+1 : i+n])
			for j := i + 1; j < i+n; j++ {
				b[j] = ' '
			}
			if n > 1 {
				b[i+1] = '0'
			}
			i += n
		}
	}
	return string(b), true
}

// syntax reports what go/parser could not read.
func (c *compiler) syntax(err error) {
	list, ok := err.(scanner.ErrorList)
	if !ok || len(list) == 0 {
		c.errorf(1, "this formula cannot be read: %v", err)
		return
	}
	e := list[0]
	message := strings.NewReplacer("'EOF'", "the end", "'newline'", "the end", "newline", "the end").Replace(e.Msg)
	c.errorf(token.Pos(e.Pos.Offset+1), "this formula cannot be read from here: %s", message)
}

// node compiles an expression; nil when it has a mistake, which is reported.
func (c *compiler) node(e ast.Expr, depth int) *node {
	c.nodes++
	if c.nodes > maxNodes || depth > maxNesting {
		if c.nodes < 2*maxNodes { // say it once
			c.nodes = 2 * maxNodes
			c.errorf(e.Pos(), "this formula is too long or too deep; give its parts names")
		}
		return nil
	}
	switch e := e.(type) {
	case *ast.ParenExpr:
		return c.node(e.X, depth+1)
	case *ast.Ident:
		return c.ident(e)
	case *ast.BasicLit:
		return c.literal(e, quantity.Unit{Scale: quantity.Int(1)})
	case *ast.IndexExpr:
		return c.withUnit(e)
	case *ast.UnaryExpr:
		return c.unary(e, depth)
	case *ast.BinaryExpr:
		return c.binary(e, depth)
	case *ast.CallExpr:
		return c.call(e, depth)
	}
	return c.errorf(e.Pos(), "a formula has names, numbers, + - * / ( ) and min, max, history, factor; this is something else")
}

func (c *compiler) ident(e *ast.Ident) *node {
	for i := range c.m.Inputs {
		if in := &c.m.Inputs[i]; in.Name == e.Name {
			return c.known(&node{op: opInput, index: i, dim: in.Unit.Dim, unit: in.Unit, text: in.Name})
		}
	}
	for i := range c.m.Parameters {
		if par := &c.m.Parameters[i]; par.Name == e.Name {
			return c.known(&node{op: opValue, value: par.Value, parameter: par, dim: par.Unit.Dim, unit: par.Unit, text: par.Name})
		}
	}
	if e.Name == "duration" {
		c.usesDuration = true
		return &node{op: opDuration, dim: quantity.Time, unit: minutes, text: "duration"}
	}
	fs := &c.m.formulas
	for i, f := range []*formula{fs.baseline, fs.project, fs.leakage} {
		if c.name == "reduction" && f != nil && e.Name == terms[i] {
			return c.term(i)
		}
	}
	return c.errorf(e.Pos(), "%q is neither an input nor a parameter%s", e.Name, document.Meant(e.Name, c.names()))
}

// minutes is the unit in which durations are shown.
var minutes, _ = quantity.ParseUnit("min")

// known returns nil for a name whose declaration has no readable unit, which is reported there.
func (c *compiler) known(n *node) *node {
	if n.unit.Name == "" {
		return nil
	}
	return n
}

func (c *compiler) names() []string {
	all := []string{"duration"}
	for _, in := range c.m.Inputs {
		all = append(all, in.Name)
	}
	for _, par := range c.m.Parameters {
		all = append(all, par.Name)
	}
	return all
}

func (c *compiler) literal(e *ast.BasicLit, unit quantity.Unit) *node {
	a, err := quantity.ParseDecimal(e.Value)
	if err != nil {
		return c.errorf(e.Pos(), "%s: %v", e.Value, err)
	}
	base, ok := unit.Base(a)
	if !ok {
		return c.errorf(e.Pos(), "%s: this number is too large", e.Value)
	}
	return &node{op: opValue, value: base, dim: unit.Dim, unit: unit, text: e.Value}
}

// withUnit compiles a number with its unit, 25[km/h].
func (c *compiler) withUnit(e *ast.IndexExpr) *node {
	lit, ok := e.X.(*ast.BasicLit)
	if !ok {
		return c.errorf(e.Lbrack, "brackets give a number its unit, as in 25[km/h]; names have theirs already")
	}
	unit, err := quantity.ParseUnit(c.units[int(e.Lbrack)-1])
	if err != nil {
		return c.errorf(e.Lbrack+1, "%v; units are written like 25[km/h], 5[%%] or 0[gCO2e]", err)
	}
	return c.literal(lit, unit)
}

func (c *compiler) unary(e *ast.UnaryExpr, depth int) *node {
	a := c.node(e.X, depth+1)
	switch {
	case a == nil:
		return nil
	case e.Op == token.SUB && !a.op.logical():
		return &node{op: opNeg, a: a, dim: a.dim, unit: a.unit, text: c.slice(e)}
	case e.Op == token.NOT && c.name == "plausible" && a.op.logical():
		return &node{op: opNot, a: a, text: c.slice(e)}
	}
	return c.errorf(e.Pos(), "%s cannot stand before this", e.Op)
}

// slice returns the text of an expression.
func (c *compiler) slice(e ast.Expr) string {
	return strings.TrimSpace(c.text[e.Pos()-1 : min(int(e.End())-1, len(c.text))])
}

var operators = map[token.Token]op{
	token.ADD: opAdd, token.SUB: opSub, token.MUL: opMul, token.QUO: opQuo,
	token.LSS: opLess, token.LEQ: opLessEqual, token.GTR: opMore, token.GEQ: opMoreEqual, token.EQL: opEqual, token.NEQ: opNotEqual,
	token.LAND: opAnd, token.LOR: opOr,
}

func (c *compiler) binary(e *ast.BinaryExpr, depth int) *node {
	a, b := c.node(e.X, depth+1), c.node(e.Y, depth+1)
	o, known := operators[e.Op]
	if !known || o.logical() && c.name != "plausible" {
		return c.errorf(e.OpPos, "%s has no meaning here; a formula has + - * / and, in plausible, comparisons, && || !", e.Op)
	}
	if a == nil || b == nil {
		return nil
	}
	n := &node{op: o, a: a, b: b, text: c.slice(e)}
	if wants := o == opAnd || o == opOr; a.op.logical() != wants || b.op.logical() != wants {
		if wants {
			return c.errorf(e.OpPos, "%s joins comparisons", e.Op)
		}
		return c.errorf(e.OpPos, "%s works on amounts, not on comparisons; join these with && or ||", e.Op)
	}
	var ok bool
	switch o {
	case opMul:
		n.dim, ok = a.dim.Mul(b.dim)
	case opQuo:
		n.dim, ok = a.dim.Quo(b.dim)
	case opAnd, opOr:
		return n
	default:
		if !c.alike(e.OpPos, e.Op.String(), a, b) {
			return nil
		}
		n.dim, n.unit, ok = a.dim, a.unit, true
	}
	if !ok {
		return c.errorf(e.OpPos, "this gives too high a power of a unit")
	}
	if o == opMul || o == opQuo {
		n.unit = shownIn(n)
	}
	return n
}

// alike reports whether two amounts are of one dimension, and says so when not.
func (c *compiler) alike(pos token.Pos, operator string, a, b *node) bool {
	if a.dim == b.dim {
		return true
	}
	hint := ""
	if a.dim == (quantity.Dim{}) || b.dim == (quantity.Dim{}) {
		hint = "; give a number its unit in brackets, as in 25[km/h]"
	}
	c.errorf(pos, "%s needs two of a kind, but there is %s on its left and %s on its right%s", operator, a.dim, b.dim, hint)
	return false
}

// shownIn chooses the unit in which a product or quotient is shown.
func shownIn(n *node) quantity.Unit {
	switch none := (quantity.Dim{}); {
	case n.dim == quantity.CO2e:
		return grams
	case n.dim == n.a.dim:
		return n.a.unit
	case n.op == opMul && n.a.dim == none:
		return n.b.unit
	case n.dim == none:
		return quantity.Unit{Scale: quantity.Int(1)}
	}
	return n.dim.Unit()
}

func (c *compiler) call(e *ast.CallExpr, depth int) *node {
	name, ok := e.Fun.(*ast.Ident)
	if !ok || e.Ellipsis.IsValid() {
		return c.errorf(e.Lparen, "only min, max, history and factor can be called")
	}
	switch name.Name {
	case "min":
		return c.extreme(e, opMin, depth)
	case "max":
		return c.extreme(e, opMax, depth)
	case "history", "factor":
		if c.name == "plausible" {
			return c.errorf(e.Pos(), "plausible judges a claim by itself: %s cannot be used here", name.Name)
		}
		if name.Name == "history" {
			return c.history(e)
		}
		return c.factor(e)
	}
	return c.errorf(e.Pos(), "%q is not a function%s; there are min, max, history and factor",
		name.Name, document.Meant(name.Name, []string{"min", "max", "history", "factor"}))
}

// extreme compiles min(a, b, …) and max(a, b, …).
func (c *compiler) extreme(e *ast.CallExpr, o op, depth int) *node {
	if len(e.Args) < 2 {
		return c.errorf(e.Pos(), "%s compares two or more amounts", c.slice(e.Fun))
	}
	var n *node
	for i, arg := range e.Args {
		b := c.node(arg, depth+1)
		switch {
		case b == nil:
			return nil
		case b.op.logical():
			return c.errorf(arg.Pos(), "%s compares amounts, not comparisons", c.slice(e.Fun))
		case i == 0:
			n = b
		case !c.alike(arg.Pos(), c.slice(e.Fun), n, b):
			return nil
		default:
			n = &node{op: o, a: n, b: b, dim: b.dim, unit: n.unit}
		}
	}
	n.text = c.slice(e)
	return n
}
