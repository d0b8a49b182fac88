package claim

import (
	"slices"
	"sort"

	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/rulebook"
)

// A Retrial judges all claims of one account again, batch by batch in order of arrival. It knows what the
// claims before have left, and nothing of what was derived from them when they were judged first.
type Retrial struct {
	Known *Known // slots, usage, history and nets as they are now

	spans  map[Line][]Span // accepted so far, in order of start
	docket Docket
	widest []Near
}

// Begin forgets everything: the claims that follow are another account's.
func (r *Retrial) Begin() {
	r.Known, r.spans = NewKnown(), map[Line][]Span{}
}

// Judge judges the account's claims of one batch. The outcome is good until the next batch.
func (r *Retrial) Judge(s Session, part int, number int64, claims []Claim, links map[string]*Link) *Outcome {
	r.docket.Reopen(s, claims, links)
	r.near(r.docket.Needs.Near)
	o := r.docket.JudgeAgain(part, number, r.Known)
	r.accept(o.Rows, s.Book)
	return o
}

// near makes the accepted spans known that a docket asks for, and no more: in the order of years an
// account has many.
func (r *Retrial) near(needs []Near) {
	clear(r.Known.Spans)
	r.widest = r.widest[:0]
	for _, n := range needs {
		i := slices.IndexFunc(r.widest, func(w Near) bool { return w.Line == n.Line })
		if i < 0 {
			r.widest = append(r.widest, n)
			continue
		}
		w := &r.widest[i]
		w.From, w.To = min(n.From, w.From), max(n.To, w.To)
	}
	for _, w := range r.widest {
		all := r.spans[w.Line]
		from, to := after(all, w.From), after(all, w.To+1)
		if from < to {
			r.Known.Spans[w.Line] = all[from:to:to] // Judge appends, and must not append here
		}
	}
}

// accept notes the spans of the claims that were accepted.
func (r *Retrial) accept(rows []Row, book *rulebook.Rulebook) {
	for i := range rows {
		row := &rows[i]
		if row.Verdict.Reason.Kind() != reason.Accepted || book.Group(row.Group).Kind != methodology.Spans {
			continue
		}
		line := Line{row.Account, row.Group}
		all := r.spans[line]
		r.spans[line] = slices.Insert(all, after(all, row.Claim.Start), Span{row.Claim.Start, row.Claim.End, row.Claim.Partner})
	}
}

// after finds the first span that does not start before an instant.
func after(spans []Span, at Micros) int {
	return sort.Search(len(spans), func(i int) bool { return spans[i].Start >= at })
}
