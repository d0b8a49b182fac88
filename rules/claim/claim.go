// Package claim judges what partners report: whether an act counts, for how much, and for whom.
// It is pure: what it needs to know comes in as values, so that anybody can replay a verdict years later.
package claim

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/reason"
)

// Limits on what a claim may hold; a claim beyond them is malformed, not refused.
const (
	MaxID         = 256 // bytes of an id, act, object or sub
	MaxName       = 64  // bytes of a partner, scenario, evidence grade, region or quantity's name
	MaxQuantity   = 64  // bytes of one quantity's text
	MaxQuantities = 16
)

// Micros is an instant in microseconds since 1970-01-01 UTC.
type Micros = int64

// A Claim is one act (or meter reading, or day's total) as one partner reported it.
type Claim struct {
	Partner    string // CloudEvents source
	ID         string // CloudEvents id: the partner's own, unique for it
	Sub        string // CloudEvents subject: the pseudonym that the link gave the partner
	Scenario   string
	Start, End Micros
	Quantities []Quantity // in order of name, names unique
	Evidence   string
	Region     string // GB/T 2260 path such as CN-420100; "" for the programme's
	Act        string // key of an act without length: a hash of the order or gate record
	Object     string // the meter or car that it is about
	Commitment string // hex SHA-256 of the partner's raw record; "" if it gave none
}

// A Quantity is a reported value: a decimal number, alone (in the methodology's unit) or with a unit.
// Its text is in the form that Canonical gives.
type Quantity = methodology.Reported

// A Verdict says what became of a claim.
type Verdict struct {
	Reason     reason.Code
	Operands   reason.Operands
	Method     string      // methodology@version that decided, "" where none was reached
	Milligrams int64       // the reduction credited, mg CO2e; may be negative for a net: year series
	Points     int64       // thousandths of a point
	Ref        Ref         // where it is recorded; zero when it is not
	First      reason.Code // for replay: the reason of the first verdict, whose other fields these are
}

// A Ref names a recorded claim: partition, batch and place in the batch.
type Ref struct {
	Part  int
	Batch int64
	Ord   int
}

func (r Ref) String() string {
	if r == (Ref{}) {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", r.Part, r.Batch, r.Ord)
}

// ParseRef reads what String wrote.
func ParseRef(s string) (Ref, bool) {
	f := strings.Split(s, ".")
	if len(f) != 3 {
		return Ref{}, false
	}
	part, err1 := strconv.Atoi(f[0])
	batch, err2 := strconv.ParseInt(f[1], 10, 64)
	ord, err3 := strconv.Atoi(f[2])
	r := Ref{Part: part, Batch: batch, Ord: ord}
	return r, err1 == nil && err2 == nil && err3 == nil && r.String() == s
}
