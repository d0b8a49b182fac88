package claim

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/rulebook"
)

// Restate makes one account's claims stand as they would, had all restatements up to one, by its rulebook's number, been in
// force from the beginning. By this rule a restatement is carried out, and proved years later.
//
// A claim that comes out otherwise is reversed, and stands again in this batch, judged by the instant and rulebook by which
// it was judged before with the restatements in it; others are left alone. What the member has spent of what is taken back, or
// what has gone into a lot, and what the claims that stand again do not make good, is charged to the programme: no
// partner is at fault. The outcome's entry sums to zero; without reversals there is nothing to be written. The
// file's Known is afterwards what the claims leave.
func Restate(f *File, restated int64, why string, number int64) (*Outcome, error) {
	life, err := f.Relive(func(b Basis) (*rulebook.Rulebook, error) {
		b.Restated = restated
		return f.Book(b)
	})
	if err != nil {
		return nil, err
	}
	c := &correcting{
		File: f, request: &Correction{Why: Restated, By: Operator, Reason: why}, number: number, before: f.Known,
		work: Outcome{Changed: NewKnown(), Counts: Counts{}},
	}
	var change []*Relived
	for i := range life.Cases {
		if k := &life.Cases[i]; !k.Stays() {
			change = append(change, k)
			c.reverse(k.Old, Restated)
		}
	}
	for i, k := range change {
		c.standAgain(k, restated, &c.reversals[i], len(change)+i)
		if err := c.exchange(k.Old, &k.New); err != nil {
			return nil, err
		}
	}
	c.exchangeNets(life.Known)
	c.touch(life.Known)
	f.Known = life.Known
	if err := c.settle(); err != nil {
		return nil, err
	}
	o := c.outcome()
	if len(o.Reversals) == 0 && (len(o.Changed.Slots)+len(o.Changed.Usage)+len(o.Changed.Kept)+len(o.Gone.Slots)+len(o.Gone.Usage)+len(o.Gone.Kept) > 0 || len(o.Entry.Postings()) > 0) {
		return nil, fmt.Errorf("account %d.%d has all its claims as they would be, and not what they leave", f.Part, f.Account)
	}
	return o, nil
}

// standAgain puts the claim as it would be into the place of the one that is reversed.
func (c *correcting) standAgain(k *Relived, restated int64, v *Reversal, ord int) {
	k.New.Basis.Restated = restated
	v.Next, v.Basis = ord, k.New.Basis
	row := k.New.Row
	row.Claim, row.Again, row.Times = k.Old.Claim, &Again{k.Old.Verdict.Ref, k.New.Basis}, k.Old.Times+1
	row.Verdict.Ref = Ref{c.Part, c.number, ord}
	c.rows = append(c.rows, row)
}

// exchange takes back what a claim was credited, and credits what it would be.
func (c *correcting) exchange(old, now *Past) error {
	for _, side := range []struct {
		*Past
		sign int64
	}{{old, -1}, {now, 1}} {
		if side.Verdict.Reason.Kind() != reason.Accepted {
			continue
		}
		c.work.Entry.Move(ledger.Issuance, side.Holder, side.series(), side.sign*side.Verdict.Milligrams)
		if side.Verdict.Points == 0 {
			continue
		}
		points, err := side.points(c.File)
		if err != nil {
			return err
		}
		c.work.Entry.Move(ledger.Issuance, ledger.Holder(c.Account), points, side.sign*side.Verdict.Points)
	}
	return nil
}

// exchangeNets brings each year's net to what it would be.
func (c *correcting) exchangeNets(would *Known) {
	for _, nets := range []map[ledger.Key]int64{c.Known.Nets, would.Nets} {
		for key := range nets {
			if change := would.Nets[key] - c.Known.Nets[key]; change != 0 {
				c.work.Entry.Move(ledger.Issuance, key.Holder, key.Asset, change)
				c.Known.Nets[key] = would.Nets[key]
			}
		}
	}
}

// touch notes everything that may be others afterwards.
func (c *correcting) touch(would *Known) {
	for _, k := range []*Known{c.before, would} {
		maps.Copy(c.work.Changed.Slots, k.Slots)
		maps.Copy(c.work.Changed.Usage, k.Usage)
		maps.Copy(c.work.Changed.Kept, k.Kept)
	}
}

// Restatement finds which restatement a batch carried out, by its reversals; 0 for none.
func Restatement(undone []Reversal) int64 {
	if i := slices.IndexFunc(undone, func(v Reversal) bool { return v.Why == Restated }); i >= 0 {
		return undone[i].Basis.Restated
	}
	return 0
}
