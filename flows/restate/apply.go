package restate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/tanpu/tanpu/flows/past"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// An Order has a draft applied as it was tried.
type Order struct {
	Name   string
	Reason string // for members and auditors
	Draft  []byte // the text
	Report *Report
}

// Apply makes what is recorded stand as a report says that it would, had the draft been in force: it publishes the order as a
// document, makes a correction of every account that would stand otherwise, and publishes what that came to.
//
// What is true if we die: before the order is published nothing happened. From then on whatever is reported or corrected of the
// order's days is judged by the draft, and accounts are restated one by one, each in a transaction of its own; the
// same order again goes on with those that are left. Once its sum is published it is over, and the same order again tells the
// sum. Where an older database was restored since, it first restates again what was lost; and if the sum's text was lost with it, it
// adds up what stands now, and publishes that.
func Apply(ctx context.Context, db *store.DB, o Order, opts Options) (*Applied, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	a, err := Begin(ctx, db, o, opts.Workers, opts.Now())
	if err != nil || a.overtaken {
		return a.Sum(), err
	}
	if a.trial.gauge.Accounts, err = db.AccountCount(ctx); err != nil {
		return nil, err
	}
	a.trial.gauge.Accounts *= 2 // to find those that would stand otherwise, and to add up
	a.trial.gauge.Tell = opts.Progress
	if opts.Workers == 0 {
		opts.Workers = runtime.GOMAXPROCS(0)
	}
	err = past.Partitions(ctx, db.Parts, opts.Workers, func(ctx context.Context, _, part int) error {
		pending, err := a.Pending(ctx, part, opts.Now().UnixMicro())
		for _, n := range pending {
			if err == nil {
				err = a.Restate(ctx, store.AccountID{Part: part, Number: n}, opts.Now().UnixMicro())
			}
		}
		return err
	})
	if err != nil || a.done != nil {
		return a.Sum(), err
	}
	return a.Finish(ctx, opts.Workers, opts.Now())
}

// An Applying is an order that was published.
type Applying struct {
	db    *store.DB
	order Order
	trial *trial
	books publish.Books
	done  *Applied // what it came to, if it is over

	overtaken bool // by another one, which includes it
}

// Document is the order as it is published, to the byte.
func (o *Order) Document() []byte {
	d := &o.Report.Draft
	r := &rulebook.Restatement{Name: o.Name, Reason: o.Reason, Method: fmt.Sprintf("%s@%d", d.ID, d.Version), Hash: d.SHA256, From: d.From, To: d.To,
		Rulebook: o.Report.Watermark.Rulebook, Report: o.Report.hash(), Text: o.Draft}
	return r.Document()
}

// hash is that of the report as JSON.
func (r *Report) hash() record.Hash {
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		panic(err) // plain structs of texts and numbers
	}
	return sha256.Sum256(b.Bytes())
}

// Begin publishes an order, or takes up one that was published. The draft must be the one that the report tried, and trying
// it again must make the same report.
func Begin(ctx context.Context, db *store.DB, o Order, workers int, now time.Time) (*Applying, error) {
	r := o.Report
	if record.Hash(sha256.Sum256(o.Draft)) != r.Draft.SHA256 {
		return nil, fault.New(fault.Conflict, "the draft is not the text that the report tried")
	}
	a := &Applying{db: db, order: o, books: publish.Books{DB: db}}
	d := Draft{File: "the draft", Text: o.Draft, From: r.Draft.From, To: r.Draft.To}
	mark, err := r.Watermark.settle(ctx, db)
	if err != nil {
		return nil, err
	}
	if a.trial, err = newTrial(ctx, db, d, mark); err != nil {
		return nil, err
	}
	ordered, err := rulebook.ParseRestatement("the order", o.Document())
	if err != nil {
		return nil, err
	}
	begun, err := a.begun(ctx)
	if err != nil {
		return nil, err
	}
	if !begun {
		if err := a.sameAgain(ctx, d, workers); err != nil {
			return nil, err
		}
	}
	if a.trial.restated, err = publish.Restate(ctx, db, ordered, now); err != nil {
		return nil, err
	}
	a.trial.books = map[int64]*rulebook.Rulebook{} // with the draft tried in them, and not yet ordered
	if a.overtaken, err = a.later(ctx); err != nil {
		return nil, err
	}
	documents, err := db.Documents(ctx, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	sum := publish.Told(documents, o.Name)
	switch {
	case sum != nil:
		a.done = &Applied{}
		return a, json.Unmarshal(sum, a.done)
	case a.overtaken:
		return nil, fault.New(fault.NotFound, "what restatement %s came to was lost with a database, and cannot be added up again: another one was ordered since, in which it is included", o.Name)
	}
	return a, nil
}

// Sum is what the order came to, if it is over; else nil.
func (a *Applying) Sum() *Applied {
	if a == nil {
		return nil
	}
	return a.done
}

// begun reports whether an order of that name was published.
func (a *Applying) begun(ctx context.Context) (bool, error) {
	documents, err := a.db.Documents(ctx, math.MaxInt64)
	return slices.ContainsFunc(documents, func(d store.Document) bool { return d.Kind == rulebook.Restating && d.Name == a.order.Name }), err
}

// later reports whether another restatement was ordered since.
func (a *Applying) later(ctx context.Context) (bool, error) {
	documents, err := a.db.Documents(ctx, math.MaxInt64)
	return slices.ContainsFunc(documents, func(d store.Document) bool { return d.Kind == rulebook.Restating && d.Rulebook > a.trial.restated }), err
}

// sameAgain holds the report against trying the draft again.
func (a *Applying) sameAgain(ctx context.Context, d Draft, workers int) error {
	again, err := Try(ctx, a.db, d, Options{Upto: &a.order.Report.Watermark, Workers: workers})
	if err != nil {
		return err
	}
	if again.hash() != a.order.Report.hash() {
		return fault.New(fault.Conflict, "trying the draft up to the report's watermark makes another report: it was changed, or made by another version of this program; try again")
	}
	return nil
}

// Pending lists the accounts of a partition that would stand otherwise and were not restated yet.
func (a *Applying) Pending(ctx context.Context, part int, clock claim.Micros) (list []claim.Number, err error) {
	// Whoever judges here from now on knows the order: a batch that did not has the partition until it is committed.
	if err := a.db.Update(ctx, part, clock, func(*store.Tx) error { return nil }); err != nil {
		return nil, err
	}
	err = a.trial.each(ctx, part, math.MaxInt64, nil, func(w *walk, rows []store.ClaimRow, undone []claim.Reversal) error {
		if a.batchOf(undone) != 0 {
			return nil
		}
		if why, claims := w.tell(rows, undone, math.MaxInt64); why != "" || claims == 0 {
			return nil
		}
		_, others, err := w.course.otherwise()
		if others {
			list = append(list, rows[0].Account)
		}
		return err
	})
	return list, err
}

// batchOf is the batch in which an account was restated by this order; 0 for none.
func (a *Applying) batchOf(undone []claim.Reversal) int64 {
	for i := range undone {
		if v := &undone[i]; v.Why == claim.Restated && v.Basis.Restated == a.trial.restated {
			return v.Ref.Batch
		}
	}
	return 0
}

// errStands ends a transaction in which there is nothing to do.
var errStands = errors.New("the account stands as it should")

// Restate makes one account stand as it would, in one transaction, unless it does.
func (a *Applying) Restate(ctx context.Context, id store.AccountID, clock claim.Micros) error {
	err := a.db.UpdateBatch(ctx, id.Part, clock, func(tx *store.Tx) error {
		f, err := tx.File(ctx, id.Number)
		if kind := fault.KindOf(err); kind == fault.Gone || kind == fault.Conflict {
			return errStands // it was erased since it was found, or is being
		}
		if err != nil {
			return err
		}
		if a.batchOf(f.Reversals) != 0 {
			return errStands
		}
		f.Book = func(by claim.Basis) (*rulebook.Rulebook, error) { return a.books.Of(ctx, by) }
		o, err := claim.Restate(f, a.trial.restated, a.order.Reason, tx.Number)
		if err != nil {
			return err
		}
		if len(o.Reversals) == 0 {
			return errStands
		}
		book, err := a.books.Book(ctx, tx.Rulebook)
		if err != nil {
			return err
		}
		record := ledger.Batch{Part: id.Part, Number: tx.Number, At: tx.Now, Rulebook: tx.Rulebook, Correction: true, Prev: tx.Prev}
		return tx.WriteBatch(ctx, claim.Seal(record, o, book, tx.Secret))
	})
	if err != nil && !errors.Is(err, errStands) {
		return fmt.Errorf("restating account %s: %w", id, err)
	}
	return nil
}

// AppliedForm names the form of the sum of a restatement.
const AppliedForm = "tanpu-apply/1"

// Applied says what a restatement came to: what was taken back and what stands in its place, added up from what is recorded,
// in the form of the report, so that the two can be laid beside each other.
type Applied struct {
	Form     string      `json:"form"`
	Name     string      `json:"name"`
	Reason   string      `json:"reason"`
	Rulebook int64       `json:"rulebook"` // that the order made
	Report   record.Hash `json:"report"`   // of the report as JSON
	Moved    Moved       `json:"moved"`
	Applied  *Report     `json:"applied"`

	// Whether accounts of which nothing had come in between came to what the report says, to the milligram. They do, unless
	// claims that the report went by are no longer there: lost with a database, or with a person's account.
	AsReported bool `json:"as_reported"`
}

// Whole reports whether everything came to what was reported, and everything that is recorded could be judged again.
func (a *Applied) Whole() bool { return a.AsReported && a.Applied.Whole() }

// Moved are accounts of which something came, by the former texts, between the report and the order: they were restated
// as they stood then.
type Moved struct {
	Accounts int64 `json:"accounts"`
	Reported Sum   `json:"reported"`
	Applied  Sum   `json:"applied"`
}

// Write writes it as JSON.
func (a *Applied) Write(w io.Writer) error { return writeJSON(w, a) }

// Finish adds up what was done, makes sure that nothing is left to do, and publishes the sum.
func (a *Applying) Finish(ctx context.Context, workers int, now time.Time) (*Applied, error) {
	all := newSummary(a.trial)
	var mu sync.Mutex // guards all
	err := past.Partitions(ctx, a.db.Parts, workers, func(ctx context.Context, _, part int) error {
		s := newSummary(a.trial)
		err := a.trial.each(ctx, part, math.MaxInt64, s.counting(), func(w *walk, rows []store.ClaimRow, undone []claim.Reversal) error {
			return a.add(s, w, rows, undone)
		})
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		return all.merge(s)
	})
	if err != nil {
		return nil, err
	}
	done := &Applied{Form: AppliedForm, Name: a.order.Name, Reason: a.order.Reason, Rulebook: a.trial.restated, Report: a.order.Report.hash(),
		AsReported: all.reported.report().hash() == a.order.Report.hash(), Applied: all.applied.report(),
		Moved: Moved{all.moved, all.before.total, all.after.total}}
	var text bytes.Buffer
	if err := done.Write(&text); err != nil {
		return nil, err
	}
	return done, publish.Restated(ctx, a.db, a.order.Name, text.Bytes(), now)
}

// A summary tallies accounts as they were applied, and as they must have been reported; those that moved also apart.
type summary struct {
	applied, reported, before, after *tally
	moved                            int64
}

func newSummary(t *trial) *summary {
	return &summary{newTally(t), newTally(t), newTally(t), newTally(t), 0}
}

func (s *summary) merge(o *summary) error {
	s.moved += o.moved
	return errors.Join(s.applied.merge(o.applied), s.reported.merge(o.reported), s.before.merge(o.before), s.after.merge(o.after))
}

// tallies are several that take in the same.
type tallies []*tally

func (s *summary) counting() tallies { return tallies{s.applied, s.reported} }

func (list tallies) course(c *Course) {
	for _, t := range list {
		t.course(c)
	}
}

func (list tallies) unjudged(why Why, claims int) {
	for _, t := range list {
		t.unjudged(why, claims)
	}
}

func (list tallies) counts(counts claim.Counts) {
	for _, t := range list {
		t.counts(counts)
	}
}

// add takes in an account: what stood before it was restated, or when the order came, and what stands now.
func (a *Applying) add(s *summary, w *walk, rows []store.ClaimRow, undone []claim.Reversal) error {
	own := a.batchOf(undone)
	last := own - 1
	if own == 0 {
		last = w.beforeRulebook(a.trial.restated)
	}
	moved := came(rows, undone, w.mark.Batch, last)
	why, claims := w.tell(rows, undone, last)
	if own == 0 && why == "" {
		if _, others, err := w.course.otherwise(); err != nil {
			return err
		} else if others { // a correction since has judged its claims by the order already
			moved = true
			why, claims = w.tell(rows, undone, math.MaxInt64)
		}
	}
	if why == "" {
		if err := a.asPosted(w, rows, undone, own); err != nil {
			return err
		}
	}
	into := tallies{s.applied, s.reported}
	if moved {
		s.moved++
		into = tallies{s.applied, s.after}
	}
	switch {
	case claims == 0:
	case why != "":
		into.unjudged(why, claims)
	default:
		into.course(&w.course)
	}
	if moved {
		w.visit(tallies{s.reported, s.before}, rows, undone, w.mark.Batch)
	}
	return nil
}

// came reports whether something of an account came after a batch, up to another.
func came(rows []store.ClaimRow, undone []claim.Reversal, after, upto int64) bool {
	within := func(n int64) bool { return after < n && n <= upto }
	return slices.ContainsFunc(rows, func(r store.ClaimRow) bool { return within(r.Verdict.Ref.Batch) }) ||
		slices.ContainsFunc(undone, func(v claim.Reversal) bool { return within(v.Ref.Batch) })
}

// beforeRulebook is the last batch that was judged by an earlier rulebook.
func (w *walk) beforeRulebook(number int64) int64 {
	n := len(w.batches)
	for n > 0 && w.batches[n-1].book.Number >= number {
		n--
	}
	if n == 0 {
		return 0
	}
	return w.batches[n-1].number
}

// otherwise finds a claim that would not stand as it does.
func (c *Course) otherwise() (claim.Ref, bool, error) {
	for i := range c.Cases {
		if stays, err := c.Cases[i].stays(); err != nil || !stays {
			return c.Cases[i].Old.Verdict.Ref, !stays, err
		}
	}
	return claim.Ref{}, false, nil
}

// asPosted makes sure that what the draft gives is what stands, to the milligram: since the account was restated in a batch, or where
// there is none as it stood already.
func (a *Applying) asPosted(w *walk, rows []store.ClaimRow, undone []claim.Reversal, own int64) error {
	if own == 0 {
		ref, others, err := w.course.otherwise()
		if err == nil && others {
			err = fmt.Errorf("claim %s was not restated, and should have been: apply the draft once more", ref)
		}
		return err
	}
	written := map[int]*store.ClaimRow{} // by their ordinals in the batch
	for i := range rows {
		if ref := rows[i].Verdict.Ref; ref.Batch == own {
			written[ref.Ord] = &rows[i]
		}
	}
	posted := map[claim.Ref]*store.ClaimRow{} // by the claim in whose place each stands
	for i := range undone {
		if v := &undone[i]; v.Ref.Batch == own {
			posted[v.Of] = written[v.Next]
		}
	}
	for i := range w.course.Cases {
		c := &w.course.Cases[i]
		ref := c.Old.Verdict.Ref
		row := posted[ref]
		if row == nil {
			stays, err := c.stays()
			if err == nil && !stays {
				err = fmt.Errorf("claim %s was not restated with the others of its account: tanpu audit tells more", ref)
			}
			if err != nil {
				return err
			}
			continue
		}
		was, is := &c.New.Verdict, &row.Verdict
		if was.Reason != is.Reason || was.Method != is.Method || was.Milligrams != is.Milligrams || was.Points != is.Points {
			return fmt.Errorf("claim %s stands in the place of %s, and not as the draft gives it: tanpu audit tells more", is.Ref, ref)
		}
	}
	return nil
}
