package claim

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/quantity"
	"github.com/tanpu/tanpu/rules/reason"
)

// Number is an account's number within its partition, from 1.
type Number = int64

// A Link is a member's consent to one partner in one programme, known by its sub.
type Link struct {
	Sub       string
	Account   Number
	Number    int      // names it among the account's links; above 0, in no order
	Key       [32]byte // the account's, for the salts of its leaves
	Programme string
	Partner   string
	Scenarios []string // those consented to; empty for all of the programme's
	Purposes  []string // see Credit and Assign
	Since     Micros   // acts that began before are not covered
	Granted   Micros   // when it was
	Revoked   Micros   // 0 while in force
	Objects   []string // meters, cars registered to the account
}

// Purposes that a member can consent to.
const (
	Credit     = "credit"     // count my acts in my carbon account
	Assign     = "assign"     // pass title of my reductions to the applicant, for points
	Statistics = "statistics" // count me in published statistics
)

// Purposes lists all of them.
var Purposes = []string{Credit, Assign, Statistics}

// An Identity is what makes a claim the same claim.
type Identity struct {
	Account Number
	Partner string
	ID      string
}

// A Recorded claim is one that has its verdict, with its content for comparison.
type Recorded struct {
	Scenario   string
	Start, End Micros
	Body       string // see Body
	Verdict    Verdict
}

// is reports whether the claim at hand says the same as the recorded one.
func (r *Recorded) is(m *matter) bool {
	c := m.claim
	return r.Start == c.Start && r.End == c.End && r.Scenario == c.Scenario && r.Body == m.body
}

// A Span is the time of an accepted act, and the partner that reported it.
type Span struct {
	Start, End Micros
	By         string
}

// compare orders spans by time.
func (s Span) compare(o Span) int {
	return cmp.Or(cmp.Compare(s.Start, o.Start), cmp.Compare(s.End, o.End), cmp.Compare(s.By, o.By))
}

// A Line is an account's acts in one group of kind spans.
type Line struct {
	Account Number
	Group   string
}

// A Slot is what can be counted once: an act by its key, or a total by its period (and object).
type Slot struct {
	Account Number
	Group   string
	Key     string
}

// Counted is what a slot holds so far, in milligrams before caps.
type Counted struct {
	Greatest int64  // the greatest of the totals reported
	Included int64  // the sum of the acts of another group that describe the same thing
	By       string // the partner that reported last
}

// String is the canonical text of the counts: the greatest, then the included.
func (c Counted) String() string {
	return strconv.FormatInt(c.Greatest, 10) + " " + strconv.FormatInt(c.Included, 10)
}

// ParseCounted reads what String wrote.
func ParseCounted(s string) (c Counted, ok bool) {
	greatest, included, _ := strings.Cut(s, " ")
	var err1, err2 error
	c.Greatest, err1 = strconv.ParseInt(greatest, 10, 64)
	c.Included, err2 = strconv.ParseInt(included, 10, 64)
	return c, err1 == nil && err2 == nil && c.String() == s
}

// credit is what a period with these counts is worth.
func (c Counted) credit() int64 { return max(c.Greatest, c.Included) }

// A Period is a local day, month or year in which caps are counted for one account and methodology.
type Period struct {
	Account Number
	Method  string // without version: a new version does not refill a cap
	Name    string // 2026-08-21, 2026-08 or 2026
}

// Usage is what was counted in a period.
type Usage struct {
	Claims  int64
	Amounts []Amount // in order of name: inputs in base units, "reduction" in milligrams
	Stored  bool     // it has a row already
}

// An Amount is the sum of one capped input.
type Amount struct {
	Of    string
	Value quantity.Rat
}

// Kept names an earlier value of an input that is history for later claims.
type Kept struct {
	Account Number
	Method  string // without version
	Input   string
	Object  string
	Period  string
}

// Needs lists what must be known to judge a docket.
type Needs struct {
	Same    []Identity // of claims that will leave no row: looked up in any case
	Guarded []Identity // of those that will, unless they have one: whoever does not look them up is refused a second
	Near    []Near
	Slots   []Slot
	Usage   []Period
	Kept    []Kept
	Nets    []ledger.Key
	Marks   []Marked
}

// emptied is the same lists without what is in them.
func (n Needs) emptied() Needs {
	return Needs{n.Same[:0], n.Guarded[:0], n.Near[:0], n.Slots[:0], n.Usage[:0], n.Kept[:0], n.Nets[:0], n.Marks[:0]}
}

// Near asks for the accepted spans of a line that may overlap [From, To].
type Near struct {
	Line
	From, To Micros
}

// Known answers Needs. Judging updates it, claim by claim.
type Known struct {
	Same  map[Identity]Recorded
	Spans map[Line][]Span
	Slots map[Slot]Counted
	Usage map[Period]Usage
	Kept  map[Kept]quantity.Rat
	Nets  map[ledger.Key]int64

	forgotten map[Identity]bool // see Forget
}

// Forget notes that a claim's act was credited to somebody who was erased since: it cannot count again.
func (k *Known) Forget(id Identity) {
	if k.forgotten == nil {
		k.forgotten = map[Identity]bool{}
	}
	k.forgotten[id] = true
}

// NewKnown knows nothing yet.
func NewKnown() *Known {
	return &Known{
		Same:  map[Identity]Recorded{},
		Spans: map[Line][]Span{},
		Slots: map[Slot]Counted{},
		Usage: map[Period]Usage{},
		Kept:  map[Kept]quantity.Rat{},
		Nets:  map[ledger.Key]int64{},
	}
}

// Recall takes over what another knows to be forgotten.
func (k *Known) Recall(from *Known) {
	for id := range from.forgotten {
		k.Forget(id)
	}
}

// Counts are the verdicts that leave no row, by programme and reason.
type Counts map[Count]int64

// A Count names one of them.
type Count struct {
	Programme string
	Reason    reason.Code
}
