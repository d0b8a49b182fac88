// Package methodology reads the texts by which reductions are computed, and computes by them.
//
// A methodology is YAML that an expert can write and a regulator can sign: what is reported, which
// parameters apply and who says so, the formulas, the limits, the evidence, and examples that must come
// out. Parse checks all of it before anything is credited: names, dates, units and the dimensions of
// every formula. Each mistake is reported as file:line:column with a sentence that helps.
//
// Everything here is pure: a claim's own values, its account's earlier ones and the factors come in as
// values, so that anybody can compute a credit again years later.
package methodology

import (
	"time"

	"github.com/tanpu/tanpu/rules/document"
	"github.com/tanpu/tanpu/rules/quantity"
)

// A Text is a sentence in both languages of the platform.
type Text = document.Text

// A Methodology is one version of one text, compiled. It never changes and can be shared.
type Methodology struct {
	ID             string
	Version        int
	Title, BasedOn Text
	Domain         string // life, public-good, consumption, tourism or travel
	Activity       string
	Kind           string // reduction or removal
	Use            string // points or unit
	Region         string // where it holds: its code and those that begin with it
	Zone           *time.Location
	From, To       time.Time // local midnights; To is exclusive, zero when open
	Group          string    // "" for none
	Inputs         []Input
	Parameters     []Parameter
	Caps           []Cap
	Evidence       map[string]Grade
	NetYear        bool // signed results add up over the account's local year
	Sources        []Source
	Texts          map[string][]Text // applicability, boundary, … : those that are given
	Examples       []Example
	Source         []byte   // the text itself
	Hash           [32]byte // SHA-256 of it

	name, file string
	group      Group
	calendar   calendar
	formulas   formulas
	histories  []*history
}

// An Input is a quantity that a claim reports.
type Input struct {
	Name   string
	Unit   quantity.Unit
	Min    quantity.Rat  // base units; 0 where the text gives none, so that nothing negative slips in
	Max    *quantity.Rat // base units; nil for none
	Keep   bool          // the value is kept as history for later periods
	Title  Text
	Source string
	Seen   bool // the limits were seen in the source
}

// A Parameter is a figure that the text fixes.
type Parameter struct {
	Name   string
	Value  quantity.Rat // base units
	Unit   quantity.Unit
	Text   string // the value as written
	Title  Text
	Source string
	Seen   bool
}

// A Cap limits what an account is credited by this methodology in a local day, month or year.
type Cap struct {
	Per     string       // day, month or year
	Claims  int64        // how many claims, 0 when it is a cap of a quantity
	Of      string       // an input, or "reduction" (weighted, mg); "" when it counts claims
	Input   int          // index of the input, -1 for none
	Max     quantity.Rat // base units
	MaxText string       // as written
	Trim    bool         // the claim that would exceed it is cut to what is left, not refused
}

// A Grade is a kind of evidence that is accepted.
type Grade struct {
	Weight quantity.Rat
	Unit   bool // good enough for units
}

// A Source is where figures come from.
type Source struct {
	ID    string
	Title Text
	URL   string
}

// Name returns "ID@version".
func (m *Methodology) Name() string { return m.name }
