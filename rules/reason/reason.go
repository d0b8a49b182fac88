// Package reason holds the closed list of reasons that a verdict can have, the same in API, pages and docs,
// and the operands with which each can be said in words.
package reason

// A Code is one of the constants below and nothing else.
type Code string

const (
	// Accepted.
	OK        Code = "ok"
	NoHistory Code = "no-history" // the start of an own-history baseline: kept, nothing credited yet

	// Duplicate.
	Replay   Code = "replay"    // the same claim again: the first verdict is returned
	IDReused Code = "id-reused" // the same id with other content
	Overlap  Code = "overlap"   // the act was already counted

	// Refused.
	NoLink             Code = "no-link"
	LinkRevoked        Code = "link-revoked"
	NoPurpose          Code = "no-purpose"
	ProgrammeClosed    Code = "programme-closed"
	ScenarioOff        Code = "scenario-off"
	UnknownMethodology Code = "unknown-methodology"
	BadTime            Code = "bad-time"
	InFuture           Code = "in-future"
	TooLate            Code = "too-late"
	OutOfRegion        Code = "out-of-region"
	BadEvidence        Code = "bad-evidence"
	BadQuantity        Code = "bad-quantity"
	BelowMinimum       Code = "below-minimum"
	AboveMaximum       Code = "above-maximum"
	ObjectUnknown      Code = "object-unknown"
	Implausible        Code = "implausible"
	CapReached         Code = "cap-reached"
	CannotCompute      Code = "cannot-compute"
)

// Retry is no verdict: the claim was not judged and should be sent again.
const Retry Code = "retry"

// Reversed is no verdict: in totals it stands for claims that had been accepted, and whose credit was taken back.
const Reversed Code = "reversed"

// A Kind is what a verdict amounts to.
type Kind string

const (
	Accepted  Kind = "accepted"
	Duplicate Kind = "duplicate"
	Refused   Kind = "refused"
)

// All lists the codes in the order in which a claim is judged: the first that applies is its verdict.
var All = []Code{
	Replay, IDReused, NoLink, LinkRevoked, NoPurpose, ProgrammeClosed, ScenarioOff, UnknownMethodology,
	BadTime, InFuture, TooLate, OutOfRegion, BadEvidence, BadQuantity, BelowMinimum, AboveMaximum,
	ObjectUnknown, Implausible, Overlap, CapReached, CannotCompute, NoHistory, OK,
}

// Known reports whether c is in the list.
func (c Code) Known() bool {
	for _, k := range All {
		if c == k {
			return true
		}
	}
	return false
}

// Kind returns what a verdict with this reason amounts to.
func (c Code) Kind() Kind {
	switch c {
	case OK, NoHistory:
		return Accepted
	case Replay, IDReused, Overlap:
		return Duplicate
	}
	return Refused
}

// Recorded reports whether a verdict with this reason makes a row. The others leave only a count
// behind, because nothing was judged for good: a retry, a claim from nobody we know, a clock ahead.
func (c Code) Recorded() bool {
	switch c {
	case Replay, IDReused, NoLink, LinkRevoked, NoPurpose, InFuture:
		return false
	}
	return true
}

// Operands are the values with which a reason is said in words (see Sentence). Each is text with its
// unit; one that is missing leaves its clause out.
type Operands struct {
	Field string `json:"field,omitempty"` // the input or attribute meant
	Got   string `json:"got,omitempty"`   // what was reported or reached
	Limit string `json:"limit,omitempty"` // what it was held against
	Want  string `json:"want,omitempty"`  // what would have been taken
	Need  string `json:"need,omitempty"`  // what is missing to go on
	From  string `json:"from,omitempty"`  // the time from which it counts (RFC 3339)
	Until string `json:"until,omitempty"` // the time up to which it does not (RFC 3339)
	Rule  string `json:"rule,omitempty"`  // the formula or rule that failed
	Other string `json:"other,omitempty"` // the claim it lost to; for the member only, never for a partner
}
