package audit

import (
	"bytes"
	"fmt"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
)

// Corrections are made again by the rule by which they were made, from what the audit itself made of the batches before,
// and compared with what is recorded of them. An account without any costs no more than a look.

// beginCorrections takes up the reversals of an account's claims.
func (j *judge) beginCorrections(n claim.Number) {
	j.undone = j.reach.undone[n]
	delete(j.reach.undone, n)
	j.before, j.passed, j.reversed = nil, nil, nil
	if len(j.undone) > 0 {
		j.before, j.reversed = make([]claim.Past, 0, len(j.rows)), map[claim.Ref]int64{}
	}
}

// remember keeps the claims of a batch for corrections to come.
func (j *judge) remember(b *batch, rows []*store.ClaimRow) {
	if j.reversed == nil {
		return
	}
	for _, r := range rows {
		row, err := r.Row()
		if err != nil {
			j.who.partial = true
			continue
		}
		row.Key = j.who.key
		j.before = append(j.before, claim.Past{Row: *row, Basis: claim.Basis{At: b.at, Rulebook: b.book.Number, Backfill: b.backfill}})
	}
}

// reversalsBefore makes the next correction again if it comes before a batch and left the account no claims of its own.
func (j *judge) reversalsBefore(number int64) bool {
	if len(j.undone) == 0 || j.undone[0].Ref.Batch >= number {
		return false
	}
	undone := j.reversalsOf(j.undone[0].Ref.Batch)
	b := j.partition.batch(undone[0].Ref.Batch)
	switch {
	case b == nil:
		j.foundAccount(Places, undone[0].Account, "claims are reversed by batch %d.%d, which is not there", j.Part, undone[0].Ref.Batch)
		j.who.partial = true
	case b.book == nil:
		j.who.partial = true
	default:
		j.claims = j.claims[:0]
		j.correct(b, nil, undone)
	}
	return true
}

// reversalsOf takes the reversals of one batch, which has come, and counts them among what it recorded.
func (j *judge) reversalsOf(number int64) []claim.Reversal {
	n := 0
	for n < len(j.undone) && j.undone[n].Ref.Batch == number {
		n++
	}
	list := j.undone[:n]
	j.undone = j.undone[n:]
	b := j.partition.batch(number)
	for i := range list {
		j.passed = append(j.passed, list[i])
		j.reversed[list[i].Of] = number
		if b != nil {
			j.placeReversal(b, &list[i])
		}
	}
	return list
}

// placeReversal looks whether a reversal is where its batch recorded one, and adds it to the batch's totals.
func (j *judge) placeReversal(b *batch, v *claim.Reversal) {
	ord := v.Ref.Ord
	switch {
	case ord < 0 || ord >= b.n:
		j.foundReversal(Places, v, "its batch recorded %d", b.n)
	case j.seen[b.first+ord]:
		j.foundReversal(Places, v, "something else has the same place")
	case j.owner(b.first+ord) != v.Account:
		j.foundReversal(Places, v, "its batch recorded one of another account there")
	}
	if ord >= 0 && ord < b.n {
		j.seen[b.first+ord] = true
	}
	for i := range j.rows {
		if r := &j.rows[i]; r.Verdict.Ref == v.Of && r.Verdict.Reason.Kind() == reason.Accepted {
			j.tallied.add(b, tallyKey{r.Programme, r.Verdict.Method, r.Vintage, reason.Reversed}, 1, -v.Milligrams, -v.Points)
		}
	}
}

func (j *judge) foundReversal(kind Kind, v *claim.Reversal, format string, args ...any) {
	account := store.AccountID{Part: j.Part, Number: v.Account}
	j.audit.findings.add(Finding{Kind: kind, Part: j.Part, Batch: v.Ref.Batch, Claim: v.Of.String(), Account: account.String(),
		Text: sprintf("reversal %s of claim %s of account %s: ", v.Ref, v.Of, account) + sprintf(format, args...)})
}

// correct makes a correction again and compares.
func (j *judge) correct(b *batch, rows []*store.ClaimRow, undone []claim.Reversal) {
	n := j.rows[0].Account
	if !b.correction || len(undone) == 0 {
		j.foundAccount(Corrections, n, "batch %d.%d is a correction without reversals, or has reversals and is none", j.Part, b.number)
		j.who.partial = true
	}
	if j.who.partial {
		return
	}
	f := &claim.File{Part: j.Part, Account: n, Links: j.who.links, Claims: j.before, Reversals: j.passed[:len(j.passed)-len(undone)],
		Known: j.known, Balances: j.entries, Book: j.book}
	for _, r := range rows {
		if r.CameBack() {
			j.known.Forget(claim.Identity{Account: r.Account, Partner: r.Partner, ID: r.ID})
		}
	}
	for _, o := range j.who.objects {
		f.Objects = append(f.Objects, claim.Registered{Object: o.object, At: o.at})
	}
	made, err := j.makeAgain(f, b, rows, undone)
	if err != nil {
		j.foundAccount(Corrections, n, "batch %d.%d cannot have been made: %v", j.Part, b.number, err)
		j.who.partial = true
		return
	}
	j.compareReversals(b, undone, made.Reversals)
	j.compareCorrected(b, rows, made.Rows)
	for key, amount := range made.Entry.All() {
		if key.Holder > 0 {
			j.entries[key] += amount
		} else {
			j.counters[key] += amount
		}
	}
	j.known = f.Known
	j.spans, j.known.Spans = j.known.Spans, map[claim.Line][]claim.Span{}
	for _, list := range j.spans {
		sortSpans(list)
	}
	j.remember(b, rows)
}

// makeAgain makes what a batch of corrections must have made.
func (j *judge) makeAgain(f *claim.File, b *batch, rows []*store.ClaimRow, undone []claim.Reversal) (*claim.Outcome, error) {
	now := claim.Basis{At: b.at, Rulebook: b.book.Number}
	if restated := claim.Restatement(undone); restated != 0 {
		ordered, ok := j.audit.restatements[restated]
		if !ok || restated > now.Rulebook {
			return nil, fmt.Errorf("rulebook %d is no restatement that was published before it", restated)
		}
		f.Batch = func(number int64) (claim.Basis, bool) {
			o := j.partition.batch(number)
			if o == nil || o.book == nil {
				return claim.Basis{}, false
			}
			return claim.Basis{At: o.at, Rulebook: o.book.Number, Backfill: o.backfill}, true
		}
		return claim.Restate(f, restated, ordered.Reason, b.number)
	}
	said := make([]claim.Past, len(rows))
	for i, r := range rows {
		said[i].Claim, said[i].Verdict.Ref = &j.claims[i], r.Verdict.Ref
	}
	return claim.Correct(f, claim.Request(undone, said, j.reasonOf), b.number, now)
}

// reasonOf is the verdict of one of the account's claims; "" where it is not there.
func (j *judge) reasonOf(ref claim.Ref) reason.Code {
	for i := range j.rows {
		if v := &j.rows[i].Verdict; v.Ref == ref {
			return v.Reason
		}
	}
	return ""
}

func (j *judge) compareReversals(b *batch, recorded, made []claim.Reversal) {
	if len(recorded) != len(made) {
		j.foundBatch(Corrections, b.number, "%d claims are recorded as reversed by it, and it reverses %d", len(recorded), len(made))
	}
	for i := range recorded[:min(len(recorded), len(made))] {
		r, m := &recorded[i], &made[i]
		if r.Ref != m.Ref || r.Of != m.Of || r.Why != m.Why || r.By != m.By || r.Reason != m.Reason || r.Milligrams != m.Milligrams || r.Points != m.Points ||
			r.OwedMilligrams != m.OwedMilligrams || r.OwedPoints != m.OwedPoints || r.Next != m.Next || r.Basis != m.Basis {
			j.foundReversal(Corrections, r, "it is recorded as %s, and made again %s", tell(r), tell(m))
		}
		if !j.who.keyed {
			j.keyless++
		} else if place := b.first + m.Ref.Ord; m.Ref.Ord < b.n {
			if leaf := m.LeafHash(); !bytes.Equal(leaf[:], j.leaves[place*len(leaf):(place+1)*len(leaf)]) {
				j.foundReversal(Leaves, r, "its batch recorded another leaf than follows from it")
			}
		}
	}
}

func tell(r *claim.Reversal) string {
	return sprintf("%s, next %d by %+v", r.Leaf(nil), r.Next, r.Basis)
}

// compareCorrected holds the claims that a correction recorded against those that it makes.
func (j *judge) compareCorrected(b *batch, recorded []*store.ClaimRow, made []claim.Row) {
	if len(recorded) != len(made) {
		j.foundBatch(Corrections, b.number, "it recorded %d claims, and makes %d", len(recorded), len(made))
	}
	for i, r := range recorded[:min(len(recorded), len(made))] {
		m := &made[i]
		if c := m.Claim; r.Verdict.Ref != m.Verdict.Ref || r.Partner != c.Partner || r.ID != c.ID || r.Sub != c.Sub || r.Scenario != c.Scenario ||
			r.Start != c.Start || r.End != c.End || r.Body != m.Body || r.Times != m.Times {
			j.foundClaim(Corrections, r, "it is another claim, or in another place, than the correction judges again")
		}
		j.verdict(b, r, m)
	}
}

// marks holds what claims say of their reversal against the reversals.
func (j *judge) marks() {
	for i := range j.rows {
		r := &j.rows[i]
		if by := j.reversed[r.Verdict.Ref]; by != r.Reversed {
			j.foundClaim(Corrections, r, "it is marked as reversed by batch %d, and its reversal is in batch %d (0 for none)", r.Reversed, by)
		}
		if b := j.partition.batch(r.Verdict.Ref.Batch); r.Times != 0 && b != nil && !b.correction {
			j.foundClaim(Corrections, r, "it is marked as judged again, and its batch is no correction")
		}
	}
}
