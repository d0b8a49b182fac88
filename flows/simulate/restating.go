package simulate

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/tanpu/tanpu/flows/correct"
	"github.com/tanpu/tanpu/flows/restate"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
)

// A restated is what a restatement says: rides that began from one instant until before another are worth so much.
type restated struct {
	from, to int64 // to is 0 when open
	per      int64 // mg a tenth of a kilometre
	version  int
	rulebook int64
}

// An ordering is a restatement on its way.
type ordering struct {
	restate.Order
	restated
	begun  bool
	erased int // how many were, when it was tried
}

// restate orders a restatement of rides, or goes on with the one that was ordered last.
func (w *world) restate() {
	s := w.server()
	if s == nil || w.ordered == nil && !s.draft() {
		return
	}
	s.carryOut(w.ordered)
}

// draft tries a text on what is recorded.
func (s *server) draft() bool {
	w := s.world
	w.drafts++
	first := w.midnight(-w.draw.IntN(5))
	o := &ordering{restated: restated{from: first.UnixMicro(), per: []int64{8_000, 12_000, 20_000}[w.draw.IntN(3)], version: 2 + w.drafts}}
	d := restate.Draft{File: "draft", From: first.Format(time.DateOnly)}
	if w.draw.IntN(2) == 0 {
		last := w.midnight(1)
		o.to, d.To = last.UnixMicro(), last.Format(time.DateOnly)
	}
	text, err := documents.ReadFile("documents/bike.methodology.yaml")
	if err != nil {
		w.fail("simulation", "%v", err)
		return false
	}
	d.Text = []byte(strings.NewReplacer("version: 1", fmt.Sprint("version: ", o.version), "value: 100", fmt.Sprint("value: ", o.per/100)).Replace(string(text)))
	r, err := restate.Try(s.ctx, s.db, d, restate.Options{Workers: 1})
	if err != nil {
		if !s.allowed(err) {
			w.fail("restatement", "trying a draft: %v", err)
		}
		return false
	}
	if !r.Whole() {
		w.fail("restatement", "some of what is recorded cannot be judged again: %v", r.Unjudged)
	}
	o.erased = w.erased
	o.Order = restate.Order{Name: fmt.Sprint("rides-", o.version), Reason: "a ride was worth something else", Draft: d.Text, Report: r}
	w.ordered = o
	return true
}

// carryOut goes on with a restatement until it is over, or the server can do no more.
func (s *server) carryOut(o *ordering) {
	before := s.stage.committed
	a, err := restate.Begin(s.ctx, s.db, o.Order, 1, s.time())
	if s.stage.committed > before {
		s.orderPublished(o)
	}
	if err != nil {
		s.broke("ordering it", err)
		if !o.begun && fault.KindOf(err) != "" { // something was published since it was tried, or will be in force soon
			s.world.ordered = nil
		}
		return
	}
	for part := range parts {
		pending, err := a.Pending(s.ctx, part, s.clock())
		if err != nil {
			s.broke("looking for what is left to do", err)
			return
		}
		for _, n := range pending {
			if !s.restateAccount(a, store.AccountID{Part: part, Number: n}) {
				return
			}
		}
	}
	s.finish(a)
}

func (s *server) restateAccount(a *restate.Applying, id store.AccountID) bool {
	before := s.stage.committed
	err := a.Restate(s.ctx, id, s.clock())
	if s.stage.committed > before {
		s.adoptRestated(id)
	}
	if err != nil {
		s.broke("restating an account", err)
	}
	return err == nil
}

func (s *server) finish(a *restate.Applying) {
	if a.Sum() != nil { // what was lost with a database stands again
		s.world.ordered = nil
		s.cover.Other["a restatement was carried out again"]++
		return
	}
	before := s.stage.committed
	sum, err := a.Finish(s.ctx, 1, s.time())
	if s.stage.committed > before {
		s.inForce(s.model.terms)
	}
	if err != nil {
		s.broke("adding up", err)
		return
	}
	var text bytes.Buffer
	if err := sum.Write(&text); err != nil {
		s.fail("simulation", "%v", err)
	}
	s.world.texts = append(s.world.texts, text.Bytes())
	s.world.ordered, s.world.last = nil, s.world.ordered
	s.note("restated: %+v", sum.Applied.Total)
	s.cover.Other["a restatement was carried out"]++
	if sum.Applied.Total.Changed > 0 {
		s.cover.Other["a restatement changed something"]++
	}
	if sum.Moved.Accounts > 0 {
		s.cover.Other["accounts moved before a restatement was ordered"]++
	}
	if !sum.AsReported && !s.restored && s.world.erased == s.world.last.erased {
		s.fail("restatement", "it came to other figures than reported: %+v, %+v", s.world.last.Report.Total, sum)
	}
}

func (s *server) broke(doing string, err error) {
	if !s.allowed(err) {
		s.fail("restatement", "%s: %v", doing, err)
	}
	s.cover.Other["a restatement broke off: "+doing]++
}

// inForce notes that a document made the next rulebook, by these terms.
func (w *world) inForce(t terms) {
	t.Rulebook = w.model.terms.Rulebook + 1
	w.model.terms, w.terms[t.Rulebook] = t, t
}

// orderPublished notes that an order is in force.
func (s *server) orderPublished(o *ordering) {
	o.begun = true
	o.rulebook = s.model.terms.Rulebook + 1
	next := s.model.terms
	next.Restated = append(append([]restated{}, next.Restated...), o.restated)
	s.inForce(next)
	s.world.texts = append(s.world.texts, o.Document())
	s.note("ordered: %+v", o.restated)
}

// adoptRestated takes over what a restatement did to an account, from what it recorded.
func (s *server) adoptRestated(id store.AccountID) {
	done := &correct.Done{Account: id, Batch: s.model.parts[id.Part].head + 1}
	undone, rows, err := s.recordedBy(done)
	if err != nil || len(undone) == 0 {
		s.fail("restatement", "of account %s nothing was restated by batch %d: %v", id, done.Batch, err)
		return
	}
	for _, v := range undone {
		next := rows[claim.Ref{Part: id.Part, Batch: done.Batch, Ord: v.Next}]
		if v.Why != claim.Restated || next == nil || v.OwedMilligrams != 0 || v.OwedPoints != 0 {
			s.fail("restatement", "reversal %s is %+v", v.Ref, v)
			return
		}
		if old := s.model.rows[v.Of]; old != nil && old.counts() {
			if want := old.km * s.model.perTenth(old.claim); next.Verdict.Reason != reason.OK || next.Verdict.Milligrams != want {
				s.fail("restatement", "claim %s is restated as %s with %d mg, want %d", v.Of, next.Verdict.Reason, next.Verdict.Milligrams, want)
			}
		}
		done.Changes = append(done.Changes, correct.Change{Reversal: v, Next: next})
	}
	s.adopt(done)
}

// recordedBy reads the reversals of a correction, and the claims of its account.
func (s *server) recordedBy(done *correct.Done) (undone []claim.Reversal, rows map[claim.Ref]*claim.Row, err error) {
	db, err := s.calm()
	if err != nil {
		return nil, nil, err
	}
	defer db.Close()
	rows = map[claim.Ref]*claim.Row{}
	ctx, in := s.world.ctx, store.Range{From: done.Account.Number, To: done.Account.Number}
	err = db.Snapshot(ctx, done.Account.Part, func(snap *store.Snapshot) error {
		done.At = snap.At
		err := snap.Reversals(ctx, in, func(v claim.Reversal) {
			if v.Ref.Batch == done.Batch {
				undone = append(undone, v)
			}
		})
		if err != nil {
			return err
		}
		return snap.Claims(ctx, in, func(c *store.ClaimRow) {
			if row, err := c.Row(); err == nil {
				rows[c.Verdict.Ref] = row
			}
		})
	})
	return undone, rows, err
}

// restates is the last restatement of an act that began at an instant; nil for none, and where a version holds that was
// published later.
func (t *terms) restates(start int64) *restated {
	for i := len(t.Restated) - 1; i >= 0; i-- {
		r := &t.Restated[i]
		if start < r.from || r.to != 0 && start >= r.to {
			continue
		}
		if t.Bike2 != 0 && t.Bike2Book > r.rulebook && start >= t.Bike2 {
			return nil
		}
		return r
	}
	return nil
}
