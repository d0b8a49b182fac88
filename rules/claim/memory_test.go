package claim_test

import (
	"slices"
	"testing"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/quantity"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/rulebook"
)

// A memory is a partition in plain maps. It keeps only what a store is told to keep, and answers only
// what a docket asks, so that what Needs or Changed forgets shows.
type memory struct {
	book     *rulebook.Rulebook
	links    map[string]*claim.Link
	batches  int64
	rows     []claim.Row
	basis    map[int64]claim.Basis // of batches
	reversed map[claim.Ref]bool
	undone   []claim.Reversal
	same     map[claim.Identity]claim.Recorded
	slots    map[claim.Slot]claim.Counted
	usage    map[claim.Period]claim.Usage
	kept     map[claim.Kept]quantity.Rat
	balances map[ledger.Key]int64
}

func newMemory(book *rulebook.Rulebook) *memory {
	return &memory{
		book:     book,
		links:    map[string]*claim.Link{},
		basis:    map[int64]claim.Basis{},
		reversed: map[claim.Ref]bool{},
		same:     map[claim.Identity]claim.Recorded{},
		slots:    map[claim.Slot]claim.Counted{},
		usage:    map[claim.Period]claim.Usage{},
		kept:     map[claim.Kept]quantity.Rat{},
		balances: map[ledger.Key]int64{},
	}
}

// judge has claims judged as one batch, and remembers what became of them.
func (w *memory) judge(t testing.TB, s claim.Session, claims []claim.Claim) *claim.Batch {
	t.Helper()
	s.Book = w.book
	links := map[string]*claim.Link{}
	for i := range claims {
		if l := w.links[claims[i].Sub]; l != nil {
			links[claims[i].Sub] = l
		}
	}
	d := claim.Open(s, claims, links)
	w.batches++
	o := d.Judge(3, w.batches, w.answer(&d.Needs))
	b := claim.Seal(ledger.Batch{Part: 3, Number: w.batches, At: s.At, Rulebook: s.Book.Number, Backfill: s.Backfill}, o, s.Book, []byte("secret"))
	w.basis[w.batches] = claim.Basis{At: s.At, Rulebook: s.Book.Number, Backfill: s.Backfill}
	w.keep(t, b)
	rejudge(t, func(*claim.Row) claim.Session { return s }, b)
	return b
}

// file is all that the memory holds of one account.
func (w *memory) file(account claim.Number) *claim.File {
	f := &claim.File{Part: 3, Account: account, Links: w.links, Known: claim.NewKnown(), Balances: map[ledger.Key]int64{},
		Book: func(claim.Basis) (*rulebook.Rulebook, error) { return w.book, nil }}
	for _, l := range w.links {
		for _, o := range l.Objects {
			f.Objects = append(f.Objects, claim.Registered{Object: o})
		}
	}
	for _, r := range w.rows {
		if r.Account == account {
			f.Claims = append(f.Claims, claim.Past{Row: r, Basis: w.basis[r.Verdict.Ref.Batch]})
		}
	}
	for _, r := range w.undone {
		if r.Account == account {
			f.Reversals = append(f.Reversals, r)
		}
	}
	for k, v := range w.slots {
		if k.Account == account {
			f.Known.Slots[k] = v
		}
	}
	for k, v := range w.usage {
		if k.Account == account {
			f.Known.Usage[k] = v
		}
	}
	for k, v := range w.kept {
		if k.Account == account {
			f.Known.Kept[k] = v
		}
	}
	for k, v := range w.balances {
		if k.Holder == ledger.Holder(account) {
			f.Balances[k] = v
			if k.Asset.Kind() == "NET" {
				f.Known.Nets[k] = v
			}
		}
	}
	return f
}

// correct carries out a correction, or says why not.
func (w *memory) correct(t testing.TB, account claim.Number, r *claim.Correction, at claim.Micros, change func(*claim.File)) (*claim.Batch, error) {
	t.Helper()
	f := w.file(account)
	if change != nil {
		change(f)
	}
	o, err := claim.Correct(f, r, w.batches+1, claim.Basis{At: at, Rulebook: w.book.Number})
	if err != nil {
		return nil, err
	}
	return w.write(t, o, at), nil
}

// write keeps a correction as the next batch.
func (w *memory) write(t testing.TB, o *claim.Outcome, at claim.Micros) *claim.Batch {
	t.Helper()
	w.batches++
	w.basis[w.batches] = claim.Basis{At: at, Rulebook: w.book.Number}
	b := claim.Seal(ledger.Batch{Part: 3, Number: w.batches, At: at, Rulebook: w.book.Number, Correction: true}, o, w.book, []byte("secret"))
	for i, r := range b.Reversals {
		if ref := (claim.Ref{Part: 3, Batch: b.Number, Ord: i}); r.Ref != ref || w.reversed[r.Of] {
			t.Errorf("reversal %d of batch %d is %s, of %s", i, b.Number, r.Ref, r.Of)
		}
		w.reversed[r.Of] = true
		w.undone = append(w.undone, r)
	}
	for _, k := range b.Gone.Slots {
		delete(w.slots, k)
	}
	for _, k := range b.Gone.Usage {
		delete(w.usage, k)
	}
	for _, k := range b.Gone.Kept {
		delete(w.kept, k)
	}
	for k := range b.Changed.Kept {
		delete(w.kept, k)
	}
	w.keep(t, b)
	rejudge(t, func(r *claim.Row) claim.Session {
		return claim.Session{Book: w.book, At: r.Again.At, Backfill: r.Again.Backfill}
	}, b)
	return b
}

// rejudge has each row judged again from what its leaf says, which must come out the same.
func rejudge(t testing.TB, session func(*claim.Row) claim.Session, b *claim.Batch) {
	t.Helper()
	for i := range b.Rows {
		r := &b.Rows[i]
		again, _, err := claim.Rejudge(session(r), r)
		if err != nil {
			t.Fatalf("%s: %v", claim.Leaf(nil, r, ledger.Hash{}), err)
		}
		if again.Holder > 0 && r.Holder > 0 {
			again.Holder = r.Holder // which account it was, the leaf does not say
		}
		whole := func(r *claim.Row) string { return string(claim.Leaf(nil, r, ledger.Hash{})) + claim.Private(r) }
		if got, want := whole(again), whole(r); got != want {
			t.Fatalf("judged again\n%s\nrecorded\n%s", got, want)
		}
	}
}

func (w *memory) answer(needs *claim.Needs) *claim.Known {
	k := claim.NewKnown()
	for _, id := range slices.Concat(needs.Same, needs.Guarded) {
		if r, ok := w.same[id]; ok {
			k.Same[id] = r
		}
	}
	for _, slot := range needs.Slots {
		if c, ok := w.slots[slot]; ok {
			k.Slots[slot] = c
		}
	}
	for _, p := range needs.Usage {
		if u, ok := w.usage[p]; ok {
			k.Usage[p] = u
		}
	}
	for _, key := range needs.Kept {
		if v, ok := w.kept[key]; ok {
			k.Kept[key] = v
		}
	}
	for _, key := range needs.Nets {
		k.Nets[key] = w.balances[key]
	}
	seen := map[[2]int64]bool{} // batch and ordinal of rows that were given out
	for _, n := range needs.Near {
		for _, r := range w.rows {
			place := [2]int64{r.Verdict.Ref.Batch, int64(r.Verdict.Ref.Ord)}
			if r.Account == n.Account && r.Group == n.Group && n.From <= r.Claim.Start && r.Claim.Start <= n.To &&
				r.Verdict.Reason.Kind() == reason.Accepted && !seen[place] && !w.reversed[r.Verdict.Ref] {
				seen[place] = true
				k.Spans[n.Line] = append(k.Spans[n.Line], claim.Span{Start: r.Claim.Start, End: r.Claim.End, By: r.Claim.Partner})
			}
		}
	}
	return k
}

func (w *memory) keep(t testing.TB, b *claim.Batch) {
	t.Helper()
	for i := range b.Rows {
		r := &b.Rows[i]
		id := claim.Identity{Account: r.Account, Partner: r.Claim.Partner, ID: r.Claim.ID}
		if _, twice := w.same[id]; twice && r.Times == 0 {
			t.Errorf("%v is recorded twice", id)
		}
		if ref := (claim.Ref{Part: 3, Batch: b.Number, Ord: len(b.Reversals) + i}); r.Verdict.Ref != ref {
			t.Errorf("row %d of batch %d has the reference %s", i, b.Number, r.Verdict.Ref)
		}
		if r.Times == 0 {
			w.same[id] = claim.Recorded{Scenario: r.Claim.Scenario, Start: r.Claim.Start, End: r.Claim.End, Body: claim.Body(r.Claim), Verdict: r.Verdict}
		}
		w.rows = append(w.rows, *r)
	}
	for k, v := range b.Changed.Slots {
		w.slots[k] = v
	}
	for k, v := range b.Changed.Usage {
		again, ok := claim.ParseUsage(v.String())
		if !ok || again.String() != v.String() {
			t.Errorf("usage %q reads back as %q", v, again)
		}
		w.usage[k] = again
	}
	for k, v := range b.Changed.Kept {
		if _, twice := w.kept[k]; twice {
			t.Errorf("%v is kept twice", k)
		}
		w.kept[k] = v
	}
	postings := b.Entry.Postings()
	if err := ledger.Balanced(postings); err != nil {
		t.Error(err)
	}
	for _, p := range postings {
		w.balances[p.Key] += p.Amount
	}
}

// library reads documents as they would be published: by the real parsers.
func library(t testing.TB, files map[string]string) *rulebook.Rulebook {
	t.Helper()
	lib := &methodology.Library{}
	var methods []*methodology.Methodology
	var programmes []*rulebook.Programme
	for _, kind := range []string{".groups.yaml", ".factors.yaml", ".methodology.yaml", ".programme.yaml"} {
		for name, text := range files {
			if len(name) < len(kind) || name[len(name)-len(kind):] != kind {
				continue
			}
			var err error
			switch kind {
			case ".groups.yaml":
				var groups []methodology.Group
				if groups, err = methodology.ParseGroups(name, []byte(text)); err == nil {
					err = lib.AddGroups(groups)
				}
			case ".factors.yaml":
				var factors methodology.Factors
				if factors, err = methodology.ParseFactors(name, []byte(text)); err == nil {
					err = lib.AddFactors(factors)
				}
			case ".methodology.yaml":
				var m *methodology.Methodology
				m, err = methodology.Parse(name, []byte(text), lib)
				methods = append(methods, m)
			case ".programme.yaml":
				var p *rulebook.Programme
				p, err = rulebook.ParseProgramme(name, []byte(text))
				programmes = append(programmes, p)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	book := rulebook.New(7, lib.Groups, methods, programmes)
	if err := book.Check(); err != nil {
		t.Fatal(err)
	}
	return book
}
