package methodology

import (
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
	Inputs                     Inputs       // after Limit
	Used                       []Use        // history and factors, in order of use
	NoHistory                  bool         // earlier values are missing, and nothing is credited
	Need                       string       // which: "2025-08, 2024-08"
}

// A Use is a value that the result depends on and the claim does not contain.
type Use struct{ What, Value string }

// Read takes the inputs from a claim. The code is OK, BadEvidence, BadQuantity, BelowMinimum or AboveMaximum.
func (m *Methodology) Read(g *Given) (Inputs, reason.Code, reason.Operands) {
	return nil, reason.BadQuantity, reason.Operands{}
}

// Plausible holds the inputs against the plausibility rule. The code is OK or Implausible; a rule that
// has no value, as after a division by zero, does not hold.
func (m *Methodology) Plausible(g *Given, in Inputs) (reason.Code, reason.Operands) {
	return reason.Implausible, reason.Operands{}
}

// Quantify computes the reduction. The code is OK, CannotCompute or NoHistory.
func (m *Methodology) Quantify(g *Given, in Inputs) (Quantified, reason.Code, reason.Operands) {
	return Quantified{}, reason.CannotCompute, reason.Operands{}
}

// A HistoryKey names an earlier value of an account: the input and its period.
type HistoryKey struct{ Input, Period string }

// NeedsHistory lists the earlier values that Quantify may ask for.
func (m *Methodology) NeedsHistory(start int64) []HistoryKey { return nil }

// KeepPeriod names the period under which a claim's keep inputs are kept.
func (m *Methodology) KeepPeriod(start int64) string { return "" }

// Keeps reports whether any input is kept as history.
func (m *Methodology) Keeps() bool { return false }

// LocalDay returns the local day of an instant, "2026-08-21".
func (m *Methodology) LocalDay(us int64) string { return "" }

// LocalMonth returns the local month of an instant, "2026-08".
func (m *Methodology) LocalMonth(us int64) string { return "" }

// LocalYear returns the local year of an instant, "2026".
func (m *Methodology) LocalYear(us int64) string { return "" }

// WholePeriod reports whether start begins a local day or month and end the next one.
func (m *Methodology) WholePeriod(period string, start, end int64) bool { return false }
