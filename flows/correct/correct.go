// Package correct carries out corrections of claims that were recorded: a partner takes one back or reports it
// otherwise, an operator has refusals judged again that have proved curable.
//
// A correction is a batch of its own, of one account. What is true if we die: before its commit nothing happened; after
// it, the same correction again is answered as it was first.
package correct

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// MaxRefs bounds the claims that an operator has judged again at once.
const MaxRefs = 1000

// A Desk takes corrections.
type Desk struct {
	Books publish.Books
}

// New makes a desk for a database.
func New(db *store.DB) *Desk { return &Desk{Books: publish.Books{DB: db}} }

// A Request says who corrects which claim, and why: a claim is known by its member and partner, and by its id.
type Request struct {
	Subject string // the member, by a sub of the partner
	Partner string
	ID      string
	By      string // the partner, or claim.Operator
	Reason  string
}

// A Done correction is a batch, with what it changed; without a number when nothing did.
type Done struct {
	Account store.AccountID
	Batch   int64
	At      claim.Micros
	Changes []Change // those that were asked for first
}

// A Change is a claim that was reversed, and what stands in its place.
type Change struct {
	claim.Reversal
	Was  claim.Row
	Next *claim.Row // nil for nothing
}

// Retract takes a claim back.
func (d *Desk) Retract(ctx context.Context, r Request, clock claim.Micros) (*Done, error) {
	return d.correct(ctx, r, nil, clock)
}

// Replace has another claim judged in the place of one.
func (d *Desk) Replace(ctx context.Context, r Request, with claim.Claim, clock claim.Micros) (*Done, error) {
	return d.correct(ctx, r, &with, clock)
}

func (d *Desk) correct(ctx context.Context, r Request, with *claim.Claim, clock claim.Micros) (*Done, error) {
	l, part, err := d.Books.DB.LinkOf(ctx, r.Subject)
	if err == nil && l.Partner != r.Partner {
		err = fault.New(fault.NotFound, "there is no such link")
	}
	if err != nil {
		return nil, err
	}
	return d.update(ctx, store.AccountID{Part: part, Number: l.Account}, clock, func(f *file) (*claim.Correction, error) {
		p, err := f.latest(r.Partner, r.ID)
		if err != nil {
			return nil, err
		}
		c := &claim.Correction{Of: []claim.Ref{p.Verdict.Ref}, Why: claim.Retracted, With: with, By: r.By, Reason: r.Reason}
		if with != nil {
			c.Why = claim.Replaced
		}
		if f.reversals[p.Verdict.Ref] != nil {
			return nil, f.before(p, c)
		}
		return c, nil
	})
}

// A file is an account's, with what was found in it.
type file struct {
	*claim.File
	claims    map[claim.Ref]*claim.Past
	reversals map[claim.Ref]*claim.Reversal // by the claim that they are of
	said      int64                         // the batch that did before what is asked for; 0 for none
}

// latest finds the claim of an id as it was judged last.
func (f *file) latest(partner, id string) (found *claim.Past, err error) {
	for i := range f.Claims {
		if c := &f.Claims[i]; c.Claim.Partner == partner && c.Claim.ID == id && (found == nil || c.Times > found.Times) {
			found = c
		}
	}
	if found == nil {
		return nil, fault.New(fault.NotFound, "no claim with the id %q was recorded for this member", id)
	}
	return found, nil
}

// before answers for a claim that was reversed: the correction is the one that did it, or comes too late.
func (f *file) before(p *claim.Past, c *claim.Correction) error {
	r := f.reversals[p.Verdict.Ref]
	next := f.claims[claim.Ref{Part: r.Ref.Part, Batch: r.Ref.Batch, Ord: r.Next}]
	switch {
	case r.Why == claim.Replaced && next == nil:
		return fmt.Errorf("claim %s was replaced by one that is not there", p.Verdict.Ref)
	case r.Why == claim.Retracted && c.Why == claim.Retracted,
		r.Why == claim.Replaced && c.Why == claim.Replaced && sameClaim(next.Claim, c.With):
		f.said = r.Ref.Batch
		return errSaid
	case r.Why == claim.Replaced:
		return fault.New(fault.Conflict, "claim %q was replaced by %q: correct that one", p.Claim.ID, next.Claim.ID)
	}
	return fault.New(fault.Conflict, "claim %q was retracted", p.Claim.ID)
}

func sameClaim(a, b *claim.Claim) bool {
	return a.ID == b.ID && a.Scenario == b.Scenario && a.Start == b.Start && a.End == b.End && claim.Body(a) == claim.Body(b)
}

// errSaid ends a transaction in which there is nothing to do.
var errSaid = errors.New("this was done before, or changes nothing")

// update corrects an account's claims as decide says, in one transaction.
func (d *Desk) update(ctx context.Context, id store.AccountID, clock claim.Micros, decide func(*file) (*claim.Correction, error)) (*Done, error) {
	var done *Done
	err := d.Books.DB.UpdateBatch(ctx, id.Part, clock, func(tx *store.Tx) error {
		done = &Done{Account: id}
		f, err := d.open(ctx, tx, id.Number)
		if err != nil {
			return err
		}
		c, err := decide(f)
		if errors.Is(err, errSaid) {
			done.tell(f, f.said)
		}
		if err != nil {
			return err
		}
		now := claim.Basis{At: tx.Now, Rulebook: tx.Rulebook}
		if c.With != nil && tx.Forgotten {
			if err := f.recall(ctx, tx, c.With, now); err != nil {
				return err
			}
		}
		outcome, err := claim.Correct(f.File, c, tx.Number, now)
		if err != nil {
			return err
		}
		if len(outcome.Reversals) == 0 {
			return errSaid
		}
		book, err := f.Book(now)
		if err != nil {
			return err
		}
		record := ledger.Batch{Part: id.Part, Number: tx.Number, At: tx.Now, Rulebook: tx.Rulebook, Correction: true, Prev: tx.Prev}
		done.Batch, done.At = tx.Number, tx.Now
		done.add(f, outcome)
		return tx.WriteBatch(ctx, claim.Seal(record, outcome, book, tx.Secret))
	})
	switch {
	case err == nil, errors.Is(err, errSaid):
		return done, nil
	case fault.KindOf(err) != "":
		return nil, err
	}
	return nil, fmt.Errorf("correcting account %s: %w", id, err)
}

func (d *Desk) open(ctx context.Context, tx *store.Tx, n claim.Number) (*file, error) {
	recorded, err := tx.File(ctx, n)
	if err != nil {
		return nil, err
	}
	recorded.Book = func(by claim.Basis) (*rulebook.Rulebook, error) { return d.Books.Of(ctx, by) }
	f := &file{File: recorded, claims: map[claim.Ref]*claim.Past{}, reversals: map[claim.Ref]*claim.Reversal{}}
	for i := range f.Claims {
		f.claims[f.Claims[i].Verdict.Ref] = &f.Claims[i]
	}
	for i := range f.Reversals {
		f.reversals[f.Reversals[i].Of] = &f.Reversals[i]
	}
	return f, nil
}

// recall asks whether a replacement's act was credited to somebody who was erased.
func (f *file) recall(ctx context.Context, tx *store.Tx, with *claim.Claim, now claim.Basis) error {
	needs, err := f.Needs(with, now)
	if err != nil {
		return err
	}
	known, err := tx.Known(ctx, &needs)
	if err == nil {
		f.Known.Recall(known)
	}
	return err
}

// add tells what an outcome changes.
func (done *Done) add(f *file, o *claim.Outcome) {
	for _, r := range o.Reversals {
		c := Change{Reversal: r, Was: f.claims[r.Of].Row}
		if r.Next >= 0 {
			c.Next = &o.Rows[r.Next-len(o.Reversals)]
		}
		done.Changes = append(done.Changes, c)
	}
}

// tell tells what a batch of before changed.
func (done *Done) tell(f *file, batch int64) {
	basis, _ := f.Batch(batch)
	done.Batch, done.At = batch, basis.At
	for _, r := range f.Reversals {
		if r.Ref.Batch != batch || f.claims[r.Of] == nil {
			continue
		}
		c := Change{Reversal: r, Was: f.claims[r.Of].Row}
		if next := f.claims[claim.Ref{Part: r.Ref.Part, Batch: batch, Ord: r.Next}]; r.Next >= 0 && next != nil {
			c.Next = &next.Row
		}
		done.Changes = append(done.Changes, c)
	}
}

// Rejudge has refusals judged again by the rulebook of now: those of each account in one transaction. Either all of
// them can be judged again, or none is. Sent again, it judges what was left, and tells of the rest what became of it.
func (d *Desk) Rejudge(ctx context.Context, refs []claim.Ref, reason string, clock claim.Micros) ([]*Done, error) {
	if len(refs) > MaxRefs {
		return nil, fault.New(fault.TooLarge, "up to %d claims are judged again at once", MaxRefs)
	}
	accounts := map[store.AccountID][]claim.Ref{}
	for _, ref := range refs {
		c, err := d.Books.DB.RecordedClaim(ctx, ref)
		if err != nil {
			return nil, err
		}
		if !claim.Curable(c.Verdict.Reason) {
			return nil, fault.New(fault.Unfit, "claim %s is %q, and not a refusal that a later rulebook can cure", ref, c.Verdict.Reason)
		}
		id := store.AccountID{Part: ref.Part, Number: c.Account}
		if !slices.Contains(accounts[id], ref) {
			accounts[id] = append(accounts[id], ref)
		}
	}
	var list []*Done
	for _, id := range slices.SortedFunc(maps.Keys(accounts), func(a, b store.AccountID) int {
		return cmp.Or(cmp.Compare(a.Part, b.Part), cmp.Compare(a.Number, b.Number))
	}) {
		done, err := d.rejudge(ctx, id, accounts[id], reason, clock)
		list = append(list, done...)
		if err != nil {
			return list, err
		}
	}
	return list, nil
}

// rejudge has refusals of one account judged again, and tells of those that were before.
func (d *Desk) rejudge(ctx context.Context, id store.AccountID, refs []claim.Ref, reason string, clock claim.Micros) (list []*Done, err error) {
	done, err := d.update(ctx, id, clock, func(f *file) (*claim.Correction, error) {
		c := &claim.Correction{Why: claim.Rejudged, By: claim.Operator, Reason: reason}
		list = nil // the transaction may be tried twice
		told := map[int64]bool{}
		for _, ref := range refs {
			r := f.reversals[ref]
			if r == nil {
				c.Of = append(c.Of, ref)
			} else if !told[r.Ref.Batch] {
				told[r.Ref.Batch] = true
				before := &Done{Account: id}
				before.tell(f, r.Ref.Batch)
				list = append(list, before)
			}
		}
		if len(c.Of) == 0 {
			return nil, errSaid
		}
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	if done.Batch != 0 {
		list = append(list, done)
	}
	return list, nil
}
