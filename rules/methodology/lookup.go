package methodology

import (
	"go/ast"
	"go/token"
	"strconv"

	"github.com/tanpu/tanpu/rules/document"
)

// Bounds on how far back a history reaches.
const (
	maxYears = 10
	maxDays  = 400
)

// A lookup of history is the mean of an account's earlier values of an input.
type history struct {
	input    int
	n        int
	trailing bool // the n days before, else the same month of the n years before
}

// history compiles history(input, same_month, years) and history(input, trailing, days).
func (c *compiler) history(e *ast.CallExpr) *node {
	if len(e.Args) != 3 {
		return c.errorf(e.Pos(), "history is written history(input, same_month, years) or history(input, trailing, days)")
	}
	n := c.node(e.Args[0], 0)
	if n == nil {
		return nil
	}
	if n.op != opInput || !c.m.Inputs[n.index].Keep {
		return c.errorf(e.Args[0].Pos(), "%s is not an input marked keep: true, so no history of it is kept", c.slice(e.Args[0]))
	}
	mode, _ := e.Args[1].(*ast.Ident)
	period, most := "", 0
	switch {
	case mode == nil || mode.Name != "same_month" && mode.Name != "trailing":
		return c.errorf(e.Args[1].Pos(), "%s: a history is of the same_month or trailing", c.slice(e.Args[1]))
	case mode.Name == "same_month":
		period, most = "month", maxYears
	default:
		period, most = "day", maxDays
	}
	if c.m.group.Period != period {
		return c.errorf(e.Args[1].Pos(), "%s looks back at a value each %s: it needs a group of kind total with period: %s", mode.Name, period, period)
	}
	lit, _ := e.Args[2].(*ast.BasicLit)
	count := 0
	if lit != nil && lit.Kind == token.INT {
		count, _ = strconv.Atoi(lit.Value)
	}
	if count < 1 || count > most {
		return c.errorf(e.Args[2].Pos(), "%s is not a whole number from 1 to %d", c.slice(e.Args[2]), most)
	}
	h := &history{input: n.index, n: count, trailing: mode.Name == "trailing"}
	c.m.histories = append(c.m.histories, h)
	return &node{op: opHistory, history: h, index: n.index, dim: n.dim, unit: n.unit, text: c.slice(e)}
}

// factor compiles factor("name", region).
func (c *compiler) factor(e *ast.CallExpr) *node {
	if len(e.Args) != 2 {
		return c.errorf(e.Pos(), `factor is written factor("grid-average", region)`)
	}
	lit, _ := e.Args[0].(*ast.BasicLit)
	if lit == nil || lit.Kind != token.STRING {
		return c.errorf(e.Args[0].Pos(), "the factor's name goes here in quotes")
	}
	name, err := strconv.Unquote(lit.Value)
	f, found := c.lib.Factors[name]
	if err != nil || !found {
		return c.errorf(e.Args[0].Pos(), "there is no factor %s%s", lit.Value, document.Meant(name, names(c.lib.Factors)))
	}
	if where, _ := e.Args[1].(*ast.Ident); where == nil || where.Name != "region" {
		return c.errorf(e.Args[1].Pos(), "a factor is that of the claim's own region: write region")
	}
	if c.m.Use == "unit" && f.Kind == "average" {
		return c.errorf(e.Pos(), "%s is an average, which is for footprints: what is saved does not come off the average. use: unit needs a margin factor", name)
	}
	return &node{op: opFactor, factor: f, dim: f.Unit.Dim, unit: f.Unit, text: c.slice(e)}
}
