package claim

import (
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/reason"
)

// A Basis is what a claim is judged by: an instant, and the documents that were published then.
type Basis struct {
	At       Micros
	Rulebook int64
	Backfill bool
	Restated int64 // the last restatement that is taken into the rulebook, though it came later; 0 for none
}

// under is the basis with a restatement that was published since.
func (b Basis) under(restated int64) Basis {
	if restated > b.Rulebook {
		b.Restated = max(b.Restated, restated)
	}
	return b
}

// Again says in whose place a claim was judged, and by what: not by the instant and the rulebook of its own batch,
// which is a correction.
type Again struct {
	Of Ref
	Basis
}

// A Why says why a claim was reversed.
type Why string

const (
	Retracted Why = "retracted" // its partner takes it back
	Replaced  Why = "replaced"  // its partner reports it otherwise
	Rejudged  Why = "rejudged"  // it was judged again, by an operator's decision or because of another correction
	Restated  Why = "restated"  // another text was put in the place of the one by which it, or one before it, was judged
)

// Asked reports whether a reversal that says why is of a claim that was to be corrected, and not of one that was judged
// again because of it: beside refusals that are cured, claims that lacked their value are judged again, and none of those
// is such a refusal.
func Asked(why Why, was reason.Code) bool { return why != Rejudged || Curable(was) }

// Operator is who a correction is by when it is no partner's.
const Operator = "operator"

// A Reversal takes back what a recorded claim was credited; the claim stays readable and counts no more. It stands
// in its batch before the claims, and has a leaf as they have.
type Reversal struct {
	Ref    Ref // its own
	Of     Ref
	Why    Why
	By     string // the partner that corrects, or Operator
	Reason string // for people, and part of the leaf

	// What the claim was credited, which is taken back; and as much of that as was gone already, because it was spent
	// or had gone into a lot: that much is charged to the partner.
	Milligrams, Points         int64
	OwedMilligrams, OwedPoints int64

	Next  int   // the ordinal, in the same batch, of the claim that took its place; -1 for none
	Basis Basis // by which that one was judged; zero for none

	// Of the claim, for totals, salts, and to find it.
	Programme, Method, Vintage string
	Was                        reason.Code
	Account                    Number
	Group                      string
	Start                      Micros
	Key                        [32]byte
}

// Leaf is the canonical text of a reversal, without the salt.
func (r *Reversal) Leaf(b []byte) []byte {
	b = append(b, `{"reversal":{`...)
	b = appendField(b, "of", r.Of.String())
	b = appendField(b, "why", string(r.Why))
	b = appendField(b, "by", r.By)
	b = appendField(b, "reason", r.Reason)
	b = appendInt(b, "reduction_mg", -r.Milligrams)
	b = appendInt(b, "points_thousandths", -r.Points)
	b = appendInt(b, "liability_mg", r.OwedMilligrams)
	b = appendInt(b, "liability_thousandths", r.OwedPoints)
	return append(b, `}}`...)
}

// LeafHash is the Merkle leaf of a reversal, salted as those of claims are: H(0 ‖ salt ‖ leaf).
func (r *Reversal) LeafHash() ledger.Hash {
	salt := Salt(r.Key, r.Ref.Batch, r.Ref.Ord)
	return ledger.LeafHash(salt[:], r.Leaf(nil))
}

// appendAgain says in a claim's leaf in whose place it was judged, and by what. Nothing for a claim judged as it came.
func appendAgain(b []byte, a *Again) []byte {
	if a == nil {
		return b
	}
	b = append(b, `,"again":{`...)
	b = appendField(b, "of", a.Of.String())
	b = appendInt(b, "at", a.At)
	b = appendInt(b, "rulebook", a.Rulebook)
	if a.Backfill {
		b = append(b, `,"backfill":true`...)
	}
	if a.Restated != 0 {
		b = appendInt(b, "restated", a.Restated)
	}
	return append(b, '}')
}

// Gone are the rows that a correction leaves nothing of.
type Gone struct {
	Slots []Slot
	Usage []Period
	Kept  []Kept
}
