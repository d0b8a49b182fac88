package restate

import (
	"context"

	"github.com/tanpu/tanpu/flows/past"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// A Course is all of an account's claims up to the watermark, in order of arrival.
type Course struct {
	Part    int
	Account claim.Number
	Cases   []Case
	Known   *claim.Known // what the new outcomes leave: slots, usage, history and nets
}

// A Case is a claim that stands, with two outcomes: the one that is recorded, and the one that follows from the draft.
type Case struct {
	By      claim.Basis // what the new one was found by; the old one, but for the texts
	Old     *store.ClaimRow
	New     claim.Row // for one that would have left no row now, only the claim, its programme and the verdict
	Drafted bool      // the draft decided it; another text may still do so otherwise than before
}

// Changed reports whether anybody would notice: the reason, the reduction or the points are others.
func (c *Case) Changed() bool {
	o, n := &c.Old.Verdict, &c.New.Verdict
	return o.Reason != n.Reason || o.Milligrams != n.Milligrams || o.Points != n.Points
}

// stays reports whether nothing has to be written for the new outcome to stand.
func (c *Case) stays() (bool, error) {
	o, n := &c.Old.Verdict, &c.New.Verdict
	if o.Reason == n.Reason && o.Method == n.Method && o.Milligrams == n.Milligrams && o.Points == n.Points && c.Old.Holder == c.New.Holder &&
		c.Old.Operands == claim.Operands(&n.Operands) && c.Old.Used == claim.Used(&c.New) {
		return true, nil
	}
	row, err := c.Old.Row()
	if err != nil {
		return false, err
	}
	k := claim.Relived{Old: &claim.Past{Row: *row}, New: claim.Past{Row: c.New}}
	return k.Stays(), nil
}

// Why a claim cannot be judged again.
type Why string

const (
	NoAccount Why = "no-account" // its account was never opened
	NoConsent Why = "no-consent" // the link that it names is not there
	NoBatch   Why = "no-batch"   // its batch is not there
	NoBody    Why = "no-body"    // what it reported cannot be read
	Erased    Why = "erased"     // the account's key is gone: nothing of it can be written again
	Forgotten Why = "forgotten"  // its person was erased, and its claims are gone
	Corrected Why = "corrected"  // a correction of the account could not have been made, had the draft been in force
)

// A visitor takes what the walk yields, which is good until the next.
type visitor interface {
	course(*Course)
	unjudged(why Why, claims int) // an account, none of whose claims can be judged: each may depend on any other
	counts(claim.Counts)          // of a batch: verdicts that left no row
}

// A walk goes through one partition's past.
type walk struct {
	*store.Snapshot
	ctx     context.Context
	trial   *trial
	mark    Mark
	batches []batch // in order of number
	people  past.People
	order   []*store.ClaimRow // of one account
	claims  []claim.Claim     // the same as they were reported
	retrial claim.Retrial
	course  Course
}

// A batch is what judging its claims again needs of its record.
type batch struct {
	number, at int64
	book       *rulebook.Rulebook
	backfill   bool
}

// walk goes through a partition as it stands now, up to its mark.
func (t *trial) walk(ctx context.Context, part int, v visitor) error {
	mark := t.mark.Parts[part].Batch
	return t.each(ctx, part, mark, v, func(w *walk, rows []store.ClaimRow, undone []claim.Reversal) error {
		w.visit(v, rows, undone, mark)
		return nil
	})
}

// each runs f on all accounts of a partition as it stands now, with all that is recorded of them, by what its batches up to
// one say. The visitor, nil for nobody, hears only what those counted up to the mark, and of those who were erased.
func (t *trial) each(ctx context.Context, part int, upto int64, v visitor, f func(*walk, []store.ClaimRow, []claim.Reversal) error) error {
	return t.db.Snapshot(ctx, part, func(s *store.Snapshot) error {
		w := &walk{Snapshot: s, ctx: ctx, trial: t, mark: t.mark.Parts[part]}
		if err := w.readBatches(upto, v); err != nil {
			return err
		}
		err := w.accounts(func(rows []store.ClaimRow, undone []claim.Reversal) error { return f(w, rows, undone) })
		if err != nil || v == nil {
			return err
		}
		return w.forgotten(v)
	})
}

// forgotten tells a visitor of accounts that were erased: of their claims there is nothing to try, and only how many they were.
func (w *walk) forgotten(v visitor) error {
	claims := 0
	err := w.Snapshot.Removed(w.ctx, func(r claim.Removed) {
		switch {
		case r.Batch == 0 || r.Batch > w.mark.Batch:
		case r.Reason == reason.Reversed:
			claims -= int(r.Claims)
		default:
			claims += int(r.Claims)
		}
	})
	if err != nil || claims == 0 {
		return err
	}
	return w.Snapshot.EachErasure(w.ctx, func(*store.Erasure) {
		v.unjudged(Forgotten, claims)
		claims = 0 // whose which was, nobody knows
	})
}

// readBatches reads the batches up to one, and makes sure that the one at the mark is the one that is meant. The visitor
// hears of those up to the mark.
func (w *walk) readBatches(upto int64, v visitor) error {
	var at claim.Micros
	var hash ledger.Hash
	var failed error
	err := w.Snapshot.Records(w.ctx, upto, func(b *store.BatchRow) {
		if b.Number <= w.mark.Batch {
			at, hash = b.At, b.Hash
		}
		if failed != nil {
			return
		}
		kept := batch{number: b.Number, at: b.At, backfill: b.Backfill}
		if kept.book, failed = w.trial.book(w.ctx, b.Rulebook); failed != nil {
			return
		}
		w.batches = append(w.batches, kept)
		if counts, ok := claim.ParseCounts(b.Counts); ok && v != nil && b.Number <= w.mark.Batch {
			v.counts(counts)
		}
	})
	if err != nil {
		return err
	}
	if err := w.mark.check(at, hash); err != nil { // another history, in which no rulebook can be right
		return err
	}
	return failed
}

// accounts runs f on the claims of each account, and on their reversals in order.
func (w *walk) accounts(f func(rows []store.ClaimRow, undone []claim.Reversal) error) error {
	return past.Ranges(w.Snapshot, func(in store.Range) (rows int, err error) {
		if w.people, err = past.ReadPeople(w.ctx, w.Snapshot, in); err != nil {
			return 0, err
		}
		rows = w.people.Rows
		claims := 0
		var failed error
		err = past.Claims(w.ctx, w.Snapshot, in, func(list []store.ClaimRow) {
			claims += len(list)
			if failed == nil {
				failed = f(list, w.people.Undone[list[0].Account])
			}
		})
		w.trial.gauge.Add(int64(len(w.people.All)), int64(claims))
		if failed != nil {
			return rows, failed
		}
		return rows + claims, err
	})
}

// visit tells a visitor of an account up to a batch.
func (w *walk) visit(v visitor, rows []store.ClaimRow, undone []claim.Reversal, upto int64) {
	switch why, claims := w.tell(rows, undone, upto); {
	case claims == 0:
	case why != "":
		v.unjudged(why, claims)
	default:
		v.course(&w.course)
	}
}

// tell makes the course of an account up to a batch, of so many claims, or says why it cannot. Nothing in it reads anything.
func (w *walk) tell(rows []store.ClaimRow, undone []claim.Reversal, upto int64) (why Why, claims int) {
	w.order = w.order[:0]
	again := false
	for i := range rows {
		if rows[i].Verdict.Ref.Batch <= upto {
			w.order = append(w.order, &rows[i])
			again = again || rows[i].Times != 0
		}
	}
	for len(undone) > 0 && undone[len(undone)-1].Ref.Batch > upto {
		undone = undone[:len(undone)-1]
	}
	if len(w.order) == 0 {
		return "", 0
	}
	who := w.people.All[rows[0].Account]
	switch {
	case who == nil:
		return NoAccount, len(w.order)
	case !who.Keyed:
		return Erased, len(w.order)
	}
	w.course = Course{Part: w.Part, Account: rows[0].Account, Cases: w.course.Cases[:0]}
	if len(undone) > 0 || again {
		return w.corrected(who, undone)
	}
	return w.judge(who), len(w.order)
}

// judge makes the course of an account that was never corrected.
func (w *walk) judge(who *past.Person) (why Why) {
	w.retrial.Begin()
	w.claims = w.claims[:0]
	w.course.Known = w.retrial.Known
	past.Arrived(w.order, func(rows []*store.ClaimRow) {
		if why == "" {
			why = w.batch(who, rows)
		}
	})
	return why
}

// batch judges an account's claims of one batch.
func (w *walk) batch(who *past.Person, rows []*store.ClaimRow) Why {
	b := w.find(rows[0].Verdict.Ref.Batch)
	if b == nil {
		return NoBatch
	}
	first := len(w.claims)
	for _, r := range rows {
		c := r.Claim
		switch {
		case !claim.ParseBody(&c, r.Body):
			return NoBody
		case who.Links[r.Sub] == nil:
			return NoConsent
		}
		w.claims = append(w.claims, c)
	}
	claims := w.claims[first:]
	for _, r := range rows {
		if r.CameBack() {
			w.retrial.Known.Forget(claim.Identity{Account: r.Account, Partner: r.Partner, ID: r.ID})
		}
	}
	who.At(b.at)
	o := w.retrial.Judge(claim.Session{Book: b.book, At: b.at, Backfill: b.backfill}, w.Part, b.number, claims, who.Links)
	made := o.Rows
	for i, r := range rows {
		c := Case{By: b.basis(), Old: r}
		if len(made) > 0 && made[0].Claim == &claims[i] {
			c.New, made = made[0], made[1:]
			c.Drafted = c.New.Method == b.book.Last()
		} else {
			c.New = claim.Row{Claim: &claims[i], Programme: r.Programme, Verdict: o.Verdicts[i]}
		}
		c.New.Verdict.Ref = r.Verdict.Ref
		w.course.Cases = append(w.course.Cases, c)
	}
	return ""
}

// corrected makes the course of an account of which claims were corrected or restated before: corrections are made in it
// where they were made. Each claim that stands is one case.
func (w *walk) corrected(who *past.Person, undone []claim.Reversal) (Why, int) {
	f := &claim.File{Part: w.Part, Account: w.course.Account, Links: who.Links, Objects: who.Objects, Reversals: undone,
		Batch: func(number int64) (claim.Basis, bool) {
			if b := w.find(number); b != nil {
				return b.basis(), true
			}
			return claim.Basis{}, false
		}}
	rows := make(map[claim.Ref]*store.ClaimRow, len(w.order))
	past.Arrived(w.order, func([]*store.ClaimRow) {})
	for _, r := range w.order {
		row, err := r.Row()
		switch {
		case err != nil:
			return NoBody, len(w.order)
		case who.Links[r.Sub] == nil:
			return NoConsent, len(w.order)
		case w.find(r.Verdict.Ref.Batch) == nil:
			return NoBatch, len(w.order)
		}
		rows[r.Verdict.Ref] = r
		f.Claims = append(f.Claims, claim.Past{Row: *row})
	}
	life, err := f.Relive(func(by claim.Basis) (*rulebook.Rulebook, error) { return w.trial.book(w.ctx, by.Rulebook) })
	if err != nil {
		return Corrected, len(w.order)
	}
	w.course.Known = life.Known
	for i := range life.Cases {
		k := &life.Cases[i]
		c := Case{By: k.New.Basis, Old: rows[k.Old.Verdict.Ref], New: k.New.Row}
		c.New.Verdict.Ref = c.Old.Verdict.Ref
		if book, err := w.trial.book(w.ctx, k.New.Basis.Rulebook); err == nil && c.New.Method != nil {
			c.Drafted = c.New.Method == book.Last()
		}
		w.course.Cases = append(w.course.Cases, c)
	}
	return "", len(w.course.Cases)
}

func (b *batch) basis() claim.Basis {
	return claim.Basis{At: b.at, Rulebook: b.book.Number, Backfill: b.backfill}
}

// find finds a batch by its number. Numbers are dense, or the walk has a batch too few.
func (w *walk) find(number int64) *batch {
	if i := number - 1; i >= 0 && i < int64(len(w.batches)) && w.batches[i].number == number {
		return &w.batches[i]
	}
	return nil
}
