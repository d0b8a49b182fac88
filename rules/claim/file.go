package claim

import (
	"cmp"
	"fmt"

	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/rulebook"
)

// A File is all that is recorded of one account: what it takes to correct one of its claims.
type File struct {
	Part      int
	Account   Number
	Links     map[string]*Link // by sub, those that ended included; their Objects are not asked
	Objects   []Registered
	Claims    []Past     // in the order in which they were recorded
	Reversals []Reversal // likewise
	Known     *Known     // usage, slots, kept values and nets as they are; Correct changes them
	Balances  map[ledger.Key]int64

	// Pooled says whether a claim's reduction went into a lot; nil where there are no lots.
	Pooled func(Ref, ledger.Asset) bool
	// Book finds the rulebook by which something was judged.
	Book func(Basis) (*rulebook.Rulebook, error)
	// Batch finds by what a batch was judged in which claims or reversals stand. Only Relive asks.
	Batch func(number int64) (Basis, bool)
}

// A Registered object is the account's from an instant on.
type Registered struct {
	Object string
	At     Micros
}

// A Past claim is a recorded one, with what it was judged by: its batch says that, or the reversal in whose place it stands.
type Past struct {
	Row
	Basis Basis

	reversed bool
	arrived  Ref // its place in the order of arrival: that of the claim in whose place it stands
}

// accepted reports whether the claim counts.
func (p *Past) accepted() bool { return !p.reversed && p.Verdict.Reason.Kind() == reason.Accepted }

// uncomputed reports whether the claim has no result, as it may have by another value for its history.
func (p *Past) uncomputed() bool { return !p.reversed && p.Verdict.Reason == reason.CannotCompute }

// arrange finds out, reversal by reversal, which claims count no more, and what those that took their place were judged
// by. It returns where each claim stands.
func (f *File) arrange() (places map[Ref]*Past, err error) {
	places = make(map[Ref]*Past, len(f.Claims))
	for i := range f.Claims {
		p := &f.Claims[i]
		p.reversed, p.arrived = false, p.Verdict.Ref
		places[p.Verdict.Ref] = p
	}
	for i := range f.Reversals {
		r := &f.Reversals[i]
		p := places[r.Of]
		if p == nil || p.reversed {
			return nil, fmt.Errorf("reversal %s is of a claim that is not there, or was reversed before", r.Ref)
		}
		p.reversed = true
		if r.Next < 0 {
			continue
		}
		next := places[Ref{r.Ref.Part, r.Ref.Batch, r.Next}]
		if next == nil {
			return nil, fmt.Errorf("reversal %s names a claim in its place that is not there", r.Ref)
		}
		next.Basis, next.arrived = r.Basis, p.arrived
	}
	return places, nil
}

// session is what a claim was judged in, and links the one that it names, with the objects that were registered by then.
func (f *File) session(b Basis) (Session, error) {
	book, err := f.Book(b)
	return Session{Book: book, At: b.At, Backfill: b.Backfill}, err
}

func (f *File) links(sub string, at Micros) map[string]*Link {
	l := f.Links[sub]
	if l == nil {
		return nil
	}
	copied := *l
	copied.Objects = nil
	for _, o := range f.Objects {
		if o.At <= at {
			copied.Objects = append(copied.Objects, o.Object)
		}
	}
	return map[string]*Link{sub: &copied}
}

// A standing claim is a recorded one, opened as it was judged.
type standing struct {
	*Past
	docket *Docket
	unused bool // its share of caps was given up already
}

func (f *File) open(p *Past) (*standing, error) {
	s, err := f.session(p.Basis)
	if err != nil {
		return nil, err
	}
	st := &standing{Past: p, docket: Open(s, []Claim{*p.Claim}, f.links(p.Claim.Sub, p.Basis.At))}
	if m := st.matter(); m.method == nil || m.refused != reason.OK {
		return nil, fmt.Errorf("claim %s cannot have been judged as it is recorded", p.Verdict.Ref)
	}
	return st, nil
}

func (s *standing) matter() *matter { return &s.docket.cases[0] }

// shared is the slot that the claim is counted in together with others: a period's totals, and what they include.
func (s *standing) shared() (Slot, bool) {
	if m := s.matter(); m.group.Kind == methodology.Spans || m.group.Greatest {
		return s.docket.slot(m)
	}
	return Slot{}, false
}

// net is the year that the claim's signed result adds to.
func (s *standing) net() (ledger.Key, bool) {
	m := s.matter()
	if !m.method.NetYear || s.Verdict.Reason != reason.OK {
		return ledger.Key{}, false
	}
	return m.netKey(), true
}

// keeps lists the values that the claim leaves for later ones, if it counts.
func (m *matter) keeps() (list []Kept) {
	if m.method == nil {
		return nil
	}
	for i := range m.method.Inputs {
		if m.method.Inputs[i].Keep {
			list = append(list, m.kept(m.method.Inputs[i].Name, m.method.KeepPeriod(m.claim.Start)))
		}
	}
	return list
}

// recalls reports whether the claim was judged by one of these earlier values, or lacked one that came before it.
func (s *standing) recalls(values map[Kept]Ref) bool {
	for _, k := range s.docket.Needs.Kept {
		arrived, ok := values[k]
		if !ok {
			continue
		}
		if s.Verdict.Reason == reason.NoHistory && arrived.compare(s.arrived) < 0 {
			return true
		}
		for _, u := range s.Used {
			if u.What == "history "+k.Input+" "+k.Period {
				return true
			}
		}
	}
	return false
}

// clashes reports whether two claims describe the same time or thing, of which one counts.
func (s *standing) clashes(o *standing) bool {
	m, n := s.matter(), o.matter()
	if m.group.Kind != n.group.Kind || m.method.Group != n.method.Group {
		return false
	}
	if m.group.Kind == methodology.Spans {
		return Clash(Span{Start: m.claim.Start, End: m.claim.End}, Span{Start: n.claim.Start, End: n.claim.End}, m.group.Tolerance)
	}
	a, ok1 := s.docket.slot(m)
	b, ok2 := o.docket.slot(n)
	return ok1 && ok2 && a == b
}

// spans are the times of the claims that count.
func (f *File) spans() (map[Line][]Span, error) {
	spans := map[Line][]Span{}
	for i := range f.Claims {
		p := &f.Claims[i]
		if !p.accepted() || p.Group == "" {
			continue
		}
		book, err := f.Book(p.Basis)
		if err != nil {
			return nil, err
		}
		if g := book.Group(p.Group); g != nil && g.Kind == methodology.Spans {
			line := Line{f.Account, p.Group}
			spans[line] = append(spans[line], Span{p.Claim.Start, p.Claim.End, p.Claim.Partner})
		}
	}
	return spans, nil
}

// compare orders places by when they came.
func (r Ref) compare(o Ref) int {
	return cmp.Or(cmp.Compare(r.Batch, o.Batch), cmp.Compare(r.Ord, o.Ord))
}
