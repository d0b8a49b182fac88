package restate

import (
	"context"

	"github.com/tanpu/tanpu/flows/past"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/store"
)

// A Course is all of an account's claims up to the watermark, in order of arrival.
type Course struct {
	Part    int
	Account claim.Number
	Cases   []Case
	Known   *claim.Known // what the new outcomes leave: slots, usage, history and nets
}

// A Case is a recorded claim with two outcomes: the one that is recorded, and the one that follows from the draft.
type Case struct {
	At      claim.Micros // the instant at which both were found
	Old     *store.ClaimRow
	New     claim.Row // for one that would have left no row now, only the claim, its programme and the verdict
	Drafted bool      // the draft decided it; another text may still do so otherwise than before
}

// Changed reports whether anybody would notice: the reason, the reduction or the points are others.
func (c *Case) Changed() bool {
	o, n := &c.Old.Verdict, &c.New.Verdict
	return o.Reason != n.Reason || o.Milligrams != n.Milligrams || o.Points != n.Points
}

// Why a claim cannot be judged again.
type Why string

const (
	NoAccount Why = "no-account" // its account was never opened
	NoConsent Why = "no-consent" // the link that it names is not there
	NoBatch   Why = "no-batch"   // its batch is not there
	NoBody    Why = "no-body"    // what it reported cannot be read
	Corrected Why = "corrected"  // a correction came between: what stands of the account is not what was judged in order of arrival
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
	trial   *trial
	mark    Mark
	visitor visitor

	batches []batch // in order of number, up to the mark
	people  past.People
	order   []*store.ClaimRow // of one account
	claims  []claim.Claim     // the same as they were reported
	retrial claim.Retrial
	course  Course
}

// A batch is what judging its claims again needs of its record.
type batch struct {
	number, at int64
	book       *book
	backfill   bool
}

// walk goes through a partition as it stands now, up to its mark.
func (t *trial) walk(ctx context.Context, db *store.DB, part int, v visitor) error {
	return db.Snapshot(ctx, part, func(s *store.Snapshot) error {
		w := &walk{Snapshot: s, trial: t, mark: t.mark.Parts[part], visitor: v}
		if err := w.readBatches(ctx); err != nil {
			return err
		}
		return past.Ranges(s, func(in store.Range) (int, error) { return w.accounts(ctx, in) })
	})
}

// readBatches reads the batches up to the mark, and makes sure that it is the one that is meant.
func (w *walk) readBatches(ctx context.Context) error {
	var at claim.Micros
	var hash ledger.Hash
	var failed error
	err := w.Snapshot.Records(ctx, w.mark.Batch, func(b *store.BatchRow) {
		if failed != nil {
			return
		}
		var book *book
		if book, failed = w.trial.book(b.Rulebook); failed != nil {
			return
		}
		if counts, ok := claim.ParseCounts(b.Counts); ok {
			w.visitor.counts(counts)
		}
		at, hash = b.At, b.Hash
		w.batches = append(w.batches, batch{b.Number, b.At, book, b.Backfill})
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		return err
	}
	return w.mark.check(at, hash)
}

// accounts goes through the accounts of a range.
func (w *walk) accounts(ctx context.Context, in store.Range) (rows int, err error) {
	if w.people, err = past.ReadPeople(ctx, w.Snapshot, in); err != nil {
		return 0, err
	}
	rows = w.people.Rows
	claims := 0
	err = past.Claims(ctx, w.Snapshot, in, func(list []store.ClaimRow) {
		claims += len(list)
		w.account(list)
	})
	w.trial.gauge.Add(int64(len(w.people.All)), int64(claims))
	return rows + claims, err
}

// account judges those of an account's claims again that are not above the mark.
func (w *walk) account(rows []store.ClaimRow) {
	w.order = w.order[:0]
	for i := range rows {
		if rows[i].Verdict.Ref.Batch <= w.mark.Batch {
			w.order = append(w.order, &rows[i])
		}
	}
	if len(w.order) == 0 {
		return
	}
	why := w.corrected()
	if why == "" {
		why = w.judge(rows[0].Account)
	}
	if why != "" {
		w.visitor.unjudged(why, len(w.order))
		return
	}
	w.visitor.course(&w.course)
}

// corrected finds whether any of an account's claims was reversed or judged again by then: what came after the mark
// changes no report that goes up to it.
func (w *walk) corrected() Why {
	for _, c := range w.order {
		if c.Reversed != 0 && c.Reversed <= w.mark.Batch || c.Times != 0 {
			return Corrected
		}
	}
	return ""
}

// judge makes the account's course. Nothing in it reads anything.
func (w *walk) judge(account claim.Number) (why Why) {
	who := w.people.All[account]
	if who == nil {
		return NoAccount
	}
	w.retrial.Begin()
	w.claims = w.claims[:0]
	w.course = Course{Part: w.Part, Account: account, Cases: w.course.Cases[:0], Known: w.retrial.Known}
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
	who.At(b.at)
	o := w.retrial.Judge(claim.Session{Book: b.book.Rulebook, At: b.at, Backfill: b.backfill}, w.Part, b.number, claims, who.Links)
	made := o.Rows
	for i, r := range rows {
		c := Case{At: b.at, Old: r}
		if len(made) > 0 && made[0].Claim == &claims[i] {
			c.New, made = made[0], made[1:]
			c.Drafted = c.New.Method == b.book.draft
		} else {
			c.New = claim.Row{Claim: &claims[i], Programme: r.Programme, Verdict: o.Verdicts[i]}
		}
		c.New.Verdict.Ref = r.Verdict.Ref
		w.course.Cases = append(w.course.Cases, c)
	}
	return ""
}

// find finds a batch by its number. Numbers are dense, or the walk has a batch too few.
func (w *walk) find(number int64) *batch {
	if i := number - 1; i >= 0 && i < int64(len(w.batches)) && w.batches[i].number == number {
		return &w.batches[i]
	}
	return nil
}
