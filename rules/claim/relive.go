package claim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/rulebook"
)

// A Life is an account's claims that stand, each as it is recorded and as it would be, had other texts been in force.
type Life struct {
	Cases []Relived // in order of arrival
	Known *Known    // what the outcomes that would be leave
}

// A Relived claim stands, and would.
type Relived struct {
	Old *Past
	New Past // for one that would have left no row only the claim, its programme and the verdict
}

// Leaves reports whether the outcome that would be is one that leaves a row.
func (r *Relived) Leaves() bool { return r.New.Verdict.Reason.Recorded() }

// Relive goes through all that is recorded of an account as if the texts in the books that book finds had been in force:
// claims are judged batch by batch in order of arrival, each by the instant of its batch and knowing what those before have left,
// and corrections are made where they were made. Restatements are not: what they did, the books say. The error says
// why the account's life cannot be told in this way; the file is as it was, but for what Correct learns of it.
func (f *File) Relive(book func(Basis) (*rulebook.Rulebook, error)) (*Life, error) {
	r := &reliving{recorded: f, places: map[Ref]*Past{}, last: map[Identity]int{}}
	for i := range f.Claims {
		r.places[f.Claims[i].Verdict.Ref] = &f.Claims[i]
	}
	r.would = &File{Part: f.Part, Account: f.Account, Links: f.Links, Objects: f.Objects, Claims: make([]Past, 0, len(f.Claims)), Book: book}
	r.retrial.Begin()
	for i := range f.Claims {
		if p := &f.Claims[i]; p.Verdict.CameBack() {
			r.retrial.Known.Forget(r.identity(p))
		}
	}
	claims, reversals := f.Claims, f.Reversals
	for len(claims) > 0 || len(reversals) > 0 {
		number := next(claims, reversals)
		var rows []Past
		var undone []Reversal
		rows, claims = cut(claims, func(p *Past) bool { return p.Verdict.Ref.Batch == number })
		undone, reversals = cut(reversals, func(v *Reversal) bool { return v.Ref.Batch == number })
		basis, ok := f.Batch(number)
		if !ok {
			return nil, fmt.Errorf("there is no batch %d.%d", f.Part, number)
		}
		var err error
		switch {
		case len(undone) == 0:
			err = r.batch(number, basis, rows)
		case undone[0].Why != Restated:
			err = r.correct(number, basis, rows, undone)
		}
		if err != nil {
			return nil, err
		}
	}
	return r.life()
}

// next is the number of the batch that comes next.
func next(claims []Past, reversals []Reversal) int64 {
	switch {
	case len(claims) == 0:
		return reversals[0].Ref.Batch
	case len(reversals) == 0:
		return claims[0].Verdict.Ref.Batch
	}
	return min(claims[0].Verdict.Ref.Batch, reversals[0].Ref.Batch)
}

// cut divides a list where it no longer is so.
func cut[T any](list []T, is func(*T) bool) (head, tail []T) {
	n := 0
	for n < len(list) && is(&list[n]) {
		n++
	}
	return list[:n], list[n:]
}

// A reliving is on its way.
type reliving struct {
	recorded *File
	places   map[Ref]*Past // of what is recorded

	would   *File            // what would be recorded
	last    map[Identity]int // where in it each claim was judged last
	retrial Retrial
}

// batch judges claims that came.
func (r *reliving) batch(number int64, basis Basis, rows []Past) error {
	s, err := r.would.session(basis)
	if err != nil {
		return err
	}
	said := make([]Claim, len(rows))
	links := map[string]*Link{}
	for i := range rows {
		said[i] = *rows[i].Claim
		if links[said[i].Sub] == nil {
			links[said[i].Sub] = r.would.links(said[i].Sub, basis.At)[said[i].Sub]
		}
	}
	o := r.retrial.Judge(s, r.would.Part, number, said, links)
	made := o.Rows
	for i := range rows {
		p := Past{Row: Row{Claim: &said[i], Programme: rows[i].Programme, Verdict: o.Verdicts[i]}, Basis: basis}
		if len(made) > 0 && made[0].Claim == &said[i] {
			p.Row, made = made[0], made[1:]
		} else if rows[i].Verdict.Reason.Kind() == reason.Accepted {
			return fmt.Errorf("claim %s would not be recorded", rows[i].Verdict.Ref)
		}
		p.Verdict.Ref = rows[i].Verdict.Ref
		r.keep(p)
	}
	return nil
}

func (r *reliving) keep(p Past) {
	r.last[r.identity(&p)] = len(r.would.Claims)
	r.would.Claims = append(r.would.Claims, p)
}

func (r *reliving) identity(p *Past) Identity {
	return Identity{r.recorded.Account, p.Claim.Partner, p.Claim.ID}
}

// correct makes a correction.
func (r *reliving) correct(number int64, basis Basis, rows []Past, undone []Reversal) error {
	c := Request(undone, rows, func(ref Ref) reason.Code {
		if p := r.places[ref]; p != nil {
			return p.Verdict.Reason
		}
		return ""
	})
	of := c.Of
	c.Of = nil
	for _, ref := range of {
		p := r.places[ref]
		if p == nil {
			return fmt.Errorf("claim %s, which was corrected, is not there", ref)
		}
		i, ok := r.last[r.identity(p)]
		if !ok {
			return fmt.Errorf("claim %s, which was corrected, would not be there", ref)
		}
		// What would not have been refused, nobody would have had judged again.
		if would := &r.would.Claims[i]; c.Why != Rejudged || Curable(would.Verdict.Reason) {
			c.Of = append(c.Of, would.Verdict.Ref)
		}
	}
	if len(c.Of) == 0 {
		return nil
	}
	r.would.Known, r.would.Balances = r.retrial.Known, nil
	o, err := Correct(r.would, c, number, basis)
	if err != nil {
		return fmt.Errorf("correction %d.%d would not be possible: %w", r.would.Part, number, err)
	}
	r.would.Reversals = append(r.would.Reversals, o.Reversals...)
	for i := range o.Rows {
		r.keep(Past{Row: o.Rows[i]})
	}
	r.retrial.learn()
	return nil
}

// learn takes over the spans that somebody else has put in order of no kind.
func (r *Retrial) learn() {
	r.spans, r.Known.Spans = r.Known.Spans, map[Line][]Span{}
	for _, list := range r.spans {
		slices.SortFunc(list, Span.compare)
	}
}

// Request finds what a correction was asked for, by its reversals and the claims that it recorded. was says what the verdict was
// of a claim that was recorded before.
func Request(undone []Reversal, rows []Past, was func(Ref) reason.Code) *Correction {
	c := &Correction{By: undone[0].By, Reason: undone[0].Reason}
	for i := range undone {
		v := &undone[i]
		if !Asked(v.Why, was(v.Of)) {
			continue
		}
		if c.Why == "" {
			c.Why = v.Why
		}
		c.Of = append(c.Of, v.Of)
		for k := range rows {
			if v.Why == Replaced && rows[k].Verdict.Ref.Ord == v.Next {
				c.With = rows[k].Claim
			}
		}
	}
	if c.Why == Replaced && c.With == nil {
		c.With = &Claim{} // of nobody: it cannot be one
	}
	return c
}

// life puts beside each claim that stands what would stand in its place.
func (r *reliving) life() (*Life, error) {
	if _, err := r.recorded.arrange(); err != nil {
		return nil, err
	}
	if _, err := r.would.arrange(); err != nil {
		return nil, err
	}
	l := &Life{Known: r.retrial.Known}
	for i := range r.recorded.Claims {
		p := &r.recorded.Claims[i]
		if p.reversed {
			continue
		}
		k, ok := r.last[r.identity(p)]
		if !ok || r.would.Claims[k].reversed {
			return nil, fmt.Errorf("claim %s stands, and nothing would in its place", p.Verdict.Ref)
		}
		l.Cases = append(l.Cases, Relived{Old: p, New: r.would.Claims[k]})
	}
	slices.SortStableFunc(l.Cases, func(a, b Relived) int { return a.Old.arrived.compare(b.Old.arrived) })
	l.Known.Spans = r.retrial.spans
	return l, nil
}

// Stays reports whether nothing has to be written for a claim to stand as it would: outcome and text are the same, and so
// is what it adds to usage, slots, history and nets. A refusal with the same reason adds nothing.
func (r *Relived) Stays() bool {
	old, now := &r.Old.Row, &r.New.Row
	accepted := func(row *Row) bool { return row.Verdict.Reason.Kind() == reason.Accepted }
	switch {
	case !r.Leaves():
		return true // no row can say so; what is recorded is a refusal, too
	case !accepted(old) && old.Verdict.Reason == now.Verdict.Reason:
		return old.Verdict.Reason != reason.Overlap || old.Group == now.Group // by its group it is found once nothing is in its way
	case !same(old, now) || old.Verdict.Operands != now.Verdict.Operands:
		return false
	case now.Verdict.Operands.Field != "":
		return Used(old) == Used(now) // how much a cap cut off depends on what it found
	}
	return slices.EqualFunc(old.Used, now.Used, func(a, b methodology.Use) bool { return a.What == b.What && (a.Value == b.Value || found(a.What)) })
}

// found reports whether something that was used is what the claim found there, and not what its result was computed from.
func found(what string) bool {
	for _, kind := range [...]string{"usage ", "net ", "counted "} {
		if strings.HasPrefix(what, kind) {
			return true
		}
	}
	return false
}
